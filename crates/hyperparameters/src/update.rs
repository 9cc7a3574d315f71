//! What every optimizer has: an update rule, and the one pass over weights, gradients and state that applies it.

use crate::gradient_clipping::Clipping;
use descant_kernels::{Real, vectorized};

/// The update rule of an optimizer, with its hyperparameters.
pub(crate) trait Update {
    /// PyTorch's names of the state buffers, three at most.
    fn state_names(&self) -> &'static [&'static str];

    /// What the state buffers are filled with before the first step.
    fn initial_state(&self) -> f64 {
        0.0
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
    /// What is done to the gradient before.
    pub clipping: Clipping,
}

/// A run of adjacent elements: weights, gradients, and the optimizer's state.
#[derive(Debug)]
pub struct Chunk<'a, E> {
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
    let Chunk { x, g, state } = chunk;
    let (scale, limit, decay) = (E::of(clipping.scale), E::of(clipping.limit), E::of(decay));
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
                    let gradient = (gradients[i] * scale).clamp(-limit, limit) + decay * weights[i];
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

/// The default of `no_decay`.
pub(crate) fn biases_and_norms() -> Vec<String> {
    ["*bias*", "*norm*"].map(str::to_owned).to_vec()
}

/// Elements of a block: a few vector registers.
const BLOCK: usize = 64;
