//! Likenesses of two texts, from 0 to 1, as sacreBLEU has them.

use descant_generate::MbrMetric;
use std::collections::HashMap;
use std::hash::Hash;

/// A text as a metric compares it.
#[derive(Debug)]
pub(crate) enum Profile {
    Characters(Ngrams<char>),
    Words(Ngrams<String>),
    Whole(String),
}

impl Profile {
    pub(crate) fn new(metric: MbrMetric, text: &str) -> Self {
        match metric {
            MbrMetric::Chrf => {
                Self::Characters(Ngrams::new(&text.chars().filter(|c| !c.is_whitespace()).collect::<Vec<_>>(), 6))
            }
            MbrMetric::Bleu => {
                Self::Words(Ngrams::new(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>(), 4))
            }
            MbrMetric::Exact => Self::Whole(text.trim().to_owned()),
        }
    }

    /// How like a reference it is, by the same metric.
    pub(crate) fn likeness(&self, reference: &Self) -> f64 {
        match (self, reference) {
            (Self::Characters(text), Self::Characters(reference)) => chrf(text, reference),
            (Self::Words(text), Self::Words(reference)) => bleu(text, reference),
            (Self::Whole(text), Self::Whole(reference)) => f64::from(text == reference),
            _ => 0.0,
        }
    }
}

/// How often each n-gram of each order stands in a text.
#[derive(Debug)]
pub(crate) struct Ngrams<T> {
    length: usize,
    /// From the first order on.
    counts: Vec<HashMap<Vec<T>, usize>>,
}

/// Of one order: the n-grams of a text, of its reference, and of both.
struct Matches {
    text: f64,
    reference: f64,
    both: f64,
}

impl<T: Clone + Eq + Hash> Ngrams<T> {
    fn new(tokens: &[T], orders: usize) -> Self {
        let of_order = |order: usize| {
            let mut counts = HashMap::new();
            tokens.windows(order).for_each(|ngram| *counts.entry(ngram.to_vec()).or_insert(0) += 1);
            counts
        };
        Self { length: tokens.len(), counts: (1..=orders).map(of_order).collect() }
    }

    fn matches(&self, reference: &Self) -> impl Iterator<Item = Matches> {
        let total = |counts: &HashMap<Vec<T>, usize>| counts.values().sum::<usize>() as f64;
        self.counts.iter().zip(&reference.counts).map(move |(own, other)| {
            let both =
                own.iter().map(|(ngram, &count)| count.min(other.get(ngram).copied().unwrap_or(0))).sum::<usize>();
            Matches { text: total(own), reference: total(other), both: both as f64 }
        })
    }
}

/// chrF2: of the mean precision and the mean recall over the orders that both texts have.
fn chrf(text: &Ngrams<char>, reference: &Ngrams<char>) -> f64 {
    const BETA: f64 = 2.0;
    let (mut precision, mut recall, mut orders) = (0.0, 0.0, 0.0);
    for Matches { text, reference, both } in text.matches(reference).filter(|of| of.text > 0.0 && of.reference > 0.0) {
        precision += both / text;
        recall += both / reference;
        orders += 1.0;
    }
    let (precision, recall) = (precision / f64::max(orders, 1.0), recall / f64::max(orders, 1.0));
    let square = BETA * BETA;
    match precision + recall > 0.0 {
        true => (1.0 + square) * precision * recall / (square * precision + recall),
        false => 0.0,
    }
}

/// BLEU of one sentence: over the orders that it has, those without a match smoothed exponentially.
fn bleu(text: &Ngrams<String>, reference: &Ngrams<String>) -> f64 {
    let orders: Vec<Matches> = text.matches(reference).take_while(|of| of.text > 0.0).collect();
    if orders.iter().all(|of| of.both == 0.0) {
        return 0.0;
    }
    let mut smooth = 1.0;
    let mut precision = |of: &Matches| match of.both > 0.0 {
        true => of.both / of.text,
        false => {
            smooth *= 2.0;
            1.0 / (smooth * of.text)
        }
    };
    let mean = orders.iter().map(|of| precision(of).ln()).sum::<f64>() / orders.len() as f64;
    let brevity = f64::min(0.0, 1.0 - reference.length as f64 / text.length as f64);
    (brevity + mean).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_those_of_sacrebleu() {
        // CHRF().sentence_score and BLEU(effective_order=True, tokenize="none").sentence_score, over 100.
        for (text, reference, of_characters, of_words) in CASES {
            let of = |metric| Profile::new(metric, text).likeness(&Profile::new(metric, reference));
            let told = format!("{text:?}, {reference:?}: {} {}", of(MbrMetric::Chrf), of(MbrMetric::Bleu));
            assert!((of(MbrMetric::Chrf) - of_characters).abs() < 1e-6, "{told}");
            assert!((of(MbrMetric::Bleu) - of_words).abs() < 1e-6, "{told}");
            assert_eq!(of(MbrMetric::Exact), f64::from(text == reference), "{told}");
        }
    }

    const CASES: [(&str, &str, f64, f64); 7] = [
        ("the cat sat on the mat", "the cat sat on the mat", 1.00000000, 1.00000000),
        ("the cat sat", "the cat sat on the mat", 0.49593484, 0.36787944),
        ("a dog ran in the park today", "the dog ran through the park", 0.41685810, 0.18575058),
        ("xyz", "abc", 0.00000000, 0.00000000),
        ("他昨天在北京", "他今天在北京", 0.37777778, 0.00000000),
        ("a b c d e f g", "g f e d c b a", 0.16666667, 0.10682175),
        ("the the the the", "the cat", 0.17868922, 0.15973578),
    ];
}
