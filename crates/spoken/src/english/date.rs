//! Dates are spoken in the order in which they are written: "November 23, 2026" and 11/23/2026 are "november twenty third
//! twenty twenty six"; "23 November 2026", 2026-11-23 and 23-11-2026 "the twenty third of november twenty twenty six". Years are read in pairs of
//! digits, but 2000 to 2009 as numbers.

use super::cardinal::{digit_by_digit, whole};
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

/// The month's name as one may write it: whole, or its first letters with and without a full stop.
fn month_written(dice: &mut Dice, month: u64) -> String {
    let name = month_name(month);
    let short = if month == 9 && dice.chance(50) { 4 } else { 3 };
    let name = match dice.below(8) {
        0 | 1 => name[..short].into(),
        2 if month != 5 => format!("{}.", &name[..short]),
        _ => name.to_owned(),
    };
    if dice.chance(30) { name.to_lowercase() } else { name }
}

/// A year of three or four digits: "nineteen o five", "two thousand five", "twenty twenty six", "seven fifty".
pub fn year_spoken(year: u64) -> String {
    match (year / 100, year % 100) {
        (0, rest) => whole(rest),
        (_, 0..=9) if year % 1000 < 10 => whole(year),
        (century, 0) => format!("{} hundred", whole(century)),
        (century, rest @ 1..=9) => format!("{} o {}", whole(century), whole(rest)),
        (century, rest) => format!("{} {}", whole(century), whole(rest)),
    }
}

/// The last two digits of a year alone: "ninety eight", "zero five".
fn short_year_spoken(year: u64) -> String {
    match year % 100 {
        rest @ 0..=9 => digit_by_digit(&format!("{rest:02}")),
        rest => whole(rest),
    }
}

fn month_first(date: &Date) -> String {
    format!("{} {}", month_name(date.month).to_lowercase(), ordinal::spoken(date.day))
}

fn day_first(date: &Date) -> String {
    format!("the {} of {}", ordinal::spoken(date.day), month_name(date.month).to_lowercase())
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
    let name = month_written(dice, month);
    let comma = *dice.pick(&[",", ""]);
    let nth = if dice.chance(25) { ordinal::written(day) } else { day.to_string() };
    // Months as numbers are the hardest to learn: half of the dates have them.
    let (written, day) = match dice.below(20) {
        0..5 => (format!("{name} {nth}{comma} {year}"), month_first(&date)),
        5 => (format!("{name}-{day:02}-{year}"), month_first(&date)),
        6 | 7 => (format!("{month}/{day}/{year}"), month_first(&date)),
        8..11 => (format!("{year}/{month:02}/{day:02}"), month_first(&date)),
        11 => {
            let spoken = format!("{} {}", month_first(&date), short_year_spoken(year));
            let written = format!("{month:02}/{day:02}/{:02}", year % 100);
            return Reading::new(Kind::Date, written, spoken, date.short_canonical());
        }
        12..16 => (format!("{year}-{month:02}-{day:02}"), day_first(&date)),
        16 => (format!("{day:02}{0}{month:02}{0}{year}", dice.pick(&["-", "."])), day_first(&date)),
        17 => (format!("{nth} of {name} {year}"), day_first(&date)),
        _ => (format!("{nth} {name}{comma} {year}"), day_first(&date)),
    };
    Reading::new(Kind::Date, written, format!("{day} {}", year_spoken(year)), date.canonical())
}

/// A day without its year: November 23, Nov-23, 23 November, November 23rd, the 23rd of November.
pub fn day(dice: &mut Dice) -> Reading {
    let date = Date::draw(dice);
    let name = month_written(dice, date.month);
    let (day, nth) = (date.day, ordinal::written(date.day));
    let (written, spoken) = match dice.below(10) {
        0..4 => (format!("{name} {day}"), month_first(&date)),
        4 => (format!("{name}-{day:02}"), month_first(&date)),
        5 | 6 => (format!("{name} {nth}"), month_first(&date)),
        7 => (format!("{day} {name}"), day_first(&date)),
        8 => (format!("the {nth} {name}"), day_first(&date)),
        _ => (format!("the {nth} of {name}"), day_first(&date)),
    };
    Reading::new(Kind::Date, written, spoken, date.day_canonical())
}

/// A month of a year: November 2026.
pub fn month(dice: &mut Dice) -> Reading {
    let Date { year, month, .. } = Date::draw(dice);
    let spoken = format!("{} {}", month_name(month).to_lowercase(), year_spoken(year));
    Reading::new(Kind::Date, format!("{} {year}", month_written(dice, month)), spoken, format!("{year}-{month}"))
}

/// A year in a sentence.
pub fn year(dice: &mut Dice) -> Reading {
    let year = calendar::year(dice);
    Reading::new(Kind::Year, year.to_string(), year_spoken(year), year.to_string())
}

/// A year on its own, of any age; with its era, 750 BC "seven fifty b c"; or a part of it, Q3 2021.
pub fn years(dice: &mut Dice) -> Reading {
    if dice.chance(35) {
        let year = dice.between(1_100, 2_199);
        return Reading::new(Kind::Year, year.to_string(), year_spoken(year), year.to_string());
    }
    let year = if dice.chance(50) { dice.between(21, 999) } else { calendar::year(dice) };
    let spoken = year_spoken(year);
    let (written, spoken) = match dice.below(4) {
        0 => {
            let year = calendar::year(dice);
            let (part, name) = *dice.pick(&[
                ("H1", "first half"),
                ("H2", "second half"),
                ("Q1", "first quarter"),
                ("Q2", "second quarter"),
                ("Q3", "third quarter"),
                ("Q4", "fourth quarter"),
            ]);
            let spoken = format!("{name} of {}", year_spoken(year));
            return Reading::new(Kind::Year, format!("{part} {year}"), spoken, year.to_string());
        }
        _ => {
            let (era, name) = *dice.pick(&[
                ("BC", "b c"),
                ("AD", "a d"),
                ("BCE", "b c e"),
                ("CE", "c e"),
                ("B.C.", "b c"),
                ("A.D.", "a d"),
            ]);
            let era = if dice.chance(25) { era.to_lowercase() } else { era.into() };
            (format!("{year}{}{era}", dice.pick(&["", " "])), format!("{spoken} {name}"))
        }
    };
    Reading::new(Kind::Year, written, spoken, year.to_string())
}

/// Ten years: 1980s and 1980's "nineteen eighties", '80s "eighties", 1900s "nineteen hundreds".
pub fn decade(dice: &mut Dice) -> Reading {
    let decade = dice.between(110, 209) * 10;
    let tens = match (decade / 10 % 10, decade % 1000) {
        (0, 0) => "thousand".into(),
        (0, _) => "hundred".into(),
        _ => whole(decade % 100),
    };
    let tens = format!("{}s", tens.strip_suffix('y').map_or(tens.clone(), |stem| format!("{stem}ie")));
    let (written, spoken) = match dice.below(5) {
        0 if decade % 100 >= 20 => {
            return Reading::new(
                Kind::Year,
                format!("{}{}s", dice.pick(&["'", "’"]), decade % 100),
                tens,
                (decade % 100).to_string(),
            );
        }
        1 => (format!("{decade}{}s", dice.pick(&["'", " "])), tens),
        _ => (format!("{decade}s"), tens),
    };
    let century = if decade.is_multiple_of(1000) { whole(decade / 1000) } else { whole(decade / 100) };
    Reading::new(Kind::Year, written, format!("{century} {spoken}"), decade.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn years() {
        for (year, words) in [
            (64, "sixty four"),
            (476, "four seventy six"),
            (1066, "ten sixty six"),
            (1500, "fifteen hundred"),
            (1776, "seventeen seventy six"),
            (1900, "nineteen hundred"),
            (1905, "nineteen o five"),
            (1999, "nineteen ninety nine"),
            (2000, "two thousand"),
            (2005, "two thousand five"),
            (2010, "twenty ten"),
            (2026, "twenty twenty six"),
            (2100, "twenty one hundred"),
        ] {
            assert_eq!(year_spoken(year), words);
        }
        assert_eq!(short_year_spoken(2007), "zero seven");
        assert_eq!(short_year_spoken(1987), "eighty seven");
    }

    #[test]
    fn days() {
        let date = Date { year: 2026, month: 11, day: 23 };
        assert_eq!(month_first(&date), "november twenty third");
        assert_eq!(month_first(&Date { month: 2, day: 12, ..date }), "february twelfth");
        assert_eq!(day_first(&Date { month: 1, day: 1, ..date }), "the first of january");
    }

    /// 2026-11-23 is one date, whichever sentence it stands in.
    #[test]
    fn a_written_date_has_one_spoken_form() {
        let mut dice = Dice::new(5);
        let mut forms = std::collections::HashMap::new();
        for slot in [date, day, month, super::years, decade] {
            for _ in 0..20_000 {
                let reading = slot(&mut dice);
                assert_eq!(*forms.entry(reading.written).or_insert(reading.spoken.clone()), reading.spoken);
            }
        }
    }

    #[test]
    fn decades() {
        let mut dice = Dice::new(6);
        let forms: std::collections::HashMap<String, String> =
            (0..20_000).map(|_| decade(&mut dice)).map(|reading| (reading.written, reading.spoken)).collect();
        for (written, spoken) in [
            ("1950s", "nineteen fifties"),
            ("1910's", "nineteen tens"),
            ("1700s", "seventeen hundreds"),
            ("2000s", "two thousands"),
            ("'60s", "sixties"),
        ] {
            assert_eq!(forms[written], spoken);
        }
    }
}
