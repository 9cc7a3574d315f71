//! What recurrent layers begin with.

use descant_autograd::Parameters;
use descant_models::{LossConfig, ModelConfig, ModelKind, Vocabulary, build};
use descant_nn::{Cell, RecurrentInit};
use descant_tensor::DType;

const HIDDEN: usize = 6;

fn parameters(config: &ModelConfig, seed: impl Into<Option<u64>>) -> Parameters {
    let mut parameters = Parameters::new(DType::F64);
    build(config, &LossConfig::default(), &Vocabulary::new(9, 9, false), &mut parameters, seed).unwrap();
    parameters
}

fn pair(cell: Cell) -> ModelConfig {
    ModelConfig {
        cell,
        embedding: 4,
        hidden: HIDDEN,
        layers: 2,
        bidirectional: false,
        ..ModelConfig::new(ModelKind::EncoderDecoder)
    }
}

#[test]
fn recurrent_weights_may_be_orthogonal_gate_by_gate() {
    for (cell, gates) in [(Cell::Lstm, 4), (Cell::Gru, 3)] {
        let plain = parameters(&pair(cell), 1);
        let found = parameters(&ModelConfig { recurrent_init: RecurrentInit::Orthogonal, ..pair(cell) }, 1);
        let mut orthogonal = 0;
        for id in found.ids() {
            let (name, values) = (found.name(id), found.values::<f64>(id));
            if !name.contains("weight_hh") {
                assert_eq!(values, plain.values::<f64>(id), "{name}");
                continue;
            }
            orthogonal += 1;
            assert_eq!(values.len(), gates * HIDDEN * HIDDEN);
            for gate in values.chunks_exact(HIDDEN * HIDDEN) {
                for (i, j) in (0..HIDDEN).flat_map(|i| (0..HIDDEN).map(move |j| (i, j))) {
                    let product: f64 = (0..HIDDEN).map(|k| gate[i * HIDDEN + k] * gate[j * HIDDEN + k]).sum();
                    assert!((product - f64::from(u8::from(i == j))).abs() < 1e-12, "{name}: {i}, {j}: {product}");
                }
            }
        }
        assert_eq!(orthogonal, 3, "an encoder of one layer, a decoder of two");
    }
}

#[test]
fn forget_gates_may_begin_with_a_bias() {
    let (plain, config) =
        (parameters(&pair(Cell::Lstm), 1), ModelConfig { forget_bias: Some(1.5), ..pair(Cell::Lstm) });
    let found = parameters(&config, 1);
    for id in found.ids() {
        let (name, values, before) = (found.name(id), found.values::<f64>(id), plain.values::<f64>(id));
        let forget = HIDDEN..2 * HIDDEN;
        let expected = match () {
            () if name.contains("bias_ih") => 1.5,
            () if name.contains("bias_hh") => 0.0,
            () => {
                assert_eq!(values, before, "{name}");
                continue;
            }
        };
        assert!(values[forget.clone()].iter().all(|&value| value == expected), "{name}");
        let others = |values: &[f64]| [&values[..forget.start], &values[forget.end..]].concat();
        assert_eq!(others(values), others(before), "{name}");
    }
    // Weights that are read from a file are not touched.
    let empty = parameters(&config, None);
    assert!(empty.ids().all(|id| empty.values::<f64>(id).iter().all(|&value| value == 0.0)));
}
