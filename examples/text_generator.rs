//! The same model as a text generator: a recipe, a few lines of text, a checkpoint that `descant generate` can use.
//!
//! `cargo run --release -p descant --example text_generator`

use descant::prelude::*;
use std::path::Path;
use std::sync::atomic::AtomicBool;

const RECIPE: &str = r#"
[data]
train = "runs/example/dates.tsv"
validation_share = 0.05
shared_vocabulary = true
[tokenizer]
kind = "character"
vocabulary = 100
[model]
kind = "encoder-decoder"    # without attention: the last state says it all
cell = "lstm"
embedding = 100
hidden = 256
bidirectional = false
[optimizer]
kind = "adam"
[train]
epochs = 100
batch_sentences = 100
learning_rate = 2e-3
"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let run = Path::new("runs/example");
    let _ = std::fs::remove_dir_all(run);
    std::fs::create_dir_all(run)?;
    let dates =
        (0..2400).map(|i| i * 7 % 10_957).map(|n| (2000 + n / 365 % 30, n % 365 / 31 + 1, n % 365 % 31 % 28 + 1));
    let lines = dates.map(|(year, month, day)| format!("{month:02}/{day:02}/{year}\t{year}-{month:02}-{day:02}\n"));
    std::fs::write(run.join("dates.tsv"), lines.collect::<String>())?;

    let mut trainer = Trainer::new(Recipe::parse(RECIPE, &[])?, run, 2, false)?;
    trainer.run(&AtomicBool::new(false), |event| {
        if let descant::train::Event::Metrics(metric @ descant::train::MetricsRecord::Validation { .. }) = event {
            println!("{metric:?}");
        }
    })?;

    let trained = Trained::load(run)?;
    for source in ["11/23/2026", "02/14/2019", "07/04/2007"] {
        println!("{source} is {}", trained.generate(source)?);
    }
    Ok(())
}
