//! Makes runs of folders.

use crate::config::ends;
use crate::folder::{CONFIG, GENERATION, TOKENIZER, is_model, read_json, read_json_if};
use crate::template::chat_template;
use crate::tokenizer::Settings;
use crate::weights::{enough_weights, files, read_weights};
use crate::{Error, Family, tokenizer};
use descant_text::{Tokenizer, TokenizerConfig};
use descant_train::{Recipe, Tokenizers, Trained, blank_model};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn each_once(ids: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut all = Vec::new();
    for id in ids {
        if !all.contains(&id) {
            all.push(id);
        }
    }
    all
}

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
    let settings = Settings::read(folder)?;
    let generation = read_json_if(&folder.join(GENERATION))?.unwrap_or_else(|| json!({}));
    let of_generation = ends(&generation).map_err(|reason| Error::folder(&folder.join(GENERATION), reason))?;
    if folder.join(TOKENIZER).exists() {
        Tokenizer::try_apart(&folder.join(TOKENIZER), Some(special.clone())).map_err(descant_train::Error::from)?;
    }
    let tokenizer = tokenizer::read(folder, family, special.clone())?;
    // All end a text; first, what ends a turn: the one that the tokenizer calls so.
    let named = settings.token("eos_token")?.and_then(|token| tokenizer.id(token));
    special.ends = each_once(named.into_iter().chain(of_generation).chain(special.ends));
    special.around = Some(settings.around(&tokenizer)?);
    let tokenizer = tokenizer.with_special(special.clone()).map_err(descant_train::Error::from)?;
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
