//! `descant runs`.

use crate::Threads;
use crate::report::{duration, note, print, validated};
use crate::table::Table;
use clap::{Args, ValueEnum};
use descant_inference::{count, find_runs};
use descant_text::plural;
use descant_train::{RunState, RunSummary};
use rayon::prelude::*;
use std::cmp::{Ordering, Reverse};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

#[derive(Args)]
pub(crate) struct Runs {
    /// Runs, or folders of them
    #[arg(value_name = "FOLDER", default_value = "runs")]
    folders: Vec<PathBuf>,
    /// What they are sorted by
    #[arg(long, value_name = "COLUMN", default_value = "name")]
    sort: Column,
    #[command(flatten)]
    threads: Threads,
    /// Print one JSON object a line instead
    #[arg(long)]
    json: bool,
}

/// What runs are sorted by.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Column {
    /// Their folders
    Name,
    /// Those in training first, broken ones last
    State,
    /// The most steps done first
    Steps,
    /// The best validation first, of runs that are measured by the same
    Validation,
    /// The largest first
    Parameters,
    /// The longest training first
    Time,
    /// The last change first
    Changed,
}

impl Runs {
    pub(crate) fn run(mut self) -> anyhow::Result<()> {
        std::mem::take(&mut self.threads).install(|| self.work())
    }

    fn work(self) -> anyhow::Result<()> {
        let mut places = Vec::new();
        for folder in &self.folders {
            let found = find_runs(folder)?;
            if found.is_empty() {
                note(format_args!("{}: there are no runs in it.", folder.display()));
            }
            places.extend(found);
        }
        places.sort();
        places.dedup();
        let mut runs: Vec<RunSummary> = places.par_iter().map(|place| RunSummary::of(place)).collect();
        // A stable sort: of what is equal, the order is that of the names.
        runs.sort_by(|a, b| self.compare(a, b));
        if self.json {
            return runs.iter().try_for_each(|run| print(serde_json::to_string(run)?));
        }
        show(&runs)
    }

    fn compare(&self, a: &RunSummary, b: &RunSummary) -> Ordering {
        let by = |value: fn(&RunSummary) -> Option<f64>| {
            // Those without one are the last.
            let [a, b] = [a, b].map(|run| value(run).unwrap_or(f64::NEG_INFINITY));
            b.total_cmp(&a)
        };
        match self.sort {
            Column::Name => Ordering::Equal,
            Column::State => a.state.cmp(&b.state),
            Column::Steps => Reverse(a.step).cmp(&Reverse(b.step)),
            Column::Validation => a.compare_best(b),
            Column::Parameters => by(|run| run.parameters),
            Column::Time => by(|run| run.seconds),
            Column::Changed => by(|run| run.changed),
        }
    }
}

fn show(runs: &[RunSummary]) -> anyhow::Result<()> {
    if runs.is_empty() {
        return Ok(());
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |now| now.as_secs_f64());
    let heads = ["run", "state", "steps", "best validation", "parameters", "time", "changed"];
    let mut table = Table::new(heads.map(str::to_owned).to_vec());
    for run in runs {
        let steps = run.steps.map_or_else(|| run.step.to_string(), |steps| format!("{} of {steps}", run.step));
        let unknown = || "-".to_owned();
        table.row(vec![
            run.run.display().to_string(),
            state(run.state).to_owned(),
            if [RunState::Weights, RunState::Broken].contains(&run.state) { unknown() } else { steps },
            best(run).unwrap_or_else(unknown),
            run.parameters.map_or_else(unknown, count),
            run.seconds.map_or_else(unknown, duration),
            run.changed.map_or_else(unknown, |changed| format!("{} ago", age((now - changed).max(0.0) as u64))),
        ]);
    }
    table.print()?;
    let broken: Vec<&RunSummary> = runs.iter().filter(|run| run.problem.is_some()).collect();
    if !broken.is_empty() {
        print(format_args!("{} broken:", plural(broken.len() as u64, "run")))?;
    }
    broken.iter().try_for_each(|run| print(format_args!("  {}", run.problem.as_deref().unwrap_or_default())))
}

/// In words.
pub(crate) fn state(state: RunState) -> &'static str {
    match state {
        RunState::Training => "in training",
        RunState::Stopped => "stopped",
        RunState::EarlyStopped => "early stopped",
        RunState::Finished => "finished",
        RunState::Weights => "weights alone",
        RunState::Broken => "broken",
        _ => "unknown",
    }
}

/// The value of the best validation, and its step.
pub(crate) fn best(run: &RunSummary) -> Option<String> {
    Some(format!("{} at {}", validated(run.metric.as_deref()?, run.best?), run.best_step?))
}

/// A time in its largest unit.
fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}
