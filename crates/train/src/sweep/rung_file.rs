//! What the runs of a successive halving were worth at its rungs: a run that has gone on since would not tell it again.

use descant_inference::Error;
use descant_text::read_file;
use serde::{Deserialize, Serialize};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

const FILE: &str = "rungs.jsonl";

/// A line.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Rung {
    run: String,
    /// The share of its steps that it had done; 0 where it began anew, and what stands before is of another training.
    share: f64,
    /// The better of its best validation and that of this step; none where that is no number.
    value: Option<f64>,
}

/// The file, in the folder of the sweep.
#[derive(Debug)]
pub(super) struct RungFile {
    path: PathBuf,
    rungs: Vec<Rung>,
}

impl RungFile {
    /// Reads it, where it is there. A line that was broken off is measured again.
    pub(super) fn open(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(FILE);
        if !path.exists() {
            return Ok(Self { path, rungs: Vec::new() });
        }
        let bytes = read_file(&path).map_err(|error| Error::io("read", &path, error))?;
        let text = String::from_utf8_lossy(&bytes);
        let rungs = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        Ok(Self { path, rungs })
    }

    /// The value of a run at a rung, where it came to it.
    pub(super) fn value(&self, run: &str, share: f64) -> Option<f64> {
        let own = self.rungs.iter().rev().filter(|rung| rung.run == run);
        let found = own.take_while(|rung| rung.share > 0.0).find(|rung| rung.share == share)?;
        Some(found.value.unwrap_or(f64::NAN))
    }

    /// Lets a run begin anew, which has been removed since.
    pub(super) fn begin(&mut self, run: &str) -> Result<(), Error> {
        match self.rungs.iter().rfind(|rung| rung.run == run) {
            Some(last) if last.share > 0.0 => self.add(run, 0.0, f64::NAN),
            _ => Ok(()),
        }
    }

    /// Writes it down.
    pub(super) fn add(&mut self, run: &str, share: f64, value: f64) -> Result<(), Error> {
        let rung = Rung { run: run.to_owned(), share, value: Some(value).filter(|value| value.is_finite()) };
        // After what was broken off there is no end of a line.
        let line = format!("{}\n", serde_json::to_string(&rung).unwrap_or_default());
        let file = OpenOptions::new().create(true).append(true).open(&self.path);
        let write = |error| Error::io("write", &self.path, error);
        file.and_then(|mut file| file.write_all(format!("\n{line}").as_bytes())).map_err(write)?;
        self.rungs.push(rung);
        Ok(())
    }
}
