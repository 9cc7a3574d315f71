//! The examples of a text, as training reads them: in its order, and without what filters take out.

use crate::annotations::Annotated;
use crate::chat::ASSISTANT;
use crate::filter::{LengthRatio, Sieve};
use crate::json::Record;
use crate::records::{PassedOver, Read, Records};
use crate::{Annotations, ChatTemplate, Form, Message, Place, Side, Source, Text, TextError};

/// A line of a text, or a pair, or an answer of a conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// What is read; of an answer, all that was said before it.
    pub source: Option<Text>,
    /// What is written.
    pub target: Text,
    /// Of a preference, what is worse.
    pub rejected: Option<Text>,
    /// The weight of its loss, where it has one.
    pub weight: Option<f32>,
    /// Which words of the source and of the target belong together, by their numbers from 0, where it says so.
    pub alignment: Option<Vec<[u32; 2]>>,
    /// Its line in the file.
    pub place: Place,
}

impl Source {
    /// All texts, each with its source where it has one.
    ///
    /// # Errors
    /// Where a file cannot be opened.
    pub fn examples(&self) -> Result<Examples, TextError> {
        self.check_files()?;
        let sieve = match self {
            Self::Filtered { source, filter } => {
                if filter.needs_ratio() {
                    filter.ratio.get_or_init(|| LengthRatio::of(&source.sampled_lengths()));
                }
                Some(Sieve::new(filter.clone()))
            }
            _ => None,
        };
        let is_continuous = self.form() == Form::Continuous;
        let beside = self.annotations().cloned().unwrap_or_default();
        let parts: Vec<Self> = self.parts().into_iter().cloned().collect();
        let names = self.place_names();
        let mut rest = parts.into_iter();
        let first = rest.next().map(|part| Records::open(&part, 0, &beside)).transpose()?;
        let Some(records) = first else { return Err(TextError::Empty { path: self.path().to_owned() }) };
        Ok(Examples {
            records,
            file: 0,
            rest,
            name: self.name(),
            names,
            template: self.template().cloned(),
            beside,
            conversation: None,
            passed_over: PassedOver::default(),
            sieve,
            is_continuous,
            ends_in_line: true,
        })
    }

    /// The lengths of its pairs in characters; of many, of every second, every fourth, and so on. A line that cannot be read is an error when
    /// the text is read, and ends them here.
    fn sampled_lengths(&self) -> Vec<[usize; 2]> {
        let (mut lengths, mut every) = (Vec::new(), 1);
        let Ok(examples) = self.examples() else { return lengths };
        for (i, example) in examples.map_while(Result::ok).enumerate() {
            let Some(source) = example.source.filter(|_| i % every == 0) else { continue };
            lengths.push([source, example.target].map(|side| side.to_string().chars().count()));
            if lengths.len() > MOST_LENGTHS {
                every *= 2;
                let mut is_kept = [true, false].into_iter().cycle();
                lengths.retain(|_| is_kept.next() == Some(true));
            }
        }
        lengths
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

/// Pairs whose lengths the usual ratio is of.
const MOST_LENGTHS: usize = 400_000;

/// The texts of a [`Source`], in its order. Lines that are too long are passed over, and counted. After an error of one line
/// ([`TextError::place`]) those after it can be read.
pub struct Examples {
    records: Records,
    /// Which of several texts is being read, and those after it.
    file: u32,
    rest: std::vec::IntoIter<Source>,
    name: String,
    names: Vec<String>,
    template: Option<ChatTemplate>,
    beside: Annotations,
    conversation: Option<Conversation>,
    passed_over: PassedOver,
    sieve: Option<Sieve>,
    is_continuous: bool,
    /// Whether what of a continuous text was read last ends in a line end.
    ends_in_line: bool,
}

/// A conversation whose answers come one by one: each prompt is as long as all that was said before it.
struct Conversation {
    messages: Vec<Message>,
    learned: Vec<bool>,
    next: usize,
    place: Place,
    /// What it says beside: the control tokens before each prompt, and the weight of each answer.
    said: Annotated,
    /// Of a preference, what is worse than its one answer.
    rejected: Option<String>,
}

impl Examples {
    /// What was passed over so far.
    pub(crate) fn passed_over(&self) -> PassedOver {
        let filtered = self.sieve.as_ref().map_or_else(Vec::new, |sieve| sieve.taken().to_vec());
        PassedOver { filtered, ..self.passed_over.clone() }
    }

    /// The next example that no filter takes out.
    fn read(&mut self) -> Result<Option<Example>, TextError> {
        loop {
            let Some(example) = self.read_any()? else {
                let check = |sieve: &Sieve| sieve.check(self.name.clone(), &self.names);
                return self.sieve.as_ref().map_or(Ok(()), check).map(|()| None);
            };
            let Some(sieve) = &mut self.sieve else { return Ok(Some(example)) };
            if !sieve.takes(example.source.as_ref(), &example.target, example.place) {
                return Ok(Some(example));
            }
        }
    }

    /// The next record; of several texts, also of the next one.
    fn record(&mut self) -> Result<Option<Read>, TextError> {
        loop {
            let has_template = self.template.is_some();
            if let Some(read) = self.records.next(&self.beside, has_template, &mut self.passed_over)? {
                if let (true, (Record::Text(text), ..)) = (self.is_continuous, &read) {
                    self.ends_in_line = text.ends_with('\n');
                }
                return Ok(Some(read));
            }
            let Some(part) = self.rest.next() else { return Ok(None) };
            // Also where it cannot be opened, and those after it can.
            self.file += 1;
            let place = Place { line: 1, file: self.file };
            self.records = Records::open(&part, place.file, &self.beside)?;
            // The last line of a file and the first one of the next are two.
            if !std::mem::replace(&mut self.ends_in_line, true) {
                return Ok(Some((Record::Text("\n".to_owned()), place, Annotated::default())));
            }
        }
    }

    fn read_any(&mut self) -> Result<Option<Example>, TextError> {
        loop {
            if let Some(answer) = self.answer()? {
                return Ok(Some(answer));
            }
            let Some((record, place, said)) = self.record()? else { return Ok(None) };
            let mut worse = None;
            let messages = match (record, &self.template) {
                (Record::Text(target), _) => {
                    let target = Text::from(target).with_attributes(said.attributes);
                    return Ok(Some(Example {
                        source: None,
                        target,
                        rejected: None,
                        weight: said.weight,
                        alignment: None,
                        place,
                    }));
                }
                (Record::Pair { system: None, prompt, completion, rejected }, None) => {
                    let Annotated { attributes, weight, alignment } = said;
                    let source = Some(Text::from(prompt).with_attributes(attributes));
                    let rejected = rejected.map(Text::from);
                    return Ok(Some(Example { source, target: completion.into(), rejected, weight, alignment, place }));
                }
                (Record::Pair { system: Some(_), .. }, None) => {
                    return Err(self
                        .records
                        .wrong(place.line, "\"system\" needs data.chat_template, as messages do".to_owned()));
                }
                (Record::Messages(_), None) => {
                    let reason = "messages need data.chat_template, such as \"chatml\", or a Jinja file that makes texts of them";
                    return Err(self.records.wrong(place.line, reason.to_owned()));
                }
                (Record::Pair { system, prompt, completion, rejected }, Some(_)) => {
                    worse = rejected;
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
                return Err(self.records.wrong(place.line, reason));
            }
            self.conversation = Some(Conversation { messages, learned, next: 0, place, said, rejected: worse });
        }
    }

    /// The next answer of the conversation, where there is one.
    fn answer(&mut self) -> Result<Option<Example>, TextError> {
        let (Some(Conversation { messages, learned, next, place, said, rejected }), Some(template)) =
            (&mut self.conversation, &self.template)
        else {
            return Ok(None);
        };
        let place = *place;
        while *next < messages.len() {
            let at = *next;
            *next += 1;
            if learned[at] && messages[at].role == ASSISTANT {
                let (answer, Annotated { attributes, weight, .. }) = (template.answer(messages, at), said.clone());
                let (prompt, target) = answer.map_err(|reason| self.records.wrong(place.line, reason))?;
                let source = Some(prompt.with_attributes(attributes));
                let worse = rejected.take().map(|rejected| {
                    messages[at] = Message::new(ASSISTANT, &rejected);
                    template.answer(messages, at).map(|(_, answer)| answer)
                });
                let rejected = worse.transpose().map_err(|reason| self.records.wrong(place.line, reason))?;
                return Ok(Some(Example { source, target, rejected, weight, alignment: None, place }));
            }
        }
        self.conversation = None;
        Ok(None)
    }
}

/// Roles that a message shows.
const ROLES: usize = 6;

impl Example {
    /// The control tokens of its attributes.
    pub fn attributes(&self) -> &[String] {
        self.source.as_ref().unwrap_or(&self.target).attributes()
    }
}

impl Iterator for Examples {
    type Item = Result<Example, TextError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}
