//! The loops over tiles of a GEMM whose `B` is a weight in reduced precision.

use std::ops::Range;

/// Bytes of activations that stay in the first cache while a block of the weight passes, and of that block in the second cache.
const A_BLOCK: usize = 16 << 10;
const B_BLOCK: usize = 192 << 10;

/// Computes elements of `C`. However they are grouped into tiles, they have the same bits.
pub(crate) trait TileKernel {
    /// `MR` rows by `NR` columns.
    fn tile<const MR: usize, const NR: usize>(&self, row: usize, column: usize);
}

/// Bytes of a row of activations and of a row of the weight.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowBytes {
    pub(crate) a: usize,
    pub(crate) b: usize,
}

/// All tiles of some columns, of `MR` by `NR` where there are that many rows.
pub(crate) fn tiles<K: TileKernel, const MR: usize, const NR: usize>(
    kernel: &K,
    rows: usize,
    columns: Range<usize>,
    bytes: RowBytes,
) {
    match rows {
        0 => {}
        1 => panels::<K, 1, 4>(kernel, 0..1, columns),
        2 => panels::<K, 2, 4>(kernel, 0..2, columns),
        3 => panels::<K, 3, 3>(kernel, 0..3, columns),
        _ => {
            let row_block = (A_BLOCK / bytes.a.max(1) / MR * MR).clamp(MR, 16 * MR);
            let column_block = (B_BLOCK / bytes.b.max(1) / NR * NR).max(NR);
            for column in columns.clone().step_by(column_block) {
                for row in (0..rows).step_by(row_block) {
                    let columns = column..columns.end.min(column + column_block);
                    panels::<K, MR, NR>(kernel, row..rows.min(row + row_block), columns);
                }
            }
        }
    }
}

/// A block of rows and columns, `NR` columns after the other.
fn panels<K: TileKernel, const MR: usize, const NR: usize>(kernel: &K, rows: Range<usize>, columns: Range<usize>) {
    let mut column = columns.start;
    while column < columns.end {
        let is_whole = column + NR <= columns.end;
        match is_whole {
            true => panel::<K, MR, NR>(kernel, rows.clone(), column),
            false => panel::<K, MR, 1>(kernel, rows.clone(), column),
        }
        column += if is_whole { NR } else { 1 };
    }
}

fn panel<K: TileKernel, const MR: usize, const NR: usize>(kernel: &K, rows: Range<usize>, column: usize) {
    let mut row = rows.start;
    while row < rows.end {
        let left = rows.end - row;
        if left >= MR {
            kernel.tile::<MR, NR>(row, column);
            row += MR;
        } else if left >= 2 {
            kernel.tile::<2, NR>(row, column);
            row += 2;
        } else {
            kernel.tile::<1, NR>(row, column);
            row += 1;
        }
    }
}
