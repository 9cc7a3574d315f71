//! Full-batch L-BFGS: that it learns, that it is the same when lengthened, and what it is refused with.

mod common;

use common::{Folder, recipes};
use serde_json::Value;
use std::fs;

/// The losses of all steps.
fn losses(folder: &Folder, run: &str) -> Vec<f64> {
    let metrics = fs::read_to_string(folder.path(run).join("metrics.jsonl")).unwrap();
    let lines = metrics.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["event"] == "train").map(|line| line["loss"].as_f64().unwrap()).collect()
}

fn train<'a>(recipe: &'a str, run: &'a str, settings: &[&'a str]) -> Vec<&'a str> {
    let base = ["train", recipe, "--run", run, "--quiet"];
    base.into_iter().chain(settings.iter().flat_map(|setting| ["--set", *setting])).collect()
}

#[test]
fn the_loss_of_the_whole_text_falls_at_each_step() {
    let folder = Folder::new();
    let recipe = recipes::prepare(&folder, "lbfgs");
    let settings = ["train.log_every=1", "train.steps=40"];
    folder.succeed(&train(&recipe, "run", &settings));
    let found = losses(&folder, "run");
    assert_eq!(found.len(), 40);
    // In f32, the sums of the loss have an error of their own.
    assert!(found.windows(2).all(|two| two[1] <= two[0] + 1e-6), "{found:?}");
    assert!(found[39] < 0.7 * found[0], "{found:?}");
    // The same in parts.
    folder.succeed(&train(&recipe, "parts", &["train.log_every=1", "train.steps=9"]));
    folder.succeed(&[&train(&recipe, "parts", &settings)[..], &["--resume", "--threads", "3"]].concat());
    assert!(folder.weights("run") == folder.weights("parts"));
    assert_eq!(found, losses(&folder, "parts"));
    // A step is an epoch.
    folder.succeed(&train(&recipe, "epochs", &["train.log_every=1", "train.steps=100", "train.epochs=9"]));
    assert_eq!(losses(&folder, "epochs"), found[..9]);
}

#[test]
fn what_makes_evaluations_differ_is_refused() {
    let folder = Folder::new();
    let recipe = recipes::prepare(&folder, "lbfgs");
    for (setting, parts) in [
        ("train.clip={norm=1.0}", ["train.clip with", "train.clip = \"none\""]),
        ("train.accumulate=2", ["train.accumulate with", "the whole text"]),
        ("train.scheduled_sampling=0.1", ["train.scheduled_sampling with", "the same model"]),
        ("train.batch_warmup=9", ["train.batch_warmup with", "the whole text"]),
        ("train.carry_state=true", ["train.carry_state with", "Leave it out"]),
        ("train.average=0.9", ["train.average with", "Leave it out"]),
        ("train.precision=bf16", ["train.precision with", "f32"]),
        ("model.dropout=0.1", ["dropout in [model] with", "the same model"]),
        ("model.recurrent_dropout=0.1", ["dropout in [model] with", "the same model"]),
        ("optimizer.history_size=0", ["optimizer.history_size = 0", "from 1"]),
        ("optimizer.weight_decay=0.1", ["optimizer.weight_decay = 0.1", "expected 0"]),
        ("finetune.rates={ \"*embedding*\" = 0.5 }", ["finetune.rates with", "one direction"]),
    ] {
        folder.fail(&train(&recipe, "run", &[setting]), &parts);
        assert!(!folder.path("run").exists(), "{setting}");
    }
    folder.fail(&["lr-find", &recipe], &["lbfgs", "train.learning_rate = 1.0 is right"]);
}
