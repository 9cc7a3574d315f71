use crate::report::{Report, duration, note, print};
use crate::{RecipeArgs, Threads};
use clap::Args;
use descant_train::{Outcome, Recipe, Trainer};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

#[derive(Args)]
pub(crate) struct Train {
    #[command(flatten)]
    recipe: RecipeArgs,
    /// The folder to write to [default: runs/ and the recipe's name]
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    /// Go on with the training in that folder: it ends in the same bits as one that was never broken off
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    threads: Threads,
    /// Show nothing but errors and the end
    #[arg(long, short)]
    quiet: bool,
}

/// As a shell reads it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=,:+@".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

impl Train {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let recipe = Recipe::load(&self.recipe.recipe, &self.recipe.set)?;
        let run = self
            .run
            .unwrap_or_else(|| Path::new("runs").join(self.recipe.recipe.file_stem().unwrap_or("run".as_ref())));
        let mut again = format!("descant train {}", quoted(&self.recipe.recipe.to_string_lossy()));
        for set in &self.recipe.set {
            again += &format!(" --set {}", quoted(set));
        }
        again += &format!(" --run {} --resume", quoted(&run.to_string_lossy()));
        let mut trainer = Trainer::new(recipe, &run, self.threads.count(), self.resume)?;
        if trainer.left_out() > 0 {
            note(format_args!(
                "Left out: {} pairs or lines that are longer than data.max_length or the model's positions.",
                trainer.left_out()
            ));
        }
        let start = Instant::now();
        let (outcome, _) = watch(&mut trainer, self.quiet)?;
        let (steps, time) = (trainer.steps_done(), duration(start.elapsed().as_secs_f64()));
        match outcome {
            Outcome::Stopped => {
                note(format_args!("Stopped after step {steps}; everything is saved. Go on with:\n  {again}"));
                // As the shell expects of a program that was interrupted.
                std::process::exit(130);
            }
            Outcome::Finished => print(format_args!("Trained {steps} steps in {time}."))?,
            Outcome::NoLongerBetter => {
                print(format_args!("Validation no longer improves: ended after {steps} steps, {time}."))?
            }
        }
        if let Some((loss, step)) = trainer.best() {
            print(format_args!("Best validation loss {loss:.4} at step {step}."))?;
        }
        print(format_args!("Write with it:\n  descant generate {}", run.display()))?;
        Ok(())
    }
}

/// Trains to the end, with a report; Ctrl-C saves and stops.
pub(crate) fn watch(trainer: &mut Trainer, quiet: bool) -> anyhow::Result<(Outcome, Report)> {
    let stop = Arc::new(AtomicBool::new(false));
    let handler = stop.clone();
    // A second time, at once: the last checkpoint is complete.
    ctrlc::set_handler(move || {
        if handler.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    })?;
    let mut report = Report::new(trainer.steps_done(), trainer.recipe().train.steps, quiet);
    let outcome = trainer.run(&stop, |event| report.watch(event));
    report.finish();
    Ok((outcome?, report))
}
