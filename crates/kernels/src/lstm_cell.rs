//! The pointwise part of the LSTM cell (Hochreiter & Schmidhuber 1997; with the forget gate of Gers et al. 2000), in
//! PyTorch's gate order: input, forget, cell, output.
//!
//! ```text
//! i, f, o = σ(·)   g = tanh(·)   c' = f c + i g   h' = o tanh c'
//! ```

use crate::elementwise::vectorized;
use crate::real::Real;
use crate::threads::run_on_threads;

/// The rows of one time step, forward.
pub struct Forward<'a, E> {
    /// Gate pre-activations `x Wᵢₕᵀ + h Wₕₕᵀ`, `[n, 4H]`; overwritten by the activated gates.
    pub gates: &'a mut [E],
    /// The sum of both biases, `[4H]`.
    pub bias: &'a [E],
    /// Cell state `[n, H]` of the previous step; overwritten by this step's.
    pub cell: &'a mut [E],
    /// Receives a copy of the previous step's cell state, `[n, H]`.
    pub cell_before: &'a mut [E],
    /// `tanh` of the new cell state, `[n, H]`.
    pub tanh_cell: &'a mut [E],
    /// The new hidden state, `[n, H]`.
    pub hidden: &'a mut [E],
}

impl<E: Real> Forward<'_, E> {
    /// Computes the step, with some of its rows on each of so many threads.
    pub fn run(self, threads: usize) {
        let width = self.bias.len() / 4;
        let share = (self.hidden.len() / width.max(1)).div_ceil(threads.max(1));
        if threads <= 1 || share == 0 {
            return self.run_rows();
        }
        let rows = self.gates.chunks_mut(share * 4 * width).zip(self.cell.chunks_mut(share * width));
        let kept = self.cell_before.chunks_mut(share * width).zip(self.tanh_cell.chunks_mut(share * width));
        let bias = self.bias;
        let shares = rows.zip(kept).zip(self.hidden.chunks_mut(share * width));
        run_on_threads(shares.map(|(((gates, cell), (cell_before, tanh_cell)), hidden)| {
            move || Forward { gates, bias, cell, cell_before, tanh_cell, hidden }.run_rows()
        }));
    }

    /// Row by row, so that a row's gates stay in the first-level cache.
    fn run_rows(self) {
        let width = self.bias.len() / 4;
        let rows = self.gates.chunks_exact_mut(4 * width).zip(self.cell.chunks_exact_mut(width));
        let kept = self.cell_before.chunks_exact_mut(width).zip(self.tanh_cell.chunks_exact_mut(width));
        for (((gates, cell), (before, tanh)), hidden) in rows.zip(kept).zip(self.hidden.chunks_exact_mut(width)) {
            vectorized(
                #[inline(always)]
                || gates.iter_mut().zip(self.bias).for_each(|(g, &b)| *g += b),
            );
            E::sigmoid_all(&mut gates[..2 * width]);
            E::tanh_all(&mut gates[2 * width..3 * width]);
            E::sigmoid_all(&mut gates[3 * width..]);
            let (i, f, g, o) = split(gates, width);
            before.copy_from_slice(cell);
            vectorized(
                #[inline(always)]
                || {
                    for j in 0..width {
                        cell[j] = f[j] * cell[j] + i[j] * g[j];
                        tanh[j] = cell[j];
                    }
                },
            );
            E::tanh_all(tanh);
            vectorized(
                #[inline(always)]
                || {
                    for j in 0..width {
                        hidden[j] = o[j] * tanh[j];
                    }
                },
            );
        }
    }
}

/// The rows of one time step, backward.
pub struct Backward<'a, E> {
    /// The activated gates `[n, 4H]`; overwritten by the gradient of the pre-activations.
    pub gates: &'a mut [E],
    /// The cell state before the step, `[n, H]`.
    pub cell_before: &'a [E],
    /// `tanh` of the cell state after it, `[n, H]`.
    pub tanh_cell: &'a [E],
    /// The gradient of the hidden state from the output, `[n, H]`.
    pub dy: &'a [E],
    /// The gradient of the hidden state from the next step, `[n, H]`.
    pub dhidden: &'a [E],
    /// The gradient of the cell state after the step, `[n, H]`; overwritten by that of the cell state before it.
    pub dcell: &'a mut [E],
}

impl<E: Real> Backward<'_, E> {
    /// Computes the step.
    pub fn run(self, width: usize) {
        let rows = self.gates.chunks_exact_mut(4 * width).zip(self.dcell.chunks_exact_mut(width));
        let kept = self.cell_before.chunks_exact(width).zip(self.tanh_cell.chunks_exact(width));
        let dh = self.dy.chunks_exact(width).zip(self.dhidden.chunks_exact(width));
        for (((gates, dcell), (before, tanh)), (dy, dhidden)) in rows.zip(kept).zip(dh) {
            let (i, f, g, o) = split_mut(gates, width);
            vectorized(
                #[inline(always)]
                || {
                    let one = E::one();
                    // Slices of one known length let the loop run without bounds checks.
                    let (i, f, g, o) = (&mut i[..width], &mut f[..width], &mut g[..width], &mut o[..width]);
                    let (dy, dhidden, dcell) = (&dy[..width], &dhidden[..width], &mut dcell[..width]);
                    let (before, tanh) = (&before[..width], &tanh[..width]);
                    for j in 0..width {
                        let dh = dy[j] + dhidden[j];
                        let (ij, fj, gj, oj, tj) = (i[j], f[j], g[j], o[j], tanh[j]);
                        let dc = dcell[j] + dh * oj * (one - tj * tj);
                        i[j] = dc * gj * ij * (one - ij);
                        f[j] = dc * before[j] * fj * (one - fj);
                        g[j] = dc * ij * (one - gj * gj);
                        o[j] = dh * tj * oj * (one - oj);
                        dcell[j] = dc * fj;
                    }
                },
            );
        }
    }
}

fn split<E>(gates: &[E], width: usize) -> (&[E], &[E], &[E], &[E]) {
    let (i, rest) = gates.split_at(width);
    let (f, rest) = rest.split_at(width);
    let (g, o) = rest.split_at(width);
    (i, f, g, o)
}

#[allow(clippy::type_complexity)]
fn split_mut<E>(gates: &mut [E], width: usize) -> (&mut [E], &mut [E], &mut [E], &mut [E]) {
    let (i, rest) = gates.split_at_mut(width);
    let (f, rest) = rest.split_at_mut(width);
    let (g, o) = rest.split_at_mut(width);
    (i, f, g, o)
}
