//! Amounts: $12.50 "twelve dollars and fifty cents", $0.50 "fifty cents", $1.234 "one point two three four dollars",
//! $3 million and $3M "three million dollars", 20 euros.

use super::cardinal::{scaled, spoken, whole};
use crate::dice::Dice;
use crate::number::{self, Number};
use crate::reading::{Kind, Reading};

struct Currency {
    symbol: &'static str,
    one: &'static str,
    many: &'static str,
    /// One and several of the hundredth part; the yen has none in use.
    hundredth: Option<(&'static str, &'static str)>,
}

const fn currency(
    symbol: &'static str,
    one: &'static str,
    many: &'static str,
    hundredth: Option<(&'static str, &'static str)>,
) -> Currency {
    Currency { symbol, one, many, hundredth }
}

const CENTS: Option<(&str, &str)> = Some(("cent", "cents"));

const CURRENCIES: [Currency; 8] = [
    currency("$", "dollar", "dollars", CENTS),
    currency("£", "pound", "pounds", Some(("penny", "pence"))),
    currency("€", "euro", "euros", CENTS),
    currency("¥", "yen", "yen", None),
    currency("₹", "rupee", "rupees", None),
    currency("₩", "won", "won", None),
    currency("US$", "us dollar", "us dollars", CENTS),
    currency("US $", "us dollar", "us dollars", CENTS),
];

/// Words for amounts, which stand after the number and stay as they are.
const NAMES: [&str; 14] = [
    "dollars",
    "euros",
    "pounds",
    "yen",
    "yuan",
    "cents",
    "rupees",
    "francs",
    "pesos",
    "won",
    "rubles",
    "us dollars",
    "kronor",
    "reais",
];

/// Nearly half of all amounts are in dollars.
fn draw(dice: &mut Dice) -> &'static Currency {
    match dice.below(10) {
        0..4 => &CURRENCIES[0],
        4..7 => dice.pick(&CURRENCIES[..4]),
        _ => dice.pick(&CURRENCIES),
    }
}

fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", whole(number), if number == 1 { one } else { many })
}

/// An amount with or without hundredths; those of a currency without them are ignored.
fn amount_spoken(currency: &Currency, units: u64, hundredths: u64) -> String {
    let units_spoken = counted(units, currency.one, currency.many);
    match currency.hundredth {
        Some((one, many)) if hundredths > 0 && units > 0 => {
            format!("{units_spoken} and {}", counted(hundredths, one, many))
        }
        Some((one, many)) if hundredths > 0 => counted(hundredths, one, many),
        _ => units_spoken,
    }
}

/// An everyday price, mostly with hundredths.
pub fn price(dice: &mut Dice) -> Reading {
    let currency = draw(dice);
    if currency.hundredth.is_none() || dice.chance(25) {
        return whole_amount(dice, currency, 4);
    }
    let bare_point = dice.chance(4);
    let units = if bare_point || dice.chance(12) { 0 } else { number::whole(dice, 4) };
    let hundredths = match dice.below(10) {
        0 if units > 0 => 0,
        1..4 => dice.between(1, 9),
        4..6 => dice.between(1, 9) * 10,
        _ => dice.between(1, 99),
    };
    let number = Number { bare_point, ..Number::with_fraction(units, format!("{hundredths:02}")) };
    let written = format!("{}{}", currency.symbol, number.written(dice.chance(50)));
    Reading::of(Kind::Money, &number, written, amount_spoken(currency, units, hundredths))
}

/// A larger amount, without hundredths.
pub fn money(dice: &mut Dice) -> Reading {
    if dice.chance(65) {
        let currency = draw(dice);
        return whole_amount(dice, currency, 9);
    }
    magnitude(dice)
}

/// An amount in millions and the like: $2.5 million, £3bn, $40k, 1.4 billion yuan.
pub fn magnitude(dice: &mut Dice) -> Reading {
    let currency = draw(dice);
    let (reading, scale) = scaled(dice, Kind::Money);
    let (digits, spoken) = (&reading.written, &reading.spoken);
    if dice.chance(20) {
        let name = dice.pick(&NAMES);
        let (written, spoken) = (format!("{digits} {scale} {name}"), format!("{spoken} {scale} {name}"));
        return Reading { written, spoken, ..reading };
    }
    let letter = match (scale, dice.below(4)) {
        ("billion", 0) => "bn",
        ("thousand", _) => "k",
        _ => &scale[..1],
    };
    let written = match dice.below(10) {
        0 => format!("{}{digits}{}", currency.symbol, letter),
        1 | 2 => format!("{}{digits}{}", currency.symbol, letter.to_uppercase()),
        _ => format!("{}{digits} {scale}", currency.symbol),
    };
    let spoken = format!("{spoken} {scale} {}", currency.many);
    Reading { written, spoken, ..reading }
}

/// An amount with decimals that are no hundredths, or before its currency's name.
pub fn decimal(dice: &mut Dice) -> Reading {
    let mut number = number::any(dice, 6, 50);
    if dice.chance(50) {
        let name = *dice.pick(&NAMES);
        let name = if number == 1.into() { "dollar" } else { name };
        return Reading::of(
            Kind::Money,
            &number,
            format!("{} {name}", number.written(dice.chance(40))),
            format!("{} {name}", spoken(&number)),
        );
    }
    let places = *dice.pick(&[1, 3, 3, 4]);
    number.fraction = format!("{}{}", number::digits(dice, places - 1, places - 1), dice.between(1, 9));
    number.bare_point = dice.chance(10);
    if number.bare_point {
        number.whole = 0;
    }
    let currency = draw(dice);
    let written = format!("{}{}", currency.symbol, number.written(dice.chance(40)));
    Reading::of(Kind::Money, &number, written, format!("{} {}", spoken(&number), currency.many))
}

/// What something costs at least and at most: $50-$100, £2.50 - £3.
pub fn span(dice: &mut Dice) -> Reading {
    let (first, second) = (price(dice), price(dice));
    let dash = *dice.pick(&["-", " - ", "–"]);
    let values = [first.values, second.values].concat();
    let written = format!("{}{dash}{}", first.written, second.written);
    Reading { kind: Kind::Money, written, spoken: format!("{} to {}", first.spoken, second.spoken), values }
}

/// The price of a time or a thing: $20/mo "twenty dollars per month".
pub fn rate(dice: &mut Dice) -> Reading {
    const PER: [(&str, &str); 14] = [
        ("mo", "month"),
        ("month", "month"),
        ("wk", "week"),
        ("week", "week"),
        ("hr", "hour"),
        ("h", "hour"),
        ("yr", "year"),
        ("day", "day"),
        ("kg", "kilogram"),
        ("lb", "pound"),
        ("person", "person"),
        ("night", "night"),
        ("gal", "gallon"),
        ("oz", "ounce"),
    ];
    let reading = price(dice);
    let (short, name) = dice.pick(&PER);
    Reading {
        written: format!("{}/{short}", reading.written),
        spoken: format!("{} per {name}", reading.spoken),
        ..reading
    }
}

fn whole_amount(dice: &mut Dice, currency: &Currency, most_digits: u64) -> Reading {
    let number = Number::from(number::size(dice, most_digits));
    let written = format!("{}{}", currency.symbol, number.written(dice.chance(50)));
    Reading::of(Kind::Money, &number, written, counted(number.whole, currency.one, currency.many))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts() {
        let [dollar, pound, euro, yen, ..] = &CURRENCIES;
        for (currency, units, hundredths, words) in [
            (dollar, 1, 0, "one dollar"),
            (dollar, 0, 1, "one cent"),
            (dollar, 0, 20, "twenty cents"),
            (dollar, 1, 1, "one dollar and one cent"),
            (dollar, 12, 50, "twelve dollars and fifty cents"),
            (dollar, 18_478, 0, "eighteen thousand four hundred seventy eight dollars"),
            (pound, 1, 20, "one pound and twenty pence"),
            (pound, 2, 1, "two pounds and one penny"),
            (euro, 0, 5, "five cents"),
            (euro, 1, 0, "one euro"),
            (yen, 300, 0, "three hundred yen"),
        ] {
            assert_eq!(amount_spoken(currency, units, hundredths), words);
        }
    }

    #[test]
    fn a_letter_stands_for_one_scale() {
        let mut dice = Dice::new(7);
        for _ in 0..20_000 {
            let Reading { written, spoken, .. } = magnitude(&mut dice);
            let letters = written
                .trim_start_matches(|c: char| !c.is_ascii_digit())
                .trim_start_matches(|c: char| !c.is_alphabetic());
            let scale = match &*letters.to_lowercase() {
                "k" => "thousand",
                "m" => "million",
                "b" | "bn" => "billion",
                "t" => "trillion",
                _ => continue,
            };
            assert!(spoken.split(' ').any(|word| word == scale), "{written} {spoken}");
        }
    }
}
