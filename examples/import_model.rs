//! Makes a run of a model from elsewhere, generates with it, and takes it out again as a folder of `transformers`.
//!
//! `cargo run --release -p descant --example import_model FOLDER_OR_GGUF RUN EXPORTED`

use descant::inference::Trained;
use descant::interop::{export, import};
use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, run, exported] = &arguments[..] else { return Err("name a model, a run folder and a folder".into()) };
    println!("{}", pass_on(model.as_ref(), run.as_ref(), exported.as_ref())?);
    Ok(())
}

/// Imports and exports a model; what it generates in between.
fn pass_on(model: &Path, run: &Path, exported: &Path) -> Result<String, Box<dyn Error>> {
    // What of the folder has no meaning here is in the notes; what would change its texts is an error.
    for note in import(model, run)? {
        println!("{note}");
    }
    let trained = Trained::load(run)?;
    export(&trained, exported)?;
    Ok(trained.generate("the")?)
}

#[test]
fn a_model_that_went_out_comes_in_again() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let place = |name: &str| folder.path().join(name);
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../interop/tests/reference/llama");
    let first = pass_on(&model, &place("run"), &place("exported"))?;
    let second = pass_on(&place("exported"), &place("again"), &place("exported again"))?;
    assert!(!first.is_empty());
    assert_eq!(first, second);
    Ok(())
}
