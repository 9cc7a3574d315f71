//! The file of `--output`: answers written in the order of the input, so that a broken off `generate` goes on after the last whole
//! one.
//!
//! Beside it stands another file, named `.unfinished`, until it is complete: its first line says what the answers are made of, the
//! others which lines were not answered.

use crate::place::check_place;
use anyhow::Context;
use descant_text::{read_text, write_file};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The field by which a file is known as one of ours; it has the version that wrote it.
const OURS: &str = "descant";

/// A file that is being written.
pub(super) struct OutputFile {
    file: File,
    path: PathBuf,
    unfinished: PathBuf,
    /// Lines that are not written yet.
    pending: String,
    /// Refusals that are not written yet.
    refusals: String,
}

/// What a broken off file has.
#[derive(Default)]
pub(super) struct Written {
    /// Whole answers.
    pub(super) answers: u64,
    /// The last line of them.
    pub(super) last: String,
    /// The lines of the input among them that were not answered.
    pub(super) refused: Vec<Refusal>,
}

/// A line of the input that was not answered.
#[derive(Deserialize, Serialize)]
pub(super) struct Refusal {
    pub(super) line: u64,
    /// How many answers come before it.
    pub(super) after: u64,
    pub(super) error: String,
}

impl OutputFile {
    /// Opens a file for what these settings give, so many lines for each line of the input, or goes on with one that was broken off.
    pub(super) fn open(
        path: &Path,
        mut settings: Map<String, Value>,
        lines_of_answer: usize,
        overwrite: bool,
    ) -> anyhow::Result<(Self, Written)> {
        let shown = path.display();
        settings.insert(OURS.to_owned(), env!("CARGO_PKG_VERSION").into());
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        anyhow::ensure!(folder.is_none_or(Path::is_dir), "--output {shown}: there is no such folder. Make it first");
        let exists = path.symlink_metadata().is_ok();
        // It may be one to go on with.
        check_place(&format!("--output {shown}"), path, true)?;
        let mut name = path.as_os_str().to_owned();
        name.push(".unfinished");
        let unfinished = PathBuf::from(name);
        // Neither file is touched before it is known whose they are.
        begun(&unfinished)?;
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = file.with_context(|| format!("could not open {shown}"))?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => anyhow::bail!("--output {shown}: another process is writing to it"),
            // Some network file systems know no locks.
            Ok(()) | Err(TryLockError::Error(_)) => {}
        }
        let is_empty = file.metadata().is_ok_and(|file| file.len() == 0);
        let (mut written, mut end) = (Written::default(), 0);
        match begun(&unfinished)?.filter(|_| exists && !overwrite) {
            Some((before, refused)) => {
                is_same(path, &before, &settings)?;
                let answers = answers(&file, lines_of_answer as u64);
                (written, end) = answers.with_context(|| format!("could not read {shown}"))?;
                written.refused = refused.into_iter().filter(|refusal| refusal.after < written.answers).collect();
            }
            None => anyhow::ensure!(
                overwrite || is_empty,
                "--output {shown}: it is there already, and without {} beside it nothing says that it was broken off. Name another file, or \
                 add --overwrite",
                unfinished.display()
            ),
        }
        // An old file is gone before another beside it says what it is made of.
        file.set_len(end)
            .and_then(|()| file.seek(SeekFrom::Start(end)))
            .with_context(|| format!("could not write {shown}"))?;
        write_file(&unfinished, |file| {
            writeln!(file, "{}", serde_json::to_string(&settings)?)?;
            written.refused.iter().try_for_each(|refusal| writeln!(file, "{}", serde_json::to_string(refusal)?))
        })
        .with_context(|| format!("could not write {}", unfinished.display()))?;
        let (pending, refusals) = (String::new(), String::new());
        Ok((Self { file, path: path.to_owned(), unfinished, pending, refusals }, written))
    }

    /// Takes a line.
    pub(super) fn push(&mut self, line: &str) {
        self.pending += line;
        self.pending += "\n";
    }

    /// Takes note that a line of the input is not answered.
    pub(super) fn refuse(&mut self, refusal: &Refusal) -> anyhow::Result<()> {
        self.refusals += &serde_json::to_string(refusal)?;
        self.refusals += "\n";
        Ok(())
    }

    /// Writes the lines so far.
    pub(super) fn write(&mut self) -> anyhow::Result<()> {
        // Refusals first: those of answers that are not there do not count.
        if !self.refusals.is_empty() {
            let file = OpenOptions::new().append(true).open(&self.unfinished);
            let written = file.and_then(|mut file| file.write_all(self.refusals.as_bytes()));
            self.refusals.clear();
            written.with_context(|| format!("could not write {}", self.unfinished.display()))?;
        }
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

/// The whole answers of a file, and where they end: what comes after them was being written.
fn answers(file: &File, lines_of_answer: u64) -> std::io::Result<(Written, u64)> {
    let (mut reader, mut line, mut last) = (BufReader::new(file), Vec::new(), Vec::new());
    let (mut written, mut lines, mut place, mut end) = (Written::default(), 0, 0, 0);
    while reader.read_until(b'\n', &mut line)? > 0 {
        if line.ends_with(b"\n") {
            place += line.len() as u64;
            lines += 1;
            if lines % lines_of_answer == 0 {
                (written.answers, end) = (lines / lines_of_answer, place);
                std::mem::swap(&mut last, &mut line);
            }
        }
        line.clear();
    }
    written.last = String::from_utf8_lossy(&last).into_owned();
    Ok((written, end))
}

/// The settings of what was begun, and what was refused of it.
type Begun = (Map<String, Value>, Vec<Refusal>);

/// What the file beside another says of it; nothing where there is no such file.
fn begun(unfinished: &Path) -> anyhow::Result<Option<Begun>> {
    let shown = unfinished.display();
    if unfinished.symlink_metadata().is_err() {
        return Ok(None);
    }
    let not_ours = || {
        anyhow::anyhow!(
            "{shown} is in the way: a file of this name beside --output says how far it is, and this one does not. Move it, \
             or name another output"
        )
    };
    anyhow::ensure!(unfinished.is_file(), not_ours());
    let text = read_text(unfinished).map_err(|_| not_ours())?;
    let mut lines = text.lines();
    let settings: Option<Map<String, Value>> = serde_json::from_str(lines.next().unwrap_or_default()).ok();
    let settings = settings.filter(|settings| settings.contains_key(OURS)).ok_or_else(not_ours)?;
    // The last line may be cut off.
    Ok(Some((settings, lines.filter_map(|line| serde_json::from_str(line).ok()).collect())))
}

/// That a broken off file was made of the same.
fn is_same(path: &Path, before: &Map<String, Value>, settings: &Map<String, Value>) -> anyhow::Result<()> {
    let shown = path.display();
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
