//! Warm-up of the batch size and of the sequence length: what is reported of it, what it makes of a training, and what it is refused with.

mod common;

use common::Folder;
use serde_json::Value;
use std::fs;

/// With `pairs.tsv` of pairs of 1 to 30 characters.
fn folder() -> Folder {
    let folder = Folder::new();
    let pair = |i: usize| {
        let text = "abcdefghij".repeat(3)[..1 + i * 7 % 30].to_owned();
        format!("{text}\t{text}\n")
    };
    folder.write("pairs.tsv", (0..600).map(pair).collect::<String>());
    folder
}

fn train<'a>(recipe: &'a str, run: &'a str, settings: &[&'a str]) -> Vec<&'a str> {
    let base = ["train", recipe, "--run", run];
    base.into_iter().chain(settings.iter().flat_map(|setting| ["--set", *setting])).collect()
}

#[test]
fn what_is_too_long_for_the_first_epochs_is_counted_and_comes_later() {
    let folder = folder();
    let warmup = ["train.length_warmup=150", "train.steps=200"];
    let told = folder.told(&train("pairs.toml", "run", &warmup));
    let count = told.split("train.length_warmup: ").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap();
    assert!(count.parse::<u64>().unwrap() > 500, "{told}");
    assert!(told.contains("left out of them, and come in the later ones"), "{told}");
    // Within one epoch, all that waited comes.
    let told = folder.told(&train("pairs.toml", "one", &["train.length_warmup=10", "train.steps=200"]));
    assert!(!told.contains("left out"), "{told}");
    assert!(folder.weights("run") != folder.weights("one"));
}

#[test]
fn a_training_that_is_lengthened_is_as_one_that_was_that_long() {
    let folder = folder();
    let recipe = fs::read_to_string(folder.path("pairs.toml")).unwrap();
    let recipe = recipe.replace("kind = \"cosine\"\nwarmup = 10\n", "kind = \"constant\"\n");
    folder.write("pairs.toml", format!("{recipe}length_warmup = 30\nbatch_warmup = 20\n"));
    let part = |run: &str, steps: &str, more: &[&str]| {
        folder.succeed(&[&train("pairs.toml", run, &[steps])[..], &["--quiet"], more].concat());
    };
    part("once", "train.steps=50", &[]);
    part("parts", "train.steps=13", &["--threads", "1"]);
    part("parts", "train.steps=27", &["--resume", "--threads", "3"]);
    part("parts", "train.steps=50", &["--resume"]);
    for file in ["model.safetensors", "optimizer.safetensors"] {
        let [once, parts] = ["once", "parts"].map(|run| fs::read(folder.path(run).join("last").join(file)).unwrap());
        assert!(once == parts, "{file}");
    }
}

#[test]
fn a_number_of_epochs_has_the_steps_that_it_takes() {
    let folder = folder();
    let steps = |run: &str, settings: &[&str]| {
        let settings: Vec<&str> = settings.iter().chain(&["train.epochs=3", "train.log_every=1"]).copied().collect();
        folder.succeed(&[&train("pairs.toml", run, &settings)[..], &["--quiet"]].concat());
        let metrics = fs::read_to_string(folder.path(run).join("metrics.jsonl")).unwrap();
        let lines = metrics.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter_map(|line| line["step"].as_u64()).max().unwrap()
    };
    let recipe = fs::read_to_string(folder.path("pairs.toml")).unwrap().replace("steps = 200\n", "");
    folder.write("pairs.toml", recipe);
    let plain = steps("plain", &[]);
    let more = steps("warm", &["train.batch_warmup=30"]);
    assert!(more > plain, "{more} {plain}");
    // The doctor counts the same.
    let doctor = ["doctor", "pairs.toml", "--json", "--set", "train.epochs=3", "--set", "train.batch_warmup=30"];
    let found: Value = serde_json::from_slice(&folder.run(&doctor).stdout).unwrap();
    let training = &found["training"];
    assert_eq!(training["steps"].as_u64(), Some(more), "{found}");
    // Batches are drawn anew for each epoch, and may be one more or less.
    let of_three = 3.0 * training["steps_per_epoch"].as_f64().unwrap();
    assert!((of_three - plain as f64).abs() <= 3.0, "{of_three} {plain}");
    let recipe = fs::read_to_string(folder.path("pairs.toml")).unwrap();
    folder.write("long.toml", format!("{recipe}epochs = 1\nlength_warmup = 1000\n"));
    folder.fail(&train("long.toml", "run", &[]), &["train.length_warmup = 1000", "expected less than the"]);
}

#[test]
fn settings_that_do_not_go_together_are_refused() {
    let folder = folder();
    let fail = |recipe: &str, settings: &[&str], parts: &[&str]| {
        folder.fail(&train(recipe, "run", settings), parts);
        assert!(!folder.path("run").exists());
    };
    fail(
        "lm.toml",
        &["train.carry_state=true", "train.batch_warmup=9"],
        &["train.batch_warmup", "train.carry_state", "train.length_warmup"],
    );
    fail(
        "pairs.toml",
        &["train.batch_start=0.0", "train.batch_warmup=9"],
        &["train.batch_start = 0.0", "between 0 and 1"],
    );
    fail(
        "pairs.toml",
        &["train.length_start=1.0", "train.length_warmup=9"],
        &["train.length_start = 1.0", "between 0 and 1"],
    );
    fail("pairs.toml", &["train.length_warmup=-1"], &["train.length_warmup = -1"]);
    let recipe = fs::read_to_string(folder.path("pairs.toml")).unwrap();
    folder.write("long.toml", format!("{recipe}batch_warmup = 200\n"));
    fail("long.toml", &[], &["train.batch_warmup = 200", "expected less than the 200 steps"]);
    let told = folder.told(&train("pairs.toml", "noted", &["train.batch_start=0.5", "train.steps=2"]));
    assert!(told.contains("train.batch_start: it only has an effect with train.batch_warmup"), "{told}");
    // It cannot change while the training goes on.
    folder.fail(
        &[&train("pairs.toml", "noted", &["train.batch_warmup=9"])[..], &["--resume"]].concat(),
        &["train.batch_warmup", "another training"],
    );
}
