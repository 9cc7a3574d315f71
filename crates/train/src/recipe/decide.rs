//! Defaults that depend on the text: whether it is one continuous text.

use crate::data::is_json;
use crate::locate::locate;
use crate::{Error, Files, Recipe};
use descant_models::ModelKind;
use descant_text::{Lines, TextError};
use std::path::{Path, PathBuf};

/// Lines that are looked at.
const LINES: usize = 20_000;
/// From this share of blank lines on, they part the paragraphs of one text.
const BLANK: f64 = 0.01;

/// The layout of a plain text, by its first lines.
pub(crate) struct PlainTextLayout {
    lines: usize,
    /// Of a line that is too long to be a text of its own, what is said of it.
    long: Option<String>,
    /// Whether it is one continuous text of several parts.
    pub(crate) parted: bool,
    /// Of a text whose lines are columns rather than sentences, what parts them.
    columns: Option<&'static str>,
}

/// What parts the columns of a table, and its name.
const PARTED_BY: [(char, &str); 3] = [('\t', "tabs"), (';', "semicolons"), (',', "commas")];

/// What parts a line into so many columns: a tab between two texts, or, in a file by the name of a table, what else does.
fn columns_of(line: &str, is_table: bool) -> Option<&'static str> {
    let parts = |c: char| line.trim().split_once(c).is_some_and(|(left, right)| !left.is_empty() && !right.is_empty());
    let (tab, others) = (PARTED_BY[0], &PARTED_BY[1..]);
    if parts(tab.0) {
        return Some(tab.1);
    }
    others.iter().find(|(c, _)| is_table && parts(*c)).map(|(_, name)| *name)
}

impl PlainTextLayout {
    /// # Errors
    /// Where the text cannot be read.
    pub(crate) fn at(path: &Path) -> Result<Self, Error> {
        // A pipe that is looked at has nothing left to learn from.
        if path.metadata().is_ok_and(|there| !there.is_file() && !there.is_dir()) {
            return Err(TextError::ReadOnce { path: path.to_owned() }.into());
        }
        let (mut lines, mut blank, mut run, mut long) = (0_usize, 0_usize, 0_usize, None);
        let name = path.to_string_lossy().to_lowercase();
        let is_table = [".csv", ".csv.gz", ".csv.zst"].iter().any(|ending| name.ends_with(ending));
        let (mut in_columns, mut columns) = (0, None);
        for line in Lines::open(path)?.take(LINES) {
            let line = match line {
                Ok(line) => line,
                // As only a continuous text may have.
                Err(TextError::LongLine { line, longest, .. }) => {
                    long = Some(format!("line {line} has more than {longest} bytes"));
                    break;
                }
                Err(error) => return Err(error.into()),
            };
            if let Some(parted_by) = columns_of(&line, is_table) {
                (in_columns, columns) = (in_columns + 1, columns.or(Some(parted_by)));
            }
            // Blank lines count once a line follows.
            match line.trim().is_empty() {
                true => run += 1,
                false => (lines, blank, run) = (lines + 1, blank + if lines > 0 { run } else { 0 }, 0),
            }
        }
        let parted = long.is_some() || blank as f64 >= BLANK * (lines + blank) as f64 && blank > 0;
        let columns = columns.filter(|_| 2 * in_columns > lines);
        Ok(Self { lines, long, parted, columns })
    }
}

impl Files {
    /// Their paths.
    pub fn paths(&self) -> &[PathBuf] {
        match self {
            Self::One(path) => std::slice::from_ref(path),
            Self::Two(paths) => paths,
        }
    }
}

impl Recipe {
    /// That the texts it names are there.
    ///
    /// # Errors
    /// Where one is looked for, and where to get it.
    fn find_texts(&self) -> Result<(), Error> {
        let Some(data) = &self.data else { return Ok(()) };
        let named = [("train", Some(&data.train)), ("validation", data.validation.as_ref())];
        for (key, files) in named.into_iter().filter_map(|(key, files)| files.map(|files| (key, files))) {
            let Some(path) = files.paths().iter().find(|path| !path.exists()) else { continue };
            let here =
                std::env::current_dir().map_or(String::new(), |folder| format!(" (looked in {}", folder.display()));
            let folder = self.source.path.as_ref().and_then(|file| file.parent()).filter(|folder| folder.is_dir());
            let there =
                folder.map_or(String::new(), |folder| format!(" and in the recipe's folder {}", folder.display()));
            let looked = if path.is_absolute() || here.is_empty() { String::new() } else { format!("{here}{there})") };
            let get = self.source.url.as_ref().map_or(String::new(), |address| format!(" The text is from {address}."));
            return Err(self.wrong(format!(
                "data.{key}: could not read {}: No such file{looked}. Check the path, or name another with --set \
                 data.{key}=FILE.{get}",
                path.display()
            )));
        }
        Ok(())
    }

    /// Decides whether a plain text is one continuous text, where the recipe does not say so: what was decided, in words.
    ///
    /// A text is continuous where blank lines part its paragraphs, verses or scenes, or where it is a single line; else
    /// each line is a text of its own.
    ///
    /// # Errors
    /// Where the text cannot be read.
    pub fn decide(&mut self) -> Result<Vec<String>, Error> {
        self.find_texts()?;
        if !self.reads_plain_text() {
            return Ok(Vec::new());
        }
        let is_open = self.leaves_stream_open();
        // Like the text that a run began with.
        let init = self.init.as_ref().and_then(|init| Self::of_run(&locate(init).ok()?.0).ok()?.data);
        let Some(data) = &mut self.data else { return Ok(Vec::new()) };
        let Files::One(path) = &data.train else { return Ok(Vec::new()) };
        let PlainTextLayout { lines, long, parted, columns } = PlainTextLayout::at(path)?;
        let name = path.display().to_string();
        let mut notes = Vec::new();
        notes.extend(columns.map(|parted_by| {
            let remedy = match parted_by {
                "tabs" => "for pairs of a prompt and its answer, data.columns = [0, 1] names the two columns",
                _ => "columns are read where tabs part them, with data.columns = [0, 1]",
            };
            format!("the lines of {name} are columns between {parted_by}, and are read as they stand: {remedy}")
        }));
        if let (true, Some(theirs)) = (is_open, &init) {
            data.stream = theirs.stream;
        }
        if !is_open || init.is_some() {
            return Ok(notes);
        }
        data.stream = parted || lines == 1;
        let stream = data.stream;
        self.validate().map_err(|reason| self.wrong(reason))?;
        notes.push(match (long, stream) {
            (Some(long), _) => format!(
                "{name} is read as one continuous text, as {long}; stream = false in [data] reads each line as a text of its \
                 own, and leaves such lines out"
            ),
            (None, true) if lines == 1 => format!("{name} is a single line, and read as one continuous text"),
            (None, true) => format!(
                "{name} has blank lines, and is read as one continuous text; stream = false in [data] reads each line as a \
                 text of its own"
            ),
            (None, false) => format!(
                "{name} has no blank lines, and each line is read as a text of its own; stream = true in [data] reads it as \
                 one continuous text"
            ),
        });
        Ok(notes)
    }

    /// Whether a language model learns from a text that has neither columns nor objects.
    fn reads_plain_text(&self) -> bool {
        let plain = |data: &crate::DataConfig| {
            matches!(&data.train, Files::One(path) if !is_json(path)) && data.columns.is_none()
        };
        self.model.kind == ModelKind::LanguageModel && self.data.as_ref().is_some_and(plain)
    }

    /// Whether it is for the text to tell that it is continuous.
    pub(crate) fn leaves_stream_open(&self) -> bool {
        let said = self.is_explicit("data.stream") || !self.is_explicit("data.train");
        let chat = self.data.as_ref().is_some_and(|data| data.chat_template.is_some());
        !said && !chat && self.reads_plain_text()
    }

    /// Takes over what a run decided when it was started, where this recipe says nothing of it.
    pub(crate) fn adopt_decisions(&mut self, run: &Self) {
        if self.train.shares == 0 {
            self.train.shares = run.train.shares;
        }
        if let (Some(own), Some(theirs)) = (&mut self.data, &run.data)
            && !self.source.explicit.contains("data.stream")
        {
            own.stream = theirs.stream;
        }
    }

    /// Tokens of both sides that a batch has, about.
    pub(crate) fn tokens_at_once(&self) -> f64 {
        let train = &self.train;
        let sides = if self.model.kind == ModelKind::EncoderDecoder { 2.0 } else { 1.0 };
        let stream = self.data.as_ref().is_some_and(|data| data.stream);
        sides
            * match train.batch_sentences {
                0 => train.batch_tokens as f64,
                // Lines are of some thirty tokens, chunks of as many as they are asked to have.
                sentences => sentences as f64 * if stream { train.length as f64 } else { 32.0 },
            }
    }
}
