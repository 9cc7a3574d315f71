//! The tokenizations of BLEU.

use crate::unit::is_unspaced;
use crate::whitespace::{is_space, words};
use regex::Regex;
use std::sync::LazyLock;

/// How texts are cut into the words of BLEU, by sacreBLEU's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tokenization {
    /// `13a`, of WMT (mteval-v13a): punctuation apart, but for that within numbers.
    #[default]
    Mteval13a,
    /// `intl` (mteval-v14): Unicode's punctuation and symbols apart.
    International,
    /// `zh`: each Chinese character is a word, the rest as in `13a`.
    Chinese,
    /// `char`: each character is a word; for Japanese, Thai and other scripts without spaces.
    Characters,
    /// `none`: words between white space.
    None,
}

impl Tokenization {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Mteval13a, Self::International, Self::Chinese, Self::Characters, Self::None];

    /// sacreBLEU's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mteval13a => "13a",
            Self::International => "intl",
            Self::Chinese => "zh",
            Self::Characters => "char",
            Self::None => "none",
        }
    }

    /// The one that fits some references: `zh` where most alphabetic characters are ideographs without kana among them, `char` where
    /// most are of another script that is written without spaces, else `13a`.
    pub fn of<'a>(references: impl IntoIterator<Item = &'a str>) -> Self {
        let (mut all, mut ideographs, mut others) = (0_u64, 0_u64, 0_u64);
        for c in references.into_iter().flat_map(str::chars).filter(|&c| c.is_alphabetic()) {
            all += 1;
            match is_unspaced(c) {
                true if is_ideograph(c) => ideographs += 1,
                unspaced => others += u64::from(unspaced),
            }
        }
        match 2 * (ideographs + others) > all {
            false => Self::Mteval13a,
            // Japanese has kana in every sentence; Chinese quotes them at most.
            true if 10 * others < ideographs => Self::Chinese,
            true => Self::Characters,
        }
    }

    /// The words of a text.
    pub(crate) fn words(self, text: &str) -> Vec<String> {
        let text = text.trim_end_matches(is_space);
        let cut = match self {
            Self::Mteval13a => mteval_13a(text),
            Self::International => substitute(&INTERNATIONAL, text.to_owned()),
            Self::Chinese => chinese(text),
            Self::Characters => text.chars().flat_map(|c| [c, ' ']).collect(),
            Self::None => text.to_owned(),
        };
        words(&cut).map(str::to_owned).collect()
    }
}

fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// A pattern, and what its matches become.
type Rule = (Regex, &'static str);

fn rules<const N: usize>(rules: [(&str, &'static str); N]) -> Vec<Rule> {
    // Patterns written here are valid: `every_rule_compiles` sees to it.
    rules.into_iter().filter_map(|(pattern, with)| Some((Regex::new(pattern).ok()?, with))).collect()
}

const WESTERN_RULES: [(&str, &str); 4] = [
    // ASCII punctuation but for the apostrophe, comma, hyphen and full stop.
    (r"([!-&(-+/:-@\[-`{-~])", " $1 "),
    (r"([^0-9])([.,])", "$1 $2 "),
    (r"([.,])([^0-9])", " $1 $2"),
    (r"([0-9])(-)", "$1 $2 "),
];

const INTERNATIONAL_RULES: [(&str, &str); 3] =
    [(r"(\P{N})(\p{P})", "$1 $2 "), (r"(\p{P})(\P{N})", " $1 $2"), (r"(\p{S})", " $1 ")];

static WESTERN: LazyLock<Vec<Rule>> = LazyLock::new(|| rules(WESTERN_RULES));
static INTERNATIONAL: LazyLock<Vec<Rule>> = LazyLock::new(|| rules(INTERNATIONAL_RULES));

fn substitute(rules: &[Rule], text: String) -> String {
    rules.iter().fold(text, |text, (pattern, with)| pattern.replace_all(&text, *with).into_owned())
}

fn mteval_13a(text: &str) -> String {
    let text = text.replace("<skipped>", "").replace("-\n", "").replace('\n', " ");
    // In this order: `&amp;lt;` becomes `<`.
    let text = text.replace("&quot;", "\"").replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">");
    substitute(&WESTERN, format!(" {text} "))
}

fn chinese(text: &str) -> String {
    let mut apart = String::with_capacity(2 * text.len());
    for c in text.trim_matches(is_space).chars() {
        match is_chinese(c) {
            true => apart.extend([' ', c, ' ']),
            false => apart.push(c),
        }
    }
    substitute(&WESTERN, apart)
}

/// Whether sacreBLEU takes a character for a Chinese one. It means to have the ideographs of the supplementary planes too, but writes
/// them as two characters of the basic plane: what it compares with is the range from U+2001 to U+2A6D, whose dashes, quotation marks
/// and symbols are words of their own, and no ideograph beyond U+FFFF is.
fn is_chinese(c: char) -> bool {
    const RANGES: [(char, char); 15] = [
        ('\u{2001}', '\u{2a6d}'),
        ('\u{2e80}', '\u{2eff}'),
        ('\u{2f00}', '\u{2fdf}'),
        ('\u{2ff0}', '\u{303f}'),
        ('\u{3100}', '\u{312f}'),
        ('\u{31a0}', '\u{31bf}'),
        ('\u{31c0}', '\u{31ef}'),
        ('\u{3200}', '\u{33ff}'),
        ('\u{3400}', '\u{4db5}'),
        ('\u{4e00}', '\u{9fbb}'),
        ('\u{f900}', '\u{fa2d}'),
        ('\u{fa30}', '\u{fa6a}'),
        ('\u{fa70}', '\u{fad9}'),
        ('\u{fe10}', '\u{fe1f}'),
        ('\u{fe30}', '\u{fe4f}'),
    ];
    RANGES.iter().any(|(first, last)| (first..=last).contains(&&c)) || ('\u{ff00}'..='\u{ffef}').contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_compiles() {
        assert_eq!([WESTERN.len(), INTERNATIONAL.len()], [WESTERN_RULES.len(), INTERNATIONAL_RULES.len()]);
    }
}
