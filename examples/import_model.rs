//! Makes a run of a model from elsewhere, generates with it, and takes it out again as a folder of `transformers`.
//!
//! `cargo run --release -p descant --example import_model FOLDER_OR_GGUF RUN EXPORTED TEXT`

use descant::inference::Trained;
use descant::interop::{export, import};
use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, run, exported, text] = &arguments[..] else {
        return Err("name a model, two folders and a text".into());
    };
    println!("{}", pass_on(model.as_ref(), run.as_ref(), exported.as_ref(), text)?);
    Ok(())
}

/// Imports and exports a model; what it generates for a text in between.
fn pass_on(model: &Path, run: &Path, exported: &Path, text: &str) -> Result<String, Box<dyn Error>> {
    // What of the folder has no meaning here is in the notes; what would change its texts is an error.
    for note in import(model, run)? {
        println!("{note}");
    }
    let trained = Trained::load_row_major(run)?;
    export(&trained, exported)?;
    Ok(trained.generate(text)?)
}

#[test]
fn a_model_that_went_out_comes_in_again() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let place = |name: &str| folder.path().join(name);
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../interop/tests/reference/gpt2");
    assert!(!pass_on(&model, &place("run"), &place("exported"), "w3 w4")?.is_empty());
    import(&place("exported"), &place("again"))?;
    let weights = |run: &str| {
        let Trained { parameters, .. } = Trained::load_row_major(&place(run))?;
        Ok::<_, Box<dyn Error>>(parameters.buffer().to_f64(0..parameters.buffer().len()))
    };
    assert!(weights("run")? == weights("again")?);
    Ok(())
}
