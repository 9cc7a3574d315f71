//! A validation: the loss of the text that is held out, and where `train.validation_metrics` asks for them, metrics of generated texts.

use crate::best_metric::{judge, measured};
use crate::data::batch_config;
use crate::evaluate::{Evaluation, evaluate, evaluate_text};
use crate::metrics_file::MetricsRecord;
use crate::predict::{examples_of, predict};
use crate::samples::Sample;
use crate::stop::go_on;
use crate::{Error, Measures, MetricCommand, MinimumRisk, Objective, Prediction, TextScores, Trainer};
use descant_batch::Batch;
use descant_generate::GenerationConfig;
use descant_inference::Trained;
use descant_kernels::{MatmulPrecision, Parallelism};
use descant_models::{LossConfig, ModelKind};
use descant_optim::WeightAverage;
use descant_text::Batches;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// Batches of the validation text in which the sources are exchanged.
const GAIN_BATCHES: usize = 4;

/// Examples of the trial of a metric command.
const TRIAL: usize = 3;

/// The texts that were not answered, where there are some, beside the metrics.
pub(crate) const UNANSWERED: &str = "unanswered";

impl Trainer {
    /// Loss and accuracy over the validation text, where there is one.
    ///
    /// # Errors
    /// Whatever reading it or a pass fails with; [`Error::Stopped`] once `stop` is set.
    pub fn evaluate(&mut self, stop: &AtomicBool) -> Result<Option<Evaluation>, Error> {
        self.refresh_average();
        let Some(corpus) = &self.validation else { return Ok(None) };
        // In full precision, as `descant eval`: the best step is chosen by the numbers that are reported later.
        let parameters = self.average.as_mut().map_or(&mut self.parameters, WeightAverage::weights_mut);
        let precision = parameters.precision();
        parameters.set_precision(MatmulPrecision::Full);
        let (model, config) = (self.model.as_ref(), batch_config(&self.recipe, &self.tokenizers)?);
        let found = evaluate_text(&self.recipe, model, parameters, &mut self.replicas, corpus, config, stop);
        parameters.set_precision(precision);
        found.map(Some)
    }

    /// By how much the loss of some of the validation text rises, in nats for each target token, where each source is another example's: next
    /// to nothing if the decoder does not use what the encoder reads. Nothing for a language model, and where sources are all the same.
    fn source_gain(&mut self, stop: &AtomicBool) -> Result<Option<f64>, Error> {
        let Some(corpus) = self.validation.as_ref().filter(|_| self.recipe.model.kind == ModelKind::EncoderDecoder)
        else {
            return Ok(None);
        };
        let batches = Batches::once(corpus.clone(), batch_config(&self.recipe, &self.tokenizers)?)?.take(GAIN_BATCHES);
        let right: Vec<Batch> = batches.collect::<Result<_, _>>()?;
        let right: Vec<Batch> = right.into_iter().filter(|batch| batch.target.len() > 1).collect();
        let wrong: Vec<Batch> = right.iter().map(Batch::with_other_sources).collect();
        if right == wrong {
            return Ok(None);
        }
        let parameters = self.average.as_ref().map_or(&self.parameters, WeightAverage::weights);
        let mut loss = |batches: Vec<Batch>| {
            evaluate(self.model.as_ref(), parameters, &mut self.replicas, batches.into_iter().map(Ok), None, stop)
        };
        match (loss(right), loss(wrong)) {
            (Ok(right), Ok(wrong)) => Ok(Some(wrong.loss - right.loss)),
            (Err(Error::NothingCounts), _) => Ok(None),
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }

    /// Validates, and says what the training is worth; nothing where nothing is held out. Until that is known, nothing changes.
    ///
    /// # Errors
    /// Whatever a pass fails with; [`Error::Stopped`] once `stop` is set.
    pub(crate) fn validate(&mut self, stop: &AtomicBool) -> Result<Option<MetricsRecord>, Error> {
        let start = Instant::now();
        let Some(found) = self.evaluate(stop)? else { return Ok(None) };
        let step = self.progress.step;
        if !found.loss.is_finite() {
            let cause = self.trace_validation()?.unwrap_or_else(|| "the validation loss is not finite".to_owned());
            return Err(self.diverged(step, cause));
        }
        let (metrics, predictions) = self.measure_texts(found.measures, stop)?;
        let source_gain = self.source_gain(stop)?;
        self.keep_samples(&predictions)?;
        let best = judge(&self.recipe.train, &mut self.progress, found.loss, &metrics);
        self.schedule.observe(found.loss);
        self.progress.schedule = self.schedule.state();
        let (perplexity, accuracy) = (found.perplexity, found.accuracy);
        let (loss, seconds) = (found.loss, start.elapsed().as_secs_f64());
        Ok(Some(MetricsRecord::Validation { step, loss, perplexity, accuracy, metrics, best, source_gain, seconds }))
    }

    /// The first operation whose value is not finite in the validation text.
    fn trace_validation(&mut self) -> Result<Option<String>, Error> {
        let Some(corpus) = &self.validation else { return Ok(None) };
        for batch in Batches::once(corpus.clone(), batch_config(&self.recipe, &self.tokenizers)?)? {
            if let Some(cause) = self.trace(&[batch?], self.recipe.seed, None) {
                return Ok(Some(cause));
            }
        }
        Ok(None)
    }

    /// Reads the examples that texts will be generated for, before the first step: later, their text may have changed.
    pub(crate) fn read_examples(&mut self, stop: &AtomicBool) -> Result<(), Error> {
        let train = &self.recipe.train;
        let wanted = train.text_metric().is_some() && self.examples.is_empty();
        let Some(corpus) = self.validation.clone().filter(|_| wanted) else { return Ok(()) };
        let most = train.validation_examples;
        let trained = self.as_trained()?;
        // What decoding cannot do is an error before the first step, too.
        trained.options(&GenerationConfig::default(), Parallelism::Serial)?;
        self.examples = examples_of(&trained, &self.held_out, &corpus)?.take(most).collect::<Result<_, _>>()?;
        let predictions = self.examples.iter().map(|example| &example.prediction);
        if let Some(reason) = TextScores::unfit(predictions, &self.recipe.train.validation_metrics) {
            return Err(self.recipe.wrong(format!("train.validation_metrics: {reason}")).into());
        }
        self.try_metric_command(stop)
    }

    /// What a program does with references in place of what the model generates, so that it does not fail hours later.
    fn try_metric_command(&self, stop: &AtomicBool) -> Result<(), Error> {
        let Some(command) = self.metric_command() else { return Ok(()) };
        let trial = self.examples.iter().take(TRIAL).map(|example| {
            let text = example.prediction.references.first().cloned().unwrap_or_default();
            Prediction { text, ..example.prediction.clone() }
        });
        let measured = command.measure(&trial.collect::<Vec<_>>(), stop);
        go_on(stop)?;
        measured.map_err(|reason| self.recipe.wrong(format!("train.metric_command: {reason}")))?;
        Ok(())
    }

    /// The values of the metrics by their names, of what the model generates now, beside these measures of the loss; and what it generates.
    pub(crate) fn measure_texts(
        &mut self,
        mut values: Measures,
        stop: &AtomicBool,
    ) -> Result<(Measures, Vec<Prediction>), Error> {
        if self.examples.is_empty() {
            return Ok((values, Vec::new()));
        }
        let trained = self.as_trained()?;
        let options = trained.options(&GenerationConfig::default(), Parallelism::Serial)?;
        let predictions = predict(&trained, &mut self.replicas, &options, self.examples.clone(), stop)?;
        let mut found = TextScores::of(&predictions, &self.recipe.train.validation_metrics);
        if let Some(command) = self.metric_command()
            && let Err(reason) = found.measure(&command, &predictions, stop)
        {
            go_on(stop)?;
            log::warn!("The validation of step {} has no value of train.metric_command: {reason}.", self.progress.step);
        }
        values.extend(found.scores.into_iter().map(|score| (score.name, score.value)));
        // They count as empty texts.
        if found.unanswered > 0 {
            values.insert(UNANSWERED.to_owned(), found.unanswered as f64);
        }
        Ok((values, predictions))
    }

    /// Writes the first of what a validation has generated to `samples.jsonl`.
    pub(crate) fn keep_samples(&mut self, predictions: &[Prediction]) -> Result<(), Error> {
        let Some(file) = &mut self.samples else { return Ok(()) };
        let kept = predictions.iter().take(self.recipe.train.validation_samples);
        Ok(kept
            .map(|prediction| Sample::of(self.progress.step, prediction))
            .try_for_each(|sample| file.write(&sample))?)
    }

    /// The value of `train.best_metric` now, without a trace in the training; none where nothing is held out.
    pub(crate) fn measure(&mut self, stop: &AtomicBool) -> Result<Option<f64>, Error> {
        let Some(found) = self.evaluate(stop)? else { return Ok(None) };
        self.read_examples(stop)?;
        let (metrics, _) = self.measure_texts(found.measures, stop)?;
        Ok(Some(measured(&self.recipe.train.best_metric, found.loss, &metrics).unwrap_or(f64::NAN)))
    }

    /// Prepares an objective that generates texts.
    pub(crate) fn bind_objective(&mut self) -> Result<(), Error> {
        if let LossConfig::MinimumRisk(config) = &self.recipe.loss {
            let risk = MinimumRisk::new(&config.clone(), &self.as_trained()?)?;
            self.replicas.set_objective(Objective::MinimumRisk(Some(Box::new(risk))));
        }
        Ok(())
    }

    /// What would be loaded from a checkpoint that were written now.
    fn as_trained(&mut self) -> Result<Trained, Error> {
        self.refresh_average();
        let (recipe, step) = (&self.recipe, self.progress.step);
        Ok(Trained::of_training(recipe, &self.tokenizers, self.averaged(), step, self.run.path())?)
    }

    /// The program that measures texts, where the recipe names one.
    fn metric_command(&self) -> Option<MetricCommand> {
        let program = self.recipe.located(self.run.path()).train.metric_command?;
        Some(MetricCommand::new(&program, Duration::from_secs(self.recipe.train.metric_timeout)))
    }
}
