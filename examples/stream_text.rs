//! Shows a text while it is generated.
//!
//! `cargo run --release -p descant --example stream_text RUN TEXT`

use descant::inference::Trained;
use std::error::Error;
use std::io::{Write, stdout};
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [run, text] = &arguments[..] else { return Err("name a run folder and a text".into()) };
    stream(run.as_ref(), text, &mut stdout())?;
    Ok(())
}

/// Writes the pieces of what a model generates as they come; returns the whole, and how many pieces there were.
fn stream(run: &Path, text: &str, to: &mut impl Write) -> Result<(String, usize), Box<dyn Error>> {
    let trained = Trained::load(run)?;
    let (mut pieces, mut written) = (0, Ok(()));
    // A piece ends with a whole character, and stays as it is whatever comes next.
    let whole = trained.stream(text, |piece| {
        pieces += 1;
        if written.is_ok() {
            written = to.write_all(piece.as_bytes()).and_then(|()| to.flush());
        }
    })?;
    written?;
    writeln!(to)?;
    Ok((whole, pieces))
}

#[test]
fn the_pieces_are_the_text() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let run = folder.path().join("run");
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../interop/tests/reference/llama");
    descant::interop::import(&model, &run)?;
    let mut shown = Vec::new();
    let (whole, pieces) = stream(&run, "w3 w4", &mut shown)?;
    assert_eq!(String::from_utf8(shown)?, format!("{whole}\n"));
    assert!(pieces > 5, "{pieces} pieces");
    assert_eq!(whole, Trained::load(&run)?.generate("w3 w4")?);
    Ok(())
}
