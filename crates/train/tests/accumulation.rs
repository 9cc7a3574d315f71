//! Several small batches are one large one.

use descant_autograd::Parameters;
use descant_batch::{Batch, Sequences};
use descant_hyperparameters::{Clipping, OptimizerConfig};
use descant_models::{LossConfig, ModelConfig, ModelKind, Vocabulary, build};
use descant_optim::Optimizer;
use descant_tensor::DType;
use descant_train::Replicas;

/// Sequences of these lengths over 11 tokens, of which some targets do not count.
fn batch(lengths: &[usize], first: usize) -> Batch {
    let (mut input, mut target) = (Sequences::new(), Sequences::new());
    for (i, &length) in lengths.iter().enumerate() {
        let ids: Vec<u32> = (0..=length).map(|t| ((first + 5 * i + 3 * t * t) % 11) as u32).collect();
        let next = ids[1..].iter().enumerate().map(|(t, &id)| if t < i % 2 { Batch::IGNORED } else { id });
        input.push(&ids[..length]);
        target.push(&next.collect::<Vec<_>>());
    }
    let weights = Some((0..lengths.len()).map(|i| 0.5 + (first + i) as f32 * 0.25).collect());
    Batch { input, target, weights, ..Batch::default() }
}

fn joined(batches: &[Batch]) -> Batch {
    let (mut input, mut target) = (Sequences::new(), Sequences::new());
    for batch in batches {
        (0..batch.input.len()).for_each(|i| input.push(batch.input.get(i)));
        (0..batch.target.len()).for_each(|i| target.push(batch.target.get(i)));
    }
    let weights = batches.iter().flat_map(|batch| batch.weights.clone().unwrap()).collect();
    Batch { input, target, weights: Some(weights), ..Batch::default() }
}

#[test]
fn accumulated_batches_have_the_loss_and_the_gradient_of_the_joined_one() {
    let config = ModelConfig { embedding: 6, hidden: 7, layers: 2, ..ModelConfig::new(ModelKind::LanguageModel) };
    let mut start = Parameters::new(DType::F64);
    let vocabulary = Vocabulary::new(0, 11, false);
    let model = build(&config, &LossConfig::default(), &vocabulary, &mut start, 1).unwrap();
    // Of very different numbers of tokens: a mean of the batches' means would be another.
    let batches = [batch(&[3, 9, 4, 1], 2), batch(&[1, 2], 5), batch(&[6], 8)];
    let step = |batches: &[Batch], shares: usize| {
        let mut parameters = start.clone();
        let sgd: OptimizerConfig = serde_json::from_str(r#"{"kind": "sgd"}"#).unwrap();
        let mut optimizer = Optimizer::new(sgd, &parameters).unwrap();
        let mut replicas = Replicas::new(shares, 2).unwrap();
        let step_loss = replicas.forward_backward(model.as_ref(), &parameters, batches, 1, None).unwrap();
        let norm = replicas.reduce();
        replicas.update(&mut optimizer, &mut parameters, 1.0, Clipping::default()).unwrap();
        let moved = parameters.buffer().to_f64(0..parameters.buffer().len());
        let gradient: Vec<f64> =
            moved.iter().zip(start.buffer().to_f64(0..moved.len())).map(|(after, before)| before - after).collect();
        (step_loss.sum, step_loss.weight, norm, gradient)
    };
    let whole = step(&[joined(&batches)], 1);
    // Each sequence by itself, as PyTorch's CrossEntropyLoss(reduction = "none") times the weights, over their sum.
    let rows = joined(&batches);
    let (mut sum, mut weight) = (0.0, 0.0);
    for (row, of_row) in rows.weights.iter().flatten().enumerate() {
        let alone = Batch { input: rows.input.select(&[row]), target: rows.target.select(&[row]), ..Batch::default() };
        let (loss, tokens, ..) = step(&[alone], 1);
        (sum, weight) = (sum + f64::from(*of_row) * loss, weight + f64::from(*of_row) * tokens);
    }
    assert!((whole.0 - sum).abs() < 1e-12 * sum && (whole.1 - weight).abs() < 1e-12 * weight);
    assert!(whole.3.iter().any(|g| g.abs() > 1e-3));
    for (batches, shares) in [(&batches[..], 1), (&batches[..], 3), (&[joined(&batches)][..], 4)] {
        let found = step(batches, shares);
        assert!((found.1 - whole.1).abs() < 1e-12 * whole.1);
        assert!((found.0 - whole.0).abs() < 1e-12 * whole.0.abs() && (found.2 - whole.2).abs() < 1e-12);
        assert!(found.3.iter().zip(&whole.3).all(|(a, b)| (a - b).abs() < 1e-12), "{shares} shares");
    }
}
