use super::losses::Losses;
use super::streak::Streak;
use super::verdict::{Verdict, brief};
use crate::gradient_flow::Activations;
use descant_text::plural;
use std::collections::BTreeMap;

/// The entropy, as a share of the largest, the mean over all heads, below which nearly all of the weight is on one key.
const LEAST: f32 = 0.02;

/// Lines in a row.
const TIMES: u32 = 5;

/// The share of the loss of a uniform guess above which next to nothing is learned yet.
const EARLY: f64 = 0.5;

/// Attention whose entropy has fallen to next to nothing (entropy collapse; Zhai et al. 2023, arXiv 2303.06296): its softmax is saturated,
/// and next to no gradient reaches queries and keys. A layer may well learn to look at one key, as one that copies does. That is a fault
/// where it does so in all of several layers, or from the first line on, or the loss has risen since it looked at several keys; and of an
/// only layer, such as a recurrent decoder's, where the loss shows that it has learned next to nothing yet.
#[derive(Debug, Default)]
pub(super) struct AttentionCollapse {
    /// Whether the weights are fresh: those of a trained model may look at one key from the first line on.
    is_fresh: bool,
    /// The loss of a uniform guess, `ln V`, where the loss is a likelihood.
    uniform: Option<f64>,
    /// By the layer that makes the queries.
    layers: BTreeMap<String, Layer>,
    losses: Option<Losses>,
}

#[derive(Debug, Default)]
struct Layer {
    streak: Streak,
    /// The loss above which it has risen since this layer looked at several keys; none where it never did.
    limit: Option<f64>,
}

impl AttentionCollapse {
    pub(super) fn new(is_fresh: bool, uniform: Option<f64>) -> Self {
        Self { is_fresh, uniform, ..Self::default() }
    }

    pub(super) fn trained(&mut self, step: u64, loss: f64) {
        self.losses = Some(Losses::with(self.losses, step, loss));
    }

    pub(super) fn observe(&mut self, step: u64, activations: &Activations) -> Option<Verdict> {
        let losses = self.losses?;
        let entropies: Vec<(&String, f32)> =
            activations.iter().filter_map(|(name, of)| Some((name, of.entropy?))).collect();
        let all = entropies.iter().all(|&(_, entropy)| entropy < LEAST);
        let is_early = self.is_fresh && self.uniform.is_some_and(|uniform| losses.last > EARLY * uniform);
        let all = all && (entropies.len() > 1 || is_early);
        let mut found: Vec<(f32, &str, u64)> = Vec::new();
        for (name, entropy) in entropies {
            let layer = self.layers.entry(name.clone()).or_default();
            if entropy >= LEAST {
                layer.limit = Some(losses.limit());
            }
            let is_fault = all || layer.limit.map_or(self.is_fresh, |limit| losses.last > limit);
            let since = layer.streak.observe(step, entropy < LEAST && is_fault, TIMES);
            found.extend(since.map(|since| (entropy, name.as_str(), since)));
        }
        let &(entropy, name, since) = found.iter().min_by(|a, b| a.0.total_cmp(&b.0))?;
        let others = match found.len() - 1 {
            0 => String::new(),
            n => format!(" and {}", plural(n as u64, "other")),
        };
        Some(Verdict {
            kind: "attention collapsed",
            since,
            seen: format!(
                "the entropy of the attention with queries of '{name}'{others} is {} of the largest: nearly all of the weight is on one key, and next to no gradient reaches queries and keys",
                brief(entropy.into())
            ),
            remedy: "a smaller train.learning_rate, a longer schedule.warmup, scaled scores of a recurrent decoder (model.attention = \"scaled-general\"), or normalised queries and keys of a Transformer (model.transformer.qk_norm)".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{AttentionCollapse, TIMES};
    use crate::gradient_flow::Activations;
    use descant_autograd::LayerActivations;

    /// The step since which attention is collapsed, of losses and the entropies of the layers at each line.
    fn since<const LAYERS: usize>(
        is_fresh: bool,
        lines: impl IntoIterator<Item = (f64, [f32; LAYERS])>,
    ) -> Option<u64> {
        let mut collapse = AttentionCollapse::new(is_fresh, Some(8.0));
        let mut found = lines.into_iter().zip(1..).filter_map(|((loss, entropies), step)| {
            collapse.trained(step, loss);
            let of = |(i, entropy)| {
                let mut layer = LayerActivations::default();
                layer.entropy = Some(entropy);
                (format!("layers.{i}.in_proj_weight"), layer)
            };
            collapse.observe(step, &entropies.into_iter().enumerate().map(of).collect::<Activations>())
        });
        found.next().map(|verdict| verdict.since)
    }

    /// Ten lines while the loss falls from 4 to 3, and then `TIMES` of these.
    fn after(loss: impl Fn(usize) -> f64, entropies: [f32; 2]) -> Option<u64> {
        let before = (0..10).map(|i| (4.0 - 0.1 * i as f64, [0.9, 0.8]));
        since(true, before.chain((0..TIMES as usize).map(|i| (loss(i), entropies))))
    }

    #[test]
    fn a_layer_may_look_at_one_key_where_the_loss_does_not_rise() {
        assert_eq!(after(|i| 2.9 - 0.1 * i as f64, [0.9, 0.001]), None);
        assert_eq!(after(|_| 3.1, [0.9, 0.001]), None);
        assert_eq!(after(|_| 3.6, [0.9, 0.001]), Some(11));
        assert_eq!(after(|_| 3.6, [0.9, 0.05]), None);
    }

    #[test]
    fn all_layers_may_not() {
        assert_eq!(after(|i| 2.9 - 0.1 * i as f64, [0.01, 0.001]), Some(11));
    }

    #[test]
    fn nor_one_of_fresh_weights_from_the_first_line_on() {
        let lines = || (0..TIMES as usize).map(|i| (4.0 - 0.1 * i as f64, [0.9, 0.001]));
        assert_eq!((since(true, lines()), since(false, lines())), (Some(1), None));
    }

    #[test]
    fn nor_the_only_one_while_next_to_nothing_is_learned() {
        let lines = |loss: f64| {
            let before = (0..3).map(move |i| (loss + 1.0 - 0.1 * i as f64, [0.9]));
            before.chain((0..TIMES as usize).map(move |i| (loss - 0.1 * i as f64, [0.001])))
        };
        // Of 8 of a uniform guess.
        assert_eq!((since(true, lines(6.0)), since(false, lines(6.0))), (Some(4), None));
        assert_eq!(since(true, lines(3.5)), None);
    }
}
