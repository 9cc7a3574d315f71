//! What every command prints.

mod common;

use common::Folder;
use std::io::Write;
use std::process::Stdio;

#[test]
fn trained_models_write_the_same_by_arguments_files_and_standard_input() {
    let folder = Folder::new();
    folder.train("pairs.toml", "run", 200);
    let lines = ["123", "400", "7", "", "250"];
    let by_arguments = folder.succeed(&[&["generate", "run"][..], &lines].concat());
    assert_eq!(by_arguments.lines().count(), lines.len());
    folder.write("input.txt", lines.join("\n") + "\n");
    for batch in ["1", "2", "32"] {
        assert_eq!(folder.succeed(&["generate", "run", "--input", "input.txt", "--batch", batch]), by_arguments);
        let mut child = folder
            .command(&["generate", "run", "--batch", batch, "--threads", "2"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all((lines.join("\n") + "\n").as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), by_arguments);
    }
    let best = folder.succeed(&["generate", "run", "123", "--beam", "4", "--n-best", "3"]);
    let scores: Vec<f64> = best.lines().map(|line| line.split('\t').next().unwrap().parse().unwrap()).collect();
    assert!(scores.len() == 3 && scores.is_sorted_by(|a, b| a >= b), "{best}");
    let sample = |seed: &str| folder.succeed(&["generate", "run", "123", "444", "--sample", "--seed", seed]);
    assert_eq!(sample("3"), sample("3"));
    assert!((0..5).any(|seed| sample(&seed.to_string()) != sample("9")));
}

#[test]
fn evaluation_tells_its_figures() {
    let folder = Folder::new();
    folder.train("pairs.toml", "run", 50);
    folder.train("lm.toml", "lm", 50);
    let of = |arguments: &[&str]| -> serde_json::Value {
        serde_json::from_str(&folder.succeed(&[arguments, &["--json"]].concat())).unwrap()
    };
    let figures = of(&["eval", "run", "--data", "pairs.tsv"]);
    for key in ["loss", "perplexity", "accuracy", "tokens", "answers", "exact_match", "token_error_rate"] {
        assert!(figures[key].is_number(), "{key} in {figures}");
    }
    assert_eq!(figures["answers"], 400);
    let (loss, perplexity) = (figures["loss"].as_f64().unwrap(), figures["perplexity"].as_f64().unwrap());
    assert!((loss.exp() - perplexity).abs() < 1e-9);
    let figures = of(&["eval", "lm"]);
    assert!(figures["loss"].as_f64().unwrap() < 4.0 && figures["exact_match"].is_null());
    // Each token is a character of one byte; of pairs, EOS has none.
    let bits_of = |figures: &serde_json::Value, factor: f64| {
        let bits = factor * figures["loss"].as_f64().unwrap() / std::f64::consts::LN_2;
        for key in ["bits_per_byte", "bits_per_character"] {
            assert!((figures[key].as_f64().unwrap() - bits).abs() < 1e-9, "{key} {figures}");
        }
    };
    bits_of(&figures, 1.0);
    // Without a text, on what was held out.
    assert_eq!(of(&["eval", "run"])["answers"], 40);
    folder.fail(&["eval", "lm", "--output", "answers.tsv"], &["--output", "texts without sources or prompts"]);
    folder.write("two.tsv", "11\t22\n11\t33\n12\t21\n");
    let figures = of(&["eval", "run", "--data", "two.tsv", "--multi-reference"]);
    assert_eq!(figures["answers"], 2);
    bits_of(&figures, 1.5);
    assert!(folder.succeed(&["eval", "run", "--data", "two.tsv"]).contains("exact match"));
}

#[test]
fn gradients_of_a_recipe_are_checked() {
    let folder = Folder::new();
    for recipe in ["lm.toml", "pairs.toml", "transformer.toml"] {
        let table = folder.succeed(&["gradcheck", recipe]);
        let part = if recipe == "transformer.toml" { "self_attn.in_proj_weight" } else { "weight_hh_l0" };
        assert!(table.contains("All gradients agree") && table.contains(part), "{table}");
        assert!(!table.contains("WRONG"));
    }
    let small = ["--set", "model.hidden=4", "--set", "model.embedding=2", "--all"];
    let table = folder.succeed(&[&["gradcheck", "lm.toml"][..], &small].concat());
    assert!(table.lines().any(|line| line.contains("rnn.weight_hh_l0") && line.contains(" 64 ")), "{table}");
}

#[test]
fn the_speed_of_workloads_and_recipes_is_measured() {
    let folder = Folder::new();
    for (name, more) in [("charrnn", &["--length", "7"][..]), ("pairs.toml", &["--batch", "3", "--threads", "1"])] {
        let line = folder.succeed(&[&["bench", name, "--steps", "2", "--json"][..], more].concat());
        let figures: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(figures["workload"], name);
        for key in ["step_ms", "tokens_per_s", "roofline_share", "peak_rss_mb"] {
            assert!(figures[key].as_f64().unwrap() > 0.0, "{key} in {figures}");
        }
        assert_eq!(figures["allocations"], 0, "after the first steps, a step allocates nothing");
    }
    // Many more target tokens than source tokens.
    folder.write("uneven.tsv", "a\tzyxwvutsrqponmlkjihgfedcba9876543210\n".repeat(40));
    folder.succeed(&["bench", "pairs.toml", "--steps", "2", "--batch", "8", "--set", "data.train=uneven.tsv"]);
    // Generation is that of the model, whatever its recipe says of texts.
    folder.train("pairs.toml", "run", 2);
    let recipe = std::fs::read_to_string(folder.path("run/recipe.toml")).unwrap().replace("[generation]\n", "");
    let options = "do_sample = true\nnum_return_sequences = 3\nguidance_scale = 2.0\nno_repeat_ngram_size = 1\n\
        stop_strings = [\"0\", \"1\", \"2\", \"3\", \"4\", \"5\", \"6\", \"7\", \"8\", \"9\"]\n";
    folder.write("run/recipe.toml", format!("{recipe}\n[generation]\n{options}"));
    let generate = ["bench", "run", "--generate", "--rounds", "1", "--prompt", "4", "--tokens", "40", "--json"];
    for beam in ["1", "2"] {
        let figures = folder.succeed(&[&generate[..], &["--beam", beam]].concat());
        let figures: serde_json::Value = serde_json::from_str(&figures).unwrap();
        assert!(figures["tokens_per_s"].as_f64().unwrap() > 0.0, "{figures}");
    }
    let one = [&generate[..6], &["4", "--tokens", "1", "--rows", "3", "--batch", "2", "--json"]].concat();
    let figures: serde_json::Value = serde_json::from_str(&folder.succeed(&one)).unwrap();
    assert!(figures["decode_tokens_per_s"].is_null() && figures["bandwidth_share"].is_null(), "{figures}");
    // A context of 32 tokens.
    folder.write("gpt.toml", include_str!("common/recipes/transformer-lm.toml").replace("window = 20\n", ""));
    folder.train("gpt.toml", "lm", 2);
    let prompt =
        |prompt, tokens| ["bench", "lm", "--generate", "--rounds", "1", "--prompt", prompt, "--tokens", tokens];
    folder.fail(&prompt("33", "2"), &["--prompt 33", "context length is 32"]);
    let told = folder.run(&prompt("30", "4"));
    assert!(String::from_utf8_lossy(&told.stderr).contains("the context slides"), "{told:?}");
    let told = folder.run(&prompt("30", "2"));
    assert!(told.status.success() && told.stderr.is_empty(), "{told:?}");
}

#[test]
fn learned_positions_have_an_end() {
    let folder = Folder::new();
    let positions = ["--set", "model.transformer.position=learned", "--set", "model.transformer.max_length=16"];
    let lines = ["--set", "data.stream=false", "--set", "train.steps=20", "--quiet"];
    let train = [&["train", "bf16.toml", "--run", "run"][..], &positions].concat();
    folder.fail(&train, &["train.length = 64", "model.transformer.max_length = 16"]);
    // Every line of the text is longer.
    folder.fail(&[&train[..], &lines].concat(), &["text.txt", "of more than 15 tokens"]);
    folder.write("text.txt", "abc\n".repeat(40) + "a line that is longer than the model has positions for\n");
    let output = folder.run(&[&train[..], &lines].concat());
    let told = String::from_utf8_lossy(&output.stderr);
    let expected = "1 of 41 lines or pairs is left out: 1 with a target of more than 15 tokens (first in line 41)";
    assert!(output.status.success() && told.contains(expected), "{told}");
    // Beyond the positions, it goes on from the last half of what it read, and says so.
    let endless = ["--temperature", "1000", "--seed", "3", "--max-length", "30"];
    for prompt in ["abcabcabcabc", "abcabcabcabcabcabcabc"] {
        let output = folder.run(&[&["generate", "run", prompt], &endless[..]].concat());
        let (written, told) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
        let length = prompt.len() + 1..=prompt.len() + 30;
        assert!(written.starts_with(prompt) && length.contains(&written.trim_end().chars().count()), "{written}");
        assert!(written.len() < 17 || told.contains("reads at once"), "{written} {told}");
    }
    folder.fail(&["generate", "run", "abc", "--context", "17"], &["--context 17", "16 tokens"]);
    // What it cannot read is left out, and the report says so.
    let report = folder.succeed(&["eval", "run", "--data", "text.txt"]);
    assert!(report.contains("160 target tokens in texts of at most 15"), "{report}");
}

#[test]
fn compressed_texts_train_as_plain_ones() {
    let folder = Folder::new();
    folder.train("lm.toml", "plain", 20);
    let gzip = std::process::Command::new("gzip").args(["-k", "text.txt"]).current_dir(folder.path("")).status();
    if !gzip.is_ok_and(|status| status.success()) {
        println!("skipped: no gzip here");
        return;
    }
    let settings = ["--set", "data.train=text.txt.gz", "--set", "train.steps=20", "--quiet"];
    folder.succeed(&[&["train", "lm.toml", "--run", "gz"][..], &settings].concat());
    assert!(folder.weights("plain") == folder.weights("gz"));
}

#[test]
fn shells_get_completions() {
    let folder = Folder::new();
    for shell in ["bash", "zsh", "fish"] {
        assert!(folder.succeed(&["completions", shell]).contains("gradcheck"));
    }
}
