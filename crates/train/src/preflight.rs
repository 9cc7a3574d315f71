//! What is looked at once the texts and the model are known, and before the first step: how many steps there will be,
//! and whether all that the recipe asks for can come true.

use descant_autograd::Parameters;
use descant_batch::Batch;
use descant_hyperparameters::ScheduleConfig;
use descant_inference::difference::Difference;
use descant_inference::{Error, Recipe, Trained};
use descant_models::{Generator, LossConfig};
use descant_text::{Batches, ControlConfig, TextError, plural};
use std::path::Path;

/// Sequences that are walked through to count the steps of epochs; beyond, epochs are taken to have as many batches as
/// those before.
const COUNTED: u64 = 4_000_000;

/// What was found.
#[derive(Clone, Debug)]
pub(crate) struct Preflight {
    /// Optimizer steps in all.
    pub(crate) steps: u64,
    /// The schedule, shortened where a try is shorter than the recipe's.
    pub(crate) schedule: ScheduleConfig,
    /// What will be otherwise than the recipe says.
    pub(crate) notes: Vec<String>,
}

impl Preflight {
    /// Looks at a training.
    ///
    /// # Errors
    /// A wish that cannot come true; texts that cannot be read.
    pub(crate) fn of(
        recipe: &Recipe,
        model: &dyn Generator,
        batches: &Batches,
        held_out: Option<Batches>,
    ) -> Result<Self, Error> {
        let mut notes = Vec::new();
        let steps = steps(recipe, batches, &mut notes)?;
        notes.extend(warmup(recipe, batches, steps)?);
        let schedule = recipe.schedule.clone().shortened(steps);
        if schedule != recipe.schedule {
            // Whether it may be is the recipe's own check, where the number of steps was known to it.
            if !recipe.is_shortened() {
                recipe.schedule.validate(steps).map_err(|reason| recipe.wrong(reason))?;
            }
            let (most, only) = (steps / 10, plural(steps, "step"));
            notes.push(format!("the schedule's warm-up is cut to {most}, as the training has only {only}"));
        }
        notes.extend(recipe.too_rare(steps));
        if held_out.is_none() {
            let share = recipe.data.as_ref().map_or(0.0, |data| data.validation_share);
            let (sequences, percent) = (batches.sequences(), 100.0 * share);
            let what = format!("nothing is held out to validate on: {percent} % of {sequences} is none");
            let remedy = "Set data.validation, or raise data.validation_share";
            if let Some(key) = recipe.needs_validation() {
                return Err(recipe.wrong(format!("{key}: {what}. {remedy}")));
            }
            if share > 0.0 {
                notes.push(format!("{what}. {remedy}"));
            }
        } else if recipe.train.patience > 0 && recipe.is_wanted("train.patience") {
            let (patience, validations) = (recipe.train.patience, steps / recipe.train.validate_every);
            if patience >= validations {
                let only = plural(validations, "validation");
                notes.push(format!("train.patience = {patience}: there is time for only {only}"));
            }
        }
        let counted = |batch: &Batch| model.output().weight(batch) > 0.0;
        if !any(batches.again()?, counted)? {
            return Err(recipe.wrong(nothing_counts(recipe, "learned from")));
        }
        // The validation loss leaves weights out.
        let counted = |batch: &Batch| batch.target.ids.iter().any(|&id| model.output().counts(id));
        match held_out {
            Some(held_out) if !any(held_out.again()?, counted)? => {
                Err(recipe.wrong(nothing_counts(recipe, "validated on")))
            }
            _ => Ok(Self { steps, schedule, notes }),
        }
    }
}

/// The optimizer steps of a training.
fn steps(recipe: &Recipe, batches: &Batches, notes: &mut Vec<String>) -> Result<u64, Error> {
    let train = &recipe.train;
    let most = train.most_steps();
    if train.epochs == 0 {
        return Ok(most);
    }
    let accumulate = train.accumulate as u64;
    let (mut steps, mut walked) = (0_u64, 0_u64);
    let warmup = train.batch_warmup.max(train.length_warmup);
    let (mut warm, mut steps_before) = (0, 0);
    for epoch in 0..train.epochs {
        let count = batches.count(epoch)?;
        if epoch == 0 && accumulate > count {
            let all = if count == 1 { "1 batch".to_owned() } else { format!("{count} batches") };
            notes.push(format!("train.accumulate = {accumulate}: an epoch has {all}, so a step is of those"));
        }
        if steps < warmup {
            warm = epoch + 1;
        }
        steps += batches.count_steps(epoch, steps)?;
        if warm > epoch {
            steps_before = steps;
        }
        walked += batches.sequences();
        if steps >= most {
            return Ok(most);
        }
        // The rest will be as those since the warm-up.
        let counted = epoch + 1 - warm;
        if walked > COUNTED && counted > 0 && epoch + 1 < train.epochs {
            let since = (steps - steps_before) as f64 / counted as f64 * (train.epochs - warm) as f64;
            return Ok(most.min(steps_before + since.round() as u64));
        }
    }
    if recipe.is_explicit("train.steps") {
        let (epochs, asked) = (train.epochs, train.steps);
        let after = plural(steps, "step");
        notes.push(format!("train.epochs = {epochs} ends the training after {after}, before train.steps = {asked}"));
    }
    Ok(steps)
}

/// What the warm-up of the length leaves out.
///
/// # Errors
/// A warm-up that does not come to its end, where no override has made the training shorter.
fn warmup(recipe: &Recipe, batches: &Batches, steps: u64) -> Result<Option<String>, Error> {
    if let Some(reason) = recipe.too_long_warmup(steps) {
        return Err(recipe.wrong(reason));
    }
    let train = &recipe.train;
    let longest = train.batch_warmup.max(train.length_warmup);
    let left_out = if train.length_warmup == 0 { 0 } else { batches.count_left_out(steps)? };
    let ended = if steps > train.length_warmup { ", and come in the later ones" } else { "" };
    let examples = plural(left_out, "sequence");
    Ok(match left_out {
        0 if longest > 0 && longest >= steps => {
            Some(format!("the training ends within its warm-up of {longest} steps"))
        }
        0 => None,
        _ => Some(format!(
            "train.length_warmup: {examples} that are too long for the first epochs are left out of them{ended}"
        )),
    })
}

/// Whether any of the batches is such. The first one mostly is, and the rest of the text is not read then.
fn any(
    batches: impl Iterator<Item = Result<Batch, TextError>>,
    such: impl Fn(&Batch) -> bool,
) -> Result<bool, TextError> {
    for batch in batches {
        if such(&batch?) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn nothing_counts(recipe: &Recipe, what: &str) -> String {
    let keys = match &recipe.loss {
        LossConfig::CrossEntropy { class_weights, ignored, .. } => match (class_weights.is_empty(), ignored.is_empty())
        {
            (true, true) => "the answers are empty",
            (false, true) => "look at loss.class_weights",
            (true, false) => "look at loss.ignored",
            (false, false) => "look at loss.ignored and loss.class_weights",
        },
        LossConfig::Dpo(_) | LossConfig::MinimumRisk(_) | LossConfig::Embedding { .. } => "the targets are empty",
    };
    format!("no target token of the text that is {what} counts, so that there is no loss: {keys}")
}

/// That new entries of a vocabulary can be learned: in tables that stay as they are, they would be all alike. `grown` has
/// the entries of either side before and now.
///
/// # Errors
/// Where no embedding of theirs is trained; what only keeps them from being written is noted.
pub(crate) fn new_tokens(
    recipe: &Recipe,
    parameters: &Parameters,
    grown: &[(usize, usize)],
) -> Result<Vec<String>, Error> {
    let grown: Vec<(usize, usize)> = grown.iter().copied().filter(|(old, new)| new > old).collect();
    // With its adapter, a frozen table learns too.
    let is_adapted = |name: &str| {
        let factor = parameters.find(&format!("{name}.lora_B"));
        factor.is_some_and(|id| parameters.is_trainable(id) && parameters.lr_scale(id) > 0.0)
    };
    let tables = parameters.ids().filter(|&id| {
        let rows = parameters.shape(id).dims().first().copied().unwrap_or(0);
        parameters.shape(id).rank() == 2 && grown.iter().any(|&(_, new)| rows == new) && !parameters.is_adapter(id)
    });
    let is_table = |name: &str| name.contains("embedding") || name.contains("projection");
    let (mut learned, mut frozen) = (false, Vec::new());
    for id in tables.filter(|&id| is_table(parameters.name(id))) {
        let name = parameters.name(id);
        match parameters.is_trainable(id) && parameters.lr_scale(id) > 0.0 || is_adapted(name) {
            true => learned |= name.contains("embedding"),
            false => frozen.push(name.to_owned()),
        }
    }
    if frozen.is_empty() {
        return Ok(Vec::new());
    }
    let all = [&recipe.tokenizer].into_iter().chain(&recipe.target_tokenizer).flat_map(|tokenizer| &tokenizer.add);
    let attributes = recipe.control.as_ref().map_or_else(Vec::new, ControlConfig::tokens);
    let mut all: Vec<&String> = all.chain(&attributes).collect();
    all.dedup();
    let (tokens, tables) = (format!("{all:?}"), frozen.join(", "));
    // Of tied tables, there is one alone.
    let is_named = |id, word: &str| parameters.shape(id).rank() == 2 && parameters.name(id).contains(word);
    let has = |word: &&&str| parameters.ids().any(|id| is_named(id, word));
    let patterns = ["embedding", "projection"].iter().filter(has).map(|word| format!("\"*{word}*\""));
    let remedy = format!(
        "Add train = [{}] to [finetune], without freezing or rates of 0 for them",
        patterns.collect::<Vec<_>>().join(", ")
    );
    match learned {
        false => Err(recipe.wrong(format!(
            "the rows of the new tokens {tokens} (tokenizer.add, [control]) are frozen in {tables}, and would stay all alike. {remedy}"
        ))),
        true => Ok(vec![format!("the rows of the new tokens {tokens} (tokenizer.add, [control]) are frozen in {tables}. {remedy}")]),
    }
}

/// What is said of a model whose parameters are those of the run that it begins with, and that computes something else by them.
pub(crate) fn other_functions(recipe: &Recipe, init: &Trained) -> Result<Vec<String>, Error> {
    let own = recipe.clone().settled().map_err(|reason| recipe.wrong(reason))?;
    let differs = Difference::all(&init.recipe, &own).into_iter();
    let differs = differs.filter(|found| found.is_of(&["model"]) && found.is_of_architecture());
    let told = |found| format!("{found} in {}: its weights were trained with that", init.run().display());
    Ok(differs.map(told).collect())
}

/// What is said of a model that is not that of the run it begins with.
pub(crate) fn other_model(recipe: &Recipe, theirs: &Recipe, run: &Path, what: String) -> String {
    let [own, other] = [recipe, theirs].map(|recipe| toml::Table::try_from(&recipe.model).unwrap_or_default());
    let differs = |(key, value): (&String, &toml::Value)| {
        let there = other.get(key).map_or("not set".to_owned(), toml::Value::to_string);
        (other.get(key) != Some(value)).then(|| format!("model.{key} is {value}, that of the run {there}"))
    };
    let differences: Vec<String> = own.iter().filter_map(differs).collect();
    let what = if differences.is_empty() { what } else { differences.join("; ") };
    let run = run.display();
    format!("init: {run} is of another architecture: {what}. Leave [model] out: it is taken from {run}")
}
