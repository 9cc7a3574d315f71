//! How gradients flow through a model: for each parameter, how large its gradient and its weights are, and how far a step moves them.

use descant_autograd::{Gradients, LayerActivations, ParameterId, Parameters};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Elements of a parameter whose update is measured, evenly spaced: a copy of all would take as much memory as the weights.
const SAMPLE: usize = 4096;

/// Partial sums: one alone would wait for each addition.
const SUMS: usize = 8;

/// Lines of metrics that all have it; of each twice as many after them, so many.
const LINES: u64 = 512;

/// Whether it is measured at a step: with the first lines of metrics, and then with fewer and fewer, as it takes kilobytes in each.
pub(crate) fn has_flow(step: u64, log_every: u64) -> bool {
    let line = step / log_every;
    step.is_multiple_of(log_every) && line.is_multiple_of(1 << (line / LINES).max(1).ilog2())
}

/// Of one parameter at one step, root mean squares over its elements. In JSON `[gradient, weight, update]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "[f32; 3]", into = "[f32; 3]")]
#[non_exhaustive]
pub struct ParameterFlow {
    /// Of the gradient, before clipping.
    pub gradient: f32,
    /// Of the weights, before the step.
    pub weight: f32,
    /// Of what the step has added to the weights, over some of them.
    pub update: f32,
}

impl ParameterFlow {
    /// The update-to-weight ratio; none of weights that are zero.
    pub fn ratio(self) -> Option<f32> {
        (self.weight > 0.0).then(|| self.update / self.weight)
    }
}

impl From<[f32; 3]> for ParameterFlow {
    fn from([gradient, weight, update]: [f32; 3]) -> Self {
        Self { gradient, weight, update }
    }
}

impl From<ParameterFlow> for [f32; 3] {
    fn from(flow: ParameterFlow) -> Self {
        [flow.gradient, flow.weight, flow.update]
    }
}

/// By the names of the trainable parameters.
pub type GradientFlow = BTreeMap<String, ParameterFlow>;

/// By the names of the layers' weights.
pub type Activations = BTreeMap<String, LayerActivations>;

/// What is kept of the trainable parameters and their gradients before clipping and step, to see how these move them.
pub(crate) struct BeforeStep(Vec<Before>);

/// Of one parameter.
struct Before {
    id: ParameterId,
    weights: Vec<f32>,
    weight: f32,
    gradient: f32,
}

impl BeforeStep {
    /// On the threads of rayon's pool.
    pub(crate) fn new(parameters: &Parameters, gradients: &Gradients) -> Self {
        let ids: Vec<ParameterId> = parameters.ids().filter(|&id| parameters.is_trainable(id)).collect();
        let of = |id| {
            let values = parameters.values::<f32>(id);
            let gradient = root_mean_square(gradients.values(id));
            Before { id, weights: sampled(values).collect(), weight: root_mean_square(values), gradient }
        };
        Self(ids.into_par_iter().map(of).collect())
    }

    /// After the step, on the threads of rayon's pool.
    pub(crate) fn flow(&self, parameters: &Parameters) -> GradientFlow {
        let of = |before: &Before| {
            let weights = sampled(parameters.values(before.id)).zip(&before.weights);
            let moved: Vec<f32> = weights.map(|(after, before)| after - before).collect();
            let (gradient, weight) = (before.gradient, before.weight);
            let flow = ParameterFlow { gradient, weight, update: root_mean_square(&moved) };
            (parameters.name(before.id).to_owned(), flow)
        };
        self.0.par_iter().map(of).collect()
    }
}

/// The share of these rows of a table whose gradient is zero.
pub(crate) fn dead_rows(
    gradients: &Gradients,
    parameters: &Parameters,
    table: ParameterId,
    rows: &BTreeSet<u32>,
) -> f32 {
    let (gradient, width) = (gradients.values::<f32>(table), parameters.shape(table).last());
    let is_dead = |&&row: &&u32| gradient[row as usize * width..][..width].iter().all(|&x| x == 0.0);
    rows.iter().filter(is_dead).count() as f32 / rows.len().max(1) as f32
}

fn sampled(values: &[f32]) -> impl Iterator<Item = f32> + '_ {
    values.iter().copied().step_by(values.len().div_ceil(SAMPLE).max(1))
}

/// The root of the mean square, whatever the threads.
fn root_mean_square(values: &[f32]) -> f32 {
    let (mut sums, (runs, rest)) = ([0.0_f64; SUMS], values.as_chunks::<SUMS>());
    for run in runs {
        for (sum, &x) in sums.iter_mut().zip(run) {
            *sum += f64::from(x) * f64::from(x);
        }
    }
    let rest: f64 = rest.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    ((sums.iter().sum::<f64>() + rest) / values.len().max(1) as f64).sqrt() as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use descant_tensor::DType;

    #[test]
    fn it_is_measured_at_the_first_lines_and_then_at_ever_fewer() {
        let count = |lines: std::ops::Range<u64>| lines.filter(|line| has_flow(20 * line, 20)).count();
        assert_eq!((count(1..1024), count(1024..2048), count(2048..4096)), (1023, 512, 512));
        assert!(!has_flow(30, 20) && has_flow(40, 20));
    }

    #[test]
    fn squares_neither_vanish_nor_overflow() {
        for x in [1e-30_f32, 1e30] {
            assert!((root_mean_square(&[x; 19]) / x - 1.0).abs() < 1e-6, "{x}");
        }
    }

    #[test]
    fn it_has_the_sizes_of_gradients_weights_and_updates() {
        let mut parameters = Parameters::new(DType::F32);
        let id = parameters.add_with("w", [2, 2], &[3.0, -4.0, 0.0, 0.0]);
        let zero = parameters.add("zero", [9_001]);
        let mut gradients = parameters.gradients();
        let range = gradients.layout().range(id);
        let descant_tensor::Buffer::F32(buffer) = gradients.buffer_mut() else { unreachable!("f32") };
        buffer[range].copy_from_slice(&[1.0, 1.0, -1.0, 1.0]);
        let before = BeforeStep::new(&parameters, &gradients);
        parameters.values_mut::<f32>(id)[2] = 0.5;
        parameters.values_mut::<f32>(zero).fill(0.25);
        let flow = before.flow(&parameters);
        assert_eq!(flow["w"], ParameterFlow { gradient: 1.0, weight: 2.5, update: 0.25 });
        assert_eq!(flow["w"].ratio(), Some(0.1));
        assert_eq!(flow["zero"], ParameterFlow { gradient: 0.0, weight: 0.0, update: 0.25 });
        assert_eq!(flow["zero"].ratio(), None);
        assert_eq!(serde_json::to_string(&flow["w"]).unwrap(), "[1.0,2.5,0.25]");
    }
}
