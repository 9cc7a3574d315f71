//! The settings of a sweep's runs: all combinations of some values of some keys, or some of them.

use descant_autograd::derive_seed;
use std::collections::BTreeSet;

/// A key of a recipe, and the values that it takes in turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variation {
    /// Its name.
    pub key: String,
    /// The values, as `--set` takes them.
    pub values: Vec<String>,
}

impl Variation {
    /// Reads `key=v1,v2,…`. What lies between brackets, braces or quotes is one value.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected = || format!("{text}: expected key=v1,v2,…, such as train.learning_rate=1e-3,3e-3");
        let (key, values) = text.split_once('=').ok_or_else(expected)?;
        let values: Vec<String> = split(values).iter().map(|value| value.trim().to_owned()).collect();
        if key.trim().is_empty() || values.iter().any(String::is_empty) {
            return Err(expected());
        }
        match values.iter().enumerate().find(|(i, value)| values[..*i].contains(value)) {
            Some((_, twice)) => Err(format!("{text}: the value {twice} is there twice")),
            None => Ok(Self { key: key.trim().to_owned(), values }),
        }
    }
}

/// At the commas that lie between no brackets, braces or quotes.
fn split(values: &str) -> Vec<String> {
    let (mut parts, mut depth, mut quote) = (vec![String::new()], 0_usize, None);
    for c in values.chars() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '[' | '{') => depth += 1,
            (None, ']' | '}') => depth = depth.saturating_sub(1),
            (None, ',') if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().into_iter().for_each(|part| part.push(c));
    }
    parts
}

/// The most runs of a sweep.
const MOST: usize = 10_000;

/// The settings of each run: all combinations, the last key changing the fastest, or `random` different ones of them.
///
/// # Errors
/// Where there are none, or too many; a key that is there twice.
pub(super) fn combinations(
    variations: &[Variation],
    random: Option<usize>,
    seed: u64,
) -> Result<Vec<Vec<String>>, String> {
    if let Some(twice) = (1..variations.len()).find(|&i| variations[..i].iter().any(|one| one.key == variations[i].key))
    {
        return Err(format!("{} varies twice. Name all of its values at once", variations[twice].key));
    }
    let all = variations.iter().try_fold(1_usize, |all, variation| all.checked_mul(variation.values.len()));
    let count = random.unwrap_or(usize::MAX).min(all.unwrap_or(usize::MAX));
    if count > MOST {
        return Err(format!("these are more than {MOST} runs. Take some of them, by --random N, or fewer values"));
    }
    if count == 0 {
        return Err("there is nothing to train: a key has no values, or none are to be drawn".to_owned());
    }
    let numbers: Vec<usize> = match all.filter(|&all| all <= count) {
        Some(all) => (0..all).collect(),
        None => {
            let mut seen = BTreeSet::new();
            let draw = |i| derive_seed(seed, i) as usize % all.unwrap_or(usize::MAX);
            (0..).map(draw).filter(|&number| seen.insert(number)).take(count).collect()
        }
    };
    let settings = |mut number: usize| {
        let setting = |variation: &Variation| {
            let value = &variation.values[number % variation.values.len()];
            number /= variation.values.len();
            format!("{}={value}", variation.key)
        };
        let mut settings: Vec<String> = variations.iter().rev().map(setting).collect();
        settings.reverse();
        settings
    };
    Ok(numbers.into_iter().map(settings).collect())
}

/// The longest name of a folder.
const LONGEST: usize = 120;

/// The name of a run's folder: its settings, as far as file systems and shells take them.
pub(super) fn folder_name(settings: &[String]) -> String {
    let all = settings.join(",");
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.=,+".contains(c);
    let plain: String = all.chars().map(|c| if is_plain(c) { c } else { '_' }).take(LONGEST).collect();
    // Others may be the same but for what is left out.
    if plain == all { plain } else { format!("{plain}-{:08x}", crc32fast::hash(all.as_bytes())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Variation {
        Variation::parse(text).unwrap()
    }

    #[test]
    fn values_are_cut_at_commas_outside_of_brackets_and_quotes() {
        assert_eq!(read("train.learning_rate=1e-3,3e-3").values, ["1e-3", "3e-3"]);
        assert_eq!(read("optimizer.betas=[0.9, 0.98],[0.9, 0.999]").values, ["[0.9, 0.98]", "[0.9, 0.999]"]);
        assert_eq!(read("train.clip={ norm = 1.0 },'none'").values, ["{ norm = 1.0 }", "'none'"]);
        assert_eq!(read("data.train=\"a,b.txt\",c.txt").values, ["\"a,b.txt\"", "c.txt"]);
        for wrong in ["train.steps", "train.steps=", "=3", "train.steps=1,,2", "train.steps=1,2,1"] {
            assert!(Variation::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_grid_has_all_combinations_and_a_random_search_different_ones_of_them() {
        let variations = [read("a=1,2"), read("b=x,y,z")];
        let grid = combinations(&variations, None, 1).unwrap();
        let words: Vec<String> = grid.iter().map(|settings| settings.join(" ")).collect();
        assert_eq!(words, ["a=1 b=x", "a=1 b=y", "a=1 b=z", "a=2 b=x", "a=2 b=y", "a=2 b=z"]);
        assert_eq!(combinations(&variations, Some(6), 1).unwrap(), grid);
        assert_eq!(combinations(&variations, Some(60), 1).unwrap(), grid);
        let some = combinations(&variations, Some(4), 1).unwrap();
        assert!(some.iter().all(|settings| grid.contains(settings)));
        assert_eq!(some.iter().collect::<BTreeSet<_>>().len(), 4);
        assert_eq!(some, combinations(&variations, Some(4), 1).unwrap());
        assert!((2..20).any(|seed| combinations(&variations, Some(4), seed).unwrap() != some));
        assert!(combinations(&[read("a=1"), read("a=2")], None, 1).unwrap_err().contains("a varies twice"));
        let many: Vec<Variation> = (0..70).map(|i| read(&format!("k{i}=1,2"))).collect();
        assert!(combinations(&many, None, 1).unwrap_err().contains("--random"));
        assert_eq!(combinations(&many, Some(3), 1).unwrap().len(), 3);
    }

    #[test]
    fn names_of_folders_are_plain_and_different() {
        let name = |text: &str| folder_name(&[text.to_owned()]);
        assert_eq!(name("train.learning_rate=1e-3"), "train.learning_rate=1e-3");
        assert_ne!(name("a=x/y"), name("a=x:y"));
        let long = |end: &str| name(&format!("a={}{end}", "x".repeat(400)));
        assert!(long("1") != long("2") && long("1").len() < 140);
        assert!(!name("a=../../b").contains('/'));
    }
}
