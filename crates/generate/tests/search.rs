//! Greedy and beam search against the definition.

mod common;

use common::{
    BOS, EOS, Model, assert_same, attentive, beam, language_model, language_models, layers, options, pairs, sequences,
    sources, translator,
};
use descant_generate::{
    DecodingBatch, DecodingOptions, EarlyStopping, FinishReason, GenerationConfig, Hypothesis, Ranking,
};
use descant_nn::Position;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

fn divisor(hypothesis: &Hypothesis, length_penalty: f64) -> f64 {
    let length = hypothesis.tokens.len() + usize::from(hypothesis.is_finished());
    ((5.0 + length as f64) / 6.0).powf(length_penalty)
}

#[test]
fn greedy_takes_the_likeliest_token_each_time() {
    let mut finished = [0, 0];
    for model in pairs() {
        let sources = sources();
        for (row, found) in model.write(&sources, &options(GenerationConfig::greedy(), 9)).iter().enumerate() {
            let [found] = &found[..] else { panic!("{found:?}") };
            finished[usize::from(found.is_finished())] += 1;
            let mut expected = found.tokens.clone();
            expected.extend(found.is_finished().then_some(EOS));
            assert!(found.is_finished() || found.tokens.len() == 9);
            let input = [&[BOS], &expected[..expected.len() - 1]].concat();
            let rows = model.log_probabilities(Some(sources.get(row)), &input);
            for (row, &token) in rows.iter().zip(&expected) {
                assert!(row.iter().all(|&other| other <= row[token as usize]));
            }
        }
    }
    assert!(finished[0] > 0 && finished[1] > 0, "both ends should occur: {finished:?}");
}

#[test]
fn a_beam_of_one_is_greedy() {
    for model in pairs() {
        let greedy = model.write(&sources(), &options(GenerationConfig::greedy(), 12));
        let narrow = model.write(&sources(), &options(beam(1, 0.0, 1), 12));
        greedy.iter().zip(&narrow).for_each(|(a, b)| assert_same(a, b));
    }
}

#[test]
fn a_batch_finds_what_each_source_finds_alone() {
    for model in pairs() {
        for config in [GenerationConfig::greedy(), beam(4, 0.8, 3)] {
            let (sources, options) = (sources(), options(config, 12));
            for (row, found) in model.write(&sources, &options).iter().enumerate() {
                assert_same(found, &model.write(&sequences(&[sources.get(row)]), &options)[0]);
            }
        }
    }
}

#[test]
fn hypotheses_are_sorted_and_scored_as_the_model_scores_them_whole() {
    for model in pairs() {
        let sources = sources();
        for length_penalty in [0.0, 1.0] {
            let options = options(beam(5, length_penalty, 5), 10).with(|o| o.forbidden = vec![BOS, 5]);
            for (row, found) in model.write(&sources, &options).iter().enumerate() {
                assert_eq!(found.len(), 5);
                assert!(found.windows(2).all(|w| (w[0].is_finished(), w[0].score) >= (w[1].is_finished(), w[1].score)));
                for (i, one) in found.iter().enumerate() {
                    let expected = model.score_without(&[BOS, 5], sources.get(row), one);
                    assert!((one.log_probability - expected).abs() < 1e-9);
                    assert!((one.score - expected / divisor(one, length_penalty)).abs() < 1e-9);
                    assert!(!one.tokens.iter().any(|token| [BOS, EOS, 5].contains(token)));
                    assert!(found[..i].iter().all(|other| other.tokens != one.tokens));
                }
            }
        }
    }
}

/// Every finished sequence of at most `limit` tokens, `</s>` among them, the best first.
fn enumerate(model: &Model, source: &[u32], entries: u32, limit: usize, length_penalty: f64) -> Vec<Hypothesis> {
    let mut all = Vec::new();
    let mut prefixes = vec![Vec::new()];
    for _ in 0..limit {
        let mut longer = Vec::new();
        for tokens in prefixes {
            longer.extend((0..entries).filter(|&t| t != EOS).map(|t| [&tokens[..], &[t]].concat()));
            let log_probability = model.score(Some(source), &[], &tokens, true);
            let mut one = Hypothesis { tokens, score: 0.0, log_probability, finish_reason: FinishReason::Eos };
            one.score = log_probability / divisor(&one, length_penalty);
            all.push(one);
        }
        prefixes = longer;
    }
    all.sort_by(|a, b| b.score.total_cmp(&a.score));
    all
}

#[test]
fn a_full_beam_finds_the_best_of_all_sequences() {
    let mut lengths = Vec::new();
    let positions = [Position::Rotary, Position::Learned, Position::Alibi];
    let transformers = positions.into_iter().zip(6..).map(|(position, seed)| translator(layers(position), 4, seed));
    for model in (0..6).map(|seed| attentive(4, seed)).chain(transformers) {
        let source = [2, 7, 4];
        for length_penalty in [0.0, 1.0, 3.0] {
            let expected = enumerate(&model, &source, 4, 4, length_penalty);
            let found = model.write(&sequences(&[&source]), &options(beam(4 * 27, length_penalty, 7), 4));
            assert_same(&found[0], &expected[..7]);
            lengths.push(found[0][0].tokens.len());
        }
    }
    lengths.sort_unstable();
    lengths.dedup();
    assert!(lengths.len() > 1, "the best should be of several lengths: {lengths:?}");
}

#[test]
fn a_wider_beam_helps_and_the_early_end_costs_nothing() {
    // A beam that may stop early, against one that must hand back so much that it hardly can.
    let (mut better, mut worse) = (0, 0);
    for seed in 0..12 {
        let model = attentive(10, 20 + seed);
        let best = |width, n_best| {
            let found = model.write(&sources(), &options(beam(width, 1.0, n_best), 14));
            found.iter().map(|found| found[0].score).collect::<Vec<f64>>()
        };
        let (narrow, wide, patient) = (best(1, 1), best(6, 1), best(6, 6));
        for ((narrow, wide), patient) in narrow.iter().zip(&wide).zip(&patient) {
            better += usize::from(wide > narrow);
            worse += usize::from(wide < narrow);
            assert!(*wide >= patient - 1e-9);
        }
    }
    assert!(better > worse, "{better} better, {worse} worse");
}

#[test]
fn prompts_of_different_lengths_are_continued_each_from_its_own_end() {
    let prompts = sequences(&[&[4, 5, 6, 7], &[], &[3], &[8, 8], &[2, 3, 4]]);
    for model in language_models(9, 8) {
        for config in [GenerationConfig::greedy(), beam(3, 0.5, 2)] {
            let options = options(config, 8);
            for (row, found) in model.resume(&prompts, &options).iter().enumerate() {
                assert_same(found, &model.resume(&sequences(&[prompts.get(row)]), &options)[0]);
                for one in found {
                    let expected = model.score(None, prompts.get(row), &one.tokens, one.is_finished());
                    assert!((one.log_probability - expected).abs() < 1e-9);
                }
            }
        }
    }
}

#[test]
fn forbidden_tokens_are_not_written_and_a_forbidden_end_fills_the_length() {
    let model = language_model(5, 2);
    let prompts = sequences(&[&[2], &[3, 4]]);
    let (free, all) = (options(GenerationConfig::greedy(), 20), (0..5).collect());
    let written = |options: &DecodingOptions| model.resume(&prompts, options).concat();
    assert!(written(&free).iter().any(|one| one.tokens.contains(&4) || one.tokens.contains(&3)));
    for config in [GenerationConfig::greedy(), beam(2, 1.0, 1), common::sample(None, None, 1)] {
        for one in written(&free.clone().with(|o| {
            o.config = config.clone().with(|c| c.max_new_tokens = Some(20));
            o.forbidden = vec![EOS, 4, 3];
        })) {
            assert!(!one.is_finished() && one.tokens.len() == 20);
            assert!(one.tokens.iter().all(|token| [BOS, 2].contains(token)));
        }
    }
    // Nothing is left to write.
    for one in written(&free.with(|o| o.forbidden = all)) {
        assert_eq!((one.tokens.len(), one.finish_reason, one.log_probability), (0, FinishReason::NoToken, 0.0));
    }
}

#[test]
fn what_is_written_for_a_source_ends_with_the_positions() {
    let model = translator(layers(Position::Learned), 12, 2);
    let options = options(beam(2, 0.0, 2), 100).with(|o| o.forbidden = vec![EOS]);
    for one in model.write(&sources(), &options).concat() {
        assert_eq!((one.tokens.len(), one.finish_reason), (12, FinishReason::Length));
    }
}

#[test]
fn what_is_cancelled_ends_with_the_tokens_that_it_has() {
    let model = translator(layers(Position::Rotary), 12, 2);
    let sources = sources().select(&[0]);
    for config in [GenerationConfig::greedy(), common::sample(None, None, 1), beam(3, 0.0, 2)] {
        let cancelled = Arc::new(AtomicBool::new(false));
        let options = options(config.clone(), 20).with(|o| {
            o.forbidden = vec![EOS];
            o.cancelled = vec![cancelled.clone()];
        });
        let is_beam = config.num_beams == Some(3);
        cancelled.store(is_beam, Ordering::Relaxed);
        let mut tokens = Vec::new();
        let on_token = |_, token| {
            tokens.push(token);
            cancelled.store(tokens.len() == 3, Ordering::Relaxed);
        };
        let input = DecodingBatch { rows: &[0], sources: Some(&sources), prompts: None, ..DecodingBatch::default() };
        let mut tape = descant_autograd::Tape::new();
        let found =
            descant_generate::stream(model.generator.as_ref(), &model.parameters, &mut tape, input, &options, on_token);
        for one in found.unwrap().into_iter().flat_map(Result::unwrap) {
            assert_eq!((&one.tokens, one.finish_reason), (&tokens, FinishReason::Cancelled));
        }
        assert_eq!(tokens.len(), if is_beam { 0 } else { 3 });
    }
}

/// The best finished text of at most three tokens, by the definition of biased scores; and by a beam as wide as there are texts.
#[test]
fn a_text_whose_score_rises_late_is_found() {
    const ENTRIES: u32 = 6;
    let model = language_model(ENTRIES as usize, 3);
    let prompts = sequences(&[&[3, 4], &[5]]);
    // Worth it only once both are written.
    let bias = vec![(vec![2, 4], 30.0), (vec![3, 5], 29.0)];
    let mut pruned = 0;
    for renormalize in [false, true] {
        let config = beam(3, 0.0, 1).with(|c| {
            (c.sequence_bias, c.renormalize_logits) = (Some(bias.clone()), Some(renormalize));
        });
        let all = model.resume(&prompts, &options(config.clone().with(|c| c.num_beams = Some(300)), 4));
        for (row, found) in all.iter().enumerate() {
            let texts = (0..=3).flat_map(|count| {
                (0..ENTRIES.pow(count))
                    .map(move |i| (0..count).map(|at| i / ENTRIES.pow(at) % ENTRIES).collect::<Vec<u32>>())
            });
            let texts = texts.filter(|text| !text.contains(&EOS));
            // Of each of its tokens, and of EOS.
            let scores = |text: &[u32]| -> Vec<f64> {
                let read = [&[BOS], prompts.get(row), text].concat();
                let logs = model.log_probabilities(None, &read);
                let written = [text, &[EOS]].concat();
                let each = written.iter().enumerate().map(|(i, &token)| {
                    let before = &read[..read.len() - text.len() + i];
                    let gain = |token: u32| {
                        let completes = |of: &&(Vec<u32>, f64)| of.0[1] == token && before.ends_with(&of.0[..1]);
                        bias.iter().filter(completes).map(|(_, bias)| bias).sum::<f64>()
                    };
                    let logs = &logs[before.len() - 1];
                    let biased = |token: u32| logs[token as usize] + gain(token);
                    let total: f64 = (0..ENTRIES).map(|token| biased(token).exp()).sum();
                    biased(token) - if renormalize { total.ln() } else { 0.0 }
                });
                each.collect()
            };
            let all: Vec<(f64, Vec<u32>)> = texts.map(|text| (scores(&text).iter().sum(), text)).collect();
            let best = all.iter().max_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
            assert!((found[0].score - best.0).abs() < 1e-9 && found[0].tokens == best.1, "{found:?} {best:?}");
            assert_eq!(found[0].score > 0.0, !renormalize);
            // Stopping where the first text has ended, which is the empty one, would be too early.
            pruned += usize::from(scores(&[])[0] < best.0);
        }
    }
    assert!(pruned > 0);
}

#[test]
fn early_stopping_waits_for_as_many_as_the_beam_is_wide_however_many_are_returned() {
    let mut differ = 0;
    for (rule, ranking) in [EarlyStopping::True, EarlyStopping::False, EarlyStopping::Never]
        .into_iter()
        .flat_map(|rule| [Ranking::Gnmt, Ranking::Tokens].map(|ranking| (rule, ranking)))
    {
        for model in pairs() {
            let best = |width: usize, n_best: usize| {
                let config = beam(width, 1.0, n_best);
                let config = config.with(|c| (c.early_stopping, c.ranking) = (Some(rule), Some(ranking)));
                model.write(&sources(), &options(config, 12))
            };
            for (one, all) in best(5, 1).iter().zip(&best(5, 5)) {
                assert_same(one, &all[..1]);
                differ += usize::from(all[0].tokens.len() > all[1].tokens.len());
            }
        }
    }
    assert!(differ > 10, "the shortest is not always the best: {differ}");
}
