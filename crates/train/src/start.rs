//! How a training starts, or goes on.

use crate::build_model::add_model;
use crate::checkpoint::{Checkpoint, Progress, Provenance};
use crate::data::{Texts, batch_config, chat_template};
use crate::metrics_file::MetricsFile;
use crate::preflight::{Preflight, new_tokens, other_model};
use crate::resume::{found, resumed};
use crate::run_folder::layout::METRICS;
use crate::run_folder::layout::RECIPE;
use crate::run_folder::layout::{BEST, DATA, LAST, checkpoint_steps};
use crate::run_folder::layout::{TEMPLATE, write};
use crate::run_folder::{is_run, is_starting};
use crate::{
    Error, Estimate, GenerationConfig, Recipe, Replicas, RunFolder, SourceModels, Tokenizers, TrainConfig, Trainer,
    TrainingLengths, quoted,
};
use descant_autograd::Parameters;
use descant_optim::{Optimizer, Schedule, WeightAverage};
use descant_tensor::DType;
use descant_text::{Batches, Corpus, TextError, TokenizerConfig};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

impl Trainer {
    /// Starts a training in the folder `run`, or goes on with the one there.
    ///
    /// # Errors
    /// Whatever is wrong with the recipe, the texts, or the folder. A folder that already holds a run is an error
    /// without `resume`, and one that holds none with it.
    pub fn new(recipe: Recipe, run: &Path, threads: usize, resume: bool) -> Result<Self, Error> {
        let wrong = |reason: &str| Err(Error::Run { path: run.to_owned(), reason: reason.to_owned() });
        match (is_run(run), resume) {
            (true, false) => {
                wrong("it already holds a training. Go on with it with --resume, or choose another folder with --run")
            }
            (true, true) => Self::go_on(recipe, RunFolder::take(run)?, threads),
            (false, false) => Self::start(recipe, run, None, threads),
            // Broken off before it was a run: what it would go on with is its beginning.
            (false, true) if is_starting(run) => Self::start(recipe, run, None, threads),
            (false, true) => wrong("there is no training to go on with. Leave out --resume to begin one"),
        }
    }

    /// Starts a training in a folder that this process has taken.
    ///
    /// # Errors
    /// As [`Trainer::new`].
    pub fn new_in(recipe: Recipe, run: RunFolder, threads: usize) -> Result<Self, Error> {
        let path = run.path().to_owned();
        Self::start(recipe, &path, Some(run), threads)
    }

    fn start(mut recipe: Recipe, path: &Path, run: Option<RunFolder>, threads: usize) -> Result<Self, Error> {
        let mut notes = recipe.source.notes.clone();
        notes.extend(recipe.decide()?);
        if recipe.train.shares == 0 {
            recipe.train.shares = std::thread::available_parallelism().map_or(1, usize::from);
        }
        let origins = SourceModels::of(&recipe)?;
        let template = origins.template(&recipe)?;
        let texts = Texts::with(&recipe, template.as_ref())?;
        texts.check_template(&recipe)?;
        let tokenizers = origins.tokenizers(&recipe, &texts, usize::MAX)?;
        let SourceModels { init, teacher } = origins;
        if let Some(init) = &init {
            recipe.tokenizer = continued(&init.recipe.tokenizer, &recipe.tokenizer);
            if recipe.generation == GenerationConfig::default() {
                recipe.generation = GenerationConfig { max_length: None, ..init.recipe.generation.clone() };
            }
            let own = recipe.target_tokenizer.take().unwrap_or_default();
            recipe.target_tokenizer = init.recipe.target_tokenizer.as_ref().map(|theirs| continued(theirs, &own));
        } else if let Some(teacher) = &teacher {
            let theirs = &teacher.trained().recipe;
            recipe.tokenizer = theirs.tokenizer.clone();
            recipe.target_tokenizer = theirs.target_tokenizer.clone();
        }
        if let (Some(teacher), Some(distill)) = (&teacher, &mut recipe.distill) {
            teacher.check(&tokenizers, path)?;
            distill.checksum = teacher.trained().checksum;
        }
        // A model that cannot be built is told before anything is written.
        let file = recipe.source.path.clone().unwrap_or_else(|| PathBuf::from("the recipe"));
        let wrong = |reason: String| Error::Recipe { path: file.clone(), reason };
        let estimate = estimate(&recipe, &tokenizers).map_err(wrong)?;
        estimate.check(true).map_err(wrong)?;
        // Weights that are copied need not be drawn.
        let mut parameters = Parameters::new(DType::F32);
        let seed = init.is_none().then_some(recipe.seed);
        let model = add_model(&recipe, &tokenizers, &mut parameters, seed).map_err(wrong)?;
        parameters.set_precision(recipe.train.precision.into());
        if let Some(init) = &init {
            let sizes: Vec<_> = init.tokenizers.sizes().into_iter().zip(tokenizers.sizes()).collect();
            let differs = |what| wrong(other_model(&recipe, &init.recipe, init.run(), what));
            parameters.copy_from(&init.parameters, &sizes).map_err(differs)?;
            notes.extend(new_tokens(&recipe, &parameters, &sizes)?);
        }
        let before = init.map(|init| init.lengths());
        let run = run.map_or_else(|| RunFolder::take(path), Ok)?;
        run.begin()?;
        let mut told = Vec::new();
        let (batches, validation) = encode(&recipe, &texts, &tokenizers, &run, &mut told)?;
        let held_out = validation.clone().map(|text| Batches::new(text, batch_config(&recipe))).transpose()?;
        let found = Preflight::of(&recipe, model.as_ref(), &batches, held_out)?;
        notes.extend(found.notes);
        tokenizers.save(run.path())?;
        TrainingLengths::by(&recipe, &texts, run.path())?.or(before.unwrap_or_default()).save(run.path())?;
        if let Some(template) = &template {
            write(&run.join(TEMPLATE), template.text().as_bytes())?;
        }
        let decay = recipe.train.average;
        let average = (decay > 0.0).then(|| WeightAverage::new(decay, &parameters));
        let optimizer = Optimizer::new(recipe.optimizer.clone(), &parameters)?;
        let replicas = Replicas::new(recipe.train.shares, threads)?.with_teacher(teacher);
        let (metrics, _) = MetricsFile::open(run.path(), 0, false)?;
        let mut trainer = Self {
            schedule: Schedule::new(found.schedule, found.steps),
            steps: found.steps,
            estimate,
            belongs: Provenance::of(&recipe, run.path())?,
            notes: notes.iter().map(|note| format!("Note: {note}.")).chain(told).collect(),
            progress: Progress { position: batches.position(), ..Progress::default() },
            kept: 0,
            run,
            metrics,
            tokenizers,
            parameters,
            model,
            average,
            optimizer,
            replicas,
            form: texts.train.form(),
            batches,
            validation,
            recipe,
        };
        // With its recipe the folder becomes a run, and from then on training goes on from a checkpoint, never from
        // weights that are drawn anew.
        trainer.save(LAST)?;
        trainer.run.finish(&trainer.recipe)?;
        Ok(trainer)
    }

    fn go_on(given: Recipe, run: RunFolder, threads: usize) -> Result<Self, Error> {
        let place = run.join(RECIPE);
        let own = Recipe::of_run(run.path())?;
        let recipe = resumed(given, &own, run.path())?;
        let wrong = |reason: String| Error::Recipe { path: place.clone(), reason };
        let checkpoint = last(run.path())?;
        let step = checkpoint.progress().step;
        let mut notes = Vec::new();
        if let Some(belongs) = checkpoint.belongs() {
            belongs.check(&recipe, run.path())?;
            notes = belongs.notes(&recipe, run.path(), step)?;
        }
        if let Some(format) = checkpoint.older_format() {
            notes.push(format!(
                "The last checkpoint has format {format}, of an older descant: from step {step} on the last bits are others \
                 than that one's, and weight decay leaves out what optimizer.no_decay names."
            ));
        }
        let places = found(&recipe, run.path());
        let SourceModels { teacher, .. } = SourceModels::resumed(&places)?;
        let stored = run.join(TEMPLATE);
        let template = stored.is_file().then(|| chat_template(&stored)).transpose()?;
        let texts = Texts::with(&places, template.as_ref())?;
        let given = places.data.as_ref().and_then(|data| data.chat_template.as_ref()).filter(|path| path.is_file());
        if let Some(path) = given.filter(|path| chat_template(path).ok() != template) {
            notes.push(format!("{} has changed. Training goes on with the template as it was.", path.display()));
        }
        let tokenizers = Tokenizers::load(run.path(), &recipe)?;
        if let Some(teacher) = &teacher {
            teacher.check(&tokenizers, run.path())?;
        }
        let mut parameters = Parameters::new(DType::F32);
        let model = add_model(&recipe, &tokenizers, &mut parameters, None).map_err(wrong)?;
        parameters.set_precision(recipe.train.precision.into());
        checkpoint.load_weights(&mut parameters)?;
        let decay = recipe.train.average;
        let mut average = (decay > 0.0).then(|| WeightAverage::new(decay, &parameters));
        if let Some(average) = &mut average {
            checkpoint.load_model(average.weights_mut())?;
        }
        let mut optimizer = Optimizer::new(recipe.optimizer.clone(), &parameters)?;
        checkpoint.load_optimizer(&mut optimizer)?;
        let mut progress = checkpoint.progress().clone();
        let TrainConfig { steps, epochs, .. } = recipe.train;
        let is_over = progress.step >= steps || (epochs > 0 && progress.position.epoch >= epochs);
        let beyond_end = !is_over && progress.forget_end();
        let (mut batches, validation) = encode(&recipe, &texts, &tokenizers, &run, &mut notes)?;
        let held_out = validation.clone().map(|text| Batches::new(text, batch_config(&recipe))).transpose()?;
        let found = Preflight::of(&recipe, model.as_ref(), &batches, held_out)?;
        notes.extend(found.notes.iter().map(|note| format!("Note: {note}.")));
        let estimate = estimate(&recipe, &tokenizers).map_err(wrong)?;
        let mut schedule = Schedule::new(found.schedule, found.steps);
        if let Some(state) = &progress.schedule {
            schedule.restore(state).map_err(wrong)?;
        }
        batches.seek(progress.position)?;
        let replicas = Replicas::new(recipe.train.shares, threads)?.with_teacher(teacher);
        // All is read, and nothing was written so far.
        run.has_started()?;
        if recipe != own {
            run.write_recipe(&recipe)?;
        }
        let (metrics, unread) = MetricsFile::open(run.path(), progress.step, beyond_end)?;
        if unread > 0 {
            notes.push(format!("{METRICS}: {unread} lines could not be read, and are left out from now on."));
        }
        if beyond_end {
            run.point_back(progress.best.map(|(_, step)| step))?;
        }
        run.prune(progress.best_before_end())?;
        Ok(Self {
            belongs: Provenance::of(&recipe, run.path())?,
            notes,
            steps: found.steps,
            estimate,
            kept: step,
            run,
            metrics,
            tokenizers,
            parameters,
            model,
            average,
            optimizer,
            schedule,
            replicas,
            form: texts.train.form(),
            batches,
            validation,
            progress,
            recipe,
        })
    }
}

/// What a training takes of memory.
fn estimate(recipe: &Recipe, tokenizers: &Tokenizers) -> Result<Estimate, String> {
    let vocabulary = tokenizers.vocabulary(&recipe.loss)?;
    Estimate::of(recipe, &vocabulary, DType::F32, recipe.tokens_at_once())
}

/// The checkpoint that a run goes on from.
fn last(run: &Path) -> Result<Checkpoint, Error> {
    let wrong = |path: &Path, reason: String| Err(Error::Run { path: path.to_owned(), reason });
    let link = run.join(LAST);
    // They are turned while training goes on.
    for link in [&link, &run.join(BEST)] {
        if link.exists() && !link.is_symlink() {
            let reason = "it is no link, as in a copy that was made without links. Move it away, and let a link of that \
                          name point at a folder in 'checkpoints'";
            return wrong(link, reason.to_owned());
        }
    }
    if link.exists() {
        return Checkpoint::open(&link);
    }
    let there: Vec<String> = checkpoint_steps(run).iter().map(|step| format!("checkpoints/step-{step:08}")).collect();
    if there.is_empty() {
        let reason =
            "it has no checkpoint to go on from. Delete the folder, or choose another with --run, to begin anew";
        return wrong(run, reason.to_owned());
    }
    let folder = quoted(&run.to_string_lossy());
    let (all, newest) = (there.join(", "), &there[there.len() - 1]);
    let reason = format!(
        "it has checkpoints ({all}), but no link 'last' to one of them that says from which to go on. Make it: ln -sfn \
         {newest} {folder}/last"
    );
    wrong(run, reason)
}

/// The texts of a training as batches, and those to validate on; what there is to tell of them goes to the notes.
fn encode(
    recipe: &Recipe,
    texts: &Texts,
    tokenizers: &Tokenizers,
    run: &RunFolder,
    notes: &mut Vec<String>,
) -> Result<(Batches, Option<Arc<Corpus>>), Error> {
    let data = run.join(DATA);
    if let Err(error) = fs::create_dir(&data)
        && error.kind() != ErrorKind::AlreadyExists
    {
        return Err(Error::io("create", &data, error));
    }
    let (train, validation) = texts.encode(tokenizers, Some(run.path()))?;
    run.check()?;
    notes.extend(texts.notes(&train, validation.as_deref()));
    notes.extend(tokenizers.idle_tokens(&recipe.loss, &train)?);
    notes.extend(tokenizers.rare_subwords(recipe, &train)?);
    let batches = Batches::new(train, batch_config(recipe)).map_err(|error| match error {
        // By its own name, not that of the encoded copy.
        TextError::TooLittle { reason, .. } => TextError::TooLittle { path: texts.train.path().to_owned(), reason },
        error => error,
    })?;
    Ok((batches, validation))
}

/// The tokenizer of a run that another begins with, and what that one adds to it.
fn continued(theirs: &TokenizerConfig, own: &TokenizerConfig) -> TokenizerConfig {
    let new = own.add.iter().filter(|token| !theirs.add.contains(token));
    TokenizerConfig { add: theirs.add.iter().chain(new).cloned().collect(), ..theirs.clone() }
}
