//! What somebody meets who tries it for the first time: starters, files of other forms, folders that are no runs.

mod common;

use common::{Folder, LANGUAGE_MODEL, PAIRS};
use serde_json::Value;
use std::fs;

/// Three hundred words and how they are spelled backwards.
fn words() -> String {
    let syllables = ["ba", "ke", "li", "mo", "nu", "ra", "sti", "tro", "po", "den"];
    let word = |i: usize| [syllables[i % 10], syllables[i / 10 % 10], syllables[i * 7 / 10 % 10]].concat();
    (0..300).map(word).map(|word| format!("{word}\t{}\n", word.chars().rev().collect::<String>())).collect()
}

#[test]
fn a_starter_is_made_for_its_text() {
    let folder = Folder::new();
    folder.write("words.tsv", words());
    let recipe = folder.succeed(&["init", "pairs", "--data", "words.tsv"]);
    assert!(recipe.contains("train = \"words.tsv\"") && recipe.contains("kind = \"character\""), "{recipe}");
    let sentence = |i: usize| {
        let noun = |i: usize| format!("{}ing{}", ["walk", "read", "sing", "writ"][i % 4], i % 97);
        let side = |i: usize| (0..12).map(|j| noun(i * 31 + j * 7)).collect::<Vec<_>>().join(" ");
        format!("{}\t{}\n", side(i), side(i + 1))
    };
    folder.write("long.tsv", (0..1000).map(sentence).collect::<String>());
    let recipe = folder.succeed(&["init", "pairs", "--data", "long.tsv"]);
    assert!(recipe.contains("kind = \"bpe\"") && recipe.contains("vocabulary = 7"), "{recipe}");
    // By the name that the recipe has, too; and a text that is none of the kind is reported where it was named.
    assert!(folder.told(&["init", "pairs", "own.toml"]).contains("Made for pairs.tsv: 1200 characters, 10 of them"));
    // A book in one line is read as it will be, and whatever a file is called.
    let characters: String = (0..100_u8).map(|i| char::from(b'!' + i % 90)).collect();
    for name in ["book.txt", "cafe\u{301} \"1\".txt"] {
        folder.write(name, characters.repeat(700));
        let arguments = ["init", "text", &format!("{}.toml", name.len()), "--data", name];
        assert!(folder.told(&arguments).contains("70000 characters, 90 of them"));
        let recipe = fs::read_to_string(folder.path(arguments[2])).unwrap();
        assert!(recipe.contains("vocabulary = 150"), "{recipe}");
        folder.succeed(&["train", arguments[2], "--quiet", "--set", "train.steps=1"]);
    }
    folder.write("three.tsv", "one\tun\t1\ntwo\tdeux\t2\n".repeat(9));
    folder.fail(&["init", "pairs", "--data", "three.tsv"], &["three.tsv", "data.columns"]);
    let recipe = folder.succeed(&["init", "pairs", "--data", "three.tsv", "--columns", "2,1"]);
    assert!(recipe.contains("\ncolumns = [2, 1]\n"), "{recipe}");
    folder.write("named.csv", "a,größe\none,un\ntwo,deux\n");
    let recipe = folder.succeed(&["init", "pairs", "--data", "named.csv", "--columns", "a,größe"]);
    assert!(recipe.contains("\ncolumns = [\"a\", \"größe\"]\n"), "{recipe}");
    folder.fail(&["init", "pairs", "--data", "text.txt"], &["text.txt, line 1"]);
    folder.fail(&["init", "pairs", "--data", "absent.tsv"], &["absent.tsv"]);
    assert!(folder.succeed(&["init", "instructions"]).contains("chat.jsonl"));
    fs::remove_file(folder.path("pairs.tsv")).unwrap();
    assert!(folder.succeed(&["init", "pairs"]).contains("kind = \"bpe\""));
}

#[test]
fn a_vocabulary_too_large_for_its_text_is_told() {
    let folder = Folder::new();
    folder.write("words.tsv", words());
    let train = |kind: &str, run: &str| {
        let recipe = PAIRS.replace("pairs.tsv", "words.tsv").replace("kind = \"character\"", kind);
        folder.write("words.toml", recipe);
        folder.told(&["train", "words.toml", "--run", run, "--set", "train.steps=1"])
    };
    for kind in ["bpe", "byte-bpe", "wordpiece"] {
        let said = train(&format!("kind = \"{kind}\"\nvocabulary = 900"), kind);
        assert!(said.contains("tokenizer.vocabulary = 900 is too large"), "{said}");
        assert!(said.contains("occur fewer than 5 times"), "{said}");
        assert!(
            said.contains("large for the sources of this text") && said.contains("large for the targets"),
            "{said}"
        );
    }
    for kind in ["kind = \"character\"", "kind = \"bpe\"\nvocabulary = 40", "kind = \"byte\""] {
        let said = train(kind, &kind[8..12]);
        assert!(!said.contains("too large"), "{said}");
    }
}

#[test]
fn columns_blank_lines_and_tables_are_told() {
    let folder = Folder::new();
    folder.write("table.txt", "a\tone\nb\ttwo\n".repeat(30));
    let lm = LANGUAGE_MODEL.replace("stream = true", "stream = false").replace("text.txt", "table.txt");
    folder.write("table.toml", &lm);
    let said = folder.told(&["train", "table.toml", "--run", "lines", "--set", "train.steps=1"]);
    assert!(said.contains("columns between tabs") && said.contains("data.columns = [0, 1]"), "{said}");
    let said = folder.told(&["train", "lm.toml", "--run", "text", "--set", "train.steps=1"]);
    assert!(!said.contains("columns"), "{said}");
    folder.write("commas.tsv", "a,one\nb,two\n".repeat(30));
    folder.fail(
        &["train", "pairs.toml", "--run", "no", "--set", "data.train=commas.tsv"],
        &["commas.tsv, line 1 has no tab", "not by commas", "name it .csv"],
    );
    // Blank lines of pairs, and what is left out at the end and before it.
    let pairs = fs::read_to_string(folder.path("pairs.tsv")).unwrap();
    let (first, rest) = pairs.split_at(8);
    folder.write("blank.tsv", format!("{first}\n\n\tempty\nempty\t\n{rest}last\t\n"));
    let blank = ["--run", "blank", "--set", "train.steps=1", "--set", "data.train=blank.tsv"];
    let said = folder.told(&[&["train", "pairs.toml"][..], &blank].concat());
    assert!(said.contains("2 blank lines are passed over (first in line 2)"), "{said}");
    assert!(said.contains("3 of 403 lines or pairs are left out"), "{said}");
    let output = folder.run(&["eval", "blank", "--json", "--loss-only"]);
    let figures: Value = serde_json::from_slice(&output.stdout).unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(figures["left_out"], 1, "{figures} {said}");
    assert!(said.contains("blank.tsv (all of it; its end is measured): 3 of 403"), "{said}");
}

#[test]
fn keys_and_roles_that_are_meant_are_named() {
    let folder = Folder::new();
    let lm = LANGUAGE_MODEL.replace("stream = true\n", "").replace("text.txt", "chat.jsonl");
    folder.write("chat.toml", lm);
    for (line, parts) in [
        (r#"{"prompt": "a", "completon": "b"}"#, &["chat.jsonl, line 2", "did you mean \"completion\""][..]),
        (r#"{"messages": []}"#, &["line 2", "its \"messages\" are none"]),
        (
            r#"{"messages": [{"role": "user", "content": "a"}, {"role": "bot", "content": "b"}]}"#,
            &["line 2", "\"user\", \"bot\"", "\"assistant\""],
        ),
        (
            r#"{"messages": [{"role": "user", "content": "a"}, {"role": "asistant", "content": "b"}]}"#,
            &["line 2", "message 2", "did you mean \"assistant\""],
        ),
    ] {
        let good = match line.contains("messages") {
            true => r#"{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}"#,
            false => r#"{"prompt": "a", "completion": "b"}"#,
        };
        folder.write("chat.jsonl", format!("{good}\n{line}\n"));
        folder.fail(&["train", "chat.toml", "--run", "no"], parts);
    }
}

#[test]
fn what_is_no_run_says_what_it_is() {
    let folder = Folder::new();
    folder.train("pairs.toml", "runs/pairs", 2);
    folder.succeed(&["export", "runs/pairs", "exported"]);
    for command in [&["generate", "exported", "1"][..], &["eval", "exported"]] {
        folder.fail(command, &["exported", "model from elsewhere", "descant import exported"]);
    }
    folder.write("some.gguf", "GGUF");
    folder.fail(&["generate", "some.gguf", "1"], &["descant import some.gguf"]);
    folder.fail(&["generate", "hf:owner/name", "1"], &["descant import hf:owner/name"]);
    folder.fail(&["generate", "runs", "1"], &["not a run folder", "runs/pairs"]);
    assert!(folder.succeed(&["show", "runs"]).contains("show runs/pairs"));
    folder.fail(&["export", "runs/pairs", "pairs.gguf"], &["no recurrent models", "LSTM, GRU"]);
    folder.succeed(&["import", "exported", "--run", "exported/run"]);
    assert!(folder.succeed(&["show", "exported"]).contains("PyTorch"), "a model is one, whatever lies beside it");
    fs::remove_file(folder.path("runs/pairs/last/manifest.json")).unwrap();
    let broken = folder.fail(&["generate", "runs/pairs/checkpoints/step-00000002", "1"], &["step-00000002"]);
    assert!(!broken.contains("from elsewhere"), "{broken}");
    folder.train("pairs.toml", "runs/pairs2", 2);
    folder.succeed(&["import", "exported", "--run", "again"]);
    let shown = folder.succeed(&["show", "again"]);
    assert!(shown.contains("an imported model") && !shown.contains("step 0"), "{shown}");
    assert!(!folder.fail(&["eval", "again"], &["again", "--data"]).contains("[data]"));
    // It tells what a run is, not of which numbers.
    fs::write(folder.path("runs/pairs2/last/model.safetensors"), "damaged").unwrap();
    assert!(folder.succeed(&["show", "runs/pairs2"]).contains("at step 2"));
    assert!(folder.succeed(&["recipe", "lora"]).contains("[finetune.lora]"));
}

#[test]
fn a_chat_is_learnt_from_messages_or_pairs() {
    let folder = Folder::new();
    let parts = ["data.chat_template", "text.txt", "messages", "descant init text"];
    folder.fail(&["init", "chat", "--data", "text.txt"], &parts);
    folder.succeed(&["init", "chat", "chat.toml"]);
    folder.fail(&["train", "chat.toml", "--run", "no", "--set", "data.train=text.txt"], &parts);
    folder.fail(&["show", "text.txt"], &["text.txt", "this is a file", "descant init"]);
    folder.fail(&["show", "lm.toml"], &["this is a recipe", "train it first"]);
    folder.train("pairs.toml", "run", 2);
    folder.fail(&["export", "run", "a.gguf", "--adapter"], &["a.gguf", "folder of PEFT"]);
}

#[test]
fn a_finished_training_says_so_first() {
    let folder = Folder::new();
    folder.train("pairs.toml", "run", 2);
    let output = folder.run(&["train", "pairs.toml", "--run", "run", "--resume", "--set", "train.steps=2"]);
    let (said, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.starts_with("run: already trained, 2 steps."), "{said}");
    assert!(!told.contains("to learn from"), "{told}");
    // What a try is too short for is no fault of its recipe.
    let short = PAIRS.replace("validate_every = 50", "validate_every = 50\npatience = 3");
    folder.write("short.toml", short);
    let output = folder.run(&["train", "short.toml", "--run", "short", "--set", "train.steps=1"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !told.contains("train.patience") && !told.contains("1 steps"), "{told}");
}
