//! Texts of another language than the others of their side.

use super::finding::{Finding, Severity, share_of};
use super::survey::Survey;
use descant_text::{Script, main_script, script_of};
use std::collections::BTreeMap;

/// The commonest function words of languages that share the Latin script. One that two have counts for neither against the other.
const FUNCTION_WORDS: [(&str, &[&str]); 8] = [
    (
        "English",
        &[
            "the", "and", "is", "are", "with", "this", "that", "you", "they", "was", "were", "have", "of", "his",
            "her", "their", "from",
        ],
    ),
    (
        "German",
        &[
            "der", "die", "das", "und", "ist", "nicht", "mit", "ein", "eine", "einer", "einem", "einen", "auf", "für",
            "sind", "wird", "ich", "zwei",
        ],
    ),
    (
        "French",
        &[
            "le", "les", "et", "est", "une", "dans", "pour", "avec", "sur", "qui", "pas", "il", "elle", "sont", "deux",
            "des", "du",
        ],
    ),
    ("Spanish", &["el", "los", "las", "es", "una", "con", "por", "para", "que", "está", "del", "su", "como", "son"]),
    ("Italian", &["il", "gli", "di", "è", "che", "con", "una", "della", "sono", "nel", "per", "su", "uomo", "donna"]),
    ("Portuguese", &["os", "um", "uma", "é", "não", "em", "para", "da", "na", "ao", "são", "está"]),
    ("Dutch", &["het", "een", "van", "niet", "zijn", "met", "op", "voor", "aan", "naar", "ook", "maar", "wordt"]),
    ("Polish", &["jest", "nie", "się", "na", "że", "po", "są", "dla", "przez"]),
];

/// The language whose function words a text has, where it has at least two different ones, and twice as many as of any other.
fn language(text: &str) -> Option<usize> {
    let lower = text.to_lowercase();
    let mut seen = [0_u32; FUNCTION_WORDS.len()];
    for word in lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        for (i, (_, list)) in FUNCTION_WORDS.iter().enumerate() {
            if let Some(at) = list.iter().position(|known| *known == word) {
                seen[i] |= 1 << at;
            }
        }
    }
    let mut counts: Vec<(u32, usize)> = seen.iter().map(|bits| bits.count_ones()).zip(0..).collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let (most, best) = counts[0];
    (most >= 2 && most >= 2 * counts[1].0).then_some(best)
}

/// The share of a side that others are an exception to, at least.
const MAIN: f64 = 0.75;
/// Characters of a text that have a script, at least: short ones are units, names and abbreviations.
const CHARACTERS: usize = 8;
/// The share of the texts of which the kind is known, at least.
const KNOWN: f64 = 0.2;
/// Texts of another kind, at least.
const LEAST: usize = 3;
const LEAST_SHARE: f64 = 0.002;

/// Texts of other kinds than most are.
struct Others {
    /// What most are.
    main: String,
    /// Their places, with what they are.
    found: Vec<(usize, String)>,
    /// Of how many it is known what they are.
    known: usize,
}

/// The texts that are of other kinds than most are.
fn others<K: Ord + Copy>(kinds: &[Option<K>], name: impl Fn(K) -> String) -> Option<Others> {
    let mut counts: BTreeMap<K, usize> = BTreeMap::new();
    kinds.iter().flatten().for_each(|kind| *counts.entry(*kind).or_default() += 1);
    let known: usize = counts.values().sum();
    let (&main, &most) = counts.iter().max_by_key(|(_, count)| **count)?;
    if (most as f64) < MAIN * known as f64 || (known as f64) < KNOWN * kinds.len() as f64 {
        return None;
    }
    let is_other = |i: &usize| kinds[*i].is_some_and(|kind| kind != main);
    let found: Vec<_> =
        (0..kinds.len()).filter(is_other).map(|i| (i, kinds[i].map_or_else(String::new, &name))).collect();
    let enough = found.len() >= LEAST && found.len() as f64 >= LEAST_SHARE * known as f64;
    enough.then(|| Others { main: name(main), found, known })
}

/// Pairs that `is_swapped` are found as such, and not looked at.
pub(super) fn check(survey: &Survey, is_swapped: impl Fn(usize) -> bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (side, mut texts) in survey.sides() {
        texts.iter_mut().enumerate().filter(|(i, _)| is_swapped(*i)).for_each(|(_, text)| *text = "");
        let is_long = |text: &&&str| text.chars().filter(|&c| script_of(c).is_some()).nth(CHARACTERS - 1).is_some();
        let script = |text: &&str| Some(text).filter(is_long).and_then(|text| main_script(text));
        let scripts: Vec<Option<Script>> = texts.iter().map(script).collect();
        let languages: Vec<Option<usize>> = texts.iter().map(|text| language(text)).collect();
        let by_script = others(&scripts, |script| format!("{script:?} script"));
        let by_words = others(&languages, |language| FUNCTION_WORDS[language].0.to_owned());
        for Others { main, found, known } in by_script.into_iter().chain(by_words) {
            let (count, all) = (found.len() as u64, known as u64);
            let severity = if count * 100 >= all { Severity::Warning } else { Severity::Note };
            let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
            found.iter().for_each(|(_, kind)| *kinds.entry(kind).or_default() += 1);
            let kinds: Vec<String> = kinds.into_iter().map(|(kind, count)| format!("{kind}: {count}")).collect();
            let message = format!(
                "{}: {} that show what they are in are not in {main} as the others are ({})",
                survey.place(),
                share_of(count, all, side),
                kinds.join(", ")
            );
            let remedy = "If it is not meant, take them out; if it is, a tag at the start of each source that names the \
                          language (tokenizer.add, or [control]) tells the model which one to write";
            findings.push(
                Finding::new("languages", severity, message, remedy)
                    .share(count, all)
                    .lines(survey.unit, found.iter().map(|&(i, _)| survey.shown(i, side))),
            );
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn function_words_tell_the_language() {
        let of = |text: &str| language(text).map(|i| FUNCTION_WORDS[i].0);
        assert_eq!(of("The house is on the hill and they were there."), Some("English"));
        assert_eq!(of("Das Haus ist auf einem Berg."), Some("German"));
        assert_eq!(of("La maison est sur une colline, dans le pays."), Some("French"));
        assert_eq!(of("HH AH L OW"), None);
        assert_eq!(of("the"), None);
    }
}
