//! What keys mean together: every wish that other keys of the recipe keep from being met. Each is an error where nothing
//! of the wish would come true, and a note where something does.

use super::keys::{self, KEYS};
use crate::data::is_json;
use crate::{Files, Recipe};
use descant_models::{LossConfig, ModelKind};
use descant_optim::ScheduleConfig;
use descant_text::{TokenizerKind, plural};

/// What is told of a recipe that breaks a rule.
enum Told {
    Error,
    Note,
}

use Told::{Error, Note};

/// A rule: what is said of a recipe that breaks it.
type Rule = (Told, fn(&Recipe) -> Option<String>);

/// All of them, but for those that need the texts or the model, which the trainer knows.
const RULES: &[Rule] = &[
    (Error, |recipe| {
        let nothing = recipe.data.as_ref()?.validation.is_none() && recipe.data.as_ref()?.validation_share == 0.0;
        recipe.waits_for_validation().filter(|_| nothing).map(|key| {
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
    (Note, |recipe| {
        let data = recipe.data.as_ref()?;
        (data.validation.as_ref() == Some(&data.train)).then(|| {
            "data.validation is the text that is learned from: it will not show how well other text is written"
                .to_owned()
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

/// Holds a recipe against all rules: what is only to be noted.
///
/// # Errors
/// The first wish that cannot be met.
pub(super) fn check(recipe: &Recipe) -> Result<Vec<String>, String> {
    let mut notes = Vec::new();
    for key in KEYS.iter().filter(|key| recipe.is_explicit(key.name) && !(key.acts.holds)(recipe)) {
        let said = format!("{}: it only acts with {}", key.name, key.acts.words);
        // Another architecture by --set, for a try, is not held against what the file says of its own.
        let tried = recipe.source.overrides.iter().any(|name| name.starts_with("model."))
            && !recipe.source.overrides.contains(key.name);
        match key.name.starts_with("model.") && !tried {
            true => return Err(format!("{said}. Leave it out")),
            false => notes.push(said),
        }
    }
    for (told, rule) in RULES {
        match (told, rule(recipe)) {
            (_, None) => {}
            (Error, Some(said)) => return Err(said),
            (Note, Some(said)) => notes.push(said),
        }
    }
    Ok(notes)
}

impl Recipe {
    /// Whether whoever wrote the recipe gave this key a value.
    pub(crate) fn is_explicit(&self, key: &str) -> bool {
        self.source.explicit.contains(key)
    }

    /// Whether a setting makes the training shorter than the file's schedule is made for, as one does to try it, or made a
    /// run's so.
    pub(crate) fn is_shortened(&self) -> bool {
        let is_set = |start: &str| self.source.overrides.iter().any(|key| key.starts_with(start));
        self.source.resolved || (is_set("train.steps") || is_set("train.epochs")) && !is_set("schedule")
    }

    /// The key that asks for validations.
    pub(crate) fn waits_for_validation(&self) -> Option<&'static str> {
        match self.schedule {
            _ if self.train.patience > 0 => Some("train.patience"),
            ScheduleConfig::Plateau(_) => Some("schedule.kind = \"plateau\""),
            _ => None,
        }
    }

    /// What will not happen in a training of so many steps, though the recipe asks for it.
    pub(crate) fn too_rare(&self, steps: u64) -> Vec<String> {
        let late = BY_STEPS.iter().map(|(key, every)| (*key, every(self)));
        let late = late.filter(|&(key, every)| every > steps && self.is_wanted(key));
        late.map(|(key, every)| format!("{key} = {every}: the training has {}", plural(steps, "step"))).collect()
    }

    /// Whether a key is given for this training: of one that a setting makes short to try it, by a setting as well.
    pub(crate) fn is_wanted(&self, key: &str) -> bool {
        self.is_explicit(key) && (!self.is_shortened() || self.source.overrides.contains(key))
    }

    /// Whether a key acts in this recipe.
    pub(super) fn has_acting(&self, name: &str) -> bool {
        keys::find(name).is_none_or(|key| (key.acts.holds)(self))
    }
}
