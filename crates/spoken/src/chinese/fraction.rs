//! 分数: 3/4 四分之三, 12.5% 百分之十二点五, 100% 百分之百.

use super::cardinal::{spoken, whole};
use crate::dice::Dice;
use crate::number::{self, Number};
use crate::reading::{Kind, Reading};

fn fraction_spoken(numerator: u64, denominator: u64) -> String {
    format!("{}分之{}", whole(denominator), whole(numerator))
}

fn percent_spoken(number: &Number) -> String {
    let digits = Number { negative: false, ..number.clone() };
    let share = if digits == 100.into() { "百".into() } else { spoken(&digits) };
    format!("{}百分之{share}", if number.negative { "负" } else { "" })
}

/// A fraction below one, now and then above.
pub fn fraction(dice: &mut Dice) -> Reading {
    let denominator = if dice.chance(70) { dice.between(2, 12) } else { dice.between(13, 99) };
    let most = if dice.chance(85) { denominator - 1 } else { 2 * denominator + 1 };
    let numerator = dice.between(1, most);
    let written = format!("{numerator}/{denominator}");
    Reading::new(Kind::Fraction, &*written, fraction_spoken(numerator, denominator), &*written)
}

/// A fraction on its own, also negative, after a whole number, or in words: 3又1/10, 负1/3, 100分之57.
pub fn ratio(dice: &mut Dice) -> Reading {
    let (mut numerator, mut denominator) = (number::whole(dice, 3), number::whole(dice, 4).max(2));
    if dice.chance(50) {
        denominator = dice.between(2, 20);
        numerator = dice.between(1, denominator);
    }
    let spoken = fraction_spoken(numerator, denominator);
    let value = format!("{numerator}/{denominator}");
    let (sign, minus) = if dice.chance(30) { (*dice.pick(&["-", "负"]), "负") } else { ("", "") };
    let (written, spoken) = match dice.below(6) {
        0 => {
            let ones = number::whole(dice, 2);
            (format!("{ones}又{value}"), format!("{}又{spoken}", whole(ones)))
        }
        1 => (format!("{denominator}分之{numerator}"), spoken),
        _ => (value.clone(), spoken),
    };
    Reading::new(Kind::Fraction, format!("{sign}{written}"), format!("{minus}{spoken}"), value)
}

/// Between two percentages: 30~41% 百分之三十到四十一.
pub fn percents(dice: &mut Dice) -> Reading {
    let (from, to) = (dice.between(1, 89), dice.between(90, 100));
    let (from, to) = if dice.chance(50) { (from, dice.between(from + 1, 99)) } else { (from, to) };
    let spoken = if to == 100 { "百分之百".into() } else { whole(to) };
    let written = format!("{from}{}{to}%", dice.pick(&["~", "-"]));
    let values = vec![from.to_string(), to.to_string()];
    Reading { kind: Kind::Percentage, written, spoken: format!("百分之{}到{spoken}", whole(from)), values }
}

/// A percentage.
pub fn percent(dice: &mut Dice) -> Reading {
    percentage(&number::any(dice, 2, 45))
}

/// A percentage of any size, every third time negative.
pub fn change(dice: &mut Dice) -> Reading {
    percentage(&number::change(dice))
}

fn percentage(number: &Number) -> Reading {
    Reading::of(Kind::Percentage, number, format!("{}%", number.written(false)), percent_spoken(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::parsed;

    #[test]
    fn fractions() {
        assert_eq!(fraction_spoken(1, 2), "二分之一");
        assert_eq!(fraction_spoken(3, 4), "四分之三");
        assert_eq!(fraction_spoken(1, 10), "十分之一");
        assert_eq!(fraction_spoken(3, 16), "十六分之三");
    }

    #[test]
    fn percentages() {
        for (written, words) in
            [("2.15", "百分之二点一五"), ("0.4", "百分之零点四"), ("-98", "负百分之九十八"), ("100", "百分之百")]
        {
            assert_eq!(percent_spoken(&parsed(written)), words);
        }
    }
}
