//! Takes a text piece by piece while it is generated, and stops when it has enough.
//!
//! `cargo run --release -p descant --example iterate_text RUN TEXT`

use descant::generate::GenerationConfig;
use descant::inference::Trained;
use descant::kernels::Parallelism;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [run, text] = &arguments[..] else { return Err("name a run folder and a text".into()) };
    println!("{}", first_characters(run.as_ref(), text, 200)?);
    Ok(())
}

/// At least so many characters of what a model generates, or all of it: dropped, the iterator ends the generation.
fn first_characters(run: &Path, text: &str, enough: usize) -> Result<String, Box<dyn Error>> {
    let trained = Arc::new(Trained::load(run)?);
    let options = trained.options(&GenerationConfig::default(), Parallelism::Serial)?;
    let mut first = String::new();
    for piece in trained.pieces(text, &options)? {
        first += &piece?.text;
        if first.chars().count() >= enough {
            break;
        }
    }
    Ok(first)
}

#[test]
fn the_pieces_are_the_text_and_a_cancelled_one_has_its_start() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let run = folder.path().join("run");
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../interop/tests/reference/llama");
    descant::interop::import(&model, &run)?;
    let trained = Arc::new(Trained::load(&run)?);
    let whole = trained.generate("w3 w4")?;
    assert_eq!(first_characters(&run, "w3 w4", usize::MAX)?, whole);
    let first = first_characters(&run, "w3 w4", 5)?;
    assert!(whole.starts_with(&first) && first.len() < whole.len(), "{first:?} {whole:?}");
    let options = trained.options(&GenerationConfig::default(), Parallelism::Serial)?;
    let mut pieces = trained.pieces("w3 w4", &options)?;
    let second = pieces.by_ref().take(2).filter_map(Result::ok).filter_map(|piece| piece.token).last();
    pieces.cancel();
    let generated = pieces.finish().ok_or("nothing was generated")?;
    assert_eq!(generated.tokens.get(1).copied(), second);
    assert!(!generated.is_finished() && generated.tokens.len() <= 4, "{generated:?}");
    Ok(())
}
