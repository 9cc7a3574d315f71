//! The loops on the processor: GEMM (by the `gemm` crate, in bfloat16 by `gemmkit`), vector maths (by `rten-vecmath`), softmax,
//! and the pointwise part of the recurrent cells.
//!
//! Everything here works on row-major slices, and on the calling thread unless a [`Parallelism`] is passed in: there is no
//! global setting. All `unsafe` of the workspace is in this crate.

mod axpy_tiles;
mod batch_invariant;
mod bf16;
mod columns;
mod dot_tiles;
mod elementwise;
mod exp_rows;
mod flops;
mod gemm;
mod gemm_batched;
mod gemm_bf16;
mod gemm_config;
mod gemm_packed;
mod gemm_reduced;
pub mod gru_cell;
mod huge_pages;
mod int8_activations;
mod int8_quantization;
mod int8_tiles;
mod lane_sums;
pub mod lanes;
pub mod lstm_cell;
mod mat;
mod packed;
mod packed_bf16;
mod packed_weight;
mod panel_gemm;
mod panel_tiles;
mod panel_weight;
mod prefetch;
mod q4_quantization;
mod q4_tiles;
mod real;
mod reduced_tiles;
mod reduced_weight;
mod row_maxima;
mod softmax;
mod strips;
mod subnormal;
mod threads;
mod transpose;
mod zeros;

pub use batch_invariant::gemm_batch_invariant;
pub use elementwise::{add_rows, axpy, map, map_into, scale, sum_rows_into, vectorized, zip_into};
pub use exp_rows::sum_exp;
pub use flops::{bf16_gemm_flops, gemm_flops};
pub use gemm::{gemm, gemm_nt, gemm_nt_scratch};
pub use gemm_batched::gemm_batched;
pub use gemm_bf16::is_profitable as bf16_is_profitable;
pub use gemm_config::{GemmConfig, MatmulPrecision, Parallelism};
pub use gemm_packed::gemm_packed;
pub use gemm_reduced::gemm_reduced;
pub use lanes::{sum_of_squares, zip_sum};
pub use mat::{Mat, MatMut};
pub use packed::PackedB;
pub use packed_weight::{PackedMut, PackedRows};
pub use prefetch::fetch_rows;
pub use real::Real;
pub use reduced_weight::{ReducedRows, ReducedWeight, WeightType};
pub use row_maxima::row_maxima;
pub use softmax::{exp_minus_max_columns, exp_minus_max_rows, log_softmax_rows, log_sum_exp, softmax_rows};
pub use subnormal::FlushSubnormals;
pub use threads::{run_on_rows, run_on_threads};
pub use transpose::transpose;
pub use zeros::zeros;
