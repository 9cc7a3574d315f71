//! The same weights, bit for bit, on any number of threads, and however often a run is killed and resumed.

mod common;

use common::Folder;
use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

const RECIPES: [&str; 4] = ["lm.toml", "pairs.toml", "transformer.toml", "bf16.toml"];

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let folder = Folder::new();
    for recipe in RECIPES {
        let runs = ["1", "2", "4"].map(|threads| {
            let run = format!("{recipe}-{threads}");
            folder.succeed(&["train", recipe, "--run", &run, "--quiet", "--threads", threads]);
            folder.weights(&run)
        });
        assert!(runs[0] == runs[1] && runs[0] == runs[2], "{recipe}");
    }
}

#[test]
fn a_run_that_is_killed_at_any_moment_and_resumed_ends_in_the_same_bits() {
    let folder = Folder::new();
    for recipe in RECIPES {
        let every = ["--set", "train.checkpoint_every=3", "--quiet"];
        let start = Instant::now();
        folder.succeed(&[&["train", recipe, "--run", "unbroken"][..], &every].concat());
        // No life is long enough for more than half of the training.
        let mut longest = start.elapsed() / 2;
        let mut kills = 0;
        let mut delay = 7;
        loop {
            let resume = ["train", recipe, "--run", "broken", "--resume"];
            let mut child = folder.command(&[&resume[..], &every].concat()).stderr(Stdio::null()).spawn().unwrap();
            // From within the start to within the last steps, and again.
            delay = (delay * 31 + 17) % 97;
            std::thread::sleep(longest * delay / 97);
            if let Some(status) = child.try_wait().unwrap() {
                assert!(status.success());
                if kills >= 3 {
                    break;
                }
                // The machine has become faster: shorter lives.
                fs::remove_dir_all(folder.path("broken")).unwrap();
                (longest, kills) = (longest / 2, 0);
                continue;
            }
            child.kill().unwrap();
            child.wait().unwrap();
            kills += 1;
            assert!(kills < 500, "it never comes to its end");
        }
        assert!(folder.weights("unbroken") == folder.weights("broken"), "{recipe}, killed {kills} times");
        let steps = |run: &str| -> Vec<String> {
            let text = fs::read_to_string(folder.path(run).join("metrics.jsonl")).unwrap();
            let step = |line: &str| line.split(",\"").take(2).collect::<Vec<_>>().join(",");
            text.lines().map(step).collect()
        };
        assert_eq!(steps("unbroken"), steps("broken"), "every line of metrics once");
        for run in ["unbroken", "broken"] {
            fs::remove_dir_all(folder.path(run)).unwrap();
        }
    }
}

#[test]
fn an_interrupt_saves_and_says_how_to_go_on() {
    let folder = Folder::new();
    folder.train("lm.toml", "unbroken", 3000);
    let train = ["train", "lm.toml", "--run", "run", "--set", "train.steps=3000"];
    let child = folder.command(&train).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while !folder.path("run/metrics.jsonl").exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(200));
    let kill = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(kill.success());
    assert_eq!(output.status.code(), Some(130), "{error}");
    assert!(error.contains("everything is saved") && error.contains("--run run --resume"), "{error}");
    folder.succeed(&[&train[..], &["--resume", "--quiet"]].concat());
    assert!(folder.weights("unbroken") == folder.weights("run"));
}
