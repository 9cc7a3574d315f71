use std::fmt::Debug;
use std::sync::Arc;

/// What every text has to be, such as a sentence of a grammar, or a text with certain words in it. The search never leaves it: greedy
/// decoding, sampling, beam search and contrastive search choose among the tokens that it allows, and a text ends only where it may.
///
/// Constraints go into [`DecodingOptions::constraints`](crate::DecodingOptions::constraints).
pub trait Constraint: Debug + Send + Sync {
    /// The state before the first token of a row.
    ///
    /// # Errors
    /// Where there is no such text for the row.
    fn start(&self, row: &ConstrainedRow<'_>) -> Result<Box<dyn ConstraintState>, String>;

    /// What it is, for messages, such as "the regular expression".
    fn name(&self) -> String {
        "a constraint".to_owned()
    }

    /// Whether it is of a text as a whole, and says nothing of its parts: a prefix, say, but no forbidden word. The source of such a text
    /// cannot be written in parts.
    fn is_of_whole_text(&self) -> bool {
        true
    }
}

/// What a [`Constraint`] knows of a row.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ConstrainedRow<'a> {
    /// The row's number, such as its line in a file.
    pub number: u64,
    /// The tokens of the source; a language model has none.
    pub source: Option<&'a [u32]>,
    /// The prompt with BOS, or the decoder's start token, with the tokens that are forced after it (`forced_bos_token_id`).
    pub prompt: &'a [u32],
    /// The most new tokens after these, EOS among them.
    pub limit: usize,
}

impl<'a> ConstrainedRow<'a> {
    /// A row with this number.
    pub fn new(number: u64, source: Option<&'a [u32]>, prompt: &'a [u32], limit: usize) -> Self {
        Self { number, source, prompt, limit }
    }
}

/// A [`Constraint`] of a text so far: one for each hypothesis, cloned where beams part.
pub trait ConstraintState: CloneState + Debug + Send + Sync {
    /// Forbids the tokens that may not come next, by a score of `f64::NEG_INFINITY`. EOS is no part of a text: its scores may become
    /// anything.
    ///
    /// # Errors
    /// Where that cannot be said, which ends the generation.
    fn restrict(&mut self, scores: &mut [f64]) -> Result<(), String>;

    /// Takes the next token, which is none that was forbidden, and not EOS.
    ///
    /// # Errors
    /// Where it has no place, which ends the generation.
    fn push(&mut self, token: u32) -> Result<(), String>;

    /// Whether the text may end here.
    fn may_end(&mut self) -> bool;

    /// Tokens by which the text would get on with what it has to contain. A beam search considers them however unlikely they are.
    fn wanted(&self) -> Vec<u32> {
        Vec::new()
    }

    /// How many tokens of what the text has to contain it would have with this one. A beam search keeps hypotheses of each number
    /// (dynamic beam allocation: Post and Vilar 2018, arXiv 1804.06609).
    fn progress_with(&self, token: u32) -> usize {
        let _ = token;
        0
    }
}

/// Clones a state behind the trait; every state that is [`Clone`] does.
pub trait CloneState {
    /// The clone.
    fn boxed(&self) -> Box<dyn ConstraintState>;
}

impl<T: ConstraintState + Clone + 'static> CloneState for T {
    fn boxed(&self) -> Box<dyn ConstraintState> {
        Box::new(self.clone())
    }
}

impl Clone for Box<dyn ConstraintState> {
    fn clone(&self) -> Self {
        (**self).boxed()
    }
}

/// The states of a hypothesis, one for each constraint. Each question names the tokens of the hypothesis: its states first take those that
/// they have not seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConstraintStates {
    /// Those of the hypothesis that this one extends: the last of several that extend it takes them, the others clone them.
    each: Arc<Vec<Box<dyn ConstraintState>>>,
    /// How many tokens of the hypothesis they have, forced ones before the text among them.
    pushed: usize,
    /// Why a token had no place in them: they are asked nothing more.
    failure: Option<String>,
}

impl ConstraintStates {
    /// Before the first token of a row. The first `forced` tokens of a hypothesis are none of the text: they are neither restricted nor
    /// pushed.
    pub(crate) fn start<'c>(
        constraints: impl Iterator<Item = &'c Arc<dyn Constraint>>,
        row: &ConstrainedRow<'_>,
        forced: usize,
    ) -> Result<Self, String> {
        let each = constraints.map(|constraint| constraint.start(row)).collect::<Result<_, _>>()?;
        Ok(Self { each: Arc::new(each), pushed: forced, failure: None })
    }

    /// Whether there is no constraint.
    pub(crate) fn is_empty(&self) -> bool {
        self.each.is_empty()
    }

    /// Whether the next token after these is one of the text.
    fn has_begun(&self, tokens: &[u32]) -> bool {
        tokens.len() >= self.pushed
    }

    /// The states after these tokens.
    fn after(&mut self, tokens: &[u32]) -> Result<&mut [Box<dyn ConstraintState>], String> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let each = Arc::make_mut(&mut self.each);
        for &token in tokens.get(self.pushed..).unwrap_or_default() {
            if let Err(failure) = each.iter_mut().try_for_each(|state| state.push(token)) {
                self.failure = Some(failure.clone());
                return Err(failure);
            }
        }
        self.pushed = self.pushed.max(tokens.len());
        Ok(each)
    }

    /// Forbids what may not come after these tokens, EOS among it.
    pub(crate) fn restrict(&mut self, tokens: &[u32], eos: &[u32], scores: &mut [f64]) -> Result<(), String> {
        if !self.has_begun(tokens) {
            return Ok(());
        }
        let ends: Vec<f64> = eos.iter().map(|&token| scores.get(token as usize).copied().unwrap_or_default()).collect();
        let each = self.after(tokens)?;
        each.iter_mut().try_for_each(|state| state.restrict(scores))?;
        let may_end = each.iter_mut().all(|state| state.may_end());
        for (&token, score) in eos.iter().zip(ends) {
            if let Some(place) = scores.get_mut(token as usize) {
                *place = if may_end { score } else { f64::NEG_INFINITY };
            }
        }
        Ok(())
    }

    /// Whether the text of these tokens may end.
    pub(crate) fn may_end(&mut self, tokens: &[u32]) -> bool {
        self.after(tokens).is_ok_and(|each| each.iter_mut().all(|state| state.may_end()))
    }

    /// Tokens that are wanted after these.
    pub(crate) fn wanted(&mut self, tokens: &[u32]) -> Vec<u32> {
        if self.is_empty() || !self.has_begun(tokens) {
            return Vec::new();
        }
        self.after(tokens).map_or_else(|_| Vec::new(), |each| each.iter().flat_map(|state| state.wanted()).collect())
    }

    /// How many tokens of what the text has to contain it would have with one more after these.
    pub(crate) fn progress_with(&mut self, tokens: &[u32], next: u32) -> usize {
        if !self.has_begun(tokens) {
            return 0;
        }
        self.after(tokens).map_or(0, |each| each.iter().map(|state| state.progress_with(next)).sum())
    }
}
