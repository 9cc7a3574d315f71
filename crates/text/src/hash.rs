//! By what equal texts are known.

use std::hash::{DefaultHasher, Hash, Hasher};

/// The hash of a value: 64 bits, the same in every run.
pub fn hash(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// The hash of an example, by which one that comes again is known: of its texts, and of the control tokens of its attributes.
pub fn example_hash(source: Option<&str>, target: &str, attributes: &[String]) -> u64 {
    hash(&(source, target, attributes))
}
