//! Which weights of a model are in reduced precision.

use descant_autograd::Parameters;
use descant_kernels::{ReducedWeight, WeightType};
use descant_tensor::Shape;

/// The precision of a parameter of a model whose weights are in this one: of the matrices that activations are multiplied with, and of
/// embeddings. All others stay as they are: biases, norms, tables of positions. With 4 bits, embeddings and the output layer have 8,
/// as they decide the quality.
pub fn weight_type_of(weights: WeightType, name: &str, shape: Shape) -> Option<WeightType> {
    let (scope, own) = name.rsplit_once('.').unwrap_or(("", name));
    let scope = scope.rsplit('.').next().unwrap_or_default();
    if shape.rank() != 2 || !own.contains("weight") || ["position", "relative"].contains(&scope) {
        return None;
    }
    match weights {
        WeightType::Q4 if ["embedding", "projection"].contains(&scope) => Some(WeightType::Int8),
        weights => Some(weights),
    }
}

/// The precision of the weights of a model, where it is a reduced one.
pub fn weights_of(parameters: &Parameters) -> Option<WeightType> {
    let has = |of| parameters.ids().any(|id| parameters.reduced(id).map(ReducedWeight::weight_type) == Some(of));
    [WeightType::Q4, WeightType::Int8, WeightType::Bf16].into_iter().find(|&of| has(of))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matrices_are_reduced_and_what_decides_the_quality_less() {
        let of = |weights, name, rank: usize| weight_type_of(weights, name, Shape::new(&vec![4; rank]));
        for name in ["decoder.layers.0.linear1.weight", "rnn.weight_hh_l0_reverse", "layers.1.self_attn.in_proj_weight"]
        {
            assert_eq!(of(WeightType::Q4, name, 2), Some(WeightType::Q4), "{name}");
        }
        for name in ["encoder.embedding.weight", "decoder.projection.weight", "projection.weight"] {
            assert_eq!(of(WeightType::Q4, name, 2), Some(WeightType::Int8), "{name}");
            assert_eq!(of(WeightType::Bf16, name, 2), Some(WeightType::Bf16), "{name}");
        }
        for (name, rank) in [("decoder.position.weight", 2), ("relative.weight", 2), ("targets", 2), ("norm.weight", 1)]
        {
            assert_eq!(of(WeightType::Int8, name, rank), None, "{name}");
        }
    }
}
