//! `generate --input FILE.jsonl --output FILE.jsonl`: every line answered in order, also after a broken line or a kill.

mod common;

use common::Folder;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

fn objects(folder: &Folder, name: &str) -> Vec<Value> {
    let text = fs::read_to_string(folder.path(name)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn pairs() -> Folder {
    let folder = Folder::new();
    folder.train("pairs.toml", "run", 30);
    folder
}

#[test]
fn each_line_is_answered_with_its_id_and_a_broken_one_is_named() {
    let folder = pairs();
    let lines = [
        r#"{"id": "first", "text": "123"}"#,
        r#"{"id": 2, "prompt": "456", "completion": "ignored"}"#,
        "{\"text\": \"cut",
        "",
        r#"{"id": [5], "source": "789"}"#,
        r#"{"id": "no text"}"#,
        r#"{"text": "1", "source": "2"}"#,
        r#"{"text": 7}"#,
        r#"{"id": "empty", "text": ""}"#,
        r#"["123"]"#,
        r#"{"id": 123456789012345678901234567890.50, "text": "5"}"#,
    ];
    folder.write("in.jsonl", [lines.join("\n").as_bytes(), b"\n{\"text\": \"\xff\"}\n{\"text\": \"123\"}"].concat());
    let arguments = ["generate", "run", "--input", "in.jsonl", "--output", "out.jsonl", "--beam", "3", "--n-best", "2"];
    folder.fail(
        &arguments,
        &["6 lines were not answered", "the first of them line 3", "not valid JSON", "were answered"],
    );
    let found = objects(&folder, "out.jsonl");
    let numbers: Vec<u64> = found.iter().map(|one| one["line"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13]);
    let is_answered: Vec<bool> = found.iter().map(|one| one.get("error").is_none()).collect();
    assert_eq!(is_answered, [true, true, false, true, false, false, false, true, false, true, false, true]);
    assert_eq!([&found[0]["id"], &found[1]["id"], &found[3]["id"]], [&json!("first"), &json!(2), &json!([5])]);
    for (line, says) in [
        (4, "no \"text\""),
        (5, "both"),
        (6, "is no text"),
        (8, "no JSON object"),
        (10, "byte 11 of the line is not UTF-8"),
    ] {
        assert!(found[line]["error"].as_str().unwrap().contains(says), "{}", found[line]);
    }
    assert_eq!(found[4]["id"], "no text");
    assert!(!found[10]["error"].as_str().unwrap().contains("in.jsonl"), "{}", found[10]);
    let text = fs::read_to_string(folder.path("out.jsonl")).unwrap();
    assert!(text.contains("\"id\":123456789012345678901234567890.50,"), "numbers come back as they were: {text}");
    // Every field of a text, and of all of them.
    let best = &found[0];
    let n_best = best["n_best"].as_array().unwrap();
    assert_eq!((n_best.len(), &n_best[0]["text"], &n_best[0]["score"]), (2, &best["text"], &best["score"]));
    assert!(n_best[0]["score"].as_f64() >= n_best[1]["score"].as_f64(), "{best}");
    assert!(best["log_probability"].as_f64().unwrap() <= best["score"].as_f64().unwrap(), "{best}");
    assert!(["eos", "length"].contains(&best["finish_reason"].as_str().unwrap()), "{best}");
    assert!(best["ids"].as_array().unwrap().iter().all(Value::is_u64), "{best}");
    // Nothing was asked, and nothing is claimed.
    assert_eq!(
        [&found[7]["text"], &found[7]["score"], &found[7]["finish_reason"]],
        [&json!(""), &json!(null), &json!(null)]
    );
    // The same as without files.
    let printed = folder.succeed(&["generate", "run", "123", "--beam", "3", "--n-best", "2", "--json"]);
    let printed: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!([&printed[0]["text"], &printed[1]["score"]], [&best["text"], &n_best[1]["score"]]);
    // It is there, and not said to be complete: of one that was broken off, the file beside it may be lost.
    let told = folder.fail(&arguments, &["out.jsonl", "there already", "without out.jsonl.unfinished", "--overwrite"]);
    assert!(!told.contains("complete"), "{told}");
    folder.fail(&[&arguments[..], &["--overwrite"]].concat(), &["6 lines were not answered"]);
    assert!(!folder.path("out.jsonl.unfinished").exists());
}

/// Lines, with the id that comes back as it stands there, or a part of what is wrong.
const FIELDS: [(&str, Result<&str, &str>); 11] = [
    (r#"{"id": null, "text": "12"}"#, Ok("null")),
    (r#"{"id": 1e400, "text": "12"}"#, Ok("1e400")),
    (r#"{"id": {"b": -0.0, "a": [1E+999]}, "text": "12"}"#, Ok(r#"{"b": -0.0, "a": [1E+999]}"#)),
    (r#"{"id": 1, "text": "12", "price": 1e400, "name": "\ud800"}"#, Ok("1")),
    (r#"{"id": 1, "text": "12", "text": "13"}"#, Err("the field \"text\" twice")),
    (r#"{"id": 1, "te\u0078t": "12", "text": "13"}"#, Err("the field \"text\" twice")),
    (r#"{"id": 1, "id": 2, "text": "13"}"#, Err("the field \"id\" twice")),
    (r#"{"id": 1, "text": "13", "note": 1, "note": 1}"#, Err("the field \"note\" twice")),
    (r#"{"messages": [{"role": "user", "content": "1", "content": "2"}]}"#, Err("the key \"content\" twice")),
    (r#"{"text": "12", "control": {"a": "b", "a": "c"}}"#, Err("the key \"a\" twice")),
    (r#"{"text": 1e400}"#, Err("its \"text\": number out of range")),
];

#[test]
fn each_field_stands_once_and_an_id_comes_back_as_it_is() {
    let folder = pairs();
    folder.write("in.jsonl", FIELDS.map(|(line, _)| format!("{line}\n")).concat());
    let arguments = ["generate", "run", "--input", "in.jsonl", "--output", "out.jsonl"];
    folder.fail(&arguments, &["7 lines were not answered, the first of them line 5", "The others were answered"]);
    let written = fs::read_to_string(folder.path("out.jsonl")).unwrap();
    for (found, (line, expected)) in written.lines().zip(FIELDS) {
        match expected {
            Ok(id) => assert!(found.contains(&format!("\"id\":{id},\"text\":")), "{line}: {found}"),
            Err(part) => assert!(found.contains(&part.replace('"', "\\\"")), "{line}: {found}"),
        }
    }
    // The same of every command that reads such lines.
    let twice = r#"{"source": "1", "text": "1", "target": "1", "label": "a", "label": "b"}"#;
    folder.write("twice.jsonl", twice);
    for command in [&["score", "run", "--input", "twice.jsonl"][..], &["classifier", "run", "twice.jsonl"]] {
        folder.fail(command, &["line 1: it has the field \"label\" twice"]);
    }
}

#[test]
fn conversations_are_read_as_they_are_usually_written_and_what_is_not_read_is_told() {
    let folder = Folder::new();
    let known = |i: usize| json!({"prompt": i.to_string(), "completion": "yes"}).to_string() + "\n";
    folder.write("known.jsonl", (0..20).map(known).collect::<String>());
    let recipe = include_str!("common/recipes/known-prompts.toml").replace("steps = 150", "steps = 3");
    folder.write("known.toml", recipe.replace("validation_share", "chat_template = \"chatml\"\nvalidation_share"));
    folder.succeed(&["train", "known.toml", "--run", "run", "--quiet"]);
    let user = json!({"role": "user", "content": "1\n2"});
    let parts = json!([{"type": "text", "text": "1"}, {"type": "text", "text": "2"}]);
    let lines = [
        json!({"messages": [user]}),
        json!({"messages": [{"role": "user", "content": parts}]}),
        json!({"text": "1\n2", "tools": []}),
        json!({"messages": [{"role": "system", "content": "s"}, user]}),
        json!({"messages": [user], "system": "s"}),
        json!({"text": "1\n2", "system": "s", "tools": [], "temperature": 1}),
        json!({"messages": [{"role": "system", "content": "t"}, user], "system": "s"}),
        json!({"messages": [user, {"role": "assistant", "content": null, "tool_calls": []}]}),
        json!({"messages": ["1"]}),
        json!({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}),
        json!({"messages": "1"}),
        json!({"messages": [user, {"role": "assistant", "content": "yes"}]}),
    ];
    folder.write("in.jsonl", lines.each_ref().map(|line| format!("{line}\n")).concat());
    let output = folder.run(&["generate", "run", "--input", "in.jsonl", "--max-new-tokens", "3"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let text = String::from_utf8(output.stdout).unwrap();
    let found: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let same =
        |places: &[usize]| places.iter().all(|&i| found[i]["log_probability"] == found[places[0]]["log_probability"]);
    assert!(found.len() == 12 && same(&[0, 1, 2]) && same(&[3, 4, 5]) && !same(&[0, 3]), "{found:?}");
    for (i, part) in [
        (6, "leave one of them out"),
        (7, "\"content\" of message 2 is null: expected a text"),
        (8, "message 1 is a text: expected an object with \"role\" and \"content\""),
        (9, "a part of the type \"image_url\""),
        (10, "its \"messages\" are no list"),
    ] {
        assert!(found[i]["error"].as_str().unwrap().contains(part), "{}", found[i]);
    }
    for part in [
        "5 lines were not answered, the first of them line 7",
        "Not read: \"temperature\" (line 6), \"tool_calls\" of messages (line 8), \"tools\" (2 lines, the first line 3).",
        "1 conversation ends with a message of the assistant (line 12)",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    // The same of score, which knows what generate writes.
    let answer = json!({"messages": [user, {"role": "assistant", "content": "yes"}], "line": 1, "score": -1.0, "id": 5, "tools": []});
    folder.write("in.jsonl", answer.to_string());
    let told = folder.told(&["score", "run", "--input", "in.jsonl", "--context", "99"]);
    assert!(told.contains("Not read: \"tools\" (line 1).") && told.lines().count() == 1, "{told}");
    // Training says the same of what it cannot read.
    folder.write("known.jsonl", json!({"messages": [{"role": "user", "content": null}]}).to_string() + "\n");
    folder.fail(&["train", "known.toml", "--run", "other"], &["line 1", "\"content\" of message 1 is null"]);
}

#[test]
fn pairs_and_objects_are_not_read_as_sources() {
    let folder = pairs();
    folder.write("few.tsv", "123\t321\n456\n");
    let pair = ["generate", "run", "--input", "few.tsv"];
    let told = folder.fail(&pair, &["line 1: it has a tab", "cut -f1", "The others were answered"]);
    assert!(told.contains("1 line was not answered"), "{told}");
    folder.fail(&["generate", "run", "123\t321"], &["it has a tab"]);
    // White space alone is an empty line.
    folder.write("blank.txt", "123\n\t\n \t \n456\n");
    let answers = folder.succeed(&["generate", "run", "--input", "blank.txt"]);
    let answers: Vec<&str> = answers.lines().collect();
    assert!(answers.len() == 4 && answers[1..3] == ["", ""], "{answers:?}");
    // As a text of an object, it has one.
    folder.write("tab.jsonl", "{\"text\": \"12\\t3\"}\n");
    folder.succeed(&["generate", "run", "--input", "tab.jsonl"]);
    let object = "{\"id\": 1, \"text\": \"123\"}\n";
    folder.write("objects.txt", object);
    let says = ["it is a JSON object with \"text\"", "ends in .jsonl"];
    folder.fail(&["generate", "run", "--input", "objects.txt"], &says);
    let mut child = folder.command(&["generate", "run", "--input", "-"]);
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(object.as_bytes()).unwrap();
    let output = common::finish(child);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && says.iter().all(|part| told.contains(part)), "{told}");
    assert!(output.stdout.trim_ascii().is_empty());
    // Other braces are text, and so is a tab to a model that continues it.
    folder.succeed(&["generate", "run", "{1}", "{\"1\": 2}"]);
    folder.train("lm.toml", "lm", 3);
    folder.succeed(&["generate", "lm", "line\t1", "--max-new-tokens", "3"]);
    // An argument to a language model of prompts may have one, and a line of a file is a pair.
    let data = "\"pairs.tsv\"\ncolumns = [0, 1]";
    folder.write("prompts.toml", common::LANGUAGE_MODEL.replace("\"text.txt\"\nstream = true", data));
    folder.train("prompts.toml", "prompts", 3);
    folder.succeed(&["generate", "prompts", "12\t3", "--max-new-tokens", "3"]);
    folder.fail(&["generate", "prompts", "--input", "few.tsv", "--max-new-tokens", "3"], &["line 1: it has a tab"]);
}

#[test]
fn no_file_is_lost_to_an_output() {
    let folder = pairs();
    folder.write("in.jsonl", "{\"text\": \"12\"}\n");
    fs::create_dir(folder.path("folder.jsonl")).unwrap();
    fs::hard_link(folder.path("in.jsonl"), folder.path("link.jsonl")).unwrap();
    let refused = |input: &str, output: &str, parts: &[&str]| {
        let arguments = ["generate", "run", "--input", input, "--output", output, "--overwrite"];
        folder.fail(&arguments, parts);
    };
    refused("in.jsonl", "in.jsonl", &["this is the input"]);
    refused("in.jsonl", "link.jsonl", &["this is the input"]);
    refused("in.jsonl", "out.txt", &["ends in .jsonl", "printed"]);
    refused("in.jsonl", "out.jsonl.gz", &["not compressed"]);
    refused("in.jsonl", "no/out.jsonl", &["no such folder"]);
    refused("in.jsonl", "folder.jsonl", &["no regular file"]);
    refused("folder.jsonl", "out.jsonl", &["folder.jsonl is a folder"]);
    refused("none.jsonl", "out.jsonl", &["none.jsonl", "No such file"]);
    assert!(!folder.path("out.jsonl").exists());
    // A file of somebody's own that only has the name.
    folder.write("out.jsonl.unfinished", "my notes");
    refused("in.jsonl", "out.jsonl", &["out.jsonl.unfinished is in the way"]);
    assert_eq!(fs::read_to_string(folder.path("out.jsonl.unfinished")).unwrap(), "my notes");
    assert!(!folder.path("out.jsonl").exists());
    assert_eq!(fs::read_to_string(folder.path("in.jsonl")).unwrap(), "{\"text\": \"12\"}\n");
    folder.fail(&["generate", "run", "12", "--output", "out.txt"], &["--output out.txt", "--input", "> out.txt"]);
    folder.write("in.txt", "12\n");
    for (output, flag, part) in [
        ("out.txt", "--json", "Leave out --json, and name a file that ends in .jsonl"),
        ("new.jsonl", "--json", "Leave out --json"),
        ("out.txt", "--raw", "Leave out --raw"),
    ] {
        folder.fail(&["generate", "run", "--input", "in.txt", "--output", output, flag], &["--output", part]);
    }
    assert!(!folder.path("out.txt").exists());
}

/// Runs until a file has so many bytes, and kills it then.
fn killed_at(folder: &Folder, arguments: &[&str], output: &Path, bytes: u64) -> bool {
    let mut child = folder.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    loop {
        let length = fs::metadata(output).map_or(0, |file| file.len());
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        if length >= bytes {
            child.kill().unwrap();
            child.wait().unwrap();
            return true;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn what_was_killed_goes_on_to_the_same_file() {
    let folder = pairs();
    let text = |i: usize| (i * 7919 % 1000).to_string();
    let line =
        |i: usize| if i == 1 { "{broken\n".to_owned() } else { json!({"id": i, "text": text(i)}).to_string() + "\n" };
    folder.write("in.jsonl", (0..3000).map(line).collect::<String>());
    folder.write(
        "in.txt",
        (0..3000).flat_map(|i| if i == 1 { b"\xff\n".to_vec() } else { (text(i) + "\n").into() }).collect::<Vec<u8>>(),
    );
    folder.write("terms.tsv", "12345\t54321\n");
    let sampled = &["--do-sample", "--n-best", "2", "--terms", "terms.tsv"][..];
    // A beam search of one token finds fewer texts than these.
    let beams = &["--num-beams", "20", "--n-best", "20", "--max-new-tokens", "1"];
    for (input, output, flags) in
        [("in.jsonl", "out.jsonl", sampled), ("in.txt", "out.txt", sampled), ("in.txt", "beams.txt", beams)]
    {
        let all = [&["generate", "run", "--input", input, "--batch", "4"], flags, &["--output"]].concat();
        let refused = ["1 line was not answered", "line 2: ", "The others were answered"];
        let whole = if output.ends_with(".jsonl") { "whole.jsonl" } else { "whole.txt" };
        folder.fail(&[&all[..], &[whole]].concat(), &refused);
        let expected = fs::read(folder.path(whole)).unwrap();
        fs::remove_file(folder.path(whole)).unwrap();
        if output == "beams.txt" {
            let lines: Vec<&[u8]> = expected.split_inclusive(|byte| *byte == b'\n').collect();
            assert_eq!(lines.len(), 20 * 3000, "as many for each line");
            assert!(lines[..20].contains(&&b"\t\n"[..]), "some of which have no text");
        }
        let arguments = [&all[..], &[output]].concat();
        let mut kills = 0;
        for share in [10, 40, 70] {
            kills +=
                u32::from(killed_at(&folder, &arguments, &folder.path(output), expected.len() as u64 * share / 100));
        }
        assert!(kills > 0, "it was always faster");
        // As a power failure might leave it: half a line.
        let place = folder.path(output);
        let mut written = fs::read(&place).unwrap();
        assert!(folder.path(&format!("{output}.unfinished")).exists());
        written.extend_from_slice(b"{\"line\": 1");
        fs::write(&place, written).unwrap();
        // With other settings it would be another file.
        let other = if flags == sampled { ["--seed", "5"] } else { ["--length-penalty", "0.5"] };
        folder.fail(&[&arguments[..], &other].concat(), &["other settings", "options", "--overwrite"]);
        // What was refused before it was broken off counts.
        let told = folder.fail(&arguments, &refused);
        assert!(told.contains("goes on after line"), "{told}");
        let counted = told.contains("--terms: the sources from line ") && told.contains(" on do not have its term.");
        assert_eq!(counted, flags == sampled, "{told}");
        assert!(fs::read(&place).unwrap() == expected, "{output}");
        assert!(!folder.path(&format!("{output}.unfinished")).exists());
    }
}

#[test]
fn lines_of_a_pipe_are_answered_while_others_are_waited_for() {
    let folder = pairs();
    let mut child = folder.command(&["generate", "run"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut stdin, stdout) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
    let mut answers = stdout.lines();
    for text in ["123", "456", ""] {
        writeln!(stdin, "{text}").unwrap();
        assert_eq!(answers.next().unwrap().unwrap(), folder.succeed(&["generate", "run", text]).trim_end());
    }
    drop(stdin);
    assert!(answers.next().is_none() && common::wait(&mut child).success());
}

#[test]
fn empty_lines_have_as_many_rows_and_no_score() {
    let folder = pairs();
    folder.write("in.txt", "123\n\n456\n");
    let printed = folder.succeed(&["generate", "run", "--input", "in.txt", "--beam", "2", "--n-best", "2"]);
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!((lines.len(), lines[2], lines[3]), (6, "\t", "\t"));
    let output = folder.run(&["generate", "run", "--input", "in.txt", "--json", "--max-new-tokens", "1"]);
    let printed = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!([&lines[1]["score"], &lines[1]["finished"], &lines[1]["finish_reason"]], [&Value::Null; 3]);
    assert_eq!((&lines[0]["finish_reason"], &lines[0]["finished"]), (&json!("length"), &json!(false)));
    // The same keys of a text in both forms.
    folder.succeed(&["generate", "run", "--input", "in.txt", "--output", "out.jsonl", "--max-new-tokens", "1"]);
    let answers = fs::read_to_string(folder.path("out.jsonl")).unwrap();
    for (line, answer) in lines.iter().zip(answers.lines()) {
        let mut line = line.as_object().unwrap().clone();
        assert!(line.remove("rank").is_some() && line.remove("source").is_some());
        assert_eq!(Value::Object(line), serde_json::from_str::<Value>(answer).unwrap());
    }
    // What is unknown is shown.
    let told = folder.told(&["generate", "run", "1ß2"]);
    assert!(
        told.contains("a source with characters or words that are unknown") && told.contains("such as \"ß\""),
        "{told}"
    );
    // The empty one is no text that did not end.
    assert!(String::from_utf8_lossy(&output.stderr).contains("2 of 2 texts did not end"));
}

#[test]
fn long_sources_are_refused_or_split_and_never_cut() {
    let folder = Folder::new();
    let learned = [
        "model.decoder=transformer",
        "model.hidden=16",
        "model.transformer={heads = 2, position = \"learned\", max_length = 16}",
    ];
    let set = learned.iter().flat_map(|setting| ["--set", setting]);
    let recipe = ["train", "pairs.toml", "--run", "run", "--quiet", "--set", "train.steps=20"];
    let recipe = recipe.into_iter().chain(set).filter(|word| !word.is_empty());
    folder.write(
        "pairs.toml",
        common::PAIRS
            .replace("attention = \"general\"\n", "")
            .replace("embedding = 8\n", "")
            .replace("cell = \"gru\"\n", ""),
    );
    folder.succeed(&recipe.collect::<Vec<_>>());
    let long = "123 456. 789 012.  345 678. 9";
    let output = folder.run(&["generate", "run", "1", long, "2"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 3, "the others are answered");
    assert!(told.contains("1 line was not answered, line 2") && told.contains("has positions for 16"), "{told}");
    assert!(told.contains("--long-input split"), "{told}");
    // In parts, each alone is answered as in the whole, with what stands between them.
    let one = |text: &str| folder.succeed(&["generate", "run", text]).trim_end().to_owned();
    let split = folder.succeed(&["generate", "run", long, "--long-input", "split"]);
    assert_eq!(split.trim_end(), [&one("123 456."), " ", &one("789 012."), "  ", &one("345 678. 9")].concat());
    let window = folder.succeed(&["generate", "run", long, "--long-input", "window"]);
    assert_eq!(window.trim_end(), [&one("123 456. 789"), " ", &one("012.  345 678."), " ", &one("9")].concat());
    // Where nothing else helps, between characters.
    assert!(!folder.succeed(&["generate", "run", &"7".repeat(100), "--long-input", "split"]).trim().is_empty());
    folder.train("lm.toml", "lm", 3);
    // A prompt beyond the context is read from its end, and that is reported; or refused.
    let prompt = "x".repeat(100);
    let lm =
        ["--set", "model.decoder=transformer", "--set", "model.hidden=16", "--set", "model.transformer={heads = 2}"];
    folder.write(
        "lm.toml",
        common::LANGUAGE_MODEL.replace("cell = \"lstm\"\nembedding = 8\nhidden = 16\nlayers = 2\ndropout = 0.2\n", ""),
    );
    folder.succeed(&[&["train", "lm.toml", "--run", "context", "--quiet", "--set", "train.steps=3"][..], &lm].concat());
    let told = folder.told(&["generate", "context", &prompt, "--max-new-tokens", "2"]);
    assert!(told.contains("went beyond the 20 tokens"), "{told}");
    folder
        .fail(&["generate", "context", &prompt, "--long-input", "error"], &["the prompt has 101 tokens", "20 at once"]);
    folder.fail(&["generate", "lm", "x", "--long-input", "split"], &["encoder-decoders"]);
}
