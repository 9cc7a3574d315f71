//! 时间: 3:45 and 3点45分 are 三点四十五分, 3:05 三点零五分, 2:00 两点, 2点半 两点半. Between 下午 and the hour nothing changes.

use super::cardinal::{quantity, whole};
use crate::calendar::Time;
use crate::dice::Dice;
use crate::reading::{Kind, Reading};

fn spoken(hour: u64, minute: u64) -> String {
    let hour = quantity(&hour.into());
    match minute {
        0 => format!("{hour}点"),
        1..=9 => format!("{hour}点零{}分", whole(minute)),
        _ => format!("{hour}点{}分", whole(minute)),
    }
}

/// The part of the day that is named before an hour of the 12-hour clock.
fn part_of_day(hour: u64) -> &'static str {
    match hour {
        0..6 => "凌晨",
        6..9 => "早上",
        9..12 => "上午",
        12 => "中午",
        13..18 => "下午",
        _ => "晚上",
    }
}

/// A time of day, with the part of the day before it or by the clock of 24 hours.
pub fn time(dice: &mut Dice) -> Reading {
    let time = Time::draw(dice);
    let minute = time.minute;
    let (prefix, hour) =
        if dice.chance(60) { (part_of_day(time.hour), (time.hour + 11) % 12 + 1) } else { ("", time.hour) };
    let (written, spoken) = match (minute, dice.below(10)) {
        (0, 0..5) => (format!("{hour}点"), spoken(hour, 0)),
        (30, 0..3) => (format!("{hour}点半"), format!("{}点半", quantity(&hour.into()))),
        (1..10, 0..2) => (format!("{hour}点{minute}分"), spoken_plainly(hour, minute)),
        (1.., 0..5) => (format!("{hour}点{minute:02}分"), spoken(hour, minute)),
        (_, 5) => (format!("{hour:02}:{minute:02}"), spoken(hour, minute)),
        (_, 6) => (format!("{hour}：{minute:02}"), spoken(hour, minute)),
        _ => (format!("{hour}:{minute:02}"), spoken(hour, minute)),
    };
    Reading::new(Kind::Time, format!("{prefix}{written}"), format!("{prefix}{spoken}"), time.canonical())
}

/// Without 零 before a single minute, as one writes 3点5分.
fn spoken_plainly(hour: u64, minute: u64) -> String {
    format!("{}点{}分", quantity(&hour.into()), whole(minute))
}

/// A time on its own: with quarters or seconds, or the half of the day in Latin letters.
pub fn exact(dice: &mut Dice) -> Reading {
    let time = Time::draw(dice);
    let Time { hour, minute } = time;
    let second = dice.below(60).max(1);
    let hours = quantity(&hour.into());
    let (written, spoken) = match dice.below(10) {
        0 | 1 => {
            let quarter = dice.between(1, 3);
            let spoken = format!("{hours}点{}刻", whole(quarter));
            let value = Time { hour, minute: 15 * quarter }.canonical();
            return Reading::new(Kind::Time, format!("{hour}点{quarter}刻"), spoken, value);
        }
        2 | 3 => {
            let half = if hour < 12 { "上午" } else { "下午" };
            let mark = *dice.pick(if hour < 12 { &["a.m.", "am", "AM"] } else { &["p.m.", "pm", "PM"] });
            let hour = (hour + 11) % 12 + 1;
            let written = format!("{hour}:{minute:02}{mark}");
            return Reading::new(Kind::Time, written, format!("{half}{}", spoken(hour, minute)), time.canonical());
        }
        4 => (format!("{hour}点{second}秒"), format!("{hours}点{}秒", whole(second))),
        5 | 6 => {
            (format!("{hour}点{minute}分{second}秒"), format!("{}{}秒", spoken_plainly(hour, minute), whole(second)))
        }
        pattern => {
            let hour_written = if pattern == 7 { hour.to_string() } else { format!("{hour:02}") };
            let written = format!("{hour_written}:{minute:02}:{second:02}");
            (written, format!("{}{}秒", spoken_plainly(hour, minute), whole(second)))
        }
    };
    Reading::new(Kind::Time, written, spoken, format!("{hour}:{minute:02}:{second:02}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::spoken_forms;

    const TIMES: &str = "\
0:00 零点
0:05 零点零五分
2:02 两点零二分
2:30 两点三十分
3:45 三点四十五分
10:10 十点十分
12:00 十二点
15:30 十五点三十分
20:20 二十点二十分
22:58 二十二点五十八分
";

    #[test]
    fn times() {
        for (hour, minute, characters) in spoken_forms(TIMES) {
            assert_eq!(spoken(hour, minute), characters);
        }
    }
}
