//! Attribute steering by gradient (plug and play language models: Dathathri et al. 2020, arXiv 1912.02164): before a token is chosen, the
//! hidden state is shifted towards an attribute by the gradient of a small classifier.
//!
//! The paper shifts all keys and values of the text so far; here the last hidden state alone is shifted, that which the output layer
//! reads. So it works for every architecture, the shift is drawn up anew for each token, and its gradient goes through the output layer and the
//! classifier alone. As in the paper, the Kullback-Leibler divergence from the distribution without the shift is held down, and the
//! distributions with and without it are fused by their geometric mean.

use crate::{AttributeClassifier, DecodingOptions};
use descant_autograd::{Gradients, Graph, ParameterId, Parameters, Tape, Var};
use descant_kernels::{Parallelism, Real, log_softmax_rows};
use descant_models::{Generator, OutputLayer, OutputRows};
use descant_tensor::{Result, Shape, Tensor};
use std::sync::Arc;

/// Steps, where nothing says how many.
const ITERATIONS: usize = 3;
/// The length of a step, as a share of the hidden state's.
const STEP_SIZE: f64 = 0.1;
/// The weight of the divergence.
const KL_SCALE: f64 = 0.01;
/// The share of the shifted distribution in the geometric mean.
const GM_SCALE: f64 = 0.95;

/// Steers the hidden states of a model, one by one: so its scores depend on nothing else in the batch.
#[derive(Debug)]
pub(crate) struct Steerer<'a> {
    output: &'a OutputLayer,
    /// The whole output layer, in full precision.
    rows: OutputRows,
    tape: Tape,
    parameters: Parameters,
    gradients: Gradients,
    shift: ParameterId,
    weight: ParameterId,
    bias: ParameterId,
    label: Arc<[u32]>,
    iterations: usize,
    step_size: f64,
    kl_scale: f64,
    gm_scale: f64,
}

impl<'a> Steerer<'a> {
    /// The one of these options, if they ask for it.
    pub(crate) fn new(
        model: &'a dyn Generator,
        trained: &Parameters,
        options: &DecodingOptions,
    ) -> std::result::Result<Option<Self>, String> {
        let Some(steering) = options.steering.as_deref() else { return Ok(None) };
        let AttributeClassifier { labels, weight, bias } = &steering.classifier;
        let (output, config) = (model.output(), &options.config);
        if !output.is_likelihood() {
            return Err("steering: the outputs are continuous, and have no probabilities to steer".to_owned());
        }
        let width = hidden_width(output, trained);
        let fits = weight.len() == labels.len() && bias.len() == labels.len() && steering.label < labels.len();
        if !fits || weight.iter().any(|row| row.len() != width) {
            return Err(format!("steering: the classifier is not one of hidden states of {width} elements"));
        }
        let mut parameters = Parameters::new(trained.dtype());
        let shift = parameters.add("shift", [1, width]);
        let flat: Vec<f64> = weight.concat();
        let weight = parameters.add_with("classifier.weight", [labels.len(), width], &flat);
        let bias = parameters.add_with("classifier.bias", [labels.len()], bias);
        [weight, bias].into_iter().for_each(|id| parameters.set_trainable(id, false));
        let (gradients, mut tape) = (parameters.gradients(), Tape::new());
        let all: Arc<[u32]> = (0..trained.shape(output.token_rows().0)[0] as u32).collect();
        let rows = output.select(tape.infer(trained, Parallelism::Serial), &all).map_err(|error| error.to_string())?;
        Ok(Some(Self {
            output,
            rows,
            tape,
            parameters,
            gradients,
            shift,
            weight,
            bias,
            label: [steering.label as u32].into(),
            iterations: config.steering_iterations.unwrap_or(ITERATIONS),
            step_size: config.steering_step_size.unwrap_or(STEP_SIZE),
            kl_scale: config.steering_kl_scale.unwrap_or(KL_SCALE),
            gm_scale: config.steering_gm_scale.unwrap_or(GM_SCALE),
        }))
    }

    /// The steered scores of rows of `logits[N, V]`, whose hidden states are these rows of `states`.
    pub(crate) fn steered<E: Real>(
        &mut self,
        (shape, logits): (Shape, &[E]),
        (states, rows): (&Tensor, &[u32]),
    ) -> Result<Vec<E>> {
        let mut fused = logits.to_vec();
        log_softmax_rows(&mut fused, shape.last());
        for (unsteered, &row) in fused.chunks_exact_mut(shape.last().max(1)).zip(rows) {
            let steered = self.shifted(&states.select_rows(&[row as usize]), &*unsteered)?;
            let share = E::of(self.gm_scale);
            for (own, steered) in unsteered.iter_mut().zip(steered) {
                *own = share * E::of(steered) + (E::one() - share) * *own;
            }
        }
        Ok(fused)
    }

    /// The log probabilities after a hidden state, `[1, H]`, that is shifted towards the label.
    fn shifted<E: Real>(&mut self, state: &Tensor, unsteered: &[E]) -> Result<Vec<f64>> {
        let length = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
        let step = self.step_size * length(&state.to_f64());
        let unsteered = Tensor::new([1, unsteered.len()], unsteered)?;
        let mut shift = vec![0.0; state.shape().last()];
        self.parameters.set(self.shift, &shift)?;
        for _ in 0..self.iterations {
            self.gradients.clear();
            let graph = self.tape.differentiate(&self.parameters);
            let shifted = graph.constant(state) + graph.parameter(self.shift);
            let by_label = shifted.matmul_t(graph.parameter(self.weight)) + graph.parameter(self.bias);
            let likelihood = by_label.log_softmax().gather_last(&self.label).sum();
            let steered = Self::log_probabilities(self.output, &self.rows, shifted);
            let divergence = (steered.exp() * (steered - graph.constant(&unsteered))).sum();
            graph.backward(divergence.scale(self.kl_scale) - likelihood, &mut self.gradients)?;
            let gradient = self.gradients.to_f64(self.shift);
            let size = length(&gradient);
            if size == 0.0 || !size.is_finite() {
                break;
            }
            shift.iter_mut().zip(gradient).for_each(|(shift, slope)| *shift -= step * slope / size);
            self.parameters.set(self.shift, &shift)?;
        }
        let graph: Graph<'_> = self.tape.differentiate(&self.parameters);
        let shifted = graph.constant(state) + graph.parameter(self.shift);
        Ok(Self::log_probabilities(self.output, &self.rows, shifted).value()?.to_f64())
    }

    fn log_probabilities<'t>(output: &OutputLayer, rows: &OutputRows, hidden: Var<'t>) -> Var<'t> {
        output.logits_of(hidden, rows).log_softmax()
    }
}

/// The width of the hidden states that an output layer reads.
pub(crate) fn hidden_width(output: &OutputLayer, parameters: &Parameters) -> usize {
    parameters.shape(output.token_rows().0).last()
}
