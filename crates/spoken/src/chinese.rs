//! Chinese: one file for each kind of number, and the sentences that carry them.

mod cardinal;
mod date;
mod digits;
mod fraction;
mod measure;
mod money;
mod time;

use crate::copied;
use crate::reading::Slot;

pub(crate) const FRAMES: &str = include_str!("chinese/frames.txt");

/// The slots of the sentences, by name.
pub(crate) const SLOTS: &[(&str, Slot)] = &[
    ("count", cardinal::count),
    ("number", cardinal::number),
    ("large", cardinal::large),
    ("ordinal", cardinal::ordinal),
    ("range", cardinal::range),
    ("ages", cardinal::ages),
    ("score", cardinal::score),
    ("percent", fraction::percent),
    ("change", fraction::change),
    ("fraction", fraction::fraction),
    ("date", date::date),
    ("coming", date::coming),
    ("day", date::day),
    ("month", date::month),
    ("year", date::year),
    ("time", time::time),
    ("money", money::money),
    ("price", money::price),
    ("distance", measure::distance),
    ("length", measure::length),
    ("weight", measure::weight),
    ("volume", measure::volume),
    ("temperature", measure::temperature),
    ("speed", measure::speed),
    ("storage", measure::storage),
    ("duration", measure::duration),
    ("phone", digits::phone),
    ("code", digits::code),
    ("room", digits::room),
    ("cardinal", cardinal::cardinal),
    ("decimal", cardinal::decimal),
    ("scaled", cardinal::large_number),
    ("about", cardinal::about),
    ("position", cardinal::position),
    ("ratio", fraction::ratio),
    ("percents", fraction::percents),
    ("dates", date::dates),
    ("years", date::years),
    ("exact", time::exact),
    ("measure", measure::measure),
    ("serial", digits::serial),
    ("text", copied::characters),
    ("word", copied::word),
    ("name", copied::name),
    ("letters", copied::letters),
];
