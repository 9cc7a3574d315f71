//! Texts that are generated in several stretches: each obeys as one.

mod common;

use common::*;
use descant_batch::Sequences;
use descant_generate::{
    Begun, ConstrainedRow, Constraint, ConstraintState, DecodingBatch, DecodingOptions, FinishReason, ForcedEos,
    GenerationConfig, Hypothesis, StopCondition, TokenIds,
};
use descant_nn::Position;
use std::sync::Arc;

const MOST: usize = 9;

/// Texts whose tokens alternate between even and odd ones, and which have this token at their end where there is room for no other.
#[derive(Clone, Debug)]
struct Alternating {
    last: u32,
    tokens: Vec<u32>,
    limit: usize,
}

impl Constraint for Alternating {
    fn start(&self, row: &ConstrainedRow<'_>) -> Result<Box<dyn ConstraintState>, String> {
        Ok(Box::new(Self { limit: row.limit, ..self.clone() }))
    }
}

impl ConstraintState for Alternating {
    fn restrict(&mut self, scores: &mut [f64]) -> Result<(), String> {
        let parity = self.tokens.len() as u32 % 2;
        let is_forced = self.tokens.len() + 2 == self.limit;
        let is_allowed = |token: u32| if is_forced { token == self.last } else { token % 2 == parity };
        let forbidden = (0u32..).zip(scores).filter(|(token, _)| !is_allowed(*token));
        forbidden.for_each(|(_, score)| *score = f64::NEG_INFINITY);
        Ok(())
    }

    fn push(&mut self, token: u32) -> Result<(), String> {
        self.tokens.push(token);
        Ok(())
    }

    fn may_end(&mut self) -> bool {
        self.tokens.last() == Some(&self.last)
    }
}

/// What a model reads: with a condition and without.
struct Rows {
    with: Sequences,
    without: Sequences,
    are_sources: bool,
}

impl Rows {
    fn batch<'a>(&'a self, numbers: &'a [u64]) -> DecodingBatch<'a> {
        let (sources, prompts) = if self.are_sources { (Some(&self.with), None) } else { (None, Some(&self.with)) };
        let unconditional = Some(&self.without);
        DecodingBatch { rows: numbers, sources, prompts, unconditional, ..DecodingBatch::default() }
    }

    fn of(are_sources: bool) -> Vec<Self> {
        let without = sequences(&[&[3], &[8, 2, 5], &[2, 2, 7], &[5], &[6, 2, 3]]);
        let (with, without) = match are_sources {
            true => (sources(), without),
            false => (after_bos(&sources()), after_bos(&without)),
        };
        (0..with.len())
            .map(|row| Self { with: with.select(&[row]), without: without.select(&[row]), are_sources })
            .collect()
    }
}

fn whole(model: &Model, rows: &Rows, options: &DecodingOptions) -> Hypothesis {
    model.run(rows.batch(&[3]), options).unwrap().remove(0).remove(0)
}

/// The text in stretches of so many tokens.
fn in_stretches(model: &Model, rows: &Rows, options: &DecodingOptions, length: usize) -> Hypothesis {
    let (mut begun, mut pause) = (Begun::default(), length);
    loop {
        begun = begun.pausing_at(pause);
        let batch = DecodingBatch { begun: std::slice::from_ref(&begun), ..rows.batch(&[3]) };
        let found = model.run(batch, options).unwrap().remove(0).remove(0);
        if found.finish_reason != FinishReason::Length || found.tokens.len() < pause {
            return found;
        }
        assert_eq!(found.tokens.len(), pause);
        assert!(found.tokens.starts_with(&begun.tokens));
        begun = Begun::new(found.tokens, found.log_probability);
        pause += length;
    }
}

fn models() -> Vec<(Model, bool)> {
    let all = [attentive(12, 3), translator(layers(Position::Rotary), 12, 7)].map(|model| (model, true));
    let more = [language_model(12, 3), gpt(layers(Position::Alibi), 12, 5)].map(|model| (model, false));
    all.into_iter().chain(more).collect()
}

#[test]
fn a_text_in_stretches_is_the_text_in_one() {
    type Change = fn(&mut GenerationConfig);
    let changes: [Change; 7] = [
        |_| {},
        |c| c.min_new_tokens = Some(7),
        |c| (c.presence_penalty, c.frequency_penalty) = (Some(1.5), Some(0.5)),
        |c| c.begin_suppress_tokens = Some(TokenIds(vec![2, 4, 6, 8, 10])),
        |c| c.exponential_decay_length_penalty = Some((4, 1.5)),
        |c| c.forced_eos_token_id = Some(ForcedEos::Own(true)),
        |c| c.guidance_scale = Some(2.5),
    ];
    let contrastive = GenerationConfig::default().with(|c| (c.penalty_alpha, c.top_k) = (Some(0.6), Some(4)));
    let mut longer = 0;
    for (model, are_sources) in models() {
        for rows in Rows::of(are_sources) {
            for config in [GenerationConfig::greedy(), contrastive.clone()] {
                let is_greedy = config.penalty_alpha.is_none();
                for change in changes {
                    let config = config.clone().with(change);
                    if config.guidance_scale.is_some() && !is_greedy {
                        continue;
                    }
                    let plain = options(config, MOST);
                    let expected = whole(&model, &rows, &plain);
                    // What ends it stands on both sides of a pause.
                    let pair = expected.tokens.get(2..4).unwrap_or(&[7, 7]).to_vec();
                    let stops = move |_: &[u32], tokens: &[u32]| tokens.windows(2).any(|two| two == pair);
                    let stopped = plain.clone().with(|o| o.stop = Some(StopCondition(Arc::new(stops))));
                    let alternating = Alternating { last: 6, tokens: Vec::new(), limit: 0 };
                    let constrained = plain.clone().with(|o| o.constraints.push(Arc::new(alternating)));
                    for options in [plain, stopped, constrained] {
                        let expected = whole(&model, &rows, &options);
                        for length in [1, 3, 4] {
                            let found = in_stretches(&model, &rows, &options, length);
                            assert_eq!(found.finish_reason, expected.finish_reason, "{found:?} {expected:?}");
                            assert_same(&[found], std::slice::from_ref(&expected));
                        }
                        longer += usize::from(expected.tokens.len() > 4);
                    }
                }
            }
        }
    }
    assert!(longer > 100, "{longer}");
}

#[test]
fn a_text_that_is_begun_is_no_longer_than_any_other() {
    let model = gpt(layers(Position::Learned), 12, 3);
    let prompts = after_bos(&sequences(&[&[3, 4]]));
    let batch = DecodingBatch { rows: &[0], prompts: Some(&prompts), ..DecodingBatch::default() };
    let options = options(GenerationConfig::greedy().with(|c| c.min_new_tokens = Some(5)), 5);
    let begun = [Begun::new(vec![2, 3, 4, 5, 6], -1.5)];
    let found = model.run(DecodingBatch { begun: &begun, ..batch }, &options).unwrap().remove(0).remove(0);
    assert_eq!((&found.tokens, found.log_probability), (&begun[0].tokens, -1.5));
    assert_eq!(found.finish_reason, FinishReason::Length);
    // What is read slides; the text has all of it.
    let long = [Begun::new((0..20).map(|i| 2 + i % 9).collect(), 0.0)];
    let more = options.clone().with(|o| o.config.max_new_tokens = Some(30));
    let found = model.run(DecodingBatch { begun: &long, ..batch }, &more).unwrap().remove(0).remove(0);
    assert!(found.tokens.starts_with(&long[0].tokens) && found.tokens.len() > 20, "{found:?}");
    let twice = [Begun::default(), Begun::default()];
    let error = model.run(DecodingBatch { begun: &twice, ..batch }, &more).unwrap_err().to_string();
    assert!(error.contains("2 begun texts for 1 row"), "{error}");
}

#[test]
fn every_search_goes_on_and_counts_what_was_begun() {
    let prompt = [3, 4];
    // Recurrent ones cannot take drafts back.
    for model in language_models(12, 3).into_iter().skip(1) {
        let prompts = after_bos(&sequences(&[&prompt]));
        let batch = DecodingBatch { rows: &[7], prompts: Some(&prompts), ..DecodingBatch::default() };
        let tokens = vec![5, 2, 5, 2, 5];
        let begun = [Begun::new(tokens.clone(), model.score(None, &prompt, &tokens, false))];
        let lookup = |n| GenerationConfig::greedy().with(|c| c.prompt_lookup_num_tokens = n);
        let several = sample(None, None, 3).with(|c| c.num_return_sequences = Some(3));
        let mut greedy = Vec::new();
        for config in [lookup(None), lookup(Some(3)), several, beam(3, 0.0, 3)] {
            let is_greedy = config.do_sample == Some(false) && config.num_beams.is_none_or(|width| width == 1);
            let found = model.run(DecodingBatch { begun: &begun, ..batch }, &options(config, 10)).unwrap().remove(0);
            for one in &found {
                assert!(one.tokens.starts_with(&tokens) && one.tokens.len() <= 10, "{one:?}");
                let expected = model.score(None, &prompt, &one.tokens, one.is_finished());
                assert!((one.log_probability - expected).abs() < 1e-9, "{one:?} {expected}");
            }
            if is_greedy {
                greedy.push(found);
            }
        }
        // What prompt lookup drafts after it changes nothing.
        let [plain, drafted] = &greedy[..] else { panic!("{greedy:?}") };
        assert_same(plain, drafted);
    }
}
