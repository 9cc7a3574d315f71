//! L-BFGS against PyTorch's (`tools/pytorch_lbfgs.py`): the same iterates; and its state, restored.

use descant_autograd::{Gradients, ParameterId, Parameters, Tape};
use descant_hyperparameters::OptimizerConfig;
use descant_optim::{Optimizer, slope};
use descant_tensor::{Buffer, DType, Result};

const REFERENCE: &str = include_str!("reference/lbfgs.tsv");

/// The loss and its gradient.
type Function = fn(&[f64]) -> (f64, Vec<f64>);

fn rosenbrock(x: &[f64]) -> (f64, Vec<f64>) {
    let (mut loss, mut gradient) = (0.0, vec![0.0; x.len()]);
    for i in 0..x.len() - 1 {
        let (curve, rest) = (x[i + 1] - x[i] * x[i], 1.0 - x[i]);
        loss += 100.0 * curve * curve + rest * rest;
        gradient[i] += -400.0 * curve * x[i] - 2.0 * rest;
        gradient[i + 1] += 200.0 * curve;
    }
    (loss, gradient)
}

fn convex(x: &[f64]) -> (f64, Vec<f64>) {
    let scaled = |i: usize| (i + 1) as f64 * (x[i] - 1.0);
    let sum: f64 = (0..x.len()).map(|i| scaled(i).exp() + (-x[i]).exp()).sum();
    let gradient = (0..x.len()).map(|i| ((i + 1) as f64 * scaled(i).exp() - (-x[i]).exp()) / sum + 0.2 * x[i]);
    (sum.ln() + 0.1 * x.iter().map(|x| x * x).sum::<f64>(), gradient.collect())
}

fn function(name: &str) -> Function {
    if name == "rosenbrock" { rosenbrock } else { convex }
}

/// Parameters of 4 and of 6 elements, so that there is room between them, and a frozen one.
struct Problem {
    parameters: Parameters,
    ids: [ParameterId; 2],
    function: Function,
}

impl Problem {
    fn new(dtype: DType, function: Function) -> Self {
        let mut parameters = Parameters::new(dtype);
        let start: Vec<f64> = (0..10).map(|i| if i % 2 == 0 { -1.2 } else { 1.0 }).collect();
        let a = parameters.add_with("a", [4], &start[..4]);
        let frozen = parameters.add_with("frozen", [3], &[5.0; 3]);
        parameters.set_trainable(frozen, false);
        let b = parameters.add_with("b", [6], &start[4..]);
        Self { parameters, ids: [a, b], function }
    }

    fn step(&mut self, optimizer: &mut Optimizer) -> Result<usize> {
        let (ids, function) = (self.ids, self.function);
        let (loss, gradients) = evaluate(&self.parameters, ids, function);
        let mut count = 0;
        optimizer.search(&mut self.parameters, &gradients, (loss, 1.0), |parameters, direction| {
            count += 1;
            let (loss, gradients) = evaluate(parameters, ids, function);
            Ok([loss, slope(&gradients, direction)])
        })?;
        Ok(count)
    }

    fn values(&self) -> Vec<f64> {
        values(&self.parameters, self.ids)
    }
}

fn values(parameters: &Parameters, ids: [ParameterId; 2]) -> Vec<f64> {
    ids.iter().flat_map(|&id| parameters.buffer().to_f64(parameters.range(id))).collect()
}

fn evaluate(parameters: &Parameters, ids: [ParameterId; 2], function: Function) -> (f64, Gradients) {
    let (loss, gradient) = function(&values(parameters, ids));
    // As a backward would leave them.
    let (mut tape, mut gradients) = (Tape::new(), parameters.gradients());
    let graph = tape.train(parameters, 1);
    let sum = ids.map(|id| graph.parameter(id).sum());
    graph.backward(sum[0] + sum[1], &mut gradients).unwrap();
    for (id, part) in ids.into_iter().zip([&gradient[..4], &gradient[4..]]) {
        let range = gradients.layout().range(id);
        match gradients.buffer_mut() {
            Buffer::F32(all) => all[range].iter_mut().zip(part).for_each(|(g, &x)| *g = x as f32),
            Buffer::F64(all) => all[range].copy_from_slice(part),
        }
    }
    (loss, gradients)
}

fn lbfgs(history: usize, parameters: &Parameters) -> Optimizer {
    let config = serde_json::from_value(serde_json::json!({"kind": "lbfgs", "history_size": history})).unwrap();
    Optimizer::new(config, parameters).unwrap()
}

#[test]
fn the_iterates_are_those_of_pytorch() {
    let mut lines = REFERENCE.lines().peekable();
    let mut count = 0;
    while let Some(line) = lines.peek() {
        let key = |line: &str| line.rsplit_once('\t').unwrap().0.to_owned();
        let of = key(line);
        let fields: Vec<&str> = of.split('\t').collect();
        let (dtype, tolerance) = if fields[1] == "f64" { (DType::F64, 1e-6) } else { (DType::F32, 2e-3) };
        let mut problem = Problem::new(dtype, function(fields[0]));
        let mut optimizer = lbfgs(fields[2].parse().unwrap(), &problem.parameters);
        let mut step = 0;
        while let Some(line) = lines.next_if(|line| key(line) == of) {
            let numbers: Vec<f64> = line.rsplit('\t').next().unwrap().split(' ').map(|x| x.parse().unwrap()).collect();
            problem.step(&mut optimizer).unwrap();
            step += 1;
            let found = problem.values();
            for (found, expected) in found.iter().zip(&numbers[1..]) {
                assert!((found - expected).abs() <= tolerance, "{of}, step {step}: {found} {expected}");
            }
            count += 1;
        }
        assert!(step >= 5, "{of}");
        assert_eq!(problem.parameters.buffer().to_f64(16..19), [5.0; 3], "what is frozen stays");
    }
    assert!(count > 50, "{count}");
}

#[test]
fn a_state_that_is_restored_goes_on_with_the_same_bits() {
    for dtype in [DType::F32, DType::F64] {
        let mut problem = Problem::new(dtype, rosenbrock);
        let mut optimizer = lbfgs(3, &problem.parameters);
        for step in 0..12 {
            let mut other = Problem { parameters: problem.parameters.clone(), ..problem };
            let mut restored = lbfgs(3, &other.parameters);
            let buffers = optimizer.state().map(|(_, buffer)| buffer.clone()).collect();
            restored.restore(optimizer.steps(), buffers).unwrap();
            let counts = (problem.step(&mut optimizer).unwrap(), other.step(&mut restored).unwrap());
            assert!(counts.0 == counts.1 && counts.0 >= 1);
            assert_eq!(problem.values(), other.values(), "step {step}");
        }
        let wrong = lbfgs(4, &problem.parameters).restore(1, optimizer.state().map(|(_, b)| b.clone()).collect());
        assert!(wrong.is_err());
    }
}

#[test]
fn it_falls_from_step_to_step_to_the_minimum_and_stays_there() {
    let mut problem = Problem::new(DType::F64, rosenbrock);
    let mut optimizer = lbfgs(10, &problem.parameters);
    let mut loss = f64::INFINITY;
    for step in 0..300 {
        problem.step(&mut optimizer).unwrap();
        let (now, _) = rosenbrock(&problem.values());
        assert!(now <= loss, "step {step}: {now} {loss}");
        loss = now;
    }
    let gradient = rosenbrock(&problem.values()).1;
    assert!(gradient.iter().all(|g| g.abs() < 1e-3), "{loss} {gradient:?}");
}

#[test]
fn an_evaluation_that_fails_leaves_the_weights_as_they_were() {
    let mut problem = Problem::new(DType::F64, rosenbrock);
    let mut optimizer = lbfgs(3, &problem.parameters);
    let before = problem.values();
    let (loss, gradients) = evaluate(&problem.parameters, problem.ids, rosenbrock);
    let failure = || descant_tensor::Error::Mismatch { gradients: 1, parameters: 2 };
    let found = optimizer.search(&mut problem.parameters, &gradients, (loss, 1.0), |_, _| Err(failure()));
    assert!(found.is_err());
    assert_eq!(problem.values(), before);
    assert!(
        serde_json::from_value::<OptimizerConfig>(serde_json::json!({"kind": "lbfgs", "history_size": 0}))
            .unwrap()
            .validate()
            .is_err()
    );
}
