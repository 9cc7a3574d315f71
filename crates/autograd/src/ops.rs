//! The operations, one file each, but for the elementwise ones, which are the tables in `unary.rs` and `binary.rs`: a line that declares
//! the module, and one in the list that registers its operation.

pub mod additive_attention;
pub mod affine;
pub mod binary;
pub mod concat;
pub mod cosine_loss;
pub mod cross_entropy;
pub mod distillation;
pub mod dot_attention;
pub mod dropout;
pub mod embedding;
pub mod gather_last;
pub mod glu;
pub mod gru;
pub mod layer_norm;
pub mod linear;
pub mod log_likelihood;
pub mod log_softmax;
pub mod lora_linear;
pub mod lora_weight;
pub mod lstm;
pub mod matmul;
pub mod max_last;
pub mod multi_head_attention;
pub mod permute;
pub mod pow;
pub mod r_drop_cross_entropy;
pub mod rms_norm;
pub mod rotary;
pub mod select;
pub mod skip_layer;
pub mod slice_last;
pub mod softmax;
pub mod sum;
pub mod transpose;
pub mod unary;
pub mod vmf_loss;

// Of inference alone: no backward.
mod cached_attention;
// Not operations of their own, but made of others.
mod l2_loss;
mod mean;
// What two of them share.
mod output_projection;
mod recurrent;
mod soft_cap;
// A part of one.
mod unlikelihood;

/// Calls a macro with the list of all operations.
macro_rules! for_each_op {
    ($macro:ident) => {
        $macro! {
            additive_attention::AdditiveAttention,
            affine::Affine,
            binary::Binary,
            concat::Concat,
            cosine_loss::CosineLoss,
            cross_entropy::CrossEntropy,
            distillation::Distillation,
            dot_attention::DotAttention,
            dropout::Dropout,
            embedding::Embedding,
            gather_last::GatherLast,
            glu::Glu,
            gru::Gru,
            layer_norm::LayerNorm,
            linear::Linear,
            log_likelihood::LogLikelihood,
            log_softmax::LogSoftmax,
            lora_linear::LoraLinear,
            lora_weight::LoraWeight,
            lstm::Lstm,
            matmul::MatMul,
            max_last::MaxLast,
            multi_head_attention::MultiHeadAttention,
            permute::Permute,
            pow::Pow,
            r_drop_cross_entropy::RDropCrossEntropy,
            rms_norm::RmsNorm,
            rotary::Rotary,
            select::Select,
            skip_layer::SkipLayer,
            slice_last::SliceLast,
            softmax::Softmax,
            sum::Sum,
            transpose::Transpose,
            unary::Unary,
            vmf_loss::VmfLoss,
        }
    };
}
pub(crate) use for_each_op;
