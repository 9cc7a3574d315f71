//! Small random models, and the log probabilities of whole sequences.
#![allow(dead_code)]

use descant_autograd::{Parameters, Tape};
use descant_batch::{Batch, Sequences};
use descant_generate::{DecodingBatch, DecodingOptions, GenerationConfig, Hypothesis, RowError, RowResult, generate};
use descant_kernels::Parallelism;
use descant_models::{EmbeddingLoss, Generator, LayerKind, LossConfig, ModelConfig, ModelKind, Vocabulary, build};
use descant_nn::{AttentionScore, Cell, Position, TransformerConfig};
use descant_tensor::{Buffer, DType};

pub const BOS: u32 = 0;
pub const EOS: u32 = 1;

pub struct Model {
    pub generator: Box<dyn Generator>,
    pub parameters: Parameters,
}

fn config(kind: ModelKind, cell: Cell) -> ModelConfig {
    let (attention, input_feeding) = (None, false);
    ModelConfig {
        cell,
        embedding: 6,
        hidden: 8,
        layers: 2,
        encoder_layers: 1,
        attention,
        input_feeding,
        dropout: 0.3,
        ..ModelConfig::new(kind)
    }
}

fn model(config: &ModelConfig, loss: &LossConfig, entries: usize, seed: u64) -> Model {
    let mut parameters = Parameters::new(DType::F64);
    let vocabulary = Vocabulary::new(9, entries, false);
    let generator = build(config, loss, &vocabulary, &mut parameters, seed).unwrap();
    // Fresh models are all but indifferent; these have opinions.
    let Buffer::F64(values) = parameters.buffer_mut() else { unreachable!() };
    values.iter_mut().for_each(|x| *x *= 4.0);
    Model { generator, parameters }
}

/// A language model.
pub fn language_model(entries: usize, seed: u64) -> Model {
    model(&config(ModelKind::LanguageModel, Cell::Lstm), &LossConfig::default(), entries, seed)
}

/// An LSTM encoder-decoder with attention.
pub fn attentive(entries: usize, seed: u64) -> Model {
    let config =
        ModelConfig { attention: Some(AttentionScore::General), ..config(ModelKind::EncoderDecoder, Cell::Lstm) };
    model(&config, &LossConfig::default(), entries, seed)
}

fn transformer(kind: ModelKind, transformer: TransformerConfig) -> ModelConfig {
    let (decoder, transformer) = (LayerKind::Transformer, Some(transformer));
    ModelConfig { decoder, transformer, ..config(kind, Cell::Lstm) }
}

/// Transformer layers of two heads, with these positions.
pub fn layers(position: Position) -> TransformerConfig {
    TransformerConfig { heads: 2, position, max_length: 12, ..TransformerConfig::default() }
}

/// A Transformer language model.
pub fn gpt(layers: TransformerConfig, entries: usize, seed: u64) -> Model {
    model(&transformer(ModelKind::LanguageModel, layers), &LossConfig::default(), entries, seed)
}

/// A Transformer encoder-decoder.
pub fn translator(layers: TransformerConfig, entries: usize, seed: u64) -> Model {
    model(&transformer(ModelKind::EncoderDecoder, layers), &LossConfig::default(), entries, seed)
}

/// Encoder-decoders of several kinds; one has a continuous output.
pub fn pairs() -> Vec<Model> {
    let plain = config(ModelKind::EncoderDecoder, Cell::Gru);
    let fed = ModelConfig { attention: Some(AttentionScore::Additive), input_feeding: true, ..plain.clone() };
    let continuous = LossConfig::Embedding { measure: EmbeddingLoss::Cosine };
    let softmax = LossConfig::default();
    let grouped = TransformerConfig { kv_heads: Some(1), ..layers(Position::Rotary) };
    vec![
        attentive(12, 3),
        model(&plain, &softmax, 12, 4),
        model(&fed, &softmax, 12, 5),
        model(&fed, &continuous, 12, 6),
        translator(grouped, 12, 7),
        translator(layers(Position::Learned), 12, 8),
        translator(layers(Position::Relative), 12, 9),
    ]
}

/// Language models of several kinds.
pub fn language_models(entries: usize, seed: u64) -> Vec<Model> {
    let windowed = TransformerConfig { window: Some(3), ..layers(Position::Rotary) };
    vec![
        language_model(entries, seed),
        gpt(layers(Position::Rotary), entries, seed),
        gpt(windowed, entries, seed),
        gpt(TransformerConfig { max_length: 64, ..layers(Position::Learned) }, entries, seed),
        gpt(layers(Position::Alibi), entries, seed),
    ]
}

/// Models of f32 that are wide enough for threads: recurrent and Transformer encoder-decoders, and language models of both kinds.
pub fn wide_models(entries: usize) -> Vec<(&'static str, bool, Model)> {
    let wide = |config: ModelConfig| ModelConfig { hidden: 64, embedding: 48, ..config };
    let attentive =
        |cell| ModelConfig { attention: Some(AttentionScore::General), ..config(ModelKind::EncoderDecoder, cell) };
    let language_model = config(ModelKind::LanguageModel, Cell::Lstm);
    let layers = || TransformerConfig { max_length: 64, heads: 4, ..layers(Position::Rotary) };
    let models = [
        ("LSTM encoder-decoder", true, attentive(Cell::Lstm)),
        ("GRU encoder-decoder", true, attentive(Cell::Gru)),
        ("Transformer encoder-decoder", true, transformer(ModelKind::EncoderDecoder, layers())),
        ("LSTM language model", false, language_model),
        ("Transformer language model", false, transformer(ModelKind::LanguageModel, layers())),
    ];
    let single = |model: Model| Model { parameters: model.parameters.cast(DType::F32), ..model };
    let build = |config: ModelConfig| single(model(&wide(config), &LossConfig::default(), entries, 5));
    models.map(|(name, has_sources, config)| (name, has_sources, build(config))).into()
}

pub fn sequences(rows: &[&[u32]]) -> Sequences {
    let mut sequences = Sequences::new();
    rows.iter().for_each(|row| sequences.push(row));
    sequences
}

/// Sources of different lengths.
pub fn sources() -> Sequences {
    sequences(&[&[3, 4, 5], &[8], &[2, 2, 7, 6, 1, 3, 4], &[5, 8], &[6, 2, 3, 3]])
}

/// The same with BOS before each.
pub fn after_bos(prompts: &Sequences) -> Sequences {
    let mut all = Sequences::new();
    (0..prompts.len()).for_each(|row| all.push(&[&[BOS], prompts.get(row)].concat()));
    all
}

pub fn options(config: GenerationConfig, max_new_tokens: usize) -> DecodingOptions {
    let config = config.with(|c| c.max_new_tokens = Some(max_new_tokens));
    DecodingOptions::new(config, vec![BOS], vec![EOS]).with(|o| o.context_bos = Some(BOS))
}

pub fn beam(width: usize, length_penalty: f64, n_best: usize) -> GenerationConfig {
    GenerationConfig::beam(width).with(|c| {
        c.length_penalty = Some(length_penalty);
        c.num_return_sequences = Some(n_best);
    })
}

pub fn sample(top_k: Option<usize>, top_p: Option<f64>, seed: u64) -> GenerationConfig {
    GenerationConfig::sampling(seed).with(|c| (c.top_k, c.top_p) = (top_k, top_p))
}

/// Why there are not all hypotheses.
#[derive(Debug)]
pub enum RunError {
    Model(descant_tensor::Error),
    Row(RowError),
}

impl std::fmt::Display for RunError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Model(error) => error.fmt(f),
            Self::Row(error) => error.fmt(f),
        }
    }
}

impl Model {
    /// The hypotheses of all rows, or what is wrong with the first that has none.
    pub fn run(&self, input: DecodingBatch<'_>, options: &DecodingOptions) -> Result<Vec<Vec<Hypothesis>>, RunError> {
        self.rows(input, options).map_err(RunError::Model)?.into_iter().collect::<Result<_, _>>().map_err(RunError::Row)
    }

    /// The hypotheses of each row, or what is wrong with it.
    pub fn rows(&self, input: DecodingBatch<'_>, options: &DecodingOptions) -> descant_tensor::Result<Vec<RowResult>> {
        generate(&*self.generator, &self.parameters, &mut Tape::new(), input, options)
    }

    /// Writes for these sources, numbered from 0.
    pub fn write(&self, sources: &Sequences, options: &DecodingOptions) -> Vec<Vec<Hypothesis>> {
        let rows: Vec<u64> = (0..sources.len() as u64).collect();
        self.run(
            DecodingBatch { rows: &rows, sources: Some(sources), prompts: None, ..DecodingBatch::default() },
            options,
        )
        .unwrap()
    }

    /// Continues these prompts after BOS, numbered from 0.
    pub fn resume(&self, prompts: &Sequences, options: &DecodingOptions) -> Vec<Vec<Hypothesis>> {
        let rows: Vec<u64> = (0..prompts.len() as u64).collect();
        self.run(
            DecodingBatch {
                rows: &rows,
                sources: None,
                prompts: Some(&after_bos(prompts)),
                ..DecodingBatch::default()
            },
            options,
        )
        .unwrap()
    }

    /// The log probability of every token after each of `tokens`, by the pass over whole sequences.
    pub fn log_probabilities(&self, source: Option<&[u32]>, tokens: &[u32]) -> Vec<Vec<f64>> {
        let input = sequences(&[tokens]);
        let batch = Batch {
            source: source.map(|source| sequences(&[source])),
            target: input.clone(),
            input,
            ..Batch::default()
        };
        let mut tape = Tape::new();
        let hidden = self.generator.hidden(tape.infer(&self.parameters, Parallelism::Serial), &batch).rows;
        let scores = self.generator.output().logits(hidden).log_softmax().value().unwrap();
        scores.to_f64().chunks(scores.shape().last()).map(<[f64]>::to_vec).collect()
    }

    /// The log probability of a hypothesis for a source, given that none of these tokens comes.
    pub fn score_without(&self, forbidden: &[u32], source: &[u32], one: &Hypothesis) -> f64 {
        let end = one.is_finished().then_some(EOS);
        let written: Vec<u32> = one.tokens.iter().copied().chain(end).collect();
        let read = [&[BOS], &written[..written.len() - 1]].concat();
        let rows = self.log_probabilities(Some(source), &read);
        let allowed = |row: &[f64]| -> f64 {
            let left = (0..).zip(row).filter(|(token, _)| !forbidden.contains(token));
            left.map(|(_, log)| log.exp()).sum::<f64>().ln()
        };
        rows.iter().zip(&written).map(|(row, &token)| row[token as usize] - allowed(row)).sum()
    }

    /// The log probability of `written` after `<s>`, a prompt and, where `finished`, with `</s>`.
    pub fn score(&self, source: Option<&[u32]>, prompt: &[u32], written: &[u32], finished: bool) -> f64 {
        let mut tokens = [&[BOS], prompt, written].concat();
        if finished {
            tokens.push(EOS);
        }
        let rows = self.log_probabilities(source, &tokens[..tokens.len() - 1]);
        let written = prompt.len()..tokens.len() - 1;
        written.map(|i| rows[i][tokens[i + 1] as usize]).sum()
    }
}

/// That both found the same, but for rounding.
#[track_caller]
pub fn assert_same(a: &[Hypothesis], b: &[Hypothesis]) {
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        assert_eq!((&a.tokens, a.is_finished()), (&b.tokens, b.is_finished()));
        assert!(
            (a.score - b.score).abs() < 1e-9 && (a.log_probability - b.log_probability).abs() < 1e-9,
            "{a:?} {b:?}"
        );
    }
}
