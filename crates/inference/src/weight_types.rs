//! How the weights of a model are stored for inference.

use descant_autograd::{Parameters, StorageType};
use descant_kernels::{ReducedWeight, WeightType};
use descant_tensor::Shape;

/// How a parameter is stored in a model for inference, whose weights are in this precision where it is a reduced one: packed or so, if it
/// is a matrix that activations are multiplied with, or an embedding. All others stay as they are: biases, norms, tables of positions.
/// With 4 bits, embeddings and the output layer have 8, as they decide the quality.
pub fn storage_of(weights: Option<WeightType>, name: &str, shape: Shape) -> StorageType {
    let (scope, own) = name.rsplit_once('.').unwrap_or(("", name));
    let scope = scope.rsplit('.').next().unwrap_or_default();
    if shape.rank() != 2 || !own.contains("weight") || ["position", "relative"].contains(&scope) {
        return StorageType::RowMajor;
    }
    match weights {
        None => StorageType::Packed,
        Some(WeightType::Q4) if ["embedding", "projection"].contains(&scope) => StorageType::Reduced(WeightType::Int8),
        Some(weights) => StorageType::Reduced(weights),
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
        use StorageType::{Packed, Reduced, RowMajor};
        let of = |weights, name, rank: usize| storage_of(Some(weights), name, Shape::new(&vec![4; rank]));
        let in_full = |name, rank: usize| storage_of(None, name, Shape::new(&vec![4; rank]));
        for name in ["decoder.layers.0.linear1.weight", "rnn.weight_hh_l0_reverse", "layers.1.self_attn.in_proj_weight"]
        {
            assert_eq!((of(WeightType::Q4, name, 2), in_full(name, 2)), (Reduced(WeightType::Q4), Packed), "{name}");
        }
        for name in ["encoder.embedding.weight", "decoder.projection.weight", "projection.weight"] {
            assert_eq!(of(WeightType::Q4, name, 2), Reduced(WeightType::Int8), "{name}");
            assert_eq!(of(WeightType::Bf16, name, 2), Reduced(WeightType::Bf16), "{name}");
        }
        for (name, rank) in [("decoder.position.weight", 2), ("relative.weight", 2), ("targets", 2), ("norm.weight", 1)]
        {
            assert_eq!((of(WeightType::Int8, name, rank), in_full(name, rank)), (RowMajor, RowMajor), "{name}");
        }
    }
}
