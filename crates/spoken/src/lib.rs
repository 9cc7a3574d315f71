//! Spoken forms: endless training data for text normalisation, the step of every voice assistant that turns written
//! numbers into words. Input is a sentence as one writes it, output the same sentence as one says it:
//!
//! ```text
//! The meeting is at 3:45 pm on 2026-11-23  ->  The meeting is at three forty five p m on november twenty third twenty twenty six
//! 会议在2026年11月23日下午3点45分          ->  会议在二零二六年十一月二十三日下午三点四十五分
//! ```
//!
//! Words and punctuation around the numbers are copied exactly. The conventions of each kind of number stand in its file
//! under `english` and `chinese`; the sentences are grammars in `english/frames.txt` and `chinese/frames.txt`.
//! Among them are expressions on their own, and words to be copied that no model can know. [`Part`] tells how held-out numbers are kept apart from those in training.

mod calendar;
mod chinese;
mod copied;
mod dice;
mod english;
mod grammar;
mod measures;
mod number;
mod reading;
mod split;

use std::sync::LazyLock;

use dice::Dice;
use grammar::{Grammar, Piece};
pub use reading::Kind;
pub use split::Part;

/// The language of an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Language {
    /// American English.
    English,
    /// Mandarin Chinese in simplified characters.
    Chinese,
}

impl Language {
    /// What a text may begin with to say that it is of this language: `<zh> 3/4` is 四分之三.
    #[must_use]
    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "<en>",
            Self::Chinese => "<zh>",
        }
    }

    /// The language of a text that says it, else the one whose script it has: without a Chinese character it is English.
    #[must_use]
    pub fn of(text: &str) -> Self {
        match [Self::English, Self::Chinese].into_iter().find(|language| text.starts_with(language.tag())) {
            Some(language) => language,
            None if text.chars().any(|c| matches!(c, '\u{4e00}'..='\u{9fff}')) => Self::Chinese,
            None => Self::English,
        }
    }

    /// The most characters that a sentence may have, written and spoken.
    fn longest(self) -> (usize, usize) {
        match self {
            Self::English => (60, 180),
            Self::Chinese => (30, 60),
        }
    }

    fn grammar(self) -> &'static Grammar {
        static ENGLISH: LazyLock<Grammar> = LazyLock::new(|| Grammar::new(english::FRAMES, english::SLOTS));
        static CHINESE: LazyLock<Grammar> = LazyLock::new(|| Grammar::new(chinese::FRAMES, chinese::SLOTS));
        match self {
            Self::English => &ENGLISH,
            Self::Chinese => &CHINESE,
        }
    }
}

/// A sentence and its spoken form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// The language of both forms.
    pub language: Language,
    /// The sentence with its numbers in digits, after its language's [tag](Language::tag) where that is not seen, and now
    /// and then elsewhere.
    pub written: String,
    /// The sentence with its numbers in words.
    pub spoken: String,
    /// The numbers, each with its canonical value (`4821`, `12.5`, `2026-11-23`, `3:45`, `3/4`); empty for a sentence
    /// without numbers.
    pub values: Vec<(Kind, String)>,
}

/// An endless, seeded stream of examples of one part, six in English to four in Chinese.
#[derive(Debug, Clone)]
pub struct Generator {
    dice: Dice,
    part: Part,
}

impl Generator {
    /// The stream of `part` that belongs to `seed`: the same on every machine.
    #[must_use]
    pub fn new(seed: u64, part: Part) -> Self {
        Self { dice: Dice::new(seed), part }
    }

    /// An expansion of the grammar's rule `start`; none if it came out too long, or has no numbers and belongs to the other
    /// part.
    fn attempt(&mut self, language: Language, start: &str) -> Option<Example> {
        let mut example = Example { language, written: String::new(), spoken: String::new(), values: Vec::new() };
        for piece in language.grammar().expand(start, &mut self.dice) {
            match piece {
                Piece::Text(text) => {
                    example.written.push_str(text);
                    example.spoken.push_str(text);
                }
                Piece::Slot(slot) => {
                    let reading = loop {
                        let reading = slot(&mut self.dice);
                        if reading.values.iter().all(|value| Part::of(value) == self.part) {
                            break reading;
                        }
                    };
                    example.written.push_str(&reading.written);
                    example.spoken.push_str(&reading.spoken);
                    example.values.extend(reading.values.into_iter().map(|value| (reading.kind, value)));
                }
            }
        }
        let (written, spoken) = language.longest();
        let fits = example.written.chars().count() <= written && example.spoken.chars().count() <= spoken;
        let belongs = !example.values.is_empty() || Part::of(&example.written) == self.part;
        if Language::of(&example.written) != language || self.dice.chance(15) {
            example.written = format!("{} {}", language.tag(), example.written);
        }
        (fits && belongs).then_some(example)
    }
}

impl Iterator for Generator {
    type Item = Example;

    /// The next example; there always is one.
    fn next(&mut self) -> Option<Example> {
        let language = if self.dice.chance(60) { Language::English } else { Language::Chinese };
        // Expressions on their own and among unknown words are harder than those in sentences: training has more of them.
        let (bare, small) = match self.part {
            Part::Train => (54, 74),
            Part::HeldOut => (48, 60),
        };
        let start = match self.dice.below(100) {
            0..8 => "plain",
            drawn if drawn < bare => "bare",
            drawn if drawn < small => "small",
            _ => "sentence",
        };
        loop {
            if let Some(example) = self.attempt(language, start) {
                return Some(example);
            }
        }
    }
}

#[cfg(test)]
mod tests;
