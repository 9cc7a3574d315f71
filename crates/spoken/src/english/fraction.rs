//! Fractions: 3/4 "three quarters", 1/2 "one half", 5/8 "five eighths", 2 1/2 "two and a half", 2 1/3 "two and one third".

use super::cardinal::whole;
use super::ordinal;
use crate::dice::Dice;
use crate::number;
use crate::reading::{Kind, Reading};

fn spoken(numerator: u64, denominator: u64) -> String {
    let one = match denominator {
        2 => "half".into(),
        4 => "quarter".into(),
        _ => ordinal::spoken(denominator),
    };
    match (numerator, denominator) {
        (1, _) => format!("one {one}"),
        (_, 2) => format!("{} halves", whole(numerator)),
        _ => format!("{} {one}s", whole(numerator)),
    }
}

fn mixed_spoken(whole_part: u64, numerator: u64, denominator: u64) -> String {
    let fraction = if (numerator, denominator) == (1, 2) { "a half".into() } else { spoken(numerator, denominator) };
    format!("{} and {fraction}", whole(whole_part))
}

/// Fractions that have a character of their own.
const SIGNS: [(&str, u64, u64); 7] =
    [("½", 1, 2), ("⅓", 1, 3), ("⅔", 2, 3), ("¼", 1, 4), ("¾", 3, 4), ("⅛", 1, 8), ("⅜", 3, 8)];

/// A denominator, small ones first.
fn denominator(dice: &mut Dice) -> u64 {
    if dice.chance(70) { dice.between(2, 12) } else { dice.between(13, 99) }
}

/// A fraction below one, now and then above.
pub fn fraction(dice: &mut Dice) -> Reading {
    let denominator = denominator(dice);
    let most = if dice.chance(85) { denominator - 1 } else { 2 * denominator + 1 };
    let numerator = dice.between(1, most);
    let written = format!("{numerator}/{denominator}");
    Reading::new(Kind::Fraction, &*written, spoken(numerator, denominator), &*written)
}

/// A fraction on its own, of numbers of any size, as one character, or with the ending of its reading: 1/4th.
pub fn ratio(dice: &mut Dice) -> Reading {
    if dice.chance(15) {
        let (sign, numerator, denominator) = *dice.pick(&SIGNS);
        let value = format!("{numerator}/{denominator}");
        return Reading::new(Kind::Fraction, sign, spoken(numerator, denominator), value);
    }
    if dice.chance(45) {
        return fraction(dice);
    }
    let (numerator, denominator) = (number::whole(dice, 4), number::whole(dice, 4).max(2));
    let value = format!("{numerator}/{denominator}");
    let written = match dice.below(4) {
        0 => format!("{numerator} / {denominator}"),
        1 => format!("{numerator}/{}", ordinal::written(denominator)),
        _ => value.clone(),
    };
    Reading::new(Kind::Fraction, written, spoken(numerator, denominator), value)
}

/// A whole number and a fraction.
pub fn mixed(dice: &mut Dice) -> Reading {
    let whole = dice.between(1, 99);
    if dice.chance(15) {
        let (sign, numerator, denominator) = *dice.pick(&SIGNS);
        let value = format!("{whole} {numerator}/{denominator}");
        let space = *dice.pick(&["", " "]);
        return Reading::new(
            Kind::Fraction,
            format!("{whole}{space}{sign}"),
            mixed_spoken(whole, numerator, denominator),
            value,
        );
    }
    let denominator =
        if dice.chance(70) { *dice.pick(&[2, 2, 3, 4, 4, 5, 6, 8, 8, 10, 16]) } else { denominator(dice) };
    let most = if dice.chance(80) { denominator - 1 } else { 2 * denominator };
    let numerator = dice.between(1, most);
    let written = format!("{whole} {numerator}/{denominator}");
    Reading::new(Kind::Fraction, &*written, mixed_spoken(whole, numerator, denominator), &*written)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::spoken_forms;

    const FRACTIONS: &str = "\
1/2 one half
3/2 three halves
1/3 one third
2/3 two thirds
1/4 one quarter
3/4 three quarters
5/8 five eighths
7/12 seven twelfths
22/20 twenty two twentieths
9/21 nine twenty firsts
1/32 one thirty second
";

    #[test]
    fn fractions() {
        for (numerator, denominator, words) in spoken_forms(FRACTIONS) {
            assert_eq!(spoken(numerator, denominator), words);
        }
        assert_eq!(mixed_spoken(2, 1, 2), "two and a half");
        assert_eq!(mixed_spoken(3, 2, 4), "three and two quarters");
        assert_eq!(mixed_spoken(1, 1, 3), "one and one third");
    }
}
