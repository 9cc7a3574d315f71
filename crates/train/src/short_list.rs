//! Short lists learned from pairs, by the lexical translation probabilities of IBM Model 1 (Brown et al. 1993).

use crate::data::{given, kept, source};
use crate::{Error, Texts};
use descant_generate::ShortList;
use descant_inference::{DataConfig, Trained};
use descant_text::{Example, TextError};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::path::PathBuf;

/// Expectation maximisation: what a table of so few words gains from more is little.
const ITERATIONS: usize = 5;
/// Pairs of a token and its translation that are less likely are left out.
const LEAST: f64 = 1e-4;
/// What is learnt from at most. Of more, it is every second, every fourth, and so on of the whole text.
const MOST: Most = Most { pairs: 1 << 20, entries: 1 << 24 };

/// Limits of what is in memory, about a gigabyte together.
#[derive(Clone, Copy)]
struct Most {
    /// Pairs of a source and a target.
    pairs: usize,
    /// Pairs of a token and a translation.
    entries: usize,
}

/// A short list, and what it was learnt from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LearntShortList {
    /// The list.
    pub list: ShortList,
    /// How many pairs it was learnt from.
    pub pairs: usize,
    /// How many the text has, over which these are spread.
    pub of: usize,
}

/// What a short list has.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ShortListConfig {
    /// For each token of a source, at most so many that translate it.
    pub translations: usize,
    /// Tokens that every text may have: the most frequent ones.
    pub common: usize,
}

impl Default for ShortListConfig {
    fn default() -> Self {
        Self { translations: 50, common: 200 }
    }
}

/// Learns a short list from pairs: of these files, one or two parallel ones, or of the training text of a model's recipe without what was held
/// out of it for validation.
///
/// # Errors
/// Where the model is a language model, or has no such text; what is wrong with the text, and where nothing can be learnt from it.
pub fn learn_short_list(
    trained: &Trained,
    files: &[PathBuf],
    config: ShortListConfig,
) -> Result<LearntShortList, Error> {
    let (recipe, run) = (&trained.recipe, trained.run().to_owned());
    if trained.is_language_model() {
        let reason = "a language model has no source to translate: short lists are for encoder-decoders".to_owned();
        return Err(descant_inference::Error::Run { path: run, reason }.into());
    }
    let (text, learnt) = match given(files) {
        Some(files) => {
            let data = recipe.data.clone().unwrap_or_else(|| DataConfig::of(files.clone()));
            (source(&files, &data, recipe, trained.chat.as_ref())?, None)
        }
        None => {
            let texts = Texts::with(recipe, trained.chat.as_ref())?;
            let learnt = texts.learnt(&trained.tokenizers, &run)?;
            (texts.train, learnt)
        }
    };
    let examples: Box<dyn Iterator<Item = Result<Example, TextError>>> = match &learnt {
        Some(corpus) => Box::new(kept(&text, corpus)?),
        None => Box::new(text.examples()?),
    };
    let mut sample = Sample::new(MOST);
    for example in examples {
        let example = example?;
        sample.add(|| {
            let target = trained.tokenizers.target.encode_text(&example.target)?;
            // EOS and the like translate nothing.
            let special = |&id: &u32| trained.tokenizers.source.as_ref().is_some_and(|source| source.is_special(id));
            let mut source = trained.encode(&example.source.unwrap_or_default())?;
            source.retain(|id| !special(id));
            Ok::<_, Error>((source, target))
        })?;
    }
    let of = sample.read;
    let (list, pairs) = learn(sample, config);
    let list = list.map_err(|reason| descant_inference::Error::Run { path: run, reason })?;
    Ok(LearntShortList { list, pairs, of })
}

/// A source and a target.
type Pair = (Vec<u32>, Vec<u32>);

/// Pairs that are spread over a text.
struct Sample {
    pairs: Vec<Pair>,
    /// One of so many is taken.
    every: usize,
    /// How many there were.
    read: usize,
    most: Most,
}

impl Sample {
    fn new(most: Most) -> Self {
        Self { pairs: Vec::new(), every: 1, read: 0, most }
    }

    /// Takes the next pair of the text, if it is its turn.
    fn add<E>(&mut self, pair: impl FnOnce() -> Result<Pair, E>) -> Result<(), E> {
        self.read += 1;
        if !(self.read - 1).is_multiple_of(self.every) {
            return Ok(());
        }
        if self.pairs.len() == self.most.pairs {
            self.halve();
            if !(self.read - 1).is_multiple_of(self.every) {
                return Ok(());
            }
        }
        self.pairs.push(pair()?);
        Ok(())
    }

    /// Leaves out every second pair.
    fn halve(&mut self) {
        let mut place = 0..;
        self.pairs.retain(|_| place.next().is_some_and(|place: usize| place.is_multiple_of(2)));
        self.every *= 2;
    }

    /// A number for each token of a source with a token of its target; half as many pairs as long as these are too many.
    fn numbers(&mut self) -> HashMap<(u32, u32), u32> {
        let mut numbers: HashMap<(u32, u32), u32> = HashMap::new();
        'again: loop {
            for (source, target) in &self.pairs {
                for &token in source {
                    for &translation in target {
                        let next = numbers.len() as u32;
                        numbers.entry((token, translation)).or_insert(next);
                    }
                }
                // One pair alone is learnt from, however long it is.
                if numbers.len() > self.most.entries && self.pairs.len() > 1 {
                    numbers.clear();
                    self.halve();
                    continue 'again;
                }
            }
            return numbers;
        }
    }
}

/// The short list of some pairs of ids, and how many of them it was learnt from.
fn learn(mut sample: Sample, config: ShortListConfig) -> (Result<ShortList, String>, usize) {
    let numbers = sample.numbers();
    let pairs = &sample.pairs[..];
    let mut frequencies: HashMap<u32, usize> = HashMap::new();
    pairs.iter().flat_map(|(_, target)| target).for_each(|&token| *frequencies.entry(token).or_default() += 1);
    let mut common: Vec<u32> = frequencies.keys().copied().collect();
    common.sort_unstable_by_key(|token| (Reverse(frequencies[token]), *token));
    common.truncate(config.common);
    common.sort_unstable();
    let mut translations: HashMap<u32, Vec<(u32, f64)>> = HashMap::new();
    for ((token, translation), probability) in probabilities(pairs, numbers) {
        if probability >= LEAST {
            translations.entry(token).or_default().push((translation, probability));
        }
    }
    let rules = translations.into_iter().map(|(token, mut list)| {
        list.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        list.truncate(config.translations);
        (vec![token], list.into_iter().map(|(translation, _)| translation).collect())
    });
    let none = |_| "no pair has a text: there is nothing to learn a short list from".to_owned();
    (ShortList::new(common, rules).map_err(none), pairs.len())
}

/// The probability of each token of a target given one of its source, by IBM Model 1. A pair of tokens has a number, so that each
/// iteration looks it up once.
fn probabilities(pairs: &[Pair], numbers: HashMap<(u32, u32), u32>) -> impl Iterator<Item = ((u32, u32), f64)> {
    let mut given = vec![0; numbers.len()];
    numbers.iter().for_each(|(&(token, _), &number)| given[number as usize] = token);
    let entries = given.iter().max().map_or(0, |&token| token as usize + 1);
    let mut probabilities = vec![1.0_f64; numbers.len()];
    let (mut counts, mut totals) = (vec![0.0_f64; numbers.len()], vec![0.0_f64; entries]);
    let mut of_pair = Vec::new();
    for _ in 0..ITERATIONS {
        counts.fill(0.0);
        totals.fill(0.0);
        for (source, target) in pairs {
            for &translation in target {
                of_pair.clear();
                of_pair.extend(source.iter().map(|&token| numbers[&(token, translation)] as usize));
                let all: f64 = of_pair.iter().map(|&number| probabilities[number]).sum();
                for &number in &of_pair {
                    let share = probabilities[number] / all.max(f64::MIN_POSITIVE);
                    counts[number] += share;
                    totals[given[number] as usize] += share;
                }
            }
        }
        for (number, probability) in probabilities.iter_mut().enumerate() {
            *probability = counts[number] / totals[given[number] as usize].max(f64::MIN_POSITIVE);
        }
    }
    numbers.into_iter().map(move |(pair, number)| (pair, probabilities[number as usize]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_together_translates_each_other() {
        // Token s translates to 10 s, in another order; 7 is everywhere.
        let pair = |tokens: [u32; 3]| (tokens.to_vec(), [tokens[2] * 10, 7, tokens[0] * 10, tokens[1] * 10].to_vec());
        let pairs: Vec<_> = (0..60).map(|i| pair([1 + i % 5, 1 + (i / 5 + 1) % 5, 1 + (3 * i + 2) % 5])).collect();
        let of = |most: Most| {
            let mut sample = Sample::new(most);
            pairs.iter().for_each(|pair| sample.add(|| Ok::<_, ()>(pair.clone())).unwrap());
            assert_eq!(sample.read, 60);
            let (list, learnt) = learn(sample, ShortListConfig { translations: 1, common: 1 });
            (list.unwrap(), learnt)
        };
        let (list, learnt) = of(MOST);
        assert_eq!(learnt, 60);
        // Of too many, every second, fourth or eighth.
        assert_eq!(of(Most { pairs: 60, ..MOST }).1, 60);
        assert_eq!(of(Most { pairs: 59, ..MOST }).1, 30);
        assert_eq!(of(Most { pairs: 20, ..MOST }).1, 15);
        assert_eq!(of(Most { entries: 30, ..MOST }), (list.clone(), 60));
        assert!(of(Most { entries: 20, ..MOST }).1 < 60);
        let none = learn(Sample::new(MOST), ShortListConfig::default()).0.unwrap_err();
        assert!(none.contains("nothing to learn"), "{none}");
        assert_eq!(list.common(), [7]);
        let rules: Vec<(u32, u32)> = list.rules().iter().map(|(ngram, tokens)| (ngram[0], tokens[0])).collect();
        assert_eq!(rules, [(1, 10), (2, 20), (3, 30), (4, 40), (5, 50)]);
    }
}
