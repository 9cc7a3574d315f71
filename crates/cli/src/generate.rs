use crate::Threads;
use crate::report::{note, print};
use anyhow::Context;
use clap::Args;
use descant_autograd::Tape;
use descant_generate::{Options, Strategy};
use descant_kernels::Parallelism;
use descant_text::{Lines, Message, Text};
use descant_train::Trained;
use std::io::{BufRead, IsTerminal};
use std::path::PathBuf;

#[derive(Args)]
pub(crate) struct Generate {
    /// The run folder, or a checkpoint in it
    run: PathBuf,
    /// Texts to turn into others, or to continue [default: the lines of standard input]
    texts: Vec<String>,
    /// Read the lines of a file instead
    #[arg(long, value_name = "FILE", conflicts_with = "texts")]
    input: Option<PathBuf>,
    #[command(flatten)]
    decoding: Decoding,
    /// Each text is what a user says to a model that knows conversations; on standard input they are one conversation,
    /// and an empty line begins another
    #[arg(long)]
    chat: bool,
    /// What a conversation begins with, before the user's first words
    #[arg(long, value_name = "TEXT", requires = "chat")]
    system: Option<String>,
    /// Print this many texts for each line, with their scores (needs --beam)
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    n_best: u16,
    /// Lines that are decoded together; 1 answers every line at once
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
    #[command(flatten)]
    threads: Threads,
}

/// How the next token is chosen.
#[derive(Args, Clone)]
pub(crate) struct Decoding {
    /// Keep the N likeliest beginnings (beam search) [default: only the likeliest token]
    #[arg(long, value_name = "N", conflicts_with_all = ["sample", "temperature", "top_k", "top_p"])]
    beam: Option<usize>,
    /// Favour longer texts in a beam search: 0 not at all, 1 much
    #[arg(long, value_name = "X", default_value_t = 0.6)]
    length_penalty: f64,
    /// Draw tokens by their probability (the default for language models)
    #[arg(long)]
    sample: bool,
    /// Always take the likeliest token (the default for encoder-decoders)
    #[arg(long, conflicts_with_all = ["sample", "temperature", "top_k", "top_p", "beam"])]
    greedy: bool,
    /// Sampling: below 1 for safer text, above 1 for bolder
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    temperature: f64,
    /// Sampling: only from the K likeliest tokens
    #[arg(long, value_name = "K")]
    top_k: Option<usize>,
    /// Sampling: only from the likeliest tokens that together have probability P
    #[arg(long, value_name = "P")]
    top_p: Option<f64>,
    /// Sampling: what the draws are derived from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Tokens to write at most; of encoder-decoders also about four times the source's
    #[arg(long, value_name = "N", default_value_t = 500)]
    max_length: usize,
}

impl Decoding {
    /// The options for a model.
    pub(crate) fn options(
        &self,
        trained: &Trained,
        n_best: usize,
        parallelism: Parallelism,
    ) -> anyhow::Result<Options> {
        let drawn = self.sample || self.top_k.is_some() || self.top_p.is_some() || self.temperature != 1.0;
        let strategy = match self.beam {
            Some(width) => Strategy::Beam { width, length_penalty: self.length_penalty, n_best },
            None if drawn || (trained.is_language_model() && !self.greedy) => Strategy::Sample {
                temperature: self.temperature,
                top_k: self.top_k,
                top_p: self.top_p,
                seed: self.seed,
            },
            None => Strategy::Greedy,
        };
        let options = trained.options(strategy, self.max_length, parallelism)?;
        options.validate().map_err(|reason| anyhow::anyhow!("{}", reason.replacen("width", "--beam", 1)))?;
        Ok(options)
    }
}

impl Generate {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.n_best == 1 || self.decoding.beam.is_some_and(|width| width >= usize::from(self.n_best)),
            "--n-best {} needs a beam of at least that width: add --beam {0}",
            self.n_best
        );
        let trained = Trained::load(&self.run)?;
        let threads = self.threads.count();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        let options = self.decoding.options(&trained, self.n_best.into(), Parallelism::Threads(threads))?;
        anyhow::ensure!(
            !self.chat || trained.chat.is_some(),
            "{} has no chat template: it was neither trained with data.chat_template nor imported with one. Leave out \
             --chat",
            self.run.display()
        );
        let conversation = self.chat.then(|| self.system.iter().map(|text| Message::new("system", text)).collect());
        let scores = self.n_best > 1;
        let mut writer = Writer { trained, options, tape: Tape::new(), first: 0, scores, conversation };
        let batch = usize::from(self.batch);
        pool.install(|| {
            if !self.texts.is_empty() {
                return self.texts.chunks(batch).try_for_each(|lines| writer.write(lines));
            }
            if let Some(path) = &self.input {
                let mut lines = Lines::open(path)?;
                return writer.write_all(batch, || Ok(lines.read()?));
            }
            let terminal = std::io::stdin().is_terminal();
            if terminal {
                let what = match writer.trained.is_language_model() {
                    _ if self.chat => "answered, and an empty one begins another conversation",
                    true => "continued",
                    false => "turned into its answer",
                };
                note(format_args!("Each line is {what}; end with Ctrl-D."));
            }
            let mut lines = std::io::stdin().lock().lines();
            let mut number = 0u64;
            let mut next = || {
                number += 1;
                lines.next().transpose().with_context(|| format!("standard input, line {number}"))
            };
            if self.chat {
                return writer.talk(next);
            }
            writer.write_all(if terminal { 1 } else { batch }, &mut next)
        })
    }
}

struct Writer {
    trained: Trained,
    options: Options,
    tape: Tape,
    /// The number of the next line.
    first: u64,
    scores: bool,
    /// In a chat, what every conversation begins with.
    conversation: Option<Vec<Message>>,
}

impl Writer {
    /// One conversation after the other, each line with all before it.
    fn talk(&mut self, mut next: impl FnMut() -> anyhow::Result<Option<String>>) -> anyhow::Result<()> {
        let beginning = self.conversation.take().unwrap_or_default();
        let mut messages = beginning.clone();
        while let Some(line) = next()? {
            if line.trim().is_empty() {
                messages.clone_from(&beginning);
                continue;
            }
            messages.push(Message::new("user", &line));
            let prompt = self.prompt(&messages)?;
            let mut written = self.trained.write(&mut self.tape, &[prompt], self.first, &self.options, |_, _| ())?;
            self.first += 1;
            let answer = written.pop().and_then(|mut texts| texts.drain(..).next());
            let answer = answer.map(|written| self.trained.answer(&written)).transpose()?.unwrap_or_default();
            print(format_args!("{answer}"))?;
            messages.push(Message::new("assistant", &answer));
        }
        Ok(())
    }

    fn prompt(&self, messages: &[Message]) -> anyhow::Result<Text> {
        let template = self.trained.chat.as_ref().context("there is no chat template")?;
        template.prompt(messages).map_err(|reason| anyhow::anyhow!("the chat template: {reason}"))
    }

    fn write_all(
        &mut self,
        batch: usize,
        mut next: impl FnMut() -> anyhow::Result<Option<String>>,
    ) -> anyhow::Result<()> {
        let mut lines = Vec::with_capacity(batch);
        loop {
            let line = next()?;
            let ended = line.is_none();
            lines.extend(line);
            if lines.len() == batch || (ended && !lines.is_empty()) {
                self.write(&lines)?;
                lines.clear();
            }
            if ended {
                return Ok(());
            }
        }
    }

    fn write(&mut self, lines: &[String]) -> anyhow::Result<()> {
        let prompts: Vec<Text> = match &self.conversation {
            Some(beginning) => {
                let said = |line: &String| self.prompt(&[&beginning[..], &[Message::new("user", line)]].concat());
                lines.iter().map(said).collect::<anyhow::Result<_>>()?
            }
            None => lines.iter().map(Text::from).collect(),
        };
        let written = self.trained.write(&mut self.tape, &prompts, self.first, &self.options, |_, _| ())?;
        self.first += lines.len() as u64;
        let continued = self.trained.is_language_model() && self.conversation.is_none();
        for (line, texts) in lines.iter().zip(written) {
            let prompt = if continued { line.as_str() } else { "" };
            for written in texts {
                let text = if self.conversation.is_some() { self.trained.answer(&written)? } else { written.text };
                let score = written.score;
                if self.scores {
                    print(format_args!("{score:.4}\t{prompt}{text}"))?;
                } else {
                    print(format_args!("{prompt}{text}"))?;
                }
            }
        }
        Ok(())
    }
}
