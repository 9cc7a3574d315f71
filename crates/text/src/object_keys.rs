//! The keys of objects that are examples.

/// All of them, but those of attributes.
pub const KEYS: [&str; 12] = [
    "prompt",
    "completion",
    "source",
    "target",
    "messages",
    "instruction",
    "input",
    "output",
    "text",
    "system",
    "chosen",
    "rejected",
];
