use crate::Optimizer;
use crate::chunk::{CHUNK, Parts};
use descant_autograd::Parameters;
use descant_kernels::{FlushSubnormals, Real, vectorized};
use descant_tensor::DType;
use rayon::prelude::*;

/// The weights to evaluate and to write with, where these are an average of those that are trained: it is nearer to the minimum that
/// the steps oscillate around (Polyak & Juditsky 1992). Either a running one, `ā ← d·ā + (1 − d)·w` after every step (as in Szegedy et al.
/// 2015, arXiv 1512.00567), or that of an optimizer which averages them itself.
#[derive(Clone, Debug)]
pub struct WeightAverage {
    /// Of a running average, the share that a step keeps; with 0 it is the optimizer's.
    decay: f64,
    weights: Parameters,
    /// The optimizer's steps that are in its average.
    steps: u64,
}

impl WeightAverage {
    /// Starts from these weights: a running average with a `decay` above 0, or that of the optimizer; nothing where neither is wanted.
    pub fn new(decay: f64, optimizer: &Optimizer, weights: &Parameters) -> Option<Self> {
        let decay = if optimizer.has_average() { 0.0 } else { decay };
        let new = || Self { decay, weights: weights.clone(), steps: optimizer.steps() };
        (decay > 0.0 || optimizer.has_average()).then(new)
    }

    /// Averages in the weights after this many steps, on the threads of the current rayon pool. Early on, the decay is at most
    /// `(1 + steps) / (10 + steps)`, so that hardly trained weights soon lose their influence. An optimizer's average needs
    /// [`WeightAverage::refresh`] instead.
    pub fn update(&mut self, weights: &Parameters, steps: u64) {
        if self.decay == 0.0 {
            return;
        }
        let steps = steps as f64;
        let decay = self.decay.min((1.0 + steps) / (10.0 + steps));
        // Frozen ones are the same in both.
        match weights.dtype() {
            DType::F32 => lerp(&mut self.weights, weights, decay as f32),
            DType::F64 => lerp(&mut self.weights, weights, decay),
        }
    }

    /// Computes the average of an optimizer, where there were steps since the last time: before it is read, rather than at each step. Of a
    /// running average it does nothing.
    pub fn refresh(&mut self, weights: &Parameters, optimizer: &Optimizer) {
        if self.decay == 0.0 && self.steps != optimizer.steps() {
            optimizer.write_average(weights, &mut self.weights);
            self.steps = optimizer.steps();
        }
    }

    /// The average, as of the last [`WeightAverage::update`] or [`WeightAverage::refresh`].
    pub fn weights(&self) -> &Parameters {
        &self.weights
    }

    /// The average, to restore it from a checkpoint.
    pub fn weights_mut(&mut self) -> &mut Parameters {
        &mut self.weights
    }
}

fn lerp<E: Real>(average: &mut Parameters, weights: &Parameters, decay: E) {
    let mut parts = Parts::new(E::slice_mut(average.buffer_mut()));
    let trained = weights.ids().filter(|&id| weights.is_trainable(id));
    let chunks = trained.flat_map(|id| {
        let average = parts.take(weights.range(id));
        average.chunks_mut(CHUNK).zip(weights.values::<E>(id).chunks(CHUNK))
    });
    chunks.collect::<Vec<_>>().into_par_iter().for_each(|(average, weights)| {
        let _flush = FlushSubnormals::new();
        vectorized(
            #[inline(always)]
            || average.iter_mut().zip(weights).for_each(|(a, &w)| *a = w + decay * (*a - w)),
        );
    });
}
