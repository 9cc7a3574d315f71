//! Recurrent models as PyTorch reads them: no family of `transformers`, but tensors under the names of its layers.
//!
//! A folder has three kinds of files:
//! - `model.safetensors` or `pytorch_model.bin`: the tensors, under the names that the model has here. Those of an LSTM or
//!   a GRU are `torch.nn.LSTM`'s and `torch.nn.GRU`'s, behind `encoder.rnn.` and `decoder.rnn.`, or of a language model
//!   `rnn.`: the same order of gates, and both biases.
//! - `config.json`: the keys of a recipe's `[model]`, and beside them `vocabulary` and `source_vocabulary` (entries of the
//!   tables), `special` and `source_special` (which tokens are `unknown`, `beginning` and `end`, by id or by name), and
//!   `loss` where it is another than the softmax.
//! - `tokenizer.json`, or `source_tokenizer.json` and `target_tokenizer.json`. In place of each a list may lie, one token
//!   a line in the order of the ids: `vocabulary.txt`, `source_vocabulary.txt`, `target_vocabulary.txt`. What its tokens are
//!   `tokens` and `source_tokens` say: `word`, which white space parts, or `character`.

use crate::Error;
use crate::export::row_major;
use crate::folder::{CONFIG, TOKENIZER, WEIGHTS, read_json};
use crate::foreign::{Foreign, Layout};
use crate::tokenizer::list;
use crate::weights::{Weights, tied_names};
use crate::write_folder::{pretty, whole, write, write_tensors};
use descant_inference::{Recipe, Tokenizers, Trained};
use descant_models::{LossConfig, ModelConfig, ModelKind};
use descant_text::{SpecialTokens, Tokenizer, TokenizerConfig};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

/// A list of tokens, behind the side that it is of.
const LIST: &str = "vocabulary.txt";

/// Writes a recurrent model's tensors under PyTorch's names, those that are tied under each of theirs, its sizes in
/// `config.json`, and its tokenizers.
///
/// # Errors
/// Where something is in the folder, or cannot be written.
pub fn export_recurrent(trained: &Trained, folder: &Path) -> Result<(), Error> {
    whole(folder, |folder| fill(trained, folder))
}

fn fill(trained: &Trained, folder: &Path) -> Result<(), Error> {
    let (parameters, config) = (row_major(trained)?, &trained.recipe.model);
    let tied = tied_names(config);
    let own = parameters.ids().map(|id| (parameters.name(id), id));
    let others = tied.iter().filter(|(name, _)| parameters.find(name).is_none());
    let others = others.filter_map(|&(name, of)| Some((name, parameters.find(of)?)));
    let tensor = |(name, id): (&str, _)| {
        (name.to_owned(), parameters.shape(id).dims().to_vec(), parameters.values::<f32>(id).to_vec())
    };
    write_tensors(&folder.join(WEIGHTS), &own.chain(others).map(tensor).collect::<Vec<_>>())?;
    trained.tokenizers.save(folder)?;
    let mut sizes = json!(config);
    sizes["vocabulary"] = trained.tokenizers.target.vocabulary().into();
    // One continuous text goes on as after a line end.
    sizes["special"] = json!(SpecialTokens { bos: trained.bos()?, ..trained.tokenizers.target.special().clone() });
    if let Some(source) = &trained.tokenizers.source {
        sizes["source_vocabulary"] = source.vocabulary().into();
        sizes["source_special"] = json!(source.special());
    }
    if trained.recipe.loss != LossConfig::default() {
        sizes["loss"] = json!(trained.recipe.loss);
    }
    write(folder, CONFIG, pretty(&sizes))
}

/// The model of a folder whose `config.json` is this.
///
/// # Errors
/// Where the folder is not whole, or a key is not known or has another value than it may have.
pub(crate) fn open(folder: &Path, mut config: Value) -> Result<Foreign, Error> {
    let wrong = |reason: String| Error::folder(&folder.join(CONFIG), reason);
    let mut take =
        |key: &str| config.as_object_mut().and_then(|config| config.remove(key)).filter(|value| !value.is_null());
    let sides = [("tokens", "special", "vocabulary"), ("source_tokens", "source_special", "source_vocabulary")];
    let [target, source] = sides.map(|(tokens, special, rows)| Side {
        tokens: (tokens, take(tokens)),
        special: (special, take(special)),
        rows: (rows, take(rows)),
    });
    let loss = take("loss").map(serde_json::from_value).transpose();
    let loss: Option<LossConfig> = loss.map_err(|error| wrong(format!("loss: {error}")))?;
    let model: ModelConfig = serde_json::from_value(config).map_err(|error| wrong(error.to_string()))?;
    let pair = model.kind == ModelKind::EncoderDecoder;
    let (target, own) = target.open(folder, if pair { &["target_", ""] } else { &[""] })?;
    let mut recipe = Recipe { loss: loss.unwrap_or_default(), ..Recipe::of(model) };
    recipe.tokenizer.special = own;
    let mut tokenizers = Tokenizers { source: None, target: Arc::new(target) };
    if pair {
        let is_shared = [TOKENIZER, LIST].iter().any(|name| folder.join(name).is_file());
        tokenizers.source = Some(match is_shared {
            true => tokenizers.target.clone(),
            false => {
                let (source, special) = source.open(folder, &["source_"])?;
                let target = TokenizerConfig { special: recipe.tokenizer.special.take(), ..TokenizerConfig::default() };
                (recipe.tokenizer.special, recipe.target_tokenizer) = (special, Some(target));
                Arc::new(source)
            }
        });
    }
    recipe.validate().map_err(wrong)?;
    let weights = Weights::open(folder)?;
    Ok(Foreign { layout: Layout::PyTorch, recipe, tokenizers, chat: None, notes: Vec::new(), weights })
}

/// What `config.json` says of the tokens of a side, with the names of its keys.
struct Side {
    tokens: (&'static str, Option<Value>),
    special: (&'static str, Option<Value>),
    rows: (&'static str, Option<Value>),
}

impl Side {
    /// The tokenizer in the first file that there is, of those whose names begin with one of `prefixes`, and its special
    /// ids where it is none that was trained here.
    fn open(self, folder: &Path, prefixes: &[&str]) -> Result<(Tokenizer, Option<SpecialTokens>), Error> {
        let wrong = |reason: String| Error::folder(&folder.join(CONFIG), reason);
        let find = |name: &str| {
            prefixes.iter().map(|prefix| folder.join(format!("{prefix}{name}"))).find(|path| path.is_file())
        };
        let (key, special) = self.special;
        let list = find(LIST);
        let (path, mut json, special) = match (find(TOKENIZER), &list) {
            (Some(path), _) => {
                let json = read_json(&path)?;
                (path, json, special)
            }
            (None, Some(path)) => {
                let tokens = list::read(path)?;
                let (key, kind) = self.tokens;
                let json = match kind.as_ref().and_then(Value::as_str) {
                    Some("word") => list::words(&tokens),
                    Some("character") => list::characters(&tokens),
                    _ => {
                        let expected = format!("{key}: expected \"word\" or \"character\", what the tokens of");
                        return Err(wrong(format!("{expected} {} are", path.display())));
                    }
                };
                let named = || json!({"unknown": "<unk>", "beginning": "<s>", "end": "</s>"});
                (path.clone(), json, Some(special.unwrap_or_else(named)))
            }
            (None, None) => {
                let names = prefixes.iter().flat_map(|prefix| [TOKENIZER, LIST].map(|name| format!("{prefix}{name}")));
                let names = names.collect::<Vec<_>>().join(", ");
                return Err(Error::folder(folder, format!("it has no tokens: none of the files {names}")));
            }
        };
        let special = special.map(|special| list::special(special, &mut json, list.is_some())).transpose();
        let mut special = special.map_err(|reason| wrong(format!("{key}: {reason}")))?;
        if let (Some(rows), Some(special)) = (self.rows.1.as_ref().and_then(Value::as_u64), &mut special) {
            special.entries = special.entries.or(usize::try_from(rows).ok());
        }
        if list.is_none() {
            Tokenizer::try_apart(&path, special.clone()).map_err(descant_inference::Error::from)?;
        }
        let tokenizer = Tokenizer::from_json(json.to_string().as_bytes(), special.clone());
        let tokenizer = tokenizer.map_err(|error| Error::folder(&path, error.to_string()))?;
        match self.rows.1 {
            Some(rows) if rows != tokenizer.vocabulary() => {
                let entries = tokenizer.vocabulary();
                Err(wrong(format!("{} = {rows}, but {} has {entries} entries", self.rows.0, path.display())))
            }
            _ => Ok((tokenizer, special)),
        }
    }
}
