//! `descant compare`, and the metrics of `descant eval` and of validations.

mod common;

use common::Folder;
use serde_json::{Value, json};
use std::fs;
use std::io::Write as _;

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
    assert!(lines[2].starts_with("exact match          80.00") && lines[2].ends_with("A is better"), "{printed}");
    assert!(lines[4].starts_with("bleu ") && lines[4].ends_with("A is better"), "{printed}");
    // Of an error rate less is better.
    let printed = folder.succeed(&["compare", "bad.jsonl", "good.jsonl", "--metrics", "ter"]);
    assert!(printed.trim_end().ends_with("B is better"), "{printed}");
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
fn outputs_are_compared_by_themselves_and_with_their_sources() {
    let folder = Folder::new();
    let answers = |word: &dyn Fn(usize) -> String| -> String {
        let line = |i: usize| json!({"source": "ein Hund", "text": word(i), "references": ["a dog runs"]}).to_string();
        (0..200).map(|i| line(i) + "\n").collect()
    };
    folder.write("many.jsonl", answers(&|i| format!("a dog{i} runs")));
    folder.write("few.jsonl", answers(&|i| format!("a Hund{} Hund", " runs and runs and runs and".repeat(i % 2))));
    let compare = |metrics: &str| folder.succeed(&["compare", "many.jsonl", "few.jsonl", "--metrics", metrics]);
    let printed = compare("distinct-1,seq-rep-4,copy_rate");
    let lines: Vec<&str> = printed.lines().skip(2).collect();
    // 202 of 600 words are different ones; every second text of B repeats one of six 4-grams, and 4 of 12 words are its source's.
    assert!(lines[0].starts_with("distinct-1           33.67"), "{printed}");
    assert!(lines[1].contains(" 0.00 ") && lines[1].contains(" 8.33 ") && lines[2].contains(" 33.33 "), "{printed}");
    assert!(lines.iter().all(|line| line.ends_with("A is better")), "{printed}");
    folder.write("none.jsonl", answers(&|_| "a dog".to_owned()).replace("\"source\":\"ein Hund\",", ""));
    let fail = |metrics: &str, parts: &[&str]| {
        folder.fail(&["compare", "few.jsonl", "none.jsonl", "--metrics", metrics], parts);
    };
    fail("copy_rate", &["--metrics copy_rate", "text 1 of none.jsonl has no \"source\""]);
    fail("slot_f1", &["--metrics slot_f1", "no reference has a slot", "B-city"]);
    folder.write("few.jsonl", "{\"text\": \"a\", \"references\": [\"a\"], \"source\": 3}\n");
    fail("bleu", &["few.jsonl, line 1", "\"source\""]);
}

#[test]
fn slots_are_measured_at_validations() {
    let folder = Folder::new();
    let pair = |i: usize| format!("{} to rome\tO O B-city\n", ["fly", "drive", "walk"][i % 3]);
    folder.write("pairs.tsv", (0..60).map(pair).collect::<String>());
    let metrics = "train.validation_metrics=['slot_f1', 'copy_rate']";
    let train = ["train", "pairs.toml", "--run", "run", "--set", "train.steps=40", "--set", "train.validate_every=20"];
    let best = ["--set", metrics, "--set", "train.best_metric='slot_f1'"];
    let told = folder.told(&[&train[..], &best].concat());
    assert!(told.contains("slot_f1 ") && told.contains("copy_rate 0.00 %"), "{told}");
    let found = validations(&folder, "run");
    let report = folder.succeed(&["eval", "run/last", "--metrics", "slot_f1", "--json"]);
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(found.last().unwrap()["metrics"]["slot_f1"], report["slot_f1"]);
    assert!(report["signatures"]["slot_f1"].as_str().unwrap().ends_with("|scheme:BIO|slots:6"), "{report}");
    let others = Folder::new();
    others.fail(
        &[&train[..], &["--set", metrics]].concat(),
        &["train.validation_metrics: slot_f1", "no reference has a slot"],
    );
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
        ("wrong.jsonl", ["wrong.jsonl, line 1", "no \"references\""]),
        ("list.jsonl", ["list.jsonl, line 1", "no list of texts"]),
        ("pairs.tsv", ["pairs.tsv", "expected a .jsonl"]),
        ("missing.jsonl", ["missing.jsonl", "No such file"]),
    ] {
        folder.fail(&["compare", "a.jsonl", b], &parts);
    }
    let unknown = folder.run(&["compare", "a.jsonl", "a.jsonl", "--metrics", "blue"]);
    let told = String::from_utf8_lossy(&unknown.stderr);
    assert_eq!(unknown.status.code(), Some(2), "{told}");
    assert!(
        told.contains("'blue'") && told.contains("rougeLsum") && told.contains("similar value exists: 'bleu'"),
        "{told}"
    );
}

#[test]
fn every_metric_is_measured_by_eval() {
    let folder = Folder::new();
    folder.train("pairs.toml", "run", 5);
    let eval = ["eval", "run", "--max-new-tokens", "5", "--output", "out.jsonl", "--overwrite", "--metrics"];
    // Its targets are no tags.
    let names: Vec<&str> = descant_metrics::NAMES.iter().copied().filter(|name| *name != "slot_f1").collect();
    folder.fail(&[&eval[..], &["bleu,slot_f1"]].concat(), &["--metrics slot_f1", "no reference has a slot"]);
    let output = folder.run(&[&eval[..], &["bleu,slot_f1", "--json"]].concat());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["bleu"].is_number() && report["slot_f1"].is_null(), "{report}");
    let names = (names.join(","), names);
    let report: Value =
        serde_json::from_str(&folder.succeed(&[&eval[..], &[names.0.as_str(), "--json"]].concat())).unwrap();
    for name in names.1 {
        assert!(report[name].is_number() && report["signatures"][name].is_string(), "{name}: {report}");
    }
    let twice: Value = serde_json::from_str(&folder.succeed(&[&eval[..], &["ter,ter", "--json"]].concat())).unwrap();
    assert_eq!((&twice["ter"], &twice["exact_match"]), (&report["ter"], &Value::Null));
    let printed = folder.succeed(&[&eval[..], &["bleu,rougeL,cer"]].concat());
    assert!(printed.contains("(nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp)"), "{printed}");
    assert!(printed.contains("% (nrefs:1|case:lc|stem:no)") && printed.contains("% of the characters"), "{printed}");
    // Of one file, the same values.
    let compared = folder.succeed(&[
        "compare",
        "out.jsonl",
        "out.jsonl",
        "--metrics",
        "chrf++,ter,distinct-2,copy_rate",
        "--json",
    ]);
    for line in compared.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        assert_eq!(line["a"], report[line["metric"].as_str().unwrap()]);
        assert_eq!((&line["p_bootstrap"], &line["p_randomisation"]), (&json!(1.0), &json!(1.0)));
    }
}

const VALIDATE: [&str; 7] = [
    "train",
    "pairs.toml",
    "--set",
    "train.validation_metrics=['exact_match', 'cer']",
    "--set",
    "train.validate_every=20",
    "--run",
];

/// The validations of a run.
fn validations(folder: &Folder, run: &str) -> Vec<Value> {
    let lines = fs::read_to_string(folder.path(run).join("metrics.jsonl")).unwrap();
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["event"] == "validation").collect()
}

#[test]
fn validations_measure_what_eval_measures() {
    let folder = Folder::new();
    let train = |run: &str, more: &[&str]| folder.told(&[&VALIDATE[..], &[run], more].concat());
    let as_eval_says = |run: &str| {
        let found = validations(&folder, run);
        let eval = ["eval", &format!("{run}/last"), "--metrics", "exact_match,cer", "--json"];
        let report: Value = serde_json::from_str(&folder.succeed(&eval)).unwrap();
        assert_eq!(
            found.last().unwrap()["metrics"],
            json!({"exact_match": report["exact_match"], "cer": report["cer"]})
        );
        found
    };
    let told = train("run", &["--set", "train.steps=40"]);
    assert!(told.contains(" %  exact_match ") && told.contains(" %  cer "), "{told}");
    let found = as_eval_says("run");
    assert_eq!((found.len(), &found[1]["step"]), (2, &json!(40)));
    assert_ne!(found[0]["metrics"], found[1]["metrics"]);
    // The first examples of the text, each time the same, as eval writes them.
    let samples = |run: &str| -> Vec<Value> {
        let lines = fs::read_to_string(folder.path(run).join("samples.jsonl")).unwrap();
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    folder.succeed(&["eval", "run/last", "--output", "last.jsonl", "--overwrite"]);
    let evaluated = fs::read_to_string(folder.path("last.jsonl")).unwrap();
    let kept = samples("run");
    let steps: Vec<&Value> = kept.iter().map(|sample| &sample["step"]).collect();
    assert_eq!(steps, [20, 20, 20, 40, 40, 40]);
    for (i, (sample, line)) in kept[3..].iter().zip(evaluated.lines()).enumerate() {
        let line: Value = serde_json::from_str(line).unwrap();
        for key in ["line", "source", "text", "references", "finished"] {
            assert_eq!(sample[key], line[key], "{sample}");
        }
        assert_eq!(sample["source"], kept[i]["source"]);
    }
    let shown = folder.succeed(&["show", "run"]);
    let last = format!("    generated: {}", kept[5]["text"].as_str().unwrap());
    assert!(
        shown.contains("samples:   of the validation at step 40") && shown.trim_end().ends_with(last.trim_end()),
        "{shown}"
    );
    // A resume keeps these lines, and adds others; what cannot be read is reported.
    let mut damaged = fs::OpenOptions::new().append(true).open(folder.path("run/samples.jsonl")).unwrap();
    writeln!(damaged, "{{").unwrap();
    let told = train("run", &["--resume", "--set", "train.steps=60"]);
    assert!(told.contains("samples.jsonl: 1 lines could not be read"), "{told}");
    assert_eq!((samples("run").len(), &samples("run")[..3]), (9, &kept[..3]));
    assert_eq!(as_eval_says("run")[..1], found[..1]);
    assert_eq!(validations(&folder, "run").len(), 3);
    let lora = ["--set", "init='run'", "--set", "finetune.lora={rank=2}", "--set", "train.average=0.5"];
    train("tuned", &[&lora[..], &["--set", "train.steps=20"]].concat());
    as_eval_says("tuned");
    train("few", &["--set", "train.steps=20", "--set", "train.validation_examples=2"]);
    assert_eq!(samples("few").len(), 2);
    train("none", &["--set", "train.steps=20", "--set", "train.validation_samples=0"]);
    assert!(!folder.path("none/samples.jsonl").exists());
    // Of two texts of three characters.
    let edits = 6.0 * validations(&folder, "few")[0]["metrics"]["cer"].as_f64().unwrap();
    assert!((edits - edits.round()).abs() < 1e-9, "{edits}");
    folder.train("lm.toml", "text", 2);
    folder.fail(&["eval", "text", "--metrics", "bleu"], &["--metrics", "only the loss is measured"]);
    let lm = [&["train", "lm.toml"], &VALIDATE[2..4], &["--run", "lm"]].concat();
    folder.fail(&lm, &["train.validation_metrics: exact_match", "text.txt holds one continuous text"]);
}

#[test]
fn the_best_validation_is_that_of_the_best_metric() {
    let folder = Folder::new();
    let train = |run: &str, more: &[&str]| folder.succeed(&[&VALIDATE[..], &[run, "--quiet", "--set"], more].concat());
    let often = ["--set", "train.steps=60", "--set", "train.validate_every=2"];
    let printed = train("cer", &[&["train.best_metric=cer"], &often[..]].concat());
    let (mut best, mut falls) = (f64::INFINITY, 0);
    for line in validations(&folder, "cer") {
        let value = line["metrics"]["cer"].as_f64().unwrap();
        assert_eq!(line["best"], json!(value < best), "{line}");
        falls += u32::from(value > best);
        best = best.min(value);
    }
    assert!(falls > 0 && printed.contains(&format!("Best validation cer {:.2} % at step", 100.0 * best)), "{printed}");
    // No text is right so soon: the first validation stays the best, while the loss falls.
    let stops = ["train.best_metric=exact_match", "--set", "train.patience=2"];
    let printed = train("exact", &[&stops[..], &often].concat());
    assert!(printed.contains("Best validation exact_match 0.00 % at step 2."), "{printed}");
    let found = validations(&folder, "exact");
    assert_eq!((found.len(), found[2]["loss"].as_f64() < found[0]["loss"].as_f64()), (3, true));
    // One of several that improves is enough; the best is still that of the one.
    let any = ["--set", "train.stop_metrics=['exact_match', 'loss']"];
    let printed = train("any", &[&stops[..], &often, &any, &["--set", "train.steps=20"]].concat());
    assert!(printed.contains("Best validation exact_match 0.00 % at step 2."), "{printed}");
    assert_eq!(validations(&folder, "any").len(), 10);
    let told = folder.told(&[&VALIDATE[..], &["idle", "--set", "train.steps=2"], &any].concat());
    assert!(told.contains("train.stop_metrics: it only has an effect with train.patience"), "{told}");
}
