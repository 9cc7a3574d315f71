//! What a text continues.

use descant_generate::ConstrainedRow;
use descant_text::TokenBytes;

/// The tokens before what is generated for a row that may write something: the prompt of a language model, or what comes after the decoder's
/// start token.
pub(crate) fn before<'r>(row: &ConstrainedRow<'r>) -> &'r [u32] {
    let start = usize::from(row.source.is_some());
    row.prompt.get(start..).unwrap_or_default()
}

/// The last bytes, at most so many, that stand before what is generated for a row.
pub(crate) fn tail(bytes: &TokenBytes, row: &ConstrainedRow<'_>, most: usize) -> Vec<u8> {
    let mut all: Vec<u8> = before(row).iter().filter_map(|&token| bytes.get(token, false)).flatten().copied().collect();
    all.drain(..all.len().saturating_sub(most));
    all
}

/// Whether what is generated for a row is the start of a text, rather than the continuation of one.
pub(crate) fn begins_text(bytes: &TokenBytes, row: &ConstrainedRow<'_>) -> bool {
    before(row).iter().all(|&token| bytes.get(token, false).is_none())
}
