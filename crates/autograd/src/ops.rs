//! The operations, one file each. `ops!` declares a module and registers its operation in one word.

use crate::op::{Backward, Case, CustomOp, Dispatch, Forward, Op, ops};
use descant_tensor::Shape;

ops! {
    abs::Abs,
    add::Add,
    affine::Affine,
    attend_additive::AttendAdditive,
    attend_dot::AttendDot,
    concat::Concat,
    cross_entropy::CrossEntropy,
    div::Div,
    embedding::Embedding,
    exp::Exp,
    gelu::Gelu,
    gelu_tanh::GeluTanh,
    gru::Gru,
    linear::Linear,
    log::Log,
    lstm::Lstm,
    matmul::MatMul,
    mul::Mul,
    pow::Pow,
    relu::Relu,
    sigmoid::Sigmoid,
    silu::Silu,
    slice_last::SliceLast,
    softplus::Softplus,
    sub::Sub,
    sum::Sum,
    tanh::Tanh,
}
