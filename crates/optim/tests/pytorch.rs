//! Every optimizer and schedule against PyTorch's, step by step (`tools/pytorch_optimizers.py`); and what PyTorch does not
//! show: frozen parameters, state put back, the same sums on any number of threads.

mod common;

use common::{fill, read, with};
use descant_autograd::{Gradients, Parameters};
use descant_hyperparameters::{Clipping, ClippingConfig, OptimizerConfig, ScheduleConfig};
use descant_optim::{Optimizer, Schedule, tree_sum_gradients};
use descant_tensor::{Buffer, DType};
use serde_json::{Value, json};

/// The reference's names, and what a recipe says for them.
fn optimizers() -> Vec<(&'static str, f64, Value)> {
    vec![
        ("sgd", 0.1, json!({"kind": "sgd"})),
        ("sgd-decay", 0.1, json!({"kind": "sgd", "weight_decay": 0.05})),
        ("momentum", 0.1, json!({"kind": "sgd", "momentum": 0.9, "dampening": 0.1})),
        ("nesterov", 0.1, json!({"kind": "sgd", "momentum": 0.9, "nesterov": true, "weight_decay": 0.01})),
        (
            "adagrad",
            0.1,
            json!({"kind": "adagrad", "lr_decay": 0.02, "initial_accumulator_value": 0.1, "weight_decay": 0.01}),
        ),
        ("adadelta", 1.0, json!({"kind": "adadelta", "weight_decay": 0.01})),
        ("rmsprop", 0.01, json!({"kind": "rmsprop", "weight_decay": 0.01})),
        ("rmsprop-momentum", 0.01, json!({"kind": "rmsprop", "momentum": 0.9})),
        ("rmsprop-centered", 0.01, json!({"kind": "rmsprop", "centered": true})),
        ("rmsprop-centered-momentum", 0.01, json!({"kind": "rmsprop", "centered": true, "momentum": 0.5})),
        ("adam", 0.01, json!({"kind": "adam", "weight_decay": 0.01})),
        ("adamw", 0.01, json!({"kind": "adamw", "betas": [0.8, 0.99], "weight_decay": 0.1})),
        ("adam-amsgrad", 0.01, json!({"kind": "adam", "amsgrad": true, "weight_decay": 0.01})),
        ("adamw-amsgrad", 0.01, json!({"kind": "adamw", "amsgrad": true, "betas": [0.8, 0.9]})),
        ("nadam", 0.01, json!({"kind": "nadam", "weight_decay": 0.01})),
        (
            "nadam-decoupled",
            0.01,
            json!({"kind": "nadam", "decoupled_weight_decay": true, "weight_decay": 0.1, "momentum_decay": 0.3}),
        ),
        ("radam", 0.01, json!({"kind": "radam", "betas": [0.9, 0.98], "weight_decay": 0.01})),
        ("radam-decoupled", 0.01, json!({"kind": "radam", "decoupled_weight_decay": true, "weight_decay": 0.1})),
        ("lion", 0.01, json!({"kind": "lion", "weight_decay": 0.1})),
    ]
}

/// Parameters with the reference's weights, and gradients that a step's are put into.
fn start(dtype: DType) -> (Parameters, Gradients) {
    let weights = read("weights");
    let mut parameters = Parameters::new(dtype);
    parameters.add_with("x", [weights.len()], &weights);
    let gradients = with(&parameters, &vec![0.0; weights.len()]);
    (parameters, gradients)
}

fn values(parameters: &Parameters) -> Vec<f64> {
    parameters.buffer().to_f64(0..parameters.buffer().len())
}

#[test]
fn every_optimizer_is_pytorchs_step_by_step() {
    let steps = read("gradients");
    for (name, lr, config) in optimizers() {
        for (dtype, kind, tolerance) in [(DType::F64, "float64", 1e-12), (DType::F32, "float32", 2e-6)] {
            let (mut parameters, mut gradients) = start(dtype);
            let size = parameters.count();
            let config: OptimizerConfig = serde_json::from_value(config.clone()).unwrap();
            config.validate().unwrap();
            let mut optimizer = Optimizer::new(config, &parameters).unwrap();
            let expected = read(&format!("{name}.{kind}"));
            for (step, (gradient, expected)) in steps.chunks(size).zip(expected.chunks(size)).enumerate() {
                fill(&mut gradients, gradient);
                optimizer.step(&mut parameters, &gradients, lr, Clipping::default()).unwrap();
                for (found, expected) in values(&parameters).iter().zip(expected) {
                    let error = (found - expected).abs() / expected.abs().max(1.0);
                    assert!(error <= tolerance, "{name} {kind}, step {step}: {found} for {expected}");
                }
            }
        }
    }
}

#[test]
fn every_schedule_is_pytorchs() {
    for (name, config) in [
        ("step", json!({"kind": "step", "every": 6, "gamma": 0.5})),
        ("exponential", json!({"kind": "exponential", "gamma": 0.9})),
        ("linear", json!({"kind": "linear", "end": 0.2})),
        ("cosine", json!({"kind": "cosine"})),
    ] {
        let config: ScheduleConfig = serde_json::from_value(config).unwrap();
        config.validate(20).unwrap();
        let schedule = Schedule::new(config, 20);
        for (step, expected) in (0..).zip(read(&format!("schedule.{name}"))) {
            assert!((schedule.factor(step) - expected).abs() < 1e-12, "{name} {step}");
        }
    }
}

#[test]
fn a_plateau_is_pytorchs_and_goes_on_from_its_state() {
    let config = json!({"kind": "plateau", "factor": 0.5, "patience": 1, "threshold": 0.01, "minimum": 0.1});
    let config: ScheduleConfig = serde_json::from_value(config).unwrap();
    let mut schedule = Schedule::new(config.clone(), 100);
    for (loss, rate) in read("plateau.losses").into_iter().zip(read("plateau.rates")) {
        let mut restored = Schedule::new(config.clone(), 100);
        restored.restore(&schedule.state().unwrap()).unwrap();
        schedule = restored;
        schedule.observe(loss);
        assert_eq!(schedule.factor(7), rate);
    }
    assert!(schedule.restore(&json!({"share": "x"})).is_err());
}

#[test]
fn warm_ups_rise_to_the_full_rate_and_decays_end_where_they_should() {
    let of = |config: Value| Schedule::new(serde_json::from_value(config).unwrap(), 100);
    for config in [
        json!({"kind": "linear", "warmup": 10, "end": 0.1}),
        json!({"kind": "cosine", "warmup": 10, "end": 0.1}),
        json!({"kind": "warmup-stable-decay", "warmup": 10, "decay": 20, "end": 0.1}),
    ] {
        let schedule = of(config);
        assert_eq!([0, 4, 9, 10].map(|step| schedule.factor(step)), [0.1, 0.5, 1.0, 1.0]);
        assert!((schedule.factor(100) - 0.1).abs() < 1e-12);
    }
    let stable = of(json!({"kind": "warmup-stable-decay", "warmup": 10, "decay": 20}));
    assert_eq!([50, 80, 90].map(|step| stable.factor(step)), [1.0, 1.0, 0.5]);
    let root = of(json!({"kind": "inverse-sqrt", "warmup": 16}));
    assert_eq!([7, 15, 63].map(|step| root.factor(step)), [0.5, 1.0, 0.5]);
}

#[test]
fn state_put_back_goes_on_with_the_same_bits() {
    let steps = read("gradients");
    for (name, lr, config) in optimizers() {
        let config: OptimizerConfig = serde_json::from_value(config).unwrap();
        let (mut parameters, mut gradients) = start(DType::F32);
        let mut optimizer = Optimizer::new(config.clone(), &parameters).unwrap();
        let mut halfway = None;
        for (i, gradient) in steps.chunks(parameters.count()).enumerate() {
            if i == 10 {
                let state: Vec<Buffer> = optimizer.state().map(|(_, buffer)| buffer.clone()).collect();
                let mut restored = Optimizer::new(config.clone(), &parameters).unwrap();
                restored.restore(optimizer.steps(), state).unwrap();
                halfway = Some((restored, parameters.clone()));
            }
            fill(&mut gradients, gradient);
            optimizer.step(&mut parameters, &gradients, lr, Clipping::default()).unwrap();
            if let Some((restored, parameters)) = &mut halfway {
                restored.step(parameters, &gradients, lr, Clipping::default()).unwrap();
            }
        }
        assert_eq!(values(&parameters), values(&halfway.unwrap().1), "{name}");
    }
    let (parameters, _) = start(DType::F32);
    let mut optimizer = Optimizer::new(OptimizerConfig::default(), &parameters).unwrap();
    assert!(optimizer.restore(1, vec![Buffer::zeros(DType::F32, 3)]).is_err());
}

#[test]
fn frozen_parameters_stay() {
    let mut parameters = Parameters::new(DType::F32);
    let ids = ["a", "b", "c"].map(|name| parameters.add_with(name, [40_000], &vec![0.5; 40_000]));
    parameters.set_trainable(ids[1], false);
    let gradients = with(&parameters, &vec![1.0; parameters.buffer().len()]);
    for (name, lr, config) in optimizers() {
        let mut parameters = parameters.clone();
        let mut optimizer = Optimizer::new(serde_json::from_value(config).unwrap(), &parameters).unwrap();
        optimizer.step(&mut parameters, &gradients, lr, Clipping::default()).unwrap();
        let moved = ids.map(|id| parameters.values::<f32>(id).iter().filter(|&&x| x != 0.5).count());
        assert_eq!(moved, [40_000, 0, 40_000], "{name}");
    }
}

#[test]
fn what_the_patterns_name_does_not_decay() {
    let mut parameters = Parameters::new(DType::F64);
    let names =
        ["layers.0.norm1.weight", "layers.0.weight", "layers.0.bias", "embedding.weight", "weight_ih_l0", "bias_ih_l0"];
    let ids = names.map(|name| parameters.add_with(name, [16], &[1.0; 16]));
    let gradients = with(&parameters, &[0.0; 96]);
    let decayed = |config: Value| -> Result<Vec<&str>, String> {
        let mut parameters = parameters.clone();
        let config: OptimizerConfig = serde_json::from_value(config).unwrap();
        config.validate()?;
        let mut optimizer = Optimizer::new(config, &parameters).map_err(|error| error.to_string())?;
        optimizer.step(&mut parameters, &gradients, 0.1, Clipping::default()).unwrap();
        let moved = ids.into_iter().zip(names).filter(|(id, _)| parameters.values::<f64>(*id) != [1.0; 16]);
        Ok(moved.map(|(_, name)| name).collect())
    };
    let weights = ["layers.0.weight", "embedding.weight", "weight_ih_l0"].to_vec();
    for kind in [
        "sgd",
        "adagrad",
        "adadelta",
        "rmsprop",
        "adam",
        "adamw",
        "nadam",
        "radam",
        "lion",
        "lamb",
        "adafactor",
        "muon",
        "adamw-schedule-free",
    ] {
        let config = |no_decay: &[&str]| json!({"kind": kind, "weight_decay": 0.1, "no_decay": no_decay});
        assert_eq!(decayed(json!({"kind": kind, "weight_decay": 0.1})), Ok(weights.clone()), "{kind}");
        assert_eq!(decayed(config(&[])), Ok(names.to_vec()), "{kind}");
        assert_eq!(decayed(config(&["*bias*", "*norm*", "embed*"])), Ok(vec![weights[0], weights[2]]), "{kind}");
        let factors = json!({"kind": kind, "weight_decay": 0.1, "decay_factors": {"*weight": 0.0, "embed*": 2.0}});
        assert_eq!(decayed(factors), Ok(vec![weights[2]]), "{kind}");
        let unknown = json!({"kind": kind, "weight_decay": 0.1, "decay_factors": {"*wieght": 0.5}});
        assert!(decayed(unknown).unwrap_err().contains("optimizer.decay_factors: no parameter"), "{kind}");
        assert!(decayed(config(&["*basi*"])).unwrap_err().contains("*basi*"), "{kind}");
        assert!(decayed(config(&["["])).unwrap_err().contains("optimizer.no_decay"), "{kind}");
    }
}

#[test]
fn factors_of_the_weight_decay_are_multiplied() {
    let mut parameters = Parameters::new(DType::F64);
    let ids = ["a.weight", "b.weight", "b.bias"].map(|name| parameters.add_with(name, [16], &[1.0; 16]));
    let config = json!({"kind": "adamw", "weight_decay": 0.5, "decay_factors": {"b*": 0.5, "*.weight": 0.25}});
    let mut optimizer = Optimizer::new(serde_json::from_value(config).unwrap(), &parameters).unwrap();
    let gradients = with(&parameters, &[0.0; 48]);
    optimizer.step(&mut parameters, &gradients, 0.1, Clipping::default()).unwrap();
    let kept = ids.map(|id| 1.0 - parameters.values::<f64>(id)[0]);
    // Biases have none, whatever the factor.
    for (found, expected) in kept.into_iter().zip([0.0125, 0.00625, 0.0]) {
        assert!((found - expected).abs() < 1e-15, "{found} for {expected}");
    }
}

#[test]
fn a_gradient_that_is_no_number_stays_none_when_clipped() {
    let (mut parameters, mut gradients) = start(DType::F32);
    let count = parameters.count();
    fill(&mut gradients, &vec![f64::NAN; count]);
    let mut optimizer = Optimizer::new(serde_json::from_value(json!({"kind": "sgd"})).unwrap(), &parameters).unwrap();
    optimizer.step(&mut parameters, &gradients, 1.0, ClippingConfig::Value(0.5).clipping(1.0)).unwrap();
    assert!(values(&parameters)[..count].iter().all(|x| x.is_nan()));
}

#[test]
fn a_parameter_without_gradient_is_an_error() {
    let (mut parameters, _) = start(DType::F32);
    let mut optimizer = Optimizer::new(OptimizerConfig::default(), &parameters).unwrap();
    let gradients = parameters.gradients();
    assert!(optimizer.step(&mut parameters, &gradients, 0.1, Clipping::default()).is_err());
}

#[test]
fn clipping_is_by_norm_or_by_value() {
    assert_eq!(ClippingConfig::Norm(2.0).clipping(4.0), Clipping { scale: 0.5, limit: f64::INFINITY });
    assert_eq!(ClippingConfig::Norm(2.0).clipping(1.0), Clipping::default());
    assert_eq!(ClippingConfig::None.clipping(1e9), Clipping::default());
    let (mut parameters, mut gradients) = start(DType::F64);
    let before = values(&parameters);
    fill(&mut gradients, &vec![-3.0; before.len()]);
    let mut optimizer = Optimizer::new(serde_json::from_value(json!({"kind": "sgd"})).unwrap(), &parameters).unwrap();
    optimizer.step(&mut parameters, &gradients, 1.0, ClippingConfig::Value(0.5).clipping(9.0)).unwrap();
    assert!(
        values(&parameters)
            .iter()
            .zip(&before)
            .take(parameters.count())
            .all(|(after, before)| (after - before - 0.5).abs() < 1e-12)
    );
}

#[test]
fn sums_are_right_and_have_the_same_bits_on_any_number_of_threads() {
    let mut parameters = Parameters::new(DType::F32);
    let len = 200_003;
    parameters.add_with("a", [len], &vec![0.0; len]);
    let numbers = |seed: u64| -> Vec<f64> {
        (0..len as u64)
            .map(|i| (descant_autograd::derive_seed(seed, i) >> 40) as f64 / (1u64 << 24) as f64 - 0.3)
            .collect()
    };
    let parts: Vec<Vec<f64>> = (0..3).map(numbers).collect();
    let gradients: Vec<Gradients> = parts.iter().map(|part| with(&parameters, part)).collect();
    let mut found = Vec::new();
    for threads in [1, 2, 4] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let mut total = gradients[0].clone();
        let squares = pool.install(|| tree_sum_gradients(&mut total, &[&gradients[1], &gradients[2]]));
        found.push((squares.to_bits(), total.buffer().to_f64(0..len)));
    }
    let sum: Vec<f64> =
        (0..len).map(|i| f64::from((parts[0][i] as f32 + parts[1][i] as f32) + parts[2][i] as f32)).collect();
    let squares: f64 = sum.iter().map(|x| x * x).sum();
    assert_eq!(found[0].1, sum);
    assert!((f64::from_bits(found[0].0) / squares - 1.0).abs() < 1e-6);
    assert_eq!(found[0], found[1]);
    assert_eq!(found[0], found[2]);
}

#[test]
fn values_out_of_range_are_named() {
    for (config, message) in [
        (json!({"kind": "sgd", "momentum": 1.5}), "optimizer.momentum = 1.5: expected"),
        (json!({"kind": "sgd", "nesterov": true}), "optimizer.nesterov = true: expected"),
        (json!({"kind": "adam", "betas": [0.9, 1.0]}), "optimizer.betas = 1: expected"),
        (json!({"kind": "rmsprop", "eps": -1.0}), "optimizer.eps = -1: expected"),
    ] {
        let config: OptimizerConfig = serde_json::from_value(config).unwrap();
        assert!(config.validate().unwrap_err().starts_with(message), "{message}");
    }
    let unknown = json!({"kind": "adam", "beta": 0.9});
    assert!(serde_json::from_value::<OptimizerConfig>(unknown).is_err());
    let schedule: ScheduleConfig = serde_json::from_value(json!({"kind": "cosine", "warmup": 30})).unwrap();
    assert!(schedule.validate(20).unwrap_err().contains("train.steps"));
    assert!(ClippingConfig::Norm(0.0).validate().is_err());
}
