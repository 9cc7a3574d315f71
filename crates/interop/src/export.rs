//! Writes folders that `transformers` loads.

use crate::family::one_or_several;
use crate::folder::{CHAT_TEMPLATE, CONFIG, GENERATION, TOKENIZER, TOKENIZER_CONFIG, WEIGHTS};
use crate::generation_config;
use crate::template::own_template;
use crate::tokenizer::marian;
use crate::weights::{Part, part};
use crate::write_folder::{Named, pretty, whole, write, write_tensors};
use crate::{Error, Family};
use descant_autograd::Parameters;
use descant_inference::Trained;
use descant_text::{PostProcessor, SpecialTokens, Tokenizer};
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

/// Writes a trained model as a folder that `transformers` loads with `from_pretrained`.
///
/// # Errors
/// Where the model is of no family, something is in the folder, or it cannot be written.
pub fn export(trained: &Trained, folder: &Path) -> Result<Family, Error> {
    let config = &trained.recipe.model;
    let family = Family::of(config).map_err(Error::Family)?;
    if !trained.model.output().is_likelihood() {
        return Err(Error::Family("loss.kind = \"embedding\" gives it another output than any family has".to_owned()));
    }
    let target = &trained.tokenizers.target;
    let is_other =
        |source: &Arc<Tokenizer>| !Arc::ptr_eq(source, target) && source.to_json().ok() != target.to_json().ok();
    let as_marian = |source: &Arc<Tokenizer>| family == Family::Marian && marian::is_writable(source, target);
    if trained.tokenizers.source.as_ref().is_some_and(|source| is_other(source) && !as_marian(source)) {
        let reason = "its source and its target have tokenizers of their own, and a tokenizer.json holds one";
        return Err(Error::Family(reason.to_owned()));
    }
    whole(folder, |folder| fill(trained, family, folder))?;
    Ok(family)
}

/// The weights of a model, all in full precision.
pub(crate) fn row_major(trained: &Trained) -> Result<Cow<'_, Parameters>, Error> {
    trained.parameters.row_major().map_err(|error| Error::Family(error.to_string()))
}

fn fill(trained: &Trained, family: Family, folder: &Path) -> Result<(), Error> {
    let (config, parameters) = (&trained.recipe.model, row_major(trained)?);
    let tokenizer = &trained.tokenizers.target;
    // One continuous text goes on as after a line end.
    let special = SpecialTokens { bos: trained.bos()?, ..tokenizer.special().clone() };
    let mut tensors: Vec<Named> = Vec::new();
    for piece in family.tensor_names(config) {
        let Some(id) = parameters.find(&piece.ours) else { continue };
        let Part { start, rows, columns } = part(&parameters, id, &piece);
        let values = &parameters.values::<f32>(id)[start..start + rows * columns];
        let stored = rows + piece.skipped;
        let shape = match (parameters.shape(id).dims().len(), piece.transposed) {
            (2, true) => vec![columns, rows],
            (2, false) => vec![stored, columns],
            _ if piece.theirs == "final_logits_bias" => vec![1, rows],
            _ => vec![rows],
        };
        let values = match piece.transposed {
            true => (0..values.len()).map(|i| values[i % rows * columns + i / rows]).collect(),
            false => {
                let skipped = std::iter::repeat_n(0.0, piece.skipped * columns);
                skipped.chain(values.iter().map(|value| value - piece.offset)).collect()
            }
        };
        tensors.push((piece.theirs, shape, values));
    }
    write_tensors(&folder.join(WEIGHTS), &tensors)?;
    let write = |name: &str, text: String| write(folder, name, text);
    let SpecialTokens { bos, unknown, .. } = special;
    let token = |id: u32| tokenizer.token(id);
    let start = if family.reads_a_source() { "decoder_start_token_id" } else { "bos_token_id" };
    let ends = one_or_several(&special.eos);
    let mut generation = generation_config::write(&trained.recipe.generation, &special.eos);
    let ids = [("eos_token_id", ends), ("pad_token_id", special.first_eos().into()), (start, bos.into())];
    generation.extend(ids.map(|(key, id)| (key.to_owned(), id)));
    write(GENERATION, pretty(&Value::Object(generation)))?;
    let mut described = family.write(config, &special, tokenizer.vocabulary());
    let source = trained.tokenizers.source.as_ref().filter(|source| !Arc::ptr_eq(source, tokenizer));
    if let Some(source) = source.filter(|source| family == Family::Marian && marian::is_writable(source, tokenizer)) {
        described["vocab_size"] = source.vocabulary().into();
        write(CONFIG, pretty(&described))?;
        return marian::write(folder, source, tokenizer);
    }
    write(CONFIG, pretty(&described))?;
    let json = tokenizer.to_json().map_err(descant_inference::Error::from)?;
    let mut json: Value = serde_json::from_str(&json).map_err(|error| Error::folder(folder, error.to_string()))?;
    // What says so already stays as it is.
    let around =
        if family.reads_a_source() { special.source_post_processor() } else { special.prompt_post_processor() };
    if tokenizer.post_processor().is_ok_and(|theirs| theirs != around) {
        json["post_processor"] = post_processor(tokenizer, &around);
    }
    write(TOKENIZER, pretty(&json))?;
    let mut settings = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        // Names of control tokens are text here; a template's are to be found.
        "split_special_tokens": special.post_processor.is_none() && trained.chat.is_none(),
        "eos_token": special.first_eos().and_then(token),
        "bos_token": bos.filter(|&id| tokenizer.is_special(id)).and_then(token),
        "unk_token": unknown.and_then(token), "clean_up_tokenization_spaces": false,
    });
    // A template may know tokens that the model itself begins or ends no text with.
    for (name, text) in trained.chat.iter().flat_map(|template| template.tokens()) {
        settings[name] = text.into();
    }
    write(TOKENIZER_CONFIG, pretty(&settings))?;
    if let Some(template) = &trained.chat {
        write(CHAT_TEMPLATE, own_template(template, &special))?;
    }
    Ok(())
}

/// What puts these tokens around a text.
fn post_processor(tokenizer: &Tokenizer, around: &PostProcessor) -> Value {
    let name = |id: &u32| tokenizer.token(*id).unwrap_or_default();
    let tokens = |ids: &[u32]| -> Vec<Value> {
        ids.iter().map(|id| json!({"SpecialToken": {"id": name(id), "type_id": 0}})).collect()
    };
    let with = |texts: &[&str]| {
        let texts = texts.iter().map(|id| json!({"Sequence": {"id": id, "type_id": 0}})).collect();
        [tokens(&around.prefix), texts, tokens(&around.suffix)].concat()
    };
    let all = around.prefix.iter().chain(&around.suffix);
    let special_tokens: Map<String, Value> =
        all.map(|id| (name(id), json!({"id": name(id), "ids": [id], "tokens": [name(id)]}))).collect();
    json!({
        "type": "TemplateProcessing", "single": with(&["A"]), "pair": with(&["A", "B"]), "special_tokens": special_tokens,
    })
}
