//! Texts in Parquet by the binary: the training is that on JSON lines of the same texts, and what is wrong is named by file, column and row.

mod common;

use common::Folder;
use std::path::Path;

/// With the files that `tools/parquet_files.py` wrote.
fn folder() -> Folder {
    let folder = Folder::new();
    let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("../text/tests/reference");
    for file in reference.read_dir().unwrap() {
        let file = file.unwrap();
        folder.write(file.file_name().to_str().unwrap(), std::fs::read(file.path()).unwrap());
    }
    folder
}

fn with<'a>(start: &[&'a str], settings: &[&'a str]) -> Vec<&'a str> {
    let settings = settings.iter().flat_map(|setting| ["--set", *setting]);
    start.iter().copied().chain(settings).collect()
}

fn train<'a>(run: &'a str, settings: &[&'a str]) -> Vec<&'a str> {
    let steps = ["train.steps=6", "schedule={kind='constant'}"];
    with(&["train", "pairs.toml", "--run", run], &[&steps[..], settings].concat())
}

#[test]
fn a_training_is_that_on_the_same_texts_in_json() {
    let folder = folder();
    let read = |run: &str, settings: &[&str]| {
        let said = folder.told(&train(run, settings));
        (folder.weights(run), said)
    };
    let (expected, _) = read("json", &["data.train=pairs.jsonl"]);
    for name in ["snappy", "zstd"] {
        let (weights, said) = read(name, &[&format!("data.train={name}.parquet")]);
        assert!(said.contains("180 pairs to learn from, 20 held out"), "{said}");
        assert!(weights == expected, "{name}");
    }
    // By the names of columns, where others are reported; several files, filters, a pattern.
    let columns = "data.columns=['en','de']";
    let (named, said) = read("named", &["data.train=columns.parquet", columns]);
    assert!(named == expected);
    assert!(said.contains("200 lines have columns that are not read (first in row 1 of columns.parquet)"), "{said}");
    let filter = "data.filter={duplicates=true}";
    let (mixed, said) = read("mixed", &["data.train=[['pairs.jsonl','z*.parquet','plain.parquet']]", filter]);
    assert!(said.contains("400 of 600 lines or pairs are taken out"), "{said}");
    assert!(said.contains("row 1 of zstd.parquet"), "{said}");
    assert!(mixed == expected);
    let loss = |data: &str| folder.succeed(&["eval", "json", "--data", data, "--loss-only"]).replace(data, "DATA");
    assert_eq!(loss("gzip.parquet"), loss("pairs.jsonl"));
    // What reads lines says what to do.
    for command in [&["generate", "json"][..], &["score", "json"], &["tokenize", "json"]] {
        folder.fail(
            &[command, &["--input", "plain.parquet"]].concat(),
            &["plain.parquet", "it is Parquet", "as a .jsonl"],
        );
    }
    // A text alone, and conversations.
    let texts =
        with(&["train", "lm.toml", "--run", "lm"], &["data.stream=false", "data.columns=['de']", "train.steps=4"]);
    assert!(folder.told(&with(&texts, &["data.train=columns.parquet"])).contains("180 texts to learn from"));
    let chat = |run, file| {
        let start = ["train", "lm.toml", "--run", run, "--quiet"];
        folder.succeed(&with(&start, &["data.stream=false", "train.steps=4", "data.chat_template='chatml'", file]));
        folder.weights(run)
    };
    assert!(chat("chat", "data.train=messages.parquet") == chat("chat-json", "data.train=messages.jsonl"));
    // A file that has changed.
    std::fs::copy(folder.path("gzip.parquet"), folder.path("snappy.parquet")).unwrap();
    let resume = ["train", "pairs.toml", "--run", "snappy", "--resume", "--set", "train.steps=8"];
    let said = folder.told(&with(&resume, &["data.train=snappy.parquet", "schedule={kind='constant'}"]));
    assert!(said.contains("snappy.parquet has changed"), "{said}");
}

#[test]
fn what_is_wrong_is_named_by_file_column_and_row() {
    let folder = folder();
    let fail = |settings: &[&str], parts: &[&str]| drop(folder.fail(&train("no", settings), parts));
    fail(
        &["data.train=columns.parquet", "data.columns=['en','du']"],
        &["columns.parquet: there is no column \"du\": its columns are \"de\", \"id\", \"en\", \"tags\""],
    );
    fail(
        &["data.train=columns.parquet"],
        &["columns.parquet: ", "its keys are \"id\"", "data.columns = [\"en\", \"de\"]"],
    );
    fail(
        &["data.train=columns.parquet", "data.columns=['id','de']"],
        &["column \"id\" has INT64", "logical type String"],
    );
    fail(&["data.train=columns.parquet", "data.columns=['en','tags']"], &["column \"tags\" has lists or structs"]);
    fail(&["data.train=null.parquet", "data.columns=['en','de']"], &["null.parquet, row 71: \"de\" is null"]);
    fail(&["data.train=brotli.parquet"], &["brotli.parquet, row 1: row group 1", "BROTLI", "snappy, zstd, gzip"]);
    let whole = std::fs::read(folder.path("plain.parquet")).unwrap();
    folder.write("cut.parquet", &whole[..whole.len() / 2]);
    fail(&["data.train=cut.parquet"], &["cut.parquet: its footer", "Get the file again"]);
    let mut damaged = whole.clone();
    damaged[30..400].fill(0xff);
    folder.write("damaged.parquet", damaged);
    fail(
        &["data.train=damaged.parquet"],
        &["damaged.parquet, row 1: row group 1 cannot be read", "Get the file again"],
    );
    folder.write("text.parquet", "one\ttwo\n");
    fail(&["data.train=text.parquet"], &["text.parquet: it is no Parquet", "name it .txt"]);
    folder.write("named.tsv", whole);
    fail(&["data.train=named.tsv"], &["named.tsv", "it is Parquet", ".parquet"]);
    fail(&["data.train=none.parquet"], &["none.parquet"]);
    fail(&["data.train=['plain.parquet','gzip.parquet']"], &["plain.parquet has both sides already"]);
    let stream = with(&["train", "lm.toml", "--run", "no"], &["data.train=plain.parquet", "data.stream=true"]);
    folder.fail(&stream, &["data.stream = true is not for JSON, CSV or Parquet (plain.parquet)"]);
    let doctor = ["doctor", "pairs.toml", "--set", "data.train=null.parquet", "--set", "data.columns=['en','de']"];
    let output = folder.run(&doctor);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!output.status.success() && said.contains("1 of 71 rows (1.4 %) cannot be read: 71"), "{said}");
}
