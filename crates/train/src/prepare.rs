//! Encodes the texts of a training into its run folder, and makes batches of them.

use crate::data::{Texts, training_config};
use crate::tokenizer_checks::{idle_tokens, rare_subwords};
use descant_inference::layout::DATA;
use descant_inference::{Error, Recipe, RunFolder, Tokenizers};
use descant_text::{Batches, Corpus, TextError};
use std::fs;
use std::io::ErrorKind;
use std::sync::Arc;

/// The texts of a training as batches, and those to validate on; appends what is worth reporting to the notes.
pub(crate) fn encode(
    recipe: &Recipe,
    texts: &Texts,
    tokenizers: &Tokenizers,
    run: &RunFolder,
    notes: &mut Vec<String>,
) -> Result<(Batches, Option<Arc<Corpus>>), Error> {
    let data = run.join(DATA);
    if let Err(error) = fs::create_dir(&data)
        && error.kind() != ErrorKind::AlreadyExists
    {
        return Err(Error::io("create", &data, error));
    }
    let (train, validation) = texts.encode(tokenizers, Some(run.path()))?;
    run.check()?;
    notes.extend(texts.notes(&train, validation.as_deref()));
    notes.extend(idle_tokens(tokenizers, &recipe.loss, &train)?);
    notes.extend(rare_subwords(tokenizers, recipe, &train)?);
    let batches = Batches::new(train, training_config(recipe, tokenizers)?).map_err(|error| match error {
        // By its own name, not that of the encoded copy.
        TextError::TooLittle { reason, .. } => TextError::TooLittle { path: texts.train.path().to_owned(), reason },
        error => error,
    })?;
    let regularizes = recipe.data.as_ref().is_some_and(|data| data.bpe_dropout.or(data.unigram_sampling).is_some());
    if regularizes && batches.corpus().is_continuous() {
        notes
            .push("Note: data.bpe_dropout and data.unigram_sampling have no effect on one continuous text.".to_owned());
    }
    notes.extend(mixture(recipe, &batches));
    Ok((batches, validation))
}

/// How much an epoch has of each corpus, where they are mixed.
fn mixture(recipe: &Recipe, batches: &Batches) -> Option<String> {
    let (draws, data) = (batches.draws()?, recipe.data.as_ref()?);
    let names = data.train.sides().first()?.iter();
    let each = names
        .zip(batches.corpus().sizes())
        .zip(draws)
        .map(|((name, size), draws)| format!("{draws} from the {size} of {}", name.display()));
    Some(format!("An epoch draws {}.", each.collect::<Vec<_>>().join(", ")))
}
