//! Schedule-free AdamW: the weights that are trained and their average, against its paper's algorithm (`tools/pytorch_optimizers.py`).

mod common;

use common::{fill, read, with};
use descant_autograd::Parameters;
use descant_hyperparameters::{Clipping, OptimizerConfig};
use descant_optim::{Optimizer, WeightAverage};
use descant_tensor::{Buffer, DType};
use serde_json::json;

fn config() -> OptimizerConfig {
    let config = json!({"kind": "adamw-schedule-free", "betas": [0.8, 0.95], "weight_decay": 0.1});
    serde_json::from_value(config).unwrap()
}

fn start(dtype: DType) -> Parameters {
    let weights = read("weights");
    let mut parameters = Parameters::new(dtype);
    parameters.add_with("x", [weights.len()], &weights);
    parameters
}

/// A warm-up, and from half of the steps on a lower rate: what a step weighs in the average goes by the largest rate so far.
fn rate(step: usize) -> f64 {
    0.02 * ((step + 1) as f64 / 6.0).min(1.0) * if step < 10 { 1.0 } else { 0.25 }
}

#[test]
fn weights_and_average_are_its_papers_step_by_step_also_from_a_state_put_back() {
    let all = read("gradients");
    for (dtype, kind, tolerance) in [(DType::F64, "float64", 1e-12), (DType::F32, "float32", 2e-6)] {
        let mut parameters = start(dtype);
        let size = parameters.count();
        let mut gradients = with(&parameters, &vec![0.0; size]);
        let mut optimizer = Optimizer::new(config(), &parameters).unwrap();
        let mut average = WeightAverage::new(0.0, &optimizer, &parameters).unwrap();
        let references = ["schedule-free", "schedule-free.average"].map(|name| read(&format!("{name}.{kind}")));
        for (step, gradient) in all.chunks(size).enumerate() {
            fill(&mut gradients, gradient);
            optimizer.step(&mut parameters, &gradients, rate(step), Clipping::default()).unwrap();
            average.refresh(&parameters, &optimizer);
            for (found, expected) in [&parameters, average.weights()].into_iter().zip(&references) {
                let found = found.buffer().to_f64(0..size);
                for (found, expected) in found.iter().zip(&expected[step * size..][..size]) {
                    let error = (found - expected).abs() / expected.abs().max(1.0);
                    assert!(error <= tolerance, "{kind}, step {step}: {found} for {expected}");
                }
            }
            let state: Vec<Buffer> = optimizer.state().map(|(_, buffer)| buffer.clone()).collect();
            let names: Vec<&str> = optimizer.state().map(|(name, _)| name).collect();
            assert_eq!(names, ["z", "exp_avg_sq", "weight_sum", "lr_max"]);
            assert!(state[2..].iter().all(|buffer| buffer.dtype() == DType::F64));
            let steps = optimizer.steps();
            optimizer = Optimizer::new(config(), &parameters).unwrap();
            optimizer.restore(steps, state).unwrap();
        }
    }
}

#[test]
fn frozen_parameters_are_in_the_average_as_they_are() {
    let mut parameters = Parameters::new(DType::F32);
    let ids = ["a", "frozen", "b"].map(|name| parameters.add_with(name, [40_000], &vec![0.5; 40_000]));
    parameters.set_trainable(ids[1], false);
    let gradients = with(&parameters, &vec![1.0; parameters.gradient_layout().len()]);
    let mut optimizer = Optimizer::new(config(), &parameters).unwrap();
    let mut average = WeightAverage::new(0.0, &optimizer, &parameters).unwrap();
    for _ in 0..2 {
        optimizer.step(&mut parameters, &gradients, 0.1, Clipping::default()).unwrap();
    }
    average.refresh(&parameters, &optimizer);
    let [a, frozen, b] = ids.map(|id| average.weights().values::<f32>(id).to_vec());
    assert!(frozen.iter().all(|&x| x == 0.5));
    let y = parameters.values::<f32>(ids[0]);
    assert!(a == b && a.iter().zip(y).all(|(x, y)| *x < 0.5 && y < x), "the average is behind");
}
