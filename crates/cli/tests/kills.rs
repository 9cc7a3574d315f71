//! A training that is killed at any moment, and gone on with, leaves the same folder as one that was never broken off.
//!
//! Four moments of each training by default; `DESCANT_KILLS=20` for twenty.

mod common;

use common::{Folder, recipes, wait};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// When a training is killed.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// When something appears in the run folder.
    Appears(&'static str),
    /// When an old checkpoint is being removed.
    Removal,
    /// After this many lines of metrics.
    Lines(usize),
    /// When `best` is of the last step, but `last` is not.
    BestIsLast,
    /// After this share of the time that a whole training takes.
    Share(f64),
}

use Moment::{Appears, BestIsLast, Lines, Removal, Share};

/// The first ones are those of every test run.
fn moments(name: &str) -> Vec<(Moment, &'static str)> {
    let few = [(Appears("recipe.toml"), "KILL"), (Lines(2), "TERM"), (Lines(5), "KILL"), (BestIsLast, "KILL")];
    let more = [
        (Appears(".starting"), "KILL"),
        (Appears("data/train"), "TERM"),
        (Appears("checkpoints/step-00000000"), "KILL"),
        (Appears("last"), "KILL"),
        (Appears("metrics.jsonl"), "KILL"),
        (Appears("best"), "KILL"),
        (Removal, "KILL"),
        (Lines(1), "HUP"),
        (Lines(3), "TERM"),
        (Lines(8), "KILL"),
    ];
    // Of each training, others.
    let mut state = name.bytes().fold(7_u64, |state, byte| state * 31 + u64::from(byte));
    let random = std::iter::from_fn(move || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        Some((Share((state >> 40) as f64 / (1 << 24) as f64), ["KILL", "TERM"][(state >> 39) as usize & 1]))
    });
    let count = std::env::var("DESCANT_KILLS").map_or(few.len(), |count| count.parse().unwrap());
    few.into_iter().chain(more).chain(random).take(count).collect()
}

/// All that a run folder holds, but times and what says nothing of the training.
fn contents(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![run.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(run).unwrap().to_str().unwrap().to_owned();
            if path.is_symlink() {
                files.insert(name, fs::read_link(&path).unwrap().to_str().unwrap().into());
            } else if path.is_dir() {
                folders.push(path);
            } else if name == "metrics.jsonl" {
                let text = fs::read_to_string(&path).unwrap();
                let line = |line: &str| {
                    let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
                    for time in ["tokens_per_s", "seconds", "data_seconds"] {
                        line.as_object_mut().unwrap().remove(time);
                    }
                    format!("{line}\n")
                };
                files.insert(name, text.lines().map(line).collect::<String>().into());
            } else if name != ".lock" {
                files.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    files
}

/// Whether a moment has come.
fn has_come(moment: Moment, run: &Path, since: Duration, whole: Duration) -> bool {
    match moment {
        Appears(name) => run.join(name).symlink_metadata().is_ok(),
        Removal => fs::read_dir(run.join("checkpoints"))
            .is_ok_and(|all| all.flatten().any(|entry| entry.file_name().to_string_lossy().ends_with(".removed"))),
        Lines(count) => fs::read(run.join("metrics.jsonl"))
            .is_ok_and(|bytes| bytes.iter().filter(|&&byte| byte == b'\n').count() >= count),
        BestIsLast => fs::read_link(run.join("best")).is_ok_and(|best| best.ends_with("step-00000060")),
        Share(share) => since >= whole.mul_f64(share),
    }
}

/// A recipe whose training is broken off again and again.
struct Kills {
    folder: Folder,
    name: &'static str,
    recipe: String,
    /// How long a whole training takes.
    whole: Duration,
    /// What it leaves.
    unbroken: BTreeMap<String, Vec<u8>>,
    killed: u32,
}

impl Kills {
    fn command(&self, threads: usize) -> Command {
        let train = ["train", &self.recipe, "--run", "broken", "--quiet", "--threads", ["1", "2", "3"][threads % 3]];
        // One that was broken off before it had a folder has nothing to go on with.
        let run = self.folder.path("broken");
        let resume = run.join("recipe.toml").exists() || run.join(".starting").exists();
        self.folder.command(&[&train[..], if resume { &["--resume"] } else { &[] }].concat())
    }

    /// Begins or goes on, up to a moment.
    fn kill(&mut self, moment: Moment, signal: &str, threads: usize) {
        let run = self.folder.path("broken");
        let mut child = self.command(threads).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let start = Instant::now();
        while child.try_wait().unwrap().is_none() && !has_come(moment, &run, start.elapsed(), self.whole) {
            std::thread::sleep(Duration::from_micros(100));
        }
        let id = child.id().to_string();
        Command::new("kill").args([&format!("-{signal}"), &id]).stderr(Stdio::null()).status().unwrap();
        self.killed += u32::from(!wait(&mut child).success());
    }

    /// Goes on to the end, and holds what is there against the unbroken training's folder.
    fn finish(&self, threads: usize, how: &str) {
        let output = self.command(threads).output().unwrap();
        assert!(output.status.success(), "{}, {how}\n{}", self.name, String::from_utf8_lossy(&output.stderr));
        let broken = contents(&self.folder.path("broken"));
        let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&self.unbroken), names(&broken), "{}, {how}", self.name);
        for (file, bytes) in &self.unbroken {
            let there = &broken[file];
            let binary = file.ends_with(".safetensors") || file.starts_with("data/");
            let [one, other] = [bytes, there].map(|bytes| String::from_utf8_lossy(if binary { &[] } else { bytes }));
            assert!(bytes == there, "{}, {how}: {file} differs\n{one}\n{other}", self.name);
        }
        fs::remove_dir_all(self.folder.path("broken")).unwrap();
    }
}

fn check(name: &'static str) {
    let folder = Folder::new();
    let recipe = recipes::prepare(&folder, name);
    let start = Instant::now();
    folder.succeed(&["train", &recipe, "--run", "unbroken", "--quiet"]);
    let (whole, unbroken) = (start.elapsed(), contents(&folder.path("unbroken")));
    let mut kills = Kills { folder, name, recipe, whole, unbroken, killed: 0 };
    let moments = moments(name);
    for (i, &(moment, signal)) in moments.iter().enumerate() {
        kills.kill(moment, signal, i);
        kills.finish(i + 1, &format!("{signal} at {moment:?}"));
    }
    // A fast machine may end before the later moments come.
    println!("{name}: {} of {} were killed before their end", kills.killed, moments.len());
    assert!(kills.killed > 0, "{name}");
    // One after the other: the latest moments last.
    for (i, &(moment, signal)) in moments.iter().enumerate() {
        kills.kill(moment, signal, i);
    }
    kills.finish(0, "killed again and again");
}

#[test]
fn a_training_that_is_lengthened_twice_is_as_one_that_was_that_long() {
    let folder = Folder::new();
    let recipe = recipes::prepare(&folder, "plateau");
    let run = |run: &str, steps: &str, more: &[&str]| {
        let steps = format!("train.steps={steps}");
        let train = ["train", &recipe, "--run", run, "--quiet", "--set", "train.patience=0", "--set", &steps];
        folder.succeed(&[&train[..], more].concat());
    };
    run("once", "50", &[]);
    run("parts", "13", &[]);
    run("parts", "27", &["--resume"]);
    run("parts", "50", &["--resume"]);
    let [once, parts] = ["once", "parts"].map(|run| contents(&folder.path(run)));
    for file in ["metrics.jsonl", "last", "best", "recipe.toml", "checkpoints/step-00000050/model.safetensors"] {
        let text = |files: &BTreeMap<String, Vec<u8>>| String::from_utf8_lossy(&files[file]).into_owned();
        assert!(once[file] == parts[file], "{file}\n{}\n{}", text(&once), text(&parts));
    }
}

#[test]
fn a_training_that_is_lengthened_by_epochs_is_as_one_that_was_that_long() {
    let folder = Folder::new();
    let recipe = recipes::prepare(&folder, "epochs");
    let text = fs::read_to_string(folder.path(&recipe)).unwrap();
    folder.write(&recipe, text.replace("steps = 1000\n", ""));
    let run = |run: &str, epochs: &str, more: &[&str]| {
        let train = ["train", &recipe, "--run", run, "--quiet", "--set", epochs];
        folder.succeed(&[&train[..], more].concat());
    };
    run("once", "train.epochs=2", &[]);
    run("parts", "train.epochs=1", &[]);
    run("parts", "train.epochs=2", &["--resume"]);
    let [once, parts] = ["once", "parts"].map(|run| contents(&folder.path(run)));
    for file in ["metrics.jsonl", "last", "best", "recipe.toml"] {
        let text = |files: &BTreeMap<String, Vec<u8>>| String::from_utf8_lossy(&files[file]).into_owned();
        assert!(once[file] == parts[file], "{file}\n{}\n{}", text(&once), text(&parts));
    }
}

macro_rules! trainings {
    ($($test:ident: $name:literal,)*) => {
        $(#[test]
        fn $test() {
            check($name);
        })*
    };
}

trainings! {
    an_lstm: "lstm",
    a_gru_with_attention: "gru-attention",
    a_transformer_language_model: "transformer-lm",
    a_transformer_encoder_decoder: "transformer",
    a_run_from_another_ones_weights: "init",
    adapters: "lora",
    a_student: "distill",
    preferences: "dpo",
    candidates_that_are_sampled: "minimum-risk",
    accumulated_batches: "accumulate",
    weights_of_examples: "weights",
    span_corruption: "span-corruption",
    guided_alignment: "guided",
    bpe_dropout: "bpe-dropout",
    unigram_sampling: "unigram-sampling",
    a_number_of_epochs: "epochs",
    a_carried_state: "carried",
    a_carried_state_and_accumulated_batches: "carried-accumulate",
    a_warm_up_of_batches_and_lengths: "warmup",
    a_warm_up_of_chunks: "warmup-chunks",
    a_carried_state_in_a_warm_up: "warmup-carried",
    a_plateau_and_patience: "plateau",
    texts_at_validations: "several-metrics",
    averaged_weights: "average",
    clipping_by_z_score: "zclip",
    schedule_free: "schedule-free",
    masks_of_sequences: "variational",
    a_deep_stack: "deep",
    tokens_of_the_model_itself: "scheduled-sampling",
    a_line_search: "lbfgs",
    factored_moments: "adafactor",
    orthogonalised_momentum: "muon",
    bf16: "bf16",
    several_kept_checkpoints: "keep",
}
