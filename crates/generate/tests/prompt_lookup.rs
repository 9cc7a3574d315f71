//! Prompt lookup changes neither a text nor the bits of its score.

mod common;

use common::{after_bos, gpt, language_model, layers, options, sample, sequences, translator, wide_models};
use descant_autograd::Tape;
use descant_batch::Sequences;
use descant_generate::{Decoder, DecodingBatch, DecodingOptions, GenerationConfig, Hypothesis};
use descant_nn::{Position, TransformerConfig};

/// What is generated and streamed for these rows, and in how many steps.
fn write(
    model: &common::Model,
    (sources, prompts): (Option<&Sequences>, Option<&Sequences>),
    options: &DecodingOptions,
) -> (Vec<Vec<Hypothesis>>, Vec<Vec<u32>>, usize) {
    let count = sources.or(prompts).unwrap().len();
    let rows: Vec<u64> = (0..count as u64).collect();
    let (mut tape, mut steps) = (Tape::new(), 0);
    let (mut found, mut streamed) = (vec![Vec::new(); count], vec![Vec::new(); count]);
    let mut decoder = Decoder::new(&*model.generator, &model.parameters, options).unwrap();
    decoder.push(&mut tape, DecodingBatch { rows: &rows, sources, prompts }).unwrap();
    while !decoder.is_empty() {
        steps += 1;
        for (row, hypotheses) in decoder.step(&mut tape, |row, token| streamed[row].push(token)).unwrap() {
            found[row] = hypotheses;
        }
    }
    (found, streamed, steps)
}

#[test]
fn texts_and_scores_stay_bit_by_bit_and_steps_are_saved() {
    let texts = sequences(&[&[3, 4, 5, 3, 4], &[8], &[2, 2, 7, 6, 1, 3, 4], &[5, 8, 5, 8], &[6, 2, 3, 3]]);
    let prompts = after_bos(&texts);
    let windowed = TransformerConfig { window: Some(3), kv_heads: Some(1), ..layers(Position::Rotary) };
    let long = TransformerConfig { max_length: 64, ..layers(Position::Learned) };
    let mut models = vec![
        ("rotary", false, gpt(layers(Position::Rotary), 9, 3)),
        ("a window and grouped heads", false, gpt(windowed, 9, 4)),
        ("learned positions", false, gpt(long, 9, 5)),
        ("a translator", true, translator(layers(Position::Rotary), 9, 6)),
        ("a translator with few positions", true, translator(layers(Position::Learned), 9, 7)),
        ("a translator whose sides have other tokens", true, translator(layers(Position::Rotary), 4, 8)),
    ];
    models.extend(wide_models(9).into_iter().filter(|(name, ..)| name.starts_with("Transformer")));
    for (name, has_sources, model) in models {
        let input = if has_sources { (Some(&texts), None) } else { (None, Some(&prompts)) };
        for (mode, config) in [("greedy", GenerationConfig::greedy()), ("sampled", sample(Some(2), None, 7))] {
            for context in [None, Some(11)].into_iter().filter(|context| context.is_none() || !has_sources) {
                // Without EOS texts repeat themselves; with processors a draft meets options that read the text.
                let plain = options(config.clone(), 40).with(|o| {
                    o.config.context = context;
                    o.config.repetition_penalty = (mode == "sampled").then_some(1.2);
                    o.eos.clear();
                });
                let lookup = plain.clone().with(|o| {
                    o.config.prompt_lookup_num_tokens = Some(5);
                    o.config.max_matching_ngram_size = Some(3);
                    o.shares_vocabulary = !name.ends_with("other tokens");
                });
                let (expected, expected_stream, all_steps) = write(&model, input, &plain);
                let (found, streamed, steps) = write(&model, input, &lookup);
                assert_eq!(found, expected, "{name}, {mode}, {context:?}");
                assert_eq!(streamed, expected_stream, "{name}, {mode}, {context:?}");
                let are_saved = steps < all_steps || mode == "sampled";
                assert!(are_saved && steps <= all_steps, "{name}, {mode}, {context:?}: {steps} steps of {all_steps}");
            }
        }
    }
}

#[test]
fn what_has_no_single_text_or_no_kv_cache_is_refused() {
    let lookup = |config: GenerationConfig| config.with(|c| c.prompt_lookup_num_tokens = Some(5));
    let several = sample(None, None, 1).with(|c| c.num_return_sequences = Some(2));
    for config in [GenerationConfig::beam(2), several] {
        let error = lookup(config).validate().unwrap_err();
        assert!(error.starts_with("prompt_lookup_num_tokens: expected greedy decoding or sampling"), "{error}");
    }
    let prompts = after_bos(&sequences(&[&[3, 4]]));
    let batch = DecodingBatch { rows: &[0], sources: None, prompts: Some(&prompts) };
    let error = language_model(9, 3).run(batch, &options(lookup(GenerationConfig::greedy()), 9)).unwrap_err();
    assert!(error.to_string().contains("the decoder is recurrent"), "{error}");
}
