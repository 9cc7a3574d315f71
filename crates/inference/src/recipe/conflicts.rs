//! Keys that conflict: a key that other keys of the recipe leave without effect. An error where it would have no effect at
//! all, a note where it has some.

use super::keys;
use super::{Files, Recipe};
use descant_hyperparameters::ScheduleConfig;
use descant_models::{LossConfig, ModelKind};
use descant_text::{TokenizerKind, is_json, plural};

enum Severity {
    Error,
    Note,
}

use Severity::{Error, Note};

/// A conflict, and the message for a recipe that has it.
type Conflict = (Severity, fn(&Recipe) -> Option<String>);

/// All of them, but for those that need the texts or the model (`preflight.rs`).
const CONFLICTS: &[Conflict] = &[
    (Error, |recipe| {
        let nothing = recipe.data.as_ref()?.validation.is_none() && recipe.data.as_ref()?.validation_share == 0.0;
        recipe.needs_validation().filter(|_| nothing).map(|key| {
            format!("{key}: nothing is held out to validate on. Set data.validation or data.validation_share")
        })
    }),
    (Error, |recipe| {
        let data = recipe.data.as_ref()?;
        let tabs = |files: &Files| matches!(files, Files::One(path) if !is_json(path));
        let none = ![Some(&data.train), data.validation.as_ref()].into_iter().flatten().any(tabs);
        data.columns.filter(|_| none).map(|columns| {
            let what = "two files, and JSON, have no columns between tabs";
            format!("data.columns = {columns:?}: {what}. Leave it out")
        })
    }),
    (Error, |recipe| {
        let data = recipe.data.as_ref()?;
        let Files::One(path) = &data.train else { return None };
        (data.stream && is_json(path)).then(|| {
            let path = path.display();
            format!("data.stream = true is not for JSON ({path}), in which each object is an example. Leave it out")
        })
    }),
    (Error, |recipe| {
        let [source, target] = recipe.data.as_ref()?.columns?;
        (source == target)
            .then(|| format!("data.columns = [{source}, {target}]: source and target are the same column"))
    }),
    (Error, |recipe| {
        let both = recipe.model.kind == ModelKind::LanguageModel && recipe.target_tokenizer.is_some();
        both.then(|| "[target_tokenizer]: a language model has one tokenizer. Use [tokenizer]".to_owned())
    }),
    (Error, |recipe| {
        let LossConfig::CrossEntropy { smoothing, .. } = recipe.loss else { return None };
        let alone = recipe.distill.as_ref()?.weight == 1.0 && smoothing > 0.0;
        alone.then(|| {
            format!(
                "loss.smoothing = {smoothing}: with distill.weight = 1 the loss is the teacher's alone. Leave it out"
            )
        })
    }),
    (Error, |recipe| {
        let weight = recipe.generation.coverage_penalty.filter(|&weight| weight > 0.0)?;
        (!recipe.model.has_cross_attention()).then(|| {
            format!("generation.coverage_penalty = {weight}: the model has no attention to a source. Leave it out")
        })
    }),
    (Note, |recipe| {
        let data = recipe.data.as_ref()?;
        (data.validation.as_ref() == Some(&data.train)).then(|| {
            "data.validation is the text that is trained on: its loss does not measure generalisation".to_owned()
        })
    }),
    (Note, |recipe| {
        let fresh = recipe.init.is_none() && recipe.finetune.as_ref()?.lora.is_some();
        fresh.then(|| "finetune.lora without init: adapters are trained beside random weights that stay".to_owned())
    }),
    (Note, |recipe| {
        let subword =
            matches!(recipe.tokenizer.kind, TokenizerKind::Word | TokenizerKind::Character | TokenizerKind::Byte);
        (subword && recipe.tokenizer.split_digits)
            .then(|| "tokenizer.split_digits: only subwords join digits, so it changes nothing here".to_owned())
    }),
    (Note, |recipe| {
        let byte = recipe.tokenizer.kind == TokenizerKind::Byte && recipe.tokenizer.vocabulary != 8000;
        byte.then(|| "tokenizer.vocabulary: of bytes it is always 259".to_owned())
    }),
    (Note, |recipe| {
        let (most, data) = (recipe.model.max_length()?, recipe.data.as_ref()?);
        (recipe.is_explicit("data.max_length") && data.max_length >= most).then(|| {
            format!(
                "data.max_length = {}: the model has positions for {} tokens, and longer texts are left out",
                data.max_length,
                most - 1
            )
        })
    }),
];

/// Steps between two of something; 0 for none.
type Every = fn(&Recipe) -> u64;

/// The keys of a recipe that depend on the number of steps, which the trainer knows.
const BY_STEPS: &[(&str, Every)] = &[
    ("train.checkpoint_every", |recipe| recipe.train.checkpoint_every),
    ("train.validate_every", |recipe| recipe.train.validate_every),
    ("train.log_every", |recipe| recipe.train.log_every),
    ("schedule.every", |recipe| match &recipe.schedule {
        ScheduleConfig::Step(step) => step.every,
        _ => 0,
    }),
];

/// Checks a recipe for conflicts: the notes.
///
/// # Errors
/// The first conflict that is an error.
pub(super) fn check(recipe: &Recipe) -> Result<Vec<String>, String> {
    let mut notes = Vec::new();
    let overrides = &recipe.source.overrides;
    for key in keys::all().filter(|key| recipe.is_explicit(key.name) && !(key.condition.holds)(recipe)) {
        let message = format!("{}: it only has an effect with {}", key.name, key.condition.words);
        // With another architecture by --set, keys of the file's own architecture are only noted.
        let is_overridden = overrides.iter().any(|name| name.starts_with("model.")) && !overrides.contains(key.name);
        match key.name.starts_with("model.") && !is_overridden {
            true => return Err(format!("{message}. Leave it out")),
            false => notes.push(message),
        }
    }
    for (severity, conflict) in CONFLICTS {
        match (severity, conflict(recipe)) {
            (_, None) => {}
            (Error, Some(message)) => return Err(message),
            (Note, Some(message)) => notes.push(message),
        }
    }
    Ok(notes)
}

impl Recipe {
    /// Whether the file or an override sets this key.
    pub fn is_explicit(&self, key: &str) -> bool {
        self.source.explicit.contains(key)
    }

    /// Whether an override makes the training shorter than the file's schedule is made for, or may have made the run's so.
    pub fn is_shortened(&self) -> bool {
        let is_set = |start: &str| self.source.overrides.iter().any(|key| key.starts_with(start));
        self.source.resolved || (is_set("train.steps") || is_set("train.epochs")) && !is_set("schedule")
    }

    /// The key that needs validations.
    pub fn needs_validation(&self) -> Option<&'static str> {
        match self.schedule {
            _ if self.train.patience > 0 => Some("train.patience"),
            _ if !self.train.validation_metrics.is_empty() => Some("train.validation_metrics"),
            ScheduleConfig::Plateau(_) => Some("schedule.kind = \"plateau\""),
            _ => None,
        }
    }

    /// Intervals of the recipe that are longer than a training of so many steps.
    pub fn too_rare(&self, steps: u64) -> Vec<String> {
        let late = BY_STEPS.iter().map(|(key, every)| (*key, every(self)));
        let late = late.filter(|&(key, every)| every > steps && self.is_wanted(key));
        late.map(|(key, every)| format!("{key} = {every}: the training has {}", plural(steps, "step"))).collect()
    }

    /// Whether a key is set for this training: where an override shortens it, by an override as well.
    pub fn is_wanted(&self, key: &str) -> bool {
        self.is_explicit(key) && (!self.is_shortened() || self.source.overrides.contains(key))
    }
}
