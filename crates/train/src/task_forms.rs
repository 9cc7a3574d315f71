//! Which forms of texts a task, an objective or a metric is of.

use descant_inference::{DataConfig, Error, Recipe, Task, TrainConfig};
use descant_metrics::unfit;
use descant_models::{LossConfig, MinimumRiskConfig};
use descant_text::Source;

/// Answers of a training text that a metric has to be able to judge.
const JUDGED: usize = 1000;

/// That the texts of a recipe are of the form that its task, its objective and its metrics are of.
///
/// # Errors
/// The first key that is of other texts, with the file.
pub(crate) fn check_forms(
    recipe: &Recipe,
    data: &DataConfig,
    train: &Source,
    validation: Option<&Source>,
) -> Result<(), Error> {
    let alone = match (data.task, data.cut) {
        (Task::SpanCorruption, _) => Some("data.task = \"span-corruption\" is of texts without sources"),
        (_, true) => Some("data.cut is of texts without sources or prompts"),
        _ => None,
    };
    let with_sources = [Some(train), validation].into_iter().flatten().find(|text| text.has_pairs());
    if let (Some(alone), Some(text)) = (alone, with_sources.filter(|text| text.path().exists())) {
        let (path, form) = (text.path().display(), text.form());
        return Err(recipe.wrong(format!(
            "{alone}, and {path} holds {form}. Name one column by data.columns, such as [\"text\"], or leave the key out"
        )));
    }
    let is_preference = matches!(recipe.loss, LossConfig::Dpo(_));
    for text in [Some(train), validation].into_iter().flatten().filter(|text| text.path().exists()) {
        if text.has_preferences() != is_preference {
            return Err(recipe.wrong(preferences(text, is_preference)));
        }
    }
    if matches!(recipe.loss, LossConfig::MinimumRisk(_)) && train.path().exists() && !train.has_pairs() {
        let (path, form) = (train.path().display(), train.form());
        return Err(recipe.wrong(format!(
            "loss.kind = \"minimum-risk\" judges answers, and {path} holds {form}. Give it .jsonl with \"prompt\" and \
                 \"completion\", or name two columns by data.columns"
        )));
    }
    if let LossConfig::MinimumRisk(MinimumRiskConfig { metric, .. }) = &recipe.loss
        && train.path().exists()
    {
        let answers = train.examples()?.take(JUDGED).filter_map(Result::ok).map(|example| example.target.to_string());
        if let Some(reason) = unfit(metric, answers.collect::<Vec<_>>().iter().map(String::as_str)) {
            return Err(recipe.wrong(format!("loss.metric: {reason}")));
        }
    }
    if let Some(name) = recipe.train.text_metric().filter(|_| train.path().exists() && !train.has_pairs()) {
        let key = if name == TrainConfig::COMMAND { "metric_command" } else { "validation_metrics" };
        return Err(recipe.wrong(format!(
            "train.{key}: {name} is of answers, and {} holds {}, of which only the loss is measured. Leave it \
                 out",
            train.path().display(),
            train.form()
        )));
    }
    Ok(())
}

/// What is said of a text that has no preferences where they are wanted, or has some where they are not.
fn preferences(text: &Source, are_wanted: bool) -> String {
    let (path, form) = (text.path().display(), text.form());
    match are_wanted {
        true => format!(
            "loss.kind = \"dpo\" learns from preferences, and {path} holds {form}. Give it .jsonl with \"prompt\", \"chosen\" and \
             \"rejected\", or name three columns by data.columns"
        ),
        false => format!(
            "{path} holds {form}, which are for loss.kind = \"dpo\". To learn what is chosen alone, set data.columns = [\"prompt\", \
             \"chosen\"]"
        ),
    }
}
