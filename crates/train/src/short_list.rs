//! Short lists learned from pairs, by the lexical translation probabilities of IBM Model 1 (Brown et al. 1993).

use crate::data::source;
use crate::{Error, Texts};
use descant_generate::ShortList;
use descant_inference::{DataConfig, Files, Trained};
use std::cmp::Reverse;
use std::collections::HashMap;

/// Expectation maximisation: what a table of so few words gains from more is little.
const ITERATIONS: usize = 5;
/// Pairs of a token and its translation that are less likely are left out.
const LEAST: f32 = 1e-4;
/// The most pairs to learn from: they are held in memory.
const MOST_PAIRS: usize = 1_000_000;

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

/// Learns a short list from pairs: of these files, or of the training text of a model's recipe. Also tells how many pairs it has read.
///
/// # Errors
/// Where the model is a language model, or has no such text; what is wrong with the text.
pub fn learn_short_list(
    trained: &Trained,
    files: Option<[std::path::PathBuf; 2]>,
    config: ShortListConfig,
) -> Result<(ShortList, usize), Error> {
    let (recipe, run) = (&trained.recipe, trained.run().to_owned());
    if trained.is_language_model() {
        let reason = "a language model has no source to translate: short lists are for encoder-decoders".to_owned();
        return Err(descant_inference::Error::Run { path: run, reason }.into());
    }
    let text = match files.map(Files::Two) {
        Some(files) => {
            let data = recipe.data.clone().unwrap_or_else(|| DataConfig::of(files.clone()));
            source(&files, &data, recipe.model.kind, trained.chat.as_ref())?
        }
        None => Texts::with(recipe, trained.chat.as_ref())?.train,
    };
    let mut pairs = Vec::new();
    for example in text.examples()?.take(MOST_PAIRS) {
        let example = example?;
        let target = trained.tokenizers.target.encode_text(&example.target)?;
        // EOS and the like translate nothing.
        let special = |&id: &u32| trained.tokenizers.source.as_ref().is_some_and(|source| source.is_special(id));
        let mut source = trained.encode(&example.source.unwrap_or_default())?;
        source.retain(|id| !special(id));
        pairs.push((source, target));
    }
    Ok((learn(&pairs, config), pairs.len()))
}

/// The short list of some pairs of ids.
fn learn(pairs: &[(Vec<u32>, Vec<u32>)], config: ShortListConfig) -> ShortList {
    let mut frequencies: HashMap<u32, usize> = HashMap::new();
    pairs.iter().flat_map(|(_, target)| target).for_each(|&token| *frequencies.entry(token).or_default() += 1);
    let mut common: Vec<u32> = frequencies.keys().copied().collect();
    common.sort_unstable_by_key(|token| (Reverse(frequencies[token]), *token));
    common.truncate(config.common);
    common.sort_unstable();
    let mut translations: HashMap<u32, Vec<(u32, f32)>> = HashMap::new();
    for ((token, translation), probability) in probabilities(pairs) {
        if probability >= LEAST {
            translations.entry(token).or_default().push((translation, probability));
        }
    }
    let rules = translations.into_iter().map(|(token, mut list)| {
        list.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        list.truncate(config.translations);
        (vec![token], list.into_iter().map(|(translation, _)| translation).collect())
    });
    ShortList::new(common, rules)
}

/// The probability of each token of a target given one of its source, by IBM Model 1. A pair of tokens has a number, so that each
/// iteration looks it up once.
fn probabilities(pairs: &[(Vec<u32>, Vec<u32>)]) -> HashMap<(u32, u32), f32> {
    let mut numbers: HashMap<(u32, u32), u32> = HashMap::new();
    for (source, target) in pairs {
        for &token in source {
            for &translation in target {
                let next = numbers.len() as u32;
                numbers.entry((token, translation)).or_insert(next);
            }
        }
    }
    let mut given = vec![0; numbers.len()];
    numbers.iter().for_each(|(&(token, _), &number)| given[number as usize] = token);
    let entries = given.iter().max().map_or(0, |&token| token as usize + 1);
    let mut probabilities = vec![1.0_f32; numbers.len()];
    let (mut counts, mut totals) = (vec![0.0_f32; numbers.len()], vec![0.0_f32; entries]);
    let mut of_pair = Vec::new();
    for _ in 0..ITERATIONS {
        counts.fill(0.0);
        totals.fill(0.0);
        for (source, target) in pairs {
            for &translation in target {
                of_pair.clear();
                of_pair.extend(source.iter().map(|&token| numbers[&(token, translation)] as usize));
                let all: f32 = of_pair.iter().map(|&number| probabilities[number]).sum();
                for &number in &of_pair {
                    let share = probabilities[number] / all.max(f32::MIN_POSITIVE);
                    counts[number] += share;
                    totals[given[number] as usize] += share;
                }
            }
        }
        for (number, probability) in probabilities.iter_mut().enumerate() {
            *probability = counts[number] / totals[given[number] as usize].max(f32::MIN_POSITIVE);
        }
    }
    numbers.into_iter().map(|(pair, number)| (pair, probabilities[number as usize])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_together_translates_each_other() {
        // Token s translates to 10 s, in another order; 7 is everywhere.
        let pair = |tokens: [u32; 3]| (tokens.to_vec(), [tokens[2] * 10, 7, tokens[0] * 10, tokens[1] * 10].to_vec());
        let pairs: Vec<_> = (0..60).map(|i| pair([1 + i % 5, 1 + (i / 5 + 1) % 5, 1 + (3 * i + 2) % 5])).collect();
        let list = learn(&pairs, ShortListConfig { translations: 1, common: 1 });
        assert_eq!(list.common(), [7]);
        let rules: Vec<(u32, u32)> = list.rules().iter().map(|(ngram, tokens)| (ngram[0], tokens[0])).collect();
        assert_eq!(rules, [(1, 10), (2, 20), (3, 30), (4, 40), (5, 50)]);
    }
}
