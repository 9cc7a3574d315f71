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
fn a_letter_of_the_last_of_many_lines_is_known() {
    let folder = Folder::new();
    folder.write("late.txt", "ab\n".repeat(201_000) + "жук\n");
    let train =
        ["train", "lm.toml", "--run", "run", "--quiet", "--set", "data.train=late.txt", "--set", "train.steps=1"];
    folder.succeed(&train);
    let tokenizer = std::fs::read_to_string(folder.path("run/tokenizer.json")).unwrap();
    assert!(["ж", "у", "к"].iter().all(|letter| tokenizer.contains(letter)), "{tokenizer}");
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
