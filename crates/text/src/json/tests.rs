use super::*;

fn pair(prompt: &str, completion: &str) -> Record {
    let [prompt, completion] = [prompt, completion].map(str::to_owned);
    Record::Pair { system: None, prompt, completion, rejected: None }
}

#[test]
fn the_usual_keys_are_read() {
    let parse = |json: &str| Record::parse(json, None, &Annotations::default()).unwrap().record;
    assert_eq!(parse(r#"{"text": "a\nb"}"#), Record::Text("a\nb".to_owned()));
    assert_eq!(parse(r#"{"completion": "b", "prompt": ""}"#), pair("", "b"));
    for names in ["\"source\": \"a\", \"target\"", "\"prompt\": \"a\", \"target\"", "\"source\": \"a\", \"completion\""]
    {
        assert_eq!(parse(&format!("{{{names}: \"b\"}}")), pair("a", "b"));
    }
    assert_eq!(parse(r#"{"instruction": "do", "output": "b"}"#), pair("do", "b"));
    assert_eq!(parse(r#"{"instruction": "do", "input": "", "output": "b"}"#), pair("do", "b"));
    assert_eq!(parse(r#"{"instruction": "do", "input": "it", "output": "b"}"#), pair("do\n\nit", "b"));
    let of = |text: &str| text.to_owned();
    let system = Some("s".to_owned());
    let system = Record::Pair { system, prompt: of("a"), completion: of("b"), rejected: None };
    let preference =
        Record::Pair { system: None, prompt: of("a"), completion: of("b"), rejected: Some("c".to_owned()) };
    assert_eq!(parse(r#"{"prompt": "a", "chosen": "b", "rejected": "c"}"#), preference);
    assert_eq!(parse(r#"{"rejected": "c", "source": "a", "chosen": "b"}"#), preference);
    assert_eq!(parse(r#"{"system": "s", "prompt": "a", "completion": "b"}"#), system);
    let said = r#"{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "weight": 0},
        {"role": "assistant", "content": "c", "weight": 1}]}"#;
    let messages = [("user", "a", true), (ASSISTANT, "b", false), (ASSISTANT, "c", true)];
    let messages = messages.map(|(role, content, learned)| (Message::new(role, content), learned));
    assert_eq!(parse(said), Record::Messages(messages.to_vec()));
}

#[test]
fn what_is_not_read_is_named() {
    for (json, part) in [
        (r#"{"prompt": "a"}"#, "\"completion\" is missing"),
        (r#"{"source": "a"}"#, "\"target\" is missing"),
        (r#"{"prompt": "a", "chosen": "b"}"#, "\"rejected\" is missing"),
        (r#"{"prompt": "a", "rejected": "b"}"#, "\"chosen\" is missing"),
        (r#"{"chosen": "a", "rejected": "b"}"#, "\"prompt\" is missing"),
        (r#"{"prompt": "a", "chosen": "b", "rejectd": "c"}"#, "\"rejectd\": did you mean \"rejected\"?"),
        (r#"{"prompt": "a", "chosen": "b", "rejected": "c", "completion": "d"}"#, "\"completion\""),
        (r#"{"prompt": "a", "chosen": [{"role": "user"}], "rejected": "c"}"#, "\"chosen\" is a list"),
        (r#"{"target": "a"}"#, "\"source\" is missing"),
        (r#"{"source": "a", "prompt": "b", "target": "c"}"#, "\"source\", which is not read beside \"prompt\""),
        (r#"{"source": "a", "target": "b", "completion": "c"}"#, "\"target\""),
        (r#"{"source": "a", "taget": "b"}"#, "\"taget\": did you mean \"target\"?"),
        (r#"{"instruction": "a", "target": "b"}"#, "\"target\": did you mean \"output\"?"),
        (r#"{"prompt": "a", "completion": null}"#, "\"completion\" is null"),
        (r#"{"prompt": 1, "completion": "b"}"#, "\"prompt\" is a number"),
        (r#"{"prompt": "a", "completion": "b", "id": 1}"#, "\"id\""),
        (r#"{"prompt": "a", "prompt": "b", "completion": "b"}"#, "\"prompt\" twice"),
        (r#"{"messages": [{"role": "user", "content": "a", "content": "b"}]}"#, "\"content\" twice"),
        (r#"{"prompt": "a", "completion": "b", "messages": []}"#, "\"prompt\""),
        (r#"{"text": "a", "output": "b"}"#, "\"text\""),
        (r#"{"conversations": [], "id": 3}"#, "\"conversations\" (did you mean \"messages\"?), \"id\""),
        (r#"{"prompt": "a", "completon": "b"}"#, "\"completon\": did you mean \"completion\"?"),
        (r#"{"Prompt": "a", "completion": "b"}"#, "\"Prompt\": did you mean \"prompt\"?"),
        (r#"{"question": "a", "completion": "b"}"#, "\"question\": did you mean \"prompt\"?"),
        (r#"{"instruction": "a", "ouput": "b"}"#, "\"ouput\": did you mean \"output\"?"),
        (r#"{"instruction": "a", "response": "b"}"#, "\"response\": did you mean \"output\"?"),
        (r#"{"mesages": []}"#, "\"mesages\" (did you mean \"messages\"?)"),
        (r#"{"txt": "a"}"#, "\"txt\" (did you mean \"text\"?)"),
        (r#"{"messages": [{"rol": "user", "content": "a"}]}"#, "\"rol\": did you mean \"role\"?"),
        (r#"{"messages": [{"from": "user", "value": "a"}]}"#, "message 1 has the key \"from\": did you mean \"role\"?"),
        (r#"{"messages": [{"role": "user", "contents": "a"}]}"#, "\"contents\": did you mean \"content\"?"),
        (r#"{"messages": [{"role": "asistant", "content": "a"}]}"#, "\"asistant\": did you mean \"assistant\"?"),
        (r#"{"messages": [{"role": "User", "content": "a"}]}"#, "\"User\": did you mean \"user\"?"),
        ("{}", "none"),
        ("[1]", "expected an object"),
        ("3", "expected an object"),
        (r#"{"text": "a"} {"text": "b"}"#, "not JSON"),
        (r#"{"text": "a \ud83d b"}"#, "not JSON"),
        (r#"{"messages": {}}"#, "expected a list"),
        (r#"{"messages": [1]}"#, "message 1 is a number"),
        (r#"{"messages": [{"role": "user"}]}"#, "\"content\" of message 1 is missing"),
        (r#"{"messages": [{"role": "user", "content": null}]}"#, "\"content\" of message 1 is null"),
        (
            r#"{"messages": [{"role": "user", "content": [{"type": "text"}]}]}"#,
            "\"text\" in the \"content\" of message 1 is missing",
        ),
        (r#"{"messages": [{"role": "user", "content": "a", "weight": 0}]}"#, "\"weight\" of message 1"),
        (r#"{"messages": [{"role": "assistant", "content": "a", "weight": 0.5}]}"#, "\"weight\" of message 1"),
        (r#"{"messages": [{"role": "assistant", "content": "a", "tool_calls": []}]}"#, "\"tool_calls\""),
    ] {
        let error = Record::parse(json, None, &Annotations::default()).expect_err(json);
        assert!(error.contains(part), "{json}: {error}");
    }
}

#[test]
fn a_list_gives_the_same_objects_as_lines_do() {
    let folder = tempfile::tempdir().unwrap();
    let all = |text: &str| {
        let path = folder.path().join("a.json");
        std::fs::write(&path, text).unwrap();
        let mut objects = Objects::open(&path)?;
        let wrong = |line, reason| TextError::Example { path: path.clone(), line, reason };
        let mut found = Vec::new();
        while let Some(line) = objects.next(wrong)? {
            let text = match line {
                Line::Text(text) => serde_json::from_str::<Value>(&text).map_or(text, |value| value.to_string()),
                Line::Large => "large".to_owned(),
            };
            found.push((text, objects.number()));
        }
        Ok::<_, TextError>(found)
    };
    let one = r#"{"a":"[{\"\\"}"#;
    let two = r#"{"b":[{"c":"漢,]"}]}"#;
    let expected = |lines: [u64; 2]| [(one.to_owned(), lines[0]), (two.to_owned(), lines[1])];
    assert_eq!(all(&format!("{one}\n\n{two}\n")).unwrap(), expected([1, 3]));
    assert_eq!(all(&format!("\u{feff}[{one},{two}]")).unwrap(), expected([1, 1]));
    assert_eq!(all(&format!("\n[\n{one},\n{two}\n]\n")).unwrap(), expected([3, 4]));
    let spread = two.replace(':', " :\n ");
    assert_eq!(all(&format!("[{one}\n , {spread} ]")).unwrap(), expected([1, 2]));
    let large = format!("{{\"c\":\"{}\"}}", "x".repeat(LONGEST_OBJECT));
    let found = all(&format!("[{one},{large}\n,{two}]")).unwrap();
    assert_eq!(found[1], ("large".to_owned(), 1));
    assert_eq!(found[2], (two.to_owned(), 2));
    for wrong in ["[", "[{}", "[{} {}]", "[1]", "[{}] x", "[,{}]", "[{},]", "[{\"a\":1]"] {
        assert!(matches!(all(wrong), Err(TextError::Example { line: 1, .. })), "{wrong} {:?}", all(wrong));
    }
    assert_eq!(all("[]").unwrap(), []);
}
