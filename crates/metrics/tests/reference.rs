//! Every metric against the program that defines it (`tools/text_metrics.py`).

use descant_metrics::{Bleu, Chrf, ErrorRate, Metric, Rouge, RougeKind, Ter, Tokenization, Unit, corpus_score};
use serde_json::Value;

fn metrics() -> Vec<(String, Box<dyn Metric>)> {
    let bleu = Tokenization::ALL.map(|tokenization| {
        let metric: Box<dyn Metric> = Box::new(Bleu { tokenization });
        (format!("bleu-{}", tokenization.name()), metric)
    });
    let rouge = [RougeKind::Ngrams(1), RougeKind::Ngrams(2), RougeKind::Subsequence, RougeKind::Lines];
    let others: Vec<Box<dyn Metric>> = vec![Box::new(Chrf { word_order: 0 }), Box::new(Chrf::PLUS_PLUS), Box::new(Ter)];
    let rouge = rouge.into_iter().map(|kind| -> Box<dyn Metric> { Box::new(Rouge { kind }) });
    let named = others.into_iter().chain(rouge).map(|metric| (metric.name(), metric));
    bleu.into_iter().chain(named).collect()
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
                    assert_near(&name, metric.score(statistics), expected, &format!(", {segment:?}"));
                }
            }
            assert_near(&name, corpus_score(metric.as_ref(), &statistics), &case["figures"][&name], "");
        }
        for unit in [Unit::Words, Unit::Characters] {
            let metric = ErrorRate { unit };
            let statistics: Vec<Vec<f64>> =
                segments.iter().map(|segment| metric.statistics(segment[0], &segment[1..2])).collect();
            assert_near(&metric.name(), corpus_score(&metric, &statistics), &case["figures"][metric.name()], "");
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
