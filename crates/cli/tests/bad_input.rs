//! Wrong texts, recipes and options: each a clear error that says what happened, where, and what to do.

mod common;

use common::{Folder, LANGUAGE_MODEL};

#[test]
fn wrong_texts_are_told_by_file_and_line() {
    let folder = Folder::new();
    folder.write("empty.txt", "");
    folder.write("latin.txt", b"good\ngood\nb\xe9d\n");
    folder.write("long.txt", ["\n", &"x".repeat(1_000_000), "\n"].concat());
    folder.write("no-tab.tsv", "a\tb\nno tab here\n");
    folder.write("a.txt", "1\n2\n3\n");
    folder.write("b.txt", "1\n2\n3\n4\n");
    folder.write("cut.txt.gz", [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0x4b]);
    std::fs::create_dir(folder.path("folder")).unwrap();
    let lines = |name: &str, parts: &[&str]| {
        let train = format!("data.train={name}");
        let arguments = ["train", "lm.toml", "--run", "run", "--set", "data.stream=false", "--set", &train];
        folder.fail(&arguments, parts);
        assert!(!folder.path("run/recipe.toml").exists(), "a training that cannot begin leaves no run");
    };
    lines("none.txt", &["none.txt", "No such file", "Check the path"]);
    lines("folder", &["folder", "is a folder", "Name the text file"]);
    lines("empty.txt", &["empty.txt has no text"]);
    lines("latin.txt", &["latin.txt, line 3", "byte 2", "not UTF-8", "iconv"]);
    lines("long.txt", &["long.txt", "too many bytes for a line (first in line 2)", "data.stream = true"]);
    lines("cut.txt.gz", &["cut.txt.gz"]);
    folder.write("mac.txt", "one\rtwo\r");
    lines("mac.txt", &["mac.txt, line 1", "carriage return", "tr "]);
    folder.write("wide.txt", "one\ntwo\n".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>());
    lines("wide.txt", &["wide.txt", "UTF-16", "iconv"]);
    #[cfg(unix)]
    lines("/dev/null", &["/dev/null", "a pipe or a device", "Write it to a file"]);
    folder.write("texts.json", "[{\"prompt\": \"a\", \"completion\": \"b\", \"id\": 3}]");
    lines("texts.json", &["texts.json, line 1", "\"id\"", "Take it out"]);
    let pairs = |train: &str, parts: &[&str]| {
        folder.fail(&["train", "pairs.toml", "--run", "run", "--set", &format!("data.train={train}")], parts);
    };
    pairs("'no-tab.tsv'", &["no-tab.tsv, line 2", "1 of the 2"]);
    folder.write("three.tsv", "a\tb\na\tb\tc\n");
    pairs("'three.tsv'", &["three.tsv, line 2 has 3", "data.columns = [0, 1]"]);
    folder.write("lines.jsonl", "{\"text\": \"a\"}\n");
    pairs("'lines.jsonl'", &["lines.jsonl", "texts without sources", "pairs of source and target"]);
    pairs("['a.txt', 'b.txt']", &["a.txt has 3 lines and b.txt has 4"]);
    folder.fail(&["train", "lm.toml", "--set", "data.train=['a.txt', 'b.txt']"], &["no parallel file"]);
}

#[test]
fn wrong_recipes_are_told_by_line_and_key() {
    let folder = Folder::new();
    folder.fail(&["train", "none.toml"], &["none.toml", "Check the path"]);
    folder.write("unknown.toml", LANGUAGE_MODEL.replace("dropout", "droput"));
    folder.fail(&["train", "unknown.toml"], &["unknown.toml", "line 12", "droput", "did you mean model.dropout?"]);
    folder.write("type.toml", LANGUAGE_MODEL.replace("layers = 2", "layers = \"two\""));
    folder.fail(&["train", "type.toml"], &["type.toml", "line 11", "two"]);
    folder.write("syntax.toml", LANGUAGE_MODEL.replace("[model]", "[model"));
    folder.fail(&["train", "syntax.toml"], &["syntax.toml", "line 6", "expected `]`"]);
    let set = |setting: &str, parts: &[&str]| {
        folder.fail(&["train", "pairs.toml", "--run", "run", "--set", setting], parts);
        assert!(!folder.path("run/recipe.toml").exists());
    };
    set("train.stpes=3", &["stpes", "did you mean train.steps?"]);
    set("train.steps", &["expected key=value"]);
    set("train.steps=0", &["train.steps = 0", "1 or more"]);
    set("train.learning_rate=-1", &["train.learning_rate = -1", "above 0"]);
    set("train.clip={norm=0}", &["train.clip.norm = 0", "above 0"]);
    set("train.clip={zclip=-1}", &["train.clip.zclip = -1", "above 0"]);
    set("train.clip={agc=0.1,norm=1}", &["train.clip = {…}", "{ agc = 0.01 }", "\"none\""]);
    set("model.dropout=1.5", &["model.dropout = 1.5", "from 0 to below 1"]);
    set("model.layers=0", &["model.layers = 0"]);
    set("model.hidden=15", &["model.hidden = 15", "even"]);
    set("model.input_feeding='yes'", &["input_feeding"]);
    set("optimizer={kind='adam',betas=[0.9,1.0]}", &["optimizer.betas[1] = 1", "from 0 to below 1"]);
    set("schedule={kind='cosine',warmup=500}", &["schedule.warmup = 500"]);
    set("loss={kind='cross-entropy',class_weights={x=-1}}", &["loss.class_weights.\"x\" = -1: expected a number, "]);
    set("model.transformer={relative_buckets=3}", &["relative_buckets = 3", "from 4 to 65536, even"]);
    set("loss={kind='cross-entropy',smoothing=1}", &["loss.smoothing = 1"]);
    set("loss={kind='cross-entropy',ignored=['nope']}", &["no token \"nope\""]);
    set("tokenizer.vocabulary=2", &["tokenizer.vocabulary = 2"]);
    set("data.validation_share=1.5", &["data.validation_share = 1.5"]);
    set("data.max_length=1", &["data.max_length"]);
    folder.write("no-data.toml", "[model]\nkind = \"language-model\"\n");
    folder.fail(&["train", "no-data.toml"], &["no [data]"]);
}

#[test]
fn wrong_folders_and_options_are_told() {
    let folder = Folder::new();
    folder.train("lm.toml", "lm", 10);
    folder.train("pairs.toml", "pairs", 10);
    folder.fail(&["train", "lm.toml", "--run", "lm"], &["already holds a training", "--resume"]);
    let changed = ["train", "lm.toml", "--run", "lm", "--resume", "--set", "model.hidden=8"];
    folder.fail(&changed, &["differs", "model.hidden is 8, was 16"]);
    folder.fail(&["generate", "none", "x"], &["none", "descant train"]);
    folder.fail(&["generate", ".", "x"], &["not a run folder"]);
    folder.fail(&["eval", "none"], &["none"]);
    folder.fail(&["generate", "pairs", "12", "--beam", "0"], &["--num-beams = 0"]);
    folder.fail(&["generate", "pairs", "12", "--n-best", "3"], &["--num-return-sequences = 3", "--num-beams"]);
    folder.fail(&["generate", "pairs", "12", "--top-p", "2"], &["--top-p = 2"]);
    folder.fail(&["generate", "pairs", "12", "--temperature", "0"], &["--temperature = 0"]);
    folder.fail(&["eval", "pairs", "--data", "none.tsv"], &["none.tsv"]);
    folder.fail(&["bench", "nope"], &["no workload 'nope'", "charrnn"]);
    folder.fail(&["demo", "--run", "lm"], &["not an earlier demo's"]);
    folder.fail(&["train", "lm.toml", "--run", "text.txt/run"], &["text.txt/run"]);
    std::fs::write(folder.path("input"), b"ok\n\xff\n").unwrap();
    folder.fail(&["generate", "pairs", "--input", "input"], &["line 2: byte 1", "not UTF-8", "were answered"]);
}

#[test]
fn texts_of_any_script_and_shape_train() {
    let folder = Folder::new();
    folder.write("mixed.tsv", "私は\t我\n\tempty source\nempty target\t\n👩‍👩‍👧 e\u{301}\tok</s><s>\n".repeat(20));
    let settings = ["--set", "data.train=mixed.tsv", "--set", "train.steps=10", "--quiet"];
    for kind in ["bpe", "byte-bpe", "unigram", "wordpiece", "word", "character", "byte"] {
        let kind_setting = format!("tokenizer={{kind='{kind}',vocabulary=300}}");
        let run = format!("run-{kind}");
        folder.succeed(&[&["train", "pairs.toml", "--run", &run, "--set", &kind_setting][..], &settings].concat());
        folder.succeed(&["generate", &run, "私は", "", "\u{1F600}"]);
    }
    // A text of one continuous line.
    folder.write("one.txt", "to be or not to be ".repeat(20_000));
    let one = ["train", "lm.toml", "--run", "one", "--set", "data.train=one.txt", "--set", "train.steps=5", "--quiet"];
    folder.succeed(&one);
}

#[test]
fn what_does_not_end_is_not_waited_for() {
    let folder = Folder::new();
    folder.train("lm.toml", "run", 2);
    let pipe = |name: &str| {
        let _ = std::fs::remove_file(folder.path(name));
        assert!(std::process::Command::new("mkfifo").arg(folder.path(name)).status().unwrap().success());
    };
    pipe("pipe.toml");
    folder.fail(&["train", "pipe.toml"], &["pipe.toml", "no regular file"]);
    for name in ["lengths.json", "tokenizer.json", "recipe.toml", "last/manifest.json"] {
        let before = std::fs::read(folder.path("run").join(name)).unwrap();
        pipe(&format!("run/{name}"));
        folder.fail(&["generate", "run", "a"], &[]);
        std::fs::remove_file(folder.path("run").join(name)).unwrap();
        folder.write(&format!("run/{name}"), before);
    }
}
