//! 日期: 2026年11月23日, 2026-11-23 and 2026/11/23 are all 二零二六年十一月二十三日. Years are read digit by digit.

use super::cardinal::{digit_by_digit, whole};
use crate::calendar::{self, Date};
use crate::dice::Dice;
use crate::reading::{Kind, Reading};

fn year_spoken(year: u64) -> String {
    format!("{}年", digit_by_digit(&year.to_string()))
}

fn day_spoken(date: &Date, day_name: &str) -> String {
    format!("{}月{}{day_name}", whole(date.month), whole(date.day))
}

/// A day of a year.
pub fn date(dice: &mut Dice) -> Reading {
    let date = Date::draw(dice);
    reading(dice, date)
}

/// A day to make an appointment for.
pub fn coming(dice: &mut Dice) -> Reading {
    let date = Date::coming(dice);
    reading(dice, date)
}

/// A day of a year in one of its formats. Written with 号, it is spoken with 号.
fn reading(dice: &mut Dice, date: Date) -> Reading {
    let Date { year, month, day } = date;
    let (written, day_name) = match dice.below(6) {
        0..3 => (format!("{year}年{month}月{day}日"), "日"),
        3 => (format!("{year}年{month}月{day}号"), "号"),
        4 => (format!("{year}-{month:02}-{day:02}"), "日"),
        _ => (format!("{year}/{month}/{day}"), "日"),
    };
    let spoken = format!("{}{}", year_spoken(year), day_spoken(&date, day_name));
    Reading::new(Kind::Date, written, spoken, date.canonical())
}

/// A day without its year.
pub fn day(dice: &mut Dice) -> Reading {
    let date = Date::draw(dice);
    let day_name = dice.pick(&["日", "号"]);
    let written = format!("{}月{}{day_name}", date.month, date.day);
    Reading::new(Kind::Date, written, day_spoken(&date, day_name), date.day_canonical())
}

/// A month of a year.
pub fn month(dice: &mut Dice) -> Reading {
    let Date { year, month, .. } = Date::draw(dice);
    let spoken = format!("{}{}月", year_spoken(year), whole(month));
    Reading::new(Kind::Date, format!("{year}年{month}月"), spoken, format!("{year}-{month}"))
}

/// A year on its own.
pub fn year(dice: &mut Dice) -> Reading {
    let year = calendar::year(dice);
    Reading::new(Kind::Year, format!("{year}年"), year_spoken(year), year.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(year_spoken(2026), "二零二六年");
        assert_eq!(year_spoken(2000), "二零零零年");
        assert_eq!(year_spoken(1912), "一九一二年");
        let date = Date { year: 2026, month: 11, day: 23 };
        assert_eq!(day_spoken(&date, "日"), "十一月二十三日");
        assert_eq!(day_spoken(&Date { month: 2, day: 2, ..date }, "号"), "二月二号");
        assert_eq!(day_spoken(&Date { month: 10, day: 10, ..date }, "日"), "十月十日");
    }
}
