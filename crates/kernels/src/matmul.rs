use crate::Real;
use std::sync::atomic::{AtomicU64, Ordering};

static OPERATIONS: AtomicU64 = AtomicU64::new(0);

/// Floating-point operations of all products so far, on all threads: what a roofline is made of.
pub fn product_operations() -> u64 {
    OPERATIONS.load(Ordering::Relaxed)
}

/// How many threads one product may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Parallelism {
    /// The calling thread alone.
    #[default]
    Serial,
    /// This many threads of the current rayon pool.
    Threads(usize),
}

/// A matrix to read: rows and columns at fixed distances in a slice.
#[derive(Clone, Copy, Debug)]
pub struct Mat<'a, E> {
    data: &'a [E],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

/// A row-major matrix to write.
#[derive(Debug)]
pub struct MatMut<'a, E> {
    data: &'a mut [E],
    rows: usize,
    columns: usize,
    row_stride: usize,
}

impl<'a, E: Real> Mat<'a, E> {
    /// A row-major matrix without gaps.
    pub fn new(data: &'a [E], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    /// A row-major matrix whose rows start `row_stride` elements apart.
    ///
    /// # Panics
    /// Where the slice is too short: an error of the caller's shape rule.
    pub fn strided(data: &'a [E], rows: usize, columns: usize, row_stride: usize) -> Self {
        assert!(data.len() >= extent(rows, columns, row_stride), "matrix {rows}x{columns} outside its slice");
        Self { data, rows, columns, row_stride, column_stride: 1 }
    }

    /// Its transpose, without moving an element.
    pub fn t(self) -> Self {
        Self {
            data: self.data,
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
        }
    }

    /// Itself, or its transpose where `transposed` is set.
    pub fn t_if(self, transposed: bool) -> Self {
        if transposed { self.t() } else { self }
    }
}

impl<'a, E: Real> MatMut<'a, E> {
    /// A row-major matrix without gaps.
    pub fn new(data: &'a mut [E], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    /// A row-major matrix whose rows start `row_stride` elements apart.
    ///
    /// # Panics
    /// Where the slice is too short.
    pub fn strided(data: &'a mut [E], rows: usize, columns: usize, row_stride: usize) -> Self {
        assert!(data.len() >= extent(rows, columns, row_stride), "matrix {rows}x{columns} outside its slice");
        Self { data, rows, columns, row_stride }
    }
}

fn extent(rows: usize, columns: usize, row_stride: usize) -> usize {
    assert!(row_stride >= columns || rows <= 1, "rows of {columns} elements overlap at a stride of {row_stride}");
    if rows == 0 || columns == 0 { 0 } else { (rows - 1) * row_stride + columns }
}

/// `c = beta c + alpha a b`. With `beta` zero, `c` is not read.
///
/// # Panics
/// Where the shapes do not fit together: an error of the caller's shape rule.
pub fn gemm<E: Real>(alpha: E, a: Mat<'_, E>, b: Mat<'_, E>, beta: E, c: MatMut<'_, E>, parallelism: Parallelism) {
    assert!(
        a.rows == c.rows && b.columns == c.columns && a.columns == b.rows,
        "product of {}x{} and {}x{} into {}x{}",
        a.rows,
        a.columns,
        b.rows,
        b.columns,
        c.rows,
        c.columns
    );
    if c.rows == 0 || c.columns == 0 {
        return;
    }
    OPERATIONS.fetch_add(2 * (c.rows * c.columns * a.columns) as u64, Ordering::Relaxed);
    // SAFETY: `Mat` and `MatMut` hold slices that contain every element their strides reach (checked when they are
    // made), the shapes agree (checked above), and `c` is borrowed mutably, so nothing else reads or writes it.
    unsafe {
        ::gemm::gemm(
            c.rows,
            c.columns,
            a.columns,
            c.data.as_mut_ptr(),
            1,
            c.row_stride as isize,
            beta != E::zero(),
            a.data.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            // The library's alpha scales what is read of `c`, its beta the product.
            beta,
            alpha,
            false,
            false,
            false,
            match parallelism {
                Parallelism::Serial => ::gemm::Parallelism::None,
                Parallelism::Threads(threads) => ::gemm::Parallelism::Rayon(threads),
            },
        );
    }
}

/// `c = beta c + a bᵀ` with `a[M, K]` and `b[N, K]`: the product of a linear layer. `b` is transposed into `scratch`
/// first, which costs less than a product that reads it across its rows.
pub fn gemm_transposed<E: Real>(
    a: Mat<'_, E>,
    b: &[E],
    beta: E,
    c: MatMut<'_, E>,
    scratch: &mut [E],
    parallelism: Parallelism,
) {
    let (rows, columns) = (c.columns, a.columns);
    if c.rows < TRANSPOSE_FROM || b.len() > scratch.len() {
        return gemm(E::one(), a, Mat::new(b, rows, columns).t(), beta, c, parallelism);
    }
    let scratch = &mut scratch[..b.len()];
    transpose(b, rows, columns, scratch);
    gemm(E::one(), a, Mat::new(scratch, columns, rows), beta, c, parallelism);
}

/// Rows of a product from which transposing its right side pays.
const TRANSPOSE_FROM: usize = 8;

/// `y[C, R] = x[R, C]` transposed, in blocks that stay in the first-level cache.
pub fn transpose<E: Real>(x: &[E], rows: usize, columns: usize, y: &mut [E]) {
    const BLOCK: usize = 16;
    assert!(x.len() == rows * columns && y.len() == x.len());
    for r0 in (0..rows).step_by(BLOCK) {
        let r1 = (r0 + BLOCK).min(rows);
        for c0 in (0..columns).step_by(BLOCK) {
            let c1 = (c0 + BLOCK).min(columns);
            for c in c0..c1 {
                for (r, y) in (r0..r1).zip(&mut y[c * rows + r0..c * rows + r1]) {
                    *y = x[r * columns + c];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, seed: usize) -> Vec<f64> {
        (0..n).map(|i| ((i * 7919 + seed * 104_729) % 997) as f64 / 997.0 - 0.5).collect()
    }

    #[test]
    fn gemm_equals_the_sum_over_the_inner_axis_in_every_orientation() {
        for (m, k, n) in [(1, 1, 1), (3, 5, 7), (17, 33, 9), (1, 64, 40), (40, 64, 1), (2, 0, 3)] {
            let (a, b, c0) = (numbers(m * k, 1), numbers(k * n, 2), numbers(m * n, 3));
            for (ta, tb) in [(false, false), (true, false), (false, true), (true, true)] {
                for (alpha, beta) in [(1.0, 0.0), (0.5, 1.0), (2.0, -0.5)] {
                    let mut c = c0.clone();
                    let left = if ta { Mat::new(&a, k, m).t() } else { Mat::new(&a, m, k) };
                    let right = if tb { Mat::new(&b, n, k).t() } else { Mat::new(&b, k, n) };
                    gemm(alpha, left, right, beta, MatMut::new(&mut c, m, n), Parallelism::Serial);
                    for i in 0..m {
                        for j in 0..n {
                            let x = |p: usize| if ta { a[p * m + i] } else { a[i * k + p] };
                            let y = |p: usize| if tb { b[j * k + p] } else { b[p * n + j] };
                            let product: f64 = (0..k).map(|p| x(p) * y(p)).sum();
                            let expected = beta * c0[i * n + j] + alpha * product;
                            assert!((c[i * n + j] - expected).abs() < 1e-12, "{m}x{k}x{n} {ta} {tb}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn transpose_twice_is_the_matrix() {
        for (rows, columns) in [(1, 1), (3, 50), (33, 17), (64, 64)] {
            let x = numbers(rows * columns, 4);
            let (mut y, mut z) = (vec![0.0; x.len()], vec![0.0; x.len()]);
            transpose(&x, rows, columns, &mut y);
            assert_eq!(y[0..rows], (0..rows).map(|r| x[r * columns]).collect::<Vec<_>>());
            transpose(&y, columns, rows, &mut z);
            assert_eq!(x, z);
        }
    }
}
