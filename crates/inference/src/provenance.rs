use crate::recipe::difference::Difference;
use crate::run_folder::layout::{LENGTHS, RECIPE, TEMPLATE};
use crate::{Error, Recipe, Tokenizers};
use descant_text::read_file;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Where a checkpoint comes from: with other tokenizers or another recipe, its weights mean nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Provenance {
    /// The resolved recipe.
    pub recipe: serde_json::Value,
    /// CRC-32 of each of the run's tokenizers, of its chat template and of the lengths of its training texts; older checkpoints are without
    /// the last.
    pub files: BTreeMap<String, u32>,
    /// The program that wrote it, and the processor's features: with others, bits may differ.
    pub program: String,
}

impl Provenance {
    /// What the checkpoints of a run belong to.
    pub fn of(recipe: &Recipe, run: &Path) -> Result<Self, Error> {
        let path = run.join(RECIPE);
        let recipe = serde_json::to_value(recipe);
        let recipe = recipe.map_err(|error| Error::Recipe { path, reason: error.to_string() })?;
        Ok(Self { recipe, files: checksums(run)?, program: program() })
    }

    /// That the run's tokenizers, and the lengths of its texts, are those that the weights were trained with, and that its recipe, but for
    /// what may change, is the same.
    pub fn check(&self, recipe: &Recipe, run: &Path) -> Result<(), Error> {
        let there = checksums(run)?;
        // A template says how a prompt is written: no weights depend on it.
        let mut files = self.files.iter().filter(|(name, _)| *name != TEMPLATE);
        if let Some((name, _)) = files.find(|(name, crc)| there.get(*name) != Some(*crc)) {
            let what = if there.contains_key(name) { "its checksum is another" } else { "there is none" };
            let reason = format!(
                "{name} is not the one that the weights were trained with: {what}. Bring that back, such as from a copy of the run"
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
    pub fn notes(&self, recipe: &Recipe, run: &Path, step: u64) -> Result<Vec<String>, Error> {
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

/// CRC-32 of those files of a run that say what its weights mean, and how far it generates.
fn checksums(run: &Path) -> Result<BTreeMap<String, u32>, Error> {
    let mut files = BTreeMap::new();
    for name in Tokenizers::FILES.iter().chain([&TEMPLATE, &LENGTHS]) {
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
