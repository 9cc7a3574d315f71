//! L-BFGS: directions by the two-loop recursion (Liu & Nocedal 1989), and a line search along them, in the order of PyTorch's operations. All on
//! one thread, as a problem is small for which this pays.

use crate::line_search::{Point, strong_wolfe};
use descant_autograd::{Gradients, Parameters};
use descant_kernels::lanes::RUN;
use descant_kernels::{Real, axpy, scale, zip_into, zip_sum};
use descant_tensor::{Buffer, DType, Element, Result};

/// Where no element of the gradient is larger, there is nothing to gain; where the slope is nearer to 0, neither is there.
const FLAT: f64 = 1e-7;
const LEVEL: f64 = 1e-9;
/// Below this curvature a change is not learned from.
const CURVATURE: f64 = 1e-10;

/// The numbers of [`History::scalars`] before the `1 / yᵀs` of each change.
const ITERATIONS: usize = 0;
const STEP: usize = 1;
const SCALE: usize = 2;
const CHANGES: usize = 3;
const OLDEST: usize = 4;
const RHO: usize = 5;

/// What is known of the iterations before.
#[derive(Clone, Debug)]
pub(crate) struct History {
    size: usize,
    /// The last direction; the gradient that it was made of; the last changes of weights and of gradients; and scalars, in f64.
    pub(crate) buffers: [Buffer; 5],
}

/// PyTorch's names of the buffers, but for the scalars.
pub(crate) const NAMES: [&str; 5] = ["d", "prev_flat_grad", "old_stps", "old_dirs", "scalars"];

/// `Σ aᵢ bᵢ`.
fn dot<E: Real>(a: &[E], b: &[E]) -> f64 {
    a.chunks(RUN).zip(b.chunks(RUN)).map(|(a, b)| zip_sum(a, b, |a, b| a * b).f64()).sum()
}

/// The slope of the loss along a direction, of these gradients.
pub fn slope(gradients: &Gradients, direction: &Buffer) -> f64 {
    match gradients.buffer() {
        Buffer::F32(g) => dot(g, f32::slice(direction)),
        Buffer::F64(g) => dot(g, f64::slice(direction)),
    }
}

impl History {
    /// For gradients of `len` elements in all.
    pub(crate) fn new(size: usize, dtype: DType, len: usize) -> Self {
        let zeros = |len: usize| Buffer::zeros(dtype, len);
        let scalars = Buffer::zeros(DType::F64, RHO + size);
        Self { size, buffers: [zeros(len), zeros(len), zeros(size * len), zeros(size * len), scalars] }
    }

    /// One iteration: the weights move along a direction. `evaluate` gives the loss with other weights, and its slope along the direction.
    ///
    /// # Errors
    /// Whatever an evaluation fails with.
    pub(crate) fn iterate<E: Real>(
        &mut self,
        parameters: &mut Parameters,
        gradients: &Gradients,
        (loss, learning_rate): (f64, f64),
        mut evaluate: impl FnMut(&Parameters, &Buffer) -> Result<[f64; 2]>,
    ) -> Result<()> {
        let g = E::slice(gradients.buffer());
        let largest = |x: &[E]| x.iter().fold(0.0, |most: f64, x| most.max(x.f64().abs()));
        if largest(g) <= FLAT {
            return Ok(());
        }
        self.set_direction(g);
        let [direction, _, _, _, scalars] = &mut self.buffers;
        let (direction, scalars) = (&*direction, f64::slice_mut(scalars));
        let d = E::slice(direction);
        let sum = || g.iter().map(|x| x.f64().abs()).sum::<f64>();
        let first = if scalars[ITERATIONS] == 1.0 { learning_rate * (1.0 / sum()).min(1.0) } else { learning_rate };
        scalars[STEP] = first;
        let slope = dot(g, d);
        if slope > -LEVEL {
            return Ok(());
        }
        let origin = parameters.buffer().clone();
        let layout = gradients.layout();
        let ids: Vec<_> = parameters.ids().filter(|&id| parameters.is_trainable(id)).collect();
        let go = |parameters: &mut Parameters, t: f64| {
            for &id in &ids {
                let (from, along) = (&E::slice(&origin)[parameters.range(id)], &d[layout.range(id)]);
                zip_into(parameters.values_mut::<E>(id), from, along, |_, x, d| x + E::of(t) * d);
            }
        };
        let start = Point { t: 0.0, loss, slope };
        let found = strong_wolfe(start, first, largest(d), |t| {
            go(parameters, t);
            evaluate(parameters, direction)
        });
        // As it was, where an evaluation failed.
        go(parameters, *found.as_ref().unwrap_or(&0.0));
        scalars[STEP] = found?;
        if scalars[STEP] == 0.0 {
            // The same search would find nothing again: the next one begins anew, down the gradient.
            scalars[ITERATIONS..RHO].fill(0.0);
        }
        Ok(())
    }

    /// How many changes there are, and which is the oldest, also in a damaged state.
    fn stored(scalars: &[f64], size: usize) -> (usize, usize) {
        ((scalars[CHANGES] as usize).min(size), scalars[OLDEST] as usize % size)
    }

    /// Learns from the last step, and sets the direction.
    fn set_direction<E: Real>(&mut self, g: &[E]) {
        let (len, size) = (g.len(), self.size);
        let [direction, previous, steps, changes, scalars] = &mut self.buffers;
        let (d, previous, scalars) = (E::slice_mut(direction), E::slice_mut(previous), f64::slice_mut(scalars));
        let (steps, changes) = (E::slice_mut(steps), E::slice_mut(changes));
        let place = |slot: usize| slot * len..(slot + 1) * len;
        scalars[ITERATIONS] += 1.0;
        if scalars[ITERATIONS] == 1.0 {
            scalars[SCALE] = 1.0;
        } else {
            // In place: the last step, and the change of the gradient.
            scale(E::of(scalars[STEP]), d);
            previous.iter_mut().zip(g).for_each(|(y, &g)| *y = g - *y);
            let curvature = dot(previous, d);
            if curvature > CURVATURE {
                let (count, oldest) = Self::stored(scalars, size);
                let slot = if count < size { count } else { oldest };
                match count < size {
                    true => scalars[CHANGES] += 1.0,
                    false => scalars[OLDEST] = ((oldest + 1) % size) as f64,
                }
                steps[place(slot)].copy_from_slice(d);
                changes[place(slot)].copy_from_slice(previous);
                scalars[RHO + slot] = 1.0 / curvature;
                scalars[SCALE] = curvature / dot(previous, previous);
            }
        }
        previous.copy_from_slice(g);
        d.iter_mut().zip(g).for_each(|(d, &g)| *d = -g);
        let (count, oldest) = Self::stored(scalars, size);
        let slots: Vec<usize> = (0..count).map(|i| (oldest + i) % size).collect();
        let mut alphas = vec![0.0; size];
        for &slot in slots.iter().rev() {
            alphas[slot] = dot(&steps[place(slot)], d) * scalars[RHO + slot];
            axpy(E::of(-alphas[slot]), &changes[place(slot)], d);
        }
        scale(E::of(scalars[SCALE]), d);
        for &slot in &slots {
            let beta = dot(&changes[place(slot)], d) * scalars[RHO + slot];
            axpy(E::of(alphas[slot] - beta), &steps[place(slot)], d);
        }
    }
}
