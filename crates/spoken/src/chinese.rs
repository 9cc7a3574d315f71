//! Chinese: one file for each kind of number, and the sentences that carry them.

mod cardinal;
mod date;
mod digits;
mod fraction;
mod measure;
mod money;
mod time;

use crate::copied;
use crate::reading::slots;

pub(crate) const FRAMES: &str = include_str!("chinese/frames.txt");

slots! {
    cardinal: count, number, large, ordinal, range, ages, score, cardinal, decimal, large_number as scaled, about, position;
    fraction: percent, change, fraction, ratio, percents;
    date: date, coming, day, month, year, dates, years;
    time: time, exact;
    money: money, price;
    measure: distance, length, weight, volume, temperature, speed, storage, duration, measure;
    digits: phone, code, room, serial;
    copied: characters as text, word, name, letters;
}
