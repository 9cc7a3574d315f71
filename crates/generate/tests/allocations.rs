//! A token after the first allocates no buffer: neither of activations nor of scores. A test of its own, as it counts for its process.

mod common;

use common::{after_bos, options, sample, sequences, wide_models};
use descant_autograd::Tape;
use descant_generate::{Decoder, DecodingBatch, GenerationConfig};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Entries of the vocabulary: a row of scores has 32 kB.
const ENTRIES: usize = 8192;
/// What a step may allocate for each hypothesis: its tokens, and lists of rows.
const SMALL: usize = 1 << 12;

#[test]
fn no_buffer_is_allocated_per_token() {
    let texts = sequences(&[&[3, 4, 5], &[8, 2], &[5, 8, 7]]);
    for (name, has_sources, model) in wide_models(ENTRIES) {
        let prompts = after_bos(&texts);
        for (config, hypotheses) in
            [(GenerationConfig::greedy(), 1), (GenerationConfig::beam(4), 4), (sample(Some(5), None, 3), 1)]
        {
            let options = options(config, 40).with(|o| o.eos.clear());
            let mut tape = Tape::new();
            let mut decoder = Decoder::new(&*model.generator, &model.parameters, &options).unwrap();
            let (sources, prompts) = if has_sources { (Some(&texts), None) } else { (None, Some(&prompts)) };
            decoder.push(&mut tape, DecodingBatch { rows: &[0, 1, 2], sources, prompts }).unwrap();
            let mut bytes = Vec::new();
            for _ in 0..30 {
                let region = Region::new(ALLOCATOR);
                decoder.step(&mut tape, |_, _| ()).unwrap();
                bytes.push(region.change().bytes_allocated);
            }
            assert_eq!(decoder.len(), 3);
            // A block of the KV cache holds 32 tokens.
            let mut later = bytes[3..].to_vec();
            later.sort_unstable();
            let usual = later[later.len() - 3];
            assert!(usual <= SMALL * 3 * hypotheses, "{name}, {hypotheses} hypotheses: {bytes:?}");
        }
    }
}
