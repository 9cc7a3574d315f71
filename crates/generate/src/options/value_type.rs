//! The types of options' values: what is allowed, and how it is said.

use descant_tensor::Brief;
use serde_json::{Value, json};

/// The type of an option's value.
#[derive(Clone, Copy, Debug)]
pub enum ValueType {
    /// A whole number.
    Integer(Range),
    /// A number.
    Number(Range),
    /// `true` or `false`.
    Flag,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// `true`, `false` or one of these words.
    FlagOrChoice(&'static [&'static str]),
    /// A list of texts.
    Texts,
    /// The id of a token, or a list of them.
    TokenIds,
    /// `true` for the tokenizer's own EOS, `false` for none, or ids of tokens.
    FlagOrTokenIds,
    /// A list of sequences of token ids.
    TokenSequences,
    /// A list of sequences of token ids, each with a number, such as `[[[5, 9], -2.0]]`.
    BiasedSequences,
    /// A whole number and a factor in a list, such as `[10, 1.2]`.
    StartAndFactor,
}

/// The numbers that an option takes. All of them are finite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// The lower bound.
    pub min: f64,
    /// Whether the lower bound itself is excluded.
    pub above_min: bool,
    /// The upper bound; infinite for none.
    pub max: f64,
    /// Whether the upper bound itself is excluded.
    pub below_max: bool,
}

impl Range {
    /// From a number on.
    pub const fn from(min: f64) -> Self {
        Self { min, above_min: false, max: f64::INFINITY, below_max: true }
    }

    /// Above a number.
    pub const fn above(min: f64) -> Self {
        Self { above_min: true, ..Self::from(min) }
    }

    /// Up to a number, and that too.
    #[must_use]
    pub const fn to(self, max: f64) -> Self {
        Self { max, below_max: false, ..self }
    }

    /// Up to a number, without it.
    #[must_use]
    pub const fn below(self, max: f64) -> Self {
        Self { max, below_max: true, ..self }
    }

    /// Whether a number is in it.
    pub fn contains(self, number: f64) -> bool {
        let low = if self.above_min { number > self.min } else { number >= self.min };
        let high = if self.below_max { number < self.max } else { number <= self.max };
        low && high
    }

    /// In words: `1 or more`, `from 0 to below 1`.
    pub fn words(self) -> String {
        let Self { min, above_min, max, below_max } = self;
        match (above_min, below_max) {
            (false, _) if max.is_infinite() => format!("{min} or more"),
            (true, _) if max.is_infinite() => format!("above {min}"),
            (false, false) => format!("from {min} to {max}"),
            (false, true) => format!("from {min} to below {max}"),
            (true, false) => format!("above {min}, to {max}"),
            (true, true) => format!("between {min} and {max}"),
        }
    }

    /// As a JSON schema of this type.
    pub fn json_schema(self, number: &str) -> Value {
        let Self { min, above_min, max, below_max } = self;
        let bound = |value: f64| if value.fract() == 0.0 { json!(value as i64) } else { json!(value) };
        let mut schema = json!({"type": number});
        schema[if above_min { "exclusiveMinimum" } else { "minimum" }] = bound(min);
        if max.is_finite() {
            schema[if below_max { "exclusiveMaximum" } else { "maximum" }] = bound(max);
        }
        schema
    }
}

/// What an option may add to a score, or multiply it by, at most: as good as infinite, and what follows from it is finite.
pub(crate) const LARGEST: f64 = 1e9;

fn is_id(value: &Value) -> bool {
    value.as_u64().is_some_and(|id| u32::try_from(id).is_ok())
}

fn is_list(value: &Value, of: impl Fn(&Value) -> bool) -> bool {
    value.as_array().is_some_and(|items| items.iter().all(of))
}

fn is_sequence(value: &Value) -> bool {
    is_list(value, is_id) && value.as_array().is_some_and(|ids| !ids.is_empty())
}

impl ValueType {
    /// Whether a value is of this type, and in the range.
    pub fn fits(self, value: &Value) -> bool {
        match self {
            Self::Integer(range) => value.as_u64().is_some_and(|n| range.contains(n as f64)),
            Self::Number(range) => value.as_f64().is_some_and(|n| n.is_finite() && range.contains(n)),
            Self::Flag => value.is_boolean(),
            Self::Choice(words) => value.as_str().is_some_and(|word| words.contains(&word)),
            Self::FlagOrChoice(words) => value.is_boolean() || Self::Choice(words).fits(value),
            Self::Texts => is_list(value, |text| text.as_str().is_some_and(|text| !text.is_empty())),
            Self::TokenIds => is_id(value) || is_list(value, is_id),
            Self::FlagOrTokenIds => value.is_boolean() || Self::TokenIds.fits(value),
            Self::TokenSequences => is_list(value, is_sequence),
            Self::BiasedSequences => is_list(value, |item| match item.as_array().map(Vec::as_slice) {
                Some([sequence, bias]) => {
                    is_sequence(sequence) && bias.as_f64().is_some_and(|bias| bias.abs() <= LARGEST)
                }
                _ => false,
            }),
            Self::StartAndFactor => match value.as_array().map(Vec::as_slice) {
                Some([start, factor]) => {
                    start.is_u64() && factor.as_f64().is_some_and(|factor| factor.is_finite() && factor > 0.0)
                }
                _ => false,
            },
        }
    }

    /// What is expected, in words.
    pub fn words(self) -> String {
        let either = |words: &[&str]| match words {
            [all @ .., last] if !all.is_empty() => format!("{} or {last}", all.join(", ")),
            _ => words.concat(),
        };
        let example = self.example().map_or_else(String::new, |example| format!(", such as {example}"));
        match self {
            Self::Integer(range) => format!("a whole number, {}", range.words()),
            Self::Number(range) => format!("a number, {}", range.words()),
            Self::Flag => "true or false".to_owned(),
            Self::Choice(words) => either(words),
            Self::FlagOrChoice(words) => format!("true, false or {}", either(words)),
            Self::Texts => "a list of texts, none of them empty".to_owned(),
            Self::TokenIds => "the id of a token, or a list of them".to_owned(),
            Self::FlagOrTokenIds => "true, false, the id of a token, or a list of them".to_owned(),
            Self::TokenSequences => format!("a list of lists of token ids, none of them empty{example}"),
            Self::BiasedSequences => {
                format!("a list of sequences of token ids, each with a number from -1e9 to 1e9{example}")
            }
            Self::StartAndFactor => format!("a whole number and a factor above 0 in a list{example}"),
        }
    }

    /// An example of a value that is a list in JSON.
    pub fn example(self) -> Option<&'static str> {
        match self {
            Self::TokenSequences => Some("[[5, 9], [3]]"),
            Self::BiasedSequences => Some("[[[5, 9], -2.0]]"),
            Self::StartAndFactor => Some("[10, 1.2]"),
            _ => None,
        }
    }

    /// As a JSON schema.
    pub fn json_schema(self) -> Value {
        let id = || json!({"type": "integer", "minimum": 0});
        let list = |items: Value| json!({"type": "array", "items": items});
        let flag = || json!({"type": "boolean"});
        let pair = |items: [Value; 2]| json!({"type": "array", "items": items, "minItems": 2, "maxItems": 2});
        match self {
            Self::Integer(range) => range.json_schema("integer"),
            Self::Number(range) => range.json_schema("number"),
            Self::Flag => flag(),
            Self::Choice(words) => json!({"type": "string", "enum": words}),
            Self::FlagOrChoice(words) => json!({"anyOf": [flag(), Self::Choice(words).json_schema()]}),
            Self::Texts => list(json!({"type": "string", "minLength": 1})),
            Self::TokenIds => json!({"anyOf": [id(), list(id())]}),
            Self::FlagOrTokenIds => json!({"anyOf": [flag(), id(), list(id())]}),
            Self::TokenSequences => list(list(id())),
            Self::BiasedSequences => list(pair([list(id()), json!({"type": "number"})])),
            Self::StartAndFactor => pair([id(), json!({"type": "number", "exclusiveMinimum": 0})]),
        }
    }
}

/// A value for a message.
pub(super) fn shown(value: &Value) -> String {
    let text = match value {
        // What JSON has no number for.
        Value::Null => "not finite".to_owned(),
        Value::Number(number) if number.is_f64() => Brief(number.as_f64().unwrap_or(f64::NAN)).to_string(),
        value => value.to_string(),
    };
    match text.char_indices().nth(100) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
