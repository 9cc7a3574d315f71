//! The keys of `[generation]`: the table of decoding options.

use super::key::{Key, Section, ValueType};
use descant_generate::{DecodingOption, OPTIONS, find_option};

pub(super) const GENERATION: Section = Section {
    name: "generation",
    help: "Default decoding options; an import takes them from generation_config.json.",
    keys: &KEYS,
};

const KEYS: [Key; OPTIONS.len()] = {
    let mut keys = [key(&OPTIONS[0]); OPTIONS.len()];
    let mut i = 1;
    while i < OPTIONS.len() {
        keys[i] = key(&OPTIONS[i]);
        i += 1;
    }
    keys
};

const fn key(option: &DecodingOption) -> Key {
    Key::new(option.key, value_type(option.value), option.default, option.help)
}

const fn value_type(of: descant_generate::ValueType) -> ValueType {
    use descant_generate::ValueType as Option;
    match of {
        Option::Integer(range) => ValueType::Integer(range),
        Option::Number(range) => ValueType::Number(range),
        Option::Flag => ValueType::Flag,
        Option::Choice(words) => ValueType::Choice(words),
        Option::Texts => ValueType::TextList,
        Option::TokenIds => ValueType::TokenIds,
        _ => ValueType::Decoding(of),
    }
}

/// The key of a decoding option by a name that it had before.
pub(super) fn renamed(name: &str) -> Option<&'static str> {
    find_option(name.strip_prefix("generation.")?).map(|option| option.key)
}
