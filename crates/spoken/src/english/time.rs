//! Times of day: 3:45 pm "three forty five pm", 3:05 "three o five", 15:30 "fifteen thirty". A full hour is "o'clock"
//! without a half of the day; a zero before the hour is silent. With seconds it is a duration: 1:20:05 "one hour twenty
//! minutes and five seconds".

use super::cardinal::whole;
use crate::calendar::Time;
use crate::dice::Dice;
use crate::reading::{Kind, Reading};

/// The hour and the minute in words.
fn spoken(hour: u64, minute: u64) -> String {
    let hours = whole(hour);
    match minute {
        0 => hours,
        1..=9 => format!("{hours} o {}", whole(minute)),
        _ => format!("{hours} {}", whole(minute)),
    }
}

/// By the clock of 12 hours, with the half of the day that is written after it.
fn half_day(dice: &mut Dice, time: &Time, half: &str) -> (String, String) {
    let (hour, minute) = ((time.hour + 11) % 12 + 1, time.minute);
    let clock = match dice.below(10) {
        _ if minute == 0 && dice.chance(60) => hour.to_string(),
        0 => format!("{hour:02}:{minute:02}"),
        1 => format!("{hour}.{minute:02}"),
        _ => format!("{hour}:{minute:02}"),
    };
    let letter = &half[..1];
    let mark = match dice.below(10) {
        0..4 => half.into(),
        4 | 5 => half.to_uppercase(),
        6 => format!("{letter}.m"),
        7 => format!("{}.M.", letter.to_uppercase()),
        _ => format!("{letter}.m."),
    };
    let space = if dice.chance(70) { " " } else { "" };
    (format!("{clock}{space}{mark}"), format!("{} {half}", spoken(hour, minute)))
}

/// A time of day, by the clock of 12 or of 24 hours.
pub fn time(dice: &mut Dice) -> Reading {
    let time = Time::draw(dice);
    let Time { hour, minute } = time;
    let (written, spoken) = if dice.chance(55) {
        half_day(dice, &time, if hour >= 12 { "pm" } else { "am" })
    } else {
        let written = if dice.chance(40) { format!("{hour:02}:{minute:02}") } else { format!("{hour}:{minute:02}") };
        let clock = spoken(hour, minute);
        (written, if minute == 0 { format!("{clock} o'clock") } else { clock })
    };
    Reading::new(Kind::Time, written, spoken, time.canonical())
}

/// A time with its zone: 3:45 pm EST.
pub fn zoned(dice: &mut Dice) -> Reading {
    let reading = time(dice);
    let zone = *dice.pick(&["est", "pst", "cst", "mst", "gmt", "utc", "cet", "edt", "pdt", "bst"]);
    let written = match dice.below(4) {
        0 => zone.into(),
        1 => zone.chars().map(|letter| format!("{letter}.")).collect(),
        _ => zone.to_uppercase(),
    };
    Reading {
        written: format!("{} {written}", reading.written),
        spoken: format!("{} {zone}", reading.spoken),
        ..reading
    }
}

/// From one time to another: 2pm-5pm, 9:30-11:00.
pub fn span(dice: &mut Dice) -> Reading {
    let (first, second) = (time(dice), time(dice));
    let dash = *dice.pick(&["-", " - ", "–", " to "]);
    let values = [first.values, second.values].concat();
    let written = format!("{}{dash}{}", first.written, second.written);
    Reading { kind: Kind::Time, written, spoken: format!("{} to {}", first.spoken, second.spoken), values }
}

/// Hours, minutes and seconds.
pub fn elapsed(dice: &mut Dice) -> Reading {
    let [hours, minutes, seconds] =
        [24, 60, 60].map(|bound| if dice.chance(12) { dice.below(3) } else { dice.below(bound) });
    let written = if dice.chance(60) {
        format!("{hours:02}:{minutes:02}:{seconds:02}")
    } else {
        format!("{hours}:{minutes:02}:{seconds:02}")
    };
    let value = format!("{hours}:{minutes:02}:{seconds:02}");
    Reading::new(Kind::Time, written, elapsed_spoken(hours, minutes, seconds), value)
}

fn elapsed_spoken(hours: u64, minutes: u64, seconds: u64) -> String {
    let counted = |count, unit| format!("{} {unit}{}", whole(count), if count == 1 { "" } else { "s" });
    format!("{} {} and {}", counted(hours, "hour"), counted(minutes, "minute"), counted(seconds, "second"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::spoken_forms;

    const TIMES: &str = "\
3:45 three forty five
3:05 three o five
5:00 five
0:05 zero o five
8:52 eight fifty two
15:30 fifteen thirty
22:10 twenty two ten
";

    #[test]
    fn times() {
        for (hour, minute, words) in spoken_forms(TIMES) {
            assert_eq!(spoken(hour, minute), words);
        }
        assert_eq!(elapsed_spoken(1, 0, 42), "one hour zero minutes and forty two seconds");
    }

    #[test]
    fn halves_of_the_day_are_written_in_many_ways() {
        let mut dice = Dice::new(1);
        let time = Time { hour: 15, minute: 5 };
        let forms: std::collections::HashSet<_> = (0..500).map(|_| half_day(&mut dice, &time, "pm")).collect();
        for written in ["3:05 pm", "3:05pm", "03:05 P.M.", "3.05 p.m.", "3:05 PM"] {
            assert!(forms.contains(&(written.into(), "three o five pm".into())), "{written}");
        }
        assert!(forms.iter().all(|(_, spoken)| spoken == "three o five pm"));
    }

    #[test]
    fn the_clock_face_is_the_value() {
        for hour in [3, 15] {
            assert_eq!(Time { hour, minute: 5 }.canonical(), "3:05");
        }
    }
}
