//! Amounts: $12.50 "twelve dollars and fifty cents", $0.50 "fifty cents", $3 million "three million dollars".

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

const CURRENCIES: [Currency; 4] = [
    Currency { symbol: "$", one: "dollar", many: "dollars", hundredth: Some(("cent", "cents")) },
    Currency { symbol: "£", one: "pound", many: "pounds", hundredth: Some(("penny", "pence")) },
    Currency { symbol: "€", one: "euro", many: "euros", hundredth: Some(("cent", "cents")) },
    Currency { symbol: "¥", one: "yen", many: "yen", hundredth: None },
];

/// Half of all amounts are in dollars.
fn currency(dice: &mut Dice) -> &'static Currency {
    if dice.chance(40) { &CURRENCIES[0] } else { dice.pick(&CURRENCIES) }
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
    let currency = currency(dice);
    if currency.hundredth.is_none() || dice.chance(25) {
        return whole_amount(dice, currency);
    }
    let units = if dice.chance(10) { 0 } else { number::whole(dice, 3) };
    let hundredths = if dice.chance(40) { dice.between(1, 9) * 10 } else { dice.between(1, 99) };
    let number = Number { negative: false, whole: units, fraction: format!("{hundredths:02}") };
    let written = format!("{}{}", currency.symbol, number.written(false));
    Reading::of(Kind::Money, &number, written, amount_spoken(currency, units, hundredths))
}

/// A larger amount, without hundredths.
pub fn money(dice: &mut Dice) -> Reading {
    let currency = currency(dice);
    if dice.chance(80) {
        return whole_amount(dice, currency);
    }
    let (mut reading, scale) = scaled(dice, Kind::Money);
    reading.written = format!("{}{} {scale}", currency.symbol, reading.written);
    reading.spoken = format!("{} {scale} {}", reading.spoken, currency.many);
    reading
}

fn whole_amount(dice: &mut Dice, currency: &Currency) -> Reading {
    let number = Number::from(number::whole(dice, 6));
    let written = format!("{}{}", currency.symbol, number.written(dice.chance(60)));
    let name = if number.whole == 1 { currency.one } else { currency.many };
    Reading::of(Kind::Money, &number, written, format!("{} {name}", spoken(&number)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts() {
        let [dollar, pound, euro, yen] = &CURRENCIES;
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
}
