//! GGUF files, which are written here and read in `import`: version 3, the format of llama.cpp: some values by key, a table of tensors, and their data.

mod import;
mod vocabulary;

pub(crate) use import::open;
pub(crate) use vocabulary::QWEN2_CUT;

use crate::template::own_template;
use crate::weights::{Part, part};
use crate::{Error, Family};
use descant_autograd::Activation;
use descant_models::{Layers, Tie};
use descant_nn::{RotaryScaling, TransformerConfig};
use descant_text::write_file;
use descant_train::Trained;
use std::io::{self, BufWriter, Write};
use std::path::Path;

const MAGIC: &[u8; 4] = b"GGUF";
const VERSION: u32 = 3;
/// What every tensor's place is a multiple of.
const ALIGNMENT: usize = 32;
/// The type of a tensor's numbers.
const F32: u32 = 0;

/// A value that a key has.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Item {
    Number(u32),
    Real(f32),
    Flag(bool),
    Text(String),
    Reals(Vec<f32>),
    Numbers(Vec<i32>),
    Texts(Vec<String>),
}

/// A tensor: its name, its lengths, the last one first, and its numbers.
struct Tensor {
    name: String,
    lengths: Vec<u64>,
    values: Vec<f32>,
}

/// Writes a trained model as a file that llama.cpp loads: of the families GPT-2, Llama and Qwen2.
///
/// # Errors
/// Where the model or its tokenizer has no form there, the file exists, or it cannot be written.
pub fn export_gguf(trained: &Trained, path: &Path) -> Result<Family, Error> {
    let config = &trained.recipe.model;
    let unfit = |reason: &str| Err(Error::Family(format!("as GGUF, {reason}")));
    // Before the keys of a family, none of which would make one of it.
    if [Some(config.decoder), config.encoder].contains(&Some(Layers::Recurrent)) {
        return unfit(
            "there are no recurrent models (LSTM, GRU). The name of a folder in place of that of a .gguf file exports its \
             tensors under PyTorch's names",
        );
    }
    let family = Family::of(config).map_err(Error::Family)?;
    let transformer = config.transformer();
    let (architecture, activation) = match family {
        Family::Gpt2 => ("gpt2", Activation::GeluTanh),
        Family::Llama => ("llama", Activation::Silu),
        Family::Qwen2 => ("qwen2", Activation::Silu),
        _ => return unfit("it has to be a language model of the kinds GPT-2, Llama or Qwen2"),
    };
    if transformer.activation != activation {
        let name = |activation| serde_json::to_string(&activation).unwrap_or_default();
        return unfit(&format!(
            "a {family} has model.transformer.activation = {}, and this model {}",
            name(activation),
            name(transformer.activation)
        ));
    }
    if transformer.window.is_some() {
        return unfit("a model has no model.transformer.window");
    }
    let mut items = hyperparameters(architecture, config.hidden, config.layers, &transformer);
    let (bos, before) = (trained.bos()?, trained.before()?);
    items.extend(vocabulary::items(&trained.tokenizers.target, bos, &before).map_err(Error::Family)?);
    if let Some(template) = &trained.chat {
        items.push((
            "tokenizer.chat_template".to_owned(),
            Item::Text(own_template(template, trained.tokenizers.target.special())),
        ));
    }
    let tensors = tensors(trained, family)?;
    if path.exists() {
        return Err(Error::folder(path, "it is there already. Choose another name"));
    }
    let written = write_file(path, |file| write(BufWriter::new(file), &items, &tensors));
    written.map_err(|error| Error::io("write", path, error)).and(Ok(family))
}

fn hyperparameters(
    architecture: &str,
    hidden: usize,
    layers: usize,
    transformer: &TransformerConfig,
) -> Vec<(String, Item)> {
    let head = transformer.head_width(hidden);
    let rotary = architecture != "gpt2";
    let number = |n: usize| Item::Number(u32::try_from(n).unwrap_or(u32::MAX));
    let mut items = vec![
        ("general.architecture".to_owned(), Item::Text(architecture.to_owned())),
        ("general.file_type".to_owned(), Item::Number(F32)),
    ];
    let mut add = |key: &str, item: Item| items.push((format!("{architecture}.{key}"), item));
    add("context_length", number(transformer.max_length));
    add("embedding_length", number(hidden));
    add("block_count", number(layers));
    add("feed_forward_length", number(transformer.feed_forward(hidden)));
    add("attention.head_count", number(transformer.heads));
    add("attention.head_count_kv", number(transformer.key_value_heads()));
    let norm = if rotary { "attention.layer_norm_rms_epsilon" } else { "attention.layer_norm_epsilon" };
    add(norm, Item::Real(transformer.norm_epsilon as f32));
    if rotary {
        add("attention.key_length", number(head));
        add("attention.value_length", number(head));
        add("rope.dimension_count", number(head));
        add("rope.freq_base", Item::Real(transformer.rotary_base as f32));
        if let Some(RotaryScaling::Linear { factor }) = transformer.rotary_scaling {
            add("rope.scaling.type", Item::Text("linear".to_owned()));
            add("rope.scaling.factor", Item::Real(factor as f32));
        }
    }
    items
}

/// The name that llama.cpp has for a tensor.
fn name(theirs: &str) -> String {
    const PARTS: [(&str, &str); 24] = [
        ("transformer.wte.", "token_embd."),
        ("transformer.wpe.", "position_embd."),
        ("transformer.ln_f.", "output_norm."),
        ("transformer.h.", "blk."),
        (".ln_1.", ".attn_norm."),
        (".attn.c_attn.", ".attn_qkv."),
        (".attn.c_proj.", ".attn_output."),
        (".ln_2.", ".ffn_norm."),
        (".mlp.c_fc.", ".ffn_up."),
        (".mlp.c_proj.", ".ffn_down."),
        ("model.embed_tokens.", "token_embd."),
        ("model.norm.", "output_norm."),
        ("model.layers.", "blk."),
        (".input_layernorm.", ".attn_norm."),
        (".self_attn.q_proj.", ".attn_q."),
        (".self_attn.k_proj.", ".attn_k."),
        (".self_attn.v_proj.", ".attn_v."),
        (".self_attn.o_proj.", ".attn_output."),
        (".post_attention_layernorm.", ".ffn_norm."),
        (".mlp.gate_proj.", ".ffn_gate."),
        (".mlp.up_proj.", ".ffn_up."),
        (".mlp.down_proj.", ".ffn_down."),
        ("lm_head.", "output."),
        ("rope_freqs.", "rope_freqs."),
    ];
    PARTS.iter().fold(theirs.to_owned(), |name, (part, short)| name.replace(part, short))
}

fn tensors(trained: &Trained, family: Family) -> Result<Vec<Tensor>, Error> {
    let (config, parameters) = (&trained.recipe.model, &trained.parameters);
    let transformer = config.transformer();
    let head = transformer.head_width(config.hidden);
    let mut tensors = Vec::new();
    for piece in family.pieces(config) {
        let Some(id) = parameters.find(&piece.ours) else { continue };
        let Part { start, rows, columns } = part(parameters, id, &piece);
        let mut values = parameters.values::<f32>(id)[start..start + rows * columns].to_vec();
        let name = name(&piece.theirs);
        // Of Llama, llama.cpp turns neighbouring columns of a head, not those of its two halves.
        if family == Family::Llama && (name.ends_with("attn_q.weight") || name.ends_with("attn_k.weight")) {
            values = interleaved(&values, head, columns);
        }
        let lengths = match parameters.shape(id).dims() {
            [_, _] => vec![columns as u64, rows as u64],
            _ => vec![rows as u64],
        };
        tensors.push(Tensor { name, lengths, values });
    }
    if config.tie != Tie::None && family == Family::Gpt2 {
        // It looks for one in every file of this kind.
        if let Some(table) = tensors.iter().find(|tensor| tensor.name == "token_embd.weight") {
            let (lengths, values) = (table.lengths.clone(), table.values.clone());
            tensors.push(Tensor { name: "output.weight".to_owned(), lengths, values });
        }
    }
    if let Some(RotaryScaling::Llama3 { .. }) = transformer.rotary_scaling {
        let plain = TransformerConfig { rotary_scaling: None, ..transformer.clone() }.frequencies(config.hidden);
        let scaled = transformer.frequencies(config.hidden);
        let values: Vec<f32> = plain.iter().zip(&scaled).map(|(plain, scaled)| (plain / scaled) as f32).collect();
        tensors.push(Tensor { name: "rope_freqs.weight".to_owned(), lengths: vec![values.len() as u64], values });
    }
    Ok(tensors)
}

/// The rows of each head in the order 0, half, 1, half + 1, …
fn interleaved(values: &[f32], head: usize, columns: usize) -> Vec<f32> {
    let heads = values.chunks_exact(head * columns);
    let row = |of: &[f32], r: usize| of[r * columns..][..columns].to_vec();
    heads
        .flat_map(|of| (0..head / 2).flat_map(|r| [row(of, r), row(of, head / 2 + r)]).flatten().collect::<Vec<_>>())
        .collect()
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
    for Tensor { name, lengths, values } in tensors {
        put_text(&mut head, name);
        head.extend((lengths.len() as u32).to_le_bytes());
        lengths.iter().for_each(|length| head.extend(length.to_le_bytes()));
        head.extend(F32.to_le_bytes());
        head.extend((offset as u64).to_le_bytes());
        offset += (4 * values.len()).next_multiple_of(ALIGNMENT);
    }
    head.resize(head.len().next_multiple_of(ALIGNMENT), 0);
    file.write_all(&head)?;
    for Tensor { values, .. } in tensors {
        let bytes = bytemuck::cast_slice::<f32, u8>(values);
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
