//! `descant lr-find`: the range test is a training whose rate grows, and leaves nothing behind.

mod common;

use common::Folder;
use serde_json::Value;
use std::fs;

fn find(folder: &Folder, more: &[&str]) -> Value {
    serde_json::from_str(&folder.succeed(&[&["lr-find", "lm.toml", "--json"], more].concat())).unwrap()
}

fn numbers(found: &Value, key: &str) -> Vec<f64> {
    found["points"].as_array().unwrap().iter().map(|point| point[key].as_f64().unwrap()).collect()
}

/// The losses of a training's lines of metrics.
fn losses(folder: &Folder, run: &str) -> Vec<f64> {
    let metrics = fs::read_to_string(folder.path(run).join("metrics.jsonl")).unwrap();
    let lines = metrics.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["event"] == "train").map(|line| line["loss"].as_f64().unwrap()).collect()
}

#[test]
fn a_curve_tells_a_rate_that_learns() {
    let folder = Folder::new();
    let found = find(&folder, &[]);
    let rates = numbers(&found, "learning_rate");
    let growth = 1e8_f64.powf(1.0 / 199.0);
    for (i, pair) in rates.windows(2).enumerate() {
        assert!((pair[1] / pair[0] - growth).abs() < 1e-9, "{i}: {pair:?}");
    }
    assert_eq!(rates[0], 1e-7);
    let [steepest, minimum, suggestion] =
        ["steepest", "minimum", "suggestion"].map(|key| found[key].as_f64().expect(key));
    assert!(steepest < minimum && suggestion <= steepest * 1.05 && suggestion <= minimum * 0.105, "{found}");
    // A training at that rate learns more than at a hundredth of it, and one at a hundred times of it.
    let learned = [0.01, 1.0, 100.0].map(|factor| {
        let rate = format!("train.learning_rate={:e}", factor * suggestion);
        let run = format!("run{factor}");
        folder.succeed(&["train", "lm.toml", "--run", &run, "--quiet", "--set", &rate, "--set", "train.steps=100"]);
        *losses(&folder, &run).last().unwrap()
    });
    assert!(learned[1] < learned[0] && learned[1] < learned[2], "{learned:?} at {suggestion}");
    let shown = folder.succeed(&["lr-find", "lm.toml"]);
    assert!(shown.contains('•') && shown.contains("1e-7"), "{shown}");
    assert!(shown.contains(&format!("Suggestion: train.learning_rate = {suggestion:e} (")), "{shown}");
}

#[test]
fn its_steps_are_those_of_a_training() {
    let folder = Folder::new();
    let found = find(&folder, &["--from", "1e-3", "--to", "2e-3", "--steps", "20"]);
    // At the first rate, up to the step that shows it.
    let train = ["train", "lm.toml", "--run", "run", "--quiet", "--set", "train.learning_rate=1e-3"];
    folder.succeed(&[&train[..], &["--set", "train.steps=2", "--set", "train.log_every=1"]].concat());
    assert_eq!(numbers(&found, "loss")[..2], losses(&folder, "run")[..]);
    // The same bits on any number of threads, whatever the schedule.
    let schedule = ["--set", "schedule={kind='cosine', warmup=10}", "--threads", "1"];
    let same = find(&folder, &[&["--from", "1e-3", "--to", "2e-3", "--steps", "20"], &schedule[..]].concat());
    assert_eq!(found, same);
    assert_eq!(found["end"], "complete");
    assert!(found["minimum"].is_null(), "it still falls: {found}");
}

#[test]
fn it_leaves_nothing_behind_and_starts_from_init() {
    let folder = Folder::new();
    folder.train("lm.toml", "base", 150);
    let base = folder.weights("base");
    let data = "[data]\ntrain = \"text.txt\"\nstream = true\n[train]\nbatch_sentences = 8\nlength = 20\nshares = 1\n";
    folder.write("further.toml", format!("init = \"base\"\n{data}"));
    let temporary = folder.path("temporary");
    fs::create_dir(&temporary).unwrap();
    let mut names: Vec<_> = fs::read_dir(folder.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let first = |recipe: &str| {
        let mut command = folder.command(&["lr-find", recipe, "--json", "--steps", "20"]);
        let output = command.env("TMPDIR", &temporary).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        numbers(&serde_json::from_slice(&output.stdout).unwrap(), "loss")[0]
    };
    let [fresh, further] = ["lm.toml", "further.toml"].map(first);
    assert!(further < fresh - 0.5, "{further} {fresh}");
    // A run stands for its own recipe, from the start.
    assert_eq!(first("base"), fresh);
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0);
    let mut after: Vec<_> = fs::read_dir(folder.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    after.sort();
    assert_eq!(names, after);
    assert!(folder.weights("base") == base);
}

#[test]
fn a_loss_that_rises_or_is_not_finite_ends_it() {
    let folder = Folder::new();
    let risen = find(&folder, &["--to", "1e4", "--set", "train.clip='none'"]);
    assert_eq!(risen["end"], "risen");
    let losses = numbers(&risen, "loss");
    let lowest = losses.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = losses[losses.len() - 5..].iter().copied().fold(0.0, f64::max);
    // To four times the lowest.
    assert!(losses.len() < 200 && highest > 4.0 * lowest, "{losses:?}");
    let infinite = find(&folder, &["--from", "1e30", "--to", "1e38", "--steps", "20"]);
    assert!(["not-finite", "risen"].contains(&infinite["end"].as_str().unwrap()), "{infinite}");
    assert!(infinite["suggestion"].is_null(), "{infinite}");
    // At such rates nothing is learned.
    let shown = folder.succeed(&["lr-find", "lm.toml", "--from", "1e-12", "--to", "1e-10", "--steps", "40"]);
    assert!(shown.contains("No suggestion") && shown.contains("--from"), "{shown}");
}

#[test]
fn a_loss_below_zero_ends_it_above_its_first_value() {
    let folder = Folder::new();
    // Of many dimensions the loss is negative.
    let loss = ["--set", "loss={kind='embedding',measure='vmf'}", "--set", "model.embedding=32"];
    let found = find(&folder, &[&loss[..], &["--set", "train.clip='none'", "--to", "1e4"]].concat());
    assert_eq!(found["end"], "risen");
    let smoothed = numbers(&found, "smoothed");
    let (first, last) = (smoothed[0], smoothed[smoothed.len() - 1]);
    let lowest = smoothed.iter().copied().fold(f64::INFINITY, f64::min);
    assert!(lowest < 0.0 && last > first, "{smoothed:?}");
    assert!(found["suggestion"].as_f64().is_some_and(|rate| rate > 1e-5 && rate < 1.0), "{found}");
}

#[test]
fn what_cannot_be_tested_is_told() {
    let folder = Folder::new();
    folder.fail(&["lr-find", "lm.toml", "--from", "1", "--to", "0.1"], &["--from", "1e0 to 1e-1", "a larger one"]);
    folder.fail(&["lr-find", "lm.toml", "--from=-1"], &["a number from 1.2e-38 on"]);
    folder.fail(&["lr-find", "lm.toml", "--to", "inf"], &["--to", "a larger one"]);
    // Their ratio is no number.
    folder.fail(&["lr-find", "lm.toml", "--from", "1e-200", "--to", "1e200"], &["1.2e-38", "3.4e38"]);
    folder.fail(&["lr-find", "lm.toml", "--steps", "3"], &["3 steps: expected from 20"]);
    folder.fail(&["lr-find", "absent.toml"], &["absent.toml", "Check the path"]);
    folder.fail(&["lr-find", "text.txt"], &["text.txt", "this is no recipe"]);
    folder.fail(&["lr-find", "lm.toml", "--set", "data.train=absent.txt"], &["absent.txt", "No such file"]);
}
