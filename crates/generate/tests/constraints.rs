//! Constraints of one's own, in every search.

mod common;

use common::*;
use descant_generate::{
    ConstrainedRow, Constraint, ConstraintState, DecodingBatch, DecodingOptions, FinishReason, GenerationConfig,
    Hypothesis, RowError, StopCondition, TokenIds,
};
use std::sync::Arc;

/// Texts of a list.
#[derive(Debug)]
struct OneOf(Arc<Vec<Vec<u32>>>);

#[derive(Clone, Debug)]
struct Begun {
    list: Arc<Vec<Vec<u32>>>,
    tokens: Vec<u32>,
}

impl Constraint for OneOf {
    fn start(&self, _: &ConstrainedRow<'_>) -> Result<Box<dyn ConstraintState>, String> {
        Ok(Box::new(Begun { list: self.0.clone(), tokens: Vec::new() }))
    }
}

impl ConstraintState for Begun {
    fn restrict(&mut self, scores: &mut [f64]) -> Result<(), String> {
        let next: Vec<u32> =
            self.list.iter().filter_map(|text| text.strip_prefix(&self.tokens[..])?.first().copied()).collect();
        let forbidden = (0u32..).zip(scores).filter(|(token, _)| !next.contains(token));
        forbidden.for_each(|(_, score)| *score = f64::NEG_INFINITY);
        Ok(())
    }

    fn push(&mut self, token: u32) -> Result<(), String> {
        self.tokens.push(token);
        Ok(())
    }

    fn may_end(&mut self) -> bool {
        self.list.contains(&self.tokens)
    }
}

/// Texts with all of these tokens in them, forced where there is room for no others; and how many tokens are left.
#[derive(Clone, Debug)]
struct With(Vec<u32>, usize);

impl Constraint for With {
    fn start(&self, row: &ConstrainedRow<'_>) -> Result<Box<dyn ConstraintState>, String> {
        match self.0.len() < row.limit {
            true => Ok(Box::new(Self(self.0.clone(), row.limit))),
            false => Err(format!("row {}: there is no room for {:?}", row.number, self.0)),
        }
    }
}

impl ConstraintState for With {
    fn restrict(&mut self, scores: &mut [f64]) -> Result<(), String> {
        if self.0.len() + 1 >= self.1 && !self.0.is_empty() {
            let forbidden = (0u32..).zip(scores).filter(|(token, _)| !self.0.contains(token));
            forbidden.for_each(|(_, score)| *score = f64::NEG_INFINITY);
        }
        Ok(())
    }

    fn push(&mut self, token: u32) -> Result<(), String> {
        self.1 -= 1;
        self.0.retain(|wanted| *wanted != token);
        Ok(())
    }

    fn may_end(&mut self) -> bool {
        self.0.is_empty()
    }

    fn wanted(&self) -> Vec<u32> {
        self.0.clone()
    }

    fn progress_with(&self, token: u32) -> usize {
        100 - self.0.iter().filter(|wanted| **wanted != token).count()
    }
}

fn constrained(config: GenerationConfig, most: usize, constraint: impl Constraint + 'static) -> DecodingOptions {
    options(config, most).with(|o| o.constraints = vec![Arc::new(constraint)])
}

fn list() -> Arc<Vec<Vec<u32>>> {
    let two = (2..8).flat_map(|a| (2..6).map(move |b| vec![a, b, (a * b) % 9 + 2]));
    Arc::new(two.chain([vec![5], vec![3, 3, 3, 3, 3]]).collect())
}

#[test]
fn a_beam_as_wide_as_the_list_finds_the_best_of_it() {
    for model in [attentive(12, 3), translator(layers(descant_nn::Position::Learned), 12, 8)] {
        let sources = sources();
        let list = list();
        let found = model.write(&sources, &constrained(beam(40, 0.0, 3), 9, OneOf(list.clone())));
        for (row, found) in found.iter().enumerate() {
            let score = |text: &Vec<u32>| {
                let one = Hypothesis {
                    tokens: text.clone(),
                    score: 0.0,
                    log_probability: 0.0,
                    finish_reason: FinishReason::Eos,
                };
                model.score_without(&[], sources.get(row), &one)
            };
            let mut scored: Vec<(f64, &Vec<u32>)> = list.iter().map(|text| (score(text), text)).collect();
            scored.sort_by(|a, b| b.0.total_cmp(&a.0));
            for (one, (score, text)) in found.iter().zip(&scored) {
                assert_eq!((&one.tokens, one.finish_reason), (*text, FinishReason::Eos));
                assert!((one.log_probability - score).abs() < 1e-9, "{one:?}: {score}");
            }
        }
    }
}

#[test]
fn no_search_leaves_the_list() {
    let greedy = GenerationConfig::greedy();
    let contrastive = greedy.clone().with(|c| (c.penalty_alpha, c.top_k) = (Some(0.6), Some(4)));
    let drawn = beam(4, 1.0, 4).with(|c| c.do_sample = Some(true));
    let diverse = beam(6, 1.0, 4).with(|c| (c.num_beam_groups, c.diversity_penalty) = (Some(3), Some(0.5)));
    let several = sample(None, None, 5).with(|c| c.num_return_sequences = Some(6));
    let forced = beam(4, 1.0, 2).with(|c| c.forced_eos_token_id = Some(descant_generate::ForcedEos::Own(true)));
    let tokens = beam(3, 1.0, 3).with(|c| c.ranking = Some(descant_generate::Ranking::Tokens));
    let configs =
        [greedy, sample(Some(3), Some(0.8), 4), several, beam(4, 1.0, 4), drawn, diverse, contrastive, forced, tokens];
    let list = list();
    let check = |found: Vec<Vec<Hypothesis>>, what: &str| {
        for one in found.into_iter().flatten() {
            let is_begun = list.iter().any(|text| text.starts_with(&one.tokens));
            assert!(is_begun, "{what}: {one:?}");
            assert_eq!(one.is_finished(), one.finish_reason == FinishReason::Eos, "{what}: {one:?}");
            assert!(!one.is_finished() || list.contains(&one.tokens), "{what}: {one:?}");
        }
    };
    for config in configs {
        for most in [4, 9] {
            let options = constrained(config.clone(), most, OneOf(list.clone()));
            for model in pairs() {
                check(model.write(&sources(), &options), &format!("{config:?}"));
            }
            for model in language_models(12, 5) {
                check(model.resume(&sources(), &options), &format!("{config:?}"));
            }
        }
    }
}

#[test]
fn a_model_without_eos_ends_where_the_list_does() {
    let options = constrained(sample(None, None, 7), 9, OneOf(list())).with(|o| o.forbidden = vec![EOS]);
    for one in language_model(12, 3).resume(&sources(), &options).into_iter().flatten() {
        assert_eq!(one.finish_reason, FinishReason::Complete, "{one:?}");
        assert!(list().contains(&one.tokens), "{one:?}");
    }
    // Where nothing may come next and the text may not end, it is stuck.
    let impossible = Arc::new(vec![vec![4, 77]]);
    for config in [sample(None, None, 7), GenerationConfig::greedy(), beam(3, 1.0, 1)] {
        let (model, prompts) = (language_model(12, 3), after_bos(&sources()));
        let rows: Vec<u64> = (0..prompts.len() as u64).collect();
        let batch = DecodingBatch { rows: &rows, prompts: Some(&prompts), ..DecodingBatch::default() };
        let error = model.run(batch, &constrained(config, 9, OneOf(impossible.clone()))).unwrap_err();
        assert!(matches!(&error, RunError::Row(RowError::Unmet { tokens }) if tokens == &[4]), "{error}");
    }
    // A text of several that comes to no end is none the worse for the others, which come first in a beam search.
    let list = Arc::new(vec![vec![4, 77], vec![5]]);
    let beams = language_model(12, 3).resume(&sources(), &constrained(beam(4, 1.0, 4), 9, OneOf(list.clone())));
    assert!(beams.iter().all(|found| (&found[0].tokens[..], found[0].finish_reason) == (&[5], FinishReason::Eos)));
    let drawn = sample(None, None, 7).with(|c| (c.num_return_sequences, c.temperature) = (Some(32), Some(5.0)));
    let drawn = language_model(12, 3).resume(&sources(), &constrained(drawn, 9, OneOf(list)));
    let count = |reason| drawn.iter().flatten().filter(|one| one.finish_reason == reason).count();
    assert!(count(FinishReason::Eos) > 0 && count(FinishReason::Unmet) > 0, "{drawn:?}");
}

#[test]
fn a_stop_string_ends_a_text_only_where_it_may_end() {
    let stop = StopCondition(Arc::new(|_: &[u32], tokens: &[u32]| tokens.contains(&3)));
    for config in [sample(None, None, 2), GenerationConfig::greedy(), beam(4, 1.0, 4)] {
        let list = Arc::new(vec![vec![3, 4, 5], vec![5, 3], vec![2, 2, 3, 2]]);
        let options = constrained(config, 9, OneOf(list.clone())).with(|o| o.stop = Some(stop.clone()));
        let found = language_model(12, 3).resume(&sources(), &options);
        for one in found.into_iter().flatten() {
            assert!(one.is_finished() && list.contains(&one.tokens), "{one:?}");
        }
    }
}

#[test]
fn what_a_constraint_wants_is_in_every_text_of_a_beam() {
    for width in [2, 4, 8] {
        for model in pairs() {
            let wanted = [7, 4, 10];
            let found = model.write(&sources(), &constrained(beam(width, 1.0, 2), 12, With(wanted.to_vec(), 0)));
            for one in found.iter().filter_map(|found| found.first()) {
                assert!(wanted.iter().all(|token| one.tokens.contains(token)), "{width}: {one:?}");
            }
        }
    }
    let options = constrained(beam(2, 1.0, 1), 3, With(vec![2, 3, 4], 0));
    let input =
        DecodingBatch { rows: &[8], sources: Some(&sequences(&[&[3, 4]])), prompts: None, ..DecodingBatch::default() };
    let error = attentive(12, 3).run(input, &options).unwrap_err().to_string();
    assert!(error.contains("row 8: there is no room for [2, 3, 4]"), "{error}");
}

#[test]
fn rows_have_constraints_of_their_own_beside_those_of_all() {
    let sources = sources();
    let with = |tokens: &[u32]| Arc::new(With(tokens.to_vec(), 0)) as Arc<dyn Constraint>;
    let own: Vec<Vec<Arc<dyn Constraint>>> =
        (0..sources.len()).map(|row| if row % 2 == 0 { vec![with(&[4, 10])] } else { Vec::new() }).collect();
    let rows: Vec<u64> = (0..sources.len() as u64).collect();
    for model in pairs() {
        for config in [beam(4, 1.0, 1), GenerationConfig::greedy()] {
            for of_all in [Vec::new(), vec![with(&[7])]] {
                let is_free = of_all.is_empty();
                let options = options(config.clone(), 12).with(|o| o.constraints = of_all);
                let input = DecodingBatch { rows: &rows, sources: Some(&sources), ..DecodingBatch::default() };
                let together = DecodingBatch { constraints: &own, ..input };
                for (row, found) in model.rows(together, &options).unwrap().iter().enumerate() {
                    // As if it were alone, with its constraint among those of the options; an error where both are in each other's way.
                    let mut alone = options.clone();
                    alone.constraints.extend(own[row].iter().cloned());
                    let alone = &model.rows(input, &alone).unwrap()[row];
                    assert_eq!(format!("{found:?}"), format!("{alone:?}"), "row {row}");
                    let has = |token| found.as_ref().is_ok_and(|found| found[0].tokens.contains(token));
                    assert!(!is_free || row % 2 == 1 || [4, 10].iter().all(has), "row {row}: {found:?}");
                }
            }
        }
    }
}

#[test]
fn what_a_constraint_wants_is_scored_as_the_others_are() {
    let config = beam(4, 0.0, 3).with(|c| {
        (c.do_sample, c.temperature, c.top_k, c.seed) = (Some(true), Some(0.5), Some(2), Some(3));
    });
    let sources = sources();
    for model in pairs() {
        let found = model.write(&sources, &constrained(config.clone(), 12, With(vec![7, 4, 10], 0)));
        let mut compared = 0;
        for (row, found) in found.iter().enumerate() {
            for one in found {
                // By the definition: what is drawn from has each score divided by the temperature.
                let expected = model.score_without(&[], sources.get(row), one) / 0.5;
                assert!((one.log_probability - expected).abs() < 1e-6, "{one:?}: {expected}");
                compared += 1;
            }
        }
        assert!(compared > 0);
    }
}

#[test]
fn what_has_all_that_is_wanted_is_not_lost_before_it_ends() {
    let (sources, mut compared) = (sources(), 0);
    for model in pairs() {
        let write = |limit: usize| {
            let found = model.write(&sources, &constrained(beam(6, 0.0, 1), limit, With(vec![7, 4], 0)));
            found.into_iter().map(|mut found| found.swap_remove(0))
        };
        // A text that ends early is there with more room too: it is not filled up with what is likely until the tokens are forced.
        for (short, long) in write(8).zip(write(40)).filter(|(short, _)| short.is_finished()) {
            assert!(long.log_probability > short.log_probability - 1e-9, "{short:?}, {long:?}");
            compared += 1;
        }
    }
    assert!(compared > 5, "{compared}");
}

/// A configuration of each search.
fn searches() -> Vec<GenerationConfig> {
    let greedy = GenerationConfig::greedy();
    let contrastive = greedy.clone().with(|c| (c.penalty_alpha, c.top_k) = (Some(0.6), Some(4)));
    let drawn = beam(4, 1.0, 2).with(|c| c.do_sample = Some(true));
    let tokens = beam(3, 1.0, 2).with(|c| c.ranking = Some(descant_generate::Ranking::Tokens));
    vec![greedy, sample(None, None, 4), beam(4, 1.0, 2), drawn, tokens, contrastive]
}

#[test]
fn tokens_that_are_forced_before_a_text_are_none_of_it() {
    let list = list();
    for (config, forced) in searches().into_iter().flat_map(|config| [(config.clone(), vec![9]), (config, vec![11, 7])])
    {
        let config = config.with(|c| c.forced_bos_token_id = Some(TokenIds(forced.clone())));
        let with = [7, 4, 10];
        for model in pairs() {
            for one in model.write(&sources(), &constrained(config.clone(), 9, OneOf(list.clone()))).concat() {
                let text = one.tokens.strip_prefix(&forced[..]).unwrap();
                assert!(one.is_finished() && list.iter().any(|other| other == text), "{config:?}: {one:?}");
            }
            // What is required comes after them, in what the limit leaves: these tokens, and EOS.
            let limit = forced.len() + with.len() + 1;
            for one in model.write(&sources(), &constrained(config.clone(), limit, With(with.to_vec(), 0))).concat() {
                let text = one.tokens.strip_prefix(&forced[..]).unwrap();
                assert!(with.iter().all(|token| text.contains(token)), "{config:?}: {one:?}");
            }
            let rows: Vec<u64> = (0..sources().len() as u64).collect();
            let input = DecodingBatch { rows: &rows, sources: Some(&sources()), ..DecodingBatch::default() };
            let error = model.run(input, &constrained(config.clone(), limit - 1, With(with.to_vec(), 0))).unwrap_err();
            assert!(error.to_string().contains("there is no room"), "{error}");
        }
    }
}

#[test]
fn a_forced_eos_ends_no_text_that_may_not_end() {
    for config in searches() {
        let config = config.with(|c| c.forced_eos_token_id = Some(descant_generate::ForcedEos::Own(true)));
        // Of what cannot end at the limit, what is there; of what can, EOS rather than what may follow.
        for (list, text, reason) in [
            (vec![vec![3, 3, 3, 3, 3]], [3, 3, 3].as_slice(), FinishReason::Length),
            (vec![vec![3, 4], vec![3, 4, 6, 5, 5]], &[3, 4], FinishReason::Eos),
        ] {
            let options = constrained(config.clone(), 3, OneOf(Arc::new(list)));
            let found = pairs().iter().flat_map(|model| model.write(&sources(), &options)).collect::<Vec<_>>();
            let more = language_models(12, 5);
            let more = more.iter().flat_map(|model| model.resume(&sources(), &options));
            for found in found.into_iter().chain(more) {
                assert_eq!((&found[0].tokens[..], found[0].finish_reason), (text, reason), "{config:?}");
            }
        }
    }
}

#[test]
fn a_stop_string_ends_a_text_where_it_may_end_also_if_that_is_later() {
    // It knows the last token alone.
    let stop = StopCondition(Arc::new(|_: &[u32], tokens: &[u32]| tokens.last() == Some(&3)));
    let list = Arc::new(vec![vec![3, 4, 5], vec![3, 4, 5, 6, 7], vec![3, 4, 5, 8]]);
    for config in searches() {
        let options = constrained(config.clone(), 9, OneOf(list.clone())).with(|o| o.stop = Some(stop.clone()));
        for model in pairs() {
            for found in model.write(&sources(), &options) {
                let ended = (&found[0].tokens[..], found[0].finish_reason);
                assert_eq!(ended, (&[3, 4, 5][..], FinishReason::StopString), "{config:?}");
            }
            // Also if it had one before it went on.
            let begun = [descant_generate::Begun::new(vec![3, 4], -1.0)];
            let source = sequences(&[&[2, 6]]);
            let input = DecodingBatch { rows: &[0], sources: Some(&source), begun: &begun, ..DecodingBatch::default() };
            for found in model.run(input, &options).unwrap() {
                let ended = (&found[0].tokens[..], found[0].finish_reason);
                assert_eq!(ended, (&[3, 4, 5][..], FinishReason::StopString), "{config:?}");
            }
        }
    }
}

#[test]
fn a_stop_condition_knows_the_prompt() {
    // Ends where the text repeats the last token of its prompt.
    let stop = StopCondition(Arc::new(|prompt: &[u32], tokens: &[u32]| prompt.last() == tokens.last()));
    let mut stopped = 0;
    for config in searches() {
        let free = options(config.clone(), 20);
        let ended = free.clone().with(|o| o.stop = Some(stop.clone()));
        for model in language_models(12, 5) {
            for (row, found) in model.resume(&sources(), &ended).iter().enumerate() {
                let last = sources().get(row).last().copied();
                for one in found {
                    let place = one.tokens.iter().position(|&token| Some(token) == last);
                    assert_eq!(place.is_some(), one.finish_reason == FinishReason::StopString, "{config:?}: {one:?}");
                    assert!(place.is_none_or(|place| place + 1 == one.tokens.len()), "{config:?}: {one:?}");
                    stopped += usize::from(place.is_some());
                }
            }
        }
    }
    assert!(stopped > 20, "{stopped}");
}
