//! 金额: ￥12.50 is read in 元, 角 and 分, 十二元五角; 12.5元 and $12.50 as decimals, 十二点五元, 十二点五美元.

use super::cardinal::{quantity, scaled, spoken, whole};
use crate::dice::Dice;
use crate::number::{self, Number};
use crate::reading::{Kind, Reading};

/// An amount in 元, 角 and 分. Only a leading 2 is 两.
fn yuan_spoken(yuan: u64, hundredths: u64) -> String {
    let (jiao, fen) = (hundredths / 10, hundredths % 10);
    let mut amount = String::new();
    if yuan > 0 || hundredths == 0 {
        amount = format!("{}元", quantity(&yuan.into()));
    }
    if jiao > 0 {
        let digit = if amount.is_empty() { quantity(&jiao.into()) } else { whole(jiao) };
        amount = format!("{amount}{digit}角");
    }
    if fen > 0 {
        amount = match (amount.is_empty(), jiao) {
            (true, _) => format!("{}分", quantity(&fen.into())),
            (false, 0) => format!("{amount}零{}分", whole(fen)),
            (false, _) => format!("{amount}{}分", whole(fen)),
        };
    }
    amount
}

/// An everyday price.
pub fn price(dice: &mut Dice) -> Reading {
    match dice.below(10) {
        0..4 => {
            let units = if dice.chance(10) { 0 } else { number::whole(dice, 3) };
            let hundredths = if dice.chance(40) { dice.between(1, 9) * 10 } else { dice.between(1, 99) };
            let number = Number { negative: false, whole: units, fraction: format!("{hundredths:02}") };
            let written = format!("{}{}", dice.pick(&["¥", "￥"]), number.written(false));
            Reading::of(Kind::Money, &number, written, yuan_spoken(units, hundredths))
        }
        4 => {
            let (yuan, jiao) = (number::whole(dice, 3), dice.between(1, 9));
            let number = Number { negative: false, whole: yuan, fraction: jiao.to_string() };
            Reading::of(Kind::Money, &number, format!("{yuan}元{jiao}角"), yuan_spoken(yuan, jiao * 10))
        }
        5 => {
            let name = dice.pick(&["元", "块"]);
            with_name(number::decimal(dice, 3), name)
        }
        6 | 7 => {
            let name = dice.pick(&["元", "块", "块钱"]);
            with_name(number::whole(dice, 4).into(), name)
        }
        _ => foreign(dice, 3),
    }
}

/// A larger amount.
pub fn money(dice: &mut Dice) -> Reading {
    match dice.below(10) {
        0..3 => with_name(number::whole(dice, 6).into(), "元"),
        3 | 4 => {
            let number = Number::from(number::whole(dice, 6));
            let written = format!("{}{}", dice.pick(&["¥", "￥"]), number.written(dice.chance(40)));
            Reading::of(Kind::Money, &number, written, yuan_spoken(number.whole, 0))
        }
        5..8 => {
            let reading = scaled(dice, Kind::Money);
            let name = dice.pick(&["元", "美元", "欧元"]);
            let (written, spoken) = (format!("{}{name}", reading.written), format!("{}{name}", reading.spoken));
            Reading { written, spoken, ..reading }
        }
        _ => foreign(dice, 6),
    }
}

/// An amount followed by the name of its unit.
fn with_name(number: Number, name: &str) -> Reading {
    Reading::of(
        Kind::Money,
        &number,
        format!("{}{name}", number.written(false)),
        format!("{}{name}", quantity(&number)),
    )
}

/// An amount after the sign of a foreign currency; its decimals are written in two digits but spoken without a last zero.
fn foreign(dice: &mut Dice, most_digits: usize) -> Reading {
    let (symbol, name) = dice.pick(&[("$", "美元"), ("€", "欧元"), ("£", "英镑")]);
    let number = number::any(dice, most_digits, 40);
    let mut cents = number.clone();
    if cents.fraction.len() == 1 {
        cents.fraction.push('0');
    }
    let amount = if number.fraction.is_empty() { quantity(&number) } else { spoken(&number) };
    Reading::of(Kind::Money, &number, format!("{symbol}{}", cents.written(dice.chance(40))), format!("{amount}{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yuan() {
        for (yuan, hundredths, characters) in [
            (0, 0, "零元"),
            (1, 25, "一元二角五分"),
            (2, 0, "两元"),
            (2, 2, "两元零二分"),
            (2, 22, "两元二角二分"),
            (0, 20, "两角"),
            (0, 2, "两分"),
            (0, 5, "五分"),
            (12, 50, "十二元五角"),
            (12, 5, "十二元零五分"),
            (200, 0, "二百元"),
            (100_000, 0, "十万元"),
        ] {
            assert_eq!(yuan_spoken(yuan, hundredths), characters);
        }
    }

    #[test]
    fn amounts_with_a_name() {
        assert_eq!(with_name(2.into(), "块").spoken, "两块");
        let number = Number { negative: false, whole: 12, fraction: "5".into() };
        assert_eq!(with_name(number, "元").spoken, "十二点五元");
    }
}
