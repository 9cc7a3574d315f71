//! The tokenizer of a folder.

pub(crate) mod byte_pairs;
pub(crate) mod list;
pub(crate) mod marian;
pub(crate) mod sentencepiece;

use crate::folder::{MERGES, TOKENIZER, TOKENIZER_CONFIG, VOCABULARY, read_json_if};
use crate::{Error, Family};
use descant_text::{Around, Special, Tokenizer};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Older folders have the names of special tokens here.
const SPECIAL_TOKENS: &str = "special_tokens_map.json";
/// The names of the keys that they are under.
const NAMED: [&str; 7] = ["bos_token", "eos_token", "unk_token", "pad_token", "cls_token", "sep_token", "mask_token"];

/// The `tokenizer_config.json` of a folder.
pub(crate) struct Settings {
    place: PathBuf,
    pub(crate) json: Value,
}

impl Settings {
    pub(crate) fn read(folder: &Path) -> Result<Self, Error> {
        let place = folder.join(TOKENIZER_CONFIG);
        let mut json = read_json_if(&folder.join(SPECIAL_TOKENS))?.unwrap_or_else(|| json!({}));
        let own = read_json_if(&place)?.unwrap_or_else(|| json!({}));
        if let (Value::Object(json), Value::Object(own)) = (&mut json, own) {
            json.extend(own);
        }
        Ok(Self { place, json })
    }

    /// Where a file says nothing.
    pub(crate) fn none(place: &Path) -> Self {
        Self { place: place.to_owned(), json: json!({}) }
    }

    /// What is wrong with it.
    pub(crate) fn wrong(&self, reason: impl Into<String>) -> Error {
        Error::folder(&self.place, reason)
    }

    /// The name of a token, such as of `eos_token`.
    pub(crate) fn token(&self, key: &str) -> Result<Option<&str>, Error> {
        match self.json.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(token) => {
                let name = token.as_str().or_else(|| token.get("content")?.as_str());
                name.map(Some).ok_or_else(|| self.wrong(format!("{key} = {token}: expected a text")))
            }
        }
    }

    /// Whether it says anything of a key.
    pub(crate) fn says(&self, key: &str) -> bool {
        self.json.get(key).is_some()
    }

    /// The tokenizer with those as special tokens that are named here: as in `transformers`, also where its own file has them
    /// among its words.
    pub(crate) fn with_named(&self, tokenizer: Tokenizer) -> Result<Tokenizer, Error> {
        let mut names = Vec::new();
        for key in NAMED {
            let name = self.token(key)?.filter(|name| tokenizer.id(name).is_some_and(|id| !tokenizer.is_special(id)));
            names.extend(name.map(str::to_owned));
        }
        Ok(tokenizer.with_marks(&names).map_err(descant_train::Error::from)?)
    }

    fn flag(&self, key: &str) -> Result<Option<bool>, Error> {
        match self.json.get(key) {
            None => Ok(None),
            Some(Value::Null) => Ok(Some(false)),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => Err(self.wrong(format!("{key} = {other}: expected true or false"))),
        }
    }

    /// What stands around a text: what the post-processor says, but as `transformers` has it, `add_bos_token` and
    /// `add_eos_token` say it in its place where either is there.
    pub(crate) fn around(&self, tokenizer: &Tokenizer) -> Result<Around, Error> {
        let flags = [self.flag("add_bos_token")?, self.flag("add_eos_token")?];
        if flags == [None; 2] {
            return Ok(tokenizer.around().map_err(descant_train::Error::from)?);
        }
        let ids = |flag: Option<bool>, key: &str| {
            let Some(name) = self.token(key)?.filter(|_| flag == Some(true)) else { return Ok(Vec::new()) };
            let id =
                tokenizer.id(name).ok_or_else(|| self.wrong(format!("{key} = {name:?} is no token of {TOKENIZER}")))?;
            Ok::<_, Error>(vec![id])
        };
        Ok(Around { before: ids(flags[0], "bos_token")?, after: ids(flags[1], "eos_token")? })
    }
}

/// The tokenizer of what is written: in one file, or in those that its family has without it.
pub(crate) fn read(folder: &Path, family: Family, settings: &Settings, special: Special) -> Result<Tokenizer, Error> {
    let place = folder.join(TOKENIZER);
    if place.exists() {
        return Ok(Tokenizer::load(&place, Some(special)).map_err(descant_train::Error::from)?);
    }
    let has = |names: &[&str]| names.iter().all(|name| folder.join(name).is_file());
    let missing = |needed: &str| Error::folder(folder, format!("it has no tokenizer.json, and not {needed} either"));
    match family {
        Family::Marian if has(&marian::FILES) => marian::read(folder, marian::Side::Target, special),
        Family::Marian => Err(missing("source.spm, target.spm and vocab.json")),
        Family::Gpt2 | Family::Qwen2 if has(&[VOCABULARY, MERGES]) => {
            byte_pairs::read(folder, family, settings, special)
        }
        Family::Gpt2 | Family::Qwen2 => Err(missing("vocab.json and merges.txt")),
        _ => Err(Error::folder(
            folder,
            "it has no tokenizer.json. Write one with transformers: \
             AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)",
        )),
    }
}

/// The tokenizer of the sources, where it is another.
pub(crate) fn source(folder: &Path, family: Family, special: Special) -> Result<Option<Tokenizer>, Error> {
    match family == Family::Marian && !folder.join(TOKENIZER).exists() {
        true => marian::read(folder, marian::Side::Source, special).map(Some),
        false => Ok(None),
    }
}

/// An added token as `tokenizer.json` has it.
pub(crate) fn added(id: u32, token: &str, special: bool) -> Value {
    json!({
        "id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
        "special": special,
    })
}
