//! Vocabulary short lists: as if all other tokens were impossible, and the same bits in every batch.

mod common;

use common::{BOS, EOS, beam, layers, options, pairs, sample, sequences, sources, translator, wide_models};
use descant_autograd::{Parameters, Tape};
use descant_generate::{
    Context, Decoder, DecodingBatch, DecodingOptions, GenerationConfig, Hypothesis, LogitsProcessor, ShortList,
    generate,
};
use descant_kernels::Parallelism;
use descant_models::Generator;
use descant_nn::Position;
use std::sync::Arc;

fn list() -> ShortList {
    let rule = |token: u32| (vec![token], vec![2 + token, 2 + (token + 3) % 10]);
    ShortList::new(vec![2], (1..9).map(rule).chain([(vec![3, 4], vec![9, 10, 11])])).unwrap()
}

/// The tokens that the list has for a source, by the definition.
fn tokens(list: &ShortList, source: &[u32]) -> Vec<u32> {
    let has = |ngram: &[u32]| source.windows(ngram.len()).any(|window| window == ngram);
    let own = list.rules().into_iter().filter(|(ngram, _)| has(ngram)).flat_map(|(_, tokens)| tokens.iter());
    own.chain(list.common()).copied().collect()
}

/// Forbids what the list does not have for the source, and is not EOS.
struct Mask(ShortList);

impl LogitsProcessor for Mask {
    fn process(&self, context: &Context<'_>, scores: &mut [f64]) {
        let allowed = tokens(&self.0, context.source.unwrap());
        let forbidden = (0..).zip(scores).filter(|(token, _)| *token != EOS && !allowed.contains(token));
        forbidden.for_each(|(_, score)| *score = f64::NEG_INFINITY);
    }
}

#[test]
fn the_other_tokens_are_impossible() {
    let contrastive = GenerationConfig::default().with(|c| (c.penalty_alpha, c.top_k) = (Some(0.4), Some(3)));
    let penalised = GenerationConfig::greedy().with(|c| c.repetition_penalty = Some(1.3));
    let mut beams = beam(4, 1.0, 3);
    beams.renormalize_logits = Some(true);
    for model in pairs() {
        for config in [
            GenerationConfig::greedy(),
            penalised.clone(),
            beams.clone(),
            sample(None, Some(0.9), 3),
            contrastive.clone(),
        ] {
            // A processor of one's own takes a random number: both have one where they draw.
            let idle: Vec<Arc<dyn LogitsProcessor>> = match config.do_sample {
                Some(true) => vec![Arc::new(|_: &Context<'_>, _: &mut [f64]| ())],
                _ => Vec::new(),
            };
            let plain = options(config.clone(), 9).with(|o| o.processors = idle);
            let short = plain.clone().with(|o| o.short_list = Some(Arc::new(list())));
            let masked = plain.clone().with(|o| o.processors = vec![Arc::new(Mask(list()))]);
            let (found, expected) = (model.write(&sources(), &short), model.write(&sources(), &masked));
            assert_ne!(found, model.write(&sources(), &plain));
            for (row, (found, expected)) in found.iter().zip(&expected).enumerate() {
                assert_eq!(found.len(), expected.len());
                for (a, b) in found.iter().zip(expected) {
                    assert_eq!((&a.tokens, a.finish_reason), (&b.tokens, b.finish_reason), "row {row}");
                    assert!((a.score - b.score).abs() < 1e-9, "{a:?}, {b:?}");
                    let allowed = tokens(&list(), sources().get(row));
                    assert!(a.tokens.iter().all(|token| allowed.contains(token)), "{a:?}");
                }
            }
        }
    }
}

fn write(models: &[(&dyn Generator, &Parameters)], rows: &[usize], options: &DecodingOptions) -> Vec<Vec<Hypothesis>> {
    let text = |row: usize| (0..1 + row * 7 % 13).map(|i| (1 + (row * 13 + i * i * 5) % 8) as u32).collect::<Vec<_>>();
    let texts: Vec<Vec<u32>> = rows.iter().map(|&row| text(row)).collect();
    let sources = sequences(&texts.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let numbers: Vec<u64> = rows.iter().map(|&row| row as u64).collect();
    let (mut tape, mut found) = (Tape::new(), vec![Vec::new(); rows.len()]);
    let mut decoder = Decoder::ensemble(models, options).unwrap();
    decoder
        .push(
            &mut tape,
            DecodingBatch { rows: &numbers, sources: Some(&sources), prompts: None, ..DecodingBatch::default() },
        )
        .unwrap();
    while !decoder.is_empty() {
        decoder.step(&mut tape, |_, _| ()).unwrap().into_iter().for_each(|(row, ended)| found[row] = ended.unwrap());
    }
    found
}

#[test]
fn every_row_has_the_same_bits_alone_and_in_every_batch() {
    let list = ShortList::new(
        vec![2, 3],
        (1..9).map(|token| (vec![token], (0..6).map(|i| 3 + (token * 5 + i * 7) % 37).collect())),
    )
    .unwrap();
    let models: Vec<_> = wide_models(40).into_iter().filter(|(_, has_sources, _)| *has_sources).collect();
    let each = models.iter().map(|(.., model)| (&*model.generator, &model.parameters));
    let each: Vec<(&dyn Generator, &Parameters)> = each.collect();
    let cases = each.chunks(1).chain([&each[..]]);
    for (case, members) in cases.enumerate() {
        for config in [GenerationConfig::greedy(), GenerationConfig::beam(4), GenerationConfig::sampling(3)] {
            let mut options = DecodingOptions::new(config.with(|c| c.max_new_tokens = Some(8)), vec![BOS], vec![EOS]);
            options.short_list = Some(Arc::new(list.clone()));
            let alone: Vec<_> = (0..60).flat_map(|row| write(members, &[row], &options)).collect();
            options.parallelism = Parallelism::Threads(2);
            for size in [7, 32] {
                let order: Vec<usize> = (0..60).map(|i| i * 7 % 60).collect();
                for batch in order.chunks(size) {
                    for (&row, found) in batch.iter().zip(write(members, batch, &options)) {
                        assert_eq!(found, alone[row], "case {case}, row {row} in a batch of {size}");
                    }
                }
            }
        }
    }
}

#[test]
fn what_has_no_use_for_a_short_list_is_refused() {
    let short = |config| options(config, 5).with(|o| o.short_list = Some(Arc::new(list())));
    let prompts = sequences(&[&[BOS, 3]]);
    let batch = DecodingBatch { rows: &[0], sources: None, prompts: Some(&prompts), ..DecodingBatch::default() };
    let error = common::language_model(12, 3).run(batch, &short(GenerationConfig::greedy())).unwrap_err();
    assert!(error.to_string().contains("short_list: a language model has no source"), "{error}");
    let model = translator(layers(Position::Rotary), 12, 3);
    let beyond = short(GenerationConfig::greedy())
        .with(|o| o.short_list = Some(Arc::new(ShortList::new(vec![99], std::iter::empty()).unwrap())));
    let sources = sources();
    let batch =
        DecodingBatch { rows: &[0, 1, 2, 3, 4], sources: Some(&sources), prompts: None, ..DecodingBatch::default() };
    // Without an EOS, a source may have no token at all: that row alone cannot begin.
    let without_eos = short(GenerationConfig::greedy()).with(|o| {
        o.eos.clear();
        o.short_list = ShortList::new(Vec::new(), [(vec![8], vec![5])]).ok().map(Arc::new);
    });
    let found = generate(&*model.generator, &model.parameters, &mut Tape::new(), batch, &without_eos).unwrap();
    for (row, found) in found.iter().enumerate() {
        match row {
            1 | 3 => assert!(found.as_ref().unwrap()[0].tokens.iter().all(|&token| token == 5)),
            _ => assert!(found.as_ref().unwrap_err().to_string().contains("no token for the source"), "{found:?}"),
        }
    }
    let error = model.run(batch, &beyond).unwrap_err();
    assert!(error.to_string().contains("id 99 is outside a table of 12 rows"), "{error}");
}
