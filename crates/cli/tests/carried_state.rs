//! A recurrent state that is carried from chunk to chunk: where it is, where it cannot be, and that it is part of a checkpoint.

mod common;

use common::{Folder, LANGUAGE_MODEL, copy};
use serde_json::Value;
use std::fs;

/// With `carried.toml`, a language model that carries its state.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("carried.toml", format!("{LANGUAGE_MODEL}carry_state = true\n"));
    folder
}

/// The loss of an evaluation.
fn loss(folder: &Folder, arguments: &[&str]) -> f64 {
    let report: Value =
        serde_json::from_str(&folder.succeed(&[&["eval", "run", "--json"], arguments].concat())).unwrap();
    report["loss"].as_f64().unwrap()
}

#[test]
fn the_validation_loss_is_that_of_eval_however_the_text_is_cut() {
    let folder = folder();
    folder.train("carried.toml", "run", 50);
    let metrics = fs::read_to_string(folder.path("run/metrics.jsonl")).unwrap();
    let validation: Value = serde_json::from_str(metrics.lines().last().unwrap()).unwrap();
    let found = validation["loss"].as_f64().unwrap();
    let losses = ["1", "2", "3"].map(|threads| loss(&folder, &["--threads", threads]));
    assert!(losses.iter().all(|&loss| loss == losses[0]), "{losses:?}");
    // Its weights are packed, those of a training are not.
    assert!((losses[0] - found).abs() < 1e-6, "{losses:?} for {found}");
    // As long as there is one stream, chunks are not seen.
    folder.write("short.txt", "line 7 says 3 and green\nline 8 says 10 and blue\n");
    let short = ["3", "5", "1000"].map(|context| loss(&folder, &["--data", "short.txt", "--context", context]));
    assert!(short.iter().all(|loss| (loss - short[0]).abs() < 1e-6), "{short:?}");
}

#[test]
fn it_makes_another_training_that_is_the_same_when_lengthened() {
    let folder = folder();
    let train = |recipe: &str, run: &str, steps: &str, more: &[&str]| {
        let steps = format!("train.steps={steps}");
        folder.succeed(&[&["train", recipe, "--run", run, "--quiet", "--set", &steps], more].concat());
    };
    train("carried.toml", "once", "70", &[]);
    train("carried.toml", "parts", "13", &["--threads", "1"]);
    train("carried.toml", "parts", "41", &["--resume", "--threads", "3"]);
    train("carried.toml", "parts", "70", &["--resume"]);
    for file in ["model.safetensors", "optimizer.safetensors", "carried_state.safetensors"] {
        let [once, parts] = ["once", "parts"].map(|run| fs::read(folder.path(run).join("last").join(file)).unwrap());
        assert!(once == parts, "{file}");
    }
    train("lm.toml", "chunks", "70", &[]);
    assert!(folder.weights("chunks") != folder.weights("once"));
    assert!(!folder.path("chunks/last/carried_state.safetensors").exists());
}

#[test]
fn a_damaged_state_is_told_and_never_used() {
    let folder = folder();
    folder.train("carried.toml", "run", 12);
    let resume = ["train", "carried.toml", "--run", "broken", "--resume", "--set", "train.steps=14"];
    let file = "last/carried_state.safetensors";
    let bytes = fs::read(folder.path("run").join(file)).unwrap();
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 1;
    for damaged in [&flipped[..], &bytes[..bytes.len() / 2], &[]] {
        let _ = fs::remove_dir_all(folder.path("broken"));
        copy(&folder.path("run"), &folder.path("broken"));
        folder.write(&format!("broken/{file}"), damaged);
        folder
            .fail(&resume, &["carried_state.safetensors is truncated or corrupt", "another of the run's checkpoints"]);
    }
    // Who generates does not need it.
    folder.succeed(&["generate", "broken", "line", "--max-length", "5"]);
    fs::remove_file(folder.path("broken").join(file)).unwrap();
    folder.fail(&resume, &["carried_state.safetensors", "No such file"]);
    let other = ["train", "run/recipe.toml", "--run", "run", "--resume", "--set", "train.carry_state=false"];
    folder.fail(&other, &["train.carry_state", "another training"]);
}

#[test]
fn where_nothing_can_be_carried_is_told() {
    let folder = folder();
    let fail = |settings: &[&str], parts: &[&str]| {
        let set: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
        let all = [&["train", "carried.toml", "--run", "run", "--quiet"], &set[..]].concat();
        folder.fail(&all, &[&["train.carry_state = true"], parts].concat());
    };
    fail(&["data.stream=false"], &["one continuous text", "data.stream = true"]);
    fail(&["model.decoder=transformer"], &["no recurrent state"]);
    fail(&["model.kind=encoder-decoder", "data.stream=false", "data.train='pairs.tsv'"], &["separate pairs"]);
    fail(&["loss.consistency=0.5"], &["loss.consistency"]);
    fail(&["train.length=5000"], &["each of the 8 streams", "a single chunk of train.length = 5000"]);
    let open = fs::read_to_string(folder.path("carried.toml")).unwrap().replace("stream = true\n", "");
    folder.write("carried.toml", open);
    fail(&[], &["each line of the text", "data.stream = true"]);
}

#[test]
fn separate_texts_have_none_to_carry() {
    let folder = folder();
    folder.train("carried.toml", "run", 20);
    // Without its own text, a run is measured on one of any form.
    fs::remove_file(folder.path("text.txt")).unwrap();
    let line = |i: usize| format!("line {i} says {} and blue", i % 13);
    let (there, back) = ((0..30).collect::<Vec<_>>(), (0..30).rev().collect::<Vec<_>>());
    // What carries nothing has the same loss in any order.
    let [there, back] = [there, back].map(|order| {
        let objects: String = order.iter().map(|&i| format!("{{\"text\": \"{}\"}}\n", line(i))).collect();
        folder.write("texts.jsonl", objects);
        folder.write("text.csv", "text\n".to_owned() + &order.iter().map(|&i| line(i) + "\n").collect::<String>());
        ["texts.jsonl", "text.csv"].map(|file| loss(&folder, &["--data", file]))
    });
    for (there, back) in there.into_iter().zip(back) {
        assert!((there - back).abs() < 1e-6, "{there} and {back}");
    }
}

#[test]
fn a_bench_carries_it_as_training_does() {
    fn bench<'a>(more: &[&'a str]) -> Vec<&'a str> {
        let set = more.iter().flat_map(|setting| ["--set", setting]);
        ["bench", "carried.toml", "--text", "--threads", "3", "--steps", "15"].into_iter().chain(set).collect()
    }
    let folder = folder();
    // Over several epochs, in whose last batch some of the streams are over: in that of one of these texts, as there are 8.
    for tokens in [60, 61] {
        folder.write("short.txt", "ab".repeat(40)[..tokens].to_owned() + "\n");
        folder.succeed(&bench(&["data.train=short.txt", "data.validation_share=0.0", "train.length=1"]));
    }
    folder.fail(&bench(&["train.length=5000"]), &["train.carry_state = true", "each of the 8 streams"]);
    let workload = |name| ["bench", name, "--steps", "2", "--threads", "2", "--set", "train.carry_state=true"];
    folder.fail(&workload("gpt_small"), &["train.carry_state = true", "no recurrent state"]);
    folder.fail(&workload("s2s_lstm"), &["train.carry_state = true", "separate pairs"]);
    folder.succeed(&workload("charrnn"));
    let open = fs::read_to_string(folder.path("carried.toml")).unwrap().replace("stream = true\n", "");
    folder.write("carried.toml", open);
    folder.fail(&bench(&[]), &["train.carry_state = true", "each line of the text"]);
}
