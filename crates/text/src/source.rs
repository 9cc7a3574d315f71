use crate::chat::ASSISTANT;
use crate::columns::split;
use crate::json::{JsonForm, Objects, Record};
use crate::lines::{Line, Lines};
use crate::{ChatTemplate, ControlConfig, Found, Message, Text, TextError, Tokenizer};
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
        /// The columns that are read and written, from 0, of perhaps more; or none, if there are these two alone.
        columns: Option<[usize; 2]>,
    },
    /// A file of JSON objects, one a line or in one list; see [`Source::json`].
    Json {
        /// The file.
        path: PathBuf,
        /// What all of its objects are.
        form: JsonForm,
    },
    /// Texts with control attributes.
    Control {
        /// The texts: JSON objects or tab-separated columns.
        source: Box<Self>,
        /// The attributes.
        control: ControlConfig,
    },
    /// Conversations: pairs of what a user says and what is answered, or messages.
    Chat {
        /// The pairs, or the messages.
        source: Box<Self>,
        /// How they become texts.
        template: ChatTemplate,
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
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Texts => "texts without sources, one a line",
            Self::Continuous => "one continuous text",
            Self::Pairs => "pairs of source and target",
            Self::Conversations => "conversations",
        })
    }
}

/// Whether a file's name ends as those of JSON do, compressed or not.
#[must_use]
pub fn is_json(path: &Path) -> bool {
    let name = path.to_string_lossy().to_lowercase();
    let name = name.strip_suffix(".gz").or(name.strip_suffix(".zst")).unwrap_or(&name);
    [".json", ".jsonl", ".ndjson"].iter().any(|ending| name.ends_with(ending))
}

impl Source {
    /// A file of JSON objects, with or without attributes: its first one says what all of them are. A file that is not there is one of pairs.
    ///
    /// # Errors
    /// Where it cannot be read, or does not begin with an object.
    pub fn json(path: &Path, control: Option<&ControlConfig>) -> Result<Self, TextError> {
        let path = path.to_owned();
        if !path.exists() {
            return Ok(Self::Json { path, form: JsonForm::Pairs });
        }
        let text = Self::Json { path: path.clone(), form: JsonForm::Pairs };
        text.check_files()?;
        let mut objects = Objects::open(&path)?;
        let wrong = |line, reason| TextError::Example { path: path.clone(), line, reason };
        let form = loop {
            match objects.next(wrong)? {
                Some(Line::Text(json)) => {
                    let record = Record::parse(&json, control).map_err(|reason| wrong(objects.number(), reason))?;
                    break record.0.form();
                }
                Some(Line::Large) => {}
                None => return Err(TextError::Empty { path }),
            }
        };
        Ok(Self::Json { path, form })
    }

    /// What its examples are.
    pub fn form(&self) -> Form {
        match self {
            Self::Lines { .. } | Self::Json { form: JsonForm::Texts, .. } => Form::Texts,
            Self::Stream { .. } => Form::Continuous,
            Self::Parallel { .. } | Self::Tsv { .. } | Self::Json { form: JsonForm::Pairs, .. } => Form::Pairs,
            Self::Chat { .. } | Self::Json { form: JsonForm::Messages, .. } => Form::Conversations,
            Self::Control { source, .. } => source.form(),
        }
    }

    /// Whether it has a source side.
    pub fn has_pairs(&self) -> bool {
        matches!(self.form(), Form::Pairs | Form::Conversations)
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

    /// The file of the target side.
    pub fn path(&self) -> &Path {
        match self {
            Self::Lines { path } | Self::Stream { path } | Self::Tsv { path, .. } | Self::Json { path, .. } => path,
            Self::Parallel { target, .. } => target,
            Self::Control { source, .. } | Self::Chat { source, .. } => source.path(),
        }
    }

    /// Its files.
    pub fn files(&self) -> Vec<&Path> {
        match self {
            Self::Parallel { source, target } => vec![source, target],
            Self::Control { source, .. } | Self::Chat { source, .. } => source.files(),
            _ => vec![self.path()],
        }
    }

    /// Its control attributes.
    pub fn control(&self) -> Option<&ControlConfig> {
        match self {
            Self::Control { control, .. } => Some(control),
            Self::Chat { source, .. } => source.control(),
            _ => None,
        }
    }

    /// The names of its files, as a message says them.
    pub fn name(&self) -> String {
        self.files().iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" and ")
    }

    /// All texts, each with its source where it has one.
    ///
    /// # Errors
    /// Where a file cannot be opened.
    pub fn examples(&self) -> Result<Examples, TextError> {
        self.check_files()?;
        let (source, template) = match self {
            Self::Chat { source, template } => (&**source, Some(template.clone())),
            source => (source, None),
        };
        let control = source.control().cloned();
        let source = if let Self::Control { source, .. } = source { &**source } else { source };
        let reader = match source {
            Self::Lines { path } => Reader::Texts(Lines::open(path)?),
            Self::Stream { path } => Reader::Texts(Lines::continuous(path)?),
            Self::Tsv { path, columns } => Reader::Columns(Lines::open(path)?, *columns),
            Self::Json { path, form } => Reader::Objects(Objects::open(path)?, *form),
            Self::Parallel { source, target } => {
                Reader::Parallel { source: Lines::open(source)?, target: Lines::open(target)?, path: source.clone() }
            }
            Self::Control { source, .. } | Self::Chat { source, .. } => return source.examples(),
        };
        let passed_over = PassedOver::default();
        Ok(Examples { path: source.path().to_owned(), reader, template, control, conversation: None, passed_over })
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
            other => other.clone(),
        }
    }

    /// The texts of one side, to train a tokenizer on; of a text without sides, of the target. Of conversations these are
    /// the pieces between the marks of the template.
    ///
    /// # Errors
    /// Where a file cannot be opened.
    pub fn lines(&self, side: Side) -> Result<impl Iterator<Item = Result<String, TextError>> + Send, TextError> {
        let pick = move |example: Example| match side {
            Side::Source => example.source.map_or_else(Vec::new, |source| source.pieces()),
            Side::Target => example.target.pieces(),
        };
        let pieces = move |example: Result<Example, TextError>| match example {
            Ok(example) => pick(example).into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        };
        Ok(self.examples()?.flat_map(pieces))
    }
}

/// A line of a text, or a pair, or an answer of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// What is read; of an answer, all that was said before it.
    pub source: Option<Text>,
    /// What is written.
    pub target: Text,
    /// Its line in the file, from 1.
    pub line: u64,
}

/// The texts of a [`Source`], in its order. Lines that are too long are passed over, and counted. After an error of one line
/// ([`TextError::place`]) those after it can be read.
pub struct Examples {
    path: PathBuf,
    reader: Reader,
    template: Option<ChatTemplate>,
    control: Option<ControlConfig>,
    conversation: Option<Conversation>,
    passed_over: PassedOver,
}

enum Reader {
    Texts(Lines),
    Columns(Lines, Option<[usize; 2]>),
    Objects(Objects, JsonForm),
    Parallel {
        source: Lines,
        target: Lines,
        /// The file of the source.
        path: PathBuf,
    },
}

/// What of a text is in no example.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PassedOver {
    /// Lines of too many bytes, on the side of the source and of the target.
    pub(crate) large: [Found; 2],
    /// Lines or pairs for which there was one.
    pub(crate) examples: u64,
    /// Lines with columns that no side is read from.
    pub(crate) columns: Found,
    /// Blank lines between those of columns.
    pub(crate) blank: Found,
}

/// A conversation whose answers come one by one: each prompt is as long as all that was said before it.
struct Conversation {
    messages: Vec<Message>,
    learned: Vec<bool>,
    next: usize,
    line: u64,
    /// The control tokens before each prompt.
    attributes: Vec<String>,
}

impl Examples {
    /// What was passed over so far.
    pub(crate) fn passed_over(&self) -> PassedOver {
        self.passed_over
    }

    fn read(&mut self) -> Result<Option<Example>, TextError> {
        loop {
            if let Some(answer) = self.answer()? {
                return Ok(Some(answer));
            }
            let Some((record, line, attributes)) = self.record()? else { return Ok(None) };
            let messages = match (record, &self.template) {
                (Record::Text(target), _) => {
                    let target = Text::from(target).with_attributes(attributes);
                    return Ok(Some(Example { source: None, target, line }));
                }
                (Record::Pair { system: None, prompt, completion }, None) => {
                    let source = Some(Text::from(prompt).with_attributes(attributes));
                    return Ok(Some(Example { source, target: completion.into(), line }));
                }
                (Record::Pair { system: Some(_), .. }, None) => {
                    return Err(self.wrong(line, "\"system\" needs data.chat_template, as messages do".to_owned()));
                }
                (Record::Messages(_), None) => {
                    let reason = "messages need data.chat_template, such as \"chatml\", or a Jinja file that makes texts of them";
                    return Err(self.wrong(line, reason.to_owned()));
                }
                (Record::Pair { system, prompt, completion }, Some(_)) => {
                    let pair = [Message::new("user", &prompt), Message::new(ASSISTANT, &completion)];
                    let system = system.map(|system| Message::new("system", &system));
                    system.into_iter().chain(pair).map(|message| (message, true)).collect()
                }
                (Record::Messages(messages), Some(_)) => messages,
            };
            let (messages, learned): (Vec<Message>, Vec<bool>) = messages.into_iter().unzip();
            if !messages.iter().zip(&learned).any(|(message, &learned)| learned && message.role == ASSISTANT) {
                let mut roles: Vec<String> = messages.iter().map(|message| format!("{:?}", message.role)).collect();
                roles.dedup();
                roles.truncate(ROLES);
                let reason = match messages.iter().any(|message| message.role == ASSISTANT) {
                    _ if messages.is_empty() => "its \"messages\" are none. Take the line out".to_owned(),
                    true => {
                        format!("all that the role {ASSISTANT:?} says has the weight 0, so nothing of it is learned")
                    }
                    false => format!(
                        "its messages are by the roles {}, and what is learned is said by the role {ASSISTANT:?}, to \
                         \"user\", perhaps after \"system\". Name them so",
                        roles.join(", ")
                    ),
                };
                return Err(self.wrong(line, reason));
            }
            self.conversation = Some(Conversation { messages, learned, next: 0, line, attributes });
        }
    }

    /// The next answer of the conversation, where there is one.
    fn answer(&mut self) -> Result<Option<Example>, TextError> {
        let (Some(Conversation { messages, learned, next, line, attributes }), Some(template)) =
            (&mut self.conversation, &self.template)
        else {
            return Ok(None);
        };
        let line = *line;
        while *next < messages.len() {
            let at = *next;
            *next += 1;
            if learned[at] && messages[at].role == ASSISTANT {
                let (answer, attributes) = (template.answer(messages, at), attributes.clone());
                let (prompt, target) = answer.map_err(|reason| self.wrong(line, reason))?;
                let source = Some(prompt.with_attributes(attributes));
                return Ok(Some(Example { source, target, line }));
            }
        }
        self.conversation = None;
        Ok(None)
    }

    fn wrong(&self, line: u64, reason: String) -> TextError {
        TextError::Example { path: self.path.clone(), line, reason }
    }

    /// What the next line says, its number, and the control tokens of its attributes.
    fn record(&mut self) -> Result<Option<(Record, u64, Vec<String>)>, TextError> {
        let path = &self.path;
        let of_all = |line: u64| {
            let attributes = self.control.as_ref().map(ControlConfig::of_all).transpose();
            attributes.map(Option::unwrap_or_default).map_err(|reason| TextError::Example {
                path: path.clone(),
                line,
                reason,
            })
        };
        let PassedOver { large, examples, columns: further, blank } = &mut self.passed_over;
        let mut pass_over = |found: [bool; 2], line: u64| {
            large.iter_mut().zip(found).for_each(|(large, found)| large.add(u64::from(found), line));
            *examples += 1;
        };
        loop {
            let (pair, line, attributes) = match &mut self.reader {
                Reader::Texts(lines) => match lines.next_line()? {
                    None => return Ok(None),
                    Some(Line::Text(text)) => {
                        let line = lines.number();
                        return Ok(Some((Record::Text(text), line, of_all(line)?)));
                    }
                    Some(Line::Large) => {
                        pass_over([false, true], lines.number());
                        continue;
                    }
                },
                Reader::Objects(objects, form) => {
                    let wrong = |line, reason| TextError::Example { path: path.clone(), line, reason };
                    let next = objects.next(wrong)?;
                    let line = objects.number();
                    match next {
                        None => return Ok(None),
                        Some(Line::Large) => {
                            pass_over([false, true], line);
                            continue;
                        }
                        Some(Line::Text(json)) => {
                            let record = Record::parse(&json, self.control.as_ref());
                            let (record, attributes) = record.map_err(|reason| wrong(line, reason))?;
                            // A template makes conversations of pairs too.
                            let conversations = self.template.is_some() && record.form() != JsonForm::Texts;
                            if record.form() != *form && !conversations {
                                let reason = "its keys are of another kind than those of the first object: all have to be \
                                              prompts with completions, or messages, or texts";
                                return Err(wrong(line, reason.to_owned()));
                            }
                            return Ok(Some((record, line, attributes)));
                        }
                    }
                }
                Reader::Columns(lines, columns) => match lines.next_line()? {
                    None => return Ok(None),
                    Some(Line::Large) => {
                        pass_over([false, true], lines.number());
                        continue;
                    }
                    Some(Line::Text(text)) if text.trim_matches(' ').is_empty() => {
                        blank.add(1, lines.number());
                        continue;
                    }
                    Some(Line::Text(text)) => {
                        let line = lines.number();
                        let read = (*columns, self.control.as_ref());
                        let (pair, attributes) = split(&text, read, further, path, line)?;
                        (pair, line, attributes)
                    }
                },
                Reader::Parallel { source, target, path: source_path } => {
                    // Both are read before an error of either is returned: they stay in step.
                    let both = (source.next_line(), target.next_line());
                    let (from, to) = (both.0?, both.1?);
                    let line = target.number();
                    match (from, to) {
                        (Some(Line::Text(from)), Some(Line::Text(to))) => ((from, to), line, of_all(line)?),
                        (None, None) => return Ok(None),
                        (Some(from), Some(to)) => {
                            pass_over([from, to].map(|side| matches!(side, Line::Large)), line);
                            continue;
                        }
                        _ => {
                            while source.next_line()?.is_some() {}
                            while target.next_line()?.is_some() {}
                            return Err(TextError::UnequalLines {
                                source_path: source_path.clone(),
                                target_path: path.clone(),
                                source_lines: source.number(),
                                target_lines: target.number(),
                            });
                        }
                    }
                }
            };
            let (prompt, completion) = pair;
            return Ok(Some((Record::Pair { system: None, prompt, completion }, line, attributes)));
        }
    }
}

/// Roles that a message shows.
const ROLES: usize = 6;

impl Example {
    /// The control tokens of its attributes.
    pub(crate) fn attributes(&self) -> &[String] {
        self.source.as_ref().unwrap_or(&self.target).attributes()
    }
}

impl Iterator for Examples {
    type Item = Result<Example, TextError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}
