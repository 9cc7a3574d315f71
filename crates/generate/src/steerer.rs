//! Attribute steering by gradient (plug and play language models: Dathathri et al. 2020, arXiv 1912.02164): before a token is chosen, the
//! hidden state is shifted towards an attribute by the gradient of a small classifier.
//!
//! The paper shifts all keys and values of the text so far; here the last hidden state alone is shifted, that which the output layer
//! reads. So it works for every architecture, the shift is drawn up anew for each token, and its gradient goes through the output layer and the
//! classifier alone. As in the paper, the Kullback-Leibler divergence from the distribution without the shift is held down, and the
//! distributions with and without it are fused by their geometric mean.

use crate::members::lent;
use crate::{AttributeClassifier, DecodingOptions};
use descant_autograd::{Gradients, ParameterId, Parameters, Tape};
use descant_kernels::{Parallelism, Real, log_softmax_rows};
use descant_models::{Generator, OutputLayer, OutputRows};
use descant_tensor::{Aligned, Buffer, Result, Shape, Tensor};
use std::sync::Arc;

/// Steps, where nothing says how many.
const ITERATIONS: usize = 3;
/// The length of a step, as a share of the hidden state's, before it is halved.
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
    memory: Memory,
}

/// Memory that each step uses again.
#[derive(Debug)]
struct Memory {
    /// The steered scores of all rows.
    scores: Buffer,
    /// Of the row that is steered: its hidden state, `[1, H]`; its log probabilities without a shift, `[1, V]`; a shift, the
    /// best one so far, and the direction of the gradient there.
    state: Tensor,
    unsteered: Tensor,
    shift: Vec<f64>,
    best: Vec<f64>,
    direction: Vec<f64>,
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
            memory: Memory {
                scores: Buffer::zeros(trained.dtype(), 0),
                state: Tensor::zeros(trained.dtype(), [0]),
                unsteered: Tensor::zeros(trained.dtype(), [0]),
                shift: vec![0.0; width],
                best: vec![0.0; width],
                direction: vec![0.0; width],
            },
        }))
    }

    /// The steered scores of rows of `logits[N, V]`, whose hidden states are these rows of `states`.
    pub(crate) fn steered<E: Real>(
        &mut self,
        (shape, logits): (Shape, &[E]),
        (states, rows): (&Tensor, &[u32]),
    ) -> Result<&[E]> {
        let (vocabulary, width) = (shape.last(), states.shape().last());
        let mut scores: Aligned<E> = lent(&mut self.memory.scores);
        scores.clear();
        scores.extend_from_slice(logits);
        log_softmax_rows(&mut scores, vocabulary);
        for (scores, &row) in scores.chunks_exact_mut(vocabulary.max(1)).zip(rows) {
            let state = &E::slice(states.buffer())[row as usize * width..][..width];
            self.memory.state.assign([1, width], state)?;
            self.memory.unsteered.assign([1, vocabulary], scores)?;
            self.find_shift::<E>()?;
            self.fuse(scores)?;
        }
        self.memory.scores = E::wrap(scores);
        Ok(E::slice(&self.memory.scores))
    }

    /// Finds the shift of the hidden state that makes the label likely and the divergence small: each step goes down the gradient, and where that
    /// leads up it is halved. For a step has its length whatever the slope: once the label is all but certain, the divergence alone is
    /// left, and a long step down its small slope would end far beyond the lowest point.
    fn find_shift<E: Real>(&mut self) -> Result<()> {
        let Memory { state, unsteered, shift, best, direction, .. } = &mut self.memory;
        let length = |x: &[E]| x.iter().map(|x| x.f64() * x.f64()).sum::<f64>().sqrt();
        let mut step = self.step_size * length(E::slice(state.buffer()));
        let mut lowest = f64::INFINITY;
        [&mut *shift, &mut *best, &mut *direction].into_iter().for_each(|vector| vector.fill(0.0));
        for taken in 0..=self.iterations {
            self.parameters.set(self.shift, shift)?;
            self.gradients.clear();
            let graph = self.tape.differentiate(&self.parameters);
            let shifted = graph.constant(state) + graph.parameter(self.shift);
            let by_label = shifted.matmul_t(graph.parameter(self.weight)) + graph.parameter(self.bias);
            let likelihood = by_label.log_softmax().gather_last(&self.label).sum();
            let steered = self.output.logits_of(shifted, &self.rows).log_softmax();
            let divergence = (steered.exp() * (steered - graph.constant(unsteered))).sum();
            let loss = divergence.scale(self.kl_scale) - likelihood;
            let height = loss.read(|loss: &[E]| loss[0].f64())?;
            if height < lowest {
                lowest = height;
                best.copy_from_slice(shift);
                graph.backward(loss, &mut self.gradients)?;
                let gradient: &[E] = self.gradients.values(self.shift);
                let size = length(gradient);
                if size == 0.0 || !size.is_finite() {
                    break;
                }
                direction.iter_mut().zip(gradient).for_each(|(direction, slope)| *direction = slope.f64() / size);
            } else {
                step /= 2.0;
            }
            if taken < self.iterations {
                let next = best.iter().zip(&*direction).map(|(best, direction)| best - step * direction);
                shift.iter_mut().zip(next).for_each(|(shift, next)| *shift = next);
            }
        }
        self.parameters.set(self.shift, best)
    }

    /// Fuses the scores of the hidden state with those after its shift.
    fn fuse<E: Real>(&mut self, scores: &mut [E]) -> Result<()> {
        let graph = self.tape.differentiate(&self.parameters);
        let shifted = graph.constant(&self.memory.state) + graph.parameter(self.shift);
        let share = E::of(self.gm_scale);
        self.output.logits_of(shifted, &self.rows).log_softmax().read(|steered: &[E]| {
            for (own, &steered) in scores.iter_mut().zip(steered) {
                *own = share * steered + (E::one() - share) * *own;
            }
        })
    }
}

/// The width of the hidden states that an output layer reads.
pub(crate) fn hidden_width(output: &OutputLayer, parameters: &Parameters) -> usize {
    parameters.shape(output.token_rows().0).last()
}
