//! `descant generate`.

mod answers;
mod chat;
mod explanations;
mod grammar_field;
mod line;
mod output_file;
mod requests;
mod stream;
mod tally;
mod writer;

use crate::Threads;
use crate::constraints::{Added, Constraints, tell_terms};
use crate::control::ControlAttributes;
use crate::decoding::{Decoding, said};
use crate::json_line::Unread;
use crate::lines::is_json_lines;
use crate::report::{note, progress};
use crate::same_file::is_same_file;
use crate::weights::Weights;
use answers::{Answers, Form, Output};
use clap::{Args, ValueEnum};
use crc32fast::Hasher;
use descant_autograd::Tape;
use descant_constraints::Vocabulary;
use descant_generate::{DecodingOptions, Mode};
use descant_inference::{Explainer, LongInput, Scheduler, SourceLimit, Trained, weights_of};
use descant_kernels::{Parallelism, WeightType};
use descant_text::{Lines, Message};
use explanations::Explanations;
use grammar_field::GrammarField;
use indicatif::ProgressBar;
use output_file::{OutputFile, Written};
use requests::{Requests, count_lines};
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use tally::Tally;
use writer::{ToldOnce, Writer};

#[derive(Args)]
pub(crate) struct Generate {
    /// The run folder, or a checkpoint in it
    run: PathBuf,
    /// Sources or prompts [default: the lines of standard input]. An empty prompt of a language model starts with the BOS; an empty
    /// source or message, and an empty line of a file or a pipe, has an empty answer
    texts: Vec<String>,
    /// Read the lines of a file instead, or with - of standard input. Of a .jsonl, each is an object with "text" (or "prompt", or "source"), or of a chat
    /// "messages", and perhaps control attributes; its "id" comes back; in a chat, a "system" says what the system says. Other fields are ignored, and
    /// reported. JSON objects of a file of another name or of standard input, lines with a tab to a model of pairs, and lines of more than 65536 bytes
    /// (an object may have more) are refused
    #[arg(long, value_name = "FILE", conflicts_with = "texts")]
    input: Option<PathBuf>,
    /// Write to a file what comes of --input: to a .jsonl an object for each line (line, id, and the keys of a text that --json lists,
    /// those of the best text; n_best has all texts, the best first; or error), otherwise what would be printed. If that is broken
    /// off, the same command goes on with it
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Overwrite the file of --output, or of --svg
    #[arg(long)]
    overwrite: bool,
    /// What to do with a source of more tokens than the model has positions for, or was trained on: refuse it; split it
    /// between sentences, or cut it between words into windows, and join the texts of the parts. Of a language model's prompt
    /// that is longer than its context: refuse it, or read its end (window), and of a conversation that without its oldest turns [default: error beyond the positions; window for
    /// language models]
    #[arg(long, value_name = "HOW", value_enum)]
    long_input: Option<LongInputArg>,
    /// Generate with this model too: the probability of a token is the mean of all models'. Of any architecture, with the same
    /// tokenizers; can be given several times
    #[arg(long, value_name = "RUN")]
    ensemble: Vec<PathBuf>,
    #[command(flatten)]
    control: ControlAttributes,
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
    /// System message, before the first user message of a conversation; of the "messages" of a .jsonl, where they have none
    #[arg(long, value_name = "TEXT", conflicts_with = "no_chat")]
    system: Option<String>,
    /// Print a JSON object a line for each text (answers to a .jsonl are objects anyway, as --output says): line, rank (of samples, the order of drawing), source, text, finished,
    /// finish_reason (eos, stop_string, length, no_token; complete, of a constrained text without EOS; unmet, of one of several that no token
    /// brings to an end), score (log probability, in a beam search divided as --ranking says), log_probability, ids (of its tokens), cut (only
    /// where its source or prompt was not read whole), unknown (only where that has unknown tokens: how many); of an empty line, these are null or
    /// empty. Without it, several texts of a line stand each after its score and a tab
    #[arg(long)]
    json: bool,
    /// Print line ends within texts as they are, rather than as \n, also for the lines of a file or a pipe; not of a .jsonl, whose answers
    /// are JSON
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
    pub(crate) fn run(mut self) -> anyhow::Result<()> {
        self.check_output()?;
        if self.input.as_deref() == Some(Path::new("-")) {
            anyhow::ensure!(
                self.output.is_none(),
                "--output needs an --input that can be read again to go on, and standard input cannot. Write it to a file first"
            );
            self.input = None;
        }
        let load = |run: &PathBuf| {
            let trained = self.weights.load(run)?;
            let shown = run.display();
            anyhow::ensure!(
                trained.is_trained(),
                "{shown} has not learnt yet: its checkpoint is of step 0. Let it train for longer"
            );
            Ok(trained)
        };
        let (trained, run) = (load(&self.run)?, self.run.display());
        let others = self.ensemble.iter().map(load).collect::<Result<Vec<_>, _>>()?;
        let identity = |model: &Trained| (place(model.run()), model.step, model.checksum);
        let all = [&trained].into_iter().chain(&others).map(identity).collect::<Vec<_>>();
        if let Some(i) = (1..all.len()).find(|&i| all[..i].contains(&all[i])) {
            note(format_args!(
                "--ensemble {}: the same checkpoint is among the others already, and counts once more.",
                self.ensemble[i - 1].display()
            ));
        }
        let threads = self.threads.count();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        let mut options = self.decoding.options(&trained, Parallelism::Threads(threads))?;
        // What all of them read at once.
        options.config.context = others.iter().filter_map(Trained::context).chain(options.config.context).min();
        let control = self.control.of_all(&trained)?;
        let Added { grammar, terms, of_whole_text } = self.constraints.add(&trained, &mut options)?;
        let grammar_field = self.constraints.grammar_field().map(|name| {
            anyhow::ensure!(
                self.input.as_deref().is_some_and(is_json_lines),
                "--grammar-field {name} is a field of JSON objects: give it an --input that ends in .jsonl"
            );
            Ok(GrammarField::new(name, Vocabulary::new(&trained.tokenizers.target)?))
        });
        let grammar_field = grammar_field.transpose()?;
        anyhow::ensure!(
            options.short_list.is_none() || options.constraints.is_empty() && grammar_field.is_none(),
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
        let escapes = lines && !self.raw && !(ask && self.input.is_none());
        let long = self.long_input.map(LongInput::from);
        anyhow::ensure!(
            !(long == Some(LongInput::Split) && trained.is_language_model()),
            "--long-input split is for sources of encoder-decoders: a language model goes on with the end of its prompt"
        );
        let cuts = !trained.is_language_model() && long.is_some_and(|how| how != LongInput::Error);
        anyhow::ensure!(
            !(cuts && chat),
            "--long-input split and window are for texts: a conversation is not cut into parts. Leave it out"
        );
        if let Some(flag) = of_whole_text.filter(|_| cuts) {
            anyhow::bail!(
                "{flag} is of a whole text, and --long-input split and window write it in parts, each for itself: leave one out"
            );
        }
        anyhow::ensure!(
            !(cuts && options.config.alternatives().is_some()),
            "--return-alternatives is for the position of one text, and --long-input cuts a source into several. Leave out one of \
             them"
        );
        anyhow::ensure!(
            !self.overwrite || self.output.is_some() || self.explanations.draws(),
            "--overwrite is for the file of --output, or of --svg: name one, or leave it out"
        );
        self.explanations.check(&trained, if lines { usize::MAX } else { self.texts.len() * texts }, self.overwrite)?;
        anyhow::ensure!(
            !(self.explanations.is_asked() && (cuts || talks)),
            "--explain and --alignment are for texts that are written of one source: leave out --long-input and --chat"
        );
        anyhow::ensure!(
            !self.explanations.is_asked() || others.is_empty(),
            "--explain and --alignment are of one model: leave out --ensemble"
        );
        anyhow::ensure!(
            !self.explanations.explains() || self.output.as_deref().is_none_or(is_json_lines),
            "--explain has several lines for each text: name a file that ends in .jsonl"
        );
        let is_objects = [&self.input, &self.output].into_iter().flatten().any(|path| is_json_lines(path));
        let form = match (is_objects, self.json) {
            (true, _) => Form::Objects,
            (false, true) => Form::Texts,
            (false, false) => Form::Lines { escapes },
        };
        let streams = show
            && form == (Form::Lines { escapes: false })
            && !beam
            && candidates == 1
            && !(cuts || self.explanations.is_asked());
        // What somebody types is answered at once.
        let is_typed = ask && lines && self.input.is_none();
        let batch = if streams || is_typed { 1 } else { usize::from(self.batch) };
        let beside: Vec<&Trained> = others.iter().collect();
        let scheduler = pool
            .install(|| Scheduler::ensemble(&trained, &beside, &options, batch))
            .map_err(|error| anyhow::anyhow!("{}", said(&error)))?;
        let (mut output, mut written) = (Output::Stdout, Written::default());
        if let Some(input) = &self.input
            && let Some(path) = &self.output
        {
            // That it can be read, and read again to go on, is known before another file is touched.
            anyhow::ensure!(
                !input.exists() || input.is_file() || input.is_dir(),
                "--output needs an --input that can be read again to go on, and {} is no regular file. Write it to one first",
                input.display()
            );
            drop(Lines::open(input)?);
            let settings = self.settings(&trained, &others, &options, input)?;
            check_names(input, path)?;
            let lines = if is_objects { 1 } else { texts };
            let (file, broken_off) = OutputFile::open(path, settings, lines, self.overwrite)?;
            (output, written) = (Output::File(file), broken_off);
        }
        let is_file = matches!(output, Output::File(_));
        let (is_alone, count) = (self.texts.len() == 1, written.answers);
        let mut answers = Answers { form, texts, output, is_alone, count, tally: Tally::default() };
        written.refused.iter().for_each(|refusal| answers.tally.refuse(refusal.line, &refusal.error));
        let mut writer = Writer {
            trained: &trained,
            scheduler,
            batch,
            limit: SourceLimit::of(&[&[&trained], &beside[..]].concat()),
            options: &options,
            constraints: &self.constraints,
            grammar,
            grammar_field,
            control,
            long,
            tape: Tape::new(),
            explanations: self.explanations.clone(),
            explainer: Explainer::new(&trained),
            answers,
            bar: ProgressBar::hidden(),
            streams,
            reads_lines: lines && !self.input.as_deref().is_some_and(is_json_lines),
            conversation: chat.then_some(system),
            unread: Unread::default(),
            told: ToldOnce::default(),
        };
        let mut begun_at = None;
        let done = pool.install(|| {
            if !lines {
                return writer.answer_all(Requests::texts(&self.texts));
            }
            let Some(path) = &self.input else { return self.answer_standard_input(&mut writer, (chat, talks)) };
            let requests = Requests::file(path, written.answers)?;
            let done = requests.number();
            if written.answers > 0 {
                check_last(&written, done, is_objects)?;
                note(format_args!("The output was broken off: it goes on after line {done}."));
                begun_at = Some(done + 1);
            }
            writer.bar = progress(is_file, || count_lines(path));
            writer.answer_all(requests)
        });
        writer.bar.finish_and_clear();
        let Answers { tally, .. } = &writer.answers;
        tally.tell(&trained, &options);
        writer.grammar_field.iter().for_each(GrammarField::tell);
        writer.unread.tell();
        done?;
        // What an earlier command has answered is not counted.
        if begun_at.is_none() || writer.answers.count > written.answers {
            terms.iter().for_each(|terms| tell_terms(terms, begun_at));
        }
        writer.answers.finish()?;
        writer.answers.tally.check()
    }

    /// That --output has lines of a file to answer, and in which form is said once.
    fn check_output(&self) -> anyhow::Result<()> {
        let Some(output) = &self.output else { return Ok(()) };
        let shown = output.display();
        anyhow::ensure!(
            self.input.is_some(),
            "--output {shown} is for the lines of a file, with which it can go on: name one by --input, or let the shell write what is \
             printed, by > {shown}"
        );
        let objects = if is_json_lines(output) { "" } else { ", and name a file that ends in .jsonl" };
        anyhow::ensure!(
            !self.json,
            "--output {shown} --json: a file has JSON objects where its name ends in .jsonl. Leave out --json{objects}"
        );
        anyhow::ensure!(
            !self.raw,
            "--output {shown} --raw: in a file, each text has one line. Leave out --raw; a file that ends in .jsonl has the exact texts"
        );
        Ok(())
    }

    /// Lines of standard input: a conversation, or each by itself.
    fn answer_standard_input(&self, writer: &mut Writer<'_>, (chat, talks): (bool, bool)) -> anyhow::Result<()> {
        let ask = std::io::stdin().is_terminal();
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
            true => writer.talk(ask, Lines::standard_input()),
            false => writer.answer_all(Requests::standard_input(ask)?),
        }
    }

    /// What a file of `--output` is made of.
    fn settings(
        &self,
        trained: &Trained,
        others: &[Trained],
        options: &DecodingOptions,
        input: &Path,
    ) -> anyhow::Result<Map<String, Value>> {
        let settings = json!({
            "run": place(&self.run),
            "step": trained.step,
            "checksum": trained.checksum,
            "ensemble": others.iter().map(|other| json!([place(other.run()), other.step, other.checksum])).collect::<Value>(),
            "input": place(input),
            "checksum of the input": checksum(input)?,
            "weights": weights_of(&trained.parameters).map(WeightType::name),
            "options": options.config.to_map(),
            "checksum of the short list": self.decoding.short_list().map(checksum).transpose()?,
            "steering": self
                .decoding
                .steering(trained.run())
                .map(|(label, file)| anyhow::Ok(json!([label, checksum(&file)?])))
                .transpose()?,
            "chat": self.chat,
            "no_chat": self.no_chat,
            "system": self.system,
            "explanations": self.explanations.settings(),
            "control": self.control.control,
            "constraints": self.constraints.settings()?,
            "long_input": self.long_input.and_then(|how| how.to_possible_value()).map(|how| how.get_name().to_owned()),
        });
        match settings {
            Value::Object(settings) => Ok(settings),
            _ => Ok(Map::new()),
        }
    }
}

/// Where a path leads to.
fn place(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
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
    let shown = output.display();
    anyhow::ensure!(!is_same_file(input, output), "--output {shown}: this is the input. Name another file");
    let name = output.to_string_lossy().to_lowercase();
    anyhow::ensure!(
        ![".gz", ".zst"].iter().any(|ending| name.ends_with(ending)),
        "--output {shown}: it is not compressed. Leave out the ending, and compress it when it is complete"
    );
    anyhow::ensure!(
        is_json_lines(output) || !is_json_lines(input),
        "--output {shown}: an input of JSON objects is answered by such. Name a file that ends in .jsonl, or leave --output \
         out: they are printed then"
    );
    Ok(())
}

/// That the last object of a broken off file answers the line that it should.
fn check_last(written: &Written, line: u64, is_objects: bool) -> anyhow::Result<()> {
    let last = || serde_json::from_str::<Value>(&written.last).ok()?.get("line")?.as_u64();
    anyhow::ensure!(
        !is_objects || last() == Some(line),
        "the last line of the broken off output is damaged. Remove it, or start anew with --overwrite"
    );
    Ok(())
}
