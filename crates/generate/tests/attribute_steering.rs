//! Attribute steering: compared with its definition, in which gradients are central differences.

mod common;

use common::*;
use descant_autograd::Tape;
use descant_batch::Batch;
use descant_generate::{AttributeClassifier, DecodingBatch, GenerationConfig, Steering};
use descant_kernels::Parallelism;
use descant_nn::Position;
use descant_tensor::Tensor;
use std::sync::Arc;

const ITERATIONS: usize = 4;
const KL_SCALE: f64 = 0.05;
const GM_SCALE: f64 = 0.9;

fn log_softmax(x: &[f64]) -> Vec<f64> {
    let largest = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let log_sum = largest + x.iter().map(|x| (x - largest).exp()).sum::<f64>().ln();
    x.iter().map(|x| x - log_sum).collect()
}

fn length(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// The hidden state at the end of a prompt.
fn state(model: &Model, prompt: &[u32]) -> Vec<f64> {
    let input = sequences(&[prompt]);
    let batch = Batch { source: None, target: input.clone(), input, ..Batch::default() };
    let mut tape = Tape::new();
    let hidden =
        model.generator.hidden(tape.infer(&model.parameters, Parallelism::Serial), &batch).rows.value().unwrap();
    hidden.to_f64()[(prompt.len() - 1) * hidden.shape().last()..].to_vec()
}

fn log_probabilities(model: &Model, state: &[f64]) -> Vec<f64> {
    let mut tape = Tape::new();
    let state =
        tape.infer(&model.parameters, Parallelism::Serial).constant(&Tensor::new([1, state.len()], state).unwrap());
    log_softmax(&model.generator.output().logits(state).value().unwrap().to_f64())
}

/// What a shift is to make small.
fn objective(model: &Model, classifier: &AttributeClassifier, state: &[f64], shift: &[f64]) -> f64 {
    let shifted: Vec<f64> = state.iter().zip(shift).map(|(x, d)| x + d).collect();
    let score = |row: &Vec<f64>| row.iter().zip(&shifted).map(|(w, x)| w * x).sum::<f64>();
    let by_label = log_softmax(&classifier.weight.iter().map(score).collect::<Vec<f64>>());
    let (steered, own) = (log_probabilities(model, &shifted), log_probabilities(model, state));
    let divergence: f64 = steered.iter().zip(&own).map(|(p, q)| p.exp() * (p - q)).sum();
    KL_SCALE * divergence - by_label[0]
}

/// The shift, and the objective there.
fn shift(model: &Model, classifier: &AttributeClassifier, state: &[f64], step_size: f64) -> (Vec<f64>, f64) {
    let at = |shift: &[f64]| objective(model, classifier, state, shift);
    let slope = |shift: &[f64], i: usize| {
        let moved =
            |by: f64| shift.iter().enumerate().map(|(j, d)| if i == j { d + by } else { *d }).collect::<Vec<f64>>();
        (at(&moved(1e-5)) - at(&moved(-1e-5))) / 2e-5
    };
    let (mut best, mut lowest, mut step) = (vec![0.0; state.len()], f64::INFINITY, step_size * length(state));
    let (mut next, mut gradient) = (best.clone(), best.clone());
    for _ in 0..=ITERATIONS {
        if at(&next) < lowest {
            (lowest, best) = (at(&next), next.clone());
            gradient = (0..state.len()).map(|i| slope(&best, i)).collect();
        } else {
            step /= 2.0;
        }
        let size = length(&gradient);
        next = best.iter().zip(&gradient).map(|(d, g)| d - step * g / size).collect();
    }
    (best, lowest)
}

#[test]
fn scores_are_those_of_the_definition_however_long_the_steps() {
    let prompt = [BOS, 3, 7, 4];
    for model in [language_model(12, 3), gpt(layers(Position::Rotary), 12, 4), gpt(layers(Position::Alibi), 12, 5)] {
        let state = state(&model, &prompt);
        let row = |sign: f64| (0..state.len()).map(|i| sign * (1.0 + i as f64).sin()).collect::<Vec<f64>>();
        let (labels, weight) = (vec!["a".to_owned(), "b".to_owned()], vec![row(2.0), row(-2.0)]);
        let classifier = AttributeClassifier { labels, weight, bias: vec![0.0; 2] };
        let before = objective(&model, &classifier, &state, &vec![0.0; state.len()]);
        // Far beyond these, all probability is one token's, and central differences are nothing but their rounding.
        for step_size in [0.03, 0.1, 0.3, 1.0] {
            let (shift, lowest) = shift(&model, &classifier, &state, step_size);
            assert!(lowest < before, "{step_size}: {lowest} and {before}");
            let shifted: Vec<f64> = state.iter().zip(&shift).map(|(x, d)| x + d).collect();
            let (steered, own) = (log_probabilities(&model, &shifted), log_probabilities(&model, &state));
            let fused = steered.iter().zip(&own).map(|(p, q)| GM_SCALE * p + (1.0 - GM_SCALE) * q);
            let expected = log_softmax(&fused.collect::<Vec<f64>>()).into_iter().fold(f64::NEG_INFINITY, f64::max);
            let config = GenerationConfig::greedy().with(|c| {
                (c.steering_step_size, c.steering_iterations) = (Some(step_size), Some(ITERATIONS));
                (c.steering_kl_scale, c.steering_gm_scale) = (Some(KL_SCALE), Some(GM_SCALE));
            });
            let steering = Arc::new(Steering { classifier: classifier.clone(), label: 0 });
            let options = options(config, 1).with(|o| {
                o.eos.clear();
                o.steering = Some(steering);
            });
            // Another row beside it means nothing.
            let prompts = sequences(&[&prompt[..], &[BOS, 5]]);
            let batch = DecodingBatch { rows: &[0, 1], prompts: Some(&prompts), ..DecodingBatch::default() };
            let found = model.run(batch, &options).unwrap()[0][0].log_probability;
            assert!((found - expected).abs() < 1e-6, "{step_size}: {found} and {expected}");
        }
    }
}
