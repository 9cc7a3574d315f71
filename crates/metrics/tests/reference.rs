//! Every metric against the program that defines it (`tools/text_metrics.py`), or its definition (`tools/output_metrics.py`).

use descant_metrics::{Metric, NAMES, Pooling, corpus_score, metric, sentence_metric, unfit};
use serde_json::Value;

/// Those of outputs by themselves, of sources, and of slots.
const OF_OUTPUTS: [&str; 5] = ["distinct-1", "distinct-2", "seq-rep-4", "copy_rate", "slot_f1"];

/// Those of sacreBLEU and rouge-score, which need no look at the references.
fn metrics() -> Vec<(&'static str, Box<dyn Metric>)> {
    let others = ["exact_match", "token_error_rate", "bleu", "wer", "cer"];
    let named = NAMES.iter().filter(|name| !others.iter().chain(&OF_OUTPUTS).any(|other| other == *name));
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
                segments.iter().map(|segment| metric.statistics(segment[0], &segment[1..], "")).collect();
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
                segments.iter().map(|segment| metric.statistics(segment[0], &segment[1..2], "")).collect();
            assert_near(name, corpus_score(metric.as_ref(), &statistics), &case["figures"][name], "");
        }
    }
    assert!(!cases.is_empty());
}

#[test]
fn every_metric_is_that_of_its_reference() {
    check(include_str!("reference/metrics.json"));
}

/// Sets of texts, each with source, output and reference.
fn check_outputs(cases: &str) {
    let cases: Vec<Value> = serde_json::from_str(cases).unwrap();
    let mut compared = 0;
    for (number, case) in cases.iter().enumerate() {
        let texts: Vec<Vec<&str>> = case["texts"].as_array().unwrap().iter().map(texts).collect();
        for (name, expected) in case["figures"].as_object().unwrap() {
            let metric = metric(name, texts.iter().map(|text| text[2])).unwrap();
            let statistics: Vec<Vec<f64>> =
                texts.iter().map(|text| metric.statistics(text[1], &text[2..], text[0])).collect();
            let (found, expected) = (corpus_score(metric.as_ref(), &statistics), expected.as_f64().unwrap());
            assert!((found - expected).abs() < 1e-9, "{name} of set {number}: {found} for {expected}");
            compared += 1;
        }
    }
    assert!(compared > 0);
}

#[test]
fn metrics_of_outputs_are_those_of_their_definitions() {
    check_outputs(include_str!("reference/outputs.json"));
}

#[test]
fn slots_of_other_lengths_and_other_references() {
    let score = |text: &str, references: &[&str]| {
        let metric = sentence_metric("slot_f1", references.iter().copied()).unwrap();
        metric.score(&metric.statistics(text, references, ""))
    };
    let reference = "O B-city I-city O B-day";
    assert_eq!(score("O B-city I-city O B-day B-day", &[reference]), 0.8);
    assert_eq!(score("O B-city I-city", &[reference]), 2.0 / 3.0);
    // Words that are no tags, such as an intent that comes first, are outside.
    assert_eq!(score("GetWeather B-city I-city O B-day", &[reference]), 1.0);
    assert_eq!(score("O B-day O", &["O B-city O", "O B-day O"]), 1.0);
    assert_eq!([score("O O", &["O"]), score("O B-day", &["O"])], [1.0, 0.0]);
    assert_eq!(unfit("slot_f1", [reference]), None);
    assert!(unfit("slot_f1", ["a dog", ""]).unwrap().contains("no reference has a slot"));
    assert_eq!(unfit("bleu", ["a dog"]), None);
}

#[test]
fn real_texts_too() {
    type Check = fn(&str);
    let checks: [(&str, Check); 2] = [("DESCANT_METRICS", check), ("DESCANT_OUTPUTS", check_outputs)];
    for (variable, check) in checks {
        match std::env::var(variable) {
            Ok(path) => check(&std::fs::read_to_string(path).unwrap()),
            Err(_) => println!("skipped: {variable} names no file of tools/text_metrics.py or tools/output_metrics.py"),
        }
    }
}

#[test]
fn texts_without_anything_have_a_value() {
    let of_outputs = OF_OUTPUTS.map(|name| (name, metric(name, []).unwrap()));
    for (name, metric) in metrics().into_iter().chain(of_outputs) {
        let none = metric.statistics("", &[""], "");
        for (hypothesis, references) in [("", &["a b"][..]), ("a b", &[""]), ("a b", &[]), ("", &[])] {
            let statistics = metric.statistics(hypothesis, references, "");
            let is_list = metric.pooling() == Pooling::Lists;
            assert!(is_list || statistics.len() == none.len(), "{name}");
            assert!((0.0..=100.0).contains(&metric.score(&statistics)), "{name}: {statistics:?}");
        }
        assert!(corpus_score(metric.as_ref(), &Vec::<Vec<f64>>::new()).is_finite(), "{name}");
    }
}
