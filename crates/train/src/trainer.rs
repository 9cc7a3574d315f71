use crate::checkpoint::{self, Checkpoint, Content, Progress};
use crate::data::{TEMPLATE, Texts, batch_config, chat_template, write};
use crate::evaluate::{Evaluation, evaluate};
use crate::metrics::{METRICS, Metric, Metrics};
use crate::trained::{RECIPE, model};
use crate::{Error, Origins, Recipe, Replicas, Tokenizers};
use descant_autograd::{ParameterId, Parameters, mix};
use descant_models::Generator;
use descant_optim::{Average, Optimizer, Schedule};
use descant_tensor::DType;
use descant_text::{Batch, Batches, Corpus, TextError, TokenizerConfig};
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// How many lines of each side a tokenizer is trained on at most, so that memory stays bounded.
const SAMPLE: usize = 200_000;

/// A training: a recipe, its run folder, and all that changes from step to step.
#[derive(Debug)]
pub struct Trainer {
    recipe: Recipe,
    run: PathBuf,
    /// Held until the end.
    _lock: File,
    tokenizers: Tokenizers,
    parameters: Parameters,
    model: Box<dyn Generator>,
    average: Option<Average>,
    optimizer: Optimizer,
    schedule: Schedule,
    replicas: Replicas,
    batches: Batches,
    validation: Option<Arc<Corpus>>,
    progress: Progress,
    kept: u64,
    left_out: u64,
}

/// How a training came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All steps are done.
    Finished,
    /// No validation was better for as long as `train.patience` says.
    NoLongerBetter,
    /// It was asked to stop; its checkpoint is written.
    Stopped,
}

/// What a training tells those who watch it.
#[derive(Clone, Debug)]
pub enum Event {
    /// A step is done.
    Step {
        /// Steps done.
        step: u64,
        /// Steps in all.
        steps: u64,
        /// Loss per target token, in nats.
        loss: f64,
        /// Target tokens of the step.
        tokens: usize,
    },
    /// A line of metrics was written.
    Metric(Metric),
    /// A checkpoint was written.
    Saved {
        /// Its step.
        step: u64,
    },
}

/// What one step found.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Loss per target token, in nats.
    pub loss: f64,
    /// Norm of the gradient before clipping.
    pub gradient_norm: f64,
    /// The learning rate.
    pub learning_rate: f64,
    /// Target tokens.
    pub tokens: usize,
}

impl Trainer {
    /// Starts a training in the folder `run`, or goes on with the one there.
    ///
    /// # Errors
    /// Whatever is wrong with the recipe, the texts, or the folder. A folder that already holds a run is an error
    /// without `resume`.
    pub fn new(mut recipe: Recipe, run: &Path, threads: usize, resume: bool) -> Result<Self, Error> {
        let place = run.join(RECIPE);
        let started = place.exists();
        if started && !resume {
            let reason = "it already holds a training. Go on with it with --resume, or choose another with --run";
            return Err(Error::Run { path: run.to_owned(), reason: reason.to_owned() });
        }
        if started {
            recipe = resumed(recipe, run)?;
        } else if recipe.train.shares == 0 {
            recipe.train.shares = std::thread::available_parallelism().map_or(1, usize::from);
        }
        let origins = if started { Origins::resumed(&recipe)? } else { Origins::of(&recipe)? };
        let stored = run.join(TEMPLATE);
        let template = match started {
            true => stored.is_file().then(|| chat_template(&stored)).transpose()?,
            false => origins.template(&recipe)?,
        };
        let texts = Texts::with(&recipe, template.as_ref())?;
        let tokenizers = match started {
            true => Tokenizers::load(run, &recipe)?,
            false => origins.tokenizers(&recipe, &texts, SAMPLE)?,
        };
        let Origins { init, teacher } = origins;
        if let Some(init) = &init {
            recipe.tokenizer = continued(&init.recipe.tokenizer, &recipe.tokenizer);
            let own = recipe.target_tokenizer.take().unwrap_or_default();
            recipe.target_tokenizer = init.recipe.target_tokenizer.as_ref().map(|theirs| continued(theirs, &own));
        } else if let Some(teacher) = teacher.as_ref().filter(|_| !started) {
            let theirs = &teacher.trained().recipe;
            recipe.tokenizer = theirs.tokenizer.clone();
            recipe.target_tokenizer = theirs.target_tokenizer.clone();
        }
        if let (Some(teacher), Some(distill)) = (&teacher, &mut recipe.distill) {
            distill.checksum = teacher.trained().checksum;
        }
        if let Some(teacher) = &teacher {
            teacher.check(&tokenizers, run)?;
        }
        // A model that cannot be built is told before anything is written.
        let named = if started { place.clone() } else { PathBuf::from("the recipe") };
        let wrong = |reason: String| Error::Recipe { path: named.clone(), reason };
        let (mut parameters, model) = model(&recipe, &tokenizers, DType::F32).map_err(wrong)?;
        parameters.set_precision(recipe.train.precision.into());
        if let Some(init) = &init {
            let sizes = init.tokenizers.sizes().into_iter().zip(tokenizers.sizes());
            parameters.copy_from(&init.parameters, &sizes.collect::<Vec<_>>()).map_err(|what| {
                wrong(format!(
                    "init: {} is of another architecture than the recipe's model: {what}",
                    init.run().display()
                ))
            })?;
        }
        drop(init);
        let data = run.join("data");
        fs::create_dir_all(run).map_err(|error| Error::io("create the run folder", run, error))?;
        let lock = lock(run)?;
        if !started {
            check_unused(run)?;
            ["train", "validation"].iter().try_for_each(|text| Corpus::remove(&data.join(text)))?;
        }
        fs::create_dir_all(&data).map_err(|error| Error::io("create the run folder", &data, error))?;
        let (train, validation) = texts.encode(&tokenizers, Some(run))?;
        let left_out = train.left_out()
            + validation.as_ref().filter(|_| texts.validation.is_some()).map_or(0, |text| text.left_out());
        let mut batches = Batches::new(train, batch_config(&recipe)).map_err(|error| match error {
            // By its own name, not that of the encoded copy.
            TextError::TooLittle { reason, .. } => TextError::TooLittle { path: texts.train.path().to_owned(), reason },
            error => error,
        })?;
        if !started {
            tokenizers.save(run)?;
            if let Some(template) = &template {
                write(&stored, template.text().as_bytes())?;
            }
            write(&place, recipe.to_toml().map_err(wrong)?.as_bytes())?;
        }
        let decay = recipe.train.average;
        let mut average = (decay > 0.0).then(|| Average::new(decay, &parameters));
        let mut optimizer = Optimizer::new(recipe.optimizer.clone(), &parameters);
        let mut schedule = Schedule::new(recipe.schedule.clone(), recipe.train.steps);
        let mut progress = Progress::default();
        let last = run.join("last");
        if started && !last.is_symlink() && (last.exists() || checkpoint::any(run)) {
            let reason = "it has checkpoints, but no link 'last' that says from which to go on. Make one that points at \
                          a folder in 'checkpoints'";
            return Err(Error::Run { path: run.to_owned(), reason: reason.to_owned() });
        }
        if started && last.is_symlink() {
            if !last.exists() {
                let reason = "it points at a checkpoint that is not there. Let it point at another of the run's \
                              checkpoints, or remove it to begin anew";
                return Err(Error::Run { path: last, reason: reason.to_owned() });
            }
            let checkpoint = Checkpoint::open(&last)?;
            checkpoint.load_weights(&mut parameters)?;
            if let Some(average) = &mut average {
                checkpoint.load_model(average.weights_mut())?;
            }
            checkpoint.load_optimizer(&mut optimizer)?;
            progress = checkpoint.progress().clone();
            batches.seek(progress.position)?;
            if let Some(state) = &progress.schedule {
                schedule.restore(state).map_err(wrong)?;
            }
        }
        let replicas = Replicas::new(&parameters, recipe.train.shares, threads)?.taught_by(teacher);
        Ok(Self {
            run: run.to_owned(),
            _lock: lock,
            tokenizers,
            model,
            average,
            optimizer,
            schedule,
            replicas,
            batches,
            validation,
            kept: progress.step,
            progress,
            parameters,
            left_out,
            recipe,
        })
    }

    /// The resolved recipe.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// The weights to write texts with: their average, where the recipe asks for it.
    pub fn parameters(&self) -> &Parameters {
        self.average.as_ref().map_or(&self.parameters, Average::weights)
    }

    /// The model.
    pub fn model(&self) -> &dyn Generator {
        self.model.as_ref()
    }

    /// The tokenizers.
    pub fn tokenizers(&self) -> &Tokenizers {
        &self.tokenizers
    }

    /// Pairs or lines of the texts that are left out, as they are longer than `data.max_length` or the model's positions.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Steps done.
    pub fn steps_done(&self) -> u64 {
        self.progress.step
    }

    /// The best validation loss, and its step.
    pub fn best(&self) -> Option<(f64, u64)> {
        self.progress.best
    }

    /// One optimizer step.
    ///
    /// # Errors
    /// [`Error::Diverged`]; whatever reading a batch fails with.
    pub fn step(&mut self) -> Result<Step, Error> {
        let train = &self.recipe.train;
        let batches: Vec<Batch> = (0..train.accumulate).map(|_| self.batches.next_batch()).collect::<Result<_, _>>()?;
        let seed = mix(self.recipe.seed, self.progress.step);
        let passed = self.replicas.pass(self.model.as_ref(), &self.parameters, &batches, seed);
        let next = self.progress.step + 1;
        let passed = passed?;
        if !passed.loss.is_finite() {
            let cause = self.trace(&batches, seed);
            return Err(self.diverged(next, cause.unwrap_or_else(|| "the loss is not finite".to_owned())));
        }
        let gradient_norm = self.replicas.reduce();
        if !gradient_norm.is_finite() {
            let cause = self.trace(&batches, seed);
            return Err(self.diverged(next, cause.unwrap_or_else(|| "the gradient is not finite".to_owned())));
        }
        let clipping = train.clip.clipping(gradient_norm);
        let learning_rate = train.learning_rate * self.schedule.factor(self.progress.step);
        self.replicas.update(&mut self.optimizer, &mut self.parameters, learning_rate, clipping)?;
        self.progress.step += 1;
        if let Some(average) = &mut self.average {
            self.replicas.install(|| average.update(&self.parameters, self.progress.step));
        }
        self.progress.position = self.batches.position();
        let tokens = batches.iter().map(|batch| batch.target.tokens()).sum();
        Ok(Step { loss: passed.loss / passed.weight.max(f64::MIN_POSITIVE), gradient_norm, learning_rate, tokens })
    }

    /// Trains to the end, or until `stop` is set: then the checkpoint is written first.
    ///
    /// # Errors
    /// As [`Trainer::step`], and whatever writing a checkpoint fails with. The last checkpoint stays complete.
    pub fn run(&mut self, stop: &AtomicBool, mut watch: impl FnMut(&Event)) -> Result<Outcome, Error> {
        let mut metrics = Metrics::open(&self.run, self.progress.step)?;
        if self.progress.step == 0 {
            self.save("last")?;
        }
        let (steps, epochs) = (self.recipe.train.steps, self.recipe.train.epochs);
        let mut log = Log::default();
        if self.is_stale() {
            return Ok(Outcome::NoLongerBetter);
        }
        while self.progress.step < steps && (epochs == 0 || self.progress.position.epoch < epochs) {
            let start = Instant::now();
            let found = self.step()?;
            let step = self.progress.step;
            log.add(&found, start.elapsed().as_secs_f64());
            watch(&Event::Step { step, steps, loss: found.loss, tokens: found.tokens });
            if step.is_multiple_of(self.recipe.train.log_every) {
                let metric = log.metric(step, self.progress.position.epoch, found.learning_rate);
                metrics.write(&metric)?;
                watch(&Event::Metric(metric));
                log = Log::default();
            }
            let last = step >= steps || (epochs > 0 && self.progress.position.epoch >= epochs);
            let stopped = stop.load(Ordering::Relaxed);
            if step.is_multiple_of(self.recipe.train.validate_every) || last {
                if let Some(metric) = self.validate()? {
                    metrics.write(&metric)?;
                    let best = matches!(metric, Metric::Validation { best: true, .. });
                    watch(&Event::Metric(metric));
                    if best {
                        self.save("best")?;
                    }
                }
                self.save("last")?;
                watch(&Event::Saved { step });
                if self.is_stale() {
                    return Ok(Outcome::NoLongerBetter);
                }
            } else if stopped || is_due(step, self.recipe.train.checkpoint_every) {
                self.save("last")?;
                watch(&Event::Saved { step });
            }
            if stopped && !last {
                return Ok(Outcome::Stopped);
            }
        }
        Ok(Outcome::Finished)
    }

    /// Loss and accuracy over the validation text, where there is one.
    ///
    /// # Errors
    /// Whatever reading it or a pass fails with.
    pub fn evaluate(&mut self) -> Result<Option<Evaluation>, Error> {
        let Some(corpus) = &self.validation else { return Ok(None) };
        let batches = Batches::once(corpus.clone(), batch_config(&self.recipe))?;
        let parameters = self.average.as_ref().map_or(&self.parameters, Average::weights);
        evaluate(self.model.as_ref(), parameters, &mut self.replicas, batches).map(Some)
    }

    fn is_stale(&self) -> bool {
        let patience = self.recipe.train.patience;
        patience > 0 && self.progress.stale >= patience
    }

    fn validate(&mut self) -> Result<Option<Metric>, Error> {
        let Some(found) = self.evaluate()? else { return Ok(None) };
        let step = self.progress.step;
        if !found.loss.is_finite() {
            let cause = self.trace_validation()?.unwrap_or_else(|| "the validation loss is not finite".to_owned());
            return Err(self.diverged(step, cause));
        }
        let best = self.progress.best.is_none_or(|(loss, _)| found.loss < loss);
        if best {
            self.progress.best = Some((found.loss, step));
            self.progress.stale = 0;
        } else {
            self.progress.stale += 1;
        }
        self.schedule.observe(found.loss);
        self.progress.schedule = self.schedule.state();
        let (perplexity, accuracy) = (found.perplexity, found.accuracy);
        Ok(Some(Metric::Validation { step, loss: found.loss, perplexity, accuracy, best }))
    }

    /// Writes a checkpoint, and makes `link` point at it.
    fn save(&mut self, link: &str) -> Result<(), Error> {
        let parameters = &self.parameters;
        let finite = |&id: &ParameterId| parameters.buffer().is_finite(parameters.range(id));
        if let Some(id) = parameters.ids().find(|id| !finite(id)) {
            let cause = format!("the optimizer made parameter '{}' non-finite", parameters.name(id));
            return Err(self.diverged(self.progress.step, cause));
        }
        let place = checkpoint::folder(&self.run, self.progress.step);
        if self.kept != self.progress.step || !place.exists() {
            let weights = self.average.is_some().then_some(&self.parameters);
            let content = Content { model: self.parameters(), weights, optimizer: Some(&self.optimizer) };
            checkpoint::save(&self.run, content, &self.progress)?;
        }
        checkpoint::point(&self.run, link, &place)?;
        self.kept = self.progress.step;
        checkpoint::prune(&self.run)
    }

    /// The first operation whose value or gradient is not finite.
    fn trace(&mut self, batches: &[Batch], seed: u64) -> Option<String> {
        let found = self.replicas.trace(self.model.as_ref(), &self.parameters, batches, seed);
        found.map(|error| error.to_string())
    }

    /// The same in the validation text.
    fn trace_validation(&mut self) -> Result<Option<String>, Error> {
        let Some(corpus) = &self.validation else { return Ok(None) };
        for batch in Batches::once(corpus.clone(), batch_config(&self.recipe))? {
            if let Some(cause) = self.trace(&[batch?], self.recipe.seed) {
                return Ok(Some(cause));
            }
        }
        Ok(None)
    }

    /// The error of a training that is no longer finite.
    fn diverged(&self, step: u64, cause: String) -> Error {
        Error::Diverged { step, cause, kept: self.kept, path: self.run.clone() }
    }
}

/// Takes a run folder for this process alone, as long as the file is open.
fn lock(run: &Path) -> Result<File, Error> {
    let path = run.join(".lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|error| Error::io("write", &path, error))?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            let reason = "another process is training in it. Let it end, or choose another folder with --run";
            Err(Error::Run { path: run.to_owned(), reason: reason.to_owned() })
        }
        // Some file systems have no locks: then nobody is kept out.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(file),
    }
}

/// That a folder without a recipe has nothing that a training would overwrite. The texts may be there already, of a
/// training that was broken off at once, and with them the tokenizers.
fn check_unused(run: &Path) -> Result<(), Error> {
    let encoded = Corpus::is_in(&run.join("data").join("train"));
    let tokenizers = if encoded { &[][..] } else { &Tokenizers::FILES };
    let found = ["checkpoints", "best", "last", METRICS].iter().chain(tokenizers).find(|name| run.join(name).exists());
    let Some(found) = found else { return Ok(()) };
    let reason =
        format!("it has no {RECIPE}, but '{found}', which training would overwrite. Choose another folder with --run");
    Err(Error::Run { path: run.to_owned(), reason })
}

/// The run's own recipe, which a training goes on with; only how long it runs may be changed.
fn resumed(given: Recipe, run: &Path) -> Result<Recipe, Error> {
    let path = run.join(RECIPE);
    let mut recipe = Recipe::load(&path, &[])?;
    recipe.train.steps = given.train.steps;
    recipe.train.epochs = given.train.epochs;
    recipe.train.patience = given.train.patience;
    let mut same = given;
    if same.train.shares == 0 {
        same.train.shares = recipe.train.shares;
    }
    if let (Some(distill), Some(own)) = (&mut same.distill, &recipe.distill) {
        distill.checksum = own.checksum;
    }
    if same.init.is_some() || same.distill.is_some() {
        (same.tokenizer, same.target_tokenizer) = (recipe.tokenizer.clone(), recipe.target_tokenizer.clone());
    }
    if same != recipe {
        let reason = "the recipe differs from the one the run was started with, so going on would not be the same \
                      training. Undo the change (only train.steps, train.epochs and train.patience may differ), or \
                      start another run with --run";
        return Err(Error::Run { path: run.to_owned(), reason: reason.to_owned() });
    }
    Ok(recipe)
}

/// The tokenizer of a run that another begins with, and what that one adds to it.
fn continued(theirs: &TokenizerConfig, own: &TokenizerConfig) -> TokenizerConfig {
    TokenizerConfig { add: [theirs.add.clone(), own.add.clone()].concat(), ..theirs.clone() }
}

fn is_due(step: u64, every: u64) -> bool {
    every > 0 && step.is_multiple_of(every)
}

/// Sums over the steps since the last line of metrics.
#[derive(Default)]
struct Log {
    steps: u64,
    loss: f64,
    gradient_norm: f64,
    tokens: usize,
    seconds: f64,
}

impl Log {
    fn add(&mut self, step: &Step, seconds: f64) {
        self.seconds += seconds;
        self.steps += 1;
        self.loss += step.loss;
        self.gradient_norm += step.gradient_norm;
        self.tokens += step.tokens;
    }

    fn metric(&self, step: u64, epoch: u64, learning_rate: f64) -> Metric {
        let n = self.steps.max(1) as f64;
        let tokens_per_s = self.tokens as f64 / self.seconds.max(1e-9);
        Metric::Train {
            step,
            epoch,
            loss: self.loss / n,
            gradient_norm: self.gradient_norm / n,
            learning_rate,
            tokens_per_s,
        }
    }
}
