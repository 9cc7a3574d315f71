use descant_kernels::Parallelism;
use descant_tensor::Brief;
use serde::{Deserialize, Serialize};

/// The lowest temperature: below, quotients overflow, and sampling has long been deterministic.
const COLDEST: f64 = 1e-3;

/// How beam search ranks its hypotheses, and when it stops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ranking {
    /// By `log p(y) / ((5 + |y|) / 6)^length_penalty` (Wu et al. 2016, arXiv 1609.08144), finished hypotheses
    /// before unfinished ones. The search goes on while a better one can be found.
    #[default]
    Gnmt,
    /// By `log p(y) / |y|^length_penalty`, as `transformers`, fairseq and Marian do; unfinished hypotheses are ranked as
    /// the others. The search ends as that of `transformers` with `early_stopping = False`: when as many as the beam is wide
    /// have ended, and the best that lives would be no better if it ended now.
    Tokens,
}

/// The decoding strategy: how the next token is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Strategy {
    /// The likeliest token; of a continuous output, the nearest.
    Greedy,
    /// Beam search over the `width` likeliest partial hypotheses, scored by probability and length, EOS included: see
    /// [`Ranking`].
    Beam {
        /// Beam width: hypotheses kept for each source. With 1, and no length penalty, this is greedy.
        width: usize,
        /// Length penalty, from 0 for the likeliest sequence to about 1; more favours longer ones.
        length_penalty: f64,
        /// How many hypotheses are returned, at most `width`.
        n_best: usize,
    },
    /// Sampling: the temperature first, then top-k, then top-p (nucleus) of what that leaves.
    Sample {
        /// Softmax temperature, from 0.001: below 1 for safer text, above 1 for bolder.
        temperature: f64,
        /// Top-k: only the k likeliest tokens.
        top_k: Option<usize>,
        /// Nucleus sampling: only the fewest likeliest tokens that together have this probability (Holtzman et al. 2020, arXiv
        /// 1904.09751).
        top_p: Option<f64>,
        /// Each row has a random stream of its own, derived from this and the row's number.
        seed: u64,
    },
}

impl Strategy {
    /// That every number is in its range.
    ///
    /// # Errors
    /// The name, its value, and what it may be.
    pub fn validate(&self) -> Result<(), String> {
        let number = |name: &str, value: f64, allowed: bool, range: &str| match allowed && value.is_finite() {
            true => Ok(()),
            false => Err(format!("{name} = {}: expected {range}", Brief(value))),
        };
        let count = |name: &str, value: usize, most: usize| match (1..=most).contains(&value) {
            true => Ok(()),
            false => Err(format!("{name} = {value}: expected a whole number from 1 to {most}")),
        };
        match *self {
            Self::Greedy => Ok(()),
            Self::Beam { width, length_penalty, n_best } => {
                count("width", width, 1 << 16)?;
                count("n_best", n_best, width)?;
                number("length_penalty", length_penalty, length_penalty >= 0.0, "a number from 0")
            }
            Self::Sample { temperature, top_k, top_p, .. } => {
                let warm = temperature >= COLDEST;
                number(
                    "temperature",
                    temperature,
                    warm,
                    "a number from 0.001 (for less, --greedy always takes the likeliest token)",
                )?;
                top_k.map_or(Ok(()), |k| count("top_k", k, u32::MAX as usize))?;
                top_p.map_or(Ok(()), |p| number("top_p", p, p > 0.0 && p <= 1.0, "a number above 0, at most 1"))
            }
        }
    }
}

/// Options of [`generate()`](crate::generate()).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DecodingOptions {
    /// How the next token is chosen.
    pub strategy: Strategy,
    /// The most tokens generated for a row, EOS included, from 1.
    pub max_length: usize,
    /// The source length up to which `max_length` holds; for longer sources it grows in proportion.
    pub max_length_source: Option<usize>,
    /// For each source also at most this times its length, plus ten.
    pub max_length_ratio: Option<f64>,
    /// The context length of a language model; by default as many tokens as it has positions for. When the context is
    /// full, the last half of it is read anew, without older tokens, and generation continues from there.
    pub context: Option<usize>,
    /// The BOS that a context read anew begins with, as all texts in training did.
    pub context_bos: Option<u32>,
    /// The tokens before a row without a prompt: BOS, or the decoder's start token.
    pub start: Vec<u32>,
    /// EOS: each of these tokens ends a text. Without any, rows have the full length.
    pub eos: Vec<u32>,
    /// How beam search ranks.
    pub ranking: Ranking,
    /// Whether the last token that `max_length` allows is EOS, whatever its probability, as in Marian.
    pub forced_end: bool,
    /// Tokens that are never written, such as `<unk>` and `<s>`: the others have all the probability.
    pub forbidden: Vec<u32>,
    /// Threads of the GEMMs of a step.
    pub parallelism: Parallelism,
}

impl Default for DecodingOptions {
    /// Greedy, one thread, at most 500 tokens without EOS.
    fn default() -> Self {
        Self {
            strategy: Strategy::Greedy,
            max_length: 500,
            max_length_source: None,
            max_length_ratio: None,
            context: None,
            context_bos: None,
            start: Vec::new(),
            eos: Vec::new(),
            ranking: Ranking::Gnmt,
            forced_end: false,
            forbidden: Vec::new(),
            parallelism: Parallelism::Serial,
        }
    }
}

impl DecodingOptions {
    /// At most `max_length` tokens after `start`, ended by any of `eos`; everything else by default.
    pub fn new(strategy: Strategy, max_length: usize, start: Vec<u32>, eos: Vec<u32>) -> Self {
        Self { strategy, max_length, start, eos, ..Self::default() }
    }

    /// The same options after a change, as the struct may gain fields.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// That every number is in its range.
    ///
    /// # Errors
    /// The name, its value, and what it may be.
    pub fn validate(&self) -> Result<(), String> {
        self.strategy.validate()?;
        if self.max_length == 0 {
            return Err("max_length = 0: expected a whole number from 1".to_owned());
        }
        if self.context == Some(0) {
            return Err("context = 0: expected a whole number from 1".to_owned());
        }
        match self.max_length_ratio {
            Some(ratio) if !(ratio.is_finite() && ratio >= 0.0) => {
                Err(format!("max_length_ratio = {}: expected a number from 0", Brief(ratio)))
            }
            _ => Ok(()),
        }
    }

    /// The most tokens for a source of this length, or without a source.
    pub(crate) fn limit(&self, source: Option<usize>) -> usize {
        let Some(length) = source else { return self.max_length };
        // A float becomes the nearest integer that there is: nothing overflows.
        let longer = self.max_length_source.map_or(1.0, |most| (length as f64 / most.max(1) as f64).max(1.0));
        let most = if longer > 1.0 { (self.max_length as f64 * longer).ceil() as usize } else { self.max_length };
        let ratio = self.max_length_ratio.map(|ratio| ((ratio * length as f64).ceil() as usize).saturating_add(10));
        most.min(ratio.unwrap_or(usize::MAX))
    }

    /// Beam width, returned hypotheses, and length penalty; greedy and sampling are a beam of one.
    pub(crate) fn beam(&self) -> (usize, usize, f64) {
        match self.strategy {
            Strategy::Beam { width, length_penalty, n_best } => (width, n_best, length_penalty),
            Strategy::Greedy | Strategy::Sample { .. } => (1, 1, 0.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_out_of_range_is_named_with_its_range() {
        let sample = |temperature, top_k, top_p| Strategy::Sample { temperature, top_k, top_p, seed: 0 };
        let beam = |width, length_penalty, n_best| Strategy::Beam { width, length_penalty, n_best };
        for good in [Strategy::Greedy, beam(4, 0.0, 4), sample(0.1, Some(1), Some(1.0))] {
            assert_eq!(good.validate(), Ok(()));
        }
        for (bad, name) in [
            (beam(0, 0.0, 1), "width = 0"),
            (beam(2, 0.0, 3), "n_best = 3"),
            (beam(2, 0.0, 0), "n_best = 0"),
            (beam(2, -0.5, 1), "length_penalty = -0.5"),
            (beam(2, f64::NAN, 1), "length_penalty = NaN"),
            (sample(0.0, None, None), "temperature = 0"),
            (sample(1e-300, None, None), "temperature = 1e-300"),
            (sample(f64::INFINITY, None, None), "temperature = inf"),
            (sample(1.0, Some(0), None), "top_k = 0"),
            (sample(1.0, None, Some(0.0)), "top_p = 0"),
            (sample(1.0, None, Some(1.5)), "top_p = 1.5"),
        ] {
            let error = bad.validate().unwrap_err();
            assert!(error.starts_with(name) && error.contains(": expected"), "{error}");
        }
    }

    #[test]
    fn the_length_follows_the_source_up_to_the_maximum() {
        let options = DecodingOptions {
            max_length_ratio: Some(1.5),
            ..DecodingOptions::new(Strategy::Greedy, 20, vec![0], vec![1])
        };
        assert_eq!([Some(0), Some(3), Some(100), None].map(|length| options.limit(length)), [10, 15, 20, 20]);
        let longer = DecodingOptions { max_length_source: Some(50), ..options.clone() };
        assert_eq!([Some(3), Some(50), Some(100), None].map(|length| longer.limit(length)), [15, 20, 40, 20]);
        // No number is too large to be a limit.
        let huge = DecodingOptions { max_length: usize::MAX, max_length_ratio: Some(1e300), ..options.clone() };
        assert_eq!(huge.limit(Some(2)), usize::MAX);
        for (bad, name) in [
            (DecodingOptions { max_length_ratio: Some(f64::NAN), ..options.clone() }, "max_length_ratio = NaN"),
            (DecodingOptions { max_length: 0, ..options.clone() }, "max_length = 0"),
            (DecodingOptions { context: Some(0), ..options }, "context = 0"),
        ] {
            let error = bad.validate().unwrap_err();
            assert!(error.starts_with(&format!("{name}: expected")), "{error}");
        }
    }
}
