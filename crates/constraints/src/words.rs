//! Where words start and end.

/// Whether a character is part of a word of a script that has spaces between words.
pub(crate) fn is_of_word(character: char) -> bool {
    // Thai, Lao, Burmese, Khmer; from the radicals to Yi, Han among them.
    let has_no_spaces = matches!(u32::from(character), 0xE00..=0xEFF | 0x1000..=0x109F | 0x1780..=0x17FF | 0x2E80..=0xA4CF | 0xF900..=0xFAFF | 0x20000..);
    character.is_alphanumeric() && !has_no_spaces
}

/// Where a phrase stands in a text as whole words.
pub(crate) fn places(text: &str, phrase: &str) -> Vec<usize> {
    let joins =
        |inner: Option<char>, outer: Option<char>| inner.is_some_and(is_of_word) && outer.is_some_and(is_of_word);
    let is_whole = |at: &usize| {
        let (before, after) = (&text[..*at], &text[at + phrase.len()..]);
        !joins(phrase.chars().next(), before.chars().next_back())
            && !joins(phrase.chars().next_back(), after.chars().next())
    };
    text.match_indices(phrase).map(|(at, _)| at).filter(is_whole).collect()
}

/// The last character of bytes that end with a whole one.
pub(crate) fn last_character(bytes: &[u8]) -> Option<char> {
    let start = (0..bytes.len()).rev().find(|&at| bytes[at] & 0xC0 != 0x80)?;
    std::str::from_utf8(&bytes[start..]).ok()?.chars().next()
}
