//! Makes runs of folders.

use crate::config::ends;
use crate::folder::{CONFIG, GENERATION, TOKENIZER, TOKENIZER_CONFIG, is_model, read_json, read_json_if};
use crate::template::chat_template;
use crate::weights::{enough_weights, files, read_weights};
use crate::{Error, Family, tokenizer};
use descant_text::{Tokenizer, TokenizerConfig};
use descant_train::{Recipe, Tokenizers, Trained, blank_model};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Makes a run of the model in `folder`: what writes, is evaluated, and can be the `init` of a training.
///
/// # Errors
/// Where the folder is not whole, of a family that is not known, or the run cannot be written.
pub fn import(folder: &Path, run: &Path) -> Result<(), Error> {
    is_model(folder)?;
    let config = read_json(&folder.join(CONFIG))?;
    let wrong = |reason: String| Error::folder(&folder.join(CONFIG), reason);
    let (family, model_config, mut special) = Family::read(&config).map_err(wrong)?;
    enough_weights(folder, &model_config, special.entries.unwrap_or(0))?;
    let settings = read_json_if(&folder.join(TOKENIZER_CONFIG))?.unwrap_or_else(|| json!({}));
    let generation = read_json_if(&folder.join(GENERATION))?.unwrap_or_else(|| json!({}));
    let of_generation = ends(&generation).map_err(|reason| Error::folder(&folder.join(GENERATION), reason))?;
    let known = if of_generation.is_empty() { ends(&config).map_err(wrong)? } else { of_generation };
    special.end = known.first().copied().unwrap_or(special.end);
    if folder.join(TOKENIZER).exists() {
        Tokenizer::try_apart(&folder.join(TOKENIZER), Some(special)).map_err(descant_train::Error::from)?;
    }
    let mut tokenizer = tokenizer::read(folder, family, special)?;
    // Of several ends, what ends a turn: the one that the tokenizer calls so.
    let named = match settings.get("eos_token") {
        None | Some(Value::Null) => None,
        Some(token) => {
            let name = token.as_str().or_else(|| token.get("content")?.as_str());
            let expected = || Error::folder(&folder.join(TOKENIZER_CONFIG), "eos_token: expected a text");
            Some(name.ok_or_else(expected)?)
        }
    };
    if let Some(end) = named.and_then(|token| tokenizer.id(token)).filter(|end| known.contains(end)) {
        special.end = end;
        tokenizer = tokenizer::read(folder, family, special)?;
    }
    if let Some(rows) = special.entries.filter(|&rows| rows < tokenizer.vocabulary()) {
        let tokens = tokenizer.vocabulary();
        return Err(wrong(format!("vocab_size = {rows}, but the tokenizer has {tokens} tokens")));
    }
    let tokenizer = Arc::new(tokenizer);
    let recipe = Recipe {
        tokenizer: TokenizerConfig { special: Some(special), ..TokenizerConfig::default() },
        ..Recipe::of(model_config)
    };
    let source = family.reads_a_source().then(|| tokenizer.clone());
    let tokenizers = Tokenizers { source, target: tokenizer };
    // Two bytes a weight at least.
    let size = |file: PathBuf| fs::metadata(file).map_or(0, |file| file.len() as usize);
    let capacity = files(folder)?.into_iter().map(size).sum::<usize>() / 2;
    let (mut parameters, _) = blank_model(&recipe, &tokenizers, capacity).map_err(wrong)?;
    read_weights(folder, family, &recipe, &mut parameters)?;
    let chat = chat_template(folder, &settings, &tokenizers.target)?;
    Ok(Trained::save(&recipe, &tokenizers, &parameters, chat.as_ref(), run)?)
}
