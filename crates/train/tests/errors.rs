//! A program can match errors by their variants.

use descant_inference::{Error, Recipe, RunFolder, Trained};
use descant_train::Trainer;
use std::fs;

const RECIPE: &str = r#"
[data]
train = "text.txt"
stream = true
[tokenizer]
kind = "character"
[model]
kind = "language-model"
embedding = 4
hidden = 4
[train]
steps = 1
batch_sentences = 2
length = 10
"#;

#[test]
fn a_program_can_match_what_is_wrong_with_a_run_folder() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("text.txt"), "all that is gold does not glitter\n".repeat(20)).unwrap();
    let file = folder.path().join("recipe.toml");
    fs::write(&file, RECIPE).unwrap();
    let recipe = Recipe::load(&file, &[]).unwrap();
    let run = folder.path().join("run");
    let start = |resume| Trainer::new(recipe.clone(), &run, 1, resume).map(drop);
    let of_run = |error| match error {
        descant_train::Error::Inference(error) => error,
        error => panic!("{error:?}"),
    };

    assert!(matches!(Trained::load(&run), Err(Error::NoRun { .. })));
    assert!(matches!(of_run(start(true).unwrap_err()), Error::NoRun { .. }));
    start(false).unwrap();
    assert!(matches!(of_run(start(false).unwrap_err()), Error::Occupied { .. }));
    let taken = RunFolder::take(&run).unwrap();
    assert!(matches!(of_run(start(true).unwrap_err()), Error::Locked { .. }));
    drop(taken);
    fs::write(run.join("recipe.toml"), "[model]\nkind = 'other'\n").unwrap();
    assert!(matches!(Trained::load(&run), Err(Error::Recipe { .. })));
    let gone = folder.path().join("gone");
    assert!(
        matches!(Recipe::load(&gone, &[]), Err(Error::Io { error, .. }) if error.kind() == std::io::ErrorKind::NotFound)
    );
}
