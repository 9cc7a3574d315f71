//! The roles of messages.

/// The role of the model.
pub const ASSISTANT: &str = "assistant";
/// The usual roles.
pub(super) const USUAL: [&str; 6] = ["system", "developer", "user", ASSISTANT, "tool", "function"];
/// A role that no template knows.
pub(super) const NOBODY: &str = "nobody in particular";

/// The role that is meant by one that is nearly it: what is said by such a one would be read, and never learned.
pub(crate) fn meant_role(role: &str) -> Option<&'static str> {
    let slip = |known: &&&str| {
        let near = strsim::damerau_levenshtein(known, role) <= 1 && role.chars().all(char::is_alphabetic);
        role != **known && (near || role.to_lowercase() == **known)
    };
    ["system", "user", ASSISTANT].iter().find(slip).copied()
}
