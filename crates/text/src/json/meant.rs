//! Keys that somebody meant who wrote another.

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

/// Which of some keys is meant by one that there is not.
pub(super) fn meant<'a>(name: &str, keys: impl Iterator<Item = &'a &'a str> + Clone) -> Option<&'a str> {
    let name = name.to_lowercase();
    let near = |key: &&&str| strsim::damerau_levenshtein(key, &name) <= (key.len() / 4).max(1);
    let other = OTHERS.iter().filter(|(other, _)| *other == name).map(|(_, key)| *key);
    let other = other.filter_map(|known| keys.clone().find(|key| **key == known)).next();
    keys.clone().find(near).or(other).copied()
}
