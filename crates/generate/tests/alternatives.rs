//! Alternatives at a position: compared with their definition, by a search of its own after each of the most likely tokens.

mod common;

use common::*;
use descant_batch::Sequences;
use descant_generate::{
    ConstrainedRow, Constraint, ConstraintState, DecodingBatch, DecodingOptions, FinishReason, GenerationConfig,
    Hypothesis, StopCondition, TokenIds,
};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

const COUNT: usize = 5;

/// What a text starts with.
#[derive(Clone, Debug)]
struct Forced(Vec<u32>, usize);

impl Constraint for Forced {
    fn start(&self, _: &ConstrainedRow<'_>) -> Result<Box<dyn ConstraintState>, String> {
        Ok(Box::new(self.clone()))
    }
}

impl ConstraintState for Forced {
    fn restrict(&mut self, scores: &mut [f64]) -> Result<(), String> {
        if let Some(&forced) = self.0.get(self.1) {
            let others = (0u32..).zip(scores).filter(|(token, _)| *token != forced);
            others.for_each(|(_, score)| *score = f64::NEG_INFINITY);
        }
        Ok(())
    }

    fn push(&mut self, _: u32) -> Result<(), String> {
        self.1 += 1;
        Ok(())
    }

    fn may_end(&mut self) -> bool {
        self.1 >= self.0.len()
    }
}

fn after(options: &DecodingOptions, prefix: &[u32]) -> DecodingOptions {
    options.clone().with(|o| o.constraints = vec![Arc::new(Forced(prefix.to_vec(), 0))])
}

fn alternatives(config: GenerationConfig) -> GenerationConfig {
    config.with(|c| (c.return_alternatives, c.num_return_sequences) = (Some(true), Some(COUNT)))
}

fn searches() -> [GenerationConfig; 3] {
    [
        GenerationConfig::greedy(),
        GenerationConfig::beam(3),
        GenerationConfig::beam(2).with(|c| c.ranking = Some(descant_generate::Ranking::Tokens)),
    ]
}

/// The tokens with their log probabilities, the likeliest first.
fn likeliest(logs: &[f64]) -> Vec<(u32, f64)> {
    let mut all: Vec<(u32, f64)> = (0..).zip(logs.iter().copied()).collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    all
}

#[track_caller]
fn assert_near(a: f64, b: f64) {
    assert!((a - b).abs() < 1e-9, "{a} {b}");
}

#[test]
fn after_a_prefix_they_are_the_likeliest_tokens_each_continued_by_itself() {
    let (mut ended, mut longer) = (0, 0);
    for model in pairs() {
        for search in searches() {
            let is_greedy = search.num_beams() == 1;
            for prefix in [&[][..], &[4], &[5, 3, 3]] {
                let found = model.write(&sources(), &after(&options(alternatives(search.clone()), 7), prefix));
                for (row, found) in found.iter().enumerate() {
                    let source = sources().select(&[row]);
                    let logs = model.log_probabilities(Some(source.get(0)), &[&[BOS], prefix].concat());
                    // In a beam search, forced tokens count with their own probability.
                    let forced: f64 = (0..prefix.len()).map(|i| logs[i][prefix[i] as usize]).sum();
                    let before = if is_greedy { 0.0 } else { forced };
                    let expected = likeliest(&logs[prefix.len()]);
                    assert_eq!(found.len(), COUNT);
                    for (one, &(token, log)) in found.iter().zip(&expected) {
                        if token == EOS {
                            assert_eq!((&one.tokens[..], one.finish_reason), (prefix, FinishReason::Eos));
                            assert_near(one.log_probability, before + log);
                            ended += 1;
                            continue;
                        }
                        let single = after(&options(search.clone(), 7), &[prefix, &[token]].concat());
                        let best = &model.write(&source, &single)[0][0];
                        assert_eq!((&one.tokens, one.finish_reason), (&best.tokens, best.finish_reason));
                        let first = if is_greedy { log } else { 0.0 };
                        assert_near(one.log_probability, best.log_probability + first);
                        assert_near(one.score, best.score + first);
                        longer += usize::from(one.tokens.len() > prefix.len() + 1);
                    }
                }
            }
        }
    }
    assert!(ended > 5 && longer > 100, "{ended} end there, {longer} go on");
}

#[test]
fn after_a_prompt_they_are_the_likeliest_tokens_each_continued_by_itself() {
    let prompts = sequences(&[&[4, 5, 6, 7], &[], &[3], &[8, 8]]);
    for model in language_models(9, 8) {
        // Without a length penalty, the token before changes no decision of the search after it.
        for search in [GenerationConfig::greedy(), beam(3, 0.0, 1)] {
            let found = model.resume(&prompts, &options(alternatives(search.clone()), 8));
            for (row, found) in found.iter().enumerate() {
                let prompt = prompts.get(row);
                let logs = model.log_probabilities(None, &[&[BOS], prompt].concat());
                let expected = likeliest(logs.last().unwrap());
                assert_eq!(found.len(), COUNT);
                for (one, &(token, log)) in found.iter().zip(&expected) {
                    if token == EOS {
                        assert!(one.tokens.is_empty() && one.is_finished());
                        assert_near(one.log_probability, log);
                        continue;
                    }
                    let longer = sequences(&[&[prompt, &[token]].concat()]);
                    let best = &model.resume(&longer, &options(search.clone(), 7))[0][0];
                    assert_eq!(one.tokens, [&[token][..], &best.tokens].concat());
                    assert_eq!(one.finish_reason, best.finish_reason);
                    assert_near(one.score, log + best.score);
                }
            }
        }
    }
}

#[test]
fn rows_have_the_same_bits_alone_and_together() {
    for (name, has_sources, model) in wide_models(40) {
        let text =
            |row: usize| (0..1 + row * 7 % 19).map(|i| (2 + (row * 13 + i * i * 5) % 7) as u32).collect::<Vec<_>>();
        let texts: Vec<Vec<u32>> = (0..30).map(text).collect();
        let guided = GenerationConfig::greedy().with(|c| c.guidance_scale = Some(2.0));
        for config in searches().into_iter().chain([guided]) {
            let options = options(alternatives(config), 9).with(|o| {
                o.config.min_alternative_expansion_prob = Some(0.01);
                // A language model's context slides.
                o.config.context = Some(10);
            });
            let write = |rows: &[usize]| -> Vec<Vec<Hypothesis>> {
                let all: Sequences = sequences(&rows.iter().map(|&row| &texts[row][..]).collect::<Vec<_>>());
                let others = sequences(&rows.iter().map(|row| &texts[29 - row][..]).collect::<Vec<_>>());
                let numbers: Vec<u64> = rows.iter().map(|&row| row as u64).collect();
                let (sources, prompts) = if has_sources { (Some(&all), None) } else { (None, Some(&all)) };
                let unconditional = Some(&others);
                let batch =
                    DecodingBatch { rows: &numbers, sources, prompts, unconditional, ..DecodingBatch::default() };
                model.run(batch, &options).unwrap()
            };
            let together = write(&(0..30).collect::<Vec<_>>());
            for (row, found) in together.iter().enumerate() {
                assert_eq!(write(&[row])[0], *found, "{name}, row {row}");
                let first: Vec<Option<&u32>> = found.iter().map(|one| one.tokens.first()).collect();
                assert!((0..first.len()).all(|i| !first[..i].contains(&first[i])), "{name}: {found:?}");
            }
        }
    }
}

#[test]
fn unlikely_tokens_are_left_out_and_the_likeliest_never() {
    let mut counts = Vec::new();
    for model in pairs() {
        for search in searches() {
            for least in [0.02, 0.1, 1.0] {
                let options = options(alternatives(search.clone()), 6)
                    .with(|o| o.config.min_alternative_expansion_prob = Some(least));
                for (row, found) in model.write(&sources(), &options).iter().enumerate() {
                    let logs = model.log_probabilities(Some(sources().get(row)), &[BOS]);
                    let likely = logs[0].iter().filter(|log| log.exp() >= least).count();
                    assert_eq!(found.len(), likely.clamp(1, COUNT));
                    counts.push(found.len());
                }
            }
        }
    }
    assert!((1..=COUNT).all(|count| counts.contains(&count)), "{counts:?}");
}

#[test]
fn the_position_is_the_first_where_a_text_may_go_on_in_several_ways() {
    let model = attentive(12, 3);
    for search in searches() {
        let all = options(alternatives(search.clone()), 6);
        // Whatever forces the tokens before it.
        let begun = all.clone().with(|o| o.config.forced_bos_token_id = Some(TokenIds(vec![7])));
        for (a, b) in model.write(&sources(), &begun).iter().zip(&model.write(&sources(), &after(&all, &[7]))) {
            let starts = |found: &[Hypothesis]| {
                found.iter().map(|one| one.tokens.iter().copied().take(2).collect::<Vec<_>>()).collect::<Vec<_>>()
            };
            assert_eq!(starts(a), starts(b));
            assert!(a.iter().all(|one| one.tokens[0] == 7));
        }
        // Where everything is forced, there is one text.
        for found in model.write(&sources(), &after(&all, &[2, 3, 4, 5, 6, 7])) {
            assert_eq!((found.len(), &found[0].tokens[..]), (1, &[2, 3, 4, 5, 6, 7][..]));
        }
        let two = all.clone().with(|o| o.forbidden = (0..10).collect());
        assert!(model.write(&sources(), &two).iter().all(|found| found.len() == 2));
        let none = all.clone().with(|o| o.forbidden = (0..12).collect());
        for found in model.write(&sources(), &none) {
            assert_eq!((found.len(), found[0].tokens.len(), found[0].finish_reason), (1, 0, FinishReason::NoToken));
        }
        let stops = all.clone().with(|o| o.stop = Some(StopCondition(Arc::new(|_, tokens| tokens.len() == 1))));
        for one in model.write(&sources(), &stops).concat().iter().filter(|one| !one.tokens.is_empty()) {
            assert_eq!((one.tokens.len(), one.finish_reason), (1, FinishReason::StopString));
        }
        let short = options(alternatives(search.clone()), 1);
        for found in model.write(&sources(), &short) {
            assert_eq!(found.len(), COUNT);
            assert!(found.iter().all(|one| one.tokens.len() == usize::from(!one.is_finished())), "{found:?}");
        }
        let cancelled = all.clone().with(|o| o.cancelled = vec![Arc::new(AtomicBool::new(true))]);
        for found in model.write(&sources(), &cancelled) {
            assert_eq!((found.len(), found[0].finish_reason), (1, FinishReason::Cancelled));
        }
        // One alternative is the text itself.
        let one = options(search.clone(), 6);
        let alone = one.clone().with(|o| o.config.return_alternatives = Some(true));
        assert_eq!(model.write(&sources(), &alone), model.write(&sources(), &one));
    }
}

#[test]
fn other_searches_are_refused() {
    type Change = fn(&mut GenerationConfig);
    let cases: [(Change, &str); 4] = [
        (|c| c.do_sample = Some(true), "do_sample = false"),
        (|c| (c.penalty_alpha, c.top_k) = (Some(0.6), Some(4)), "no penalty_alpha"),
        (|c| (c.num_beams, c.mbr_candidates) = (Some(6), Some(6)), "no mbr_candidates"),
        (|c| (c.num_beams, c.num_beam_groups) = (Some(4), Some(2)), "no num_beam_groups"),
    ];
    for (change, says) in cases {
        let error = alternatives(GenerationConfig::default()).with(change).validate().unwrap_err();
        assert!(error.starts_with("return_alternatives: expected ") && error.contains(says), "{error}");
    }
    // They ask for no sampling, as beams do.
    assert_eq!(alternatives(GenerationConfig::default()).implied().do_sample, Some(false));
}
