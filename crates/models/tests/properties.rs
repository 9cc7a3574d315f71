//! Properties of every architecture: the gradient of the whole model, stepwise scores equal to whole-sequence scores, and
//! a sentence's scores independent of what it is batched with.

use descant_autograd::gradcheck::{TOLERANCE, check};
use descant_autograd::{Graph, Parameters, Tape};
use descant_batch::{Batch, Sequences};
use descant_kernels::Parallelism;
use descant_models::{
    Bridge, EmbeddingLoss, Generator, HiddenStates, LayerKind, LossConfig, ModelConfig, ModelKind, Tie, Vocabulary,
    build,
};
use descant_nn::{AttentionScore, Cell, NormKind, Position, RotaryScaling, TransformerConfig};
use descant_tensor::DType;
use std::collections::BTreeMap;

const VOCABULARY: usize = 7;

fn base(kind: ModelKind, cell: Cell) -> ModelConfig {
    ModelConfig { cell, embedding: 4, hidden: 4, layers: 2, encoder_layers: 1, ..ModelConfig::new(kind) }
}

/// Transformers of every kind: their norms, feed-forward layers, positions, heads and ties.
fn transformers() -> Vec<(String, ModelConfig, LossConfig)> {
    use descant_autograd::Activation;
    let plain = TransformerConfig { heads: 2, max_length: 8, ..TransformerConfig::default() };
    let model = |kind, transformer: &TransformerConfig| ModelConfig {
        decoder: LayerKind::Transformer,
        hidden: 8,
        transformer: Some(transformer.clone()),
        ..base(kind, Cell::Lstm)
    };
    let gpt2 = TransformerConfig { activation: Activation::GeluTanh, position: Position::Learned, ..plain.clone() };
    let llama = TransformerConfig {
        heads: 4,
        kv_heads: Some(2),
        d_ff: Some(6),
        activation: Activation::Silu,
        gated: true,
        norm: NormKind::Rms,
        bias: false,
        ..plain.clone()
    };
    let llama3 = RotaryScaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original_length: 16 };
    let marian = TransformerConfig {
        activation: Activation::Silu,
        norm_first: false,
        position: Position::Sinusoidal,
        ..plain.clone()
    };
    let t5 = TransformerConfig {
        gated: true,
        norm: NormKind::Rms,
        position: Position::Relative,
        relative_buckets: 4,
        relative_max_distance: 6,
        head_dim: Some(3),
        scale_attention: false,
        scale_output: true,
        bias: false,
        ..plain.clone()
    };
    let (lm, pair) = (ModelKind::LanguageModel, ModelKind::EncoderDecoder);
    let tied = |tie, model: ModelConfig| ModelConfig { tie, output_bias: false, ..model };
    let swiglu = TransformerConfig { attention_bias: Some(true), ..llama.clone() };
    let alibi = TransformerConfig { position: Position::Alibi, activation: Activation::Relu, ..plain.clone() };
    let window = TransformerConfig { window: Some(2), ..llama.clone() };
    let scaled = TransformerConfig { rotary_scaling: Some(llama3), ..llama.clone() };
    let stretched = TransformerConfig { rotary_scaling: Some(RotaryScaling::Linear { factor: 2.0 }), ..llama.clone() };
    let nowhere = TransformerConfig { position: Position::None, scale_embedding: Some(true), ..plain.clone() };
    let left_out = TransformerConfig { layer_drop: 0.5, ..t5.clone() };
    let recomputed = TransformerConfig { recompute: true, attention_dropout: 0.1, ..llama.clone() };
    let deep = ModelConfig { encoder_layers: 3, layers: 1, ..model(pair, &plain) };
    let lstm_decoder = ModelConfig {
        decoder: LayerKind::Recurrent,
        encoder: Some(LayerKind::Transformer),
        attention: Some(AttentionScore::General),
        bridge: Bridge::Zero,
        ..model(pair, &plain)
    };
    let lstm_encoder = ModelConfig { encoder: Some(LayerKind::Recurrent), ..model(pair, &plain) };
    [
        ("gpt2", tied(Tie::Output, model(lm, &gpt2))),
        ("llama", model(lm, &llama)),
        ("qwen2", model(lm, &swiglu)),
        ("window", model(lm, &window)),
        ("llama 3", model(lm, &scaled)),
        ("stretched", model(lm, &stretched)),
        ("alibi", model(lm, &alibi)),
        ("no positions", model(lm, &nowhere)),
        ("marian", tied(Tie::All, model(pair, &marian))),
        ("t5", tied(Tie::All, model(pair, &t5))),
        ("rotary pair", model(pair, &plain)),
        ("deep encoder, shallow decoder", deep),
        ("layers left out", ModelConfig { layers: 3, encoder_layers: 3, ..model(pair, &left_out) }),
        ("recomputed", ModelConfig { dropout: 0.2, ..tied(Tie::All, model(pair, &recomputed)) }),
        ("lstm decoder", lstm_decoder),
        ("lstm encoder", lstm_encoder),
    ]
    .into_iter()
    .map(|(name, config)| (format!("transformer: {name}"), config, LossConfig::default()))
    .collect()
}

/// Every kind of model, by name.
fn models() -> Vec<(String, ModelConfig, LossConfig)> {
    let mut models = Vec::new();
    for cell in [Cell::Lstm, Cell::Gru] {
        let mut add = |name: &str, config: ModelConfig, loss: LossConfig| {
            models.push((format!("{cell:?} {name}"), config, loss));
        };
        let language_model = base(ModelKind::LanguageModel, cell);
        let pair = base(ModelKind::EncoderDecoder, cell);
        add("language model", language_model.clone(), LossConfig::default());
        add("tied", ModelConfig { tie: Tie::Output, ..language_model }, LossConfig::default());
        add("last state", pair.clone(), LossConfig::default());
        add("one direction", ModelConfig { bidirectional: false, ..pair.clone() }, LossConfig::default());
        add("deep encoder", ModelConfig { encoder_layers: 3, ..pair.clone() }, LossConfig::default());
        let residual = ModelConfig { residual: true, layers: 3, encoder_layers: 2, ..pair.clone() };
        add("residual", residual.clone(), LossConfig::default());
        let fed = ModelConfig { attention: Some(AttentionScore::General), input_feeding: true, ..residual };
        add("residual, fed", fed, LossConfig::default());
        let language_model = base(ModelKind::LanguageModel, cell);
        add("residual language model", ModelConfig { residual: true, ..language_model }, LossConfig::default());
        let normalised =
            ModelConfig { layer_norm: true, residual: true, attention: Some(AttentionScore::General), ..pair.clone() };
        add("normalised", normalised.clone(), LossConfig::default());
        add("normalised, fed", ModelConfig { input_feeding: true, ..normalised.clone() }, LossConfig::default());
        let language_model = ModelConfig { kind: ModelKind::LanguageModel, attention: None, ..normalised };
        add("normalised language model", language_model, LossConfig::default());
        let shallow = ModelConfig { encoder_layers: 3, layers: 1, ..pair.clone() };
        add("deep encoder, shallow decoder", shallow, LossConfig::default());
        for score in AttentionScore::ALL {
            let with = ModelConfig { attention: Some(score), ..pair.clone() };
            add(&format!("{score:?}"), with.clone(), LossConfig::default());
            let fed = ModelConfig { input_feeding: true, bridge: Bridge::Zero, tie: Tie::All, ..with };
            add(&format!("{score:?}, fed, all tied"), fed, LossConfig::default());
        }
        for measure in [EmbeddingLoss::Cosine, EmbeddingLoss::L2, EmbeddingLoss::Vmf] {
            let with = ModelConfig { attention: Some(AttentionScore::General), ..pair.clone() };
            add(&format!("{measure:?}"), with.clone(), LossConfig::Embedding { measure });
            // The width of what is predicted is another one than that of the states.
            let tied = ModelConfig { tie: Tie::Output, hidden: 10, ..with };
            add(&format!("{measure:?}, tied"), tied, LossConfig::Embedding { measure });
        }
    }
    models.extend(transformers());
    models
}

fn sequences(lengths: &[usize], seed: usize) -> Sequences {
    let mut sequences = Sequences::new();
    for (i, &length) in lengths.iter().enumerate() {
        let ids: Vec<u32> = (0..length).map(|j| ((i * 31 + j * 17 + seed * 5) % VOCABULARY) as u32).collect();
        sequences.push(&ids);
    }
    sequences
}

fn batch(kind: ModelKind) -> Batch {
    let source = (kind == ModelKind::EncoderDecoder).then(|| sequences(&[3, 1, 4], 1));
    Batch { source, input: sequences(&[2, 4, 1], 2), target: sequences(&[2, 4, 1], 3), ..Batch::default() }
}

fn build_model(config: &ModelConfig, loss: &LossConfig, dtype: DType) -> (Parameters, Box<dyn Generator>) {
    let vocabulary = Vocabulary::new(VOCABULARY, VOCABULARY, true);
    let mut parameters = Parameters::new(dtype);
    let model = build(config, loss, &vocabulary, &mut parameters, 3).unwrap();
    (parameters, model)
}

#[test]
fn every_model_has_the_gradient_of_its_central_differences() {
    for (name, config, loss) in models() {
        let (mut parameters, model) = build_model(&config, &loss, DType::F64);
        let batch = batch(config.kind);
        let rows = check(&mut parameters, Some(12), 5, |graph| model.loss(graph, &batch)).unwrap();
        for row in rows {
            assert!(row.error <= TOLERANCE, "{name}, {}: {:.1e} {:?}", row.name, row.error, row.worst);
        }
    }
}

#[test]
fn dropout_has_the_gradient_of_its_central_differences() {
    let recurrent = ModelConfig {
        dropout: 0.3,
        attention: Some(AttentionScore::General),
        ..base(ModelKind::EncoderDecoder, Cell::Lstm)
    };
    let everywhere =
        TransformerConfig { heads: 2, attention_dropout: 0.2, activation_dropout: 0.2, ..TransformerConfig::default() };
    let transformer = ModelConfig {
        decoder: LayerKind::Transformer,
        hidden: 8,
        dropout: 0.1,
        transformer: Some(everywhere),
        ..base(ModelKind::EncoderDecoder, Cell::Lstm)
    };
    let language_model = ModelConfig { kind: ModelKind::LanguageModel, encoder: None, ..transformer.clone() };
    let variational = ModelConfig {
        variational_dropout: true,
        recurrent_dropout: 0.3,
        embedding_dropout: 0.2,
        word_dropout: 0.1,
        ..recurrent.clone()
    };
    let fed = ModelConfig { input_feeding: true, cell: Cell::Gru, ..variational.clone() };
    let normalised = ModelConfig { layer_norm: true, residual: true, ..variational.clone() };
    let normalised_gru = ModelConfig { cell: Cell::Gru, ..normalised.clone() };
    let recurrent_lm = ModelConfig { kind: ModelKind::LanguageModel, attention: None, ..variational.clone() };
    for config in [recurrent, transformer, language_model, variational, normalised, normalised_gru, fed, recurrent_lm] {
        for r_drop in [0.0, 5.0] {
            let loss = LossConfig::CrossEntropy {
                smoothing: 0.1,
                r_drop,
                z_loss: 0.01,
                focal: 0.0,
                unlikelihood: 0.3,
                class_weights: BTreeMap::new(),
                ignored: Vec::new(),
            };
            let (mut parameters, model) = build_model(&config, &loss, DType::F64);
            let batch = batch(config.kind);
            for row in check(&mut parameters, Some(12), 5, |graph| model.loss(graph, &batch)).unwrap() {
                assert!(row.error <= TOLERANCE, "{} {r_drop}: {:.1e} {:?}", row.name, row.error, row.worst);
            }
        }
    }
}

/// The scores of every target token, by sequence, from one whole pass.
fn whole(graph: Graph<'_>, model: &dyn Generator, batch: &Batch) -> Vec<Vec<f64>> {
    let HiddenStates { rows, segments } = model.hidden(graph, batch);
    let scores = model.output().logits(rows).value().unwrap();
    let (classes, scores) = (scores.shape().last(), scores.to_f64());
    (0..segments.len())
        .map(|i| segments.rows(i).iter().flat_map(|&row| scores[row * classes..][..classes].to_vec()).collect())
        .collect()
}

fn assert_close(name: &str, a: &[f64], b: &[f64]) {
    assert_eq!(a.len(), b.len(), "{name}");
    let difference = a.iter().zip(b).fold(0.0_f64, |m, (a, b)| m.max((a - b).abs()));
    assert!(difference < 1e-10, "{name}: {difference:.1e}");
}

#[test]
fn stepwise_scores_are_those_of_the_whole_sequence() {
    for (name, config, loss) in models() {
        let (parameters, model) = build_model(&config, &loss, DType::F64);
        let batch = batch(config.kind);
        let (mut first, mut tape) = (Tape::new(), Tape::new());
        let expected = whole(first.infer(&parameters, Parallelism::Serial), model.as_ref(), &batch);
        let rows = batch.input.len();
        let graph = tape.infer(&parameters, Parallelism::Serial);
        let mut state = model.start(graph, batch.source.as_ref(), rows).unwrap();
        let mut scores = vec![Vec::new(); rows];
        let mut running: Vec<usize> = (0..rows).collect();
        for t in 0.. {
            // Rows that have ended leave the batch, in whatever order the others then have.
            let kept: Vec<usize> =
                (0..running.len()).rev().filter(|&k| t < batch.input.get(running[k]).len()).collect();
            running = kept.iter().map(|&k| running[k]).collect();
            if running.is_empty() {
                break;
            }
            state.select(&kept);
            let mut tokens = Sequences::new();
            running.iter().for_each(|&i| tokens.push(&batch.input.get(i)[t..=t]));
            let graph = tape.infer(&parameters, Parallelism::Serial);
            let hidden = model.step(graph, &mut state, &tokens).unwrap();
            let found = model.output().logits(hidden.rows).value().unwrap().to_f64();
            for (found, &i) in found.chunks(VOCABULARY).zip(&running) {
                scores[i].extend_from_slice(found);
            }
        }
        for (found, expected) in scores.iter().zip(&expected) {
            assert_close(&name, found, expected);
        }
    }
}

/// The scores of every token from steps of several tokens in each row, `piece` of them or what is left.
fn in_pieces(
    parameters: &Parameters,
    model: &dyn Generator,
    batch: &Batch,
    threads: Parallelism,
    piece: impl Fn(usize, usize) -> usize,
) -> Vec<Vec<f64>> {
    let (mut tape, rows) = (Tape::new(), batch.input.len());
    let mut state = model.start(tape.infer(parameters, threads), batch.source.as_ref(), rows).unwrap();
    let (mut scores, mut read) = (vec![Vec::new(); rows], vec![0; rows]);
    for step in 0.. {
        let mut tokens = Sequences::new();
        for (row, read) in read.iter_mut().enumerate() {
            let left = &batch.input.get(row)[*read..];
            let count = piece(step, row).min(left.len());
            tokens.push(&left[..count]);
            *read += count;
        }
        if tokens.tokens() == 0 && (0..rows).all(|row| read[row] == batch.input.get(row).len()) {
            return scores;
        }
        let hidden = model.step(tape.infer(parameters, threads), &mut state, &tokens).unwrap();
        let found = model.output().logits(hidden.rows).value().unwrap().to_f64();
        for (row, scores) in scores.iter_mut().enumerate() {
            hidden.segments.rows(row).iter().for_each(|&i| scores.extend(&found[i * VOCABULARY..][..VOCABULARY]));
        }
    }
    scores
}

#[test]
fn inference_has_the_same_bits_alone_and_in_every_batch_whole_and_in_every_piece() {
    for (name, config, loss) in models() {
        let (parameters, model) = build_model(&config, &loss, DType::F32);
        let batch = batch(config.kind);
        let whole = |batch: &Batch, threads| whole(Tape::new().infer(&parameters, threads), model.as_ref(), batch);
        let expected = whole(&batch, Parallelism::Serial);
        assert_eq!(whole(&batch, Parallelism::Threads(3)), expected, "{name}: threads");
        for order in [vec![0], vec![2, 0], vec![1, 2, 1, 0, 2]] {
            let some = Batch {
                source: batch.source.as_ref().map(|source| source.select(&order)),
                input: batch.input.select(&order),
                target: batch.target.select(&order),
                ..Batch::default()
            };
            let found = whole(&some, Parallelism::Threads(2));
            for (found, &i) in found.iter().zip(&order) {
                assert_eq!(*found, expected[i], "{name}: a batch of {order:?}");
            }
        }
        let pieces: [fn(usize, usize) -> usize; 4] =
            [|_, _| 1, |_, _| 100, |step, row| (step + row) % 3, |_, row| row + 1];
        for (i, piece) in pieces.into_iter().enumerate() {
            let found = in_pieces(&parameters, model.as_ref(), &batch, Parallelism::Threads(2), piece);
            assert_eq!(found, expected, "{name}: pieces {i}");
        }
    }
}

#[test]
fn scores_do_not_depend_on_the_rest_of_the_batch() {
    for (name, config, loss) in models() {
        let (parameters, model) = build_model(&config, &loss, DType::F64);
        let batch = batch(config.kind);
        let mut tape = Tape::new();
        let together = whole(tape.infer(&parameters, Parallelism::Serial), model.as_ref(), &batch);
        for (i, expected) in together.iter().enumerate() {
            let alone = Batch {
                source: batch.source.as_ref().map(|source| source.select(&[i])),
                input: batch.input.select(&[i]),
                target: batch.target.select(&[i]),
                ..Batch::default()
            };
            let found = whole(tape.infer(&parameters, Parallelism::Serial), model.as_ref(), &alone);
            assert_close(&name, &found[0], expected);
        }
    }
}

#[test]
fn shares_of_a_batch_add_up_to_its_loss() {
    for (name, config, loss) in models() {
        let (parameters, model) = build_model(&config, &loss, DType::F64);
        let batch = batch(config.kind);
        let mut tape = Tape::new();
        let mut total = |batch: &Batch| model.loss(tape.infer(&parameters, Parallelism::Serial), batch).item().unwrap();
        let expected = total(&batch);
        let sum: f64 = batch.shares(2).iter().map(&mut total).sum();
        assert_close(&name, &[sum], &[expected]);
    }
}

#[test]
fn sequences_that_are_packed_in_a_batch_have_the_gradients_of_each_alone_times_its_weight() {
    let mut checked = 0;
    for (name, config, loss) in models() {
        let layer_drop = config.transformer.as_ref().is_some_and(|transformer| transformer.layer_drop > 0.0);
        if config.has_dropout() || layer_drop || matches!(loss, LossConfig::Embedding { .. }) {
            continue;
        }
        checked += 1;
        let (parameters, model) = build_model(&config, &loss, DType::F64);
        let gradients = |batch: &Batch| {
            let (mut tape, mut gradients) = (Tape::new(), parameters.gradients());
            let graph = tape.train(&parameters, 1);
            graph.backward(model.loss(graph, batch), &mut gradients).unwrap();
            gradients.buffer().to_f64(0..gradients.buffer().len())
        };
        let weights = [0.5, 2.0, 3.0];
        let batch = Batch { weights: Some(weights.to_vec()), ..batch(config.kind) };
        let mut expected = vec![0.0; parameters.buffer().len()];
        for (i, weight) in weights.into_iter().enumerate() {
            let alone = Batch {
                source: batch.source.as_ref().map(|source| source.select(&[i])),
                input: batch.input.select(&[i]),
                target: batch.target.select(&[i]),
                ..Batch::default()
            };
            expected.iter_mut().zip(gradients(&alone)).for_each(|(sum, own)| *sum += f64::from(weight) * own);
        }
        assert!(expected.iter().any(|gradient| gradient.abs() > 1e-3), "{name}");
        assert_close(&name, &gradients(&batch), &expected);
    }
    assert!(checked > 20, "{checked}");
}
