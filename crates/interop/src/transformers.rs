//! Reads folders of `transformers`.

use crate::family::{Described, ids};
use crate::folder::{CONFIG, GENERATION, TOKENIZER, read_json_if};
use crate::foreign::{Foreign, Layout};
use crate::template::chat_template;
use crate::tokenizer::Settings;
use crate::weights::Weights;
use crate::{Error, Family, generation_config, tokenizer};
use descant_inference::{Recipe, Tokenizers};
use descant_text::{SpecialTokens, Tokenizer, TokenizerConfig};
use serde_json::{Value, json};
use std::path::Path;
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

/// The model in `folder`, whose `config.json` is this.
///
/// # Errors
/// Where the folder is not whole, or of a family that is not known.
pub(crate) fn open(folder: &Path, config: &Value) -> Result<Foreign, Error> {
    let wrong = |reason: String| Error::folder(&folder.join(CONFIG), reason);
    let Described { family, model: model_config, mut special, source_entries, unread } =
        Family::read(config).map_err(wrong)?;
    let weights = Weights::open(folder)?;
    let settings = Settings::read(folder)?;
    let generation = read_json_if(&folder.join(GENERATION))?;
    let place = folder.join(if generation.is_some() { GENERATION } else { CONFIG });
    let (defaults, left) = generation_config::read(generation.as_ref(), config, family.reads_a_source());
    let of_config = generation.is_none();
    let mut notes: Vec<String> =
        left.into_iter().map(|line| format!("{}: {line}", if of_config { CONFIG } else { GENERATION })).collect();
    let generation = generation.unwrap_or_else(|| json!({}));
    let of_generation = |key: &str| ids(&generation, key).map_err(|reason| Error::folder(&place, reason));
    let start = if family.reads_a_source() { "decoder_start_token_id" } else { "bos_token_id" };
    special.bos = of_generation(start)?.first().copied().or(special.bos);
    if folder.join(TOKENIZER).exists() {
        Tokenizer::try_apart(&folder.join(TOKENIZER), Some(special.clone())).map_err(descant_inference::Error::from)?;
    }
    let tokenizer = settings.with_named(tokenizer::read(folder, family, &settings, special)?)?;
    special = tokenizer.special().clone();
    // All end a text; first, what ends a turn: the one that the tokenizer calls so.
    let named = settings.token("eos_token")?.and_then(|token| tokenizer.id(token));
    special.eos = each_once(named.into_iter().chain(of_generation("eos_token_id")?).chain(special.eos));
    let (around, note) = settings.post_processor(&tokenizer)?;
    special.post_processor = Some(around);
    notes.extend(note);
    special.unknown = tokenizer.unknown().or(special.unknown);
    let tokenizer = tokenizer.with_special(special.clone()).map_err(descant_inference::Error::from)?;
    if let Some(rows) = special.entries.filter(|&rows| rows < tokenizer.vocabulary()) {
        let tokens = tokenizer.vocabulary();
        return Err(wrong(format!("vocab_size = {rows}, but the tokenizer has {tokens} tokens")));
    }
    let with = |special| TokenizerConfig { special: Some(special), ..TokenizerConfig::default() };
    let mut recipe =
        Recipe { tokenizer: with(tokenizer.special().clone()), generation: defaults, ..Recipe::of(model_config) };
    let target = Arc::new(tokenizer);
    let of_source = SpecialTokens { entries: source_entries.or(special.entries), ..special.clone() };
    let source = match tokenizer::source(folder, family, of_source)? {
        Some(source) => {
            recipe.target_tokenizer = Some(std::mem::replace(&mut recipe.tokenizer, with(source.special().clone())));
            Some(Arc::new(source))
        }
        None => match source_entries.filter(|&entries| special.entries.is_some_and(|target| target != entries)) {
            Some(entries) => {
                return Err(wrong(format!(
                    "vocab_size = {entries} is not decoder_vocab_size: expected one, as there is one tokenizer"
                )));
            }
            None => family.reads_a_source().then(|| target.clone()),
        },
    };
    let tokenizers = Tokenizers { source, target };
    let chat = chat_template(folder, &settings, &tokenizers.target)?;
    let mut unread = unread;
    unread.retain(|key| !(of_config && generation_config::OF_MODEL.contains(&key.as_str())));
    notes.extend((!unread.is_empty()).then(|| format!("{CONFIG}: these keys are not read: {}", unread.join(", "))));
    Ok(Foreign { layout: Layout::Transformers(family), recipe, tokenizers, chat, notes, weights })
}
