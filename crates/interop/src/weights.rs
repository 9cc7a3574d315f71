//! The weights of a folder: which tensor is which part of which parameter, and where it lies.

use crate::folder::{CONFIG, INDEX, WEIGHTS, read_json_if};
use crate::names::{Piece, pieces};
use crate::{Error, Family};
use descant_autograd::{ParameterId, Parameters};
use descant_models::{Kind, ModelConfig};
use descant_nn::Position;
use descant_train::{Recipe, TensorFile};
use safetensors::tensor::Dtype;
use serde_json::Value;
use std::collections::HashMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// That the files of weights are large enough for what `config` describes, before that is allocated.
pub(crate) fn enough_weights(folder: &Path, config: &ModelConfig, entries: usize) -> Result<(), Error> {
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
pub(crate) fn files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
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

pub(crate) fn read_weights(
    folder: &Path,
    family: Family,
    recipe: &Recipe,
    parameters: &mut Parameters,
) -> Result<(), Error> {
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
