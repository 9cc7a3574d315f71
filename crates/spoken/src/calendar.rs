//! Dates and times of day, common to both languages.

use crate::dice::Dice;

/// A day of the calendar.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Date {
    pub year: u64,
    pub month: u64,
    pub day: u64,
}

impl Date {
    /// Any day of the years that [`year`] draws.
    pub fn draw(dice: &mut Dice) -> Self {
        let year = year(dice);
        Self::of_year(dice, year)
    }

    /// A day to make an appointment for.
    pub fn coming(dice: &mut Dice) -> Self {
        let year = dice.between(2020, 2039);
        Self::of_year(dice, year)
    }

    fn of_year(dice: &mut Dice, year: u64) -> Self {
        let month = dice.between(1, 12);
        let last = match month {
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        Self { year, month, day: dice.between(1, last) }
    }

    /// `2026-11-23`
    pub fn canonical(&self) -> String {
        format!("{}-{}", self.year, self.day_canonical())
    }

    /// `26-11-23`, for a date that leaves the century out.
    pub fn short_canonical(&self) -> String {
        format!("{:02}-{}", self.year % 100, self.day_canonical())
    }

    /// `11-23`, for a date without its year.
    pub fn day_canonical(&self) -> String {
        format!("{}-{}", self.month, self.day)
    }
}

/// A year, mostly of our time.
pub(crate) fn year(dice: &mut Dice) -> u64 {
    if dice.chance(75) { dice.between(1950, 2059) } else { dice.between(1500, 1949) }
}

/// A time of day.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Time {
    pub hour: u64,
    pub minute: u64,
}

impl Time {
    /// Any minute of the day; every third draw falls on a full hour or a multiple of five minutes.
    pub fn draw(dice: &mut Dice) -> Self {
        let minute = match dice.below(12) {
            0 => 0,
            1..4 => dice.below(12) * 5,
            _ => dice.below(60),
        };
        Self { hour: dice.below(24), minute }
    }

    /// The face of the clock: 3:45, 3:45 pm and 15:45 are one value.
    pub fn canonical(&self) -> String {
        format!("{}:{:02}", self.hour % 12, self.minute)
    }
}
