//! How widely the queries look.

use super::config::{AttentionConfig, MultiHeadAttention};
use crate::attention_entropy::relative_entropy;
use crate::attention_weights::softmax;
use descant_kernels::{Real, zip_sum};

impl MultiHeadAttention {
    /// The relative entropies of the weights of every `every`th query, each head by itself, before dropout; of queries and keys with so many
    /// columns. Queries that see one key alone have none.
    pub(crate) fn entropies<E: Real>(
        &self,
        every: usize,
        (q, q_columns): (&[E], usize),
        (k, k_columns): (&[E], usize),
        table: Option<&[E]>,
    ) -> Vec<f64> {
        let AttentionConfig { heads, head_dim, scale, .. } = self.heads;
        let (mut found, mut scores, mut weights) = (Vec::new(), Vec::new(), Vec::new());
        let all = self
            .sequences()
            .flat_map(|sequence| (0..sequence.queries.len()).map(move |query| (sequence.clone(), query)));
        for (sequence, query) in all.step_by(every) {
            let keys = self.visible_keys(&sequence, query);
            for head in 0..heads {
                let [q_start, k_start, _] = self.starts(head);
                let q = &q[(sequence.queries.start + query) * q_columns + q_start..][..head_dim];
                let score = |key: usize| {
                    let k = &k[(sequence.memory.start + key) * k_columns + k_start..][..head_dim];
                    E::of(scale) * zip_sum(q, k, |q, k| q * k)
                };
                scores.clear();
                scores.extend(keys.clone().map(score));
                let tile = self.tile(&sequence, head, query..query + 1, keys.clone());
                tile.cap(&mut scores, &mut []);
                tile.add_bias(&mut scores, table);
                weights.clear();
                weights.extend(scores.iter().map(|score| score.f64()));
                softmax(&mut weights);
                found.extend(relative_entropy(&weights));
            }
        }
        found
    }
}
