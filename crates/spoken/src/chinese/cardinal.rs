//! 数量: 一千二百三十四, 负零点五, 三点五万, 十到十五, 九十八比八十七.
//!
//! 2 is 两 before 千, 万 and 亿, in 两百万, and, on its own, before a measure word (两个); elsewhere it is 二 (二十, 二百, 第二).

use crate::dice::Dice;
use crate::number::{self, Number};
use crate::reading::{Kind, Reading};

const DIGITS: [&str; 10] = ["零", "一", "二", "三", "四", "五", "六", "七", "八", "九"];

/// A whole number below 10^12 in characters.
pub fn whole(number: u64) -> String {
    if number < 20 {
        return match number {
            0..10 => DIGITS[number as usize].into(),
            10 => "十".into(),
            _ => format!("十{}", DIGITS[number as usize - 10]),
        };
    }
    let mut spoken = String::new();
    let mut rest = number;
    // A zero is spoken, once, where digits are missing between two groups.
    let mut gap = false;
    for (scale, name) in [(100_000_000, "亿"), (10_000, "万"), (1, "")] {
        let group = rest / scale;
        rest %= scale;
        if group == 0 {
            gap |= !spoken.is_empty();
            continue;
        }
        if !spoken.is_empty() && (gap || group < 1000) {
            spoken.push('零');
        }
        gap = false;
        spoken.push_str(&group_spoken(group, spoken.is_empty(), !name.is_empty()));
        spoken.push_str(name);
    }
    spoken
}

/// A number of 1 to 9999. At the very start of a number 10 to 19 is 十 to 十九, later 一十; `scaled` tells that 万 or 亿
/// follows.
fn group_spoken(group: u64, at_start: bool, scaled: bool) -> String {
    if group == 2 && scaled {
        return "两".into();
    }
    if at_start && (10..20).contains(&group) {
        return whole(group);
    }
    let mut spoken = String::new();
    let mut gap = false;
    for (place, name) in [(1000, "千"), (100, "百"), (10, "十"), (1, "")] {
        let digit = group / place % 10;
        if digit == 0 {
            gap |= !spoken.is_empty();
            continue;
        }
        if gap {
            spoken.push('零');
            gap = false;
        }
        let is_pair = digit == 2 && (place == 1000 || (place == 100 && scaled && at_start && group < 1000));
        spoken.push_str(if is_pair { "两" } else { DIGITS[digit as usize] });
        spoken.push_str(name);
    }
    spoken
}

/// Digits one by one: 二零二六.
pub fn digit_by_digit(digits: &str) -> String {
    digits.bytes().filter(u8::is_ascii_digit).map(|d| DIGITS[usize::from(d - b'0')]).collect()
}

/// Any number; the decimals are read digit by digit.
pub fn spoken(number: &Number) -> String {
    let sign = if number.negative { "负" } else { "" };
    let whole = whole(number.whole);
    if number.fraction.is_empty() {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}点{}", digit_by_digit(&number.fraction))
    }
}

/// A number before a measure word or a unit, where 2 is 两.
pub fn quantity(number: &Number) -> String {
    if number.whole == 2 && number.fraction.is_empty() { "两".into() } else { spoken(number) }
}

/// A number of things, before a measure word.
pub fn count(dice: &mut Dice) -> Reading {
    let count = number::whole(dice, 6).into();
    let grouped = dice.chance(20);
    Reading::of(Kind::Cardinal, &count, count.written(grouped), quantity(&count))
}

/// A bare number: whole, decimal or negative.
pub fn number(dice: &mut Dice) -> Reading {
    let mut number = number::any(dice, 6, 35);
    number.negative = dice.chance(20);
    let grouped = dice.chance(20);
    Reading::of(Kind::Cardinal, &number, number.written(grouped), spoken(&number))
}

/// Tens of thousands and more before a measure word: 3.5万, 12亿 or 34,000,000.
pub fn large(dice: &mut Dice) -> Reading {
    if dice.chance(30) {
        let number = (number::whole(dice, 2) * 10_u64.pow(dice.between(4, 8) as u32)).into();
        let grouped = dice.chance(50);
        return Reading::of(Kind::Cardinal, &number, number.written(grouped), spoken(&number));
    }
    scaled(dice, Kind::Cardinal)
}

/// A whole number of any size on its own; beyond the everyday ones, zeros and their places are what is to be learnt.
pub fn cardinal(dice: &mut Dice) -> Reading {
    let mut number = Number::from(if dice.chance(6) { dice.below(21) } else { number::size(dice, 12) });
    number.negative = dice.chance(12);
    signed(dice, &number, Kind::Cardinal)
}

/// A decimal number on its own.
pub fn decimal(dice: &mut Dice) -> Reading {
    let mut number = Number { bare_point: false, ..number::precise(dice, 6) };
    number.negative = dice.chance(20);
    signed(dice, &number, Kind::Cardinal)
}

/// The number, whose sign may also be the word 负.
fn signed(dice: &mut Dice, number: &Number, kind: Kind) -> Reading {
    let mut written = number.written(dice.chance(30));
    if dice.chance(35) {
        written = written.replace('-', "负");
    }
    Reading::of(kind, number, written, spoken(number))
}

/// A number with 万 or 亿. Its values are its digits and the whole amount.
pub fn scaled(dice: &mut Dice, kind: Kind) -> Reading {
    let (scale, zeros) =
        *dice.pick(&[("万", 4), ("万", 4), ("亿", 8), ("亿", 8), ("千万", 7), ("百万", 6), ("万亿", 12)]);
    let most_digits = if matches!(scale, "千万" | "百万") { 1 } else { 4 };
    let digits = number::any(dice, most_digits, 45);
    let fraction: u64 = digits.fraction.parse().unwrap_or(0);
    let amount = digits.whole * 10_u64.pow(zeros) + fraction * 10_u64.pow(zeros - digits.fraction.len() as u32);
    let written = format!("{}{scale}", digits.written(dice.chance(15)));
    let mut reading = Reading::of(kind, &digits, written, format!("{}{scale}", scaled_spoken(&digits)));
    reading.values.push(amount.to_string());
    reading
}

/// A number before 万 or 亿, as in 两百零一万.
fn scaled_spoken(number: &Number) -> String {
    let sign = if number.negative { "负" } else { "" };
    match (number.whole, &*number.fraction) {
        (2 | 200..300, "") => format!("{sign}{}", group_spoken(number.whole, true, true)),
        _ => spoken(number),
    }
}

/// A number with 万, 亿 or 兆 on its own, also of many digits, in traditional characters, negative, or in parts.
pub fn large_number(dice: &mut Dice) -> Reading {
    let mut reading = match dice.below(10) {
        0..3 => return in_parts(dice),
        3 => {
            let number = Number { bare_point: false, ..number::precise(dice, 6) };
            let (written, scale) = (number.written(false), dice.pick(&["万", "亿", "兆"]));
            Reading::of(Kind::Cardinal, &number, format!("{written}{scale}"), format!("{}{scale}", spoken(&number)))
        }
        _ => scaled(dice, Kind::Cardinal),
    };
    if dice.chance(15) {
        let sign = *dice.pick(&["-", "负"]);
        (reading.written, reading.spoken) = (format!("{sign}{}", reading.written), format!("负{}", reading.spoken));
    }
    if dice.chance(20) {
        for text in [&mut reading.written, &mut reading.spoken] {
            *text = text.replace('万', "萬").replace('亿', "億");
        }
    }
    reading
}

/// A number whose parts are each in digits: 1亿2300, 1兆320万5000.
fn in_parts(dice: &mut Dice) -> Reading {
    let (scale, size, most_digits) =
        *dice.pick(&[("万", 10_000, 4), ("亿", 100_000_000, 8), ("亿", 100_000_000, 8), ("兆", 1_000_000_000_000, 8)]);
    let (high, low) = (number::whole(dice, 4), number::size(dice, most_digits).max(100));
    let low_written = match (low / 10_000, low % 10_000) {
        (myriads @ 1.., 0) => format!("{myriads}万"),
        (myriads @ 1.., rest) if dice.chance(60) => format!("{myriads}万{rest}"),
        _ => low.to_string(),
    };
    let gap = if low < size / 10 { "零" } else { "" };
    let spoken = format!("{}{scale}{gap}{}", scaled_spoken(&high.into()), group_start(low));
    Reading::of(Kind::Cardinal, &(high * size + low).into(), format!("{high}{scale}{low_written}"), spoken)
}

/// A number that others stand before: 一十二万.
fn group_start(number: u64) -> String {
    let spoken = whole(number);
    if spoken.starts_with('十') { format!("一{spoken}") } else { spoken }
}

/// Between two neighbouring amounts, said in one breath: 3~5万 三五万, 30~40亿 三四十亿, 17-8万 十七八万.
pub fn about(dice: &mut Dice) -> Reading {
    let first = dice.between(2, 8);
    let second = dice.between(first + 1, (first + 2).min(9));
    let tens = if dice.chance(40) { dice.between(1, 9) * 10 } else { 0 };
    let (from, to, spoken) = match dice.below(3) {
        0 => (first, second, format!("{}{}", DIGITS[first as usize], DIGITS[second as usize])),
        1 => (first * 10, second * 10, format!("{}{}十", DIGITS[first as usize], DIGITS[second as usize])),
        _ => (tens + first, second, format!("{}{}", whole(tens + first), DIGITS[second as usize])),
    };
    let scale = *dice.pick(&["万", "亿"]);
    let written = format!("{from}{}{to}{scale}", dice.pick(&["-", "~"]));
    // One value: small numbers alone are all in training.
    Reading::new(Kind::Range, written, format!("{spoken}{scale}"), format!("{from}-{to}"))
}

/// A position in a sentence: 第21 第二十一.
pub fn ordinal(dice: &mut Dice) -> Reading {
    let digits = if dice.chance(80) { 2 } else { 4 };
    let number = number::whole(dice, digits);
    Reading::new(Kind::Ordinal, format!("第{number}"), format!("第{}", whole(number)), number.to_string())
}

/// A position of any size, on its own; also 第10万.
pub fn position(dice: &mut Dice) -> Reading {
    let reading = if dice.chance(25) {
        scaled(dice, Kind::Ordinal)
    } else {
        let number = Number::from(number::size(dice, 12));
        Reading::of(Kind::Ordinal, &number, number.written(dice.chance(10)), spoken(&number))
    };
    if reading.written.contains('.') {
        return position(dice);
    }
    Reading { written: format!("第{}", reading.written), spoken: format!("第{}", reading.spoken), ..reading }
}

/// 10-15 or 10~15, 十到十五; the second number is the greater.
pub fn range(dice: &mut Dice) -> Reading {
    let from = number::whole(dice, 3);
    let to = from + number::whole(dice, 2);
    range_reading(dice, from, to)
}

/// A range of numbers below a hundred.
pub fn ages(dice: &mut Dice) -> Reading {
    let from = dice.between(3, 89);
    let to = dice.between(from + 1, 99);
    range_reading(dice, from, to)
}

fn range_reading(dice: &mut Dice, from: u64, to: u64) -> Reading {
    let dash = dice.pick(&["-", "~"]);
    let spoken = format!("{}到{}", quantity(&from.into()), quantity(&to.into()));
    Reading {
        kind: Kind::Range,
        written: format!("{from}{dash}{to}"),
        spoken,
        values: vec![from.to_string(), to.to_string()],
    }
}

/// 98:87 九十八比八十七. The second number is above 59, so that no score looks like a time.
pub fn score(dice: &mut Dice) -> Reading {
    let (first, second) = (dice.between(60, 139), dice.between(60, 139));
    let written = format!("{first}:{second}");
    let spoken = format!("{}比{}", whole(first), whole(second));
    Reading { kind: Kind::Score, written, spoken, values: vec![first.to_string(), second.to_string()] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::parsed;

    #[test]
    fn whole_numbers() {
        for (number, characters) in [
            (0, "零"),
            (2, "二"),
            (10, "十"),
            (11, "十一"),
            (12, "十二"),
            (20, "二十"),
            (21, "二十一"),
            (100, "一百"),
            (101, "一百零一"),
            (110, "一百一十"),
            (111, "一百一十一"),
            (200, "二百"),
            (219, "二百一十九"),
            (1_000, "一千"),
            (1_001, "一千零一"),
            (1_010, "一千零一十"),
            (1_011, "一千零一十一"),
            (1_050, "一千零五十"),
            (1_100, "一千一百"),
            (2_200, "两千二百"),
            (2_222, "两千二百二十二"),
            (10_000, "一万"),
            (10_001, "一万零一"),
            (10_010, "一万零一十"),
            (10_300, "一万零三百"),
            (11_100, "一万一千一百"),
            (11_111, "一万一千一百一十一"),
            (20_000, "两万"),
            (22_000, "两万两千"),
            (100_000, "十万"),
            (100_010, "十万零一十"),
            (110_000, "十一万"),
            (120_345, "十二万零三百四十五"),
            (1_100_000, "一百一十万"),
            (2_000_000, "两百万"),
            (2_120_000, "两百一十二万"),
            (122_220_000, "一亿两千二百二十二万"),
            (10_100_100, "一千零一十万零一百"),
            (20_000_000, "两千万"),
            (100_000_000, "一亿"),
            (100_110_000, "一亿零一十一万"),
            (100_002_000, "一亿零两千"),
            (1_000_000_009, "十亿零九"),
            (200_000_000, "两亿"),
        ] {
            assert_eq!(whole(number), characters, "{number}");
        }
    }

    #[test]
    fn two_before_a_measure_word() {
        for (number, characters) in [(2, "两"), (12, "十二"), (20, "二十"), (200, "二百"), (2_000, "两千")] {
            assert_eq!(quantity(&number.into()), characters);
        }
        let number = Number::with_fraction(2, "2");
        assert_eq!(quantity(&number), "二点二");
    }

    #[test]
    fn parts() {
        let mut dice = Dice::new(4);
        for _ in 0..2_000 {
            let Reading { written, spoken, values, .. } = in_parts(&mut dice);
            // 两百一十万 begins with 两 only at a number's start.
            let number: u64 = values[0].parse().unwrap();
            if number < 1_000_000_000_000 && !spoken.contains("两百") {
                assert_eq!(spoken, whole(number), "{written}");
            }
        }
    }

    #[test]
    fn signs_and_decimals() {
        for (written, words) in [("1.01", "一点零一"), ("-2930.1929", "负两千九百三十点一九二九"), ("0.5", "零点五")]
        {
            assert_eq!(spoken(&parsed(written)), words);
        }
    }
}
