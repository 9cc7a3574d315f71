use crate::transpose::transpose_into;
use crate::{Real, narrow, pairs, transpose};
use std::sync::atomic::{AtomicU64, Ordering};

static OPERATIONS: AtomicU64 = AtomicU64::new(0);
static BF16_OPERATIONS: AtomicU64 = AtomicU64::new(0);

/// Floating-point operations of all products so far, on all threads: what a roofline is made of.
pub fn gemm_flops() -> u64 {
    OPERATIONS.load(Ordering::Relaxed)
}

/// Those of them that were computed in bfloat16: none where [`MatmulPrecision::Bf16`] was asked for, but every product was too
/// small to gain from it.
pub fn bf16_gemm_flops() -> u64 {
    BF16_OPERATIONS.load(Ordering::Relaxed)
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

/// MatmulPrecision of products: what their operands are rounded to. Sums are in f32 either way, and f64 is never rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum MatmulPrecision {
    /// Nothing.
    #[default]
    Full,
    /// bfloat16, eight bits of mantissa, where that pays ([`bf16_is_profitable`](crate::bf16_is_profitable)): twice as fast where the processor
    /// has AVX-512 BF16. Blocked products round their result to bfloat16 too, before it is added in f32; those with a
    /// [`PackedB`] do not.
    Bf16,
}

/// How products are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct GemmConfig {
    /// On how many threads.
    pub parallelism: Parallelism,
    /// From what operands.
    pub precision: MatmulPrecision,
}

impl From<Parallelism> for GemmConfig {
    fn from(parallelism: Parallelism) -> Self {
        Self { parallelism, precision: MatmulPrecision::Full }
    }
}

/// A matrix to read: rows and columns at fixed distances in a slice.
#[derive(Clone, Copy, Debug)]
pub struct Mat<'a, E> {
    pub(crate) data: &'a [E],
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) row_stride: usize,
    pub(crate) column_stride: usize,
}

/// A row-major matrix to write.
#[derive(Debug)]
pub struct MatMut<'a, E> {
    pub(crate) data: &'a mut [E],
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) row_stride: usize,
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
        let row_stride = checked_stride(data.len(), rows, columns, row_stride);
        Self { data, rows, columns, row_stride, column_stride: 1 }
    }

    /// The same matrix, where the elements are f32.
    fn as_f32(self) -> Option<Mat<'a, f32>> {
        let Self { data, rows, columns, row_stride, column_stride } = self;
        E::as_f32(data).map(|data| Mat { data, rows, columns, row_stride, column_stride })
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

    /// Its transpose, copied.
    pub fn transposed(self, copy: &mut [E]) -> Mat<'_, E> {
        let copy = &mut copy[..self.rows * self.columns];
        transpose_into(self, copy);
        Mat::new(copy, self.columns, self.rows)
    }

    /// Its transpose as the right side of a product of so many rows: copied where they are enough for that to pay.
    pub fn transposed_for_gemm<'s>(self, rows: usize, copy: &'s mut [E]) -> Mat<'s, E>
    where
        'a: 's,
    {
        if rows < COPY_FROM { self.t() } else { self.transposed(copy) }
    }

    /// Some of its columns.
    ///
    /// # Panics
    /// Where it has not as many.
    pub fn columns(self, columns: std::ops::Range<usize>) -> Self {
        assert!(columns.start < columns.end && columns.end <= self.columns, "columns {columns:?} of {}", self.columns);
        Self { data: &self.data[columns.start * self.column_stride..], columns: columns.len(), ..self }
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
        let row_stride = checked_stride(data.len(), rows, columns, row_stride);
        Self { data, rows, columns, row_stride }
    }
}

/// The stride of a matrix whose every element lies within `len` elements; that of a matrix without gaps where there are
/// not two rows to tell it from. So no stride is ever larger than the slice, and no index overflows.
fn checked_stride(len: usize, rows: usize, columns: usize, row_stride: usize) -> usize {
    if rows == 0 || columns == 0 {
        return columns;
    }
    let row_stride = if rows == 1 { columns } else { row_stride };
    assert!(row_stride >= columns, "rows of {columns} elements overlap at a stride of {row_stride}");
    let extent = (rows - 1).checked_mul(row_stride).and_then(|start| start.checked_add(columns));
    assert!(extent.is_some_and(|extent| extent <= len), "matrix {rows}x{columns} outside its slice of {len}");
    row_stride
}

/// `c = beta c + alpha a b`. With `beta` zero, `c` is not read.
///
/// # Panics
/// Where the shapes do not fit together: an error of the caller's shape rule.
pub fn gemm<E: Real>(alpha: E, a: Mat<'_, E>, b: Mat<'_, E>, beta: E, c: MatMut<'_, E>, config: impl Into<GemmConfig>) {
    let config = config.into();
    check(&a, &b, &c);
    count(a.rows, a.columns, b.columns);
    if config.precision == MatmulPrecision::Bf16
        && narrow::pays(a.rows, a.columns, b.columns)
        && let (Some(a), Some(b), Some(data)) = (a.as_f32(), b.as_f32(), E::as_f32_mut(&mut *c.data))
    {
        let c = MatMut { data, rows: c.rows, columns: c.columns, row_stride: c.row_stride };
        BF16_OPERATIONS.fetch_add(operations(a.rows, a.columns, b.columns), Ordering::Relaxed);
        return narrow::product(alpha.f64() as f32, a, b, beta.f64() as f32, c, config.parallelism);
    }
    product(alpha, a, b, beta, c, config.parallelism);
}

fn count(m: usize, k: usize, n: usize) {
    OPERATIONS.fetch_add(operations(m, k, n), Ordering::Relaxed);
}

fn operations(m: usize, k: usize, n: usize) -> u64 {
    2 * (m * k * n) as u64
}

/// That a product of these shapes can be made.
fn check<E>(a: &Mat<'_, E>, b: &Mat<'_, E>, c: &MatMut<'_, E>) {
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
}

/// [`gemm`], uncounted.
pub(crate) fn product<E: Real>(
    alpha: E,
    a: Mat<'_, E>,
    b: Mat<'_, E>,
    beta: E,
    c: MatMut<'_, E>,
    parallelism: Parallelism,
) {
    check(&a, &b, &c);
    if c.rows == 0 || c.columns == 0 {
        return;
    }
    let across = a.column_stride != 1 && a.row_stride == 1 && a.columns >= DEEP && b.column_stride == 1;
    if !across || c.columns <= IN_PLACE {
        return whole(alpha, a, b, beta, c, parallelism);
    }
    let width = c.columns.div_ceil(c.columns.div_ceil(IN_PLACE)).next_multiple_of(16);
    for start in (0..c.columns).step_by(width) {
        let columns = start..c.columns.min(start + width);
        let c = MatMut::strided(&mut c.data[start..], c.rows, columns.len(), c.row_stride);
        whole(alpha, a, b.columns(columns), beta, c, parallelism);
    }
}

/// Columns of a product up to which the library reads a left side that lies across, a gradient's transpose, in place.
/// For more it copies it, six rows at a time, which costs more than reading it once for every so many columns.
const IN_PLACE: usize = 128;

/// Columns of such a left side from which that is so.
const DEEP: usize = 256;

/// A product in one call of the library.
fn whole<E: Real>(alpha: E, a: Mat<'_, E>, b: Mat<'_, E>, beta: E, c: MatMut<'_, E>, parallelism: Parallelism) {
    check(&a, &b, &c);
    // SAFETY: `Mat` and `MatMut` hold slices that contain every element their strides reach: checked without overflow when
    // they are made, and kept by `t` and `columns`; so no stride is longer than a slice, and all fit `isize`. The shapes
    // agree, checked above, and `c` is borrowed mutably, so nothing else reads or writes it.
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

/// How much scratch [`gemm_transposed`] uses for `a[rows, input]` and `b[output, input]` without gaps. With less it does
/// without.
pub fn transposed_scratch(rows: usize, input: usize, output: usize, config: impl Into<GemmConfig>) -> usize {
    let narrow = config.into().precision == MatmulPrecision::Bf16 && narrow::pays(rows, input, output);
    let worth = !narrow && rows >= TRANSPOSE_FROM && (rows < TRANSPOSE_TO || input >= WIDE);
    if worth { (rows * (input + output)).min(input * output) } else { 0 }
}

/// `c = beta c + a bᵀ` with `a[M, K]` and `b[N, K]`: the product of a linear layer. What costs less than a product that
/// reads `b` across its rows is done first, in `scratch`: `b` is transposed, or, where it is larger than the two
/// together, `a` is, and then what comes out as `cᵀ = b aᵀ`.
pub fn gemm_transposed<E: Real>(
    a: Mat<'_, E>,
    b: &[E],
    beta: E,
    c: MatMut<'_, E>,
    scratch: &mut [E],
    config: impl Into<GemmConfig>,
) {
    let config = config.into();
    let (rows, input, output) = (c.rows, a.columns, c.columns);
    let few = rows * (input + output) < b.len() && a.column_stride == 1 && a.row_stride == input;
    let is_plain = beta == E::zero() && c.row_stride == output;
    let wanted = transposed_scratch(rows, input, output, config);
    if wanted > 0 && few && is_plain && scratch.len() >= wanted {
        let (a_t, c_t) = scratch[..wanted].split_at_mut(rows * input);
        transpose(&a.data[..rows * input], rows, input, a_t);
        let (a_t, into) = (Mat::new(a_t, input, rows), MatMut::new(c_t, output, rows));
        gemm(E::one(), Mat::new(b, output, input), a_t, beta, into, config);
        return transpose(c_t, output, rows, &mut c.data[..rows * output]);
    }
    if wanted == 0 || scratch.len() < b.len() {
        return gemm(E::one(), a, Mat::new(b, output, input).t(), beta, c, config);
    }
    let scratch = &mut scratch[..b.len()];
    transpose(b, output, input, scratch);
    gemm(E::one(), a, Mat::new(scratch, input, output), beta, c, config);
}

/// Rows of a small product from which copying its right side pays.
const COPY_FROM: usize = 16;

/// Rows of a product from which transposing its right side pays.
const TRANSPOSE_FROM: usize = 8;

/// Rows from which the library's own copy of the right side is as good, unless that is [`WIDE`].
const TRANSPOSE_TO: usize = 1024;

/// Columns from which the rows of a matrix lie on pages of their own: then reading it across its rows is slow enough
/// that copying it first pays.
const WIDE: usize = 1024;

/// The right side of many products of few rows, copied once: a transposed matrix is several times slower to read, and
/// so is one whose columns fill no whole vector registers, which here end in zeros. A wide one is cut into panels of
/// a few columns, rows of which lie next to each other. In bf16 they are of
/// pairs, where the processor multiplies such.
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
}

impl<'a, E: Real> PackedB<'a, E> {
    const REGISTER: usize = 16;

    /// Columns of a panel. Several threads share one product best where it is whole.
    fn width(columns: usize, parallelism: Parallelism) -> usize {
        match parallelism {
            Parallelism::Serial if columns >= WIDE => 4 * Self::REGISTER,
            _ => columns.next_multiple_of(Self::REGISTER).max(Self::REGISTER),
        }
    }

    /// The panels' first columns, and the columns of each, zeros included.
    fn panels(columns: usize, width: usize) -> impl Iterator<Item = (usize, usize)> {
        let starts = (0..columns).step_by(width);
        starts.map(move |start| (start, width.min((columns - start).next_multiple_of(Self::REGISTER))))
    }

    /// How much scratch [`PackedB::new`] needs, and [`PackedB::product`] for up to `most` rows.
    pub fn scratch(rows: usize, columns: usize, most: usize, config: impl Into<GemmConfig>) -> (usize, usize) {
        let width = Self::width(columns, config.into().parallelism);
        let last = Self::panels(columns, width).last().map_or(0, |(_, last)| last);
        (rows * columns.next_multiple_of(Self::REGISTER), most * last.max(rows.div_ceil(2)))
    }

    /// Copies `matrix[R, C]`, which may be a transposed one.
    pub fn new(matrix: Mat<'_, E>, scratch: &'a mut [E], config: impl Into<GemmConfig>) -> Self {
        let config = config.into();
        let Mat { data, rows, columns, row_stride, column_stride } = matrix;
        let width = Self::width(columns, config.parallelism);
        if config == (GemmConfig { parallelism: Parallelism::Serial, precision: MatmulPrecision::Bf16 })
            && pairs::suits(rows)
            && let Some(matrix) = matrix.as_f32()
        {
            let panels = E::as_f32_mut(&mut scratch[..pairs::len(rows, columns)]).unwrap_or_default();
            let panels = bytemuck::cast_slice_mut(panels);
            pairs::pack(matrix, panels);
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

    /// Whether its numbers are rounded to bfloat16, as those of the left sides then are.
    pub fn is_bf16(&self) -> bool {
        matches!(self.panels, Panels::Pairs(_))
    }

    /// `c[M, C] = beta c + a[M, R] b`.
    ///
    /// # Panics
    /// Where the inner lengths differ, or `c` or `scratch` is too short.
    pub fn product(&self, a: Mat<'_, E>, beta: E, c: &mut [E], scratch: &mut [E]) {
        assert_eq!(a.columns, self.rows, "the inner lengths of a product with a packed right side");
        if a.rows == 0 {
            return;
        }
        count(a.rows, self.rows, self.columns);
        let panels = match self.panels {
            Panels::Full(panels) => panels,
            Panels::Pairs(panels) => {
                if let (Some(a), Some(c), Some(scratch)) = (a.as_f32(), E::as_f32_mut(c), E::as_f32_mut(scratch)) {
                    BF16_OPERATIONS.fetch_add(operations(a.rows, self.rows, self.columns), Ordering::Relaxed);
                    let scratch = bytemuck::cast_slice_mut(scratch);
                    pairs::product(a, panels, self.columns, beta.f64() as f32, c, scratch);
                }
                return;
            }
        };
        for (start, width) in Self::panels(self.columns, self.width) {
            let panel = Mat::strided(&panels[self.rows * start..], self.rows, width, width);
            if start + width <= self.columns {
                let c = MatMut::strided(&mut c[start..], a.rows, width, self.columns);
                product(E::one(), a, panel, beta, c, self.config.parallelism);
                continue;
            }
            product(E::one(), a, panel, E::zero(), MatMut::new(scratch, a.rows, width), self.config.parallelism);
            for (c, product) in c.chunks_exact_mut(self.columns).zip(scratch.chunks_exact(width)).take(a.rows) {
                let pairs = c[start..].iter_mut().zip(product);
                pairs.for_each(|(c, &x)| *c = if beta == E::zero() { x } else { beta * *c + x });
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
    fn a_prepared_right_side_gives_the_same_products() {
        for (m, k, n) in
            [(3, 5, 7), (3, 1, 4), (3, 4, 1), (1, 1, 1), (10, 40, 150), (4, 8, 64), (0, 8, 64), (32, 16, 1030)]
        {
            let (a, b, start) = (numbers(m * k, 1), numbers(k * n, 2), numbers(m * n, 3));
            let mut turned = b.clone();
            transpose(&b, k, n, &mut turned);
            for parallelism in [Parallelism::Serial, Parallelism::Threads(2)] {
                for matrix in [Mat::new(&b, k, n), Mat::new(&turned, n, k).t()] {
                    let (own, product) = PackedB::<f64>::scratch(k, n, m, parallelism);
                    let (mut own, mut product) = (vec![9.0; own], vec![9.0; product]);
                    let right = PackedB::new(matrix, &mut own, parallelism);
                    for beta in [0.0, 1.0] {
                        let (mut found, mut expected) = (start.clone(), start.clone());
                        right.product(Mat::new(&a, m, k), beta, &mut found, &mut product);
                        let c = MatMut::new(&mut expected, m, n);
                        gemm(1.0, Mat::new(&a, m, k), Mat::new(&b, k, n), beta, c, Parallelism::Serial);
                        assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12));
                    }
                }
            }
        }
    }
}
