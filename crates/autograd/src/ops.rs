//! The operations, one file each. `ops!` declares a module and registers its operation in one word.

use crate::op::{Backward, Case, CustomOp, Dispatch, Forward, Op, ops};
use descant_tensor::Shape;

ops! {
    add::Add,
    attend_additive::AttendAdditive,
    attend_dot::AttendDot,
    concat::Concat,
    cross_entropy::CrossEntropy,
    embedding::Embedding,
    gru::Gru,
    linear::Linear,
    lstm::Lstm,
    matmul::MatMul,
    mul::Mul,
    relu::Relu,
    sigmoid::Sigmoid,
    slice_last::SliceLast,
    sum::Sum,
    tanh::Tanh,
}
