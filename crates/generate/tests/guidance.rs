//! Classifier-free guidance: compared with its definition, by two scorings of whole sequences.

mod common;

use common::*;
use descant_batch::Sequences;
use descant_generate::{DecodingBatch, DecodingOptions, GenerationConfig, Hypothesis};
use descant_nn::{Position, TransformerConfig};

const SCALE: f64 = 2.5;

/// What rows read, with their condition and without.
struct Rows {
    with: Sequences,
    without: Sequences,
    are_sources: bool,
}

/// Rows of sources, or of prompts after BOS; without the condition, some are longer and some are shorter.
fn rows(are_sources: bool) -> Rows {
    let (with, without) = (sources(), sequences(&[&[3], &[8, 2, 5], &[2, 2, 7, 6, 1, 3, 5], &[5], &[6, 2, 3]]));
    match are_sources {
        true => Rows { with, without, are_sources },
        false => Rows { with: after_bos(&with), without: after_bos(&without), are_sources },
    }
}

impl Rows {
    fn len(&self) -> usize {
        self.with.len()
    }

    fn select(&self, rows: &[usize]) -> Self {
        Self { with: self.with.select(rows), without: self.without.select(rows), are_sources: self.are_sources }
    }

    fn write(&self, model: &Model, numbers: &[u64], options: &DecodingOptions) -> Vec<Vec<Hypothesis>> {
        let (sources, prompts) = if self.are_sources { (Some(&self.with), None) } else { (None, Some(&self.with)) };
        let unconditional = Some(&self.without);
        let batch = DecodingBatch { rows: numbers, sources, prompts, unconditional, ..DecodingBatch::default() };
        model.run(batch, options).unwrap()
    }

    /// The guided scores of each token that a hypothesis of a row has, and of all the others there, by the definition.
    fn scores(&self, model: &Model, row: usize, one: &Hypothesis) -> Vec<(u32, Vec<f64>)> {
        let end = one.is_finished().then_some(EOS);
        let written: Vec<u32> = one.tokens.iter().copied().chain(end).collect();
        let logs = |read: &Sequences| {
            let (source, prompt) =
                if self.are_sources { (Some(read.get(row)), &[BOS][..]) } else { (None, read.get(row)) };
            let rows = model.log_probabilities(source, &[prompt, &written[..written.len() - 1]].concat());
            rows[prompt.len() - 1..].to_vec()
        };
        let guided = |(with, without): (Vec<f64>, Vec<f64>)| {
            with.iter().zip(&without).map(|(c, u)| u + SCALE * (c - u)).collect::<Vec<f64>>()
        };
        let scores = logs(&self.with).into_iter().zip(logs(&self.without)).map(guided);
        written.into_iter().zip(scores).collect()
    }
}

fn models() -> Vec<(Model, bool)> {
    let all = pairs().into_iter().map(|model| (model, true));
    all.chain(language_models(12, 3).into_iter().map(|model| (model, false))).collect()
}

fn guided(config: GenerationConfig) -> GenerationConfig {
    config.with(|c| c.guidance_scale = Some(SCALE))
}

#[test]
fn scores_are_those_of_the_definition_in_every_search() {
    let log_sum = |scores: &[f64]| scores.iter().map(|score| score.exp()).sum::<f64>().ln();
    for (model, are_sources) in models() {
        let rows = rows(are_sources);
        let numbers: Vec<u64> = (0..rows.len() as u64).collect();
        for mode in [GenerationConfig::greedy(), GenerationConfig::sampling(3), beam(3, 0.0, 3)] {
            let (is_beam, is_greedy) = (mode.num_beams == Some(3), mode.do_sample == Some(false));
            let found = rows.write(&model, &numbers, &options(guided(mode), 5));
            for (row, found) in found.iter().enumerate() {
                for one in found {
                    let scores = rows.scores(&model, row, one);
                    // As in transformers, a beam search takes them as they are; what is drawn, or chosen, is renormalised.
                    let of = |(token, scores): &(u32, Vec<f64>)| {
                        scores[*token as usize] - if is_beam { 0.0 } else { log_sum(scores) }
                    };
                    let expected: f64 = scores.iter().map(of).sum();
                    assert!((one.log_probability - expected).abs() < 1e-8, "{one:?}: {expected}");
                    let is_best = |(token, scores): &(u32, Vec<f64>)| {
                        scores.iter().all(|score| *score <= scores[*token as usize] + 1e-9)
                    };
                    assert!(!is_greedy || is_beam || scores.iter().all(is_best), "{one:?}");
                }
                let finished: Vec<f64> = found.iter().filter(|one| one.is_finished()).map(|one| one.score).collect();
                assert!(!is_beam || finished.is_sorted_by(|a, b| a >= b), "{found:?}");
            }
        }
    }
}

#[test]
fn rows_have_the_same_bits_alone_and_together() {
    for (model, are_sources) in models() {
        let rows = rows(are_sources);
        let numbers: Vec<u64> = (0..rows.len() as u64).collect();
        for mode in [GenerationConfig::greedy(), GenerationConfig::sampling(3), beam(4, 1.0, 2)] {
            let mut options = options(guided(mode), 9);
            // A language model's context slides, of both ways of reading, each at its own time.
            options.config.context = (!are_sources).then_some(8);
            let together = rows.write(&model, &numbers, &options);
            for (row, found) in together.iter().enumerate() {
                let alone = rows.select(&[row]).write(&model, &[row as u64], &options);
                assert_eq!(alone[0], *found);
            }
            let plain = options.clone().with(|o| o.config.guidance_scale = Some(1.0));
            let off = options.clone().with(|o| o.config.guidance_scale = None);
            assert_eq!(rows.write(&model, &numbers, &plain), rows.write(&model, &numbers, &off));
            assert_ne!(rows.write(&model, &numbers, &off), together);
        }
    }
}

#[test]
fn long_prompts_are_read_in_parts_that_end_together() {
    let text = |count: usize, of: usize| (0..count).map(|i| (2 + i * i * of % 9) as u32).collect::<Vec<u32>>();
    let (a, b, c) = (text(1300, 3), text(700, 5), text(600, 7));
    let rows = Rows {
        with: after_bos(&sequences(&[&a, &[3, 4], &b])),
        without: after_bos(&sequences(&[&[5], &c, &a])),
        are_sources: false,
    };
    let long = TransformerConfig { max_length: 2000, ..layers(Position::Rotary) };
    for model in [language_model(12, 3), gpt(long, 12, 4)] {
        let options = options(guided(GenerationConfig::greedy()), 3);
        let together = rows.write(&model, &[0, 1, 2], &options);
        for (row, found) in together.iter().enumerate() {
            assert_eq!(rows.select(&[row]).write(&model, &[row as u64], &options)[0], *found);
            for (token, scores) in rows.scores(&model, row, &found[0]) {
                assert!(scores.iter().all(|score| *score <= scores[token as usize] + 1e-9), "row {row}: {found:?}");
            }
        }
    }
}

#[test]
fn without_attributes_a_language_model_reads_the_last_token_of_its_prompt_alone() {
    let options = options(guided(GenerationConfig::greedy()), 6);
    for model in language_models(12, 3) {
        let prompts = after_bos(&sources());
        let last: Vec<&[u32]> = (0..prompts.len()).map(|row| &prompts.get(row)[prompts.get(row).len() - 1..]).collect();
        let given = Rows { with: prompts.clone(), without: sequences(&last), are_sources: false };
        let empty = sequences(&vec![&[][..]; prompts.len()]);
        let numbers: Vec<u64> = (0..prompts.len() as u64).collect();
        let expected = given.write(&model, &numbers, &options);
        let batch = DecodingBatch { rows: &numbers, prompts: Some(&prompts), ..DecodingBatch::default() };
        assert_eq!(model.run(batch, &options).unwrap(), expected);
        let batch = DecodingBatch { unconditional: Some(&empty), ..batch };
        assert_eq!(model.run(batch, &options).unwrap(), expected);
    }
    // A source has no such token.
    let batch = DecodingBatch { rows: &[0], sources: Some(&sequences(&[&[3, 4]])), ..DecodingBatch::default() };
    let error = attentive(12, 3).run(batch, &options).unwrap_err().to_string();
    assert!(error.contains("guidance_scale: the source has no control attribute"), "{error}");
    for (config, part) in [
        (GenerationConfig::default().with(|c| (c.penalty_alpha, c.top_k) = (Some(0.6), Some(4))), "no penalty_alpha"),
        (GenerationConfig::greedy().with(|c| c.prompt_lookup_num_tokens = Some(3)), "no prompt_lookup_num_tokens"),
    ] {
        let error = guided(config).validate().unwrap_err();
        assert!(error.contains("guidance_scale: expected") && error.contains(part), "{error}");
    }
}
