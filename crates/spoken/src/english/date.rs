//! Dates, whatever the format, are spoken month first: 2026-11-23, 11/23/2026, November 23, 2026 and 23 November 2026
//! are all "november twenty third twenty twenty six". Years are read in pairs of digits, but 2000 to 2009 as numbers.

use super::cardinal::whole;
use super::ordinal;
use crate::calendar::{self, Date};
use crate::dice::Dice;
use crate::reading::{Kind, Reading};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

fn month_name(month: u64) -> &'static str {
    MONTHS[month as usize - 1]
}

/// A year of four digits: "nineteen oh five", "two thousand five", "twenty twenty six".
pub fn year_spoken(year: u64) -> String {
    match (year / 100, year % 100) {
        (_, 0..=9) if year % 1000 < 10 => whole(year),
        (century, 0) => format!("{} hundred", whole(century)),
        (century, rest @ 1..=9) => format!("{} oh {}", whole(century), whole(rest)),
        (century, rest) => format!("{} {}", whole(century), whole(rest)),
    }
}

fn day_spoken(date: &Date) -> String {
    format!("{} {}", month_name(date.month).to_lowercase(), ordinal::spoken(date.day))
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

/// A day of a year in one of its formats.
fn reading(dice: &mut Dice, date: Date) -> Reading {
    let Date { year, month, day } = date;
    let name = month_name(month);
    let written = match dice.below(6) {
        0 | 1 => format!("{year}-{month:02}-{day:02}"),
        2 => format!("{month}/{day}/{year}"),
        3 => format!("{name} {day}, {year}"),
        4 => format!("{} {day}, {year}", &name[..3]),
        _ => format!("{day} {name} {year}"),
    };
    Reading::new(Kind::Date, written, format!("{} {}", day_spoken(&date), year_spoken(year)), date.canonical())
}

/// A day without its year: November 23, Nov 23, 23 November, November 23rd.
pub fn day(dice: &mut Dice) -> Reading {
    let date = Date::draw(dice);
    let Date { month, day, .. } = date;
    let name = month_name(month);
    let written = match dice.below(4) {
        0 => format!("{name} {day}"),
        1 => format!("{} {day}", &name[..3]),
        2 => format!("{day} {name}"),
        _ => format!("{name} {}", ordinal::written(day)),
    };
    Reading::new(Kind::Date, written, day_spoken(&date), date.day_canonical())
}

/// A month of a year: November 2026.
pub fn month(dice: &mut Dice) -> Reading {
    let Date { year, month, .. } = Date::draw(dice);
    let name = month_name(month);
    let spoken = format!("{} {}", name.to_lowercase(), year_spoken(year));
    Reading::new(Kind::Date, format!("{name} {year}"), spoken, format!("{year}-{month}"))
}

/// A year on its own.
pub fn year(dice: &mut Dice) -> Reading {
    let year = calendar::year(dice);
    Reading::new(Kind::Year, year.to_string(), year_spoken(year), year.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn years() {
        for (year, words) in [
            (1500, "fifteen hundred"),
            (1776, "seventeen seventy six"),
            (1900, "nineteen hundred"),
            (1905, "nineteen oh five"),
            (1999, "nineteen ninety nine"),
            (2000, "two thousand"),
            (2005, "two thousand five"),
            (2010, "twenty ten"),
            (2012, "twenty twelve"),
            (2026, "twenty twenty six"),
            (2100, "twenty one hundred"),
        ] {
            assert_eq!(year_spoken(year), words);
        }
    }

    #[test]
    fn days() {
        let date = Date { year: 2026, month: 11, day: 23 };
        assert_eq!(day_spoken(&date), "november twenty third");
        assert_eq!(day_spoken(&Date { month: 1, day: 1, ..date }), "january first");
        assert_eq!(day_spoken(&Date { month: 2, day: 12, ..date }), "february twelfth");
    }

    #[test]
    fn every_format_of_a_date_has_one_spoken_form() {
        let mut dice = Dice::new(5);
        let mut forms = std::collections::HashMap::new();
        for _ in 0..20_000 {
            let reading = date(&mut dice);
            assert_eq!(*forms.entry(reading.values[0].clone()).or_insert(reading.spoken.clone()), reading.spoken);
        }
    }
}
