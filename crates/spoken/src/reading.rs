//! One number in a sentence: how it is written, how it is spoken, and what it is.

use crate::dice::Dice;
use crate::number::Number;

/// What a number in a sentence stands for, which decides how it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A quantity, whole or decimal, also negative: 12,345 or -0.5 or 2.5 million.
    Cardinal,
    /// A position: 21st.
    Ordinal,
    /// A day with or without its year, or a month of a year: 2026-11-23.
    Date,
    /// A time of day: 3:45 pm.
    Time,
    /// A year on its own.
    Year,
    /// An amount of a currency: $12.50.
    Money,
    /// A number with a unit: 5 km.
    Measure,
    /// A telephone number.
    Phone,
    /// A fraction, also after a whole number: 3/4 or 2 1/2.
    Fraction,
    /// A percentage: 12.5%.
    Percentage,
    /// From one number to another: 10-15.
    Range,
    /// The result of a game: 98-87.
    Score,
    /// A room, flight, bus or house number.
    Room,
    /// A code, read digit by digit.
    Code,
}

/// A value as it is written and as it is spoken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reading {
    pub kind: Kind,
    pub written: String,
    pub spoken: String,
    /// The canonical values it contains; see [`crate::Part::of`].
    pub values: Vec<String>,
}

impl Reading {
    pub fn new(kind: Kind, written: impl Into<String>, spoken: impl Into<String>, value: impl Into<String>) -> Self {
        Self { kind, written: written.into(), spoken: spoken.into(), values: vec![value.into()] }
    }

    /// What is spoken as it is written: no number.
    pub fn copied(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { kind: Kind::Cardinal, spoken: text.clone(), written: text, values: Vec::new() }
    }

    /// A reading whose value is the number.
    pub fn of(kind: Kind, number: &Number, written: impl Into<String>, spoken: impl Into<String>) -> Self {
        Self::new(kind, written, spoken, number.canonical())
    }
}

/// What fills a place in a sentence: draws a value and reads it.
pub(crate) type Slot = fn(&mut Dice) -> Reading;

/// The slots of a language's sentences: functions by their modules, each by its own name or `as` another.
macro_rules! slots {
    (@name $function:ident) => { stringify!($function) };
    (@name $function:ident $name:ident) => { stringify!($name) };
    ($($module:ident: $($function:ident $(as $name:ident)?),*;)*) => {
        /// The slots of the sentences, by name.
        pub(crate) const SLOTS: &[(&str, $crate::reading::Slot)] =
            &[$($((slots!(@name $function $($name)?), $module::$function),)*)*];
    };
}
pub(crate) use slots;
