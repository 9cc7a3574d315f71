//! `descant generate`.

mod answer;
mod chat;
mod explanations;
mod json_lines;
mod output_file;
mod respond;
mod stream;
mod writer;

use crate::Threads;
use crate::constraints::Constraints;
use crate::decoding::Decoding;
use crate::lines::{is_json_lines, lines_of};
use crate::report::note;
use crate::weights::Weights;
use clap::{Args, ValueEnum};
use crc32fast::Hasher;
use descant_autograd::Tape;
use descant_generate::{DecodingOptions, Mode};
use descant_inference::{LongInput, Trained, weights_of};
use descant_kernels::{Parallelism, WeightType};
use descant_text::{Lines, Message};
use explanations::Explanations;
use indicatif::ProgressBar;
use json_lines::answer_objects;
use output_file::{OutputFile, Written};
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use writer::{Output, Tally, Writer};

#[derive(Args)]
pub(crate) struct Generate {
    /// The run folder, or a checkpoint in it
    run: PathBuf,
    /// Sources or prompts [default: the lines of standard input]. An empty one is a prompt that starts with the BOS; an empty
    /// line of a file or a pipe has an empty answer
    texts: Vec<String>,
    /// Read the lines of a file instead. Of a .jsonl, each is an object with "text" (or "prompt", or "source"), or of a chat
    /// "messages"; its "id" comes back. Other fields are ignored
    #[arg(long, value_name = "FILE", conflicts_with = "texts")]
    input: Option<PathBuf>,
    /// Write to a file: of a .jsonl an object for each line of the input (line, id, text, finish_reason, score,
    /// log_probability, tokens, n_best; or error), otherwise what would be printed. If that is broken off, the same command
    /// goes on with it
    #[arg(long, value_name = "FILE", requires = "input", conflicts_with_all = ["json", "raw"])]
    output: Option<PathBuf>,
    /// Overwrite the file of --output
    #[arg(long, requires = "output")]
    overwrite: bool,
    /// What to do with a source of more tokens than the model has positions for, or was trained on: refuse it; split it
    /// between sentences, or cut it between words into windows, and join the texts of the parts. Of a language model's prompt
    /// that is longer than its context: refuse it, or read its end (window) [default: error beyond the positions; window for
    /// language models]
    #[arg(long, value_name = "HOW", value_enum)]
    long_input: Option<LongInputArg>,
    #[command(flatten)]
    decoding: Decoding,
    #[command(flatten)]
    constraints: Constraints,
    /// Chat: each text is a user message to a model with a chat template (the default for one trained on conversations). At a
    /// terminal the lines are one conversation, and an empty line starts a new one. From a pipe, each line is a separate
    /// conversation; with --chat, the lines are one conversation as at a terminal
    #[arg(long, conflicts_with = "no_chat")]
    chat: bool,
    /// Take texts as plain prompts, also for a model with a chat template
    #[arg(long)]
    no_chat: bool,
    /// System message, before the first user message of a conversation
    #[arg(long, value_name = "TEXT", conflicts_with = "no_chat")]
    system: Option<String>,
    /// Print a JSON object a line for each text: line, rank (of samples, the order of drawing), source, text, finished,
    /// finish_reason (eos, stop_string, length, no_token; complete, of a constrained text without EOS), score (log probability, in a beam search divided as --ranking
    /// says), tokens; of an empty line, the last four are null or 0. Without it, several texts of a line stand each after its
    /// score and a tab
    #[arg(long)]
    json: bool,
    /// Print line ends within texts as they are, rather than as \n, also for the lines of a file or a pipe
    #[arg(long, conflicts_with = "json")]
    raw: bool,
    /// Batch size: number of lines decoded together. With 1, each line is answered immediately
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
    #[command(flatten)]
    explanations: Explanations,
    #[command(flatten)]
    weights: Weights,
    #[command(flatten)]
    threads: Threads,
}

/// What to do with a long source or prompt.
#[derive(Clone, Copy, ValueEnum)]
enum LongInputArg {
    Error,
    Split,
    Window,
}

impl From<LongInputArg> for LongInput {
    fn from(how: LongInputArg) -> Self {
        match how {
            LongInputArg::Error => Self::Error,
            LongInputArg::Split => Self::Split,
            LongInputArg::Window => Self::Window,
        }
    }
}

impl Generate {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let trained = self.weights.load(&self.run)?;
        let run = self.run.display();
        anyhow::ensure!(
            trained.is_trained(),
            "{run} has not learnt yet: its checkpoint is of step 0. Let it train for longer"
        );
        let threads = self.threads.count();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        let mut options = self.decoding.options(&trained, Parallelism::Threads(threads))?;
        let grammar = self.constraints.add(&trained, &mut options)?;
        anyhow::ensure!(
            options.short_list.is_none() || options.constraints.is_empty(),
            "--short-list leaves out tokens that a constraint may ask for: leave out one of them"
        );
        let (beam, texts) = (options.config.mode() == Mode::Beam, options.config.num_return_sequences());
        let candidates = options.config.candidates();
        anyhow::ensure!(
            !(self.chat || self.system.is_some()) || trained.chat.is_some(),
            "{run} has no chat template: it was neither trained with data.chat_template nor imported with one. Leave out \
             --chat and --system"
        );
        let chat = !self.no_chat && (self.chat || self.system.is_some() || trained.is_chat_model());
        if !chat && !self.no_chat && trained.chat.is_some() {
            note(format_args!("{run} has a chat template: with --chat, a text is what a user says to it."));
        }
        let system = self.system.iter().map(|text| Message::new("system", text)).collect();
        let (ask, show) = (std::io::stdin().is_terminal(), std::io::stdout().is_terminal());
        let lines = self.texts.is_empty();
        let talks = chat && (self.chat || ask) && lines && self.input.is_none();
        anyhow::ensure!(
            !(talks && texts > 1),
            "--num-return-sequences {texts}: a conversation goes on with one answer. Leave it out"
        );
        // What somebody types is answered where he reads it.
        let escape = lines && !self.raw && !(ask && self.input.is_none());
        let long = self.long_input.map(LongInput::from);
        anyhow::ensure!(
            !(long == Some(LongInput::Split) && trained.is_language_model()),
            "--long-input split is for sources of encoder-decoders: a language model goes on with the end of its prompt"
        );
        let cuts = !trained.is_language_model() && long.is_some_and(|how| how != LongInput::Error);
        self.explanations.check(&trained, if lines { usize::MAX } else { self.texts.len() * texts })?;
        anyhow::ensure!(
            !(self.explanations.is_asked() && (cuts || talks)),
            "--explain and --alignment are for texts that are written of one source: leave out --long-input and --chat"
        );
        anyhow::ensure!(
            !self.explanations.explains() || self.output.as_deref().is_none_or(is_json_lines),
            "--explain has several lines for each text: name a file that ends in .jsonl"
        );
        let (output, written) = match (&self.output, &self.input) {
            (Some(output), Some(input)) => {
                let settings = self.settings(&trained, &options, input)?;
                check_names(input, output)?;
                let (file, written) = OutputFile::open(output, &settings, self.overwrite)?;
                (Output::File(file), written)
            }
            _ => (Output::Stdout, Written::default()),
        };
        let objects = [&self.input, &self.output].into_iter().flatten().any(|path| is_json_lines(path));
        let from_objects = self.input.as_deref().is_some_and(is_json_lines);
        let mut writer = Writer {
            options,
            long,
            told_long: false,
            tape: Tape::new(),
            number: 0,
            explanations: self.explanations.clone(),
            output,
            bar: ProgressBar::hidden(),
            json: self.json,
            escape,
            streams: show
                && !escape
                && !beam
                && candidates == 1
                && !(self.json || cuts || self.explanations.is_asked()),
            empty_lines: lines && !from_objects,
            conversation: chat.then_some(system),
            tally: Tally::default(),
            trained,
        };
        let batch = if writer.streams { 1 } else { usize::from(self.batch) };
        let done = pool.install(|| {
            if !lines {
                return self.texts.chunks(batch).try_for_each(|lines| writer.write(lines));
            }
            match &self.input {
                Some(path) if objects => answer_objects(&mut writer, path, batch, &written),
                Some(path) => writer.answer_lines(path, batch, &written),
                None => self.answer_standard_input(&mut writer, (chat, talks), batch),
            }
        });
        writer.bar.finish_and_clear();
        writer.tally.tell(&writer.trained, &writer.options, grammar.as_deref());
        done?;
        if let Output::File(file) = &mut writer.output {
            file.finish()?;
        }
        writer.tally.check()
    }

    /// Lines of standard input: a conversation, or each by itself.
    fn answer_standard_input(
        &self,
        writer: &mut Writer,
        (chat, talks): (bool, bool),
        batch: usize,
    ) -> anyhow::Result<()> {
        let ask = std::io::stdin().is_terminal();
        let next = lines_of(Lines::standard_input());
        if ask {
            let what = match (chat, writer.trained.responds()) {
                (true, _) => "answered, and an empty one begins another conversation",
                (false, true) => "answered",
                (false, false) => "continued",
            };
            note(format_args!("Each line is {what}; end with Ctrl-D."));
        }
        if chat && !(self.chat || ask || self.system.is_some()) {
            note("Each line is a conversation of its own. With --chat, the lines are one.");
        }
        match talks {
            true => writer.talk(ask, next),
            false => writer.write_all(if ask { 1 } else { batch }, writer::asked(ask, next)),
        }
    }

    /// What a file of `--output` is made of.
    fn settings(
        &self,
        trained: &Trained,
        options: &DecodingOptions,
        input: &Path,
    ) -> anyhow::Result<Map<String, Value>> {
        let place = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let settings = json!({
            "run": place(&self.run),
            "step": trained.step,
            "checksum": trained.checksum,
            "input": place(input),
            "checksum of the input": checksum(input)?,
            "weights": weights_of(&trained.parameters).map(WeightType::name),
            "options": options.config.to_map(),
            "checksum of the short list": self.decoding.short_list().map(checksum).transpose()?,
            "chat": self.chat,
            "no_chat": self.no_chat,
            "system": self.system,
            "explanations": self.explanations.settings(),
            "constraints": self.constraints.settings()?,
            "long_input": self.long_input.and_then(|how| how.to_possible_value()).map(|how| how.get_name().to_owned()),
        });
        match settings {
            Value::Object(settings) => Ok(settings),
            _ => Ok(Map::new()),
        }
    }
}

/// CRC-32 of a file.
fn checksum(path: &Path) -> anyhow::Result<u32> {
    let (mut file, mut bytes, mut checksum) = (File::open(path)?, vec![0; 1 << 16], Hasher::new());
    loop {
        match file.read(&mut bytes)? {
            0 => return Ok(checksum.finalize()),
            count => checksum.update(&bytes[..count]),
        }
    }
}

/// That a file of objects is answered by objects, and no text is written over.
fn check_names(input: &Path, output: &Path) -> anyhow::Result<()> {
    let same = std::fs::canonicalize(input).is_ok_and(|a| std::fs::canonicalize(output).is_ok_and(|b| a == b));
    anyhow::ensure!(!same, "--output {}: this is the input. Name another file", output.display());
    anyhow::ensure!(
        is_json_lines(output) || !is_json_lines(input),
        "--output {}: an input of JSON objects is answered by such. Name a file that ends in .jsonl",
        output.display()
    );
    Ok(())
}
