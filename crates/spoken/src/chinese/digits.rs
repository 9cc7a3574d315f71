//! 号码: telephone numbers, codes, rooms and flights are read digit by digit, and 1 is 幺.

use super::cardinal::digit_by_digit;
use crate::dice::Dice;
use crate::reading::{Kind, Reading};

fn spoken(digits: &str) -> String {
    digit_by_digit(digits).replace('一', "幺")
}

fn digit_string(dice: &mut Dice, length: u64) -> String {
    (0..length).map(|_| char::from(b'0' + dice.below(10) as u8)).collect()
}

fn reading(kind: Kind, digits: String) -> Reading {
    Reading::new(kind, &*digits, spoken(&digits), &*digits)
}

/// The number of a mobile telephone, of a house with its city's code, or of a hotline.
pub fn phone(dice: &mut Dice) -> Reading {
    let digits = match dice.below(3) {
        0 => format!("1{}{}", dice.between(3, 9), digit_string(dice, 9)),
        1 => {
            let (area, number) = (format!("0{}", dice.between(10, 29)), digit_string(dice, 7));
            let digits = format!("{area}{}{number}", dice.between(2, 8));
            let written = format!("{area}-{}", &digits[3..]);
            return Reading::new(Kind::Phone, written, spoken(&digits), digits);
        }
        _ => format!("{}{}", dice.between(2, 9), digit_string(dice, 6)),
    };
    reading(Kind::Phone, digits)
}

/// A code of three to six digits.
pub fn code(dice: &mut Dice) -> Reading {
    let length = dice.between(3, 6);
    reading(Kind::Code, digit_string(dice, length))
}

/// The number of a room, flight or bus: three or four digits.
pub fn room(dice: &mut Dice) -> Reading {
    let number = if dice.chance(65) { dice.between(100, 999) } else { dice.between(1000, 9999) };
    reading(Kind::Room, number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_one_by_one() {
        assert_eq!(spoken("13800138000"), "幺三八零零幺三八零零零");
        assert_eq!(spoken("010-12345678"), "零幺零幺二三四五六七八");
        assert_eq!(spoken("302"), "三零二");
    }
}
