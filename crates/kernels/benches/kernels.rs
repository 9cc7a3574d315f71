//! Kernels on one thread, with the roofline of the processor beside them: `cargo bench -p descant-kernels`.
//!
//! An item is a floating-point operation, so `Gitem/s` is GFLOP/s. A kernel's share of the peak is its rate over that of
//! `roofline::fma`; one that reads more than the caches hold is bound by `roofline::read` instead.

use descant_kernels::{
    Mat, MatMut, PackedB, PackedMut, PackedRows, Parallelism, ReducedWeight, WeightType, gemm, softmax_rows, transpose,
    vectorized,
};
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

/// Numbers from -1 to 1.
fn numbers(len: usize) -> Vec<f32> {
    (0..len as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / 8_388_608.0 - 1.0).collect()
}

mod roofline {
    use super::*;

    /// Fused multiply-adds on ten registers of 8 lanes (AVX2) or 16 (AVX-512), the peak of one thread: the higher of the two.
    #[divan::bench(consts = [8, 16])]
    fn fma<const LANES: usize>(bencher: Bencher<'_, '_>) {
        const STEPS: usize = 10_000;
        bencher.counter(ItemsCount::new(2 * 10 * LANES * STEPS)).bench(|| {
            let start = [black_box(1.0_f32); LANES];
            let (factor, term) = ([black_box(0.5_f32); LANES], [black_box(0.25_f32); LANES]);
            vectorized(
                #[inline(always)]
                || {
                    // Variables of their own, so that each is a register; an array would be memory.
                    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h, mut i, mut j] = [start; 10];
                    for _ in 0..STEPS {
                        for sum in [&mut a, &mut b, &mut c, &mut d, &mut e, &mut f, &mut g, &mut h, &mut i, &mut j] {
                            *sum = std::array::from_fn(|lane| sum[lane].mul_add(factor[lane], term[lane]));
                        }
                    }
                    black_box([a, b, c, d, e, f, g, h, i, j])
                },
            )
        });
    }

    /// The sum of 256 MB: the bandwidth of reads.
    #[divan::bench(sample_count = 10)]
    fn read(bencher: Bencher<'_, '_>) {
        let values = vec![1.0_f32; 1 << 26];
        bencher.counter(BytesCount::of_slice(&values)).bench_local(|| {
            vectorized(
                #[inline(always)]
                || {
                    values
                        .chunks_exact(64)
                        .fold([0.0_f32; 64], |sums, chunk| std::array::from_fn(|i| sums[i] + chunk[i]))
                },
            )
        });
    }
}

/// Shapes `m × k × n`: a recurrent step, a feed-forward layer, a projection to a vocabulary.
const SHAPES: [(usize, usize, usize); 4] = [(32, 512, 2048), (512, 512, 2048), (1024, 384, 1536), (256, 512, 8000)];

#[divan::bench(args = SHAPES)]
fn gemm_f32(bencher: Bencher<'_, '_>, (m, k, n): (usize, usize, usize)) {
    let (a, b, mut c) = (numbers(m * k), numbers(k * n), vec![0.0; m * n]);
    bencher.counter(ItemsCount::new(2 * m * k * n)).bench_local(|| {
        gemm(1.0, Mat::new(&a, m, k), Mat::new(&b, k, n), 0.0, MatMut::new(&mut c, m, n), Parallelism::Serial);
    });
}

/// Weights in reduced precision, each of several in turn, so that one row of activations reads memory; the rows, and the type.
#[divan::bench(args = [1, 8, 32, 512], consts = [0, 1, 2])]
fn gemm_reduced<const TYPE: usize>(bencher: Bencher<'_, '_>, m: usize) {
    const TYPES: [WeightType; 3] = [WeightType::Bf16, WeightType::Int8, WeightType::Q4];
    let (k, n, copies) = (768, 3072, if m == 1 { 64 } else { 1 });
    let (a, b, mut c) = (numbers(m * k), numbers(k * n), vec![0.0; m * n]);
    let weight = || ReducedWeight::quantized(TYPES[TYPE], &b, k).unwrap();
    let weights: Vec<ReducedWeight> = (0..copies).map(|_| weight()).collect();
    let bytes = BytesCount::new(copies * weights[0].size());
    bencher.counter(ItemsCount::new(2 * m * k * n * copies)).counter(bytes).bench_local(|| {
        for weight in &weights {
            let c = MatMut::new(&mut c, m, n);
            descant_kernels::gemm_reduced(Mat::new(&a, m, k), weight.all(), 0.0, c, Parallelism::Serial);
        }
    });
}

/// Packed weights, each of several in turn, so that they come from memory.
#[divan::bench(args = [1, 8, 32, 512])]
fn gemm_packed(bencher: Bencher<'_, '_>, m: usize) {
    let (k, n, copies) = (768, 3072, 16);
    let (a, b, mut c) = (numbers(m * k), numbers(k * n), vec![0.0; m * n]);
    let mut weights = vec![vec![0.0; PackedMut::len_of(n, k)]; copies];
    weights.iter_mut().for_each(|weight| PackedMut::new(weight, n, k).copy_from(&b));
    let bytes = BytesCount::of_many::<f32>(copies * k * n);
    bencher.counter(ItemsCount::new(2 * m * k * n * copies)).counter(bytes).bench_local(|| {
        for weight in &weights {
            let (weight, c) = (PackedRows::new(weight, 0..n, k), MatMut::new(&mut c, m, n));
            descant_kernels::gemm_packed(Mat::new(&a, m, k), weight, 0.0, c, Parallelism::Serial);
        }
    });
}

#[divan::bench(args = [1, 8, 32])]
fn packed_b_f32(bencher: Bencher<'_, '_>, m: usize) {
    let (k, n) = (512, 2048);
    let (a, b, mut c) = (numbers(m * k), numbers(k * n), vec![0.0; m * n]);
    let (panels, rest) = PackedB::<f32>::scratch(k, n, m, Parallelism::Serial);
    let (mut panels, mut rest) = (vec![0.0; panels], vec![0.0; rest]);
    let packed = PackedB::new(Mat::new(&b, k, n), &mut panels, Parallelism::Serial);
    bencher.counter(ItemsCount::new(2 * m * k * n)).bench_local(|| {
        packed.gemm(Mat::new(&a, m, k), 0.0, &mut c, &mut rest);
    });
}

#[divan::bench(args = [256, 1024])]
fn transpose_f32(bencher: Bencher<'_, '_>, n: usize) {
    let (from, mut to) = (numbers(n * n), vec![0.0; n * n]);
    bencher.counter(BytesCount::of_many::<f32>(2 * n * n)).bench_local(|| transpose(&from, n, n, &mut to));
}

#[divan::bench(args = [512, 32_000])]
fn softmax_f32(bencher: Bencher<'_, '_>, columns: usize) {
    let mut values = numbers(16 * columns);
    bencher.counter(BytesCount::of_slice(&values)).bench_local(|| softmax_rows(&mut values, columns));
}
