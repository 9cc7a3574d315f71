//! JSON objects, one a line: what is asked of `generate`, and what it answers.

use super::answer::{Answer, Prompt};
use super::explanations::Told;
use super::output_file::{Written, going_on};
use super::writer::Writer;
use crate::lines::{count, is_json_lines, is_of_line};
use crate::report::progress;
use descant_inference::Generated;
use descant_text::{Lines, Message, TextError};
use serde::Serialize;
use serde_json::{Map, Value};
use std::path::Path;

/// The fields that hold what is asked.
const TEXTS: [&str; 3] = ["text", "prompt", "source"];

/// A line of the input.
struct Request {
    /// From 1.
    line: u64,
    id: Option<Value>,
    prompt: Prompt,
}

/// A line of the output.
#[derive(Serialize)]
struct Record<'a> {
    line: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a Value>,
    #[serde(flatten)]
    best: Option<TextRecord<'a>>,
    /// All texts, the best too, where several are asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    n_best: Vec<TextRecord<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

/// A generated text; one of an empty line has no score.
#[derive(Clone, Default, Serialize)]
struct TextRecord<'a> {
    text: String,
    finish_reason: Option<descant_generate::FinishReason>,
    score: Option<f64>,
    log_probability: Option<f64>,
    tokens: &'a [u32],
    /// Whether its source or prompt was not read whole.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cut: bool,
    /// Unknown tokens in the source or the prompt.
    #[serde(skip_serializing_if = "is_zero")]
    unknown: usize,
    #[serde(flatten)]
    told: Told,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Request {
    fn parse(writer: &Writer, line: u64, text: &str) -> Self {
        let mut object: Map<String, Value> = match serde_json::from_str(text) {
            Ok(Value::Object(object)) => object,
            Ok(_) => return Self::refused(line, None, "it is no JSON object such as {\"text\": \"…\"}".to_owned()),
            Err(error) => return Self::refused(line, None, format!("it is not valid JSON: {error}")),
        };
        let id = object.remove("id");
        match prompt(writer, &object) {
            Ok(prompt) => Self { line, id, prompt },
            Err(reason) => Self::refused(line, id, reason),
        }
    }

    fn refused(line: u64, id: Option<Value>, reason: String) -> Self {
        Self { line, id, prompt: Prompt::Refused(reason) }
    }
}

/// What an object asks.
fn prompt(writer: &Writer, object: &Map<String, Value>) -> Result<Prompt, String> {
    let given: Vec<&str> = TEXTS.into_iter().chain(["messages"]).filter(|key| object.contains_key(*key)).collect();
    let [key] = given[..] else {
        return Err(match given[..] {
            [] => "it has no \"text\", \"prompt\", \"source\" or \"messages\"".to_owned(),
            _ => format!("it has both \"{}\" and \"{}\"", given[0], given[1]),
        });
    };
    let value = &object[key];
    if key != "messages" {
        let text = value.as_str().ok_or_else(|| format!("its \"{key}\" is no text"))?;
        return Ok(writer.prompt(text));
    }
    let messages: Vec<Message> =
        serde_json::from_value(value.clone()).map_err(|error| format!("its \"messages\": {error}"))?;
    if messages.is_empty() {
        return Err("its \"messages\" are empty".to_owned());
    }
    let text = writer.trained.prompt(&messages).map_err(|error| error.to_string())?;
    Ok(Prompt::Text(text))
}

/// Answers all lines of a file, each by an object, after those that are written already.
pub(super) fn answer_objects(writer: &mut Writer, path: &Path, batch: usize, written: &Written) -> anyhow::Result<()> {
    let is_json = is_json_lines(path);
    let done = match written.lines {
        0 => 0,
        _ => answered(&written.last).ok_or_else(|| {
            anyhow::anyhow!(
                "the last line of the broken off output is damaged. Remove it, or start anew with --overwrite"
            )
        })?,
    };
    going_on(done);
    let open = || if is_json { Lines::objects(path) } else { Lines::open(path) };
    writer.bar = progress(writer.output.is_file(), || Some(count(open().ok()?)));
    let (mut lines, mut requests) = (open()?, Vec::with_capacity(batch));
    writer.bar.set_position(done);
    loop {
        let read = lines.read();
        let number = lines.number();
        let next = match read {
            Ok(None) | Err(TextError::Empty { .. }) => Ok(None),
            Err(error) if !is_of_line(&error) => Err(error),
            _ if number <= done => continue,
            Ok(Some(line)) if is_json && line.trim().is_empty() => continue,
            Ok(Some(line)) if is_json => Ok(Some(Request::parse(writer, number, &line))),
            Ok(Some(line)) => Ok(Some(Request { line: number, id: None, prompt: writer.prompt(&line) })),
            Err(error) => Ok(Some(Request::refused(number, None, error.to_string()))),
        };
        let ended = !matches!(next, Ok(Some(_)));
        let failed = next.map(|request| requests.extend(request)).err();
        if requests.len() == batch || ended && !requests.is_empty() {
            answer(writer, std::mem::take(&mut requests))?;
            writer.bar.set_position(number);
        }
        if ended {
            return failed.map_or(Ok(()), |error| Err(error.into()));
        }
    }
}

/// Answers some requests, and writes their objects in order.
fn answer(writer: &mut Writer, requests: Vec<Request>) -> anyhow::Result<()> {
    let (heads, prompts): (Vec<_>, Vec<_>) =
        requests.into_iter().map(|request| ((request.line, request.id), (request.line - 1, request.prompt))).unzip();
    let answers = writer.answer(prompts)?;
    for ((line, id), answer) in heads.iter().zip(&answers) {
        let mut record = Record { line: *line, id: id.as_ref(), best: None, n_best: Vec::new(), error: None };
        match answer {
            Answer::Texts(texts, read) => {
                let mut records = Vec::with_capacity(texts.len());
                for text in texts {
                    writer.tally.count(text, *line);
                    records.push(TextRecord::of(text, writer.said(text)?, writer.told(read, text)?));
                }
                record.best = records.first().cloned();
                record.n_best = if records.len() > 1 { records } else { Vec::new() };
            }
            Answer::Empty => record.best = Some(TextRecord::default()),
            Answer::Refused(reason) => {
                writer.tally.refuse(*line, reason);
                record.error = Some(reason);
            }
        }
        writer.output.line(&serde_json::to_string(&record)?)?;
    }
    writer.output.write()
}

impl<'a> TextRecord<'a> {
    fn of(generated: &'a Generated, text: String, told: Told) -> Self {
        let &Generated { score, log_probability, finish_reason, ref tokens, cut, unknown, .. } = generated;
        let (score, log_probability) = (Some(score), Some(log_probability));
        Self { text, finish_reason: Some(finish_reason), score, log_probability, tokens, cut, unknown, told }
    }
}

/// The line of the input that a line of a broken off output answers.
fn answered(last: &str) -> Option<u64> {
    serde_json::from_str::<Value>(last).ok()?.get("line")?.as_u64()
}
