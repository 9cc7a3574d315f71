//! What commands that read a recipe have in common.

use crate::shell::command;
use anyhow::bail;
use clap::Args;
use descant_inference::{Recipe, is_foreign, is_run, locate, quoted};
use std::path::PathBuf;

#[derive(Args)]
pub(crate) struct RecipeArgs {
    /// The recipe, a TOML file
    pub(crate) recipe: PathBuf,
    /// Override a key of the recipe, such as --set train.steps=500 (may be repeated); `descant explain` explains the keys
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
}

impl RecipeArgs {
    /// The recipe of a training that can be begun; a run stands for its own.
    pub(crate) fn load(&self) -> anyhow::Result<Recipe> {
        let Self { recipe: path, set } = self;
        if is_run(path) {
            let recipe = Recipe::of_run_with(&locate(path)?.0, set)?;
            if recipe.data.is_none() {
                let name = path.to_string_lossy();
                let [show, eval] = [["show", &name], ["eval", &name]].map(|words| command(&words));
                bail!(
                    "{name}: this is a run without a training, such as an import: there is none to begin. What it is says {show}; how good \
                     it is on a text, {eval} --data FILE; to train it further, name it as init = \"{name}\" in a recipe with [data], and \
                     give that here"
                );
            }
            return Ok(recipe.located(path));
        }
        if is_foreign(path) {
            let name = path.to_string_lossy();
            bail!(
                "{name}: this is a model from elsewhere, and no recipe. descant import {} makes a run of it, which a recipe names \
                 as init to train it further: give that here",
                quoted(&name)
            );
        }
        Ok(Recipe::load(path, set)?)
    }
}
