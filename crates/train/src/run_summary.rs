//! What a run is, in a line of a table: how far, how good, how large.

use crate::best_metric::compare_values;
use crate::{Error, MetricsRecord, Outcome};
use descant_inference::layout::{LAST, MANIFEST, METRICS, RECIPE};
use descant_inference::{Estimate, RunFolder, RunInfo};
use descant_tensor::DType;
use serde::{Serialize, Serializer};
use std::cmp::Ordering;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// A run without its weights.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RunSummary {
    /// Its folder.
    #[serde(serialize_with = "lossy")]
    pub run: PathBuf,
    /// How far it is.
    pub state: RunState,
    /// What is wrong with one that is broken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Optimizer steps done.
    pub step: u64,
    /// Those in all, where the recipe says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// What the best validation is the best by: `loss`, or a metric.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// Its value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best: Option<f64>,
    /// Its step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best_step: Option<u64>,
    /// Parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<f64>,
    /// The time of its steps and validations, about: what was done after the last line of metrics does not count. None where the metrics
    /// do not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// When its recipe, its metrics or its last checkpoint were written last, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed: Option<f64>,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RunState {
    /// A process writes to it.
    Training,
    /// Its training was stopped, or broken off: it can be gone on with.
    Stopped,
    /// Validation no longer improved.
    EarlyStopped,
    /// All steps are done.
    Finished,
    /// It holds weights alone, such as an import or an average.
    Weights,
    /// It cannot be used as it is.
    Broken,
}

impl RunSummary {
    /// Looks at a run folder, its metrics and its last checkpoint.
    pub fn of(run: &Path) -> Self {
        let taken = RunFolder::is_taken(run);
        let mut summary = Self {
            run: run.to_owned(),
            state: if taken { RunState::Training } else { RunState::Stopped },
            problem: None,
            step: 0,
            steps: None,
            metric: None,
            best: None,
            best_step: None,
            parameters: None,
            seconds: None,
            changed: changed(run),
        };
        // One whose start was broken off begins anew.
        if RunFolder::is_starting(run) {
            return summary;
        }
        if let Err(problem) = summary.read(taken) {
            summary.state = RunState::Broken;
            summary.problem = Some(problem.to_string());
        }
        summary
    }

    /// The better validation first; of other metrics, by their names; those without one last.
    pub fn compare_best(&self, other: &Self) -> Ordering {
        let [own, its] = [self, other].map(|run| run.metric.as_deref().zip(run.best));
        match (own, its) {
            (Some((name, own)), Some((other, its))) => name.cmp(other).then_with(|| compare_values(name, own, its)),
            (own, its) => its.is_some().cmp(&own.is_some()),
        }
    }

    fn read(&mut self, taken: bool) -> Result<(), Error> {
        let wrong = |reason: String| descant_inference::Error::Run { path: self.run.clone(), reason };
        if !RunFolder::is_run(&self.run) {
            return Err(wrong(format!("it has checkpoints, but no {RECIPE}")).into());
        }
        let RunInfo { recipe, tokenizers, .. } = RunInfo::load(&self.run)?;
        let train = &recipe.train;
        let vocabulary = tokenizers.vocabulary(&recipe.loss).map_err(wrong)?;
        self.parameters = Some(Estimate::of(&recipe, &vocabulary, DType::F32, 0.0).map_err(wrong)?.parameters);
        let Some(progress) = RunInfo::training(&self.run)? else {
            self.state = RunState::Weights;
            return Ok(());
        };
        let (records, _) = MetricsRecord::of_run(&self.run)?;
        self.step = progress.step;
        self.steps = (train.epochs == 0).then_some(train.most_steps());
        self.metric = Some(train.best_metric.clone());
        (self.best, self.best_step) = progress.best.unzip();
        let seconds: f64 = records.iter().map(MetricsRecord::seconds).sum();
        self.seconds = (seconds > 0.0).then_some(seconds);
        self.state = match Outcome::of(train, &progress) {
            _ if taken => RunState::Training,
            Some(Outcome::EarlyStopped) => RunState::EarlyStopped,
            Some(_) => RunState::Finished,
            None => RunState::Stopped,
        };
        if taken {
            // It is beyond its last checkpoint.
            self.step = records.last().map_or(0, MetricsRecord::step).max(self.step);
        }
        Ok(())
    }
}

/// A name may be no UTF-8, and JSON is.
fn lossy<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

/// When a run was written to last, in seconds since 1970.
fn changed(run: &Path) -> Option<f64> {
    let files = [run.join(RECIPE), run.join(METRICS), run.join(LAST).join(MANIFEST)];
    let time = |path: &PathBuf| fs::metadata(path).ok()?.modified().ok()?.duration_since(UNIX_EPOCH).ok();
    files.iter().filter_map(time).max().map(|time| time.as_secs_f64())
}
