//! chrF and chrF++ (Popović 2015, 2017), in the numbers of sacreBLEU.

use crate::metric::{Direction, Metric, Scale};
use crate::ngrams::Ngrams;
use crate::whitespace::{is_space, words};
use std::hash::Hash;

/// The F₂ score of n-grams: of up to 6 characters, white space left out, and of `word_order` words, their precisions and recalls
/// each averaged over the orders that both texts have. With `word_order = 2` it is chrF++.
///
/// The statistics of a text are, for each order, its n-grams, those of the reference that it fits best, and those of both.
#[derive(Clone, Copy, Debug)]
pub struct Chrf {
    /// The longest n-gram of words; 0 for characters alone.
    pub word_order: usize,
}

const CHARACTER_ORDER: usize = 6;
/// The weight of recall against precision.
const BETA: f64 = 2.0;

impl Chrf {
    /// chrF++.
    pub const PLUS_PLUS: Self = Self { word_order: 2 };

    /// Counts the n-grams of a text.
    pub fn count(self, text: &str) -> ChrfText {
        let characters: Vec<char> = text.chars().filter(|&c| !is_space(c)).collect();
        let words = if self.word_order > 0 { words_apart(text) } else { Vec::new() };
        ChrfText {
            characters: Ngrams::up_to(CHARACTER_ORDER, &characters),
            words: Ngrams::up_to(self.word_order, &words),
        }
    }

    /// The [statistics](Metric::statistics) of a text against one reference, both counted by this metric.
    pub fn against(self, hypothesis: &ChrfText, reference: &ChrfText) -> Vec<f64> {
        let characters = hypothesis.characters.iter().zip(&reference.characters).map(|(a, b)| of_order(a, b));
        let words = hypothesis.words.iter().zip(&reference.words).map(|(a, b)| of_order(a, b));
        characters.chain(words).flatten().collect()
    }
}

/// A text with its n-grams counted, to be compared any number of times.
#[derive(Debug)]
pub struct ChrfText {
    characters: Vec<Ngrams<char>>,
    words: Vec<Ngrams<String>>,
}

/// Words with the punctuation at their ends apart.
fn words_apart(text: &str) -> Vec<String> {
    let mut apart = Vec::new();
    for word in words(text) {
        // One end alone, as the original does.
        let at = match (word.chars().next(), word.chars().next_back()) {
            (Some(first), Some(last)) if word.len() > first.len_utf8() => match () {
                () if last.is_ascii_punctuation() => Some(word.len() - 1),
                () if first.is_ascii_punctuation() => Some(1),
                () => None,
            },
            _ => None,
        };
        match at.map(|at| word.split_at(at)) {
            Some((left, right)) => apart.extend([left.to_owned(), right.to_owned()]),
            None => apart.push(word.to_owned()),
        }
    }
    apart
}

/// The n-grams of a text, of its reference, and of both. A reference that has none leaves those of the text out.
fn of_order<T: Clone + Eq + Hash>(hypothesis: &Ngrams<T>, reference: &Ngrams<T>) -> [f64; 3] {
    let own = if reference.total() == 0 { 0 } else { hypothesis.total() };
    [own, reference.total(), hypothesis.matches([reference])].map(|count| count as f64)
}

impl Metric for Chrf {
    fn signature(&self, references: &str) -> String {
        format!("nrefs:{references}|case:mixed|eff:yes|nc:{CHARACTER_ORDER}|nw:{}|space:no", self.word_order)
    }

    fn direction(&self) -> Direction {
        Direction::Larger
    }

    fn scale(&self) -> Scale {
        Scale::Points
    }

    fn statistics(&self, hypothesis: &str, references: &[&str], _source: &str) -> Vec<f64> {
        let hypothesis = self.count(hypothesis);
        let mut best = (f64::NEG_INFINITY, vec![0.0; 3 * (CHARACTER_ORDER + self.word_order)]);
        for reference in references {
            let statistics = self.against(&hypothesis, &self.count(reference));
            let score = self.score(&statistics);
            if score > best.0 {
                best = (score, statistics);
            }
        }
        best.1
    }

    fn score(&self, statistics: &[f64]) -> f64 {
        let (orders, _) = statistics.as_chunks::<3>();
        let shared: Vec<&[f64; 3]> =
            orders.iter().filter(|[own, reference, _]| *own > 0.0 && *reference > 0.0).collect();
        let mean =
            |of: fn(&[f64; 3]) -> f64| shared.iter().map(|order| of(order)).sum::<f64>() / shared.len().max(1) as f64;
        let (precision, recall) = (mean(|[own, _, both]| both / own), mean(|[_, reference, both]| both / reference));
        let square = BETA * BETA;
        match precision + recall > 0.0 {
            true => 100.0 * (1.0 + square) * precision * recall / (square * precision + recall),
            false => 0.0,
        }
    }
}
