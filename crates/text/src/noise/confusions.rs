//! Faults of typing, and of optical character recognition: which characters are taken for which.

use crate::draw::{below, uniform};
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

/// A keyboard: where its keys are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyboardLayout {
    /// That of the United States, and of most others.
    #[default]
    Qwerty,
    /// The German one.
    Qwertz,
}

/// How far each row of keys is to the right of the first, in quarters of a key.
const OFFSETS: [usize; 3] = [0, 1, 3];
const KEY: usize = 4;

/// What looks alike in print, each in its own group.
const LOOK_ALIKES: &[&[&str]] = &[
    &["m", "rn"],
    &["d", "cl"],
    &["w", "vv"],
    &["h", "li"],
    &["u", "ii"],
    &["n", "ri"],
    &["0", "O", "o"],
    &["1", "l", "I"],
    &["2", "Z"],
    &["5", "S"],
    &["6", "b"],
    &["8", "B"],
    &["9", "g"],
    &["c", "e"],
    &["f", "t"],
    &["i", "j"],
    &["U", "V"],
    &["E", "F"],
    &["C", "G"],
    &["D", "Q"],
    &[".", ","],
    &[":", ";"],
    &["己", "已", "巳"],
    &["未", "末"],
    &["土", "士"],
    &["日", "曰"],
    &["人", "入", "八"],
    &["大", "太", "犬"],
];

impl KeyboardLayout {
    /// All of them, by the names that recipes have for them.
    pub const NAMES: &[&str] = &["qwerty", "qwertz"];

    fn rows(self) -> [&'static str; 3] {
        match self {
            Self::Qwerty => ["qwertyuiop", "asdfghjkl", "zxcvbnm"],
            Self::Qwertz => ["qwertzuiopü", "asdfghjklöä", "yxcvbnm"],
        }
    }

    /// Its keys, with row and place.
    fn keys(self) -> impl Iterator<Item = (char, [usize; 2])> {
        let rows = self.rows().into_iter().zip(OFFSETS).enumerate();
        rows.flat_map(|(row, (keys, offset))| {
            keys.chars().enumerate().map(move |(at, key)| (key, [row, KEY * at + offset]))
        })
    }

    /// Whether a character has a key, in either case.
    pub(super) fn has(self, letter: char) -> bool {
        let lower = lower(letter);
        self.keys().any(|(key, _)| key == lower)
    }

    /// A letter on a key that touches that of this one, in its case.
    fn neighbour(self, letter: char, random: &mut Pcg64) -> Option<char> {
        let lower = lower(letter);
        let (_, [row, at]) = self.keys().find(|(key, _)| *key == lower)?;
        let touches = |[other, place]: [usize; 2]| match row.abs_diff(other) {
            0 => place.abs_diff(at) == KEY,
            rows => rows == 1 && place.abs_diff(at) < KEY,
        };
        let beside: Vec<char> = self.keys().filter(|(_, place)| touches(*place)).map(|(key, _)| key).collect();
        let key = *beside.get(below(random, beside.len() as u64) as usize)?;
        if letter == lower { Some(key) } else { key.to_uppercase().next() }
    }

    /// A text with faults of typing, each letter with this probability: a neighbour is hit in its place, or beside it; it is left out, or comes
    /// after the next one.
    pub(super) fn typed(self, text: &str, share: f64, random: &mut Pcg64) -> String {
        let mut typed = String::with_capacity(text.len() + 8);
        let mut characters = text.chars().peekable();
        while let Some(letter) = characters.next() {
            if !self.has(letter) || uniform(random) >= share {
                typed.push(letter);
                continue;
            }
            let neighbour = self.neighbour(letter, random).unwrap_or(letter);
            match (below(random, 4), characters.peek().copied().filter(|next| self.has(*next))) {
                (0, _) => {}
                (1, _) => match below(random, 2) {
                    0 => typed.extend([letter, neighbour]),
                    _ => typed.extend([neighbour, letter]),
                },
                (2, Some(next)) => {
                    characters.next();
                    typed.extend([next, letter]);
                }
                // No letter follows, or it is hit beside.
                _ => typed.push(neighbour),
            }
        }
        typed
    }
}

/// A text as it is recognised, each place that has a look-alike taken for one with this probability.
pub(super) fn recognised(text: &str, share: f64, random: &mut Pcg64) -> String {
    let mut recognised = String::with_capacity(text.len() + 8);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let form = look_alikes(rest);
        let length = form.map_or(first.len_utf8(), |(form, _)| form.len());
        let others = form.filter(|_| uniform(random) < share).map(|(form, group)| {
            let others: Vec<&str> = group.iter().copied().filter(|other| *other != form).collect();
            others[below(random, others.len() as u64) as usize]
        });
        recognised.push_str(others.unwrap_or(&rest[..length]));
        rest = &rest[length..];
    }
    recognised
}

/// The longest form that a text begins with, and its group.
fn look_alikes(text: &str) -> Option<(&'static str, &'static [&'static str])> {
    let forms = LOOK_ALIKES.iter().flat_map(|group| group.iter().map(|form| (*form, *group)));
    forms.filter(|(form, _)| text.starts_with(form)).max_by_key(|(form, _)| form.len())
}

/// Whether a character is taken for another one by itself.
pub(super) fn has_look_alike(character: char) -> bool {
    LOOK_ALIKES.iter().flat_map(|group| group.iter()).any(|form| form.chars().eq([character]))
}

fn lower(letter: char) -> char {
    letter.to_lowercase().next().unwrap_or(letter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn keys_have_their_neighbours() {
        let mut random = Pcg64::new(1, 1);
        let mut all = |layout: KeyboardLayout, letter: char| -> String {
            let found: BTreeSet<char> = (0..300).filter_map(|_| layout.neighbour(letter, &mut random)).collect();
            found.into_iter().collect()
        };
        assert_eq!(all(KeyboardLayout::Qwerty, 'g'), "bfhtvy");
        assert_eq!(all(KeyboardLayout::Qwerty, 'Q'), "AW");
        assert_eq!(all(KeyboardLayout::Qwertz, 'z'), "ghtu");
        assert_eq!(all(KeyboardLayout::Qwertz, 'Ö'), "LPÄÜ");
        assert_eq!(all(KeyboardLayout::Qwerty, 'é') + &all(KeyboardLayout::Qwerty, '5'), "");
    }

    #[test]
    fn a_share_of_the_keys_is_mistyped_in_each_way_and_nothing_else() {
        let text = "sphinx of black quartz judge my vow ".repeat(2000);
        let typed = KeyboardLayout::Qwerty.typed(&text, 0.1, &mut Pcg64::new(2, 1));
        let keys = text.chars().filter(|c| *c != ' ').count() as f64;
        // A fourth each is left out and comes twice.
        let change = typed.len() as f64 - text.len() as f64;
        assert!(change.abs() < 0.01 * keys, "{change}");
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let (before, after) = (words(&text), words(&typed));
        assert_eq!(before.len(), after.len(), "spaces stay");
        let same = before.iter().zip(&after).filter(|(a, b)| a == b).count() as f64 / before.len() as f64;
        // 0.9 to the power of their lengths, the mean over the words.
        assert!((same - 0.656).abs() < 0.02, "{same}");
        let sorted = |word: &str| {
            let mut all: Vec<char> = word.chars().collect();
            all.sort_unstable();
            all
        };
        let swapped = before.iter().zip(&after).filter(|(a, b)| a != b && sorted(a) == sorted(b)).count();
        assert!(swapped > 500, "{swapped}");
        for (text, share) in [("我们 привет 3.5 (é)!", 0.9), (text.as_str(), 0.0)] {
            assert_eq!(KeyboardLayout::Qwertz.typed(text, share, &mut Pcg64::new(3, 1)), text);
        }
    }

    #[test]
    fn look_alikes_are_exchanged_as_wholes() {
        let mut random = Pcg64::new(4, 1);
        let mut all =
            |text: &str| -> BTreeSet<String> { (0..200).map(|_| recognised(text, 0.5, &mut random)).collect() };
        let set = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(all("rn"), set(&["rn", "m"]));
        assert_eq!(all("1"), set(&["1", "l", "I"]));
        assert_eq!(all("5cl"), set(&["5cl", "Scl", "5d", "Sd"]));
        assert_eq!(all("末"), set(&["末", "未"]));
        assert_eq!(all("привет а ü"), set(&["привет а ü"]));
        let text = "0".repeat(10_000);
        let wrong = recognised(&text, 0.2, &mut random).chars().filter(|c| *c != '0').count();
        assert!((1900..2100).contains(&wrong), "{wrong}");
        let forms: Vec<&str> = LOOK_ALIKES.iter().flat_map(|group| group.iter().copied()).collect();
        assert_eq!(forms.iter().collect::<BTreeSet<_>>().len(), forms.len(), "a form is in one group");
    }
}
