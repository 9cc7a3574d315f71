//! The words of the program: help texts and error messages, as files in `snapshots/`. After a change of words,
//! `DESCANT_SNAPSHOTS=write cargo test -p descant-cli --test snapshots` writes them anew, and `git diff` shows them.

mod common;

use common::{Folder, LANGUAGE_MODEL};
use std::fs;
use std::path::PathBuf;

/// That `text` is the file `name`.
#[track_caller]
fn is_as_before(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots").join(name);
    if std::env::var_os("DESCANT_SNAPSHOTS").is_some() {
        return fs::write(path, text).unwrap();
    }
    let before = fs::read_to_string(&path).unwrap_or_default();
    let mut lines = before.lines().zip(text.lines()).enumerate();
    if let Some((i, (before, now))) = lines.find(|(_, (before, now))| before != now) {
        panic!("{name}, line {}: it was\n{before}\nand is\n{now}\n{UPDATE}", i + 1);
    }
    assert_eq!(before.lines().count(), text.lines().count(), "lines of {name}. {UPDATE}");
}

const UPDATE: &str = "If that is meant: DESCANT_SNAPSHOTS=write cargo test -p descant-cli --test snapshots";

#[test]
fn help_texts() {
    let folder = Folder::new();
    let help = |arguments: &[&str]| {
        let output = folder.command(arguments).env("COLUMNS", "100").output().unwrap();
        assert!(output.status.success(), "{arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let whole = help(&["--help"]);
    // The commands are what is indented in the first list.
    let commands = whole.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = commands.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names: Vec<&str> =
        names.filter_map(|line| line.split_whitespace().next()).filter(|&name| name != "help").collect();
    assert!(names.contains(&"train") && names.len() > 5, "{names:?}");
    let mut text = format!("$ descant --help\n{whole}");
    for name in names {
        text += &format!("\n$ descant {name} --help\n{}", help(&[name, "--help"]));
    }
    is_as_before("help.txt", &text);
}

#[test]
fn error_messages() {
    let folder = Folder::new();
    folder.train("lm.toml", "lm", 10);
    folder.train("pairs.toml", "pairs", 10);
    folder.write("latin.txt", b"good\nb\xe9d\n");
    folder.write("empty.txt", "");
    folder.write("no-tab.tsv", "a\tb\nno tab here\n");
    folder.write("a.txt", "1\n2\n3\n");
    folder.write("b.txt", "1\n2\n3\n4\n");
    folder.write("bad.jsonl", "{\"prompt\": 1}\n");
    folder.write("unknown.toml", LANGUAGE_MODEL.replace("dropout", "droput"));
    folder.write("syntax.toml", LANGUAGE_MODEL.replace("[model]", "[model"));
    folder.write("loop.jinja", "{% for message in messages %}");
    fs::create_dir(folder.path("empty")).unwrap();
    fs::create_dir(folder.path("mt")).unwrap();
    folder.write("mt/config.json", "{\"model_type\": \"bert\"}");
    let set = |setting: &'static str| vec!["train", "lm.toml", "--run", "new", "--set", setting];
    let table: Vec<Vec<&str>> = vec![
        vec!["train", "none.toml"],
        vec!["train", "unknown.toml"],
        vec!["train", "syntax.toml"],
        vec!["train", "lm.toml", "--run", "lm"],
        vec!["train", "lm.toml", "--run", "new", "--resume"],
        set("train.stpes=3"),
        set("train.steps"),
        set("train.steps=0"),
        set("train.learning_rate=-1"),
        set("model.dropout=1.5"),
        set("model.layers=0"),
        set("tokenizer.vocabulary=2"),
        set("data.train=none.txt"),
        set("data.train=empty"),
        set("data.train=empty.txt"),
        set("data.train=latin.txt"),
        set("data.validation_share=1.5"),
        vec!["train", "pairs.toml", "--run", "new", "--set", "data.train=no-tab.tsv"],
        vec!["train", "pairs.toml", "--run", "new", "--set", "data.train=['a.txt', 'b.txt']"],
        vec!["train", "lm.toml", "--run", "new", "--set", "data.stream=false", "--set", "data.train=bad.jsonl"],
        vec!["generate", "none", "x"],
        vec!["generate", "empty", "x"],
        vec!["generate", "pairs", "12", "--beam", "0"],
        vec!["generate", "pairs", "12", "--n-best", "3"],
        vec!["generate", "pairs", "12", "--top-p", "2"],
        vec!["generate", "pairs", "12", "--temperature", "0"],
        vec!["generate", "lm", "--chat", "hello"],
        vec!["generate", "lm", "--input", "latin.txt"],
        vec!["eval", "none"],
        vec!["eval", "pairs", "--data", "none.tsv"],
        vec!["eval", "lm", "--output", "answers.tsv"],
        vec!["import", "none"],
        vec!["import", "empty"],
        vec!["import", "lm"],
        vec!["import", "mt"],
        vec!["import", "hf:a/b/c"],
        vec!["export", "lm", "lm"],
        vec!["export", "lm", "model.onnx"],
        vec!["export", "lm", "model.gguf"],
        vec!["bench", "nope"],
        vec!["demo", "--run", "lm"],
    ];
    let mut text = String::new();
    for arguments in table {
        let quoted =
            arguments.iter().map(|word| if word.contains(' ') { format!("\"{word}\"") } else { (*word).to_owned() });
        text += &format!("$ descant {}\n{}\n", quoted.collect::<Vec<_>>().join(" "), folder.fail(&arguments, &[]));
    }
    is_as_before("errors.txt", &text);
}
