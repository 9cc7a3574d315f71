use crate::carried_state::CarriedState;
use crate::data::batch_config;
use crate::gradient_flow::has_flow;
use crate::line_file::LineFile;
use crate::metrics_file::{MetricsRecord, Step};
use crate::read_ahead::ReadAhead;
use crate::retention::{is_due, prune};
use crate::text_metrics::EvalExample;
use crate::{Diagnosis, Error, Outcome, Replicas, StepLoss, Verdict};
use descant_autograd::{ParameterId, Parameters, derive_seed};
use descant_batch::Batch;
use descant_inference::checkpoint::{self, Checkpoint, Content, OptimizerState};
use descant_inference::layout::{BEST, LAST, checkpoint_folder};
use descant_inference::{Estimate, NonFinite, Progress, Provenance, Recipe, RunFolder, Tokenizers};
use descant_models::Generator;
use descant_optim::{Optimizer, Schedule, WeightAverage};
use descant_text::{Batches, Corpus, Form, Source, plural};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// A training: a recipe, its run folder, and all that changes from step to step.
#[derive(Debug)]
pub struct Trainer {
    pub(crate) recipe: Recipe,
    pub(crate) run: RunFolder,
    pub(crate) provenance: Provenance,
    pub(crate) metrics: LineFile,
    /// What it writes for some examples at each validation, where that is kept.
    pub(crate) samples: Option<LineFile>,
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
    pub(crate) reader: ReadAhead,
    /// What the next batch goes on from, where the recurrent state is carried.
    pub(crate) carried: Option<CarriedState>,
    pub(crate) validation: Option<Arc<Corpus>>,
    /// The text of which that is, or the end of it.
    pub(crate) held_out: Source,
    /// What texts are generated for at a validation.
    pub(crate) examples: Vec<EvalExample>,
    pub(crate) progress: Progress,
    /// The step of the newest checkpoint.
    pub(crate) kept: u64,
    /// What its metrics say of it.
    pub(crate) diagnosis: Diagnosis,
}

/// Steps in a row that are not finite: with so many, none after them will be.
const MOST_SKIPPED: u64 = 10;

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
    /// Something is wrong with the training, as its metrics show from now on.
    Verdict(Verdict),
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
    pub fn parameters(&mut self) -> &Parameters {
        self.refresh_average();
        self.averaged()
    }

    /// Computes the average that an optimizer makes: when it is read, rather than at each step.
    pub(crate) fn refresh_average(&mut self) {
        if let Some(average) = &mut self.average {
            self.replicas.install(|| average.refresh(&self.parameters, &self.optimizer));
        }
    }

    /// What [`Trainer::parameters`] has, once it is refreshed.
    pub(crate) fn averaged(&self) -> &Parameters {
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
        let config = batch_config(&self.recipe, &self.tokenizers).ok();
        let held_out = self.validation.clone().zip(config).and_then(|(text, config)| Batches::new(text, config).ok());
        [self.reader.batches.sequences(), held_out.map_or(0, |batches| batches.sequences())]
    }

    /// What its texts are.
    pub fn form(&self) -> Form {
        self.form
    }

    /// How it came to its end, where it did: then there is no more to do.
    pub fn outcome(&self) -> Option<Outcome> {
        Outcome::of(&self.recipe.train, &self.progress)
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
        let start = Instant::now();
        let batches = self.reader.take(self.progress.step)?;
        let waited = start.elapsed().as_secs_f64();
        let seed = derive_seed(self.recipe.seed, self.progress.step);
        let has_flow = has_flow(self.progress.step + 1, train.log_every);
        self.replicas.ask_activations(has_flow);
        self.replicas.set_scheduled_sampling(train.sampling(self.progress.step));
        let (model, mut carried) = (self.model.as_ref(), self.carried.clone());
        let mut learn = || self.replicas.forward_backward(model, &self.parameters, &batches, seed, carried.as_mut());
        let next = self.progress.step + 1;
        let (step_loss, late) = match next < self.steps {
            true => self.reader.during(next, learn),
            false => (learn(), 0.0),
        };
        self.progress.log.add_waiting(waited + late);
        let step_loss = step_loss?;
        if !step_loss.sum.is_finite() {
            return self.not_finite(&batches, seed, "the loss is not finite");
        }
        let tokens = batches.iter().map(Batch::tokens).sum();
        let learning_rate = train.learning_rate * self.schedule.factor(self.progress.step);
        // A mean over nothing is no number, and its gradient no direction.
        if step_loss.weight <= 0.0 {
            self.progress.step += 1;
            self.advance(carried);
            return Ok(Step { tokens, ..Step::without_update(learning_rate) });
        }
        let gradient_norm = self.replicas.reduce();
        if !gradient_norm.is_finite() {
            return self.not_finite(&batches, seed, "the gradient is not finite");
        }
        self.progress.skipped_last = 0;
        let activations = self.replicas.take_activations(&self.parameters);
        let before = has_flow.then(|| self.replicas.before_step(&self.parameters)).flatten();
        let zclip = &mut self.progress.zclip;
        let model = self.model.as_ref();
        let clipping = self.replicas.clip(model, train.clip, zclip, &self.parameters, gradient_norm);
        match self.optimizer.searches() {
            true => {
                let (weights, start) = ((model, &mut self.parameters), step_loss.sum / step_loss.weight);
                self.replicas.search(&mut self.optimizer, weights, (&batches, seed), (start, learning_rate))?;
            }
            false => self.replicas.update(&mut self.optimizer, &mut self.parameters, learning_rate, clipping)?,
        }
        let flow = before.map(|before| self.replicas.flow(&before, &self.parameters));
        self.progress.step += 1;
        if let Some(average) = &mut self.average {
            self.replicas.install(|| average.update(&self.parameters, self.progress.step));
        }
        self.advance(carried);
        let StepLoss { sum, weight, mut measures } = step_loss;
        measures.values_mut().for_each(|value| *value /= weight);
        Ok(Step {
            loss: Some(sum / weight),
            measures,
            gradient_norm,
            learning_rate,
            tokens,
            flow,
            activations,
            skipped: None,
        })
    }

    /// Goes on with the next batch, and with this state. Streams begin anew with each epoch, and where there is none.
    fn advance(&mut self, carried: Option<CarriedState>) {
        self.progress.position.clone_from(self.reader.position());
        let is_start = self.progress.position.is_start();
        match carried {
            Some(carried) if !is_start => self.carried = Some(carried),
            _ => self.carried.iter_mut().for_each(CarriedState::restart),
        }
    }

    /// A step that is not finite: it is skipped, or the training ends.
    fn not_finite(&mut self, batches: &[Batch], seed: u64, what: &str) -> Result<Step, Error> {
        let cause = self.trace(batches, seed, self.carried.clone()).unwrap_or_else(|| what.to_owned());
        let is_skipped = self.recipe.train.non_finite == NonFinite::Skip;
        if !is_skipped || self.progress.skipped_last + 1 >= MOST_SKIPPED {
            let before = match self.progress.skipped_last {
                0 => String::new(),
                n => format!(" ({} before it were skipped)", plural(n, "step")),
            };
            return Err(self.diverged(self.progress.step + 1, cause + &before));
        }
        let learning_rate = self.recipe.train.learning_rate * self.schedule.factor(self.progress.step);
        self.progress.skipped += 1;
        self.progress.skipped_last += 1;
        self.progress.step += 1;
        self.advance(None);
        Ok(Step { skipped: Some(cause), ..Step::without_update(learning_rate) })
    }

    /// Trains to the end, or until `stop` is set: then the checkpoint is written first. A validation is broken off, and the training that
    /// goes on from the checkpoint begins with it.
    ///
    /// # Errors
    /// As [`Trainer::step`], and whatever writing a checkpoint fails with. The last checkpoint stays complete.
    pub fn run(&mut self, stop: &AtomicBool, watch: impl FnMut(&Event)) -> Result<Outcome, Error> {
        self.run_until(u64::MAX, stop, watch)
    }

    /// As [`Trainer::run`], but no further than to a step, and the validation that may be due there.
    pub(crate) fn run_until(
        &mut self,
        until: u64,
        stop: &AtomicBool,
        mut watch: impl FnMut(&Event),
    ) -> Result<Outcome, Error> {
        if let Some(outcome) = self.outcome() {
            return Ok(outcome);
        }
        match self.read_examples(stop) {
            // Nothing has happened since its checkpoint.
            Err(Error::Stopped) => return Ok(Outcome::Stopped),
            read => read?,
        }
        loop {
            if !std::mem::take(&mut self.progress.validation_due) {
                self.learn(&mut watch)?;
            }
            let (step, last, train) = (self.progress.step, self.outcome().is_some(), &self.recipe.train);
            let validates = step.is_multiple_of(train.validate_every);
            // While steps are skipped, the last good checkpoint stays.
            let saves = is_due(step, train.checkpoint_every) && self.progress.skipped_last == 0;
            self.progress.is_unscheduled = !validates && !saves;
            if validates || last {
                if !validates {
                    self.progress.remember();
                }
                match self.validate(stop) {
                    Ok(None) => {}
                    Ok(Some(metric)) => {
                        let best = matches!(metric, MetricsRecord::Validation { best: true, .. });
                        self.write(metric, &mut watch)?;
                        if best {
                            self.save(BEST)?;
                        }
                    }
                    Err(Error::Stopped) => (self.progress.validation_due, self.progress.is_unscheduled) = (true, true),
                    Err(error) => return Err(error),
                }
            }
            let stopped = step >= until || stop.load(Ordering::Relaxed);
            if validates || last || stopped || saves {
                self.save(LAST)?;
                watch(&Event::Saved { step });
            }
            if let Some(outcome) = self.outcome().or(stopped.then_some(Outcome::Stopped)) {
                return Ok(outcome);
            }
        }
    }

    /// One optimizer step, and what its metrics are.
    fn learn(&mut self, watch: &mut impl FnMut(&Event)) -> Result<(), Error> {
        let (start, steps) = (Instant::now(), self.steps);
        let found = self.step()?;
        let step = self.progress.step;
        let seconds = start.elapsed().as_secs_f64();
        self.progress.log.add(found.loss, &found.measures, found.gradient_norm, found.tokens, seconds);
        watch(&Event::Step { step, steps, loss: found.loss, tokens: found.tokens });
        if let Some(cause) = found.skipped {
            let skipped = self.progress.skipped;
            self.write(MetricsRecord::Skipped { step, cause, skipped }, watch)?;
        }
        if !step.is_multiple_of(self.recipe.train.log_every) {
            return Ok(());
        }
        let log = std::mem::take(&mut self.progress.log);
        let metric = MetricsRecord::train(&log, step, self.progress.position.epoch, found.learning_rate);
        self.run.check()?;
        self.write(metric, watch)?;
        match found.flow {
            Some(parameters) => {
                let activations = found.activations;
                self.write(MetricsRecord::GradientFlow { step, parameters, activations }, watch)
            }
            None => Ok(()),
        }
    }

    /// Writes a line of metrics, and tells it, and what it shows.
    fn write(&mut self, metric: MetricsRecord, watch: &mut impl FnMut(&Event)) -> Result<(), Error> {
        self.metrics.write(&metric)?;
        let verdicts = self.diagnosis.observe(&metric).to_vec();
        watch(&Event::Metrics(metric));
        verdicts.into_iter().for_each(|verdict| watch(&Event::Verdict(verdict)));
        Ok(())
    }

    /// What is wrong with the training, as far as its metrics show.
    pub fn diagnosis(&self) -> &Diagnosis {
        &self.diagnosis
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
        // One that a validation was broken off at is written again after it.
        let is_same = |there: Checkpoint| there.progress().validation_due == self.progress.validation_due;
        if self.kept != self.progress.step || !Checkpoint::open(&place).is_ok_and(is_same) {
            self.refresh_average();
            let weights = self.average.is_some().then_some(&self.parameters);
            self.metrics.sync()?;
            self.samples.iter().try_for_each(LineFile::sync)?;
            let (steps, buffers) = (self.optimizer.steps(), self.optimizer.state().collect());
            let optimizer = Some(OptimizerState { steps, buffers });
            let carried = self.carried.iter().flat_map(CarriedState::tensors).collect();
            let content = Content { model: self.averaged(), weights, optimizer, carried };
            checkpoint::save(&self.run, content, &self.progress, &self.provenance)?;
        }
        self.run.point(link, &place)?;
        self.kept = self.progress.step;
        Ok(prune(&self.run, &self.recipe.train, &self.progress)?)
    }

    /// The first operation whose value or gradient is not finite.
    pub(crate) fn trace(&mut self, batches: &[Batch], seed: u64, mut carried: Option<CarriedState>) -> Option<String> {
        let found = self.replicas.trace(self.model.as_ref(), &self.parameters, batches, seed, carried.as_mut());
        found.map(|error| error.to_string())
    }

    /// The error of a training that is no longer finite.
    pub(crate) fn diverged(&self, step: u64, cause: String) -> Error {
        Error::Diverged { step, cause, kept: self.kept, path: self.run.path().to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECIPE: &str = "[data]\ntrain = 'text.txt'\nstream = true\n[tokenizer]\nkind = 'character'\n[model]\n\
                          kind = 'language-model'\nembedding = 4\nhidden = 4\n[train]\nsteps = 30\n\
                          batch_sentences = 2\nlength = 10\ncarry_state = true\nnon_finite = 'skip'\n";

    #[test]
    fn steps_that_are_not_finite_are_skipped_and_ten_in_a_row_end_the_training() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("text.txt"), "one two three four five six seven\n".repeat(20)).unwrap();
        let file = folder.path().join("recipe.toml");
        std::fs::write(&file, RECIPE).unwrap();
        let recipe = Recipe::load(&file, &[]).unwrap();
        let mut trainer = Trainer::new(recipe, &folder.path().join("run"), 1, false).unwrap();
        let embedding = trainer.parameters.ids().next().unwrap();
        let poison = |trainer: &mut Trainer| trainer.parameters.values_mut::<f32>(embedding).fill(f32::NAN);

        let largest = |trainer: &Trainer| {
            let all = trainer.carried.iter().flat_map(CarriedState::tensors).flat_map(|(_, state)| state.to_f64());
            all.fold(0.0, |largest: f64, x| if x.is_nan() { x } else { largest.max(x.abs()) })
        };
        trainer.step().unwrap();
        assert!(largest(&trainer) > 0.0);
        let good = trainer.parameters.clone();
        poison(&mut trainer);
        let skipped = trainer.step().unwrap();
        assert!(skipped.skipped.as_ref().is_some_and(|cause| cause.contains("not finite")), "{skipped:?}");
        assert_eq!((skipped.loss, trainer.progress.step, trainer.progress.skipped), (None, 2, 1));
        assert_eq!(largest(&trainer), 0.0, "no state is carried out of it");
        assert!(trainer.parameters.values::<f32>(embedding).iter().all(|x| x.is_nan()), "nothing is changed");
        assert_eq!(trainer.optimizer.steps(), 1);
        trainer.parameters = good;
        assert!(trainer.step().unwrap().loss.is_some());
        assert_eq!((trainer.progress.skipped, trainer.progress.skipped_last, trainer.optimizer.steps()), (1, 0, 2));

        poison(&mut trainer);
        let mut events = Vec::new();
        let error = trainer.run(&AtomicBool::new(false), |event| events.push(event.clone())).unwrap_err();
        let told = events.iter().filter(|event| matches!(event, Event::Metrics(MetricsRecord::Skipped { .. }))).count();
        assert_eq!(told, 9);
        assert!(
            error.to_string().contains("diverged at step 13") && error.to_string().contains("9 steps before it"),
            "{error}"
        );
    }
}
