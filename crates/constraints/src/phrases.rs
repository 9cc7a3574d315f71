use crate::ConstraintError;
use crate::forbidden_phrases::ForbiddenPhrases;
use crate::words::is_of_word;
use descant_generate::{ConstrainedRow, Constraint, ConstraintState};
use descant_text::{TokenBytes, Tokenizer};
use std::sync::Arc;

/// Words and phrases that texts have to contain, or must not contain, as whole words.
///
/// What is required is generated in the tokens that the tokenizer segments it into. A beam search keeps hypotheses of each number of
/// required tokens beside each other; every search forces what is missing before the maximum length.
#[derive(Clone, Debug)]
pub struct Phrases {
    tokenizer: Arc<Tokenizer>,
    tokens: Arc<Tokens>,
    required: Vec<Arc<Requirement>>,
    forbidden: ForbiddenPhrases,
    /// As texts.
    named: [Vec<String>; 2],
    ordered: bool,
}

/// What is known of each token.
#[derive(Debug)]
struct Tokens {
    bytes: TokenBytes,
    /// Whether it goes on with the word before it.
    goes_on: Vec<bool>,
}

/// A phrase that is required, in all the ways to write it.
#[derive(Debug)]
struct Requirement {
    variants: Vec<Variant>,
}

#[derive(Debug, PartialEq)]
struct Variant {
    tokens: Vec<u32>,
    /// Whether it stands only at the start of a text, where no space is before it.
    is_first: bool,
    ends_with_word: bool,
}

impl Phrases {
    /// None yet, for a tokenizer.
    ///
    /// # Errors
    /// Where its decoding is not the joining of its tokens' bytes.
    pub fn new(tokenizer: &Tokenizer) -> Result<Self, ConstraintError> {
        let bytes = tokenizer.token_bytes()?;
        let starts_with_word = |id: u32| {
            let chunk = bytes.get(id, false)?.utf8_chunks().next()?;
            // The first bytes of a character may become one of a word.
            Some(chunk.valid().chars().next().is_none_or(is_of_word))
        };
        let goes_on = (0..bytes.len() as u32).map(|id| starts_with_word(id).unwrap_or(false)).collect();
        Ok(Self {
            tokenizer: Arc::new(tokenizer.clone()),
            tokens: Arc::new(Tokens { bytes, goes_on }),
            required: Vec::new(),
            forbidden: ForbiddenPhrases::default(),
            named: [Vec::new(), Vec::new()],
            ordered: false,
        })
    }

    /// Requires one of these alternatives, such as the inflected forms of a word.
    ///
    /// # Errors
    /// For a phrase that the vocabulary cannot write, that is empty, or that is forbidden.
    pub fn require<T: AsRef<str>>(mut self, alternatives: &[T]) -> Result<Self, ConstraintError> {
        let mut variants = Vec::new();
        for alternative in alternatives {
            variants.extend(self.variants(alternative.as_ref().trim())?);
            self.named[0].push(alternative.as_ref().trim().to_owned());
        }
        if variants.is_empty() {
            return Err(ConstraintError::Phrases("a required phrase is empty".to_owned()));
        }
        self.required.push(Arc::new(Requirement { variants }));
        self.check_conflicts()
    }

    /// Forbids a phrase. A longer word that begins with it can be generated only where it is a token of its own.
    ///
    /// # Errors
    /// For a phrase that is empty, or that is required.
    pub fn forbid(mut self, phrase: &str) -> Result<Self, ConstraintError> {
        let phrase = phrase.trim();
        if phrase.is_empty() {
            return Err(ConstraintError::Phrases("a forbidden phrase is empty".to_owned()));
        }
        self.forbidden.add(phrase, &self.tokens.bytes);
        self.named[1].push(phrase.to_owned());
        self.check_conflicts()
    }

    /// The required phrases have to come in the order in which they were given.
    #[must_use]
    pub fn in_order(mut self) -> Self {
        self.ordered = true;
        self
    }

    /// That nothing required has something forbidden in it.
    fn check_conflicts(self) -> Result<Self, ConstraintError> {
        let [required, forbidden] = &self.named;
        for phrase in required {
            let has = |other: &&String| {
                phrase.match_indices(other.as_str()).any(|(at, _)| {
                    let (before, after) = (&phrase[..at], &phrase[at + other.len()..]);
                    let joins = |inner: Option<char>, outer: Option<char>| {
                        inner.is_some_and(is_of_word) && outer.is_some_and(is_of_word)
                    };
                    !joins(other.chars().next(), before.chars().next_back())
                        && !joins(other.chars().next_back(), after.chars().next())
                })
            };
            if let Some(other) = forbidden.iter().find(has) {
                return Err(ConstraintError::Phrases(format!(
                    "{phrase:?} is required and has {other:?} in it, which is forbidden. Leave one of them out"
                )));
            }
        }
        Ok(self)
    }

    /// The ways to write a phrase: after a space, and at the start of a text.
    fn variants(&self, phrase: &str) -> Result<Vec<Variant>, ConstraintError> {
        let Some(first) = phrase.chars().next() else { return Ok(Vec::new()) };
        let ends_with_word = phrase.chars().next_back().is_some_and(is_of_word);
        let spaced = if is_of_word(first) { format!(" {phrase}") } else { phrase.to_owned() };
        // As it is segmented within a text.
        let within = self.tokenizer.encode(&format!("a{spaced}"))?;
        let tokens = match within.strip_prefix(&self.tokenizer.encode("a")?[..]) {
            Some(rest) => rest.to_vec(),
            None => self.tokenizer.encode_continuation(&spaced)?,
        };
        let later = Variant { tokens, is_first: false, ends_with_word };
        let start = Variant { tokens: self.tokenizer.encode(phrase)?, is_first: true, ends_with_word };
        for variant in [&later, &start] {
            let is_unknown = |id: &&u32| self.tokens.bytes.get(**id, false).is_none();
            if variant.tokens.is_empty() || variant.tokens.iter().any(|id| is_unknown(&id)) {
                let unknown = self.tokenizer.unknown_parts(phrase)?;
                return Err(ConstraintError::Phrases(format!(
                    "{phrase:?} is required, but the vocabulary cannot write {}",
                    unknown.first().map_or_else(|| "it".to_owned(), |part| format!("{part:?} in it"))
                )));
            }
        }
        let differs = start.tokens != later.tokens;
        Ok([Some(later), Some(start).filter(|_| differs)].into_iter().flatten().collect())
    }

    /// The state before a text of at most so many tokens, EOS among them.
    pub(crate) fn state(&self, begins_text: bool, limit: usize) -> Result<Box<dyn ConstraintState>, String> {
        let state = PhrasesState {
            met: vec![false; self.required.len()],
            active: Vec::new(),
            generated: 0,
            ends_word: false,
            tail: Vec::new(),
            begins_text,
            limit,
            of: Arc::new(self.clone()),
        };
        match state.needed() {
            needed if needed > limit => {
                Err(format!("the required phrases have {needed} tokens, more than the {limit} that the text may have"))
            }
            _ => Ok(Box::new(state)),
        }
    }

    /// Whether what is generated for a row is the start of a text, rather than the continuation of a prompt that writes something.
    pub(crate) fn begins_text(&self, row: &ConstrainedRow<'_>) -> bool {
        row.source.is_some() || row.prompt.iter().all(|&token| self.tokens.bytes.get(token, false).is_none())
    }
}

impl Constraint for Phrases {
    fn start(&self, row: &ConstrainedRow<'_>) -> Result<Box<dyn ConstraintState>, String> {
        self.state(self.begins_text(row), row.limit)
    }
}

/// A part of a required phrase that the text ends with.
#[derive(Clone, Copy, Debug)]
struct Active {
    requirement: usize,
    variant: usize,
    /// How many of its tokens.
    tokens: usize,
}

#[derive(Clone, Debug)]
struct PhrasesState {
    of: Arc<Phrases>,
    /// Of each requirement.
    met: Vec<bool>,
    active: Vec<Active>,
    generated: usize,
    /// Whether a required phrase has just been completed that ends with a word.
    ends_word: bool,
    /// The last bytes of the text.
    tail: Vec<u8>,
    begins_text: bool,
    limit: usize,
}

impl PhrasesState {
    /// The requirements that may be met next.
    fn open(&self) -> impl Iterator<Item = usize> + '_ {
        let most = if self.of.ordered { 1 } else { self.met.len() };
        (0..self.met.len()).filter(|&one| !self.met[one]).take(most)
    }

    /// The variants of a requirement that may start here, by number.
    fn startable(&self, requirement: usize) -> impl Iterator<Item = (usize, &Variant)> {
        let is_start = self.begins_text && self.generated == 0;
        let variants = self.of.required[requirement].variants.iter().enumerate();
        variants.filter(move |(_, variant)| is_start || !variant.is_first)
    }

    /// The fewest tokens of a requirement, where it does not start the text.
    fn whole(&self, requirement: usize) -> usize {
        let variants = self.of.required[requirement].variants.iter().filter(|variant| !variant.is_first);
        variants.map(|variant| variant.tokens.len()).min().unwrap_or(0)
    }

    /// The fewest tokens that are missing if the next one leads on to none of them.
    fn missing(&self) -> usize {
        (0..self.met.len()).filter(|&one| !self.met[one]).map(|one| self.whole(one)).sum()
    }

    /// The fewest tokens that are missing. Only one of the phrases that the text ends with can go on.
    fn needed(&self) -> usize {
        let saved = self.active.iter().map(|active| self.whole(active.requirement).saturating_sub(self.left(active)));
        self.missing() - saved.max().unwrap_or(0)
    }

    fn left(&self, active: &Active) -> usize {
        self.of.required[active.requirement].variants[active.variant].tokens.len() - active.tokens
    }

    /// How many tokens of what is required it has: of a requirement as many as its shortest variant.
    fn progress(&self) -> usize {
        let met: usize = (0..self.met.len()).filter(|&one| self.met[one]).map(|one| self.whole(one)).sum();
        let part = self.active.iter().map(|one| one.tokens.min(self.whole(one.requirement).saturating_sub(1)));
        met + part.max().unwrap_or(0)
    }

    /// The same with one more token.
    fn with(&self, token: u32) -> Self {
        let mut next = self.clone();
        next.take(token);
        next
    }

    fn take(&mut self, token: u32) {
        let mut active = Vec::new();
        let mut done = Vec::new();
        let going_on = self.active.iter().copied().filter(|one| !self.met[one.requirement]);
        let new = self.open().flat_map(|requirement| {
            self.startable(requirement).map(move |(variant, _)| Active { requirement, variant, tokens: 0 })
        });
        for one in going_on.chain(new) {
            let variant = &self.of.required[one.requirement].variants[one.variant];
            if variant.tokens.get(one.tokens) == Some(&token) {
                match one.tokens + 1 == variant.tokens.len() {
                    true => done.push((one.requirement, variant.ends_with_word)),
                    false => active.push(Active { tokens: one.tokens + 1, ..one }),
                }
            }
        }
        self.ends_word = done.iter().any(|(_, ends_with_word)| *ends_with_word);
        done.iter().for_each(|(requirement, _)| self.met[*requirement] = true);
        // A longer word that begins with a phrase that is complete does not go on: it would not be that phrase.
        let next = |one: &Active| self.of.required[one.requirement].variants[one.variant].tokens[one.tokens];
        let goes_on = |one: &Active| self.of.tokens.goes_on[next(one) as usize];
        active.retain(|one| !(self.met[one.requirement] || self.ends_word && goes_on(one)));
        self.active = active;
        self.generated += 1;
    }
}

impl ConstraintState for PhrasesState {
    fn restrict(&mut self, scores: &mut [f64]) -> Result<(), String> {
        let at_start = self.begins_text && self.generated == 0;
        self.of.forbidden.restrict(&self.tail, at_start, scores);
        if self.ends_word {
            let goes_on = scores.iter_mut().zip(&self.of.tokens.goes_on).filter(|(_, goes_on)| **goes_on);
            goes_on.for_each(|(score, _)| *score = f64::NEG_INFINITY);
        }
        // The last moment to meet what is required, with EOS after it.
        let (needed, missing) = (self.needed(), self.missing());
        if missing > 0 && self.generated + missing + 2 > self.limit {
            let mut wanted = self.wanted();
            wanted.retain(|&token| self.with(token).needed() < needed);
            let kept: Vec<(u32, f64)> =
                wanted.iter().filter_map(|&token| Some((token, *scores.get(token as usize)?))).collect();
            scores.fill(f64::NEG_INFINITY);
            kept.into_iter().for_each(|(token, score)| scores[token as usize] = score);
        }
        Ok(())
    }

    fn push(&mut self, token: u32) -> Result<(), String> {
        let at_start = self.begins_text && self.generated == 0;
        let most = self.of.forbidden.tail();
        if most > 0 {
            self.tail.extend_from_slice(self.of.tokens.bytes.get(token, at_start).unwrap_or_default());
            self.tail.drain(..self.tail.len().saturating_sub(most));
        }
        self.take(token);
        Ok(())
    }

    fn may_end(&mut self) -> bool {
        self.met.iter().all(|met| *met)
    }

    fn wanted(&self) -> Vec<u32> {
        let next =
            |active: &Active| self.of.required[active.requirement].variants[active.variant].tokens[active.tokens];
        let first =
            self.open().flat_map(|one| self.startable(one)).filter_map(|(_, variant)| variant.tokens.first().copied());
        self.active.iter().map(next).chain(first).collect()
    }

    fn progress_with(&self, token: u32) -> usize {
        self.with(token).progress()
    }
}
