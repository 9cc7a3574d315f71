//! Gradients against central differences in f64.

use crate::case::{Case, GradCheck};
use crate::derive_seed::derive_seed;
use crate::gradients::Gradients;
use crate::graph::{Graph, Var};
use crate::ops::*;
use crate::parameters::{ParameterId, Parameters};
use crate::tape::Tape;
use descant_tensor::{DType, Result, Shape, Tensor};

macro_rules! table {
    ($($module:ident :: $op:ident),* $(,)?) => {
        /// The rows of every operation, by the name of its module.
        pub fn table() -> Vec<(&'static str, Vec<Case>)> {
            vec![$((stringify!($module), <$module::$op as GradCheck>::cases())),*]
        }
    };
}

for_each_op!(table);

/// The largest relative error that passes.
pub const TOLERANCE: f64 = 1e-6;

/// Steps of the difference, relative to the entry, each where those before it fail: a loss in which rounding shows wants
/// a long step, a strongly curved one a short step. A wrong gradient agrees with none.
const STEPS: [f64; 3] = [1e-3, 1e-2, 1e-4];

/// What the check found for one parameter tensor.
#[derive(Clone, Debug)]
pub struct Row {
    /// The tensor's name.
    pub name: String,
    /// How many of its entries were checked.
    pub entries: usize,
    /// The largest relative error among them.
    pub error: f64,
    /// The entry with that error: its index, the gradient of backward, and the central difference.
    pub worst: (usize, f64, f64),
}

impl Row {
    /// Whether every entry agrees.
    pub fn passes(&self) -> bool {
        self.error <= TOLERANCE
    }
}

/// Checks the gradient of `loss` with respect to up to `sample` entries of every trainable parameter; all with `None`.
///
/// The difference is the five-point one, `(8 (f₁ - f₋₁) - (f₂ - f₋₂)) / 12h`, whose own error is of order h⁴. An entry's
/// relative error is `|a - n| / max(|a|, |n|, m / 1000, r)`, with `m` the largest gradient of its tensor and `r` the least
/// gradient that a difference shows to this tolerance, given that the loss is a sum and rounds by some 64 ε of itself.
///
/// # Errors
/// Whatever the model's own pass fails with.
///
/// # Panics
/// Where the parameters are not of f64.
pub fn check<F>(parameters: &mut Parameters, sample: Option<usize>, seed: u64, loss: F) -> Result<Vec<Row>>
where
    F: for<'t> Fn(Graph<'t>) -> Var<'t>,
{
    assert_eq!(parameters.dtype(), DType::F64, "gradients are checked in f64");
    let mut tape = Tape::new();
    let mut gradients = parameters.gradients();
    let graph = tape.train(parameters, seed);
    graph.backward(loss(graph), &mut gradients)?;
    let ids: Vec<ParameterId> = parameters.ids().filter(|&id| parameters.is_trainable(id)).collect();
    ids.into_iter()
        .map(|id| {
            let count = parameters.shape(id).len();
            let entries: Vec<usize> = match sample {
                Some(sample) if sample < count => {
                    sampled(&gradients.to_f64(id), sample, derive_seed(seed, u64::from(id.0)))
                }
                _ => (0..count).collect(),
            };
            check_entries(parameters, &mut tape, &gradients, id, &entries, seed, &loss)
        })
        .collect()
}

/// Distinct entries, one from each of `sample` equal parts: in turn that of the largest gradient, as most of an
/// embedding's are zero, and any.
fn sampled(gradient: &[f64], sample: usize, seed: u64) -> Vec<usize> {
    let bound = |i: usize| (i as u128 * gradient.len() as u128 / sample as u128) as usize;
    (0..sample)
        .map(|i| {
            let part = bound(i)..bound(i + 1);
            match i % 2 {
                0 => part.max_by(|&a, &b| gradient[a].abs().total_cmp(&gradient[b].abs())).unwrap_or_default(),
                _ => part.start + (derive_seed(seed, i as u64) % part.len() as u64) as usize,
            }
        })
        .collect()
}

fn check_entries<F>(
    parameters: &mut Parameters,
    tape: &mut Tape,
    gradients: &Gradients,
    id: ParameterId,
    entries: &[usize],
    seed: u64,
    loss: &F,
) -> Result<Row>
where
    F: for<'t> Fn(Graph<'t>) -> Var<'t>,
{
    let analytic = gradients.to_f64(id);
    let floor = analytic.iter().fold(0.0_f64, |m, g| m.max(g.abs())) * 1e-3;
    let mut row =
        Row { name: parameters.name(id).to_owned(), entries: entries.len(), error: 0.0, worst: (0, 0.0, 0.0) };
    for &entry in entries {
        let x = parameters.values::<f64>(id)[entry];
        let mut at = |x: f64| -> Result<f64> {
            parameters.values_mut::<f64>(id)[entry] = x;
            let graph = tape.train(parameters, seed);
            loss(graph).item()
        };
        let a = analytic[entry];
        let (mut error, mut n) = (f64::INFINITY, f64::NAN);
        for step in STEPS {
            let h = step * x.abs().max(1.0);
            let rounding = 64.0 * f64::EPSILON * at(x)?.abs().max(1.0) / (h * TOLERANCE);
            let (near, far) = (at(x + h)? - at(x - h)?, at(x + 2.0 * h)? - at(x - 2.0 * h)?);
            let numeric = (8.0 * near - far) / (12.0 * h);
            let found = (a - numeric).abs() / a.abs().max(numeric.abs()).max(floor).max(rounding);
            if found < error {
                (error, n) = (found, numeric);
            }
            if error <= TOLERANCE {
                break;
            }
        }
        parameters.values_mut::<f64>(id)[entry] = x;
        if error > row.error {
            (row.error, row.worst) = (error, (entry, a, n));
        }
    }
    Ok(row)
}

/// Checks one row of an operation's table: every entry of every input, and the values against its reference.
///
/// # Errors
/// Whatever the operation fails with.
pub fn check_case(case: &Case) -> Result<Vec<Row>> {
    let mut parameters = Parameters::new(DType::F64);
    let ids: Vec<ParameterId> = case
        .inputs
        .iter()
        .enumerate()
        .map(|(i, &shape)| {
            let values = numbers(shape, case.range, i as u64);
            parameters.add_with(&format!("input {i}"), shape, &values)
        })
        .collect();
    let run = |graph: Graph<'_>, build: &dyn for<'t> Fn(Graph<'t>, &[Var<'t>]) -> Var<'t>| {
        let inputs: Vec<Var<'_>> = ids.iter().map(|&id| graph.parameter(id)).collect();
        build(graph, &inputs).value()
    };
    let mut rows = Vec::new();
    if let Some(reference) = &case.reference {
        let (mut first, mut second) = (Tape::new(), Tape::new());
        let y = run(first.train(&parameters, 1), &case.build)?;
        let expected = run(second.train(&parameters, 1), reference)?;
        let error = distance(&y, &expected);
        rows.push(Row { name: "value".to_owned(), entries: y.shape().len(), error, worst: (0, 0.0, 0.0) });
    }
    // A weighted sum, so that every element of the output has a gradient of its own.
    rows.extend(check(&mut parameters, None, 1, |graph| {
        let inputs: Vec<Var<'_>> = ids.iter().map(|&id| graph.parameter(id)).collect();
        let y = (case.build)(graph, &inputs);
        let shape = y.shape();
        let weights = Tensor::new(shape, &numbers(shape, (0.5, 1.5), 99));
        match weights {
            Ok(weights) => (y * graph.constant(&weights)).sum(),
            Err(_) => y,
        }
    })?);
    Ok(rows)
}

fn distance(a: &Tensor, b: &Tensor) -> f64 {
    if a.shape() != b.shape() {
        return f64::INFINITY;
    }
    let (a, b) = (a.to_f64(), b.to_f64());
    let largest = b.iter().fold(1e-300_f64, |m, x| m.max(x.abs()));
    a.iter().zip(&b).fold(0.0_f64, |m, (a, b)| m.max((a - b).abs())) / largest
}

/// Numbers that look random, the same for the same arguments.
fn numbers(shape: Shape, (low, high): (f64, f64), seed: u64) -> Vec<f64> {
    let unit = |i: usize| (derive_seed(seed, i as u64) >> 11) as f64 / (1u64 << 53) as f64;
    (0..shape.len()).map(|i| low + (high - low) * unit(i)).collect()
}
