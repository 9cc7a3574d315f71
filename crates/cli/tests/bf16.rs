//! A training in bf16 computes in bf16: at sizes that gain from it, its weights are others than those of f32.

mod common;

use common::Folder;

#[test]
fn weights_of_bf16_differ_from_those_of_f32_and_the_losses_are_near() {
    let folder = Folder::new();
    let run = |precision: &str| {
        let set = format!("train.precision={precision}");
        folder.succeed(&["train", "bf16.toml", "--run", precision, "--quiet", "--set", &set]);
        let metrics = std::fs::read_to_string(folder.path(precision).join("metrics.jsonl")).unwrap();
        let losses: Vec<f64> = metrics
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .filter_map(|line| line["loss"].as_f64())
            .collect();
        (folder.weights(precision), losses)
    };
    let ((narrow, narrow_losses), (full, full_losses)) = (run("bf16"), run("f32"));
    assert_eq!(narrow.len(), full.len());
    assert!(narrow != full, "no product was computed in bf16");
    assert!(!full_losses.is_empty() && narrow_losses.len() == full_losses.len());
    for (narrow, full) in narrow_losses.iter().zip(&full_losses) {
        assert!((narrow / full - 1.0).abs() < 0.05, "{narrow_losses:?} {full_losses:?}");
    }
}
