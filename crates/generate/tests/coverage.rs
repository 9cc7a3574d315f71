//! The coverage penalty of a beam search: compared with its definition, by the attention of whole sequences.

mod common;

use common::*;
use descant_autograd::{Parameters, Tape};
use descant_batch::{Batch, Sequences};
use descant_generate::{
    Decoder, DecodingBatch, DecodingOptions, FinishReason, GenerationConfig, Hypothesis, Ranking, TokenIds, generate,
};
use descant_models::Generator;
use descant_nn::Position;
use std::iter::zip;

fn covered(config: GenerationConfig, weight: f64) -> GenerationConfig {
    config.with(|c| c.coverage_penalty = Some(weight))
}

/// The models that attend to a source: all but the second.
fn attending() -> Vec<Model> {
    let mut all = pairs();
    all.remove(1);
    all
}

/// What the model reads, and what it has written after it, with EOS where it has ended.
fn read_and_written(one: &Hypothesis) -> (Vec<u32>, Vec<u32>) {
    let end = (one.finish_reason == FinishReason::Eos).then_some(EOS);
    let written: Vec<u32> = one.tokens.iter().copied().chain(end).collect();
    ([&[BOS], &written[..written.len() - 1]].concat(), written)
}

/// The sum over the tokens of their attention to each token of the source, by a pass over the whole sequence.
fn coverage(model: &Model, source: &[u32], one: &Hypothesis) -> Vec<f64> {
    let input = sequences(&[&read_and_written(one).0]);
    let batch = Batch { source: Some(sequences(&[source])), target: input.clone(), input, ..Batch::default() };
    let mut tape = Tape::new();
    let graph = tape.differentiate(&model.parameters);
    model.generator.hidden(graph, &batch);
    let layers = graph.cross_attention_weights(None).unwrap();
    let rows = &layers.last().unwrap()[0].rows;
    (0..source.len()).map(|i| rows.iter().map(|row| row[i]).sum()).collect()
}

/// Of what has got next to no attention, the logarithm is that of the smallest number in single precision.
fn penalty(coverage: &[f64], weight: f64) -> f64 {
    weight * coverage.iter().map(|sum| sum.clamp(f64::from(f32::MIN_POSITIVE), 1.0).ln()).sum::<f64>()
}

/// The score without the penalty.
fn divided(one: &Hypothesis, length_penalty: f64, ranking: Ranking) -> f64 {
    let length = (one.tokens.len() + usize::from(one.finish_reason == FinishReason::Eos)) as f64;
    let base = if ranking == Ranking::Gnmt { (5.0 + length) / 6.0 } else { length.max(1.0) };
    one.log_probability / base.powf(length_penalty)
}

#[test]
fn scores_have_the_penalty_of_the_definition_in_every_beam_search() {
    let (mut cut, mut costly) = (0, 0);
    for model in attending() {
        for weight in [0.2, 3.0] {
            let plain = beam(4, 0.7, 3);
            let configs = [
                plain.clone(),
                plain.clone().with(|c| c.ranking = Some(Ranking::Tokens)),
                plain.clone().with(|c| (c.num_beam_groups, c.diversity_penalty) = (Some(2), Some(0.5))),
                plain.clone().with(|c| c.do_sample = Some(true)),
                plain.clone().with(|c| c.forced_bos_token_id = Some(TokenIds(vec![7]))),
                plain.clone().with(|c| c.return_alternatives = Some(true)),
            ];
            for config in configs {
                let ranking = config.ranking.unwrap_or_default();
                let is_ranked = config.alternatives().is_none();
                let options = options(covered(config, weight), 6);
                for (row, found) in model.write(&sources(), &options).iter().enumerate() {
                    for one in found {
                        let expected = penalty(&coverage(&model, sources().get(row), one), weight);
                        let score = divided(one, 0.7, ranking) + expected;
                        assert!((one.score - score).abs() < 1e-9, "{one:?}, expected {score}");
                        cut += usize::from(!one.is_finished());
                        costly += usize::from(expected < -0.1);
                    }
                    let order = |one: &Hypothesis| (ranking == Ranking::Tokens || one.is_finished(), one.score);
                    let is_sorted = found.windows(2).all(|two| order(&two[0]) >= order(&two[1]));
                    assert!(is_sorted || !is_ranked, "{found:?}");
                }
            }
        }
    }
    assert!(cut > 10 && costly > 100, "{cut} that are cut, {costly} that are not covered");
}

/// Every sequence of at most `limit` tokens, `</s>` among them, the best first; those without it where they are ranked with the others.
fn enumerate(model: &Model, source: &[u32], limit: usize, (ranking, weight): (Ranking, f64)) -> Vec<Hypothesis> {
    let (mut all, mut prefixes) = (Vec::new(), vec![Vec::new()]);
    let one = |tokens: Vec<u32>, finish_reason: FinishReason| {
        let log_probability = model.score(Some(source), &[], &tokens, finish_reason.is_finished());
        let one = Hypothesis { tokens, score: 0.0, log_probability, finish_reason };
        let score = divided(&one, 1.0, ranking) + penalty(&coverage(model, source, &one), weight);
        Hypothesis { score, ..one }
    };
    for _ in 0..limit {
        let mut longer = Vec::new();
        for tokens in prefixes {
            longer.extend((0..4).filter(|&t| t != EOS).map(|t| [&tokens[..], &[t]].concat()));
            all.push(one(tokens, FinishReason::Eos));
        }
        prefixes = longer;
    }
    if ranking == Ranking::Tokens {
        all.extend(prefixes.into_iter().map(|tokens| one(tokens, FinishReason::Length)));
    }
    all.sort_by(|a, b| b.score.total_cmp(&a.score));
    all
}

#[test]
fn a_full_beam_finds_the_best_of_all_sequences() {
    let mut changed = 0;
    let models = [attentive(4, 1), attentive(4, 3), translator(layers(Position::Rotary), 4, 6)];
    for model in models {
        let source = [2, 7, 4];
        for ranking in [Ranking::Gnmt, Ranking::Tokens] {
            let best = |weight: f64| {
                let expected = enumerate(&model, &source, 4, (ranking, weight));
                let config = beam(4 * 27, 1.0, 12).with(|c| {
                    c.ranking = Some(ranking);
                    c.early_stopping = Some(descant_generate::EarlyStopping::Never);
                });
                let found = model.write(&sequences(&[&source]), &options(covered(config, weight), 4));
                assert_same(&found[0], &expected[..12]);
                found[0][0].tokens.clone()
            };
            let plain = best(0.0);
            changed += [0.5, 5.0].into_iter().filter(|&weight| best(weight) != plain).count();
        }
    }
    assert!(changed > 2, "{changed} texts change with the penalty");
}

#[test]
fn without_a_weight_or_a_beam_nothing_changes() {
    for model in attending() {
        for config in [beam(4, 0.7, 3), GenerationConfig::greedy(), GenerationConfig::sampling(2)] {
            let plain = model.write(&sources(), &options(config.clone(), 8));
            assert_eq!(model.write(&sources(), &options(covered(config.clone(), 0.0), 8)), plain);
            let weighted = model.write(&sources(), &options(covered(config.clone(), 2.0), 8));
            assert_eq!(weighted == plain, config.num_beams() == 1);
        }
    }
}

#[test]
fn rows_have_the_same_bits_alone_and_among_others() {
    let text = |row: usize| (0..1 + row * 7 % 23).map(|i| (2 + (row * 13 + i * i * 5) % 7) as u32).collect::<Vec<_>>();
    let texts: Vec<Vec<u32>> = (0..40).map(text).collect();
    for (name, has_sources, model) in wide_models(40) {
        if !has_sources {
            continue;
        }
        let config = covered(beam(4, 0.6, 3), 0.4);
        for config in [config.clone(), config.with(|c| c.num_beam_groups = Some(2))] {
            let options = options(config, 8);
            let write = |rows: &[usize]| -> Vec<Vec<Hypothesis>> {
                let own: Vec<&[u32]> = rows.iter().map(|&row| &texts[row][..]).collect();
                model.write(&sequences(&own), &options)
            };
            let alone: Vec<Hypothesis> = (0..texts.len()).flat_map(|row| write(&[row])).flatten().collect();
            let order: Vec<usize> = (0..texts.len()).collect();
            for size in [7, 40] {
                let together: Vec<Hypothesis> = order.chunks(size).flat_map(&write).flatten().collect();
                assert_eq!(together, alone, "{name} in batches of {size}");
            }
            // Rows enter as others leave.
            let (mut tape, mut found) = (Tape::new(), vec![Vec::new(); texts.len()]);
            let mut decoder = Decoder::new(&*model.generator, &model.parameters, &options).unwrap();
            let mut left = &order[..];
            while !(left.is_empty() && decoder.is_empty()) {
                if decoder.len() < 9 && !left.is_empty() {
                    let (group, others) = left.split_at((1 + left.len() % 5).min(left.len()));
                    let sources = sequences(&group.iter().map(|&row| &texts[row][..]).collect::<Vec<_>>());
                    let rows: Vec<u64> = group.iter().map(|_| 0).collect();
                    let batch = DecodingBatch { rows: &rows, sources: Some(&sources), ..DecodingBatch::default() };
                    decoder.push(&mut tape, batch).unwrap();
                    left = others;
                }
                for (row, hypotheses) in decoder.step(&mut tape, |_, _| ()).unwrap() {
                    found[row] = hypotheses.unwrap();
                }
            }
            assert_eq!(found.concat(), alone, "{name}, continuously");
        }
    }
}

#[test]
fn guided_texts_cover_the_source_with_its_condition() {
    let (with, without) = (sources(), sequences(&[&[3], &[8, 2, 5], &[2, 2, 7, 6, 1, 3, 5], &[5], &[6, 2, 3]]));
    let rows: Vec<u64> = (0..with.len() as u64).collect();
    let config = covered(beam(3, 0.7, 3), 0.5).with(|c| c.guidance_scale = Some(1.5));
    for model in attending() {
        let (sources, unconditional) = (Some(&with), Some(&without));
        let batch = DecodingBatch { rows: &rows, sources, unconditional, ..DecodingBatch::default() };
        for (row, found) in model.run(batch, &options(config.clone(), 6)).unwrap().iter().enumerate() {
            for one in found {
                let expected = penalty(&coverage(&model, with.get(row), one), 0.5);
                assert!((one.score - divided(one, 0.7, Ranking::Gnmt) - expected).abs() < 1e-9, "{one:?}");
            }
        }
    }
}

#[test]
fn an_ensemble_covers_by_the_mean_of_its_models() {
    let models = [attentive(12, 3), translator(layers(Position::Rotary), 12, 7)];
    let members: Vec<(&dyn Generator, &Parameters)> =
        models.iter().map(|model| (&*model.generator, &model.parameters)).collect();
    let options = options(covered(beam(3, 0.7, 3), 0.5), 6);
    let (mut tape, sources) = (Tape::new(), sources());
    let mut decoder = Decoder::ensemble(&members, &options).unwrap();
    let batch = DecodingBatch { rows: &[0, 1, 2, 3, 4], sources: Some(&sources), ..DecodingBatch::default() };
    decoder.push(&mut tape, batch).unwrap();
    while !decoder.is_empty() {
        for (row, found) in decoder.step(&mut tape, |_, _| ()).unwrap() {
            for one in found.unwrap() {
                let [a, b] = models.each_ref().map(|model| coverage(model, sources.get(row), &one));
                let mean: Vec<f64> = zip(a, b).map(|(a, b)| (a + b) / 2.0).collect();
                let expected = penalty(&mean, 0.5);
                assert!((one.score - divided(&one, 0.7, Ranking::Gnmt) - expected).abs() < 1e-9, "{one:?}");
            }
        }
    }
}

#[test]
fn models_without_attention_to_a_source_are_refused() {
    let run = |model: &Model, sources: Option<&Sequences>, options: &DecodingOptions| {
        let batch = DecodingBatch { rows: &[0], sources, ..DecodingBatch::default() };
        generate(&*model.generator, &model.parameters, &mut Tape::new(), batch, options)
    };
    let (source, without) = (sequences(&[&[3, 4]]), pairs().remove(1));
    for (model, sources) in [(&without, Some(&source)), (&language_model(12, 3), None)] {
        let error = run(model, sources, &options(covered(beam(3, 0.7, 1), 0.5), 6)).unwrap_err().to_string();
        assert!(error.contains("coverage_penalty: the model has no attention to a source"), "{error}");
        assert!(run(model, sources, &options(covered(GenerationConfig::greedy(), 0.5), 6)).is_ok());
    }
    for (weight, says) in [(-0.1, "coverage_penalty = -0.1: "), (f64::NAN, "coverage_penalty = "), (101.0, "100")] {
        let error = covered(beam(3, 0.7, 1), weight).validate().unwrap_err();
        assert!(error.contains(says) && error.contains("from 0 to 100"), "{error}");
    }
}
