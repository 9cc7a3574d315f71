//! Reads GGUF files: the keys become the `config.json` of a family, and the tensors those of its folder.

use super::architecture::Architecture;
use super::element_type::TABLE;
use super::{hyperparameters, vocabulary};
use crate::family::Described;
use crate::foreign::{Foreign, Layout};
use crate::template::of_text;
use crate::tensors::{Tensor, TensorFile, gguf, unreadable};
use crate::tokenizer::Settings;
use crate::weights::Weights;
use crate::{Error, Family};
use descant_generate::{GenerationConfig, Ranking};
use descant_inference::{Recipe, Tokenizers};
use descant_text::{TokenizerConfig, open_file};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// The model of a file of llama.cpp.
///
/// # Errors
/// Where it is damaged, of another architecture, or says something that no model here is.
pub(crate) fn open(path: &Path) -> Result<Foreign, Error> {
    let wrong = |reason: String| Error::folder(path, reason);
    let mut file = open_file(path).map_err(|error| Error::io("read", path, error))?;
    let (mut values, tensors) = gguf::head(&mut file).map_err(|error| unreadable(path, error))?;
    let mut file = TensorFile::of(path, file, tensors)?;
    are_apart(file.tensors()).map_err(wrong)?;
    is_whole(&values).map_err(wrong)?;
    let embedding = file.tensors().iter().find(|tensor| tensor.name == TABLE);
    vocabulary::check(&values, embedding.and_then(|tensor| tensor.shape.first().copied())).map_err(wrong)?;
    let architecture = values.get("general.architecture").and_then(Value::as_str).unwrap_or_default();
    let architecture = Architecture::named(architecture).map_err(wrong)?;
    let (config, notes) = hyperparameters::read(architecture, &values, &mut file).map_err(wrong)?;
    let Described { family, model, special, .. } = Family::read(&config).map_err(wrong)?;
    let (json, special) = vocabulary::read(&mut values, special).map_err(wrong)?;
    // Of a large vocabulary, each form takes as much memory as the tokenizer: there are never more than two.
    let text = json.to_string();
    drop(json);
    let tokenizer = descant_text::Tokenizer::from_json(text.as_bytes(), Some(special.clone()));
    drop(text);
    let tokenizer = tokenizer.map_err(|error| wrong(error.to_string()))?;
    let recipe = Recipe {
        tokenizer: TokenizerConfig { special: Some(special.clone()), ..TokenizerConfig::default() },
        generation: GenerationConfig::default().with(|config| config.ranking = Some(Ranking::Tokens)),
        ..Recipe::of(model)
    };
    let names: HashMap<String, String> = family
        .tensor_names(&recipe.model)
        .into_iter()
        .map(|piece| (architecture.tensor(&piece.theirs), piece.theirs))
        .collect();
    if let Some(tensor) = file.tensors().iter().find(|tensor| names.values().any(|theirs| *theirs == tensor.name)) {
        let reason =
            format!("'{}' is the name of a tensor in a folder of transformers: llama.cpp has others", tensor.name);
        return Err(wrong(reason));
    }
    let transformer = recipe.model.transformer();
    let head = transformer.head_dim(recipe.model.hidden);
    file.rename(|tensor| as_in_folder(tensor, architecture, &names, head));
    let tokenizers = Tokenizers { source: None, target: Arc::new(tokenizer) };
    let chat = values.get("tokenizer.chat_template").and_then(Value::as_str);
    let settings = Settings::none(path);
    let chat = chat.map(|text| of_text(path, text, &settings, &tokenizers.target)).transpose()?;
    let weights = Weights::of_gguf(path, file);
    Ok(Foreign { layout: Layout::Gguf(family), recipe, tokenizers, chat, notes, weights })
}

/// That no tensor, of these in the order of their places, lies within another.
fn are_apart(tensors: &[Tensor]) -> Result<(), String> {
    for (first, second) in tensors.iter().zip(tensors.iter().skip(1)) {
        let end = first.bytes().and_then(|bytes| first.start.checked_add(bytes));
        if end.is_some_and(|end| end > second.start) {
            return Err(format!("it is damaged: '{}' begins within '{}'", second.name, first.name));
        }
    }
    Ok(())
}

/// That a file is the whole of a model.
fn is_whole(values: &Map<String, Value>) -> Result<(), String> {
    let kind = values.get("general.type").and_then(Value::as_str).unwrap_or("model");
    if kind != "model" {
        return Err(format!("general.type = {kind:?}: expected \"model\""));
    }
    match values.get("split.count").and_then(Value::as_u64) {
        Some(parts @ 2..) => Err(format!(
            "split.count = {parts}: it is one of {parts} parts. llama.cpp's llama-gguf-split --merge makes one file of them"
        )),
        _ => Ok(()),
    }
}

/// A tensor under its name in a folder of the family, its numbers in the order that they have there.
fn as_in_folder(tensor: &mut Tensor, architecture: &Architecture, names: &HashMap<String, String>, head: usize) {
    // A tensor without a place there keeps its name, which the error then gives.
    let Some(theirs) = names.get(&tensor.name) else { return };
    let [rows, columns] = tensor.shape[..] else {
        tensor.name.clone_from(theirs);
        return;
    };
    let is_rotated = [".attn_q.weight", ".attn_k.weight"].iter().any(|end| tensor.name.ends_with(end));
    if architecture.turns_neighbours && is_rotated && head >= 2 && rows % head == 0 {
        // Of each head, the rows 0, half, 1, half + 1, … are those of its two halves in turn.
        tensor.view = Some(vec![(rows / head, head * columns), (2, columns), (head / 2, 2 * columns), (columns, 1)]);
    }
    if !architecture.rotary && theirs.starts_with("transformer.h.") {
        // There they are [in, out].
        tensor.shape = vec![columns, rows];
        tensor.view = Some(vec![(columns, 1), (rows, columns)]);
    }
    tensor.name.clone_from(theirs);
}
