//! The tokenizers of Marian (OPUS-MT): a SentencePiece model for each side cuts a text, and `vocab.json` says which id a
//! piece has, for both sides or for each its own. A piece that it lacks is the unknown token; a token like `>>fra<<` says
//! the language that is to be written.

use super::added;
use super::sentencepiece::{SentencePiece, metaspace, to_file};
use crate::Error;
use crate::folder::{TOKENIZER_CONFIG, VOCABULARY, read_json};
use crate::write_folder;
use descant_text::{NO_PIECE, SpecialTokens, Tokenizer};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::path::Path;

const SOURCE: &str = "source.spm";
const TARGET: &str = "target.spm";
/// Where the sides have vocabularies of their own.
pub(crate) const TARGET_VOCABULARY: &str = "target_vocab.json";
pub(crate) const FILES: [&str; 3] = [SOURCE, TARGET, VOCABULARY];

/// Which of the two tokenizers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Source,
    Target,
}

/// What names of entries that `vocab.json` leaves out begin with.
const UNUSED: &str = "<unused ";
/// The most entries of a table that `vocab.json` may leave out.
const MOST_UNUSED: usize = 1 << 16;

/// The tokenizer of a side.
///
/// # Errors
/// Where a file is missing, damaged, or does not fit to the others.
pub(crate) fn read(folder: &Path, side: Side, special: SpecialTokens) -> Result<Tokenizer, Error> {
    let source = side == Side::Source;
    let own = folder.join(TARGET_VOCABULARY);
    let place = if !source && own.is_file() { own } else { folder.join(VOCABULARY) };
    let pieces = SentencePiece::open(&folder.join(if source { SOURCE } else { TARGET }))?;
    let json = read_json(&place)?;
    let wrong = |reason: String| Error::folder(&place, reason);
    let rows = special.entries.unwrap_or(0);
    let known = json.as_object().map_or(0, |ids| ids.len());
    if rows > known + MOST_UNUSED {
        return Err(wrong(format!("it has {known} tokens, and the model has {rows}")));
    }
    let mut entries: Vec<Option<String>> = vec![None; rows];
    for (token, id) in json.as_object().into_iter().flatten() {
        let place = id.as_u64().and_then(|id| entries.get_mut(usize::try_from(id).ok()?));
        match place
            .ok_or_else(|| wrong(format!("{token:?} has the id {id}, which is outside the {rows} of the model")))?
        {
            Some(other) => return Err(wrong(format!("{token:?} and {other:?} have the id {id}"))),
            free => *free = Some(token.clone()),
        }
    }
    let id = |token: &str| json.get(token).and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok());
    let unknown = id("<unk>").ok_or_else(|| wrong("it has no <unk>".to_owned()))?;
    let scores: HashMap<&str, f32> = pieces
        .pieces
        .iter()
        .filter(|piece| piece.kind.is_found())
        .map(|piece| (piece.text.as_str(), piece.score))
        .collect();
    let is_language = |token: &str| token.starts_with(">>") && token.ends_with("<<");
    let controls: Vec<u32> = special.ids().chain([unknown]).collect();
    let mut vocabulary: Vec<(String, Option<f32>)> = Vec::with_capacity(entries.len());
    for (i, token) in entries.into_iter().enumerate() {
        let text = token.unwrap_or_else(|| format!("{UNUSED}{i}>"));
        let score = scores.get(text.as_str()).copied();
        // Characters without a piece are looked for among the entries; all else of the other side is written alone.
        let is_found = score.is_some() || controls.contains(&(i as u32)) || is_language(&text);
        let has_piece = |letter: char| scores.contains_key(letter.encode_utf8(&mut [0; 4]) as &str);
        let text = if is_found || !text.chars().any(has_piece) { text } else { format!("{NO_PIECE}{text}") };
        vocabulary.push((text, score));
    }
    // Pieces that have no id of their own still cut the text.
    let lacking = pieces.pieces.iter().filter(|piece| piece.kind.is_found() && id(&piece.text).is_none());
    vocabulary.extend(lacking.map(|piece| (piece.text.clone(), Some(piece.score))));
    let added: Vec<Value> = (0..)
        .zip(&vocabulary[..rows])
        .filter_map(|(id, (token, _))| match (controls.contains(&id), source && is_language(token)) {
            (false, false) => None,
            (control, _) => Some(added(id, token, control)),
        })
        .collect();
    let special = SpecialTokens { unknown: Some(unknown), pieces_apart: true, sentencepiece: true, ..special };
    let mut json = pieces.json(&vocabulary, unknown, added).map_err(wrong)?;
    // Before the first word, no space is written.
    json["decoder"] = metaspace("always", false);
    if let Some((id, (end, _))) = special.first_eos().and_then(|id| Some((id, vocabulary.get(id as usize)?))) {
        json["post_processor"] = ending(id, end);
    }
    let tokenizer = Tokenizer::from_json(json.to_string().as_bytes(), Some(special));
    tokenizer.map_err(|error| wrong(error.to_string()))
}

/// Whether these can be written as two models and what their pieces are to both or to each.
pub(crate) fn is_writable(source: &Tokenizer, target: &Tokenizer) -> bool {
    source.special().pieces_apart && target.special().pieces_apart
}

/// Writes them as `MarianTokenizer` reads them.
///
/// # Errors
/// Where they are of another kind, or the folder cannot be written.
pub(crate) fn write(folder: &Path, source: &Tokenizer, target: &Tokenizer) -> Result<(), Error> {
    for (tokenizer, name) in [(source, SOURCE), (target, TARGET)] {
        let json = tokenizer.to_json().map_err(descant_inference::Error::from)?;
        let json: Value = serde_json::from_str(&json).map_err(|error| Error::Family(error.to_string()))?;
        write_folder::write(folder, name, to_file(&json).map_err(Error::Family)?)?;
    }
    let tokens = |tokenizer: &Tokenizer| -> Map<String, Value> {
        let entries = tokenizer.special().entries.unwrap_or(0) as u32;
        let named = (0..entries).filter_map(|id| Some((tokenizer.token(id)?, id.into())));
        named.filter(|(token, _)| !token.starts_with(UNUSED)).collect()
    };
    let (own, other) = (tokens(source), tokens(target));
    let apart = own != other;
    write_folder::write(folder, VOCABULARY, write_folder::pretty(&own.into()))?;
    if apart {
        write_folder::write(folder, TARGET_VOCABULARY, write_folder::pretty(&other.into()))?;
    }
    let name = |id: Option<u32>| id.and_then(|id| target.token(id));
    let special = target.special();
    let settings = json!({
        "tokenizer_class": "MarianTokenizer", "separate_vocabs": apart, "eos_token": name(special.first_eos()),
        "unk_token": name(special.unknown), "source_lang": null, "target_lang": null,
    });
    write_folder::write(folder, TOKENIZER_CONFIG, write_folder::pretty(&settings))
}

/// Puts the end after a text.
pub(super) fn ending(id: u32, token: &str) -> Value {
    let text = |name: &str| json!({"Sequence": {"id": name, "type_id": 0}});
    let end = json!({"SpecialToken": {"id": token, "type_id": 0}});
    json!({
        "type": "TemplateProcessing", "single": [text("A"), end], "pair": [text("A"), text("B"), end],
        "special_tokens": {token: {"id": token, "ids": [id], "tokens": [token]}},
    })
}
