//! `descant score`: what a model says of texts that it is given.

mod asks;

use crate::Threads;
use crate::control::ControlAttributes;
use crate::decoding::check_context;
use crate::json_line::{JsonLine, Unread, check_text};
use crate::lines::{is_json_lines, is_of_line, wrong_with_line};
use crate::report::{note, print};
use crate::weights::Weights;
use asks::{Asks, Parts};
use clap::Args;
use descant_autograd::Tape;
use descant_generate::GenerationConfig;
use descant_inference::{Error, Scored, TokenScore, TokenScores};
use descant_kernels::Parallelism;
use descant_text::{Lines, Message, TextError};
use serde::Serialize;
use serde_json::value::RawValue;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub(crate) struct Score {
    /// The run folder, or a checkpoint in it
    run: PathBuf,
    /// What to score [default: the lines of standard input]: a source or prompt and its text with a tab between them; of a
    /// model of texts without prompts, a text. Of a chat, what a user says and the answer, in the form of the chat template
    texts: Vec<String>,
    /// Read the lines of a file instead, or with - of standard input. Of a .jsonl, each is an object with a "source" or "prompt" and a "target" or
    /// "completion", or with a "text" alone, or of a chat with "messages", of which the last is scored, and perhaps with control attributes;
    /// its "id" comes back. An object of generate --json is scored as it was generated, where it has both its "ids" and its "finish_reason", and
    /// what it was generated for: a "source" or "prompt", or "messages". Other fields are ignored, and reported
    #[arg(long, value_name = "FILE", conflicts_with = "texts")]
    input: Option<PathBuf>,
    /// Score no EOS after the texts. The "finish_reason" of generate in a .jsonl line goes before it: only after "eos" there is one
    #[arg(long)]
    no_eos: bool,
    /// Context length: how many tokens a language model reads at once, as for generate. Of a longer text, each token is scored after what generate
    /// reads before it: the oldest turns of a conversation, or the first half of the tokens, are left out [default: the run's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    context: Option<u32>,
    /// The limit that generate had, by which it left room for a text after a prompt beyond the context [default: the run's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_new_tokens: Option<u32>,
    #[command(flatten)]
    control: ControlAttributes,
    /// Chat: sources and prompts are what a user says to a model with a chat template (the default for one trained on conversations)
    #[arg(long, conflicts_with = "no_chat")]
    chat: bool,
    /// Take sources and prompts as they are, also for a model with a chat template
    #[arg(long)]
    no_chat: bool,
    /// System message, before what a user says; of the "messages" of a .jsonl, where they have none
    #[arg(long, value_name = "TEXT", conflicts_with = "no_chat")]
    system: Option<String>,
    #[command(flatten)]
    weights: Weights,
    /// Print a JSON object for each text: line, id, log_probability, perplexity, tokens (id, token, log_probability, rank,
    /// entropy), null for an empty line, cut (only where a text is beyond the context); or error. All are the model's own: `generate` gives the share of tokens that it never
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
    /// Whether it is longer than what the model reads at once.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cut: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

/// A line that was read.
struct Asked {
    line: u64,
    id: Option<Box<RawValue>>,
    parts: Result<Parts, String>,
}

/// What is scored of a line, nothing of an empty one.
type OfLine = Result<Option<TokenScores>, String>;

/// Scores texts and prints what comes of them.
struct Scorer {
    asks: Asks,
    tape: Tape,
    json: bool,
    no_eos: bool,
    /// Texts after a prompt that begin with a space beyond that which generate writes there, and the first one's line.
    spaced: (u64, u64),
    /// Texts that are longer than what the model reads at once, and the first one's line.
    cut: (u64, u64),
    /// Lines that have no scores, the first one, and why.
    refused: (u64, u64, String),
    unread: Unread,
}

impl Score {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let trained = self.weights.load(&self.run)?;
        let threads = self.threads.count();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        let control = self.control.of_all(&trained)?;
        let run = self.run.display();
        anyhow::ensure!(
            !(self.chat || self.system.is_some()) || trained.chat.is_some(),
            "{run} has no chat template: it was neither trained with data.chat_template nor imported with one. Leave out \
             --chat and --system"
        );
        // Of the decoding options, those that say what is read.
        let mut config = GenerationConfig::greedy();
        config.context = self.context.map(|context| context as usize);
        check_context(&trained, config.context)?;
        anyhow::ensure!(
            trained.is_language_model() || self.max_new_tokens.is_none(),
            "--max-new-tokens is for language models: an encoder reads all of a source, whatever is generated"
        );
        config.max_new_tokens = self.max_new_tokens.map(|most| most as usize);
        let options = trained.options(&config, Parallelism::Threads(threads))?;
        let is_chat = !self.no_chat && (self.chat || self.system.is_some() || trained.is_chat_model());
        let system = self.system.as_ref().map(|text| Message::new("system", text));
        let asks = Asks { trained, options, control, is_chat, system };
        let (spaced, cut, refused) = ((0, 0), (0, 0), (0, 0, String::new()));
        let (json, no_eos, unread) = (self.json, self.no_eos, Unread::default());
        let mut scorer = Scorer { asks, tape: Tape::new(), json, no_eos, spaced, cut, refused, unread };
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
        if let (count @ 1.., line) = scorer.cut {
            let context = scorer.asks.options.config.context.map_or(String::new(), |most| format!(" of {most} tokens"));
            note(format_args!(
                "{} beyond the context{context} (the first in line {line}): each token is scored after what generate reads before it, \
                 without the oldest turns of a conversation, or with the last half of the tokens (--context N reads more).",
                if count == 1 { "1 text is".to_owned() } else { format!("{count} texts are") }
            ));
        }
        scorer.unread.tell();
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
        let (id, parts) = match text {
            Ok(text) if is_json && text.trim().is_empty() => return None,
            Err(error) => (None, Err(wrong_with_line(&error))),
            Ok(text) if !is_json => (None, check_text(&text).and_then(|()| self.asks.columns(&text, !self.no_eos))),
            Ok(text) => match JsonLine::parse(&text) {
                Ok(object) => {
                    let (id, parts) = (object.id(), self.asks.object(&object, !self.no_eos));
                    // What is read of a line that fails, or has no text, stands where it broke off.
                    if parts.as_ref().is_ok_and(|parts| !parts.texts.is_empty()) {
                        self.unread.count(line, &object);
                    }
                    (id, parts)
                }
                Err(reason) => (None, Err(reason)),
            },
        };
        if parts.as_ref().is_ok_and(|parts| parts.texts.iter().any(|text| self.asks.is_spaced(text))) {
            self.spaced = (self.spaced.0 + 1, if self.spaced.0 == 0 { line } else { self.spaced.1 });
        }
        Some(Asked { line, id, parts })
    }

    /// The scores of the parts of a line as those of one text; none of a line without parts.
    fn whole(parts: Vec<Result<TokenScores, Error>>, is_shortened: bool) -> OfLine {
        let parts = parts.into_iter().collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
        let mut parts = parts.into_iter();
        let Some(mut whole) = parts.next() else { return Ok(None) };
        whole.cut |= is_shortened;
        for part in parts {
            whole.tokens.extend(part.tokens);
            whole.cut |= part.cut;
        }
        Ok(Some(whole))
    }

    fn score(&mut self, asked: Vec<Asked>) -> anyhow::Result<()> {
        let parts = asked.iter().filter_map(|asked| asked.parts.as_ref().ok());
        let parts: Vec<Scored> = parts.flat_map(|parts| parts.texts.iter().cloned()).collect();
        let Asks { trained, options, .. } = &self.asks;
        let mut scores = trained.score(&mut self.tape, &parts, options)?.into_iter();
        for Asked { line, id, parts } in &asked {
            let scored = match parts {
                Ok(parts) => Self::whole(scores.by_ref().take(parts.texts.len()).collect(), parts.is_shortened),
                Err(reason) => Err(reason.clone()),
            };
            match &scored {
                Ok(Some(of_line)) if of_line.cut => {
                    self.cut = (self.cut.0 + 1, if self.cut.0 == 0 { *line } else { self.cut.1 });
                }
                Ok(_) => {}
                Err(reason) => {
                    self.refused = match self.refused.0 {
                        0 => (1, *line, reason.clone()),
                        count => (count + 1, self.refused.1, std::mem::take(&mut self.refused.2)),
                    };
                }
            }
            self.print(*line, id.as_deref(), &scored)?;
        }
        Ok(())
    }

    fn print(&self, line: u64, id: Option<&RawValue>, scored: &OfLine) -> anyhow::Result<()> {
        let of_line = scored.as_ref().ok().and_then(Option::as_ref);
        let (tokens, cut) = (of_line.map(|of_line| &of_line.tokens), of_line.is_some_and(|of_line| of_line.cut));
        let log_probability = tokens.map(|tokens| tokens.iter().map(|token| token.log_probability).sum::<f64>());
        let count = tokens.map_or(0, Vec::len);
        let perplexity = log_probability.filter(|_| count > 0).map(|log| (-log / count as f64).exp());
        if self.json {
            let (tokens, error) = (tokens.map(Vec::as_slice), scored.as_ref().err().map(String::as_str));
            let record = Record { line, id, log_probability, perplexity, tokens, cut, error };
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
