//! The pointwise part of the GRU cell (Cho et al. 2014, arXiv 1406.1078), in PyTorch's gate order and with its reset
//! gate, which multiplies the product of the candidate:
//!
//! ```text
//! r, z = σ(·)   n = tanh(x Wᵢₙᵀ + bᵢₙ + r (h Wₕₙᵀ + bₕₙ))   h' = (1 - z) n + z h
//! ```

use crate::{Real, vectorized};

/// The rows of one time step, forward.
pub struct Forward<'a, E> {
    /// Products with the input `[n, 3H]`; becomes the activated r, z, n.
    pub gates: &'a mut [E],
    /// Products with the hidden state `[n, 3H]`, without bias; its last third becomes `h Wₕₙᵀ + bₕₙ`.
    pub recurrent: &'a mut [E],
    /// The bias of the input products, `[3H]`.
    pub bias_ih: &'a [E],
    /// The bias of the hidden products, `[3H]`.
    pub bias_hh: &'a [E],
    /// The hidden state `[n, H]`: the last step's, becomes this step's.
    pub hidden: &'a mut [E],
    /// The last step's hidden state is copied here, `[n, H]`.
    pub hidden_before: &'a mut [E],
}

impl<E: Real> Forward<'_, E> {
    /// Computes the step.
    pub fn run(self) {
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
    /// The activated r, z, n `[n, 3H]`; becomes the gradient of the input products.
    pub gates: &'a mut [E],
    /// Its last third holds `h Wₕₙᵀ + bₕₙ`, `[n, 3H]`; becomes the gradient of the hidden products.
    pub recurrent: &'a mut [E],
    /// The hidden state before the step, `[n, H]`.
    pub hidden_before: &'a [E],
    /// The gradient of the hidden state that comes from the output, `[n, H]`.
    pub dy: &'a [E],
    /// The gradient of the hidden state that comes from the following step; becomes the part of that before the step
    /// that does not go through the products, `[n, H]`.
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
