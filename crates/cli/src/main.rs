//! The binary, command by command.

mod average;
mod bench;
mod classifier;
mod compare;
mod constraints;
mod control;
mod decoding;
mod decoding_page;
mod demo;
mod dialogue;
mod doctor;
mod eval;
mod explain;
mod export;
mod generate;
mod gradcheck;
mod import;
mod init;
mod json_line;
mod lines;
mod lr_find;
mod memory;
mod place;
mod quantize;
mod recipe_args;
mod recipes;
mod report;
mod runs;
mod same_file;
mod schema;
mod score;
mod shell;
mod short_list;
mod show;
mod signals;
mod sweep;
mod table;
mod text_list;
mod tokenize;
mod train;
mod weights;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use signal_hook::consts::SIGXFSZ;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Trains, evaluates and runs text generators on the CPU.
#[derive(Parser)]
#[command(name = "descant", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Train a small generator in two to three minutes and show it at work (the default without any command)
    Demo(demo::Demo),
    /// Print a starter recipe, or write it to a file
    Init(init::Init),
    /// Explain the keys of recipes: all in brief, sections, or single keys
    #[command(visible_alias = "recipe")]
    Explain(explain::Explain),
    /// Print the JSON schema of recipes, by which editors complete and check them
    ///
    /// For editors with taplo, such as Even Better TOML: save it by `descant schema > recipe.schema.json`, and begin a
    /// recipe beside it with the line `#:schema ./recipe.schema.json`.
    Schema(schema::Schema),
    /// Check a training before it is begun: its texts, its model, what it takes; exit status 1 where something is wrong
    ///
    /// Reads the texts as training does, and looks for what harms it: lines that cannot be read or do not belong together,
    /// duplicates, overlap of the texts to learn from with those to measure on, tokens that the vocabulary does not have, and
    /// more. Then it begins the training in a temporary folder, for a few steps: the time and memory that it takes, the first
    /// loss, whether a few sequences are memorised and the decoder reads their sources, and a gradient check of a small model
    /// of the same kind. Each finding has a remedy. The exit status is 1 where one is a warning or an error, else 0.
    Doctor(doctor::Doctor),
    /// Find a learning rate for a recipe: the range test, in which the rate grows from step to step
    ///
    /// Begins the training in a temporary folder, with a rate that grows exponentially from step to step in place of the
    /// recipe's schedule, until the loss is four times its lowest or the range is at its end (Smith 2017). Where the lowest is near
    /// 0 or negative, as that of continuous outputs may be, the loss has to be above the first by as much as it had fallen. No run is
    /// left. It shows the curve of the loss, smoothed, and suggests the smaller of the rate at which the loss falls the steepest and a
    /// tenth of the rate at which it is the lowest. The recipe's schedule, with its warm-up, is a factor of that rate.
    LrFind(lr_find::LrFind),
    /// Train the model of a recipe
    Train(train::Train),
    /// Train a recipe with different values of some keys: all combinations, some at random, or by successive halving
    ///
    /// Each combination is a run of its own in the folder --runs, under the name of its values; it can be gone on with, compared and
    /// generated with as any other. The same command again goes on where it was broken off: what is trained is not trained again. A run
    /// that diverges or cannot begin is in the table with its error, and the others go on. By successive halving, N runs take about
    /// 1 + log2(N) / 2 times the steps of one, rather than N times; what is eliminated keeps its checkpoint.
    Sweep(sweep::Sweep),
    /// Generate text with a trained model: from texts given, or line by line from standard input
    Generate(Box<generate::Generate>),
    /// Score given texts with a trained model, token by token: log probability, rank, entropy
    Score(score::Score),
    /// Evaluate a trained model: loss, perplexity, token accuracy, and metrics of generated texts such as exact match
    Eval(eval::Eval),
    /// Compare what two models generate for the same texts: metrics, and whether their difference may be chance
    Compare(compare::Compare),
    /// Import a model as a run: a Hugging Face folder or hf:OWNER/NAME, a .gguf file of llama.cpp, a folder of
    /// CTranslate2, or PyTorch's tensors
    Import(import::Import),
    /// Describe a model or a run: architecture, sizes, tokenizer, export formats
    Show(show::Show),
    /// List runs: state, steps, best validation, parameters, time; what is broken, and why
    Runs(runs::Runs),
    /// Tokenize texts, with the tokenizer of a run or of a model to import
    Tokenize(tokenize::Tokenize),
    /// Export a trained model: as a Hugging Face folder, for PyTorch, or as GGUF for llama.cpp
    Export(export::Export),
    /// Store the weights of a trained model in reduced precision (bfloat16, int8, 4-bit), as a run for inference
    Quantize(quantize::Quantize),
    /// Average the weights of the last or best checkpoints of a run, or of several runs, into a new run
    ///
    /// The mean of checkpoints near the end of a training is often better than each of them, as are means of runs that went on from one
    /// model (init) with other seeds or settings. The runs must have the same architecture and tokenizers. A training keeps the best
    /// and the last checkpoint, and with train.keep more of the newest.
    Average(average::Average),
    /// Learn a vocabulary short list for an encoder-decoder: the tokens that may translate each token of a source
    ShortList(short_list::ShortList),
    /// Learn a classifier of texts by a model's hidden states, for attribute steering (generate --steer)
    Classifier(classifier::Classifier),
    /// Gradient check: compare the gradients of a recipe's model with central differences
    Gradcheck(gradcheck::Gradcheck),
    /// Benchmark the training of a recipe
    Bench(bench::Bench),
    /// Render chat templates and try tokenizers that come from elsewhere: run by the program itself
    #[command(hide = true)]
    Sandbox,
    /// Print the completion script of a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// How many threads to use.
#[derive(Args, Default)]
struct Threads {
    /// Threads to use [default: the number of cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

impl Threads {
    fn count(&self) -> usize {
        self.threads.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from)
    }

    /// Runs on these threads.
    fn install<T: Send>(&self, run: impl FnOnce() -> anyhow::Result<T> + Send) -> anyhow::Result<T> {
        rayon::ThreadPoolBuilder::new().num_threads(self.count()).build()?.install(run)
    }
}

fn main() -> ExitCode {
    descant_text::sandbox(this_program(), "sandbox");
    // A file that may not grow is an error of its writing, which says so.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::default());
    // There is no other one to be in its way.
    let _ = log::set_logger(&report::Notes);
    log::set_max_level(log::LevelFilter::Info);
    let command = parse().command.unwrap_or_else(|| Command::Demo(demo::Demo::default()));
    let result = match command {
        Command::Demo(demo) => demo.run(),
        Command::Init(init) => init.run(),
        Command::Explain(explain) => explain.run(),
        Command::Schema(schema) => schema.run(),
        Command::Doctor(doctor) => doctor.run(),
        Command::LrFind(lr_find) => lr_find.run(),
        Command::Train(train) => train.run(),
        Command::Sweep(sweep) => sweep.run(),
        Command::Generate(generate) => generate.run(),
        Command::Score(score) => score.run(),
        Command::Eval(eval) => eval.run(),
        Command::Compare(compare) => compare.run(),
        Command::Import(import) => import.run(),
        Command::Show(show) => show.run(),
        Command::Runs(runs) => runs.run(),
        Command::Tokenize(tokenize) => tokenize.run(),
        Command::Export(export) => export.run(),
        Command::Quantize(quantize) => quantize.run(),
        Command::Average(average) => average.run(),
        Command::ShortList(short_list) => short_list.run(),
        Command::Classifier(classifier) => classifier.run(),
        Command::Gradcheck(gradcheck) => gradcheck.run(),
        Command::Bench(bench) => bench.run(),
        Command::Sandbox => descant_text::serve_sandbox().map_err(Into::into),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "descant", &mut script);
            report::print(String::from_utf8_lossy(&script))
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads what is written has seen enough, such as `head`.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            report::note(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// This file: on Linux also when it was replaced or removed meanwhile.
fn this_program() -> PathBuf {
    let linux = PathBuf::from("/proc/self/exe");
    if linux.exists() { linux } else { std::env::current_exe().unwrap_or_default() }
}

/// The command line. For an option in the spelling of a recipe's key, the tip is its flag; for a recipe's key, where the command reads a
/// recipe, it is --set. Tips that are wrong more often than right are left out.
fn parse() -> Cli {
    let words = decoding::joined(std::env::args_os());
    Cli::try_parse_from(&words).unwrap_or_else(|mut error| {
        let unknown = match error.get(ContextKind::InvalidArg) {
            Some(ContextValue::String(name)) if error.kind() == ErrorKind::UnknownArgument => Some(name.clone()),
            _ => None,
        };
        if let Some(name) = unknown {
            let name = name.trim_start_matches('-').replace('-', "_");
            error.remove(ContextKind::Suggested);
            let root = Cli::command();
            let command = words.iter().skip(1).find_map(|word| root.find_subcommand(word));
            let flag = name.replace('_', "-");
            let has = |flag: &str| command.is_some_and(|command| has_flag(command, flag));
            // What measures a run reads no recipe.
            let reads_recipe = has("set") && !words.iter().any(|word| word == "--generate");
            let keys = || descant_inference::keys::all().filter(|key| reads_recipe && key.parts().1 == name);
            let key = keys().find(|key| key.parts().0 == "train").or(keys().next()).map(|key| key.name);
            if has(&flag) {
                error.insert(ContextKind::SuggestedArg, ContextValue::String(format!("--{flag}")));
            } else if let Some(key) = key {
                error.remove(ContextKind::SuggestedArg);
                let tip = format!("a recipe's key is set by --set {key}=VALUE").into();
                error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip]));
            } else if name.len() <= SHORT {
                error.remove(ContextKind::SuggestedArg);
                // Which shows the flag of the tip.
                error.remove(ContextKind::Usage);
            }
        }
        error.exit()
    })
}

/// Characters of a name that is near to too many others for a tip, such as set to steer.
const SHORT: usize = 3;

/// Whether a command has a flag of this name.
fn has_flag(command: &clap::Command, flag: &str) -> bool {
    let is_it = |name: &str| name == flag;
    command.get_arguments().any(|argument| {
        let aliases = argument.get_all_aliases().unwrap_or_default();
        argument.get_long().is_some_and(is_it) || aliases.into_iter().any(is_it)
    })
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    kind == Some(std::io::ErrorKind::BrokenPipe)
}
