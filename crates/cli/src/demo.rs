use crate::report::{duration, note, print};
use crate::shell::command;
use crate::train::watch;
use crate::{Threads, recipes, signals};
use clap::Args;
use descant_generate::GenerationConfig;
use descant_inference::{Control, Recipe, RunFolder, Trained};
use descant_kernels::Parallelism;
use descant_spoken::{Generator, Language, Part};
use descant_text::plural;
use descant_train::{Evaluator, Outcome, Prediction, TextScores, Trainer};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

#[derive(Args)]
pub(crate) struct Demo {
    /// The folder to write to; a previous demo's run is overwritten
    #[arg(long, value_name = "DIR", default_value = "runs/demo")]
    run: PathBuf,
    /// A smoke test: train for a few seconds only, too short for useful output
    #[arg(long)]
    small: bool,
    #[command(flatten)]
    threads: Threads,
}

impl Default for Demo {
    fn default() -> Self {
        Self { run: PathBuf::from("runs/demo"), small: false, threads: Threads { threads: None } }
    }
}

const TRAIN: &str = "spoken-train.tsv";
const VALIDATION: &str = "spoken-validation.tsv";
const TEST: &str = "spoken-test.tsv";
/// Sentences of each file. Those of the last two have no number that the first has.
const SENTENCES: [(&str, Part, usize); 3] =
    [(TRAIN, Part::Train, 200_000), (VALIDATION, Part::HeldOut, 500), (TEST, Part::HeldOut, 2000)];
const SAMPLES: usize = 10;
impl Demo {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let start = Instant::now();
        let folder = &self.run;
        anyhow::ensure!(
            is_empty(folder) || folder.join(TRAIN).exists(),
            "{} exists and is not an earlier demo's. Choose another folder with --run",
            folder.display()
        );
        print("Spoken forms: how one says what is written, in English and Chinese.")?;
        let run = RunFolder::take(folder)?;
        run.clear()?;
        for ((name, part, count), seed) in SENTENCES.into_iter().zip(1..) {
            let count = if self.small { count / 20 } else { count };
            write_pairs(&folder.join(name), part, seed, count)?;
        }
        print(format_args!(
            "Wrote {} sentences to learn from, in {}.",
            SENTENCES[0].2 / if self.small { 20 } else { 1 },
            folder.display()
        ))?;
        let mut settings = Vec::new();
        for (key, name) in [("data.train", TRAIN), ("data.validation", VALIDATION)] {
            settings.push(format!("{key}={}", folder.join(name).display()));
        }
        if self.small {
            settings.extend(["train.steps=60", "train.validate_every=30", "schedule.warmup=20"].map(str::to_owned));
        }
        let recipe = Recipe::parse(recipes::DEMO, &settings).map_err(anyhow::Error::msg)?;
        let threads = self.threads.count();
        let mut trainer = Trainer::new_in(recipe, run, threads)?;
        print(format_args!(
            "Training {} parameters on {}:",
            trainer.parameters().count(),
            plural(threads as u64, "thread")
        ))?;
        let (outcome, _) = watch(&mut trainer, false)?;
        if outcome == Outcome::Stopped {
            let again = command(&["train".into(), folder.to_string_lossy(), "--resume".into()]);
            note(format_args!("Stopped; everything is saved. Go on with:\n  {again}"));
            signals::exit();
        }
        print(format_args!(
            "Trained {} steps, {} so far.",
            trainer.steps_done(),
            duration(start.elapsed().as_secs_f64())
        ))?;
        drop(trainer);
        show(folder, threads)?;
        if self.small {
            print(
                "--small only shows that everything works: 60 steps teach nothing. Without it, most sentences are right.",
            )?;
        }
        print(format_args!("{} in all. Try your own sentence:", duration(start.elapsed().as_secs_f64())))?;
        let own = |text: &str| command(&["generate".into(), folder.to_string_lossy(), text.into()]);
        print(format_args!("  {}", own("The train leaves at 9:05 and costs $27.40.")))?;
        print("A text without a Chinese character is taken for English; one that begins with <zh> is Chinese:")?;
        print(format_args!("  {}", own("<zh> 2026.11.25")))?;
        Ok(())
    }
}

/// Whether nothing is in a folder but what a process left that took it and ended at once.
fn is_empty(folder: &Path) -> bool {
    let hidden = |entry: fs::DirEntry| entry.file_name().to_string_lossy().starts_with('.');
    !folder.exists() || fs::read_dir(folder).is_ok_and(|entries| entries.flatten().all(hidden))
}

/// The exact match on the test sentences, and some of them.
fn show(folder: &Path, threads: usize) -> anyhow::Result<()> {
    let trained = Trained::load(folder)?;
    let options = trained.options(&GenerationConfig::greedy(), Parallelism::Serial)?;
    let answers =
        Evaluator::new(&trained, &[folder.join(TEST)], &Control::new(), None, threads)?.predictions(&options, false)?;
    let (english, chinese): (Vec<Prediction>, Vec<Prediction>) =
        answers.into_iter().partition(|answer| Language::of(&answer.source) == Language::English);
    let percent = |answers: &[Prediction]| {
        100.0 * TextScores::of(answers, &["exact_match"]).get("exact_match").unwrap_or_default()
    };
    let all: Vec<Prediction> = english.iter().chain(&chinese).cloned().collect();
    print(format_args!("\nOn {} sentences none of whose numbers were in training:", all.len()))?;
    print(format_args!(
        "  exact match {:.1} % (English {:.1} %, Chinese {:.1} %)\n",
        percent(&all),
        percent(&english),
        percent(&chinese)
    ))?;
    let spread = |answers: &[Prediction]| -> Vec<Prediction> {
        let step = (answers.len() / (SAMPLES / 2)).max(1);
        answers.iter().skip(step / 2).step_by(step).take(SAMPLES / 2).cloned().collect()
    };
    for Prediction { source, text, references, .. } in [spread(&english), spread(&chinese)].concat() {
        let mark = if references.contains(&text) { "right" } else { "WRONG" };
        print(format_args!("  {source}\n    {mark}: {text}"))?;
    }
    print("")?;
    Ok(())
}

fn write_pairs(path: &Path, part: Part, seed: u64, count: usize) -> anyhow::Result<()> {
    let write = || -> std::io::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        for example in Generator::new(seed, part).take(count) {
            writeln!(file, "{}\t{}", example.written, example.spoken)?;
        }
        file.flush()
    };
    write().map_err(|error| failed("write", path, &error))
}

fn failed(what: &str, path: &Path, error: &std::io::Error) -> anyhow::Error {
    anyhow::anyhow!("could not {what} {}: {error}{}", path.display(), descant_text::remedy(error))
}
