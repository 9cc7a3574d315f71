//! Starts the training in a folder of its own, and measures what it takes and how it begins.

use super::finding::{Finding, Severity};
use super::left_out;
use super::lengths::LengthFacts;
use super::memorization::{self, Memorization};
use super::settings::{self, Plan};
use super::survey::Survey;
use crate::data::batch_config;
use crate::evaluate::evaluate;
use crate::stop::NEVER;
use crate::tokenizer_checks::{idle_tokens, rare_subwords};
use crate::{Error, Trainer};
use descant_inference::{Recipe, TrainPrecision, available, count, size};
use descant_kernels::bf16_gemm_flops;
use descant_models::LossConfig;
use descant_text::{Batches, Corpus, plural};
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What a training takes, and how it begins.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TrainingFacts {
    /// Sequences, or chunks of a continuous text, to learn from.
    pub learned: u64,
    /// Those to validate on.
    pub held_out: u64,
    /// Entries of the vocabulary of the sources, and of the targets.
    pub vocabularies: [usize; 2],
    /// Parameters.
    pub parameters: f64,
    /// Bytes that it takes, about.
    pub memory: f64,
    /// Bytes that there are; none where the system does not tell.
    pub available_memory: Option<f64>,
    /// Optimizer steps in all.
    pub steps: u64,
    /// Steps that read the text once, after a warm-up.
    pub steps_per_epoch: f64,
    /// Seconds of a step, after a warm-up.
    pub step_seconds: f64,
    /// Target tokens a second.
    pub tokens_per_s: f64,
    /// Seconds of one validation, about.
    pub validation_seconds: f64,
    /// Seconds in all, about.
    pub total_seconds: f64,
    /// The loss before the first step, of a target token in nats; none where it is no likelihood.
    pub start_loss: Option<f64>,
    /// The loss of a uniform distribution over the vocabulary, ln V.
    pub uniform_loss: f64,
    /// How a few sequences were memorised.
    pub memorization: Option<Memorization>,
}

/// Steps before those that are measured, and how long these are measured at most.
const WARM_UP: usize = 2;
const TIME: Duration = Duration::from_secs(8);
const STEPS: usize = 40;
/// Batches that the first loss is measured on.
const BATCHES: usize = 8;
/// The share of the memory from which on it may not be enough.
const MEMORY: f64 = 0.7;

/// What the run was found to be, beside its findings.
pub(super) struct Started {
    pub(super) facts: TrainingFacts,
    /// The lengths of the training text, and of that to validate on.
    pub(super) lengths: [Option<LengthFacts>; 2],
}

/// Starts the recipe's training in a folder that is removed afterwards.
///
/// # Errors
/// Whatever a pass fails with; that it cannot begin is a finding.
pub(super) fn start(
    recipe: &Recipe,
    surveys: [Option<&Survey>; 2],
    threads: usize,
    stop: &AtomicBool,
    findings: &mut Vec<Finding>,
) -> Result<Option<Started>, Error> {
    let (_folder, mut trainer) = match Trainer::temporary(recipe.clone(), threads) {
        Ok(started) => started,
        Err(error) => {
            let remedy = "Mend what it says: descant train ends at it too";
            findings.push(Finding::new("start", Severity::Error, format!("training cannot begin: {error}"), remedy));
            return Ok(None);
        }
    };
    // What the texts are is found by counts; the others are about the recipe.
    for note in trainer.notes().iter().filter_map(|note| note.strip_prefix("Note: ")) {
        let note = note.trim_end_matches('.');
        findings.push(Finding::new("recipe", Severity::Note, note, "Change the key, if it is not meant"));
    }
    let corpora: [Option<Arc<Corpus>>; 2] = [Some(trainer.reader.batches.corpus().clone()), trainer.validation.clone()];
    for (survey, corpus) in surveys.into_iter().zip(&corpora) {
        // A part that is held out is counted with the whole.
        let whole =
            corpus.as_ref().filter(|_| trainer.recipe.data.as_ref().is_some_and(|data| data.validation.is_some()));
        let corpus = if survey.is_some_and(|survey| survey.role == "training") { corpus.as_ref() } else { whole };
        if let (Some(survey), Some(corpus)) = (survey, corpus) {
            findings.extend(left_out::check(survey, corpus, &trainer.tokenizers)?);
        }
    }
    vocabulary(&trainer, findings)?;
    let lengths = corpora.each_ref().map(|corpus| corpus.as_deref().and_then(LengthFacts::of));
    let mut facts = facts(&trainer)?;
    memory(&facts, findings);
    start_loss(&mut trainer, &mut facts, findings)?;
    if !stop.load(Ordering::Relaxed) {
        let batch_tokens = memorization::sequences(&trainer)?.target.tokens();
        facts.memorization = memorization::memorize(&trainer, threads, stop)?;
        findings.extend(facts.memorization.iter().flat_map(|found| memorization::findings(found, batch_tokens)));
    }
    plan(&trainer, &corpora, &facts, findings);
    if !stop.load(Ordering::Relaxed) {
        speed(&mut trainer, &mut facts, stop, findings)?;
    }
    Ok(Some(Started { facts, lengths }))
}

fn vocabulary(trainer: &Trainer, findings: &mut Vec<Finding>) -> Result<(), Error> {
    let (tokenizers, corpus) = (&trainer.tokenizers, trainer.reader.batches.corpus());
    for note in idle_tokens(tokenizers, &trainer.recipe.loss, corpus)? {
        findings.push(Finding::new("loss", Severity::Warning, note, "Look how the token is spelled"));
    }
    for note in rare_subwords(tokenizers, &trainer.recipe, corpus)? {
        findings.push(Finding::new("vocabulary", Severity::Warning, note, "Lower the size of the vocabulary"));
    }
    Ok(())
}

fn facts(trainer: &Trainer) -> Result<TrainingFacts, Error> {
    let [learned, held_out] = trainer.sequences();
    let estimate = trainer.estimate();
    let batches = trainer.reader.batches.count(0)? as f64;
    let [source, target] = trainer.tokenizers.sizes();
    Ok(TrainingFacts {
        learned,
        held_out,
        vocabularies: [source, target],
        parameters: estimate.parameters,
        memory: estimate.total(),
        available_memory: available(),
        steps: trainer.steps(),
        steps_per_epoch: if trainer.optimizer.searches() {
            1.0
        } else {
            batches / trainer.recipe.train.accumulate as f64
        },
        uniform_loss: (target as f64).ln(),
        ..TrainingFacts::default()
    })
}

fn memory(facts: &TrainingFacts, findings: &mut Vec<Finding>) {
    let Some(available) = facts.available_memory.filter(|available| facts.memory > MEMORY * available) else { return };
    let (needed, there) = (size(facts.memory), size(available));
    let message = format!("training takes about {needed} of memory, and {there} are available");
    let remedy = "Lower train.batch_tokens, model.hidden, model.layers or the vocabulary; train.shares = 1 has one buffer of \
                  gradients; model.transformer.recompute saves activations";
    findings.push(Finding::new("memory", Severity::Warning, message, remedy));
}

/// The first loss, and how long an evaluation takes.
fn start_loss(trainer: &mut Trainer, facts: &mut TrainingFacts, findings: &mut Vec<Finding>) -> Result<(), Error> {
    let corpus = trainer.validation.clone().unwrap_or_else(|| trainer.reader.batches.corpus().clone());
    let batches = Batches::once(corpus, batch_config(&trainer.recipe, &trainer.tokenizers)?)?;
    let all = facts.held_out as f64;
    let taken: Vec<_> = batches.take(BATCHES).collect::<Result<_, _>>()?;
    let sequences: usize = taken.iter().map(|batch| batch.target.len()).sum();
    let counts = |id: &u32| trainer.model.output().counts(*id);
    if !taken.iter().any(|batch| batch.target.ids.iter().any(counts)) {
        return Ok(());
    }
    let start = Instant::now();
    let parameters = trainer.average.as_ref().map_or(&trainer.parameters, |average| average.weights());
    let found =
        evaluate(trainer.model.as_ref(), parameters, &mut trainer.replicas, taken.into_iter().map(Ok), None, &NEVER)?;
    facts.validation_seconds = start.elapsed().as_secs_f64() * all / sequences.max(1) as f64;
    if !matches!(trainer.recipe.loss, LossConfig::CrossEntropy { .. }) {
        return Ok(());
    }
    facts.start_loss = Some(found.loss);
    let (loss, uniform) = (found.loss, facts.uniform_loss);
    let fresh = trainer.recipe.init.is_none();
    let said = match fresh {
        true if loss > 1.2 * uniform + 0.5 => Some((
            "worse than guessing: the first weights are too large, or logits are scaled",
            "Look at model.tie, model.output_soft_cap and the norms of [model.transformer]",
        )),
        true if loss < 0.7 * uniform => Some((
            "better than a model can be that has learned nothing: it may see what it is to predict",
            "Look whether the sources hold the targets, and report it if they do not",
        )),
        false if loss > uniform => Some((
            "worse than guessing, though training begins with a trained model: it does not fit these texts",
            "Look whether init is the right run, and whether the texts have the form that it was trained on",
        )),
        _ => None,
    };
    if let Some((what, remedy)) = said {
        let message = format!(
            "the first loss is {loss:.2} nats a token, and that of guessing among {} entries {uniform:.2}: {what}",
            facts.vocabularies[1]
        );
        findings.push(Finding::new("start-loss", Severity::Warning, message, remedy));
    }
    Ok(())
}

fn plan(trainer: &Trainer, corpora: &[Option<Arc<Corpus>>; 2], facts: &TrainingFacts, findings: &mut Vec<Finding>) {
    let tokens = corpora[0].as_ref().map_or(0, |corpus| corpus.report().target.tokens);
    let recipe = &trainer.recipe;
    let epochs = recipe.train.whole_steps(facts.steps) / facts.steps_per_epoch.max(1e-9);
    let (steps, parameters, validates) = (facts.steps, facts.parameters, facts.held_out > 0);
    findings.extend(settings::check(&Plan { recipe, steps, parameters, tokens, epochs, validates }));
}

/// The time of a step, by some.
fn speed(
    trainer: &mut Trainer,
    facts: &mut TrainingFacts,
    stop: &AtomicBool,
    findings: &mut Vec<Finding>,
) -> Result<(), Error> {
    let (mut seconds, mut tokens, mut steps) = (0.0, 0, 0);
    trainer.reader.batches.end_warmup();
    let start = Instant::now();
    for i in 0..WARM_UP + STEPS {
        if trainer.outcome().is_some() || stop.load(Ordering::Relaxed) || (i > WARM_UP && start.elapsed() > TIME) {
            break;
        }
        let begun = Instant::now();
        match trainer.step() {
            Ok(step) if i >= WARM_UP || facts.steps <= WARM_UP as u64 => {
                seconds += begun.elapsed().as_secs_f64();
                tokens += step.tokens;
                steps += 1;
            }
            Ok(_) => {}
            Err(Error::Diverged { step, cause, .. }) => {
                let message = format!("training diverges at step {step} already: {cause}");
                let remedy =
                    "Lower train.learning_rate, lengthen schedule.warmup, or clip gradients harder (train.clip)";
                findings.push(Finding::new("divergence", Severity::Error, message, remedy));
                return Ok(());
            }
            Err(error) => return Err(error),
        }
    }
    if steps == 0 {
        return Ok(());
    }
    facts.step_seconds = seconds / f64::from(steps);
    facts.tokens_per_s = tokens as f64 / seconds.max(1e-9);
    let validations = if facts.held_out > 0 { facts.steps.div_ceil(trainer.recipe.train.validate_every) } else { 0 };
    let whole_steps = trainer.recipe.train.whole_steps(facts.steps);
    facts.total_seconds = whole_steps * facts.step_seconds + validations as f64 * facts.validation_seconds;
    let validating = validations as f64 * facts.validation_seconds / facts.total_seconds.max(1e-9);
    if validating > 0.3 && facts.total_seconds > 60.0 {
        let message = format!(
            "{:.0} % of the time is validation: {} of about {:.0} s",
            100.0 * validating,
            plural(validations, "pass"),
            facts.validation_seconds
        );
        let remedy = "Raise train.validate_every, or validate on fewer examples";
        findings.push(Finding::new("validation-time", Severity::Note, message.replace("passs", "passes"), remedy));
    }
    if trainer.recipe.train.precision == TrainPrecision::Bf16 && bf16_gemm_flops() == 0 {
        let message = format!(
            "train.precision = \"bf16\": all matmuls of {} parameters are too small to gain from it, and are in f32",
            count(facts.parameters)
        );
        findings.push(Finding::new("settings", Severity::Note, message, "Leave train.precision out"));
    }
    Ok(())
}
