//! What may change when a training is resumed: some keys of its recipe. All else, tokenizers and the other keys, must be the
//! same as at its start.

use crate::checkpoint::Provenance;
use crate::run_folder::layout::RECIPE;
use crate::run_folder::layout::TEMPLATE;
use crate::{Error, Files, GenerationConfig, Recipe, Tokenizers, quoted};
use descant_text::{read_file, read_text};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// Keys that may change when a run is resumed; each change is logged.
const MAY_CHANGE: [&str; 8] = [
    "train.steps",
    "train.epochs",
    "train.patience",
    "train.learning_rate",
    "train.clip",
    "train.validate_every",
    "train.log_every",
    "train.checkpoint_every",
];
/// Paths of what the run needs no more, or knows by its checksum.
const PLACES: [&str; 5] = ["init", "data.train", "data.validation", "data.chat_template", "distill.teacher"];

/// A key of two recipes that is not the same in both.
#[derive(Debug)]
pub(crate) struct Difference {
    key: String,
    was: Option<Value>,
    is: Option<Value>,
}

impl Difference {
    /// Of what `is` against what `was`.
    fn all(was: &Recipe, is: &Recipe) -> Vec<Self> {
        let [was, is] = [was, is].map(|recipe| {
            let mut keys = BTreeMap::new();
            flatten(serde_json::to_value(recipe).unwrap_or_default(), String::new(), &mut keys);
            keys
        });
        let keys: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
        let difference = |key: &String| Self { key: key.clone(), was: was.get(key).cloned(), is: is.get(key).cloned() };
        keys.into_iter().map(difference).filter(|found| found.was != found.is).collect()
    }

    fn is_of(&self, keys: &[&str]) -> bool {
        keys.iter().any(|key| self.key.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
    }

    fn is_forbidden(&self) -> bool {
        !self.is_of(&MAY_CHANGE) && !self.is_of(&PLACES)
    }

    /// Those that make another training of it.
    fn forbidden(all: &[Self]) -> Option<String> {
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

/// A recipe as the run would have resolved it: with what its start wrote into its own.
fn resolved(mut given: Recipe, own: &Recipe) -> Recipe {
    given.adopt_decisions(own);
    // Runs from before do not know theirs, and it changes no training.
    given.model.origin.clone_from(&own.model.origin);
    if let (Some(distill), Some(own)) = (&mut given.distill, &own.distill) {
        distill.checksum = own.checksum;
    }
    // How to write is taken from `init` where the recipe says nothing of it.
    if given.init.is_some() && given.generation == GenerationConfig::default() {
        given.generation.clone_from(&own.generation);
    }
    if given.init.is_some() || given.distill.is_some() {
        (given.tokenizer, given.target_tokenizer) = (own.tokenizer.clone(), own.target_tokenizer.clone());
    }
    given
}

impl Recipe {
    /// The recipe with which the run goes on: its own, with `settings` on top; and what it has otherwise than `file`, in
    /// words, where that would not be another training.
    ///
    /// # Errors
    /// Where `file` or a setting would be another training than the run's.
    pub fn going_on(run: &Path, file: &Path, settings: &[String]) -> Result<(Self, Vec<String>), Error> {
        let place = run.join(RECIPE);
        let own = Self::of_run_with(run, settings)?;
        let same =
            |a: &Path, b: &Path| fs::canonicalize(a).ok().is_some_and(|a| fs::canonicalize(b).is_ok_and(|b| a == b));
        if same(file, &place) {
            return Ok((own, Vec::new()));
        }
        let text = read_text(file).map_err(|error| Error::io("read the recipe", file, error))?;
        let wrong = |reason: String| Error::Recipe { path: file.to_owned(), reason };
        // Where its model is that of `init`: the run needs that no more, and it may be gone.
        let model = toml::Table::try_from(&own.model).map_err(|error| wrong(error.to_string()))?;
        let given = Self::parse_with(&text, settings, file.parent(), model).map_err(wrong)?;
        let differences = Difference::all(&own, &resolved(given, &own));
        if let Some(forbidden) = Difference::forbidden(&differences) {
            return Err(another_training(run, &forbidden));
        }
        let note = |Difference { key, was, is }: &Difference| {
            let [was, is] = [was, is].map(|value| value.as_ref().map_or("not given".to_owned(), Value::to_string));
            format!(
                "{}: {key} is {is} there; the run goes on with its own, {was} (--set {key}={is} changes it).",
                file.display()
            )
        };
        Ok((own, differences.iter().map(note).collect()))
    }
}

/// The recipe of a run, with its paths as they are from where this process stands: they are those of the start, from a folder
/// above the run, most likely.
pub(crate) fn found(recipe: &Recipe, run: &Path) -> Recipe {
    let run = fs::canonicalize(run).unwrap_or_default();
    let find = |path: &mut PathBuf| {
        if path.exists() || path.is_absolute() {
            return;
        }
        if let Some(there) = run.ancestors().skip(1).map(|folder| folder.join(&*path)).find(|there| there.exists()) {
            *path = there;
        }
    };
    let mut recipe = recipe.clone();
    if let Some(distill) = &mut recipe.distill {
        find(&mut distill.teacher);
    }
    if let Some(data) = &mut recipe.data {
        for files in [Some(&mut data.train), data.validation.as_mut()].into_iter().flatten() {
            match files {
                Files::One(path) => find(path),
                Files::Two(paths) => paths.iter_mut().for_each(find),
            }
        }
        data.chat_template.as_mut().map(find);
    }
    recipe
}

fn another_training(run: &Path, what: &str) -> Error {
    let own = quoted(&run.to_string_lossy());
    let reason = format!(
        "the recipe differs from the one that the run was started with: {what}. That would be another training. Undo the \
         change (or repeat the --set of the start); go on with the run's own recipe, by descant train {own} --resume; or \
         start another run with --run. What may change, by --set: {}",
        MAY_CHANGE.join(", ")
    );
    Error::Run { path: run.to_owned(), reason }
}

/// The recipe with which a run goes on that was started with its `own`, where it is asked to by the recipe `given`.
pub(crate) fn resumed(given: Recipe, own: &Recipe, run: &Path) -> Result<Recipe, Error> {
    let given = resolved(given, own);
    let differences = Difference::all(own, &given);
    // The run reads its own encoded text: another would be taken down in its recipe and never be read.
    let texts =
        differences.iter().filter(|found| found.is_of(&["data"]) && given.source.overrides.contains(&found.key));
    let texts: Vec<String> = texts.map(Difference::to_string).collect();
    if !texts.is_empty() {
        let what = format!("{} (to train on another text, begin a run with init)", texts.join("; "));
        return Err(another_training(run, &what));
    }
    match Difference::forbidden(&differences) {
        Some(forbidden) => Err(another_training(run, &forbidden)),
        None => Ok(given),
    }
}

impl Provenance {
    /// What the checkpoints of a run belong to.
    pub(crate) fn of(recipe: &Recipe, run: &Path) -> Result<Self, Error> {
        let path = run.join(RECIPE);
        let recipe = serde_json::to_value(recipe);
        let recipe = recipe.map_err(|error| Error::Recipe { path, reason: error.to_string() })?;
        Ok(Self { recipe, files: checksums(run)?, program: program() })
    }

    /// That the run's tokenizers are those that the weights were trained with, and that its recipe, but for what may
    /// change, is the same.
    pub(crate) fn check(&self, recipe: &Recipe, run: &Path) -> Result<(), Error> {
        let there = checksums(run)?;
        // A template says how a prompt is written: no weights depend on it.
        let tokenizers = self.files.iter().filter(|(name, _)| *name != TEMPLATE);
        if let Some((name, _)) = tokenizers.into_iter().find(|(name, crc)| there.get(*name) != Some(*crc)) {
            let reason = format!(
                "{name} is not the one that the weights were trained with: its checksum is another. Bring that back, such \
                 as from a copy of the run"
            );
            return Err(Error::Run { path: run.to_owned(), reason });
        }
        let differences = self.recipe().map(|own| Difference::all(&own, recipe)).unwrap_or_default();
        let Some(forbidden) = Difference::forbidden(&differences) else { return Ok(()) };
        let reason = format!(
            "it is not the recipe that the weights were trained with: {forbidden}. Undo the change. (What may change when a \
             training goes on, such as train.steps, is changed by --set beside --resume)"
        );
        Err(Error::Recipe { path: run.join(RECIPE), reason })
    }

    /// What is otherwise than when the checkpoint of a step was written, and is no error.
    pub(crate) fn notes(&self, recipe: &Recipe, run: &Path, step: u64) -> Result<Vec<String>, Error> {
        let mut notes = Vec::new();
        for found in self.recipe().map(|own| Difference::all(&own, recipe)).unwrap_or_default() {
            notes.push(format!("From step {step} on: {found}."));
        }
        if self.files.get(TEMPLATE) != checksums(run)?.get(TEMPLATE) {
            notes.push(format!("{TEMPLATE} is another than when the last checkpoint was written."));
        }
        if self.program != program() {
            notes.push(format!(
                "The last checkpoint is by {}, this is {}: from step {step} on the last bits may be others.",
                self.program,
                program()
            ));
        }
        Ok(notes)
    }

    /// The recipe; none where it has keys of another version of the program.
    fn recipe(&self) -> Option<Recipe> {
        serde_json::from_value(self.recipe.clone()).ok()
    }
}

/// CRC-32 of the tokenizers and the chat template of a run.
fn checksums(run: &Path) -> Result<BTreeMap<String, u32>, Error> {
    let mut files = BTreeMap::new();
    for name in Tokenizers::FILES.iter().chain([&TEMPLATE]) {
        let path = run.join(name);
        if path.exists() {
            let bytes = read_file(&path).map_err(|error| Error::io("read", &path, error))?;
            files.insert((*name).to_owned(), crc32fast::hash(&bytes));
        }
    }
    Ok(files)
}

/// This program, and what of the processor its results depend on.
fn program() -> String {
    #[cfg(target_arch = "x86_64")]
    let features = {
        let has = [
            ("avx2", is_x86_feature_detected!("avx2")),
            ("fma", is_x86_feature_detected!("fma")),
            ("avx512f", is_x86_feature_detected!("avx512f")),
            ("avx512bf16", is_x86_feature_detected!("avx512bf16")),
        ];
        has.iter().filter(|(_, there)| *there).map(|(name, _)| format!(" {name}")).collect::<String>()
    };
    #[cfg(not(target_arch = "x86_64"))]
    let features = String::new();
    format!("descant {} on {}{features}", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_knows_no_family_goes_on_with_the_recipe_that_names_one() {
        let text = "[bench]\nvocabulary = 9\nbatch = 1\nlength = 2\n[model]\nfamily = 'llama'\nhidden = 8\n";
        let given = Recipe::parse(text, &["model.transformer.heads=2".to_owned()]).unwrap();
        assert_eq!(given.model.origin.as_deref(), Some("llama"));
        let mut own = given.clone();
        own.model.origin = None;
        assert!(Difference::forbidden(&Difference::all(&own, &given)).is_some());
        assert!(Difference::all(&own, &resolved(given, &own)).is_empty());
    }
}
