//! The definition of a key: type and range of its value, default, text, and the recipes that it has an effect in.

use super::condition::{ALWAYS, Condition};
pub use descant_generate::Range;
use descant_hyperparameters::{ClippingConfig, OptimizerConfig};

/// A key of a recipe.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its section and its name, such as `train.steps`.
    pub name: &'static str,
    /// The type of its value, with the range.
    pub value: ValueType,
    /// What the value must be beside its type and range, mostly in relation to other keys; empty for nothing.
    pub relation: &'static str,
    /// The default: TOML, or words in parentheses.
    pub default: &'static str,
    /// What it means.
    pub help: &'static str,
    /// The version of descant that it came with.
    pub since: &'static str,
    /// The `kind`s of its section that have it, see [`Key::kinds`].
    kinds: &'static [&'static str],
    /// The recipes that it has an effect in.
    pub condition: Condition,
}

/// A section of a recipe, which TOML calls a table.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// Its name, such as `train`; empty for the keys before the first section.
    pub name: &'static str,
    /// What it is about.
    pub help: &'static str,
    /// Its keys.
    pub keys: &'static [Key],
}

/// The type of a value.
#[derive(Clone, Copy, Debug)]
pub enum ValueType {
    /// A whole number.
    Integer(Range),
    /// A number.
    Number(Range),
    /// `true` or `false`.
    Flag,
    /// A text.
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// The name of one file, or of two in a list; or lists of names in a list.
    Files,
    /// One to three columns in a list, by number or by name.
    Columns,
    /// A column, by number or by name.
    Column,
    /// A list of texts.
    TextList,
    /// A list of some of these words.
    ChoiceList(&'static [&'static str]),
    /// The id of a token, or a list of them.
    TokenIds,
    /// Two numbers in a list.
    NumberPair(Range),
    /// A list of whole numbers.
    IntegerList,
    /// A list of numbers.
    NumberList(Range),
    /// A table of numbers by name.
    NumberTable(Range),
    /// A table of whole numbers from 0 by name.
    IntegerTable,
    /// `{ norm = … }`, `{ value = … }` and the like, or `"none"`.
    Clip(Range),
    /// What no other key takes than a decoding option.
    Decoding(descant_generate::ValueType),
}

/// From a number on.
pub(super) const fn from(min: f64) -> Range {
    Range::from(min)
}

/// Above a number.
pub(super) const fn above(min: f64) -> Range {
    Range::above(min)
}

// Ranges and words that several sections have.
pub(in crate::recipe) const FROM_0: Range = from(0.0);
pub(super) const FROM_1: Range = from(1.0);
pub(super) const ABOVE_0: Range = above(0.0);
/// A share that is not all, such as that of dropout.
pub(super) const SHARE: Range = from(0.0).below(1.0);
/// A share that may be all.
pub(super) const WHOLE_SHARE: Range = from(0.0).to(1.0);
pub(super) const REQUIRED: &str = "(required)";

impl ValueType {
    /// What is expected, in words.
    pub fn words(self) -> String {
        match self {
            Self::Integer(range) => format!("a whole number, {}", range.words()),
            Self::Number(range) => format!("a number, {}", range.words()),
            Self::Flag => "true or false".to_owned(),
            Self::Text => "a text in quotes".to_owned(),
            Self::Choice(words) => match words {
                [all @ .., last] if !all.is_empty() => format!("{} or {last}", all.join(", ")),
                _ => words.join(""),
            },
            Self::Files => "the name of a file, two names in a list, or one or two lists of names in a list".to_owned(),
            Self::Columns => "one to three columns in a list, all by number from 0 or all by name".to_owned(),
            Self::Column => "a column, by number from 0 or by name".to_owned(),
            Self::TextList => "a list of texts".to_owned(),
            Self::ChoiceList(words) => format!("a list, each {}", Self::Choice(words).words()),
            Self::TokenIds => "the id of a token, or a list of them".to_owned(),
            Self::NumberPair(range) => format!("two numbers in a list, each {}", range.words()),
            Self::IntegerList => "a list of whole numbers from 0".to_owned(),
            Self::NumberList(range) => format!("a list of numbers, each {}", range.words()),
            Self::NumberTable(range) => {
                format!("a table of numbers {}, such as {{ \"name\" = 0.5 }}", range.words())
            }
            Self::IntegerTable => "a table of whole numbers from 0, such as { name = 2 }".to_owned(),
            Self::Clip(range) => {
                let kinds = ClippingConfig::KINDS.iter().map(|(name, number)| format!("{{ {name} = {number:?} }}"));
                format!("{} or \"none\", the number {}", kinds.collect::<Vec<_>>().join(", "), range.words())
            }
            Self::Decoding(of) => of.words(),
        }
    }
}

impl Key {
    /// A key that every kind of its section has, and that always has an effect.
    pub(super) const fn new(name: &'static str, value: ValueType, default: &'static str, help: &'static str) -> Self {
        Self { name, value, relation: "", default, help, since: "0.1", kinds: &[], condition: ALWAYS }
    }

    /// The same for these kinds of its section.
    pub(super) const fn of(self, kinds: &'static [&'static str]) -> Self {
        Self { kinds, ..self }
    }

    /// The same with a relation that its value must fulfil.
    pub(super) const fn related(self, relation: &'static str) -> Self {
        Self { relation, ..self }
    }

    /// The same with an effect under a condition.
    pub(super) const fn when(self, condition: Condition) -> Self {
        Self { condition, ..self }
    }

    /// The `kind`s of its section that have it; empty for all. Of an optimizer's hyperparameters, their own definitions say it.
    pub fn kinds(&self) -> Vec<&'static str> {
        let ("optimizer", name) = self.parts() else { return self.kinds.to_vec() };
        let all = OptimizerConfig::KINDS.iter().zip(OptimizerConfig::HYPERPARAMETERS);
        let having: Vec<_> = all.filter(|(_, own)| own.contains(&name)).map(|(kind, _)| *kind).collect();
        if having.len() == OptimizerConfig::KINDS.len() { Vec::new() } else { having }
    }

    /// Its section, and its own name.
    pub fn parts(&self) -> (&'static str, &'static str) {
        self.name.rsplit_once('.').unwrap_or(("", self.name))
    }

    /// What is expected, in words: type, range and relation.
    pub fn words(&self) -> String {
        match self.relation {
            "" => self.value.words(),
            relation => format!("{}, {relation}", self.value.words()),
        }
    }

    /// Whether its section has to have it.
    pub fn is_required(&self) -> bool {
        self.default.starts_with("(required")
    }

    /// The same for every kind of its section, and whatever other keys say.
    pub(crate) fn is_always_required(&self) -> bool {
        self.default == REQUIRED && self.kinds().is_empty()
    }

    /// The default, where it is a value and not described in words.
    pub(crate) fn default_value(&self) -> Option<toml::Value> {
        toml::from_str::<toml::Table>(&format!("value = {}", self.default)).ok()?.remove("value")
    }

    /// Whether this kind of its section has it.
    pub(crate) fn is_of(&self, kind: Option<&str>) -> bool {
        let kinds = self.kinds();
        kinds.is_empty() || kind.is_some_and(|kind| kinds.contains(&kind))
    }

    /// The recipes that it has an effect in, in words; none where that is all.
    pub fn conditions(&self) -> Option<String> {
        let kinds = self.kinds().join(", ");
        match (kinds.is_empty(), self.condition.words) {
            (true, "") => None,
            (true, words) => Some(format!("With {words}.")),
            (false, "") => Some(format!("Of {kinds}.")),
            (false, words) => Some(format!("Of {kinds}, with {words}.")),
        }
    }
}
