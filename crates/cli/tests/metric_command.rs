//! A metric of one's own: a program that measures what is generated.

mod common;

use common::{Folder, finish};
use serde_json::Value;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// With a program `metric` that counts in a file how often it is run, and then does this.
fn folder(then: &str) -> Folder {
    let folder = Folder::new();
    let script = format!("#!/bin/sh\nn=$(cat calls 2>/dev/null || echo 0)\nn=$((n + 1))\necho $n > calls\n{then}\n");
    folder.write("metric", script);
    fs::set_permissions(folder.path("metric"), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

const TRAIN: &[&str] = &[
    "train",
    "pairs.toml",
    "--run",
    "run",
    "--set",
    "train={steps=30, validate_every=10, log_every=10, batch_sentences=8, metric_command='metric', validation_examples=4}",
];

fn by_command<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [TRAIN, &["--set", "train.best_metric='command'"], more].concat()
}

/// The steps of the validations with their values.
fn values(folder: &Folder) -> Vec<(u64, Option<f64>, bool)> {
    let metrics = fs::read_to_string(folder.path("run/metrics.jsonl")).unwrap();
    let lines = metrics.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let validations = lines.filter(|line| line["event"] == "validation");
    let value = |line: Value| {
        (line["step"].as_u64().unwrap(), line["metrics"]["command"].as_f64(), line["best"].as_bool().unwrap())
    };
    validations.map(value).collect()
}

#[test]
fn the_best_checkpoint_goes_by_a_program() {
    // The trial is the first call.
    let folder = folder("grep -c '\"references\":\\[\"' > lines; echo \"$((5 - n))\"");
    folder.succeed(&by_command(&[]));
    assert_eq!(values(&folder), [(10, Some(3.0), true), (20, Some(2.0), false), (30, Some(1.0), false)]);
    assert_eq!(fs::read_to_string(folder.path("lines")).unwrap(), "4\n");
    let shown = folder.succeed(&["runs", "run", "--json"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((&shown["metric"], &shown["best"], &shown["best_step"]), (&"command".into(), &3.0.into(), &10.into()));
    // Beside others, and by `descant eval`.
    let eval = ["eval", "run", "--metric-command", "./metric", "--metrics", "bleu"];
    assert!(folder.succeed(&eval).contains("command           0.00 (./metric)"));
    let json: Value = serde_json::from_str(&folder.succeed(&[&eval[..], &["--json"]].concat())).unwrap();
    assert_eq!((&json["command"], json["bleu"].is_f64()), (&(-1.0).into(), true));
}

#[test]
fn a_program_that_fails_is_told_before_the_first_step() {
    let told = |then: &str, more: &[&str], parts: &[&str]| {
        let folder = folder(then);
        folder.fail(&by_command(more), &[parts, &["pairs.toml", "train.metric_command"]].concat());
        assert!(!folder.path("run/recipe.toml").exists(), "{then}: it is a run");
    };
    told("echo no model >&2; exit 2", &[], &["metric failed", "exit status: 2", "no model"]);
    told("exec sleep 60", &["--set", "train.metric_timeout=1"], &["did not end within 1 s (metric timeout)"]);
    told("echo good", &[], &["has to print a number", "good"]);
    told("", &["--set", "train.metric_command='nowhere'"], &["there is no program nowhere"]);
    folder("").fail(&by_command(&["--set", "train.metric_timeout=0"]), &["train.metric_timeout = 0", "1 or more"]);
    let without = ["train", "pairs.toml", "--run", "run", "--set", "train.best_metric='command'"];
    folder("").fail(&without, &["train.best_metric", "expected a train.metric_command"]);
    let lines = ["train", "lm.toml", "--run", "run", "--set", "train.metric_command='metric'"];
    folder("echo 1").fail(&lines, &["train.metric_command: command is of answers"]);
}

#[test]
fn it_is_found_beside_the_recipe_and_from_elsewhere_and_may_change() {
    let folder = folder("echo $n");
    let inside = |name: &str| format!("inside/{name}");
    fs::create_dir(folder.path("inside")).unwrap();
    for name in ["pairs.toml", "pairs.tsv", "metric"] {
        fs::rename(folder.path(name), folder.path(&inside(name))).unwrap();
    }
    folder.succeed(&[&["train", "inside/pairs.toml"], &TRAIN[2..]].concat());
    assert_eq!(values(&folder).len(), 3);
    // Another folder, from which the run's own path does not lead to it.
    folder.write("inside/metric", "#!/bin/sh\nexit 1\n");
    let more = ["train", "run", "--resume", "--set", "train.steps=40"];
    folder.fail(&more, &["train.metric_command", "metric failed"]);
    folder.write("other", "#!/bin/sh\necho 7\n");
    fs::set_permissions(folder.path("other"), fs::Permissions::from_mode(0o755)).unwrap();
    folder.succeed(&[&more[..], &["--set", "train.metric_command=other", "--set", "train.metric_timeout=9"]].concat());
    assert_eq!(values(&folder)[3], (40, Some(7.0), true));
}

#[test]
fn one_that_fails_later_is_told_and_the_training_goes_on() {
    let folder = folder("[ $n = 3 ] && { echo out of memory >&2; exit 1; }\necho $n");
    let told = folder.told(&by_command(&["--set", "train.patience=1"]));
    assert!(told.contains("The validation of step 20 has no value of train.metric_command"), "{told}");
    assert!(told.contains("out of memory"), "{told}");
    assert_eq!(values(&folder), [(10, Some(2.0), true), (20, None, false), (30, Some(4.0), true)]);
    folder.write("metric", "#!/bin/sh\nexit 4\n");
    let eval = ["eval", "run", "--metric-command", "./metric"];
    folder.fail(&eval, &["--metric-command: ./metric failed (exit status: 4)"]);
    assert!(String::from_utf8(folder.run(&eval).stdout).unwrap().contains("chrf++"));
}

/// The lines of a file of a run's folder of a step.
fn lines_of(folder: &Folder, file: &str, step: u64, event: Option<&str>) -> String {
    let text = fs::read_to_string(folder.path(&format!("run/{file}"))).unwrap();
    let is_of = |line: &&str| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["step"] == step && event.is_none_or(|event| line["event"] == event)
    };
    text.lines().filter(is_of).map(|line| format!("{line}\n")).collect()
}

/// Sends SIGTERM while the program is called for this time, which would take minutes.
fn stop_in_call(folder: &Folder, arguments: &[&str], call: &str, step: u64) {
    folder.write("slow", call);
    let child = folder.command(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while fs::read_to_string(folder.path("calls")).map_or(true, |calls| calls.trim() != call) {
        assert!(start.elapsed() < Duration::from_secs(120));
        std::thread::sleep(Duration::from_millis(5));
    }
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let output = finish(child);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(143), "{told}");
    assert!(told.contains(&format!("Stopped after step {step}; everything is saved")), "{told}");
}

#[test]
fn a_stop_breaks_off_a_validation_that_a_resume_makes_up_for() {
    // Calls: the trial, and the validations of the steps 10, 20 and 30.
    let measure = "[ -e slow ] && [ $n = \"$(cat slow)\" ] && exec sleep 600\ncksum | tr -dc '[:digit:]' | tail -c 4";
    let whole = folder(measure);
    whole.succeed(&by_command(&[]));
    // The last one ends the training.
    for (call, trial, step) in [("3", "4", 20), ("4", "5", 30)] {
        let folder = folder(measure);
        stop_in_call(&folder, &by_command(&[]), call, step);
        let shown: Value = serde_json::from_str(&folder.succeed(&["runs", "run", "--json"])).unwrap();
        assert_eq!((&shown["state"], shown["step"].as_u64()), (&"stopped".into(), Some(step)));
        stop_in_call(&folder, &["train", "run", "--resume"], trial, step);
        fs::remove_file(folder.path("slow")).unwrap();
        // As if the resume had been killed after the validation, before its checkpoint.
        for (file, event) in [("metrics.jsonl", Some("validation")), ("samples.jsonl", None)] {
            let lines = lines_of(&whole, file, step, event);
            assert!(!lines.is_empty());
            let mut file = OpenOptions::new().append(true).open(folder.path(&format!("run/{file}"))).unwrap();
            file.write_all(lines.as_bytes()).unwrap();
        }
        folder.succeed(&["train", "run", "--resume"]);
        assert_eq!(values(&folder), values(&whole), "stopped at step {step}");
        let [own, same] = [&folder, &whole].map(|folder| fs::read(folder.path("run/samples.jsonl")).unwrap());
        assert!(own == same, "stopped at step {step}: samples.jsonl differs");
        for checkpoint in ["best", "last"] {
            for file in ["model.safetensors", "optimizer.safetensors", "manifest.json"] {
                let [own, same] =
                    [&folder, &whole].map(|folder| fs::read(folder.path(&format!("run/{checkpoint}/{file}"))).unwrap());
                assert!(own == same, "stopped at step {step}: {checkpoint}/{file} differs");
            }
        }
    }
}
