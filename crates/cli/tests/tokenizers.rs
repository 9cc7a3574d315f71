//! Tokenizers of a training, from the text to the export.

mod common;

use common::Folder;

fn loss(folder: &Folder, run: &str, text: &str) -> (f64, u64) {
    let report = folder.succeed(&["eval", run, "--data", text, "--json"]);
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    (report["loss"].as_f64().unwrap(), report["tokens"].as_u64().unwrap())
}

#[test]
fn names_of_control_tokens_are_the_same_text_after_a_move() {
    let folder = Folder::new();
    folder.write("tags.txt", "<s>old</s> and new\nold and <unk> new\n".repeat(60));
    let settings = [
        "--set",
        "data.train=tags.txt",
        "--set",
        "data.stream=false",
        "--set",
        "tokenizer.kind=byte-bpe",
        "--set",
        "tokenizer.vocabulary=280",
        "--set",
        "model.output_bias=false",
        "--set",
        "model.transformer={heads = 2, position = \"learned\"}",
        "--set",
        "train.steps=40",
        "--set",
        "train.precision=f32",
        "--quiet",
    ];
    folder.succeed(&[&["train", "bf16.toml", "--run", "run"][..], &settings].concat());
    folder.succeed(&["export", "run", "moved"]);
    folder.succeed(&["import", "moved", "--run", "again"]);
    let ((before, tokens), (after, same_tokens)) =
        (loss(&folder, "run", "tags.txt"), loss(&folder, "again", "tags.txt"));
    assert_eq!(tokens, same_tokens);
    assert!((before - after).abs() < 1e-5 * before, "{before} and {after}");
}

#[test]
fn a_character_of_the_last_of_many_lines_is_known() {
    let folder = Folder::new();
    folder.write("late.txt", "ab\n".repeat(201_000) + "жук\n");
    let train =
        ["train", "lm.toml", "--run", "run", "--quiet", "--set", "data.train=late.txt", "--set", "train.steps=1"];
    folder.succeed(&train);
    let tokenizer = std::fs::read_to_string(folder.path("run/tokenizer.json")).unwrap();
    assert!(["ж", "у", "к"].iter().all(|character| tokenizer.contains(character)), "{tokenizer}");
}

#[test]
fn tokens_that_a_loss_names_act_or_are_told() {
    let folder = Folder::new();
    let train = |run: &str, ignored: &str| {
        let ignored = format!("loss.ignored=[{ignored}]");
        let kind = "target_tokenizer={kind=\"word\", add=[\"<x>\"]}";
        let all = ["train", "pairs.toml", "--run", run, "--set", "train.steps=20", "--set", kind, "--set", &ignored];
        let output = folder.run(&all);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(!train("used", "\"001\"").contains("[loss]"));
    let told = train("idle", "\"<x>\"");
    assert!(told.contains("[loss] names \"<x>\""), "{told}");
    let set = ["--set", "loss.ignored=[\"a b\"]", "--set", "target_tokenizer={kind=\"character\"}"];
    let error = folder.fail(&[&["train", "pairs.toml", "--run", "wrong"][..], &set].concat(), &["loss", "a b"]);
    assert!(error.contains("no token") || error.contains("tokens"), "{error}");
}

#[test]
fn texts_are_shown_as_they_are_cut() {
    let folder = Folder::new();
    folder.train("lm.toml", "lm", 3);
    folder.train("pairs.toml", "pairs", 3);
    // No weights are read for it.
    std::fs::write(folder.path("pairs/last/model.safetensors"), "damaged").unwrap();
    folder.write("more.NDJSON", "{\"text\": \"a line\"}\n");
    let lines = |arguments: &[&str]| -> Vec<serde_json::Value> {
        let shown = folder.succeed(&[&["tokenize", "--json"][..], arguments].concat());
        shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let cut = lines(&["pairs", "12", "3"]);
    assert_eq!((cut[0]["decoded"].as_str(), cut[1]["decoded"].as_str()), (Some("12"), Some("3")));
    assert_eq!(cut[0]["ids"].as_array().map(Vec::len), cut[0]["tokens"].as_array().map(Vec::len));
    assert_eq!(lines(&["pairs", "12", "--target"])[0]["decoded"], "12");
    let read = &lines(&["lm", "--input", "more.NDJSON"])[0];
    assert_eq!((read["text"].as_str(), read["line"].as_u64()), (Some("a line"), Some(1)));
    assert_eq!(lines(&["lm/tokenizer.json", "a line"])[0]["decoded"], "a line");
    folder.fail(&["tokenize", "lm", "a", "--target"], &["--target", "language model"]);
    folder.fail(&["tokenize", "lm/tokenizer.json", "a", "--target"], &["--target"]);
    folder.fail(&["tokenize", "nothing", "a"], &["nothing"]);
}

/// BPE-dropout needs merges: the other side stays as it is, and without either there is nothing to do.
#[test]
fn a_side_that_subword_regularisation_does_not_change_is_told() {
    let folder = Folder::new();
    let train = |run: &'static str, kind: &'static str| {
        let settings = ["--set", "data.bpe_dropout=0.2", "--set", kind, "--set", "target_tokenizer={kind='character'}"];
        [&["train", "pairs.toml", "--run", run, "--set", "train.steps=2"][..], &settings].concat()
    };
    let told = folder.told(&train("run", "tokenizer={kind='bpe',vocabulary=60}"));
    assert!(told.contains("the targets are segmented as ever"), "{told}");
    folder.fail(&train("none", "tokenizer={kind='character'}"), &["data.bpe_dropout", "no tokenizer has merges"]);
}
