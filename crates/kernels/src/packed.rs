//! `B` packed once for many GEMMs of few rows, as the recurrent steps of a sequence are.

use crate::batch_invariant::gemm_batch_invariant;
use crate::flops::{count, count_bf16};
use crate::gemm::gemm_full;
use crate::gemm_config::{GemmConfig, MatmulPrecision, Parallelism};
use crate::gemm_packed::gemm_packed;
use crate::gemm_reduced::gemm_reduced;
use crate::mat::{Mat, MatMut, PAGE_COLUMNS};
use crate::packed_bf16;
use crate::packed_weight::PackedRows;
use crate::real::Real;
use crate::reduced_weight::ReducedRows;
use crate::transpose::transpose;

/// `B`, copied once into panels for many GEMMs of small `M`. Reading a column-major matrix is several times slower, and so is
/// reading one whose columns do not fill whole vector registers: panels are row-major and padded with zeros. A wide `B` is cut
/// into panels of a few columns, so that consecutive rows of a panel are adjacent in memory. In bf16, panels hold pairs of rows
/// for the processor's `vdpbf16ps`, where there is one.
#[derive(Debug)]
pub struct PackedB<'a, E> {
    panels: Panels<'a, E>,
    rows: usize,
    columns: usize,
    width: usize,
    config: GemmConfig,
}

#[derive(Debug)]
enum Panels<'a, E> {
    Full(&'a [E]),
    Pairs(&'a [u32]),
    /// As it lies, for batch-invariant GEMMs.
    Unpacked(Mat<'a, E>),
    /// The rows of a packed weight, whose transpose is `B`.
    Packed(PackedRows<'a>),
    /// Those of a weight in reduced precision.
    Reduced(ReducedRows<'a>),
}

impl<'a, E: Real> PackedB<'a, E> {
    const REGISTER: usize = 16;

    /// Columns of a panel. Several threads share one GEMM best if `B` is one panel.
    fn width(columns: usize, parallelism: Parallelism) -> usize {
        match parallelism {
            Parallelism::Serial if columns >= PAGE_COLUMNS => 4 * Self::REGISTER,
            _ => columns.next_multiple_of(Self::REGISTER).max(Self::REGISTER),
        }
    }

    /// The first column of each panel, and its width with padding.
    fn panels(columns: usize, width: usize) -> impl Iterator<Item = (usize, usize)> {
        let starts = (0..columns).step_by(width);
        starts.map(move |start| (start, width.min((columns - start).next_multiple_of(Self::REGISTER))))
    }

    /// The scratch that [`PackedB::new`] needs for `b[K, N]`, and [`PackedB::gemm`] for up to `max_m` rows.
    pub fn scratch(k: usize, n: usize, max_m: usize, config: impl Into<GemmConfig>) -> (usize, usize) {
        let config = config.into();
        if config.is_batch_invariant() {
            return (0, 0);
        }
        let width = Self::width(n, config.parallelism);
        let last = Self::panels(n, width).last().map_or(0, |(_, last)| last);
        (k * n.next_multiple_of(Self::REGISTER), max_m * last.max(k.div_ceil(2)))
    }

    /// Packs `matrix[K, N]`, which may be a transpose.
    pub fn new(matrix: Mat<'a, E>, scratch: &'a mut [E], config: impl Into<GemmConfig>) -> Self {
        let config = config.into();
        let Mat { data, rows, columns, row_stride, column_stride } = matrix;
        let width = Self::width(columns, config.parallelism);
        if config.is_batch_invariant() {
            return Self { panels: Panels::Unpacked(matrix), rows, columns, width, config };
        }
        if config.parallelism == Parallelism::Serial
            && config.precision == MatmulPrecision::Bf16
            && packed_bf16::is_supported(rows)
            && let Some(matrix) = matrix.as_f32()
        {
            let panels = E::as_f32_mut(&mut scratch[..packed_bf16::len(rows, columns)]).unwrap_or_default();
            let panels = bytemuck::cast_slice_mut(panels);
            packed_bf16::pack(matrix, panels);
            return Self { panels: Panels::Pairs(panels), rows, columns, width, config };
        }
        for (start, width) in Self::panels(columns, width) {
            let panel = &mut scratch[rows * start..rows * (start + width)];
            let filled = width.min(columns - start);
            if filled < width {
                panel.fill(E::zero());
            }
            if column_stride == 1 {
                for (r, to) in panel.chunks_exact_mut(width).enumerate() {
                    to[..filled].copy_from_slice(&data[r * row_stride + start..][..filled]);
                }
            } else if filled == width && column_stride == rows {
                transpose(&data[start * rows..(start + width) * rows], width, rows, panel);
            } else {
                for (r, to) in panel.chunks_exact_mut(width).enumerate() {
                    let from = |c: usize| data[(start + c) * column_stride + r * row_stride];
                    to[..filled].iter_mut().enumerate().for_each(|(c, to)| *to = from(c));
                }
            }
        }
        Self { panels: Panels::Full(scratch), rows, columns, width, config }
    }

    /// The transpose of a packed weight, as it is stored.
    pub fn packed(weight: PackedRows<'a>, config: impl Into<GemmConfig>) -> Self {
        let (rows, columns, config) = (weight.columns, weight.rows, config.into());
        Self { panels: Panels::Packed(weight), rows, columns, width: columns, config }
    }

    /// The transpose of a weight in reduced precision, as it is stored.
    pub fn reduced(weight: ReducedRows<'a>, config: impl Into<GemmConfig>) -> Self {
        let (rows, columns, config) = (weight.columns, weight.rows, config.into());
        Self { panels: Panels::Reduced(weight), rows, columns, width: columns, config }
    }

    /// Whether it is in bfloat16: then `A` is rounded too.
    pub fn is_bf16(&self) -> bool {
        matches!(self.panels, Panels::Pairs(_))
    }

    /// `c[M, N] = beta c + a[M, K] b`.
    ///
    /// # Panics
    /// If the inner lengths differ, or `c` or `scratch` is too short.
    pub fn gemm(&self, a: Mat<'_, E>, beta: E, c: &mut [E], scratch: &mut [E]) {
        assert_eq!(a.columns, self.rows, "the inner lengths of a GEMM with a packed B");
        if a.rows == 0 {
            return;
        }
        let panels = match self.panels {
            Panels::Unpacked(b) => {
                let c = MatMut::new(c, a.rows, self.columns);
                return gemm_batch_invariant(E::one(), a, b, beta, c, self.config.parallelism);
            }
            Panels::Packed(weight) => {
                let c = MatMut::new(c, a.rows, self.columns);
                return gemm_packed(a, weight, beta, c, self.config.parallelism);
            }
            Panels::Reduced(weight) => {
                let c = MatMut::new(c, a.rows, self.columns);
                return gemm_reduced(a, weight, beta, c, self.config.parallelism);
            }
            Panels::Full(panels) => panels,
            Panels::Pairs(panels) => {
                if let (Some(a), Some(c), Some(scratch)) = (a.as_f32(), E::as_f32_mut(c), E::as_f32_mut(scratch)) {
                    count(a.rows, self.rows, self.columns);
                    count_bf16(a.rows, self.rows, self.columns);
                    let scratch = bytemuck::cast_slice_mut(scratch);
                    packed_bf16::gemm_packed(a, panels, self.columns, beta.f64() as f32, c, scratch);
                }
                return;
            }
        };
        count(a.rows, self.rows, self.columns);
        for (start, width) in Self::panels(self.columns, self.width) {
            let panel = Mat::strided(&panels[self.rows * start..], self.rows, width, width);
            if start + width <= self.columns {
                let c = MatMut::strided(&mut c[start..], a.rows, width, self.columns);
                gemm_full(E::one(), a, panel, beta, c, self.config.parallelism);
                continue;
            }
            gemm_full(E::one(), a, panel, E::zero(), MatMut::new(scratch, a.rows, width), self.config.parallelism);
            for (c, padded) in c.chunks_exact_mut(self.columns).zip(scratch.chunks_exact(width)).take(a.rows) {
                let elements = c[start..].iter_mut().zip(padded);
                elements.for_each(|(c, &x)| *c = if beta == E::zero() { x } else { beta * *c + x });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gemm::gemm;
    use half::bf16;

    fn numbers(n: usize, seed: usize) -> Vec<f64> {
        (0..n).map(|i| ((i * 7919 + seed * 104_729) % 997) as f64 / 997.0 - 0.5).collect()
    }

    #[test]
    fn it_is_the_same_as_gemm() {
        for (m, k, n) in
            [(3, 5, 7), (3, 1, 4), (3, 4, 1), (1, 1, 1), (10, 40, 150), (4, 8, 64), (0, 8, 64), (32, 16, 1030)]
        {
            let (a, b, start) = (numbers(m * k, 1), numbers(k * n, 2), numbers(m * n, 3));
            let mut transposed = b.clone();
            transpose(&b, k, n, &mut transposed);
            for parallelism in [Parallelism::Serial, Parallelism::Threads(2)] {
                for matrix in [Mat::new(&b, k, n), Mat::new(&transposed, n, k).t()] {
                    let (own, scratch) = PackedB::<f64>::scratch(k, n, m, parallelism);
                    let (mut own, mut scratch) = (vec![9.0; own], vec![9.0; scratch]);
                    let packed = PackedB::new(matrix, &mut own, parallelism);
                    for beta in [0.0, 1.0] {
                        let (mut found, mut expected) = (start.clone(), start.clone());
                        packed.gemm(Mat::new(&a, m, k), beta, &mut found, &mut scratch);
                        let c = MatMut::new(&mut expected, m, n);
                        gemm(1.0, Mat::new(&a, m, k), Mat::new(&b, k, n), beta, c, Parallelism::Serial);
                        assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12));
                    }
                }
            }
        }
    }

    #[test]
    fn in_bf16_it_is_the_gemm_of_the_rounded_operands() {
        let numbers = |n: usize, seed: usize| -> Vec<f32> {
            (0..n).map(|i| ((i * 7919 + seed * 104_729) % 997) as f32 / 997.0 - 0.5).collect()
        };
        let rounded = |x: &[f32]| -> Vec<f64> { x.iter().map(|&x| bf16::from_f32(x).to_f64()).collect() };
        let config = GemmConfig { precision: MatmulPrecision::Bf16, ..GemmConfig::default() };
        for (m, k, n) in [(1, 2, 32), (3, 34, 64), (32, 128, 96), (27, 64, 1024), (5, 3, 32), (13, 10, 50), (2, 650, 7)]
        {
            let (a, b, start) = (numbers(m * k, 1), numbers(k * n, 2), numbers(m * n, 3));
            let mut transposed = b.clone();
            transpose(&b, k, n, &mut transposed);
            for matrix in [Mat::new(&b, k, n), Mat::new(&transposed, n, k).t()] {
                let (own, scratch) = PackedB::<f32>::scratch(k, n, m, config);
                let (mut own, mut scratch) = (vec![9.0; own], vec![9.0; scratch]);
                let packed = PackedB::new(matrix, &mut own, config);
                for beta in [0.0, 1.0, 0.5] {
                    let mut found = start.clone();
                    packed.gemm(Mat::new(&a, m, k), beta, &mut found, &mut scratch);
                    // An odd inner length, or a processor without the instruction: not rounded.
                    let exact = !packed_bf16::is_supported(k);
                    let of = |x: &[f32]| if exact { x.iter().map(|&x| f64::from(x)).collect() } else { rounded(x) };
                    let (a, b) = (of(&a), of(&b));
                    for (i, found) in found.iter().enumerate() {
                        let sum: f64 = (0..k).map(|p| a[i / n * k + p] * b[p * n + i % n]).sum();
                        let expected = f64::from(beta) * f64::from(start[i]) + sum;
                        assert!((f64::from(*found) - expected).abs() < 1e-4, "{m}x{k}x{n}: {found}, not {expected}");
                    }
                }
            }
        }
    }
}
