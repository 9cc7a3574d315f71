//! English: one file for each kind of number, and the sentences that carry them.
//!
//! All spoken forms are in lower case, without hyphens, in the American manner without "and" inside numbers.

mod cardinal;
mod date;
mod digits;
mod fraction;
mod measure;
mod money;
mod ordinal;
mod time;

use crate::copied;
use crate::reading::slots;

pub(crate) const FRAMES: &str = include_str!("english/frames.txt");

slots! {
    cardinal: count, number, large, percent, change, range, ages, score, cardinal, decimal, scaled_up as scaled, span;
    ordinal: ordinal, position;
    date: date, coming, day, month, year, years, decade;
    time: time, zoned, span as times, elapsed;
    money: money, price, magnitude, decimal as amount, span as prices, rate;
    measure: distance, length, weight, volume, temperature, speed, storage, duration, measure, composed;
    fraction: fraction, mixed, ratio;
    digits: phone, code, room, international, number_in_groups as groups, serial, address;
    copied: word, name, letters;
}
