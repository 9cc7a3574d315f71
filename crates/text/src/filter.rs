//! Filters: which examples of a training text are left out of it, and why.

mod length_ratio;

pub use length_ratio::{LengthRatio, median};

use crate::{Place, Script, Text, TextError, example_hash};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

/// The table `[data.filter]` of a recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct FilterConfig {
    /// Characters that each side has at least.
    pub min_characters: usize,
    /// Characters that each side has at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_characters: Option<usize>,
    /// How many times the usual ratio of lengths the ratio of a pair may be, or which part of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length_ratio: Option<f64>,
    /// Whether pairs are left out whose target is their source.
    pub copies: bool,
    /// The script that sources are in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_script: Option<Script>,
    /// The script that targets are in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_script: Option<Script>,
    /// The share of that script in the characters of a text, at least.
    pub script_share: f64,
    /// Whether an example is left out that came before.
    pub duplicates: bool,
}

impl Default for FilterConfig {
    fn default() -> Self {
        Self {
            min_characters: 0,
            max_characters: None,
            length_ratio: None,
            copies: false,
            source_script: None,
            target_script: None,
            script_share: 0.5,
            duplicates: false,
        }
    }
}

impl FilterConfig {
    /// That limits fit each other.
    ///
    /// # Errors
    /// The key, its value, and what it may be.
    pub fn validate(&self) -> Result<(), String> {
        let least = self.min_characters;
        match self.max_characters.filter(|&most| least > most) {
            Some(most) => {
                Err(format!("data.filter.min_characters = {least}: expected at most max_characters = {most}"))
            }
            None => Ok(()),
        }
    }

    /// The first of its keys that is for pairs alone.
    pub fn needs_pairs(&self) -> Option<&'static str> {
        let keys = [
            ("length_ratio", self.length_ratio.is_some()),
            ("copies", self.copies),
            ("source_script", self.source_script.is_some()),
        ];
        keys.into_iter().find(|(_, is_set)| *is_set).map(|(key, _)| key)
    }

    /// Whether anything may be left out.
    pub fn is_active(&self) -> bool {
        self.needs_pairs().is_some()
            || self.min_characters > 0
            || self.max_characters.is_some()
            || self.target_script.is_some()
            || self.duplicates
    }
}

/// The filters of a text.
#[derive(Clone, Debug)]
pub struct Filter {
    pub(crate) config: FilterConfig,
    /// The usual ratio of its lengths, once it is known.
    pub(crate) ratio: Arc<OnceLock<LengthRatio>>,
}

impl Filter {
    /// Whether it has to know the usual ratio of lengths.
    pub(crate) fn needs_ratio(&self) -> bool {
        self.config.length_ratio.is_some()
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.config == other.config
    }
}

impl From<FilterConfig> for Filter {
    fn from(config: FilterConfig) -> Self {
        Self { config, ratio: Arc::default() }
    }
}

/// Lines of what a filter took out that are shown.
const SHOWN: usize = 3;

/// What a filter took out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filtered {
    /// Its key in `[data.filter]`.
    pub filter: String,
    /// How many examples.
    pub count: u64,
    /// The first few of them.
    pub first: Vec<Place>,
}

impl Filtered {
    /// How many examples were taken out by which filter, and where.
    pub(crate) fn told(all: &[Self], files: &[String]) -> String {
        let each = all.iter().map(|Self { filter, count, first }| {
            let mut lines: Vec<String> = first.iter().map(|place| place.told(files)).collect();
            lines.extend((*count > SHOWN as u64).then(|| "…".to_owned()));
            format!("{count} by {filter} ({})", lines.join(", "))
        });
        each.collect::<Vec<_>>().join(", ")
    }
}

/// Takes examples out of a text, in its order.
pub(crate) struct Sieve {
    filter: Filter,
    seen: HashSet<u64>,
    taken: Vec<Filtered>,
    kept: bool,
}

impl Sieve {
    pub(crate) fn new(filter: Filter) -> Self {
        Self { filter, seen: HashSet::new(), taken: Vec::new(), kept: false }
    }

    /// Whether an example is taken out. It counts for the first filter that takes it.
    pub(crate) fn takes(&mut self, source: Option<&Text>, target: &Text, place: Place) -> bool {
        let attributes = source.unwrap_or(target).attributes();
        let Some(filter) = self.filter_of(source.map(Text::to_string).as_deref(), &target.to_string(), attributes)
        else {
            self.kept = true;
            return false;
        };
        let at = self.taken.iter().position(|taken| taken.filter == filter).unwrap_or_else(|| {
            self.taken.push(Filtered { filter: filter.to_owned(), ..Filtered::default() });
            self.taken.len() - 1
        });
        let taken = &mut self.taken[at];
        taken.count += 1;
        if taken.first.len() < SHOWN {
            taken.first.push(place);
        }
        true
    }

    fn filter_of(&mut self, source: Option<&str>, target: &str, attributes: &[String]) -> Option<&'static str> {
        let FilterConfig { min_characters, max_characters, length_ratio, script_share, .. } = self.filter.config;
        let FilterConfig { copies, duplicates, source_script, target_script, .. } = self.filter.config;
        let lengths = [source, Some(target)].map(|side| side.map(|side| side.chars().count()));
        let sides = || lengths.into_iter().flatten();
        let is_other = |script: Option<Script>, text: &str| {
            let share = script.and_then(|script| script.share(text));
            share.is_some_and(|share| share < script_share)
        };
        let is_far = |ratio: &LengthRatio| match lengths {
            [Some(source), Some(target)] => length_ratio.is_some_and(|times| ratio.is_far([source, target], times)),
            _ => false,
        };
        match () {
            () if sides().any(|length| length < min_characters) => Some("min_characters"),
            () if sides().any(|length| max_characters.is_some_and(|most| length > most)) => Some("max_characters"),
            () if self.filter.ratio.get().is_some_and(is_far) => Some("length_ratio"),
            () if copies && source.is_some_and(|source| is_copy(source, target)) => Some("copies"),
            () if source.is_some_and(|source| is_other(source_script, source)) => Some("source_script"),
            () if is_other(target_script, target) => Some("target_script"),
            () if duplicates && !self.seen.insert(example_hash(source, target, attributes)) => Some("duplicates"),
            () => None,
        }
    }

    /// What was taken out so far.
    pub(crate) fn taken(&self) -> &[Filtered] {
        &self.taken
    }

    /// That something was left.
    ///
    /// # Errors
    /// Which filter took how many, of the text of this name and these files.
    pub(crate) fn check(&self, name: String, files: &[String]) -> Result<(), TextError> {
        match self.kept || self.taken.is_empty() {
            true => Ok(()),
            false => Err(TextError::AllFiltered { name, reasons: Filtered::told(&self.taken, files) }),
        }
    }
}

/// Whether a target is its source.
pub fn is_copy(source: &str, target: &str) -> bool {
    let target = target.trim();
    !target.is_empty() && source.trim() == target
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(config: FilterConfig, pairs: &[(&str, &str)]) -> Vec<(String, Vec<u64>)> {
        let filter = Filter::from(config);
        let lengths: Vec<[usize; 2]> =
            pairs.iter().map(|(source, target)| [source.chars().count(), target.chars().count()]).collect();
        filter.ratio.set(LengthRatio::of(&lengths)).unwrap();
        let mut sieve = Sieve::new(filter);
        for (line, (source, target)) in (1..).zip(pairs) {
            sieve.takes(Some(&Text::from(*source)), &Text::from(*target), Place { line, file: 0 });
        }
        let lines = |taken: &Filtered| taken.first.iter().map(|place| place.line).collect();
        sieve.taken().iter().map(|taken| (taken.filter.clone(), lines(taken))).collect()
    }

    #[test]
    fn each_filter_takes_out_what_it_is_for() {
        let long = "a sentence of some length, as many are";
        let pairs = [
            ("one", "eins"),
            (long, "ein Satz von einiger Länge, wie viele"),
            (long, "ein Satz von einiger Länge, wie viele"),
            (long, "Satz"),
            (long, long),
            ("in English", "这是一个中文句子"),
            ("三百六十五天", "in Latin script"),
            ("12.5", "12,5"),
        ];
        let of = |change: fn(&mut FilterConfig)| {
            let mut config = FilterConfig::default();
            change(&mut config);
            taken(config, &pairs)
        };
        let by = |filter: &str, lines: &[u64]| vec![(filter.to_owned(), lines.to_vec())];
        assert_eq!(of(|_| ()), []);
        assert_eq!(of(|config| config.min_characters = 5), by("min_characters", &[1, 4, 8]));
        assert_eq!(of(|config| config.max_characters = Some(30)), by("max_characters", &[2, 3, 4]));
        assert_eq!(of(|config| config.length_ratio = Some(4.0)), by("length_ratio", &[4]));
        assert_eq!(of(|config| config.copies = true), by("copies", &[5]));
        assert_eq!(of(|config| config.duplicates = true), by("duplicates", &[3]));
        assert_eq!(of(|config| config.source_script = Some(Script::Latin)), by("source_script", &[7]));
        assert_eq!(of(|config| config.target_script = Some(Script::Latin)), by("target_script", &[6]));
        let both = of(|config| (config.copies, config.duplicates) = (true, true));
        assert_eq!(both, [by("duplicates", &[3]), by("copies", &[5])].concat());
    }

    #[test]
    fn examples_of_other_attributes_are_no_duplicates() {
        let mut sieve = Sieve::new(FilterConfig { duplicates: true, ..FilterConfig::default() }.into());
        for is_pair in [true, false] {
            let mut takes = |attributes: &[&str]| {
                let attributes = attributes.iter().map(|name| (*name).to_owned()).collect();
                let text = Text::from("tea").with_attributes(attributes);
                match is_pair {
                    true => sieve.takes(Some(&text), &"Tee".into(), Place::default()),
                    false => sieve.takes(None, &text, Place::default()),
                }
            };
            let formal = "<register=formal>";
            assert!(!takes(&[formal]) && !takes(&["<register=informal>"]) && !takes(&[]));
            assert!(takes(&[formal]) && takes(&[]), "again");
        }
    }

    #[test]
    fn names_of_scripts_are_all_there_are() {
        for name in Script::NAMES {
            serde_json::from_value::<Script>(serde_json::json!(name)).unwrap();
        }
        let error = serde_json::from_value::<Script>(serde_json::json!("none")).unwrap_err().to_string();
        assert_eq!(error.matches('`').count(), 2 * (1 + Script::NAMES.len()), "{error}");
    }
}
