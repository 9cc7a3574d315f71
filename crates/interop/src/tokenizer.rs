//! The tokenizer of a folder.

use crate::folder::{MERGES, TOKENIZER, TOKENIZER_CONFIG, VOCABULARY, read_json_if};
use crate::{Error, Family};
use descant_text::{Around, Special, Tokenizer};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The `tokenizer_config.json` of a folder.
pub(crate) struct Settings {
    place: PathBuf,
    pub(crate) json: Value,
}

impl Settings {
    pub(crate) fn read(folder: &Path) -> Result<Self, Error> {
        let place = folder.join(TOKENIZER_CONFIG);
        let json = read_json_if(&place)?.unwrap_or_else(|| json!({}));
        Ok(Self { place, json })
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

/// The tokenizer: in one file, or in the two that GPT-2's came in.
pub(crate) fn read(folder: &Path, family: Family, special: Special) -> Result<Tokenizer, Error> {
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
