//! What a step of the decoder allocates. A test of its own, as it counts what its process allocates.

mod common;

use common::{BOS, Model, attentive, gpt, language_model, layers, sequences, translator};
use descant_autograd::Tape;
use descant_generate::{
    AttributeClassifier, Decoder, DecodingBatch, DecodingOptions, GenerationConfig, ShortList, Steering,
};
use descant_nn::{Position, TransformerConfig};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;
use std::sync::Arc;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Rows that are decoded together.
const ROWS: usize = 3;
/// Steps before the first that counts, and those that count: no block of a KV cache begins in them.
const STEPS: [usize; 2] = [41, 7];

/// Bytes that a step allocates for a row, in the mean: of a language model, or with sources.
fn bytes(models: &[&Model], options: &DecodingOptions, has_sources: bool) -> usize {
    let members: Vec<_> = models.iter().map(|model| (model.generator.as_ref(), &model.parameters)).collect();
    let (mut tape, mut decoder) = (Tape::new(), Decoder::ensemble(&members, options).unwrap());
    let prompts = sequences(&[&[BOS][..]; ROWS]);
    let sources = sequences(&[&[3, 4, 5], &[8], &[2, 2, 7]]);
    let rows: Vec<u64> = (0..ROWS as u64).collect();
    let sources = has_sources.then_some(&sources);
    decoder
        .push(&mut tape, DecodingBatch { rows: &rows, sources, prompts: Some(&prompts), ..DecodingBatch::default() })
        .unwrap();
    let [first, counted] = STEPS;
    for _ in 0..first {
        decoder.step(&mut tape, |_, _| ()).unwrap();
    }
    let before = ALLOCATOR.stats();
    for _ in 0..counted {
        decoder.step(&mut tape, |_, _| ()).unwrap();
    }
    let after = ALLOCATOR.stats();
    assert_eq!(decoder.len(), ROWS, "all rows go on");
    (after.bytes_allocated - before.bytes_allocated) / (counted * ROWS)
}

// One test: what others allocate meanwhile would count.
#[test]
fn a_step_allocates_the_same_few_bytes_whatever_the_vocabulary() {
    every_search();
    steering();
    short_lists();
}

fn every_search() {
    let sampling = GenerationConfig::sampling(1).with(|c| {
        (c.top_k, c.top_p) = (Some(50), Some(0.9));
    });
    let processors = sampling.clone().with(|c| {
        (c.typical_p, c.eta_cutoff, c.epsilon_cutoff, c.min_p) = (Some(0.9), Some(1e-3), Some(1e-3), Some(0.01));
        (c.repetition_penalty, c.presence_penalty, c.frequency_penalty) = (Some(1.1), Some(0.1), Some(0.1));
        (c.xtc_probability, c.dry_multiplier, c.top_h) = (Some(0.5), Some(0.5), Some(0.9));
    });
    let drawn = GenerationConfig::beam(5).with(|c| c.do_sample = Some(true));
    let configs = [
        ("greedy", GenerationConfig::greedy(), 700),
        ("sampling with top-k and top-p", sampling, 700),
        ("sampling with every processor", processors, 700),
        ("a beam of 5", GenerationConfig::beam(5), 3000),
        ("a beam of 5 that is drawn", drawn, 3000),
        ("greedy with guidance", GenerationConfig::greedy().with(|c| c.guidance_scale = Some(2.0)), 1500),
    ];
    let mut all = Vec::new();
    for (name, config, most) in configs {
        let config = config.with(|c| c.max_new_tokens = Some(200));
        let options = DecodingOptions::new(config, vec![BOS], Vec::new());
        let of_vocabulary = |entries: usize| {
            let models = [
                language_model(entries, 3),
                gpt(layers(Position::Rotary), entries, 4),
                gpt(layers(Position::Sinusoidal), entries, 5),
            ];
            let alone = models.each_ref().map(|model| bytes(&[model], &options, false));
            (alone, bytes(&[&models[0], &models[1]], &options, false))
        };
        let (small, large) = (of_vocabulary(300), of_vocabulary(9000));
        println!("{name}: {small:?} and {large:?} bytes a row and step");
        let every = |of: ([usize; 3], usize)| [of.0[0], of.0[1], of.0[2], of.1];
        all.extend(every(small).into_iter().zip(every(large)).map(|(small, large)| (name, small, large, most)));
    }
    for (name, small, large, most) in all {
        assert!(large <= small + 256, "{name}: {small} bytes, with 30 times the tokens {large}");
        assert!(large <= most, "{name}: {large} bytes");
    }
}

fn steering() {
    let config = GenerationConfig::greedy().with(|c| c.max_new_tokens = Some(200));
    let of_vocabulary = |entries: usize| {
        [language_model(entries, 3), gpt(layers(Position::Rotary), entries, 4)].map(|model| {
            let width = model.parameters.shape(model.generator.output().token_rows().0).last();
            let weight =
                [1.0, -1.0].map(|sign| (0..width).map(|i| sign * (i as f64).sin()).collect::<Vec<f64>>()).to_vec();
            let classifier = AttributeClassifier { labels: vec!["a".into(), "b".into()], weight, bias: vec![0.0; 2] };
            let mut options = DecodingOptions::new(config.clone(), vec![BOS], Vec::new());
            options.steering = Some(Arc::new(Steering { classifier, label: 0 }));
            bytes(&[&model], &options, false)
        })
    };
    let (small, large) = (of_vocabulary(300), of_vocabulary(9000));
    println!("steered: {small:?} and {large:?} bytes a row and step");
    for (small, large) in small.into_iter().zip(large) {
        assert!(large <= small + 256 && large <= 8000, "{small} bytes, with 30 times the tokens {large}");
    }
}

fn short_lists() {
    let config = GenerationConfig::greedy().with(|c| c.max_new_tokens = Some(200));
    // Of a list of so many tokens.
    let of_list = |tokens: u32| {
        let wide = TransformerConfig { max_length: 256, ..layers(Position::Rotary) };
        let rules = (0..9).map(|token| (vec![token], (0..tokens).map(|i| 2 + (i * 7 + token) % 8000).collect()));
        let list = Arc::new(ShortList::new((2..tokens).collect(), rules).unwrap());
        [attentive(9000, 3), translator(wide, 9000, 4)].map(|model| {
            let options = DecodingOptions::new(config.clone(), vec![BOS], Vec::new());
            bytes(&[&model], &options.with(|o| o.short_list = Some(list.clone())), true)
        })
    };
    let (short, long) = (of_list(30), of_list(3000));
    println!("short lists: {short:?} and {long:?} bytes a row and step");
    for (short, long) in short.into_iter().zip(long) {
        assert!(long <= short + 256 && long <= 1500, "{short} bytes, with a list of 100 times the tokens {long}");
    }
}
