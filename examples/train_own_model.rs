//! A model, data, a loss and a training loop of one's own, on the engine alone: an LSTM encoder whose last state starts an LSTM
//! decoder. It learns to write dates the other way: "11/23/2026" to "2026-11-23".
//!
//! `cargo run --release -p descant --example train_own_model`

use descant::prelude::*;
use std::sync::Arc;

const SYMBOLS: usize = 100;
const START: u32 = 99;

struct Model {
    embedding: Embedding,
    encoder: Recurrent,
    decoder: Recurrent,
    projection: Linear,
}

impl Model {
    fn new(scope: &mut Scope) -> Self {
        let sizes = RecurrentConfig::new(Cell::Lstm, SYMBOLS, 256);
        Self {
            embedding: Embedding::new(&mut scope.at("embedding"), SYMBOLS, SYMBOLS),
            encoder: Recurrent::new(&mut scope.at("encoder"), sizes),
            decoder: Recurrent::new(&mut scope.at("decoder"), sizes),
            projection: Linear::new(&mut scope.at("projection"), 256, SYMBOLS, true),
        }
    }

    /// Scores for the symbol after each one of `inputs`, `[N, 100]`, in time-major order.
    fn forward<'t>(&self, graph: Graph<'t>, sources: &[Vec<u32>], inputs: &[Vec<u32>]) -> Var<'t> {
        let (source_ids, source_layout) = time_major(sources);
        let (_, last) = self.encoder.forward(self.embedding.forward(graph, &source_ids), &[], &source_layout);
        let (ids, layout) = time_major(inputs);
        let (hidden, _) = self.decoder.forward(self.embedding.forward(graph, &ids), &last, &layout);
        self.projection.forward(hidden, Activation::Identity)
    }

    /// The likeliest symbol after the other, ten of them.
    fn write(&self, parameters: &Parameters, source: &Vec<u32>) -> descant::tensor::Result<Vec<u32>> {
        let (mut tape, mut written) = (Tape::new(), vec![START]);
        for _ in 0..10 {
            let graph = tape.infer(parameters, Parallelism::Serial);
            let scores = self.forward(graph, std::slice::from_ref(source), std::slice::from_ref(&written));
            let scores = scores.value()?.to_f32();
            let row = &scores[scores.len() - SYMBOLS..];
            written.push((0..SYMBOLS as u32).max_by(|&a, &b| row[a as usize].total_cmp(&row[b as usize])).unwrap_or(0));
        }
        Ok(written.split_off(1))
    }
}

fn main() -> descant::tensor::Result<()> {
    let (model, parameters, _) = train(2400, 100)?;
    for day in [8_000, 9_823, 10_001] {
        let (source, target) = date(day);
        println!("{} is {} (expected {})", text(&source), text(&model.write(&parameters, &source)?), text(&target));
    }
    Ok(())
}

/// A model that has learnt from so many dates, its parameters, and the loss of each epoch.
fn train(dates: u32, epochs: u64) -> descant::tensor::Result<(Model, Parameters, Vec<f64>)> {
    let mut parameters = Parameters::new(DType::F32);
    let model = Model::new(&mut Scope::new(&mut parameters, 1));
    let adam = OptimizerConfig::Adam(Adam { no_decay: Vec::new(), ..Adam::default() });
    let mut optimizer = Optimizer::new(adam, &parameters)?;
    let (mut tape, mut gradients) = (Tape::new(), parameters.gradients());
    let dates: Vec<(Vec<u32>, Vec<u32>)> = (0..dates).map(|i| date(i * 7 % 10_957)).collect();

    let mut losses = Vec::new();
    for epoch in 1..=epochs {
        let mut total = 0.0;
        for batch in dates.chunks(100) {
            let (sources, targets): (Vec<_>, Vec<_>) = batch.iter().cloned().unzip();
            let inputs: Vec<Vec<u32>> = targets.iter().map(|target| [&[START], &target[..9]].concat()).collect();
            gradients.clear();
            let graph = tape.train(&parameters, epoch);
            let logits = model.forward(graph, &sources, &inputs);
            let loss = logits.log_softmax().gather_last(&time_major(&targets).0).mean() * -1.0;
            graph.backward(loss, &mut gradients)?;
            total += loss.item()?;
            optimizer.step(&mut parameters, &gradients, 2e-3, Clipping::default())?;
        }
        losses.push(total / dates.chunks(100).len() as f64);
        if epoch % 10 == 0 {
            println!("epoch {epoch}: loss {:.4}", losses[losses.len() - 1]);
        }
    }
    Ok((model, parameters, losses))
}

/// The ids of sequences, step by step, and their layout.
fn time_major(sequences: &[Vec<u32>]) -> (Arc<[u32]>, Arc<PackedSequences>) {
    let layout = PackedSequences::new(&sequences.iter().map(Vec::len).collect::<Vec<_>>());
    let joined = sequences.concat();
    (layout.joined().into_iter().map(|i| joined[i]).collect(), Arc::new(layout))
}

/// Day `n` of the thirty years from 2000 on, as one writes it in America, and by the standard.
fn date(n: u32) -> (Vec<u32>, Vec<u32>) {
    let (year, day) = (2000 + n / 365 % 30, n % 365);
    let (month, day) = (day / 31 + 1, day % 31 % 28 + 1);
    let ids = |text: String| text.bytes().map(|byte| u32::from(byte) - 32).collect();
    (ids(format!("{month:02}/{day:02}/{year}")), ids(format!("{year}-{month:02}-{day:02}")))
}

fn text(ids: &[u32]) -> String {
    ids.iter().filter_map(|&id| char::from_u32(id + 32)).collect()
}

#[test]
fn the_loss_falls() -> descant::tensor::Result<()> {
    let (model, parameters, losses) = train(400, 3)?;
    assert!(losses[2] < 0.75 * losses[0], "{losses:?}");
    assert_eq!(model.write(&parameters, &date(1).0)?.len(), 10);
    Ok(())
}
