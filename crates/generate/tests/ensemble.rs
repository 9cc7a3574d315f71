//! Ensembles: the probability of a token is the mean of the members'.

mod common;

use common::{BOS, EOS, Model, attentive, beam, layers, options, sample, sources, translator};
use descant_autograd::{Parameters, Tape};
use descant_generate::{Decoder, DecodingBatch, DecodingOptions, GenerationConfig, Hypothesis, TokenIds};
use descant_models::Generator;
use descant_nn::Position;
use descant_tensor::{Buffer, DType};

fn write(models: &[&Model], options: &DecodingOptions) -> Vec<Vec<Hypothesis>> {
    let members: Vec<(&dyn Generator, &Parameters)> =
        models.iter().map(|model| (&*model.generator, &model.parameters)).collect();
    let (sources, mut tape) = (sources(), Tape::new());
    let rows: Vec<u64> = (0..sources.len() as u64).collect();
    let mut found = vec![Vec::new(); rows.len()];
    let mut decoder = Decoder::ensemble(&members, options).unwrap();
    // In two groups, so that states are appended.
    for group in [0..2, 2..rows.len()] {
        let sources = sources.select(&group.clone().collect::<Vec<_>>());
        decoder
            .push(
                &mut tape,
                DecodingBatch {
                    rows: &rows[group],
                    sources: Some(&sources),
                    prompts: None,
                    ..DecodingBatch::default()
                },
            )
            .unwrap();
        decoder.step(&mut tape, |_, _| ()).unwrap().into_iter().for_each(|(row, ended)| found[row] = ended.unwrap());
    }
    while !decoder.is_empty() {
        decoder.step(&mut tape, |_, _| ()).unwrap().into_iter().for_each(|(row, ended)| found[row] = ended.unwrap());
    }
    found
}

#[test]
fn the_probability_of_a_text_is_that_of_the_mean_at_each_token() {
    let models =
        [attentive(12, 3), translator(layers(Position::Rotary), 12, 7), translator(layers(Position::Learned), 12, 9)];
    let members: Vec<&Model> = models.iter().collect();
    for config in [GenerationConfig::greedy(), beam(3, 1.0, 3), sample(None, None, 4)] {
        let options = options(config, 6);
        let alone: Vec<_> = members.iter().map(|model| write(&[model], &options)).collect();
        let together = write(&members, &options);
        assert!(alone.iter().all(|alone| *alone != together), "an ensemble that writes what one member does");
        for (source, found) in together.iter().enumerate() {
            let sources = sources();
            for one in found {
                let end = one.is_finished().then_some(EOS);
                let written: Vec<u32> = one.tokens.iter().copied().chain(end).collect();
                let read = [&[BOS], &written[..written.len() - 1]].concat();
                let each: Vec<_> =
                    members.iter().map(|model| model.log_probabilities(Some(sources.get(source)), &read)).collect();
                let mean = |i: usize, token: u32| {
                    each.iter().map(|rows| rows[i][token as usize].exp()).sum::<f64>() / each.len() as f64
                };
                let expected: f64 = written.iter().enumerate().map(|(i, &token)| mean(i, token).ln()).sum();
                assert!((one.log_probability - expected).abs() < 1e-9, "{one:?}, expected {expected}");
            }
        }
    }
}

#[test]
fn what_is_all_but_impossible_for_every_member_is_still_possible() {
    // Scores so far apart that the probabilities of most tokens are zero in single precision.
    let sharp = |seed| {
        let model = attentive(12, seed);
        let mut parameters = model.parameters.cast(DType::F32);
        let Buffer::F32(values) = parameters.buffer_mut() else { unreachable!() };
        values.iter_mut().for_each(|x| *x *= 60.0);
        Model { parameters, ..model }
    };
    let models = [sharp(3), sharp(4)];
    // Tokens that the text may have, whatever the models think of them.
    for allowed in 2..12 {
        let suppressed = TokenIds((0..12).filter(|&token| token != allowed).collect());
        let options = options(GenerationConfig::greedy().with(|c| c.suppress_tokens = Some(suppressed)), 3);
        for found in write(&[&models[0], &models[1]], &options) {
            assert_eq!(found[0].tokens, [allowed; 3]);
        }
    }
}

#[test]
fn what_makes_no_ensemble_is_refused() {
    let (one, other) = (attentive(12, 3), attentive(12, 4));
    let greedy = options(GenerationConfig::greedy(), 6);
    let contrastive = GenerationConfig::greedy().with(|c| (c.penalty_alpha, c.top_k) = (Some(0.6), Some(4)));
    let contrastive = options(contrastive, 6);
    let single = other.parameters.cast(DType::F32);
    let first: (&dyn Generator, &Parameters) = (&*one.generator, &one.parameters);
    for (models, options, reason) in [
        (&[][..], &greedy, "no model"),
        (&[first, (&*other.generator, &single)], &greedy, "different types"),
        (&[first, (&*other.generator, &other.parameters)], &contrastive, "penalty_alpha"),
    ] {
        let error = Decoder::ensemble(models, options).unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
    }
    let wider = attentive(13, 4);
    let models: [(&dyn Generator, &Parameters); 2] = [first, (&*wider.generator, &wider.parameters)];
    let (mut tape, sources) = (Tape::new(), sources());
    let mut decoder = Decoder::ensemble(&models, &greedy).unwrap();
    let rows: Vec<u64> = (0..sources.len() as u64).collect();
    decoder
        .push(
            &mut tape,
            DecodingBatch { rows: &rows, sources: Some(&sources), prompts: None, ..DecodingBatch::default() },
        )
        .unwrap();
    let error = decoder.step(&mut tape, |_, _| ()).unwrap_err();
    assert!(error.to_string().contains("vocabularies of 12 and 13"), "{error}");
}
