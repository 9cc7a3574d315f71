//! What of a text is left out, unknown, of another format or changed is reported.

mod common;

use common::{Folder, PAIRS};

fn figures(folder: &Folder, arguments: &[&str]) -> serde_json::Value {
    serde_json::from_str(&folder.succeed(&[arguments, &["--json"]].concat())).unwrap()
}

#[test]
fn what_is_left_out_is_told_by_training_resuming_and_evaluating() {
    let folder = Folder::new();
    folder.write("pairs.tsv", "12\t21\n\t34\n34\t\n56\t65\n".repeat(30));
    let train = ["train", "pairs.toml", "--run", "run", "--quiet", "--set", "train.steps=10"];
    let expected = "pairs.tsv: 60 of 120 lines or pairs are left out: 30 with an empty source (first in line 2), 30 with an \
                    empty target (first in line 3).";
    let found = folder.told(&train);
    assert!(found.contains(expected), "{found}");
    let found = folder.told(&[&train[..5], &["--resume", "--set", "train.steps=12"]].concat());
    assert!(found.contains(expected), "{found}");
    let found = folder.told(&["eval", "run", "--data", "pairs.tsv"]);
    assert!(found.contains(expected), "{found}");
    // Loss and answers are over the same pairs.
    let found = figures(&folder, &["eval", "run", "--data", "pairs.tsv"]);
    assert_eq!((&found["answers"], &found["tokens"]), (&60.into(), &180.into()));
    folder.write("clean.tsv", "12\t21\n".repeat(30));
    let settings = ["--set", "data.train=clean.tsv", "--set", "train.steps=10", "--set", "train.validate_every=5"];
    let clean = [&["train", "pairs.toml", "--run", "clean", "-q"][..], &settings].concat();
    assert_eq!(folder.told(&clean), "");
}

#[test]
fn what_is_unknown_is_told_and_never_right() {
    let folder = Folder::new();
    folder.train("pairs.toml", "run", 10);
    folder.write("other.tsv", "12\t2\u{4e00}\n34\t4\u{4e8c}3\n");
    let found = folder.told(&["eval", "run", "--data", "other.tsv", "--loss-only"]);
    let expected = "other.tsv: 40.00 % of the target tokens are unknown to the tokenizer (2, first in line 1): \"\u{4e00}\", \
                    \"\u{4e8c}\".";
    assert!(found.contains(expected), "{found}");
    folder.write("other.tsv", "12\t\u{4e00}\n");
    folder.fail(&["eval", "run", "--data", "other.tsv"], &["other.tsv", "100 % of the target tokens", "line 1"]);
    // A vocabulary of the most frequent characters alone: much is unknown, and it is easy to guess.
    folder.write("pairs.tsv", "1\taaab\n2\taaac\n3\taaad\n".repeat(100));
    let settings = ["--set", "target_tokenizer={kind='character',vocabulary=4}", "--set", "train.steps=150"];
    let train = [&["train", "pairs.toml", "--run", "few", "--quiet"][..], &settings].concat();
    let found = folder.told(&train);
    assert!(found.contains("25.00 % of the target tokens are unknown"), "{found}");
    let accuracy = figures(&folder, &["eval", "few", "--loss-only"])["accuracy"].as_f64().unwrap();
    assert!((accuracy - 0.8).abs() < 1e-6, "of aaa, ? and the end all but ? can be right: {accuracy}");
    let none = ["train", "pairs.toml", "--run", "none", "--set", "tokenizer.minimum_count=1000"];
    folder.fail(&none, &["minimum_count = 1000"]);
}

#[test]
fn training_and_validation_have_one_form() {
    let folder = Folder::new();
    let json = |i: usize| format!("{{\"prompt\":\"{i}\",\"completion\":\"{}\"}}\n", i + 1);
    folder.write("pairs.jsonl", (0..40).map(json).collect::<String>());
    folder.write("list.JSON", format!("[{}]", (0..9).map(json).collect::<Vec<_>>().join(",")));
    let lines = ["--set", "data.stream=false", "--set", "data.train=pairs.jsonl", "--set", "train.steps=10", "--quiet"];
    let train = |run, validation| [&["train", "lm.toml", "--run", run, "--set", validation][..], &lines].concat();
    let both = ["pairs.tsv", "pairs.jsonl", "data.columns = [0, 1]", "pairs of source and target"];
    folder.fail(&train("wrong", "data.validation=pairs.tsv"), &both);
    assert!(!folder.path("wrong").exists());
    let right = train("run", "data.validation=list.JSON");
    folder.succeed(&right);
    folder.fail(&["eval", "run", "--data", "pairs.tsv", "--loss-only"], &both);
    // Nine answers of one digit and the end.
    assert_eq!(figures(&folder, &["eval", "run", "--loss-only"])["tokens"], 9 * 2);
    folder.fail(
        &["train", "lm.toml", "--run", "stream", "--set", "data.train=pairs.jsonl"],
        &["pairs.jsonl", "data.stream = true", "JSON"],
    );
    let columns = ["--set", "data.columns=[0,1]"];
    folder.fail(
        &[&train("columns", "data.validation=list.JSON")[..], &columns].concat(),
        &["data.columns", "those of JSON and Parquet have names"],
    );
    // Of one form, by the key that the error names.
    folder.succeed(&[&train("columns", "data.validation=pairs.tsv")[..], &columns].concat());
    // A text that is gone hinders no training that has it encoded already.
    std::fs::remove_file(folder.path("pairs.jsonl")).unwrap();
    folder.succeed(&[&right[..], &["--resume", "--set", "train.steps=12"]].concat());
}

#[test]
fn a_text_that_changed_is_noticed() {
    let folder = Folder::new();
    folder.train("pairs.toml", "run", 10);
    let before = figures(&folder, &["eval", "run", "--loss-only"]);
    folder.write("pairs.tsv", (100..500).map(|i| format!("{i}\t111\n")).collect::<String>());
    let resume = ["train", "pairs.toml", "--run", "run", "--quiet", "--resume", "--set", "train.steps=12"];
    let found = folder.told(&resume);
    assert!(
        found.contains("pairs.tsv has changed") && found.contains("Training goes on with the text as it was"),
        "{found}"
    );
    let output = folder.run(&["eval", "run"]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && error.contains("error: pairs.tsv has changed"), "{error}");
    let found = folder.told(&["eval", "run", "--loss-only"]);
    assert!(found.contains("The loss is that of the text as it was"), "{found}");
    assert_eq!(figures(&folder, &["eval", "run", "--loss-only"])["tokens"], before["tokens"]);
    // Encoded anew it would be another training.
    std::fs::remove_dir_all(folder.path("run/data/train")).unwrap();
    folder.fail(&resume[..6], &["not the one that training began with"]);
}

#[test]
fn damaged_encoded_texts_end_in_an_error_that_names_them() {
    let folder = Folder::new();
    let json = |i: usize| format!("{{\"prompt\":\"{i}\",\"completion\":\"{}\"}}\n", i + 1);
    folder.write("pairs.jsonl", (0..40).map(json).collect::<String>());
    folder.write(
        "prompts.toml",
        PAIRS
            .replace("pairs.tsv", "pairs.jsonl")
            .replace("encoder-decoder", "language-model")
            .replace("attention = \"general\"", ""),
    );
    folder.train("prompts.toml", "run", 10);
    let resume = ["train", "prompts.toml", "--run", "run", "--resume", "--quiet", "--set", "train.steps=12"];
    for (file, number) in
        [("prompts.lengths", 500u32), ("prompts.lengths", u32::MAX), ("target.lengths", 1), ("target.ids", 0x0005_0005)]
    {
        let path = folder.path("run/data/train").join(file);
        let good = std::fs::read(&path).unwrap();
        let bad: Vec<u8> = number.to_le_bytes().into_iter().cycle().take(good.len()).collect();
        std::fs::write(&path, bad).unwrap();
        folder.fail(&resume, &["run/data/train", file, "Delete that folder"]);
        folder.fail(&["eval", "run"], &["run/data/train", file]);
        std::fs::write(&path, good).unwrap();
    }
    // As the error says.
    std::fs::remove_dir_all(folder.path("run/data/train")).unwrap();
    folder.succeed(&resume);
}
