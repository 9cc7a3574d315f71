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
use crate::reading::Slot;

pub(crate) const FRAMES: &str = include_str!("english/frames.txt");

/// The slots of the sentences, by name.
pub(crate) const SLOTS: &[(&str, Slot)] = &[
    ("count", cardinal::count),
    ("number", cardinal::number),
    ("large", cardinal::large),
    ("percent", cardinal::percent),
    ("change", cardinal::change),
    ("range", cardinal::range),
    ("ages", cardinal::ages),
    ("score", cardinal::score),
    ("ordinal", ordinal::ordinal),
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
    ("fraction", fraction::fraction),
    ("mixed", fraction::mixed),
    ("phone", digits::phone),
    ("code", digits::code),
    ("room", digits::room),
    ("cardinal", cardinal::cardinal),
    ("decimal", cardinal::decimal),
    ("scaled", cardinal::scaled_up),
    ("span", cardinal::span),
    ("position", ordinal::position),
    ("ratio", fraction::ratio),
    ("years", date::years),
    ("decade", date::decade),
    ("zoned", time::zoned),
    ("times", time::span),
    ("elapsed", time::elapsed),
    ("magnitude", money::magnitude),
    ("amount", money::decimal),
    ("prices", money::span),
    ("rate", money::rate),
    ("measure", measure::measure),
    ("composed", measure::composed),
    ("international", digits::international),
    ("groups", digits::number_in_groups),
    ("serial", digits::serial),
    ("address", digits::address),
    ("word", copied::word),
    ("name", copied::name),
    ("letters", copied::letters),
];
