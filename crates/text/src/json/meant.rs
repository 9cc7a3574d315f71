//! Keys and roles that somebody meant who wrote another.

use crate::chat::ASSISTANT;

/// The keys of objects.
pub(super) const KEYS: [&str; 10] =
    ["prompt", "completion", "source", "target", "messages", "instruction", "input", "output", "text", "system"];
/// Those of messages.
pub(super) const MESSAGE: [&str; 3] = ["role", "content", "weight"];
/// What other formats call them.
const OTHERS: [(&str, &str); 16] = [
    ("answer", "completion"),
    ("answer", "output"),
    ("response", "completion"),
    ("response", "output"),
    ("target", "output"),
    ("question", "prompt"),
    ("query", "prompt"),
    ("source", "prompt"),
    ("conversation", "messages"),
    ("conversations", "messages"),
    ("dialog", "messages"),
    ("dialogue", "messages"),
    ("sentence", "text"),
    ("from", "role"),
    ("value", "content"),
    ("content", "text"),
];
/// The usual roles of messages.
const ROLES: [&str; 3] = ["system", "user", ASSISTANT];

/// Which of some keys is meant by one that there is not.
pub(super) fn meant<'a>(name: &str, keys: impl Iterator<Item = &'a &'a str> + Clone) -> Option<&'a str> {
    let name = name.to_lowercase();
    let near = |key: &&&str| strsim::damerau_levenshtein(key, &name) <= (key.len() / 4).max(1);
    let other = OTHERS.iter().filter(|(other, _)| *other == name).map(|(_, key)| *key);
    let other = other.filter_map(|known| keys.clone().find(|key| **key == known)).next();
    keys.clone().find(near).or(other).copied()
}

/// The usual role that is meant by one that is nearly it: what is said by such a one would be read, and never learned.
pub(super) fn meant_role(role: &str) -> Option<&'static str> {
    let slip = |known: &&&str| {
        let near = strsim::damerau_levenshtein(known, role) <= 1 && role.chars().all(char::is_alphabetic);
        role != **known && (near || role.to_lowercase() == **known)
    };
    ROLES.iter().find(slip).copied()
}
