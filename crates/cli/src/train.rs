use crate::advice::command;
use crate::report::{Report, duration, note, print};
use crate::{RecipeArgs, Threads, stop};
use clap::Args;
use descant_train::{Outcome, Recipe, Trainer};
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
    /// Go on with the training in that folder, by its own recipe: it ends in the same bits as one that was never broken
    /// off. A --set changes what may change, such as train.steps; the folder may stand in the recipe's place
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    threads: Threads,
    /// Show nothing but errors and the end
    #[arg(long, short)]
    quiet: bool,
}

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
            true => Recipe::going_on(&run, &file, &self.recipe.set)?,
            false => (Recipe::load(&file, &self.recipe.set)?, Vec::new()),
        };
        let mut trainer = Trainer::new(recipe, &run, self.threads.count(), self.resume)?;
        notes.iter().chain(trainer.notes()).for_each(note);
        let before = trainer.steps_done();
        let start = Instant::now();
        let (outcome, _) = watch(&mut trainer, self.quiet)?;
        let (steps, time) = (trainer.steps_done(), duration(start.elapsed().as_secs_f64()));
        match outcome {
            Outcome::Stopped => {
                let again = command(&again);
                note(format_args!("Stopped after step {steps}; everything is saved. Go on with:\n  {again}"));
                stop::exit();
            }
            Outcome::Finished if steps == before => print(format_args!(
                "{}: already trained, {steps} steps. For more: --set train.steps=N, or train.epochs where that ended it.",
                run.display()
            ))?,
            Outcome::NoLongerBetter if steps == before => print(format_args!(
                "{}: already ended, after {steps} steps, as validation no longer improved. For more: --set train.patience=N.",
                run.display()
            ))?,
            Outcome::Finished => print(format_args!("Trained {steps} steps in {time}."))?,
            Outcome::NoLongerBetter => {
                print(format_args!("Validation no longer improves: ended after {steps} steps, {time}."))?
            }
        }
        if let Some((loss, step)) = trainer.best() {
            print(format_args!("Best validation loss {loss:.4} at step {step}."))?;
        }
        print(format_args!("Write with it:\n  {}", command(&["generate".into(), run.to_string_lossy()])))?;
        Ok(())
    }
}

/// Trains to the end, with a report. Ctrl-C and its like save and stop.
pub(crate) fn watch(trainer: &mut Trainer, quiet: bool) -> anyhow::Result<(Outcome, Report)> {
    let stop = stop::listen()?;
    let mut report = Report::new(trainer.steps_done(), trainer.recipe().train.steps, quiet);
    let outcome = trainer.run(stop, |event| report.watch(event));
    report.finish();
    Ok((outcome?, report))
}
