//! Language models that read no more at once than they may.

mod common;

use common::{BOS, EOS, Model, after_bos, assert_same, beam, gpt, language_models, layers, options, sample, sequences};
use descant_generate::{DecodingOptions, GenerationConfig, Hypothesis};
use descant_nn::Position;

const CONTEXT: usize = 6;

/// DecodingOptions with a window, under which texts do not end.
fn endless(config: GenerationConfig, context_bos: Option<u32>) -> DecodingOptions {
    options(config, 25).with(|o| {
        o.config.context = Some(CONTEXT);
        o.context_bos = context_bos;
        o.forbidden = vec![EOS, BOS];
    })
}

/// The log probabilities of what comes after these tokens, of which at most the context is read: by the definition.
fn next(model: &Model, all: &[u32], options: &DecodingOptions) -> Vec<f64> {
    let (mut first, keep) = (0, CONTEXT / 2);
    for read in 0..all.len() {
        if read - first == CONTEXT {
            first = read - keep;
        }
    }
    let mut window = all[first..].to_vec();
    if let (1.., Some(bos)) = (first, options.context_bos) {
        window[0] = bos;
    }
    let all = model.log_probabilities(None, &window).pop().unwrap();
    // Forbidden tokens have no share.
    let (gone, one): (f64, f64) = (options.forbidden.iter().map(|&token| all[token as usize].exp()).sum(), 1.0);
    all.iter().map(|log| log - (one - gone).ln()).collect()
}

#[test]
fn a_full_window_goes_on_with_its_last_half() {
    for (model, context_bos) in language_models(9, 3).into_iter().zip([Some(BOS), None].into_iter().cycle()) {
        for config in [GenerationConfig::greedy(), beam(3, 0.0, 3)] {
            let options = endless(config, context_bos);
            for one in model.resume(&sequences(&[&[4, 5]]), &options).concat() {
                let all = [&[BOS, 4, 5], &one.tokens[..]].concat();
                let expected: f64 = (3..all.len()).map(|i| next(&model, &all[..i], &options)[all[i] as usize]).sum();
                assert!((one.log_probability - expected).abs() < 1e-9, "{one:?} {expected}");
                assert_eq!(one.tokens.len(), 25);
            }
        }
    }
}

#[test]
fn a_batch_with_a_window_writes_what_each_prompt_writes_alone() {
    let long: Vec<u32> = (0..40).map(|i| 2 + i % 7).collect();
    let prompts = sequences(&[&[4, 5, 6, 7], &[], &long, &[8, 8, 2, 2, 2, 3], &[2, 3, 4]]);
    for model in language_models(9, 8) {
        for config in [GenerationConfig::greedy(), beam(3, 0.5, 2), sample(Some(4), None, 5)] {
            let options = endless(config, Some(BOS));
            let together = model.resume(&prompts, &options);
            for (row, found) in together.iter().enumerate() {
                let (numbers, alone) = ([row as u64], after_bos(&sequences(&[prompts.get(row)])));
                let input = descant_generate::DecodingBatch {
                    rows: &numbers,
                    sources: None,
                    prompts: Some(&alone),
                    ..descant_generate::DecodingBatch::default()
                };
                assert_same(found, &model.run(input, &options).unwrap()[0]);
            }
        }
    }
}

#[test]
fn a_window_that_nothing_fills_changes_nothing() {
    for model in language_models(9, 4) {
        let wide = options(GenerationConfig::greedy(), 20).with(|o| o.config.context = Some(23));
        let (prompts, free) = (sequences(&[&[4, 5, 6]]), wide.clone().with(|o| o.config.context = None));
        assert_same(&model.resume(&prompts, &wide)[0], &model.resume(&prompts, &free)[0]);
    }
}

#[test]
fn of_a_longer_prompt_the_end_is_read_with_room_for_the_answer() {
    let model = gpt(layers(Position::Rotary), 9, 5);
    let long: Vec<u32> = (0..30).map(|i| 2 + i * i % 7).collect();
    let write = |prompt: &[u32], context, max_length| -> Vec<Hypothesis> {
        let options = options(GenerationConfig::greedy(), max_length).with(|o| {
            o.config.context = context;
            o.forbidden = vec![EOS];
        });
        model.resume(&sequences(&[prompt]), &options).remove(0)
    };
    // Of 10 tokens, 2 are for generated tokens that are read, and 1 is BOS.
    assert_same(&write(&long, Some(10), 3), &write(&long[23..], None, 3));
    // Half is, where more is to be written.
    assert_same(&write(&long, Some(10), 6), &write(&long[26..], None, 6));
}

#[test]
fn learned_positions_are_the_widest_window() {
    let model = gpt(layers(Position::Learned), 9, 6);
    let options = options(GenerationConfig::greedy(), 40).with(|o| o.forbidden = vec![EOS]);
    let prompts = sequences(&[&[3, 4], &[5; 30]]);
    let found = model.resume(&prompts, &options);
    assert!(found.iter().all(|found| found[0].tokens.len() == 40));
    let same = model.resume(&prompts, &options.clone().with(|o| o.config.context = Some(12)));
    let wider = model.resume(&prompts, &options.with(|o| o.config.context = Some(500)));
    for (row, found) in found.iter().enumerate() {
        assert_same(found, &same[row]);
        assert_same(found, &wider[row]);
    }
}
