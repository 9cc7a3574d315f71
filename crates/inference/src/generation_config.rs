//! Default decoding options of a model.

use descant_generate::{Ranking, Strategy};
use serde::{Deserialize, Serialize};

/// The table `[generation]` of a recipe: an import takes it from `generation_config.json`. Missing keys have their defaults.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GenerationConfig {
    /// Beam width; 1 for no beam search.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beam: Option<usize>,
    /// Length penalty of beam search.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length_penalty: Option<f64>,
    /// How beam search ranks.
    pub ranking: Ranking,
    /// Whether to sample, rather than take the likeliest token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<bool>,
    /// Softmax temperature of sampling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Top-k sampling: only the k likeliest tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<usize>,
    /// Nucleus sampling: only the likeliest tokens that together have this probability.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// The most tokens to generate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_length: Option<usize>,
    /// Ids that are never generated.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub forbidden: Vec<u32>,
    /// Forced prefix: ids that a decoder generates first, whatever their probability.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub forced_beginning: Vec<u32>,
    /// Whether the last token that the length allows is EOS.
    pub forced_end: bool,
}

/// Default length penalties of [`Ranking::Gnmt`] and [`Ranking::Tokens`], the latter as in `transformers`.
const PENALTIES: (f64, f64) = (0.6, 1.0);

impl GenerationConfig {
    /// The length penalty, with its default.
    pub fn length_penalty(&self) -> f64 {
        let (gnmt, tokens) = PENALTIES;
        self.length_penalty.unwrap_or(if self.ranking == Ranking::Gnmt { gnmt } else { tokens })
    }

    /// The decoding strategy, where it sets one.
    pub(crate) fn strategy(&self) -> Option<Strategy> {
        match (self.beam, self.sample) {
            (Some(width @ 2..), _) => Some(Strategy::Beam { width, length_penalty: self.length_penalty(), n_best: 1 }),
            (_, Some(true)) => Some(self.sampling(1)),
            (Some(_), _) | (_, Some(false)) => Some(Strategy::Greedy),
            (None, None) => None,
        }
    }

    /// Sampling with its temperature, top-k and top-p.
    pub fn sampling(&self, seed: u64) -> Strategy {
        let &Self { temperature, top_k, top_p, .. } = self;
        Strategy::Sample { temperature: temperature.unwrap_or(1.0), top_k, top_p, seed }
    }

    /// Checks that every number is in its range.
    ///
    /// # Errors
    /// The key, its value, and what it may be.
    pub fn validate(&self) -> Result<(), String> {
        let beam = Strategy::Beam { width: self.beam.unwrap_or(1), length_penalty: self.length_penalty(), n_best: 1 };
        let named = |reason: String| format!("generation.{}", reason.replacen("width", "beam", 1));
        beam.validate().and(self.sampling(1).validate()).map_err(named)?;
        match self.max_length {
            Some(0) => Err("generation.max_length = 0: expected a whole number from 1".to_owned()),
            _ => Ok(()),
        }
    }
}
