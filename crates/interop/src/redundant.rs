//! Tensors of a folder that have no place in a model as they repeat another, or what its configuration says: each is held
//! against that, and none is left out for its name alone.

use crate::Family;
use descant_models::ModelConfig;
use descant_nn::sinusoids;

/// What a tensor without a place repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Redundant {
    /// The table of embeddings, under the name of the output.
    Head,
    /// The same, under that of one side's embedding.
    Table,
    /// Sinusoidal positions.
    Sinusoids,
    /// The frequencies of rotary positions.
    Frequencies,
    /// The mask of a causal attention.
    Mask,
    /// Nothing: older files have it, and no version reads it.
    Nothing,
}

/// How far apart numbers are that were kept in 16 bits, of those about 1.
const COARSE: f64 = 4e-3;

impl Redundant {
    /// By its name, in a file of a family.
    pub(crate) fn of(family: Family, name: &str) -> Option<Self> {
        let base = ["model.", "transformer."].into_iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name);
        let last = |end: &str| base.ends_with(end);
        let pair = family.reads_a_source();
        match base {
            "lm_head.weight" => Some(Self::Head),
            "encoder.embed_tokens.weight" | "decoder.embed_tokens.weight" if pair => Some(Self::Table),
            "encoder.embed_positions.weight" | "decoder.embed_positions.weight" if family == Family::Marian => {
                Some(Self::Sinusoids)
            }
            "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
                if matches!(family, Family::T5 | Family::Mt5) =>
            {
                Some(Self::Nothing)
            }
            _ if family == Family::Gpt2 && last(".attn.bias") => Some(Self::Mask),
            _ if family == Family::Gpt2 && last(".attn.masked_bias") => Some(Self::Nothing),
            _ if !pair && family != Family::Gpt2 && last("rotary_emb.inv_freq") => Some(Self::Frequencies),
            _ => None,
        }
    }

    /// Whether a shape is one that it can have in a model.
    pub(crate) fn fits(self, shape: &[usize], config: &ModelConfig, entries: usize) -> bool {
        match (self, shape) {
            (Self::Head | Self::Table, _) => *shape == [entries, config.hidden],
            (Self::Sinusoids, &[_, width]) => width == config.hidden,
            (Self::Mask, &[1, 1, rows, columns]) => rows == columns,
            (Self::Frequencies, _) => *shape == [config.transformer().head_dim(config.hidden) / 2],
            (Self::Nothing, _) => true,
            _ => false,
        }
    }

    /// Whether its values, of rows of `width`, are those that the configuration implies. Of tables, the embedding's are.
    pub(crate) fn is_implied(self, values: &[f32], width: usize, config: &ModelConfig) -> bool {
        let near = |expected: f64, found: f32, most: f64| (expected - f64::from(found)).abs() <= most;
        match self {
            Self::Sinusoids => {
                let positions: Vec<usize> = (0..values.len() / width.max(1)).collect();
                sinusoids(&positions, width).iter().zip(values).all(|(&sine, &value)| near(sine, value, COARSE))
            }
            Self::Frequencies => {
                let transformer = config.transformer();
                // Older files hold them as they are without scaling.
                let plain = descant_nn::TransformerConfig { rotary_scaling: None, ..transformer.clone() };
                [transformer, plain].iter().any(|rotary| {
                    let frequencies = rotary.frequencies(config.hidden);
                    frequencies.iter().zip(values).all(|(&f, &value)| near(f, value, COARSE * f))
                })
            }
            Self::Head | Self::Table | Self::Mask | Self::Nothing => true,
        }
    }

    /// What it should be, in words.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::Head | Self::Table => "the embedding, which config.json ties it to (tie_word_embeddings)",
            Self::Sinusoids => "the sinusoidal positions of its family",
            Self::Frequencies => "the frequencies that config.json gives (rope_theta)",
            Self::Mask => "a causal mask",
            Self::Nothing => "what older files have",
        }
    }
}
