//! Trains from a recipe: a few lines of text, and a run folder that `descant generate` can use.
//!
//! `cargo run --release -p descant --example train_from_recipe`

use descant::prelude::*;
use descant::train::{Event, MetricsRecord};
use std::error::Error;
use std::path::Path;
use std::sync::atomic::AtomicBool;

const RECIPE: &str = r#"
[data]
train = "dates.tsv"
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

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new("runs/example");
    let _ = std::fs::remove_dir_all(folder);
    let trained = train(folder, &[])?;
    for source in ["11/23/2026", "02/14/2019", "07/04/2007"] {
        println!("{source} is {}", trained.generate(source)?);
    }
    Ok(())
}

/// Writes the texts into a folder, and a run that learns from them beside; `settings` are as those of `--set`.
fn train(folder: &Path, settings: &[String]) -> Result<Trained, Box<dyn Error>> {
    std::fs::create_dir_all(folder)?;
    let dates =
        (0..2400).map(|i| i * 7 % 10_957).map(|n| (2000 + n / 365 % 30, n % 365 / 31 + 1, n % 365 % 31 % 28 + 1));
    let lines = dates.map(|(year, month, day)| format!("{month:02}/{day:02}/{year}\t{year}-{month:02}-{day:02}\n"));
    std::fs::write(folder.join("dates.tsv"), lines.collect::<String>())?;
    // A file that a recipe names is looked for beside the recipe, too.
    let recipe = folder.join("dates.toml");
    std::fs::write(&recipe, RECIPE)?;

    let run = folder.join("run");
    let mut trainer = Trainer::new(Recipe::load(&recipe, settings)?, &run, 2, false)?;
    trainer.run(&AtomicBool::new(false), |event| {
        if let Event::Metrics(metric @ MetricsRecord::Validation { .. }) = event {
            println!("{metric:?}");
        }
    })?;
    Ok(Trained::load(&run)?)
}

#[test]
fn a_recipe_becomes_a_model() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let settings = ["model.hidden=32", "train.epochs=1"].map(str::to_owned);
    let trained = train(folder.path(), &settings)?;
    assert_eq!(trained.recipe.model.hidden, 32);
    assert!(trained.step >= 20, "{} steps", trained.step);
    assert!(!trained.generate("11/23/2026")?.is_empty());
    Ok(())
}
