//! Numbers with units: 5 km "five kilometers", 1 kg "one kilogram", -5°C "minus five degrees celsius", 10 m/s "ten meters
//! per second", 3 m² "three square meters".

use super::cardinal::spoken;
use super::fraction;
use crate::dice::Dice;
use crate::measures::measures;
use crate::number::{self, Number};
use crate::reading::{Kind, Reading};
use std::sync::LazyLock;

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
    unit("lbs", "pound", "pounds", 2),
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
/// The units of science and trade, each a line: symbols, one, several.
const OTHERS: &str = "\
km kilometer kilometers
m meter meters
cm centimeter centimeters
mm millimeter millimeters
nm nanometer nanometers
μm micrometer micrometers
µm micrometer micrometers
dm decimeter decimeters
ft foot feet
yd yard yards
mi mile miles
au astronomical_unit astronomical_units
km² square_kilometer square_kilometers
m² square_meter square_meters
cm² square_centimeter square_centimeters
mm² square_millimeter square_millimeters
km2 square_kilometer square_kilometers
m2 square_meter square_meters
m³ cubic_meter cubic_meters
cm³ cubic_centimeter cubic_centimeters
dm³ cubic_decimeter cubic_decimeters
m3 cubic_meter cubic_meters
sq_mi square_mile square_miles
sq_ft square_foot square_feet
sq_km square_kilometer square_kilometers
ft² square_foot square_feet
ha hectare hectares
ac acre acres
cc c_c c_c
kg kilogram kilograms
g gram grams
mg milligram milligrams
μg microgram micrograms
µg microgram micrograms
lb pound pounds
lbs pound pounds
oz ounce ounces
t ton tons
l liter liters
mL milliliter milliliters
ml milliliter milliliters
gal gallon gallons
kHz kilohertz kilohertz
khz kilohertz kilohertz
MHz megahertz megahertz
mhz megahertz megahertz
GHz gigahertz gigahertz
ghz gigahertz gigahertz
Hz hertz hertz
hz hertz hertz
kW kilowatt kilowatts
kw kilowatt kilowatts
MW megawatt megawatts
mW megawatt megawatts
GW gigawatt gigawatts
W watt watts
kWh kilowatt_hour kilowatt_hours
kwh kilowatt_hour kilowatt_hours
MWh megawatt_hour megawatt_hours
kV kilovolt kilovolts
V volt volts
mV millivolt millivolts
A ampere amperes
mA milliampere milliamperes
kJ kilojoule kilojoules
kcal kilocalorie kilocalories
cal calorie calories
Pa pascal pascals
hPa hectopascal hectopascals
kPa kilopascal kilopascals
lm lumen lumens
hp horsepower horsepower
dB decibel decibels
kgf kilogram_force kilograms_force
kb kilobit kilobits
mb megabit megabits
kB kilobyte kilobytes
MB megabyte megabytes
GB gigabyte gigabytes
gb gigabyte gigabytes
tb terabyte terabytes
PB petabyte petabytes
pb petabyte petabytes
kbps kilobit_per_second kilobits_per_second
mbps megabit_per_second megabits_per_second
Mbps megabit_per_second megabits_per_second
gbps gigabit_per_second gigabits_per_second
Gbps gigabit_per_second gigabits_per_second
mph mile_per_hour miles_per_hour
rpm revolution_per_minute revolutions_per_minute
kph kilometer_per_hour kilometers_per_hour
h hour hours
hr hour hours
hrs hour hours
min minute minutes
mins minute minutes
sec second seconds
ms millisecond milliseconds
% percent percent
°C degree_celsius degrees_celsius
°c degree_celsius degrees_celsius
°F degree_fahrenheit degrees_fahrenheit
px pixel pixels
mol mole moles
";

/// What another unit is per.
const PER: [(&str, &str); 10] = [
    ("h", "hour"),
    ("s", "second"),
    ("min", "minute"),
    ("kg", "kilogram"),
    ("l", "liter"),
    ("m", "meter"),
    ("m²", "square meter"),
    ("cm²", "square centimeter"),
    ("m³", "cubic meter"),
    ("day", "day"),
];

fn others() -> &'static [[String; 3]] {
    static UNITS: LazyLock<Vec<[String; 3]>> = LazyLock::new(|| {
        let words = |line: &str| line.split(' ').map(|word| word.replace('_', " ")).collect::<Vec<_>>();
        OTHERS.lines().filter_map(|line| words(line).try_into().ok()).collect()
    });
    &UNITS
}

/// The number and its unit, which is singular after exactly one.
fn with_unit(number: &Number, one: &str, many: &str) -> String {
    let name = if number.whole == 1 && number.fraction.is_empty() { one } else { many };
    format!("{} {name}", spoken(number))
}

fn draw(dice: &mut Dice, units: &[Unit]) -> Reading {
    let unit = dice.pick(units);
    let number = number::any(dice, unit.most_digits, 30);
    let space = if dice.chance(70) { " " } else { "" };
    let written = format!("{}{space}{}", number.written(dice.chance(30)), unit.symbol);
    Reading::of(Kind::Measure, &number, written, with_unit(&number, unit.one, unit.many))
}

measures!();

/// How warm; below zero every fifth time.
pub fn temperature(dice: &mut Dice) -> Reading {
    let mut number = number::any(dice, 2, 25);
    number.negative = dice.chance(20);
    let unit = dice.pick(TEMPERATURES);
    let spoken = with_unit(&number, unit.one, unit.many);
    Reading::of(Kind::Measure, &number, format!("{}{}", number.written(false), unit.symbol), spoken)
}

/// Any number and any unit, also one per another; half of them are those of every day.
pub fn measure(dice: &mut Dice) -> Reading {
    if dice.chance(50) {
        let units = [DISTANCES, LENGTHS, WEIGHTS, VOLUMES, TEMPERATURES, SPEEDS, STORAGES, DURATIONS];
        let units = dice.pick(&units);
        return draw(dice, units);
    }
    let [symbol, one, many] = dice.pick(others());
    let mut number = if dice.chance(45) { number::precise(dice, 5) } else { number::whole(dice, 6).into() };
    number.negative = dice.chance(8);
    let digits = number.written(dice.chance(25));
    let space = if dice.chance(65) { " " } else { "" };
    let (mut written, mut spoken) = (format!("{digits}{space}{symbol}"), with_unit(&number, one, many));
    if dice.chance(8) && !symbol.ends_with("ps") && symbol != "%" {
        let (per, name) = dice.pick(&PER);
        written = format!("{written}/{per}");
        spoken = format!("{spoken} per {name}");
    }
    Reading::of(Kind::Measure, &number, written, spoken)
}

/// From one amount to another, 2-3 °C "two to three degrees celsius"; with a fraction, 4 1/2 lbs "four and a half pounds";
/// or a number per unit, 12/kg "twelve per kilogram".
pub fn composed(dice: &mut Dice) -> Reading {
    let [symbol, one, many] = dice.pick(others());
    match dice.below(5) {
        0 if !symbol.contains(['%', '°', ' ', '2', '3']) => {
            let number = number::any(dice, 3, 30);
            let written = format!("{}/{symbol}", number.written(false));
            Reading::of(Kind::Measure, &number, written, format!("{} per {one}", spoken(&number)))
        }
        1 => {
            let reading = fraction::mixed(dice);
            let (written, spoken) = (format!("{} {symbol}", reading.written), format!("{} {many}", reading.spoken));
            Reading { written, spoken, ..reading }
        }
        _ => {
            let from = number::whole(dice, 3);
            let (from, to) = (Number::from(from), Number::from(from + number::whole(dice, 2)));
            let space = if dice.chance(65) { " " } else { "" };
            let written = format!("{}{}{}{space}{symbol}", from.whole, dice.pick(&["-", "–", " - "]), to.whole);
            let spoken = format!("{} to {} {many}", spoken(&from), spoken(&to));
            Reading { kind: Kind::Range, written, spoken, values: vec![from.canonical(), to.canonical()] }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::parsed;

    #[test]
    fn measures() {
        let of_unit = |number, unit: &Unit| with_unit(&number, unit.one, unit.many);
        let kilogram = &WEIGHTS[0];
        assert_eq!(of_unit(parsed("1"), kilogram), "one kilogram");
        assert_eq!(of_unit(parsed("1.5"), kilogram), "one point five kilograms");
        assert_eq!(of_unit(parsed("0"), kilogram), "zero kilograms");
        assert_eq!(of_unit(parsed("2"), &LENGTHS[3]), "two feet");
        assert_eq!(of_unit(parsed("245"), &SPEEDS[1]), "two hundred forty five miles per hour");
        assert_eq!(of_unit(parsed("-5"), &TEMPERATURES[0]), "minus five degrees celsius");
        assert_eq!(of_unit(parsed("-1"), &TEMPERATURES[1]), "minus one degree fahrenheit");
    }

    #[test]
    fn every_line_of_units_is_read() {
        assert_eq!(others().len(), OTHERS.lines().count());
        assert!(others().contains(&["sq mi".into(), "square mile".into(), "square miles".into()]));
    }
}
