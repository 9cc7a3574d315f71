//! `score`, alignments and explanations, by the real binary.

mod common;

use common::Folder;
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::process::Stdio;

fn objects(printed: &str) -> Vec<Value> {
    printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn runs() -> Folder {
    let folder = Folder::new();
    folder.train("pairs.toml", "pairs", 60);
    folder.train("transformer.toml", "transformer", 60);
    folder.train("lm.toml", "lm", 30);
    folder
}

#[test]
fn scores_are_those_of_generating_and_the_same_alone_and_in_a_batch() {
    let folder = runs();
    for run in ["pairs", "transformer"] {
        let sources = ["123", "4567", "89", "1", "22222"];
        let arguments = [&["generate", run, "--json"][..], &sources].concat();
        let generated = objects(&folder.succeed(&arguments));
        let line = |one: &Value| format!("{}\t{}\n", one["source"].as_str().unwrap(), one["text"].as_str().unwrap());
        folder.write("given.tsv", generated.iter().map(line).collect::<String>());
        let score = |batch: &str, threads: &str| {
            folder.succeed(&["score", run, "--input", "given.tsv", "--json", "--batch", batch, "--threads", threads])
        };
        let all = score("16", "2");
        assert!(score("1", "1") == all && score("3", "2") == all, "{run}");
        for (scored, generated) in objects(&all).iter().zip(&generated) {
            let tokens = scored["tokens"].as_array().unwrap();
            let sum: f64 = tokens.iter().map(|token| token["log_probability"].as_f64().unwrap()).sum();
            assert!((sum - scored["log_probability"].as_f64().unwrap()).abs() < 1e-9);
            if generated["finished"] == true {
                // Greedy: each token is the most likely one, but for those that are never generated.
                assert!(tokens.iter().all(|token| token["rank"].as_u64().unwrap() <= 3), "{scored}");
                // The probability of those is no one else's here.
                assert!(sum <= generated["score"].as_f64().unwrap() + 1e-4, "{scored} {generated}");
                assert_eq!(tokens.len() as u64, generated["ids"].as_array().unwrap().len() as u64 + 1, "with EOS");
            }
            for token in tokens {
                let entropy = token["entropy"].as_f64().unwrap();
                assert!((0.0..20.0).contains(&entropy) && token["log_probability"].as_f64().unwrap() <= 0.0, "{token}");
            }
        }
    }
    // As `eval` measures it.
    folder.write("test.jsonl", "{\"prompt\": \"123\", \"completion\": \"321\"}\n");
    let loss: Value =
        serde_json::from_str(&folder.succeed(&["eval", "pairs", "--data", "test.jsonl", "--loss-only", "--json"]))
            .unwrap();
    let scored = &objects(&folder.succeed(&["score", "pairs", "--input", "test.jsonl", "--json"]))[0];
    let mean = -scored["log_probability"].as_f64().unwrap() / scored["tokens"].as_array().unwrap().len() as f64;
    assert!((mean - loss["loss"].as_f64().unwrap()).abs() < 1e-5, "{mean} {loss}");
}

#[test]
fn a_line_without_scores_is_named_and_the_others_are_scored() {
    let folder = runs();
    folder.write("given.jsonl", "{\"id\": 7, \"source\": \"12\", \"target\": \"21\"}\n{\"source\": \"1\"}\nno JSON\n\n{\"prompt\": \"12\", \"completion\": \"21\"}\n");
    let output = folder.run(&["score", "pairs", "--input", "given.jsonl", "--json"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.code() == Some(1) && told.contains("2 lines have no scores") && told.contains("line 2"),
        "{told}"
    );
    let found = objects(&String::from_utf8(output.stdout).unwrap());
    let lines: Vec<&Value> = found.iter().map(|one| &one["line"]).collect();
    assert_eq!(lines, [&json!(1), &json!(2), &json!(3), &json!(5)]);
    assert_eq!((&found[0]["id"], &found[0]["tokens"]), (&json!(7), &found[3]["tokens"]));
    assert!(found[2]["error"].as_str().unwrap().contains("not valid JSON"));
    folder.fail(&["score", "pairs", "no tab"], &["line 1", "tab"]);
    folder.fail(&["score", "pairs", "1\t1", "--context", "9"], &["--context", "language models"]);
    folder.fail(&["score", "pairs", "1\t1", "--system", "c"], &["no chat template", "--system"]);
    // Every argument and every line of a text has its answer; an empty one asks nothing.
    let output = folder.run(&["score", "pairs", "1\t1", "", "12", "1\t2\t3", " ", "1\t1"]);
    let printed = String::from_utf8(output.stdout).unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines: Vec<&str> = printed.lines().filter(|line| line.starts_with("line ")).collect();
    assert!(
        lines.len() == 6 && lines[1] == "line 2  no scores: it is empty" && lines[4].ends_with("it is empty"),
        "{printed}"
    );
    assert!(
        lines[2].contains("no scores: it has no tab") && lines[3].contains("no scores: it has 3 columns"),
        "{printed}"
    );
    assert!(output.status.code() == Some(1) && told.contains("2 lines have no scores"), "{told}");
    let found = objects(&folder.succeed(&["score", "pairs", "", "1\t1", "--json"]));
    assert_eq!([&found[0]["tokens"], &found[0]["log_probability"], &found[0]["error"]], [&Value::Null; 3]);
    // What is said twice, in other words, is not guessed.
    for (run, line, part) in [
        ("pairs", r#"{"source": "1", "prompt": "2", "target": "1"}"#, "both \"source\" and \"prompt\""),
        ("pairs", r#"{"source": "1", "target": "1", "text": "1"}"#, "both \"source\" and \"text\""),
        ("lm", r#"{"messages": [], "text": "1"}"#, "both \"text\" and \"messages\""),
        ("lm", r#"{"messages": [], "completion": "1"}"#, "both \"completion\" and \"messages\""),
        ("lm", r#"{"messages": [{"role": "user", "content": "1"}]}"#, "of the role \"user\""),
        ("pairs", r#"{"source": "1", "target": 1}"#, "its \"target\" is no text"),
        ("pairs", r#"{"source": "1"}"#, "expected a \"source\""),
    ] {
        folder.write("one.jsonl", line);
        folder.fail(&["score", run, "--input", "one.jsonl"], &["line 1", part]);
    }
    // Standard input, as of generate.
    let mut child = folder
        .command(&["score", "pairs", "--input", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"1\t1\n").unwrap();
    assert_eq!(String::from_utf8(common::finish(child).stdout).unwrap(), folder.succeed(&["score", "pairs", "1\t1"]));
    // Objects are those of a .jsonl.
    for (run, line) in [("pairs", r#"{"source": "1", "target": "1"}"#), ("lm", r#" {"text": "line"}"#)] {
        folder.write("objects.txt", line);
        folder.fail(&["score", run, "--input", "objects.txt"], &["line 1", "it is a JSON object", ".jsonl"]);
    }
    // A text without a prompt.
    let text = folder.succeed(&["score", "lm", "line 1 says red"]);
    assert!(text.starts_with("line 1  log probability -") && text.contains("entropy"), "{text}");
    assert_eq!(text.lines().count(), 2 + "line 1 says red".len());
}

/// What is generated with these options, and what is scored of the lines that are made of it.
fn scored_again(folder: &Folder, run: &str, options: &[&str], line: impl Fn(&Value) -> Value) -> Vec<(Value, Value)> {
    let generated = objects(&folder.succeed(&[&["generate", run, "--json"], options].concat()));
    folder.write("generated.jsonl", generated.iter().map(|one| line(one).to_string() + "\n").collect::<String>());
    let scored = objects(&folder.succeed(&["score", run, "--input", "generated.jsonl", "--json"]));
    assert_eq!(scored.len(), generated.len());
    generated.into_iter().zip(scored).collect()
}

#[test]
fn what_is_generated_is_scored_as_it_was() {
    // No token of an imported model is forbidden, so that the share of none goes to others.
    let folder = Folder::with_exported_llama_of("tokenizer={kind='bpe',vocabulary=90}", 80);
    folder.succeed(&["import", "model", "--run", "llama"]);
    folder.train("pairs.toml", "pairs", 60);
    folder.write("told.tsv", (0..300).map(|i| format!("say {i}\tit says {i} now\n")).collect::<String>());
    let data = "\"told.tsv\"\ncolumns = [0, 1]";
    let prompts = common::LANGUAGE_MODEL.replace("\"text.txt\"\nstream = true", data);
    folder.write("prompts.toml", prompts.replace("kind = \"character\"", "kind = \"bpe\"\nvocabulary = 90"));
    folder.train("prompts.toml", "prompts", 60);
    let log = |one: &Value| one["log_probability"].as_f64().unwrap();
    let ids = |scored: &Value| {
        let tokens = scored["tokens"].as_array().unwrap();
        tokens.iter().map(|token| token["id"].clone()).collect::<Vec<_>>()
    };
    let mut ends = Vec::new();
    for (run, most) in [("llama", 1e-3), ("pairs", 0.5), ("prompts", 0.5)] {
        let texts = if run == "pairs" { ["123", "77"] } else { ["line 1", "line 12 says"] };
        for options in [
            &["--greedy", "--max-new-tokens", "3"][..],
            &["--greedy", "--max-new-tokens", "40"],
            &["--num-beams", "4", "--n-best", "4", "--max-new-tokens", "30"],
            &["--sample", "--n-best", "6", "--max-new-tokens", "9"],
        ] {
            for (generated, scored) in scored_again(&folder, run, &[&texts, options].concat(), Value::clone) {
                let more = log(&generated) - log(&scored);
                assert!((-1e-3..most).contains(&more), "{run} {options:?}: {generated} {scored}");
                let (ended, written) = (generated["finish_reason"] == "eos", generated["ids"].as_array().unwrap());
                assert_eq!(ids(&scored).len(), written.len() + usize::from(ended));
                assert_eq!(ids(&scored)[..written.len()], written[..]);
                ends.push(ended);
            }
        }
    }
    assert!(ends.contains(&true) && ends.contains(&false));
    // By its text, which begins with a space, it is cut as it was generated, but where the model has written other tokens than a text has.
    let line = |one: &Value| json!({"prompt": one["source"], "completion": one["text"], "finish_reason": one["finish_reason"]});
    let options = ["line 1", "line 12 says", "line 100", "line 7", "--greedy", "--max-new-tokens", "20"];
    let mut same = 0;
    for (generated, scored) in scored_again(&folder, "llama", &options, line) {
        assert!(generated["text"].as_str().unwrap().starts_with(' '), "{generated}");
        let written = generated["ids"].as_array().unwrap();
        if ids(&scored)[..written.len().min(ids(&scored).len())] == written[..] {
            assert!((log(&generated) - log(&scored)).abs() < 1e-3, "{generated} {scored}");
            same += 1;
        }
    }
    assert!(same > 2, "{same}");
    // Of a model that answers, a text stands apart from its prompt, as in training; one that begins with a space is reported.
    folder.write("one.jsonl", "{\"prompt\": \"say 1\", \"completion\": \" it says 1\"}\n");
    let told = folder.told(&["score", "prompts", "--input", "one.jsonl"]);
    assert!(told.contains("1 text begins after a prompt with a space (the first in line 1)"), "{told}");
    // Without EOS, the other tokens have the same scores.
    let (whole, open) =
        (["score", "llama", "line 1 says red", "--json"], ["score", "llama", "line 1 says red", "--json", "--no-eos"]);
    let [whole, open] = [&whole[..], &open].map(|arguments| objects(&folder.succeed(arguments)).remove(0));
    let [all, most] = [&whole, &open].map(|one| one["tokens"].as_array().unwrap());
    assert!(all.len() == most.len() + 1 && all[..most.len()] == most[..], "{whole} {open}");
    assert!(all.last().unwrap()["token"].as_str().unwrap().contains("/s"), "{whole}");
    // What nothing was generated for is asked nothing; a text beside fields of other makers is scored.
    let score = |line: &str| {
        folder.write("one.jsonl", line);
        objects(&folder.succeed(&["score", "pairs", "--input", "one.jsonl", "--json"])).remove(0)["tokens"].take()
    };
    for nothing in [
        r#"{"source": "", "text": "", "finish_reason": null, "ids": []}"#,
        r#"{"source": "1", "text": "", "finish_reason": null, "ids": [], "error": "no such attribute"}"#,
        r#"{"line": 1, "error": "no such attribute"}"#,
    ] {
        assert!(score(nothing).is_null(), "{nothing}");
    }
    let plain = score(r#"{"source": "12", "target": "21"}"#);
    assert!(plain.is_array());
    for others in [
        r#""finish_reason": null"#,
        r#""ids": null"#,
        r#""ids": "q7""#,
        r#""ids": [3, 4]"#,
        r#""ids": [], "finish_reason": null, "error": null"#,
        r#""ids": "q7", "finish_reason": "stop""#,
    ] {
        assert_eq!(score(&format!(r#"{{"source": "12", "target": "21", {others}}}"#)), plain, "{others}");
    }
    for (line, part) in [
        (r#"{"text": "a", "ids": [4], "finish_reason": "eos"}"#, "no \"source\" or \"prompt\""),
        (r#"{"source": "1", "text": "no such text", "ids": [4], "finish_reason": "eos"}"#, "is another text"),
        (r#"{"source": "1", "ids": [99999], "finish_reason": "eos"}"#, "there is no token 99999"),
        (r#"{"source": "1", "ids": ["4"], "finish_reason": "eos"}"#, "its \"ids\""),
        (r#"{"source": "1", "target": "", "finish_reason": "length"}"#, "nothing to score"),
    ] {
        folder.write("one.jsonl", line);
        folder.fail(&["score", "pairs", "--input", "one.jsonl"], &["line 1", part]);
    }
    // Nothing is predicted of an empty text without a BOS, nor of its first token; the other lines are scored.
    let file = folder.path("model/tokenizer.json");
    let mut tokenizer: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    tokenizer["post_processor"] = Value::Null;
    fs::write(&file, tokenizer.to_string()).unwrap();
    folder.succeed(&["import", "model", "--run", "without-bos"]);
    let lines = [
        (r#"{"prompt": "", "completion": "", "finish_reason": "length"}"#, "a text without tokens"),
        (r#"{"source": "", "ids": [], "finish_reason": "length"}"#, "a text without tokens"),
        (r#"{"text": "", "finish_reason": "length"}"#, "a text without tokens"),
        (r#"{"text": ""}"#, "a text without tokens"),
        (r#"{"source": "", "ids": [40], "finish_reason": "length"}"#, "its first token is read"),
        (r#"{"source": "", "ids": [40, 41], "finish_reason": "length"}"#, ""),
    ];
    folder.write("given.jsonl", lines.map(|(line, _)| format!("{line}\n")).concat());
    let output = folder.run(&["score", "without-bos", "--input", "given.jsonl", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let found = objects(&String::from_utf8(output.stdout).unwrap());
    for (found, (line, part)) in found.iter().zip(lines) {
        match found["error"].as_str() {
            Some(error) => assert!(!part.is_empty() && error.contains(part), "{line} {error}"),
            None => assert!(part.is_empty() && ids(found) == [json!(41)], "{line} {found}"),
        }
    }
    assert_eq!(found.len(), lines.len());
    // Rounded while loading, as by quantize.
    folder.succeed(&["quantize", "pairs", "--weights", "int8"]);
    let rounded = folder.succeed(&["score", "pairs", "12\t21", "--weights", "int8", "--json"]);
    assert_eq!(rounded, folder.succeed(&["score", "pairs-int8", "12\t21", "--json"]));
    assert_ne!(rounded, folder.succeed(&["score", "pairs", "12\t21", "--json"]));
}

#[test]
fn words_are_aligned_by_attention() {
    let folder = runs();
    for run in ["pairs", "transformer"] {
        let one = &objects(&folder.succeed(&["generate", run, "123", "--alignment=tokens", "--json"]))[0];
        let (alignment, text) = (&one["alignment"], one["text"].as_str().unwrap());
        let weights = alignment["weights"].as_array().unwrap();
        assert_eq!((alignment["source"].as_array().unwrap().len(), weights.len()), (3, text.chars().count()));
        for row in weights {
            let sum: f64 = row.as_array().unwrap().iter().map(|weight| weight.as_f64().unwrap()).sum();
            assert!(sum <= 1.0 + 1e-9 && sum > 0.0, "{alignment}");
        }
        let links = alignment["links"].as_array().unwrap();
        let line = folder.succeed(&["generate", run, "123", "--alignment=tokens"]);
        let pharaoh = links.iter().map(|link| format!("{}-{}", link[0], link[1])).collect::<Vec<_>>().join(" ");
        assert_eq!(line, format!("{text} ||| {pharaoh}\n"));
        assert_eq!(folder.succeed(&["generate", run, "123", "--alignment", "tokens"]), line);
        // The digits are one word.
        assert_eq!(folder.succeed(&["generate", run, "123", "--alignment"]), format!("{text} ||| 0-0\n"));
    }
    folder.fail(&["generate", "lm", "x", "--alignment"], &["encoder-decoders"]);
}

#[test]
fn explanations_come_as_text_json_and_picture() {
    let folder = runs();
    let mut ended = 0;
    for run in ["pairs", "transformer", "lm"] {
        let arguments = ["generate", run, "12", "--greedy", "--max-new-tokens", "12", "--explain"];
        let text = folder.succeed(&arguments);
        let plain = folder.succeed(&arguments[..arguments.len() - 1]);
        assert!(
            text.starts_with(plain.trim_end_matches('\n')) && text.contains("log p") && text.contains("entropy"),
            "{text}"
        );
        assert_eq!(text.contains("attends to"), run != "lm");
        let picture =
            [&arguments[..], &["--json", "--saliency", "integrated", "--svg", "picture.svg", "--overwrite"]].concat();
        let one = &objects(&folder.succeed(&picture))[0];
        let tokens = one["explanation"]["tokens"].as_array().unwrap();
        // EOS, which is no part of the text, has a row of its own.
        let ends = one["finish_reason"] == "eos";
        assert_eq!(tokens.len(), one["ids"].as_array().unwrap().len() + usize::from(ends));
        ended += usize::from(ends);
        for token in tokens {
            // Completeness of integrated gradients.
            let number = |key: &str| token[key].as_f64().unwrap();
            let sum: f64 = token["saliency"].as_array().unwrap().iter().map(|added| added.as_f64().unwrap()).sum();
            let error = (number("log_probability") - number("baseline") - sum).abs();
            assert!(
                error < 1e-2 * (1.0 + number("log_probability").abs() + number("baseline").abs()),
                "{run} {error} {token}"
            );
        }
        let svg = fs::read_to_string(folder.path("picture.svg")).unwrap();
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n") && svg.matches("<title>").count() >= tokens.len());
    }
    assert!(ended > 0);
    folder.fail(&["generate", "pairs", "1", "2", "--explain", "--svg", "x.svg"], &["one text"]);
    // No file is replaced unasked, and what is none never.
    let recipe = fs::read(folder.path("pairs/recipe.toml")).unwrap();
    folder.fail(
        &["generate", "pairs", "1", "--explain", "--svg", "pairs/recipe.toml"],
        &["there already", "--overwrite"],
    );
    assert_eq!(fs::read(folder.path("pairs/recipe.toml")).unwrap(), recipe);
    folder.fail(&["generate", "pairs", "1", "--explain", "--svg", "pairs", "--overwrite"], &["no regular file"]);
    folder.fail(&["generate", "pairs", "1", "--explain", "--svg", "none/x.svg"], &["there is no folder none"]);
    folder.fail(&["generate", "pairs", "1", "--overwrite"], &["--output", "--svg"]);
    folder.fail(&["generate", "pairs", "1", "--explain", "--long-input", "split"], &["--long-input"]);
}

/// A chat of two turns each, which memorises what to answer, in two tones.
fn chat() -> Folder {
    let folder = Folder::new();
    let line = |i: usize| {
        let (asked, answer) = [("a", "one"), ("b", "two"), ("c", "three")][i % 3];
        let said = |role: &str, content: &str| json!({"role": role, "content": content});
        let messages =
            [said("user", asked), said("assistant", answer), said("user", "again"), said("assistant", answer)];
        let tone = ["calm", "loud"][i % 2];
        json!({"messages": messages, "tone": tone}).to_string() + "\n"
    };
    folder.write("known.jsonl", (0..48).map(line).collect::<String>());
    let recipe = include_str!("common/recipes/known-prompts.toml").replace("steps = 150", "steps = 300");
    let recipe = recipe.replace("validation_share", "chat_template = \"chatml\"\nvalidation_share");
    folder.write("known.toml", format!("{recipe}[control]\ntone = [\"calm\", \"loud\"]\n"));
    folder.succeed(&["train", "known.toml", "--run", "run", "--quiet"]);
    folder
}

fn log(one: &Value) -> f64 {
    one["log_probability"].as_f64().unwrap()
}

#[test]
fn a_chat_is_scored_with_its_template_and_the_end_of_the_turn_as_eval_and_generate_have_it() {
    let folder = chat();
    let score = |line: &Value, flags: &[&str]| {
        folder.write("one.jsonl", line.to_string());
        objects(&folder.succeed(&[&["score", "run", "--input", "one.jsonl", "--json"][..], flags].concat())).remove(0)
    };
    let tokens = |one: &Value| -> Vec<String> {
        one["tokens"].as_array().unwrap().iter().map(|token| token["token"].as_str().unwrap().to_owned()).collect()
    };
    let user = json!({"role": "user", "content": "b"});
    let said = json!({"messages": [user, {"role": "assistant", "content": "two"}], "tone": "loud"});
    let whole = score(&said, &[]);
    let shown = tokens(&whole);
    assert!(shown.len() == 6 && shown[3] == "<|im_end|>" && shown[5] == "</s>", "{shown:?}");
    // As training and eval read it, in every form.
    let pair = json!({"prompt": "b", "completion": "two", "tone": "loud"});
    for line in [&said, &pair] {
        assert_eq!(score(line, &[])["tokens"], whole["tokens"], "{line}");
        folder.write("eval.jsonl", line.to_string());
        let loss = folder.succeed(&["eval", "run", "--data", "eval.jsonl", "--loss-only", "--json"]);
        let loss: Value = serde_json::from_str(&loss).unwrap();
        assert!((log(&whole) / -6.0 - loss["loss"].as_f64().unwrap()).abs() < 1e-5, "{whole} {loss}");
    }
    let columns = objects(&folder.succeed(&["score", "run", "b\ttwo", "--control", "tone=loud", "--json"])).remove(0);
    assert_eq!(columns["tokens"], whole["tokens"]);
    // As it was generated, on the command line and for a line with messages; merged with what was asked, or with the answer after that.
    let flags = ["--greedy", "--json", "--control", "tone=loud"];
    let written = objects(&folder.succeed(&[&["generate", "run", "b"][..], &flags].concat())).remove(0);
    assert_eq!((&written["text"], &written["finish_reason"]), (&json!("two"), &json!("eos")));
    assert!((log(&written) - log(&whole)).abs() < 2e-3, "{written} {whole}");
    assert_eq!(score(&written, &["--control", "tone=loud"])["tokens"], whole["tokens"]);
    folder.write("in.jsonl", json!({"messages": [user], "tone": "loud"}).to_string());
    let mut answer = objects(&folder.succeed(&["generate", "run", "--input", "in.jsonl", "--greedy"])).remove(0);
    assert!((log(&answer) - log(&whole)).abs() < 2e-3, "{answer} {whole}");
    (answer["messages"], answer["tone"]) = (json!([user]), json!("loud"));
    assert_eq!(score(&answer, &[])["tokens"], whole["tokens"]);
    answer["text"] = json!("three");
    folder.write("one.jsonl", answer.to_string());
    folder.fail(&["score", "run", "--input", "one.jsonl"], &["line 1", "is another text"]);
    // A text that goes on has no end of its turn.
    assert_eq!(tokens(&score(&said, &["--no-eos"])), ["t", "w", "o"]);
    assert_eq!(score(&said, &["--no-eos"])["tokens"].as_array().unwrap()[..], whole["tokens"].as_array().unwrap()[..3]);
    // What the system says is a message, wherever it stands; a plain prompt is one, where that is asked for.
    let system = json!({"role": "system", "content": "c"});
    let with = score(&json!({"messages": [system, user, {"role": "assistant", "content": "two"}]}), &[]);
    assert_ne!(with["tokens"], score(&json!({"prompt": "b", "completion": "two"}), &[])["tokens"]);
    assert_eq!(score(&json!({"prompt": "b", "completion": "two"}), &["--system", "c"])["tokens"], with["tokens"]);
    assert_eq!(score(&json!({"prompt": "b", "completion": "two", "system": "c"}), &[])["tokens"], with["tokens"]);
    let plain = objects(&folder.succeed(&["generate", "run", "b", "--no-chat", "--json"])).remove(0);
    let scored = score(&plain, &["--no-chat"]);
    assert!(
        (log(&plain) - log(&scored)).abs() < 0.5 && scored["tokens"][0]["id"] == plain["ids"][0],
        "{plain} {scored}"
    );
}

#[test]
fn what_is_beyond_the_context_is_scored_as_it_was_generated() {
    let folder = chat();
    let (mut cut, mut whole) = (0, 0);
    let turn = |role: &str, content: &str| json!({"role": role, "content": content});
    let turns: Vec<Value> =
        (0..7).map(|i| turn(["user", "assistant"][i % 2], ["a", "one", "again", "one"][i % 4])).collect();
    let conversations = [&turns[4..], &turns[2..], &turns[..], &[turn("user", &"a".repeat(90))]];
    let line = |messages: &[Value]| json!({"messages": messages}).to_string() + "\n";
    folder.write("in.jsonl", conversations.map(line).concat());
    for context in (20..70).step_by(5).chain([300]).map(|context| context.to_string()) {
        let flags = ["--context", &context, "--max-new-tokens", "14"];
        let written = folder.succeed(
            &[&["generate", "run", "--input", "in.jsonl", "--greedy", "--min-new-tokens", "9"][..], &flags].concat(),
        );
        let written: Vec<Value> = objects(&written)
            .into_iter()
            .zip(conversations)
            .map(|(mut answer, messages)| {
                answer["messages"] = json!(messages);
                answer
            })
            .collect();
        folder.write("given.jsonl", written.iter().map(|one| one.to_string() + "\n").collect::<String>());
        let arguments = [&["score", "run", "--input", "given.jsonl", "--json"][..], &flags].concat();
        let (scored, told) = (objects(&folder.succeed(&arguments)), folder.told(&arguments));
        for (written, scored) in written.iter().zip(&scored) {
            // Where no text may end yet, its end has no share.
            let ids: Vec<_> = scored["tokens"].as_array().unwrap().iter().map(|token| &token["id"]).collect();
            assert_eq!(
                ids[..written["ids"].as_array().unwrap().len()],
                written["ids"].as_array().unwrap().iter().collect::<Vec<_>>()[..]
            );
            assert_eq!(scored["cut"], written["cut"], "{context}: {written} {scored}");
            cut += usize::from(scored["cut"] == true);
            whole += usize::from(scored["cut"].is_null());
        }
        assert_eq!(told.contains("beyond the context"), scored.iter().any(|one| one["cut"] == true), "{told}");
        let plain = [&["generate", "run", "--input", "in.jsonl", "--greedy"][..], &flags].concat();
        for ((mut written, messages), place) in objects(&folder.succeed(&plain)).into_iter().zip(conversations).zip(1..)
        {
            written["messages"] = json!(messages);
            folder.write("given.jsonl", written.to_string());
            let scored = objects(&folder.succeed(&arguments)).remove(0);
            // What is never generated has a small share.
            let more = log(&written) - log(&scored);
            assert!((-1e-3..0.1).contains(&more), "{context} {place}: {written} {scored}");
        }
    }
    assert!(cut > 20 && whole > 3, "{cut} {whole}");
    // A text, with a sliding window, or after the end of its prompt: no token of an imported model is forbidden, and one of a continuous
    // text does not end.
    let folder = Folder::new();
    let llama = "model.transformer={heads = 2, norm = \"rms\", gated = true, activation = \"silu\", bias = false}";
    let settings = ["tokenizer={kind='bpe',vocabulary=90}", "model.output_bias=false", "train.steps=80", llama];
    let set = settings.iter().flat_map(|setting| ["--set", setting]);
    folder.succeed(&["train", "bf16.toml", "--run", "run", "--quiet"].into_iter().chain(set).collect::<Vec<_>>());
    folder.succeed(&["export", "run", "model"]);
    folder.succeed(&["import", "model", "--run", "llama"]);
    let long = "line 1 says red ".repeat(9);
    for (prompt, most) in [("line 1", "70"), (long.as_str(), "7"), (long.as_str(), "40")] {
        let flags = ["--context", "16", "--max-new-tokens", most, "--json"];
        let written = folder.succeed(&[&["generate", "llama", prompt, "--greedy"][..], &flags].concat());
        folder.write("given.jsonl", &written);
        let scored = folder.succeed(&[&["score", "llama", "--input", "given.jsonl"][..], &flags].concat());
        let (written, scored) = (objects(&written).remove(0), objects(&scored).remove(0));
        assert!((log(&written) - log(&scored)).abs() < 1e-3 && scored["cut"] == true, "{written} {scored}");
        let more = objects(&folder.succeed(&["score", "llama", "--input", "given.jsonl", "--json", "--context", "60"]))
            .remove(0);
        assert!((log(&written) - log(&more)).abs() > 1e-2, "{written} {more}");
    }
    // Whatever the batch.
    folder.write("long.txt", format!("{}\nline 1 says red\n", "line 2 says blue ".repeat(300)));
    let score = |batch: &str| folder.succeed(&["score", "llama", "--input", "long.txt", "--json", "--batch", batch]);
    assert!(score("1") == score("2"));
}
