//! The operations, one file each: a line that declares the module, and one in the list that registers its operation.

pub mod abs;
pub mod add;
pub mod additive_attention;
pub mod affine;
pub mod concat;
pub mod cosine_loss;
pub mod cross_entropy;
pub mod distillation;
pub mod div;
pub mod dot_attention;
pub mod dropout;
pub mod embedding;
pub mod exp;
pub mod gather_last;
pub mod gelu;
pub mod gelu_tanh;
pub mod glu;
pub mod gru;
pub mod layer_norm;
pub mod linear;
pub mod log;
pub mod log_softmax;
pub mod lora_linear;
pub mod lora_weight;
pub mod lstm;
pub mod matmul;
pub mod max_last;
pub mod mul;
pub mod multi_head_attention;
pub mod permute;
pub mod pow;
pub mod r_drop_cross_entropy;
pub mod relu;
pub mod rms_norm;
pub mod rotary;
pub mod select;
pub mod sigmoid;
pub mod silu;
pub mod skip_layer;
pub mod slice_last;
pub mod softmax;
pub mod softplus;
pub mod sub;
pub mod sum;
pub mod tanh;
pub mod transpose;
pub mod vmf_loss;

// Not operations of their own, but made of others.
mod l2_loss;
mod mean;
// What two of them share.
mod output_projection;
mod soft_cap;

/// Calls a macro with the list of all operations.
macro_rules! for_each_op {
    ($macro:ident) => {
        $macro! {
            abs::Abs,
            lora_linear::LoraLinear,
            lora_weight::LoraWeight,
            add::Add,
            affine::Affine,
            additive_attention::AdditiveAttention,
            dot_attention::DotAttention,
            multi_head_attention::MultiHeadAttention,
            skip_layer::SkipLayer,
            concat::Concat,
            r_drop_cross_entropy::RDropCrossEntropy,
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
    };
}
pub(crate) use for_each_op;
