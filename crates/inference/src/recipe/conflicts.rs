//! Keys that conflict: a key that other keys of the recipe leave without effect. An error where it would have no effect at
//! all, a note where it has some.

use super::keys;
use super::{DataConfig, Recipe, Task, TrainPrecision, VectorsConfig};
use descant_hyperparameters::{ClippingConfig, ScheduleConfig};
use descant_models::{LayerKind, LossConfig, ModelKind};
use descant_text::{Column, Columns, KEYS, Shuffle, TokenizerKind, has_fields, is_json, is_parquet, plural};

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
        let all = [("data.train", Some(&data.train)), ("data.validation", data.validation.as_ref())];
        all.into_iter().find_map(|(key, files)| files?.validate(key).err())
    }),
    (Error, |recipe| {
        let data = recipe.data.as_ref()?;
        let key = match (&data.weights, data.temperature) {
            (Some(_), Some(_)) => {
                return Some("data.temperature: data.weights says how corpora are mixed. Leave one out".to_owned());
            }
            (Some(_), None) => "data.weights",
            (None, Some(_)) => "data.temperature",
            (None, None) => return None,
        };
        let names = data.train.sides().first().map_or(0, |side| side.len());
        let weights = data
            .weights
            .as_deref()
            .filter(|weights| weights.len() != names || weights.iter().all(|&weight| weight == 0.0));
        let held_out = data.validation.is_none() && data.validation_share > 0.0;
        match weights {
            _ if data.shuffle == Some(Shuffle::Blocks) => {
                Some(format!("data.shuffle = \"blocks\": with {key}, all sequences are shuffled. Leave it out"))
            }
            _ if names < 2 => Some(format!("{key} mixes corpora: expected data.train to be a list of names in a list")),
            _ if data.stream => Some(format!("{key}: one continuous text has no examples to mix. Leave it out")),
            Some(weights) if weights.len() != names => {
                Some(format!("data.weights = {weights:?}: expected one for each of the {names} names of data.train"))
            }
            Some(weights) => Some(format!("data.weights = {weights:?}: expected one that is above 0")),
            None if held_out => Some(format!(
                "{key}: the end of the text, which would be held out, is of the last corpus alone. Set data.validation, or \
                 data.validation_share = 0.0"
            )),
            None => None,
        }
    }),
    (Error, |recipe| {
        let data = recipe.data.as_ref()?;
        let columns = data.columns.as_ref()?;
        let by_number = matches!(columns, Columns::Numbers(_));
        let all = [Some(&data.train), data.validation.as_ref()];
        let mut one_side = all.into_iter().flatten().filter(|files| !files.is_parallel());
        (!one_side.any(|files| !by_number || files.paths().any(|path| !is_json(path) && !is_parquet(path)))).then(|| {
            let what = match by_number {
                true => {
                    "two files have no columns, and those of JSON and Parquet have names, such as data.columns = [\"question\", \"answer\"]"
                }
                false => "two files have no columns",
            };
            format!("data.columns = {columns}: {what}. Leave it out")
        })
    }),
    (Error, |recipe| {
        let data = recipe.data.as_ref()?;
        let path = data.train.paths().find(|path| has_fields(path))?;
        data.stream.then(|| {
            let path = path.display();
            format!("data.stream = true is not for JSON, CSV or Parquet ({path}), in which each object or row is an example. Leave it out")
        })
    }),
    (Error, |recipe| {
        let columns = recipe.data.as_ref()?.columns.as_ref().filter(|columns| columns.are_same())?;
        Some(format!("data.columns = {columns}: two of them are the same column"))
    }),
    (Error, |recipe| {
        let data = recipe.data.as_ref().filter(|data| data.task == Task::SpanCorruption)?;
        let reason = match recipe.loss {
            _ if data.stream => {
                "its spans are of separate texts, and one continuous text has none. Set data.stream = false"
            }
            _ if !data.shared_vocabulary && recipe.is_explicit("data.shared_vocabulary") => {
                "both sides have one vocabulary. Leave data.shared_vocabulary out"
            }
            _ if data.noise.is_some() => "it has a noise of its own. Leave [data.noise] out",
            _ if data.chat_template.is_some() => "it is of plain texts. Leave data.chat_template out",
            _ if recipe.target_tokenizer.is_some() => "both sides have one vocabulary. Leave [target_tokenizer] out",
            LossConfig::CrossEntropy { .. } => return None,
            _ => "it needs loss.kind = \"cross-entropy\"",
        };
        Some(format!("data.task = \"span-corruption\": {reason}"))
    }),
    (Error, |recipe| {
        let weight = Some(recipe.train.guided_alignment).filter(|&weight| weight > 0.0)?;
        let data = recipe.data.as_ref();
        let has = |what: fn(&DataConfig) -> bool| data.is_some_and(what);
        let layers = recipe.model.transformer.as_ref();
        let reason = match recipe.loss {
            _ if !recipe.model.has_cross_attention() => "the model has no attention to a source. Leave it out",
            _ if has(|data| data.alignment_column.is_none()) => {
                "it needs alignments. Name their column by data.alignment_column"
            }
            _ if has(|data| data.noise.is_some()) => "noise moves the words that are aligned. Leave [data.noise] out",
            _ if has(|data| data.task == Task::SpanCorruption) => "span corruption has no aligned words. Leave it out",
            _ if recipe.distill.is_some() => "expected no [distill] beside it",
            _ if layers.is_some_and(|layers| layers.recompute) => {
                "what recompute releases is needed. Leave model.transformer.recompute out"
            }
            _ if layers.is_some_and(|layers| layers.layer_drop > 0.0) => {
                "the layer that is guided must not be skipped. Leave model.transformer.layer_drop out"
            }
            _ if layers.is_some_and(|layers| layers.attention_soft_cap.is_some()) => {
                "expected no model.transformer.attention_soft_cap beside it"
            }
            LossConfig::CrossEntropy { r_drop, .. } if r_drop > 0.0 => "expected no loss.consistency beside it",
            LossConfig::CrossEntropy { .. } | LossConfig::Embedding { .. } => return None,
            _ => "it needs loss.kind = \"cross-entropy\"",
        };
        Some(format!("train.guided_alignment = {weight}: {reason}"))
    }),
    (Error, |recipe| {
        let column = recipe.data.as_ref()?.weight_column.as_ref()?;
        let reason = match &recipe.loss {
            LossConfig::CrossEntropy { .. } => taken(recipe, column)?,
            _ => "weights are of targets' cross entropy. Leave it out, or take loss.kind = \"cross-entropy\"",
        };
        Some(format!("data.weight_column = {column}: {reason}"))
    }),
    (Error, |recipe| {
        let data = recipe.data.as_ref()?;
        let column = data.alignment_column.as_ref()?;
        let reason = match data.weight_column.as_ref() == Some(column) {
            true => "data.weight_column is the same",
            false => taken(recipe, column)?,
        };
        Some(format!("data.alignment_column = {column}: {reason}"))
    }),
    (Error, |recipe| {
        let data = recipe.data.as_ref()?;
        let key = match (data.bpe_dropout, data.unigram_sampling) {
            (None, None) => return None,
            (Some(_), None) => "data.bpe_dropout",
            (None, Some(_)) => "data.unigram_sampling",
            (Some(_), Some(_)) => {
                let reason =
                    "data.bpe_dropout and data.unigram_sampling are for tokenizers of different kinds. Leave one out";
                return Some(reason.to_owned());
            }
        };
        let other = match recipe.train.guided_alignment > 0.0 {
            _ if data.task == Task::SpanCorruption => "data.task = \"span-corruption\"",
            _ if data.cut => "data.cut",
            true => "train.guided_alignment",
            false => return None,
        };
        Some(format!("{key}: {other} is of tokens as they are stored. Leave one out"))
    }),
    // Those of a run to begin with are known once it is read.
    (Error, |recipe| {
        let (data, own) = (recipe.data.as_ref()?, recipe.init.is_none());
        let any = |kinds: &[TokenizerKind]| {
            let all = [Some(&recipe.tokenizer), recipe.target_tokenizer.as_ref()];
            all.into_iter().flatten().any(|tokenizer| kinds.contains(&tokenizer.kind))
        };
        let merges = any(&[TokenizerKind::Bpe, TokenizerKind::ByteBpe]);
        let reason = match (data.bpe_dropout, data.unigram_sampling) {
            (Some(_), _) if !merges => {
                "data.bpe_dropout: no tokenizer has merges. Set tokenizer.kind = \"bpe\" or \"byte-bpe\""
            }
            (None, Some(_)) if !any(&[TokenizerKind::Unigram]) => {
                "data.unigram_sampling: no tokenizer is a unigram model. Set tokenizer.kind = \"unigram\""
            }
            _ => return None,
        };
        own.then(|| reason.to_owned())
    }),
    (Error, |recipe| {
        if !recipe.train.carry_state {
            return None;
        }
        let is_continuous = |data: &DataConfig| data.stream || recipe.leaves_stream_open();
        let r_drop = matches!(recipe.loss, LossConfig::CrossEntropy { r_drop, .. } if r_drop > 0.0);
        let reason = match recipe.model.kind {
            ModelKind::EncoderDecoder => "an encoder-decoder reads separate pairs. Leave it out",
            _ if recipe.model.decoder == LayerKind::Transformer => {
                "a Transformer has no recurrent state; what it sees is train.length. Leave it out, or set model.decoder = \"recurrent\""
            }
            _ if !recipe.data.as_ref().is_none_or(is_continuous) => {
                "only in one continuous text does a chunk go on where another ended. Leave it out, or set data.stream = true"
            }
            _ if recipe.distill.is_some() => "a teacher begins each chunk without a state. Leave it out, or [distill]",
            _ if r_drop => {
                "with loss.consistency there are two states at the end of a chunk. Leave it out, or loss.consistency"
            }
            _ => return None,
        };
        Some(format!("train.carry_state = true: {reason}"))
    }),
    (Error, |recipe| {
        (recipe.train.carry_state && recipe.train.batch_warmup > 0).then(|| {
            "train.batch_warmup: with train.carry_state each row of a batch is a stream, and all go on at each step. Leave it out, or set \
             train.length_warmup"
                .to_owned()
        })
    }),
    (Error, |recipe| {
        // Of epochs, only the texts tell the number of steps.
        if recipe.train.epochs == 0 { recipe.too_long_warmup(recipe.train.most_steps()) } else { None }
    }),
    (Note, |recipe| {
        let key = match recipe.optimizer.history_size() {
            Some(_) => "optimizer.kind = \"lbfgs\"",
            None if recipe.train.carry_state => "train.carry_state",
            None => return None,
        };
        (recipe.data.as_ref()?.shuffle == Some(Shuffle::Blocks))
            .then(|| format!("data.shuffle: with {key} a text is read in its own order"))
    }),
    (Error, |recipe| {
        let VectorsConfig { source, target } = recipe.vectors.as_ref()?;
        if let Some(init) = &recipe.init {
            let init = init.display();
            return Some(format!("[vectors]: with init the embeddings begin as those of {init}. Leave it out"));
        }
        (source.is_some() && target.is_some() && recipe.model.tie.joins_sides()).then(|| {
            "vectors.source: with this model.tie source and target have one embedding, which begins with vectors.target. Leave one out"
                .to_owned()
        })
    }),
    (Error, |recipe| {
        let reason = match recipe.loss {
            LossConfig::Dpo(_) => "preferences are between whole answers, as they stand",
            LossConfig::MinimumRisk(_) => "minimum risk is that of texts of the model itself",
            _ => return None,
        };
        let probability = recipe.train.scheduled_sampling;
        (probability > 0.0).then(|| format!("train.scheduled_sampling = {probability}: {reason}. Leave it out"))
    }),
    (Note, |recipe| {
        let init = recipe.init.as_ref()?.display();
        let key = ["model.recurrent_init", "model.forget_bias"].into_iter().find(|key| recipe.is_explicit(key))?;
        Some(format!("{key}: with init the weights begin as those of {init}"))
    }),
    (Error, |recipe| {
        let both = recipe.model.kind == ModelKind::LanguageModel && recipe.target_tokenizer.is_some();
        both.then(|| "[target_tokenizer]: a language model has one tokenizer. Use [tokenizer]".to_owned())
    }),
    (Error, |recipe| {
        let LossConfig::CrossEntropy { smoothing, z_loss, focal, unlikelihood, .. } = recipe.loss else { return None };
        let alone = recipe.distill.as_ref()?.weight == 1.0;
        let keys = [("smoothing", smoothing), ("z_loss", z_loss), ("focal", focal), ("unlikelihood", unlikelihood)];
        keys.into_iter().find(|&(_, value)| alone && value > 0.0).map(|(key, value)| {
            format!("loss.{key} = {value}: with distill.weight = 1 the loss is the teacher's alone. Leave it out")
        })
    }),
    (Error, |recipe| {
        let weight = recipe.generation.coverage_penalty.filter(|&weight| weight > 0.0)?;
        (!recipe.model.has_cross_attention()).then(|| {
            format!("generation.coverage_penalty = {weight}: the model has no attention to a source. Leave it out")
        })
    }),
    (Error, |recipe| {
        let average = recipe.train.average;
        (average > 0.0 && recipe.optimizer.average().is_some()).then(|| {
            format!("train.average = {average}: this optimizer.kind averages the weights itself. Leave it out")
        })
    }),
    (Error, |recipe| {
        let (_, key, reason) = lbfgs_conflicts(recipe).into_iter().find(|(conflicts, ..)| *conflicts)?;
        recipe.optimizer.history_size().map(|_| format!("{key} with optimizer.kind = \"lbfgs\": {reason}"))
    }),
    (Note, |recipe| {
        let falls =
            matches!(recipe.schedule, ScheduleConfig::Plateau(_)) || recipe.schedule.factor(u64::MAX, u64::MAX) < 1.0;
        (falls && recipe.optimizer.average().is_some()).then(|| {
            "schedule.kind: this optimizer.kind needs none that falls, as it averages the weights; constant or linear with a \
             schedule.warmup and schedule.end = 1 is what it is made for"
                .to_owned()
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

/// Why a column cannot hold what belongs to an example: it holds something else.
fn taken(recipe: &Recipe, column: &Column) -> Option<&'static str> {
    let is_attribute =
        |name: &String| recipe.control.as_ref().is_some_and(|control| control.attributes.contains_key(name));
    match (column, recipe.data.as_ref()?.columns.as_ref()) {
        (Column::Name(name), _) if KEYS.contains(&&**name) => Some("this is the key of a text. Give it another name"),
        (Column::Name(name), _) if is_attribute(name) => {
            Some("this is an attribute of [control]. Give it another name")
        }
        (Column::Name(name), Some(Columns::Names(names))) if names.contains(name) => Some("data.columns has it, too"),
        (Column::Number(number), Some(Columns::Numbers(numbers))) if numbers.contains(number) => {
            Some("data.columns has it, too")
        }
        _ => None,
    }
}

/// What L-BFGS cannot go with: whether the recipe has it, its key, and why it cannot.
fn lbfgs_conflicts(recipe: &Recipe) -> [(bool, &'static str, &'static str); 17] {
    const WHOLE: &str = "a step is of the whole text. Leave it out";
    const SAME: &str = "each evaluation has to see the same text and the same model. Leave it out";
    let Recipe { train, data, .. } = recipe;
    let layer_drop = recipe.model.transformer.as_ref().is_some_and(|transformer| transformer.layer_drop > 0.0);
    let has = |what: fn(&DataConfig) -> bool| data.as_ref().is_some_and(what);
    [
        (
            train.clip != ClippingConfig::None,
            "train.clip",
            "the line search needs the gradient as it is. Set train.clip = \"none\"",
        ),
        (train.accumulate > 1, "train.accumulate", WHOLE),
        (train.batch_warmup > 0, "train.batch_warmup", WHOLE),
        (train.length_warmup > 0, "train.length_warmup", WHOLE),
        (train.carry_state, "train.carry_state", SAME),
        (train.scheduled_sampling > 0.0, "train.scheduled_sampling", SAME),
        (
            matches!(recipe.loss, LossConfig::MinimumRisk(_)),
            "loss.kind = \"minimum-risk\"",
            "each evaluation would have other candidates. Take another optimizer",
        ),
        (train.average > 0.0, "train.average", "each step ends at a lower loss than the one before. Leave it out"),
        (
            train.precision == TrainPrecision::Bf16,
            "train.precision",
            "bf16 hides the differences that the line search goes by. Set \"f32\"",
        ),
        (recipe.model.has_dropout() || layer_drop, "dropout in [model]", SAME),
        (has(|data| data.noise.is_some()), "[data.noise]", SAME),
        (has(|data| data.task == Task::SpanCorruption), "data.task = \"span-corruption\"", SAME),
        (has(|data| data.bpe_dropout.is_some()), "data.bpe_dropout", SAME),
        (has(|data| data.unigram_sampling.is_some()), "data.unigram_sampling", SAME),
        (has(|data| data.mixture().is_some()), "data.weights or data.temperature", SAME),
        (
            recipe.control.as_ref().is_some_and(|control| control.dropout > 0.0),
            "control.dropout",
            "each evaluation has to see the same text. Set it to 0",
        ),
        (
            recipe.finetune.as_ref().is_some_and(|finetune| !finetune.rates.is_empty()),
            "finetune.rates",
            "all weights move along one direction. Leave it out",
        ),
    ]
}

/// Steps between two of something; 0 for none.
type Every = fn(&Recipe) -> u64;

/// The keys of a recipe that depend on the number of steps, which the trainer knows.
const BY_STEPS: &[(&str, Every)] = &[
    ("train.checkpoint_every", |recipe| recipe.train.checkpoint_every),
    ("train.validate_every", |recipe| recipe.train.validate_every),
    ("train.log_every", |recipe| recipe.train.log_every),
    ("train.scheduled_sampling_steps", |recipe| recipe.train.scheduled_sampling_steps),
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
            _ if self.train.metric_command.is_some() => Some("train.metric_command"),
            ScheduleConfig::Plateau(_) => Some("schedule.kind = \"plateau\""),
            _ => None,
        }
    }

    /// A warm-up that does not end within a training of so many steps, unless an override has made that shorter.
    pub fn too_long_warmup(&self, steps: u64) -> Option<String> {
        let warmups =
            [("train.batch_warmup", self.train.batch_warmup), ("train.length_warmup", self.train.length_warmup)];
        let too_long = |&(_, warmup): &(&str, u64)| warmup >= steps && !self.is_shortened();
        let (key, warmup) = warmups.into_iter().find(too_long)?;
        Some(format!("{key} = {warmup}: expected less than the {} of the training", plural(steps, "step")))
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
