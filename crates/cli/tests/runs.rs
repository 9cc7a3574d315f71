//! `descant runs`: a line for each run, broken ones among them.

mod common;

use common::{Folder, copy, wait};
use serde_json::Value;
use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

fn runs(folder: &Folder, more: &[&str]) -> Vec<Value> {
    let lines = folder.succeed(&[&["runs", "--json"], more].concat());
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn names(runs: &[Value]) -> Vec<&str> {
    runs.iter().map(|run| run["run"].as_str().unwrap()).collect()
}

fn train(folder: &Folder, recipe: &str, run: &str, set: &[&str]) {
    let set = set.iter().flat_map(|set| ["--set", set]);
    folder.succeed(&["train", recipe, "--run", run, "--quiet"].into_iter().chain(set).collect::<Vec<_>>());
}

#[test]
fn runs_are_listed_and_sorted() {
    let folder = Folder::new();
    train(&folder, "lm.toml", "runs/long", &["train.steps=120"]);
    train(&folder, "lm.toml", "runs/more/short", &["train.steps=30", "model.hidden=24"]);
    // Too fast to become better for long.
    let patience = ["train.patience=1", "train.validate_every=2", "train.learning_rate=2.0"];
    train(&folder, "lm.toml", "runs/patient", &patience);
    let texts = ["train.validation_metrics=['bleu']", "train.best_metric='bleu'", "train.validation_examples=2"];
    train(&folder, "pairs.toml", "runs/texts", &[&["train.steps=50"], &texts[..]].concat());
    train(&folder, "pairs.toml", "runs/epochs", &["train.epochs=1", "train.steps=1000"]);
    folder.succeed(&["quantize", "runs/long", "--weights", "int8"]);
    fs::create_dir(folder.path("runs/nothing")).unwrap();
    fs::write(folder.path("runs/notes.txt"), "mine").unwrap();

    let all = runs(&folder, &[]);
    let order = ["epochs", "long", "long-int8", "more/short", "patient", "texts"].map(|name| format!("runs/{name}"));
    assert_eq!(names(&all), order);
    let find = |name: &str| all.iter().find(|run| run["run"] == name).unwrap();
    let states = all.iter().map(|run| run["state"].as_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(states, ["finished", "finished", "weights", "finished", "early-stopped", "finished"]);
    let long = find("runs/long");
    assert_eq!((&long["step"], &long["steps"], &long["metric"]), (&120.into(), &120.into(), &"loss".into()));
    // What the metrics say.
    let metrics = fs::read_to_string(folder.path("runs/long/metrics.jsonl")).unwrap();
    let lines: Vec<Value> = metrics.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let seconds: f64 = lines.iter().filter_map(|line| line["seconds"].as_f64()).sum();
    assert!(seconds > 0.0 && (long["seconds"].as_f64().unwrap() - seconds).abs() < 1e-9, "{long}");
    let best = lines.iter().rfind(|line| line["best"] == true).unwrap();
    assert_eq!((&long["best"], &long["best_step"]), (&best["loss"], &best["step"]));
    assert_eq!(find("runs/texts")["metric"], "bleu");
    assert!(find("runs/epochs")["steps"].is_null());
    let parameters = |name: &str| find(name)["parameters"].as_f64().unwrap();
    assert_eq!(parameters("runs/long"), parameters("runs/long-int8"));
    let model = fs::read(folder.path("runs/long/last/model.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&model).unwrap();
    let counted: usize = tensors.tensors().iter().map(|(_, tensor)| tensor.shape().iter().product::<usize>()).sum();
    assert_eq!(parameters("runs/long"), counted as f64);

    let sorted = |by: &str| runs(&folder, &["--sort", by]);
    assert_eq!(sorted("parameters")[0]["run"], "runs/more/short");
    assert_eq!(sorted("steps")[0]["run"], "runs/long");
    assert_eq!(sorted("changed")[0]["run"], "runs/long-int8");
    let validations = sorted("validation");
    assert_eq!(validations[0]["metric"], "bleu");
    let losses: Vec<f64> = validations[1..5].iter().map(|run| run["best"].as_f64().unwrap()).collect();
    assert!(losses.is_sorted(), "{losses:?}");
    assert_eq!(validations[5]["run"], "runs/long-int8");

    let shown = folder.succeed(&["runs", "runs/more", "runs/patient"]);
    assert!(shown.lines().next().unwrap().starts_with("run "), "{shown}");
    let line = |name: &str| shown.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    let short = line("runs/more/short");
    for part in ["finished", "30 of 30", "loss ", " at 30", " ago"] {
        assert!(short.contains(part), "{short}");
    }
    assert!(line("runs/patient").contains("early stopped"), "{shown}");
    assert_eq!(shown.lines().count(), 3, "{shown}");
}

#[test]
fn what_is_wrong_with_a_broken_run_is_told() {
    let folder = Folder::new();
    folder.train("lm.toml", "good", 20);
    let broken = |name: &str, harm: &dyn Fn(&std::path::Path)| {
        let run = folder.path("runs").join(name);
        copy(&folder.path("good"), &run);
        harm(&run);
    };
    broken("good", &|_| ());
    broken("manifest", &|run| fs::write(run.join("last/manifest.json"), "{").unwrap());
    broken("recipe", &|run| fs::write(run.join("recipe.toml"), "[model]\nkind = 'poem'\n").unwrap());
    broken("tokenizer", &|run| fs::remove_file(run.join("tokenizer.json")).unwrap());
    broken("none", &|run| fs::remove_file(run.join("recipe.toml")).unwrap());
    broken("links", &|run| ["best", "last"].iter().for_each(|link| fs::remove_file(run.join(link)).unwrap()));
    broken("changed", &|run| {
        let recipe = fs::read_to_string(run.join("recipe.toml")).unwrap();
        fs::write(run.join("recipe.toml"), recipe.replace("hidden = 16", "hidden = 24")).unwrap();
    });
    let all = runs(&folder, &["--sort", "state"]);
    assert_eq!(all[0]["run"], "runs/good");
    let expected = [
        ("changed", "model.hidden"),
        ("links", "no checkpoint yet"),
        ("manifest", "manifest.json is damaged"),
        ("none", "no recipe.toml"),
        ("recipe", "line 2"),
        ("tokenizer", "tokenizer.json"),
    ];
    for (run, (name, problem)) in all[1..].iter().zip(expected) {
        assert_eq!(run["run"], format!("runs/{name}"));
        assert!(run["state"] == "broken" && run["problem"].as_str().unwrap().contains(problem), "{run}");
    }
    let shown = folder.succeed(&["runs"]);
    assert!(shown.contains("6 runs broken:") && shown.contains("manifest.json is damaged"), "{shown}");
    folder.fail(&["runs", "absent"], &["absent", "No such file"]);
    fs::create_dir(folder.path("empty")).unwrap();
    assert!(folder.told(&["runs", "empty"]).contains("no runs"));
}

#[test]
fn a_run_in_training_is_seen_and_not_disturbed() {
    let folder = Folder::new();
    let train = ["train", "lm.toml", "--run", "runs/run", "--set", "train.steps=100000", "--quiet"];
    let mut child = folder.command(&train).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    let mut seen = Vec::new();
    while start.elapsed() < Duration::from_secs(60) && seen.is_empty() {
        // While it starts, too.
        if folder.path("runs").is_dir() {
            seen = runs(&folder, &[]);
            seen.retain(|run| run["step"].as_u64().unwrap() > 0);
        }
        assert!(child.try_wait().unwrap().is_none());
    }
    assert_eq!(seen[0]["state"], "training", "{seen:?}");
    std::process::Command::new("kill").arg(child.id().to_string()).status().unwrap();
    wait(&mut child);
    let after = runs(&folder, &[]);
    assert_eq!(after[0]["state"], "stopped", "{after:?}");
    assert!(after[0]["step"].as_u64().unwrap() >= seen[0]["step"].as_u64().unwrap());
}
