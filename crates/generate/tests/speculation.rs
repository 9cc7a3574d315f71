//! Speculation, by prompt lookup or a draft model, changes neither a text nor the bits of its score.

mod common;

use common::{EOS, after_bos, beam, gpt, language_model, layers, options, sample, sequences, translator, wide_models};
use descant_autograd::Tape;
use descant_batch::Sequences;
use descant_generate::{Decoder, DecodingBatch, DecodingOptions, DraftModel, GenerationConfig, Hypothesis};
use descant_models::{ModelConfig, ModelKind};
use descant_nn::{Position, TransformerConfig};
use std::sync::Arc;

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
    decoder.push(&mut tape, DecodingBatch { rows: &rows, sources, prompts, ..DecodingBatch::default() }).unwrap();
    while !decoder.is_empty() {
        steps += 1;
        for (row, hypotheses) in decoder.step(&mut tape, |row, token| streamed[row].push(token)).unwrap() {
            found[row] = hypotheses.unwrap();
        }
    }
    (found, streamed, steps)
}

#[test]
fn texts_and_scores_of_prompt_lookup_stay_bit_by_bit_and_steps_are_saved() {
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
    let batch = DecodingBatch { rows: &[0], sources: None, prompts: Some(&prompts), ..DecodingBatch::default() };
    let error = language_model(9, 3).run(batch, &options(lookup(GenerationConfig::greedy()), 9)).unwrap_err();
    assert!(error.to_string().contains("the decoder is recurrent"), "{error}");
}

fn draft(model: common::Model) -> Option<Arc<DraftModel>> {
    // What it takes is nothing to the decoder.
    let config = ModelConfig::new(ModelKind::LanguageModel);
    Some(Arc::new(DraftModel { config, model: model.generator, parameters: model.parameters }))
}

#[test]
fn texts_and_scores_with_a_draft_model_stay_bit_by_bit_and_steps_are_saved() {
    let texts = sequences(&[&[3, 4, 5, 3, 4], &[8], &[2, 2, 7, 6, 1, 3, 4], &[5, 8, 5, 8], &[6, 2, 3, 3]]);
    let prompts = after_bos(&texts);
    let long = || TransformerConfig { max_length: 64, ..layers(Position::Learned) };
    let of = |has_sources: bool, layers, seed| match has_sources {
        true => translator(layers, 9, seed),
        false => gpt(layers, 9, seed),
    };
    for has_sources in [false, true] {
        let input = if has_sources { (Some(&texts), None) } else { (None, Some(&prompts)) };
        let model = of(has_sources, long(), 5);
        for (name, draft_layers, seed) in [
            ("the model itself", long(), 5),
            ("another", layers(Position::Rotary), 6),
            ("one with few positions", layers(Position::Learned), 7),
        ] {
            let guesses = draft(of(has_sources, draft_layers, seed));
            for (mode, config) in [("greedy", GenerationConfig::greedy()), ("sampled", sample(Some(4), None, 7))] {
                for (context, ends) in [(None, false), (Some(11), false), (None, true)] {
                    let plain = options(config.clone(), 40).with(|o| {
                        o.config.context = context.filter(|_| !has_sources);
                        o.config.repetition_penalty = Some(1.2);
                        o.eos = if ends { vec![EOS] } else { Vec::new() };
                    });
                    let with_draft = plain.clone().with(|o| {
                        o.config.num_assistant_tokens = Some(3);
                        o.draft_model = guesses.clone();
                    });
                    let told = format!("{name}, {mode}, context {context:?}, sources {has_sources}");
                    let (expected, expected_stream, all_steps) = write(&model, input, &plain);
                    let (found, streamed, steps) = write(&model, input, &with_draft);
                    assert_eq!((found, streamed), (expected.clone(), expected_stream.clone()), "{told}");
                    assert!(steps <= all_steps, "{told}: {steps} steps of {all_steps}");
                    if name == "the model itself" && context.is_none() {
                        // Every guess is right: each step writes four tokens.
                        let longest = expected.iter().map(|found| found[0].tokens.len() + 1).max().unwrap();
                        assert!(steps <= longest.div_ceil(4) + 1, "{told}: {steps} steps for {longest} tokens");
                    }
                    // Beside prompt lookup, and with rows that enter later.
                    let both = with_draft.clone().with(|o| o.config.prompt_lookup_num_tokens = Some(4));
                    let (found, streamed, _) = write(&model, input, &both);
                    assert_eq!((found, streamed), (expected.clone(), expected_stream), "{told}, and prompt lookup");
                    assert_eq!(write_one_by_one(&model, input, &with_draft), expected, "{told}");
                }
            }
        }
    }
}

/// The same, but a row enters at each step.
fn write_one_by_one(
    model: &common::Model,
    (sources, prompts): (Option<&Sequences>, Option<&Sequences>),
    options: &DecodingOptions,
) -> Vec<Vec<Hypothesis>> {
    let count = sources.or(prompts).unwrap().len();
    let (mut tape, mut found) = (Tape::new(), vec![Vec::new(); count]);
    let mut decoder = Decoder::new(&*model.generator, &model.parameters, options).unwrap();
    for row in 0.. {
        if row < count {
            let [sources, prompts] = [sources, prompts].map(|all| all.map(|all| all.select(&[row])));
            let batch = DecodingBatch {
                rows: &[row as u64],
                sources: sources.as_ref(),
                prompts: prompts.as_ref(),
                ..DecodingBatch::default()
            };
            decoder.push(&mut tape, batch).unwrap();
        }
        if decoder.is_empty() {
            return found;
        }
        for (row, hypotheses) in decoder.step(&mut tape, |_, _| ()).unwrap() {
            found[row] = hypotheses.unwrap();
        }
    }
    found
}

#[test]
fn a_draft_model_that_cannot_guess_is_refused() {
    let several = sample(None, None, 1).with(|c| c.num_return_sequences = Some(2));
    let model = gpt(layers(Position::Rotary), 9, 3);
    let prompts = after_bos(&sequences(&[&[3, 4]]));
    let batch = DecodingBatch { rows: &[0], sources: None, prompts: Some(&prompts), ..DecodingBatch::default() };
    let refused = |model: &common::Model, config: GenerationConfig, guesses: common::Model| {
        let options = options(config, 9).with(|o| o.draft_model = draft(guesses));
        model.run(batch, &options).unwrap_err().to_string()
    };
    for config in [beam(2, 1.0, 1), several] {
        let error = refused(&model, config, gpt(layers(Position::Rotary), 9, 3));
        assert!(error.contains("draft_model: expected greedy decoding or sampling"), "{error}");
    }
    let greedy = GenerationConfig::greedy();
    let error = refused(&model, greedy.clone(), language_model(9, 3));
    assert!(error.contains("draft_model: it is recurrent"), "{error}");
    let error = refused(&language_model(9, 3), greedy.clone(), gpt(layers(Position::Rotary), 9, 3));
    assert!(error.contains("draft_model: the decoder is recurrent"), "{error}");
    let single = gpt(layers(Position::Rotary), 9, 3);
    let single = common::Model { parameters: single.parameters.cast(descant_tensor::DType::F32), ..single };
    let error = refused(&model, greedy, single);
    assert!(error.contains("elements are of another type"), "{error}");
}

#[test]
fn a_draft_model_that_fails_ends_drafting_and_no_text() {
    let model = gpt(layers(Position::Rotary), 12, 5);
    let prompts = after_bos(&sequences(&[&[3, 4], &[8], &[5, 2, 11]]));
    let input = (None, Some(&prompts));
    let mut no_numbers = gpt(layers(Position::Rotary), 12, 5);
    let descant_tensor::Buffer::F64(values) = no_numbers.parameters.buffer_mut() else { unreachable!() };
    values.fill(f64::NAN);
    // What the other one does not know is an error of its pass.
    for (name, guesses) in [("no numbers", no_numbers), ("a smaller vocabulary", gpt(layers(Position::Rotary), 6, 5))] {
        let guesses = draft(guesses);
        for config in [GenerationConfig::greedy(), sample(Some(4), None, 7)] {
            let plain = options(config, 20);
            let drafted = plain.clone().with(|o| o.draft_model = guesses.clone());
            assert_eq!(write(&model, input, &drafted), write(&model, input, &plain), "{name}");
        }
    }
}

#[test]
fn rows_that_cannot_enter_leave_the_others_as_they_are() {
    let model = translator(layers(Position::Rotary), 9, 5);
    // The draft model does not know the token 8 of a source.
    let mut small = translator(layers(Position::Rotary), 9, 6);
    let vocabulary = descant_models::Vocabulary::new(8, 9, false);
    let config = ModelConfig {
        decoder: descant_models::LayerKind::Transformer,
        transformer: Some(layers(Position::Rotary)),
        embedding: 6,
        hidden: 8,
        layers: 2,
        encoder_layers: 1,
        ..ModelConfig::new(ModelKind::EncoderDecoder)
    };
    small.parameters = descant_autograd::Parameters::new(descant_tensor::DType::F64);
    small.generator =
        descant_models::build(&config, &Default::default(), &vocabulary, &mut small.parameters, 6).unwrap();
    let options = options(GenerationConfig::greedy(), 9).with(|o| {
        (o.draft_model, o.forbidden) = (draft(small), vec![EOS]);
    });
    let mut decoder = Decoder::new(&*model.generator, &model.parameters, &options).unwrap();
    let (mut tape, mut found) = (Tape::new(), Vec::new());
    for (sources, enters) in [(sequences(&[&[3, 4, 5], &[2, 6]]), true), (sequences(&[&[3], &[8]]), false)] {
        let batch = DecodingBatch { rows: &[0, 1], sources: Some(&sources), ..DecodingBatch::default() };
        let before = decoder.len();
        assert_eq!(decoder.push(&mut tape, batch).is_ok(), enters);
        assert_eq!(decoder.len(), if enters { 2 } else { before });
        assert!(!decoder.is_empty());
        found.extend(decoder.step(&mut tape, |_, _| ()).unwrap());
    }
    while !decoder.is_empty() {
        found.extend(decoder.step(&mut tape, |_, _| ()).unwrap());
    }
    found.sort_by_key(|(row, _)| *row);
    let found: Vec<_> = found.into_iter().map(|(_, found)| found.unwrap()).collect();
    let plain = options.clone().with(|o| o.draft_model = None);
    assert_eq!(found, model.write(&sequences(&[&[3, 4, 5], &[2, 6]]), &plain));
}
