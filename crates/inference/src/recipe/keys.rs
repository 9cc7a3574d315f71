//! Every key of a recipe, defined once: type, range, default, text, and the recipes that it has an effect in. Parsing and
//! its error messages, validation, `descant explain`, RECIPES.md, the JSON schema and the keys of a resolved recipe all
//! come from here.

mod condition;
mod control;
mod data;
mod generation;
mod key;
mod loss;
mod model;
mod tokenizer;
mod training;
mod transformer;
mod vectors;

pub use super::suggest::unknown;
pub use condition::Condition;
pub(super) use key::FROM_0;
pub use key::{Key, Range, Section, ValueType};

/// All sections, in the order in which a recipe is written.
pub const SECTIONS: &[Section] = &[
    data::TOP,
    data::DATA,
    data::FILTER,
    data::NOISE,
    control::CONTROL,
    data::BENCH,
    tokenizer::TOKENIZER,
    tokenizer::SPECIAL,
    tokenizer::POST_PROCESSOR,
    model::MODEL,
    transformer::TRANSFORMER,
    transformer::ROTARY_SCALING,
    vectors::VECTORS,
    loss::LOSS,
    training::OPTIMIZER,
    training::SCHEDULE,
    training::FINETUNE,
    training::LORA,
    training::DISTILL,
    training::TRAIN,
    generation::GENERATION,
];

/// The sections that `kind` tells apart, and the kind of one that does not say it.
pub(super) const DEFAULT_KINDS: [(&str, &str); 3] =
    [("loss", "cross-entropy"), ("optimizer", "adamw"), ("schedule", "constant")];

/// The name of a key that stands for every name which its section does not know.
pub const ANY: &str = "ATTRIBUTE";

/// All keys, section by section.
pub fn all() -> impl Iterator<Item = &'static Key> + Clone {
    SECTIONS.iter().flat_map(|section| section.keys)
}

/// The name that the definitions have: the keys of `[target_tokenizer]` are those of `[tokenizer]`, and decoding options have
/// had other names.
pub fn canonical(name: &str) -> &str {
    if let Some(key) = generation::renamed(name) {
        return key;
    }
    if let Some(attribute) = name.strip_prefix("control.") {
        return match attribute {
            "dropout" | "columns" => name,
            _ => "control.ATTRIBUTE",
        };
    }
    let is_tokenizer = |own: &&str| *own == "tokenizer" || own.starts_with("tokenizer.");
    name.strip_prefix("target_").filter(is_tokenizer).unwrap_or(name)
}

/// The key of this name.
pub fn find(name: &str) -> Option<&'static Key> {
    let name = canonical(name);
    all().find(|key| key.name == name)
}

/// The section of this name.
pub fn section(name: &str) -> Option<&'static Section> {
    let name = canonical(name);
    SECTIONS.iter().find(|section| section.name == name)
}
