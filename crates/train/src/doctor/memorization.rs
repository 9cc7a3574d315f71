//! Whether a model of the recipe learns a few sequences until it has memorised them, and whether it then reads their sources.

use super::finding::{Finding, Severity};
use crate::evaluate::evaluate;
use crate::stop::NEVER;
use crate::{Error, Replicas, Trainer};
use descant_autograd::{Parameters, derive_seed};
use descant_batch::Batch;
use descant_hyperparameters::{ClippingConfig, OptimizerConfig};
use descant_inference::{Recipe, add_model};
use descant_models::{LossConfig, ModelKind};
use descant_optim::Optimizer;
use descant_tensor::DType;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Sequences that are learned.
const SEQUENCES: usize = 8;
/// Of each batch at first, and of how many batches.
const OF_BATCH: usize = 2;
const BATCHES: usize = 200;
/// Tokens that a sequence should have at most, where there are no chunks that are longer.
const LENGTH: usize = 80;
/// The loss at which they are memorised, in nats for each token.
const MEMORISED: f64 = 0.1;
/// How long they are learned, at most, and steps after which they should be.
const TIME: Duration = Duration::from_secs(15);
const STEPS: u64 = 1000;
/// Steps before it is said that they are not learned.
const ENOUGH: u64 = 150;
/// What of the first loss is left of one that is learned.
const LEARNED: f64 = 0.5;
/// The loss from which on down the sources must have been read: all but the choice among the sequences is known.
const KNOWN: f64 = 0.5;
/// How much more the targets of other sources cost than those of their own, at least, in nats for each sequence.
const LISTENS: f64 = 1.0;

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct Memorization {
    /// Sequences.
    pub sequences: usize,
    /// Steps over them.
    pub steps: u64,
    /// The loss of a target token before, in nats.
    pub first_loss: f64,
    /// The loss after.
    pub last_loss: f64,
    /// The loss after with the source of another sequence; none where there are no sources.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wrong_source_loss: Option<f64>,
}

/// Sequences of the text whose sources and targets are all different.
///
/// # Errors
/// Where the text cannot be read.
pub(super) fn sequences(trainer: &Trainer) -> Result<Batch, Error> {
    let length = LENGTH.max(trainer.recipe.train.length);
    let mut found = Batch::default();
    // Of different lengths if there are, of all lengths if not.
    for (most, of_batch) in [(length, OF_BATCH), (length, SEQUENCES), (usize::MAX, SEQUENCES)] {
        if found.target.len() < SEQUENCES {
            found = some(trainer, most, of_batch)?;
        }
    }
    Ok(found)
}

/// Those with no more than so many tokens on either side, so many of each batch.
fn some(trainer: &Trainer, most: usize, of_batch: usize) -> Result<Batch, Error> {
    let mut found = Batch::default();
    let mut seen = [BTreeSet::new(), BTreeSet::new()];
    for batch in trainer.reader.batches.again()?.take(BATCHES) {
        let batch = batch?;
        if batch.source.is_some() {
            found.source.get_or_insert_default();
        }
        let mut taken = 0;
        for i in 0..batch.target.len() {
            let (source, target) = (batch.source.as_ref().map(|source| source.get(i)), batch.target.get(i));
            let counts = target.iter().any(|&id| trainer.model.output().counts(id));
            let long = target.len().max(source.map_or(0, <[u32]>::len)) > most;
            let known = source.is_some_and(|source| seen[0].contains(source)) || seen[1].contains(target);
            if !counts || long || known {
                continue;
            }
            if let (Some(all), Some(source)) = (&mut found.source, source) {
                all.push(source);
                seen[0].insert(source.to_vec());
            }
            seen[1].insert(target.to_vec());
            found.input.push(batch.input.get(i));
            found.target.push(target);
            taken += 1;
            if found.target.len() == SEQUENCES {
                return Ok(found);
            }
            // Each batch has sequences of about one length.
            if taken == of_batch {
                break;
            }
        }
    }
    Ok(found)
}

/// The recipe without what keeps a model from memorising.
fn unregularized(recipe: &Recipe) -> Recipe {
    let mut recipe = recipe.clone();
    let model = &mut recipe.model;
    (model.dropout, model.recurrent_dropout, model.embedding_dropout, model.word_dropout) = Default::default();
    if let Some(transformer) = &mut recipe.model.transformer {
        transformer.attention_dropout = 0.0;
        transformer.layer_drop = 0.0;
    }
    if let LossConfig::CrossEntropy { smoothing, r_drop, focal, unlikelihood, .. } = &mut recipe.loss {
        (*smoothing, *r_drop, *focal, *unlikelihood) = (0.0, 0.0, 0.0, 0.0);
    }
    recipe
}

/// Learns a few sequences, until they are memorised or the time is over.
///
/// # Errors
/// Whatever a pass fails with.
pub(super) fn memorize(trainer: &Trainer, threads: usize, stop: &AtomicBool) -> Result<Option<Memorization>, Error> {
    let batch = sequences(trainer)?;
    if batch.target.is_empty() {
        return Ok(None);
    }
    let recipe = unregularized(&trainer.recipe);
    let wrong = |reason: String| recipe.wrong(reason);
    let mut parameters = Parameters::new(DType::F32);
    let model = add_model(&recipe, &trainer.tokenizers, &mut parameters, Some(recipe.seed)).map_err(wrong)?;
    if recipe.init.is_some() {
        parameters = trainer.parameters.clone();
    }
    let mut replicas = Replicas::new(recipe.train.shares.min(SEQUENCES), threads)?;
    let loss = |parameters: &Parameters, replicas: &mut Replicas, batch: &Batch| {
        Ok::<_, Error>(
            evaluate(model.as_ref(), parameters, replicas, [Ok(batch.clone())].into_iter(), None, &NEVER)?.loss,
        )
    };
    let first_loss = loss(&parameters, &mut replicas, &batch)?;
    let mut optimizer = Optimizer::new(OptimizerConfig::default(), &parameters)?;
    let learning_rate = recipe.train.learning_rate.clamp(3e-4, 3e-3);
    let (start, mut steps, mut last_loss) = (Instant::now(), 0, first_loss);
    while steps < STEPS && start.elapsed() < TIME && last_loss > MEMORISED && !stop.load(Ordering::Relaxed) {
        let seed = derive_seed(recipe.seed, steps);
        let step = replicas.forward_backward(model.as_ref(), &parameters, std::slice::from_ref(&batch), seed, None)?;
        last_loss = step.sum / step.weight;
        let clipping = ClippingConfig::Norm(1.0).clipping(replicas.reduce());
        let warm = ((steps + 1) as f64 / 10.0).min(1.0);
        replicas.update(&mut optimizer, &mut parameters, learning_rate * warm, clipping)?;
        steps += 1;
    }
    last_loss = loss(&parameters, &mut replicas, &batch)?;
    let has_others = trainer.recipe.model.kind == ModelKind::EncoderDecoder && batch.target.len() > 1;
    let wrong_source_loss = match has_others {
        true => Some(loss(&parameters, &mut replicas, &batch.with_other_sources())?),
        false => None,
    };
    Ok(Some(Memorization { sequences: batch.target.len(), steps, first_loss, last_loss, wrong_source_loss }))
}

/// What is said of it.
pub(super) fn findings(found: &Memorization, target_tokens: usize) -> Vec<Finding> {
    let Memorization { sequences, steps, first_loss, last_loss, wrong_source_loss } = *found;
    let mut findings = Vec::new();
    if !last_loss.is_finite() || (steps >= ENOUGH && last_loss > LEARNED * first_loss) {
        let message = format!(
            "{sequences} sequences are not learned: after {steps} steps over them alone, without dropout, their loss is \
             {last_loss:.2}, before it was {first_loss:.2}"
        );
        let remedy = "Look at what keeps the model from it: a small train.learning_rate, too few or frozen weights (model.hidden, \
                      [finetune]), a source that does not tell the target, or a loss that leaves its tokens out (loss.ignored)";
        findings.push(Finding::new("memorization", Severity::Warning, message, remedy));
    }
    // In a whole sequence: where the sources differ, there is at least one token that they tell.
    let of_sequence = |loss: f64| loss * target_tokens as f64 / sequences.max(1) as f64;
    let listens = wrong_source_loss.is_none_or(|wrong| of_sequence(wrong - last_loss) >= LISTENS);
    if !listens && last_loss <= KNOWN {
        let message = format!(
            "the decoder does not listen to the encoder: after {steps} steps over {sequences} pairs their loss is {last_loss:.3} with their \
             own sources, and {:.3} with those of others",
            wrong_source_loss.unwrap_or_default()
        );
        let remedy =
            "Give the decoder attention (model.attention), and look whether the sources tell anything of the targets";
        findings.push(Finding::new("wrong-source", Severity::Warning, message, remedy));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_learned_and_not_read_is_found() {
        let good =
            Memorization { sequences: 8, steps: 200, first_loss: 4.0, last_loss: 0.1, wrong_source_loss: Some(3.0) };
        let checks = |found: &Memorization| findings(found, 80).iter().map(|one| one.check).collect::<Vec<_>>();
        assert!(checks(&good).is_empty());
        assert_eq!(checks(&Memorization { last_loss: 2.5, ..good }), ["memorization"]);
        assert_eq!(checks(&Memorization { last_loss: f64::NAN, ..good }), ["memorization"]);
        // A tenth of a nat for each of ten tokens is as much as the first token alone may cost.
        assert_eq!(checks(&Memorization { wrong_source_loss: Some(0.15), ..good }), ["wrong-source"]);
        assert!(checks(&Memorization { wrong_source_loss: None, ..good }).is_empty());
        // Before they are known, and after few steps, nothing is certain.
        assert!(checks(&Memorization { last_loss: 1.5, wrong_source_loss: Some(1.5), ..good }).is_empty());
        assert!(checks(&Memorization { last_loss: 3.9, steps: 20, ..good }).is_empty());
    }
}
