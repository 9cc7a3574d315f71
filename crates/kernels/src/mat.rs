//! Matrix views: a slice with a shape and strides.

use crate::real::Real;

/// Columns of f32 from which each row of a matrix is on a memory page of its own: reading across the rows is then slow enough
/// that copying the matrix first pays.
pub(crate) const PAGE_COLUMNS: usize = 1024;

/// A read-only matrix view. [`Mat::t`] transposes it without moving an element.
#[derive(Clone, Copy, Debug)]
pub struct Mat<'a, E> {
    pub(crate) data: &'a [E],
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) row_stride: usize,
    pub(crate) column_stride: usize,
}

/// A mutable row-major matrix view.
#[derive(Debug)]
pub struct MatMut<'a, E> {
    pub(crate) data: &'a mut [E],
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) row_stride: usize,
}

impl<'a, E: Real> Mat<'a, E> {
    /// A contiguous row-major matrix.
    pub fn new(data: &'a [E], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    /// A row-major matrix whose rows start `row_stride` elements apart.
    ///
    /// # Panics
    /// If the slice is too short: an error in the caller's shape rule.
    pub fn strided(data: &'a [E], rows: usize, columns: usize, row_stride: usize) -> Self {
        let row_stride = checked_stride(data.len(), rows, columns, row_stride);
        Self { data, rows, columns, row_stride, column_stride: 1 }
    }

    /// The same matrix, if its elements are f32.
    pub(crate) fn as_f32(self) -> Option<Mat<'a, f32>> {
        let Self { data, rows, columns, row_stride, column_stride } = self;
        E::as_f32(data).map(|data| Mat { data, rows, columns, row_stride, column_stride })
    }

    /// The transpose, without moving an element.
    pub fn t(self) -> Self {
        Self {
            data: self.data,
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
        }
    }

    /// The transpose if `transposed` is set, otherwise the matrix itself.
    pub fn t_if(self, transposed: bool) -> Self {
        if transposed { self.t() } else { self }
    }

    /// A range of its rows.
    ///
    /// # Panics
    /// If the range is empty or out of bounds.
    pub fn rows(self, rows: std::ops::Range<usize>) -> Self {
        assert!(rows.start < rows.end && rows.end <= self.rows, "rows {rows:?} of {}", self.rows);
        Self { data: &self.data[rows.start * self.row_stride..], rows: rows.len(), ..self }
    }

    /// A range of its columns.
    ///
    /// # Panics
    /// If the range is empty or out of bounds.
    pub fn columns(self, columns: std::ops::Range<usize>) -> Self {
        assert!(columns.start < columns.end && columns.end <= self.columns, "columns {columns:?} of {}", self.columns);
        Self { data: &self.data[columns.start * self.column_stride..], columns: columns.len(), ..self }
    }
}

impl<'a, E: Real> MatMut<'a, E> {
    /// A contiguous row-major matrix.
    pub fn new(data: &'a mut [E], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    /// A row-major matrix whose rows start `row_stride` elements apart.
    ///
    /// # Panics
    /// If the slice is too short.
    pub fn strided(data: &'a mut [E], rows: usize, columns: usize, row_stride: usize) -> Self {
        let row_stride = checked_stride(data.len(), rows, columns, row_stride);
        Self { data, rows, columns, row_stride }
    }
}

/// The stride of a matrix all of whose elements lie within `len` elements. A matrix of fewer than two rows gets the
/// contiguous stride. So no stride exceeds the slice, and no index overflows.
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

/// Panics unless `c[M, N] = a[M, K] b[K, N]` has matching shapes.
pub(crate) fn check_gemm_shapes<E>(a: &Mat<'_, E>, b: &Mat<'_, E>, c: &MatMut<'_, E>) {
    assert!(
        a.rows == c.rows && b.columns == c.columns && a.columns == b.rows,
        "GEMM of {}x{} and {}x{} into {}x{}",
        a.rows,
        a.columns,
        b.rows,
        b.columns,
        c.rows,
        c.columns
    );
}
