//! The recipes that are part of the binary.

use crate::report::note;
use descant_inference::{Recipe, is_there};
use descant_models::LossConfig;
use std::path::Path;

pub(crate) const DEMO: &str = include_str!("../../../recipes/demo.toml");

const BENCH: [(&str, &str); 7] = [
    ("charrnn", include_str!("../../../recipes/bench/charrnn.toml")),
    ("ptb650", include_str!("../../../recipes/bench/ptb650.toml")),
    ("s2s_lstm", include_str!("../../../recipes/bench/s2s_lstm.toml")),
    ("gpt_small", include_str!("../../../recipes/bench/gpt_small.toml")),
    ("gpt_6_384", include_str!("../../../recipes/bench/gpt_6_384.toml")),
    ("ts2s_256", include_str!("../../../recipes/bench/ts2s_256.toml")),
    ("gpt2_124m", include_str!("../../../recipes/bench/gpt2_124m.toml")),
];

/// A bench workload by its name, or else a recipe by its path.
pub(crate) fn load(name: &str, settings: &[String]) -> anyhow::Result<Recipe> {
    if let Some((_, text)) = BENCH.iter().find(|(known, _)| *known == name) {
        return Recipe::parse(text, settings).map_err(anyhow::Error::msg);
    }
    if !name.contains(['/', '.']) && !Path::new(name).exists() {
        let known = BENCH.map(|(name, _)| name).join(", ");
        anyhow::bail!("there is no workload '{name}', nor a file of that name. The workloads are {known}");
    }
    let mut recipe = Recipe::load(Path::new(name), settings)?;
    // Of a text that is not there, speed and gradients are measured all the same.
    if has_text(&recipe) {
        descant_train::resolve_text_layout(&mut recipe)?.into_iter().for_each(note);
    }
    Ok(recipe)
}

/// Candidates are generated in a training alone, and what they are changes with each step.
pub(crate) fn refuse_minimum_risk(recipe: &Recipe) -> anyhow::Result<()> {
    anyhow::ensure!(
        !matches!(recipe.loss, LossConfig::MinimumRisk(_)),
        "loss.kind = \"minimum-risk\": its candidates are generated in a training alone. Add --set loss.kind=cross-entropy"
    );
    Ok(())
}

/// Whether the recipe names a text, and all of it is there.
pub(crate) fn has_text(recipe: &Recipe) -> bool {
    recipe.data.as_ref().is_some_and(|data| data.train.paths().all(|path| is_there(path)))
}
