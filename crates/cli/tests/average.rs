//! `train.keep` and `descant average`.

mod common;

use common::Folder;
use descant_inference::Trained;
use std::fs;
use std::path::Path;

/// The steps of a run's checkpoints.
fn steps(folder: &Folder, run: &str) -> Vec<u64> {
    let entries = fs::read_dir(folder.path(run).join("checkpoints")).unwrap();
    let step = |name: &str| name.strip_prefix("step-").unwrap().parse().unwrap();
    let mut steps: Vec<u64> = entries.map(|entry| step(entry.unwrap().file_name().to_str().unwrap())).collect();
    steps.sort_unstable();
    steps
}

fn checkpoint(run: &str, step: u64) -> String {
    format!("{run}/checkpoints/step-{step:08}")
}

/// The weights of a run or a checkpoint, adapters merged.
fn weights(place: &Path) -> Vec<(String, Vec<f64>)> {
    let trained = Trained::load_row_major(place).unwrap();
    let weights = &trained.parameters;
    weights.ids().map(|id| (weights.name(id).to_owned(), weights.tensor(id).to_f64())).collect()
}

/// That a run has the mean of the weights of others.
#[track_caller]
fn is_mean(folder: &Folder, run: &str, of: &[&str]) {
    let all: Vec<_> = of.iter().map(|place| weights(&folder.path(place))).collect();
    for (i, (name, found)) in weights(&folder.path(run)).iter().enumerate() {
        for (j, &found) in found.iter().enumerate() {
            let mean = all.iter().map(|weights| weights[i].1[j]).sum::<f64>() / of.len() as f64;
            assert_eq!(found, f64::from(mean as f32), "{name} {j}");
        }
    }
}

fn loss(folder: &Folder, run: &str) -> f64 {
    let report = folder.succeed(&["eval", run, "--json", "--loss-only"]);
    serde_json::from_str::<serde_json::Value>(&report).unwrap()["loss"].as_f64().unwrap()
}

fn train(folder: &Folder, recipe: &str, run: &str, set: &[&str]) {
    let set = set.iter().flat_map(|set| ["--set", set]);
    folder.succeed(&["train", recipe, "--run", run, "--quiet"].into_iter().chain(set).collect::<Vec<_>>());
}

#[test]
fn so_many_of_the_newest_checkpoints_are_kept() {
    let folder = Folder::new();
    train(&folder, "lm.toml", "one", &["train.steps=100", "train.validate_every=20"]);
    assert_eq!(steps(&folder, "one"), [100]);
    train(&folder, "lm.toml", "run", &["train.steps=110", "train.validate_every=20", "train.keep=3"]);
    // That of the end is none of those that are kept, but the last.
    assert_eq!(steps(&folder, "run"), [60, 80, 100, 110]);
    let resume = |steps: &str, more: &[&str]| {
        let steps = format!("train.steps={steps}");
        let resume = ["train", "run", "--resume", "--quiet", "--set", &steps];
        folder.succeed(&[&resume[..], more].concat());
    };
    resume("130", &[]);
    assert_eq!(steps(&folder, "run"), [80, 100, 120, 130]);
    resume("140", &["--set", "train.keep=2"]);
    assert_eq!(steps(&folder, "run"), [120, 140]);
    folder.fail(&["train", "lm.toml", "--set", "train.keep=0"], &["train.keep", "1 or more"]);
}

#[test]
fn what_is_kept_stays_at_another_interval_and_what_goes_is_told() {
    let folder = Folder::new();
    let set = ["train.steps=60", "train.validate_every=20", "train.checkpoint_every=15", "train.keep=4"];
    train(&folder, "lm.toml", "run", &set);
    assert_eq!(steps(&folder, "run"), [30, 40, 45, 60]);
    let resume = |set: &[&str]| {
        let set = set.iter().flat_map(|set| ["--set", set]);
        folder.told(&["train", "run", "--resume", "--quiet"].into_iter().chain(set).collect::<Vec<_>>())
    };
    // One of each of the old intervals, and the best.
    let told = resume(&["train.steps=70", "train.validate_every=35", "train.checkpoint_every=0"]);
    assert!(!told.contains("Removed"), "{told}");
    assert_eq!(steps(&folder, "run"), [40, 45, 60, 70]);
    let told = resume(&["train.steps=75", "train.keep=2"]);
    let removed = "Removed the checkpoints of steps 40, 45: the last is that of step 70, and train.keep = 2.";
    assert!(told.contains(removed), "{told}");
    assert_eq!(steps(&folder, "run"), [60, 70, 75]);
    // Also where there is no more to do.
    let told = resume(&["train.keep=1"]);
    assert!(told.contains("Removed the checkpoint of step 60: the last is that of step 75"), "{told}");
    // From an earlier one on.
    let last = folder.path("run/last");
    fs::remove_file(&last).unwrap();
    fs::remove_file(folder.path("run/best")).unwrap();
    std::os::unix::fs::symlink("checkpoints/step-00000070", &last).unwrap();
    let told = resume(&["train.steps=72"]);
    assert!(told.contains("Removed the checkpoint of step 75: the last is that of step 70"), "{told}");
}

#[test]
fn the_last_and_the_best_checkpoints_are_averaged() {
    let folder = Folder::new();
    let settings = ["train.steps=200", "train.keep=4", "train.learning_rate=0.03"];
    for recipe in ["lm.toml", "transformer.toml"] {
        let _ = ["run", "run-average", "two", "best"].map(|run| fs::remove_dir_all(folder.path(run)));
        train(&folder, recipe, "run", &settings);
        let all = [50, 100, 150, 200].map(|step| checkpoint("run", step));
        let all = all.each_ref().map(String::as_str);
        let told = folder.succeed(&["average", "run"]);
        assert!(told.contains("Averaged 4 checkpoints:") && told.contains("generate run-average"), "{told}");
        is_mean(&folder, "run-average", &all);
        folder.succeed(&["average", "run", "--last", "2", "--run", "two"]);
        is_mean(&folder, "two", &all[2..]);
        // By the losses of the validations.
        let metrics = fs::read_to_string(folder.path("run/metrics.jsonl")).unwrap();
        let lines = metrics.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let mut losses: Vec<(f64, u64)> = lines
            .filter(|line| line["event"] == "validation")
            .map(|line| (line["loss"].as_f64().unwrap(), line["step"].as_u64().unwrap()))
            .collect();
        losses.sort_by(|a, b| a.0.total_cmp(&b.0));
        folder.succeed(&["average", "run", "--best", "3", "--run", "best"]);
        let best = [0, 1, 2].map(|i| checkpoint("run", losses[i].1));
        is_mean(&folder, "best", &best.each_ref().map(String::as_str));
    }
}

#[test]
fn an_average_is_a_run() {
    let folder = Folder::new();
    train(&folder, "lm.toml", "run", &["train.steps=200", "train.keep=3"]);
    folder.succeed(&["average", "run", "--last", "2"]);
    // Between the two, and after a training that still learns, no worse than the first of them.
    assert!(loss(&folder, "run-average") < loss(&folder, &checkpoint("run", 150)) + 0.05);
    assert!(!folder.succeed(&["generate", "run-average", "line", "--max-length", "8"]).trim().is_empty());
    assert!(folder.succeed(&["show", "run-average"]).contains("at step 200"));
    folder.write("further.toml", "init = \"run-average\"\n[data]\ntrain = \"text.txt\"\nstream = true\n");
    train(&folder, "further.toml", "further", &["train.steps=3", "train.length=20"]);
    // No training goes on from it.
    let more = ["train", "run-average", "--resume", "--set", "train.steps=300"];
    folder.fail(&more, &["weights alone", "init = "]);
    folder.fail(&["average", "run"], &["run-average", "there already", "--run"]);
}

#[test]
fn runs_that_went_on_from_one_are_averaged_with_their_adapters_merged() {
    let folder = Folder::new();
    folder.train("lm.toml", "base", 60);
    let recipe = "init = \"base\"\n[data]\ntrain = \"text.txt\"\nstream = true\n[train]\nsteps = 20\nlength = 20\n";
    folder.write("further.toml", recipe);
    folder.write("lora.toml", format!("{recipe}[finetune.lora]\nrank = 2\nalpha = 4.0\n"));
    train(&folder, "further.toml", "a", &["seed=1"]);
    let alone = ["model.dropout=0.0", "model.word_dropout=0.1", "model.recurrent_dropout=0.2", "model.forget_bias=1.0"];
    train(&folder, "lora.toml", "b", &[&["seed=2"], &alone[..]].concat());
    for (run, of) in [("ab", ["a", "b"]), ("ba", ["b", "a"])] {
        folder.succeed(&["average", of[0], of[1], "--run", run]);
        is_mean(&folder, run, &of);
    }
    assert!(folder.weights("ab") == folder.weights("ba"));
    folder.succeed(&["generate", "ba", "line", "--max-length", "8"]);
}

#[test]
fn what_cannot_be_averaged_is_named() {
    let folder = Folder::new();
    train(&folder, "lm.toml", "run", &["train.steps=100", "train.keep=2"]);
    train(&folder, "lm.toml", "wide", &["train.steps=1", "model.hidden=24"]);
    train(&folder, "lm.toml", "deep", &["train.steps=1", "model.layers=3"]);
    folder.write("other.txt", "0123456789 some text with other characters, again and again\n".repeat(40));
    train(&folder, "lm.toml", "other", &["train.steps=1", "data.train=other.txt"]);
    for (name, heads) in [("heads2", "2"), ("heads4", "4")] {
        let heads = format!("model.transformer={{heads={heads}, position='rotary'}}");
        train(&folder, "transformer.toml", name, &["train.steps=1", &heads]);
    }
    let fail = |places: &[&str], parts: &[&str]| {
        folder.fail(&[&["average"], places, &["--run", "new"]].concat(), parts);
        assert!(!folder.path("new").exists(), "{places:?}");
    };
    fail(
        &["run", "wide"],
        &["wide: it cannot be averaged with run", "parameter 'rnn.weight_ih_l0' is [96, 8], and [64, 8]"],
    );
    fail(&["run", "deep"], &["deep", "a parameter 'rnn.", "more"]);
    fail(&["deep", "run"], &["run", "no parameter 'rnn.weight_ih_l2'"]);
    fail(&["run", "other"], &["other: it cannot be averaged with run", "tokenizers"]);
    fail(&["heads2", "heads4"], &["model.transformer.heads is 4, was 2"]);
    fail(&["run", "run/best", "wide"], &["run/best", "the same checkpoint as run"]);
    fail(&["run/best"], &["one checkpoint of", "Name others beside it"]);
    fail(&["wide"], &["wide", "two checkpoints or more", "train.keep"]);
    fail(&["run", "--last", "5"], &["run", "2 checkpoints (of step 50, 100), not 5", "train.keep = 5"]);
    fail(&["wide", "--best", "2"], &["wide", "1 checkpoint with a validation (of step 1), not 2", "train.keep = 2"]);
    fail(&["run", "wide", "--last", "2"], &["--last and --best", "one run"]);
    fail(&["absent", "run"], &["absent", "no such run folder"]);
    fail(&["text.txt", "run"], &["text.txt"]);
    folder.succeed(&["quantize", "run", "--weights", "int8"]);
    fail(&["run", "run-int8"], &["run-int8", "int8, for inference alone"]);
    fs::write(folder.path("wide/last/model.safetensors"), b"damaged").unwrap();
    fail(&["run", "wide"], &["wide", "truncated or corrupt"]);
}
