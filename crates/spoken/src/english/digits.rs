//! Numbers that are names: telephone numbers and codes digit by digit, 555-0142 "five five five zero one four two"; rooms,
//! flights and houses in pairs, 302 "three o two", 1428 "fourteen twenty eight"; letters of codes one by one, B52 "b
//! fifty two".

use super::cardinal::{digit_by_digit, whole};
use super::date::year_spoken;
use crate::dice::Dice;
use crate::number::digits;
use crate::reading::{Kind, Reading};

/// A telephone number of seven or ten digits.
pub fn phone(dice: &mut Dice) -> Reading {
    let long = dice.chance(45);
    let number = format!("{}{}", dice.between(2, 9), if long { digits(dice, 9, 9) } else { digits(dice, 6, 6) });
    let written = if long { ten_digits(dice, &number) } else { format!("{}-{}", &number[..3], &number[3..]) };
    Reading::new(Kind::Phone, written, digit_by_digit(&number), number)
}

fn ten_digits(dice: &mut Dice, number: &str) -> String {
    let (area, exchange, line) = (&number[..3], &number[3..6], &number[6..]);
    match dice.below(6) {
        0 => format!("({area}) {exchange}-{line}"),
        1 => format!("({area})-{exchange}-{line}"),
        2 => format!("{area} {exchange} {line}"),
        3 => format!("{area}.{exchange}.{line}"),
        _ => format!("{area}-{exchange}-{line}"),
    }
}

/// A telephone number with the country before it, or an extension after it.
pub fn international(dice: &mut Dice) -> Reading {
    let (country, number) = (dice.between(1, 99).to_string(), digits(dice, 10, 10));
    let mut spoken = format!("{} {}", digit_by_digit(&country), digit_by_digit(&number));
    let local = ten_digits(dice, &number);
    let mut written = match dice.below(6) {
        0 => format!("{country} {local}"),
        1 => format!("{country}-{local}"),
        joined => {
            spoken = format!("plus {spoken}");
            format!("+{country}{}{local}", if joined == 2 { "" } else { " " })
        }
    };
    if dice.chance(20) {
        let extension = digits(dice, 1, 3);
        written = format!("{written}-{extension}");
        spoken = format!("{spoken} {}", digit_by_digit(&extension));
    }
    Reading::new(Kind::Phone, written, spoken, number)
}

/// Numbers of papers in three groups, and addresses of computers: 192.168.0.1 "one nine two dot one six eight dot zero
/// dot one".
pub fn number_in_groups(dice: &mut Dice) -> Reading {
    if dice.chance(50) {
        let number = digits(dice, 9, 9);
        let written = format!("{}-{}-{}", &number[..3], &number[3..5], &number[5..]);
        return Reading::new(Kind::Code, written, digit_by_digit(&number), number);
    }
    let groups: [String; 4] = std::array::from_fn(|_| match dice.below(4) {
        0 => dice.below(10).to_string(),
        1 => dice.between(10, 99).to_string(),
        _ => dice.between(100, 255).to_string(),
    });
    let spoken = groups.each_ref().map(|group| digit_by_digit(group)).join(" dot ");
    Reading::new(Kind::Code, groups.join("."), spoken, groups.join("."))
}

/// A code of three to six digits.
pub fn code(dice: &mut Dice) -> Reading {
    let digits = digits(dice, 3, 6);
    Reading::new(Kind::Code, &*digits, digit_by_digit(&digits), &*digits)
}

/// A code of letters and digits that begins with a letter, or has letters between digits.
pub fn serial(dice: &mut Dice) -> Reading {
    let (mut written, mut spoken, mut value) = (String::new(), Vec::new(), String::new());
    let upper = dice.chance(55);
    let segments = *dice.pick(&[2, 2, 2, 2, 2, 2, 2, 3, 3, 4]);
    let begins_with_digits = segments > 3 && dice.chance(30);
    for segment in 0..segments {
        if (segment % 2 == 1) != begins_with_digits {
            let number = if dice.chance(10) { format!("0{}", digits(dice, 1, 2)) } else { number_without_zero(dice) };
            written.push_str(&number);
            spoken.push(serial_number_spoken(&number));
            value.push_str(&number);
        } else {
            for _ in 0..*dice.pick(&[1, 1, 1, 2, 2, 3]) {
                let letter = char::from(b'a' + dice.below(26) as u8);
                written.push(if upper { letter.to_ascii_uppercase() } else { letter });
                spoken.push(letter.into());
            }
        }
        if segment + 1 < segments && upper && dice.chance(8) {
            written.push('-');
        }
    }
    Reading::new(Kind::Code, written, spoken.join(" "), value)
}

fn number_without_zero(dice: &mut Dice) -> String {
    let rest = *dice.pick(&[0, 0, 0, 1, 1, 1, 1, 2, 2, 3]);
    format!("{}{}", dice.between(1, 9), digits(dice, rest, rest))
}

/// The digits of a code: pairs as in a house number, up to four of them.
fn serial_number_spoken(digits: &str) -> String {
    match digits.parse() {
        Ok(number @ 1..10_000) if !digits.starts_with('0') => room_spoken(number),
        _ => digit_by_digit(digits),
    }
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
    if number.is_multiple_of(100) && number < 1_000 { whole(number) } else { year_spoken(number) }
}

/// A house in a street: 1428 Elm St. "fourteen twenty eight elm street".
pub fn address(dice: &mut Dice) -> Reading {
    const NAMES: [&str; 16] = [
        "Oak",
        "Maple",
        "Pine",
        "Cedar",
        "Main",
        "Hill",
        "Lake",
        "Park",
        "Washington",
        "Mission",
        "Market",
        "River",
        "Spring",
        "Church",
        "San Pablo",
        "High",
    ];
    const STREETS: [(&str, &str); 8] = [
        ("St", "street"),
        ("Ave", "avenue"),
        ("Rd", "road"),
        ("Blvd", "boulevard"),
        ("Ct", "court"),
        ("Ln", "lane"),
        ("Expy", "expressway"),
        ("Hwy", "highway"),
    ];
    let (house, name, (short, street)) = (room(dice), dice.pick(&NAMES), dice.pick(&STREETS));
    let stop = if dice.chance(40) { "." } else { "" };
    let written = format!("{} {name} {short}{stop}", house.written);
    Reading { written, spoken: format!("{} {name} {street}", house.spoken), ..house }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms() {
        for (number, words) in [
            (12, "twelve"),
            (100, "one hundred"),
            (101, "one o one"),
            (302, "three o two"),
            (412, "four twelve"),
            (720, "seven twenty"),
            (1200, "twelve hundred"),
            (1428, "fourteen twenty eight"),
            (1705, "seventeen o five"),
            (3000, "three thousand"),
            (3004, "three thousand four"),
            (9901, "ninety nine o one"),
        ] {
            assert_eq!(room_spoken(number), words);
        }
        assert_eq!(serial_number_spoken("07"), "zero seven");
        assert_eq!(serial_number_spoken("4711"), "forty seven eleven");
        assert_eq!(serial_number_spoken("90210"), "nine zero two one zero");
    }

    #[test]
    fn telephone_numbers_are_read_digit_by_digit() {
        assert_eq!(digit_by_digit("(415) 555-0142"), "four one five five five five zero one four two");
    }
}
