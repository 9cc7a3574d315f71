//! How texts are written where nothing else is asked for.

use descant_generate::{Ranking, Strategy};
use serde::{Deserialize, Serialize};

/// The table `[generation]` of a recipe: an import takes it from `generation_config.json`. What is missing is as by default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GenerationConfig {
    /// Beam search of this width; 1 is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beam: Option<usize>,
    /// How much a beam search favours longer texts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length_penalty: Option<f64>,
    /// How a beam search ranks.
    pub ranking: Ranking,
    /// Whether tokens are drawn, or the likeliest taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<bool>,
    /// What logits are divided by before a draw.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Only from this many likeliest tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<usize>,
    /// Only from the likeliest tokens that together have this probability.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// Tokens to write at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_length: Option<usize>,
    /// Ids that are never written.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub forbidden: Vec<u32>,
    /// Ids that a decoder writes first, whatever their probability.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub forced_beginning: Vec<u32>,
    /// Whether the last token that the length allows is the end.
    pub forced_end: bool,
}

/// The length penalty by which descant ranks its own models' texts, and `transformers` all.
const PENALTIES: (f64, f64) = (0.6, 1.0);

impl GenerationConfig {
    /// How much a beam search favours longer texts, where nothing else is asked for.
    pub fn length_penalty(&self) -> f64 {
        let (gnmt, tokens) = PENALTIES;
        self.length_penalty.unwrap_or(if self.ranking == Ranking::Gnmt { gnmt } else { tokens })
    }

    /// What it says of choosing tokens; none where it says nothing.
    pub(crate) fn strategy(&self) -> Option<Strategy> {
        match (self.beam, self.sample) {
            (Some(width @ 2..), _) => Some(Strategy::Beam { width, length_penalty: self.length_penalty(), n_best: 1 }),
            (_, Some(true)) => Some(self.sampling(1)),
            (Some(_), _) | (_, Some(false)) => Some(Strategy::Greedy),
            (None, None) => None,
        }
    }

    /// A draw, as it says.
    pub fn sampling(&self, seed: u64) -> Strategy {
        let &Self { temperature, top_k, top_p, .. } = self;
        Strategy::Sample { temperature: temperature.unwrap_or(1.0), top_k, top_p, seed }
    }

    /// That every number is in its range.
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
