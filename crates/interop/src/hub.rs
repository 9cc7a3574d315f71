//! Fetches folders by name from the Hugging Face Hub, into its cache on this machine, which other programs share.

use crate::folder::{
    ADAPTER_CONFIG, CHAT_TEMPLATE, CONFIG, GENERATION, INDEX, MERGES, PICKLED, PICKLED_INDEX, TOKENIZER,
    TOKENIZER_CONFIG, WEIGHTS,
};
use crate::tokenizer::from_sentencepiece;
use crate::tokenizer::marian::{self, TARGET_VOCABULARY};
use crate::{Error, peft};
use hf_hub::api::sync::{ApiBuilder, ApiError};
use hf_hub::{Cache, Repo, RepoType};
use std::path::{Path, PathBuf};

/// What stands before a name.
const PREFIX: &str = "hf:";
/// The most recent state.
const MAIN: &str = "main";

/// A model of the hub: `hf:OWNER/NAME` or `hf:OWNER/NAME@REVISION`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubName {
    repository: String,
    revision: String,
}

impl HubName {
    /// The name that `text` is; `None` where it does not begin with `hf:`.
    ///
    /// # Errors
    /// Where what follows is no name.
    pub fn parse(text: &str) -> Option<Result<Self, Error>> {
        let name = text.strip_prefix(PREFIX)?;
        let (repository, revision) = name.split_once('@').unwrap_or((name, MAIN));
        let is_word = |word: &str| {
            let known = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            !word.is_empty() && !word.starts_with('.') && word.chars().all(known)
        };
        let parts = repository.split('/').count();
        // Models of the first days have no owner.
        let is_name =
            (1..=2).contains(&parts) && repository.split('/').all(is_word) && revision.split('/').all(is_word);
        let name = Self { repository: repository.to_owned(), revision: revision.to_owned() };
        Some(if is_name { Ok(name) } else { Err(Error::HubName(text.to_owned())) })
    }

    /// The last part of it.
    pub fn short(&self) -> &str {
        self.repository.rsplit('/').next().unwrap_or(&self.repository)
    }

    /// Fetches what [`crate::import`] reads, as far as it is not in the cache, and returns the folder. Broken off, it goes
    /// on from there the next time. Without a network, what was fetched before is taken.
    ///
    /// The variables `HF_HOME`, `HF_ENDPOINT` and `HF_TOKEN` mean what they do for other programs of the hub.
    ///
    /// # Errors
    /// Where there is no network, no such model, or one that needs a token.
    pub fn fetch(&self) -> Result<PathBuf, Error> {
        let mut builder = ApiBuilder::from_env();
        if let Some(token) = std::env::var("HF_TOKEN").ok().filter(|token| !token.is_empty()) {
            builder = builder.with_token(Some(token));
        }
        let api = builder.build().map_err(|error| self.wrong(&error))?;
        let kept = Cache::from_env().repo(self.at(&self.revision));
        let info = match api.repo(self.at(&self.revision)).info() {
            Ok(info) => info,
            Err(error) => {
                let folder = kept.get(CONFIG).or_else(|| kept.get(ADAPTER_CONFIG)).filter(|_| status(&error).is_none());
                return folder.and_then(|path| folder_of(&path)).ok_or_else(|| self.wrong(&error));
            }
        };
        let listed: Vec<&str> = info.siblings.iter().map(|file| file.rfilename.as_str()).collect();
        let names = wanted(&listed).map_err(|missing| {
            let reason = format!("it has no {missing}, but {}", listed.join(", "));
            Error::Hub { name: self.repository.clone(), reason }
        })?;
        if !info.sha.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let reason = format!("it says that its commit is {:?}", info.sha);
            return Err(Error::Hub { name: self.repository.clone(), reason });
        }
        // At the commit that was listed: the files of one model, even if it changes meanwhile.
        let fixed = api.repo(self.at(&info.sha));
        let mut folder = None;
        for name in names {
            folder = folder_of(&fixed.get(name).map_err(|error| self.wrong(&error))?);
        }
        // Where to find it without a network.
        kept.create_ref(&info.sha).map_err(|error| self.wrong(&error.into()))?;
        folder.ok_or_else(|| Error::Hub { name: self.repository.clone(), reason: "it is empty".to_owned() })
    }

    fn at(&self, revision: &str) -> Repo {
        Repo::with_revision(self.repository.clone(), RepoType::Model, revision.to_owned())
    }

    fn wrong(&self, error: &ApiError) -> Error {
        let remedy = match status(error) {
            Some(401 | 403) => "There is no such model, or it is one that needs a token: set HF_TOKEN",
            Some(404) => "There is no such model or revision",
            Some(_) => "Try again later",
            None => "Is there a network? Without one, bring the model's folder here in another way, and import that",
        };
        // Of which hub, and which cache, where they are not the usual ones.
        let own = |name| std::env::var(name).ok().map(|value| format!(" ({name} is {value})"));
        let places: String = ["HF_ENDPOINT", "HF_HOME"].into_iter().filter_map(own).collect();
        Error::Hub { name: self.repository.clone(), reason: format!("{error}{places}. {remedy}") }
    }
}

/// What the hub answered, if it did.
fn status(error: &ApiError) -> Option<u16> {
    match error {
        ApiError::RequestError(error) => match **error {
            ureq::Error::StatusCode(status) => Some(status),
            _ => None,
        },
        _ => None,
    }
}

fn folder_of(file: &Path) -> Option<PathBuf> {
    file.parent().map(PathBuf::from)
}

/// Which of the files that are there make a model; or which one is missing.
fn wanted<'a>(listed: &[&'a str]) -> Result<Vec<&'a str>, &'static str> {
    let find = |wanted: &'static str| listed.iter().copied().find(|&name| name == wanted);
    let is_whole = [WEIGHTS, INDEX, PICKLED, PICKLED_INDEX].into_iter().any(|name| find(name).is_some());
    if let Some(adapter) = find(ADAPTER_CONFIG).filter(|_| !is_whole) {
        let weights = find(peft::WEIGHTS).or_else(|| find(peft::PICKLED)).ok_or(peft::WEIGHTS)?;
        let beside = peft::BESIDE.into_iter().filter_map(find);
        return Ok([adapter, weights].into_iter().chain(beside).collect());
    }
    let mut names = vec![find(CONFIG).ok_or(CONFIG)?];
    // Safetensors, or else PyTorch's pickles; as one file, or in parts that an index lists.
    let forms = [(INDEX, "model-", ".safetensors", WEIGHTS), (PICKLED_INDEX, "pytorch_model-", ".bin", PICKLED)];
    let form = forms.into_iter().find_map(|(index, start, end, one)| match (find(index), find(one)) {
        (Some(index), _) => {
            let is_part = |name: &&str| name.starts_with(start) && name.ends_with(end) && !name.contains('/');
            Some([index].into_iter().chain(listed.iter().copied().filter(is_part)).collect())
        }
        (None, Some(one)) => Some(vec![one]),
        (None, None) => None,
    });
    names.extend(form.ok_or(WEIGHTS)?);
    match find(TOKENIZER) {
        Some(tokenizer) => names.push(tokenizer),
        None => {
            let others = [MERGES, TARGET_VOCABULARY].into_iter().chain(marian::FILES).chain(from_sentencepiece::FILES);
            names.extend(others.filter_map(find));
        }
    }
    names.extend([TOKENIZER_CONFIG, CHAT_TEMPLATE, GENERATION].into_iter().filter_map(find));
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_folders_and_from_what_is_neither() {
        let parse =
            |text: &str| HubName::parse(text).map(|name| name.map(|name| (name.repository, name.revision)).ok());
        let is = |repository: &str, revision: &str| Some(Some((repository.to_owned(), revision.to_owned())));
        assert_eq!(parse("models/gpt2"), None);
        assert_eq!(parse("hf:openai-community/gpt2"), is("openai-community/gpt2", MAIN));
        assert_eq!(parse("hf:t5-small@refs/pr/3"), is("t5-small", "refs/pr/3"));
        for wrong in ["hf:", "hf:a/b/c", "hf:../b", "hf:a/", "hf:a b/c", "hf:a/b@", "hf:a/b@../c", "hf:https://x/y"] {
            assert_eq!(parse(wrong), Some(None), "{wrong}");
        }
    }

    #[test]
    fn only_the_files_of_the_model_are_fetched() {
        let one =
            ["README.md", "config.json", "model.safetensors", "pytorch_model.bin", "tokenizer.json", "vocab.json"];
        assert_eq!(wanted(&one), Ok(vec!["config.json", "model.safetensors", "tokenizer.json"]));
        let parts = [
            "config.json",
            "generation_config.json",
            "merges.txt",
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
            "model.safetensors.index.json",
            "onnx/model-1.safetensors",
            "vocab.json",
        ];
        let mut expected: Vec<&str> = parts.into_iter().filter(|name| !name.contains('/')).collect();
        let mut found = wanted(&parts).unwrap();
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected);
        let opus = ["config.json", "pytorch_model.bin", "rust_model.ot", "source.spm", "target.spm", "vocab.json"];
        let mut found = wanted(&opus).unwrap();
        found.sort_unstable();
        assert_eq!(found, opus.into_iter().filter(|name| *name != "rust_model.ot").collect::<Vec<_>>());
        assert_eq!(wanted(&["config.json", "tf_model.h5"]), Err("model.safetensors"));
        assert_eq!(wanted(&["README.md"]), Err("config.json"));
        let pieces = ["config.json", "model.safetensors", "spiece.model", "tokenizer_config.json"];
        assert_eq!(wanted(&pieces), Ok(pieces.to_vec()));
        let adapter =
            ["adapter_config.json", "adapter_model.safetensors", "tokenizer.json", "config.json", "README.md"];
        assert_eq!(wanted(&adapter), Ok(adapter[..3].to_vec()));
    }
}
