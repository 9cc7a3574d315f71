//! Memory grows neither with the steps nor with the text.

mod common;

use common::Folder;
use std::fs;
use std::io::{BufWriter, Write};
use std::time::Duration;

fn status(pid: u32, key: &str) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim_start_matches(':').trim().trim_end_matches("kB").trim().parse().ok()
}

#[test]
fn two_thousand_steps_take_the_memory_of_a_thousand() {
    let folder = Folder::new();
    // Large enough for the buffers of training to be most of it, and every part of it, checkpoints too, at work several times before the fiftieth step.
    let settings = "train.steps=2100 train.log_every=50 train.validate_every=10 train.checkpoint_every=10 \
                    train.batch_sentences=64 train.shares=2 model.hidden=96 model.embedding=64";
    let settings = settings.split(' ').flat_map(|setting| ["--set", setting]);
    let arguments = ["train", "lm.toml", "--run", "run", "--quiet"].into_iter().chain(settings);
    // glibc raises the size from which it returns memory as large blocks are freed, and then keeps up to 1 MB more or
    // less by chance, 3 % of so small a process: with that size fixed, resident is what is held.
    let mut child =
        folder.command(&arguments.collect::<Vec<_>>()).env("MALLOC_MMAP_THRESHOLD_", "131072").spawn().unwrap();
    let metrics = folder.path("run/metrics.jsonl");
    let mut resident = |step: u64| loop {
        let lines = fs::read_to_string(&metrics).unwrap_or_default();
        if lines.contains(&format!("\"train\",\"step\":{step},")) {
            break status(child.id(), "VmRSS").unwrap();
        }
        assert!(child.try_wait().unwrap().is_none(), "ended before step {step}");
        std::thread::sleep(Duration::from_millis(1));
    };
    // A few hundred kB of what is freed stay with the allocator in the first hundreds of steps; what grows with each step goes on.
    let [first, early, late] = [50, 1000, 2000].map(&mut resident);
    println!("{first} kB after 50 steps, {early} kB after 1,000, {late} kB after 2,000");
    assert!(child.wait().unwrap().success());
    assert!(
        early <= 1.04 * first && late <= 1.01 * early,
        "{first} kB after 50 steps, {early} kB after 1,000, {late} kB after 2,000"
    );
}

#[test]
fn twenty_thousand_lines_take_the_memory_of_five_hundred() {
    let folder = Folder::new();
    folder.train("transformer.toml", "run", 30);
    // Of 400 texts: `tokenizers` keeps the last 10,000 words that it has seen, which is 3 MB.
    let line = |i: usize| format!("{{\"id\": {i}, \"text\": \"{}\"}}\n", 100 + i * 7919 % 400 * 229);
    folder.write("in.jsonl", (0..20_000).map(line).collect::<String>());
    for more in [&["--beam", "3"][..], &["--do-sample"]] {
        let arguments =
            ["generate", "run", "--input", "in.jsonl", "--output", "out.jsonl", "--overwrite", "--max-length", "6"];
        let _ = fs::remove_file(folder.path("out.jsonl"));
        let mut child =
            folder.command(&[&arguments[..], more].concat()).env("MALLOC_MMAP_THRESHOLD_", "131072").spawn().unwrap();
        let mut resident = |lines: usize| loop {
            // Lines are about as long as each other.
            let written = fs::read_to_string(folder.path("out.jsonl")).unwrap_or_default();
            if written.lines().count() >= lines {
                break status(child.id(), "VmRSS").unwrap_or(0.0);
            }
            assert!(child.try_wait().unwrap().is_none(), "ended before line {lines}");
            std::thread::sleep(Duration::from_millis(5));
        };
        let (early, late) = (resident(500), resident(19_500));
        assert!(child.wait().unwrap().success());
        println!("{more:?}: {early} kB after 500 lines, {late} kB after 19,500");
        assert!(
            early > 0.0 && late > 0.0 && late <= 1.02 * early + 256.0,
            "{early} kB after 500 lines, {late} kB after 19,500"
        );
        assert_eq!(fs::read_to_string(folder.path("out.jsonl")).unwrap().lines().count(), 20_000);
    }
}

/// Takes minutes: `cargo test --release -p descant-cli --test memory -- --ignored --nocapture`.
#[test]
#[ignore = "takes minutes, and 1 GB of disk"]
fn a_text_of_300_mb_trains_in_1_gb() {
    let folder = Folder::new();
    let mut file = BufWriter::new(fs::File::create(folder.path("large.txt")).unwrap());
    let mut written = 0;
    for i in 0_u64.. {
        let line = format!("line {i} says {} and {} to whoever is there to read it\n", i * 7919 % 10_007, i * i % 97);
        written += line.len();
        file.write_all(line.as_bytes()).unwrap();
        if written >= 300_000_000 {
            break;
        }
    }
    drop(file);
    for stream in ["true", "false"] {
        let run = format!("run-{stream}");
        let settings =
            [format!("data.stream={stream}"), "data.train=large.txt".to_owned(), "train.steps=100".to_owned()];
        let mut arguments = vec!["train", "lm.toml", "--run", &run, "--quiet", "--set", "tokenizer.kind=bpe"];
        settings.iter().for_each(|setting| arguments.extend(["--set", setting]));
        arguments.extend(["--set", "data.validation_share=0.001"]);
        let mut child = folder.command(&arguments).spawn().unwrap();
        let mut peak = 0.0_f64;
        while child.try_wait().unwrap().is_none() {
            peak = peak.max(status(child.id(), "VmHWM").unwrap_or(0.0));
            std::thread::sleep(Duration::from_millis(20));
        }
        println!("stream = {stream}: {:.0} MB", peak / 1024.0);
        assert!(child.wait().unwrap().success());
        assert!(peak < 1024.0 * 1024.0, "stream = {stream}: {peak} kB");
    }
}
