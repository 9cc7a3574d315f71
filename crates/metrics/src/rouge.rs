//! ROUGE (Lin 2004), in the numbers of rouge-score without its stemmer.

use crate::metric::{Direction, Metric, Scale};
use crate::ngrams::Ngrams;
use std::collections::HashMap;

/// What texts are compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RougeKind {
    /// Words: `rouge1`.
    Unigrams,
    /// Two adjacent words: `rouge2`.
    Bigrams,
    /// The longest common subsequence: `rougeL`.
    Subsequence,
    /// The same, line by line of the reference: `rougeLsum`.
    Lines,
}

/// The mean over all texts of the F₁ score, of several references that with the largest. Words are runs of `a` to `z` and digits in lower case:
/// texts of other scripts have none.
///
/// The statistics of a text are its score, and 1.
#[derive(Clone, Copy, Debug)]
pub struct Rouge {
    /// What texts are compared by.
    pub kind: RougeKind,
}

impl Rouge {
    fn f1(self, hypothesis: &str, reference: &str) -> f64 {
        match self.kind {
            RougeKind::Unigrams => by_ngrams(1, hypothesis, reference),
            RougeKind::Bigrams => by_ngrams(2, hypothesis, reference),
            RougeKind::Subsequence => {
                let (hypothesis, reference) = (words(hypothesis), words(reference));
                f1(common(&reference, &hypothesis).len(), hypothesis.len(), reference.len())
            }
            RougeKind::Lines => by_lines(hypothesis, reference),
        }
    }
}

impl Metric for Rouge {
    fn signature(&self, references: &str) -> String {
        format!("nrefs:{references}|case:lc|stem:no")
    }

    fn direction(&self) -> Direction {
        Direction::Larger
    }

    fn scale(&self) -> Scale {
        Scale::Fraction
    }

    fn statistics(&self, hypothesis: &str, references: &[&str], _source: &str) -> Vec<f64> {
        vec![references.iter().map(|reference| self.f1(hypothesis, reference)).fold(0.0, f64::max), 1.0]
    }

    fn score(&self, statistics: &[f64]) -> f64 {
        match *statistics {
            [sum, texts] if texts > 0.0 => sum / texts,
            _ => 0.0,
        }
    }
}

fn words(text: &str) -> Vec<String> {
    let text = text.to_lowercase();
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.split(|c| !is_word(c)).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn f1(matches: usize, of_hypothesis: usize, of_reference: usize) -> f64 {
    let (precision, recall) =
        (matches as f64 / of_hypothesis.max(1) as f64, matches as f64 / of_reference.max(1) as f64);
    if matches == 0 { 0.0 } else { 2.0 * precision * recall / (precision + recall) }
}

fn by_ngrams(order: usize, hypothesis: &str, reference: &str) -> f64 {
    let [hypothesis, reference] = [hypothesis, reference].map(|text| Ngrams::new(&words(text), order));
    f1(hypothesis.matches([&reference]), hypothesis.total(), reference.total())
}

/// Where the words of a longest common subsequence stand in the reference; of several, the one that leaves out words of the reference
/// first, from its end.
fn common(reference: &[String], hypothesis: &[String]) -> Vec<usize> {
    // Its length for all words of the hypothesis up to each, row by row of the reference; and where it leaves out a word of the hypothesis
    // rather than of the reference, a bit each, as texts of 10,000 words have 10⁸.
    let columns = hypothesis.len();
    let mut lengths = vec![0_u32; columns + 1];
    let mut leaves = vec![0_u64; (reference.len() * columns).div_ceil(64)];
    for (i, word) in reference.iter().enumerate() {
        let mut before = 0;
        for (j, other) in hypothesis.iter().enumerate() {
            let (left, above) = (lengths[j], lengths[j + 1]);
            lengths[j + 1] = if word == other { before + 1 } else { left.max(above) };
            before = above;
            let cell = i * columns + j;
            leaves[cell / 64] |= u64::from(left > above) << (cell % 64);
        }
    }
    let (mut i, mut j, mut places) = (reference.len(), hypothesis.len(), Vec::new());
    while i > 0 && j > 0 {
        let cell = (i - 1) * columns + j - 1;
        if reference[i - 1] == hypothesis[j - 1] {
            (i, j) = (i - 1, j - 1);
            places.push(i);
        } else if leaves[cell / 64] >> (cell % 64) & 1 == 1 {
            j -= 1;
        } else {
            i -= 1;
        }
    }
    places
}

/// Each line of the reference finds its words in the common subsequences with all lines of the hypothesis; no word counts more often than
/// either text has it.
fn by_lines(hypothesis: &str, reference: &str) -> f64 {
    let lines = |text: &str| text.split('\n').filter(|line| !line.is_empty()).map(words).collect::<Vec<_>>();
    let (hypothesis, reference) = (lines(hypothesis), lines(reference));
    let count = |lines: &[Vec<String>]| lines.iter().map(Vec::len).sum::<usize>();
    let mut left: [HashMap<&str, usize>; 2] = [&hypothesis, &reference].map(|lines| {
        let mut counts = HashMap::new();
        lines.iter().flatten().for_each(|word| *counts.entry(word.as_str()).or_insert(0) += 1);
        counts
    });
    let mut matches = 0;
    for line in &reference {
        let mut places: Vec<usize> = hypothesis.iter().flat_map(|other| common(line, other)).collect();
        places.sort_unstable();
        places.dedup();
        for word in places.into_iter().map(|place| line[place].as_str()) {
            if left.iter().all(|counts| counts.get(word).is_some_and(|&count| count > 0)) {
                left.iter_mut().filter_map(|counts| counts.get_mut(word)).for_each(|count| *count -= 1);
                matches += 1;
            }
        }
    }
    f1(matches, count(&hypothesis), count(&reference))
}
