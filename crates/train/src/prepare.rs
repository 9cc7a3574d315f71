//! Encodes the texts of a training into its run folder, and makes batches of them.

use crate::data::{Texts, training_config};
use crate::tokenizer_checks::{idle_tokens, rare_subwords};
use descant_inference::layout::DATA;
use descant_inference::{Error, Recipe, RunFolder, Tokenizers};
use descant_text::{Batches, Corpus, Noise, TextError, TokenizerKind};
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
    let config = training_config(recipe, tokenizers)?;
    notes.extend(noise_reach(recipe, tokenizers, &train, config.noise.as_ref())?);
    let regularized = config.subwords.each_ref().map(Option::is_some);
    let batches = Batches::new(train, config).map_err(|error| match error {
        // By its own name, not that of the encoded copy.
        TextError::TooLittle { reason, .. } => TextError::TooLittle { path: texts.train.path().to_owned(), reason },
        error => error,
    })?;
    notes.extend(unchanged_subwords(regularized, tokenizers, batches.corpus()));
    notes.extend(mixture(recipe, &batches));
    Ok((batches, validation))
}

/// Where subword regularisation, of sources and of targets, changes less than the recipe asks for.
fn unchanged_subwords(regularized: [bool; 2], tokenizers: &Tokenizers, texts: &Corpus) -> Option<String> {
    let side = match regularized {
        [false, false] => return None,
        _ if texts.is_continuous() => {
            return Some(
                "Note: data.bpe_dropout and data.unigram_sampling have no effect on one continuous text.".to_owned(),
            );
        }
        [false, true] if tokenizers.source.is_some() => "sources",
        [true, false] => "targets",
        _ => return None,
    };
    Some(format!(
        "Note: the {side} are segmented as ever, as their tokenizer is of another kind than subword regularisation needs."
    ))
}

/// What of the sources noise on characters cannot change, or can.
fn noise_reach(
    recipe: &Recipe,
    tokenizers: &Tokenizers,
    texts: &Corpus,
    noise: Option<&Noise>,
) -> Result<Vec<String>, Error> {
    let config = recipe.data.as_ref().and_then(|data| data.noise.as_ref()).zip(noise);
    let Some((config, noise)) = config.filter(|(config, _)| config.keyboard > 0.0 || config.ocr > 0.0) else {
        return Ok(Vec::new());
    };
    let [source, _] = texts.occurrences(tokenizers.sizes())?;
    let reach = noise.reach(&source);
    let mut notes = Vec::new();
    if config.keyboard > 0.0 && reach.without_key > 0.0 {
        notes.push(format!(
            "data.noise.keyboard: {} of the alphabetic characters of the sources have no key of data.noise.layout, and are never mistyped, such as {}.",
            percent(reach.without_key),
            reach.commonest.chars().map(String::from).collect::<Vec<_>>().join(" ")
        ));
    }
    if config.ocr > 0.0 {
        notes.push(format!(
            "data.noise.ocr: {} of the characters of the sources look like others; the rest is never misread by itself.",
            percent(reach.alike)
        ));
    }
    if recipe.tokenizer.kind == TokenizerKind::Word {
        notes.push(
            "data.noise: with tokenizer.kind = \"word\", most words with changed characters are unknown.".to_owned(),
        );
    }
    Ok(notes)
}

fn percent(share: f64) -> String {
    if share > 0.0 && share < 1e-4 { "less than 0.01 %".to_owned() } else { format!("{:.2} %", 100.0 * share) }
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
