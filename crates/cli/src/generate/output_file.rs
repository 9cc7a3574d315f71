//! The file of `--output`: written batch by batch, so that a broken off `generate` goes on after the last whole line.

use crate::report::note;
use anyhow::Context;
use descant_text::{read_text, write_file};
use serde_json::{Map, Value};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A file that is being written. Beside it stands another one, which says what it is made of, until it is complete.
pub(super) struct OutputFile {
    file: File,
    path: PathBuf,
    unfinished: PathBuf,
    /// Lines that are not written yet.
    pending: String,
}

/// What a broken off file has.
#[derive(Default)]
pub(super) struct Written {
    /// Whole lines.
    pub(super) lines: u64,
    /// The last of them.
    pub(super) last: String,
}

impl OutputFile {
    /// Opens a file for what these settings give, or goes on with one that was broken off.
    pub(super) fn open(path: &Path, settings: &Map<String, Value>, overwrite: bool) -> anyhow::Result<(Self, Written)> {
        let shown = path.display();
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        anyhow::ensure!(folder.is_none_or(Path::is_dir), "--output {shown}: there is no such folder. Make it first");
        let exists = path.symlink_metadata().is_ok();
        anyhow::ensure!(!exists || path.is_file(), "--output {shown}: it is no regular file. Name another");
        let mut name = path.as_os_str().to_owned();
        name.push(".unfinished");
        let unfinished = PathBuf::from(name);
        let goes_on = exists && !overwrite;
        if goes_on {
            anyhow::ensure!(
                unfinished.is_file(),
                "--output {shown}: it is there already, and complete. Name another file, or add --overwrite"
            );
            is_same(path, &unfinished, settings)?;
        }
        let open = || OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = open().with_context(|| format!("could not open {shown}"))?;
        if let Err(error) = file.try_lock() {
            match error {
                TryLockError::WouldBlock => anyhow::bail!("--output {shown}: another process is writing to it"),
                // Some network file systems know no locks.
                TryLockError::Error(_) => {}
            }
        }
        let mut written = Written::default();
        let mut end = 0;
        if goes_on {
            let mut reader = BufReader::new(&file);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).with_context(|| format!("could not read {shown}"))? > 0 {
                // A line without its end was being written.
                if line.pop_if(|byte| *byte == b'\n').is_some() {
                    end += line.len() as u64 + 1;
                    written.lines += 1;
                    written.last = String::from_utf8_lossy(&line).into_owned();
                }
                line.clear();
            }
        } else {
            write_file(&unfinished, |file| file.write_all(serde_json::to_string(settings)?.as_bytes()))
                .with_context(|| format!("could not write {}", unfinished.display()))?;
        }
        let cut = file.set_len(end).and_then(|()| file.seek(SeekFrom::Start(end)));
        cut.with_context(|| format!("could not write {shown}"))?;
        Ok((Self { file, path: path.to_owned(), unfinished, pending: String::new() }, written))
    }

    /// Keeps so many lines alone.
    pub(super) fn truncate(&mut self, lines: u64) -> anyhow::Result<()> {
        let end = {
            self.file.rewind()?;
            let mut reader = BufReader::new(&self.file);
            let mut line = Vec::new();
            let mut end = 0;
            for _ in 0..lines {
                line.clear();
                end += reader.read_until(b'\n', &mut line)? as u64;
            }
            end
        };
        self.file.set_len(end)?;
        self.file.seek(SeekFrom::Start(end))?;
        Ok(())
    }

    /// Takes a line.
    pub(super) fn push(&mut self, line: &str) {
        self.pending += line;
        self.pending += "\n";
    }

    /// Writes the lines so far.
    pub(super) fn write(&mut self) -> anyhow::Result<()> {
        let written = self.file.write_all(self.pending.as_bytes());
        self.pending.clear();
        written.with_context(|| format!("could not write {}", self.path.display()))
    }

    /// Says that it is complete.
    pub(super) fn finish(&mut self) -> anyhow::Result<()> {
        self.write()?;
        self.file.sync_all().with_context(|| format!("could not write {}", self.path.display()))?;
        std::fs::remove_file(&self.unfinished)
            .with_context(|| format!("could not remove {}", self.unfinished.display()))
    }
}

/// Tells that so many lines are answered already.
pub(super) fn going_on(done: u64) {
    if done > 0 {
        note(format_args!("The output was broken off: it goes on after line {done}."));
    }
}

/// That a broken off file was made of the same.
fn is_same(path: &Path, unfinished: &Path, settings: &Map<String, Value>) -> anyhow::Result<()> {
    let shown = path.display();
    let text = read_text(unfinished).with_context(|| format!("could not read {}", unfinished.display()))?;
    let before: Map<String, Value> = serde_json::from_str(&text)
        .map_err(|_| anyhow::anyhow!("{} is damaged. Start anew, with --overwrite", unfinished.display()))?;
    let other = before.keys().chain(settings.keys()).find(|key| before.get(*key) != settings.get(*key));
    let shown_value = |value: Option<&Value>| value.map_or_else(|| "not given".to_owned(), Value::to_string);
    if let Some(key) = other {
        anyhow::bail!(
            "--output {shown}: it was broken off with other settings: {key} was {}, and is {}. Give the same to go on, or \
             --overwrite to start anew",
            shown_value(before.get(key)),
            shown_value(settings.get(key))
        );
    }
    Ok(())
}
