//! Why a training fails: verdicts from its metrics, each with what it rests on and what to do.
//!
//! They are a fold over the lines of `metrics.jsonl`, so that a training that goes on, or one that is looked at later, has the same.

mod attention_collapse;
mod dead_rows;
mod dead_units;
mod decoder_ignores_source;
mod exploding_gradients;
mod layers;
mod learning_rate;
mod loss_spike;
mod losses;
mod no_gradient;
mod over_fitting;
mod saturated_gates;
mod streak;
mod vanishing_gradients;
mod verdict;

use crate::{Error, MetricsRecord};
use attention_collapse::AttentionCollapse;
use dead_rows::DeadRows;
use dead_units::DeadUnits;
use decoder_ignores_source::DecoderIgnoresSource;
use descant_inference::{Recipe, Tokenizers};
use descant_models::LossConfig;
use exploding_gradients::ExplodingGradients;
use learning_rate::{TooHigh, TooLow};
use loss_spike::LossSpike;
use no_gradient::NoGradient;
use over_fitting::OverFitting;
use saturated_gates::SaturatedGates;
use std::path::Path;
use vanishing_gradients::VanishingGradients;
pub use verdict::Verdict;

/// The diagnosis of a training as far as its metrics go.
#[derive(Debug, Default)]
pub struct Diagnosis {
    vanishing: VanishingGradients,
    exploding: ExplodingGradients,
    no_gradient: NoGradient,
    dead_units: DeadUnits,
    saturated_gates: SaturatedGates,
    attention_collapse: AttentionCollapse,
    dead_rows: DeadRows,
    too_high: TooHigh,
    too_low: TooLow,
    spike: LossSpike,
    over_fitting: OverFitting,
    ignores_source: DecoderIgnoresSource,
    /// Whether the training loss is of another kind than the validation's, so that the two do not compare.
    has_other_loss: bool,
    verdicts: Vec<Verdict>,
}

impl Diagnosis {
    /// Of a training of this recipe, before its first line.
    pub(crate) fn new(recipe: &Recipe, tokenizers: &Tokenizers) -> Self {
        let is_likelihood = matches!(recipe.loss, LossConfig::CrossEntropy { .. });
        let uniform = is_likelihood.then(|| (tokenizers.target.vocabulary() as f64).ln());
        // A layer that LayerDrop skips has no gradient in that step.
        let skips_layers = recipe.model.transformer().layer_drop > 0.0;
        Self {
            too_high: TooHigh::new(uniform),
            no_gradient: NoGradient::new(!skips_layers),
            attention_collapse: AttentionCollapse::new(recipe.init.is_none(), uniform),
            has_other_loss: matches!(recipe.loss, LossConfig::MinimumRisk(_)),
            ..Self::default()
        }
    }

    /// Of the metrics of a run, and how many of its lines cannot be read; without a verdict where there are no metrics.
    ///
    /// # Errors
    /// Where the file is there and cannot be read.
    pub fn of_run(run: &Path, recipe: &Recipe, tokenizers: &Tokenizers) -> Result<(Self, usize), Error> {
        let (records, unread) = MetricsRecord::of_run(run)?;
        let mut diagnosis = Self::new(recipe, tokenizers);
        for record in &records {
            diagnosis.observe(record);
        }
        Ok((diagnosis, unread))
    }

    /// Takes the next line of metrics; the verdicts that it brings.
    pub fn observe(&mut self, record: &MetricsRecord) -> &[Verdict] {
        let before = self.verdicts.len();
        match record {
            MetricsRecord::Train { step, loss, gradient_norm, .. } => {
                // Without a loss there is no gradient, either.
                if let Some(loss) = *loss {
                    self.verdicts.extend(self.exploding.norm(*step, *gradient_norm));
                    self.verdicts.extend(self.spike.observe(*step, loss));
                    self.verdicts.extend(self.too_high.loss(*step, loss));
                    self.verdicts.extend(self.too_low.loss(*step, loss));
                    if !self.has_other_loss {
                        self.over_fitting.trained(loss);
                    }
                    self.ignores_source.trained(loss);
                    self.attention_collapse.trained(*step, loss);
                }
            }
            MetricsRecord::GradientFlow { step, parameters, activations } => {
                self.verdicts.extend(self.dead_units.observe(*step, activations));
                self.verdicts.extend(self.saturated_gates.observe(*step, activations));
                self.verdicts.extend(self.attention_collapse.observe(*step, activations));
                self.verdicts.extend(self.dead_rows.observe(*step, activations));
                self.verdicts.extend(self.vanishing.observe(*step, parameters));
                self.verdicts.extend(self.exploding.flow(*step, parameters));
                self.verdicts.extend(self.no_gradient.observe(*step, parameters));
                self.too_high.flow(parameters);
                self.too_low.flow(parameters);
            }
            MetricsRecord::Skipped { .. } => {}
            MetricsRecord::Validation { step, loss, source_gain, .. } => {
                self.verdicts.extend(self.over_fitting.validated(*step, *loss));
                self.verdicts.extend(source_gain.and_then(|gain| self.ignores_source.observe(*step, *loss, gain)));
            }
        }
        &self.verdicts[before..]
    }

    /// All verdicts so far in the order in which they came: of each kind one for what it names, but each loss spike.
    pub fn verdicts(&self) -> &[Verdict] {
        &self.verdicts
    }
}
