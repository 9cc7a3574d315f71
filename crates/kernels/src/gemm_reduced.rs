//! `C = β C + A Wᵀ` with a weight in reduced precision, batch-invariant: the bits of a row of the result are the same in a batch of any
//! size and on any number of threads. For int8 and 4-bit weights each row of `A` is rounded to int8 first, with a scale of its own; for int8
//! weights of short rows to 16 bits, as two rows of int8.

use crate::columns::Columns;
use crate::flops::count;
use crate::gemm_config::Parallelism;
use crate::int8_activations::Int8Activations;
use crate::int8_quantization::SHORT;
use crate::int8_tiles::{self, Int8Dot, Int8Tiles};
use crate::mat::{Mat, MatMut};
use crate::panel_gemm::{gemm_panels, in_panels};
use crate::q4_tiles::{self, Q4Dot, Q4Tiles};
use crate::real::Real;
use crate::reduced_tiles::{TileKernel, Tiles};
use crate::reduced_weight::{Bf16Rows, ReducedRows, WeightType};
use std::cell::RefCell;

thread_local! {
    static ACTIVATIONS: RefCell<Int8Activations> = RefCell::new(Int8Activations::default());
}

/// `c[M, O] = beta c + a[M, I] Wᵀ`. With `beta` zero, `c` is not read. Only f32 is computed: no weight of f64 is reduced.
///
/// # Panics
/// If the shapes do not match, or `a` is not row-major: an error in the caller.
pub fn gemm_reduced<E: Real>(a: Mat<'_, E>, w: ReducedRows<'_>, beta: E, c: MatMut<'_, E>, parallelism: Parallelism) {
    assert!(a.columns == w.columns && c.rows == a.rows && c.columns == w.rows, "a GEMM with a weight of another shape");
    assert!(a.column_stride == 1, "a GEMM whose A is not row-major");
    let (m, k, n) = (a.rows, a.columns, w.rows);
    let (Some(a), Some(c)) = (a.as_f32(), Columns::new(E::one(), beta, c).as_f32()) else { return };
    if m == 0 || n == 0 {
        return;
    }
    count(m, k, n);
    let threads = parallelism.threads(m * k * n, w.panels().len());
    match w.weight_type() {
        WeightType::Bf16 => gemm_panels(a, Bf16Rows(w), c, w.panels(), threads),
        WeightType::Int8 => int8_kernel()(a, w, c, threads),
        WeightType::Q4 => q4_kernel()(a, w, c, threads),
    }
}

type Kernel = fn(Mat<'_, f32>, ReducedRows<'_>, Columns<'_, f32>, usize);

/// By the widest instructions that the processor has.
fn int8_kernel() -> Kernel {
    #[cfg(target_arch = "x86_64")]
    {
        use int8_tiles::x86::{Avx2, Avx512Vnni, AvxVnni};
        if Avx512Vnni::is_available() {
            return int8::<Avx512Vnni, 4>;
        }
        if AvxVnni::is_available() {
            return int8::<AvxVnni, 1>;
        }
        if Avx2::is_available() {
            return int8::<Avx2, 1>;
        }
    }
    int8::<int8_tiles::Portable, 1>
}

/// As [`int8_kernel`].
fn q4_kernel() -> Kernel {
    #[cfg(target_arch = "x86_64")]
    {
        use q4_tiles::x86::{Avx2, Avx512Vnni, AvxVnni};
        if Avx512Vnni::is_available() {
            return q4::<Avx512Vnni, 2>;
        }
        if AvxVnni::is_available() {
            return q4::<AvxVnni, 1>;
        }
        if Avx2::is_available() {
            return q4::<Avx2, 1>;
        }
    }
    q4::<q4_tiles::Portable, 1>
}

fn int8<D: Int8Dot, const NR: usize>(a: Mat<'_, f32>, w: ReducedRows<'_>, c: Columns<'_, f32>, threads: usize) {
    let planes = if w.columns <= SHORT { 2 } else { 1 };
    with_activations(&a, planes, D::IS_WIDE, threads, |activations| {
        tiles::<_, NR>(Int8Tiles::<D>::new(activations, w), activations, w, c, threads);
    });
}

fn q4<D: Q4Dot, const NR: usize>(a: Mat<'_, f32>, w: ReducedRows<'_>, c: Columns<'_, f32>, threads: usize) {
    with_activations(&a, 1, false, threads, |activations| {
        tiles::<_, NR>(Q4Tiles::<D>::new(activations, w), activations, w, c, threads);
    });
}

fn with_activations(
    a: &Mat<'_, f32>,
    planes: usize,
    is_wide: bool,
    threads: usize,
    run: impl FnOnce(&Int8Activations),
) {
    // Taken, not borrowed: other threads read them while this one waits.
    let mut activations = ACTIVATIONS.take();
    activations.quantize(a, planes, is_wide, threads);
    run(&activations);
    ACTIVATIONS.set(activations);
}

fn tiles<K: TileKernel + Sync, const NR: usize>(
    kernel: K,
    a: &Int8Activations,
    w: ReducedRows<'_>,
    c: Columns<'_, f32>,
    threads: usize,
) {
    let tiles = Tiles { kernel, rows: a.rows(), row_bytes: w.columns * a.planes(), w, c };
    in_panels(w.panels(), threads, 4, |panels| tiles.run::<NR>(panels));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::int8_quantization::{quantize_activations, quantize_activations_16};
    use crate::reduced_weight::ReducedWeight;
    use half::f16;

    const SHAPES: [(usize, usize, usize); 13] = [
        (1, 1, 1),
        (3, 5, 7),
        (2, 16, 9),
        (5, 33, 10),
        (9, 64, 13),
        (31, 40, 23),
        (6, 9, 40),
        (0, 3, 2),
        (7, 2100, 5),
        (1, 1030, 9),
        (4, 0, 3),
        (8, SHORT, 20),
        (8, SHORT + 1, 20),
    ];

    fn numbers(n: usize, seed: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 7919 + seed * 104_729) % 997) as f32 / 997.0 - 0.5).collect()
    }

    /// The kernels of int8 or of 4-bit weights that this processor has instructions for.
    fn kernels(weight_type: WeightType) -> Vec<Kernel> {
        let is_int8 = weight_type == WeightType::Int8;
        let mut all: Vec<(bool, Kernel)> =
            vec![(is_int8, int8::<int8_tiles::Portable, 1>), (!is_int8, q4::<q4_tiles::Portable, 1>)];
        #[cfg(target_arch = "x86_64")]
        {
            use int8_tiles::x86 as x8;
            use q4_tiles::x86 as x4;
            all.extend([
                (is_int8 && x8::Avx2::is_available(), int8::<x8::Avx2, 1> as Kernel),
                (is_int8 && x8::AvxVnni::is_available(), int8::<x8::AvxVnni, 1>),
                (is_int8 && x8::Avx512Vnni::is_available(), int8::<x8::Avx512Vnni, 4>),
                (!is_int8 && x4::Avx2::is_available(), q4::<x4::Avx2, 1>),
                (!is_int8 && x4::AvxVnni::is_available(), q4::<x4::AvxVnni, 1>),
                (!is_int8 && x4::Avx512Vnni::is_available(), q4::<x4::Avx512Vnni, 2>),
            ]);
        }
        all.into_iter().filter(|(is_available, _)| *is_available).map(|(_, kernel)| kernel).collect()
    }

    /// `b` of `[N, K]` in a type; with `k` zero there is nothing to round.
    fn weight(weight_type: WeightType, b: &[f32], n: usize, k: usize) -> ReducedWeight {
        match k {
            0 => ReducedWeight::zeros(weight_type, n, k),
            _ => ReducedWeight::quantized(weight_type, b, k).unwrap(),
        }
    }

    fn product(a: &[f32], (m, k): (usize, usize), w: ReducedRows<'_>, beta: f32, c: &mut [f32], threads: usize) {
        let parallelism = if threads > 1 { Parallelism::Threads(threads) } else { Parallelism::Serial };
        gemm_reduced(Mat::new(a, m, k), w, beta, MatMut::new(c, m, w.rows), parallelism);
    }

    #[test]
    fn it_is_a_gemm_of_the_rounded_operands() {
        for weight_type in [WeightType::Bf16, WeightType::Int8, WeightType::Q4] {
            for (m, k, n) in SHAPES {
                let (a, b, before) = (numbers(m * k, 1), numbers(n * k, 2), numbers(m * n, 3));
                let w = weight(weight_type, &b, n, k);
                let mut exact = vec![0.0_f64; n * k];
                exact.chunks_exact_mut(k.max(1)).enumerate().for_each(|(r, to)| w.all().dequantize(r, to));
                // Activations in a step of their row.
                let levels = if weight_type == WeightType::Int8 && k <= SHORT { 127.0 * 256.0 } else { 127.0 };
                let step = |row: &[f32]| row.iter().fold(0.0_f32, |most, x| most.max(x.abs())) / levels;
                for beta in [0.0, 1.0, -0.5] {
                    let mut c = before.clone();
                    product(&a, (m, k), w.all(), beta, &mut c, 1);
                    for i in 0..m {
                        let row = &a[i * k..][..k];
                        for j in 0..n {
                            let term = |p: usize| {
                                let x = match weight_type {
                                    WeightType::Bf16 => f64::from(row[p]),
                                    _ => f64::from((row[p] / step(row)).round_ties_even()) * f64::from(step(row)),
                                };
                                x * exact[j * k + p]
                            };
                            let expected = f64::from(beta * before[i * n + j]) + (0..k).map(term).sum::<f64>();
                            let found = f64::from(c[i * n + j]);
                            // An activation that lies between two steps may go either way.
                            let most = 1e-4 + f64::from(step(row)) * 0.6;
                            assert!(
                                (found - expected).abs() < most,
                                "{weight_type} {m}x{k}x{n}: {found}, not {expected}"
                            );
                        }
                    }
                }
            }
        }
    }

    /// The plain sums of integers, and what the tiles make of them.
    #[test]
    fn int8_sums_are_exact() {
        for (m, k, n) in SHAPES {
            let (a, b) = (numbers(m * k, 4), numbers(n * k, 5));
            let w = weight(WeightType::Int8, &b, n, k);
            let mut expected = vec![0.0_f32; m * n];
            for i in 0..m {
                let (row, mut high, mut low) = (&a[i * k..][..k], vec![0; k], vec![0; k]);
                let scale = match k <= SHORT {
                    true => quantize_activations_16(row, &mut high, &mut low),
                    false => quantize_activations(row, &mut low),
                };
                let rounded = high.iter().zip(&low).map(|(&high, &low)| 256 * i32::from(high) + i32::from(low));
                for j in 0..n {
                    let bytes = w.all().bytes(j);
                    let row: &[i8] = bytemuck::cast_slice(&bytes);
                    let sum: i32 = rounded.clone().zip(row).map(|(a, &b)| a * i32::from(b)).sum();
                    expected[i * n + j] = sum as f32 * (scale * w.all().scales(j).next().unwrap().to_f32());
                }
            }
            for run in kernels(WeightType::Int8) {
                let mut c = vec![f32::NAN; m * n];
                let into = Columns::new(1.0, 0.0, MatMut::new(&mut c, m, n));
                run(Mat::new(&a, m, k), w.all(), into, 1);
                assert_eq!(c, expected, "{m}x{k}x{n}");
            }
        }
    }

    /// Sums that wrap on the way: those of the weights as they are stored, 128 larger.
    #[test]
    fn the_largest_int8_sums_fit() {
        for (x, y) in [(3.0_f32, 2.0), (3.0, -2.0), (-3.0, 2.0), (-3.0, -2.0)] {
            let (a, w) = (vec![x; SHORT], weight(WeightType::Int8, &vec![y; 16 * SHORT], 16, SHORT));
            let scale = x.abs() / f32::from(127_i16 << 8) * w.all().scales(0).next().unwrap().to_f32();
            let sum = (127 << 8) * 127 * SHORT as i32 * if x * y > 0.0 { 1 } else { -1 };
            for run in kernels(WeightType::Int8) {
                let mut c = vec![f32::NAN; 16];
                run(Mat::new(&a, 1, SHORT), w.all(), Columns::new(1.0, 0.0, MatMut::new(&mut c, 1, 16)), 1);
                assert_eq!(c, [sum as f32 * scale; 16]);
            }
        }
    }

    #[test]
    fn q4_has_the_same_bits_with_all_instructions() {
        for (m, k, n) in SHAPES {
            let (a, b) = (numbers(m * k, 6), numbers(n * k, 7));
            let w = weight(WeightType::Q4, &b, n, k);
            let results = kernels(WeightType::Q4).into_iter().map(|run| {
                let mut c = vec![f32::NAN; m * n];
                let into = Columns::new(1.0, 0.0, MatMut::new(&mut c, m, n));
                run(Mat::new(&a, m, k), w.all(), into, 1);
                c
            });
            let results: Vec<_> = results.collect();
            assert!(results.iter().all(|c| c.iter().all(|x| x.is_finite()) && *c == results[0]), "{m}x{k}x{n}");
        }
    }

    #[test]
    fn a_row_has_the_same_bits_in_every_batch_and_on_every_number_of_threads() {
        let (rows, n) = (150, 110);
        for weight_type in [WeightType::Bf16, WeightType::Int8, WeightType::Q4] {
            for k in [1, 7, 16, 64, 77, 300, 1100] {
                let (a, b) = (numbers(rows * k, 1), numbers(n * k, 2));
                let w = weight(weight_type, &b, n, k);
                let multiply = |a: &[f32], threads: usize| {
                    let mut c = vec![f32::NAN; a.len() / k * n];
                    product(a, (a.len() / k, k), w.all(), 0.0, &mut c, threads);
                    c
                };
                let all = multiply(&a, 1);
                for threads in [2, 3] {
                    assert_eq!(all, multiply(&a, threads), "{weight_type} {k}");
                }
                for size in [1, 2, 3, 4, 5, 7, 32, 149] {
                    for (batch, expected) in a.chunks(size * k).zip(all.chunks(size * n)) {
                        assert_eq!(multiply(batch, 2), expected, "{weight_type} {size} {k}");
                    }
                }
                // And so has an element where other rows of the weight are left out.
                let mut some = vec![f32::NAN; rows * 30];
                product(&a, (rows, k), w.rows(40..70), 0.0, &mut some, 1);
                let expected = all.chunks_exact(n).flat_map(|row| &row[40..70]);
                assert!(some.iter().eq(expected), "{weight_type} {k}");
            }
        }
    }

    #[test]
    fn what_is_no_number_stays_none() {
        for weight_type in [WeightType::Bf16, WeightType::Int8, WeightType::Q4] {
            let w = weight(weight_type, &numbers(3 * 40, 1), 3, 40);
            let mut a = numbers(2 * 40, 2);
            a[45] = f32::NAN;
            let mut c = [0.0; 6];
            product(&a, (2, 40), w.all(), 0.0, &mut c, 1);
            assert!(c[..3].iter().all(|x| x.is_finite()) && c[3..].iter().all(|x| x.is_nan()), "{weight_type} {c:?}");
        }
    }

    #[test]
    fn elements_and_scales_are_written_and_read_again() {
        for weight_type in [WeightType::Bf16, WeightType::Int8, WeightType::Q4] {
            let (n, k) = (5, 70);
            let w = weight(weight_type, &numbers(n * k, 3), n, k);
            let bytes: Vec<u8> = (0..n).flat_map(|row| w.all().bytes(row)).collect();
            let scales: Vec<f16> = (0..n).flat_map(|row| w.all().scales(row)).collect();
            let mut read = ReducedWeight::zeros(weight_type, n, k);
            read.set_bytes(0, &bytes);
            read.set_scales(&scales).unwrap();
            let (a, mut c) = (numbers(2 * k, 4), [vec![0.0; 2 * n], vec![1.0; 2 * n]]);
            for (w, c) in [&w, &read].into_iter().zip(&mut c) {
                product(&a, (2, k), w.all(), 0.0, c, 1);
            }
            assert_eq!(c[0], c[1], "{weight_type}");
            assert!(read.set_scales(&scales[..scales.len().saturating_sub(1)]).is_err() || scales.is_empty());
            if let Some(last) = scales.len().checked_sub(1) {
                for wrong in [f16::NAN, f16::INFINITY] {
                    let mut scales = scales.clone();
                    scales[last] = wrong;
                    assert!(read.set_scales(&scales).is_err(), "{weight_type}");
                }
            }
        }
    }
}
