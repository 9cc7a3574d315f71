//! `descant quantize`, and weights that are rounded while they are loaded.

mod common;

use common::Folder;
use descant_inference::Trained;
use std::fs;

const TYPES: [&str; 3] = ["bf16", "int8", "q4"];

#[test]
fn a_quantized_run_writes_what_the_run_writes_whose_weights_are_rounded_on_loading() {
    let folder = Folder::new();
    for recipe in ["lm.toml", "pairs.toml", "transformer.toml"] {
        folder.train(recipe, "run", 30);
        let size = |run: &str| folder.weights(run).len();
        for weights in TYPES {
            let run = format!("run-{weights}");
            let told = folder.succeed(&["quantize", "run", "--weights", weights]);
            assert!(told.contains(&format!("in {weights}")) && told.contains(&run), "{told}");
            assert!(size(&run) < size("run"), "{recipe} {weights}");
            let text = ["--json", "--max-length", "12", "--beam", "3"];
            let write = |run: &[&str]| folder.succeed(&[&["generate"], run, &["line 7"], &text].concat());
            let stored = write(&[&run]);
            assert_eq!(stored, write(&["run", "--weights", weights]), "{recipe} {weights}");
            assert_eq!(stored, write(&[&run, "--weights", weights]), "{recipe} {weights}");
            let loss = |run: &[&str]| -> f64 {
                let report = folder.succeed(&[&["eval", "--json", "--loss-only"], run].concat());
                serde_json::from_str::<serde_json::Value>(&report).unwrap()["loss"].as_f64().unwrap()
            };
            let (full, reduced) = (loss(&["run"]), loss(&[&run]));
            assert_eq!(reduced, loss(&["run", "--weights", weights]), "{recipe} {weights}");
            let shown = folder.succeed(&["eval", "run", "--weights", weights, "--loss-only"]);
            assert!(shown.contains(&format!("step 30, weights in {weights}, ")), "{shown}");
            let most = if weights == "q4" { 0.2 } else { 0.02 };
            assert!(full != reduced && (full - reduced).abs() < most, "{recipe} {weights}: {full}, {reduced}");
            let shown = folder.succeed(&["show", &run]);
            assert!(shown.contains(&format!("weights in {weights}")), "{shown}");
            fs::remove_dir_all(folder.path(&run)).unwrap();
        }
        fs::remove_dir_all(folder.path("run")).unwrap();
    }
}

#[test]
fn it_is_for_inference_alone() {
    let folder = Folder::new();
    folder.train("lm.toml", "run", 12);
    folder.succeed(&["quantize", "run", "--weights", "int8", "--output", "small"]);
    folder.fail(
        &["train", "lm.toml", "--run", "small", "--resume", "--set", "train.steps=14"],
        &["int8", "inference alone"],
    );
    folder.fail(&["train", "lm.toml", "--run", "next", "--set", "init='small'"], &["int8", "inference alone"]);
    assert!(!folder.path("next/recipe.toml").exists());
    folder.fail(&["quantize", "small", "--weights", "q4"], &["int8 already"]);
    folder.fail(&["generate", "small", "a", "--weights", "q4"], &["int8", "a second time"]);
    folder.fail(&["quantize", "run", "--weights", "int8", "--output", "small"], &["there already", "--output"]);
}

#[test]
fn it_is_exported_with_its_numbers() {
    let folder = Folder::with_exported_llama();
    for (weights, numbers) in [("int8", "q8_0"), ("q4", "q4_0"), ("bf16", "bf16")] {
        let run = format!("run-{weights}");
        folder.succeed(&["quantize", "run", "--weights", weights]);
        let own = Trained::load_row_major(&folder.path(&run)).unwrap();
        for (place, more) in [("own.gguf", vec![]), ("same.gguf", vec!["--numbers", numbers]), ("folder", vec![])] {
            folder.succeed(&[&["export", &run, place], &*more].concat());
            folder.succeed(&["import", place, "--run", "back"]);
            let back = Trained::load_row_major(&folder.path("back")).unwrap();
            for id in own.parameters.ids() {
                let there = back.parameters.find(own.parameters.name(id)).unwrap();
                let [own, there] =
                    [own.parameters.tensor(id), back.parameters.tensor(there)].map(|tensor| tensor.to_f64());
                assert_eq!(own, there, "{weights} {place}");
            }
            fs::remove_dir_all(folder.path("back")).unwrap();
        }
        ["own.gguf", "same.gguf"].iter().for_each(|place| fs::remove_file(folder.path(place)).unwrap());
        fs::remove_dir_all(folder.path("folder")).unwrap();
    }
    folder.fail(&["export", "run-int8", "out.gguf", "--numbers", "q4_0"], &["a second time"]);
}

#[test]
fn a_damaged_file_is_named() {
    let folder = Folder::new();
    folder.train("lm.toml", "run", 12);
    for weights in TYPES {
        let run = format!("run-{weights}");
        folder.succeed(&["quantize", "run", "--weights", weights]);
        let place = folder.path(&run).join("last/model.safetensors");
        let whole = fs::read(&place).unwrap();
        for cut in [0, 7, 100, whole.len() / 2, whole.len() - 1] {
            fs::write(&place, &whole[..cut]).unwrap();
            folder.fail(&["generate", &run, "line"], &["model.safetensors", "truncated or corrupt"]);
        }
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 1;
        fs::write(&place, flipped).unwrap();
        folder.fail(&["eval", &run], &["model.safetensors", "truncated or corrupt"]);
    }
}

#[test]
fn weights_that_have_no_form_are_named() {
    let folder = Folder::new();
    folder.train("lm.toml", "run", 12);
    let mut trained = Trained::load_row_major(&folder.path("run")).unwrap();
    let id = trained.parameters.find("embedding.weight").unwrap();
    trained.parameters.values_mut::<f32>(id)[3] = 1e9;
    let Trained { recipe, tokenizers, parameters, .. } = &trained;
    Trained::save(recipe, tokenizers, parameters, None, &folder.path("large")).unwrap();
    for weights in ["int8", "q4"] {
        folder.fail(&["quantize", "large", "--weights", weights], &["'embedding.weight'", "too large"]);
        assert!(!folder.path(&format!("large-{weights}")).exists());
    }
}
