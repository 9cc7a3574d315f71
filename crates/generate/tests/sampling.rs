//! Sampling, streaming and what is refused.

mod common;

use common::{
    BOS, EOS, RunError, assert_same, attentive, beam, language_model, options, pairs, sample, sequences, sources,
};
use descant_autograd::Tape;
use descant_generate::{
    Context, DecodingBatch, DecodingOptions, FinishReason, GenerationConfig, LogitsProcessor, OPTIONS, RowError, stream,
};
use descant_tensor::Buffer;
use std::sync::Arc;

/// How often each token is written first, in this many rows.
fn frequencies(config: GenerationConfig, rows: u64) -> (Vec<f64>, Vec<f64>) {
    let model = language_model(8, 5);
    let numbers: Vec<u64> = (0..rows).collect();
    let found = model
        .run(
            DecodingBatch { rows: &numbers, sources: None, prompts: None, ..DecodingBatch::default() },
            &options(config, 1),
        )
        .unwrap();
    let mut counts = vec![0.0; 8];
    for one in found.iter().flatten() {
        counts[one.tokens.first().copied().unwrap_or(EOS) as usize] += 1.0 / rows as f64;
    }
    (counts, model.log_probabilities(None, &[BOS]).remove(0))
}

/// Four standard deviations of a frequency.
#[track_caller]
fn assert_drawn(counts: &[f64], weights: &[f64], rows: u64) {
    let total: f64 = weights.iter().sum();
    for (count, weight) in counts.iter().zip(weights) {
        let p = weight / total;
        assert!((count - p).abs() <= 4.0 * (p * (1.0 - p) / rows as f64).sqrt() + 1e-9, "{counts:?} for {weights:?}");
    }
}

#[test]
fn frequencies_are_those_of_the_softmax_at_the_temperature() {
    for temperature in [0.5, 1.0, 2.0] {
        let config = sample(None, None, 7).with(|c| c.temperature = Some(temperature));
        let (counts, log) = frequencies(config, 20_000);
        let weights: Vec<f64> = log.iter().map(|x| (x / temperature).exp()).collect();
        assert_drawn(&counts, &weights, 20_000);
    }
}

#[test]
fn top_k_and_top_p_cut_the_tail_and_nothing_else() {
    let (_, log) = frequencies(GenerationConfig::greedy(), 1);
    let mut order: Vec<usize> = (0..8).collect();
    order.sort_by(|&a, &b| log[b].total_cmp(&log[a]));
    let only = |kept: &[usize]| (0..8).map(|i| if kept.contains(&i) { log[i].exp() } else { 0.0 }).collect::<Vec<_>>();
    for k in [1, 3, 100] {
        let (counts, _) = frequencies(sample(Some(k), None, 1), 20_000);
        assert_drawn(&counts, &only(&order[..k.min(8)]), 20_000);
    }
    let mut sizes = Vec::new();
    for p in [0.01, 0.5, 0.8, 0.95, 1.0] {
        let before = (1..=8).find(|&n| order[..n].iter().map(|&i| log[i].exp()).sum::<f64>() >= p).unwrap_or(8);
        let (counts, _) = frequencies(sample(None, Some(p), 2), 20_000);
        assert_drawn(&counts, &only(&order[..before]), 20_000);
        sizes.push(before);
    }
    assert!(sizes[0] == 1 && sizes[2] > 1 && sizes[3] < 8 && sizes[4] == 8, "{sizes:?}");
    // The nucleus is that of what top_k leaves.
    let share = log[order[0]].exp() / order[..3].iter().map(|&i| log[i].exp()).sum::<f64>();
    let (counts, _) = frequencies(sample(Some(3), Some(share - 1e-9), 3), 100);
    assert_drawn(&counts, &only(&order[..1]), 100);
}

#[test]
fn the_likeliest_alone_is_greedy() {
    for model in pairs() {
        let greedy = model.write(&sources(), &options(GenerationConfig::greedy(), 12));
        let sampled = model.write(&sources(), &options(sample(Some(1), None, 9), 12));
        greedy.iter().zip(&sampled).for_each(|(a, b)| assert_same(a, b));
    }
}

#[test]
fn a_row_draws_by_the_seed_and_its_number_in_whatever_batch() {
    let model = attentive(12, 3);
    let (sources, options) = (sources(), options(sample(None, Some(0.95), 4), 12));
    let all = model.write(&sources, &options);
    assert_eq!(all, model.write(&sources, &options));
    assert_ne!(all, model.write(&sources, &options.clone().with(|o| o.config.seed = Some(5))));
    for (row, found) in all.iter().enumerate() {
        let one = sequences(&[sources.get(row)]);
        let alone = |number| {
            model
                .run(
                    DecodingBatch { rows: &[number], sources: Some(&one), prompts: None, ..DecodingBatch::default() },
                    &options,
                )
                .unwrap()
        };
        assert_same(found, &alone(row as u64)[0]);
        let expected = model.score(Some(sources.get(row)), &[], &found[0].tokens, found[0].is_finished());
        assert!((found[0].log_probability - expected).abs() < 1e-9 && found[0].score == found[0].log_probability);
    }
    let same = sequences(&[&[2, 3], &[2, 3], &[2, 3]]);
    let texts = model.write(&same, &options);
    assert!(texts[0] != texts[1] || texts[1] != texts[2], "rows of one source should not be copies");
}

#[test]
fn tokens_are_handed_over_as_they_are_written() {
    let model = language_model(9, 8);
    let prompts = sequences(&[&[BOS, 4, 5], &[], &[BOS, 3, 3, 3]]);
    let input = DecodingBatch { rows: &[0, 1, 2], sources: None, prompts: Some(&prompts), ..DecodingBatch::default() };
    for (config, settled) in
        [(GenerationConfig::greedy(), true), (sample(None, None, 6), true), (beam(2, 0.0, 1), false)]
    {
        let mut handed = vec![Vec::new(); 3];
        let found = stream(
            &*model.generator,
            &model.parameters,
            &mut Tape::new(),
            input,
            &options(config, 7),
            |row: usize, token| handed[row].push(token),
        );
        let written: Vec<Vec<u32>> = found.unwrap().into_iter().map(|row| row.unwrap()[0].tokens.clone()).collect();
        assert!(written.iter().any(|tokens| !tokens.is_empty()));
        assert_eq!(handed, if settled { written } else { vec![Vec::new(); 3] });
    }
}

#[test]
fn single_precision_writes_the_same() {
    let double = attentive(12, 3);
    let single = common::Model { parameters: double.parameters.cast(descant_tensor::DType::F32), ..attentive(12, 3) };
    for config in [GenerationConfig::greedy(), beam(3, 1.0, 2)] {
        let options = options(config, 10);
        let (a, b) = (double.write(&sources(), &options), single.write(&sources(), &options));
        for (a, b) in a.iter().flatten().zip(b.iter().flatten()) {
            assert_eq!(a.tokens, b.tokens);
            assert!((a.score - b.score).abs() < 1e-4);
        }
    }
}

#[test]
fn what_cannot_be_is_refused_in_words() {
    let mut model = attentive(12, 3);
    let sources = sources();
    let refused = |input, options: &DecodingOptions| model.run(input, options).unwrap_err().to_string();
    let input = DecodingBatch { rows: &[0, 1], sources: Some(&sources), prompts: None, ..DecodingBatch::default() };
    let error = refused(input, &options(GenerationConfig::greedy(), 5));
    assert!(error.contains("there are 5 sources for 2 rows"), "{error}");
    let input =
        DecodingBatch { rows: &[0, 1, 2, 3, 4], sources: Some(&sources), prompts: None, ..DecodingBatch::default() };
    let error = refused(input, &options(beam(0, 0.0, 1), 5));
    assert!(error.contains("num_beams = 0: expected"), "{error}");
    assert!(
        model
            .run(
                DecodingBatch { rows: &[], sources: None, prompts: None, ..DecodingBatch::default() },
                &options(GenerationConfig::greedy(), 5)
            )
            .unwrap()
            .is_empty()
    );

    let Buffer::F64(values) = model.parameters.buffer_mut() else { unreachable!() };
    values.fill(f64::NAN);
    for config in [GenerationConfig::greedy(), beam(2, 0.0, 1), sample(None, None, 1)] {
        let error = model.run(input, &options(config, 5)).unwrap_err();
        assert!(matches!(&error, RunError::Row(RowError::Scores { member: 0 })), "{error}");
    }
}

/// Only even tokens, and after a 4 none at all but EOS.
#[derive(Debug)]
struct Even;

impl LogitsProcessor for Even {
    fn process(&self, context: &Context<'_>, scores: &mut [f64]) {
        let ends = context.generated().last() == Some(&4);
        for (token, score) in (0..).zip(scores) {
            let is_allowed = token == EOS || (token % 2 == 0 && !ends);
            if !is_allowed {
                *score = f64::NEG_INFINITY;
            }
        }
    }
}

#[test]
fn a_processor_of_your_own_counts_in_every_mode() {
    let contrastive = GenerationConfig::default().with(|c| (c.penalty_alpha, c.top_k) = (Some(0.4), Some(3)));
    let groups = beam(4, 1.0, 4).with(|c| (c.num_beam_groups, c.diversity_penalty) = (Some(2), Some(0.5)));
    let drawn = beam(3, 0.0, 3).with(|c| c.do_sample = Some(true));
    let modes = [GenerationConfig::greedy(), beam(3, 0.5, 3), groups, drawn, sample(None, Some(0.9), 3), contrastive];
    let mut tokens = 0;
    for model in pairs() {
        for config in &modes {
            let options = options(config.clone(), 9).with(|o| o.processors = vec![Arc::new(Even)]);
            for one in model.write(&sources(), &options).concat() {
                tokens += one.tokens.len();
                assert!(one.tokens.iter().all(|token| token % 2 == 0), "{one:?}");
                let four = one.tokens.iter().position(|&token| token == 4);
                assert!(four.is_none_or(|at| at + 1 == one.tokens.len() && (one.is_finished() || at == 8)), "{one:?}");
            }
        }
    }
    assert!(tokens > 300, "{tokens}");
}

#[test]
fn beams_over_drawn_candidates_are_different_and_their_scores_right() {
    let model = attentive(12, 3);
    let config = |seed| beam(4, 0.0, 4).with(|c| (c.do_sample, c.seed) = (Some(true), Some(seed)));
    let drawn: Vec<_> = (0..20).map(|seed| model.write(&sources(), &options(config(seed), 8))).collect();
    assert!(drawn.iter().any(|other| other != &drawn[0]));
    for found in drawn.iter().flatten() {
        for (i, one) in found.iter().enumerate() {
            assert!(found[..i].iter().all(|other| other.tokens != one.tokens), "{found:?}");
        }
    }
    for (row, found) in drawn[0].iter().enumerate() {
        let expected = model.score(Some(sources().get(row)), &[], &found[0].tokens, found[0].is_finished());
        assert!((found[0].log_probability - expected).abs() < 1e-9);
    }
}

#[test]
fn several_samples_of_a_row_are_draws_of_their_own() {
    let model = attentive(12, 3);
    let several = sample(None, None, 4).with(|c| c.num_return_sequences = Some(6));
    let found = model.write(&sources(), &options(several, 12));
    let alone = model.write(&sources(), &options(sample(None, None, 4), 12));
    for (row, (found, alone)) in found.iter().zip(&alone).enumerate() {
        assert_eq!(found.len(), 6);
        assert_same(&found[..1], alone);
        assert!(found.iter().any(|other| other.tokens != found[0].tokens));
        for one in found {
            let expected = model.score(Some(sources().get(row)), &[], &one.tokens, one.is_finished());
            assert!((one.log_probability - expected).abs() < 1e-9);
        }
    }
}

#[test]
fn contrastive_search_slides_its_window_and_ends_with_the_positions() {
    let contrastive = GenerationConfig::default().with(|c| (c.penalty_alpha, c.top_k) = (Some(0.4), Some(3)));
    for model in common::language_models(9, 8) {
        let options = options(contrastive.clone(), 25).with(|o| {
            o.config.context = Some(6);
            o.forbidden = vec![EOS];
        });
        let prompts = sequences(&[&[4, 5, 6, 7], &[], &[8, 8, 2, 2, 2, 3]]);
        let together = model.resume(&prompts, &options);
        for (row, found) in together.iter().enumerate() {
            assert_eq!(found[0].tokens.len(), 25);
            assert_same(found, &model.resume(&sequences(&[prompts.get(row)]), &options)[0]);
        }
    }
    let model = common::translator(common::layers(descant_nn::Position::Learned), 12, 2);
    let options = options(contrastive, 100).with(|o| o.forbidden = vec![EOS]);
    for one in model.write(&sources(), &options).concat() {
        // All that is chosen is read as well.
        assert_eq!((one.tokens.len(), one.is_finished()), (11, false));
    }
}

#[test]
fn an_option_with_its_default_changes_nothing() {
    let model = attentive(12, 3);
    let drawn = beam(3, 0.0, 1).with(|c| (c.do_sample, c.seed) = (Some(true), Some(5)));
    let mut same = 0;
    for config in [GenerationConfig::greedy(), sample(None, None, 7), beam(3, 0.6, 2), drawn] {
        let expected = model.write(&sources(), &options(config.clone(), 9));
        // Those that the configurations give already.
        let given = config.to_map();
        for option in OPTIONS.iter().filter(|option| !given.contains_key(option.name)) {
            let Ok(default) = serde_json::from_str(option.default) else { continue };
            let mut config = config.clone();
            config.set(option.name, default).unwrap();
            assert_eq!(model.write(&sources(), &options(config, 9)), expected, "{}", option.name);
            same += 1;
        }
    }
    assert!(same > 100, "{same}");
}

#[test]
fn an_eos_that_is_as_good_as_certain_comes() {
    // 10³⁹⁰ is no number.
    let long = |config: GenerationConfig| {
        config.with(|c| {
            (c.min_new_tokens, c.exponential_decay_length_penalty) = (Some(400), Some((10, 10.0)));
        })
    };
    let warm = sample(None, None, 3).with(|c| c.temperature = Some(0.7));
    for config in [GenerationConfig::greedy(), sample(None, None, 3), warm, beam(3, 1.0, 1)] {
        for one in attentive(12, 3).write(&sources(), &options(long(config), 405)).concat() {
            assert_eq!((one.tokens.len(), one.finish_reason), (400, FinishReason::Eos));
            assert!(one.log_probability.is_finite(), "{one:?}");
        }
    }
}

#[test]
fn a_score_that_is_infinite_is_taken_and_one_that_is_none_is_not() {
    let of = |token: usize, score: f64| {
        let set = move |_: &Context<'_>, scores: &mut [f64]| scores[token] = score;
        let options = options(sample(None, None, 3), 9).with(|o| o.processors = vec![Arc::new(set)]);
        attentive(12, 3).write(&sources(), &options).concat()
    };
    assert!(of(5, f64::INFINITY).iter().all(|one| one.tokens == [5; 9]));
    assert!(of(5, f64::NAN).iter().all(|one| !one.tokens.contains(&5)));
}
