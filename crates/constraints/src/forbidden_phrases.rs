use crate::words::{is_of_word, last_character};
use descant_text::TokenBytes;
use std::sync::Arc;

/// The most bytes of a character.
pub(crate) const CHARACTER: usize = 4;

/// Phrases that a text must not contain as whole words, with the tokens that would complete each of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct ForbiddenPhrases {
    phrases: Vec<Arc<Phrase>>,
}

#[derive(Debug)]
struct Phrase {
    bytes: Vec<u8>,
    starts_with_word: bool,
    /// After other tokens, and at the start of a text.
    later: Completions,
    first: Option<Completions>,
}

/// The tokens that complete a phrase.
#[derive(Debug)]
struct Completions {
    /// By the number of its bytes that are written.
    after: Vec<Vec<u32>>,
    /// Those that have it in them, after something else.
    within: Vec<u32>,
}

impl ForbiddenPhrases {
    pub(crate) fn add(&mut self, phrase: &str, tokens: &TokenBytes) {
        let completions = |at_start| Completions::new(phrase, tokens, at_start);
        self.phrases.push(Arc::new(Phrase {
            bytes: phrase.as_bytes().to_vec(),
            starts_with_word: phrase.chars().next().is_some_and(is_of_word),
            later: completions(false),
            first: tokens.start_differs().then(|| completions(true)),
        }));
    }

    /// Forbids the tokens that would complete a phrase after these bytes, the last of a text.
    pub(crate) fn restrict(&self, tail: &[u8], at_start: bool, scores: &mut [f64]) {
        let mut forbid = |tokens: &[u32]| {
            for &token in tokens {
                if let Some(score) = scores.get_mut(token as usize) {
                    *score = f64::NEG_INFINITY;
                }
            }
        };
        for phrase in &self.phrases {
            let completions = phrase.first.as_ref().filter(|_| at_start).unwrap_or(&phrase.later);
            forbid(&completions.within);
            for (written, tokens) in completions.after.iter().enumerate() {
                let before = tail.strip_suffix(&phrase.bytes[..written]);
                let is_apart =
                    |before: &[u8]| !phrase.starts_with_word || !last_character(before).is_some_and(is_of_word);
                if before.is_some_and(is_apart) {
                    forbid(tokens);
                }
            }
        }
    }

    /// How many bytes at the end of a text decide what comes next.
    pub(crate) fn tail(&self) -> usize {
        self.phrases.iter().map(|phrase| phrase.bytes.len() + CHARACTER).max().unwrap_or(0)
    }
}

impl Completions {
    fn new(phrase: &str, tokens: &TokenBytes, at_start: bool) -> Self {
        let (bytes, ends_with_word) = (phrase.as_bytes(), phrase.chars().next_back().is_some_and(is_of_word));
        // A word goes on where a character of a word follows; what follows the token is not known.
        let ends = |rest: &[u8]| {
            let next = rest.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next());
            !ends_with_word || !next.is_some_and(is_of_word)
        };
        let starts_with_word = phrase.chars().next().is_some_and(is_of_word);
        let mut found = Self { after: vec![Vec::new(); bytes.len()], within: Vec::new() };
        let mut places = vec![Vec::new(); 256];
        (0..bytes.len()).for_each(|at| places[usize::from(bytes[at])].push(at));
        for id in 0..tokens.len() as u32 {
            let Some(token) = tokens.get(id, at_start).filter(|token| !token.is_empty()) else { continue };
            // Vocabularies are large, and lists of phrases long: most tokens start with no byte of the phrase, and have not its first.
            for &written in &places[usize::from(token[0])] {
                if token.strip_prefix(&bytes[written..]).is_some_and(ends) {
                    found.after[written].push(id);
                }
            }
            let is_within = token[1..].contains(&bytes[0])
                && (1..token.len()).any(|at| {
                    let is_apart = !starts_with_word || !last_character(&token[..at]).is_some_and(is_of_word);
                    is_apart && token[at..].strip_prefix(bytes).is_some_and(ends)
                });
            if is_within {
                found.within.push(id);
            }
        }
        found
    }
}
