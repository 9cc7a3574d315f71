//! 金额: 12元5角 is read in 元, 角 and 分; ￥12.5, 12.5元 and $12.5 as decimals, 十二点五元, 十二点五美元; US$3万 三万美元.

use super::cardinal::{quantity, scaled, spoken, whole};
use crate::dice::Dice;
use crate::number::{self, Number};
use crate::reading::{Kind, Reading};

const YUAN: &[(&str, &str)] = &[("¥", "元"), ("￥", "元")];
/// Signs of currencies, which stand before the amount, and their names, which are spoken after it.
const SIGNS: [(&str, &str); 15] = [
    ("$", "美元"),
    ("€", "欧元"),
    ("£", "英镑"),
    ("US$", "美元"),
    ("¥", "元"),
    ("￥", "元"),
    ("₩", "韩元"),
    ("₹", "印度卢比"),
    ("₽", "卢布"),
    ("JPY¥", "日元"),
    ("HK$", "港元"),
    ("A$", "澳元"),
    ("CNY ", "人民币"),
    ("USD", "美元"),
    ("EUR", "欧元"),
];
/// Names of currencies, which stand after the amount.
const NAMES: [&str; 10] = ["元", "元", "美元", "欧元", "英镑", "日元", "港元", "人民币", "韩元", "卢布"];

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
        0..3 => with_sign(dice, YUAN, 3),
        3 | 4 => {
            let (yuan, jiao) = (number::whole(dice, 3), dice.between(1, 9));
            let number = Number::with_fraction(yuan, jiao.to_string());
            if dice.chance(35) {
                let spoken = format!("{}块{}", quantity(&yuan.into()), whole(jiao));
                return Reading::of(Kind::Money, &number, format!("{yuan}块{jiao}"), spoken);
            }
            Reading::of(Kind::Money, &number, format!("{yuan}元{jiao}角"), yuan_spoken(yuan, jiao * 10))
        }
        5 => {
            let name = dice.pick(&["元", "块"]);
            with_name(number::decimal(dice, 3), name)
        }
        6 | 7 => {
            let name = dice.pick(&["元", "块", "块钱", "分", "毛", "角"]);
            with_name(number::whole(dice, 4).into(), name)
        }
        _ => with_sign(dice, &SIGNS[..4], 3),
    }
}

/// A larger amount.
pub fn money(dice: &mut Dice) -> Reading {
    match dice.below(10) {
        0..3 => {
            let name = dice.pick(&NAMES);
            with_name(number::size(dice, 9).into(), name)
        }
        3 | 4 => with_sign(dice, YUAN, 6),
        5 | 6 => {
            let (reading, name) = (scaled(dice, Kind::Money), dice.pick(&NAMES));
            let (written, spoken) = (format!("{}{name}", reading.written), format!("{}{name}", reading.spoken));
            Reading { written, spoken, ..reading }
        }
        7 => {
            let (reading, (sign, name)) = (scaled(dice, Kind::Money), dice.pick(&SIGNS));
            let (written, spoken) = (format!("{sign}{}", reading.written), format!("{}{name}", reading.spoken));
            Reading { written, spoken, ..reading }
        }
        _ => with_sign(dice, &SIGNS, 6),
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

/// An amount after the sign of its currency.
fn with_sign(dice: &mut Dice, signs: &[(&str, &str)], most_digits: usize) -> Reading {
    // The dollar, the euro and the pound come first.
    let signs = if dice.chance(70) { &signs[..signs.len().min(3)] } else { signs };
    let (sign, name) = dice.pick(signs);
    let mut number = number::any(dice, most_digits, 40);
    if dice.chance(15) {
        number.fraction = number::digits(dice, 2, 3);
    }
    let amount = if number.fraction.is_empty() { quantity(&number) } else { spoken(&number) };
    Reading::of(Kind::Money, &number, format!("{sign}{}", number.written(dice.chance(30))), format!("{amount}{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::spoken_forms;

    const YUAN: &str = "\
0.00 零元
1.25 一元二角五分
2.00 两元
2.02 两元零二分
2.22 两元二角二分
0.20 两角
0.02 两分
0.05 五分
12.50 十二元五角
12.05 十二元零五分
200.00 二百元
100000.00 十万元
";

    #[test]
    fn yuan() {
        for (yuan, hundredths, characters) in spoken_forms(YUAN) {
            assert_eq!(yuan_spoken(yuan, hundredths), characters);
        }
    }

    #[test]
    fn amounts_with_a_name() {
        assert_eq!(with_name(2.into(), "块").spoken, "两块");
        let number = Number::with_fraction(12, "5");
        assert_eq!(with_name(number, "元").spoken, "十二点五元");
    }
}
