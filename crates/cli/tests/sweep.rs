//! `descant sweep`: its runs are those of `descant train`, whatever happens in between.

mod common;

use common::{Folder, wait};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

const GRID: [&str; 8] =
    ["sweep", "lm.toml", "--runs", "runs", "--vary", "train.learning_rate=1e-2,1e-3", "--vary", "model.hidden=16,24"];
const SHORT: [&str; 4] = ["--set", "train.steps=40", "--set", "train.validate_every=10"];

fn sweep(folder: &Folder, more: &[&str]) -> Vec<Value> {
    let lines = folder.succeed(&[&GRID[..], &SHORT, &["--json"], more].concat());
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn column<'a>(lines: &'a [Value], key: &str) -> Vec<&'a Value> {
    lines.iter().map(|line| &line[key]).collect()
}

fn model(place: &Path) -> Vec<u8> {
    fs::read(place.join("last/model.safetensors")).unwrap()
}

/// The weights of a training with a sweep's settings.
fn trained(folder: &Folder, line: &Value) -> Vec<u8> {
    let settings = line["settings"].as_object().unwrap();
    let settings = settings.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap()));
    let settings: Vec<String> = settings.flat_map(|setting| ["--set".to_owned(), setting]).collect();
    let settings = settings.iter().map(String::as_str);
    let train = ["train", "lm.toml", "--run", "alone", "--quiet"].into_iter().chain(SHORT).chain(settings);
    folder.succeed(&train.collect::<Vec<_>>());
    let weights = model(&folder.path("alone"));
    fs::remove_dir_all(folder.path("alone")).unwrap();
    weights
}

#[test]
fn a_grid_is_trained_run_by_run_and_not_again() {
    let folder = Folder::new();
    let lines = sweep(&folder, &[]);
    assert_eq!(lines.len(), 4);
    assert!(column(&lines, "outcome").iter().all(|outcome| *outcome == "finished"), "{lines:?}");
    let best: Vec<f64> = lines.iter().map(|line| line["best"].as_f64().unwrap()).collect();
    assert!(best.is_sorted(), "{best:?}");
    for line in &lines {
        assert!(model(&folder.path(line["run"].as_str().unwrap())) == trained(&folder, line), "{line}");
    }
    let written = |line: &Value| {
        let metrics = folder.path(line["run"].as_str().unwrap()).join("metrics.jsonl");
        fs::metadata(metrics).unwrap().modified().unwrap()
    };
    let before: Vec<_> = lines.iter().map(written).collect();
    assert_eq!(sweep(&folder, &[]), lines);
    assert_eq!(lines.iter().map(written).collect::<Vec<_>>(), before);
    // A folder that is gone is trained anew.
    fs::remove_dir_all(folder.path(lines[0]["run"].as_str().unwrap())).unwrap();
    assert_eq!(column(&sweep(&folder, &[]), "best"), column(&lines, "best"));
    let shown = folder.succeed(&[&GRID[..], &SHORT].concat());
    let rows: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0][..3], ["train.learning_rate", "model.hidden", "outcome"], "{shown}");
    let first = lines[0]["settings"].as_object().unwrap();
    assert_eq!(
        [rows[1][0], rows[1][1]],
        ["train.learning_rate", "model.hidden"].map(|key| first[key].as_str().unwrap())
    );
    assert!(shown.contains(&format!("generate {}", lines[0]["run"].as_str().unwrap())), "{shown}");
}

#[test]
fn a_sweep_that_is_killed_goes_on() {
    for more in [&[][..], &["--halving"]] {
        let folder = Folder::new();
        let whole = Folder::new();
        let lines = sweep(&whole, more);
        // In the middle of the first, of the second and of the last.
        for (signal, runs) in [("KILL", 1), ("TERM", 2), ("KILL", 4)] {
            let arguments = [&GRID[..], &SHORT, &["--quiet"], more].concat();
            let mut child = folder.command(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            let start = Instant::now();
            let has_come = || {
                let all = fs::read_dir(folder.path("runs")).into_iter().flatten().flatten();
                all.filter(|entry| entry.path().join("metrics.jsonl").exists()).count() >= runs
            };
            while child.try_wait().unwrap().is_none() && !has_come() {
                assert!(start.elapsed() < Duration::from_secs(120));
                std::thread::sleep(Duration::from_millis(1));
            }
            let id = child.id().to_string();
            let _ =
                std::process::Command::new("kill").args([&format!("-{signal}"), &id]).stderr(Stdio::null()).status();
            wait(&mut child);
        }
        let mut after = sweep(&folder, more);
        let mut lines = lines;
        for line in lines.iter_mut().chain(&mut after) {
            line.as_object_mut().unwrap().remove("seconds");
        }
        assert_eq!(lines, after);
        for line in &lines {
            let run = line["run"].as_str().unwrap();
            assert!(model(&whole.path(run)) == model(&folder.path(run)), "{run}");
        }
    }
}

#[test]
fn a_run_that_fails_is_in_the_table_and_the_others_go_on() {
    let folder = Folder::new();
    let arguments = [
        "sweep",
        "transformer.toml",
        "--runs",
        "runs",
        "--vary",
        "model.transformer.heads=4,3,8",
        "--vary",
        "train.learning_rate=1e-2,1e38",
        "--set",
        "train.steps=12",
        "--set",
        "train.log_every=4",
    ];
    let json = folder.succeed(&[&arguments[..], &["--json"]].concat());
    let lines: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let outcomes = column(&lines, "outcome");
    assert_eq!(outcomes, ["finished", "finished", "failed", "failed", "failed", "failed"]);
    for line in &lines[2..] {
        let part = if line["settings"]["model.transformer.heads"] == "3" { "heads" } else { "diverged" };
        assert!(line["problem"].as_str().unwrap().contains(part), "{line}");
    }
    let shown = folder.succeed(&[&arguments[..], &["--quiet"]].concat());
    assert_eq!(shown.matches(" failed: ").count(), 4, "{shown}");
    // Where all fail before the first step, that is the error.
    folder.fail(
        &["sweep", "transformer.toml", "--runs", "none", "--vary", "model.transformer.heads=3,5"],
        &["model.transformer.heads"],
    );
    assert!(!folder.path("none").exists());
    let all = ["sweep", "lm.toml", "--runs", "all", "--quiet", "--vary", "train.learning_rate=1e37,1e38"];
    folder.fail(&all, &["all 2 runs failed"]);
}

#[test]
fn successive_halving_goes_on_with_the_better_half() {
    let folder = Folder::new();
    let all = sweep(&folder, &[]);
    fs::rename(folder.path("runs"), folder.path("all")).unwrap();
    let lines = sweep(&folder, &["--halving"]);
    assert_eq!(column(&lines, "outcome"), ["finished", "eliminated", "eliminated", "eliminated"]);
    assert_eq!(column(&lines, "step"), [40, 20, 10, 10]);
    // The one that is left is as it would be alone.
    let winner = all.iter().find(|line| line["run"] == lines[0]["run"]).unwrap();
    assert_eq!(winner["best"], lines[0]["best"]);
    assert!(model(&folder.path(lines[0]["run"].as_str().unwrap())) == trained(&folder, &lines[0]));
    // What the others were worth is what their checkpoints are.
    for line in &lines[2..] {
        let run = line["run"].as_str().unwrap();
        let report = folder.succeed(&["eval", run, "--json", "--loss-only"]);
        let report: Value = serde_json::from_str(&report).unwrap();
        assert!((report["loss"].as_f64().unwrap() - line["worth"].as_f64().unwrap()).abs() < 1e-6, "{line} {report}");
    }
    // They were validated where they ended.
    for line in &lines[1..] {
        let run = folder.path(line["run"].as_str().unwrap());
        let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
        let validated = format!("\"event\":\"validation\",\"step\":{}", line["step"]);
        assert!(metrics.contains(&validated), "{line}\n{metrics}");
        assert!(run.join("best").exists(), "{line}");
    }
    // Both that were eliminated first were worse than both that went on.
    let rungs = fs::read_to_string(folder.path("runs/rungs.jsonl")).unwrap();
    let mut first: Vec<(f64, String)> = rungs
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|rung| rung["share"] == 0.25)
        .map(|rung| (rung["value"].as_f64().unwrap(), format!("runs/{}", rung["run"].as_str().unwrap())))
        .collect();
    first.sort_by(|a, b| a.0.total_cmp(&b.0));
    let names = |lines: &[Value]| lines.iter().map(|line| line["run"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let mut kept = [&first[0].1, &first[1].1].map(Clone::clone).to_vec();
    let mut went_on = names(&lines[..2]);
    kept.sort();
    went_on.sort();
    assert_eq!(kept, went_on);
    // What the best was worth at first is lost, and it has gone on since: it is not taken for one that failed.
    let name = lines[0]["run"].as_str().unwrap().trim_start_matches("runs/");
    let lacks = rungs.lines().filter(|line| !(line.contains("0.25") && line.contains(name)));
    folder.write("runs/rungs.jsonl", lacks.map(|line| format!("{line}\n")).collect::<String>());
    folder.fail(
        &[&GRID[..], &SHORT, &["--halving"]].concat(),
        &["beyond the", "what it was worth there is not known", "rungs.jsonl"],
    );
    folder.write("runs/rungs.jsonl", rungs);
    // One that was eliminated can be trained on.
    folder.succeed(&["train", lines[3]["run"].as_str().unwrap(), "--resume", "--quiet"]);
}

/// A program that measures at the start, and then no more.
#[test]
fn a_run_without_a_value_to_compare_is_told_and_not_eliminated() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    folder.write("metric", "#!/bin/sh\n[ $(wc -l) = 3 ] && echo 1\n");
    fs::set_permissions(folder.path("metric"), fs::Permissions::from_mode(0o755)).unwrap();
    let train = "train={steps=20, validate_every=10, batch_tokens=200, metric_command='./metric', best_metric='command', validation_examples=4}";
    let vary = ["sweep", "pairs.toml", "--runs", "runs", "--vary", "seed=1,2", "--halving", "--set", train];
    folder.fail(&vary, &["all 2 runs failed"]);
    let told = String::from_utf8(folder.run(&vary).stdout).unwrap();
    assert_eq!(told.matches("no value of train.best_metric = \"command\"").count(), 2, "{told}");
}

#[test]
fn a_halving_of_another_length_measures_again() {
    let sweep = |folder: &Folder, steps: &str| {
        let vary = ["sweep", "lm.toml", "--runs", "runs", "--vary", "train.learning_rate=1e-2,1e-3"];
        let how = ["--halving", "--json", "--set", "train.validate_every=10", "--set", steps];
        let output = folder.run(&[&vary[..], &how].concat());
        let [lines, told] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        assert!(output.status.success(), "{told}");
        let mut lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        lines.iter_mut().for_each(|line| drop(line.as_object_mut().unwrap().remove("seconds")));
        (lines, told)
    };
    let [folder, whole] = [Folder::new(), Folder::new()];
    let (short, told) = sweep(&folder, "train.steps=20");
    assert!(!told.contains("measured again"), "{told}");
    assert_eq!(sweep(&folder, "train.steps=20").0, short);
    // At the rung of the longer one, the better run is at its step, and the other one before it.
    let (long, told) = sweep(&folder, "train.steps=40");
    assert!(told.contains("measured again: train.steps is 40, was 20."), "{told}");
    assert_eq!(long, sweep(&whole, "train.steps=40").0);
    assert_ne!(column(&long, "worth"), column(&short, "worth"));
    let rungs = fs::read_to_string(folder.path("runs/rungs.jsonl")).unwrap();
    let steps: Vec<u64> = rungs
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["step"].as_u64().unwrap())
        .collect();
    assert_eq!(steps, [10, 10, 20, 20]);
    // Known from now on. A line that cannot be read is reported.
    assert!(!sweep(&folder, "train.steps=40").1.contains("measured again"));
    folder.write("runs/rungs.jsonl", format!("{rungs}{{\"run\": 1}}\n"));
    let (again, told) = sweep(&folder, "train.steps=40");
    assert_eq!(again, long);
    let line = rungs.lines().count() + 1;
    assert!(told.contains(&format!("rungs.jsonl: line {line} cannot be read (")), "{told}");
}

#[test]
fn a_folder_whose_name_is_no_utf8_is_listed() {
    use std::os::unix::ffi::OsStrExt;
    let folder = Folder::new();
    let runs = std::ffi::OsStr::from_bytes(b"runs\xff");
    let vary = ["sweep", "lm.toml", "--json", "--quiet", "--vary", "train.steps=1,2", "--runs"];
    let output = folder.command(&vary).arg(runs).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut names: Vec<&str> = lines.iter().map(|line| line["run"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["runs\u{fffd}/train.steps=1", "runs\u{fffd}/train.steps=2"]);
    for more in [&["--json"][..], &[]] {
        let output = folder.command(&[&["runs"], more].concat()).arg(runs).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let listed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(names.iter().all(|name| listed.contains(name)), "{listed}");
    }
}

#[test]
fn a_random_search_trains_some_of_them() {
    let folder = Folder::new();
    let lines = sweep(&folder, &["--random", "2", "--seed", "3"]);
    assert_eq!(lines.len(), 2);
    assert_ne!(lines[0]["settings"], lines[1]["settings"]);
    assert_eq!(fs::read_dir(folder.path("runs")).unwrap().count(), 2);
}

#[test]
fn what_is_no_sweep_is_told() {
    let folder = Folder::new();
    let fail = |more: &[&str], parts: &[&str]| {
        folder.fail(&[&["sweep", "lm.toml", "--runs", "runs"], more].concat(), parts);
        assert!(!folder.path("runs").exists(), "{more:?}");
    };
    fail(&["--vary", "train.steps"], &["--vary", "train.steps: expected key=v1,v2"]);
    fail(&["--vary", "train.steps=1,1"], &["the value 1 is there twice"]);
    fail(&["--vary", "train.steps=1,2", "--vary", "train.steps=3"], &["train.steps varies twice"]);
    fail(&["--vary", "train.stebs=1,2"], &["train.stebs", "did you mean train.steps?"]);
    fail(&["--vary", "train.steps=none,never"], &["train.steps", "a whole number"]);
    let nothing = ["--halving", "--set", "data.validation_share=0.0", "--vary", "train.steps=4,5"];
    folder.fail(&[&["sweep", "lm.toml", "--runs", "none"], &nothing[..]].concat(), &["all 2 runs failed"]);
    // Runs of another recipe are none of this sweep's.
    folder.succeed(&["sweep", "lm.toml", "--runs", "runs", "--quiet", "--vary", "train.steps=1,2"]);
    let other = ["sweep", "lm.toml", "--runs", "runs", "--vary", "train.steps=1,2", "--set", "model.layers=1"];
    folder.fail(&other, &["model.layers is 1, was 2", "another training"]);
}
