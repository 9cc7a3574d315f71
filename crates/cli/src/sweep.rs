//! `descant sweep`.

use crate::recipe_args::RecipeArgs;
use crate::report::{Report, note, print, validated};
use crate::runs::{best, state};
use crate::shell::command;
use crate::table::Table;
use crate::{Threads, signals};
use anyhow::{Context, ensure};
use clap::Args;
use descant_text::plural;
use descant_train::{RunSummary, Sweep as Runs, SweepConfig, SweepEvent, SweepRun, Variation};
use serde::Serialize;
use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(Args)]
pub(crate) struct Sweep {
    #[command(flatten)]
    recipe: RecipeArgs,
    /// Values that a key takes in turn, such as --vary train.learning_rate=1e-3,3e-3 (may be repeated: all combinations)
    #[arg(long, value_name = "KEY=V1,V2,…", required = true)]
    vary: Vec<String>,
    /// Only so many of the combinations, drawn at random
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    random: Option<u16>,
    /// What they are drawn from
    #[arg(long, value_name = "N", default_value_t = 1, requires = "random")]
    seed: u64,
    /// Successive halving: all train for a part of their steps, the better half goes on for as many again, until one is left
    #[arg(long)]
    halving: bool,
    /// The folder for the runs, each in a folder of its own
    #[arg(long, value_name = "FOLDER")]
    runs: PathBuf,
    #[command(flatten)]
    threads: Threads,
    /// Show nothing but errors and the table
    #[arg(long, short)]
    quiet: bool,
    /// Print one JSON object a line instead of the table
    #[arg(long)]
    json: bool,
}

/// A line of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    run: Cow<'a, str>,
    settings: BTreeMap<&'a str, &'a str>,
    outcome: &'a str,
    problem: Option<&'a str>,
    step: u64,
    metric: Option<&'a str>,
    best: Option<f64>,
    best_step: Option<u64>,
    worth: Option<f64>,
    seconds: Option<f64>,
}

impl Sweep {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        if self.quiet {
            log::set_max_level(log::LevelFilter::Warn);
        }
        let variations = self.vary.iter().map(|text| Variation::parse(text));
        let mut config = SweepConfig::default();
        config.variations = variations.collect::<Result<_, _>>().map_err(anyhow::Error::msg).context("--vary")?;
        config.settings.clone_from(&self.recipe.set);
        (config.random, config.seed, config.halving) = (self.random.map(usize::from), self.seed, self.halving);
        let mut sweep = Runs::new(&self.recipe.recipe, config, &self.runs)?;
        let stop = signals::listen()?;
        let mut watcher = Watcher { quiet: self.quiet, report: None, told: Vec::new() };
        if !sweep.run(self.threads.count(), stop, |event| watcher.watch(&event))? {
            let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
            let again = command(&words.collect::<Vec<_>>());
            note(format_args!("Stopped; everything is saved. Go on with:\n  {again}"));
            signals::exit();
        }
        self.show(sweep.runs())
    }

    fn show(&self, runs: &[SweepRun]) -> anyhow::Result<()> {
        let mut all: Vec<(&SweepRun, RunSummary)> = runs.iter().map(|run| (run, RunSummary::of(&run.run))).collect();
        // Those that came to their end first, then those that came the furthest, the best first.
        let class = |run: &SweepRun, summary: &RunSummary| {
            (run.problem.is_some(), run.is_eliminated, Reverse(if run.is_eliminated { summary.step } else { 0 }))
        };
        all.sort_by(|(a, of_a), (b, of_b)| class(a, of_a).cmp(&class(b, of_b)).then_with(|| of_a.compare_best(of_b)));
        if self.json {
            for (run, summary) in &all {
                print(serde_json::to_string(&line(run, summary))?)?;
            }
        } else {
            table(&all)?;
        }
        let failed = runs.iter().filter(|run| run.problem.is_some()).count();
        ensure!(failed < runs.len(), "all {} failed", plural(failed as u64, "run"));
        Ok(())
    }
}

fn line<'a>(run: &'a SweepRun, summary: &'a RunSummary) -> Line<'a> {
    Line {
        // A name may be no UTF-8, and JSON is.
        run: run.run.to_string_lossy(),
        settings: run.settings.iter().filter_map(|setting| setting.split_once('=')).collect(),
        outcome: outcome(run, summary),
        problem: run.problem.as_deref(),
        step: summary.step,
        metric: summary.metric.as_deref(),
        best: summary.best,
        best_step: summary.best_step,
        worth: run.worth,
        seconds: summary.seconds,
    }
}

fn outcome<'a>(run: &SweepRun, summary: &RunSummary) -> &'a str {
    match (&run.problem, run.is_eliminated) {
        (Some(_), _) => "failed",
        (None, true) => "eliminated",
        (None, false) => state(summary.state),
    }
}

fn table(all: &[(&SweepRun, RunSummary)]) -> anyhow::Result<()> {
    let Some((first, of_first)) = all.first() else { return Ok(()) };
    let parts = |run: &SweepRun| -> Vec<(String, String)> {
        let each = run.settings.iter().filter_map(|setting| setting.split_once('='));
        each.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    };
    let mut heads: Vec<String> = parts(first).into_iter().map(|(key, _)| key).collect();
    heads.extend(["outcome", "steps", "best validation"].map(str::to_owned));
    let mut table = Table::new(heads);
    for (run, summary) in all {
        let mut cells: Vec<String> = parts(run).into_iter().map(|(_, value)| value).collect();
        cells.push(outcome(run, summary).to_owned());
        cells.push(summary.step.to_string());
        let worth = || Some(validated(summary.metric.as_deref()?, run.worth?));
        cells.push(best(summary).or_else(worth).unwrap_or_else(|| "-".to_owned()));
        table.row(cells);
    }
    table.print()?;
    for (run, _) in all {
        if let Some(problem) = &run.problem {
            print(format_args!("{} failed: {problem}", run.settings.join(" ")))?;
        }
    }
    if first.problem.is_some() {
        return Ok(());
    }
    let what =
        if of_first.best.is_some() { "The best" } else { "Without a value to compare by, none is the best; the first" };
    print(format_args!("{what}:\n  {}", command(&["generate".into(), first.run.to_string_lossy()])))
}

/// Shows each training as `descant train` does.
struct Watcher {
    quiet: bool,
    report: Option<Report>,
    /// Notes that were told: most are the same of every run.
    told: Vec<String>,
}

impl Watcher {
    fn watch(&mut self, event: &SweepEvent<'_>) {
        match event {
            SweepEvent::Begun { run, number: [number, of], steps: [done, until], notes, .. } => {
                notes.iter().for_each(|note| self.tell(note));
                if !self.quiet {
                    note(format_args!("{number} of {of}: {}, up to step {until}", run.settings.join(" ")));
                }
                self.report = Some(Report::new(*done, *until, self.quiet));
            }
            SweepEvent::Training(event) => self.report.iter_mut().for_each(|report| report.watch(event)),
            SweepEvent::Ended(run) => {
                self.report.take().iter().for_each(Report::finish);
                if let Some(problem) = &run.problem {
                    note(format_args!("{} failed: {problem}", run.settings.join(" ")));
                }
            }
            SweepEvent::Note(note) => self.tell(note),
            _ => {}
        }
    }

    /// Once.
    fn tell(&mut self, told: &str) {
        if !self.told.iter().any(|one| one == told) {
            note(told);
            self.told.push(told.to_owned());
        }
    }
}
