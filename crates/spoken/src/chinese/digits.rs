//! 号码: telephone numbers, codes, rooms and flights are read digit by digit, and 1 is 幺.

use super::cardinal::digit_by_digit;
use crate::dice::Dice;
use crate::number::digits;
use crate::reading::{Kind, Reading};

fn spoken(digits: &str) -> String {
    digit_by_digit(digits).replace('一', "幺")
}

fn reading(kind: Kind, digits: String) -> Reading {
    Reading::new(kind, &*digits, spoken(&digits), &*digits)
}

/// The number of a mobile telephone, of a house with its city's code, or of a hotline.
pub fn phone(dice: &mut Dice) -> Reading {
    let number = match dice.below(3) {
        0 => format!("1{}{}", dice.between(3, 9), digits(dice, 9, 9)),
        1 => {
            let (area, number) = (format!("0{}", dice.between(10, 29)), digits(dice, 7, 7));
            let digits = format!("{area}{}{number}", dice.between(2, 8));
            let written = format!("{area}-{}", &digits[3..]);
            return Reading::new(Kind::Phone, written, spoken(&digits), digits);
        }
        _ => format!("{}{}", dice.between(2, 9), digits(dice, 6, 6)),
    };
    reading(Kind::Phone, number)
}

/// A code of three to six digits.
pub fn code(dice: &mut Dice) -> Reading {
    let code = digits(dice, 3, 6);
    reading(Kind::Code, code)
}

/// The number of a room, flight or bus: three or four digits.
pub fn room(dice: &mut Dice) -> Reading {
    let number = if dice.chance(65) { dice.between(100, 999) } else { dice.between(1000, 9999) };
    reading(Kind::Room, number.to_string())
}

/// A code of letters and digits: G123, 京A07B; the letters stay.
pub fn serial(dice: &mut Dice) -> Reading {
    let (mut written, mut value) = (String::new(), String::new());
    for _ in 0..dice.between(1, 2) {
        for _ in 0..dice.between(1, 2) {
            written.push(char::from(b'A' + dice.below(26) as u8));
        }
        let number = digits(dice, 1, 4);
        written.push_str(&number);
        value.push_str(&number);
    }
    let spoken =
        written.chars().map(|c| if c.is_ascii_digit() { spoken(c.encode_utf8(&mut [0; 4])) } else { c.into() });
    let spoken: String = spoken.collect();
    Reading::new(Kind::Code, written, spoken, value)
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
