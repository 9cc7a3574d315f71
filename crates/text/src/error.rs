use crate::file::NotUtf8;
use crate::file_form::unit;
use std::path::{Path, PathBuf};

/// What is wrong with a text or a tokenizer.
#[derive(Debug, thiserror::Error)]
pub enum TextError {
    /// The system refused to read or write.
    #[error("could not {what} {}: {error}{}", path.display(), remedy(error))]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        error: std::io::Error,
    },
    /// A folder where a file was expected.
    #[error("{} is a folder. Name the text file itself", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
    },
    /// A pipe or a device where a file was expected.
    #[error("{} is no file but a pipe or a device, and a text is read more than once. Write it to a file first", path.display())]
    ReadOnce {
        /// What it was to be read from.
        path: PathBuf,
    },
    /// A file without any text.
    #[error("{} has no text. Check that it is the right file", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Bytes that are not UTF-8.
    #[error("{}, {}", path.display(), NotUtf8 { line: *line, byte: *byte })]
    Utf8 {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The byte within the line, from 1.
        byte: usize,
    },
    /// A file in another encoding, or of no text.
    #[error("{} is no text in UTF-8: {reason}", path.display())]
    Encoding {
        /// The file.
        path: PathBuf,
        /// What it seems to be, and what to do.
        reason: &'static str,
    },
    /// A carriage return that is no part of a line end.
    #[error(
        "{}, line {line} has a carriage return (CR) without a line feed (LF) after it. If the lines end so, as those of old \
         Macintoshes do, convert them, such as with tr '\\r' '\\n'; or take such characters out, with tr -d '\\r'",
        path.display()
    )]
    CarriageReturn {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
    },
    /// A line that is too long to be one sequence.
    #[error(
        "{}, line {line} is longer than {longest} bytes. Cut it into several lines; or, if the file is one continuous text \
         for a language model, set data.stream = true",
        path.display()
    )]
    LongLine {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The most bytes that it may have.
        longest: usize,
    },
    /// A file of Parquet that cannot be read as a whole, or has not the columns.
    #[error("{}: {reason}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// A file of word vectors that has none of those that are wanted.
    #[error("{}: {reason}", path.display())]
    Vectors {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// Two parallel files of unequal length.
    #[error(
        "{} has {source_lines} lines and {} has {target_lines}: in parallel files, line by line belongs together. Find \
         where they part, or use one file of tab-separated pairs",
        source_path.display(),
        target_path.display()
    )]
    UnequalLines {
        /// The file of the source side.
        source_path: PathBuf,
        /// The file of the target side.
        target_path: PathBuf,
        /// How many lines the one has.
        source_lines: u64,
        /// How many lines the other has.
        target_lines: u64,
    },
    /// A line with too few columns.
    #[error(
        "{}, line {line} has {found} of the {expected} columns of a pair: a source and its target stand on one line with a tab \
         between them, or as CSV, in the columns that data.columns names",
        path.display()
    )]
    Columns {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// How many columns were expected.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// A line of one column, with what parts the columns of other tables.
    #[error(
        "{}, line {line} {}",
        path.display(),
        if *is_csv {
            "has no comma: in a .csv, columns are parted by commas, not by semicolons or tabs. Save the table with commas; one with tabs \
             may also be named .tsv"
        } else {
            "has no tab: in a file of this name, columns are parted by tabs, not by commas or semicolons. If it is CSV with commas, name \
             it .csv; or save the table with tabs (most programs call it TSV or tab-delimited text)"
        }
    )]
    Separator {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// Whether it is CSV, rather than columns between tabs.
        is_csv: bool,
    },
    /// A line with more columns than are asked for.
    #[error(
        "{}, line {line} has {found} tab-separated columns, and a pair has two. If a text holds tabs, take them out; if only \
         two of the columns are wanted, name them, such as data.columns = [0, 1]",
        path.display()
    )]
    FurtherColumns {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// How many columns there are.
        found: usize,
    },
    /// A row with more or fewer columns than the first one.
    #[error(
        "{}, line {line} has {found} columns, and the first row {expected}. {}",
        path.display(),
        if *is_csv {
            "Put a text that has a comma or a line end in quotes, and write a quote within it twice"
        } else {
            "If a text holds tabs, take them out"
        }
    )]
    Fields {
        /// The file.
        path: PathBuf,
        /// The line in which it begins, from 1.
        line: u64,
        /// How many columns the first row has.
        expected: usize,
        /// How many this one has.
        found: usize,
        /// Whether it is CSV, rather than columns between tabs.
        is_csv: bool,
    },
    /// A line that is no pair and no conversation.
    #[error("{}, {} {line}: {reason}", path.display(), unit(path))]
    Example {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// Several lines of a file that are wrong in one way.
    #[error("{first}. There are {count} such {}s: {}{}", first.place().map_or("line", |(path, _)| unit(path)), shown(lines), if *count > lines.len() as u64 { ", …" } else { "" })]
    Lines {
        /// What is wrong with the first one.
        first: Box<Self>,
        /// How many there are.
        count: u64,
        /// The first few.
        lines: Vec<u64>,
    },
    /// Every line was left out.
    #[error(
        "{name}: nothing is left to learn from: {reasons}. Check that it is the right file; if texts are long, cut them, or \
         raise data.max_length or the model's positions (model.transformer.max_length); if it is one continuous text for a language model, set data.stream = true"
    )]
    NothingLeft {
        /// The files.
        name: String,
        /// How many lines or pairs were left out, and why.
        reasons: String,
    },
    /// The same of a text that is to be measured.
    #[error(
        "{name}: nothing is left to measure: {reasons}. Check that it is the right file; texts that are longer than what the model reads have \
         to be cut"
    )]
    NothingToMeasure {
        /// The files.
        name: String,
        /// How many lines or pairs were left out, and why.
        reasons: String,
    },
    /// Every example was taken out by a filter.
    #[error("{name}: the filters of [data.filter] leave nothing: {reasons}. Set them to take out less")]
    AllFiltered {
        /// The files.
        name: String,
        /// Which filter took how many.
        reasons: String,
    },
    /// Half of the tokens are not in the vocabulary.
    #[error(
        "{name}: {percent} % of the {side} tokens are unknown to the tokenizer, first in {first}: {parts}. Check that it is \
         the right text for it; a new tokenizer knows more with a larger tokenizer.vocabulary, a lower \
         tokenizer.minimum_count, or kind = \"byte-bpe\", to which nothing is unknown"
    )]
    Unknown {
        /// The file of that side, or all files of several.
        name: String,
        /// Which side.
        side: &'static str,
        /// How many of a hundred tokens.
        percent: u8,
        /// The first line that has one, and its file where there are several.
        first: String,
        /// What some of them are.
        parts: String,
    },
    /// A text that is no longer what it was.
    #[error(
        "{} has changed since it was encoded. Put back the text as it was, or train another run on the new one",
        path.display()
    )]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// A text of more or fewer files than it had.
    #[error(
        "{name} is {are} now, and {were} were encoded. Put back the files as they were, or train another run on these"
    )]
    OtherFiles {
        /// The files.
        name: String,
        /// How many there are.
        are: String,
        /// How many there were.
        were: usize,
    },
    /// Too little text.
    #[error("{} has too little text: {reason}", path.display())]
    TooLittle {
        /// The file.
        path: PathBuf,
        /// What it is too little for.
        reason: String,
    },
    /// A tokenizer that cannot be trained, read or used.
    #[error("tokenizer: {0}")]
    Tokenizer(String),
    /// An encoded text that is not the one that a training began with.
    #[error(
        "the encoded text in {} is not the one that training began with. If it was encoded anew, the text has changed \
         meanwhile: put it back as it was and delete that folder, or start another run",
        path.display()
    )]
    OtherText {
        /// Its folder.
        path: PathBuf,
    },
    /// An encoded corpus that cannot be read again.
    #[error("the encoded text in {} is damaged ({reason}). Delete that folder: it is written anew from \
         the text, which must not have changed since", path.display())]
    Damaged {
        /// Its folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl TextError {
    /// The file and the line that is wrong, where it is one line: those after it may be read.
    pub fn place(&self) -> Option<(&Path, u64)> {
        match self {
            Self::Utf8 { path, line, .. }
            | Self::CarriageReturn { path, line }
            | Self::LongLine { path, line, .. }
            | Self::Columns { path, line, .. }
            | Self::Separator { path, line, .. }
            | Self::FurtherColumns { path, line, .. }
            | Self::Fields { path, line, .. }
            | Self::Example { path, line, .. } => Some((path, *line)),
            Self::Lines { first, .. } => first.place(),
            _ => None,
        }
    }

    pub(crate) fn io(what: &'static str, path: &Path, error: std::io::Error) -> Self {
        Self::Io { what, path: path.to_owned(), error }
    }
}

/// Numbers of lines in a message.
fn shown(lines: &[u64]) -> String {
    lines.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}

/// What to do about an error of the system, as the end of a message.
pub fn remedy(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind as Kind;
    match error.kind() {
        // It says so itself.
        _ if error.get_ref().is_some_and(|inner| inner.is::<NotUtf8>()) => "",
        Kind::NotFound => ". Check the path",
        Kind::PermissionDenied | Kind::ReadOnlyFilesystem => ". Change its permissions, or choose another place",
        Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge => {
            ". Free some space and try again; a training goes on with --resume: whatever was complete still is"
        }
        Kind::UnexpectedEof | Kind::InvalidInput | Kind::InvalidData => {
            ". The file is cut off or damaged, or not compressed as its name says: get it again"
        }
        _ => "",
    }
}
