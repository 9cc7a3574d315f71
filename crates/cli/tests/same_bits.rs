//! The same weights, bit for bit, on any number of threads; and after an interrupt.

mod common;

use common::{Folder, recipes};
use std::process::{Command, Stdio};
use std::time::Duration;

const RECIPES: &[&str] = &[
    "lstm",
    "gru-attention",
    "transformer-lm",
    "transformer",
    "init",
    "lora",
    "distill",
    "dpo",
    "dpo-lora",
    "minimum-risk",
    "accumulate",
    "weights",
    "span-corruption",
    "bpe-dropout",
    "unigram-sampling",
    "guided",
    "epochs",
    "carried",
    "carried-accumulate",
    "warmup",
    "warmup-chunks",
    "warmup-carried",
    "plateau",
    "several-metrics",
    "average",
    "zclip",
    "lamb",
    "lbfgs",
    "variational",
    "deep",
    "scheduled-sampling",
    "adafactor",
    "muon",
    "schedule-free",
    "bf16",
];

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    for name in RECIPES {
        let folder = Folder::new();
        let recipe = recipes::prepare(&folder, name);
        let runs = ["1", "2", "4"].map(|threads| {
            folder.succeed(&["train", &recipe, "--run", threads, "--quiet", "--threads", threads]);
            folder.weights(threads)
        });
        assert!(runs[0] == runs[1] && runs[0] == runs[2], "{name}");
    }
}

#[test]
fn bf16_is_computed_in_bf16() {
    let folder = Folder::new();
    let recipe = recipes::prepare(&folder, "bf16");
    folder.succeed(&["train", &recipe, "--run", "bf16", "--quiet"]);
    folder.succeed(&["train", &recipe, "--run", "f32", "--quiet", "--set", "train.precision=f32"]);
    assert!(folder.weights("bf16") != folder.weights("f32"));
}

#[test]
fn a_signal_saves_and_says_how_to_go_on() {
    let folder = Folder::new();
    folder.train("lm.toml", "unbroken", 3000);
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let train = ["train", "lm.toml", "--run", signal, "--set", "train.steps=3000"];
        let child = folder.command(&train).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let metrics = folder.path(signal).join("metrics.jsonl");
        while !std::fs::metadata(&metrics).is_ok_and(|metrics| metrics.len() > 0) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let kill = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().unwrap();
        let output = child.wait_with_output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(kill.success());
        assert_eq!(output.status.code(), Some(code), "{error}");
        assert!(
            error.contains("everything is saved") && error.contains(&format!("--run {signal} --resume")),
            "{error}"
        );
        folder.succeed(&[&train[..], &["--resume", "--quiet"]].concat());
        assert!(folder.weights("unbroken") == folder.weights(signal));
    }
}

#[test]
fn a_training_outlives_its_terminal_where_it_is_told_to() {
    let folder = Folder::new();
    let train = ["train", "lm.toml", "--run", "run", "--quiet", "--set", "train.steps=1000"];
    let mut nohup = Command::new("nohup");
    let binary = folder.command(&train);
    nohup.arg(binary.get_program()).args(binary.get_args()).current_dir(folder.path(""));
    let mut child = nohup.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !std::fs::metadata(folder.path("run/metrics.jsonl")).is_ok_and(|metrics| metrics.len() > 0) {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(Command::new("kill").args(["-HUP", &child.id().to_string()]).status().unwrap().success());
    assert!(common::wait(&mut child).success());
}
