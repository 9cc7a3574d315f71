//! From the links of words, as aligners write them, to those of tokens.

use crate::annotations::Links;
use crate::{Text, TextError, Tokenizer};
use std::ops::Range;

/// The words of a text between white space, and which of them each of its tokens is of; control tokens before it are of none.
pub(crate) struct TokenWords {
    words: usize,
    of_token: Vec<Option<usize>>,
}

impl TokenWords {
    /// Those of a text and of its tokens.
    ///
    /// # Errors
    /// Where `tokenizers` fails.
    pub(crate) fn new(tokenizer: &Tokenizer, text: &Text) -> Result<Self, TextError> {
        let said = text.to_string();
        let start = |word: &str| word.as_ptr() as usize - said.as_ptr() as usize;
        let words: Vec<Range<usize>> =
            said.split_whitespace().map(|word| start(word)..start(word) + word.len()).collect();
        let placed = tokenizer.encode_placed(&said, true)?;
        // The first word that ends after the token begins, if it begins before the token ends: white space belongs to the word after it.
        let word = |start: usize, end: usize| {
            let at = words.partition_point(|word| word.end <= start);
            words.get(at).filter(|word| word.start < end).map(|_| at)
        };
        let control = text.attributes().iter().map(|_| None);
        let of_token = control.chain(placed.iter().map(|placed| word(placed.start, placed.end))).collect();
        Ok(Self { words: words.len(), of_token })
    }

    /// The tokens of a word.
    fn tokens(&self, word: u32) -> impl Iterator<Item = u32> + '_ {
        let tokens = (0..).zip(&self.of_token);
        tokens.filter(move |(_, of)| **of == Some(word as usize)).map(|(token, _)| token)
    }
}

/// The links of the tokens of words that have these.
///
/// # Errors
/// A word that a side has not.
pub(crate) fn token_links(links: &Links, [source, target]: [&TokenWords; 2]) -> Result<Links, String> {
    let mut found = Links::new();
    for &[from, to] in links {
        for (word, side, name) in [(from, source, "source"), (to, target, "target")] {
            if word as usize >= side.words {
                let words = side.words;
                return Err(format!(
                    "its alignment has {from}-{to}, and its {name} has {words} words, the first of them 0"
                ));
            }
        }
        found.extend(source.tokens(from).flat_map(|from| target.tokens(to).map(move |to| [from, to])));
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TokenizerConfig, TokenizerKind};

    #[test]
    fn tokens_have_the_links_of_their_words() {
        let text = "the  naïve café, 漢字 stop";
        for kind in TokenizerKind::ALL {
            let config = TokenizerConfig { kind, vocabulary: 290, ..Default::default() };
            let tokenizer = Tokenizer::train(&config, true, (0..30).map(|_| Ok(text.to_owned()))).unwrap();
            let words = TokenWords::new(&tokenizer, &Text::from(text.to_owned())).unwrap();
            let ids = tokenizer.encode(text).unwrap();
            assert_eq!((words.words, words.of_token.len()), (5, ids.len()), "{kind}");
            for (word, expected) in text.split_whitespace().enumerate() {
                let own: Vec<u32> = words.tokens(word as u32).map(|token| ids[token as usize]).collect();
                assert_eq!(tokenizer.decode(&own).unwrap().trim(), expected, "{kind}");
            }
            let short = Text::from("the stop".to_owned()).with_attributes(vec!["<a=b>".to_owned()]);
            let short = TokenWords::new(&tokenizer, &short).unwrap();
            assert_eq!(short.of_token[0], None);
            let links = token_links(&vec![[4, 0], [0, 1]], [&words, &short]).unwrap();
            let expected =
                words.tokens(4).count() * short.tokens(0).count() + words.tokens(0).count() * short.tokens(1).count();
            assert_eq!(links.len(), expected, "{kind}");
            assert!(links.iter().all(|[_, to]| *to > 0), "none of the attribute");
            let error = token_links(&vec![[0, 0], [1, 2]], [&words, &short]).unwrap_err();
            assert_eq!(error, "its alignment has 1-2, and its target has 2 words, the first of them 0");
        }
    }
}
