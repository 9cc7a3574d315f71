//! Positions: 21st "twenty first".

use super::cardinal::whole;
use crate::dice::Dice;
use crate::number::{self, Number};
use crate::reading::{Kind, Reading};

/// An ordinal number in words: the cardinal with its last word changed.
pub fn spoken(number: u64) -> String {
    let cardinal = whole(number);
    let (start, last) = cardinal.rsplit_once(' ').map_or(("", &*cardinal), |(start, last)| (start, last));
    let last = match last {
        "one" => "first".into(),
        "two" => "second".into(),
        "three" => "third".into(),
        "five" => "fifth".into(),
        "eight" => "eighth".into(),
        "nine" => "ninth".into(),
        "twelve" => "twelfth".into(),
        _ => last.strip_suffix('y').map_or_else(|| format!("{last}th"), |stem| format!("{stem}ieth")),
    };
    if start.is_empty() { last } else { format!("{start} {last}") }
}

/// 1st, 2nd, 3rd, 4th, 11th, 21st ...
pub fn written(number: u64) -> String {
    let suffix = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{suffix}")
}

/// A position of any size, on its own.
pub fn position(dice: &mut Dice) -> Reading {
    let number = if dice.chance(25) { dice.below(100) } else { number::size(dice, 10) };
    let digits = if dice.chance(50) { Number::from(number).written(true) } else { number.to_string() };
    let suffix = &written(number)[number.to_string().len()..];
    Reading::new(Kind::Ordinal, format!("{digits}{suffix}"), spoken(number), number.to_string())
}

/// A position in a sentence, rarely beyond the 99th.
pub fn ordinal(dice: &mut Dice) -> Reading {
    let digits = if dice.chance(80) { 2 } else { 3 };
    let number = number::whole(dice, digits);
    Reading::new(Kind::Ordinal, written(number), spoken(number), number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions() {
        for (number, digits, words) in [
            (1, "1st", "first"),
            (2, "2nd", "second"),
            (3, "3rd", "third"),
            (4, "4th", "fourth"),
            (5, "5th", "fifth"),
            (8, "8th", "eighth"),
            (9, "9th", "ninth"),
            (11, "11th", "eleventh"),
            (12, "12th", "twelfth"),
            (13, "13th", "thirteenth"),
            (20, "20th", "twentieth"),
            (21, "21st", "twenty first"),
            (23, "23rd", "twenty third"),
            (100, "100th", "one hundredth"),
            (111, "111th", "one hundred eleventh"),
            (121, "121st", "one hundred twenty first"),
        ] {
            assert_eq!((&*written(number), &*spoken(number)), (digits, words));
        }
    }
}
