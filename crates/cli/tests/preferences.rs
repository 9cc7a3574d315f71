//! Direct preference optimization, on the real binary.

mod common;

use common::{Folder, recipes};

/// Preferences for the answers of `pairs.tsv`: with one more digit rather than as they are.
fn longer() -> String {
    let preference = |i: usize| {
        let answer: String = i.to_string().chars().rev().collect();
        format!("{{\"prompt\": \"{i}\", \"chosen\": \"{answer}7\", \"rejected\": \"{answer}\"}}\n")
    };
    (100..500).map(preference).collect()
}

/// A recipe that goes on from `base` with the preferences of a file.
fn recipe(folder: &Folder, file: &str, more: &str) {
    let (before, more) = more.split_once("[loss]").unwrap_or((more, ""));
    let recipe = format!(
        "init = \"base\"\n[data]\ntrain = \"{file}\"\n{before}[train]\nsteps = 60\nbatch_sentences = 16\nlearning_rate = 3e-3\nshares = 4\n\
         validate_every = 30\nlog_every = 1\n[loss]\nkind = \"dpo\"\n{more}"
    );
    folder.write("dpo.toml", recipe);
}

fn metrics(folder: &Folder, run: &str) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(folder.path(run).join("metrics.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn all_architectures_learn_what_is_preferred() {
    let folder = Folder::new();
    folder.write("lines.jsonl", recipes::preferences());
    folder.write("longer.jsonl", longer());
    for (base, file) in
        [("lm.toml", "lines.jsonl"), ("pairs.toml", "longer.jsonl"), ("transformer.toml", "longer.jsonl")]
    {
        folder.train(base, "base", 100);
        recipe(&folder, file, "[loss]");
        let mut train = vec!["train", "dpo.toml", "--run", "run", "--quiet", "--set", "model.dropout=0.0"];
        if base == "transformer.toml" {
            train.extend(["--set", "model.transformer.attention_dropout=0.0"]);
        }
        folder.succeed(&train);
        let metrics = metrics(&folder, "run");
        // No step from the reference, both rewards are zero, but for rounding.
        let first = &metrics[0];
        assert!((first["loss"].as_f64().unwrap() - 2f64.ln()).abs() < 1e-4, "{base}: {first}");
        assert!(first["measures"]["reward_margin"].as_f64().unwrap().abs() < 1e-4, "{base}: {first}");
        let last = metrics.last().unwrap();
        let measured = &last["metrics"];
        assert_eq!(measured["preference_accuracy"], 1.0, "{base}: {last}");
        assert!(
            measured["reward_margin"].as_f64().unwrap() > 0.5 && last["loss"].as_f64().unwrap() < 0.5,
            "{base}: {last}"
        );

        folder.succeed(&["gradcheck", "dpo.toml"]);
        folder.succeed(&["bench", "dpo.toml", "--text", "--steps", "2", "--threads", "1"]);
        // What is measured later is what was measured then.
        let told: serde_json::Value =
            serde_json::from_str(&folder.succeed(&["eval", "run", "--loss-only", "--json"])).unwrap();
        for (name, value) in [("loss", &last["loss"]), ("reward_margin", &measured["reward_margin"])] {
            let (found, expected) = (told[name].as_f64().unwrap(), value.as_f64().unwrap());
            assert!((found - expected).abs() < 1e-5, "{base}: {name} is {found}, was {expected}");
        }
        // A model of pairs measures what is chosen; and so does one of preferences without what it was measured from.
        if base != "lm.toml" {
            let told = folder.succeed(&["eval", "base", "--data", file, "--loss-only"]);
            assert!(told.contains("nats per token") && !told.contains("reward"), "{told}");
        }
        std::fs::rename(folder.path("base"), folder.path("moved")).unwrap();
        let told = folder.told(&["eval", "run", "--loss-only"]);
        assert!(told.contains("Preferences are not measured") && told.contains("base"), "{told}");
        std::fs::remove_dir_all(folder.path("moved")).unwrap();
        std::fs::remove_dir_all(folder.path("run")).unwrap();
    }
}

#[test]
fn columns_and_chat_templates_make_preferences_too() {
    let folder = Folder::new();
    folder.train("lm.toml", "base", 20);
    folder.write("lines.jsonl", recipes::preferences());
    let lines = recipes::preferences();
    let rows = lines.lines().map(|line| {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        ["chosen", "prompt", "rejected"].map(|key| object[key].as_str().unwrap().to_owned()).join("\t") + "\n"
    });
    let rows: String = rows.collect();
    folder.write("rows.tsv", &rows);
    folder.write("named.tsv", format!("good\tquestion\tbad\n{rows}"));
    let weights = [
        ("lines.jsonl", ""),
        ("rows.tsv", "columns = [1, 0, 2]\n"),
        ("named.tsv", "columns = [\"question\", \"good\", \"bad\"]\n"),
    ]
    .map(|(file, columns)| {
        recipe(&folder, file, &format!("{columns}[loss]"));
        folder.train("dpo.toml", file.split('.').next().unwrap(), 5);
        folder.weights(file.split('.').next().unwrap())
    });
    assert!(weights[0] == weights[1] && weights[0] == weights[2]);
    // A template that writes nothing of its own makes the same sequences.
    folder.write("plain.jinja", "{% for message in messages %}{{ message.content }}{% endfor %}");
    recipe(&folder, "lines.jsonl", "chat_template = \"plain.jinja\"\n[loss]");
    folder.train("dpo.toml", "chat", 5);
    // What is chosen can be learned alone.
    let chosen = ["train", "dpo.toml", "--run", "alone", "--quiet", "--set", "loss={kind='cross-entropy'}"];
    folder.fail(&chosen, &["lines.jsonl", "loss.kind = \"dpo\"", "data.columns = [\"prompt\", \"chosen\"]"]);
    folder.succeed(&[&chosen[..], &["--set", "data.columns=['prompt', 'chosen']"]].concat());
}

#[test]
fn what_is_wrong_with_preferences_is_told() {
    let folder = Folder::new();
    folder.train("lm.toml", "base", 2);
    let fail = |parts: &[&str], more: &[&str]| {
        folder.fail(&[&["train", "dpo.toml", "--run", "run"], more].concat(), parts);
        assert!(!folder.path("run/recipe.toml").exists());
    };
    let write = |text: &str| folder.write("some.jsonl", text);
    recipe(&folder, "some.jsonl", "[loss]");
    let right = "{\"prompt\": \"line\", \"chosen\": \"says\", \"rejected\": \"red\"}\n";
    write(&format!("{right}{{\"prompt\": \"line\", \"chosen\": \"says\"}}\n"));
    fail(&["some.jsonl", "line 2", "\"rejected\" is missing"], &[]);
    write(&format!("{right}{{\"prompt\": \"line\", \"completion\": \"says\"}}\n"));
    fail(&["some.jsonl", "line 2", "of another kind"], &[]);
    write("{\"prompt\": \"line\", \"completion\": \"says\"}\n");
    fail(&["some.jsonl", "pairs of source and target", "\"chosen\"", "data.columns"], &[]);
    write(&"{\"prompt\": \"line\", \"chosen\": \"says\", \"rejected\": \"says\"}\n".repeat(3));
    fail(&["some.jsonl", "3 whose rejected answer is the chosen one (first in line 1)"], &[]);
    // Some are left out, and counted.
    let same = right.replace("red", "says");
    let empty = right.replace("says", "");
    write(&format!("{}{same}{same}{empty}{}", right.repeat(20), right.replace("red", "")));
    let told = folder.told(&["train", "dpo.toml", "--run", "some", "--set", "train.steps=2"]);
    for part in [
        "4 of 24 lines",
        "2 whose rejected answer is the chosen one (first in line 21)",
        "2 with an empty target (first in line 23)",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    write(&right.repeat(20));
    fail(&["loss.smoothing = 0.5", "less than 0.5"], &["--set", "loss.smoothing=0.5"]);
    fail(&["loss.beta = 0"], &["--set", "loss.beta=0.0"]);
    fail(&["distill"], &["--set", "distill={teacher='base'}"]);
    fail(&["tokenizer.add"], &["--set", "tokenizer.add=['<new>']"]);
    fail(&["train.best_metric", "preference_accuracy"], &["--set", "train.best_metric=bleu"]);
    fail(&["loss.consistency"], &["--set", "loss.consistency=1.0"]);
    fail(&["carry_state"], &["--set", "train.carry_state=true"]);
    fail(&["data.stream"], &["--set", "data.stream=true"]);
    folder.write("dpo.toml", format!("{}[loss]\nkind = \"dpo\"\n", common::LANGUAGE_MODEL));
    fail(&["init"], &["--set", "data.stream=false"]);
    // The same reference to the end.
    recipe(&folder, "some.jsonl", "[loss]");
    folder.train("dpo.toml", "run", 2);
    folder.succeed(&["train", "lm.toml", "--run", "base", "--quiet", "--resume", "--set", "train.steps=3"]);
    let more = ["train", "dpo.toml", "--run", "run", "--resume", "--set", "train.steps=3"];
    folder.fail(&more, &["base", "when the training started"]);
}
