//! 度量: 5km 五公里, 2kg 两千克, -5℃ 零下五摄氏度, 80km/h 每小时八十公里. The letters of 64GB
//! stay, as they are spelled in speech.

use super::cardinal::quantity;
use crate::dice::Dice;
use crate::number::{self, Number};
use crate::reading::{Kind, Reading};

/// A unit as written, what is spoken before the number and what after it, and the most digits usual before the point.
type Unit = (&'static str, &'static str, &'static str, usize);

const DISTANCES: &[Unit] = &[("km", "", "公里", 3), ("公里", "", "公里", 3), ("m", "", "米", 4), ("米", "", "米", 4)];
const LENGTHS: &[Unit] = &[("cm", "", "厘米", 3), ("mm", "", "毫米", 3), ("m", "", "米", 4), ("厘米", "", "厘米", 3)];
const WEIGHTS: &[Unit] =
    &[("kg", "", "千克", 2), ("g", "", "克", 3), ("公斤", "", "公斤", 2), ("斤", "", "斤", 2), ("吨", "", "吨", 3)];
const VOLUMES: &[Unit] = &[("ml", "", "毫升", 3), ("L", "", "升", 1), ("升", "", "升", 1)];
const TEMPERATURES: &[Unit] = &[("℃", "", "摄氏度", 2), ("°C", "", "摄氏度", 2), ("度", "", "度", 2)];
const SPEEDS: &[Unit] = &[("km/h", "每小时", "公里", 3), ("m/s", "每秒", "米", 2)];
const STORAGES: &[Unit] = &[("KB", "", "KB", 4), ("MB", "", "MB", 4), ("GB", "", "GB", 3), ("TB", "", "TB", 2)];
const DURATIONS: &[Unit] =
    &[("小时", "", "小时", 1), ("分钟", "", "分钟", 2), ("秒", "", "秒", 2), ("天", "", "天", 2)];

fn with_unit(number: &Number, unit: Unit) -> Reading {
    let (symbol, before, after, _) = unit;
    let written = format!("{}{symbol}", number.written(false));
    Reading::of(Kind::Measure, number, written, format!("{before}{}{after}", quantity(number)))
}

fn draw(dice: &mut Dice, units: &[Unit]) -> Reading {
    let unit = *dice.pick(units);
    with_unit(&number::any(dice, unit.3, 30), unit)
}

/// How far.
pub fn distance(dice: &mut Dice) -> Reading {
    draw(dice, DISTANCES)
}

/// How long or high.
pub fn length(dice: &mut Dice) -> Reading {
    draw(dice, LENGTHS)
}

/// How heavy.
pub fn weight(dice: &mut Dice) -> Reading {
    draw(dice, WEIGHTS)
}

/// How much of a liquid.
pub fn volume(dice: &mut Dice) -> Reading {
    draw(dice, VOLUMES)
}

/// How warm; below zero every fifth time.
pub fn temperature(dice: &mut Dice) -> Reading {
    let number = number::any(dice, 2, 25);
    let reading = with_unit(&number, *dice.pick(TEMPERATURES));
    if number.whole > 0 && dice.chance(20) {
        let (written, spoken) = (format!("-{}", reading.written), format!("零下{}", reading.spoken));
        return Reading { written, spoken, ..reading };
    }
    reading
}

/// How fast.
pub fn speed(dice: &mut Dice) -> Reading {
    draw(dice, SPEEDS)
}

/// How much data.
pub fn storage(dice: &mut Dice) -> Reading {
    draw(dice, STORAGES)
}

/// How long in time.
pub fn duration(dice: &mut Dice) -> Reading {
    draw(dice, DURATIONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures() {
        let decimal = Number { negative: false, whole: 1, fraction: "2".into() };
        assert_eq!(with_unit(&decimal, WEIGHTS[1]).spoken, "一点二克");
        assert_eq!(with_unit(&25.into(), WEIGHTS[0]).spoken, "二十五千克");
        assert_eq!(with_unit(&2.into(), WEIGHTS[0]).spoken, "两千克");
        assert_eq!(with_unit(&10.into(), SPEEDS[0]).spoken, "每小时十公里");
        assert_eq!(with_unit(&38.into(), TEMPERATURES[1]).spoken, "三十八摄氏度");
    }
}
