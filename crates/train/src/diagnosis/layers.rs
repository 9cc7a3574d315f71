//! The layers of a model, by the names of their parameters.

use crate::gradient_flow::GradientFlow;
use std::collections::BTreeMap;

/// The root mean square of the gradient of each layer, from the first on, of each stack of several layers. Of matrices alone: biases and
/// norms have gradients of another size.
pub(super) fn stacks(flow: &GradientFlow) -> BTreeMap<String, Vec<f64>> {
    let mut sums: BTreeMap<(String, usize), (f64, f64)> = BTreeMap::new();
    for (name, flow) in flow {
        if let Some(place) = place(name) {
            let (squares, n) = sums.entry(place).or_default();
            *squares += f64::from(flow.gradient).powi(2);
            *n += 1.0;
        }
    }
    let mut stacks: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for ((stack, _), (squares, n)) in sums {
        stacks.entry(stack).or_default().push((squares / n).sqrt());
    }
    stacks.retain(|_, layers| layers.len() > 1);
    stacks
}

/// The stack and the number of the layer that a matrix belongs to: `encoder.layers.3.linear1.weight` is of layer 3 of `encoder`, and
/// `decoder.weight_hh_l1` of layer 1 of `decoder`.
fn place(name: &str) -> Option<(String, usize)> {
    if !name.contains("weight") || name.contains("norm") {
        return None;
    }
    let (stack, layer) = match name.split_once("layers.") {
        Some((stack, rest)) => (stack, rest.split('.').next()?),
        None => {
            let (path, own) = name.rsplit_once('.').unwrap_or(("", name));
            let number = own.rsplit_once("_l")?.1;
            (path, number.strip_suffix("_reverse").unwrap_or(number))
        }
    };
    Some((stack.trim_end_matches('.').to_owned(), layer.parse().ok()?))
}

/// A layer of a stack, in words.
pub(super) fn layer(stack: &str, number: usize) -> String {
    if stack.is_empty() { format!("layer {number}") } else { format!("{stack} layer {number}") }
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn names_of_parameters_say_their_layer() {
        let of = |name| place(name).map(|(stack, layer)| format!("{stack} {layer}"));
        assert_eq!(of("encoder.layers.3.linear1.weight").unwrap(), "encoder 3");
        assert_eq!(of("decoder.rnn.weight_hh_l1").unwrap(), "decoder.rnn 1");
        assert_eq!(of("encoder.weight_ih_l12_reverse").unwrap(), "encoder 12");
        assert_eq!(of("layers.0.self_attn.q_proj.weight").unwrap(), " 0");
        for other in ["encoder.layers.3.norm1.weight", "decoder.bias_hh_l1", "embedding.weight", "output_layer.weight"]
        {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
