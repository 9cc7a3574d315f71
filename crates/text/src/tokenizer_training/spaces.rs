//! How subwords mark spaces.

use serde_json::{Value, json};
use tokenizers::Tokenizer;

/// What stands for a space in subwords.
pub(super) const SPACE: char = '▁';
/// In subwords, what a character of the text that has a meaning there is written with: this and one of the next.
pub(crate) const ESCAPE: char = '\u{E000}';
pub(super) const ESCAPED_ESCAPE: char = '\u{E001}';
pub(super) const ESCAPED_SPACE: char = '\u{E002}';

/// The normalizer of the kinds that mark spaces: it escapes a character that looks like the mark, and doubles a space with which
/// a line begins, as `Metaspace` puts its own only before another character.
pub(super) fn escapes(continuous: bool) -> Value {
    let replace = |pattern: Value, by: String| json!({"type": "Replace", "pattern": pattern, "content": by});
    let characters = [(ESCAPE, ESCAPED_ESCAPE), (SPACE, ESCAPED_SPACE)]
        .map(|(character, escaped)| replace(json!({"String": character}), [ESCAPE, escaped].iter().collect()));
    let leading_space = (!continuous).then(|| replace(json!({"Regex": r"\A "}), "  ".to_owned()));
    json!({"type": "Sequence", "normalizers": characters.into_iter().chain(leading_space).collect::<Vec<_>>()})
}

/// Whether a tokenizer's texts are normalised as those of the kinds that mark spaces, which are trained here: then its added
/// tokens are found in the normalised text, which is one piece.
pub(crate) fn is_escaped(tokenizer: &Tokenizer) -> bool {
    let own = serde_json::to_value(tokenizer.get_normalizer());
    own.is_ok_and(|own| [true, false].iter().any(|&continuous| own == escapes(continuous)))
}
