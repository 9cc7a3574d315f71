//! What every optimizer has: an update rule, and the one pass over weights, gradients and state that applies it.

use crate::gradient_clipping::Clipping;
use descant_kernels::lanes::RUN;
use descant_kernels::{Real, vectorized};
use descant_tensor::Shape;

/// The update rule of an optimizer, with its hyperparameters.
pub(crate) trait Update {
    /// Whether it updates a parameter as a whole, not any run of its elements.
    const WHOLE: bool = false;

    /// PyTorch's names of the state buffers, three at most.
    fn state_names(&self) -> &'static [&'static str];

    /// How many numbers a parameter of this shape has in the state buffer of this name.
    fn state_len(&self, _name: &str, shape: Shape) -> usize {
        shape.len()
    }

    /// What the state buffers are filled with before the first step.
    fn initial_state(&self) -> f64 {
        0.0
    }

    /// Of an optimizer that averages the weights itself, where the average lies on the line from the weights, at 0, to the first state buffer, at 1.
    fn average(&self) -> Option<f64> {
        None
    }

    /// Checks the range of every hyperparameter but the weight decay.
    ///
    /// # Errors
    /// The key, its value, and what is expected.
    fn validate(&self) -> Result<(), String>;

    /// Updates the weights and the state of a chunk, in PyTorch's order of operations.
    fn update<E: Real>(&self, chunk: Chunk<'_, E>, step: Step);
}

/// What is the same for all elements of a step.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// The learning rate.
    pub lr: f64,
    /// The number of this step, from 1.
    pub number: u64,
    /// The share of this step in the average of the weights, for optimizers that have one.
    pub average: f64,
    /// What is done to the gradient before.
    pub clipping: Clipping,
}

/// A whole parameter or a run of adjacent elements: weights, gradients, and the optimizer's state.
#[derive(Debug)]
pub struct Chunk<'a, E> {
    /// The shape of a whole parameter.
    pub shape: Shape,
    /// Weights.
    pub x: &'a mut [E],
    /// Gradients.
    pub g: &'a [E],
    /// Optimizer state, in the order of its names.
    pub state: [&'a mut [E]; 3],
}

/// Calls `f(x, g, state)` for every element: the weight; its clipped gradient plus `decay` times the weight; and the first
/// `N` elements of its state.
#[inline(always)]
pub(crate) fn sweep<E: Real, const N: usize>(
    chunk: Chunk<'_, E>,
    clipping: Clipping,
    decay: f64,
    f: impl Fn(&mut E, E, &mut [E; N]),
) {
    let Chunk { x, g, state, .. } = chunk;
    let (clip, decay) = (clipping.of_element(), E::of(decay));
    let mut buffers = state.into_iter();
    let mut state: [&mut [E]; N] = std::array::from_fn(|_| buffers.next().unwrap_or_default());
    vectorized(
        #[inline(always)]
        || {
            // Block by block through local arrays: slices that might alias would prevent vectorisation.
            for start in (0..x.len()).step_by(BLOCK) {
                let block = start..x.len().min(start + BLOCK);
                let len = block.len();
                let (mut weights, mut gradients) = ([E::zero(); BLOCK], [E::zero(); BLOCK]);
                let mut states = [[E::zero(); BLOCK]; N];
                weights[..len].copy_from_slice(&x[block.clone()]);
                gradients[..len].copy_from_slice(&g[block.clone()]);
                for (local, buffer) in states.iter_mut().zip(&state) {
                    local[..len].copy_from_slice(&buffer[block.clone()]);
                }
                for i in 0..BLOCK {
                    let gradient = clip(gradients[i]) + decay * weights[i];
                    let mut element = std::array::from_fn(|k| states[k][i]);
                    f(&mut weights[i], gradient, &mut element);
                    for (local, updated) in states.iter_mut().zip(element) {
                        local[i] = updated;
                    }
                }
                x[block.clone()].copy_from_slice(&weights[..len]);
                for (local, buffer) in states.iter().zip(&mut state) {
                    buffer[block.clone()].copy_from_slice(&local[..len]);
                }
            }
        },
    );
}

/// The norm of `f` over the elements of slices, in f64 from run to run. `f` of zeros is zero.
#[inline(always)]
pub(crate) fn norm<E: Real, const N: usize>(slices: [&[E]; N], f: impl Fn([E; N]) -> E) -> f64 {
    let len = slices.first().map_or(0, |slice| slice.len());
    let mut squares = 0.0;
    for start in (0..len).step_by(RUN) {
        let run = slices.map(|slice| &slice[start..len.min(start + RUN)]);
        let sums = vectorized(
            #[inline(always)]
            || {
                let mut sums = [E::zero(); BLOCK];
                let len = run[0].len();
                for start in (0..len).step_by(BLOCK) {
                    let block = start..len.min(start + BLOCK);
                    let mut local = [[E::zero(); BLOCK]; N];
                    for (local, slice) in local.iter_mut().zip(&run) {
                        local[..block.len()].copy_from_slice(&slice[block.clone()]);
                    }
                    for (i, sum) in sums.iter_mut().enumerate() {
                        let value = f(std::array::from_fn(|k| local[k][i]));
                        *sum += value * value;
                    }
                }
                sums
            },
        );
        squares += sums.into_iter().sum::<E>().f64();
    }
    squares.sqrt()
}

/// The default of `no_decay`.
pub(crate) fn biases_and_norms() -> Vec<String> {
    ["*bias*", "*norm*"].map(str::to_owned).to_vec()
}

/// Elements of a block: a few vector registers.
const BLOCK: usize = 64;
