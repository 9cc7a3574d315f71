//! What users read: every help text and the common errors, as they were last looked at. After a change that is meant,
//! `INSTA_UPDATE=always cargo test --release --workspace --test snapshots` writes them anew; the diff is for review.

mod common;

use common::Folder;
use insta::assert_snapshot;

/// The subcommands, as the program lists them.
fn commands(folder: &Folder) -> Vec<String> {
    let help = folder.succeed(&["--help"]);
    let (_, listed) = help.split_once("Commands:\n").expect("a list of commands");
    let names = listed.lines().take_while(|line| !line.is_empty()).filter(|line| line.starts_with("  "));
    names
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .collect()
}

#[test]
fn help_texts() {
    let folder = Folder::new();
    assert_snapshot!("help", folder.succeed(&["--help"]));
    let commands = commands(&folder);
    assert!(commands.iter().any(|name| name == "train"), "{commands:?}");
    for command in commands.iter().filter(|name| *name != "help") {
        assert_snapshot!(format!("help-{command}"), folder.succeed(&[command, "--help"]));
    }
}

/// What each command says, from `error:` on: before it a training may tell what it found.
#[test]
fn errors() {
    let folder = Folder::new();
    folder.train("pairs.toml", "run", 1);
    folder.write("columns.tsv", "a\tb\nc\td\te\n");
    folder.write("no-tab.tsv", "a\tb\nc d\n");
    folder.write("broken.jsonl", "{\"source\": \"a\", \"target\": \"b\"}\n{\"source\": \"c\", \"target\": }\n");
    folder.write("empty.txt", "");
    folder.write("latin1.txt", b"caf\xe9\n");
    folder.write("no-recipe.toml", "[data\n");
    std::fs::create_dir(folder.path("nothing")).unwrap();
    let mut said = String::new();
    for line in [
        "train absent.toml --run new",
        "train no-recipe.toml --run new",
        "train pairs.toml --run new --set data.train=absent.tsv",
        "train pairs.toml --run new --set data.train=columns.tsv",
        "train pairs.toml --run new --set data.train=no-tab.tsv",
        "train pairs.toml --run new --set data.train=broken.jsonl",
        "train pairs.toml --run new --set data.train=empty.txt",
        "train lm.toml --run new --set data.train=latin1.txt",
        "train pairs.toml --run new --set train.patiense=3",
        "train pairs.toml --run new --set train.steps=-1",
        "train pairs.toml --run new --set train.learning_rate=fast",
        "train pairs.toml --run new --set model.hidden=0",
        "train pairs.toml --run new --set model.cell=rnn",
        "train pairs.toml --run new --set model.hidden=100000000",
        "train transformer.toml --run new --set model.transformer.heads=3",
        "train pairs.toml --run run",
        "train run --resume --set model.hidden=32",
        "train nothing --resume",
        "generate nothing hello",
        "generate run 1234 --n-best 3",
        "generate run 1234 --temperature 0",
        "generate run 1234 --top-p 1.5",
        "generate run 1234 --max-length 0",
        "generate run 1234 --chat",
        "generate run --input absent.txt",
        "eval run --data absent.tsv",
        "eval run --data text.txt",
        "eval run --output run",
        "import nothing --run new",
        "export run run",
        "init poem",
        "recipe train.patiense",
        "bench absent",
    ] {
        let arguments: Vec<&str> = line.split(' ').collect();
        let output = folder.run(&arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && !error.contains("panicked"), "{line}\n{error}");
        let from = error.find("error: ").unwrap_or_else(|| panic!("{line}\n{error}"));
        said.push_str(&format!("$ descant {line}\n{}\n\n", error[from..].trim_end()));
    }
    let folder = folder.path("").display().to_string();
    assert_snapshot!("errors", said.replace(folder.trim_end_matches('/'), "FOLDER"));
}
