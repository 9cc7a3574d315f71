//! Which keys differ between two recipes, and whether that makes another training of it.

use super::Recipe;
use descant_generate::{find_option, is_neutral};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Keys that may change when a run is resumed; each change is logged.
pub const MAY_CHANGE: [&str; 13] = [
    "train.steps",
    "train.epochs",
    "train.patience",
    "train.learning_rate",
    "train.clip",
    "train.validate_every",
    "train.metric_command",
    "train.metric_timeout",
    "train.log_every",
    "train.checkpoint_every",
    "train.keep",
    "train.non_finite",
    "generation",
];
/// Paths of what the run needs no more, or knows by its checksum.
const PLACES: [&str; 6] = ["init", "data.train", "data.validation", "data.chat_template", "distill.teacher", "vectors"];

/// The tables of a recipe that say what the weights compute.
const ARCHITECTURE: [&str; 3] = ["model", "loss.kind", "control"];
/// What of them matters in training alone.
const TRAINING_ALONE: [&str; 12] = [
    "model.dropout",
    "model.embedding_dropout",
    "model.forget_bias",
    "model.origin",
    "model.recurrent_dropout",
    "model.recurrent_init",
    "model.transformer.activation_dropout",
    "model.transformer.attention_dropout",
    "model.transformer.layer_drop",
    "model.transformer.recompute",
    "model.variational_dropout",
    "model.word_dropout",
];

/// A key of two recipes that is not the same in both.
#[derive(Debug)]
pub struct Difference {
    /// Its name, with those of its tables.
    pub key: String,
    /// The value that it had.
    pub was: Option<Value>,
    /// The value that it has.
    pub is: Option<Value>,
}

impl Difference {
    /// Of what `is` against what `was`.
    pub fn all(was: &Recipe, is: &Recipe) -> Vec<Self> {
        let [was, is] = [was, is].map(|recipe| {
            let mut keys = BTreeMap::new();
            flatten(serde_json::to_value(recipe).unwrap_or_default(), String::new(), &mut keys);
            keys
        });
        let keys: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
        let difference = |key: &String| Self { key: key.clone(), was: was.get(key).cloned(), is: is.get(key).cloned() };
        keys.into_iter().map(difference).filter(|found| found.was != found.is && !found.is_default()).collect()
    }

    /// Whether it is one of these keys, or within one of these tables.
    pub fn is_of(&self, keys: &[&str]) -> bool {
        keys.iter().any(|key| self.key.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
    }

    /// Whether the same weights compute something else by it.
    pub fn is_of_architecture(&self) -> bool {
        self.is_of(&ARCHITECTURE) && !self.is_of(&TRAINING_ALONE)
    }

    /// Whether it is a decoding option with its default, given or not: runs from before were written with some.
    fn is_default(&self) -> bool {
        let option = self.key.strip_prefix("generation.").and_then(find_option);
        let means_it = |option, value: &Option<Value>| value.as_ref().is_none_or(|value| is_neutral(option, value));
        option.is_some_and(|option| means_it(option, &self.was) && means_it(option, &self.is))
    }

    fn is_forbidden(&self) -> bool {
        !self.is_of(&MAY_CHANGE) && !self.is_of(&PLACES)
    }

    /// Those that make another training of it.
    pub fn forbidden(all: &[Self]) -> Option<String> {
        let told: Vec<String> = all.iter().filter(|found| found.is_forbidden()).map(Self::to_string).collect();
        (!told.is_empty()).then(|| told.join("; "))
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, was, is } = self;
        match (was, is) {
            (Some(was), Some(is)) => write!(f, "{key} is {is}, was {was}"),
            (None, Some(is)) => write!(f, "{key} is {is}, was not given"),
            (Some(was), None) => write!(f, "{key} is not given, was {was}"),
            (None, None) => write!(f, "{key}"),
        }
    }
}

/// The values of a tree under the dotted names of their keys.
fn flatten(value: Value, name: String, keys: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(table) => {
            for (key, value) in table {
                let name = if name.is_empty() { key } else { format!("{name}.{key}") };
                flatten(value, name, keys);
            }
        }
        value => {
            keys.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_from_before_is_the_same_with_the_names_of_today() {
        let read = |generation: &str| {
            let model = "[model]\nkind = \"language-model\"\n[data]\ntrain = \"t\"\n";
            Recipe::parse(&format!("{model}{generation}"), &[]).unwrap()
        };
        let before = read("[generation]\nbeam = 4\nranking = \"gnmt\"\nforced_end = false\nforbidden = [3]\n");
        let today = read("[generation]\nnum_beams = 4\nsuppress_tokens = 3\n");
        assert!(Difference::all(&before, &today).is_empty(), "{:?}", Difference::all(&before, &today));
        assert_eq!(Difference::all(&read(""), &today).len(), 2);
    }
}
