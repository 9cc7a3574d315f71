use crate::ConstraintError;
use crate::forbidden_phrases::{CHARACTER, ForbiddenPhrases};
use crate::prompt::{begins_text, tail};
use crate::words::{is_of_word, last_character, places};
use descant_generate::{ConstrainedRow, Constraint, ConstraintState};
use descant_text::{TokenBytes, Tokenizer};
use std::sync::Arc;

/// Words and phrases that texts have to contain, or must not contain, as whole words.
///
/// What is required is generated in the tokens that the tokenizer segments it into, and is known in whatever tokens a text has it. A beam
/// search keeps hypotheses of each number of required tokens beside each other; every search forces what is missing before the maximum
/// length.
#[derive(Clone, Debug)]
pub struct Phrases {
    tokenizer: Arc<Tokenizer>,
    tokens: Arc<Tokens>,
    required: Vec<Arc<Requirement>>,
    forbidden: ForbiddenPhrases,
    /// What is required and forbidden, as the vocabulary writes it.
    named: [Vec<String>; 2],
    ordered: bool,
    warnings: Vec<String>,
}

/// What is known of each token.
#[derive(Debug)]
struct Tokens {
    bytes: TokenBytes,
    /// Whether it goes on with the word before it.
    goes_on: Vec<bool>,
    /// Those that have nothing of a word.
    separators: Vec<u32>,
    has_space: bool,
}

/// A phrase that is required, in all the ways to write it.
#[derive(Debug)]
struct Requirement {
    /// For messages.
    name: String,
    variants: Vec<Variant>,
    /// The same as texts.
    texts: Vec<String>,
}

#[derive(Debug, PartialEq)]
struct Variant {
    tokens: Vec<u32>,
    place: Place,
    ends_with_word: bool,
}

/// Where a variant may stand.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    /// It begins with what parts it from the word before.
    Anywhere,
    /// At the start of a text.
    First,
    /// Where no word ends, in a vocabulary without a space.
    BetweenWords,
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
        let parts = |id: &u32| {
            let text = bytes.get(*id, false).and_then(|bytes| std::str::from_utf8(bytes).ok());
            text.is_some_and(|text| !text.is_empty() && !text.chars().any(is_of_word))
        };
        let ids = 0..bytes.len() as u32;
        let goes_on = ids.clone().map(|id| starts_with_word(id).unwrap_or(false)).collect();
        let separators = ids.filter(parts).collect();
        let has_space = bytes.characters().is_none_or(|all| all.contains(&' '));
        Ok(Self {
            tokenizer: Arc::new(tokenizer.clone()),
            tokens: Arc::new(Tokens { bytes, goes_on, separators, has_space }),
            required: Vec::new(),
            forbidden: ForbiddenPhrases::default(),
            named: [Vec::new(), Vec::new()],
            ordered: false,
            warnings: Vec::new(),
        })
    }

    /// Requires one of these alternatives, such as the inflected forms of a word. Those that the vocabulary cannot write are left out,
    /// with a warning, as long as there are others.
    ///
    /// # Errors
    /// Where the vocabulary can write none of them, for a phrase that is empty, or that is forbidden.
    pub fn require<T: AsRef<str>>(mut self, alternatives: &[T]) -> Result<Self, ConstraintError> {
        let mut variants = Vec::new();
        let (mut texts, mut unwritable) = (Vec::new(), Vec::new());
        if alternatives.iter().any(|one| one.as_ref().trim().is_empty()) {
            return Err(ConstraintError::Phrases("a required phrase is empty".to_owned()));
        }
        for alternative in alternatives.iter().map(|one| one.as_ref().trim()) {
            match self.variants(alternative) {
                Err(error @ ConstraintError::Phrases(_)) => unwritable.push(error),
                found => {
                    variants.extend(found?);
                    let written = self.written(alternative)?;
                    texts.extend([
                        Some(alternative.to_owned()),
                        Some(written.clone()).filter(|text| text != alternative),
                    ]);
                    self.named[0].push(written);
                }
            }
        }
        match (variants.is_empty(), unwritable.into_iter().next()) {
            (true, Some(error)) => return Err(error),
            (true, None) => return Err(ConstraintError::Phrases("a required phrase has no alternatives".to_owned())),
            (false, Some(error)) => self.warnings.push(format!("{error}. The alternatives remain")),
            (false, None) => {}
        }
        let names: Vec<&str> = alternatives.iter().map(|one| one.as_ref().trim()).collect();
        self.required.push(Arc::new(Requirement {
            name: names.join("|"),
            variants,
            texts: texts.into_iter().flatten().collect(),
        }));
        self.check_conflicts()
    }

    /// What of it has no effect.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
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
        let written = self.written(phrase)?;
        if written != phrase {
            self.forbidden.add(&written, &self.tokens.bytes);
        }
        self.named[1].push(written);
        self.check_conflicts()
    }

    /// A phrase as the vocabulary writes it, such as in lower case, where it has all of its characters.
    fn written(&self, phrase: &str) -> Result<String, ConstraintError> {
        let written = self.tokenizer.decode(&self.tokenizer.encode(phrase)?)?;
        let is_known = !written.trim().is_empty() && self.tokenizer.unknown_parts(phrase)?.is_empty();
        Ok(if is_known { written.trim() } else { phrase }.to_owned())
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
            let has = |other: &&String| !places(phrase, other).is_empty();
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
        let has_space = self.tokens.has_space;
        let place = if has_space || !is_of_word(first) { Place::Anywhere } else { Place::BetweenWords };
        let spaced = if is_of_word(first) && has_space { format!(" {phrase}") } else { phrase.to_owned() };
        // As it is segmented within a text.
        let within = self.tokenizer.encode(&format!("a{spaced}"))?;
        let tokens = match within.strip_prefix(&self.tokenizer.encode("a")?[..]) {
            Some(rest) if has_space => rest.to_vec(),
            _ => self.tokenizer.encode_continuation(&spaced)?,
        };
        let later = Variant { tokens, place, ends_with_word };
        let start = Variant { tokens: self.tokenizer.encode(phrase)?, place: Place::First, ends_with_word };
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

    /// The required phrases, for messages.
    fn names(&self) -> String {
        let names: Vec<String> = self.required.iter().map(|one| format!("{:?}", one.name)).collect();
        names.join(", ")
    }

    /// Whether a required phrase can be written only where no word ends.
    fn needs_a_separator(&self, requirement: usize) -> bool {
        let mut places = self.required[requirement].variants.iter().map(|variant| variant.place);
        !places.any(|place| place == Place::Anywhere)
    }

    /// How many bytes at the end of a text decide what comes next.
    fn tail(&self) -> usize {
        let required = self.required.iter().flat_map(|one| &one.texts).map(|text| text.len() + CHARACTER);
        required.max().unwrap_or(0).max(self.forbidden.tail())
    }
}

impl Constraint for Phrases {
    fn start(&self, row: &ConstrainedRow<'_>) -> Result<Box<dyn ConstraintState>, String> {
        let bytes = &self.tokens.bytes;
        let state = PhrasesState {
            met: vec![false; self.required.len()],
            active: Vec::new(),
            open_ended: Vec::new(),
            generated: 0,
            written: 0,
            ends_word: false,
            tail: tail(bytes, row, self.tail()),
            begins_text: begins_text(bytes, row),
            limit: row.limit,
            of: Arc::new(self.clone()),
        };
        let room = if state.ends_with_word() { 0 } else { 1 };
        let only_first = (0..self.required.len()).filter(|&one| self.needs_a_separator(one)).count();
        if self.tokens.separators.is_empty() && only_first > room {
            return Err(format!(
                "{}: a text can have {room} of these words, as the vocabulary has nothing to part words",
                self.names()
            ));
        }
        match state.needed() {
            needed if needed > row.limit => Err(format!(
                "the required phrases {} have {needed} tokens, more than the {} that the text may have",
                self.names(),
                row.limit
            )),
            _ => Ok(Box::new(state)),
        }
    }

    fn name(&self) -> String {
        let names = match &self.named {
            [_, forbidden] if forbidden.is_empty() => "the required phrases",
            [required, _] if required.is_empty() => "the forbidden phrases",
            _ => "the required and forbidden phrases",
        };
        names.to_owned()
    }

    fn is_of_whole_text(&self) -> bool {
        !self.required.is_empty()
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
    /// Requirements with whose words the text ends, in other tokens than their own: they are met unless the word goes on.
    open_ended: Vec<usize>,
    generated: usize,
    /// How many bytes at the end of `tail` are generated.
    written: usize,
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
        self.unmet().take(most)
    }

    /// The variants of a requirement that may start here, by number.
    fn startable(&self, requirement: usize) -> impl Iterator<Item = (usize, &Variant)> {
        let is_start = self.begins_text && self.generated == 0;
        let variants = self.of.required[requirement].variants.iter().enumerate();
        variants.filter(move |(_, variant)| match variant.place {
            Place::Anywhere => true,
            Place::First => is_start,
            Place::BetweenWords => !self.ends_with_word(),
        })
    }

    fn ends_with_word(&self) -> bool {
        last_character(&self.tail).is_some_and(is_of_word)
    }

    /// The fewest tokens of a requirement, where it does not start the text; what parts it from the word before among them.
    fn whole(&self, requirement: usize) -> usize {
        let variants = self.of.required[requirement].variants.iter().filter(|variant| variant.place != Place::First);
        let length = |variant: &Variant| variant.tokens.len() + usize::from(variant.place == Place::BetweenWords);
        variants.map(length).min().unwrap_or(0)
    }

    /// The requirements that are not met, even if the text ends here.
    fn unmet(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.met.len()).filter(|&one| !self.is_met(one))
    }

    fn is_met(&self, requirement: usize) -> bool {
        self.met[requirement] || self.open_ended.contains(&requirement)
    }

    /// Whether too few tokens are left to write again what the next one would make another word.
    fn has_to_part(&self) -> bool {
        let again: usize = self.open_ended.iter().map(|one| self.whole(*one)).sum();
        again > 0 && self.generated + self.missing() + again + 2 > self.limit
    }

    /// The fewest tokens that are missing if the next one leads on to none of them.
    fn missing(&self) -> usize {
        let is_parted = !self.ends_with_word() && self.unmet().any(|one| self.of.needs_a_separator(one));
        self.unmet().map(|one| self.whole(one)).sum::<usize>() - usize::from(is_parted)
    }

    /// The fewest tokens that are missing. Only one of the phrases that the text ends with can go on.
    fn needed(&self) -> usize {
        let saved = self.active.iter().map(|active| self.whole(active.requirement).saturating_sub(self.left(active)));
        self.missing().saturating_sub(saved.max().unwrap_or(0))
    }

    fn left(&self, active: &Active) -> usize {
        self.of.required[active.requirement].variants[active.variant].tokens.len() - active.tokens
    }

    /// How many tokens of what is required it has: of a requirement as many as its shortest variant.
    fn progress(&self) -> usize {
        let met: usize = (0..self.met.len()).filter(|&one| self.is_met(one)).map(|one| self.whole(one)).sum();
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
        let at_start = self.begins_text && self.generated == 0;
        if self.of.tokens.bytes.get(token, at_start).is_some_and(|bytes| !bytes.is_empty()) {
            let goes_on = self.of.tokens.goes_on[token as usize];
            std::mem::take(&mut self.open_ended).into_iter().for_each(|one| self.met[one] |= !goes_on);
        }
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
        let most = self.of.tail();
        if most > 0 {
            let of = self.of.clone();
            self.write(of.tokens.bytes.get(token, at_start).unwrap_or_default());
            self.tail.drain(..self.tail.len().saturating_sub(most));
            self.written = self.written.min(self.tail.len());
        }
    }

    /// Extends the text, and sees what is required in it.
    fn write(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
        self.written += bytes.len();
        let of = self.of.clone();
        for end in self.tail.len() + 1 - bytes.len()..=self.tail.len() {
            let (text, rest) = self.tail.split_at(end);
            let generated = self.written.saturating_sub(rest.len());
            let is_there = |phrase: &&String| {
                let before = text.strip_suffix(phrase.as_bytes()).filter(|_| phrase.len() <= generated);
                let joins = |before: &[u8]| last_character(before).is_some_and(is_of_word);
                before.is_some_and(|before| !(phrase.starts_with(is_of_word) && joins(before)))
            };
            // The first bytes of a character may become one of a word.
            let next = rest.utf8_chunks().next().map(|chunk| chunk.valid().chars().next().is_none_or(is_of_word));
            let mut found = Vec::new();
            for one in self.open() {
                if let Some(phrase) = of.required[one].texts.iter().find(is_there) {
                    found.push((one, phrase.ends_with(is_of_word)));
                }
            }
            for (one, ends_with_word) in found {
                match next {
                    _ if !ends_with_word => self.met[one] = true,
                    None => self.open_ended.push(one),
                    Some(goes_on) => self.met[one] |= !goes_on,
                }
            }
        }
    }
}

impl ConstraintState for PhrasesState {
    fn restrict(&mut self, scores: &mut [f64]) -> Result<(), String> {
        let at_start = self.begins_text && self.generated == 0;
        self.of.forbidden.restrict(&self.tail, at_start, scores);
        if self.ends_word || self.has_to_part() {
            let goes_on = scores.iter_mut().zip(&self.of.tokens.goes_on).filter(|(_, goes_on)| **goes_on);
            goes_on.for_each(|(score, _)| *score = f64::NEG_INFINITY);
        }
        // The last moment to meet what is required, with EOS after it; without separators, the only one.
        let (needed, missing) = (self.needed(), self.missing());
        let separators = &self.of.tokens.separators;
        let is_parted_later = self.unmet().any(|one| self.of.needs_a_separator(one));
        if missing > 0 && (self.generated + missing + 2 > self.limit || is_parted_later && separators.is_empty()) {
            let mut wanted = self.wanted();
            if is_parted_later && self.ends_with_word() {
                wanted.extend(separators);
            }
            wanted.retain(|&token| self.with(token).needed() < needed);
            let kept: Vec<(u32, f64)> =
                wanted.iter().filter_map(|&token| Some((token, *scores.get(token as usize)?))).collect();
            scores.fill(f64::NEG_INFINITY);
            kept.into_iter().for_each(|(token, score)| scores[token as usize] = score);
        }
        Ok(())
    }

    fn push(&mut self, token: u32) -> Result<(), String> {
        self.take(token);
        Ok(())
    }

    fn may_end(&mut self) -> bool {
        self.unmet().next().is_none()
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
