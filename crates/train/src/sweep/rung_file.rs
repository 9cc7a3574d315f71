//! What the runs of a successive halving were worth at its rungs: a run that has gone on since would not tell it again.

use descant_inference::difference::{Difference, MAY_CHANGE};
use descant_inference::{Error, Recipe};
use descant_text::{plural, read_file};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

const FILE: &str = "rungs.jsonl";

/// Keys that may change when a training goes on, but not what it is worth.
const WITHOUT_EFFECT: [&str; 4] = ["train.log_every", "train.checkpoint_every", "train.keep", "train.metric_timeout"];

/// The keys that may change when a training goes on, and what it is worth with them, with their values.
pub(super) type Settings = BTreeMap<String, Value>;

/// Those of a recipe.
pub(super) fn settings_of(recipe: &Recipe) -> Settings {
    let recipe = serde_json::to_value(recipe).unwrap_or_default();
    let value = |key: &str| key.split('.').try_fold(&recipe, |table, key| table.get(key)).cloned().unwrap_or_default();
    let keys = MAY_CHANGE.into_iter().filter(|key| !WITHOUT_EFFECT.contains(key));
    keys.map(|key| (key.to_owned(), value(key))).filter(|(_, value)| !value.is_null()).collect()
}

/// A line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Rung {
    pub(super) run: String,
    /// The share of its steps that it had done; 0 where it began anew, and what stands before is of another training.
    pub(super) share: f64,
    /// The step at which it was measured.
    pub(super) step: u64,
    /// What that depends on, too.
    pub(super) settings: Settings,
    /// The better of its best validation and that of this step; none where that is no number.
    pub(super) value: Option<f64>,
}

/// The file, in the folder of the sweep.
#[derive(Debug)]
pub(super) struct RungFile {
    path: PathBuf,
    rungs: Vec<Rung>,
}

impl RungFile {
    /// Reads it, where it is there; and which lines cannot be read, in a sentence: what they say is measured again, as after a line that
    /// was broken off.
    ///
    /// # Errors
    /// Where it is there and cannot be read.
    pub(super) fn open(folder: &Path) -> Result<(Self, Option<String>), Error> {
        let path = folder.join(FILE);
        if !path.exists() {
            return Ok((Self { path, rungs: Vec::new() }, None));
        }
        let bytes = read_file(&path).map_err(|error| Error::io("read", &path, error))?;
        let (mut rungs, mut unread, mut first) = (Vec::new(), 0, None);
        for (number, line) in (1..).zip(String::from_utf8_lossy(&bytes).lines()) {
            match serde_json::from_str(line) {
                Ok(rung) => rungs.push(rung),
                Err(_) if line.is_empty() => {}
                Err(error) => {
                    unread += 1;
                    let error = error.to_string().replace(" at line 1 column ", " at column ");
                    first = first.or_else(|| Some(format!("line {number} cannot be read ({error})")));
                }
            }
        }
        let note = first.map(|first| {
            let others = if unread > 1 { format!(", nor can {}", plural(unread - 1, "other")) } else { String::new() };
            format!("{}: {first}{others}. What it says is measured again.", path.display())
        });
        Ok((Self { path, rungs }, note))
    }

    /// The value of a run at a rung, where it came to it with these settings. Where it did with others alone, what differs.
    pub(super) fn value(&self, run: &str, share: f64, settings: &Settings) -> Result<Option<f64>, String> {
        let own = self.rungs.iter().rev().filter(|rung| rung.run == run);
        let mut found = own.take_while(|rung| rung.share > 0.0).filter(|rung| rung.share == share).peekable();
        let Some(newest) = found.peek().copied() else { return Ok(None) };
        match found.find(|rung| rung.settings == *settings) {
            Some(rung) => Ok(Some(rung.value.unwrap_or(f64::NAN))),
            None => Err(newest.differences(settings)),
        }
    }

    /// Lets a run begin anew, which has been removed since.
    pub(super) fn begin(&mut self, run: &str) -> Result<(), Error> {
        match self.rungs.iter().rfind(|rung| rung.run == run) {
            Some(last) if last.share > 0.0 => {
                self.add(Rung { run: run.to_owned(), share: 0.0, step: 0, settings: Settings::new(), value: None })
            }
            _ => Ok(()),
        }
    }

    /// Writes a line.
    pub(super) fn add(&mut self, rung: Rung) -> Result<(), Error> {
        // After what was broken off there is no end of a line.
        let line = format!("\n{}\n", serde_json::to_string(&rung).unwrap_or_default());
        let file = OpenOptions::new().create(true).append(true).open(&self.path);
        let write = |error| Error::io("write", &self.path, error);
        file.and_then(|mut file| file.write_all(line.as_bytes())).map_err(write)?;
        self.rungs.push(rung);
        Ok(())
    }
}

impl Rung {
    /// What other settings have otherwise, in words.
    fn differences(&self, settings: &Settings) -> String {
        let difference = |key: &String| Difference {
            key: key.clone(),
            was: self.settings.get(key).cloned(),
            is: settings.get(key).cloned(),
        };
        let keys: BTreeSet<&String> = self.settings.keys().chain(settings.keys()).collect();
        let differences = keys.into_iter().map(difference).filter(|found| found.was != found.is);
        differences.map(|found| found.to_string()).collect::<Vec<_>>().join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rung(share: f64, steps: u64, value: Option<f64>) -> Rung {
        let settings = Settings::from([("train.steps".to_owned(), steps.into())]);
        Rung { run: "a".to_owned(), share, step: (share * steps as f64) as u64, settings, value }
    }

    #[test]
    fn a_value_holds_for_its_run_its_share_and_its_settings() {
        let folder = tempfile::tempdir().unwrap();
        let (mut file, note) = RungFile::open(folder.path()).unwrap();
        assert_eq!(note, None);
        file.add(rung(0.25, 40, Some(1.5))).unwrap();
        file.add(rung(0.5, 40, None)).unwrap();
        for file in [&file, &RungFile::open(folder.path()).unwrap().0] {
            let [old, new] = [40, 80].map(|steps| rung(0.25, steps, None).settings);
            assert_eq!(file.value("a", 0.25, &old), Ok(Some(1.5)));
            assert!(file.value("a", 0.5, &old).unwrap().unwrap().is_nan());
            assert_eq!(file.value("b", 0.25, &old), Ok(None));
            assert_eq!(file.value("a", 0.125, &new), Ok(None));
            assert_eq!(file.value("a", 0.25, &new), Err("train.steps is 80, was 40".to_owned()));
        }
        // Both are known from then on, up to where it begins anew.
        file.add(rung(0.25, 80, Some(1.25))).unwrap();
        for (steps, value) in [(40, 1.5), (80, 1.25)] {
            assert_eq!(file.value("a", 0.25, &rung(0.25, steps, None).settings), Ok(Some(value)));
        }
        file.begin("a").unwrap();
        assert_eq!(file.value("a", 0.25, &rung(0.25, 80, None).settings), Ok(None));
    }

    #[test]
    fn lines_that_cannot_be_read_are_told_and_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let (mut file, _) = RungFile::open(folder.path()).unwrap();
        file.add(rung(0.25, 40, Some(1.5))).unwrap();
        let mut text = std::fs::read_to_string(folder.path().join(FILE)).unwrap();
        text.push_str("{\"run\": \"a\", \"sha");
        std::fs::write(folder.path().join(FILE), &text).unwrap();
        let (mut file, note) = RungFile::open(folder.path()).unwrap();
        let note = note.unwrap();
        assert!(note.contains("rungs.jsonl: line 3 cannot be read (") && note.contains(" at column "), "{note}");
        assert!(!note.contains("nor can"), "{note}");
        // What is written after it is a line of its own.
        file.add(rung(0.5, 40, Some(0.5))).unwrap();
        let (file, _) = RungFile::open(folder.path()).unwrap();
        let settings = rung(0.5, 40, None).settings;
        assert_eq!([0.25, 0.5].map(|share| file.value("a", share, &settings)), [Ok(Some(1.5)), Ok(Some(0.5))]);
    }
}
