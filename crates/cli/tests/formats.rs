//! Runs of earlier versions of the format are read, with a note that a training goes on from one in other bits.

mod common;

use common::Folder;
use serde_json::Value;

#[test]
fn a_run_of_an_earlier_format_writes_and_is_resumed_with_a_note() {
    let folder = Folder::new();
    folder.train("lm.toml", "run", 10);
    let place = folder.path("run").join("last/manifest.json");
    let mut manifest: Value = serde_json::from_str(&std::fs::read_to_string(&place).unwrap()).unwrap();
    assert_eq!(manifest["format"], 2);
    manifest["format"] = 1.into();
    // As no manifest had one at first.
    manifest.as_object_mut().unwrap().remove("checksum");
    std::fs::write(&place, serde_json::to_string(&manifest).unwrap()).unwrap();
    folder.succeed(&["generate", "run", "line", "--max-length", "5"]);
    let output = folder.run(&["train", "lm.toml", "--run", "run", "--resume", "--set", "train.steps=12"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains("has format 1, of an older descant"), "{told}");
}
