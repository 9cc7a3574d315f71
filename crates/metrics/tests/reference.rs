//! Every metric against the program that defines it (`tools/text_metrics.py`).

use descant_metrics::{Metric, NAMES, corpus_score, metric};
use serde_json::Value;

/// Those that need no look at the references.
fn metrics() -> Vec<(&'static str, Box<dyn Metric>)> {
    let named = NAMES.iter().filter(|name| !["exact_match", "token_error_rate", "bleu", "wer", "cer"].contains(name));
    named.map(|name| (*name, metric(name, []).unwrap())).collect()
}

fn texts(segment: &Value) -> Vec<&str> {
    segment.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

fn check(cases: &str) {
    let cases: Vec<Value> = serde_json::from_str(cases).unwrap();
    for (number, case) in cases.iter().enumerate() {
        let segments: Vec<Vec<&str>> = case["segments"].as_array().unwrap().iter().map(texts).collect();
        let assert_near = |name: &str, found: f64, expected: &Value, of: &str| {
            let expected = expected.as_f64().unwrap();
            assert!((found - expected).abs() < 1e-6, "{name} of set {number}{of}: {found} for {expected}");
        };
        for (name, metric) in metrics() {
            let statistics: Vec<Vec<f64>> =
                segments.iter().map(|segment| metric.statistics(segment[0], &segment[1..])).collect();
            if let Some(each) = case["figures"][format!("{name}.each")].as_array() {
                for ((statistics, expected), segment) in statistics.iter().zip(each).zip(&segments) {
                    assert_near(name, metric.score(statistics), expected, &format!(", {segment:?}"));
                }
            }
            assert_near(name, corpus_score(metric.as_ref(), &statistics), &case["figures"][name], "");
        }
        for name in ["wer", "cer"] {
            let metric = metric(name, []).unwrap();
            let statistics: Vec<Vec<f64>> =
                segments.iter().map(|segment| metric.statistics(segment[0], &segment[1..2])).collect();
            assert_near(name, corpus_score(metric.as_ref(), &statistics), &case["figures"][name], "");
        }
    }
    assert!(!cases.is_empty());
}

#[test]
fn every_metric_is_that_of_its_reference() {
    check(include_str!("reference/metrics.json"));
}

#[test]
fn real_texts_too() {
    match std::env::var("DESCANT_METRICS") {
        Ok(path) => check(&std::fs::read_to_string(path).unwrap()),
        Err(_) => println!("skipped: DESCANT_METRICS names no file of tools/text_metrics.py"),
    }
}

#[test]
fn texts_without_anything_have_a_value() {
    for (name, metric) in metrics() {
        let none = metric.statistics("", &[""]);
        for (hypothesis, references) in [("", &["a b"][..]), ("a b", &[""]), ("a b", &[]), ("", &[])] {
            let statistics = metric.statistics(hypothesis, references);
            assert_eq!(statistics.len(), none.len(), "{name}");
            assert!((0.0..=100.0).contains(&metric.score(&statistics)), "{name}: {statistics:?}");
        }
        assert!(corpus_score(metric.as_ref(), &Vec::<Vec<f64>>::new()).is_finite(), "{name}");
    }
}
