//! Numbers with units: 5 km "five kilometers", 1 kg "one kilogram", -5°C "minus five degrees celsius".

use super::cardinal::spoken;
use crate::dice::Dice;
use crate::number::{self, Number};
use crate::reading::{Kind, Reading};

struct Unit {
    symbol: &'static str,
    one: &'static str,
    many: &'static str,
}

const fn unit(symbol: &'static str, one: &'static str, many: &'static str) -> Unit {
    Unit { symbol, one, many }
}

const DISTANCES: &[Unit] =
    &[unit("km", "kilometer", "kilometers"), unit("mi", "mile", "miles"), unit("m", "meter", "meters")];
const LENGTHS: &[Unit] = &[
    unit("cm", "centimeter", "centimeters"),
    unit("mm", "millimeter", "millimeters"),
    unit("m", "meter", "meters"),
    unit("ft", "foot", "feet"),
];
const WEIGHTS: &[Unit] = &[
    unit("kg", "kilogram", "kilograms"),
    unit("g", "gram", "grams"),
    unit("lb", "pound", "pounds"),
    unit("oz", "ounce", "ounces"),
];
const VOLUMES: &[Unit] = &[unit("ml", "milliliter", "milliliters"), unit("L", "liter", "liters")];
const TEMPERATURES: &[Unit] =
    &[unit("°C", "degree celsius", "degrees celsius"), unit("°F", "degree fahrenheit", "degrees fahrenheit")];
const SPEEDS: &[Unit] =
    &[unit("km/h", "kilometer per hour", "kilometers per hour"), unit("mph", "mile per hour", "miles per hour")];
const STORAGES: &[Unit] = &[
    unit("KB", "kilobyte", "kilobytes"),
    unit("MB", "megabyte", "megabytes"),
    unit("GB", "gigabyte", "gigabytes"),
    unit("TB", "terabyte", "terabytes"),
];
const DURATIONS: &[Unit] =
    &[unit("h", "hour", "hours"), unit("min", "minute", "minutes"), unit("sec", "second", "seconds")];

/// The number and its unit, which is singular after exactly one.
fn with_unit(number: &Number, unit: &Unit) -> String {
    let name = if number.whole == 1 && number.fraction.is_empty() { unit.one } else { unit.many };
    format!("{} {name}", spoken(number))
}

fn draw(dice: &mut Dice, units: &[Unit], most_digits: usize) -> Reading {
    let number = number::any(dice, most_digits, 30);
    let unit = dice.pick(units);
    let space = if dice.chance(70) { " " } else { "" };
    let written = format!("{}{space}{}", number.written(dice.chance(30)), unit.symbol);
    Reading::of(Kind::Measure, &number, written, with_unit(&number, unit))
}

/// How far.
pub fn distance(dice: &mut Dice) -> Reading {
    draw(dice, DISTANCES, 4)
}

/// How long or high.
pub fn length(dice: &mut Dice) -> Reading {
    draw(dice, LENGTHS, 3)
}

/// How heavy.
pub fn weight(dice: &mut Dice) -> Reading {
    draw(dice, WEIGHTS, 4)
}

/// How much of a liquid.
pub fn volume(dice: &mut Dice) -> Reading {
    draw(dice, VOLUMES, 3)
}

/// How warm; below zero every fifth time.
pub fn temperature(dice: &mut Dice) -> Reading {
    let mut number = number::any(dice, 2, 25);
    number.negative = dice.chance(20);
    let unit = dice.pick(TEMPERATURES);
    Reading::of(Kind::Measure, &number, format!("{}{}", number.written(false), unit.symbol), with_unit(&number, unit))
}

/// How fast.
pub fn speed(dice: &mut Dice) -> Reading {
    draw(dice, SPEEDS, 3)
}

/// How much data.
pub fn storage(dice: &mut Dice) -> Reading {
    draw(dice, STORAGES, 4)
}

/// How long in time.
pub fn duration(dice: &mut Dice) -> Reading {
    draw(dice, DURATIONS, 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures() {
        let number = |negative, whole, fraction: &str| Number { negative, whole, fraction: fraction.into() };
        let kilogram = &WEIGHTS[0];
        assert_eq!(with_unit(&number(false, 1, ""), kilogram), "one kilogram");
        assert_eq!(with_unit(&number(false, 1, "5"), kilogram), "one point five kilograms");
        assert_eq!(with_unit(&number(false, 0, ""), kilogram), "zero kilograms");
        assert_eq!(with_unit(&number(false, 2, ""), &LENGTHS[3]), "two feet");
        assert_eq!(with_unit(&number(false, 245, ""), &SPEEDS[1]), "two hundred forty five miles per hour");
        assert_eq!(with_unit(&number(true, 5, ""), &TEMPERATURES[0]), "minus five degrees celsius");
        assert_eq!(with_unit(&number(true, 1, ""), &TEMPERATURES[1]), "minus one degree fahrenheit");
    }
}
