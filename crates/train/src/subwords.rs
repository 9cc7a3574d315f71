//! Subword regularisation as a recipe asks for it.

use descant_inference::{Recipe, Tokenizers};
use descant_text::{SubwordRegularization, TextError, Tokenizer};
use std::sync::Arc;

/// That of sources and of targets, which have no more tokens than these.
///
/// # Errors
/// Where a tokenizer is of another kind.
pub(crate) fn subword_regularization(
    recipe: &Recipe,
    tokenizers: &Tokenizers,
    longest: usize,
) -> Result<[Option<SubwordRegularization>; 2], TextError> {
    let Some(data) = &recipe.data else { return Ok([None, None]) };
    let longest = data.max_length.min(longest);
    let of = |tokenizer: &Arc<Tokenizer>| match (data.bpe_dropout, data.unigram_sampling) {
        (Some(rate), _) => SubwordRegularization::bpe_dropout(rate, tokenizer, longest).map(Some),
        (None, Some(alpha)) => SubwordRegularization::unigram_sampling(alpha, tokenizer, longest).map(Some),
        (None, None) => Ok(None),
    };
    Ok([tokenizers.source.as_ref().map_or(Ok(None), of)?, of(&tokenizers.target)?])
}
