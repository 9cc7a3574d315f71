//! Constraints of encoder-decoders whose configuration forces tokens, as those of BART and mBART do.

mod common;

use common::*;
use descant_constraints::{Grammar, Phrases, Prefix, Vocabulary};
use descant_generate::{
    ConstrainedRow, Constraint, ConstraintState, FinishReason, ForcedEos, GenerationConfig, TokenIds,
};
use descant_text::{BOS, TokenizerKind};
use std::sync::Arc;

const TEXTS: [&str; 3] = ["Two young dogs, a red ball", "the old church, in 1234 or 567", "{\"a\": 89} or [0]"];

/// One of several kinds of constraints.
#[derive(Clone, Debug)]
struct Shared(Arc<dyn Constraint>);

impl Constraint for Shared {
    fn start(&self, row: &ConstrainedRow<'_>) -> Result<Box<dyn ConstraintState>, String> {
        self.0.start(row)
    }
}

fn searches() -> [GenerationConfig; 3] {
    [GenerationConfig::greedy(), GenerationConfig::sampling(11), GenerationConfig::beam(4)]
}

#[test]
fn a_text_begins_after_the_tokens_that_are_forced_before_it() {
    for kind in KINDS {
        let tokenizer = tokenizer(kind, &TEXTS);
        let vocabulary = Vocabulary::new(&tokenizer).unwrap();
        let phrases = Phrases::new(&tokenizer).unwrap();
        let grammar = |gbnf: &str| Arc::new(Grammar::parse(&vocabulary, gbnf).unwrap()) as Arc<dyn Constraint>;
        type IsValid = fn(&str) -> bool;
        let constraints: [(Arc<dyn Constraint>, IsValid); 6] = [
            (Arc::new(Prefix::new(&tokenizer, "Two young").unwrap()), |text| text.starts_with("Two young")),
            (Arc::new(phrases.clone().require(&["Two dogs"]).unwrap()), |text| text.contains("Two dogs")),
            (Arc::new(phrases.forbid("a").unwrap()), |text| {
                text.split(|c: char| !c.is_alphanumeric()).all(|word| word != "a")
            }),
            (Arc::new(Grammar::regex(&vocabulary, "[0-9]{3} dogs").unwrap()), |text| {
                text.len() == 8 && text.ends_with(" dogs")
            }),
            (Arc::new(Grammar::json_schema(&vocabulary, "{\"enum\": [89, 1234]}").unwrap()), |text| {
                ["89", "1234"].contains(&text)
            }),
            (grammar("root ::= \"the \" [a-d]\n"), |text| text.starts_with("the ") && text.len() == 5),
        ];
        for config in searches() {
            let config = config.with(|c| {
                (c.forced_bos_token_id, c.forced_eos_token_id) = (Some(TokenIds(vec![BOS])), Some(ForcedEos::Own(true)))
            });
            for model in models(tokenizer.vocabulary()).into_iter().filter(|model| model.has_sources) {
                for (constraint, is_valid) in &constraints {
                    for one in model.write(&[0, 1, 2], &config, 40, Shared(constraint.clone())).iter().flatten() {
                        assert_eq!(one.tokens[0], BOS, "{kind}, {constraint:?}: {one:?}");
                        let text = tokenizer.decode(&one.tokens).unwrap();
                        assert!(is_valid(&text), "{kind}, {constraint:?}: {text:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_text_that_may_not_end_at_the_limit_is_cut_there() {
    let tokenizer = tokenizer(TokenizerKind::Character, &TEXTS);
    let vocabulary = Vocabulary::new(&tokenizer).unwrap();
    for config in searches() {
        let config = config.with(|c| c.forced_eos_token_id = Some(ForcedEos::Own(true)));
        for model in models(tokenizer.vocabulary()) {
            let regex = Grammar::regex(&vocabulary, "[0-9]{3} dogs").unwrap();
            for found in model.write(&[0, 1, 2], &config, 6, regex) {
                let text = tokenizer.decode(&found[0].tokens).unwrap();
                assert_eq!((text[3..].to_owned(), found[0].finish_reason), (" do".to_owned(), FinishReason::Length));
            }
        }
    }
}

#[test]
fn forced_tokens_that_write_something_are_continued() {
    let tokenizer = tokenizer(TokenizerKind::Bpe, &TEXTS);
    let source = [3, 4];
    let written = |text: &str| [&[BOS], &tokenizer.encode(text).unwrap()[..]].concat();
    let first = |prompt: &[u32], constraint: &dyn Constraint| {
        let mut scores = vec![0.0; tokenizer.vocabulary()];
        constraint.start(&ConstrainedRow::new(0, Some(&source), prompt, 50)).unwrap().restrict(&mut scores).unwrap();
        scores.iter().position(|score| *score == 0.0).unwrap() as u32
    };
    let prefix = Prefix::new(&tokenizer, "dogs").unwrap();
    // After the decoder's start token, whatever it writes, a text begins.
    for start in [BOS, tokenizer.encode("ball").unwrap()[0]] {
        assert_eq!(first(&[start], &prefix), tokenizer.encode("dogs").unwrap()[0]);
    }
    assert_eq!(first(&written("Two"), &prefix), tokenizer.encode_continuation("dogs").unwrap()[0]);
}
