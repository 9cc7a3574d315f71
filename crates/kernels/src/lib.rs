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
    GemmConfig, Mat, MatMut, MatmulPrecision, PackedB, Parallelism, bf16_gemm_flops, gemm, gemm_flops, gemm_transposed,
    transposed_scratch,
};
pub use narrow::pays as bf16_is_profitable;
pub use real::Real;
pub use rows::{exp_minus_max_columns, exp_minus_max_rows, lanes, log_softmax_rows, softmax_rows, zip_sum};
pub use subnormal::FlushSubnormals;
pub use transpose::transpose;
pub use zeros::zeros;
