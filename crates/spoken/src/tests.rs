//! What holds for the data as a whole.

use super::*;
use crate::number::Number;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// What a table says: in each line two numbers, as they are written together, and their spoken form.
pub(crate) fn spoken_forms(table: &str) -> impl Iterator<Item = (u64, u64, &str)> {
    table.lines().map(|line| {
        let (written, spoken) = line.split_once(' ').unwrap();
        let (first, second) = written.split_once(['/', ':', '.']).unwrap();
        (first.parse().unwrap(), second.parse().unwrap(), spoken)
    })
}

/// The number that is written so, in digits.
pub(crate) fn parsed(written: &str) -> Number {
    let (negative, digits) = written.strip_prefix('-').map_or((false, written), |digits| (true, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    Number { negative, ..Number::with_fraction(whole.parse().unwrap(), fraction) }
}

fn examples(seed: u64, part: Part, count: usize) -> Vec<Example> {
    Generator::new(seed, part).take(count).collect()
}

#[test]
fn held_out_numbers_and_sentences_never_occur_in_training() {
    let train = examples(1, Part::Train, 20_000);
    let held_out = examples(2, Part::HeldOut, 1_000);
    let values = |examples: &[Example]| -> HashSet<(Kind, String)> {
        examples.iter().flat_map(|example| example.values.iter().cloned()).collect()
    };
    let (train_values, held_out_values) = (values(&train), values(&held_out));
    assert!(train_values.len() > 10_000 && held_out_values.len() > 500);
    assert!(train_values.is_disjoint(&held_out_values));

    // More than asked: not even in a slot of another kind.
    let digits =
        |values: &HashSet<(Kind, String)>| -> HashSet<String> { values.iter().map(|(_, v)| v.clone()).collect() };
    assert!(digits(&train_values).is_disjoint(&digits(&held_out_values)));

    let sentences: HashSet<&str> = train.iter().map(|example| &*example.written).collect();
    let seen: Vec<_> = held_out.iter().filter(|example| sentences.contains(&*example.written)).collect();
    assert!(seen.is_empty(), "{seen:?}");
}

#[test]
fn a_sentence_has_one_spoken_form() {
    let mut forms: HashMap<String, String> = HashMap::new();
    for example in examples(3, Part::Train, 40_000).into_iter().chain(examples(4, Part::HeldOut, 10_000)) {
        let form = forms.entry(example.written.clone()).or_insert_with(|| example.spoken.clone());
        assert_eq!(*form, example.spoken, "{}", example.written);
    }
    assert!(forms.len() > 40_000, "only {} different sentences", forms.len());
}

/// A number alone does not say whose it is.
#[test]
fn the_language_of_every_source_is_seen() {
    let mut tagged = HashMap::new();
    for example in examples(8, Part::Train, 20_000) {
        assert_eq!(Language::of(&example.written), example.language, "{}", example.written);
        assert!(!example.spoken.starts_with('<'), "{}", example.spoken);
        *tagged.entry((example.language, without_tag(&example) != example.written)).or_insert(0) += 1;
    }
    assert!(tagged.len() == 4 && tagged.values().all(|count| *count > 1000), "{tagged:?}");
    assert_eq!(Language::of("1998"), Language::English);
    assert_eq!(Language::of("5 km路"), Language::Chinese);
    assert_eq!(Language::of("<en> 5 km路"), Language::English);
}

fn without_tag(example: &Example) -> &str {
    example.written.strip_prefix(example.language.tag()).map_or(&*example.written, str::trim_start)
}

#[test]
fn the_seed_decides() {
    assert_eq!(examples(7, Part::Train, 100), examples(7, Part::Train, 100));
    assert_ne!(examples(7, Part::Train, 100), examples(8, Part::Train, 100));
}

#[test]
fn sentences_are_short_and_all_numbers_are_spoken() {
    let mut lengths: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for example in examples(5, Part::Train, 20_000) {
        let written = without_tag(&example);
        let (length, longest) = (written.chars().count(), example.language.longest());
        assert!(length <= longest.0, "{written}");
        assert!(example.spoken.chars().count() <= longest.1, "{}", example.spoken);
        assert!(!example.spoken.chars().any(|c| c.is_ascii_digit()), "{}", example.spoken);
        assert_eq!(written == example.spoken, example.values.is_empty(), "{written}");
        assert_eq!(written.trim(), written, "space at an edge");
        assert!(!written.contains("  ") && !written.contains(" . "), "{written:?}");
        lengths
            .entry(if example.language == Language::English { "English" } else { "Chinese" })
            .or_default()
            .push(length);
    }
    let (english, chinese) = (lengths["English"].len(), lengths["Chinese"].len());
    assert!((11_500..12_500).contains(&english), "{english} English sentences of {}", english + chinese);
}

#[test]
fn the_values_are_those_that_are_written() {
    let in_other_digits = [Kind::Money, Kind::Date, Kind::Year, Kind::Time, Kind::Phone, Kind::Code, Kind::Fraction];
    for example in examples(10, Part::Train, 20_000) {
        let written = example.written.replace(',', "").replace('~', "-");
        for (kind, value) in &example.values {
            // The whole amount of 3.5 million is a value too, and that of 1亿2300 the only one.
            let is_whole_amount = value.ends_with('0') || written.contains(['万', '亿', '兆']);
            assert!(
                in_other_digits.contains(kind) || is_whole_amount || written.contains(value.trim_start_matches('0')),
                "{example:?}"
            );
        }
    }
}

#[test]
fn every_kind_occurs_in_both_parts_and_languages() {
    for part in [Part::Train, Part::HeldOut] {
        for language in [Language::English, Language::Chinese] {
            let kinds: BTreeSet<Kind> = examples(6, part, 10_000)
                .into_iter()
                .filter(|example| example.language == language)
                .flat_map(|example| example.values.into_iter().map(|(kind, _)| kind))
                .collect();
            assert_eq!(kinds.len(), 14, "{part:?} {language:?}: {kinds:?}");
        }
    }
}
