//! Loads a trained model and generates: with its own defaults, and with options of one's own for several texts at once.
//!
//! `cargo run --release -p descant --example load_and_generate RUN TEXT...`

use descant::autograd::Tape;
use descant::inference::{Generated, Trained};
use descant::prelude::*;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [run, texts @ ..] = &arguments[..] else { return Err("name a run folder, and texts".into()) };
    let trained = Trained::load(run.as_ref())?;
    for text in texts {
        println!("{text} -> {}", trained.generate(text)?);
    }
    for (text, hypotheses) in texts.iter().zip(hypotheses(&trained, texts)?) {
        for Generated { text: hypothesis, score, .. } in hypotheses {
            println!("{text} -> {hypothesis} ({score:.3})");
        }
    }
    Ok(())
}

/// The two best hypotheses of a beam search for each text, at most 20 tokens long.
fn hypotheses(trained: &Trained, texts: &[String]) -> Result<Vec<Vec<Generated>>, descant::inference::Error> {
    let config = GenerationConfig::beam(4).with(|config| {
        config.num_return_sequences = Some(2);
        config.max_new_tokens = Some(20);
    });
    let options = trained.options(&config, Parallelism::Serial)?;
    // A tape keeps its memory for the next batch. The numbers seed the sampling of each text; there is none here.
    // What is wrong with a text is its own answer.
    trained.generate_batch(&mut Tape::new(), texts, 0.., &options, |_, _| ())?.into_iter().collect()
}

#[test]
fn a_model_generates_with_its_defaults_and_with_options() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let run = folder.path().join("run");
    let model = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../interop/tests/reference/llama");
    descant::interop::import(&model, &run)?;
    let trained = Trained::load(&run)?;
    let texts = ["w3", "w4 w5"].map(str::to_owned);
    let found = hypotheses(&trained, &texts)?;
    assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2]);
    assert!(found.iter().all(|both| both[0].score >= both[1].score && both[0].tokens.len() <= 20));
    assert!(!trained.generate("w3 w4")?.is_empty());
    Ok(())
}
