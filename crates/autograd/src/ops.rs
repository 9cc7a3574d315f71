//! The operations, one file each. `ops!` declares a module and registers its operation in one word.

use crate::op::{Backward, Case, CustomOp, Dispatch, Forward, Op, ops};
use descant_tensor::Shape;

// Not operations of their own, but made of others.
mod l2_loss;
mod mean;
// What two of them share.
mod projection;

ops! {
    abs::Abs,
    add::Add,
    affine::Affine,
    attend_additive::AttendAdditive,
    attend_dot::AttendDot,
    attend_heads::AttendHeads,
    bypass::Bypass,
    concat::Concat,
    consistent_cross_entropy::ConsistentCrossEntropy,
    cosine_loss::CosineLoss,
    cross_entropy::CrossEntropy,
    distillation::Distillation,
    div::Div,
    dropout::Dropout,
    embedding::Embedding,
    exp::Exp,
    gather_last::GatherLast,
    gelu::Gelu,
    gelu_tanh::GeluTanh,
    glu::Glu,
    gru::Gru,
    layer_norm::LayerNorm,
    linear::Linear,
    log::Log,
    log_softmax::LogSoftmax,
    lstm::Lstm,
    matmul::MatMul,
    max_last::MaxLast,
    mul::Mul,
    permute::Permute,
    pow::Pow,
    relu::Relu,
    rms_norm::RmsNorm,
    rotary::Rotary,
    select::Select,
    sigmoid::Sigmoid,
    silu::Silu,
    slice_last::SliceLast,
    softmax::Softmax,
    softplus::Softplus,
    sub::Sub,
    sum::Sum,
    tanh::Tanh,
    transpose::Transpose,
    vmf_loss::VmfLoss,
}
