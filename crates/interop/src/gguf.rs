//! GGUF files, which are written here and read in `import`: version 3, the format of llama.cpp: some values by key, a table of tensors, and their data.

mod architecture;
mod element_type;
mod hyperparameters;
mod import;
mod item;
#[cfg(test)]
mod tests;
mod vocabulary;

pub use element_type::GgufType;
pub(crate) use import::open;

use crate::template::own_template;
use crate::weights::{Part, part};
use crate::write_folder::refuse_existing;
use crate::{Error, Family};
use architecture::{Architecture, repeats_output};
use descant_inference::{Trained, weights_of};
use descant_models::LayerKind;
use descant_nn::{RotaryScaling, TransformerConfig};
use descant_text::write_file;
use element_type::{OUTPUT, Rows, TABLE};
use item::{FACTORS, Item};
use std::io::{self, BufWriter, Write};
use std::path::Path;

const MAGIC: &[u8; 4] = b"GGUF";
const VERSION: u32 = 3;
/// What every tensor's place is a multiple of.
const ALIGNMENT: usize = 32;
/// The table of positions, which is always in single precision.
const POSITIONS: &str = "position_embd.weight";

/// A tensor: its name, its lengths, the last one first, and its encoded numbers.
struct Tensor {
    name: String,
    lengths: Vec<u64>,
    element_type: GgufType,
    bytes: Vec<u8>,
}

/// Writes a trained language model as a file that llama.cpp loads. Returns its family, and notes for the user.
///
/// # Errors
/// Where the model or its tokenizer has no form there, the file exists, or it cannot be written.
pub fn export_gguf(trained: &Trained, path: &Path, element_type: GgufType) -> Result<(Family, Vec<String>), Error> {
    let model = &trained.recipe.model;
    // Before the keys of a family, none of which would make one of it.
    if [Some(model.decoder), model.encoder].contains(&Some(LayerKind::Recurrent)) {
        let reason = "as GGUF, there are no recurrent models (LSTM, GRU). The name of a folder in place of that of a .gguf file exports \
                      its tensors under PyTorch's names";
        return Err(Error::Family(reason.to_owned()));
    }
    let family = Family::of(model).map_err(Error::Family)?;
    let architecture = Architecture::of(family).ok_or_else(|| {
        Error::Family(format!(
            "as GGUF, it has to be a language model, and this is one of {family}, which reads a source"
        ))
    })?;
    architecture.fits(model).map_err(Error::Family)?;
    let (mut items, notes) = hyperparameters::write(architecture, model, element_type.types().1);
    let (bos, before) = (trained.bos()?, trained.prompt_prefix()?);
    items.extend(vocabulary::items(&trained.tokenizers.target, bos, &before).map_err(Error::Family)?);
    if let Some(template) = &trained.chat {
        items.push((
            "tokenizer.chat_template".to_owned(),
            Item::Text(own_template(template, trained.tokenizers.target.special())),
        ));
    }
    let tensors = tensors(trained, family, architecture, element_type)?;
    refuse_existing(path)?;
    let written = write_file(path, |file| write(BufWriter::new(file), &items, &tensors));
    written.map_err(|error| Error::io("write", path, error)).and(Ok((family, notes)))
}

fn tensors(
    trained: &Trained,
    family: Family,
    architecture: &Architecture,
    element_type: GgufType,
) -> Result<Vec<Tensor>, Error> {
    let unpacked = trained.parameters.unpacked().map_err(|error| Error::Family(error.to_string()))?;
    let (config, parameters) = (&trained.recipe.model, &*unpacked);
    if let Some(weights) = weights_of(parameters).filter(|&weights| !element_type.keeps(weights)) {
        let reason = format!("its weights are in {weights}, which as {element_type} would be rounded a second time");
        return Err(Error::Family(reason));
    }
    let transformer = config.transformer();
    let head = transformer.head_dim(config.hidden);
    let mut tensors = Vec::new();
    for piece in family.tensor_names(config) {
        let Some(id) = parameters.find(&piece.ours) else { continue };
        let Part { start, rows, columns } = part(parameters, id, &piece);
        let name = architecture.tensor(&piece.theirs);
        let reduced = parameters.reduced(id).map(|weight| weight.rows(start / columns..start / columns + rows));
        let source = match reduced {
            Some(reduced) => Rows::Reduced(reduced),
            None => Rows::Full(&parameters.values::<f32>(id)[start..start + rows * columns], columns),
        };
        let interleaves =
            architecture.turns_neighbours && (name.ends_with("attn_q.weight") || name.ends_with("attn_k.weight"));
        let order = if interleaves { interleaved(rows, head) } else { (0..rows).collect() };
        let is_matrix = parameters.shape(id).rank() == 2;
        let lengths = if is_matrix { vec![columns as u64, rows as u64] } else { vec![rows as u64] };
        let element_type = match is_matrix && name != POSITIONS {
            true => element_type.of_matrix(&name, columns),
            false => GgufType::F32,
        };
        let bytes = element_type.encode(&source, &order);
        let bytes = bytes.map_err(|reason| Error::Family(format!("as GGUF in {element_type}, '{name}': {reason}")))?;
        tensors.push(Tensor { name, lengths, element_type, bytes });
    }
    if repeats_output(architecture, config.tie)
        && let Some(table) = tensors.iter().find(|tensor| tensor.name == TABLE)
    {
        let (lengths, element_type, bytes) = (table.lengths.clone(), table.element_type, table.bytes.clone());
        tensors.push(Tensor { name: OUTPUT.to_owned(), lengths, element_type, bytes });
    }
    if let Some(RotaryScaling::Llama3 { .. }) = transformer.rotary_scaling {
        let plain = TransformerConfig { rotary_scaling: None, ..transformer.clone() }.frequencies(config.hidden);
        let scaled = transformer.frequencies(config.hidden);
        let values: Vec<f32> = plain.iter().zip(&scaled).map(|(plain, scaled)| (plain / scaled) as f32).collect();
        let bytes = bytemuck::cast_slice(&values).to_vec();
        let (name, lengths, element_type) = (FACTORS.to_owned(), vec![values.len() as u64], GgufType::F32);
        tensors.push(Tensor { name, lengths, element_type, bytes });
    }
    Ok(tensors)
}

/// The rows of each head in the order 0, half, 1, half + 1, …
fn interleaved(rows: usize, head: usize) -> Vec<usize> {
    (0..rows).map(|row| row / head * head + row % 2 * (head / 2) + row % head / 2).collect()
}

fn write(mut file: impl Write, items: &[(String, Item)], tensors: &[Tensor]) -> io::Result<()> {
    let mut head = Vec::new();
    head.extend(MAGIC);
    head.extend(VERSION.to_le_bytes());
    head.extend((tensors.len() as u64).to_le_bytes());
    head.extend((items.len() as u64).to_le_bytes());
    for (key, item) in items {
        put_text(&mut head, key);
        put_item(&mut head, item);
    }
    let mut offset = 0;
    for Tensor { name, lengths, element_type, bytes } in tensors {
        put_text(&mut head, name);
        head.extend((lengths.len() as u32).to_le_bytes());
        lengths.iter().for_each(|length| head.extend(length.to_le_bytes()));
        head.extend(element_type.types().0.to_le_bytes());
        head.extend((offset as u64).to_le_bytes());
        offset += bytes.len().next_multiple_of(ALIGNMENT);
    }
    head.resize(head.len().next_multiple_of(ALIGNMENT), 0);
    file.write_all(&head)?;
    for Tensor { bytes, .. } in tensors {
        file.write_all(bytes)?;
        file.write_all(&[0; ALIGNMENT][..bytes.len().next_multiple_of(ALIGNMENT) - bytes.len()])?;
    }
    file.flush()
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.as_bytes());
}

/// The type of a value, and the value.
fn put_item(bytes: &mut Vec<u8>, item: &Item) {
    const ARRAY: u32 = 9;
    let (number, signed, real, flag, text) = (4_u32, 5_u32, 6_u32, 7_u32, 8_u32);
    let array = |bytes: &mut Vec<u8>, of: u32, len: usize| {
        bytes.extend(ARRAY.to_le_bytes());
        bytes.extend(of.to_le_bytes());
        bytes.extend((len as u64).to_le_bytes());
    };
    match item {
        Item::Number(n) => bytes.extend([number, *n].into_iter().flat_map(u32::to_le_bytes)),
        Item::Real(x) => bytes.extend(real.to_le_bytes().into_iter().chain(x.to_le_bytes())),
        Item::Flag(on) => bytes.extend(flag.to_le_bytes().into_iter().chain([u8::from(*on)])),
        Item::Text(content) => {
            bytes.extend(text.to_le_bytes());
            put_text(bytes, content);
        }
        Item::Reals(values) => {
            array(bytes, real, values.len());
            values.iter().for_each(|x| bytes.extend(x.to_le_bytes()));
        }
        Item::Numbers(values) => {
            array(bytes, signed, values.len());
            values.iter().for_each(|n| bytes.extend(n.to_le_bytes()));
        }
        Item::Texts(values) => {
            array(bytes, text, values.len());
            values.iter().for_each(|content| put_text(bytes, content));
        }
    }
}
