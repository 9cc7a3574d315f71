//! `descant generate`.

mod chat;
mod stream;
mod writer;

use crate::Threads;
use crate::decoding::Decoding;
use crate::report::note;
use clap::Args;
use descant_autograd::Tape;
use descant_generate::Mode;
use descant_inference::Trained;
use descant_kernels::Parallelism;
use descant_text::{Lines, Message, TextError};
use std::io::IsTerminal;
use std::path::PathBuf;
use writer::{Tally, Writer};

#[derive(Args)]
pub(crate) struct Generate {
    /// The run folder, or a checkpoint in it
    run: PathBuf,
    /// Sources or prompts [default: the lines of standard input]
    texts: Vec<String>,
    /// Read the lines of a file instead
    #[arg(long, value_name = "FILE", conflicts_with = "texts")]
    input: Option<PathBuf>,
    #[command(flatten)]
    decoding: Decoding,
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
    /// Print a JSON object a line for each text: line, rank, source, text, finished, score (log probability, in a beam
    /// search divided as --ranking says), tokens. Without it, several texts of a line stand each after its score and a tab
    #[arg(long)]
    json: bool,
    /// Print line ends within texts as they are, rather than as \n, also for the lines of a file or a pipe
    #[arg(long, conflicts_with = "json")]
    raw: bool,
    /// Batch size: number of lines decoded together. With 1, each line is answered immediately
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
    #[command(flatten)]
    threads: Threads,
}

impl Generate {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let trained = Trained::load(&self.run)?;
        let run = self.run.display();
        anyhow::ensure!(
            trained.is_trained(),
            "{run} has not learnt yet: its checkpoint is of step 0. Let it train for longer"
        );
        let threads = self.threads.count();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        let options = self.decoding.options(&trained, Parallelism::Threads(threads))?;
        let (beam, texts) = (options.config.mode() == Mode::Beam, options.config.num_return_sequences());
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
        let mut writer = Writer {
            options,
            tape: Tape::new(),
            number: 0,
            scores: texts > 1,
            json: self.json,
            escape,
            streams: show && !escape && !self.json && !beam && texts == 1,
            empty_lines: lines,
            conversation: chat.then_some(system),
            tally: Tally::default(),
            trained,
        };
        let batch = if writer.streams { 1 } else { usize::from(self.batch) };
        let written = pool.install(|| {
            if !lines {
                return self.texts.chunks(batch).try_for_each(|lines| writer.write(lines));
            }
            if let Some(path) = &self.input {
                return writer.write_all(batch, lines_of(Lines::open(path)?));
            }
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
        });
        writer.tally.tell(&writer.trained, &writer.options);
        written
    }
}

/// The lines of a reader; there may be none.
fn lines_of(mut lines: Lines) -> impl FnMut() -> anyhow::Result<Option<String>> {
    move || match lines.read() {
        Err(TextError::Empty { .. }) => Ok(None),
        line => Ok(line?),
    }
}
