//! Reads and writes the folders.

use crate::config::ends;
use crate::names::{Piece, pieces};
use crate::{Error, Family};
use descant_autograd::{ParameterId, Parameters};
use descant_models::{Kind, ModelConfig};
use descant_nn::Position;
use descant_text::{ChatTemplate, Special, Tokenizer, TokenizerConfig};
use descant_train::{Recipe, TensorFile, Tokenizers, Trained, blank_model};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

pub(crate) const CONFIG: &str = "config.json";
pub(crate) const TOKENIZER: &str = "tokenizer.json";
pub(crate) const VOCABULARY: &str = "vocab.json";
pub(crate) const MERGES: &str = "merges.txt";
pub(crate) const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
pub(crate) const CHAT_TEMPLATE: &str = "chat_template.jinja";
pub(crate) const WEIGHTS: &str = "model.safetensors";
pub(crate) const INDEX: &str = "model.safetensors.index.json";
pub(crate) const GENERATION: &str = "generation_config.json";

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
    let mut tokenizer = tokenizer(folder, family, special)?;
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
        tokenizer = self::tokenizer(folder, family, special)?;
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

/// The tokenizer: in one file, or in the two that GPT-2's came in.
fn tokenizer(folder: &Path, family: Family, special: Special) -> Result<Tokenizer, Error> {
    let [place, vocabulary, merges] = [TOKENIZER, VOCABULARY, MERGES].map(|name| folder.join(name));
    let found = match (place.exists(), family == Family::Gpt2 && vocabulary.is_file() && merges.is_file()) {
        (true, _) => Tokenizer::load(&place, Some(special)),
        (false, true) => Tokenizer::load_byte_pairs(&vocabulary, &merges, special),
        (false, false) => {
            let reason = "it has no tokenizer.json. Write one with transformers: \
                          AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)";
            return Err(Error::folder(folder, reason));
        }
    };
    Ok(found.map_err(descant_train::Error::from)?)
}

/// The template of conversations: in a file of its own, or in the tokenizer's configuration, alone or as the default of
/// several.
fn chat_template(folder: &Path, settings: &Value, tokenizer: &Tokenizer) -> Result<Option<ChatTemplate>, Error> {
    let place = folder.join(CHAT_TEMPLATE);
    let (place, text) = match read_if(&place)? {
        Some(bytes) => match String::from_utf8(bytes) {
            Ok(text) => (place, text),
            Err(error) => return Err(Error::folder(&place, format!("it is not UTF-8: {error}"))),
        },
        None => {
            let place = folder.join(TOKENIZER_CONFIG);
            let text = match settings.get("chat_template") {
                None | Some(Value::Null) => return Ok(None),
                Some(Value::String(text)) => text,
                Some(Value::Array(templates)) => {
                    match templates.iter().find(|template| template["name"] == "default") {
                        None => return Ok(None),
                        Some(template) => template["template"]
                            .as_str()
                            .ok_or_else(|| Error::folder(&place, "chat_template: the default one has no text"))?,
                    }
                }
                Some(_) => return Err(Error::folder(&place, "chat_template: expected a text, or a list of them")),
            };
            (place, text.to_owned())
        }
    };
    // The beginning is added to every prompt anyhow; the end stands between the turns.
    let end = tokenizer.token(tokenizer.special().end).unwrap_or_default();
    let text = format!("{{% set bos_token, eos_token = '', {end:?} %}}\n{text}");
    ChatTemplate::new(&text).map(Some).map_err(|reason| Error::folder(&place, reason))
}

/// A template as it was before an import put a line before it.
pub(crate) fn own_template(template: &ChatTemplate) -> &str {
    let own = template.text();
    let line = own.lines().next().filter(|line| line.starts_with("{% set bos_token, eos_token = "));
    line.map_or(own, |line| own[line.len()..].trim_start_matches('\n'))
}

/// The most bytes of a file that is no weights: the index of a model of thousands of tensors has some hundred thousand.
const LONGEST: u64 = 1 << 26;

/// The bytes of a file, where it is there. Links are followed, as the cache of the hub has them; to a regular file.
fn read_if(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound && !path.is_symlink() => return Ok(None),
        Err(error) => return Err(Error::io("read", path, error)),
        Ok(file) if !file.is_file() => return Err(Error::folder(path, "it is no regular file")),
        Ok(file) if file.len() > LONGEST => {
            return Err(Error::folder(path, format!("it has {} bytes, expected at most {LONGEST}", file.len())));
        }
        Ok(_) => {}
    }
    fs::read(path).map(Some).map_err(|error| Error::io("read", path, error))
}

/// A file that is a JSON object, where it is there.
fn read_json_if(path: &Path) -> Result<Option<Value>, Error> {
    let Some(bytes) = read_if(path)? else { return Ok(None) };
    let json: Value =
        serde_json::from_slice(&bytes).map_err(|error| Error::folder(path, format!("it is not JSON: {error}")))?;
    match json.is_object() {
        true => Ok(Some(json)),
        false => Err(Error::folder(path, "it is no JSON object, but a single value or a list")),
    }
}

fn read_json(path: &Path) -> Result<Value, Error> {
    let missing = || Error::io("read", path, ErrorKind::NotFound.into());
    read_json_if(path)?.ok_or_else(missing)
}

/// That a folder is one of `transformers`.
fn is_model(folder: &Path) -> Result<(), Error> {
    let wrong = |reason: &str| Err(Error::folder(folder, reason));
    match fs::metadata(folder) {
        Err(_) => wrong("there is no such folder. A model of the Hugging Face Hub is named hf:OWNER/NAME"),
        Ok(place) if !place.is_dir() => wrong("it is a file. Name the folder that it lies in"),
        Ok(_) if folder.join("recipe.toml").is_file() => {
            wrong("it is a run of descant already: write with it by descant generate")
        }
        Ok(_) if !folder.join(CONFIG).exists() => wrong("it is no Hugging Face folder: it has no config.json"),
        Ok(_) => Ok(()),
    }
}

/// That the files of weights are large enough for what `config` describes, before that is allocated.
fn enough_weights(folder: &Path, config: &ModelConfig, entries: usize) -> Result<(), Error> {
    let transformer = config.transformer();
    let wide = |number: usize| number as u128;
    let (hidden, head) = (wide(config.hidden), wide(transformer.head_width(config.hidden)));
    let attention = 2 * hidden * head * (wide(transformer.heads) + wide(transformer.key_value_heads()));
    let layer = attention + 2 * hidden * wide(transformer.feed_forward(config.hidden));
    let layers =
        wide(config.layers) + if config.kind == Kind::EncoderDecoder { wide(config.encoder_layers) } else { 0 };
    let positions = if transformer.position == Position::Learned { wide(transformer.max_length) } else { 0 };
    let numbers = layers * layer + hidden * (wide(entries) + positions);
    let mut bytes = 0;
    let paths = files(folder)?;
    for path in &paths {
        let file = fs::metadata(path).map_err(|error| Error::io("read the weights", path, error))?;
        if !file.is_file() {
            return Err(Error::folder(path, "it is no regular file"));
        }
        bytes += u128::from(file.len());
    }
    // No type that is read has less than two bytes.
    match numbers * 2 > bytes {
        true => {
            let reason = format!(
                "the weights have {bytes} bytes, and {CONFIG} describes a model of {numbers} numbers or more: is one of \
                 them of another model?"
            );
            Err(Error::folder(&paths[0], reason))
        }
        false => Ok(()),
    }
}

/// The files of weights: one, or those that an index lists.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let index = folder.join(INDEX);
    let Some(json) = read_json_if(&index)? else { return Ok(vec![folder.join(WEIGHTS)]) };
    let map = json.get("weight_map").and_then(Value::as_object);
    let map = map.ok_or_else(|| Error::folder(&index, "it has no weight_map"))?;
    let names = map.values().map(|name| name.as_str().filter(|name| is_file_name(name)).ok_or(name));
    let mut names: Vec<&str> = names
        .collect::<Result<_, _>>()
        .map_err(|name| Error::folder(&index, format!("weight_map: {name}: expected a file beside it")))?;
    names.sort_unstable();
    names.dedup();
    match names.is_empty() {
        true => Err(Error::folder(&index, "its weight_map is empty")),
        false => Ok(names.into_iter().map(|name| folder.join(name)).collect()),
    }
}

fn is_file_name(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!(parts.next(), Some(Component::Normal(_))) && parts.next().is_none()
}

/// The table of embeddings under a second name: with the same values, where it is there.
const TIED: [&str; 3] = ["lm_head.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight"];

/// Tensors of the families that hold nothing of their own: masks, sines.
const SPARE: [&str; 5] = [
    "embed_positions.weight",
    "rotary_emb.inv_freq",
    ".attn.bias",
    ".attn.masked_bias",
    "EncDecAttention.relative_attention_bias.weight",
];

fn read_weights(folder: &Path, family: Family, recipe: &Recipe, parameters: &mut Parameters) -> Result<(), Error> {
    let mut wanted: HashMap<String, Piece> =
        pieces(family, &recipe.model).into_iter().map(|piece| (piece.theirs.clone(), piece)).collect();
    let mut filled: HashMap<ParameterId, usize> = HashMap::new();
    let table = if family.reads_a_source() { "encoder.embedding.weight" } else { "decoder.embedding.weight" };
    let untied = |name: &str| format!("'{name}' is not the embedding, but {CONFIG} ties the two (tie_word_embeddings)");
    let mut tied: Vec<(PathBuf, String, Vec<f32>)> = Vec::new();
    for path in files(folder)? {
        let unread = |error| Error::io("read the weights", &path, error);
        let wrong = |reason: String| Error::folder(&path, reason);
        let mut file = TensorFile::open(&path).map_err(unread)?;
        let tensors = file.tensors().map_err(|reason| wrong(format!("it is damaged: {reason}")))?.to_vec();
        for (name, tensor) in tensors {
            // A model saved without its head has no prefix.
            let known = [name.clone(), format!("transformer.{name}"), format!("model.{name}")]
                .into_iter()
                .find_map(|name| wanted.remove(&name));
            let Some(piece) = known else {
                if TIED.iter().any(|second| name.ends_with(second)) {
                    let id = parameters.find(table).filter(|&id| parameters.shape(id).dims() == tensor.shape);
                    let Some(id) = id.filter(|_| is_real(tensor.dtype)) else { return Err(wrong(untied(&name))) };
                    let mut values = vec![0.0; parameters.shape(id).len()];
                    file.read_f32(&tensor, &mut values).map_err(unread)?;
                    tied.push((path.clone(), name, values));
                    continue;
                }
                if SPARE.iter().any(|spare| name.ends_with(spare)) {
                    continue;
                }
                return Err(wrong(format!("'{name}' has no place in a model of config.json: is that of another one?")));
            };
            let id = parameters
                .find(&piece.ours)
                .ok_or_else(|| wrong(format!("'{name}' belongs to '{}', which the model has not", piece.ours)))?;
            if !is_real(tensor.dtype) {
                return Err(wrong(format!("'{name}' is of type {:?}", tensor.dtype)));
            }
            let part = part(parameters, id, &piece);
            let expected = if piece.turned { [part.columns, part.rows] } else { [part.rows, part.columns] };
            let shape: Vec<usize> = tensor.shape.iter().copied().filter(|&length| length != 1).collect();
            let own: Vec<usize> = expected.into_iter().filter(|&length| length != 1).collect();
            if shape != own {
                return Err(wrong(format!("'{name}' is {:?}, expected {own:?}", tensor.shape)));
            }
            let to = &mut parameters.values_mut::<f32>(id)[part.start..][..part.rows * part.columns];
            if piece.turned {
                let mut values = vec![0.0; to.len()];
                file.read_f32(&tensor, &mut values).map_err(unread)?;
                for (i, to) in to.iter_mut().enumerate() {
                    let (row, column) = (i / part.columns.max(1), i % part.columns.max(1));
                    *to = values[column * part.rows + row];
                }
            } else {
                file.read_f32(&tensor, to).map_err(unread)?;
            }
            if let Some(value) = to.iter().find(|value| !value.is_finite()) {
                return Err(wrong(format!("'{name}' holds {value}: the model was damaged before it was saved")));
            }
            *filled.entry(id).or_default() += to.len();
        }
    }
    let lacks = |id: &ParameterId| {
        // Marian's bias of the logits may be left out where it is zero.
        let may = parameters.name(*id) == "decoder.projection.bias";
        !may && filled.get(id).copied().unwrap_or(0) < parameters.shape(*id).len()
    };
    if let Some(id) = parameters.find(table)
        && let Some((path, name, _)) = tied.iter().find(|(.., values)| values != parameters.values::<f32>(id))
    {
        return Err(Error::folder(path, untied(name)));
    }
    match parameters.ids().find(lacks) {
        Some(id) => {
            let missing: Vec<&str> =
                wanted.values().filter(|p| p.ours == parameters.name(id)).map(|p| p.theirs.as_str()).collect();
            Err(Error::folder(folder, format!("its weights lack {}", missing.join(", "))))
        }
        None => Ok(()),
    }
}

fn is_real(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::F32 | Dtype::F64 | Dtype::BF16 | Dtype::F16)
}

/// Where a piece lies in its parameter.
pub(crate) struct Part {
    pub(crate) start: usize,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

pub(crate) fn part(parameters: &Parameters, id: ParameterId, piece: &Piece) -> Part {
    let shape = parameters.shape(id);
    let (all, columns) = match shape.dims() {
        [rows, columns] => (*rows, *columns),
        _ => (shape.len(), 1),
    };
    let rows = piece.rows.clone().unwrap_or(0..all);
    Part { start: rows.start * columns, rows: rows.len(), columns }
}

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
    whole(folder, |folder| fill(trained, family, folder))?;
    Ok(family)
}

fn fill(trained: &Trained, family: Family, folder: &Path) -> Result<(), Error> {
    let (config, parameters) = (&trained.recipe.model, &trained.parameters);
    let tokenizer = &trained.tokenizers.target;
    // One continuous text goes on as after a line end.
    let special = Special { beginning: trained.bos()?, ..tokenizer.special() };
    let mut tensors: Vec<Named> = Vec::new();
    for piece in pieces(family, config) {
        let Some(id) = parameters.find(&piece.ours) else { continue };
        let Part { start, rows, columns } = part(parameters, id, &piece);
        let values = &parameters.values::<f32>(id)[start..start + rows * columns];
        let shape = match (parameters.shape(id).dims().len(), piece.turned) {
            (2, true) => vec![columns, rows],
            (2, false) => vec![rows, columns],
            _ if piece.theirs == "final_logits_bias" => vec![1, rows],
            _ => vec![rows],
        };
        let values = match piece.turned {
            true => (0..values.len()).map(|i| values[i % rows * columns + i / rows]).collect(),
            false => values.to_vec(),
        };
        tensors.push((piece.theirs, shape, values));
    }
    write_tensors(&folder.join(WEIGHTS), &tensors)?;
    let write = |name: &str, text: String| write(folder, name, text);
    let Special { beginning, end, unknown, .. } = special;
    let token = |id: u32| tokenizer.token(id);
    let json = tokenizer.to_json().map_err(descant_train::Error::from)?;
    let mut json: Value = serde_json::from_str(&json).map_err(|error| Error::folder(folder, error.to_string()))?;
    if json["post_processor"].is_null() {
        let id = if family.reads_a_source() { end } else { beginning };
        json["post_processor"] = post_processor(family, tokenizer, id);
    }
    write(TOKENIZER, pretty(&json))?;
    write(
        TOKENIZER_CONFIG,
        pretty(&json!({
            "tokenizer_class": "PreTrainedTokenizerFast", "eos_token": token(end),
            "bos_token": Some(beginning).filter(|&id| tokenizer.is_special(id)).and_then(token),
            "unk_token": unknown.and_then(token), "clean_up_tokenization_spaces": false,
        })),
    )?;
    if let Some(template) = &trained.chat {
        write(CHAT_TEMPLATE, own_template(template).to_owned())?;
    }
    let start = if family.reads_a_source() { "decoder_start_token_id" } else { "bos_token_id" };
    write(GENERATION, pretty(&json!({"eos_token_id": end, "pad_token_id": end, start: beginning})))?;
    write(CONFIG, pretty(&family.write(config, special, tokenizer.vocabulary())))
}

/// What a text becomes that a model of the family is to read: a source has the end `id`, all else the beginning.
fn post_processor(family: Family, tokenizer: &Tokenizer, id: u32) -> Value {
    let token = tokenizer.token(id).unwrap_or_default();
    let special = json!({"SpecialToken": {"id": token, "type_id": 0}});
    let around = |texts: &[&str]| {
        let mut parts: Vec<Value> = texts.iter().map(|id| json!({"Sequence": {"id": id, "type_id": 0}})).collect();
        parts.insert(if family.reads_a_source() { parts.len() } else { 0 }, special.clone());
        parts
    };
    json!({
        "type": "TemplateProcessing", "single": around(&["A"]), "pair": around(&["A", "B"]),
        "special_tokens": {&token: {"id": &token, "ids": [id], "tokens": [&token]}},
    })
}

/// Writes a folder: beside its place, and renamed when it is whole, so that it is complete or absent.
pub(crate) fn whole(folder: &Path, fill: impl FnOnce(&Path) -> Result<(), Error>) -> Result<(), Error> {
    if let Some(kind) = folder.extension().and_then(|kind| kind.to_str()).filter(|kind| is_file_kind(kind)) {
        let reason = format!(
            "a model is written as a folder, and .{kind} is the name of a file: leave it out. A file is written for \
             llama.cpp, with the name ending in .gguf"
        );
        return Err(Error::folder(folder, reason));
    }
    let write = |error| Error::io("write", folder, error);
    let is_free = match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == ErrorKind::NotFound && !folder.is_symlink(),
    };
    let name = folder.file_name().filter(|_| is_free);
    let Some(name) = name else {
        return Err(Error::folder(folder, "it is there already, and not an empty folder. Choose another"));
    };
    let mut partial = name.to_owned();
    partial.push(".partial");
    let partial = folder.with_file_name(partial);
    if partial.exists() {
        // Of an export that was broken off.
        fs::remove_dir_all(&partial).map_err(write)?;
    }
    let finish = || {
        fs::create_dir_all(&partial).map_err(write)?;
        fill(&partial)?;
        for entry in fs::read_dir(&partial).map_err(write)? {
            entry.and_then(|entry| File::open(entry.path())?.sync_all()).map_err(write)?;
        }
        if folder.exists() {
            fs::remove_dir(folder).map_err(write)?;
        }
        fs::rename(&partial, folder).map_err(write)
    };
    finish().inspect_err(|_| {
        // Half a model is none.
        let _ = fs::remove_dir_all(&partial);
    })
}

/// Whether files of models, or of archives, end so.
fn is_file_kind(extension: &str) -> bool {
    let known =
        ["onnx", "pt", "pth", "bin", "safetensors", "ckpt", "h5", "npz", "pkl", "tflite", "json", "zip", "gz", "tar"];
    known.iter().any(|known| extension.eq_ignore_ascii_case(known))
}

/// A tensor's name, shape and values.
pub(crate) type Named = (String, Vec<usize>, Vec<f32>);

pub(crate) fn write_tensors(path: &Path, tensors: &[Named]) -> Result<(), Error> {
    let views = tensors.iter().map(|(name, shape, values)| {
        Ok((name.clone(), TensorView::new(Dtype::F32, shape.clone(), bytemuck::cast_slice(values))?))
    });
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    views
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
        .and_then(|views| descant_train::write_tensors(path, views, Some(metadata)))
        .map_err(|error| Error::folder(path, format!("it could not be written: {error}")))
}

pub(crate) fn write(folder: &Path, name: &str, text: String) -> Result<(), Error> {
    let path = folder.join(name);
    fs::write(&path, text).map_err(|error| Error::io("write", &path, error))
}

pub(crate) fn pretty(json: &Value) -> String {
    format!("{json:#}\n")
}
