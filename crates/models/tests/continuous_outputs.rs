//! What continuous outputs score: the dot products with the fixed targets, at the concentration of the loss.

use descant_autograd::{Parameters, Tape};
use descant_models::{EmbeddingLoss, Generator, LossConfig, ModelConfig, ModelKind, Tie, Vocabulary, build};
use descant_tensor::{DType, Tensor};

const WIDTH: usize = 4;
const ENTRIES: usize = 7;

/// A language model that predicts its hidden states themselves.
fn model(measure: EmbeddingLoss, tie: Tie) -> (Parameters, Box<dyn Generator>) {
    let config = ModelConfig { embedding: WIDTH, hidden: WIDTH, tie, ..ModelConfig::new(ModelKind::LanguageModel) };
    let mut parameters = Parameters::new(DType::F64);
    let vocabulary = Vocabulary::new(0, ENTRIES, false);
    let model = build(&config, &LossConfig::Embedding { measure }, &vocabulary, &mut parameters, 3).unwrap();
    let identity: Vec<f64> = (0..WIDTH * WIDTH).map(|i| f64::from(u8::from(i % (WIDTH + 1) == 0))).collect();
    let projection = model.output().parameters();
    parameters.set(projection[0], &identity).unwrap();
    parameters.set(projection[1], &[0.0; WIDTH]).unwrap();
    (parameters, model)
}

#[test]
fn scores_are_products_with_the_targets() {
    let x = [0.3, -2.0, 1.0, 0.5, 0.0, 0.1, 0.0, -0.2];
    for measure in [EmbeddingLoss::Cosine, EmbeddingLoss::L2, EmbeddingLoss::Vmf] {
        let (parameters, model) = model(measure, Tie::None);
        let targets = parameters.tensor(model.output().fixed_targets().unwrap()).to_f64();
        let mut tape = Tape::new();
        let graph = tape.train(&parameters, 1);
        let hidden = graph.constant(&Tensor::new([2, WIDTH], &x).unwrap());
        let logits = model.output().logits(hidden).value().unwrap().to_f64();
        for (row, x) in x.chunks(WIDTH).enumerate() {
            let length = x.iter().map(|x| x * x).sum::<f64>().sqrt();
            // (0.1 - 0.02) times the dimension.
            let scale = match measure {
                EmbeddingLoss::Vmf => 1.0,
                EmbeddingLoss::L2 => 0.08 * WIDTH as f64,
                EmbeddingLoss::Cosine => 0.08 * WIDTH as f64 / length,
            };
            for (entry, target) in targets.chunks(WIDTH).enumerate() {
                let expected = scale * x.iter().zip(target).map(|(x, e)| x * e).sum::<f64>();
                let score = logits[row * ENTRIES + entry];
                assert!((score - expected).abs() < 1e-12, "{measure:?} {row} {entry}: {score} for {expected}");
            }
        }
    }
}

#[test]
fn the_tied_table_is_read_and_predicted_and_stays() {
    let (parameters, model) = model(EmbeddingLoss::Vmf, Tie::Output);
    let targets = model.output().fixed_targets().unwrap();
    assert_eq!(model.embeddings(), (None, targets));
    assert!(!parameters.is_trainable(targets));
    assert!(parameters.find("embedding.weight").is_none());
    let lengths = parameters.tensor(targets).to_f64();
    for row in lengths.chunks(WIDTH) {
        assert!((row.iter().map(|x| x * x).sum::<f64>() - 1.0).abs() < 1e-12);
    }
    let apart = self::model(EmbeddingLoss::Vmf, Tie::None).1;
    assert_ne!(apart.embeddings().1, apart.output().fixed_targets().unwrap());
}
