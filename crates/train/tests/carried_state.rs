//! Truncated backpropagation through time with carried state: PyTorch's losses and gradients (`tools/carried_states.py`), and the loss
//! of the whole sequences, however they are cut.

use descant_autograd::Parameters;
use descant_batch::{Batch, Sequences};
use descant_hyperparameters::{Clipping, OptimizerConfig};
use descant_models::{Generator, LossConfig, ModelConfig, ModelKind, Vocabulary, build};
use descant_nn::Cell;
use descant_optim::Optimizer;
use descant_tensor::DType;
use descant_train::{CarriedState, Replicas, StepLoss};
use safetensors::{Dtype, SafeTensors};

const VOCABULARY: usize = 11;

fn model(cell: Cell) -> (Parameters, Box<dyn Generator>) {
    let config = ModelConfig { cell, embedding: 6, hidden: 7, layers: 2, ..ModelConfig::new(ModelKind::LanguageModel) };
    let mut parameters = Parameters::new(DType::F64);
    let vocabulary = Vocabulary::new(0, VOCABULARY, false);
    let model = build(&config, &LossConfig::default(), &vocabulary, &mut parameters, 1).unwrap();
    (parameters, model)
}

/// Chunks of streams, of these lengths one after the other.
fn chunks(streams: &[Vec<u32>], lengths: &[usize]) -> Vec<Batch> {
    let mut start = 0;
    let mut chunk = |&length: &usize| {
        let (mut input, mut target) = (Sequences::new(), Sequences::new());
        for stream in streams {
            let end = (start + length).min(stream.len() - 1);
            if start < end {
                input.push(&stream[start..end]);
                target.push(&stream[start + 1..end + 1]);
            }
        }
        start += length;
        Batch { source: None, input, target, ..Batch::default() }
    };
    lengths.iter().map(&mut chunk).collect()
}

/// The loss of a step, and its gradient parameter by parameter.
fn step(
    (parameters, model): &(Parameters, Box<dyn Generator>),
    replicas: &mut Replicas,
    batches: &[Batch],
    carried: Option<&mut CarriedState>,
) -> (StepLoss, Vec<(String, Vec<f64>)>) {
    let loss = replicas.forward_backward(model.as_ref(), parameters, batches, 1, carried).unwrap();
    replicas.reduce();
    let sgd: OptimizerConfig = serde_json::from_str(r#"{"kind": "sgd"}"#).unwrap();
    let mut moved = parameters.clone();
    let mut optimizer = Optimizer::new(sgd, &moved).unwrap();
    replicas.update(&mut optimizer, &mut moved, 1.0, Clipping::default()).unwrap();
    let gradient = parameters.ids().map(|id| {
        let [before, after] = [parameters, &moved].map(|parameters| parameters.tensor(id).to_f64());
        (parameters.name(id).to_owned(), before.iter().zip(after).map(|(before, after)| before - after).collect())
    });
    (loss, gradient.collect())
}

fn numbers(file: &SafeTensors<'_>, name: &str) -> Vec<f64> {
    let view = file.tensor(name).unwrap_or_else(|error| panic!("{name}: {error}"));
    let words = view.data().chunks_exact(4).map(|bytes| bytes.try_into().unwrap());
    match view.dtype() {
        Dtype::I32 => words.map(|bytes| f64::from(i32::from_le_bytes(bytes))).collect(),
        _ => words.map(|bytes| f64::from(f32::from_le_bytes(bytes))).collect(),
    }
}

#[test]
fn losses_and_gradients_are_those_of_pytorch() {
    for (name, cell) in [("lstm", Cell::Lstm), ("gru", Cell::Gru)] {
        let path = format!("{}/tests/reference/{name}_carried.safetensors", env!("CARGO_MANIFEST_DIR"));
        let bytes = std::fs::read(path).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let mut built = model(cell);
        for id in built.0.ids() {
            let values = numbers(&file, &format!("weight.{}", built.0.name(id)));
            built.0.set(id, &values).unwrap();
        }
        let ids: Vec<u32> = numbers(&file, "ids").into_iter().map(|id| id as u32).collect();
        let streams: Vec<Vec<u32>> = ids.chunks(16).map(<[u32]>::to_vec).collect();
        for shares in [1, 2, 4] {
            let mut replicas = Replicas::new(shares, 2).unwrap();
            let mut carried = CarriedState::start(built.1.as_ref(), &built.0, streams.len(), shares).unwrap();
            let mut last = Vec::new();
            for (batch, expected) in chunks(&streams, &[5, 4, 6]).into_iter().zip(numbers(&file, "losses")) {
                let (loss, gradient) = step(&built, &mut replicas, &[batch], Some(&mut carried));
                let error = (loss.sum / loss.weight / expected - 1.0).abs();
                assert!(error < 1e-7, "{name}, {shares} shares: loss off by {error:.1e}");
                last = gradient;
            }
            for (parameter, gradient) in last {
                let expected = numbers(&file, &format!("gradient.{parameter}"));
                let worst = gradient.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                assert!(worst < 1e-7, "{name}, {shares} shares: the gradient of {parameter} is off by {worst:.1e}");
            }
        }
    }
}

#[test]
fn chunks_have_the_loss_of_the_whole_streams_and_accumulate() {
    // The last three are over before the others.
    let stream = |i: u32| (0..25 - u32::from(i > 1)).map(|t| (3 * t * t + 7 * i + t * i) % VOCABULARY as u32).collect();
    let streams: Vec<Vec<u32>> = (0..5).map(stream).collect();
    for cell in [Cell::Lstm, Cell::Gru] {
        let built = model(cell);
        let whole = step(&built, &mut Replicas::new(1, 1).unwrap(), &chunks(&streams, &[24]), None).0.sum;
        for (lengths, shares) in [(&[24][..], 1), (&[8, 8, 8], 2), (&[1, 2, 20, 1], 3), (&[1; 24], 4), (&[23, 1], 8)] {
            let mut replicas = Replicas::new(shares, 2).unwrap();
            let start = || CarriedState::start(built.1.as_ref(), &built.0, streams.len(), shares).unwrap();
            let parts = chunks(&streams, lengths);
            let mut carried = start();
            let single = parts
                .iter()
                .map(|batch| step(&built, &mut replicas, std::slice::from_ref(batch), Some(&mut carried)).0.sum);
            let single: f64 = single.sum();
            assert!((single / whole - 1.0).abs() < 1e-12, "{cell:?}, {lengths:?}: {single} for {whole}");
            let accumulated = step(&built, &mut replicas, &parts, Some(&mut start())).0.sum;
            assert!((accumulated / whole - 1.0).abs() < 1e-12, "{cell:?}, {lengths:?}: {accumulated} for {whole}");
            // Without the state it is another.
            let apart: f64 =
                parts.iter().map(|batch| step(&built, &mut replicas, std::slice::from_ref(batch), None).0.sum).sum();
            assert!(parts.len() == 1 || (apart / whole - 1.0).abs() > 1e-6);
        }
    }
}

#[test]
fn a_state_of_other_shares_or_fewer_rows_is_an_error() {
    let streams: Vec<Vec<u32>> = (0..5).map(|i| (i..i + 7).collect()).collect();
    let (batches, (parameters, model)) = (chunks(&streams, &[3, 3]), model(Cell::Lstm));
    let mut replicas = Replicas::new(3, 2).unwrap();
    let mut fails = |rows: usize, shares: usize| {
        let mut carried = CarriedState::start(model.as_ref(), &parameters, rows, shares).unwrap();
        let traced = replicas.trace(model.as_ref(), &parameters, &batches, 1, Some(&mut carried.clone()));
        let found = replicas.forward_backward(model.as_ref(), &parameters, &batches, 1, Some(&mut carried));
        let found = found.err().map(|error| error.to_string());
        (found, traced.map(|error| error.to_string()))
    };
    assert_eq!(fails(5, 3), (None, None));
    for (rows, shares, part) in [
        (5, 2, "a carried state of 2 shares for 3 replicas"),
        (5, 4, "a carried state of 4 shares for 3 replicas"),
        (4, 3, "2 sequences for 1 rows"),
    ] {
        let (Some(found), Some(traced)) = fails(rows, shares) else { panic!("{part}: no error") };
        assert!(found.contains(part) && traced.contains(part), "{part}: {found}; {traced}");
    }
}
