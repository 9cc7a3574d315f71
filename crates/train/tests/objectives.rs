//! Objectives on whole sequences: PyTorch's losses and gradients (`tools/sequence_objectives.py`).

use descant_autograd::{Graph, Parameters, Tape, Var};
use descant_batch::{Batch, Rejected, Sequences};
use descant_kernels::Parallelism;
use descant_models::{
    CandidateSearch, DpoConfig, Generator, LossConfig, MinimumRiskConfig, ModelConfig, ModelKind, Vocabulary, build,
};
use descant_tensor::DType;
use descant_train::{Candidates, ReferenceOutput};
use safetensors::{Dtype, SafeTensors};

const FILE: &[u8] = include_bytes!("reference/objectives.safetensors");

fn numbers(name: &str) -> Vec<f64> {
    let file = SafeTensors::deserialize(FILE).unwrap();
    let view = file.tensor(name).unwrap_or_else(|error| panic!("{name}: {error}"));
    let words = view.data().chunks_exact(4).map(|bytes| bytes.try_into().unwrap());
    match view.dtype() {
        Dtype::I32 => words.map(|bytes| f64::from(i32::from_le_bytes(bytes))).collect(),
        _ => words.map(|bytes| f64::from(f32::from_le_bytes(bytes))).collect(),
    }
}

fn model(of: &str, loss: &LossConfig) -> (Parameters, Box<dyn Generator>) {
    let config = ModelConfig { embedding: 6, hidden: 7, layers: 2, ..ModelConfig::new(ModelKind::LanguageModel) };
    let mut parameters = Parameters::new(DType::F64);
    let model = build(&config, loss, &Vocabulary::new(0, 11, false), &mut parameters, 1).unwrap();
    for id in parameters.ids() {
        let values = numbers(&format!("{of}.{}", parameters.name(id)));
        parameters.set(id, &values).unwrap();
    }
    (parameters, model)
}

/// What is read and what is predicted of some of the file's sequences.
fn sequences(which: std::ops::Range<usize>) -> (Sequences, Sequences) {
    let (ids, lengths, prompts) = (numbers("ids"), numbers("lengths"), numbers("prompts"));
    let (mut input, mut target, mut start) = (Sequences::new(), Sequences::new(), 0);
    for (i, (length, prompt)) in lengths.iter().zip(prompts).enumerate() {
        let mut ids: Vec<u32> = ids[start..start + *length as usize].iter().map(|&id| id as u32).collect();
        start += ids.len();
        if which.contains(&i) {
            input.push(&ids[..ids.len() - 1]);
            ids[..=prompt as usize].fill(Batch::IGNORED);
            target.push(&ids[1..]);
        }
    }
    (input, target)
}

/// Holds a loss and its gradients against PyTorch's.
fn check(name: &str, (parameters, _): &(Parameters, Box<dyn Generator>), loss: impl for<'t> Fn(Graph<'t>) -> Var<'t>) {
    let (mut tape, mut gradients) = (Tape::new(), parameters.gradients());
    let found = loss(tape.train(parameters, 1));
    let expected = numbers(&format!("{name}.loss"))[0];
    let error = (found.item().unwrap() / expected - 1.0).abs();
    assert!(error < 1e-6, "{name}: the loss {expected} is off by {error:.1e}");
    found.graph().backward(found, &mut gradients).unwrap();
    for id in parameters.ids() {
        let expected = numbers(&format!("{name}.gradient.{}", parameters.name(id)));
        let worst = gradients.values::<f64>(id).iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        let largest = expected.iter().fold(0.0, |largest: f64, x| largest.max(x.abs()));
        assert!(
            worst < 1e-6 * largest.max(1.0),
            "{name}: the gradient of {} is off by {worst:.1e}",
            parameters.name(id)
        );
    }
}

#[test]
fn preferences_have_the_loss_and_the_gradients_of_pytorch() {
    let (input, target) = sequences(0..4);
    let rejected = sequences(4..8);
    let rejected = Some(Rejected { input: rejected.0, target: rejected.1 });
    let compared = Batch { input, target, rejected, ..Batch::default() }.compared().unwrap();
    let (reference, output) = model("reference", &LossConfig::default());
    let mut tape = Tape::new();
    let hidden = output.hidden(tape.infer(&reference, Parallelism::Serial), &compared);
    let log_likelihoods = output.output().log_likelihoods(&hidden, &compared.target).value().unwrap();

    for (name, smoothing, likelihood) in [("dpo", 0.0, 0.0), ("dpo_smoothed", 0.1, 0.5)] {
        let config = DpoConfig { beta: 0.3, smoothing, likelihood, checksum: None };
        let built = model("weight", &LossConfig::Dpo(config.clone()));
        let reference = ReferenceOutput::new(&config, compared.clone(), log_likelihoods.clone());
        check(name, &built, |graph| reference.loss(graph, built.1.as_ref()).loss);
        let mut tape = Tape::new();
        let measures = reference.loss(tape.train(&built.0, 1), built.1.as_ref()).measures.unwrap();
        let rewards = numbers("rewards");
        let margins: Vec<f64> = (0..4).map(|i| rewards[i] - rewards[i + 4]).collect();
        let right = margins.iter().filter(|&&margin| margin > 0.0).count();
        assert!(right > 0 && right < 4);
        let chosen = rewards[..4].iter().sum();
        let expected = [right as f64, margins.iter().sum(), chosen];
        for (name, expected) in DpoConfig::MEASURES.into_iter().zip(expected) {
            assert!((measures[name] - expected).abs() < 1e-5, "{name}: {} for {expected}", measures[name]);
        }
    }
}

#[test]
fn the_risk_of_candidates_has_the_loss_and_the_gradients_of_pytorch() {
    let (input, target) = sequences(0..8);
    let rows = Batch { source: None, input, target, ..Batch::default() };
    let search = CandidateSearch::Sampling;
    let metric = "bleu".to_owned();
    let config = MinimumRiskConfig { metric, samples: 5, search, alpha: 0.4, reference: true, likelihood: 0.0 };
    let risks: Vec<(usize, f64)> = numbers("costs").into_iter().enumerate().collect();
    for (name, likelihood) in [("minimum_risk", 0.0), ("minimum_risk_likelihood", 0.5)] {
        let config = MinimumRiskConfig { likelihood, ..config.clone() };
        let of_sources = vec![risks[..3].to_vec(), risks[3..].to_vec()];
        let candidates = Candidates::new(&config, rows.clone(), of_sources);
        let built = model("weight", &LossConfig::MinimumRisk(config.clone()));
        check(name, &built, |graph| candidates.loss(graph, built.1.as_ref()).loss);
        let mut tape = Tape::new();
        let measures = candidates.loss(tape.train(&built.0, 1), built.1.as_ref()).measures.unwrap();
        assert!((measures["risk"] - numbers("minimum_risk.loss")[0]).abs() < 1e-6 && measures["candidates"] == 8.0);
    }
}

#[test]
fn unlikelihood_has_the_loss_and_the_gradients_of_pytorch() {
    let (input, target) = sequences(0..8);
    let batch = Batch { source: None, input, target, ..Batch::default() };
    let mut loss = LossConfig::default();
    if let LossConfig::CrossEntropy { unlikelihood, .. } = &mut loss {
        *unlikelihood = 0.7;
    }
    let built = model("weight", &loss);
    check("unlikelihood", &built, |graph| built.1.loss(graph, &batch));
}
