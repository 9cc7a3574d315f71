//! `descant compare`, and the metrics of `descant eval`.

mod common;

use common::Folder;
use serde_json::{Value, json};

fn answers(right: impl Fn(usize) -> bool) -> String {
    let line = |i: usize| {
        let reference = format!("the dog number {i} runs");
        let text = if right(i) { reference.clone() } else { format!("a cat number {i} runs") };
        json!({"line": i + 1, "source": "s", "text": text, "references": [reference], "right": right(i)}).to_string()
            + "\n"
    };
    (0..200).map(line).collect()
}

#[test]
fn a_real_difference_is_told_from_chance() {
    let folder = Folder::new();
    folder.write("good.jsonl", answers(|i| i % 5 != 0));
    folder.write("other.jsonl", answers(|i| i % 5 != 1));
    folder.write("bad.jsonl", answers(|i| i % 5 > 2));
    let printed = folder.succeed(&["compare", "good.jsonl", "bad.jsonl"]);
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines.len(), 6, "{printed}");
    assert!(lines[2].starts_with("exact match          80.00") && lines[2].ends_with("a real difference"), "{printed}");
    assert!(lines[4].starts_with("bleu ") && lines[4].ends_with("a real difference"), "{printed}");
    let compare = ["compare", "good.jsonl", "other.jsonl", "--metrics", "exact_match,ter", "--json", "--threads"];
    let printed = folder.succeed(&[&compare[..], &["1"]].concat());
    assert_eq!(printed, folder.succeed(&[&compare[..], &["2"]].concat()));
    let found: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!([&found[0]["metric"], &found[1]["metric"]], ["exact_match", "ter"]);
    assert_eq!((&found[0]["a"], &found[0]["b"], &found[0]["texts"]), (&json!(0.8), &json!(0.8), &json!(200)));
    for line in &found {
        assert!(
            line["p_bootstrap"].as_f64().unwrap() > 0.9 && line["p_randomisation"].as_f64().unwrap() > 0.9,
            "{line}"
        );
    }
}

#[test]
fn what_cannot_be_compared_is_told() {
    let folder = Folder::new();
    folder.write("a.jsonl", answers(|_| true));
    folder.write("short.jsonl", answers(|_| true).lines().take(9).map(|line| format!("{line}\n")).collect::<String>());
    folder.write("other.jsonl", answers(|_| true).replace("number 7 ", "number 8 "));
    folder.write("none.jsonl", "\n");
    folder.write("wrong.jsonl", "{\"text\": \"a\"}\n");
    folder.write("list.jsonl", "{\"text\": \"a\", \"references\": [\"a\", 3]}\n");
    for (b, parts) in [
        ("short.jsonl", ["a.jsonl has 200 texts", "short.jsonl has 9"]),
        ("other.jsonl", ["not of the same texts", "text 8"]),
        ("none.jsonl", ["none.jsonl", "no texts"]),
        ("wrong.jsonl", ["wrong.jsonl, line 1", "references"]),
        ("list.jsonl", ["list.jsonl, line 1", "no list of texts"]),
        ("pairs.tsv", ["pairs.tsv", "expected a .jsonl"]),
        ("missing.jsonl", ["missing.jsonl", "No such file"]),
    ] {
        folder.fail(&["compare", "a.jsonl", b], &parts);
    }
    folder.fail(&["compare", "a.jsonl", "a.jsonl", "--metrics", "blue"], &["blue", "bleu"]);
}

#[test]
fn every_metric_is_measured_by_eval() {
    let folder = Folder::new();
    folder.train("pairs.toml", "run", 5);
    let eval = ["eval", "run", "--max-new-tokens", "5", "--output", "out.jsonl", "--overwrite", "--metrics"];
    let names = descant_metrics::NAMES.join(",");
    let report: Value =
        serde_json::from_str(&folder.succeed(&[&eval[..], &[names.as_str(), "--json"]].concat())).unwrap();
    for name in descant_metrics::NAMES {
        assert!(report[name].is_number() && report["signatures"][name].is_string(), "{name}: {report}");
    }
    let printed = folder.succeed(&[&eval[..], &["bleu,rougeL,cer"]].concat());
    assert!(printed.contains("(nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp)"), "{printed}");
    assert!(printed.contains("% (nrefs:1|case:lc|stem:no)") && printed.contains("% of the characters"), "{printed}");
    // Of one file, the same values.
    let compared = folder.succeed(&["compare", "out.jsonl", "out.jsonl", "--metrics", "chrf++,ter", "--json"]);
    for line in compared.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        assert_eq!(line["a"], report[line["metric"].as_str().unwrap()]);
        assert_eq!((&line["p_bootstrap"], &line["p_randomisation"]), (&json!(1.0), &json!(1.0)));
    }
}
