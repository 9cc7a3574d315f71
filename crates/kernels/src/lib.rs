//! The loops on the processor: products of matrices (by the `gemm` crate, and of bfloat16 by `gemmkit`), vector maths (`rten-vecmath`), and
//! the fused loops of the recurrent cells.
//!
//! Everything here works on slices in row-major order, and single-threaded but where a [`Parallelism`] is passed in: no
//! hidden global decides. All `unsafe` of the workspace lives in this crate.

mod elementwise;
pub mod gru;
pub mod lstm;
mod matmul;
mod narrow;
mod pairs;
mod real;
mod rows;
mod subnormal;
mod transpose;
mod zeros;

pub use elementwise::{add_rows, axpy, map, map_into, scale, sum_rows_into, vectorized, zip_into};
pub use matmul::{
    Mat, MatMut, Parallelism, Precision, Products, RightSide, bf16_operations, gemm, gemm_transposed,
    product_operations, transposed_scratch,
};
pub use narrow::pays as bf16_pays;
pub use real::Real;
pub use rows::{exponentials_of_columns, exponentials_of_rows, lanes, log_softmax_rows, softmax_rows, sum_of};
pub use subnormal::FlushSubnormals;
pub use transpose::transpose;
pub use zeros::zeros;
