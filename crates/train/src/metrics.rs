use crate::Error;
use crate::data::write;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

pub(crate) const METRICS: &str = "metrics.jsonl";

/// One line of `metrics.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Metric {
    /// Means over the steps since the last such line.
    Train {
        /// Optimizer steps done.
        step: u64,
        /// Times through the data.
        epoch: u64,
        /// Loss per target token, in nats.
        loss: f64,
        /// Norm of the gradient before clipping.
        gradient_norm: f64,
        /// The learning rate.
        learning_rate: f64,
        /// Target tokens per second.
        tokens_per_s: f64,
    },
    /// Over the whole validation text.
    Validation {
        /// Optimizer steps done.
        step: u64,
        /// Loss per target token, in nats.
        loss: f64,
        /// `e^loss`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        perplexity: Option<f64>,
        /// The share of tokens whose best score is right, given the right ones before.
        accuracy: f64,
        /// Whether this is the best so far.
        best: bool,
    },
}

impl Metric {
    fn step(&self) -> u64 {
        match self {
            Self::Train { step, .. } | Self::Validation { step, .. } => *step,
        }
    }
}

/// The file `metrics.jsonl` of a run.
#[derive(Debug)]
pub(crate) struct Metrics {
    path: PathBuf,
    file: File,
}

impl Metrics {
    /// Opens it to go on after `step`: what an interrupted run wrote beyond is dropped, as it will be written again.
    pub(crate) fn open(run: &Path, step: u64) -> Result<Self, Error> {
        let path = run.join(METRICS);
        let fail = |error| Error::io("write the metrics to", &path, error);
        if path.exists() {
            let bytes = fs::read(&path).map_err(fail)?;
            let kept: String = String::from_utf8_lossy(&bytes)
                .lines()
                .filter(|line| serde_json::from_str::<Metric>(line).is_ok_and(|metric| metric.step() <= step))
                .flat_map(|line| [line, "\n"])
                .collect();
            write(&path, kept.as_bytes())?;
        }
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(fail)?;
        Ok(Self { path, file })
    }

    pub(crate) fn write(&mut self, metric: &Metric) -> Result<(), Error> {
        let line = serde_json::to_string(metric).unwrap_or_default() + "\n";
        self.file.write_all(line.as_bytes()).map_err(|error| Error::io("write the metrics to", &self.path, error))
    }
}
