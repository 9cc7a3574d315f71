//! Subword regularisation as a recipe asks for it.

use descant_inference::{Recipe, Tokenizers};
use descant_text::{SubwordRegularization, TextError, Tokenizer};
use std::sync::Arc;

/// That of sources and of targets, which have no more tokens than these; of a side whose tokenizer is of another kind, none.
///
/// # Errors
/// Where both are of another kind.
pub(crate) fn subword_regularization(
    recipe: &Recipe,
    tokenizers: &Tokenizers,
    longest: usize,
) -> Result<[Option<SubwordRegularization>; 2], TextError> {
    let Some(data) = &recipe.data else { return Ok([None, None]) };
    let longest = data.max_length.min(longest);
    let of = |tokenizer: &Arc<Tokenizer>| match (data.bpe_dropout, data.unigram_sampling) {
        (Some(rate), _) => SubwordRegularization::bpe_dropout(rate, tokenizer, longest),
        (None, Some(alpha)) => SubwordRegularization::unigram_sampling(alpha, tokenizer, longest),
        (None, None) => Ok(None),
    };
    let found = [tokenizers.source.as_ref().map_or(Ok(None), of)?, of(&tokenizers.target)?];
    let reason = match (data.bpe_dropout, data.unigram_sampling) {
        _ if found.iter().any(Option::is_some) => return Ok(found),
        (Some(_), _) => "data.bpe_dropout: no tokenizer of the run to begin with has merges. Leave it out",
        (None, Some(_)) => {
            "data.unigram_sampling: no tokenizer of the run to begin with is a unigram model. Leave it out"
        }
        (None, None) => return Ok(found),
    };
    Err(TextError::Tokenizer(reason.to_owned()))
}
