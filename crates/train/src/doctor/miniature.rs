//! Gradient check of a small model of the recipe's architecture.

use super::finding::{Finding, Severity};
use crate::random_batch::random_batch;
use descant_autograd::Parameters;
use descant_autograd::gradcheck::{TOLERANCE, check};
use descant_inference::Recipe;
use descant_models::{LossConfig, ModelConfig, ModelKind, Vocabulary, build};
use descant_tensor::DType;

/// Entries of its vocabulary; entries of each parameter that are checked; sequences and their tokens.
const VOCABULARY: usize = 13;
const SAMPLE: usize = 3;
const SEQUENCES: usize = 3;
const LENGTH: usize = 6;

/// The same architecture, as small as it can be.
fn miniature(model: &ModelConfig) -> ModelConfig {
    let mut small = model.clone();
    let per_head = 4;
    (small.layers, small.encoder_layers) = (small.layers.min(2), small.encoder_layers.min(2));
    let hidden = match &mut small.transformer {
        Some(transformer) => {
            let heads = transformer.heads;
            transformer.d_ff = transformer.d_ff.map(|_| 8);
            transformer.head_dim = transformer.head_dim.map(|_| per_head);
            heads * per_head
        }
        None => 8,
    };
    small.embedding = if model.embedding == model.hidden { hidden } else { hidden - 2 };
    small.hidden = hidden;
    small
}

/// The gradients of a miniature against central differences: what is wrong, and how many parameters were checked with the largest
/// relative error. None where there is no such miniature.
pub(super) fn check_gradients(recipe: &Recipe) -> (Option<(usize, f64)>, Vec<Finding>) {
    let pair = recipe.model.kind == ModelKind::EncoderDecoder;
    let vocabulary = Vocabulary::new(if pair { VOCABULARY } else { 0 }, VOCABULARY, true);
    let mut loss = recipe.loss.clone();
    if let LossConfig::CrossEntropy { class_weights, ignored, .. } = &mut loss {
        (*class_weights, *ignored) = Default::default();
    }
    let mut parameters = Parameters::new(DType::F64);
    let Ok(model) = build(&miniature(&recipe.model), &loss, &vocabulary, &mut parameters, recipe.seed) else {
        return (None, Vec::new());
    };
    let batch = random_batch(pair, &vocabulary, SEQUENCES, LENGTH, true);
    let rows = check(&mut parameters, Some(SAMPLE), recipe.seed, |graph| {
        model.loss(graph, &batch).scale(1.0 / batch.tokens() as f64)
    });
    let remedy = "This is a fault of the program: train with other settings of [model], and report it with the recipe";
    match rows {
        Err(error) => {
            let message = format!("a small model of the recipe's kind cannot be run: {error}");
            (None, vec![Finding::new("gradients", Severity::Error, message, remedy)])
        }
        Ok(rows) => {
            let wrong = rows.iter().filter(|row| !row.passes()).map(|row| {
                let message = format!(
                    "the gradient of {} in a small model of the recipe's kind differs from the central difference by {:.1e}, \
                     tolerance {TOLERANCE:.0e}",
                    row.name, row.error
                );
                Finding::new("gradients", Severity::Error, message, remedy)
            });
            let largest = rows.iter().map(|row| row.error).fold(0.0, f64::max);
            (Some((rows.len(), largest)), wrong.collect())
        }
    }
}
