//! Decimal numbers as written with digits, and how likely each is to be drawn.

use crate::dice::Dice;

/// A number of the form `-123.45`; the fraction's digits are kept as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Number {
    pub negative: bool,
    pub whole: u64,
    pub fraction: String,
    /// Written without the zero before the point: .5
    pub bare_point: bool,
}

impl From<u64> for Number {
    fn from(whole: u64) -> Self {
        Self::with_fraction(whole, "")
    }
}

impl Number {
    /// A positive number with these digits after the point.
    pub fn with_fraction(whole: u64, fraction: impl Into<String>) -> Self {
        Self { negative: false, whole, fraction: fraction.into(), bare_point: false }
    }

    /// The value that decides between training and held-out: sign and trailing zeros do not count.
    pub fn canonical(&self) -> String {
        match self.fraction.trim_end_matches('0') {
            "" => self.whole.to_string(),
            fraction => format!("{}.{fraction}", self.whole),
        }
    }

    /// In digits, with a comma between thousands when `grouped`.
    pub fn written(&self, grouped: bool) -> String {
        let sign = if self.negative { "-" } else { "" };
        let whole = if grouped { group_thousands(self.whole) } else { self.whole.to_string() };
        match (&*self.fraction, self.bare_point) {
            ("", _) => format!("{sign}{whole}"),
            (fraction, true) => format!("{sign}.{fraction}"),
            (fraction, false) => format!("{sign}{whole}.{fraction}"),
        }
    }
}

/// A change in percent, every third time negative.
pub(crate) fn change(dice: &mut Dice) -> Number {
    let number = any(dice, 3, 45);
    Number { negative: dice.chance(33), ..number }
}

fn group_thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A positive whole number of at most `most_digits` digits (up to 6). Lengths of two to four digits are the most likely;
/// every sixth number has some digits replaced by zeros, for it is the zeros that make readings hard.
pub(crate) fn whole(dice: &mut Dice, most_digits: usize) -> u64 {
    const LENGTHS: [usize; 50] = [
        1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4,
        4, 4, 5, 5, 5, 5, 5, 5, 5, 6, 6, 6, 6,
    ];
    let length = loop {
        let length = *dice.pick(&LENGTHS);
        if length <= most_digits {
            break length;
        }
    };
    let low = 10_u64.pow(length as u32 - 1);
    let number = dice.between(low, low * 10 - 1);
    if length > 2 && dice.chance(17) { with_zeros(dice, number) } else { number }
}

/// The number with each digit but the first turned to zero at even odds.
fn with_zeros(dice: &mut Dice, number: u64) -> u64 {
    let mut thinned = number;
    let mut place = 1;
    while place * 10 <= number {
        if dice.chance(50) {
            thinned -= thinned / place % 10 * place;
        }
        place *= 10;
    }
    thinned
}

/// A number with one or two decimals, the last of them not zero.
pub(crate) fn decimal(dice: &mut Dice, most_digits: usize) -> Number {
    let whole = if dice.chance(15) { 0 } else { whole(dice, most_digits) };
    let mut fraction = if dice.chance(40) { dice.below(10).to_string() } else { String::new() };
    fraction.push_str(&dice.between(1, 9).to_string());
    Number::with_fraction(whole, fraction)
}

/// A whole number of any length up to `most_digits` (up to 18), half of them thinned by zeros; about one in twenty is
/// longer than nine digits.
pub(crate) fn size(dice: &mut Dice, most_digits: u64) -> u64 {
    if dice.chance(45) {
        return whole(dice, most_digits.min(6) as usize);
    }
    let longest = if dice.chance(90) { most_digits.min(9) } else { most_digits };
    let low = 10_u64.pow(dice.between(3, longest - 1) as u32);
    let number = dice.between(low, low * 10 - 1);
    if dice.chance(50) { with_zeros(dice, number) } else { number }
}

/// A number with any decimals, up to seven, also ending in zeros, and now and then nothing before the point.
pub(crate) fn precise(dice: &mut Dice, most_digits: usize) -> Number {
    let bare_point = dice.chance(5);
    let whole = if bare_point || dice.chance(15) { 0 } else { whole(dice, most_digits) };
    let places = *dice.pick(&[1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 7]);
    let mut fraction = digits(dice, places, places);
    // Zeros are what is easily lost.
    if dice.chance(25) {
        let zeros = dice.between(0, places - 1) as usize;
        let (start, end) = if dice.chance(50) {
            ("0".repeat(zeros), fraction.split_off(zeros))
        } else {
            (fraction.split_off(zeros), "0".repeat(zeros))
        };
        fraction = start + &end;
    } else if dice.chance(8) {
        fraction = "0".into();
    }
    Number { bare_point, ..Number::with_fraction(whole, fraction) }
}

/// From `least` to `most` digits, any of them zero.
pub(crate) fn digits(dice: &mut Dice, least: u64, most: u64) -> String {
    (0..dice.between(least, most)).map(|_| char::from(b'0' + dice.below(10) as u8)).collect()
}

/// A whole number, or in `percent` of 100 draws one with decimals.
pub(crate) fn any(dice: &mut Dice, most_digits: usize, percent: u64) -> Number {
    if dice.chance(percent) { decimal(dice, most_digits.min(3)) } else { whole(dice, most_digits).into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_numbers() {
        assert_eq!(Number::from(1_234_567).written(true), "1,234,567");
        assert_eq!(Number::from(100).written(true), "100");
        let number = Number { negative: true, ..Number::with_fraction(1200, "50") };
        assert_eq!(number.written(true), "-1,200.50");
        assert_eq!(number.written(false), "-1200.50");
        assert_eq!(number.canonical(), "1200.5");
    }

    #[test]
    fn thinning_keeps_the_first_digit() {
        let mut dice = Dice::new(1);
        for _ in 0..1000 {
            let thinned = with_zeros(&mut dice, 98_765);
            assert!((90_000..=98_765).contains(&thinned), "{thinned}");
            assert!(thinned.to_string().chars().zip("98765".chars()).all(|(a, b)| a == b || a == '0'), "{thinned}");
        }
    }
}
