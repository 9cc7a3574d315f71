//! What may change when a training is resumed: some keys of its recipe. All else, tokenizers and the other keys, must be the
//! same as at its start.

use descant_generate::GenerationConfig;
use descant_inference::difference::{Difference, MAY_CHANGE};
use descant_inference::layout::RECIPE;
use descant_inference::{Error, Recipe, quoted};
use descant_models::LossConfig;
use descant_text::read_text;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// A recipe as the run would have resolved it: with what its start wrote into its own.
fn resolved(mut given: Recipe, own: &Recipe) -> Recipe {
    adopt_decisions(&mut given, own);
    // Runs from before do not know theirs, and it changes no training.
    given.model.origin.clone_from(&own.model.origin);
    if let (Some(distill), Some(own)) = (&mut given.distill, &own.distill) {
        distill.checksum = own.checksum;
    }
    if let (LossConfig::Dpo(config), LossConfig::Dpo(own)) = (&mut given.loss, &own.loss) {
        config.checksum = own.checksum;
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

/// The recipe with which the run goes on: its own, with `settings` on top; and what it has otherwise than `file`, in
/// words, where that would not be another training.
///
/// # Errors
/// Where `file` or a setting would be another training than the run's.
pub fn resumed_recipe(run: &Path, file: &Path, settings: &[String]) -> Result<(Recipe, Vec<String>), Error> {
    let place = run.join(RECIPE);
    let own = Recipe::of_run_with(run, settings)?;
    let same = |a: &Path, b: &Path| fs::canonicalize(a).ok().is_some_and(|a| fs::canonicalize(b).is_ok_and(|b| a == b));
    if same(file, &place) {
        return Ok((own, Vec::new()));
    }
    let text = read_text(file).map_err(|error| Error::io("read the recipe", file, error))?;
    let wrong = |reason: String| Error::Recipe { path: file.to_owned(), reason };
    // Where its model is that of `init`: the run needs that no more, and it may be gone.
    let model = toml::Table::try_from(&own.model).map_err(|error| wrong(error.to_string()))?;
    let given = Recipe::parse_with(&text, settings, file.parent(), model).map_err(wrong)?;
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

/// Takes over what a run decided when it was started, where this recipe says nothing of it.
fn adopt_decisions(recipe: &mut Recipe, run: &Recipe) {
    if recipe.train.shares == 0 {
        recipe.train.shares = run.train.shares;
    }
    if let (Some(own), Some(theirs)) = (&mut recipe.data, &run.data) {
        if !recipe.source.explicit.contains("data.stream") {
            own.stream = theirs.stream;
        }
        if !recipe.source.explicit.contains("data.shuffle") {
            own.shuffle = theirs.shuffle;
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::order;
    use descant_text::Shuffle;

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

    #[test]
    fn a_run_from_before_there_was_an_exact_order_goes_on_by_blocks() {
        let text = "[data]\ntrain = 'a.tsv'\nSHUFFLE[model]\nkind = 'encoder-decoder'\n";
        let read = |shuffle: &str| Recipe::parse(&text.replace("SHUFFLE", shuffle), &[]).unwrap();
        let given = read("");
        let mut own = given.clone();
        own.data.as_mut().unwrap().shuffle = None;
        assert_eq!([&own, &given].map(order), [Shuffle::Blocks, Shuffle::Exact]);
        assert!(Difference::all(&own, &resolved(given, &own)).is_empty());
        let asked = resolved(read("shuffle = 'exact'\n"), &own);
        assert!(Difference::forbidden(&Difference::all(&own, &asked)).unwrap().contains("data.shuffle"));
    }
}
