//! Numbers that are names: telephone numbers and codes digit by digit, 555-0142 "five five five zero one four two"; rooms,
//! flights and houses in pairs, 302 "three oh two", 1428 "fourteen twenty eight".

use super::cardinal::{digit_by_digit, whole};
use super::date::year_spoken;
use crate::dice::Dice;
use crate::reading::{Kind, Reading};

fn digit_string(dice: &mut Dice, length: usize) -> String {
    (0..length).map(|_| char::from(b'0' + dice.below(10) as u8)).collect()
}

/// A telephone number of seven or ten digits.
pub fn phone(dice: &mut Dice) -> Reading {
    let long = dice.chance(35);
    let digits = format!("{}{}", dice.between(2, 9), digit_string(dice, if long { 9 } else { 6 }));
    let written = match (long, dice.below(2)) {
        (false, _) => format!("{}-{}", &digits[..3], &digits[3..]),
        (true, 0) => format!("{}-{}-{}", &digits[..3], &digits[3..6], &digits[6..]),
        (true, _) => format!("({}) {}-{}", &digits[..3], &digits[3..6], &digits[6..]),
    };
    Reading::new(Kind::Phone, written, digit_by_digit(&digits), digits)
}

/// A code of three to six digits.
pub fn code(dice: &mut Dice) -> Reading {
    let length = dice.between(3, 6) as usize;
    let digits = digit_string(dice, length);
    Reading::new(Kind::Code, &*digits, digit_by_digit(&digits), &*digits)
}

/// The number of a room, flight, bus or house.
pub fn room(dice: &mut Dice) -> Reading {
    let number = match dice.below(10) {
        0 | 1 => dice.between(10, 99),
        2..7 => dice.between(100, 999),
        _ => dice.between(1000, 9999),
    };
    Reading::new(Kind::Room, number.to_string(), room_spoken(number), number.to_string())
}

fn room_spoken(number: u64) -> String {
    match (number / 100, number % 100) {
        (10.., _) => year_spoken(number),
        (0, _) | (_, 0) => whole(number),
        (hundreds, rest @ 1..=9) => format!("{} oh {}", whole(hundreds), whole(rest)),
        (hundreds, rest) => format!("{} {}", whole(hundreds), whole(rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms() {
        for (number, words) in [
            (12, "twelve"),
            (100, "one hundred"),
            (101, "one oh one"),
            (302, "three oh two"),
            (412, "four twelve"),
            (720, "seven twenty"),
            (1200, "twelve hundred"),
            (1428, "fourteen twenty eight"),
            (1705, "seventeen oh five"),
            (3000, "three thousand"),
            (3004, "three thousand four"),
            (9901, "ninety nine oh one"),
        ] {
            assert_eq!(room_spoken(number), words);
        }
    }

    #[test]
    fn telephone_numbers_are_read_digit_by_digit() {
        assert_eq!(digit_by_digit("(415) 555-0142"), "four one five five five five zero one four two");
    }
}
