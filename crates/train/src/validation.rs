//! Metrics of generated texts at a validation, where `train.validation_metrics` asks for them.

use crate::best_metric::measured;
use crate::predict::{examples_of, predict};
use crate::samples::Sample;
use crate::{Error, Measures, MetricCommand, MinimumRisk, Objective, Prediction, TextScores, Trainer};
use descant_generate::GenerationConfig;
use descant_inference::Trained;
use descant_kernels::Parallelism;
use descant_models::LossConfig;
use std::time::Duration;

/// Examples of the trial of a metric command.
const TRIAL: usize = 3;

/// The texts that were not answered, where there are some, beside the metrics.
pub(crate) const UNANSWERED: &str = "unanswered";

impl Trainer {
    /// Reads the examples that texts will be generated for, before the first step: later, their text may have changed.
    pub(crate) fn read_examples(&mut self) -> Result<(), Error> {
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
        self.try_metric_command()
    }

    /// What a program does with references in place of what the model generates, so that it does not fail hours later.
    fn try_metric_command(&self) -> Result<(), Error> {
        let Some(command) = self.metric_command() else { return Ok(()) };
        let trial = self.examples.iter().take(TRIAL).map(|example| {
            let text = example.prediction.references.first().cloned().unwrap_or_default();
            Prediction { text, ..example.prediction.clone() }
        });
        let measured = command.measure(&trial.collect::<Vec<_>>());
        measured.map_err(|reason| self.recipe.wrong(format!("train.metric_command: {reason}")))?;
        Ok(())
    }

    /// The values of the metrics by their names, of what the model generates now, beside these measures of the loss; and what it generates.
    pub(crate) fn measure_texts(&mut self, mut values: Measures) -> Result<(Measures, Vec<Prediction>), Error> {
        if self.examples.is_empty() {
            return Ok((values, Vec::new()));
        }
        let trained = self.as_trained()?;
        let options = trained.options(&GenerationConfig::default(), Parallelism::Serial)?;
        let predictions = predict(&trained, &mut self.replicas, &options, self.examples.clone())?;
        let mut found = TextScores::of(&predictions, &self.recipe.train.validation_metrics);
        if let Some(command) = self.metric_command()
            && let Err(reason) = found.measure(&command, &predictions)
        {
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
    pub(crate) fn measure(&mut self) -> Result<Option<f64>, Error> {
        let Some(found) = self.evaluate()? else { return Ok(None) };
        self.read_examples()?;
        let (metrics, _) = self.measure_texts(found.measures)?;
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
