//! 日期: 2026年11月23日, 2026-11-23, 2026.11.23 and 2026/11/23 are all 二零二六年十一月二十三日; 公元前 and 公元 stay. Years are read
//! digit by digit, also those of two digits: 05年 零五年.

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
    let (written, day_name) = match dice.below(8) {
        0..4 => {
            let day_name = *dice.pick(&["日", "日", "号"]);
            let day = if dice.chance(15) { format!("{month:02}月{day:02}") } else { format!("{month}月{day}") };
            (format!("{year}年{day}{day_name}"), day_name)
        }
        4 => (format!("{year}-{month:02}-{day:02}"), "日"),
        5 => (format!("{year}{0}{month:02}{0}{day:02}", dice.pick(&["/", "."])), "日"),
        _ => (format!("{year}/{month}/{day}"), "日"),
    };
    let spoken = format!("{}{}", year_spoken(year), day_spoken(&date, day_name));
    Reading::new(Kind::Date, written, spoken, date.canonical())
}

/// A date on its own: with an era, of a year of two digits, or without a year, as in 08/08.
pub fn dates(dice: &mut Dice) -> Reading {
    let date = Date::draw(dice);
    let Date { year, month, day } = date;
    let short = digit_by_digit(&format!("{:02}", year % 100));
    let days = day_spoken(&date, "日");
    let (written, spoken) = match dice.below(8) {
        0..3 => {
            let era = *dice.pick(&["公元", "公元前"]);
            let year = dice.between(21, 3_000);
            let (day_written, day_spoken) = match dice.below(3) {
                0 => (String::new(), String::new()),
                1 => (format!("{month}月"), format!("{}月", whole(month))),
                _ => (format!("{month}月{day}日"), days),
            };
            let spoken = format!("{era}{}{day_spoken}", year_spoken(year));
            return Reading::new(
                Kind::Date,
                format!("{era}{year}年{day_written}"),
                spoken,
                format!("{year}-{month}-{day}"),
            );
        }
        3 => (format!("{:02}{1}{month}{1}{day}", year % 100, dice.pick(&["/", "."])), format!("{short}年{days}")),
        4 => (format!("{:02}/{month:02}/{day:02}", year % 100), format!("{short}年{days}")),
        5 => return Reading::new(Kind::Date, format!("{month:02}月{day:02}日"), days, date.day_canonical()),
        _ if month < 10 || day < 10 => {
            let dash = dice.pick(&["/", "-"]);
            return Reading::new(Kind::Date, format!("{month:02}{dash}{day:02}"), days, date.day_canonical());
        }
        _ => (format!("{:02}年{month}月{day}日", year % 100), format!("{short}年{days}")),
    };
    Reading::new(Kind::Date, written, spoken, date.short_canonical())
}

/// A year or a month on its own, of any age: 1835年, 05年, 2008.08, 02月, 21AD, 90后.
pub fn years(dice: &mut Dice) -> Reading {
    let Date { year, month, .. } = Date::draw(dice);
    let any = if dice.chance(50) { year } else { dice.between(100, 3_000) };
    let (written, spoken, value) = match dice.below(9) {
        0..3 => (format!("{any}年"), year_spoken(any), any.to_string()),
        3 => {
            let short = format!("{:02}", year % 100);
            let name = *dice.pick(&["年", "年", "后"]);
            (format!("{short}{name}"), format!("{}{name}", digit_by_digit(&short)), short)
        }
        4 => (
            format!("{year}.{month:02}"),
            format!("{}{}月", year_spoken(year), whole(month)),
            format!("{year}-{month}"),
        ),
        5 => (format!("{month}月"), format!("{}月", whole(month)), month.to_string()),
        6 => (format!("{month:02}月"), format!("{}月", whole(month)), month.to_string()),
        _ => {
            let (era, spoken) = *dice.pick(&[("AD", "公元"), ("BC", "公元前"), ("ad", "公元"), ("bc", "公元前")]);
            (format!("{any}{era}"), format!("{spoken}{}", year_spoken(any)), any.to_string())
        }
    };
    Reading::new(Kind::Year, written, spoken, value)
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
