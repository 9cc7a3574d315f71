//! What a step minimises: the model's own loss, or one that other models or whole sequences have a part in.

use crate::distillation::{Teacher, TeacherOutput};
use crate::minimum_risk::{Candidates, MinimumRisk};
use crate::objective_loss::{Measures, ObjectiveLoss, named};
use crate::preference::{Reference, ReferenceOutput};
use descant_autograd::{Graph, Parameters, Tape};
use descant_batch::Batch;
use descant_inference::{Error, Recipe, Tokenizers};
use descant_kernels::Parallelism;
use descant_models::{Generator, LossConfig};
use std::panic::Location;
use std::path::Path;

/// The objective of a training.
#[derive(Debug, Default)]
pub enum Objective {
    /// The model's own loss.
    #[default]
    Own,
    /// The same, and the guided alignment loss with this weight.
    Guided(f64),
    /// Distillation.
    Teacher(Box<Teacher>),
    /// Direct preference optimization.
    Preference(Box<Reference>),
    /// Minimum risk; none before there is a model to generate with.
    MinimumRisk(Option<Box<MinimumRisk>>),
}

/// What an objective knows of a batch before the pass with gradients.
pub enum Prepared<'a> {
    /// Nothing.
    Own,
    /// The weight of the guided alignment loss.
    Guided(f64),
    /// What the teacher holds likely.
    Teacher(TeacherOutput<'a>),
    /// How likely the answers are by the reference.
    Preference(ReferenceOutput<'a>),
    /// What the model may write.
    MinimumRisk(Candidates<'a>),
}

impl Objective {
    /// That of a recipe.
    ///
    /// # Errors
    /// Where a model that it needs cannot be loaded, or is none for the recipe's.
    pub fn load(recipe: &Recipe) -> Result<Self, Error> {
        Ok(match (&recipe.distill, &recipe.loss, &recipe.init) {
            (Some(config), ..) => Self::Teacher(Box::new(Teacher::load(config, recipe)?)),
            (None, LossConfig::Dpo(config), Some(init)) => Self::Preference(Box::new(Reference::load(config, init)?)),
            (None, LossConfig::MinimumRisk(_), _) => Self::MinimumRisk(None),
            _ if recipe.train.guided_alignment > 0.0 => Self::Guided(recipe.train.guided_alignment),
            _ => Self::Own,
        })
    }

    /// The teacher, where there is one.
    pub(crate) fn teacher(&self) -> Option<&Teacher> {
        match self {
            Self::Teacher(teacher) => Some(teacher),
            _ => None,
        }
    }

    /// Checks that the model has the tokens of those that it is compared with.
    ///
    /// # Errors
    /// Where it has others.
    pub(crate) fn check(&self, tokenizers: &Tokenizers, run: &Path) -> Result<(), Error> {
        match self {
            Self::Own | Self::Guided(_) | Self::MinimumRisk(_) => Ok(()),
            Self::Teacher(teacher) => teacher.check(tokenizers, run),
            Self::Preference(reference) => reference.check(tokenizers, run),
        }
    }

    /// Writes the checksums of these models' weights into a recipe, so that a resume needs the same ones.
    pub(crate) fn note_checksum(&self, recipe: &mut Recipe) {
        match (self, &mut recipe.distill, &mut recipe.loss) {
            (Self::Teacher(teacher), Some(distill), _) => distill.checksum = teacher.trained().checksum,
            (Self::Preference(reference), _, LossConfig::Dpo(config)) => config.checksum = reference.checksum(),
            _ => {}
        }
    }

    /// The divisor that makes a mean of the summed loss of a batch.
    pub fn weight(&self, model: &dyn Generator, batch: &Batch) -> f64 {
        match self {
            Self::Own | Self::Guided(_) | Self::Teacher(_) => model.output().weight(batch),
            Self::Preference(_) | Self::MinimumRisk(_) => batch.target.len() as f64,
        }
    }

    /// Runs the passes without gradients over a batch: of other models, or to generate. What is drawn depends on the seed.
    ///
    /// # Errors
    /// Whatever a pass fails with; a batch that is none of the objective.
    #[track_caller]
    pub fn prepare(
        &self,
        tape: &mut Tape,
        model: (&dyn Generator, &Parameters),
        batch: &Batch,
        seed: u64,
    ) -> descant_tensor::Result<Prepared<'_>> {
        Ok(match self {
            Self::Own => Prepared::Own,
            Self::Guided(weight) => Prepared::Guided(*weight),
            Self::Teacher(teacher) => Prepared::Teacher(teacher.forward(tape, batch)?),
            Self::Preference(reference) => Prepared::Preference(reference.forward(tape, batch, model.1.precision())?),
            Self::MinimumRisk(Some(risk)) => Prepared::MinimumRisk(risk.generate(tape, model, batch, seed)?),
            Self::MinimumRisk(None) => {
                let reason = "candidates are generated in a training alone".to_owned();
                let location = Location::caller();
                return Err(descant_tensor::Error::Shapes { op: "minimum_risk", reason, inputs: Vec::new(), location });
            }
        })
    }

    /// The summed loss of a batch without gradients, its weight and its measures; none where that is the model's own.
    pub(crate) fn evaluate(
        &self,
        tape: &mut Tape,
        model: &dyn Generator,
        parameters: &Parameters,
        batch: &Batch,
    ) -> descant_tensor::Result<(f64, f64, Measures)> {
        let prepared = self.prepare(tape, (model, parameters), batch, 0)?;
        let found = prepared.loss(tape.infer(parameters, Parallelism::Serial), model, batch);
        Ok((found.loss.item()?, self.weight(model, batch), found.measures?))
    }
}

impl Prepared<'_> {
    /// The summed loss of the batch.
    pub fn loss<'t>(&self, graph: Graph<'t>, model: &dyn Generator, batch: &Batch) -> ObjectiveLoss<'t> {
        let loss = match self {
            Self::Own => model.loss(graph, batch),
            Self::Guided(weight) => return guided(graph, model, batch, *weight),
            Self::Teacher(taught) => taught.loss(graph, model, batch),
            Self::Preference(reference) => return reference.loss(graph, model),
            Self::MinimumRisk(candidates) => return candidates.loss(graph, model),
        };
        ObjectiveLoss { loss, measures: Ok(Measures::new()) }
    }
}

/// A model's own loss, and what its attention deviates from the alignments of a batch.
fn guided<'t>(graph: Graph<'t>, model: &dyn Generator, batch: &Batch, weight: f64) -> ObjectiveLoss<'t> {
    let loss = model.loss(graph, batch);
    let measured = |own: f64| named(["alignment_loss"], [own]);
    let Some(links) = &batch.links else { return ObjectiveLoss { loss, measures: Ok(measured(0.0)) } };
    let found = graph.guided_alignment(links, batch.weights.as_deref());
    let found = found.and_then(|of_alignment| Ok((of_alignment, of_alignment.item()?)));
    match found {
        Ok((of_alignment, value)) => {
            ObjectiveLoss { loss: loss + of_alignment.scale(weight), measures: Ok(measured(value)) }
        }
        Err(error) => ObjectiveLoss { loss, measures: Err(error) },
    }
}
