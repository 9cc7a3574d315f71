//! Subwords by a unigram language model.

use super::entries::special;
use super::subwords::{Alphabet, words};
use crate::catch_panic::caught;
use crate::tokenizer::SPECIAL;
use std::collections::HashSet;
use tokenizers::models::unigram::{Unigram, UnigramTrainer};
use tokenizers::{Result, Tokenizer};

/// Characters of all different words together, at most: the trainer's time is proportional to them, some 50 µs a character.
const MOST_CHARACTERS: usize = 300_000;
/// What no text is better cut into.
const WORST: f64 = -1e3;

/// The trainer of `tokenizers`, given the words in order and one thread, as its sums follow theirs; its result in order, and
/// within the size: all characters, and the best of the longer pieces.
pub(super) fn unigram(
    tokenizer: &Tokenizer,
    add: &[String],
    alphabet: &Alphabet,
    vocabulary: usize,
    texts: &[String],
) -> Result<Unigram> {
    let room = vocabulary - SPECIAL.len();
    let mut pieces: Vec<(String, f64)> = Vec::new();
    // The trainer never ends where it cannot leave characters out.
    if alphabet.len() + 1 < room {
        let words = words(tokenizer, add, alphabet, MOST_CHARACTERS, texts)?;
        let trainer = UnigramTrainer::builder()
            .show_progress(false)
            .special_tokens(special())
            .unk_token(Some(SPECIAL[0].to_owned()))
            .vocab_size(u32::try_from(vocabulary)?)
            .build()?;
        let words: Vec<(String, u32)> =
            words.into_iter().map(|(word, count)| (word, u32::try_from(count).unwrap_or(u32::MAX))).collect();
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
        if !words.is_empty() {
            let train = || {
                let mut model = Unigram::default();
                trainer.do_train(words, &mut model).map(|_| model)
            };
            let model = one.install(|| caught(train)).map_err(|panic| {
                format!("kind = \"unigram\" finds no vocabulary for this text ({panic}). Take kind = \"bpe\"")
            })??;
            pieces.extend(model.iter().skip(SPECIAL.len()).cloned());
        }
    }
    // A text of one word, endlessly, leaves scores that are no numbers.
    pieces.iter_mut().filter(|(_, score)| !score.is_finite()).for_each(|(_, score)| *score = 0.0);
    let known: HashSet<&str> = pieces.iter().map(|(piece, _)| piece.as_str()).collect();
    let least = pieces.iter().map(|(_, score)| *score).fold(0.0, f64::min);
    let missing: Vec<(String, f64)> =
        alphabet.shares().filter(|(character, _)| !known.contains(character.as_str())).collect();
    pieces.extend(missing.into_iter().map(|(character, share)| (character, least + share.ln())));
    settle_rare(&mut pieces);
    pieces.sort_by(|(a, x), (b, y)| y.total_cmp(x).then_with(|| a.cmp(b)));
    let is_character = |piece: &str| piece.chars().nth(1).is_none();
    let mut longer = room.saturating_sub(alphabet.len());
    pieces.retain(|(piece, _)| {
        let kept = is_character(piece) || longer > 0;
        longer -= usize::from(kept && !is_character(piece));
        kept
    });
    let special = SPECIAL.map(|token| (token.to_owned(), WORST));
    Unigram::from(special.into_iter().chain(pieces).collect(), Some(0), false)
}

/// Characters that are no pieces of their own all get about the least score, 0.0001 more for each, in whatever order the
/// trainer met them: deals these scores out in the characters' own order.
fn settle_rare(pieces: &mut [(String, f64)]) {
    let least = pieces.iter().map(|(_, score)| *score).fold(f64::INFINITY, f64::min);
    let mut alone: Vec<&mut (String, f64)> =
        pieces.iter_mut().filter(|(piece, _)| piece.chars().count() == 1).collect();
    let bound = least + 1e-4 * alone.len() as f64;
    alone.retain(|(_, score)| *score <= bound);
    let mut scores: Vec<f64> = alone.iter().map(|(_, score)| *score).collect();
    scores.sort_by(|a, b| b.total_cmp(a));
    alone.sort_by(|(a, _), (b, _)| a.cmp(b));
    alone.iter_mut().zip(scores).for_each(|((_, score), settled)| *score = settled);
}
