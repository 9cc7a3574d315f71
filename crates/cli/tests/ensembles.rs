//! Several models that generate together, by the real binary.

mod common;

use common::Folder;
use serde_json::Value;

#[test]
fn models_of_any_architecture_generate_together() {
    let folder = Folder::new();
    let shared = ["--quiet", "--set", "train.steps=40", "--set", "data.shared_vocabulary=true"];
    folder.succeed(&[&["train", "pairs.toml", "--run", "pairs"][..], &shared].concat());
    folder.train("transformer.toml", "transformer", 40);
    folder.train("lm.toml", "lm", 5);
    let best = |flags: &[&str]| -> Value {
        let arguments = [&["generate", "pairs", "123", "--json"][..], flags].concat();
        serde_json::from_str(folder.succeed(&arguments).lines().next().unwrap()).unwrap()
    };
    let (alone, with_itself) = (best(&[]), best(&["--ensemble", "pairs"]));
    assert_eq!(alone["text"], with_itself["text"]);
    assert!((alone["score"].as_f64().unwrap() - with_itself["score"].as_f64().unwrap()).abs() < 1e-4);
    let told = folder.told(&["generate", "pairs", "123", "--ensemble", "transformer", "--ensemble", "pairs"]);
    assert!(told.contains("--ensemble pairs: the same checkpoint is among the others already"), "{told}");
    assert!(!folder.told(&["generate", "pairs", "123", "--ensemble", "transformer"]).contains("--ensemble"));
    let together = best(&["--ensemble", "transformer", "--ensemble", "pairs"]);
    assert!((alone["score"].as_f64().unwrap() - together["score"].as_f64().unwrap()).abs() > 1e-4, "{together}");
    // A source that one of them has no positions for is refused or split, as of that one alone.
    let positions = "model.transformer={heads = 2, position = \"learned\", max_length = 16}";
    folder.succeed(&[&["train", "transformer.toml", "--run", "positions", "--set", positions][..], &shared].concat());
    let long = "12345 67890 12345 67890";
    for run in [&["generate", "positions", long][..], &["generate", "pairs", long, "--ensemble", "positions"]] {
        folder.fail(run, &["the source has 2", "the model has positions for 16", "--long-input split"]);
        let split = folder.succeed(&[run, &["--long-input", "split", "--json"]].concat());
        let one: Value = serde_json::from_str(split.lines().next().unwrap()).unwrap();
        assert!(!one["text"].as_str().unwrap().is_empty() && one["cut"] != true, "{one}");
    }
    folder.fail(&["generate", "pairs", "123", "--ensemble", "lm"], &["lm", "tokenizers"]);
    folder.fail(&["generate", "pairs", "123", "--ensemble", "transformer", "--explain"], &["--ensemble"]);
    folder.fail(&["generate", "pairs", "123", "--ensemble", "none"], &["none"]);
}
