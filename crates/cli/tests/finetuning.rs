//! A model trained further: in part, by adapters, with new entries of the vocabulary, from a teacher.

mod common;

use common::Folder;
use std::collections::HashMap;

type Tensors = HashMap<String, Vec<u8>>;

/// The tensors of a run's last checkpoint.
fn tensors(folder: &Folder, run: &str) -> Tensors {
    let bytes = folder.weights(run);
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    file.tensors().into_iter().map(|(name, view)| (name, view.data().to_vec())).collect()
}

/// The names of what differs.
fn changed(before: &Tensors, after: &Tensors) -> Vec<String> {
    let mut names: Vec<String> =
        before.iter().filter(|(name, x)| after[*name] != **x).map(|(n, _)| n.clone()).collect();
    names.sort();
    names
}

/// A recipe that goes on from the run `base`.
fn further(folder: &Folder, name: &str, recipe: &str, tables: &str) {
    folder.write(name, format!("init = \"base\"\n{recipe}\n{tables}"));
}

fn remove(folder: &Folder, runs: &[&str]) {
    runs.iter().for_each(|run| std::fs::remove_dir_all(folder.path(run)).unwrap());
}

#[test]
fn only_what_is_not_frozen_changes() {
    let folder = Folder::new();
    for (recipe, text, pattern, kept) in [
        ("pairs.toml", common::PAIRS, "encoder.*", "encoder."),
        ("transformer.toml", common::TRANSFORMER, "*layers*", "decoder.layers.1.linear1.weight"),
    ] {
        folder.train(recipe, "base", 10);
        further(&folder, "further.toml", text, &format!("[finetune]\nfreeze = [\"{pattern}\"]"));
        folder.train("further.toml", "run", 10);
        let (before, after) = (tensors(&folder, "base"), tensors(&folder, "run"));
        let names = changed(&before, &after);
        assert!(!names.is_empty() && names.iter().all(|name| !name.starts_with(kept)), "{names:?}");
        assert!(before.keys().any(|name| name.starts_with(kept)), "{pattern}");
        remove(&folder, &["base", "run"]);
    }
}

#[test]
fn a_rate_of_nothing_leaves_everything() {
    let folder = Folder::new();
    folder.train("lm.toml", "base", 10);
    let table = "[finetune.rates]\n\"rnn.*\" = 0.0";
    further(&folder, "further.toml", common::LANGUAGE_MODEL, table);
    folder.train("further.toml", "run", 10);
    let names = changed(&tensors(&folder, "base"), &tensors(&folder, "run"));
    assert!(!names.is_empty() && names.iter().all(|name| !name.starts_with("rnn.")), "{names:?}");
}

#[test]
fn adapters_are_trained_resumed_and_merged() {
    let folder = Folder::new();
    for (recipe, text) in
        [("lm.toml", common::LANGUAGE_MODEL), ("pairs.toml", common::PAIRS), ("transformer.toml", common::TRANSFORMER)]
    {
        folder.train(recipe, "base", 20);
        further(&folder, "further.toml", text, "[finetune.lora]\nrank = 2\nalpha = 4.0");
        folder.train("further.toml", "run", 40);
        let (before, after) = (tensors(&folder, "base"), tensors(&folder, "run"));
        assert!(changed(&before, &after).is_empty(), "{recipe}: the weights themselves stay");
        assert!(after.len() > before.len(), "{recipe}");
        // In two parts.
        let part = |arguments: &[&str]| {
            let all = ["train", "further.toml", "--run", "parts", "--quiet", "--set", "train.steps=40"];
            folder.succeed(&[&all[..], arguments].concat());
        };
        part(&["--set", "train.epochs=1"]);
        part(&["--resume"]);
        assert!(folder.weights("run") == folder.weights("parts"), "{recipe}");
        // What is evaluated is the sum of both, as in training.
        let metrics = std::fs::read_to_string(folder.path("run/metrics.jsonl")).unwrap();
        let trained: serde_json::Value = serde_json::from_str(metrics.lines().last().unwrap()).unwrap();
        let report = folder.succeed(&["eval", "run", "--json"]);
        let report: serde_json::Value = serde_json::from_str(&report).unwrap();
        let (trained, evaluated) = (trained["loss"].as_f64().unwrap(), report["loss"].as_f64().unwrap());
        assert!((trained - evaluated).abs() < 1e-5 * trained, "{recipe}: {trained} and {evaluated}");
        remove(&folder, &["base", "run", "parts"]);
    }
}

#[test]
fn patterns_that_match_nothing_are_told() {
    let folder = Folder::new();
    folder.write("wrong.toml", format!("{}\n[finetune]\nfreeze = [\"encoder.*\"]", common::LANGUAGE_MODEL));
    folder.fail(&["train", "wrong.toml", "--run", "run"], &["finetune.freeze", "\"encoder.*\"", "rnn.weight_ih_l0"]);
    assert!(!folder.path("run").exists());
}

#[test]
fn a_run_lends_its_model_and_its_tokenizer_to_the_next_which_may_add_tokens() {
    let folder = Folder::new();
    let recipes = [
        ("lm.toml", "text.txt\"\nstream = true", 3),
        ("pairs.toml", "pairs.tsv\"", 4),
        ("transformer.toml", "pairs.tsv\"\nshared_vocabulary = true", 2),
    ];
    for (recipe, data, tables) in recipes {
        folder.train(recipe, "base", 20);
        let text = format!(
            "init = \"base\"\n[data]\ntrain = \"{data}\n[tokenizer]\nadd = [\"<a>\", \"<b>\"]\n[train]\nlearning_rate = 1e-9"
        );
        folder.write("further.toml", text);
        folder.train("further.toml", "run", 1);
        let (before, after) = (tensors(&folder, "base"), tensors(&folder, "run"));
        assert_eq!(before.len(), after.len(), "{recipe}");
        let mut grown = 0;
        for (name, old) in &before {
            let (old, new) = (floats(old), floats(&after[name]));
            assert!(old.iter().zip(&new).all(|(a, b)| (a - b).abs() < 1e-6), "{recipe}: {name}");
            grown += usize::from(new.len() > old.len());
            let width = (new.len() - old.len()) / 2;
            for (i, x) in new[old.len()..].iter().enumerate() {
                let column = old.iter().skip(i % width).step_by(width);
                let mean = column.sum::<f32>() / (old.len() / width) as f32;
                assert!((x - mean).abs() < 1e-5, "{recipe}: {name}");
            }
        }
        // Vectors of tokens, of the source too or one table for all; the projection, where it is not that; its bias.
        assert_eq!(grown, tables, "{recipe}");
        folder.succeed(&["generate", "run", "1<a>2", "--max-length", "5"]);
        remove(&folder, &["base", "run"]);
    }
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|chunk| f32::from_le_bytes(chunk.try_into().unwrap())).collect()
}
