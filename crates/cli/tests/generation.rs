//! What `generate` and `eval` write: how far, in what form, and what they tell.

mod common;

use common::Folder;
use serde_json::Value;
use std::io::Write;
use std::process::{Output, Stdio};

/// Pairs of a character and something longer, which are soon known by heart.
const KNOWN: &str = include_str!("common/recipes/known-pairs.toml");

/// A run that knows what to answer to `a`, `b` and `c`.
fn knowing(answers: [&str; 3], recipe: &str) -> Folder {
    let folder = Folder::new();
    let line =
        |(prompt, completion)| serde_json::json!({"prompt": prompt, "completion": completion}).to_string() + "\n";
    folder.write("known.jsonl", ["a", "b", "c"].into_iter().zip(answers).map(line).collect::<String>().repeat(16));
    folder.write("chatml.jinja", include_str!("../../../recipes/chatml.jinja"));
    folder.write("known.toml", recipe);
    folder.succeed(&["train", "known.toml", "--run", "run", "--quiet"]);
    folder
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", told(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn json(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What is printed for these bytes on standard input.
fn piped(folder: &Folder, arguments: &[&str], bytes: &[u8]) -> Output {
    let mut command = folder.command(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let bytes = bytes.to_owned();
    // It may end before it has read everything.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&bytes)));
    let output = common::finish(child);
    writer.join().unwrap();
    output
}

#[test]
fn what_is_written_may_be_as_long_as_training_showed() {
    let long = "an answer much longer than the question was";
    let folder = knowing([long, "short", "also short"], KNOWN);
    let output = folder.run(&["generate", "run", "a", "b"]);
    assert_eq!((said(&output), told(&output)), (format!("{long}\nshort\n"), String::new()));
    assert_eq!(folder.succeed(&["generate", "run", "a", "--beam", "3"]), format!("{long}\n"));
    let figures: Value =
        serde_json::from_str(&folder.succeed(&["eval", "run", "--data", "known.jsonl", "--json"])).unwrap();
    assert_eq!((&figures["exact_match"], &figures["unfinished"]), (&1.0.into(), &0.into()), "{figures}");
    // The run needs its texts no more.
    std::fs::remove_dir_all(folder.path("run/data")).unwrap();
    assert_eq!(folder.succeed(&["generate", "run", "a"]), format!("{long}\n"));
    // A limit that is given is the only one, and what it cuts is reported.
    let output = folder.run(&["generate", "run", "--max-length", "7", "c", "a", "b"]);
    assert_eq!(said(&output), "also sh\nan answ\nshort\n");
    assert!(
        told(&output).contains("2 of 3 texts did not end") && told(&output).contains("line 1"),
        "{}",
        told(&output)
    );
    let lines = json(&folder.succeed(&["generate", "run", "--max-length", "7", "--json", "a", "b"]));
    assert_eq!((&lines[0]["text"], &lines[0]["finished"]), (&"an answ".into(), &false.into()));
    assert_eq!((&lines[1]["text"], &lines[1]["finished"]), (&"short".into(), &true.into()));
    assert!(lines[0]["score"].is_number() && lines[0]["source"] == "a" && lines[1]["line"] == 2);
    let output = folder.run(&["eval", "run", "--data", "known.jsonl", "--max-length", "7"]);
    assert!(
        told(&output).contains("32 of 48 answers did not end") && told(&output).contains("line 1"),
        "{}",
        told(&output)
    );
    // A minimum that is given goes before a limit that was not.
    for minimum in [["--min-new-tokens", "90"], ["--min-length", "91"]] {
        let lines = json(&folder.succeed(&[&["generate", "run", "--json", "a", "b"][..], &minimum].concat()));
        assert!(lines.iter().all(|line| line["ids"].as_array().unwrap().len() >= 90), "{minimum:?} {lines:?}");
    }
    folder.fail(&["generate", "run", "a", "--max-length", "0"], &["--max-new-tokens = 0"]);
    folder.fail(&["generate", "run", "a", "--temperature", "1e-300"], &["--temperature = 1e-300", "0.001 or more"]);
    folder.fail(&["generate", "run", "a", "--context", "5"], &["--context", "language models"]);
}

#[test]
fn line_ends_in_texts_shift_no_line() {
    let folder = knowing(["one\ntwo", "tab\there", "\\n"], KNOWN);
    folder.write("input.txt", "a\nb\n\nc\na\n");
    let output = folder.run(&["generate", "run", "--input", "input.txt"]);
    assert_eq!(said(&output), "one\\ntwo\ntab\there\n\n\\n\none\\ntwo\n");
    assert_eq!(told(&output).matches("written as \\n").count(), 1, "{}", told(&output));
    assert_eq!(said(&piped(&folder, &["generate", "run"], b"a\nb\n")), "one\\ntwo\ntab\there\n");
    // As they are: for one text, or where asked for.
    assert_eq!(folder.succeed(&["generate", "run", "a"]), "one\ntwo\n");
    assert_eq!(folder.succeed(&["generate", "run", "--input", "input.txt", "--raw"]).lines().count(), 7);
    let lines = json(&folder.succeed(&["generate", "run", "--input", "input.txt", "--json"]));
    let texts: Vec<&str> = lines.iter().map(|line| line["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["one\ntwo", "tab\there", "", "\\n", "one\ntwo"]);
    // What is drawn for a line depends on its number, not on the lines that are decoded with it.
    let drawn = |batch| {
        folder.succeed(&["generate", "run", "--input", "input.txt", "--temperature", "3", "--batch", batch, "--json"])
    };
    assert_eq!(json(&drawn("1"))[3]["text"], json(&drawn("32"))[3]["text"]);
    let best = json(&folder.succeed(&["generate", "run", "--json", "--beam", "3", "--n-best", "3", "a", "b"]));
    let places: Vec<(u64, u64)> =
        best.iter().map(|line| (line["line"].as_u64().unwrap(), line["rank"].as_u64().unwrap())).collect();
    assert_eq!(places, [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)]);

    let eval = |output: &str| folder.run(&["eval", "run", "--data", "known.jsonl", "--output", output]);
    let output = eval("answers.tsv");
    assert!(told(&output).contains("written as \\n and \\t"), "{}", told(&output));
    let answers = std::fs::read_to_string(folder.path("answers.tsv")).unwrap();
    let first: Vec<&str> = answers.lines().take(3).collect();
    assert_eq!(first, ["a\tone\\ntwo\tone\\ntwo", "b\ttab\\there\ttab\\there", "c\t\\n\t\\n"]);
    assert_eq!(answers.lines().count(), 48);
    said(&eval("answers.jsonl"));
    let answers = json(&std::fs::read_to_string(folder.path("answers.jsonl")).unwrap());
    assert_eq!((answers.len(), &answers[3]["text"], &answers[3]["line"]), (48, &"one\ntwo".into(), &4.into()));
    assert!(answers.iter().all(|answer| answer["right"] == true && answer["finished"] == true));
    // Nothing is written over unasked, the text itself never.
    folder
        .fail(&["eval", "run", "--data", "known.jsonl", "--output", "answers.tsv"], &["there already", "--overwrite"]);
    said(&folder.run(&["eval", "run", "--data", "known.jsonl", "--output", "answers.tsv", "--overwrite"]));
    let known = || std::fs::read_to_string(folder.path("known.jsonl")).unwrap();
    let before = known();
    for overwrite in [&[][..], &["--overwrite"]] {
        let arguments = [&["eval", "run", "--data", "known.jsonl", "--output", "known.jsonl"], overwrite].concat();
        folder.fail(&arguments, &["the text to evaluate on"]);
    }
    assert_eq!(known(), before);
}

#[test]
fn standard_input_and_files_are_read_alike() {
    let folder = knowing(["one", "two", "three"], KNOWN);
    let both = |bytes: &[u8]| {
        folder.write("input.txt", bytes);
        [
            folder.run(&["generate", "run", "--input", "input.txt"]),
            piped(&folder, &["generate", "run"], bytes),
            piped(&folder, &["generate", "run", "--input", "-"], bytes),
        ]
    };
    for output in both("\u{feff}a\r\nb\r\n\r\nc".as_bytes()) {
        assert_eq!(said(&output), "one\ntwo\n\nthree\n");
    }
    for output in both(b"") {
        assert_eq!(said(&output), "");
    }
    for output in both("a\n\u{4e94}\u{6708}\n".as_bytes()) {
        assert!(
            told(&output).contains("unknown to the tokenizer, such as \"五\", the first in line 2"),
            "{}",
            told(&output)
        );
    }
    for output in both(b"a\nb\n\xff\xfe\nc\n") {
        assert_eq!(output.status.code(), Some(1));
        assert!(told(&output).contains("line 3") && told(&output).contains("UTF-8"), "{}", told(&output));
        assert_eq!(String::from_utf8_lossy(&output.stdout), "one\ntwo\n\nthree\n", "the others are answered");
    }
    for output in both(&[b'x'; 1 << 20]) {
        assert_eq!(output.status.code(), Some(1));
        assert!(told(&output).contains("line is longer than"), "{}", told(&output));
    }
}

#[test]
fn answers_keep_the_order_and_the_lines_of_their_text() {
    let positions =
        "decoder = \"transformer\"\n[model.transformer]\nheads = 2\nposition = \"learned\"\nmax_length = 16";
    let recipe = KNOWN.replace("cell = \"gru\"\nembedding = 16\nhidden = 32", &format!("hidden = 16\n{positions}"));
    let folder = knowing(["one", "two", "three"], &recipe);
    folder.write("test.tsv", "cccccc\t1\nbb\t2\n\taaa\naaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\t3\nb\t\na\tone\n");
    let output = folder.run(&["eval", "run", "--data", "test.tsv", "--output", "o.jsonl", "--json"]);
    let figures: Value = serde_json::from_str(&said(&output)).unwrap();
    let answers = json(&std::fs::read_to_string(folder.path("o.jsonl")).unwrap());
    let places: Vec<(&str, u64)> =
        answers.iter().map(|line| (line["source"].as_str().unwrap(), line["line"].as_u64().unwrap())).collect();
    assert_eq!(places, [("cccccc", 1), ("bb", 2), ("a", 6)]);
    // The loss is over the same pairs: four characters and an end each.
    assert_eq!((&figures["answers"], &figures["tokens"], &figures["left_out"]), (&3.into(), &8.into(), &3.into()));
    // A source without a position for each token is not answered, and this is reported; it ends nothing.
    let output = folder.run(&["generate", "run", "a", &"a".repeat(40), "b"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 3);
    assert!(
        output.status.code() == Some(1) && told(&output).contains("1 line was not answered, line 2"),
        "{}",
        told(&output)
    );
}

#[test]
fn a_language_model_reads_no_more_than_it_was_trained_on() {
    let folder = Folder::new();
    let recipe = |position: &str| {
        let layers = "decoder = \"transformer\"\nhidden = 16\n[model.transformer]\nheads = 2";
        let model = common::LANGUAGE_MODEL
            .replace("cell = \"lstm\"\nembedding = 8\nhidden = 16\nlayers = 2\ndropout = 0.2", layers);
        model.replace("heads = 2", &format!("heads = 2\nposition = \"{position}\""))
    };
    let write = |run: &str, length: &str, more: &[&str]| {
        let output = folder.run(&[&["generate", run, "line 1", "--greedy", "--max-length", length], more].concat());
        (said(&output), told(&output))
    };
    for position in ["rotary", "alibi"] {
        folder.write("position.toml", recipe(position));
        folder.train("position.toml", position, 60);
    }
    let (cut, note) = write("rotary", "60", &[]);
    assert!(note.contains("beyond the 20 tokens") && note.contains("--context"), "{note}");
    assert_eq!(write("rotary", "60", &["--context", "20"]).0, cut);
    let (whole, note) = write("rotary", "60", &["--context", "100"]);
    assert!(note.is_empty() && whole.chars().count() == cut.chars().count(), "{note}");
    assert_eq!(write("rotary", "10", &[]).1, "");
    assert_eq!(write("alibi", "60", &[]).1, "", "it reaches further");
    assert!(write("alibi", "60", &["--context", "10"]).1.contains("beyond the 10 tokens"));
    // A prompt longer than all.
    let output = folder.run(&["generate", "rotary", &"line 1 says red ".repeat(20), "--max-length", "5", "--greedy"]);
    assert!(said(&output).starts_with("line 1 says red line") && told(&output).contains("beyond the 20 tokens"));
}

/// Prompts of a language model: numbers and their successors.
const PROMPTS: &str = include_str!("common/recipes/known-prompts.toml");

#[test]
fn a_language_model_of_prompts_answers_and_is_measured() {
    let folder = knowing(["one", "two", "three"], PROMPTS);
    // The answer alone, the likeliest one, the same each time.
    assert_eq!(folder.succeed(&["generate", "run", "a", "c", ""]), "one\nthree\n\n");
    let figures: Value =
        serde_json::from_str(&folder.succeed(&["eval", "run", "--data", "known.jsonl", "--json", "--output", "o.tsv"]))
            .unwrap();
    assert_eq!((&figures["exact_match"], &figures["answers"]), (&1.0.into(), &48.into()), "{figures}");
    let answers = std::fs::read_to_string(folder.path("o.tsv")).unwrap();
    assert!(answers.starts_with("a\tone\tone\nb\ttwo\ttwo\n"), "{answers}");
}

#[test]
fn a_long_conversation_forgets_its_oldest_turns() {
    let recipe = PROMPTS.replace("validation_share", "chat_template = \"chatml.jinja\"\nvalidation_share");
    let folder = knowing(["one", "two", "three"], &recipe.replace("steps = 150", "steps = 400"));
    // What somebody says is put into the template by itself; each line for itself, or one conversation.
    let output = folder.run(&["generate", "run", "c", "b"]);
    assert_eq!((said(&output), told(&output)), ("three\ntwo\n".to_owned(), String::new()));
    assert_eq!(said(&piped(&folder, &["generate", "run"], b"a\n\nb\n")), "one\n\ntwo\n");
    // Every conversation in training had one turn.
    let output = piped(&folder, &["generate", "run", "--chat"], b"a\nb\nc\na\nb\n");
    assert_eq!(said(&output), "one\ntwo\nthree\none\ntwo\n");
    assert_eq!(told(&output).matches("its oldest turns are left out").count(), 1, "{}", told(&output));
    // What is longer than all is cut, told, and ends nothing.
    let output = piped(&folder, &["generate", "run", "--chat"], format!("{}\nb\n", "a".repeat(500)).as_bytes());
    assert_eq!(said(&output).lines().count(), 2);
    assert!(said(&output).ends_with("two\n") && told(&output).contains("beyond the"), "{}", told(&output));
    let figures: Value =
        serde_json::from_str(&folder.succeed(&["eval", "run", "--data", "known.jsonl", "--json"])).unwrap();
    assert_eq!(figures["exact_match"], 1.0, "{figures}");
    let output = folder.run(&["generate", "run", "--no-chat", "a"]);
    assert!(output.status.success() && !said(&output).starts_with("one"));
}

#[test]
fn a_conversation_as_long_as_in_training_keeps_all_its_turns() {
    let folder = Folder::new();
    let turn = |role: &str, text: &str| format!(r#"{{"role": "{role}", "content": "{text}"}}"#);
    let all: String = (0..48)
        .map(|i| {
            let (asked, answer) = [("a", "one"), ("b", "two"), ("c", "three")][i % 3];
            let turns = [("user", asked), ("assistant", answer), ("user", "again"), ("assistant", answer)];
            format!("{{\"messages\": [{}]}}\n", turns.map(|(role, text)| turn(role, text)).join(", "))
        })
        .collect();
    folder.write("known.jsonl", all);
    let recipe = PROMPTS.replace("validation_share", "chat_template = \"chatml\"\nvalidation_share");
    folder.write("known.toml", recipe.replace("steps = 150", "steps = 300"));
    folder.succeed(&["train", "known.toml", "--run", "run", "--quiet"]);
    let talk = |context: &[&str]| {
        let arguments = [&["generate", "run", "--chat"][..], context].concat();
        piped(&folder, &arguments, b"a\nagain\n\nc\nagain\n\nb\nagain\n")
    };
    // What was asked first is in the first turn alone.
    let output = talk(&[]);
    assert_eq!((said(&output), told(&output)), ("one\none\nthree\nthree\ntwo\ntwo\n".to_owned(), String::new()));
    // Of an answer that does not fit, as many turns are left out as it needs, and it goes on: it comes once, and is reported.
    let all = (20..60).map(|context| talk(&["--context", &context.to_string()]));
    let (mut whole, mut forgot) = (0, 0);
    for output in all {
        assert_eq!(said(&output).lines().count(), 6, "{}", said(&output));
        let truncated = told(&output).matches("its oldest turns are left out").count();
        assert!(truncated <= 3 && (truncated > 0 || said(&output).starts_with("one\none\n")), "{}", said(&output));
        whole += usize::from(truncated == 0);
        forgot += usize::from(truncated > 0);
    }
    assert!(whole > 0 && forgot > 0, "{whole} {forgot}");
    // The same of lines with conversations, all at once: what the first answers were is said in them.
    let (mut forgot, mut kept) = (0, 0);
    for context in (20..60).step_by(4).chain([300]).map(|context| context.to_string()) {
        for mode in [&["--greedy"][..], &["--do-sample", "--seed", "2"], &["--num-beams", "3"]] {
            let flags = [&["--context", &context, "--json"][..], mode].concat();
            let talked =
                piped(&folder, &[&["generate", "run", "--chat"][..], &flags].concat(), b"a\nagain\nb\nagain\n");
            let talked = json(&said(&talked));
            let mut messages = Vec::new();
            let asked = ["a", "again", "b", "again"].iter().zip(&talked).map(|(asked, answer)| {
                messages.push(serde_json::json!({"role": "user", "content": asked}));
                let line = serde_json::json!({"messages": messages.clone()}).to_string() + "\n";
                messages.push(serde_json::json!({"role": "assistant", "content": answer["text"]}));
                line
            });
            folder.write("talk.jsonl", asked.collect::<String>());
            let output = folder.run(&[&["generate", "run", "--input", "talk.jsonl"][..], &flags].concat());
            let answers = json(&said(&output));
            // A talk goes on with what is left of it.
            for (answer, talked) in answers.iter().zip(&talked).take(2) {
                let [answer, talked] = [answer, talked].map(|one| [&one["text"], &one["log_probability"]]);
                assert_eq!(answer, talked, "{context} {mode:?}");
            }
            let is_told = told(&output).contains("its oldest turns were left out");
            assert_eq!(
                answers.iter().any(|answer| answer["cut"] == true),
                is_told || told(&output).contains("last half")
            );
            (forgot, kept) = (forgot + usize::from(is_told), kept + usize::from(!is_told));
        }
    }
    assert!(forgot > 3 && kept > 0, "{forgot} {kept}");
    // The system's message stays, and what is read is a conversation.
    let turn = |role: &str, content: &str| serde_json::json!({"role": role, "content": content});
    let system = turn("system", "be brief");
    let turns: Vec<Value> =
        (0..9).map(|i| turn(["user", "assistant"][i % 2], ["a", "one", "again", "one"][i % 4])).collect();
    let of = |last: usize| [&[system.clone()][..], &turns[turns.len() - last..]].concat();
    let write = |messages: &[Value]| {
        folder.write("long.jsonl", serde_json::json!({"messages": messages}).to_string());
        let flags = ["--context", "100", "--max-new-tokens", "8", "--greedy"];
        let output = folder.run(&[&["generate", "run", "--input", "long.jsonl"][..], &flags].concat());
        let is_shortened = told(&output).contains("its oldest turns were left out");
        assert!(!told(&output).contains("last half"), "{}", told(&output));
        (json(&said(&output)).remove(0)["log_probability"].clone(), is_shortened)
    };
    let (long, is_shortened) = write(&of(9));
    let short: Vec<_> = [1, 3, 5, 7].into_iter().map(|last| write(&of(last))).filter(|short| !short.1).collect();
    assert!(is_shortened && short.iter().any(|short| short.0 == long), "{long} {short:?}");
    let refuse = ["generate", "run", "--input", "long.jsonl", "--context", "40", "--long-input", "error"];
    folder.fail(&refuse, &["the prompt has", "reads 40 at once"]);
    // What goes on obeys as one text.
    let (mut forgot, mut refused) = (0, 0);
    for context in (22..76).step_by(3).map(|context| context.to_string()) {
        let output = talk(&["--context", &context, "--regex", "[a-z]{8}"]);
        for answer in said(&output).lines() {
            assert!(answer.len() == 8 && answer.chars().all(|c| c.is_ascii_lowercase()), "{context}: {answer}");
        }
        forgot += usize::from(told(&output).contains("its oldest turns are left out"));
        let output = talk(&["--context", &context, "--min-new-tokens", "15", "--json"]);
        let answers = json(&said(&output));
        assert_eq!(answers.len(), 6, "{context}");
        for answer in answers {
            assert!(answer["ids"].as_array().unwrap().len() >= 15, "{context}: {answer}");
        }
        // What is refused is what does not fit, and nothing is left out.
        let output = talk(&["--context", &context, "--long-input", "error"]);
        assert!(!told(&output).contains("oldest turns"), "{}", told(&output));
        if !output.status.success() {
            let parts = ["not answered", "the prompt has", &format!("reads {context} at once")];
            assert!(parts.iter().all(|part| told(&output).contains(part)), "{}", told(&output));
            refused += 1;
        }
    }
    assert!(forgot > 3 && (4..18).contains(&refused), "{forgot} {refused}");
    folder.fail(
        &["generate", "run", "--chat", "--beam", "3", "--n-best", "3"],
        &["--num-return-sequences 3", "one answer"],
    );
}

#[test]
fn a_conversation_begins_with_what_the_system_says_and_knows_its_roles() {
    let recipe = KNOWN.replace("validation_share", "chat_template = \"chatml\"\nvalidation_share");
    let folder = knowing(["one", "two", "three"], &recipe);
    let lines = [
        r#"{"messages": [{"role": "user", "content": "a"}]}"#,
        r#"{"messages": [{"role": "system", "content": "c"}, {"role": "user", "content": "a"}]}"#,
        r#"{"messages": [{"role": "usr", "content": "a"}]}"#,
        r#"{"text": "a"}"#,
        r#"{"messages": [{"role": "developer", "content": "c"}, {"role": "user", "content": "a"}]}"#,
    ];
    folder.write("in.jsonl", lines.join("\n"));
    let answers = |more: &[&str]| {
        let output = folder.run(&[&["generate", "run", "--input", "in.jsonl"], more].concat());
        assert!(told(&output).contains("1 line was not answered, line 3: "), "{}", told(&output));
        json(&String::from_utf8(output.stdout).unwrap())
    };
    let (without, with) = (answers(&[]), answers(&["--system", "c"]));
    let error = with[2]["error"].as_str().unwrap();
    assert!(error.contains("a message is by the role \"usr\": did you mean \"user\"?"), "{error}");
    let log = |one: &Value| one["log_probability"].as_f64().unwrap();
    assert_eq!([log(&with[0]), log(&with[3])], [log(&without[1]); 2]);
    assert!(log(&with[0]) != log(&without[0]));
    // One that has its own keeps it.
    let other = answers(&["--system", "b"]);
    assert_eq!([log(&other[1]), log(&other[4])], [log(&without[1]), log(&without[4])]);
    folder.write(
        "given.jsonl",
        r#"{"messages": [{"role": "usr", "content": "a"}, {"role": "assistant", "content": "one"}]}"#,
    );
    folder.fail(&["score", "run", "--input", "given.jsonl"], &["line 1", "the role \"usr\""]);
}

#[test]
fn a_conversation_is_not_cut_into_parts() {
    let recipe = KNOWN.replace("validation_share", "chat_template = \"chatml\"\nvalidation_share");
    let folder = knowing(["one", "two", "three"], &recipe.replace("steps = 150", "steps = 2"));
    for how in ["split", "window"] {
        folder.fail(&["generate", "run", "--chat", "--long-input", how, "a"], &["--long-input", "a conversation"]);
    }
}

#[test]
fn flags_that_would_do_nothing_are_refused() {
    let folder = Folder::new();
    folder.train("lm.toml", "lm", 3);
    folder.train("pairs.toml", "pairs", 3);
    let number = "--length-penalty=-1e308";
    for (arguments, parts) in [
        (&["generate", "pairs", "12", "--seed", "3"][..], &["--seed", "--do-sample"][..]),
        (&["generate", "lm", "l", "--greedy", "--seed", "3"], &["--seed"]),
        (&["generate", "pairs", "12", "--beam", "3", "--seed", "3"], &["--seed"]),
        (&["generate", "pairs", "12", "--length-penalty", "1"], &["--length-penalty", "--num-beams"]),
        (&["generate", "pairs", "12", "--context", "10"], &["--context", "language models"]),
        (&["eval", "pairs", "--loss-only", "--beam", "3"], &["--num-beams", "--loss-only"]),
        (&["eval", "pairs", "--loss-only", "--max-length", "3"], &["--max-new-tokens", "--loss-only"]),
        (&["eval", "lm", "--greedy"], &["--greedy", "only the loss"]),
        (&["generate", "pairs", "12", "--beam", "2", number], &["--length-penalty = -1e308: expected"]),
    ] {
        let error = folder.fail(arguments, parts);
        assert!(error.len() < 400, "{error}");
    }
    folder.succeed(&["generate", "lm", "l", "--seed", "3", "--max-length", "3"]);
}

#[test]
fn a_continuous_text_is_evaluated_in_chunks_as_asked() {
    let folder = Folder::new();
    folder.train("lm.toml", "run", 60);
    let loss = |arguments: &[&str]| {
        let figures = folder.succeed(&[&["eval", "run", "--json"][..], arguments].concat());
        serde_json::from_str::<Value>(&figures).unwrap()["loss"].as_f64().unwrap()
    };
    // The recipe's own length is 20.
    assert_eq!(loss(&[]), loss(&["--context", "20"]));
    assert!(loss(&["--context", "2"]) > loss(&[]) + 0.05);
}

#[test]
fn what_is_no_run_is_told_with_what_to_name() {
    let folder = Folder::new();
    folder.train("lm.toml", "runs/lm", 3);
    folder.fail(&["generate", "lm.toml", "x"], &["lm.toml", "this is a recipe", "the run that it wrote is runs/lm"]);
    folder.fail(&["eval", "pairs.toml"], &["pairs.toml", "this is a recipe", "descant train pairs.toml"]);
    folder.fail(&["generate", "runs/lm/checkpoints/step-00000100", "x"], &["no checkpoint of step 100", "3"]);
    // Nothing but the checkpoint of its start.
    let settings = ["--set", "train.learning_rate=1e39", "--set", "train.clip=none", "--set", "optimizer.kind=sgd"];
    let arguments = [&["train", "lm.toml", "--run", "diverged", "--quiet"][..], &settings].concat();
    assert!(!folder.run(&arguments).status.success());
    folder.fail(&["generate", "diverged", "x"], &["diverged has not learnt yet", "step 0"]);
}
