//! Separates the markup of a chat template from the messages: in the latter, names of control tokens are escaped while the
//! template puts both together, so that only the template's are found.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// A text to encode: as somebody wrote it, or as a chat template put it together of its own markup and of what was said.
/// `to_string` gives it as a reader sees it, without attributes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    text: String,
    /// Of a template's, the names that are escaped in what was said.
    controls: Option<Arc<[String]>>,
    /// The control tokens of attributes, which stand before it.
    attributes: Vec<String>,
}

/// Stands before an escaped character: before itself, or before the number of the name that begins with it.
const ESCAPE: char = '\u{10FFFD}';
/// The number of the first name.
const FIRST: u32 = 0xF_0000;

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self { text, controls: None, attributes: Vec::new() }
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<&String> for Text {
    fn from(text: &String) -> Self {
        text.clone().into()
    }
}

impl From<&Self> for Text {
    fn from(text: &Self) -> Self {
        text.clone()
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.read(&self.text))
    }
}

impl Text {
    /// What a template wrote, in which these names are escaped where they were said.
    pub(crate) fn marked(text: String, controls: Arc<[String]>) -> Self {
        Self { text, controls: Some(controls), attributes: Vec::new() }
    }

    /// Whether a template wrote it.
    pub fn is_rendered(&self) -> bool {
        self.controls.is_some()
    }

    /// The same after control tokens of attributes, of [`ControlConfig`](crate::ControlConfig).
    #[must_use]
    pub fn with_attributes(mut self, tokens: Vec<String>) -> Self {
        self.attributes = tokens;
        self
    }

    /// The control tokens of attributes before it.
    pub fn attributes(&self) -> &[String] {
        &self.attributes
    }

    /// How many bytes it takes.
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// What follows another text of the same template.
    pub(crate) fn strip_prefix(&self, before: &Self) -> Option<Self> {
        let rest = self.text.strip_prefix(&before.text)?;
        Some(Self { text: rest.to_owned(), controls: self.controls.clone(), attributes: Vec::new() })
    }

    /// Its characters with the escapes, where it is a template's.
    pub(crate) fn escaped(&self) -> Option<&str> {
        self.controls.as_ref().map(|_| self.text.as_str())
    }

    /// A part of it as a reader sees it.
    pub(crate) fn read(&self, part: &str) -> String {
        let Some(controls) = &self.controls else { return part.to_owned() };
        let escaped = |number: char| match number {
            ESCAPE => Some(ESCAPE),
            number => controls.get((number as u32).checked_sub(FIRST)? as usize)?.chars().next(),
        };
        let mut read = String::with_capacity(part.len());
        let mut characters = part.chars();
        while let Some(character) = characters.next() {
            match characters.clone().next().filter(|_| character == ESCAPE).and_then(escaped) {
                Some(first) => {
                    characters.next();
                    read.push(first);
                }
                // A template may cut what was said within an escape.
                None if character == ESCAPE => {}
                None => read.push(character),
            }
        }
        read
    }

    /// Itself without the control tokens that a template wrote.
    pub(crate) fn said(&self) -> Cow<'_, str> {
        match &self.controls {
            None => Cow::Borrowed(&self.text),
            // A character that is in no name stands for each.
            Some(_) => Cow::Owned(self.pieces().join("\u{0}")),
        }
    }

    /// Itself without control tokens: the pieces between them, to train a tokenizer on.
    pub(crate) fn pieces(&self) -> Vec<String> {
        let Some(controls) = &self.controls else { return vec![self.text.clone()] };
        let begins = first_characters(controls);
        let (mut pieces, mut start, mut at) = (Vec::new(), 0, 0);
        while let Some(character) = self.text[at..].chars().next() {
            let may_begin = begins.contains(&character);
            let name = controls.iter().filter(|_| may_begin).find(|name| self.text[at..].starts_with(name.as_str()));
            let length = name.map_or(character.len_utf8(), String::len);
            if name.is_some() {
                pieces.push(self.read(&self.text[start..at]));
                start = at + length;
            }
            at += length;
        }
        pieces.push(self.read(&self.text[start..]));
        pieces.retain(|piece| !piece.is_empty());
        pieces
    }
}

/// The characters that names begin with: few, where there may be hundreds of names.
fn first_characters(names: &[String]) -> Vec<char> {
    let mut first: Vec<char> = names.iter().filter_map(|name| name.chars().next()).collect();
    first.sort_unstable();
    first.dedup();
    first
}

/// What was said, with every name in it escaped at its first character.
pub(crate) fn escape(said: &str, controls: &[String]) -> String {
    let mut escaped = String::with_capacity(said.len());
    let begins = first_characters(controls);
    for (at, character) in said.char_indices() {
        let may_begin = begins.contains(&character);
        let number =
            may_begin.then(|| controls.iter().position(|name| said[at..].starts_with(name.as_str()))).flatten();
        match number.and_then(|number| char::from_u32(FIRST + number as u32)) {
            Some(number) => escaped.extend([ESCAPE, number]),
            None if character == ESCAPE => escaped.extend([ESCAPE, ESCAPE]),
            None => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_escaped_text_reads_as_before_and_holds_no_name() {
        let controls: Arc<[String]> = ["<|a|>", "§", "<s>", "aa"].map(str::to_owned).into();
        for said in ["<|a|>", "§§ <s<s>>", "aaa", "x\u{10FFFD}\u{F0000}y", "\u{10FFFD}<|a|>\u{10FFFD}", "", "<|a|"] {
            let text = Text::marked(escape(said, &controls), controls.clone());
            assert_eq!(text.to_string(), said);
            assert!(!controls.iter().any(|name| text.escaped().unwrap().contains(name)), "{said}");
            assert_eq!(text.pieces().concat(), said);
        }
        let cut = Text::marked("a\u{10FFFD}<|b|>".to_owned(), controls.clone());
        assert_eq!(cut.to_string(), "a<|b|>");
        let text = Text::marked(format!("<|a|>{}<|a|>§b", escape("x<|a|>y", &controls)), controls);
        assert_eq!(text.pieces(), ["x<|a|>y", "b"]);
    }
}
