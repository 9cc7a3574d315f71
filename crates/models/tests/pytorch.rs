//! PyTorch's own models on the same weights and batch, in f32 (`tools/pytorch_models.py`): the loss to 1e-5, every
//! parameter's gradient to 1e-4, and 20 steps of every optimizer to 1e-4.

use descant_autograd::{Parameters, Tape};
use descant_batch::{Batch, Sequences};
use descant_hyperparameters::Clipping;
use descant_models::{LossConfig, ModelConfig, ModelKind, Vocabulary, build};
use descant_nn::{AttentionScore, Cell};
use descant_optim::Optimizer;
use descant_tensor::DType;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};

const LOSS: f64 = 1e-5;
const GRADIENT: f64 = 1e-4;
const TRAJECTORY: f64 = 1e-4;

fn optimizers() -> [(&'static str, f64, Value); 9] {
    [
        ("sgd", 0.5, json!({"kind": "sgd"})),
        ("momentum", 0.1, json!({"kind": "sgd", "momentum": 0.9})),
        ("nesterov", 0.1, json!({"kind": "sgd", "momentum": 0.9, "nesterov": true})),
        ("adagrad", 0.05, json!({"kind": "adagrad"})),
        ("adadelta", 1.0, json!({"kind": "adadelta"})),
        ("rmsprop", 0.003, json!({"kind": "rmsprop"})),
        ("rmsprop-centered", 0.003, json!({"kind": "rmsprop", "centered": true})),
        ("adam", 0.01, json!({"kind": "adam"})),
        ("adamw", 0.01, json!({"kind": "adamw", "no_decay": []})),
    ]
}

fn numbers(file: &SafeTensors<'_>, name: &str) -> Vec<f64> {
    let view = file.tensor(name).unwrap_or_else(|error| panic!("{name}: {error}"));
    let words = view.data().chunks_exact(4).map(|bytes| bytes.try_into().unwrap());
    match view.dtype() {
        Dtype::I32 => words.map(|bytes| f64::from(i32::from_le_bytes(bytes))).collect(),
        _ => words.map(|bytes| f64::from(f32::from_le_bytes(bytes))).collect(),
    }
}

/// Sequences that are padded with -1.
fn sequences(file: &SafeTensors<'_>, name: &str) -> Sequences {
    let width = file.tensor(name).unwrap().shape()[1];
    let mut sequences = Sequences::new();
    for row in numbers(file, name).chunks(width) {
        let ids: Vec<u32> = row.iter().filter(|&&id| id >= 0.0).map(|&id| id as u32).collect();
        sequences.push(&ids);
    }
    sequences
}

/// The norm of the difference over the norm.
fn distance(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    norm(&mut found.iter().zip(expected).map(|(a, b)| a - b)) / norm(&mut expected.iter().copied())
}

fn weights(file: &SafeTensors<'_>, kind: &str, parameters: &mut Parameters) {
    for id in parameters.ids() {
        let values = numbers(file, &format!("{kind}.{}", parameters.name(id)));
        parameters.set(id, &values).unwrap();
    }
}

/// Two layers on every side.
fn sizes(kind: ModelKind, cell: Cell) -> ModelConfig {
    ModelConfig {
        cell,
        embedding: 10,
        hidden: 12,
        layers: 2,
        encoder_layers: 2,
        attention: (kind == ModelKind::EncoderDecoder).then_some(AttentionScore::General),
        ..ModelConfig::new(kind)
    }
}

fn compare(name: &str, config: &ModelConfig) {
    let path = format!("{}/tests/reference/{name}.safetensors", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let pair = config.kind == ModelKind::EncoderDecoder;
    let batch = Batch {
        source: pair.then(|| sequences(&file, "ids.source")),
        input: sequences(&file, "ids.input"),
        target: sequences(&file, "ids.target"),
        ..Batch::default()
    };
    let source = if pair { 19 } else { 0 };
    let vocabulary = Vocabulary::new(source, 19, false);
    let mut parameters = Parameters::new(DType::F32);
    let model = build(config, &LossConfig::default(), &vocabulary, &mut parameters, 1).unwrap();
    let named = file.names().into_iter().filter(|name| name.starts_with("weight.")).count();
    assert_eq!(named, parameters.len(), "{name}: every parameter of the one is one of the other");
    weights(&file, "weight", &mut parameters);

    let mut tape = Tape::new();
    let mut pass = |parameters: &Parameters, gradients: &mut descant_autograd::Gradients| {
        gradients.clear();
        let graph = tape.train(parameters, 1);
        let loss = model.loss(graph, &batch).scale(1.0 / batch.tokens() as f64);
        graph.backward(loss, gradients).unwrap();
        loss.item().unwrap()
    };
    let mut gradients = parameters.gradients();
    let loss = pass(&parameters, &mut gradients);
    let expected = numbers(&file, "loss")[0];
    let first = (loss / expected - 1.0).abs();
    assert!(first <= LOSS, "{name}: loss {loss} for {expected}");
    let (mut largest_gradient, mut largest_loss, mut largest_weight) = (0.0_f64, 0.0_f64, 0.0_f64);
    for id in parameters.ids() {
        let key = parameters.name(id);
        let error = distance(&gradients.to_f64(id), &numbers(&file, &format!("gradient.{key}")));
        largest_gradient = largest_gradient.max(error);
        assert!(error <= GRADIENT, "{name}: gradient of {key} is off by {error:.1e}");
    }

    for (optimizer_name, lr, config) in optimizers() {
        weights(&file, "weight", &mut parameters);
        let mut optimizer = Optimizer::new(serde_json::from_value(config).unwrap(), &parameters).unwrap();
        for (step, expected) in numbers(&file, &format!("losses.{optimizer_name}")).into_iter().enumerate() {
            let loss = pass(&parameters, &mut gradients);
            let error = (loss / expected - 1.0).abs();
            largest_loss = largest_loss.max(error);
            assert!(error <= TRAJECTORY, "{name}, {optimizer_name}, step {step}: loss {loss} for {expected}");
            optimizer.step(&mut parameters, &gradients, lr, Clipping::default()).unwrap();
        }
        for id in parameters.ids() {
            let key = parameters.name(id);
            let expected = numbers(&file, &format!("final.{optimizer_name}.{key}"));
            let error = distance(&parameters.tensor(id).to_f64(), &expected);
            largest_weight = largest_weight.max(error);
            assert!(error <= TRAJECTORY, "{name}, {optimizer_name}: {key} ends off by {error:.1e}");
        }
    }
    println!(
        "{name}: loss {first:.1e}, gradients {largest_gradient:.1e}, losses of 20 steps {largest_loss:.1e}, \
         weights after them {largest_weight:.1e}"
    );
}

#[test]
fn lstm_language_model() {
    compare("lstm_lm", &sizes(ModelKind::LanguageModel, Cell::Lstm));
}

#[test]
fn gru_language_model() {
    compare("gru_lm", &sizes(ModelKind::LanguageModel, Cell::Gru));
}

#[test]
fn lstm_encoder_decoder() {
    compare("lstm_s2s", &sizes(ModelKind::EncoderDecoder, Cell::Lstm));
}

#[test]
fn lstm_encoder_decoder_with_input_feeding_and_a_deeper_decoder() {
    let config = sizes(ModelKind::EncoderDecoder, Cell::Lstm);
    compare("lstm_fed_s2s", &ModelConfig { input_feeding: true, encoder_layers: 1, ..config });
}

#[test]
fn gru_encoder_decoder_with_input_feeding() {
    compare("gru_s2s", &ModelConfig { input_feeding: true, ..sizes(ModelKind::EncoderDecoder, Cell::Gru) });
}
