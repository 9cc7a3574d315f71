//! Setting, validating and combining decoding options.

use super::table::{DecodingOption, GenerationConfig, Group, OPTIONS};
use super::value_type::{ValueType, shown};
use super::values::{EarlyStopping, ForcedEos, Ranking};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Default length penalties of [`Ranking::Gnmt`] and [`Ranking::Tokens`], the latter as in `transformers`.
const PENALTIES: (f64, f64) = (0.6, 1.0);

/// How the next token is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The most likely token; of a continuous output, the nearest.
    Greedy,
    /// Tokens drawn by their probability.
    Sampling,
    /// Beam search; with `do_sample`, over drawn candidates.
    Beam,
    /// Contrastive search.
    Contrastive,
}

/// The option of this name, or of this other name.
pub fn find_option(name: &str) -> Option<&'static DecodingOption> {
    OPTIONS.iter().find(|option| option.name == name || option.aliases.contains(&name))
}

impl GenerationConfig {
    /// Greedy decoding.
    pub fn greedy() -> Self {
        Self { num_beams: Some(1), do_sample: Some(false), penalty_alpha: Some(0.0), ..Self::default() }
    }

    /// Beam search of this width.
    pub fn beam(width: usize) -> Self {
        Self { num_beams: Some(width), do_sample: Some(false), ..Self::default() }
    }

    /// Sampling.
    pub fn sampling(seed: u64) -> Self {
        Self { num_beams: Some(1), do_sample: Some(true), seed: Some(seed), ..Self::default() }
    }

    /// The same after a change.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Sets an option by its name.
    ///
    /// # Errors
    /// The name, the value, and what it may be.
    pub fn set(&mut self, name: &str, value: Value) -> Result<(), String> {
        let option = find_option(name).ok_or_else(|| format!("{name}: there is no such option"))?;
        let refuse = || refusal(option, &value);
        if !option.value.fits(&value) {
            return Err(refuse());
        }
        let mut all = self.to_map();
        all.insert(option.name.to_owned(), value.clone());
        *self = Self::deserialize(Value::Object(all)).map_err(|_| refuse())?;
        Ok(())
    }

    /// Takes an option back, so that it has its default again.
    pub fn unset(&mut self, name: &str) {
        let mut all = self.to_map();
        all.remove(name);
        // What it had is of the right types.
        *self = Self::deserialize(Value::Object(all)).unwrap_or_default();
    }

    /// The options that are set, by name.
    pub fn to_map(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(map)) => map,
            _ => Map::new(),
        }
    }

    /// These options, and where one is not set, that of `base`.
    #[must_use]
    pub fn over(&self, base: &Self) -> Self {
        let mut all = base.to_map();
        all.extend(self.to_map());
        // What both have is of the right types.
        Self::deserialize(Value::Object(all)).unwrap_or_else(|_| self.clone())
    }

    /// How the next token is chosen.
    pub fn mode(&self) -> Mode {
        match (self.num_beams(), self.do_sample) {
            (2.., _) => Mode::Beam,
            (_, Some(true)) => Mode::Sampling,
            _ if self.penalty_alpha.is_some_and(|alpha| alpha > 0.0) => Mode::Contrastive,
            _ => Mode::Greedy,
        }
    }

    /// Beam width.
    pub fn num_beams(&self) -> usize {
        self.num_beams.unwrap_or(1)
    }

    /// How many texts are returned.
    pub fn num_return_sequences(&self) -> usize {
        self.num_return_sequences.unwrap_or(1)
    }

    /// How many texts are found, of which those that are returned are the best.
    pub fn candidates(&self) -> usize {
        self.num_return_sequences().max(self.mbr_candidates.unwrap_or(1))
    }

    /// How many alternatives at a position are asked for, where they are.
    pub fn alternatives(&self) -> Option<usize> {
        let is_asked = self.return_alternatives == Some(true);
        self.num_return_sequences.filter(|&count| is_asked && count > 1)
    }

    /// The most tokens that a draft model guesses before a step.
    pub fn num_assistant_tokens(&self) -> usize {
        self.num_assistant_tokens.unwrap_or(5)
    }

    /// The guidance scale, where there is guidance.
    pub fn guidance(&self) -> Option<f64> {
        self.guidance_scale.filter(|&scale| scale != 1.0)
    }

    /// The length penalty, with its default.
    pub fn length_penalty(&self) -> f64 {
        let (gnmt, tokens) = PENALTIES;
        self.length_penalty.unwrap_or(if self.ranking() == Ranking::Gnmt { gnmt } else { tokens })
    }

    /// The weight of the coverage penalty: 0 without one, and without a beam search.
    pub fn coverage_penalty(&self) -> f64 {
        self.coverage_penalty.filter(|_| self.mode() == Mode::Beam).unwrap_or(0.0)
    }

    pub(crate) fn ranking(&self) -> Ranking {
        self.ranking.unwrap_or_default()
    }

    pub(crate) fn early_stopping(&self) -> EarlyStopping {
        self.early_stopping.unwrap_or(match self.ranking() {
            Ranking::Gnmt => EarlyStopping::Never,
            Ranking::Tokens => EarlyStopping::False,
        })
    }

    /// The tokens that are forced at the limit, where the tokenizer has these EOS.
    pub(crate) fn forced_eos<'a>(&'a self, eos: &'a [u32]) -> &'a [u32] {
        match &self.forced_eos_token_id {
            None | Some(ForcedEos::Own(false)) => &[],
            Some(ForcedEos::Own(true)) => eos.get(..1).unwrap_or_default(),
            Some(ForcedEos::Ids(ids)) => &ids.0,
        }
    }

    /// That every value is in its range, and that they fit each other.
    ///
    /// # Errors
    /// The name, its value, and what it may be.
    pub fn validate(&self) -> Result<(), String> {
        let set = self.to_map();
        for option in OPTIONS {
            if let Some(value) = set.get(option.name).filter(|value| !option.value.fits(value)) {
                return Err(refusal(option, value));
            }
        }
        self.validate_together()
    }

    /// That every token that is named is one of a vocabulary of this size.
    ///
    /// # Errors
    /// The option and the first id that is not.
    pub fn validate_ids(&self, vocabulary: usize) -> Result<(), String> {
        for (name, value) in self.to_map() {
            let Some(option) = find_option(&name) else { continue };
            let unknown = match option.value {
                ValueType::TokenIds | ValueType::FlagOrTokenIds | ValueType::TokenSequences => {
                    beyond(&value, vocabulary)
                }
                ValueType::BiasedSequences => {
                    value.as_array().into_iter().flatten().find_map(|item| beyond(&item[0], vocabulary))
                }
                _ => None,
            };
            if let Some(id) = unknown {
                return Err(format!("{name}: there is no token {id}: the vocabulary has {vocabulary} tokens, from 0"));
            }
        }
        Ok(())
    }

    /// That values fit each other.
    fn validate_together(&self) -> Result<(), String> {
        let (width, texts) = (self.num_beams(), self.num_return_sequences());
        let mode = self.mode();
        if self.alternatives().is_some() {
            self.validate_alternatives(mode)?;
        }
        match self.mbr_candidates {
            Some(candidates) if texts > candidates => {
                return Err(format!("num_return_sequences = {texts}: expected at most mbr_candidates = {candidates}"));
            }
            Some(candidates) if mode != Mode::Sampling && candidates > width => {
                return Err(format!(
                    "mbr_candidates = {candidates}: expected do_sample = true, or num_beams of at least {candidates}, beside it"
                ));
            }
            _ => {}
        }
        match mode {
            _ if self.alternatives().is_some() => {}
            Mode::Beam if texts > width => {
                return Err(format!("num_return_sequences = {texts}: expected at most num_beams = {width}"));
            }
            Mode::Greedy | Mode::Contrastive if texts > 1 => {
                return Err(format!(
                    "num_return_sequences = {texts}: expected do_sample = true, or num_beams of at least {texts}, beside it"
                ));
            }
            _ => {}
        }
        if let (Some(least), Some(most)) = (self.min_new_tokens, self.max_new_tokens)
            && least > most
        {
            return Err(format!("min_new_tokens = {least}: expected at most max_new_tokens = {most}"));
        }
        self.validate_forced()?;
        let groups = self.num_beam_groups.unwrap_or(1);
        if mode == Mode::Beam && groups > 1 {
            if !width.is_multiple_of(groups) {
                return Err(format!("num_beam_groups = {groups}: expected a divisor of num_beams = {width}"));
            }
            if self.do_sample == Some(true) {
                return Err("num_beam_groups: expected do_sample = false beside it".to_owned());
            }
        }
        if self.prompt_lookup_num_tokens.is_some()
            && (mode == Mode::Beam || mode == Mode::Contrastive || self.candidates() > 1)
        {
            return Err("prompt_lookup_num_tokens: expected greedy decoding or sampling, of one text".to_owned());
        }
        if self.guidance().is_some() && mode == Mode::Contrastive {
            return Err("guidance_scale: expected no penalty_alpha beside it".to_owned());
        }
        if self.guidance().is_some() && self.prompt_lookup_num_tokens.is_some() {
            return Err("guidance_scale: expected no prompt_lookup_num_tokens beside it".to_owned());
        }
        if mode == Mode::Contrastive && self.top_k.is_none_or(|k| !(2..=1024).contains(&k)) {
            return Err("penalty_alpha: expected top_k from 2 to 1024 beside it".to_owned());
        }
        Ok(())
    }

    /// That alternatives at a position are each continued by the search.
    fn validate_alternatives(&self, mode: Mode) -> Result<(), String> {
        let wrong = match () {
            () if self.do_sample == Some(true) => "do_sample = false",
            () if mode == Mode::Contrastive => "no penalty_alpha",
            () if self.mbr_candidates.is_some() => "no mbr_candidates",
            () if mode == Mode::Beam && self.num_beam_groups.is_some_and(|groups| groups > 1) => "no num_beam_groups",
            () => return Ok(()),
        };
        Err(format!("return_alternatives: expected {wrong} beside it"))
    }

    /// That no token is forced and suppressed at once.
    fn validate_forced(&self) -> Result<(), String> {
        let eos = match &self.forced_eos_token_id {
            Some(ForcedEos::Ids(ids)) => Some(ids),
            _ => None,
        };
        for (name, forced) in [("forced_bos_token_id", self.forced_bos_token_id.as_ref()), ("forced_eos_token_id", eos)]
        {
            let is_suppressed = |id: &&u32| self.suppress_tokens.as_ref().is_some_and(|tokens| tokens.0.contains(id));
            if let Some(id) = forced.and_then(|ids| ids.0.iter().find(is_suppressed)) {
                return Err(format!("{name} = {id}: expected no token of suppress_tokens"));
            }
        }
        Ok(())
    }

    /// With what these options ask for where `do_sample` is not given: options of sampling ask for it, `num_beams`, `penalty_alpha` and
    /// `return_alternatives` for none; and sampling and `penalty_alpha` for no beam, where none is given.
    #[must_use]
    pub fn implied(mut self) -> Self {
        let set = self.to_map();
        if self.do_sample.is_none() {
            let asks_for_none =
                self.num_beams.is_some() || self.penalty_alpha.is_some() || self.return_alternatives == Some(true);
            let asks = OPTIONS.iter().any(|option| option.asks_for_sampling() && set.contains_key(option.name));
            self.do_sample = if asks_for_none { Some(false) } else { asks.then_some(true) };
        }
        if self.do_sample == Some(true) || self.penalty_alpha.is_some() {
            self.num_beams.get_or_insert(1);
        }
        self
    }

    /// The first of some options that has no effect beside the others, and what would give it one.
    pub fn without_effect(
        &self,
        options: impl IntoIterator<Item = &'static DecodingOption>,
    ) -> Option<(&'static str, String)> {
        let (mode, samples, set) = (self.mode(), self.do_sample == Some(true), self.to_map());
        let is_set = |option: &DecodingOption| set.get(option.name).is_some_and(|value| !is_neutral(option, value));
        let advice = |option: &'static DecodingOption| match (option.group, option.name) {
            (
                Group::Beam,
                "num_beams"
                | "num_return_sequences"
                | "mbr_candidates"
                | "mbr_metric"
                | "return_alternatives"
                | "min_alternative_expansion_prob",
            )
            | (Group::Sampling, "do_sample") => None,
            (_, "penalty_alpha") if is_set(option) && mode != Mode::Contrastive => {
                Some(if mode == Mode::Beam { "leave out num_beams" } else { "leave out do_sample" })
            }
            (Group::Beam, _) | (_, "renormalize_logits") if mode != Mode::Beam => Some("add num_beams = 2 or more"),
            (Group::Sampling, "top_k") if mode == Mode::Contrastive => None,
            (Group::Sampling, _) if mode == Mode::Contrastive => Some("leave out penalty_alpha"),
            (Group::Sampling, _) if !samples => Some("add do_sample = true"),
            (_, "mirostat_tau" | "mirostat_eta") if mode == Mode::Beam => Some("leave out num_beams"),
            _ => None,
        };
        let requires = |option: &DecodingOption| find_option(option.requires).filter(|required| !is_set(required));
        // First the one that asks for another search: the others follow from it.
        let mut options: Vec<_> = options.into_iter().collect();
        options.sort_by_key(|option| option.name != "penalty_alpha");
        options.into_iter().find_map(|option| {
            let advice = match (advice(option), requires(option)) {
                (Some(advice), Some(required)) => format!("{advice}, add {}", required.name),
                (Some(advice), None) => advice.to_owned(),
                (None, required) => format!("add {}", required?.name),
            };
            Some((option.name, advice))
        })
    }
}

/// That a value is out of range, or of another type.
fn refusal(option: &DecodingOption, value: &Value) -> String {
    let hint = match (value.as_f64(), option.value) {
        (Some(0.0), _) if !option.zero.is_empty() => format!("; {}", option.zero),
        // All whole numbers are below this.
        (Some(number), ValueType::Integer(_)) if number >= u64::MAX as f64 => ", and below 2^64".to_owned(),
        _ => String::new(),
    };
    format!("{} = {}: expected {}{hint}", option.name, shown(value), option.value.words())
}

/// The first id that a vocabulary of this size does not have.
fn beyond(ids: &Value, vocabulary: usize) -> Option<u64> {
    match ids {
        Value::Array(items) => items.iter().find_map(|item| beyond(item, vocabulary)),
        value => value.as_u64().filter(|&id| id >= vocabulary as u64),
    }
}

/// Whether a value is the default, and so changes nothing.
pub fn is_neutral(option: &DecodingOption, value: &Value) -> bool {
    let default = serde_json::from_str::<Value>(option.default).ok();
    let same = |default: &Value| match (default.as_f64(), value.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => default == value,
    };
    value.is_null() || default.as_ref().is_some_and(same)
}

#[cfg(test)]
mod tests {
    use super::super::values::TokenIds;
    use super::*;
    use serde_json::json;

    #[test]
    fn every_option_is_set_by_its_name_and_a_value_out_of_range_is_named() {
        for option in OPTIONS {
            let mut config = GenerationConfig::default();
            let refused = json!({"none": true});
            let error = config.set(option.name, refused).unwrap_err();
            assert!(error.starts_with(&format!("{} = ", option.name)) && error.contains(": expected "), "{error}");
            assert_eq!(config, GenerationConfig::default());
            for name in option.aliases {
                assert_eq!(find_option(name).map(|found| found.name), Some(option.name));
            }
            assert!(option.help().ends_with('.') && !option.help().contains("  "), "{}", option.name);
        }
        let beam = |change: fn(&mut GenerationConfig)| GenerationConfig::beam(4).with(change).validate();
        assert_eq!(beam(|_| {}), Ok(()));
        type Change = fn(&mut GenerationConfig);
        let bad: [(Change, &str); 10] = [
            (|c| c.num_beams = Some(0), "num_beams = 0: expected a whole number, from 1 to 65536"),
            (|c| c.num_return_sequences = Some(5), "num_return_sequences = 5: expected at most num_beams = 4"),
            (|c| c.length_penalty = Some(f64::NAN), "length_penalty = not finite: expected"),
            (|c| c.temperature = Some(1e-300), "temperature = 1e-300: expected a number, 0.001 or more"),
            (|c| c.top_p = Some(1.5), "top_p = 1.5: expected a number, above 0, to 1"),
            (|c| c.num_beam_groups = Some(3), "num_beam_groups = 3: expected a divisor of num_beams = 4"),
            (|c| c.sequence_bias = Some(vec![(vec![], 1.0)]), "sequence_bias = [[[],1.0]]: expected a list"),
            (
                |c| {
                    c.suppress_tokens = Some(TokenIds(vec![3, 9]));
                    c.forced_eos_token_id = Some(ForcedEos::Ids(TokenIds(vec![9])));
                },
                "forced_eos_token_id = 9: expected no token of suppress_tokens",
            ),
            (|c| c.exponential_decay_length_penalty = Some((1, 0.0)), "exponential_decay_length_penalty = [1,0.0]: "),
            (
                |c| (c.min_new_tokens, c.max_new_tokens) = (Some(9), Some(8)),
                "min_new_tokens = 9: expected at most max_new_tokens = 8",
            ),
        ];
        for (change, says) in bad {
            let error = beam(change).unwrap_err();
            assert!(error.starts_with(says), "{error}");
        }
        let contrastive = GenerationConfig::default().with(|c| c.penalty_alpha = Some(0.6));
        assert!(contrastive.validate().unwrap_err().contains("top_k from 2"));
        assert_eq!(contrastive.with(|c| c.top_k = Some(4)).mode(), Mode::Contrastive);
        let several = GenerationConfig::greedy().with(|c| c.num_return_sequences = Some(2));
        assert!(several.validate().unwrap_err().contains("do_sample = true"));
    }

    #[test]
    fn what_is_set_goes_before_the_base_and_names_tokens_that_there_are() {
        let base = GenerationConfig::beam(4).with(|c| c.suppress_tokens = Some(TokenIds(vec![3])));
        let both = GenerationConfig::default().with(|c| c.num_beams = Some(2)).over(&base);
        assert_eq!((both.num_beams, both.suppress_tokens.clone()), (Some(2), base.suppress_tokens.clone()));
        assert_eq!(both.validate_ids(4), Ok(()));
        assert!(both.validate_ids(3).unwrap_err().starts_with("suppress_tokens: there is no token 3"));
        let biased = GenerationConfig::default().with(|c| c.sequence_bias = Some(vec![(vec![1, 7], 9.0)]));
        assert!(biased.validate_ids(8).is_ok() && biased.validate_ids(7).is_err());
    }
}
