//! A training that fails says why, and one that does not is silent.

mod common;

use common::{Folder, PAIRS};

/// What the training of a recipe told, with its verdicts.
fn verdicts(folder: &Folder, recipe: &str, run: &str, settings: &[&str]) -> Vec<String> {
    let set = settings.iter().flat_map(|setting| ["--set", setting]);
    let told = folder.told(&["train", recipe, "--run", run].into_iter().chain(set).collect::<Vec<_>>());
    let told: Vec<String> = told.lines().filter_map(|line| line.strip_prefix("! ")).map(str::to_owned).collect();
    let shown = folder.succeed(&["show", run]);
    let shown: Vec<String> =
        shown.lines().filter_map(|line| line.strip_prefix("verdict:   ")).map(str::to_owned).collect();
    assert_eq!(told.len(), shown.len(), "{told:?} {shown:?}");
    assert!(shown.iter().zip(&told).all(|(shown, told)| shown.starts_with(told.as_str())), "{told:?} {shown:?}");
    shown
}

#[track_caller]
fn only(verdicts: &[String], parts: &[&str]) {
    assert_eq!(verdicts.len(), 1, "{verdicts:?}");
    for part in parts {
        assert!(verdicts[0].contains(part), "{verdicts:?} should say {part:?}");
    }
}

#[test]
fn trainings_without_a_fault_have_no_verdict() {
    let folder = Folder::new();
    for recipe in ["lm.toml", "pairs.toml", "transformer.toml"] {
        assert_eq!(verdicts(&folder, recipe, recipe.trim_end_matches(".toml"), &[]), [""; 0], "{recipe}");
    }
}

#[test]
fn gradients_that_vanish_are_told_with_their_layer() {
    let folder = Folder::new();
    let settings = ["model.layers=12", "train.steps=60", "model.dropout=0.0"];
    let found = verdicts(&folder, "lm.toml", "run", &settings);
    assert!(found[0].starts_with("vanishing gradients since step 10: "), "{found:?}");
    assert!(found[0].contains("rnn layer ") && found[0].contains("of 12 layers"), "{found:?}");
    // What the verdict names helps.
    let residual = [&settings[..], &["model.residual=true"]].concat();
    assert_eq!(verdicts(&folder, "lm.toml", "residual", &residual), [""; 0]);
}

#[test]
fn a_learning_rate_that_is_too_high_or_too_low_is_told() {
    let folder = Folder::new();
    let high = verdicts(&folder, "lm.toml", "high", &["train.learning_rate=10.0"]);
    let found = |kind: &str| high.iter().filter(|verdict| verdict.starts_with(kind)).cloned().collect::<Vec<_>>();
    only(&found("learning rate"), &["learning rate too high since step 10: ", "the loss", "train.learning_rate"]);
    // It drives the gates to their ends.
    only(&found("saturated gates"), &["since step 10: 100 % of the gates of 'rnn.weight_hh_l", "train.learning_rate"]);
    let low = verdicts(&folder, "lm.toml", "low", &["train.learning_rate=1e-8"]);
    only(&low, &["learning rate too low since step 1: ", "of their size", "ten times train.learning_rate"]);
}

#[test]
fn attention_that_collapses_and_embeddings_that_die_are_told() {
    let folder = Folder::new();
    // Scores of a thousand times their size.
    let found = verdicts(&folder, "transformer.toml", "sharp", &["model.transformer.query_pre_attn_scalar=1e-6"]);
    let parts = ["attention collapsed since step 10: ", "'decoder.layers.", "of the largest", "qk_norm"];
    assert!(parts.iter().all(|part| found[0].contains(part)), "{found:?}");
    // Gates at exactly 0 or 1 have no gradient.
    let settings = ["optimizer={kind='sgd'}", "train.clip='none'", "train.learning_rate=1e4"];
    let found = verdicts(&folder, "lm.toml", "dead", &settings);
    let dead: Vec<String> = found.into_iter().filter(|verdict| verdict.starts_with("dead rows")).collect();
    only(&dead, &["dead rows of an embedding since step ", "of the rows of 'embedding.weight'", "train.learning_rate"]);
}

#[test]
fn a_text_that_is_learned_by_heart_is_told() {
    let folder = Folder::new();
    let text = (0..24).map(|i: u32| format!("{} {}\n", i * 7919 % 1009, i * 104_729 % 9973)).collect::<String>();
    folder.write("text.txt", text);
    let settings =
        ["model.hidden=64", "model.dropout=0.0", "train.steps=600", "data.validation_share=0.3", "data.stream=false"];
    let found = verdicts(&folder, "lm.toml", "run", &settings);
    only(
        &found,
        &["over-fitting since step", "the validation loss rose from", "while the training loss fell", "model.dropout"],
    );
}

#[test]
fn a_decoder_that_ignores_its_source_is_told() {
    let folder = Folder::new();
    // Targets that no arithmetic of their sources gives.
    let mixed = |i: u64| {
        let i = (i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (i ^ (i >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 32
    };
    folder.write("pairs.tsv", (0..2000).map(|i| format!("{}\t{}\n", 1000 + i, mixed(i) % 10_000)).collect::<String>());
    let found = verdicts(&folder, "pairs.toml", "run", &["train.steps=300", "data.validation_share=0.3"]);
    assert!(found[0].starts_with("the decoder ignores its source since step 50: "), "{found:?}");
}

#[test]
fn verdicts_of_a_training_in_two_parts_are_those_of_one() {
    let folder = Folder::new();
    let settings = ["model.layers=12", "train.steps=60", "model.dropout=0.0"];
    let whole = verdicts(&folder, "lm.toml", "whole", &settings);
    verdicts(&folder, "lm.toml", "parts", &["model.layers=12", "train.steps=20", "model.dropout=0.0"]);
    folder.succeed(&["train", "parts", "--resume", "--quiet", "--set", "train.steps=60"]);
    let shown = folder.succeed(&["show", "parts"]);
    assert!(!whole.is_empty() && whole.iter().all(|verdict| shown.contains(verdict.as_str())), "{whole:?}\n{shown}");
}

#[test]
fn each_line_of_metrics_has_the_flow_of_all_trainable_parameters() {
    let folder = Folder::new();
    folder.write("pairs.toml", format!("{PAIRS}\n[optimizer]\nkind = \"sgd\"\n"));
    folder.succeed(&["train", "pairs.toml", "--run", "run", "--quiet", "--set", "train.clip={ norm = 1e9 }"]);
    let metrics = std::fs::read_to_string(folder.path("run/metrics.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> = metrics.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let flows: Vec<&serde_json::Value> = lines.iter().filter(|line| line["event"] == "gradient-flow").collect();
    let steps: Vec<u64> = flows.iter().map(|line| line["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, (1..=20).map(|i| 10 * i).collect::<Vec<_>>());
    for flow in &flows {
        let rate = lines.iter().find(|line| line["event"] == "train" && line["step"] == flow["step"]).unwrap();
        let rate = rate["learning_rate"].as_f64().unwrap();
        let parameters = flow["parameters"].as_object().unwrap();
        let activations = flow["activations"].as_object().unwrap();
        assert!(activations.keys().all(|name| parameters.contains_key(name)), "{flow}");
        for (name, of) in activations.iter().filter(|(name, _)| name.contains("weight_hh_l0")) {
            let (scale, saturated) = (of["scale"].as_f64().unwrap(), of["saturated"].as_f64().unwrap());
            assert!(of["rows"].as_u64().unwrap() > 0 && 0.0 < scale && scale < 1.0 && saturated < 0.5, "{name}: {of}");
        }
        let of = |name: &str, what: &str| activations[name][what].as_f64().unwrap();
        let entropy = of("decoder.attention.weight", "entropy");
        assert!(0.02 < entropy && entropy <= 1.0, "{flow}");
        assert_eq!(
            [of("encoder.embedding.weight", "dead_rows"), of("decoder.embedding.weight", "dead_rows")],
            [0.0; 2]
        );
        assert!(parameters.len() > 10 && parameters.keys().any(|name| name.contains("weight_hh_l0")), "{flow}");
        for (name, values) in parameters {
            let [gradient, weight, update] = [0, 1, 2].map(|i| values[i].as_f64().unwrap());
            assert!(weight >= 0.0 && gradient >= 0.0, "{name}");
            // The step of gradient descent, as far as f32 rounds the weights.
            let rounding = 1e-3 * rate * gradient + 1e-7 * weight;
            assert!((update - rate * gradient).abs() <= rounding, "{name}: {values} at {rate}");
        }
    }
}
