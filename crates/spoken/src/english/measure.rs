//! Numbers with units: 5 km "five kilometers", 1 kg "one kilogram", -5°C "minus five degrees celsius".

use super::cardinal::spoken;
use crate::dice::Dice;
use crate::number::{self, Number};
use crate::reading::{Kind, Reading};

struct Unit {
    symbol: &'static str,
    one: &'static str,
    many: &'static str,
    /// The most digits before the point that are usual with it.
    most_digits: usize,
}

const fn unit(symbol: &'static str, one: &'static str, many: &'static str, most_digits: usize) -> Unit {
    Unit { symbol, one, many, most_digits }
}

const DISTANCES: &[Unit] =
    &[unit("km", "kilometer", "kilometers", 3), unit("mi", "mile", "miles", 3), unit("m", "meter", "meters", 4)];
const LENGTHS: &[Unit] = &[
    unit("cm", "centimeter", "centimeters", 3),
    unit("mm", "millimeter", "millimeters", 3),
    unit("m", "meter", "meters", 4),
    unit("ft", "foot", "feet", 3),
];
const WEIGHTS: &[Unit] = &[
    unit("kg", "kilogram", "kilograms", 2),
    unit("g", "gram", "grams", 3),
    unit("lb", "pound", "pounds", 2),
    unit("oz", "ounce", "ounces", 2),
];
const VOLUMES: &[Unit] = &[unit("ml", "milliliter", "milliliters", 3), unit("L", "liter", "liters", 1)];
const TEMPERATURES: &[Unit] =
    &[unit("°C", "degree celsius", "degrees celsius", 2), unit("°F", "degree fahrenheit", "degrees fahrenheit", 2)];
const SPEEDS: &[Unit] =
    &[unit("km/h", "kilometer per hour", "kilometers per hour", 3), unit("mph", "mile per hour", "miles per hour", 2)];
const STORAGES: &[Unit] = &[
    unit("KB", "kilobyte", "kilobytes", 4),
    unit("MB", "megabyte", "megabytes", 4),
    unit("GB", "gigabyte", "gigabytes", 3),
    unit("TB", "terabyte", "terabytes", 2),
];
const DURATIONS: &[Unit] =
    &[unit("h", "hour", "hours", 1), unit("min", "minute", "minutes", 2), unit("sec", "second", "seconds", 3)];

/// The number and its unit, which is singular after exactly one.
fn with_unit(number: &Number, unit: &Unit) -> String {
    let name = if number.whole == 1 && number.fraction.is_empty() { unit.one } else { unit.many };
    format!("{} {name}", spoken(number))
}

fn draw(dice: &mut Dice, units: &[Unit]) -> Reading {
    let unit = dice.pick(units);
    let number = number::any(dice, unit.most_digits, 30);
    let space = if dice.chance(70) { " " } else { "" };
    let written = format!("{}{space}{}", number.written(dice.chance(30)), unit.symbol);
    Reading::of(Kind::Measure, &number, written, with_unit(&number, unit))
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
    let mut number = number::any(dice, 2, 25);
    number.negative = dice.chance(20);
    let unit = dice.pick(TEMPERATURES);
    Reading::of(Kind::Measure, &number, format!("{}{}", number.written(false), unit.symbol), with_unit(&number, unit))
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
