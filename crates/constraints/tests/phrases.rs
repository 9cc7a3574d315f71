//! Required and forbidden phrases, terms and prefixes, from models that know nothing of them.

mod common;

use common::*;
use descant_constraints::{Phrases, Prefix, Terminology};
use descant_generate::{ConstrainedRow, Constraint, ConstraintState, FinishReason, GenerationConfig};
use descant_text::{BOS, Tokenizer, TokenizerKind};

const TEXTS: [&str; 5] = [
    "A man in a blue shirt is standing on a ladder, cleaning a window.",
    "Two young dogs are playing in the snow with a red ball.",
    "The women are cooking dinner at the table - they laugh, and the children run.",
    "A girl rides her horse over the hill; it's 12:30 o'clock!",
    "Several people walk along the street near the old church.",
];

/// Words, and a word that another begins with; a phrase, and one that is no word.
const PHRASES: [&str; 12] = [
    "man",
    "blue shirt",
    "ladder",
    "dogs",
    "dog",
    "snow",
    "red ball",
    "women",
    "her horse",
    "12:30",
    "!",
    "the old church",
];

fn searches() -> Vec<(&'static str, GenerationConfig)> {
    vec![
        ("greedy", GenerationConfig::greedy()),
        ("sampling", GenerationConfig::sampling(11)),
        ("beam 4", GenerationConfig::beam(4)),
        ("beam 10", GenerationConfig::beam(10).with(|c| c.num_return_sequences = Some(2))),
        ("contrastive", GenerationConfig::greedy().with(|c| (c.penalty_alpha, c.top_k) = (Some(0.5), Some(4)))),
    ]
}

/// Where a phrase stands in a text as whole words.
fn places(text: &str, phrase: &str) -> Vec<usize> {
    let joins =
        |a: Option<char>, b: Option<char>| a.is_some_and(char::is_alphanumeric) && b.is_some_and(char::is_alphanumeric);
    let is_whole = |at: &usize| {
        let (before, after) = (&text[..*at], &text[at + phrase.len()..]);
        !joins(before.chars().next_back(), phrase.chars().next())
            && !joins(phrase.chars().next_back(), after.chars().next())
    };
    text.match_indices(phrase).map(|(at, _)| at).filter(is_whole).collect()
}

fn draw_some(draw: &mut Draw, most: usize) -> Vec<&'static str> {
    let mut some: Vec<&str> = (0..1 + draw.below(most)).map(|_| draw.of(&PHRASES)).collect();
    some.dedup();
    some
}

#[test]
fn a_thousand_of_a_thousand_texts_have_what_is_required_and_nothing_forbidden() {
    let mut draw = Draw(3);
    let mut rows = 0;
    for kind in [
        TokenizerKind::Character,
        TokenizerKind::Bpe,
        TokenizerKind::ByteBpe,
        TokenizerKind::Unigram,
        TokenizerKind::Wordpiece,
    ] {
        let tokenizer = tokenizer(kind, &TEXTS);
        let none = Phrases::new(&tokenizer).unwrap();
        for (search, config) in searches() {
            for model in models(tokenizer.vocabulary()) {
                let mut all: Vec<(Vec<&str>, Vec<&str>, bool)> = Vec::new();
                let mut constraints = Vec::new();
                for _ in 0..14 {
                    let (required, ordered) = (draw_some(&mut draw, 3), draw.chance(40));
                    let forbidden: Vec<&str> = draw_some(&mut draw, 2)
                        .into_iter()
                        .filter(|one| !required.iter().any(|other| other.contains(one)))
                        .collect();
                    let phrases =
                        required.iter().try_fold(none.clone(), |phrases, one| phrases.require(&[one])).unwrap();
                    let phrases = forbidden.iter().try_fold(phrases, |phrases, one| phrases.forbid(one)).unwrap();
                    constraints.push(if ordered { phrases.in_order() } else { phrases });
                    all.push((required, forbidden, ordered));
                }
                let numbers: Vec<u64> = (0..all.len() as u64).collect();
                let found = model.write(&numbers, &config, 80, ByRow(constraints));
                for ((required, forbidden, ordered), found) in all.iter().zip(found) {
                    rows += 1;
                    for one in found {
                        let text = tokenizer.decode(&one.tokens).unwrap();
                        let what = format!("{kind}, {search}, {}: {text:?}, {required:?}, {forbidden:?}", model.name);
                        assert_ne!(one.finish_reason, FinishReason::NoToken, "{what}");
                        let mut after = 0;
                        for phrase in required {
                            let places = places(&text, phrase);
                            let place = places.iter().find(|at| !ordered || **at >= after);
                            after = place.unwrap_or_else(|| panic!("{phrase:?} is missing: {what}")) + phrase.len();
                        }
                        for phrase in forbidden {
                            assert!(places(&text, phrase).is_empty(), "{phrase:?} is there: {what}");
                        }
                    }
                }
            }
        }
    }
    assert!(rows > 1000, "{rows}");
}

#[test]
fn one_of_the_alternatives_is_there() {
    for kind in [TokenizerKind::Bpe, TokenizerKind::Character] {
        let tokenizer = tokenizer(kind, &TEXTS);
        let alternatives = ["dogs", "dog", "red ball"];
        for (search, config) in searches() {
            for model in models(tokenizer.vocabulary()) {
                let phrases = Phrases::new(&tokenizer).unwrap().require(&alternatives).unwrap();
                for one in model.write(&[0, 1, 2], &config, 40, phrases).iter().flatten() {
                    let text = tokenizer.decode(&one.tokens).unwrap();
                    assert!(alternatives.iter().any(|one| !places(&text, one).is_empty()), "{search}: {text:?}");
                }
            }
        }
    }
}

#[test]
fn terms_are_required_where_their_source_has_them() {
    let tokenizer = tokenizer(TokenizerKind::Bpe, &TEXTS);
    let list = "man\twomen\nblue shirt\tred ball\told church\n\nshirt\tsnow\ndog\thill\n";
    let terms = Terminology::parse(list, &tokenizer, &tokenizer).unwrap();
    let source = |text: &str| tokenizer.encode(text).unwrap();
    let wanted = |text: &str| {
        let source = source(text);
        let row = ConstrainedRow::new(0, Some(&source), &[1], 50);
        let state: Box<dyn ConstraintState> = terms.start(&row).unwrap();
        let mut first: Vec<u32> = state.wanted();
        first.sort_unstable();
        first
    };
    let of = |phrases: &[&str]| {
        let first = phrases.iter().map(|one| tokenizer.encode(one).unwrap()[0]);
        let mut first: Vec<u32> = first.collect();
        first.sort_unstable();
        first
    };
    assert_eq!(wanted("A man in a blue shirt."), of(&["women", "red ball", "old church"]));
    assert!(wanted("Two dogs in the snow").is_empty());
    let missing = || terms.missing().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!((terms.len(), missing()), (4, vec!["shirt".to_owned(), "dog".to_owned()]), "the longest first");
    assert_eq!(wanted("man, man and a shirt"), of(&["women", "snow"]));
    assert_eq!(missing(), ["dog"]);
    // At the start of a sentence, but not within a word; a name has its capital, and is another term where both are listed.
    for (list, text, expected) in [
        ("several people\thill\nthe\tsnow\n", "Several people walk", &["hill"][..]),
        ("several people\thill\nthe\tsnow\n", "The women, the hill", &["snow"]),
        ("several people\thill\nthe\tsnow\n", "they walk together", &[]),
        ("Two\tsnow\ntwo\thill\nThe\tman\n", "Two dogs on the hill", &["snow"]),
        ("Two\tsnow\ntwo\thill\nThe\tman\n", "two dogs", &["hill"]),
    ] {
        let (terms, source) = (Terminology::parse(list, &tokenizer, &tokenizer).unwrap(), source(text));
        let mut first = terms.start(&ConstrainedRow::new(0, Some(&source), &[1], 50)).unwrap().wanted();
        first.sort_unstable();
        assert_eq!(first, of(expected), "{text}");
    }
    for (list, says) in [
        ("man", "line 1 of the terms: expected a term, a tab, and its translation"),
        (
            "man\t我们",
            "there is no term in it that can be used: line 1: \"我们\" is required, but the vocabulary cannot write",
        ),
        ("dog\tdogs\ndog\tman", "line 2 of the terms: \"dog\" is there twice"),
    ] {
        let error = Terminology::parse(list, &tokenizer, &tokenizer).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    let terms = Terminology::parse("dog\tdogs\nman\t我们", &tokenizer, &tokenizer).unwrap();
    assert_eq!(terms.len(), 1);
    let [warning] = terms.warnings() else { panic!("one warning") };
    assert!(warning.starts_with("1 of 2 terms are left out, such as line 2: \"我们\" is required"), "{warning}");
}

#[test]
fn texts_start_with_the_prefix() {
    for kind in TokenizerKind::ALL {
        let tokenizer: Tokenizer = tokenizer(kind, &TEXTS);
        let text = if kind == TokenizerKind::Word { "Two young" } else { "Two young dogs, a" };
        for (search, config) in searches() {
            for model in models(tokenizer.vocabulary()).into_iter().filter(|model| model.has_sources) {
                let prefix = Prefix::new(&tokenizer, text).unwrap();
                for one in model.write(&[0, 1], &config, 40, prefix).iter().flatten() {
                    let found = tokenizer.decode(&one.tokens).unwrap();
                    assert!(found.starts_with(text), "{kind}, {search}: {found:?}");
                }
            }
        }
    }
    let tokenizer = tokenizer(TokenizerKind::Bpe, &TEXTS);
    let error = Prefix::new(&tokenizer, "A 我").unwrap_err().to_string();
    assert!(error.contains("the prefix \"A 我\" has \"我\", which the vocabulary cannot write"), "{error}");
}

#[test]
fn phrases_that_cannot_be_are_refused() {
    let tokenizer = tokenizer(TokenizerKind::Bpe, &TEXTS);
    let none = Phrases::new(&tokenizer).unwrap();
    let conflict = none.clone().require(&["the old church"]).unwrap().forbid("old").unwrap_err().to_string();
    assert!(conflict.contains("\"the old church\" is required and has \"old\" in it"), "{conflict}");
    // Part of a word is no conflict.
    assert!(none.clone().require(&["dogs"]).unwrap().forbid("dog").is_ok());
    for (error, says) in [
        (none.clone().require(&["我"]).unwrap_err(), "the vocabulary cannot write \"我\" in it"),
        (none.clone().require(&[" "]).unwrap_err(), "a required phrase is empty"),
        (none.clone().require(&["red", ""]).unwrap_err(), "a required phrase is empty"),
        (none.clone().forbid("").unwrap_err(), "a forbidden phrase is empty"),
    ] {
        assert!(error.to_string().contains(says), "{error}");
    }
    let some = none.clone().require(&["dog", "我", "dogs"]).unwrap();
    assert_eq!(
        some.warnings(),
        ["\"我\" is required, but the vocabulary cannot write \"我\" in it. The alternatives remain"]
    );
    let long = none.require(&["a man in a blue shirt is standing on a ladder"]).unwrap();
    let row = ConstrainedRow::new(0, None, &[1], 3);
    let error = long.start(&row).unwrap_err();
    assert!(error.contains("more than the 3 that the text may have"), "{error}");
}

/// The same tokenizer, which writes all texts in lower case.
fn in_lower_case(tokenizer: &Tokenizer) -> Tokenizer {
    let mut json: serde_json::Value = serde_json::from_str(&tokenizer.to_json().unwrap()).unwrap();
    let own = json["normalizer"].take();
    let lower = serde_json::json!({"type": "Lowercase"});
    json["normalizer"] =
        if own.is_null() { lower } else { serde_json::json!({"type": "Sequence", "normalizers": [lower, own]}) };
    Tokenizer::from_json(json.to_string().as_bytes(), None).unwrap()
}

/// The first tokens that are allowed.
fn allowed(constraint: &dyn Constraint, row: &ConstrainedRow<'_>, entries: usize) -> Vec<bool> {
    let mut scores = vec![0.0; entries];
    constraint.start(row).unwrap().restrict(&mut scores).unwrap();
    scores.iter().map(|score| *score == 0.0).collect()
}

#[test]
fn what_is_compared_with_texts_is_written_as_the_vocabulary_does() {
    let plain = tokenizer(TokenizerKind::Character, &TEXTS.map(str::to_lowercase).each_ref().map(String::as_str));
    let lower = in_lower_case(&plain);
    let terms = Terminology::parse("Blue SHIRT\tman\n", &lower, &plain).unwrap();
    let source = lower.encode("A man in a blue Shirt.").unwrap();
    let row = ConstrainedRow::new(0, Some(&source), &[1], 50);
    assert_eq!(terms.start(&row).unwrap().wanted().len(), 2, "after a space, and at the start");
    let other = lower.encode("A man in a Blues shirt.").unwrap();
    assert!(terms.start(&ConstrainedRow::new(0, Some(&other), &[1], 50)).unwrap().wanted().is_empty());
    let terms = Terminology::parse("dog\tdogs\n我\tman\n", &lower, &plain).unwrap();
    let told = terms.warnings().join("\n");
    assert!(told.contains("line 2: no source has \"我\": its vocabulary does not have \"我\""), "{told}");
    // Both have what is forbidden in lower case.
    let phrases = Phrases::new(&lower).unwrap();
    let conflict = phrases.clone().require(&["the old church"]).unwrap().forbid("OLD").unwrap_err().to_string();
    assert!(conflict.contains("has \"old\" in it, which is forbidden"), "{conflict}");
    let phrases = phrases.forbid("Dog").unwrap();
    let prompt = [&[1], &plain.encode("a do").unwrap()[..]].concat();
    let row = ConstrainedRow::new(0, None, &prompt, 50);
    let g = plain.encode("g").unwrap()[0] as usize;
    assert!(!allowed(&phrases, &row, plain.vocabulary())[g]);
}

#[test]
fn a_prompt_is_part_of_the_text() {
    let tokenizer = tokenizer(TokenizerKind::Bpe, &TEXTS);
    let after = |text: &str| [&[1], &tokenizer.encode(text).unwrap()[..]].concat();
    let first = |text: &str| tokenizer.encode_continuation(text).unwrap()[0] as usize;
    let of = |prompt: &[u32], constraint: &dyn Constraint| {
        allowed(constraint, &ConstrainedRow::new(0, None, prompt, 50), tokenizer.vocabulary())
    };
    let forbidden = Phrases::new(&tokenizer).unwrap().forbid("red ball").unwrap().forbid("ball").unwrap();
    // A word of which the prompt has a part, and the end of a longer word.
    for (prompt, next, is_allowed) in [("a red bal", "l", false), ("a bal", "l", false), ("a redbal", "l", true)] {
        assert_eq!(of(&after(prompt), &forbidden)[first(next)], is_allowed, "{prompt}|{next}");
    }
    // No space before the prefix within a word.
    let prefix = Prefix::new(&tokenizer, "dder").unwrap();
    let allowed = of(&after("a la"), &prefix);
    assert_eq!(allowed.iter().filter(|allowed| **allowed).count(), 1);
    let tokens: Vec<u32> = tokenizer.encode_continuation("dder").unwrap();
    assert!(allowed[tokens[0] as usize]);
    assert_eq!(tokenizer.decode(&[&after("a la")[1..], &tokens].concat()).unwrap(), "a ladder");
    // At the start, as a text of its own.
    assert!(of(&[1], &prefix)[tokenizer.encode("dder").unwrap()[0] as usize]);
}

#[test]
fn words_are_required_of_vocabularies_without_a_space() {
    for (texts, has_separators) in [(["paris-london", "rome_oslo"], true), (["parislondon", "romeoslo"], false)] {
        let tokenizer = tokenizer(TokenizerKind::Character, &texts);
        for (search, config) in searches() {
            for model in models(tokenizer.vocabulary()) {
                let phrases = Phrases::new(&tokenizer).unwrap().require(&["oslo"]).unwrap();
                for one in model.write(&[0, 1, 2], &config, 12, phrases.clone()).iter().flatten() {
                    let text = tokenizer.decode(&one.tokens).unwrap();
                    assert_eq!(places(&text, "oslo").len().min(1), 1, "{search}, {}: {text:?}", model.name);
                    assert!(has_separators || text == "oslo", "{text:?}");
                }
                let both = phrases.require(&["rome"]).unwrap();
                if has_separators {
                    for one in model.write(&[0, 1, 2], &config, 12, both).iter().flatten() {
                        let text = tokenizer.decode(&one.tokens).unwrap();
                        let has = |word| !places(&text, word).is_empty();
                        assert!(has("oslo") && has("rome"), "{search}, {}: {text:?}", model.name);
                    }
                } else {
                    let error = both.start(&ConstrainedRow::new(0, None, &[1], 30)).unwrap_err();
                    assert!(error.contains("\"oslo\", \"rome\": a text can have 1 of these words"), "{error}");
                }
            }
        }
    }
}

#[test]
fn a_required_word_is_known_in_whatever_tokens_it_has() {
    let tokenizer = tokenizer(TokenizerKind::Bpe, &TEXTS);
    let bytes = tokenizer.token_bytes().unwrap();
    let token = |text: &str| (0..bytes.len() as u32).find(|&id| bytes.get(id, false) == Some(text.as_bytes())).unwrap();
    let spelled = |text: &str| text.chars().map(|c| token(&c.to_string())).collect::<Vec<_>>();
    assert!(tokenizer.encode("a dog").unwrap().len() < 4);
    let dog = Phrases::new(&tokenizer).unwrap().require(&["dog"]).unwrap();
    let state = |phrases: &Phrases, prompt: &str, text: &str, limit: usize| {
        let prompt = [vec![BOS], spelled(prompt)].concat();
        let mut state = phrases.start(&ConstrainedRow::new(0, None, &prompt, limit)).unwrap();
        spelled(text).into_iter().for_each(|token| state.push(token).unwrap());
        state
    };
    for (prompt, text, is_met) in [
        ("", "dog", true),
        ("", "a dog", true),
        ("a ", "dog", true),
        ("", "a dog, a", true),
        ("", "a dogs", false),
        ("", "a dogs dog", true),
        ("", "sdog", false),
        ("s", "dog", false),
        ("a dog", " a", false),
        ("a d", "og", false),
    ] {
        assert_eq!(state(&dog, prompt, text, 30).may_end(), is_met, "{prompt:?}, {text:?}");
    }
    // It may become another word as long as there is room for it after that.
    for (limit, may_go_on) in [(30, true), (7, false)] {
        let mut scores = vec![0.0; bytes.len()];
        state(&dog, "", "a dog", limit).restrict(&mut scores).unwrap();
        assert_eq!(scores[token("s") as usize] == 0.0, may_go_on, "{limit}");
        assert_eq!(scores[token(",") as usize], 0.0, "{limit}");
    }
    let both = dog.require(&["a man", "!"]).unwrap().in_order();
    for (text, is_met) in
        [("a man dog", false), ("dog a man", true), ("dog!", true), ("! dog", false), ("dog a", false)]
    {
        assert_eq!(state(&both, "", text, 30).may_end(), is_met, "{text:?}");
    }
}
