//! A model of SentencePiece without a `tokenizer.json`: what the tokenizers of `transformers` make of it. Some families have
//! a tokenizer of their own there, which does not keep to all that the model says; the others have what it says.

use super::sentencepiece::{
    Kind, Piece, Scored, SentencePiece, file, metaspace, pairs, replace, string, unigram, written_back,
};
use super::{Settings, added, declared};
use crate::{Error, Family};
use descant_text::{SpecialTokens, Tokenizer};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// What the models are called.
pub(crate) const FILES: [&str; 3] = ["tokenizer.model", "spiece.model", "sentencepiece.bpe.model"];
/// The tokens of gaps in T5, where the folder says no other number.
const GAPS: u64 = 100;

/// The tokenizer of a model in a folder of this family.
///
/// # Errors
/// Where the model is damaged, or cannot be expressed.
pub(super) fn read(
    path: &Path,
    family: Family,
    settings: &Settings,
    special: SpecialTokens,
) -> Result<Tokenizer, Error> {
    let model = SentencePiece::open(path)?;
    let wrong = |reason: String| Error::folder(path, reason);
    let mut tokens = found(&model);
    let json = match family {
        Family::Llama if !model.unigram => llama(&model, settings)?,
        Family::Gemma | Family::Gemma2 | Family::Gemma3 if !model.unigram => gemma(&model),
        Family::T5 | Family::Mt5 if model.unigram => {
            let gaps = settings.number("extra_ids")?.unwrap_or(GAPS);
            if gaps > special.entries.unwrap_or(0) as u64 {
                return Err(settings.wrong(format!("extra_ids = {gaps}: the model has not so many entries")));
            }
            t5(&model, gaps, &mut tokens)
        }
        Family::Mbart => {
            Err("tokens of languages are not known without a tokenizer.json. Write one with transformers: \
             AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)"
                .to_owned())
        }
        _ => {
            // User-defined pieces are found by the model's own cut.
            tokens.retain(|_, token| token["special"] == true);
            whole(&model)
        }
    };
    let mut json = json.map_err(wrong)?;
    tokens.extend(declared(settings)?);
    json["added_tokens"] = tokens.into_values().collect();
    let tokenizer = Tokenizer::from_json(json.to_string().as_bytes(), Some(special));
    tokenizer.map_err(|error| wrong(error.to_string()))
}

/// The tokenizer of a model alone, as SentencePiece has it.
///
/// # Errors
/// As [`read`].
pub(super) fn open(path: &Path) -> Result<Tokenizer, Error> {
    let wrong = |reason: String| Error::folder(path, reason);
    let model = SentencePiece::open(path)?;
    let mut json = whole(&model).map_err(wrong)?;
    json["added_tokens"] = found(&model).into_values().filter(|token| token["special"] == true).collect();
    let tokenizer = Tokenizer::from_json(
        json.to_string().as_bytes(),
        Some(SpecialTokens { sentencepiece: true, ..SpecialTokens::none() }),
    );
    tokenizer.map_err(|error| wrong(error.to_string()))
}

/// The tokens that are found by their names: control tokens, the unknown one, and those of the user.
fn found(model: &SentencePiece) -> BTreeMap<u32, Value> {
    let all = (0..).zip(&model.pieces);
    let is_found = |kind| matches!(kind, Kind::Control | Kind::Unknown | Kind::UserDefined);
    let all = all.filter(|(_, piece)| is_found(piece.kind));
    all.map(|(id, piece)| (id, added(id, &piece.text, piece.kind != Kind::UserDefined))).collect()
}

/// As SentencePiece has it.
fn whole(model: &SentencePiece) -> Result<Value, String> {
    // Names of bytes and of control tokens are text in a text.
    let is_found = |kind: Kind| kind == Kind::Normal || model.unigram && kind == Kind::UserDefined;
    let score = |piece: &Piece| is_found(piece.kind).then_some(piece.score);
    let pieces: Vec<Scored> = model.pieces.iter().map(|piece| (piece.text.clone(), score(piece))).collect();
    model.json(&pieces, unknown(model)?, Vec::new())
}

fn unknown(model: &SentencePiece) -> Result<u32, String> {
    let unknown = (0..).zip(&model.pieces).find(|(_, piece)| piece.kind == Kind::Unknown);
    unknown.map(|(id, _)| id).ok_or_else(|| "it has no unknown piece".to_owned())
}

/// Merges of all pieces in the order of their ids.
fn in_order(model: &SentencePiece) -> Result<Value, String> {
    let pieces: Vec<Scored> =
        (0_u32..).zip(&model.pieces).map(|(id, piece)| (piece.text.clone(), Some(-(id as f32)))).collect();
    let mut pairs = pairs(&pieces, true)?;
    // Without bytes, characters that it lacks are unknown.
    if !model.byte_fallback {
        pairs["unk_token"] = model.pieces[unknown(model)? as usize].text.as_str().into();
    }
    Ok(pairs)
}

/// `LlamaTokenizer`.
fn llama(model: &SentencePiece, settings: &Settings) -> Result<Result<Value, String>, Error> {
    let prefix = settings.flag("add_prefix_space")?.unwrap_or(true);
    let scheme = match (prefix, settings.flag("legacy")?.unwrap_or(false)) {
        (false, _) => "never",
        (true, true) => "always",
        (true, false) => "first",
    };
    let with = |pairs| {
        let mut json = file(pairs, Vec::new());
        json["pre_tokenizer"] = metaspace(scheme, false);
        json["decoder"] = written_back(prefix);
        json
    };
    Ok(in_order(model).map(with))
}

/// `GemmaTokenizer`.
fn gemma(model: &SentencePiece) -> Result<Value, String> {
    let mut pairs = in_order(model)?;
    pairs["unk_token"] = model.pieces[unknown(model)? as usize].text.as_str().into();
    let mut json = file(pairs, Vec::new());
    json["normalizer"] = replace(string(" "), "▁");
    json["pre_tokenizer"] =
        json!({"type": "Split", "pattern": string(" "), "behavior": "MergedWithPrevious", "invert": false});
    json["decoder"] = written_back(false);
    Ok(json)
}

/// `T5Tokenizer`: tokens for gaps come after the model's.
fn t5(model: &SentencePiece, gaps: u64, tokens: &mut BTreeMap<u32, Value>) -> Result<Value, String> {
    let mut pieces: Vec<Value> = model.pieces.iter().map(|piece| json!([piece.text, piece.score])).collect();
    for gap in (0..gaps).rev() {
        let name = format!("<extra_id_{gap}>");
        let id = u32::try_from(pieces.len()).map_err(|error| error.to_string())?;
        tokens.insert(id, added(id, &name, true));
        pieces.push(json!([name, 0.0]));
    }
    let mut json = file(unigram(pieces, unknown(model)?, false), Vec::new());
    json["normalizer"] = model.replacements().into();
    let spaces = metaspace("always", true);
    json["pre_tokenizer"] = json!({"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, spaces]});
    json["decoder"] = spaces;
    let end = (0..).zip(&model.pieces).find(|(_, piece)| piece.text == "</s>");
    if let Some((id, end)) = end {
        json["post_processor"] = super::marian::ending(id, &end.text);
    }
    Ok(json)
}
