//! Writes examples to train on, or held-out ones, as lines of a source, a tab and a target:
//! `cargo run --release -p descant-spoken --example pairs -- 1000000 train > train.tsv`, and `held-out` for the others.

use descant_spoken::{Generator, Part};
use std::io::{BufWriter, Write};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (seed, part) = match arguments.get(1).map(String::as_str) {
        Some("train") => (1, Part::Train),
        Some("held-out") => (2, Part::HeldOut),
        _ => return Err("expected a number of examples, and train or held-out".into()),
    };
    let mut out = BufWriter::new(std::io::stdout().lock());
    for example in Generator::new(seed, part).take(arguments[0].parse()?) {
        writeln!(out, "{}\t{}", example.written, example.spoken)?;
    }
    Ok(out.flush()?)
}
