//! Chat templates that come with a model from elsewhere are programs: whatever they do, it ends in an error that names
//! the template, and never ends the program.

mod common;
mod mutation;

use common::Folder;
use descant_text::{ChatTemplate, Message};
use mutation::survives;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What `generate --chat` says of a model with this template.
#[track_caller]
fn refused(folder: &Folder, template: &str, parts: &[&str]) {
    let _ = std::fs::remove_dir_all(folder.path("imported"));
    folder.write("model/chat_template.jinja", template);
    let start = Instant::now();
    let imported = folder.run(&["import", "model", "--run", "imported"]);
    let start_of: String = template.chars().take(100).collect();
    if imported.status.success() {
        let said = String::from_utf8_lossy(&imported.stderr);
        assert!(said.contains("the chat template cannot write a conversation"), "{start_of}: {said}");
        let error = folder.fail(&["generate", "imported", "--chat", "hello", "--max-length", "3"], parts);
        assert!(error.contains("the chat template"), "{start_of}: {error}");
    } else {
        let error = folder.fail(&["import", "model", "--run", "imported"], parts);
        assert!(error.contains("chat_template.jinja"), "{start_of}: {error}");
    }
    assert!(start.elapsed() < Duration::from_secs(60), "{start_of} takes {:?}", start.elapsed());
}

#[test]
fn a_template_cannot_end_the_program() {
    let folder = Folder::with_exported_llama();
    let refused = |template: &str, parts: &[&str]| refused(&folder, template, parts);
    // Panics.
    refused("{% for m in messages %}{{ loop.cycle() }}{% endfor %}", &["interpreter failed", "divisor of zero"]);
    // Values that hold themselves, or hold each other deeply.
    let deep = "nests too deeply";
    for print in ["{{ n }}", "{{ n|tojson }}", "{{ n == n }}", "{{ [n]|unique }}", "{{ n in [n] }}"] {
        refused(&format!("{{% set n = namespace() %}}{{% set n.me = n %}}{print}{{{{ 1/0 }}}}"), &[]);
    }
    refused("{% set n = namespace() %}{% set n.me = [n, n] %}{{ n }}", &[deep]);
    let nest = "{% set n = namespace(v=0) %}{% for i in range(90000) %}{% for j in range(6) %}{% set n.v = [n.v] %}{% endfor %}{% endfor %}";
    refused(&format!("{nest}{{{{ n.v }}}}{{{{ 1/0 }}}}"), &[]);
    // One that writes without end.
    refused("{% for i in range(99999) %}0123456789{% endfor %}", &["999990 bytes"]);
    // Sizes.
    refused("{{ messages|tojson(indent=3000000000) }}", &["indent"]);
    refused("{% set n = namespace(v='ab') %}{% for i in range(50) %}{% set n.v = n.v ~ n.v %}{% endfor %}", &[]);
    refused("{% set n = namespace(v=[7]) %}{% for i in range(50) %}{% set n.v = n.v + n.v %}{% endfor %}", &[]);
    refused(&["{% set v = 'abcd' %}", &"{% set v = v ~ v %}".repeat(40), "{{ v }}"].concat(), &[]);
    // Work.
    refused("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", &["fuel"]);
    refused("{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}", &["recursion"]);
    refused(&format!("{{{{ 1 }}}}{}", " ".repeat(70_000)), &["65536"]);
}

#[test]
fn a_long_template_is_read_or_refused() {
    let folder = Folder::with_exported_llama();
    let chain = |part: &str, count: usize| format!("{{{{ 1{} }}}}", part.repeat(count));
    let before = |part: &str, count: usize| format!("{{{{ {}1 }}}}", part.repeat(count));
    // As much as 64 KB hold.
    let templates = [
        before("-", 65_000),
        before("not ", 16_000),
        before("(", 65_000),
        before("[", 65_000),
        chain("+1", 32_000),
        chain("~1", 32_000),
        chain("**1", 21_000),
        chain(" and 1", 10_000),
        chain(" or 1", 13_000),
        chain("|abs", 16_000),
        chain("[0]", 21_000),
        chain(".a", 32_000),
        chain(" is odd", 9_000),
        chain(" if 1 else 1", 5_000),
        chain("<1", 32_000),
        format!("{{% if 0 %}}{}{{% endif %}}", "{% elif 0 %}".repeat(5_000)),
        "{% if 1 %}".repeat(6_000),
        "{% for i in [1] %}".repeat(3_000),
    ];
    for template in templates {
        let _ = std::fs::remove_dir_all(folder.path("imported"));
        folder.write("model/chat_template.jinja", &template);
        let ended = |arguments: &[&str]| {
            let output = folder.run(arguments);
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            let start_of: String = template.chars().take(60).collect();
            assert!(matches!(output.status.code(), Some(0 | 1)), "{start_of}: {} {error}", output.status);
            assert!(!error.contains("panicked") && error.len() < 1000, "{start_of}: {error}");
            output.status.success()
        };
        if ended(&["import", "model", "--run", "imported"]) {
            ended(&["generate", "imported", "--chat", "hello", "--max-length", "3"]);
        }
    }
}

#[test]
fn many_conversations_are_rendered_quickly() {
    let folder = Folder::new();
    let line = |i: usize| {
        format!(
            "{{\"messages\": [{{\"role\": \"user\", \"content\": \"{i}?\"}}, {{\"role\": \"assistant\", \"content\": \"{i}!\"}}]}}\n"
        )
    };
    folder.write("chat.jsonl", (0..20_000).map(line).collect::<String>());
    folder.write("chat.jinja", include_str!("../../../recipes/chatml.jinja"));
    let start = Instant::now();
    let set = ["data.train=chat.jsonl", "data.stream=false", "data.chat_template=chat.jinja", "train.steps=1"];
    let set = set.iter().flat_map(|setting| ["--set", setting]);
    folder.succeed(&["train", "lm.toml", "--run", "run", "--quiet"].into_iter().chain(set).collect::<Vec<_>>());
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    let error = {
        folder.write("chat.jinja", "{% for m in messages %}{{ loop.cycle() }}{% endfor %}");
        let set = ["data.train=chat.jsonl", "data.stream=false", "data.chat_template=chat.jinja", "train.steps=1"];
        let set = set.iter().flat_map(|setting| ["--set", setting]);
        folder.fail(&["train", "lm.toml", "--run", "bad", "--quiet"].into_iter().chain(set).collect::<Vec<_>>(), &[])
    };
    assert!(error.contains("chat.jsonl, line 1") && error.contains("divisor of zero"), "{error}");
}

#[test]
fn mutants() {
    descant_text::sandbox(PathBuf::from(env!("CARGO_BIN_EXE_descant")), "sandbox");
    let chatml = include_str!("../../../recipes/chatml.jinja");
    let many = "{%- set n = namespace(i=0, l=[]) -%}{% for m in messages %}{% if m.role == 'user' and loop.index is odd %}{{ '[' ~ m['content']|trim|upper ~ ']' }}{% elif not m.content.startswith('x') %}{{ m|tojson(indent=2) }}{% else %}{{ raise_exception('no') }}{% endif %}{% set n.i = n.i + 1 %}{% set n.l = n.l + [m.role] %}{% endfor %}{{ n.l|join(', ') }}{{ '%s' % n.i }}{% macro f(x) %}<{{ x }}>{% endmacro %}{{ f(range(3)|list|length) }}{{ messages[0:1][-1].content.split(' ')[0] * 3 }}";
    survives("template", [chatml, many].map(|text| text.as_bytes().to_vec()).to_vec(), |bytes| {
        let messages =
            [Message::new("user", "Hello there"), Message::new("assistant", "Hi"), Message::new("user", "x")];
        if let Ok(template) = ChatTemplate::new(&String::from_utf8_lossy(bytes)) {
            let _ = template.prompt(&messages);
            let _ = template.answers(&messages);
        }
    });
}
