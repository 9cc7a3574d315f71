use crate::{Lines, TextError};
use std::path::{Path, PathBuf};

/// Where texts are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A text for a language model, each line a sequence.
    Lines {
        /// The file.
        path: PathBuf,
    },
    /// One continuous text for a language model.
    Stream {
        /// The file.
        path: PathBuf,
    },
    /// Two files that belong together line by line.
    Parallel {
        /// The file that is read.
        source: PathBuf,
        /// The file that is written.
        target: PathBuf,
    },
    /// One file of tab-separated pairs.
    Tsv {
        /// The file.
        path: PathBuf,
        /// The column that is read, from 0.
        source_column: usize,
        /// The column that is written.
        target_column: usize,
    },
}

/// A side of parallel text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What is read.
    Source,
    /// What is written.
    Target,
}

impl Source {
    /// Whether it has a source side.
    pub fn has_pairs(&self) -> bool {
        matches!(self, Self::Parallel { .. } | Self::Tsv { .. })
    }

    /// The file of the target side.
    pub fn path(&self) -> &Path {
        match self {
            Self::Lines { path } | Self::Stream { path } | Self::Tsv { path, .. } => path,
            Self::Parallel { target, .. } => target,
        }
    }

    /// All texts, each with its source where it has one.
    ///
    /// # Errors
    /// Where a file cannot be opened.
    pub fn pairs(&self) -> Result<Pairs, TextError> {
        let (lines, other) = match self {
            Self::Lines { path } | Self::Tsv { path, .. } => (Lines::open(path)?, None),
            Self::Stream { path } => (Lines::continuous(path)?, None),
            Self::Parallel { source, target } => (Lines::open(target)?, Some(Lines::open(source)?)),
        };
        Ok(Pairs { source: self.clone(), lines, other })
    }

    /// The lines of one side; of a text without sides, of the target.
    ///
    /// # Errors
    /// Where a file cannot be opened.
    pub fn lines(&self, side: Side) -> Result<impl Iterator<Item = Result<String, TextError>> + Send, TextError> {
        let pick = move |(source, target): (Option<String>, String)| match side {
            Side::Source => source.unwrap_or_default(),
            Side::Target => target,
        };
        Ok(self.pairs()?.map(move |pair| pair.map(pick)))
    }
}

/// The texts of a [`Source`], in its order.
pub struct Pairs {
    source: Source,
    lines: Lines,
    other: Option<Lines>,
}

impl Pairs {
    fn read(&mut self) -> Result<Option<(Option<String>, String)>, TextError> {
        match &self.source {
            Source::Lines { .. } | Source::Stream { .. } => Ok(self.lines.read()?.map(|line| (None, line))),
            Source::Tsv { path, source_column, target_column } => loop {
                let Some(line) = self.lines.read()? else { return Ok(None) };
                if line.trim().is_empty() {
                    continue;
                }
                let column = |i: usize| line.split('\t').nth(i).map(str::to_owned);
                let (Some(source), Some(target)) = (column(*source_column), column(*target_column)) else {
                    return Err(TextError::Columns {
                        path: path.clone(),
                        line: self.lines.number(),
                        expected: source_column.max(target_column) + 1,
                        found: line.split('\t').count(),
                    });
                };
                return Ok(Some((Some(source), target)));
            },
            Source::Parallel { source, target } => {
                let Some(other) = &mut self.other else { return Ok(None) };
                match (other.read()?, self.lines.read()?) {
                    (Some(source), Some(target)) => Ok(Some((Some(source), target))),
                    (None, None) => Ok(None),
                    _ => {
                        while other.read()?.is_some() {}
                        while self.lines.read()?.is_some() {}
                        Err(TextError::UnequalLines {
                            source_path: source.clone(),
                            target_path: target.clone(),
                            source_lines: other.number(),
                            target_lines: self.lines.number(),
                        })
                    }
                }
            }
        }
    }
}

impl Iterator for Pairs {
    type Item = Result<(Option<String>, String), TextError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}
