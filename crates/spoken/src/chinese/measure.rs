//! 度量: 5km 五千米, 2kg 两千克, -5℃ 负五摄氏度, 80km/h 每小时八十千米. The letters of 64GB stay, as they are spelled in
//! speech.

use super::cardinal::{quantity, scaled};
use crate::dice::Dice;
use crate::measures::measures;
use crate::number::{self, Number};
use crate::reading::{Kind, Reading};

/// A unit as written, what is spoken before the number and what after it, and the most digits usual before the point.
type Unit = (&'static str, &'static str, &'static str, usize);

const DISTANCES: &[Unit] = &[("km", "", "千米", 3), ("公里", "", "公里", 3), ("m", "", "米", 4), ("米", "", "米", 4)];
const LENGTHS: &[Unit] = &[("cm", "", "厘米", 3), ("mm", "", "毫米", 3), ("m", "", "米", 4), ("厘米", "", "厘米", 3)];
const WEIGHTS: &[Unit] =
    &[("kg", "", "千克", 2), ("g", "", "克", 3), ("公斤", "", "公斤", 2), ("斤", "", "斤", 2), ("吨", "", "吨", 3)];
const VOLUMES: &[Unit] = &[("ml", "", "毫升", 3), ("L", "", "升", 1), ("升", "", "升", 1)];
const TEMPERATURES: &[Unit] = &[("℃", "", "摄氏度", 2), ("°C", "", "摄氏度", 2), ("度", "", "度", 2)];
const SPEEDS: &[Unit] = &[("km/h", "每小时", "千米", 3), ("m/s", "每秒", "米", 2)];
const STORAGES: &[Unit] = &[("KB", "", "KB", 4), ("MB", "", "MB", 4), ("GB", "", "GB", 3), ("TB", "", "TB", 2)];
const DURATIONS: &[Unit] =
    &[("小时", "", "小时", 1), ("分钟", "", "分钟", 2), ("秒", "", "秒", 2), ("天", "", "天", 2)];

/// Letters and signs after a number, with what is spoken for them.
const SYMBOLS: [(&str, &str); 60] = [
    ("km", "千米"),
    ("m", "米"),
    ("dm", "分米"),
    ("cm", "厘米"),
    ("mm", "毫米"),
    ("μm", "微米"),
    ("nm", "纳米"),
    ("km²", "平方千米"),
    ("m²", "平方米"),
    ("cm²", "平方厘米"),
    ("m2", "平方米"),
    ("km2", "平方千米"),
    ("m³", "立方米"),
    ("cm³", "立方厘米"),
    ("m3", "立方米"),
    ("kg", "千克"),
    ("g", "克"),
    ("mg", "毫克"),
    ("t", "吨"),
    ("L", "升"),
    ("l", "升"),
    ("ml", "毫升"),
    ("mL", "毫升"),
    ("h", "小时"),
    ("min", "分钟"),
    ("s", "秒"),
    ("ms", "毫秒"),
    ("Hz", "赫兹"),
    ("kHz", "千赫兹"),
    ("MHz", "兆赫兹"),
    ("GHz", "吉赫兹"),
    ("W", "瓦"),
    ("kW", "千瓦"),
    ("kw", "千瓦"),
    ("MW", "兆瓦"),
    ("V", "伏"),
    ("kV", "千伏"),
    ("A", "安"),
    ("mA", "毫安"),
    ("kWh", "千瓦时"),
    ("J", "焦耳"),
    ("kJ", "千焦"),
    ("cal", "卡"),
    ("kcal", "千卡"),
    ("Pa", "帕"),
    ("kPa", "千帕"),
    ("mol", "摩尔"),
    ("dB", "分贝"),
    ("ha", "公顷"),
    ("°C", "摄氏度"),
    ("°c", "摄氏度"),
    ("℃", "摄氏度"),
    ("°F", "华氏度"),
    ("°", "度"),
    ("KG", "千克"),
    ("KM", "千米"),
    ("KB", "KB"),
    ("MB", "MB"),
    ("GB", "GB"),
    ("TB", "TB"),
];
/// Measure words and units in characters, which stay.
const WORDS: [&str; 44] = [
    "千克",
    "公斤",
    "斤",
    "克",
    "吨",
    "米",
    "厘米",
    "公里",
    "千米",
    "平方米",
    "平方公里",
    "立方米",
    "升",
    "毫升",
    "度",
    "摄氏度",
    "人",
    "个",
    "岁",
    "名",
    "次",
    "倍",
    "年后",
    "年前",
    "天",
    "天后",
    "个月",
    "周",
    "小时",
    "个小时",
    "个钟头",
    "分钟",
    "秒",
    "块钱",
    "亩",
    "公顷",
    "瓦",
    "千瓦",
    "位",
    "件",
    "台",
    "辆",
    "号",
    "余名",
];

fn with_unit(number: &Number, unit: Unit) -> Reading {
    let (symbol, before, after, _) = unit;
    let written = format!("{}{symbol}", number.written(false));
    Reading::of(Kind::Measure, number, written, format!("{before}{}{after}", quantity(number)))
}

fn draw(dice: &mut Dice, units: &[Unit]) -> Reading {
    let unit = *dice.pick(units);
    with_unit(&number::any(dice, unit.3, 30), unit)
}

/// Any number and any unit.
pub fn measure(dice: &mut Dice) -> Reading {
    let (symbol, name) =
        if dice.chance(50) { *dice.pick(&SYMBOLS) } else { dice.pick(&WORDS.map(|word| (word, word))).to_owned() };
    if dice.chance(15) {
        return between(dice, symbol, name);
    }
    if dice.chance(10) && symbol == name {
        let reading = scaled(dice, Kind::Measure);
        return Reading { written: reading.written + name, spoken: reading.spoken + name, ..reading };
    }
    let mut number = if dice.chance(35) {
        Number { bare_point: false, ..number::precise(dice, 4) }
    } else {
        number::whole(dice, 6).into()
    };
    number.negative = dice.chance(8);
    with_unit(&number, (symbol, "", name, 0))
}

/// From one amount to another: 7-8kg.
fn between(dice: &mut Dice, symbol: &str, name: &str) -> Reading {
    let from = number::whole(dice, 2);
    let (from, to) = (Number::from(from), Number::from(from + number::whole(dice, 2)));
    let written = format!("{}{}{}{symbol}", from.whole, dice.pick(&["-", "~"]), to.whole);
    let spoken = format!("{}到{}{name}", quantity(&from), quantity(&to));
    Reading { kind: Kind::Range, written, spoken, values: vec![from.canonical(), to.canonical()] }
}

measures!();

/// How warm; below zero every fifth time.
pub fn temperature(dice: &mut Dice) -> Reading {
    let number = number::any(dice, 2, 25);
    let reading = with_unit(&number, *dice.pick(TEMPERATURES));
    if number.whole > 0 && dice.chance(20) {
        let (written, spoken) = (format!("-{}", reading.written), format!("负{}", reading.spoken));
        return Reading { written, spoken, ..reading };
    }
    reading
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures() {
        let decimal = Number::with_fraction(1, "2");
        assert_eq!(with_unit(&decimal, WEIGHTS[1]).spoken, "一点二克");
        assert_eq!(with_unit(&25.into(), WEIGHTS[0]).spoken, "二十五千克");
        assert_eq!(with_unit(&2.into(), WEIGHTS[0]).spoken, "两千克");
        assert_eq!(with_unit(&10.into(), SPEEDS[0]).spoken, "每小时十千米");
        assert_eq!(with_unit(&38.into(), TEMPERATURES[1]).spoken, "三十八摄氏度");
    }
}
