use crate::{Constraint, DraftModel, GenerationConfig, LogitsProcessor, Mode, ShortList, Steering};
use descant_kernels::Parallelism;
use descant_tensor::Brief;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The most new tokens of a text by what is known of those in training.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct DefaultLimit {
    /// The most for a source of a usual length, and without a source.
    pub tokens: usize,
    /// The source length up to which that holds; for longer sources it grows in proportion.
    pub source: Option<usize>,
    /// For each source also at most this times its length, plus ten.
    pub ratio: Option<f64>,
}

impl Default for DefaultLimit {
    /// 500, where nothing is known.
    fn default() -> Self {
        Self { tokens: 500, source: None, ratio: None }
    }
}

impl DefaultLimit {
    /// The most for a source of this length, or without a source.
    fn of(&self, source: Option<usize>) -> usize {
        let Self { tokens, source: usual, ratio } = *self;
        let Some(length) = source else { return tokens };
        // A float becomes the nearest integer that there is: nothing overflows.
        let longer = usual.map_or(1.0, |usual| (length as f64 / usual.max(1) as f64).max(1.0));
        let most = if longer > 1.0 { (tokens as f64 * longer).ceil() as usize } else { tokens };
        let ratio = ratio.map(|ratio| ((ratio * length as f64).ceil() as usize).saturating_add(10));
        most.min(ratio.unwrap_or(usize::MAX))
    }
}

/// Why there are no constraints beside a short list.
pub(crate) const NO_CONSTRAINTS: &str =
    "short_list: expected no constraints beside it, which may ask for tokens that it leaves out";

/// Whether a token ends its text, by what the tokens say: those of the prompt, and those that were generated after it. It is asked once for each
/// token, the last of these; where constraints do not let the text end there, it ends where they do.
#[derive(Clone)]
pub struct StopCondition(pub Arc<Stops>);

type Stops = dyn Fn(&[u32], &[u32]) -> bool + Send + Sync;

impl fmt::Debug for StopCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StopCondition")
    }
}

/// Ranks the candidates of a row: of each, by its tokens and its log probability, a score, of which the largest is the best.
#[derive(Clone)]
pub struct Reranker(pub Arc<Rerank>);

type Rerank = dyn Fn(&[(&[u32], f64)]) -> Vec<f64> + Send + Sync;

impl fmt::Debug for Reranker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reranker")
    }
}

/// Options of [`generate()`](crate::generate()): those of a [`GenerationConfig`], and what follows from the model and its
/// tokenizer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DecodingOptions {
    /// How tokens are chosen and when a text ends.
    pub config: GenerationConfig,
    /// The most new tokens where `max_new_tokens` does not say it.
    pub default_limit: DefaultLimit,
    /// The BOS that a context read anew begins with, as all texts in training did.
    pub context_bos: Option<u32>,
    /// Control tokens of attributes: those before a prompt stay where a context is read anew.
    pub control: Vec<u32>,
    /// The tokens before a row without a prompt: BOS, or the decoder's start token.
    pub start: Vec<u32>,
    /// EOS: each of these tokens ends a text. Without any, rows have the full length.
    pub eos: Vec<u32>,
    /// Tokens that the model never learnt to write, such as `<unk>` and `<s>`: the others have all the probability.
    pub forbidden: Vec<u32>,
    /// The tokens that end a sequence for DRY.
    pub dry_breakers: Vec<u32>,
    /// What ends a text beside EOS.
    pub stop: Option<StopCondition>,
    /// What ranks the texts that were found for a row, in place of the search.
    pub reranker: Option<Reranker>,
    /// What ends all texts as they are once it is true, from whatever thread.
    pub cancelled: Vec<Arc<AtomicBool>>,
    /// Whether an id is the same token in a source as in a text, so that prompt lookup may find a draft in the source.
    pub shares_vocabulary: bool,
    /// Speculative decoding: a smaller model that guesses tokens, in greedy decoding and sampling of one text by a Transformer. Texts and
    /// scores stay the same, bit by bit.
    pub draft_model: Option<Arc<DraftModel>>,
    /// Of an encoder-decoder, the tokens that are scored for each source; the others have no probability.
    pub short_list: Option<Arc<ShortList>>,
    /// Attribute steering: towards which label of a classifier the hidden states are shifted.
    pub steering: Option<Arc<Steering>>,
    /// Processors of your own, which come after those of the configuration, and before the ones of sampling.
    pub processors: Vec<Arc<dyn LogitsProcessor>>,
    /// What every text has to be. A text ends, by EOS or a stop string, only where all of them allow it.
    pub constraints: Vec<Arc<dyn Constraint>>,
    /// Threads of the GEMMs of a step.
    pub parallelism: Parallelism,
}

impl Default for DecodingOptions {
    /// Greedy, one thread, at most 500 tokens without EOS.
    fn default() -> Self {
        Self {
            config: GenerationConfig::default(),
            default_limit: DefaultLimit::default(),
            context_bos: None,
            control: Vec::new(),
            start: Vec::new(),
            eos: Vec::new(),
            forbidden: Vec::new(),
            dry_breakers: Vec::new(),
            stop: None,
            reranker: None,
            cancelled: Vec::new(),
            shares_vocabulary: false,
            draft_model: None,
            short_list: None,
            steering: None,
            processors: Vec::new(),
            constraints: Vec::new(),
            parallelism: Parallelism::Serial,
        }
    }
}

impl DecodingOptions {
    /// A text after `start`, ended by any of `eos`; everything else by default.
    pub fn new(config: GenerationConfig, start: Vec<u32>, eos: Vec<u32>) -> Self {
        Self { config, start, eos, ..Self::default() }
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
        self.config.validate()?;
        if self.short_list.is_some() && !self.constraints.is_empty() {
            return Err(NO_CONSTRAINTS.to_owned());
        }
        let beside = [
            ("guidance_scale", self.config.guidance().is_some()),
            ("short_list", self.short_list.is_some()),
            ("penalty_alpha", self.config.mode() == Mode::Contrastive),
        ];
        if let Some((name, _)) = beside.iter().find(|(_, is_set)| self.steering.is_some() && *is_set) {
            return Err(format!("steering: expected no {name} beside it"));
        }
        match self.default_limit.ratio {
            Some(ratio) if !(ratio.is_finite() && ratio >= 0.0) => {
                Err(format!("default_limit.ratio = {}: expected a number from 0", Brief(ratio)))
            }
            _ => Ok(()),
        }
    }

    /// The most new tokens of a row, where neither its source nor its prompt says another number.
    pub fn max_new_tokens(&self) -> usize {
        self.limit(None, 0)
    }

    /// The most new tokens of a row whose source and prompt are of these lengths: `max_new_tokens`, or else the default, which leaves room for the
    /// fewest tokens and an EOS.
    pub fn limit(&self, source: Option<usize>, prompt: usize) -> usize {
        let GenerationConfig { max_new_tokens, min_new_tokens, min_length, .. } = &self.config;
        let least = min_new_tokens.unwrap_or(0).max(min_length.unwrap_or(0).saturating_sub(prompt));
        max_new_tokens.unwrap_or_else(|| self.default_limit.of(source).max(least.saturating_add(1)))
    }

    /// Whether the score of a hypothesis of a beam search may gain by another token: scores that are led away, biased, or changed by
    /// processors of your own are no log probabilities, unless they are renormalised.
    pub(crate) fn scores_may_rise(&self) -> bool {
        let config = &self.config;
        let is_gain = |penalty: Option<f64>| penalty.is_some_and(|penalty| penalty < 0.0);
        let raises = config.guidance().is_some_and(|scale| scale > 1.0)
            || config.sequence_bias.iter().flatten().any(|(_, bias)| *bias > 0.0)
            || is_gain(config.presence_penalty)
            || is_gain(config.frequency_penalty)
            || config.exponential_decay_length_penalty.is_some_and(|(_, factor)| factor > 1.0)
            || !self.processors.is_empty();
        raises && config.renormalize_logits != Some(true)
    }

    /// How many tokens every processor of sampling leaves: a beam search needs one beside the EOS.
    pub(crate) fn min_tokens_to_keep(&self) -> usize {
        if self.config.mode() == Mode::Beam { self.eos.len().max(1) + 1 } else { 1 }
    }

    /// Whether what is generated is wanted no more.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.iter().any(|cancelled| cancelled.load(Ordering::Relaxed))
    }

    /// The tokens that are scored for every source, by the short list: those that are forced are among them.
    pub(crate) fn always_scored(&self) -> Vec<u32> {
        let forced = self.config.forced_bos_token_id.iter().flat_map(|ids| &ids.0);
        let more: Vec<u32> = forced.chain(self.config.forced_eos(&self.eos)).chain(&self.eos).copied().collect();
        self.short_list.as_ref().map_or_else(Vec::new, |list| list.always(&more))
    }

    /// The tokens that are forced after a prompt of so many tokens: they come after the decoder's start token alone.
    pub(crate) fn forced_bos(&self, prompt: usize) -> &[u32] {
        let forced = self.config.forced_bos_token_id.as_ref().filter(|_| prompt == 1);
        forced.map_or(&[], |ids| &ids.0)
    }

    /// Whether there is an EOS that may be generated.
    pub(crate) fn has_eos(&self) -> bool {
        self.eos.iter().any(|token| !self.forbidden.contains(token))
    }

    /// Whether the last of these tokens ends a text after a prompt, by what they say.
    pub(crate) fn stops(&self, prompt: &[u32], tokens: &[u32]) -> bool {
        self.stop.as_ref().is_some_and(|stop| stop.0(prompt, tokens))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_follows_the_source_up_to_the_maximum() {
        let options = |default_limit| DecodingOptions { default_limit, ..DecodingOptions::default() };
        let all =
            |options: &DecodingOptions| [Some(0), Some(3), Some(50), Some(100), None].map(|n| options.limit(n, 1));
        let short = DefaultLimit { tokens: 20, source: None, ratio: Some(1.5) };
        assert_eq!(all(&options(short)), [10, 15, 20, 20, 20]);
        let longer = DefaultLimit { source: Some(50), ..short };
        assert_eq!(all(&options(longer)), [10, 15, 20, 40, 20]);
        // No number is too large to be a limit.
        let huge = DefaultLimit { tokens: usize::MAX, source: None, ratio: Some(1e300) };
        assert_eq!(options(huge).limit(Some(2), 1), usize::MAX);
        let error = options(DefaultLimit { ratio: Some(f64::NAN), ..short }).validate().unwrap_err();
        assert!(error.starts_with("default_limit.ratio = NaN: expected"), "{error}");
        assert_eq!(DecodingOptions::default().max_new_tokens(), 500);
    }

    #[test]
    fn what_is_given_goes_before_a_default_limit() {
        let of = |change: fn(&mut GenerationConfig)| {
            let default_limit = DefaultLimit { tokens: 20, source: None, ratio: Some(1.5) };
            let config = GenerationConfig::greedy().with(change);
            let options = DecodingOptions { config, default_limit, ..DecodingOptions::default() };
            options.validate().unwrap();
            options.limit(Some(3), 5)
        };
        assert_eq!(of(|_| ()), 15);
        assert_eq!(of(|c| c.min_new_tokens = Some(14)), 15);
        assert_eq!(of(|c| c.min_new_tokens = Some(30)), 31);
        // The tokens of the prompt count.
        assert_eq!(of(|c| c.min_length = Some(30)), 26);
        assert_eq!(of(|c| (c.min_length, c.max_new_tokens) = (Some(30), Some(7))), 7);
        assert_eq!(of(|c| c.max_new_tokens = Some(90)), 90);
    }
}
