//! A folder with small texts and recipes, and the binary run in it.
#![allow(dead_code)]

pub mod recipes;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

pub const LANGUAGE_MODEL: &str = include_str!("recipes/lm.toml");
pub const PAIRS: &str = include_str!("recipes/pairs.toml");
pub const TRANSFORMER: &str = include_str!("recipes/transformer.toml");
pub const BF16: &str = include_str!("recipes/bf16.toml");

pub struct Folder {
    folder: tempfile::TempDir,
}

impl Folder {
    /// With `text.txt`, `pairs.tsv`, `lm.toml`, `pairs.toml`, `transformer.toml` and `bf16.toml`.
    pub fn new() -> Self {
        let folder = Self { folder: tempfile::tempdir().unwrap() };
        let line = |i: usize| format!("line {i} says {} and {}\n", i * 7 % 13, ["red", "green", "blue"][i % 3]);
        folder.write("text.txt", (0..300).map(line).collect::<String>());
        let pair = |i: usize| format!("{i}\t{}\n", i.to_string().chars().rev().collect::<String>());
        folder.write("pairs.tsv", (100..500).map(pair).collect::<String>());
        folder.write("lm.toml", LANGUAGE_MODEL);
        folder.write("pairs.toml", PAIRS);
        folder.write("transformer.toml", TRANSFORMER);
        folder.write("bf16.toml", BF16);
        folder
    }

    /// The same, with a small byte-level Llama in `model`, a folder of `transformers`.
    pub fn with_exported_llama() -> Self {
        Self::with_exported_llama_of("tokenizer={kind='byte-bpe',vocabulary=300}", 3)
    }

    /// The same with another tokenizer, after this many steps.
    pub fn with_exported_llama_of(tokenizer: &str, steps: u64) -> Self {
        let folder = Self::new();
        let llama = "model.transformer={heads = 2, norm = \"rms\", gated = true, activation = \"silu\", bias = false}";
        let steps = format!("train.steps={steps}");
        let train = ["train", "bf16.toml", "--run", "run", "--quiet", "--set", &steps, "--set", llama];
        let more = [tokenizer, "data.stream=false", "model.output_bias=false"];
        let set = more.iter().flat_map(|setting| ["--set", setting]);
        folder.succeed(&train.into_iter().chain(set).collect::<Vec<_>>());
        folder.succeed(&["export", "run", "model"]);
        folder
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).unwrap();
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_descant"));
        command.current_dir(self.folder.path()).args(arguments).stdin(Stdio::null());
        command
    }

    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Output {
        finish(self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// What a run that should succeed printed.
    #[track_caller]
    pub fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}\n{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a run that should succeed told on standard error.
    #[track_caller]
    pub fn told(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}\n{told}");
        told
    }

    /// The error of a run that should fail: one paragraph that says all of `parts`.
    #[track_caller]
    pub fn fail(&self, arguments: &[&str], parts: &[&str]) -> String {
        let output = self.run(arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}\n{error}");
        // Before it, a training may have told what it found, and of its steps.
        let (_, message) = error.split_at(error.find("error: ").unwrap_or(error.len()));
        assert!(message.starts_with("error: ") && !error.contains("panicked"), "{arguments:?}\n{error}");
        assert!(!message.trim().contains("\n\n"), "one paragraph: {message}");
        for part in parts {
            assert!(message.contains(part), "{arguments:?} should say {part:?}:\n{message}");
        }
        error
    }

    /// Whether a page of the documentation is what a command prints. With the variable UPDATE_SNAPSHOTS it is written.
    #[track_caller]
    pub fn check_page(&self, page: &str, arguments: &[&str]) {
        let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(page);
        let printed = self.succeed(arguments);
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            fs::write(&place, &printed).unwrap();
        }
        let there = fs::read_to_string(&place).unwrap_or_default();
        assert!(there == printed, "{page} is not what {arguments:?} prints: run this test with UPDATE_SNAPSHOTS=1");
    }

    /// The weights of a run's last checkpoint.
    #[track_caller]
    pub fn weights(&self, run: &str) -> Vec<u8> {
        fs::read(self.path(run).join("last/model.safetensors")).unwrap()
    }

    /// Trains a recipe for this many steps.
    #[track_caller]
    pub fn train(&self, recipe: &str, run: &str, steps: u64) {
        self.succeed(&["train", recipe, "--run", run, "--quiet", "--set", &format!("train.steps={steps}")]);
    }
}

/// Waits for the end of a process, and takes what it printed. One that hangs is killed, and fails the test.
#[track_caller]
pub fn finish(mut child: Child) -> Output {
    fn all(pipe: Option<impl Read + Send + 'static>) -> impl FnOnce() -> Vec<u8> {
        let reader = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            pipe.map(|mut pipe| pipe.read_to_end(&mut bytes).unwrap());
            bytes
        });
        || reader.join().unwrap()
    }
    let (stdout, stderr) = (all(child.stdout.take()), all(child.stderr.take()));
    let status = wait(&mut child);
    Output { status, stdout: stdout(), stderr: stderr() }
}

/// Waits for the end of a process. One that hangs is killed, and fails the test.
#[track_caller]
pub fn wait(child: &mut Child) -> ExitStatus {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(300) {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    panic!("it hangs");
}

pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let place = to.join(path.file_name().unwrap());
        if path.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&path).unwrap(), place).unwrap();
        } else if path.is_dir() {
            copy(&path, &place);
        } else {
            fs::copy(&path, place).unwrap();
        }
    }
}
