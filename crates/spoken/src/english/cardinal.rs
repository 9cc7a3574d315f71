//! Quantities: 1,234 "one thousand two hundred thirty four", -0.5 "minus zero point five", 2.5 million, 12%, 10-15, 98-87.

use crate::dice::Dice;
use crate::number::{self, Number};
use crate::reading::{Kind, Reading};

const UP_TO_NINETEEN: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 10] = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];

const SCALES: [(u64, &str); 5] = [
    (1_000_000_000_000_000, "quadrillion"),
    (1_000_000_000_000, "trillion"),
    (1_000_000_000, "billion"),
    (1_000_000, "million"),
    (1_000, "thousand"),
];

/// A whole number in words.
pub fn whole(number: u64) -> String {
    let mut words = Vec::new();
    let mut rest = number;
    for (scale, name) in SCALES {
        if rest >= scale {
            words.push(whole(rest / scale));
            words.push(name.into());
            rest %= scale;
        }
    }
    if rest >= 100 {
        words.push(UP_TO_NINETEEN[(rest / 100) as usize].into());
        words.push("hundred".into());
        rest %= 100;
    }
    if rest >= 20 {
        words.push(TENS[(rest / 10) as usize].into());
        rest %= 10;
    }
    if rest > 0 || number == 0 {
        words.push(UP_TO_NINETEEN[rest as usize].into());
    }
    words.join(" ")
}

/// Digits one by one: "four zero seven". Characters that are not digits are skipped.
pub fn digit_by_digit(digits: &str) -> String {
    let words: Vec<&str> =
        digits.bytes().filter(u8::is_ascii_digit).map(|d| UP_TO_NINETEEN[usize::from(d - b'0')]).collect();
    words.join(" ")
}

/// The digits after a point: a zero among others is "o".
fn decimals(digits: &str) -> String {
    if digits == "0" { "zero".into() } else { digit_by_digit(digits).replace("zero", "o") }
}

/// Any number in words; the decimals are read digit by digit. What begins with the point is spoken so.
pub fn spoken(number: &Number) -> String {
    let sign = if number.negative { "minus " } else { "" };
    match (&*number.fraction, number.bare_point) {
        ("", _) => format!("{sign}{}", whole(number.whole)),
        (fraction, true) => format!("{sign}point {}", decimals(fraction)),
        (fraction, false) => format!("{sign}{} point {}", whole(number.whole), decimals(fraction)),
    }
}

/// A whole number of any size, on its own. Four digits from 1100 to 2199 are a year there unless they are grouped.
pub fn cardinal(dice: &mut Dice) -> Reading {
    if dice.chance(6) {
        let digits = format!("0{}", number::digits(dice, 1, 4));
        return Reading::new(Kind::Code, &*digits, digit_by_digit(&digits), &*digits);
    }
    let mut number = Number::from(if dice.chance(6) { dice.below(21) } else { number::size(dice, 17) });
    number.negative = dice.chance(12);
    let grouped = dice.chance(45) || (!number.negative && (1_100..2_200).contains(&number.whole));
    Reading::of(Kind::Cardinal, &number, number.written(grouped), spoken(&number))
}

/// A decimal number on its own, also without a digit before the point.
pub fn decimal(dice: &mut Dice) -> Reading {
    let mut number = number::precise(dice, 6);
    number.negative = dice.chance(15);
    let grouped = dice.chance(30);
    Reading::of(Kind::Cardinal, &number, number.written(grouped), spoken(&number))
}

/// A number of things, at least two.
pub fn count(dice: &mut Dice) -> Reading {
    let count = number::whole(dice, 6).max(2).into();
    let grouped = dice.chance(50);
    Reading::of(Kind::Cardinal, &count, count.written(grouped), spoken(&count))
}

/// A bare number: whole, decimal or negative.
pub fn number(dice: &mut Dice) -> Reading {
    let mut number = number::any(dice, 6, 35);
    number.negative = dice.chance(20);
    let grouped = dice.chance(50);
    Reading::of(Kind::Cardinal, &number, number.written(grouped), spoken(&number))
}

/// Millions and more: 3,400,000 or 3.4 million.
pub fn large(dice: &mut Dice) -> Reading {
    if dice.chance(30) {
        let number = (number::whole(dice, 2) * 10_u64.pow(dice.between(5, 8) as u32)).into();
        return Reading::of(Kind::Cardinal, &number, number.written(true), spoken(&number));
    }
    scaled_up(dice)
}

/// 3.4 million, on its own.
pub fn scaled_up(dice: &mut Dice) -> Reading {
    let (mut reading, scale) = scaled(dice, Kind::Cardinal);
    reading.written = format!("{} {scale}", reading.written);
    reading.spoken = format!("{} {scale}", reading.spoken);
    reading
}

/// A number that "million" or "billion" is to follow. Its values are its digits and the whole amount.
pub fn scaled(dice: &mut Dice, kind: Kind) -> (Reading, &'static str) {
    let (scale, zeros, most_digits) =
        *dice.pick(&[("million", 6, 3), ("million", 6, 3), ("billion", 9, 3), ("trillion", 12, 3), ("thousand", 3, 3)]);
    let digits = number::any(dice, most_digits, 60);
    let places = digits.fraction.len();
    let fraction: u64 = digits.fraction.parse().unwrap_or(0);
    let amount = digits.whole * 10_u64.pow(zeros) + fraction * 10_u64.pow(zeros - places as u32);
    let mut reading = Reading::of(kind, &digits, digits.written(false), spoken(&digits));
    reading.values.push(amount.to_string());
    (reading, scale)
}

/// 12.5% "twelve point five percent".
pub fn percent(dice: &mut Dice) -> Reading {
    percentage(&number::any(dice, 2, 45))
}

/// A percentage of any size, every third time negative.
pub fn change(dice: &mut Dice) -> Reading {
    percentage(&number::change(dice))
}

fn percentage(number: &Number) -> Reading {
    let (written, spoken) = (format!("{}%", number.written(false)), format!("{} percent", spoken(number)));
    Reading::of(Kind::Percentage, number, written, spoken)
}

/// 10-15 "ten to fifteen", the second number the greater.
pub fn range(dice: &mut Dice) -> Reading {
    let from = number::whole(dice, 3);
    pair(Kind::Range, from, from + number::whole(dice, 2))
}

/// A range of numbers below a hundred.
pub fn ages(dice: &mut Dice) -> Reading {
    let from = dice.between(3, 89);
    pair(Kind::Range, from, dice.between(from + 1, 99))
}

/// 98-87 "ninety eight to eighty seven".
pub fn score(dice: &mut Dice) -> Reading {
    pair(Kind::Score, dice.between(0, 139), dice.between(0, 139))
}

/// A range on its own, in words or with a dash of either kind; neither number is a year.
pub fn span(dice: &mut Dice) -> Reading {
    let from = number::whole(dice, 3);
    let to = (from + number::whole(dice, 2)).min(1_099);
    let reading = pair(Kind::Range, from, to);
    let dash = *dice.pick(&["-", "-", "–", " - "]);
    Reading { written: reading.written.replace('-', dash), ..reading }
}

fn pair(kind: Kind, first: u64, second: u64) -> Reading {
    let values = vec![first.to_string(), second.to_string()];
    Reading {
        kind,
        written: format!("{first}-{second}"),
        spoken: format!("{} to {}", whole(first), whole(second)),
        values,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::parsed;

    #[test]
    fn whole_numbers() {
        for (number, words) in [
            (0, "zero"),
            (7, "seven"),
            (10, "ten"),
            (11, "eleven"),
            (12, "twelve"),
            (20, "twenty"),
            (21, "twenty one"),
            (40, "forty"),
            (99, "ninety nine"),
            (100, "one hundred"),
            (101, "one hundred one"),
            (110, "one hundred ten"),
            (115, "one hundred fifteen"),
            (342, "three hundred forty two"),
            (1_000, "one thousand"),
            (1_001, "one thousand one"),
            (1_100, "one thousand one hundred"),
            (10_010, "ten thousand ten"),
            (18_481, "eighteen thousand four hundred eighty one"),
            (147_451, "one hundred forty seven thousand four hundred fifty one"),
            (1_000_000, "one million"),
            (2_000_003, "two million three"),
            (1_000_000_000, "one billion"),
            (7_000_000_000_200, "seven trillion two hundred"),
            (30_000_002_000_000_001, "thirty quadrillion two billion one"),
        ] {
            assert_eq!(whole(number), words);
        }
    }

    #[test]
    fn signs_and_decimals() {
        for (written, words) in [
            ("18.9", "eighteen point nine"),
            ("0.05", "zero point o five"),
            ("7.0", "seven point zero"),
            ("3.400", "three point four o o"),
            ("-60.24", "minus sixty point two four"),
            ("-12", "minus twelve"),
        ] {
            assert_eq!(spoken(&parsed(written)), words);
        }
        assert_eq!(spoken(&Number { bare_point: true, ..parsed("0.45") }), "point four five");
    }

    #[test]
    fn pairs() {
        let reading = pair(Kind::Range, 9, 12);
        assert_eq!((&*reading.written, &*reading.spoken), ("9-12", "nine to twelve"));
        assert_eq!(reading.values, ["9", "12"]);
    }

    #[test]
    fn the_whole_amount_counts_as_a_value() {
        let mut dice = Dice::new(3);
        for _ in 0..100 {
            let (reading, scale) = scaled(&mut dice, Kind::Cardinal);
            let factor = SCALES.iter().find(|(_, name)| *name == scale).unwrap().0 as f64;
            let amount: f64 = reading.values[1].parse().unwrap();
            let digits: f64 = reading.values[0].parse().unwrap();
            assert!((digits * factor / amount - 1.0).abs() < 1e-9, "{reading:?}");
        }
    }
}
