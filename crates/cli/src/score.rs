//! `descant score`: what a model says of texts that it is given.

use crate::Threads;
use crate::control::{ControlAttributes, of_line};
use crate::json_line::{JsonLine, check_text};
use crate::lines::{is_json_lines, is_of_line, wrong_with_line};
use crate::report::{note, print};
use crate::weights::Weights;
use clap::Args;
use descant_autograd::Tape;
use descant_generate::FinishReason;
use descant_inference::{Control, Error, Scored, TokenScore, Trained};
use descant_kernels::Parallelism;
use descant_text::{Lines, Text, TextError};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub(crate) struct Score {
    /// The run folder, or a checkpoint in it
    run: PathBuf,
    /// What to score [default: the lines of standard input]: a source or prompt and its text with a tab between them; of a
    /// model of texts without prompts, a text
    texts: Vec<String>,
    /// Read the lines of a file instead, or with - of standard input. Of a .jsonl, each is an object with a "source" or "prompt" and a "target" or
    /// "completion", or with a "text" alone, or of a chat with "messages", of which the last is scored, and perhaps with control attributes;
    /// its "id" comes back. An object of generate --json is scored as it was generated, where it has both its "ids" and its "finish_reason". Other fields are ignored
    #[arg(long, value_name = "FILE", conflicts_with = "texts")]
    input: Option<PathBuf>,
    /// Score no EOS after the texts. The "finish_reason" of generate in a .jsonl line goes before it: only after "eos" there is one
    #[arg(long)]
    no_eos: bool,
    #[command(flatten)]
    control: ControlAttributes,
    #[command(flatten)]
    weights: Weights,
    /// Print a JSON object for each text: line, id, log_probability, perplexity, tokens (id, token, log_probability, rank,
    /// entropy), null for an empty line; or error. All are the model's own: `generate` gives the share of tokens that it never
    /// writes, such as <unk>, to the others, and so its log_probability is a little larger
    #[arg(long)]
    json: bool,
    /// Batch size: number of texts scored together; the scores are the same with any
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
    #[command(flatten)]
    threads: Threads,
}

/// A line of `--json`.
#[derive(Serialize)]
struct Record<'a> {
    line: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RawValue>,
    log_probability: Option<f64>,
    perplexity: Option<f64>,
    tokens: Option<&'a [TokenScore]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

/// A line that was read.
struct Asked {
    line: u64,
    id: Option<Box<RawValue>>,
    /// What it asks, nothing where it is empty.
    text: Result<Option<Scored>, String>,
}

/// Scores texts and prints what comes of them.
struct Scorer {
    trained: Trained,
    /// The control attributes of all lines that say no others.
    control: Control,
    tape: Tape,
    parallelism: Parallelism,
    json: bool,
    no_eos: bool,
    /// Texts after a prompt that begin with a space beyond that which generate writes there, and the first one's line.
    spaced: (u64, u64),
    /// Lines that have no scores, the first one, and why.
    refused: (u64, u64, String),
}

impl Score {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let trained = self.weights.load(&self.run)?;
        let threads = self.threads.count();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        let (control, refused) = (self.control.of_all(&trained)?, (0, 0, String::new()));
        let parallelism = Parallelism::Threads(threads);
        let (json, no_eos, spaced) = (self.json, self.no_eos, (0, 0));
        let mut scorer = Scorer { trained, control, tape: Tape::new(), parallelism, json, no_eos, spaced, refused };
        let batch = usize::from(self.batch);
        pool.install(|| match &self.input {
            _ if !self.texts.is_empty() => {
                let mut texts = (1..).zip(&self.texts);
                scorer.score_all(batch, || Ok(texts.next().map(|(line, text)| (line, Ok(text.clone())))), false)
            }
            Some(path) if path != Path::new("-") => {
                let is_json = is_json_lines(path);
                let lines = if is_json { Lines::objects(path)? } else { Lines::open(path)? };
                scorer.score_all(batch, numbered(lines), is_json)
            }
            _ => scorer.score_all(batch, numbered(Lines::standard_input()), false),
        })?;
        if let (count @ 1.., line) = scorer.spaced {
            note(format_args!(
                "{} after a prompt with a space (the first in line {line}): cut as in training, where a text stands apart from its prompt. One of \
                 generate begins with a space for that, and is scored as it was generated by its \"ids\".",
                if count == 1 { "1 text begins".to_owned() } else { format!("{count} texts begin") }
            ));
        }
        let (count, line, reason) = scorer.refused;
        match count {
            0 => Ok(()),
            1 => Err(anyhow::anyhow!("1 line has no scores: line {line}: {reason}")),
            count => Err(anyhow::anyhow!("{count} lines have no scores, the first of them line {line}: {reason}")),
        }
    }
}

/// A line with its number, or what is wrong with it.
type Numbered = (u64, Result<String, TextError>);

/// The lines with their numbers; those that cannot be read, too.
fn numbered(mut lines: Lines) -> impl FnMut() -> anyhow::Result<Option<Numbered>> {
    move || match lines.read() {
        Ok(None) | Err(TextError::Empty { .. }) => Ok(None),
        Err(error) if !is_of_line(&error) => Err(error.into()),
        Ok(Some(line)) => Ok(Some((lines.number(), Ok(line)))),
        Err(error) => Ok(Some((lines.number(), Err(error)))),
    }
}

/// Whether an object has no text, because nothing was generated, or only an error came of it.
fn is_without_text(object: &JsonLine, ids: Option<&Value>) -> Result<bool, String> {
    for name in ["text", "target", "completion", "messages"] {
        if object.get(name)?.is_some_and(|value| !value.is_null() && value != "") {
            return Ok(false);
        }
    }
    let is_error = object.get("error")?.is_some_and(|error| !error.is_null());
    Ok(is_error || ids.and_then(Value::as_array).is_some_and(Vec::is_empty))
}

impl Scorer {
    fn score_all(
        &mut self,
        batch: usize,
        mut next: impl FnMut() -> anyhow::Result<Option<Numbered>>,
        is_json: bool,
    ) -> anyhow::Result<()> {
        let mut asked = Vec::with_capacity(batch);
        loop {
            // What was read before a line that cannot be read is scored first.
            let read = next();
            let ended = !matches!(read, Ok(Some(_)));
            let failed = match read {
                Ok(Some((line, text))) => {
                    asked.extend(self.ask(line, text, is_json));
                    None
                }
                Ok(None) => None,
                Err(error) => Some(error),
            };
            if asked.len() == batch || ended && !asked.is_empty() {
                self.score(std::mem::take(&mut asked))?;
            }
            if ended {
                return failed.map_or(Ok(()), Err);
            }
        }
    }

    /// What a line asks; an empty one between JSON objects is none.
    fn ask(&mut self, line: u64, text: Result<String, TextError>, is_json: bool) -> Option<Asked> {
        let text = match text {
            Ok(text) if is_json && text.trim().is_empty() => return None,
            Ok(text) => text,
            Err(error) => return Some(Asked { line, id: None, text: Err(wrong_with_line(&error)) }),
        };
        if !is_json {
            let text = check_text(&text).and_then(|()| self.columns(&text));
            let text = text.and_then(|text| text.map(|text| self.controlled(text, &self.control)).transpose());
            let text = text.map(|text| text.map(|text| if self.no_eos { text.without_eos() } else { text }));
            self.count_spaced(line, &text);
            return Some(Asked { line, id: None, text });
        }
        Some(match JsonLine::parse(&text) {
            Ok(object) => {
                let text = self.of_object(&object);
                self.count_spaced(line, &text);
                Asked { line, id: object.id(), text }
            }
            Err(reason) => Asked { line, id: None, text: Err(reason) },
        })
    }

    /// What an object asks; nothing of one of `generate` for which nothing was generated. Fields of the same names that are not as `generate`
    /// writes them are those of others.
    fn of_object(&self, object: &JsonLine) -> Result<Option<Scored>, String> {
        let reason = object.get("finish_reason")?.and_then(|reason| FinishReason::deserialize(reason).ok());
        let ids = object.get("ids")?.filter(Value::is_array);
        if reason.is_none() && is_without_text(object, ids.as_ref())? {
            return Ok(None);
        }
        let control = of_line(&self.control, &self.trained, object)?;
        let text = match ids.filter(|_| reason.is_some()) {
            None => self.controlled(self.object(object)?, &control)?,
            Some(ids) => self.generated(object, ids, &control)?,
        };
        let ends = reason.map_or(!self.no_eos, |reason| reason == FinishReason::Eos);
        Ok(Some(if ends { text } else { text.without_eos() }))
    }

    /// The text of an object of `generate --json`, by its tokens.
    fn generated(&self, object: &JsonLine, ids: Value, control: &Control) -> Result<Scored, String> {
        let trained = &self.trained;
        let Some(source) = object.one_of(&["source", "prompt"])? else {
            return Err("it has \"ids\", and no \"source\" or \"prompt\" after which they were generated".to_owned());
        };
        if trained.is_chat_model() {
            return Err(
                "the \"ids\" of a conversation are not scored: give it as \"messages\", or leave them out".to_owned()
            );
        }
        let ids: Vec<u32> = serde_json::from_value(ids).map_err(|error| format!("its \"ids\": {error}"))?;
        let vocabulary = trained.tokenizers.target.vocabulary();
        if let Some(id) = ids.iter().find(|&&id| id as usize >= vocabulary) {
            return Err(format!("its \"ids\": there is no token {id}: the vocabulary has {vocabulary}, from 0"));
        }
        let source = Text::from(object.text(source)?);
        let said = |error: Error| error.to_string();
        let read = if trained.is_language_model() { trained.encode(&source).map_err(said)? } else { Vec::new() };
        let written = trained.continuation(&read, &ids).map_err(said)?;
        if let Some(name) = object.one_of(&["text", "target", "completion"])?
            && object.text(name)? != written
        {
            return Err(format!(
                "its \"ids\" are {written:?}, and its {name:?} is another text: leave \"ids\" out to score that, or take them from \
                 the same line of generate --json"
            ));
        }
        Ok(self.controlled(Scored::new(Some(source), Text::from(written)), control)?.with_tokens(ids))
    }

    /// A text after these attributes: they stand before what is read for it.
    fn controlled(&self, mut text: Scored, control: &Control) -> Result<Scored, String> {
        let controlled = |text: Text| self.trained.control(text, control).map_err(|error| error.to_string());
        match text.source.take() {
            Some(source) => text.source = Some(controlled(source)?),
            None => text.target = controlled(text.target)?,
        }
        Ok(text)
    }

    /// Counts a text that a model which answers writes with another space before it.
    fn count_spaced(&mut self, line: u64, text: &Result<Option<Scored>, String>) {
        let (trained, tokenizer) = (&self.trained, &self.trained.tokenizers.target);
        let Ok(Some(Scored { source: Some(source), target, tokens: None, .. })) = text else { return };
        let target = target.to_string();
        let may_differ = trained.is_language_model() && trained.responds() && !source.is_rendered();
        if may_differ
            && target.starts_with(char::is_whitespace)
            && tokenizer.encode(&target).ok() != trained.encode_after(&source.to_string(), &target).ok()
        {
            self.spaced = (self.spaced.0 + 1, if self.spaced.0 == 0 { line } else { self.spaced.1 });
        }
    }

    /// A source and a text between tabs, or a text alone.
    fn columns(&self, line: &str) -> Result<Option<Scored>, String> {
        if line.trim().is_empty() {
            return Ok(None);
        }
        if !self.trained.responds() {
            return Ok(Some(Scored::new(None, line.into())));
        }
        match line.split('\t').collect::<Vec<_>>()[..] {
            [source, target] => Ok(Some(Scored::new(Some(source.into()), target.into()))),
            [_] => Err("it has no tab between a source or prompt and its text".to_owned()),
            ref columns => Err(format!(
                "it has {} columns, where a source or prompt and its text are two. Give a text with a tab in it as an object of a \
                 .jsonl",
                columns.len()
            )),
        }
    }

    fn object(&self, object: &JsonLine) -> Result<Scored, String> {
        let [source, target] = [&["source", "prompt"], &["target", "completion"]].map(|names| object.one_of(names));
        let text = |name: &str| object.text(name).map(Text::from);
        match (source?, target?, object.one_of(&["text", "messages"])?) {
            (None, None, Some("messages")) => {
                let messages = object.messages()?;
                let Some((last, before)) = messages.split_last() else { return Err("its \"messages\" are empty".into()) };
                if last.role != "assistant" {
                    return Err(format!("its last message is of the role {:?}: what is scored is an answer, of \"assistant\"", last.role));
                }
                let prompt = self.trained.prompt(before).map_err(|error| error.to_string())?;
                Ok(Scored::new(Some(prompt), last.content.as_str().into()))
            }
            (None, None, Some(name)) if self.trained.is_language_model() => Ok(Scored::new(None, text(name)?)),
            (Some(source), Some(target), None) => Ok(Scored::new(Some(text(source)?), text(target)?)),
            (Some(first), _, Some(second)) | (None, Some(first), Some(second)) => {
                Err(format!("it has both \"{first}\" and \"{second}\""))
            }
            _ => Err("expected a \"source\" or \"prompt\" with a \"target\" or \"completion\", or of a language model a \"text\" \
                      alone"
                .to_owned()),
        }
    }

    fn score(&mut self, asked: Vec<Asked>) -> anyhow::Result<()> {
        let texts: Vec<Scored> = asked.iter().filter_map(|asked| asked.text.as_ref().ok().cloned().flatten()).collect();
        let mut scores = self.trained.score(&mut self.tape, &texts, self.parallelism)?.into_iter();
        for Asked { line, id, text } in &asked {
            let scored = match text {
                Ok(None) => Ok(None),
                Ok(Some(_)) => scores.next().transpose().map_err(|error| error.to_string()),
                Err(reason) => Err(reason.clone()),
            };
            if let Err(reason) = &scored {
                self.refused = match self.refused.0 {
                    0 => (1, *line, reason.clone()),
                    count => (count + 1, self.refused.1, std::mem::take(&mut self.refused.2)),
                };
            }
            self.print(*line, id.as_deref(), &scored)?;
        }
        Ok(())
    }

    fn print(
        &self,
        line: u64,
        id: Option<&RawValue>,
        scored: &Result<Option<Vec<TokenScore>>, String>,
    ) -> anyhow::Result<()> {
        let tokens = scored.as_ref().ok().and_then(Option::as_ref);
        let log_probability = tokens.map(|tokens| tokens.iter().map(|token| token.log_probability).sum::<f64>());
        let count = tokens.map_or(0, Vec::len);
        let perplexity = log_probability.filter(|_| count > 0).map(|log| (-log / count as f64).exp());
        if self.json {
            let (tokens, error) = (tokens.map(Vec::as_slice), scored.as_ref().err().map(String::as_str));
            let record = Record { line, id, log_probability, perplexity, tokens, error };
            return print(serde_json::to_string(&record)?);
        }
        let Some((tokens, log)) = tokens.zip(log_probability) else {
            let reason = scored.as_ref().err().map_or("it is empty", String::as_str);
            return print(format_args!("line {line}  no scores: {reason}"));
        };
        let perplexity = perplexity.map_or_else(String::new, |value| format!("  perplexity {value:.4}"));
        print(format_args!("line {line}  log probability {log:.4}{perplexity}  tokens {count}"))?;
        let wide = tokens.iter().map(|token| token.token.chars().count()).max().unwrap_or(0).max(5);
        print(format_args!("  {:<wide$}  {:>9}  {:>6}  {:>7}", "token", "log p", "rank", "entropy"))?;
        tokens.iter().try_for_each(|token| {
            let TokenScore { token, log_probability, rank, entropy, .. } = token;
            print(format_args!("  {token:<wide$}  {log_probability:>9.4}  {rank:>6}  {entropy:>7.4}"))
        })
    }
}
