//! Every code path of the GEMMs, compared with sums in f64: sizes around the thresholds between paths, all orientations, gaps
//! between the rows, and both precisions.

use descant_kernels::{
    GemmConfig, Mat, MatMut, MatmulPrecision, PackedB, Parallelism, bf16_is_profitable, gemm, gemm_nt, gemm_nt_scratch,
};

/// Around the sizes of registers and panels, and the thresholds of transposing, splitting into columns and packing.
const SIZES: [usize; 12] = [1, 2, 7, 8, 15, 16, 127, 129, 255, 257, 1023, 1025];

/// All sizes up to a volume, and of the large ones each border with small and large partners.
fn shapes() -> Vec<[usize; 3]> {
    let all = SIZES.iter().flat_map(|&m| SIZES.iter().flat_map(move |&k| SIZES.iter().map(move |&n| [m, k, n])));
    let large = [
        [1025, 257, 129],
        [129, 1025, 257],
        [257, 129, 1025],
        [16, 1023, 1025],
        [7, 1025, 1023],
        [1023, 7, 1025],
        [1025, 1023, 8],
        [255, 1023, 1025],
    ];
    all.filter(|[m, k, n]| m * k * n <= 70_000).chain(large).collect()
}

fn numbers(n: usize, seed: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 7919 + seed * 104_729) % 997) as f32 / 997.0 - 0.5).collect()
}

fn transposed(x: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..rows * columns).map(|i| x[i % rows * columns + i / rows]).collect()
}

/// To the nearest bfloat16, in f32.
fn rounded(x: &[f32]) -> Vec<f32> {
    x.iter().map(|x| half::bf16::from_f32(*x).to_f32()).collect()
}

/// `a[m, k] b[k, n]` in f64.
fn expected(a: &[f32], b: &[f32], [m, k, n]: [usize; 3]) -> Vec<f64> {
    let mut c = vec![0.0; m * n];
    for i in 0..m {
        let row = &mut c[i * n..][..n];
        for p in 0..k {
            let x = f64::from(a[i * k + p]);
            row.iter_mut().zip(&b[p * n..][..n]).for_each(|(c, &b)| *c += x * f64::from(b));
        }
    }
    c
}

/// `x[rows, columns]` with rows `stride` apart, and NaN between them, which must not be read.
fn with_gaps(x: &[f32], columns: usize, stride: usize) -> Vec<f32> {
    let row =
        |row: &[f32]| row.iter().copied().chain(std::iter::repeat_n(f32::NAN, stride - columns)).collect::<Vec<_>>();
    x.chunks_exact(columns).flat_map(row).collect()
}

/// Compares `found`, whose rows lie `stride` apart, with `beta before + product`. Rounding is bounded by the sum of the
/// magnitudes, and where the result is rounded to bfloat16 by its own.
#[track_caller]
fn compare(found: &[f32], stride: usize, before: &[f32], beta: f32, product: &[f64], shape: [usize; 3], rounds: bool) {
    let [_, k, n] = shape;
    for (i, &product) in product.iter().enumerate() {
        let at = i / n * stride + i % n;
        let expected = f64::from(beta) * f64::from(before[at]) + product;
        let bound = 1e-6 * (4.0 + k as f64 / 8.0) + if rounds { product.abs() / 256.0 } else { 0.0 };
        let error = (f64::from(found[at]) - expected).abs();
        assert!(error <= bound, "{shape:?}, element {i}: {} for {expected}, bound {bound}", found[at]);
    }
    let between = (0..found.len()).filter(|i| i % stride >= n);
    between.for_each(|i| assert!(found[i].to_bits() == before[i].to_bits(), "{shape:?}: {i} lies between the rows"));
}

#[test]
fn gemm_of_every_shape_and_orientation() {
    let mut in_bf16 = 0;
    for shape @ [m, k, n] in shapes() {
        let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
        let exact = expected(&a, &b, shape);
        let narrow = bf16_is_profitable(m, k, n).then(|| expected(&rounded(&a), &rounded(&b), shape));
        in_bf16 += usize::from(narrow.is_some());
        for orientation in 0..4 {
            let gap = orientation % 3;
            let stored = |x: &[f32], rows: usize, columns: usize, transpose: bool| {
                let (x, columns) = if transpose { (transposed(x, rows, columns), rows) } else { (x.to_vec(), columns) };
                (with_gaps(&x, columns, columns + gap), columns + gap)
            };
            let (transpose_a, transpose_b) = (orientation & 1 != 0, orientation & 2 != 0);
            let ((a, a_stride), (b, b_stride)) = (stored(&a, m, k, transpose_a), stored(&b, k, n, transpose_b));
            let mat = |x, rows, columns, stride, transpose| match transpose {
                true => Mat::strided(x, columns, rows, stride).t(),
                false => Mat::strided(x, rows, columns, stride),
            };
            let (left, right) = (mat(&a, m, k, a_stride, transpose_a), mat(&b, k, n, b_stride, transpose_b));
            let stride = n + gap;
            let before = with_gaps(&numbers(m * n, 3), n, stride);
            for beta in [0.0, 1.0, -0.5] {
                let mut found = before.clone();
                gemm(1.0, left, right, beta, MatMut::strided(&mut found, m, n, stride), Parallelism::Serial);
                compare(&found, stride, &before, beta, &exact, shape, false);
                if let Some(narrow) = &narrow {
                    let config = GemmConfig { precision: MatmulPrecision::Bf16, ..GemmConfig::default() };
                    let mut found = before.clone();
                    gemm(1.0, left, right, beta, MatMut::strided(&mut found, m, n, stride), config);
                    compare(&found, stride, &before, beta, narrow, shape, true);
                }
            }
        }
    }
    assert!(in_bf16 > 2, "{in_bf16} shapes in bf16");
}

#[test]
fn gemm_nt_by_every_path() {
    for shape @ [m, k, n] in shapes() {
        let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
        let (exact, weight) = (expected(&a, &b, shape), transposed(&b, k, n));
        let wanted = gemm_nt_scratch(m, k, n, GemmConfig::default());
        let sizes = [
            (MatmulPrecision::Full, n * k),
            (MatmulPrecision::Full, 0),
            (MatmulPrecision::Full, wanted),
            (MatmulPrecision::Bf16, n * k),
        ];
        for (precision, scratch) in sizes {
            let narrow = precision == MatmulPrecision::Bf16 && bf16_is_profitable(m, k, n);
            let product = if narrow { &expected(&rounded(&a), &rounded(&b), shape) } else { &exact };
            let config = GemmConfig { precision, ..GemmConfig::default() };
            for (beta, gap) in [(0.0, 0), (1.0, 0), (0.0, 3)] {
                let stride = n + gap;
                let before = with_gaps(&numbers(m * n, 3), n, stride);
                let (mut found, mut scratch) = (before.clone(), vec![f32::NAN; scratch]);
                let into = MatMut::strided(&mut found, m, n, stride);
                gemm_nt(Mat::new(&a, m, k), &weight, beta, into, &mut scratch, config);
                compare(&found, stride, &before, beta, product, shape, narrow);
            }
        }
    }
}

#[test]
fn gemm_with_packed_b() {
    for shape @ [m, k, n] in shapes().into_iter().filter(|[m, ..]| *m <= 129) {
        let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
        let (exact, transposed_b) = (expected(&a, &b, shape), transposed(&b, k, n));
        let narrow = expected(&rounded(&a), &rounded(&b), shape);
        let before = numbers(m * n, 3);
        for precision in [MatmulPrecision::Full, MatmulPrecision::Bf16] {
            let config = GemmConfig { precision, ..GemmConfig::default() };
            for right in [Mat::new(&b, k, n), Mat::new(&transposed_b, n, k).t()] {
                let (own, scratch) = PackedB::<f32>::scratch(k, n, m, config);
                let (mut own, mut scratch) = (vec![f32::NAN; own], vec![f32::NAN; scratch]);
                let right = PackedB::new(right, &mut own, config);
                for beta in [0.0, 1.0] {
                    let mut found = before.clone();
                    right.gemm(Mat::new(&a, m, k), beta, &mut found, &mut scratch);
                    // An odd inner length, or a processor without the instruction: not rounded.
                    let product = if right.is_bf16() { &narrow } else { &exact };
                    compare(&found, n, &before, beta, product, shape, false);
                }
            }
        }
    }
}

/// Whether `f` panics.
fn panics(f: impl FnOnce() + std::panic::UnwindSafe) -> bool {
    std::panic::catch_unwind(f).is_err()
}

#[test]
fn no_sizes_reach_outside_a_slice() {
    const MAX: usize = usize::MAX;
    let hostile = [
        (2, 1, MAX),
        (2, MAX, MAX),
        (MAX, 2, MAX),
        (MAX, 1, 1),
        (MAX, MAX, MAX),
        (3, 1, MAX / 2 + 1),
        (1 << 32, 1 << 32, 1 << 32),
        (2, 2, 1),
        (1, 17, MAX),
        (17, 1, 1),
    ];
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    for (rows, columns, stride) in hostile {
        assert!(panics(|| _ = Mat::strided(&[0.0_f32; 16], rows, columns, stride)), "{rows} {columns} {stride}");
        assert!(panics(|| _ = MatMut::strided(&mut [0.0_f32; 16], rows, columns, stride)), "{rows} {columns} {stride}");
        assert!(panics(|| descant_kernels::transpose(&[0.0_f32; 16], rows, columns, &mut [0.0; 16])));
    }
    // A single row lies nowhere else, whatever its stride; no rows, and no columns, lie nowhere.
    let x = [1.0_f64, 2.0, 3.0, 4.0];
    let mut c = [9.0; 4];
    gemm(
        1.0,
        Mat::strided(&x, 1, 2, MAX).t(),
        Mat::strided(&x, 1, 2, MAX),
        0.0,
        MatMut::new(&mut c, 2, 2),
        Parallelism::Serial,
    );
    assert_eq!(c, [1.0, 2.0, 2.0, 4.0]);
    gemm(
        1.0,
        Mat::strided(&x, 2, 0, MAX),
        Mat::strided(&x, 0, 2, MAX),
        0.0,
        MatMut::new(&mut c, 2, 2),
        Parallelism::Serial,
    );
    assert_eq!(c, [0.0; 4]);
    for precision in [MatmulPrecision::Full, MatmulPrecision::Bf16] {
        let config = GemmConfig { precision, ..GemmConfig::default() };
        gemm(1.0, Mat::new(&[], 0, 0), Mat::new(&[], 0, 0), 0.0, MatMut::new(&mut [] as &mut [f32], 0, 0), config);
    }
    let (outer, inner) = (Mat::new(&x, 2, 2), Mat::new(&x, 1, 3));
    assert!(panics(|| gemm(1.0, outer, inner, 0.0, MatMut::new(&mut [0.0; 6], 2, 3), Parallelism::Serial)));
    assert!(panics(|| {
        let mut scratch = [0.0; 32];
        PackedB::new(outer, &mut scratch, Parallelism::Serial).gemm(inner, 0.0, &mut [0.0; 2], &mut [0.0; 64]);
    }));
    assert!(panics(|| _ = outer.columns(1..3)) && panics(|| _ = outer.columns(2..MAX)));
    std::panic::set_hook(hook);
}
