//! Folders of CTranslate2: `model.bin`, a list of variables by name, and vocabularies of a token a line. Read are its
//! Transformers for translation whose numbers are not quantised.

use crate::Error;
use crate::foreign::{Foreign, Layout};
use crate::tensor_names::TensorName;
use crate::tensors::{ElementType, Tensor, TensorFile};
use crate::tokenizer::list;
use crate::weights::Weights;
use descant_autograd::Activation;
use descant_inference::{Recipe, Tokenizers};
use descant_models::{LayerKind, ModelConfig, ModelKind};
use descant_nn::{Position, TransformerConfig};
use descant_text::{PostProcessor, SpecialTokens, Tokenizer, TokenizerConfig, open_file};
use serde_json::json;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

pub(crate) const MODEL: &str = "model.bin";
/// The lists of a side: its own, or one for both.
const LISTS: [[&str; 2]; 2] =
    [["source_vocabulary.txt", "shared_vocabulary.txt"], ["target_vocabulary.txt", "shared_vocabulary.txt"]];
/// How many positions are tabulated: theirs have no end.
const POSITIONS: usize = 1024;
/// The most variables of a file.
const MOST_VARIABLES: u32 = 1 << 16;

/// Whether a folder is one of CTranslate2.
pub(crate) fn is_there(folder: &Path) -> bool {
    let has = |name: &str| folder.join(name).is_file();
    has(MODEL) && LISTS.iter().flatten().any(|name| has(name) || has(&name.replace(".txt", ".json")))
}

/// The model of a folder.
///
/// # Errors
/// Where it is damaged, quantised, or of an architecture that no model here is.
pub(crate) fn open(folder: &Path) -> Result<Foreign, Error> {
    let place = folder.join(MODEL);
    let wrong = |reason: String| Error::folder(&place, reason);
    let mut file = open_file(&place).map_err(|error| Error::io("read", &place, error))?;
    let (name, tensors, scalars) = variables(&mut file).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => wrong("it is damaged: it ends too early".to_owned()),
        _ => wrong(error.to_string()),
    })?;
    let file = TensorFile::of(&place, file, tensors)?;
    let model = config(&name, &file, &scalars).map_err(wrong)?;
    let [source, target] = LISTS.map(|names| tokenizer(folder, names));
    let ((source, source_special), (target, special)) = (source?, target?);
    let tokenizers = Tokenizers { source: Some(Arc::new(source)), target: Arc::new(target) };
    let with = |special| TokenizerConfig { special: Some(special), ..TokenizerConfig::default() };
    let recipe = Recipe { tokenizer: with(source_special), target_tokenizer: Some(with(special)), ..Recipe::of(model) };
    let weights = Weights::of_file(&place, file);
    Ok(Foreign { layout: Layout::CTranslate2, recipe, tokenizers, chat: None, notes: Vec::new(), weights })
}

type Scalars = HashMap<String, f64>;

/// The name of the architecture, the variables that are tensors, and those that are numbers.
fn variables(file: &mut File) -> io::Result<(String, Vec<Tensor>, Scalars)> {
    let damaged = |reason: &str| io::Error::new(io::ErrorKind::InvalidData, format!("it is damaged: {reason}"));
    let mut file = BufReader::new(file);
    let version = u32::from_le_bytes(bytes(&mut file)?);
    if !(2..=6).contains(&version) {
        let reason = format!("it is of version {version} of CTranslate2's format, expected 2 to 6");
        return Err(io::Error::new(io::ErrorKind::Unsupported, reason));
    }
    let name = text(&mut file)?;
    bytes::<4>(&mut file)?;
    let count = u32::from_le_bytes(bytes(&mut file)?);
    if count > MOST_VARIABLES {
        return Err(damaged("it has too many variables"));
    }
    let (mut tensors, mut scalars) = (Vec::new(), Scalars::new());
    for _ in 0..count {
        let name = text(&mut file)?;
        let [rank] = bytes(&mut file)?;
        let shape = (0..rank).map(|_| bytes(&mut file).map(|n| u32::from_le_bytes(n) as usize));
        let shape = shape.collect::<io::Result<Vec<usize>>>()?;
        let [kind] = bytes(&mut file)?;
        let count = u64::from(u32::from_le_bytes(bytes(&mut file)?));
        // Before version 4, the bytes of a number and how many there are.
        let (element_type, len) = match (version, kind) {
            (4.., 0) | (..4, 4) => (ElementType::F32, if version < 4 { 4 * count } else { count }),
            (4.., 4) => (ElementType::F16, count),
            (4.., 5) => (ElementType::BF16, count),
            (4.., other) => (
                ElementType::Other(
                    ["f32", "int8", "int16", "int32"].get(usize::from(other)).unwrap_or(&"unknown").to_string(),
                ),
                count,
            ),
            (_, width) => (ElementType::Other(format!("int{}", 8 * u32::from(width))), u64::from(width) * count),
        };
        let start = file.stream_position()?;
        if len <= 8 && shape.is_empty() {
            let mut number = vec![0; len as usize];
            file.read_exact(&mut number)?;
            let number = match (&element_type, &number[..]) {
                (ElementType::F32, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]).into(),
                (_, &[a]) => (a as i8).into(),
                (_, &[a, b]) => i16::from_le_bytes([a, b]).into(),
                (_, &[a, b, c, d]) => i32::from_le_bytes([a, b, c, d]).into(),
                _ => return Err(damaged("a number has another length")),
            };
            scalars.insert(name, number);
        } else {
            let end = start.checked_add(len).ok_or_else(|| damaged("a variable is too long"))?;
            file.seek(SeekFrom::Start(end))?;
            tensors.push(Tensor { name, shape, element_type, start, view: None });
        }
    }
    if version >= 3 {
        for _ in 0..u32::from_le_bytes(bytes(&mut file)?).min(MOST_VARIABLES) {
            let (alias, of) = (text(&mut file)?, text(&mut file)?);
            if let Some(tensor) = tensors.iter().find(|tensor| tensor.name == of).cloned() {
                tensors.push(Tensor { name: alias, ..tensor });
            }
        }
    }
    Ok((name, tensors, scalars))
}

fn bytes<const N: usize>(file: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// A text with its length before it, and a zero at its end.
fn text(file: &mut impl Read) -> io::Result<String> {
    let mut text = vec![0; u16::from_le_bytes(bytes(file)?).into()];
    file.read_exact(&mut text)?;
    let text = text.strip_suffix(&[0]).unwrap_or(&text);
    let wrong = |_| io::Error::new(io::ErrorKind::InvalidData, "it is damaged: a name is not UTF-8");
    std::str::from_utf8(text).map(str::to_owned).map_err(wrong)
}

/// The Transformer whose variables these are.
fn config(name: &str, file: &TensorFile, scalars: &Scalars) -> Result<ModelConfig, String> {
    let known = ["TransformerBase", "TransformerBig", "TransformerSpec"];
    if !known.contains(&name) {
        return Err(format!("it is a {name:?}: known are {}", known.join(", ")));
    }
    let shape = |name: &str| file.tensors().iter().find(|tensor| tensor.name == name).map(|tensor| &tensor.shape[..]);
    let has = |name: &str| shape(name).is_some();
    let layers = |side: &str| (0..64).take_while(|l| has(&format!("{side}/layer_{l}/ffn/linear_0/weight"))).count();
    let Some(&[_, hidden]) = shape("decoder/embeddings/weight") else {
        return Err("it has no 'decoder/embeddings/weight' of two axes".to_owned());
    };
    let Some(&[feed_forward, _]) = shape("encoder/layer_0/ffn/linear_0/weight") else {
        return Err("it has no 'encoder/layer_0/ffn/linear_0/weight' of two axes".to_owned());
    };
    // What older files do not say.
    let scalar = |name: &str, otherwise: f64| {
        let sides =
            ["encoder", "decoder"].map(|side| scalars.get(&format!("{side}/{name}")).copied().unwrap_or(otherwise));
        match sides {
            [one, other] if one == other => Ok(one),
            [one, other] => Err(format!("encoder/{name} = {one} and decoder/{name} = {other}: expected one number")),
        }
    };
    let heads = scalar("num_heads", if name == "TransformerBig" { 16.0 } else { 8.0 })?;
    let expected = [
        ("pre_norm", 1.0),
        ("layernorm_embedding", 0.0),
        ("no_final_norm", 0.0),
        ("project_in", 0.0),
        ("scale_alpha", 1.0),
        ("embeddings_merge", 0.0),
        ("multi_query_attention", 0.0),
    ];
    for (key, expected) in expected {
        let found = scalar(key, expected)?;
        if found != expected {
            return Err(format!("{key} = {found}: expected {expected}"));
        }
    }
    let activation = match scalar("activation", 0.0)? {
        0.0 => Activation::Relu,
        1.0 => Activation::GeluTanh,
        2.0 => Activation::Silu,
        3.0 => Activation::Gelu,
        other => return Err(format!("activation = {other}: known are 0 to 3")),
    };
    let transformer = TransformerConfig {
        heads: heads as usize,
        d_ff: Some(feed_forward),
        activation,
        position: Position::Learned,
        max_length: POSITIONS,
        scale_embedding: Some(scalar("scale_embeddings", 1.0)? != 0.0),
        ..TransformerConfig::default()
    };
    Ok(ModelConfig {
        decoder: LayerKind::Transformer,
        embedding: hidden,
        hidden,
        encoder_layers: layers("encoder"),
        layers: layers("decoder"),
        output_bias: has("decoder/projection/bias"),
        transformer: Some(transformer),
        ..ModelConfig::new(ModelKind::EncoderDecoder)
    })
}

/// The words of a side; one for what they lack comes last where the list has none.
fn tokenizer(folder: &Path, names: [&str; 2]) -> Result<(Tokenizer, SpecialTokens), Error> {
    let find = |name: &&str| folder.join(name).is_file();
    let Some(name) = names.iter().find(|name| find(name)) else {
        return Err(Error::folder(folder, format!("it has neither {} nor {}", names[0], names[1])));
    };
    let path = folder.join(name);
    let mut tokens = list::read(&path)?;
    if !tokens.iter().any(|token| token == "<unk>") {
        tokens.push("<unk>".to_owned());
    }
    let mut json = list::words(&tokens);
    let wrong = |reason: String| Error::folder(&path, reason);
    let special = json!({"unknown": "<unk>", "beginning": "<s>", "end": "</s>"});
    let special = list::special(special, &mut json, true).map_err(wrong)?;
    // CTranslate2 adds no BOS or EOS to a source: its caller does, and most models were trained without.
    let special = SpecialTokens { post_processor: name.starts_with("source").then(PostProcessor::default), ..special };
    let tokenizer = Tokenizer::from_json(json.to_string().as_bytes(), Some(special.clone()));
    Ok((tokenizer.map_err(|error| wrong(error.to_string()))?, special))
}

/// Which of their variables is which part of which parameter.
pub(crate) fn tensor_names(config: &ModelConfig) -> Vec<TensorName> {
    let hidden = config.hidden;
    let mut all = Vec::new();
    let mut add = |ours: String, rows, theirs: String| {
        all.push(TensorName { ours, rows, theirs, transposed: false, skipped: 0, offset: 0.0 })
    };
    for (side, layers) in [("encoder", config.encoder_layers), ("decoder", config.layers)] {
        add(format!("{side}.embedding.weight"), None, format!("{side}/embeddings/weight"));
        for l in 0..layers {
            let (ours, theirs) = (format!("{side}.layers.{l}"), format!("{side}/layer_{l}"));
            let cross: &[_] = if side == "decoder" { &[("multihead_attn", "attention")] } else { &[] };
            let parts = [("self_attn", "self_attention")].iter().chain(cross).copied();
            let mut norms = 0;
            for (own, part) in parts {
                norms += 1;
                for (kind, name) in [("weight", "gamma"), ("bias", "beta")] {
                    add(format!("{ours}.norm{norms}.{kind}"), None, format!("{theirs}/{part}/layer_norm/{name}"));
                }
                for kind in ["weight", "bias"] {
                    let ours = |name: &str| format!("{ours}.{own}.{name}");
                    let theirs = |i: usize| format!("{theirs}/{part}/linear_{i}/{kind}");
                    let qkv = ours(&format!("in_proj_{kind}"));
                    if part == "attention" {
                        add(qkv.clone(), Some(0..hidden), theirs(0));
                        add(qkv, Some(hidden..3 * hidden), theirs(1));
                        add(ours(&format!("out_proj.{kind}")), None, theirs(2));
                    } else {
                        add(qkv, None, theirs(0));
                        add(ours(&format!("out_proj.{kind}")), None, theirs(1));
                    }
                }
            }
            for (kind, name) in [("weight", "gamma"), ("bias", "beta")] {
                add(format!("{ours}.norm{}.{kind}", norms + 1), None, format!("{theirs}/ffn/layer_norm/{name}"));
            }
            for kind in ["weight", "bias"] {
                add(format!("{ours}.linear1.{kind}"), None, format!("{theirs}/ffn/linear_0/{kind}"));
                add(format!("{ours}.linear2.{kind}"), None, format!("{theirs}/ffn/linear_1/{kind}"));
            }
        }
        for (kind, name) in [("weight", "gamma"), ("bias", "beta")] {
            add(format!("{side}.norm.{kind}"), None, format!("{side}/layer_norm/{name}"));
        }
    }
    add("decoder.projection.weight".to_owned(), None, "decoder/projection/weight".to_owned());
    if config.output_bias {
        add("decoder.projection.bias".to_owned(), None, "decoder/projection/bias".to_owned());
    }
    all
}

/// The positions of tensor2tensor: sin and then cos of each from 1 on, the longest wavelength that of the last column.
pub(crate) fn positions(rows: usize, width: usize) -> Vec<f32> {
    let half = width / 2;
    let step = 10_000_f64.ln() / (half.max(2) - 1) as f64;
    let wave = |position: usize, i: usize| {
        let angle = (position + 1) as f64 * (-(((i % half.max(1)) as f64) * step)).exp();
        if i < half { angle.sin() } else { angle.cos() }
    };
    (0..rows).flat_map(|position| (0..width).map(move |i| wave(position, i) as f32)).collect()
}
