//! A row has the same text and the same bits of its score alone, in every batch, among rows that enter and leave, and on any number
//! of threads.

mod common;

use common::{BOS, EOS, Model, sequences, wide_models};
use descant_autograd::{StorageType, Tape};
use descant_batch::Sequences;
use descant_generate::{Decoder, DecodingBatch, DecodingOptions, GenerationConfig, Hypothesis, generate};
use descant_kernels::{Parallelism, WeightType};
use descant_tensor::Shape;
use std::collections::BTreeSet;

const ROWS: usize = 500;
const ENTRIES: usize = 40;

/// Sources or prompts of different lengths.
fn texts() -> Sequences {
    let text = |row: usize| (0..1 + row * 7 % 41).map(|i| (2 + (row * 13 + i * i * 5) % 7) as u32).collect::<Vec<_>>();
    let texts: Vec<Vec<u32>> = (0..ROWS).map(text).collect();
    sequences(&texts.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// Calls `f` with a batch of these rows.
fn with_batch<R>(has_sources: bool, rows: &[usize], f: impl FnOnce(DecodingBatch<'_>) -> R) -> R {
    let (texts, numbers) = (texts().select(rows), rows.iter().map(|&row| row as u64).collect::<Vec<_>>());
    let (sources, prompts) = if has_sources { (Some(&texts), None) } else { (None, Some(&texts)) };
    // What guidance reads without a condition.
    let others = self::texts().select(&rows.iter().map(|row| (row + 1) % ROWS).collect::<Vec<_>>());
    f(DecodingBatch { rows: &numbers, sources, prompts, unconditional: Some(&others), ..DecodingBatch::default() })
}

fn write(model: &Model, has_sources: bool, rows: &[usize], options: &DecodingOptions) -> Vec<Vec<Hypothesis>> {
    with_batch(has_sources, rows, |batch| {
        let found = generate(model.generator.as_ref(), &model.parameters, &mut Tape::new(), batch, options).unwrap();
        found.into_iter().map(Result::unwrap).collect()
    })
}

/// The same, but rows enter in groups of different sizes whenever fewer than `size` are left.
fn write_continuously(
    model: &Model,
    has_sources: bool,
    rows: &[usize],
    size: usize,
    options: &DecodingOptions,
) -> Vec<Vec<Hypothesis>> {
    let (mut tape, mut left) = (Tape::new(), rows);
    let mut decoder = Decoder::new(model.generator.as_ref(), &model.parameters, options).unwrap();
    let mut found = vec![Vec::new(); rows.len()];
    while !(left.is_empty() && decoder.is_empty()) {
        if decoder.len() < size && !left.is_empty() {
            let (group, others) = left.split_at((1 + left.len() % 5).min(left.len()));
            with_batch(has_sources, group, |batch| decoder.push(&mut tape, batch)).unwrap();
            left = others;
        }
        for (row, hypotheses) in decoder.step(&mut tape, |_, _| ()).unwrap() {
            found[row] = hypotheses.unwrap();
        }
    }
    found
}

#[test]
fn every_row_has_the_same_bits_alone_and_in_every_batch() {
    compare(StorageType::RowMajor);
}

#[test]
fn so_it_has_with_packed_weights() {
    compare(StorageType::Packed);
}

#[test]
fn so_it_has_with_weights_in_bfloat16() {
    compare(StorageType::Reduced(WeightType::Bf16));
}

#[test]
fn so_it_has_with_weights_in_int8() {
    compare(StorageType::Reduced(WeightType::Int8));
}

#[test]
fn so_it_has_with_weights_of_4_bits() {
    compare(StorageType::Reduced(WeightType::Q4));
}

/// The same model with its matrices stored so.
fn stored(model: Model, storage: StorageType) -> Model {
    let of = |name: &str, shape: Shape| match shape.rank() == 2 && name.contains("weight") {
        true => storage,
        false => StorageType::RowMajor,
    };
    let parameters = model.parameters.stored_as(of).unwrap();
    let is_reduced = matches!(storage, StorageType::Reduced(_));
    assert!(!is_reduced || 10 * parameters.size() < 7 * model.parameters.size(), "most of it is reduced");
    Model { parameters, ..model }
}

fn compare(storage: StorageType) {
    let mut beam = GenerationConfig::beam(5);
    beam.num_return_sequences = Some(3);
    let modes = [
        ("greedy", GenerationConfig::greedy(), ROWS),
        ("beam of 5", beam, ROWS),
        ("beam of 17", GenerationConfig::beam(17), ROWS / 10),
        ("sampled", GenerationConfig::sampling(3), ROWS),
        ("guided", GenerationConfig::beam(3).with(|c| c.guidance_scale = Some(2.0)), ROWS / 5),
    ];
    for (name, has_sources, model) in wide_models(ENTRIES) {
        let model = stored(model, storage);
        let mut lengths = BTreeSet::new();
        for (mode, mut config, rows) in modes.clone() {
            config.max_new_tokens = Some(8);
            let mut options = DecodingOptions::new(config, vec![BOS], vec![EOS]);
            let alone: Vec<Vec<Hypothesis>> =
                (0..rows).flat_map(|row| write(&model, has_sources, &[row], &options)).collect();
            lengths.extend(alone.iter().flatten().map(|found| found.tokens.len()));
            for (size, threads) in [(2, 1), (7, 2), (32, 4)] {
                options.parallelism = Parallelism::Threads(threads);
                // In an order that brings others together each time.
                let order: Vec<usize> = (0..rows).map(|i| i * (2 * size + 3) % rows).collect();
                for batch in order.chunks(size) {
                    for (&row, found) in batch.iter().zip(write(&model, has_sources, batch, &options)) {
                        assert_eq!(
                            found, alone[row],
                            "{name}, {mode}: row {row} in a batch of {size}, {threads} threads"
                        );
                    }
                }
                let continuous = write_continuously(&model, has_sources, &order, size, &options);
                for (row, found) in order.into_iter().zip(continuous) {
                    assert_eq!(found, alone[row], "{name}, {mode}: row {row} among about {size}, {threads} threads");
                }
            }
        }
        assert!(lengths.len() > 1, "{name}: rows that end apart, {lengths:?}");
    }
}
