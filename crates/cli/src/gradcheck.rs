use crate::recipe_args::RecipeArgs;
use crate::recipes;
use crate::report::{note, print};
use clap::Args;
use descant_autograd::gradcheck::{TOLERANCE, check};
use descant_autograd::{Parameters, Tape, derive_seed};
use descant_batch::Batch;
use descant_inference::{Estimate, Recipe, model};
use descant_models::{ModelKind, Vocabulary, build};
use descant_tensor::DType;
use descant_train::{SourceModels, first_batch, random_batch};

#[derive(Args)]
pub(crate) struct Gradcheck {
    #[command(flatten)]
    recipe: RecipeArgs,
    /// Check every entry of every parameter, rather than a sample
    #[arg(long, conflicts_with = "sample")]
    all: bool,
    /// Entries to check of every parameter
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    sample: u32,
}

/// Lines that a tokenizer is trained on here, and sequences and tokens of the batch that is checked: each entry costs
/// some passes.
const LINES: usize = 2000;
const SEQUENCES: usize = 3;
const LENGTH: usize = 8;

impl Gradcheck {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let recipe = recipes::load(&self.recipe.recipe.display().to_string(), &self.recipe.set)?;
        recipes::refuse_minimum_risk(&recipe)?;
        let sources = SourceModels::of(&recipe)?;
        let (mut parameters, model, batch) = match recipe.bench {
            Some(bench) if recipe.data.is_none() => random(&recipe, bench.vocabulary)?,
            // Gradients are right or wrong whatever the tokens are.
            _ if recipe.data.is_some() && !recipes::has_text(&recipe) => {
                note("The recipe's text is not there: random tokens take its place.");
                random(&recipe, recipe.tokenizer.vocabulary)?
            }
            _ => {
                let texts = sources.texts(&recipe)?;
                let tokenizers = sources.tokenizers(&recipe, &texts, LINES)?;
                let (parameters, model) = model(&recipe, &tokenizers, DType::F64).map_err(anyhow::Error::msg)?;
                (parameters, model, first_batch(&texts, &tokenizers, SEQUENCES, LENGTH)?)
            }
        };
        // One factor of an adapter starts at zero, and would hide the gradient of the other. They stay as small as trained
        // ones are: with large ones the softmax of trained weights is so sharp that the differences do not show its slope.
        for id in parameters.ids().filter(|&id| parameters.is_adapter(id)).collect::<Vec<_>>() {
            let value = |i: usize| 0.1 * (derive_seed(id.index(), i as u64) as f64 / u64::MAX as f64 - 0.5);
            let values: Vec<f64> = (0..parameters.shape(id).len()).map(value).collect();
            parameters.set(id, &values)?;
        }
        let count = parameters.count();
        print(format_args!("{count} parameters in f64, {} target tokens, central differences", batch.tokens()))?;
        let sample = (!self.all).then_some(self.sample as usize);
        let mut tape = Tape::new();
        let prepared = sources.objective().prepare(&mut tape, (model.as_ref(), &parameters), &batch, recipe.seed)?;
        let rows = check(&mut parameters, sample, recipe.seed, |graph| {
            let loss = prepared.loss(graph, model.as_ref(), &batch).loss;
            loss.scale(1.0 / batch.tokens() as f64)
        })?;
        let width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
        print(format_args!("{:width$}  {:>9}  {:>22}  verdict", "tensor", "entries", "largest relative error"))?;
        for row in &rows {
            let verdict = if row.passes() { "right" } else { "WRONG" };
            print(format_args!("{:width$}  {:>9}  {:>22.1e}  {verdict}", row.name, row.entries, row.error))?;
        }
        let wrong: Vec<&str> = rows.iter().filter(|row| !row.passes()).map(|row| row.name.as_str()).collect();
        anyhow::ensure!(
            wrong.is_empty(),
            "the gradients of {} differ from the central differences by more than {TOLERANCE:.0e}",
            wrong.join(", ")
        );
        let largest = rows.iter().map(|row| row.error).fold(0.0, f64::max);
        print(format_args!("All gradients agree: largest relative error {largest:.1e}, tolerance {TOLERANCE:.0e}."))?;
        Ok(())
    }
}

type Checked = (Parameters, Box<dyn descant_models::Generator>, Batch);

/// A model of a recipe without texts, and random ids.
fn random(recipe: &Recipe, vocabulary: usize) -> anyhow::Result<Checked> {
    let pair = recipe.model.kind == ModelKind::EncoderDecoder;
    let source = if pair { vocabulary } else { 0 };
    let vocabulary = Vocabulary::new(source, vocabulary, true);
    let estimate = Estimate::of(recipe, &vocabulary, DType::F64, 0.0);
    estimate.and_then(|estimate| estimate.check(false)).map_err(anyhow::Error::msg)?;
    let mut parameters = Parameters::new(DType::F64);
    let model =
        build(&recipe.model, &recipe.loss, &vocabulary, &mut parameters, recipe.seed).map_err(anyhow::Error::msg)?;
    Ok((parameters, model, random_batch(pair, &vocabulary, SEQUENCES, LENGTH, true)))
}
