//! Times of day: 3:45 pm "three forty five p m", 3:05 "three oh five", 15:30 "fifteen thirty". A full hour is "o'clock"
//! up to twelve and "hundred" from thirteen on, as in 15:00 "fifteen hundred"; a zero before the hour is silent.

use super::cardinal::whole;
use crate::calendar::Time;
use crate::dice::Dice;
use crate::reading::{Kind, Reading};

/// The hour and the minute in words; `half` is the half of the day, "a m" or "p m", if it is named.
fn spoken(hour: u64, minute: u64, half: Option<&str>) -> String {
    let hours = whole(hour);
    let clock = match (minute, half) {
        (0, Some(_)) => hours,
        (0, None) if (1..=12).contains(&hour) => format!("{hours} o'clock"),
        (0, None) => format!("{hours} hundred"),
        (1..=9, _) => format!("{hours} oh {}", whole(minute)),
        _ => format!("{hours} {}", whole(minute)),
    };
    half.map_or_else(|| clock.clone(), |half| format!("{clock} {half}"))
}

/// A time of day, by the clock of 12 or of 24 hours.
pub fn time(dice: &mut Dice) -> Reading {
    let time = Time::draw(dice);
    let Time { hour, minute } = time;
    let (written, spoken) = if dice.chance(55) {
        let (afternoon, hour) = (hour >= 12, (hour + 11) % 12 + 1);
        let clock = if minute == 0 && dice.chance(60) { hour.to_string() } else { format!("{hour}:{minute:02}") };
        let marks = if afternoon { [" pm", "pm", " PM"] } else { [" am", "am", " AM"] };
        let half = if afternoon { "p m" } else { "a m" };
        (format!("{clock}{}", dice.pick(&marks)), spoken(hour, minute, Some(half)))
    } else if dice.chance(25) {
        (format!("{hour:02}:{minute:02}"), spoken(hour, minute, None))
    } else {
        (format!("{hour}:{minute:02}"), spoken(hour, minute, None))
    };
    Reading::new(Kind::Time, written, spoken, time.canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (hour, minute, half, words) in [
            (3, 45, Some("p m"), "three forty five p m"),
            (3, 5, Some("a m"), "three oh five a m"),
            (5, 0, Some("p m"), "five p m"),
            (12, 0, Some("p m"), "twelve p m"),
            (12, 0, None, "twelve o'clock"),
            (1, 0, None, "one o'clock"),
            (0, 5, None, "zero oh five"),
            (0, 0, None, "zero hundred"),
            (8, 52, None, "eight fifty two"),
            (15, 0, None, "fifteen hundred"),
            (15, 30, None, "fifteen thirty"),
            (22, 10, None, "twenty two ten"),
        ] {
            assert_eq!(spoken(hour, minute, half), words);
        }
    }

    #[test]
    fn the_clock_face_is_the_value() {
        for hour in [3, 15] {
            assert_eq!(Time { hour, minute: 5 }.canonical(), "3:05");
        }
    }
}
