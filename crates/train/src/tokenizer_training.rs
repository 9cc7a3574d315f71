//! Trains the tokenizers of a run on its texts, or extends those of another run.

use crate::data::Texts;
use descant_inference::{Error, Recipe, Tokenizers};
use descant_models::ModelKind;
use descant_text::{Side, Tokenizer, TokenizerConfig, TokenizerKind};
use std::sync::Arc;

/// Trains them on the recipe's texts, or on the first `lines` lines of each side where that is enough.
///
/// # Errors
/// What is wrong with the texts.
pub fn train_tokenizers(recipe: &Recipe, texts: &Texts, lines: usize) -> Result<Tokenizers, Error> {
    let target_config = recipe.target_tokenizer.as_ref().unwrap_or(&recipe.tokenizer);
    let side = |side| Ok::<_, Error>(texts.train.lines(side)?.take(lines));
    let tell = |of: &str, TokenizerConfig { kind, vocabulary, .. }: &TokenizerConfig| {
        let size = if *kind == TokenizerKind::Byte { 259 } else { *vocabulary };
        log::info!("Training the tokenizer{of} ({kind}, at most {size} entries)");
    };
    let spaces = texts.keep_spaces();
    // Attributes stand before what is read.
    let (marks, reads) = (texts.marks(), [texts.marks(), texts.control_tokens()].concat());
    if recipe.model.kind == ModelKind::LanguageModel {
        tell("", target_config);
        let prompts = texts.train.has_pairs().then(|| side(Side::Source)).transpose()?;
        let all = prompts.into_iter().flatten().chain(side(Side::Target)?);
        let target = Tokenizer::train(target_config, spaces, all)?.with_marks(&reads)?;
        return Ok(Tokenizers { source: None, target: Arc::new(target) });
    }
    if texts.shared_vocabulary {
        tell("", &recipe.tokenizer);
        let both = side(Side::Source)?.chain(side(Side::Target)?);
        let shared = Tokenizer::train(&recipe.tokenizer, spaces, both)?.with_marks(&reads)?;
        let shared = Arc::new(shared);
        return Ok(Tokenizers { source: Some(shared.clone()), target: shared });
    }
    tell(" of the sources", &recipe.tokenizer);
    let source = Tokenizer::train(&recipe.tokenizer, spaces, side(Side::Source)?)?.with_marks(&reads)?;
    tell(" of the targets", target_config);
    let target = Tokenizer::train(target_config, spaces, side(Side::Target)?)?.with_marks(&marks)?;
    Ok(Tokenizers { source: Some(Arc::new(source)), target: Arc::new(target) })
}

/// Those of a run with the tokens that a recipe adds to them, and those of its attributes. What of their added tokens is a mark of the texts' chat
/// template becomes a control token.
///
/// # Errors
/// Where `tokenizers` fails.
pub(crate) fn extended(tokenizers: &Tokenizers, recipe: &Recipe, texts: &Texts) -> Result<Tokenizers, Error> {
    let (marks, control) = (texts.marks(), texts.control_tokens());
    let add = |tokenizer: &Arc<Tokenizer>, config: &TokenizerConfig, control: &[String]| {
        let is_control = |mark: &String| tokenizer.id(mark).is_some_and(|id| tokenizer.is_special(id));
        let new = config.add.iter().filter(|token| !(marks.contains(token) && is_control(token)));
        let extended = Tokenizer::clone(tokenizer).with_tokens(&new.cloned().collect::<Vec<_>>())?;
        let is_added = |mark: &&String| extended.id(mark).is_some_and(|id| extended.is_added(id));
        let known: Vec<String> = marks.iter().filter(is_added).cloned().collect();
        Ok::<_, Error>(Arc::new(extended.with_marks(&[&known[..], control].concat())?))
    };
    let of_target = recipe.target_tokenizer.as_ref().unwrap_or(&recipe.tokenizer);
    let is_read = tokenizers.source.as_ref().is_none_or(|source| Arc::ptr_eq(source, &tokenizers.target));
    let target = add(&tokenizers.target, of_target, if is_read { &control[..] } else { &[] })?;
    let source = match &tokenizers.source {
        Some(source) if Arc::ptr_eq(source, &tokenizers.target) => Some(target.clone()),
        Some(source) => Some(add(source, &recipe.tokenizer, &control)?),
        None => None,
    };
    Ok(Tokenizers { source, target })
}
