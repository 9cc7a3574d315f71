//! Control attributes: trained as tokens, given at generation.

mod common;

use common::{Folder, LANGUAGE_MODEL, PAIRS, TRANSFORMER};
use descant_autograd::Tape;
use descant_generate::GenerationConfig;
use descant_inference::{Control, Scored, Trained};
use descant_kernels::Parallelism;
use serde_json::{Value, json};
use std::fs;

const CONTROL: &str = "[control]\nregister = [\"formal\", \"informal\"]\n";
const REGISTERS: [&str; 2] = ["formal", "informal"];

/// What a text says by its register: a formal one begins with `A`, an informal one with `b`.
fn said(register: &str, i: usize) -> String {
    format!("{}{}", if register == "formal" { "AAA" } else { "bbb" }, i % 10)
}

/// The examples of both registers: as objects and as columns, and as texts of a language model.
fn texts(folder: &Folder) {
    let examples: Vec<(usize, &str)> = (100..300).flat_map(|i| REGISTERS.map(|register| (i, register))).collect();
    let object = |&(i, register): &(usize, &str)| {
        json!({"prompt": i.to_string(), "completion": said(register, i), "register": register}).to_string() + "\n"
    };
    folder.write("pairs.jsonl", examples.iter().map(object).collect::<String>());
    let columns = |&(i, register): &(usize, &str)| format!("{i}\t{register}\t{}\n", said(register, i));
    folder.write("columns.tsv", examples.iter().map(columns).collect::<String>());
    let text =
        |&(i, register): &(usize, &str)| json!({"text": said(register, i), "register": register}).to_string() + "\n";
    folder.write("texts.jsonl", examples.iter().map(text).collect::<String>());
}

/// Runs that know the attribute: encoder-decoders of either kind, and language models of texts and of prompts.
fn runs(folder: &Folder) {
    texts(folder);
    let recipe = |recipe: &str, from: &str, to: &str| format!("{}{CONTROL}", recipe.replace(from, to));
    folder.write("gru.toml", recipe(PAIRS, "pairs.tsv", "pairs.jsonl"));
    let columns = recipe(TRANSFORMER, "train = \"pairs.tsv\"", "train = \"columns.tsv\"\ncolumns = [0, 2]");
    folder.write("columns.toml", format!("{columns}columns = {{ register = 1 }}\n"));
    folder.write("texts.toml", recipe(LANGUAGE_MODEL, "\"text.txt\"\nstream = true", "\"texts.jsonl\""));
    folder.write("prompts.toml", recipe(LANGUAGE_MODEL, "\"text.txt\"\nstream = true", "\"pairs.jsonl\""));
    for (run, steps) in [("gru", 120), ("columns", 150), ("texts", 150), ("prompts", 500)] {
        folder.train(&format!("{run}.toml"), run, steps);
    }
}

#[test]
fn a_text_is_as_the_attribute_says() {
    let folder = Folder::new();
    runs(&folder);
    for (run, source) in [("gru", "123"), ("columns", "123"), ("texts", ""), ("prompts", "123")] {
        for mode in [&["--greedy"][..], &["--num-beams", "3"]] {
            for (register, begins) in [("formal", "AAA"), ("informal", "bbb")] {
                let control = format!("register={register}");
                let arguments = ["generate", run, source, "--control", &control, "--max-new-tokens", "6"];
                let text = folder.succeed(&[&arguments[..], mode].concat());
                assert!(text.starts_with(begins), "{run} {mode:?} {register}: {text}");
            }
        }
    }
    // Guided by what it would be without the attribute, it is as sure of it or surer.
    for (run, source) in [("gru", "123"), ("columns", "123"), ("texts", ""), ("prompts", "123")] {
        let arguments =
            ["generate", run, source, "--control", "register=formal", "--max-new-tokens", "6", "--greedy", "--json"];
        let guided = folder.succeed(&[&arguments[..], &["--guidance-scale", "3"]].concat());
        let guided: Value = serde_json::from_str(guided.trim()).unwrap();
        let plain: Value = serde_json::from_str(folder.succeed(&arguments).trim()).unwrap();
        assert!(guided["text"].as_str().unwrap().starts_with("AAA"), "{guided}");
        assert!(guided["score"] != plain["score"], "{run}: {guided} {plain}");
    }
    // One text has no line of its own when it is an error; of several, each keeps its place.
    let unguided = ["generate", "gru", "123", "--guidance-scale", "3"];
    let parts = ["--guidance-scale: the source has no control attribute", "--control", "leave --guidance-scale out"];
    folder.fail(&unguided, &parts);
    assert_eq!(folder.run(&unguided).stdout, b"");
    assert_eq!(folder.run(&[&unguided[..], &["4"]].concat()).stdout, b"\n\n");
    let unguided = ["generate", "gru", "123", "--control", "register=formal"];
    assert_eq!(folder.succeed(&[&unguided[..], &["--guidance-scale", "1"]].concat()), folder.succeed(&unguided));
    // A line of its own goes before what all have; the same bits as alone.
    let lines = [
        json!({"text": "123"}),
        json!({"text": "123", "control": {"register": "informal"}}),
        json!({"text": "123", "control": {"register": null}}),
        json!({"text": "123", "control": {"register": "rude"}}),
        json!({"text": "123", "control": {"tone": "formal"}}),
        json!({"text": "123", "control": "formal"}),
        json!({"text": "123", "control": {"register": 3}}),
    ];
    folder.write("in.jsonl", lines.map(|line| line.to_string() + "\n").concat());
    let flags = ["--input", "in.jsonl", "--output", "out.jsonl", "--control", "register=formal"];
    folder.fail(
        &[&["generate", "gru"][..], &flags].concat(),
        &[
            "4 lines were not answered",
            "line 4",
            "\"register\" is \"rude\"",
            "\"formal\" or \"informal\"",
            "The others",
        ],
    );
    let found: Vec<Value> = fs::read_to_string(folder.path("out.jsonl"))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for (found, control) in
        found.iter().zip([&["--control", "register=formal"][..], &["--control", "register=informal"], &[]])
    {
        let alone = folder.succeed(&[&["generate", "gru", "123", "--json"][..], control].concat());
        let alone: Value = serde_json::from_str(alone.trim()).unwrap();
        assert_eq!([&found["text"], &found["score"]], [&alone["text"], &alone["score"]]);
    }
    // As fields of their names, as texts to train on have them; never two values.
    let lines = [
        json!({"text": "123", "register": "informal"}),
        json!({"source": "123", "target": "ignored", "register": "informal", "control": {"register": "informal"}}),
        json!({"text": "123", "register": null}),
        json!({"text": "123", "register": "informal", "control": {"register": "formal"}}),
        json!({"text": "123", "register": null, "control": {"register": "formal"}}),
        json!({"text": "123", "register": "rude"}),
        json!({"text": "123", "register": ["formal"]}),
    ];
    folder.write("fields.jsonl", lines.map(|line| line.to_string() + "\n").concat());
    let flags = ["--input", "fields.jsonl", "--output", "fields-out.jsonl", "--control", "register=formal"];
    folder.fail(&[&["generate", "gru"][..], &flags].concat(), &["4 lines were not answered", "line 4"]);
    let fields = fs::read_to_string(folder.path("fields-out.jsonl")).unwrap();
    let fields: Vec<Value> = fields.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (field, control) in fields.iter().zip([1, 1, 2]) {
        assert_eq!([&field["text"], &field["score"]], [&found[control]["text"], &found[control]["score"]]);
    }
    let refused = [
        "its \"register\" is \"informal\", and in its \"control\" \"formal\"",
        "its \"register\" is null, and in its \"control\" \"formal\"",
        "\"register\" is \"rude\"",
        "its \"register\" is no text",
    ];
    for (found, part) in fields[3..].iter().zip(refused) {
        assert!(found["error"].as_str().unwrap().contains(part), "{found}");
    }
    for (found, part) in found[4..].iter().zip(["no attribute \"tone\"", "is no object", "\"register\" is no text"]) {
        assert!(found["error"].as_str().unwrap().contains(part), "{found}");
    }
    // Given texts are scored after the same attributes as they are generated.
    for (run, source) in [("gru", "123"), ("columns", "123"), ("texts", ""), ("prompts", "123")] {
        let is_plain = run == "texts";
        for (register, written) in [("formal", "AAA3"), ("informal", "bbb3")] {
            let object = |control: Value| match is_plain {
                true => json!({"text": written, "control": control}).to_string() + "\n",
                false => json!({"source": source, "target": written, "control": control}).to_string() + "\n",
            };
            let other = if register == "formal" { "informal" } else { "formal" };
            let given =
                [json!(null), json!({"register": other}), json!({"register": null}), json!({"register": "rude"})];
            folder.write("given.jsonl", given.map(object).concat());
            let control = format!("register={register}");
            let arguments = ["score", run, "--input", "given.jsonl", "--json", "--control", &control];
            let output = folder.run(&arguments);
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(told.contains("line 4") && told.contains("\"register\" is \"rude\""), "{told}");
            let found = String::from_utf8(output.stdout).unwrap();
            let found: Vec<Value> = found.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            let log = |one: &Value| one["log_probability"].as_f64().unwrap();
            assert!(log(&found[0]) > log(&found[1]) + 1.0, "{run}: {found:?}");
            let line = if is_plain { written.to_owned() } else { format!("{source}\t{written}") };
            let scored = |control: &[&str]| -> Value {
                serde_json::from_str(folder.succeed(&[&["score", run, &line, "--json"][..], control].concat()).trim())
                    .unwrap()
            };
            assert_eq!(scored(&["--control", &control])["tokens"], found[0]["tokens"]);
            assert_eq!(scored(&[])["tokens"], found[2]["tokens"]);
            // The attribute is read, and no token of the text.
            assert_eq!(found[0]["tokens"].as_array().unwrap().len(), written.len() + 1);
            let field = match is_plain {
                true => json!({"text": written, "register": register}),
                false => json!({"prompt": source, "completion": written, "register": register}),
            };
            folder.write("field.jsonl", field.to_string());
            let field: Value =
                serde_json::from_str(folder.succeed(&["score", run, "--input", "field.jsonl", "--json"]).trim())
                    .unwrap();
            assert_eq!(field["tokens"], found[0]["tokens"]);
            let generated = ["generate", run, source, "--control", &control, "--greedy", "--json"];
            let generated: Value = serde_json::from_str(folder.succeed(&generated).trim()).unwrap();
            if generated["text"] == written && generated["finished"] == true {
                // Generation gives the share of what it never writes to the others.
                let more = generated["log_probability"].as_f64().unwrap() - log(&found[0]);
                assert!((-1e-4..0.5).contains(&more), "{run}: {more}");
            }
        }
    }
    folder.fail(&["score", "gru", "1\t2", "--control", "tone=a"], &["--control", "no attribute \"tone\""]);
    // Tokens that are given stand after the attribute, as those of a text do.
    let trained = Trained::load(&folder.path("texts")).unwrap();
    let control = Control::from([("register".to_owned(), "formal".to_owned())]);
    let text = Scored::new(None, trained.control("AAA3", &control).unwrap());
    let tokens = trained.tokenizers.target.encode("AAA3").unwrap();
    let texts = [text.clone(), text.with_tokens(tokens)];
    let options = trained.options(&GenerationConfig::greedy(), Parallelism::Serial).unwrap();
    let scores = trained.score(&mut Tape::new(), &texts, &options).unwrap();
    let scores: Vec<_> = scores.into_iter().map(|scores| scores.unwrap().tokens).collect();
    assert!(scores[0].len() == 5 && scores[0] == scores[1], "{scores:?}");
    // Parts of a long source have the attribute too.
    let long = vec!["1234567"; 30].join(" ");
    let split = ["generate", "gru", &long, "--long-input", "split", "--control", "register=informal"];
    let text = folder.succeed(&split);
    assert!(text.starts_with("bbb") && !text.contains('A'), "{text}");
    assert!(folder.succeed(&["show", "gru"]).contains("register (formal, informal)"));
    // A text without the attribute, in every form, is evaluated with what is given for all; what it says itself goes before.
    let register = |register: &str| {
        let of = |name: &str, field: &str| {
            let all = fs::read_to_string(folder.path(name)).unwrap();
            let all = all.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
            all.filter(|one| one["register"] == register)
                .map(|one| one[field].as_str().unwrap().to_owned())
                .take(40)
                .collect::<Vec<_>>()
        };
        (of("pairs.jsonl", "prompt"), of("pairs.jsonl", "completion"), of("texts.jsonl", "text"))
    };
    let (sources, targets, plain) = register("formal");
    let pair = |(source, target): (&String, &String)| format!("{source}\t{target}\n");
    folder.write("plain.tsv", sources.iter().zip(&targets).map(pair).collect::<String>());
    folder.write("source.txt", sources.join("\n") + "\n");
    folder.write("target.txt", targets.join("\n") + "\n");
    folder.write("plain.txt", plain.join("\n") + "\n");
    let own = |(source, target): (&String, &String)| {
        json!({"prompt": source, "completion": target, "register": "formal"}).to_string() + "\n"
    };
    folder.write("own.jsonl", sources.iter().zip(&targets).map(own).collect::<String>());
    let own = |text: &String| json!({"text": text, "register": "formal"}).to_string() + "\n";
    folder.write("own-texts.jsonl", plain.iter().map(own).collect::<String>());
    let evaluated = |run: &str, files: &[&str], control: &str| {
        let control = if control.is_empty() { vec![] } else { vec!["--control", control] };
        folder.succeed(&[&["eval", run, "--json", "--data"][..], files, &control].concat())
    };
    let (formal, informal) = ("register=formal", "register=informal");
    let expected = evaluated("gru", &["own.jsonl"], "");
    for files in [&["plain.tsv"][..], &["source.txt", "target.txt"]] {
        assert_eq!(evaluated("gru", files, formal), expected);
        assert_ne!(evaluated("gru", files, informal), expected);
    }
    assert_eq!(evaluated("gru", &["own.jsonl"], informal), expected);
    assert_eq!(evaluated("texts", &["plain.txt"], formal), evaluated("texts", &["own-texts.jsonl"], ""));
    folder.fail(&["eval", "gru", "--data", "plain.tsv"], &["in which column is register", "--control register=VALUE"]);
    folder.fail(&["eval", "gru", "--control", formal], &["gru: its own text", "--data"]);
    folder
        .fail(&["eval", "gru", "--data", "plain.tsv", "--control", "tone=a"], &["--control", "no attribute \"tone\""]);
    // Its text has the attributes, and is scored and generated with them.
    let measured: Value = serde_json::from_str(&folder.succeed(&["eval", "gru", "--json"])).unwrap();
    // Of four characters, the digit is hard; the others are as the attribute says.
    assert!(measured["token_error_rate"].as_f64().unwrap() < 0.3, "{measured}");
}

#[test]
fn what_is_evaluated_is_what_is_generated() {
    let folder = Folder::new();
    texts(&folder);
    let recipe = |recipe: &str, from: &str, to: &str| format!("{}{CONTROL}", recipe.replace(from, to));
    folder.write("gru.toml", recipe(PAIRS, "pairs.tsv", "pairs.jsonl"));
    folder.write("prompts.toml", recipe(LANGUAGE_MODEL, "\"text.txt\"\nstream = true", "\"pairs.jsonl\""));
    // An answer that is left out, one source twice, and a source without the attribute.
    let lines = [("123", "AAA3", "formal"), ("7", "", "formal"), ("123", "bbb3", "informal"), ("45", "AAA5", "")];
    let value = |register: &str| if register.is_empty() { Value::Null } else { register.into() };
    let given = |(source, target, register): (&str, &str, &str)| {
        json!({"prompt": source, "completion": target, "register": value(register)}).to_string() + "\n"
    };
    let asked = |(source, _, register): (&str, &str, &str)| {
        json!({"text": source, "control": {"register": value(register)}}).to_string() + "\n"
    };
    folder.write("given.jsonl", lines.map(given).concat());
    folder.write("sources.jsonl", lines.map(asked).concat());
    let read = |name: &str| -> Vec<Value> {
        let text = fs::read_to_string(folder.path(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    for (run, steps) in [("gru", 30), ("prompts", 30)] {
        folder.train(&format!("{run}.toml"), run, steps);
        for scale in ["1", "2"] {
            let flags = ["--guidance-scale", scale, "--sample", "--seed", "5", "--max-new-tokens", "6"];
            let (evaluated, generated) = (format!("{run}-{scale}-e.jsonl"), format!("{run}-{scale}-g.jsonl"));
            let eval = ["eval", run, "--data", "given.jsonl", "--output", &evaluated];
            let output = folder.run(&[&eval[..], &flags].concat());
            let generate = ["generate", run, "--input", "sources.jsonl", "--output", &generated];
            folder.run(&[&generate[..], &flags].concat());
            let (evaluated, generated) = (read(&evaluated), read(&generated));
            assert_eq!(evaluated.iter().map(|one| one["line"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 3, 4]);
            for one in &evaluated {
                let other = &generated[one["line"].as_u64().unwrap() as usize - 1];
                assert_eq!(one.get("error"), other.get("error"), "{run} {scale}");
                assert_eq!(&one["text"], other.get("text").unwrap_or(&json!("")), "{run} {scale}");
            }
            // Without an attribute there is nothing to lead a translation away from: the other texts are measured.
            let is_refused = (run, scale) == ("gru", "2");
            let told = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.success(), !is_refused, "{told}");
            assert_eq!(told.contains("1 of 3 texts were not answered, the first in line 4"), is_refused, "{told}");
            assert!(String::from_utf8_lossy(&output.stdout).contains("exact match"));
        }
    }
}

#[test]
fn what_is_left_out_is_the_same_after_a_resume_and_on_any_threads() {
    let folder = Folder::new();
    texts(&folder);
    let constant = PAIRS.replace("[schedule]\nkind = \"cosine\"\nwarmup = 10\n", "");
    folder.write("gru.toml", format!("{}{CONTROL}", constant.replace("pairs.tsv", "pairs.jsonl")));
    let train = |run: &str, more: &[&str]| {
        let base = ["train", "gru.toml", "--run", run, "--quiet", "--set", "train.checkpoint_every=7"];
        folder.succeed(&[&base[..], more].concat());
        folder.weights(run)
    };
    let steps = ["--set", "train.steps=40", "--set", "control.dropout=0.5"];
    let whole = train("whole", &[&steps[..], &["--threads", "2"]].concat());
    train("parts", &["--set", "train.steps=15", "--set", "control.dropout=0.5"]);
    let parts = train("parts", &[&steps[..], &["--resume", "--threads", "1"]].concat());
    assert!(whole == parts);
    let none = train("none", &["--set", "train.steps=40", "--set", "control.dropout=0.0"]);
    assert!(whole != none);
    // It is another training.
    let other = ["train", "gru.toml", "--run", "whole", "--resume", "--set", "control.dropout=0.4"];
    folder.fail(&other, &["control.dropout is 0.4, was 0.5"]);
}

#[test]
fn what_is_no_attribute_is_told() {
    let folder = Folder::new();
    texts(&folder);
    folder.train("pairs.toml", "pairs", 5);
    let control = ["generate", "pairs", "1", "--control", "register=formal"];
    folder.fail(&control, &["--control", "pairs", "no control attributes", "[control]"]);
    let recipe = |data: &str, control: &str| {
        folder.write("r.toml", format!("{}[control]\n{control}\n", PAIRS.replace("train = \"pairs.tsv\"", data)));
        ["train", "r.toml", "--run", "run", "--set", "train.steps=5"]
    };
    let register = "register = [\"formal\", \"informal\"]";
    folder.write("wrong.jsonl", "{\"prompt\": \"1\", \"completion\": \"2\", \"register\": \"frmal\"}\n");
    folder.write("short.tsv", "1\t2\tformal\n3\t4\n");
    folder.write("source.txt", "1\n2\n");
    for (data, control, parts) in [
        (
            "train = \"wrong.jsonl\"",
            register,
            &["wrong.jsonl, line 1", "\"register\" is \"frmal\"", "\"formal\" or"][..],
        ),
        ("train = \"pairs.jsonl\"", "tone = [\"a\"]", &["pairs.jsonl, line 1", "\"register\""]),
        ("train = \"columns.tsv\"", register, &["in which column is register", "control.columns"]),
        ("train = \"short.tsv\"", "register = [\"formal\"]\ncolumns = { register = 2 }", &["short.tsv, line 2"]),
        ("train = [\"source.txt\", \"source.txt\"]", register, &["no place for the attributes"]),
        ("train = \"pairs.jsonl\"", "", &["[control] has no attribute"]),
        ("train = \"pairs.jsonl\"", "register = \"formal\"", &["control.register", "a list of texts"]),
        ("train = \"pairs.jsonl\"", "register = [\"a\", \"a\"]", &["control.register", "each once"]),
        ("train = \"pairs.jsonl\"", "text = [\"a\"]", &["control.text"]),
        ("train = \"pairs.jsonl\"", "target = [\"a\"]", &["control.target"]),
        ("train = \"pairs.jsonl\"", "register = [\"a\"]\ndropout = 1.0", &["control.dropout = 1"]),
        ("train = \"pairs.jsonl\"", "register = [\"a\"]\ncolumns = { tone = 1 }", &["control.columns.tone"]),
    ] {
        folder.fail(&recipe(data, control), parts);
    }
    // Without a value, an example is learned without it.
    let some =
        "{\"prompt\": \"1\", \"completion\": \"2\", \"register\": null}\n{\"prompt\": \"1\", \"completion\": \"2\"}\n";
    let all = fs::read_to_string(folder.path("pairs.jsonl")).unwrap();
    folder.write("some.jsonl", [&all, some].concat());
    let told = folder.told(&recipe("train = \"some.jsonl\"", register));
    assert!(told.contains("2 examples have no value of a control attribute") && told.contains("line 401"), "{told}");
    folder
        .fail(&["generate", "run", "1", "--control", "tone=a"], &["no attribute \"tone\"", "\"register\" (\"formal\""]);
    folder.fail(&["generate", "run", "1", "--control", "register=b"], &["\"register\" is \"b\""]);
    let twice = ["generate", "run", "1", "--control", "register=formal", "--control", "register=informal"];
    folder.fail(&twice, &["--control", "twice"]);
}
