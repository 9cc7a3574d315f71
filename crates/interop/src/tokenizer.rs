//! The tokenizer of a folder.

pub(crate) mod byte_pairs;
pub(crate) mod from_sentencepiece;
pub(crate) mod list;
pub(crate) mod marian;
pub(crate) mod sentencepiece;

use crate::folder::{MERGES, TOKENIZER, TOKENIZER_CONFIG, VOCABULARY, read_json_if};
use crate::{Error, Family};
use descant_text::{PostProcessor, SpecialTokens, Tokenizer};
use serde_json::{Value, json};
use std::collections::BTreeMap;
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
        Ok(tokenizer.with_marks(&names).map_err(descant_inference::Error::from)?)
    }

    fn number(&self, key: &str) -> Result<Option<u64>, Error> {
        match self.json.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(number) => number
                .as_u64()
                .map(Some)
                .ok_or_else(|| self.wrong(format!("{key} = {number}: expected a whole number"))),
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

    /// The special tokens that are added to a text, and a note for the user: those of the post-processor. Without a
    /// `tokenizer.json`, `add_bos_token` and `add_eos_token` decide, which `transformers` does not read beside that file.
    pub(crate) fn post_processor(&self, tokenizer: &Tokenizer) -> Result<(PostProcessor, Option<String>), Error> {
        let flags = [self.flag("add_bos_token")?, self.flag("add_eos_token")?];
        let own = || tokenizer.post_processor().map_err(descant_inference::Error::from);
        if flags == [None; 2] {
            return Ok((own()?, None));
        }
        let flagged = self.flagged(flags, tokenizer)?;
        if !self.place.with_file_name(TOKENIZER).exists() {
            return Ok((flagged, None));
        }
        let own = own()?;
        let note = (own != flagged).then(|| {
            format!("{TOKENIZER_CONFIG}: add_bos_token and add_eos_token are not read: the post-processor of {TOKENIZER} decides")
        });
        Ok((own, note))
    }

    fn flagged(&self, flags: [Option<bool>; 2], tokenizer: &Tokenizer) -> Result<PostProcessor, Error> {
        let special = tokenizer.special();
        let ids = |flag: Option<bool>, key: &str, of_config: Option<u32>| match self.token(key)? {
            _ if flag != Some(true) => Ok(Vec::new()),
            None => Ok(of_config.into_iter().collect()),
            Some(name) => match tokenizer.id(name) {
                Some(id) => Ok(vec![id]),
                None => Err(self.wrong(format!("{key} = {name:?} is no token of {TOKENIZER}"))),
            },
        };
        let before = ids(flags[0], "bos_token", special.bos)?;
        Ok(PostProcessor { prefix: before, suffix: ids(flags[1], "eos_token", special.first_eos())? })
    }
}

/// The tokenizer of what is written: in one file, or in those that its family has without it.
pub(crate) fn read(
    folder: &Path,
    family: Family,
    settings: &Settings,
    special: SpecialTokens,
) -> Result<Tokenizer, Error> {
    let place = folder.join(TOKENIZER);
    if place.exists() {
        return Ok(Tokenizer::load(&place, Some(special)).map_err(descant_inference::Error::from)?);
    }
    let has = |names: &[&str]| names.iter().all(|name| folder.join(name).is_file());
    let missing = |needed: &str| {
        let reason = format!(
            "it has no tokenizer.json, and not {needed} either. Where transformers knows its tokenizer, it writes one: \
             AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)"
        );
        Error::folder(folder, reason)
    };
    match family {
        Family::Marian if has(&marian::FILES) => marian::read(folder, marian::Side::Target, special),
        Family::Marian => Err(missing("source.spm, target.spm and vocab.json")),
        Family::Gpt2 | Family::Qwen2 if has(&[VOCABULARY, MERGES]) => {
            byte_pairs::read(folder, family, settings, special)
        }
        Family::Gpt2 | Family::Qwen2 => Err(missing("vocab.json and merges.txt")),
        _ => match from_sentencepiece::FILES.iter().map(|name| folder.join(name)).find(|path| path.is_file()) {
            Some(path) => from_sentencepiece::read(&path, family, settings, special),
            None => Err(missing("a model of SentencePiece (tokenizer.model, spiece.model)")),
        },
    }
}

/// The tokenizer of a file: a `tokenizer.json`, or a model of SentencePiece.
///
/// # Errors
/// Where it is neither, or damaged.
pub fn tokenizer(path: &Path) -> Result<Tokenizer, Error> {
    let is_json = path.extension().is_some_and(|kind| kind.eq_ignore_ascii_case("json"));
    let tokenizer = match is_json {
        true => {
            Tokenizer::try_apart(path, Some(SpecialTokens::none())).map_err(descant_inference::Error::from)?;
            Tokenizer::load(path, Some(SpecialTokens::none())).map_err(descant_inference::Error::from)?
        }
        false => from_sentencepiece::open(path)?,
    };
    let around = tokenizer.post_processor().map_err(descant_inference::Error::from)?;
    let special =
        SpecialTokens { unknown: tokenizer.unknown(), post_processor: Some(around), ..tokenizer.special().clone() };
    Ok(tokenizer.with_special(special).map_err(descant_inference::Error::from)?)
}

/// The tokenizer of the sources, where it is another.
pub(crate) fn source(folder: &Path, family: Family, special: SpecialTokens) -> Result<Option<Tokenizer>, Error> {
    match family == Family::Marian && !folder.join(TOKENIZER).exists() {
        true => marian::read(folder, marian::Side::Source, special).map(Some),
        false => Ok(None),
    }
}

/// The added tokens that `tokenizer_config.json` lists.
fn declared(settings: &Settings) -> Result<BTreeMap<u32, Value>, Error> {
    let wrong = |reason: String| settings.wrong(format!("added_tokens_decoder: {reason}"));
    let list = settings.json.get("added_tokens_decoder").and_then(Value::as_object);
    let token = |(id, token): (&String, &Value)| {
        let id: u32 = id.parse().map_err(|_| wrong(format!("{id:?} is no id")))?;
        let content = token["content"].as_str().ok_or_else(|| wrong(format!("{id} has no content")))?;
        let mut declared = added(id, content, token["special"] == true);
        for flag in ["single_word", "lstrip", "rstrip", "normalized"] {
            declared[flag] = (token[flag] == true).into();
        }
        Ok((id, declared))
    };
    list.into_iter().flatten().map(token).collect()
}

/// An added token as `tokenizer.json` has it.
pub(crate) fn added(id: u32, token: &str, special: bool) -> Value {
    json!({
        "id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
        "special": special,
    })
}
