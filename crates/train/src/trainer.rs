use crate::data::batch_config;
use crate::evaluate::{Evaluation, evaluate};
use crate::metrics_file::{MetricsFile, MetricsRecord, Step};
use crate::text_metrics::EvalExample;
use crate::{Error, Replicas};
use descant_autograd::{ParameterId, Parameters, derive_seed};
use descant_batch::Batch;
use descant_inference::checkpoint::{self, Content, OptimizerState};
use descant_inference::layout::{BEST, LAST, checkpoint_folder};
use descant_inference::{Estimate, Progress, Provenance, Recipe, RunFolder, Tokenizers, TrainConfig};
use descant_kernels::MatmulPrecision;
use descant_models::Generator;
use descant_optim::{Optimizer, Schedule, WeightAverage};
use descant_text::{Batches, Corpus, Form, Source};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// A training: a recipe, its run folder, and all that changes from step to step.
#[derive(Debug)]
pub struct Trainer {
    pub(crate) recipe: Recipe,
    pub(crate) run: RunFolder,
    pub(crate) provenance: Provenance,
    pub(crate) metrics: MetricsFile,
    pub(crate) notes: Vec<String>,
    pub(crate) tokenizers: Tokenizers,
    pub(crate) parameters: Parameters,
    pub(crate) model: Box<dyn Generator>,
    pub(crate) average: Option<WeightAverage>,
    pub(crate) optimizer: Optimizer,
    pub(crate) schedule: Schedule,
    /// Optimizer steps in all.
    pub(crate) steps: u64,
    pub(crate) estimate: Estimate,
    pub(crate) replicas: Replicas,
    pub(crate) form: Form,
    pub(crate) batches: Batches,
    pub(crate) validation: Option<Arc<Corpus>>,
    /// The text of which that is, or the end of it.
    pub(crate) held_out: Source,
    /// What texts are generated for at a validation.
    pub(crate) examples: Vec<EvalExample>,
    pub(crate) progress: Progress,
    /// The step of the newest checkpoint.
    pub(crate) kept: u64,
}

/// How a training came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All steps are done.
    Finished,
    /// No validation was better for as long as `train.patience` says.
    EarlyStopped,
    /// It was asked to stop; its checkpoint is written.
    Stopped,
}

/// What a training tells those who watch it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A step is done.
    Step {
        /// Steps done.
        step: u64,
        /// Steps in all.
        steps: u64,
        /// Loss per target token, in nats; none where none of them counts.
        loss: Option<f64>,
        /// Target tokens of the step.
        tokens: usize,
    },
    /// A line of metrics was written.
    Metrics(MetricsRecord),
    /// A checkpoint was written.
    Saved {
        /// Its step.
        step: u64,
    },
}

impl Trainer {
    /// The resolved recipe.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// The weights to write texts with: their average, where the recipe asks for it.
    pub fn parameters(&self) -> &Parameters {
        self.average.as_ref().map_or(&self.parameters, WeightAverage::weights)
    }

    /// The model.
    pub fn model(&self) -> &dyn Generator {
        self.model.as_ref()
    }

    /// The tokenizers.
    pub fn tokenizers(&self) -> &Tokenizers {
        &self.tokenizers
    }

    /// What of the texts is left out, cut or unknown, what is otherwise than the recipe says, or than before in a training
    /// that goes on, in sentences.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Steps in all.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// What it takes of memory, about.
    pub fn estimate(&self) -> Estimate {
        self.estimate
    }

    /// Sequences, or chunks of a continuous text, that are learned from; and those that are held out.
    pub fn sequences(&self) -> [u64; 2] {
        let held_out = self.validation.as_ref().map(|text| Batches::new(text.clone(), batch_config(&self.recipe)));
        [self.batches.sequences(), held_out.and_then(Result::ok).map_or(0, |batches| batches.sequences())]
    }

    /// What its texts are.
    pub fn form(&self) -> Form {
        self.form
    }

    /// How it came to its end, where it did: then there is no more to do.
    pub fn outcome(&self) -> Option<Outcome> {
        match self.is_stale() {
            true => Some(Outcome::EarlyStopped),
            false => self.is_done().then_some(Outcome::Finished),
        }
    }

    /// Whether all steps are done.
    fn is_done(&self) -> bool {
        let (most, epochs) = (self.recipe.train.most_steps(), self.recipe.train.epochs);
        self.progress.step >= most || (epochs > 0 && self.progress.position.epoch >= epochs)
    }

    /// Steps done.
    pub fn steps_done(&self) -> u64 {
        self.progress.step
    }

    /// The loss of the best validation, or what `train.best_metric` names, and its step.
    pub fn best(&self) -> Option<(f64, u64)> {
        self.progress.best
    }

    /// One optimizer step.
    ///
    /// # Errors
    /// [`Error::Diverged`]; whatever reading a batch fails with.
    pub fn step(&mut self) -> Result<Step, Error> {
        let train = &self.recipe.train;
        // With a number of epochs each is every sequence once: its last step is of what is left.
        let mut batches: Vec<Batch> = Vec::with_capacity(train.accumulate);
        let epoch = self.batches.position().epoch;
        while batches.len() < train.accumulate && (train.epochs == 0 || self.batches.position().epoch == epoch) {
            batches.push(self.batches.next_batch()?);
        }
        let seed = derive_seed(self.recipe.seed, self.progress.step);
        let step_loss = self.replicas.forward_backward(self.model.as_ref(), &self.parameters, &batches, seed);
        let next = self.progress.step + 1;
        let step_loss = step_loss?;
        if !step_loss.sum.is_finite() {
            let cause = self.trace(&batches, seed);
            return Err(self.diverged(next, cause.unwrap_or_else(|| "the loss is not finite".to_owned())));
        }
        let tokens = batches.iter().map(|batch| batch.target.tokens()).sum();
        let learning_rate = train.learning_rate * self.schedule.factor(self.progress.step);
        // A mean over nothing is no number, and its gradient no direction.
        if step_loss.weight <= 0.0 {
            self.progress.step += 1;
            self.progress.position = self.batches.position();
            return Ok(Step { loss: None, gradient_norm: 0.0, learning_rate, tokens });
        }
        let gradient_norm = self.replicas.reduce();
        if !gradient_norm.is_finite() {
            let cause = self.trace(&batches, seed);
            return Err(self.diverged(next, cause.unwrap_or_else(|| "the gradient is not finite".to_owned())));
        }
        let clipping = train.clip.clipping(gradient_norm);
        self.replicas.update(&mut self.optimizer, &mut self.parameters, learning_rate, clipping)?;
        self.progress.step += 1;
        if let Some(average) = &mut self.average {
            self.replicas.install(|| average.update(&self.parameters, self.progress.step));
        }
        self.progress.position = self.batches.position();
        Ok(Step { loss: Some(step_loss.sum / step_loss.weight), gradient_norm, learning_rate, tokens })
    }

    /// Trains to the end, or until `stop` is set: then the checkpoint is written first.
    ///
    /// # Errors
    /// As [`Trainer::step`], and whatever writing a checkpoint fails with. The last checkpoint stays complete.
    pub fn run(&mut self, stop: &AtomicBool, mut watch: impl FnMut(&Event)) -> Result<Outcome, Error> {
        let steps = self.steps;
        if self.is_stale() {
            return Ok(Outcome::EarlyStopped);
        }
        self.read_examples()?;
        while !self.is_done() {
            let start = Instant::now();
            let found = self.step()?;
            let step = self.progress.step;
            let seconds = start.elapsed().as_secs_f64();
            self.progress.log.add(found.loss, found.gradient_norm, found.tokens, seconds);
            watch(&Event::Step { step, steps, loss: found.loss, tokens: found.tokens });
            if step.is_multiple_of(self.recipe.train.log_every) {
                let log = std::mem::take(&mut self.progress.log);
                let metric = MetricsRecord::train(&log, step, self.progress.position.epoch, found.learning_rate);
                self.run.check()?;
                self.metrics.write(&metric)?;
                watch(&Event::Metrics(metric));
            }
            let (last, stopped) = (self.is_done(), stop.load(Ordering::Relaxed));
            if step.is_multiple_of(self.recipe.train.validate_every) || last {
                if !step.is_multiple_of(self.recipe.train.validate_every) {
                    self.progress.remember();
                }
                if let Some(metric) = self.validate()? {
                    self.metrics.write(&metric)?;
                    let best = matches!(metric, MetricsRecord::Validation { best: true, .. });
                    watch(&Event::Metrics(metric));
                    if best {
                        self.save(BEST)?;
                    }
                }
                self.save(LAST)?;
                watch(&Event::Saved { step });
                if self.is_stale() {
                    return Ok(Outcome::EarlyStopped);
                }
            } else if stopped || is_due(step, self.recipe.train.checkpoint_every) {
                self.save(LAST)?;
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
        // In full precision, as `descant eval`: the best step is chosen by the numbers that are reported later.
        let parameters = self.average.as_mut().map_or(&mut self.parameters, WeightAverage::weights_mut);
        let unknown = self.recipe.special()[1].unknown;
        let precision = parameters.precision();
        parameters.set_precision(MatmulPrecision::Full);
        let found = evaluate(self.model.as_ref(), parameters, &mut self.replicas, batches, unknown);
        parameters.set_precision(precision);
        found.map(Some)
    }

    fn is_stale(&self) -> bool {
        let patience = self.recipe.train.patience;
        patience > 0 && self.progress.stale >= patience
    }

    fn validate(&mut self) -> Result<Option<MetricsRecord>, Error> {
        let Some(found) = self.evaluate()? else { return Ok(None) };
        let step = self.progress.step;
        if !found.loss.is_finite() {
            let cause = self.trace_validation()?.unwrap_or_else(|| "the validation loss is not finite".to_owned());
            return Err(self.diverged(step, cause));
        }
        let metrics = self.measure_texts()?;
        let value = match self.recipe.train.best_metric.as_str() {
            TrainConfig::LOSS => found.loss,
            name => metrics.get(name).copied().unwrap_or(f64::NAN),
        };
        let best = self.progress.best.is_none_or(|(best, _)| self.is_better(value, best));
        if best {
            self.progress.best = Some((value, step));
            self.progress.stale = 0;
        } else {
            self.progress.stale += 1;
        }
        self.schedule.observe(found.loss);
        self.progress.schedule = self.schedule.state();
        let (perplexity, accuracy) = (found.perplexity, found.accuracy);
        Ok(Some(MetricsRecord::Validation { step, loss: found.loss, perplexity, accuracy, metrics, best }))
    }

    /// Writes a checkpoint, and makes `link` point at it.
    pub(crate) fn save(&mut self, link: &str) -> Result<(), Error> {
        let saved = self.write_checkpoint(link);
        // A folder that is not there any more is the reason of whatever could not be written.
        saved.map_err(|error| self.run.check().err().map_or(error, Error::from))
    }

    fn write_checkpoint(&mut self, link: &str) -> Result<(), Error> {
        let parameters = &self.parameters;
        let finite = |&id: &ParameterId| parameters.buffer().is_finite(parameters.range(id));
        if let Some(id) = parameters.ids().find(|id| !finite(id)) {
            let cause = format!("the optimizer made parameter '{}' non-finite", parameters.name(id));
            return Err(self.diverged(self.progress.step, cause));
        }
        let place = checkpoint_folder(self.run.path(), self.progress.step);
        if self.kept != self.progress.step || !place.exists() {
            let weights = self.average.is_some().then_some(&self.parameters);
            self.metrics.sync()?;
            let (steps, buffers) = (self.optimizer.steps(), self.optimizer.state().collect());
            let optimizer = Some(OptimizerState { steps, buffers });
            let content = Content { model: self.parameters(), weights, optimizer };
            checkpoint::save(&self.run, content, &self.progress, &self.provenance)?;
        }
        self.run.point(link, &place)?;
        self.kept = self.progress.step;
        Ok(self.run.prune(self.progress.best_before_end())?)
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
        Error::Diverged { step, cause, kept: self.kept, path: self.run.path().to_owned() }
    }
}

fn is_due(step: u64, every: u64) -> bool {
    every > 0 && step.is_multiple_of(every)
}
