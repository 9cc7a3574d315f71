use crate::columns::Columns;
use crate::file_form::is_parquet;
use crate::filter::Filter;
use crate::json::{JsonForm, Objects, Record};
use crate::lines::Line;
use crate::parquet::ParquetRows;
use crate::table::Table;
use crate::{Annotations, ChatTemplate, ControlConfig, TextError, Tokenizer};
use std::fmt;
use std::path::{Path, PathBuf};

/// Where texts are.
#[derive(Clone, Debug, PartialEq)]
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
        /// The columns that are read and written, of perhaps more; or none, if there are these two alone.
        columns: Option<Columns>,
    },
    /// A file of CSV; see [`Source::csv`].
    Csv {
        /// The file.
        path: PathBuf,
        /// The columns that are read; or none, where its header has the names that objects have.
        columns: Option<Columns>,
        /// What all of its rows are.
        form: JsonForm,
    },
    /// A file of Parquet; see [`Source::parquet`].
    Parquet {
        /// The file.
        path: PathBuf,
        /// The columns that are read; or none, where they have the names that objects have.
        columns: Option<Columns>,
        /// What all of its rows are.
        form: JsonForm,
    },
    /// A file of JSON objects, one a line or in one list; see [`Source::json`].
    Json {
        /// The file.
        path: PathBuf,
        /// The keys that are read, where they are named.
        columns: Option<Columns>,
        /// What all of its objects are.
        form: JsonForm,
    },
    /// Several texts of one form, one after the other.
    Several {
        /// The texts, which may be several ones themselves.
        parts: Vec<Self>,
    },
    /// Texts that say something beside themselves.
    Annotated {
        /// The texts: JSON objects, or columns of a table.
        source: Box<Self>,
        /// Where they say it.
        annotations: Annotations,
    },
    /// Conversations: pairs of what a user says and what is answered, or messages.
    Chat {
        /// The pairs, or the messages.
        source: Box<Self>,
        /// How they become texts.
        template: ChatTemplate,
    },
    /// Texts of which some are left out.
    Filtered {
        /// The texts.
        source: Box<Self>,
        /// Which are left out.
        filter: Filter,
    },
}

/// Files that a message names.
const SHOWN: usize = 3;

/// A side of parallel text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What is read.
    Source,
    /// What is written.
    Target,
}

/// What the examples of a text are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Texts, each a sequence.
    Texts,
    /// One continuous text.
    Continuous,
    /// Pairs of source and target.
    Pairs,
    /// Conversations.
    Conversations,
    /// Preferences: a source with two targets, of which the first is better.
    Preferences,
}

impl From<JsonForm> for Form {
    fn from(form: JsonForm) -> Self {
        match form {
            JsonForm::Texts => Self::Texts,
            JsonForm::Pairs => Self::Pairs,
            JsonForm::Messages => Self::Conversations,
            JsonForm::Preferences => Self::Preferences,
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Texts => "texts without sources, one a line",
            Self::Continuous => "one continuous text",
            Self::Pairs => "pairs of source and target",
            Self::Conversations => "conversations",
            Self::Preferences => "preferences, of a chosen and a rejected answer to a prompt each",
        })
    }
}

impl Source {
    /// A file of JSON objects, with or without annotations: its first one says what all of them are, unless the keys of a text or of a pair
    /// are named. A file that is not there is one of pairs.
    ///
    /// # Errors
    /// Where it cannot be read, or does not begin with an object.
    pub fn json(path: &Path, columns: Option<&Columns>, beside: &Annotations) -> Result<Self, TextError> {
        // Numbers are of tables beside it.
        let columns = columns.filter(|columns| columns.names().is_some()).cloned();
        let text = |form| Self::Json { path: path.to_owned(), columns: columns.clone(), form };
        let names = columns.as_ref().and_then(Columns::names);
        if !path.exists() {
            return Ok(text(JsonForm::Pairs));
        }
        text(JsonForm::Pairs).check_files()?;
        let mut objects = Objects::open(path)?;
        let wrong = |line, reason| TextError::Example { path: path.to_owned(), line, reason };
        let form = loop {
            match objects.next(wrong)? {
                Some(Line::Text(json)) => {
                    let said = Record::parse(&json, names, beside).map_err(|reason| wrong(objects.number(), reason))?;
                    break said.record.form();
                }
                Some(Line::Large) => {}
                None => return Err(TextError::Empty { path: path.to_owned() }),
            }
        };
        Ok(text(form))
    }

    /// A file of CSV: its header, or the columns that are named, say what its rows are. A file that is not there is one of pairs.
    ///
    /// # Errors
    /// Where it cannot be read, or has no such columns.
    pub fn csv(path: &Path, columns: Option<&Columns>, beside: &Annotations) -> Result<Self, TextError> {
        let text = |form| Self::Csv { path: path.to_owned(), columns: columns.cloned(), form };
        if !path.exists() {
            return Ok(text(JsonForm::Pairs));
        }
        text(JsonForm::Pairs).check_files()?;
        Ok(text(Table::of_csv(path, columns, beside)?.form(beside)))
    }

    /// A file of Parquet: its columns, or those of them that are named, say what its rows are. A file that is not there is one of pairs.
    ///
    /// # Errors
    /// Where it cannot be read, or has no such columns.
    pub fn parquet(path: &Path, columns: Option<&Columns>, beside: &Annotations) -> Result<Self, TextError> {
        // Numbers are of tables beside it.
        let columns = columns.filter(|columns| columns.names().is_some()).cloned();
        let text = |form| Self::Parquet { path: path.to_owned(), columns: columns.clone(), form };
        if !path.exists() {
            return Ok(text(JsonForm::Pairs));
        }
        text(JsonForm::Pairs).check_files()?;
        Ok(text(ParquetRows::open(path, columns.as_ref(), beside)?.form()))
    }

    /// What its examples are.
    pub fn form(&self) -> Form {
        match self {
            Self::Stream { .. } => Form::Continuous,
            Self::Lines { .. } => Form::Texts,
            Self::Tsv { columns: Some(columns), .. } => columns.form().into(),
            Self::Parallel { .. } | Self::Tsv { .. } => Form::Pairs,
            Self::Json { form, .. } | Self::Csv { form, .. } | Self::Parquet { form, .. } => (*form).into(),
            Self::Chat { .. } => Form::Conversations,
            Self::Several { parts } => parts.first().map_or(Form::Texts, Self::form),
            Self::Annotated { source, .. } | Self::Filtered { source, .. } => source.form(),
        }
    }

    /// Whether it has a source side.
    pub fn has_pairs(&self) -> bool {
        matches!(self.form(), Form::Pairs | Form::Conversations | Form::Preferences)
    }

    /// Whether each of its targets has one that is rejected beside it, of conversations too.
    pub fn has_preferences(&self) -> bool {
        self.parts().into_iter().all(|part| part.form() == Form::Preferences)
    }

    /// That it is in files, which can be read more than once: for its tokenizer, and to be encoded.
    pub(crate) fn check_files(&self) -> Result<(), TextError> {
        for path in self.files() {
            let metadata = std::fs::metadata(path).map_err(|error| TextError::io("read", path, error))?;
            if !metadata.is_file() && !metadata.is_dir() {
                return Err(TextError::ReadOnce { path: path.to_owned() });
            }
        }
        Ok(())
    }

    /// The file of the target side; of several, the first.
    pub fn path(&self) -> &Path {
        match self {
            Self::Lines { path }
            | Self::Stream { path }
            | Self::Tsv { path, .. }
            | Self::Csv { path, .. }
            | Self::Parquet { path, .. }
            | Self::Json { path, .. } => path,
            Self::Parallel { target, .. } => target,
            Self::Several { parts } => parts.first().map_or(Path::new(""), Self::path),
            Self::Annotated { source, .. } | Self::Chat { source, .. } | Self::Filtered { source, .. } => source.path(),
        }
    }

    /// Its files.
    pub fn files(&self) -> Vec<&Path> {
        let mut files = Vec::new();
        for part in self.parts() {
            if let Self::Parallel { source, .. } = part {
                files.push(&**source);
            }
            files.push(part.path());
        }
        files
    }

    /// The texts that it has one after the other, each in a file, or in two parallel ones.
    pub fn parts(&self) -> Vec<&Self> {
        match self {
            Self::Several { parts } => parts.iter().flat_map(Self::parts).collect(),
            Self::Annotated { source, .. } | Self::Chat { source, .. } | Self::Filtered { source, .. } => {
                source.parts()
            }
            one => vec![one],
        }
    }

    /// How many of these each of the corpora has that may be mixed.
    pub fn corpora(&self) -> Vec<usize> {
        match self {
            Self::Several { parts } => parts.iter().map(|part| part.parts().len()).collect(),
            Self::Annotated { source, .. } | Self::Chat { source, .. } | Self::Filtered { source, .. } => {
                source.corpora()
            }
            _ => vec![1],
        }
    }

    /// Its control attributes.
    pub fn control(&self) -> Option<&ControlConfig> {
        self.annotations()?.control.as_ref()
    }

    /// Where they say something beside themselves.
    pub fn annotations(&self) -> Option<&Annotations> {
        match self {
            Self::Annotated { annotations, .. } => Some(annotations),
            Self::Chat { source, .. } | Self::Filtered { source, .. } => source.annotations(),
            _ => None,
        }
    }

    /// What makes texts of its conversations.
    pub fn template(&self) -> Option<&ChatTemplate> {
        match self {
            Self::Chat { template, .. } => Some(template),
            Self::Filtered { source, .. } => source.template(),
            _ => None,
        }
    }

    /// The names of its files, as a message says them.
    pub fn name(&self) -> String {
        let names = self.part_names();
        match &names[..] {
            [first, .., last] if names.len() > SHOWN => format!("{first} … {last} ({} files)", self.files().len()),
            _ => names.join(", "),
        }
    }

    /// The names of the texts that it has one after the other.
    pub fn part_names(&self) -> Vec<String> {
        let name = |part: &Self| match part {
            Self::Parallel { source, target } => format!("{} and {}", source.display(), target.display()),
            one => one.path().display().to_string(),
        };
        self.parts().into_iter().map(name).collect()
    }

    /// What its examples are counted in: lines, or rows where all of it is Parquet.
    #[must_use]
    pub fn unit(&self) -> &'static str {
        if self.parts().iter().all(|part| is_parquet(part.path())) { "row" } else { "line" }
    }

    /// The names of the files that a place is reported with: where it may be in several, or is a row of Parquet.
    pub(crate) fn place_names(&self) -> Vec<String> {
        match &self.parts()[..] {
            [one] if !is_parquet(one.path()) => Vec::new(),
            _ => self.part_names(),
        }
    }

    /// The same for these tokenizers: their control tokens are found in what a chat template writes, and nowhere else.
    #[must_use]
    pub fn for_tokenizers(&self, source_tokenizer: Option<&Tokenizer>, target: &Tokenizer) -> Self {
        match self {
            Self::Chat { source, template } => {
                let both = source_tokenizer.into_iter().chain([target]);
                let template = template.clone().with_controls(both.flat_map(Tokenizer::control_names));
                Self::Chat { source: source.clone(), template }
            }
            Self::Filtered { source, filter } => {
                let source = Box::new(source.for_tokenizers(source_tokenizer, target));
                Self::Filtered { source, filter: filter.clone() }
            }
            other => other.clone(),
        }
    }
}
