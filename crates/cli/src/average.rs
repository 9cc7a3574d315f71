//! `descant average`.

use crate::Threads;
use crate::place::beside;
use crate::report::print;
use crate::shell::command;
use anyhow::{Context, ensure};
use clap::Args;
use descant_inference::{Error, Trained, locate};
use descant_text::plural;
use descant_train::{CheckpointChoice, choose_checkpoints};
use std::path::PathBuf;

#[derive(Args)]
pub(crate) struct Average {
    /// One run, whose checkpoints are averaged; or several runs or checkpoints, such as runs/a/best
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,
    /// Of one run, so many of its newest checkpoints [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    last: Option<u16>,
    /// Of one run, so many of its best checkpoints: by train.best_metric at their validations
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..), conflicts_with = "last")]
    best: Option<u16>,
    /// The run folder to write [default: the first run's name and -average]
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    #[command(flatten)]
    threads: Threads,
}

impl Average {
    pub(crate) fn run(mut self) -> anyhow::Result<()> {
        std::mem::take(&mut self.threads).install(|| self.work())
    }

    fn work(self) -> anyhow::Result<()> {
        let places = self.places()?;
        let run = match &self.run {
            Some(run) => run.clone(),
            None => beside(&locate(&self.runs[0])?.0, "average").context("the run folder has no name: give --run")?,
        };
        Trained::average(&places, &run).map_err(|error| match error {
            Error::Occupied { path, .. } if path == run => {
                anyhow::anyhow!("{} is there already. Remove it, or name another folder with --run", path.display())
            }
            error => error.into(),
        })?;
        let averaged = plural(places.len() as u64, "checkpoint");
        print(format_args!("Averaged {averaged}:"))?;
        places.iter().try_for_each(|place| print(format_args!("  {}", place.display())))?;
        print(format_args!("Write with it:\n  {}", command(&["generate".into(), run.to_string_lossy()])))
    }

    /// What is averaged.
    fn places(&self) -> anyhow::Result<Vec<PathBuf>> {
        let number = |n: u16| usize::from(n);
        let choice = match (self.last, self.best) {
            (Some(last), _) => CheckpointChoice::Last(number(last)),
            (_, Some(best)) => CheckpointChoice::Best(number(best)),
            _ => CheckpointChoice::All,
        };
        if let [run] = &self.runs[..] {
            let places = choose_checkpoints(run, choice)?;
            ensure!(
                places.len() > 1,
                "{}: an average is of two checkpoints or more, and this would be of {}. A training with train.keep = N keeps the N \
                 newest; runs and checkpoints can be named one by one, too",
                run.display(),
                places.len()
            );
            return Ok(places);
        }
        ensure!(
            choice == CheckpointChoice::All,
            "--last and --best choose among the checkpoints of one run. Name that alone, or leave them out"
        );
        Ok(self.runs.clone())
    }
}
