use crate::recipe_args::RecipeArgs;
use crate::report::{Report, duration, note, print, validated};
use crate::shell::command;
use crate::{Threads, signals};
use clap::{Args, ValueEnum};
use descant_inference::{Recipe, TrainPrecision, count, size};
use descant_interop::Family;
use descant_kernels::bf16_gemm_flops;
use descant_models::{LayerKind, ModelKind};
use descant_nn::Cell;
use descant_text::{Form, plural};
use descant_train::{Outcome, Trainer};
use std::path::{Path, PathBuf};
use std::time::Instant;

const RECIPE: &str = "recipe.toml";

#[derive(Args)]
pub(crate) struct Train {
    #[command(flatten)]
    recipe: RecipeArgs,
    /// The folder to write to [default: runs/ and the recipe's name]
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    /// Resume the training in the run folder, with the run's own recipe; the result is bitwise identical to an uninterrupted
    /// run. --set may change some keys, such as train.steps. The run folder may be given instead of a recipe
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    threads: Threads,
    /// Show nothing but errors and the end
    #[arg(long, short)]
    quiet: bool,
    /// Where the training diverges, stop; or go on from its last good checkpoint at half the learning rate, three times at most
    #[arg(long, value_name = "MODE", default_value = "stop")]
    divergence: Divergence,
}

/// What to do where a training diverges.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Divergence {
    Stop,
    Restart,
}

/// Restarts of a training that diverges, at most.
const RESTARTS: u32 = 3;

impl Train {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        if self.quiet {
            log::set_max_level(log::LevelFilter::Warn);
        }
        // A run stands for its own recipe.
        let is_run = self.recipe.recipe.join(RECIPE).is_file();
        let (file, own) = match is_run {
            true => (self.recipe.recipe.join(RECIPE), self.recipe.recipe.clone()),
            false => {
                let name = self.recipe.recipe.file_stem().unwrap_or("run".as_ref());
                (self.recipe.recipe.clone(), Path::new("runs").join(name))
            }
        };
        let run = self.run.unwrap_or(own);
        let mut again = vec!["train".into(), self.recipe.recipe.to_string_lossy()];
        for set in &self.recipe.set {
            again.extend(["--set".into(), set.into()]);
        }
        again.extend(["--run".into(), run.to_string_lossy(), "--resume".into()]);
        let (recipe, notes) = match self.resume && run.join(RECIPE).exists() {
            true => descant_train::resumed_recipe(&run, &file, &self.recipe.set)?,
            false => (Recipe::load(&file, &self.recipe.set)?, Vec::new()),
        };
        let threads = self.threads.count();
        let mut trainer = Trainer::new(recipe, &run, threads, self.resume)?;
        // A training that is complete is reported before anything else.
        if let Some(outcome) = trainer.outcome().filter(|_| self.resume) {
            let (steps, run_name) = (plural(trainer.steps_done(), "step"), run.display());
            print(match outcome {
                Outcome::EarlyStopped => format!(
                    "{run_name}: already ended, after {steps}, as validation no longer improved. For more: --set \
                     train.patience=N."
                ),
                _ => format!(
                    "{run_name}: already trained, {steps}. For more: --set train.steps=N, or train.epochs where that ended it."
                ),
            })?;
            notes.iter().chain(trainer.notes()).for_each(note);
            return end(&trainer, &run);
        }
        notes.iter().chain(trainer.notes()).for_each(note);
        if !self.quiet {
            note(format_args!("{} → {}", file.display(), run.display()));
            found(&trainer, threads).into_iter().for_each(note);
        }
        let before = trainer.steps_done();
        let start = Instant::now();
        let mut left = if self.divergence == Divergence::Restart { RESTARTS } else { 0 };
        let (outcome, report) = loop {
            let error = match watch(&mut trainer, self.quiet) {
                Ok(found) => break found,
                Err(error) => error,
            };
            if left == 0 || !matches!(error.downcast_ref(), Some(descant_train::Error::Diverged { .. })) {
                return Err(error);
            }
            left -= 1;
            let rate = trainer.recipe().train.learning_rate / 2.0;
            note(format_args!(
                "{error}\nGoing on from there with train.learning_rate = {rate:e}; {} left.",
                plural(left.into(), "restart")
            ));
            // It has the folder.
            drop(trainer);
            let halved = Recipe::of_run_with(&run, &[format!("train.learning_rate={rate:e}")])?;
            trainer = Trainer::new(halved, &run, threads, true)?;
            trainer.notes().iter().for_each(note);
        };
        if let Some(said) = report.divergence() {
            note(said);
        }
        let (steps, time) = (trainer.steps_done(), duration(start.elapsed().as_secs_f64()));
        match outcome {
            Outcome::Stopped => {
                let again = command(&again);
                note(format_args!("Stopped after step {steps}; everything is saved. Go on with:\n  {again}"));
                signals::exit();
            }
            Outcome::Finished => print(format_args!("Trained {} in {time}.", plural(steps - before, "step")))?,
            Outcome::EarlyStopped => {
                print(format_args!("Validation no longer improves: ended after {}, {time}.", plural(steps, "step")))?
            }
        }
        end(&trainer, &run)
    }
}

/// The best of a training, and how to write with it.
fn end(trainer: &Trainer, run: &Path) -> anyhow::Result<()> {
    if let Some((value, step)) = trainer.best() {
        let shown = validated(&trainer.recipe().train.best_metric, value);
        print(format_args!("Best validation {shown} at step {step}."))?;
    }
    let mut again = vec!["generate".into(), run.to_string_lossy()];
    // What learned from conversations is talked to.
    again.extend((trainer.form() == Form::Conversations).then(|| "--chat".into()));
    print(format_args!("Write with it:\n  {}", command(&again)))
}

/// What a training found: texts, vocabulary, model, memory, and where the model can go.
fn found(trainer: &Trainer, threads: usize) -> Vec<String> {
    let recipe = trainer.recipe();
    let (model, train) = (&recipe.model, &recipe.train);
    let [learned, held_out] = trainer.sequences();
    let thing = match (trainer.form(), model.kind) {
        (Form::Continuous, _) => "chunk",
        (Form::Texts, _) => "text",
        (Form::Pairs, ModelKind::EncoderDecoder) => "pair",
        (Form::Preferences, _) => "preference",
        // Of a conversation, each.
        (Form::Pairs | Form::Conversations, _) => "answer",
    };
    let texts = format!("{} to learn from, {held_out} held out", plural(learned, thing));
    let tokenizers = trainer.tokenizers();
    let target = tokenizers.target.vocabulary();
    let vocabulary = match tokenizers.source.as_ref().map(|source| source.vocabulary()) {
        Some(source) => format!("vocabularies of {source} and {target} tokens"),
        None => format!("a vocabulary of {target} tokens"),
    };
    let cell = if model.cell == Cell::Lstm { "LSTM" } else { "GRU" };
    let of = |layers| if layers == LayerKind::Transformer { "Transformer" } else { cell };
    let architecture = match model.kind {
        ModelKind::LanguageModel => format!("{} language model", of(model.decoder)),
        ModelKind::EncoderDecoder if model.encoder() == model.decoder => {
            format!("{} encoder-decoder", of(model.decoder))
        }
        ModelKind::EncoderDecoder => format!("{} encoder, {} decoder", of(model.encoder()), of(model.decoder)),
    };
    let exported = match (model.decoder, Family::of(model)) {
        (_, Ok(family)) => format!("as {family}"),
        (LayerKind::Recurrent, _) => "for PyTorch".to_owned(),
        _ => "to no other program as it is: `descant export` says which keys keep it from that".to_owned(),
    };
    let estimate = trainer.estimate();
    vec![
        format!("  {texts}; {vocabulary}"),
        format!(
            "  {architecture}, {} parameters; {}, {}, {}; about {} of memory",
            count(estimate.parameters),
            plural(trainer.steps(), "step"),
            plural(train.shares as u64, "share"),
            plural(threads as u64, "thread"),
            size(estimate.total()),
        ),
        format!("  can be exported {exported}"),
    ]
}

/// Trains to the end, with a report. Ctrl-C and its like save and stop.
pub(crate) fn watch(trainer: &mut Trainer, quiet: bool) -> anyhow::Result<(Outcome, Report)> {
    let stop = signals::listen()?;
    let mut report = Report::new(trainer.steps_done(), trainer.steps(), quiet);
    let mut bf16 = trainer.recipe().train.precision == TrainPrecision::Bf16;
    let outcome = trainer.run(stop, |event| {
        // After a step it is known whether any product is large enough to gain from it.
        if std::mem::take(&mut bf16) && bf16_gemm_flops() == 0 {
            report.say("Note: all matmuls are too small to gain from train.precision = \"bf16\": they are in f32.");
        }
        report.watch(event);
    });
    report.finish();
    Ok((outcome?, report))
}
