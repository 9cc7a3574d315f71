//! Optimizers that look at whole parameters, against PyTorch's or their papers' step by step (`tools/pytorch_optimizers.py`).

mod common;

use common::{fill, read, with};
use descant_autograd::{ParameterId, Parameters};
use descant_hyperparameters::{Clipping, OptimizerConfig};
use descant_optim::Optimizer;
use descant_tensor::{Buffer, DType};
use serde_json::{Value, json};

const SHAPES: [(&str, &[usize]); 5] =
    [("embedding", &[6, 4]), ("wide", &[5, 9]), ("tall", &[8, 3]), ("vector", &[11]), ("zero", &[5])];

fn optimizers() -> Vec<(&'static str, f64, Value)> {
    vec![
        ("adafactor", 0.4, json!({"kind": "adafactor", "beta2_decay": -0.7, "d": 1.1, "weight_decay": 0.1})),
        ("muon", 0.02, muon(true)),
        ("muon-plain", 0.02, muon(false)),
        ("lamb", 0.02, json!({"kind": "lamb", "betas": [0.8, 0.95], "weight_decay": 0.1})),
    ]
}

fn muon(nesterov: bool) -> Value {
    json!({"kind": "muon", "momentum": 0.9, "nesterov": nesterov, "betas": [0.8, 0.95], "weight_decay": 0.1})
}

fn of(config: &Value, parameters: &Parameters) -> Optimizer {
    let config: OptimizerConfig = serde_json::from_value(config.clone()).unwrap();
    config.validate().unwrap();
    Optimizer::new(config, parameters).unwrap()
}

/// Numbers of the parameters one after the other, with the gaps between them in the flat buffer.
fn spread(parameters: &Parameters, numbers: &[f64]) -> Vec<f64> {
    let mut spread = vec![0.0; parameters.buffer().len()];
    let mut rest = numbers;
    for range in parameters.ids().map(|id| parameters.range(id)) {
        let (own, others) = rest.split_at(range.len());
        spread[range].copy_from_slice(own);
        rest = others;
    }
    spread
}

fn start(dtype: DType) -> (Parameters, Vec<ParameterId>) {
    let mut parameters = Parameters::new(dtype);
    let weights = read("shapes.weights");
    let mut rest = weights.as_slice();
    let ids = SHAPES.map(|(name, shape)| {
        let (own, others) = rest.split_at(shape.iter().product());
        rest = others;
        parameters.add_with(name, shape, own)
    });
    (parameters, ids.to_vec())
}

#[test]
fn each_is_as_its_reference_step_by_step_also_from_a_state_put_back() {
    let steps = read("shapes.gradients");
    for (name, lr, config) in optimizers() {
        for (dtype, kind, tolerance) in [(DType::F64, "float64", 1e-12), (DType::F32, "float32", 5e-6)] {
            let (mut parameters, ids) = start(dtype);
            let count = parameters.count();
            let mut gradients = with(&parameters, &vec![0.0; parameters.buffer().len()]);
            let mut optimizer = of(&config, &parameters);
            let expected = read(&format!("{name}.{kind}"));
            for (step, (gradient, expected)) in steps.chunks(count).zip(expected.chunks(count)).enumerate() {
                fill(&mut gradients, &spread(&parameters, gradient));
                optimizer.step(&mut parameters, &gradients, lr, Clipping::default()).unwrap();
                let expected = spread(&parameters, expected);
                let found = parameters.buffer().to_f64(0..expected.len());
                for &id in &ids {
                    for i in parameters.range(id) {
                        let error = (found[i] - expected[i]).abs() / expected[i].abs().max(1.0);
                        let what = parameters.name(id);
                        assert!(
                            error <= tolerance,
                            "{name} {kind}, step {step}, {what}: {} for {}",
                            found[i],
                            expected[i]
                        );
                    }
                }
                let (steps, state): (u64, Vec<Buffer>) =
                    (optimizer.steps(), optimizer.state().map(|(_, buffer)| buffer.clone()).collect());
                optimizer = of(&config, &parameters);
                optimizer.restore(steps, state).unwrap();
            }
        }
    }
}

#[test]
fn muon_is_pytorchs_up_to_its_rounding_to_bfloat16() {
    let (mut parameters, ids) = start(DType::F32);
    let count = parameters.count();
    let mut gradients = with(&parameters, &vec![0.0; parameters.buffer().len()]);
    let mut optimizer = of(&muon(true), &parameters);
    let expected = read("muon-bfloat16.float32");
    let (mut moved, mut differs) = (0.0_f64, 0.0_f64);
    for (gradient, expected) in read("shapes.gradients").chunks(count).zip(expected.chunks(count)) {
        let before = parameters.buffer().to_f64(0..parameters.buffer().len());
        fill(&mut gradients, &spread(&parameters, gradient));
        optimizer.step(&mut parameters, &gradients, 0.02, Clipping::default()).unwrap();
        let expected = spread(&parameters, expected);
        for i in ids[1..3].iter().flat_map(|&id| parameters.range(id)) {
            let found = parameters.buffer().to_f64(i..i + 1)[0];
            moved = moved.max((found - before[i]).abs());
            differs = differs.max((found - expected[i]).abs());
        }
    }
    assert!(differs < 0.1 * moved, "{differs} where steps are up to {moved}");
}

#[test]
fn muon_has_a_momentum_of_hidden_matrices_and_moments_of_all_else() {
    let (parameters, _) = start(DType::F32);
    let sizes = |config: Value| of(&config, &parameters).state().map(|(_, buffer)| buffer.len()).collect::<Vec<_>>();
    assert_eq!(sizes(json!({"kind": "muon"})), [48 + 32, 32 + 16 + 16, 32 + 16 + 16]);
    assert_eq!(sizes(json!({"kind": "muon", "adamw": ["wide"]})), [32 + 32, 48 + 16 + 16, 48 + 16 + 16]);
    let unknown: OptimizerConfig = serde_json::from_value(json!({"kind": "muon", "adamw": ["*widd*"]})).unwrap();
    let said = Optimizer::new(unknown, &parameters).unwrap_err().to_string();
    assert!(said.contains("optimizer.adamw") && said.contains("*widd*") && said.contains("nearest are wide"), "{said}");
}

#[test]
fn a_gradient_is_clipped_before_anything_is_made_of_it() {
    let gradient = &read("shapes.gradients")[..start(DType::F64).0.count()];
    for (name, lr, config) in optimizers() {
        let step = |value: fn(f64) -> f64, clipping: Clipping| {
            let (mut parameters, _) = start(DType::F64);
            let values: Vec<f64> = gradient.iter().map(|&g| value(g)).collect();
            let gradients = with(&parameters, &spread(&parameters, &values));
            of(&config, &parameters).step(&mut parameters, &gradients, lr, clipping).unwrap();
            parameters.buffer().to_f64(0..parameters.buffer().len())
        };
        let clipped = step(|g| 8.0 * g, Clipping { scale: 0.125, limit: 0.5 });
        assert_eq!(clipped, step(|g| g.clamp(-0.5, 0.5), Clipping::default()), "{name}");
        assert_ne!(clipped, step(|g| g, Clipping::default()), "{name}");
    }
}

#[test]
fn bits_are_the_same_on_any_number_of_threads_and_frozen_parameters_stay() {
    for (name, lr, config) in optimizers() {
        let found = [1, 2, 4].map(|threads| {
            let mut parameters = Parameters::new(DType::F32);
            let shapes: [(&str, &[usize]); 5] = [
                ("a", &[70, 500]),
                ("frozen", &[40, 30]),
                ("embedding", &[900, 50]),
                ("bias", &[70]),
                ("b", &[33, 60]),
            ];
            let ids = shapes.map(|(name, shape)| {
                let values: Vec<f64> =
                    (0..shape.iter().product()).map(|i| ((i * 7919) % 997) as f64 / 997.0 - 0.4).collect();
                parameters.add_with(name, shape, &values)
            });
            parameters.set_trainable(ids[1], false);
            let before = parameters.clone();
            let mut optimizer = of(&config, &parameters);
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            for step in 0..3 {
                let len = parameters.gradient_layout().len();
                let values: Vec<f64> =
                    (0..len).map(|i| (((i + step) * 104_729) % 1009) as f64 / 1009.0 - 0.5).collect();
                let gradients = with(&parameters, &values);
                pool.install(|| optimizer.step(&mut parameters, &gradients, lr, Clipping::default())).unwrap();
            }
            assert_eq!(parameters.values::<f32>(ids[1]), before.values::<f32>(ids[1]), "{name}");
            for id in [0, 2, 3, 4].map(|i| ids[i]) {
                assert_ne!(parameters.values::<f32>(id), before.values::<f32>(id), "{name}");
            }
            parameters.buffer().to_f64(0..parameters.buffer().len())
        });
        assert!(found[0].iter().all(|x| x.is_finite()) && found[0] == found[1] && found[0] == found[2], "{name}");
    }
}

#[test]
fn adafactor_keeps_of_a_matrix_the_means_of_rows_and_columns() {
    let (mut parameters, ids) = start(DType::F32);
    parameters.set_trainable(ids[2], false);
    let optimizer = of(&json!({"kind": "adafactor"}), &parameters);
    // Each from a 64-byte boundary on, of sixteen numbers.
    let found: Vec<_> = optimizer.state().map(|(name, buffer)| (name, buffer.len())).collect();
    assert_eq!(found, [("row_var", 16 + 16), ("col_var", 16 + 16), ("variance", 16 + 16)]);
    let config: OptimizerConfig = serde_json::from_value(json!({"kind": "adafactor"})).unwrap();
    assert_eq!([[300, 20].into(), [7].into(), [2, 3, 4].into()].map(|shape| config.state_size(shape)), [320, 7, 24]);
}

#[test]
fn what_does_not_decay_has_the_steps_of_adam_with_lamb() {
    let step = |config: Value| {
        let (mut parameters, ids) = start(DType::F64);
        let gradients = with(&parameters, &vec![0.5; parameters.buffer().len()]);
        of(&config, &parameters).step(&mut parameters, &gradients, 0.1, Clipping::default()).unwrap();
        ids.iter().map(|&id| parameters.values::<f64>(id).to_vec()).collect::<Vec<_>>()
    };
    let lamb = step(json!({"kind": "lamb", "no_decay": ["vector"]}));
    let adam = step(json!({"kind": "adam", "eps": 1e-6}));
    assert_eq!(lamb[3], adam[3]);
    assert_ne!(lamb[1], adam[1]);
}
