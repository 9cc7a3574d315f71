//! Stacks of recurrent layers against PyTorch (`tools/recurrent_layers.py`): values and gradients in f64 to 1e-12.

use descant_autograd::{PackedSequences, ParameterId, Parameters, Tape};
use descant_nn::{Cell, Recurrent, RecurrentConfig, Scope};
use descant_tensor::{DType, Tensor};
use std::collections::BTreeMap;
use std::sync::Arc;

const REFERENCE: &str = include_str!("reference/recurrent_layers.tsv");
const LENGTHS: [usize; 3] = [4, 3, 1];
const INPUT: usize = 2;
const HIDDEN: usize = 3;

fn reference(name: &str) -> BTreeMap<String, Vec<f64>> {
    let line = |line: &str| {
        let (key, numbers) = line.split_once('\t').unwrap();
        let key = key.strip_prefix(name)?.strip_prefix('.')?.to_owned();
        Some((key, numbers.split(' ').map(|number| number.parse().unwrap()).collect()))
    };
    REFERENCE.lines().filter_map(line).collect()
}

fn check(name: &str, cell: Cell, layer_norm: bool) {
    let expected = reference(name);
    let mut parameters = Parameters::new(DType::F64);
    let x = parameters.add_with("x", [8, INPUT], &expected["x"]);
    let sizes = RecurrentConfig {
        layers: 2,
        bidirectional: true,
        residual: true,
        layer_norm,
        ..RecurrentConfig::new(cell, INPUT, HIDDEN)
    };
    let layers = Recurrent::new(&mut Scope::new(&mut parameters, None), sizes);
    let ids: Vec<ParameterId> = parameters.ids().collect();
    for &id in &ids {
        let values = &expected[parameters.name(id)];
        parameters.set(id, values).unwrap();
    }
    let layout = Arc::new(PackedSequences::new(&LENGTHS));
    let (mut tape, mut gradients) = (Tape::new(), parameters.gradients());
    let graph = tape.train(&parameters, 1);
    let (y, last) = layers.forward(graph.parameter(x), &[], &layout);
    let close = |key: &str, found: &[f64]| {
        let expected = &expected[key];
        assert_eq!(found.len(), expected.len(), "{name} {key}");
        let far = found.iter().zip(expected).find(|(a, b)| (*a - *b).abs() > 1e-12);
        assert!(far.is_none(), "{name} {key}: {far:?}");
    };
    let states = last
        .iter()
        .enumerate()
        .flat_map(|(i, state)| [(format!("hidden{i}"), Some(state.hidden)), (format!("cell{i}"), state.cell)]);
    let mut total = graph.constant(&Tensor::zeros(DType::F64, [1])).sum();
    for (key, value) in states.chain([("y".to_owned(), Some(y))]) {
        let Some(value) = value else { continue };
        close(&key, &value.value().unwrap().to_f64());
        let factor = Tensor::new(value.shape(), &expected[&format!("factor.{key}")]).unwrap();
        total = total + (value * graph.constant(&factor)).sum();
    }
    graph.backward(total, &mut gradients).unwrap();
    for id in ids {
        close(&format!("d{}", parameters.name(id)), &gradients.to_f64(id));
    }
}

#[test]
fn residual_connections_have_the_values_and_gradients_of_pytorch() {
    check("lstm", Cell::Lstm, false);
    check("gru", Cell::Gru, false);
}

#[test]
fn normalised_layers_have_the_values_and_gradients_of_pytorch() {
    check("normalised_lstm", Cell::Lstm, true);
    check("normalised_gru", Cell::Gru, true);
}
