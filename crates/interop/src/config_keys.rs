//! Reads a `config.json` by key: says which key is missing or wrong, and knows which were never asked for.

use descant_autograd::Activation;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeSet;

/// Their names for activations; of several for one, the first is written.
const ACTIVATIONS: [(&str, Activation); 9] = [
    ("gelu_new", Activation::GeluTanh),
    ("gelu_pytorch_tanh", Activation::GeluTanh),
    ("gelu_fast", Activation::GeluTanh),
    ("gelu", Activation::Gelu),
    ("relu", Activation::Relu),
    ("silu", Activation::Silu),
    ("swish", Activation::Silu),
    ("tanh", Activation::Tanh),
    ("sigmoid", Activation::Sigmoid),
];

/// Keys that change nothing of what a model computes: where it is from, how it was drawn, how it is stored and called, and
/// heads of other tasks. What ends a text and what texts are written by is read with the tokenizer and the generation's own
/// configuration.
const WITHOUT_MEANING: &[&str] = &[
    "_name_or_path",
    "name_or_path",
    "architectures",
    "auto_map",
    "cache_implementation",
    "classif_dropout",
    "classifier_dropout",
    "decoder_layerdrop",
    "dtype",
    "encoder_layerdrop",
    "finetuning_task",
    "forced_eos_token_id",
    "gradient_checkpointing",
    "id2label",
    "initializer_factor",
    "initializer_range",
    "init_std",
    "is_encoder_decoder",
    "keys_to_ignore_at_inference",
    "label2id",
    "n_positions",
    "output_attentions",
    "output_hidden_states",
    "pad_token_id",
    "pretraining_tp",
    "problem_type",
    "return_dict",
    "summary_activation",
    "summary_first_dropout",
    "summary_proj_to_labels",
    "summary_type",
    "summary_use_proj",
    "tokenizer_class",
    "torch_dtype",
    "torchscript",
    "transformers_version",
    "use_bfloat16",
    "use_cache",
];

/// More than any other whole number is.
const MOST: u64 = i32::MAX as u64;

/// A table of a `config.json`.
pub(crate) struct Keys<'a> {
    table: &'a Value,
    /// Its own name and a dot; of the whole file nothing.
    prefix: String,
    /// Those that were asked for, with their tables' names before them.
    read: &'a RefCell<BTreeSet<String>>,
}

impl<'a> Keys<'a> {
    pub(crate) fn new(config: &'a Value, read: &'a RefCell<BTreeSet<String>>) -> Self {
        Self { table: config, prefix: String::new(), read }
    }

    /// The value of a key, but for null.
    pub(crate) fn value(&self, key: &str) -> Option<&'a Value> {
        self.read.borrow_mut().insert(format!("{}{key}", self.prefix));
        self.table.get(key).filter(|value| !value.is_null())
    }

    /// Whether it is there, be it null.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.get(key).is_some()
    }

    /// Whether it is there, and null.
    pub(crate) fn is_null(&self, key: &str) -> bool {
        self.table.get(key).is_some_and(Value::is_null)
    }

    pub(crate) fn get<T>(
        &self,
        key: &str,
        what: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>, String> {
        let wrong = |value| format!("{}{key} = {value}: expected {what}", self.prefix);
        self.value(key).map(|value| read(value).ok_or_else(|| wrong(value))).transpose()
    }

    pub(crate) fn number(&self, key: &str) -> Result<usize, String> {
        self.number_if(key)?.ok_or_else(|| format!("it has no {}{key}", self.prefix))
    }

    pub(crate) fn number_or(&self, key: &str, otherwise: usize) -> Result<usize, String> {
        Ok(self.number_if(key)?.unwrap_or(otherwise))
    }

    pub(crate) fn number_if(&self, key: &str) -> Result<Option<usize>, String> {
        let expected = format!("a whole number up to {MOST}");
        self.get(key, &expected, |value| value.as_u64().filter(|&n| n <= MOST).map(|n| n as usize))
    }

    /// One number under two keys.
    pub(crate) fn same_number(&self, a: &str, b: &str) -> Result<usize, String> {
        match (self.number(a)?, self.number(b)?) {
            (a, b) if a == b => Ok(a),
            (found, other) => Err(format!("{a} = {found} and {b} = {other}: expected one number")),
        }
    }

    pub(crate) fn id(&self, key: &str) -> Result<Option<u32>, String> {
        Ok(self.ids(key)?.first().copied())
    }

    /// One id or several.
    pub(crate) fn ids(&self, key: &str) -> Result<Vec<u32>, String> {
        let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
        let ids = |value: &Value| match value {
            Value::Array(ids) => ids.iter().map(id).collect(),
            one => id(one).map(|id| vec![id]),
        };
        Ok(self.get(key, "a token's id, or a list of them", ids)?.unwrap_or_default())
    }

    pub(crate) fn real(&self, key: &str, otherwise: f64) -> Result<f64, String> {
        Ok(self.real_if(key)?.unwrap_or(otherwise))
    }

    pub(crate) fn real_if(&self, key: &str) -> Result<Option<f64>, String> {
        self.get(key, "a number", Value::as_f64)
    }

    pub(crate) fn flag(&self, key: &str, otherwise: bool) -> Result<bool, String> {
        Ok(self.flag_if(key)?.unwrap_or(otherwise))
    }

    pub(crate) fn flag_if(&self, key: &str) -> Result<Option<bool>, String> {
        self.get(key, "true or false", Value::as_bool)
    }

    /// That a switch stands as the family's models need it, or is not there.
    pub(crate) fn needs(&self, key: &str, needed: bool) -> Result<(), String> {
        match self.flag(key, needed)? == needed {
            true => Ok(()),
            false => Err(format!("{}{key} = {}: expected {needed}", self.prefix, !needed)),
        }
    }

    pub(crate) fn text(&self, key: &str) -> Result<Option<String>, String> {
        self.get(key, "a text", |value| value.as_str().map(str::to_owned))
    }

    /// A list of texts.
    pub(crate) fn texts(&self, key: &str) -> Result<Option<Vec<String>>, String> {
        self.get(key, "a list of texts", |value| {
            value.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect()
        })
    }

    pub(crate) fn activation(&self, key: &str, otherwise: &str) -> Result<Activation, String> {
        activation(&self.text(key)?.unwrap_or_else(|| otherwise.to_owned()))
    }

    /// A share that is dropped in training.
    pub(crate) fn dropout(&self, key: &str, otherwise: f64) -> Result<f64, String> {
        match self.real(key, otherwise)? {
            share if (0.0..1.0).contains(&share) => Ok(share),
            share => Err(format!("{key} = {share}: expected a number from 0 to below 1")),
        }
    }

    /// A table within this one; an empty one is none.
    pub(crate) fn table(&self, key: &str) -> Result<Option<Self>, String> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Object(own)) if own.is_empty() => Ok(None),
            Some(table @ Value::Object(_)) => {
                let prefix = format!("{}{key}.", self.prefix);
                Ok(Some(Self { table, prefix, read: self.read }))
            }
            Some(other) => Err(format!("{key} = {other}: expected a table")),
        }
    }

    /// Keys with a value that nobody asked for, and that may have a meaning.
    pub(crate) fn unread(&self) -> Vec<String> {
        let read = self.read.borrow();
        let mut unread = Vec::new();
        let mut tables = vec![(String::new(), self.table)];
        while let Some((prefix, table)) = tables.pop() {
            for (key, value) in table.as_object().into_iter().flatten() {
                let name = format!("{prefix}{key}");
                let inner = format!("{name}.");
                if read.iter().any(|known| known.starts_with(&inner)) {
                    tables.push((inner, value));
                } else if !value.is_null() && !read.contains(&name) && !WITHOUT_MEANING.contains(&name.as_str()) {
                    unread.push(name);
                }
            }
        }
        unread.sort_unstable();
        unread
    }
}

pub(crate) fn activation(name: &str) -> Result<Activation, String> {
    let known = ACTIVATIONS.iter().find(|(known, _)| *known == name);
    known.map(|(_, activation)| *activation).ok_or_else(|| format!("the activation {name:?} is not known"))
}

/// `None` where they have no name for it.
pub(crate) fn activation_name(activation: Activation) -> Option<&'static str> {
    ACTIVATIONS.iter().find(|(_, known)| *known == activation).map(|(name, _)| *name)
}
