//! What a text continues.

use descant_generate::ConstrainedRow;
use descant_text::TokenBytes;

/// The last bytes, at most so many, that stand before what is generated for a row.
pub(crate) fn tail(bytes: &TokenBytes, row: &ConstrainedRow<'_>, most: usize) -> Vec<u8> {
    if begins_text(bytes, row) {
        return Vec::new();
    }
    let mut all: Vec<u8> = row.prompt.iter().filter_map(|&token| bytes.get(token, false)).flatten().copied().collect();
    all.drain(..all.len().saturating_sub(most));
    all
}

/// Whether what is generated for a row is the start of a text, rather than the continuation of a prompt that writes something.
pub(crate) fn begins_text(bytes: &TokenBytes, row: &ConstrainedRow<'_>) -> bool {
    row.source.is_some() || row.prompt.iter().all(|&token| bytes.get(token, false).is_none())
}
