//! Grammars in GBNF, compared with an interpreter of their own: it follows every way to read a text, and has no lexer.

mod common;

use common::*;
use descant_constraints::{Grammar, Vocabulary};
use descant_generate::{ConstrainedRow, Constraint, ConstraintState, GenerationConfig};
use descant_text::{Tokenizer, TokenizerKind};
use std::collections::{BTreeSet, HashMap};

/// A part of a rule.
enum Part {
    Text(Vec<char>),
    Class(Vec<(char, char)>, bool),
    Rule(String),
    Repeat(Box<Part>, usize, usize),
    Sequence(Vec<Part>),
    Choice(Vec<Part>),
}

/// Reads GBNF of one line a rule, and only what these tests write.
struct Interpreter(HashMap<String, Part>);

impl Interpreter {
    fn new(grammar: &str) -> Self {
        let rule = |line: &str| {
            let (name, body) = line.split_once("::=").unwrap();
            let mut rest: Vec<char> = body.chars().rev().collect();
            let part = choice(&mut rest);
            assert!(rest.is_empty(), "{line}: {rest:?}");
            (name.trim().to_owned(), part)
        };
        Self(grammar.lines().filter(|line| !line.trim().is_empty()).map(rule).collect())
    }

    fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        self.ends(&self.0["root"], &text, 0).contains(&text.len())
    }

    /// Where a part of the text may end that starts here.
    fn ends(&self, part: &Part, text: &[char], at: usize) -> BTreeSet<usize> {
        match part {
            Part::Text(own) if text[at..].starts_with(own) => BTreeSet::from([at + own.len()]),
            Part::Class(ranges, negated) => match text.get(at) {
                Some(next) if ranges.iter().any(|(a, b)| (a..=b).contains(&next)) != *negated => {
                    BTreeSet::from([at + 1])
                }
                _ => BTreeSet::new(),
            },
            Part::Text(_) => BTreeSet::new(),
            Part::Rule(name) => self.ends(&self.0[name], text, at),
            Part::Choice(parts) => parts.iter().flat_map(|part| self.ends(part, text, at)).collect(),
            Part::Sequence(parts) => {
                parts.iter().fold(BTreeSet::from([at]), |starts, part| self.all(part, text, &starts))
            }
            Part::Repeat(part, least, most) => {
                let mut starts = BTreeSet::from([at]);
                let mut ends = BTreeSet::new();
                for count in 0..=*most {
                    if count >= *least {
                        let known = ends.len();
                        ends.extend(&starts);
                        if ends.len() == known && count > *least {
                            break;
                        }
                    }
                    starts = self.all(part, text, &starts);
                }
                ends
            }
        }
    }

    fn all(&self, part: &Part, text: &[char], starts: &BTreeSet<usize>) -> BTreeSet<usize> {
        starts.iter().flat_map(|&at| self.ends(part, text, at)).collect()
    }
}

/// What is left is in reverse.
fn choice(rest: &mut Vec<char>) -> Part {
    let mut parts = vec![sequence(rest)];
    while rest.last() == Some(&'|') {
        rest.pop();
        parts.push(sequence(rest));
    }
    Part::Choice(parts)
}

fn sequence(rest: &mut Vec<char>) -> Part {
    let mut parts = Vec::new();
    loop {
        while rest.last() == Some(&' ') {
            rest.pop();
        }
        let part = match rest.last() {
            None | Some('|' | ')') => return Part::Sequence(parts),
            Some('(') => {
                rest.pop();
                let inner = choice(rest);
                assert_eq!(rest.pop(), Some(')'));
                inner
            }
            Some('"') => {
                rest.pop();
                let mut text = Vec::new();
                while rest.last() != Some(&'"') {
                    text.push(character(rest));
                }
                rest.pop();
                Part::Text(text)
            }
            Some('[') => {
                rest.pop();
                let negated = rest.last() == Some(&'^');
                rest.truncate(rest.len() - usize::from(negated));
                let mut ranges = Vec::new();
                while rest.last() != Some(&']') {
                    let first = character(rest);
                    let is_range = rest.last() == Some(&'-') && rest[rest.len() - 2] != ']';
                    let last = if is_range { rest.pop().map_or(first, |_| character(rest)) } else { first };
                    ranges.push((first, last));
                }
                rest.pop();
                Part::Class(ranges, negated)
            }
            Some(_) => {
                let mut name = String::new();
                while let Some(next) = rest.pop_if(|next| next.is_alphanumeric()) {
                    name.push(next);
                }
                Part::Rule(name)
            }
        };
        parts.push(match rest.last() {
            Some('*') => repeat(rest, part, 0, usize::MAX),
            Some('+') => repeat(rest, part, 1, usize::MAX),
            Some('?') => repeat(rest, part, 0, 1),
            Some('{') => {
                let inner: String = rest.iter().rev().skip(1).take_while(|next| **next != '}').collect();
                rest.truncate(rest.len() - inner.len() - 1);
                let (least, most) = inner.split_once(',').unwrap_or((&inner, &inner));
                let most = if most.is_empty() { usize::MAX } else { most.parse().unwrap() };
                repeat(rest, part, least.parse().unwrap(), most)
            }
            _ => part,
        });
    }
}

/// Takes the sign of a repetition.
fn repeat(rest: &mut Vec<char>, part: Part, least: usize, most: usize) -> Part {
    rest.pop();
    Part::Repeat(Box::new(part), least, most)
}

fn character(rest: &mut Vec<char>) -> char {
    match rest.pop().unwrap() {
        '\\' => match rest.pop().unwrap() {
            'n' => '\n',
            't' => '\t',
            'x' => {
                let hex: String = [rest.pop().unwrap(), rest.pop().unwrap()].iter().collect();
                char::from(u8::from_str_radix(&hex, 16).unwrap())
            }
            other => other,
        },
        other => other,
    }
}

fn start(grammar: &Grammar) -> Box<dyn ConstraintState> {
    grammar.start(&ConstrainedRow::new(0, Some(&[3]), &[1], 100)).unwrap()
}

/// Which tokens may come next.
fn allowed(state: &mut dyn ConstraintState, entries: usize) -> Vec<bool> {
    let mut scores = vec![0.0; entries];
    state.restrict(&mut scores).unwrap();
    scores.iter().map(|score| *score == 0.0).collect()
}

/// Whether these tokens are a text of the grammar.
fn accepts(grammar: &Grammar, tokens: &[u32], entries: usize) -> bool {
    let mut state = start(grammar);
    let all_are_allowed = tokens.iter().all(|&token| {
        let is_allowed = allowed(&mut *state, entries)[token as usize];
        is_allowed && state.push(token).is_ok()
    });
    all_are_allowed && state.may_end()
}

/// All texts of a grammar that have at most `left` more characters of these.
fn collect(
    mut state: Box<dyn ConstraintState>,
    (alphabet, entries): (&[(char, u32)], usize),
    text: &str,
    left: usize,
    found: &mut BTreeSet<String>,
) {
    let next = allowed(&mut *state, entries);
    if state.may_end() {
        found.insert(text.to_owned());
    }
    for &(character, token) in alphabet.iter().filter(|(_, token)| left > 0 && next[*token as usize]) {
        let mut longer = state.clone();
        longer.push(token).unwrap();
        collect(longer, (alphabet, entries), &format!("{text}{character}"), left - 1, found);
    }
}

/// A random body of a rule, which may name these rules.
fn body(draw: &mut Draw, rules: &[&str], depth: usize) -> String {
    let atoms = ["\"a\"", "\"b\"", "\"ab\"", "\"\"", "[ab]", "[^a]", "\"ä\"", "\"ö\" \"a\"", "[b-z]", "\"ba\""];
    let mut alternatives = Vec::new();
    for _ in 0..1 + draw.below(3) {
        let mut parts = Vec::new();
        for _ in 0..draw.below(4) {
            let atom = match draw.below(4) {
                0 if depth > 0 => format!("({})", body(draw, rules, depth - 1)),
                1 if !rules.is_empty() => draw.of(rules).to_owned(),
                _ => draw.of(&atoms).to_owned(),
            };
            // Not on a row of atoms, of which the sign would take the last.
            let sign = if atom.contains("\" \"") {
                ""
            } else {
                draw.of(&["", "", "", "*", "+", "?", "{1,2}", "{2}", "{2,}", "{3,}"])
            };
            parts.push(format!("{atom}{sign}"));
        }
        // GBNF goes on in the next line after a sign of alternatives.
        alternatives.push(if parts.is_empty() { "\"\"".to_owned() } else { parts.join(" ") });
    }
    alternatives.join(" | ")
}

#[test]
fn a_grammar_has_the_texts_that_its_interpreter_has() {
    let mut draw = Draw(5);
    let tokenizer = tokenizer(TokenizerKind::Character, &["abäö()", "z"]);
    let vocabulary = Vocabulary::new(&tokenizer).unwrap();
    let alphabet = ['a', 'b', 'ä', 'ö', '(', ')'].map(|c| (c, tokenizer.encode(&c.to_string()).unwrap()[0]));
    let most = 4;
    let mut all = vec![String::new()];
    let mut last = all.clone();
    for _ in 0..most {
        last = last.iter().flat_map(|text| alphabet.iter().map(move |(c, _)| format!("{text}{c}"))).collect();
        all.extend_from_slice(&last);
    }
    let mut texts = 0;
    for _ in 0..200 {
        // Rules that name those before them, and the root in brackets.
        let rules = [("x", body(&mut draw, &[], 1)), ("y", body(&mut draw, &["x"], 1))];
        let inner = body(&mut draw, &["x", "y"], 1);
        let nested = draw.of(&["\"(\" root \")\"", "\"(\" root \")\" x", "y \"(\" root? \")\"", "x"]);
        let root = format!("root ::= {inner} | {nested}");
        let grammar = rules.iter().fold(root, |all, (name, body)| format!("{all}\n{name} ::= {body}"));
        let interpreter = Interpreter::new(&grammar);
        let expected: BTreeSet<String> = all.iter().filter(|text| interpreter.matches(text)).cloned().collect();
        let mut found = BTreeSet::new();
        match Grammar::parse(&vocabulary, &grammar) {
            Ok(read) => {
                collect(start(&read), (&alphabet, tokenizer.vocabulary()), "", most, &mut found);
                assert_eq!(found, expected, "{grammar}");
            }
            Err(error) => panic!("{grammar}: {error}"),
        }
        texts += found.len();
    }
    assert!(texts > 2000, "{texts}");
}

/// JSON in the manner of llama.cpp: white space belongs to what is before it, and may be empty.
const JSON: &str = r##"root ::= object
value ::= object | array | string | number | ("true" | "false" | "null") ws
object ::= "{" ws ( string ":" ws value ( "," ws string ":" ws value )* )? "}" ws
array ::= "[" ws ( value ( "," ws value )* )? "]" ws
string ::= "\"" ( [^"\\\x7F\x00-\x1F] | "\\" ( ["\\bfnrt] | "u" [0-9a-fA-F]{4} ) )* "\"" ws
number ::= ( "-"? ( [0-9] | [1-9] [0-9]{0,15} ) ) ( "." [0-9]+ )? ( [eE] [-+]? [0-9] [1-9]{0,15} )? ws
ws ::= | " " | "\n" [ \t]{0,20}
"##;

const TEXTS: [&str; 5] = [
    r#"{"name": "the quick brown fox", "age": 42, "tags": ["a", "b"], "x": null}"#,
    r#"{"id":-17.5e3,"ok":true,"no":false,"list":[1,2,3],"empty":{}}"#,
    r#"größe \n \" \\ (a|b)* [c] + ? . / @ : ; ' = < > & % # ! ~ ^ $"#,
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ abcdefghijklmnopqrstuvwxyz 0123456789",
    "{\n  \"street\": \"Main Street 12\",\n  \"city\": \"K\u{f6}ln\"\n}",
];

#[test]
fn json_with_white_space_that_may_be_empty() {
    let interpreter = Interpreter::new(JSON);
    let texts = [
        r#"{}"#,
        r#"{ "a": [1, -2.5e+3 , {"b": "c\"\u00e4"}] }"#,
        "{\n\t\"a\": [\n  ], \"b\": null }\n",
        r#"{"a":[[[]]],"":0}"#,
        // What is none of its texts.
        r#"{"a" :1 , "b"}"#,
        r#"{"a":  1}"#,
        r#"{"a":01}"#,
        r#"[1]"#,
        r#"{"a":"\x"}"#,
        r#"{"a":1}}"#,
    ];
    let is_text: Vec<bool> = texts.iter().map(|text| interpreter.matches(text)).collect();
    assert_eq!(is_text, [true, true, true, true, false, false, false, false, false, false]);
    for kind in KINDS {
        let tokenizer: Tokenizer = tokenizer(kind, &TEXTS);
        let grammar = Grammar::parse(&Vocabulary::new(&tokenizer).unwrap(), JSON).unwrap();
        for (text, is_text) in texts.iter().zip(&is_text) {
            let tokens = tokenizer.encode(text).unwrap();
            let kept = tokenizer.decode(&tokens).unwrap();
            // A vocabulary without bytes has not all characters.
            if kept == *text {
                assert_eq!(accepts(&grammar, &tokens, tokenizer.vocabulary()), *is_text, "{kind}: {text}");
            }
        }
        let (mut finished, rows) = (0, (0..30).collect::<Vec<u64>>());
        for config in [GenerationConfig::sampling(3), GenerationConfig::beam(4)] {
            for model in models(tokenizer.vocabulary()) {
                for one in model.write(&rows, &config, 120, grammar.clone()).iter().flatten() {
                    if one.is_finished() {
                        let text = tokenizer.decode(&one.tokens).unwrap();
                        assert!(interpreter.matches(&text), "{kind}: {text:?}");
                        finished += 1;
                    }
                }
            }
        }
        assert!(finished > 20, "{kind}: {finished}");
    }
}

/// A byte that a piece writes too is no other way to write it, such as for alternatives at a position; part of a character without a piece is.
#[test]
fn bytes_are_for_what_no_piece_writes() {
    let plain = tokenizer(TokenizerKind::Bpe, &TEXTS);
    let mut json: serde_json::Value = serde_json::from_str(&plain.to_json().unwrap()).unwrap();
    let entries = plain.vocabulary();
    for (i, byte) in ["<0x22>", "<0xC3>"].into_iter().enumerate() {
        json["model"]["vocab"][byte] = (entries + i).into();
    }
    json["model"]["byte_fallback"] = true.into();
    let own = json["decoder"].take();
    json["decoder"] =
        serde_json::json!({"type": "Sequence", "decoders": [own, {"type": "ByteFallback"}, {"type": "Fuse"}]});
    let with_bytes = Tokenizer::from_json(json.to_string().as_bytes(), None).unwrap();
    let vocabulary = Vocabulary::new(&with_bytes).unwrap();
    let first = |regex: &str| allowed(&mut *start(&Grammar::regex(&vocabulary, regex).unwrap()), entries + 2);
    assert_eq!(first("\"a\"")[entries..], [false, false]);
    assert!(first("\"a\"").contains(&true));
    assert_eq!(first("ö")[entries..], [false, true]);
}

/// Where `▁` writes nothing at the start of a text, a space there is that of the next token: the token of its byte is not needed for it.
#[test]
fn a_space_at_the_start_needs_no_token_of_a_byte() {
    let vocab = ["<unk>", "<s>", "</s>", "<0x20>", "▁", "a", "▁a"];
    let vocab: HashMap<&str, usize> = vocab.into_iter().enumerate().map(|(id, token)| (token, id)).collect();
    let json = serde_json::json!({
        "version": "1.0",
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true},
            {"type": "ByteFallback"}, {"type": "Fuse"},
        ]},
        "model": {"type": "BPE", "vocab": vocab, "merges": [["▁", "a"]], "unk_token": "<unk>", "byte_fallback": true},
    });
    let tokenizer = Tokenizer::from_json(json.to_string().as_bytes(), None).unwrap();
    let grammar = Grammar::regex(&Vocabulary::new(&tokenizer).unwrap(), " a+").unwrap();
    assert!(accepts(&grammar, &[4, 6, 5], 7));
    assert_eq!(tokenizer.decode(&[4, 6, 5]).unwrap(), " aa");
    // Without it, there is no space.
    assert!(!accepts(&grammar, &[6, 5], 7));
}

/// As many rules as a program writes from a list of words; and rules that name each other so deep that a stack would not hold them.
#[test]
fn a_grammar_may_have_very_many_rules() {
    const COUNT: usize = 20_000;
    const DEEP: usize = 10_000;
    let tokenizer = tokenizer(TokenizerKind::Character, &["abc();w0123456789"]);
    let vocabulary = Vocabulary::new(&tokenizer).unwrap();
    let entries = tokenizer.vocabulary();
    let is_text = |grammar: &Grammar, text: &str| accepts(grammar, &tokenizer.encode(text).unwrap(), entries);
    let all: Vec<String> = (0..COUNT).map(|i| format!("r{i}")).collect();
    let words: String = (0..COUNT).map(|i| format!("r{i} ::= \"w{i};\"\n")).collect();
    let words = format!("root ::= (w \"a\")+\nw ::= {}\n{words}", all.join(" | "));
    let grammar = Grammar::parse(&vocabulary, &words).unwrap();
    for (text, is_one) in [("w17;aw19999;a", true), ("w20000;a", false), ("w17;", false), ("w017;a", false)] {
        assert_eq!(is_text(&grammar, text), is_one, "{text}");
    }
    let chain: String = (0..DEEP).map(|i| format!("r{i} ::= \"b\" r{} \"w\" | \"c\"\n", i + 1)).collect();
    let chain = format!("root ::= \"a\" r0 | \"b\"\n{chain}r{DEEP} ::= \"c\"\n");
    let grammar = Grammar::parse(&vocabulary, &chain).unwrap();
    for (text, is_one) in [("b", true), ("ac", true), ("abbbcwww", true), ("abbbcww", false), ("abw", false)] {
        assert_eq!(is_text(&grammar, text), is_one, "{text}");
    }
    // The same in Lark, as a user may write it, with groups or without; and more than the library can number.
    let lark = |count: usize, groups: usize| {
        let (open, close) = ("(".repeat(groups), ")".repeat(groups));
        let rule = |i: usize| format!("r{i}: {open}\"b\" r{} \"w\"{close} | \"c\"\n", i + 1);
        let rules: String = (0..count).map(rule).collect();
        format!("start: \"a\" r0 | \"b\"\n{rules}r{count}: \"c\"\n")
    };
    assert!(is_text(&Grammar::parse(&vocabulary, &lark(DEEP, 0)).unwrap(), "abbcww"));
    assert!(is_text(&Grammar::parse(&vocabulary, &lark(2000, 25)).unwrap(), "abbcww"));
    let error = Grammar::parse(&vocabulary, &lark(70_000, 0)).unwrap_err().to_string();
    assert!(error.contains("more than 65,000 rules"), "{error}");
}
