//! Scripts of characters.

use serde::{Deserialize, Serialize};

/// A script, by blocks of Unicode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Script {
    /// With all diacritics.
    Latin,
    /// With that of antiquity.
    Greek,
    /// Of Russian and others.
    Cyrillic,
    /// Of Armenian.
    Armenian,
    /// Of Hebrew and Yiddish.
    Hebrew,
    /// Of Arabic, Persian and others.
    Arabic,
    /// Devanagari and the others of India.
    Indic,
    /// Of Thai.
    Thai,
    /// Of Georgian.
    Georgian,
    /// Of Korean.
    Hangul,
    /// Chinese, and Japanese with its kana.
    Han,
}

impl Script {
    /// The names of all of them.
    pub const NAMES: &[&str] =
        &["latin", "greek", "cyrillic", "armenian", "hebrew", "arabic", "indic", "thai", "georgian", "hangul", "han"];

    /// The share of it in the characters of a text that have a script; none where none has.
    pub(crate) fn share(self, text: &str) -> Option<f64> {
        let (mut own, mut all) = (0_u64, 0_u64);
        for script in text.chars().filter_map(script_of) {
            own += u64::from(script == self);
            all += 1;
        }
        (all > 0).then(|| own as f64 / all as f64)
    }
}

/// The script of a character; none of digits, punctuation and rare scripts.
pub fn script_of(c: char) -> Option<Script> {
    Some(match c {
        'a'..='z' | 'A'..='Z' => Script::Latin,
        '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' if c.is_alphabetic() => Script::Latin,
        '\u{370}'..='\u{3ff}' | '\u{1f00}'..='\u{1fff}' => Script::Greek,
        '\u{400}'..='\u{52f}' => Script::Cyrillic,
        '\u{530}'..='\u{58f}' => Script::Armenian,
        '\u{590}'..='\u{5ff}' => Script::Hebrew,
        '\u{600}'..='\u{6ff}' | '\u{750}'..='\u{77f}' | '\u{8a0}'..='\u{8ff}' | '\u{fb50}'..='\u{fdff}' => {
            Script::Arabic
        }
        '\u{900}'..='\u{dff}' => Script::Indic,
        '\u{e00}'..='\u{e7f}' => Script::Thai,
        '\u{10a0}'..='\u{10ff}' => Script::Georgian,
        '\u{1100}'..='\u{11ff}' | '\u{3130}'..='\u{318f}' | '\u{ac00}'..='\u{d7af}' => Script::Hangul,
        '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}' => {
            Script::Han
        }
        _ => return None,
    })
}

/// The script of most of a text's characters.
pub fn main_script(text: &str) -> Option<Script> {
    let mut counts = [0_usize; Script::Han as usize + 1];
    let mut last = None;
    for script in text.chars().filter_map(script_of) {
        counts[script as usize] += 1;
        if last.is_none_or(|most: Script| counts[script as usize] > counts[most as usize]) {
            last = Some(script);
        }
    }
    last
}
