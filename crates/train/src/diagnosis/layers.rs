//! The layers of a model, by the names of their parameters.

use crate::gradient_flow::GradientFlow;
use std::collections::BTreeMap;

/// Several layers, one upon the other.
pub(super) struct Stack {
    name: String,
    /// The number of each, from the lowest on, and the root mean square of its gradient. Frozen layers have none.
    layers: Vec<(usize, f64)>,
}

impl Stack {
    /// How large the gradients are beside that of the top layer, which is not zero.
    pub(super) fn ratios(&self) -> impl Iterator<Item = f64> {
        let top = self.layers.last().map_or(0.0, |&(_, top)| top);
        self.layers.iter().filter(move |_| top > 0.0).map(move |(_, gradient)| gradient / top)
    }

    /// The layer at a place of [`ratios`](Self::ratios), in words.
    pub(super) fn layer(&self, place: usize) -> String {
        let number = self.layers[place].0;
        if self.name.is_empty() { format!("layer {number}") } else { format!("{} layer {number}", self.name) }
    }

    /// Whether its layers are an LSTM's or a GRU's.
    pub(super) fn is_recurrent(&self) -> bool {
        self.name.ends_with("rnn")
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

/// The stacks of several layers. Of matrices alone: biases and norms have gradients of another size.
pub(super) fn stacks(flow: &GradientFlow) -> Vec<Stack> {
    let mut sums: BTreeMap<(String, usize), (f64, f64)> = BTreeMap::new();
    for (name, flow) in flow {
        if let Some(place) = place(name) {
            let (squares, n) = sums.entry(place).or_default();
            *squares += f64::from(flow.gradient).powi(2);
            *n += 1.0;
        }
    }
    let mut stacks: Vec<Stack> = Vec::new();
    for ((name, number), (squares, n)) in sums {
        let layer = (number, (squares / n).sqrt());
        match stacks.last_mut().filter(|stack| stack.name == name) {
            Some(stack) => stack.layers.push(layer),
            None => stacks.push(Stack { name, layers: vec![layer] }),
        }
    }
    stacks.retain(|stack| stack.layers.len() > 1);
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

#[cfg(test)]
mod tests {
    use super::{place, stacks};
    use crate::gradient_flow::{GradientFlow, ParameterFlow};

    #[test]
    fn layers_are_named_by_their_number_where_lower_ones_are_frozen() {
        let of = |number: usize, gradient| {
            (format!("decoder.layers.{number}.linear1.weight"), ParameterFlow::from([gradient, 1.0, 0.1]))
        };
        let flow: GradientFlow = [of(11, 4.0), of(9, 1.0), of(10, 2.0)].into();
        let [stack] = &stacks(&flow)[..] else { panic!("one stack") };
        assert_eq!(stack.ratios().collect::<Vec<_>>(), [0.25, 0.5, 1.0]);
        assert_eq!([0, 2].map(|place| stack.layer(place)), ["decoder layer 9", "decoder layer 11"]);
    }

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
