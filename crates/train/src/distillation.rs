//! Distillation: a student learns from a teacher's distribution over each token.

use descant_autograd::{Graph, Segments, Tape, TeacherProjection, Var};
use descant_batch::Batch;
use descant_inference::{DistillConfig, Error, Recipe, Tokenizers, Trained};
use descant_kernels::Parallelism;
use descant_models::{Generator, HiddenStates, OutputLayer};
use descant_tensor::Tensor;
use std::path::Path;
use std::sync::Arc;

/// A loaded teacher.
#[derive(Debug)]
pub struct Teacher {
    trained: Trained,
    /// Its output projection.
    weight: Arc<Tensor>,
    bias: Option<Arc<Tensor>>,
    config: DistillConfig,
}

/// A teacher's hidden states of a batch.
pub struct TeacherOutput<'a> {
    teacher: &'a Teacher,
    hidden: Tensor,
    segments: Arc<Segments>,
}

impl Teacher {
    /// Loads that of a recipe.
    ///
    /// # Errors
    /// Where it cannot be loaded, or is not one for the recipe's model.
    pub fn load(config: &DistillConfig, recipe: &Recipe) -> Result<Self, Error> {
        let mut trained = Trained::load_row_major(&config.teacher)?;
        let wrong = |reason: &str| Err(Error::Run { path: config.teacher.clone(), reason: reason.to_owned() });
        if config.checksum.is_some() && config.checksum != trained.checksum {
            return wrong(
                "as a teacher it would have to have the weights that it had when the training started. Bring those \
                 back, or start another run with --run",
            );
        }
        if trained.recipe.model.kind != recipe.model.kind {
            return wrong("as a teacher it would have to be of the same model.kind as the recipe's model");
        }
        if trained.recipe.model.output_soft_cap.is_some() {
            return wrong("as a teacher it would have to be without model.output_soft_cap");
        }
        let OutputLayer::Softmax { projection, .. } = trained.model.output() else {
            return wrong("as a teacher it would have to have loss.kind = \"cross-entropy\", to say what is likely");
        };
        if let (Some(most), Some(data)) = (trained.model.max_length(), &recipe.data) {
            let own = recipe.model.max_length().map_or(usize::MAX, |most| most - 1);
            let (key, length, most) = match data.stream {
                true => ("train.length", recipe.train.length, most),
                false => ("data.max_length", data.max_length.min(own), most - 1),
            };
            if length > most {
                return wrong(&format!("this teacher reads no further than {most} tokens: set {key} = {most}"));
            }
        }
        let weight = Arc::new(trained.parameters.tensor(projection.weight));
        let bias = projection.bias.map(|bias| Arc::new(trained.parameters.tensor(bias)));
        trained.parameters.set_precision(recipe.train.precision.into());
        Ok(Self { trained, weight, bias, config: config.clone() })
    }

    /// The model itself.
    pub fn trained(&self) -> &Trained {
        &self.trained
    }

    /// Checks that the student has the teacher's tokens.
    ///
    /// # Errors
    /// Where they are not.
    pub(crate) fn check(&self, tokenizers: &Tokenizers, run: &Path) -> Result<(), Error> {
        if self.trained.tokenizers.is_same(tokenizers)? {
            return Ok(());
        }
        let reason = format!(
            "its tokens are others than those of distill.teacher {}, so that it cannot learn from that token by token. \
             Let it learn from the texts which that one writes: descant generate, and train on those",
            self.config.teacher.display()
        );
        Err(Error::Run { path: run.to_owned(), reason })
    }

    /// Its forward pass over a batch.
    ///
    /// # Errors
    /// Whatever the pass fails with.
    pub fn forward(&self, tape: &mut Tape, batch: &Batch) -> descant_tensor::Result<TeacherOutput<'_>> {
        let graph = tape.infer(&self.trained.parameters, Parallelism::Serial);
        let HiddenStates { rows, segments } = self.trained.model.hidden(graph, batch);
        Ok(TeacherOutput { teacher: self, hidden: rows.value()?, segments })
    }
}

impl TeacherOutput<'_> {
    /// The student's summed loss on the batch: cross entropy against the texts and against the teacher, weighted.
    pub fn loss<'t>(&self, graph: Graph<'t>, student: &dyn Generator, batch: &Batch) -> Var<'t> {
        let Teacher { weight, bias, config, .. } = self.teacher;
        let hidden = student.hidden(graph, batch);
        // The architectures may order the tokens of a batch differently.
        let aligned = Arc::new(self.hidden.select_rows(&hidden.segments.rows_in(&self.segments)));
        let projection = TeacherProjection { hidden: &aligned, weight, bias: bias.as_ref() };
        let soft = student.output().distillation(&hidden, batch, projection, config.temperature);
        if config.weight == 1.0 {
            return soft;
        }
        let hard = student.output().loss(&hidden, batch);
        soft.scale(config.weight) + hard.scale(1.0 - config.weight)
    }
}
