//! The pointwise part of the GRU cell (Cho et al. 2014, arXiv 1406.1078), in PyTorch's gate order and with its reset
//! gate, which multiplies the recurrent term of the candidate after the matmul:
//!
//! ```text
//! r, z = σ(·)   n = tanh(x Wᵢₙᵀ + bᵢₙ + r (h Wₕₙᵀ + bₕₙ))   h' = (1 - z) n + z h
//! ```

use crate::elementwise::vectorized;
use crate::real::Real;
use crate::threads::run_on_threads;

/// The rows of one time step, forward.
pub struct Forward<'a, E> {
    /// Input terms `x Wᵢₕᵀ` of the pre-activations, `[n, 3H]`; overwritten by the activated r, z, n.
    pub gates: &'a mut [E],
    /// Recurrent terms `h Wₕₕᵀ` of the pre-activations, `[n, 3H]`; the last third becomes `h Wₕₙᵀ + bₕₙ`.
    pub recurrent: &'a mut [E],
    /// The bias of the input terms, `[3H]`.
    pub bias_ih: &'a [E],
    /// The bias of the recurrent terms, `[3H]`.
    pub bias_hh: &'a [E],
    /// The hidden state `[n, H]` of the previous step; overwritten by this step's.
    pub hidden: &'a mut [E],
    /// Receives a copy of the previous step's hidden state, `[n, H]`.
    pub hidden_before: &'a mut [E],
}

impl<E: Real> Forward<'_, E> {
    /// Computes the step, with some of its rows on each of so many threads.
    pub fn run(self, threads: usize) {
        let width = self.bias_ih.len() / 3;
        let share = (self.hidden.len() / width.max(1)).div_ceil(threads.max(1));
        if threads <= 1 || share == 0 {
            return self.run_rows();
        }
        let rows = self.gates.chunks_mut(share * 3 * width).zip(self.recurrent.chunks_mut(share * 3 * width));
        let states = self.hidden.chunks_mut(share * width).zip(self.hidden_before.chunks_mut(share * width));
        let (bias_ih, bias_hh) = (self.bias_ih, self.bias_hh);
        run_on_threads(rows.zip(states).map(|((gates, recurrent), (hidden, hidden_before))| {
            move || Forward { gates, recurrent, bias_ih, bias_hh, hidden, hidden_before }.run_rows()
        }));
    }

    /// Row by row.
    fn run_rows(self) {
        let width = self.bias_ih.len() / 3;
        let rows = self.gates.chunks_exact_mut(3 * width).zip(self.recurrent.chunks_exact_mut(3 * width));
        let states = self.hidden.chunks_exact_mut(width).zip(self.hidden_before.chunks_exact_mut(width));
        for ((gates, recurrent), (hidden, before)) in rows.zip(states) {
            let (rz, n) = gates.split_at_mut(2 * width);
            vectorized(
                #[inline(always)]
                || {
                    recurrent.iter_mut().zip(self.bias_hh).for_each(|(u, &b)| *u += b);
                    for ((rz, &u), &b) in rz.iter_mut().zip(&*recurrent).zip(self.bias_ih) {
                        *rz += u + b;
                    }
                },
            );
            E::sigmoid_all(rz);
            let (r, z) = rz.split_at(width);
            vectorized(
                #[inline(always)]
                || {
                    let (u, b) = (&recurrent[2 * width..], &self.bias_ih[2 * width..]);
                    for (((n, &r), &u), &b) in n.iter_mut().zip(r).zip(u).zip(b) {
                        *n += b + r * u;
                    }
                },
            );
            E::tanh_all(n);
            before.copy_from_slice(hidden);
            vectorized(
                #[inline(always)]
                || {
                    for ((h, &z), &n) in hidden.iter_mut().zip(z).zip(&*n) {
                        *h = n + z * (*h - n);
                    }
                },
            );
        }
    }
}

/// The rows of one time step, backward.
pub struct Backward<'a, E> {
    /// The activated r, z, n `[n, 3H]`; overwritten by the gradient of the input terms.
    pub gates: &'a mut [E],
    /// The last third holds `h Wₕₙᵀ + bₕₙ`, `[n, 3H]`; overwritten by the gradient of the recurrent terms.
    pub recurrent: &'a mut [E],
    /// The hidden state before the step, `[n, H]`.
    pub hidden_before: &'a [E],
    /// The gradient of the hidden state from the output, `[n, H]`.
    pub dy: &'a [E],
    /// The gradient of the hidden state from the next step, `[n, H]`; overwritten by the direct part, not through the
    /// recurrent matmul, of the gradient of the hidden state before the step.
    pub dhidden: &'a mut [E],
}

impl<E: Real> Backward<'_, E> {
    /// Computes the step.
    pub fn run(self, width: usize) {
        let rows = self.gates.chunks_exact_mut(3 * width).zip(self.recurrent.chunks_exact_mut(3 * width));
        let dh = self.dy.chunks_exact(width).zip(self.dhidden.chunks_exact_mut(width));
        for (((gates, recurrent), before), (dy, dhidden)) in rows.zip(self.hidden_before.chunks_exact(width)).zip(dh) {
            let (r, zn) = gates.split_at_mut(width);
            let (z, n) = zn.split_at_mut(width);
            let (ur, uzn) = recurrent.split_at_mut(width);
            let (uz, un) = uzn.split_at_mut(width);
            vectorized(
                #[inline(always)]
                || {
                    let one = E::one();
                    let (r, z, n) = (&mut r[..width], &mut z[..width], &mut n[..width]);
                    let (ur, uz, un) = (&mut ur[..width], &mut uz[..width], &mut un[..width]);
                    let (before, dy, dhidden) = (&before[..width], &dy[..width], &mut dhidden[..width]);
                    for j in 0..width {
                        let dh = dy[j] + dhidden[j];
                        let (rj, zj, nj) = (r[j], z[j], n[j]);
                        let dn = dh * (one - zj) * (one - nj * nj);
                        let dr = dn * un[j] * rj * (one - rj);
                        let dz = dh * (before[j] - nj) * zj * (one - zj);
                        (r[j], z[j], n[j]) = (dr, dz, dn);
                        (ur[j], uz[j], un[j]) = (dr, dz, dn * rj);
                        dhidden[j] = dh * zj;
                    }
                },
            );
        }
    }
}
