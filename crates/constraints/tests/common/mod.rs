//! Small random models for tokenizers of every kind.
#![allow(dead_code)]

use descant_autograd::{Parameters, Tape};
use descant_batch::Sequences;
use descant_constraints::{Grammar, Vocabulary as GrammarVocabulary};
use descant_generate::{ConstrainedRow, Constraint, ConstraintState, RowError};
use descant_generate::{DecodingBatch, DecodingOptions, GenerationConfig, Hypothesis, generate};
use descant_models::{Generator, LayerKind, LossConfig, ModelConfig, ModelKind, Vocabulary, build};
use descant_nn::{AttentionScore, Cell, Position, TransformerConfig};
use descant_tensor::{Buffer, DType};
use descant_text::{BOS, EOS, Tokenizer, TokenizerConfig, TokenizerKind, UNK};
use std::sync::Arc;

pub const KINDS: [TokenizerKind; 4] =
    [TokenizerKind::Character, TokenizerKind::Bpe, TokenizerKind::ByteBpe, TokenizerKind::Unigram];

/// A tokenizer of texts in the style of JSON, and of some words.
pub fn tokenizer(kind: TokenizerKind, texts: &[&str]) -> Tokenizer {
    let vocabulary = if kind == TokenizerKind::ByteBpe { 320 } else { 150 };
    let config = TokenizerConfig { kind, vocabulary, ..Default::default() };
    let texts = texts.iter().cycle().take(texts.len() * 20).map(|text| Ok((*text).to_owned()));
    Tokenizer::train(&config, false, texts).unwrap()
}

/// Texts in which tokenizers find characters and pieces.
pub const JSON_TEXTS: [&str; 6] = [
    r#"{"name": "the quick brown fox", "age": 42, "tags": ["a", "b"], "x": null}"#,
    r#"{"id":-17.5e3,"ok":true,"no":false,"list":[1,2,3],"empty":{}}"#,
    "the dog jumps over the lazy dog, 0123456789 times - or_not.",
    r#"größe \n \" \\ (a|b)* [c] + ? . / @ : ; ' = < > & % # ! ~ ^ $"#,
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ abcdefghijklmnopqrstuvwxyz",
    r#"{"street": "Main Street 12", "city": "Köln", "zip": "50667"}"#,
];

pub fn json_tokenizer(kind: TokenizerKind) -> (Tokenizer, Arc<GrammarVocabulary>) {
    let tokenizer = tokenizer(kind, &JSON_TEXTS);
    let vocabulary = GrammarVocabulary::new(&tokenizer).unwrap();
    (tokenizer, vocabulary)
}

/// The finished texts of a grammar, by sampling 40 rows.
pub fn texts(tokenizer: &Tokenizer, grammar: &Grammar) -> Vec<String> {
    let model = &models(tokenizer.vocabulary())[0];
    let rows: Vec<u64> = (0..40).collect();
    let found = model.write(&rows, &GenerationConfig::sampling(3), 80, grammar.clone());
    let finished = found.iter().flatten().filter(|one| one.is_finished());
    finished.map(|one| tokenizer.decode(&one.tokens).unwrap()).collect()
}

pub struct Model {
    pub name: &'static str,
    pub has_sources: bool,
    generator: Box<dyn Generator>,
    parameters: Parameters,
}

/// A recurrent and a Transformer encoder-decoder, and a language model.
pub fn models(entries: usize) -> Vec<Model> {
    let of = |kind: ModelKind, transformer: Option<Position>| {
        let config = ModelConfig { embedding: 12, hidden: 16, layers: 1, encoder_layers: 1, ..ModelConfig::new(kind) };
        match transformer {
            Some(position) => {
                let layers = TransformerConfig { heads: 2, position, max_length: 512, ..Default::default() };
                ModelConfig { decoder: LayerKind::Transformer, transformer: Some(layers), ..config }
            }
            None => ModelConfig { cell: Cell::Gru, attention: Some(AttentionScore::General), ..config },
        }
    };
    let configs = [
        ("recurrent encoder-decoder", of(ModelKind::EncoderDecoder, None)),
        ("Transformer encoder-decoder", of(ModelKind::EncoderDecoder, Some(Position::Learned))),
        ("language model", of(ModelKind::LanguageModel, Some(Position::Rotary))),
    ];
    let model = |(name, config): (&'static str, ModelConfig)| {
        let mut parameters = Parameters::new(DType::F32);
        let vocabulary = Vocabulary::new(9, entries, false);
        let generator = build(&config, &LossConfig::default(), &vocabulary, &mut parameters, 5).unwrap();
        // Fresh models are all but indifferent; these have opinions.
        let Buffer::F32(values) = parameters.buffer_mut() else { unreachable!() };
        values.iter_mut().for_each(|x| *x *= 3.0);
        Model { name, has_sources: config.kind == ModelKind::EncoderDecoder, generator, parameters }
    };
    configs.map(model).into()
}

impl Model {
    /// The texts of rows with these numbers, at most so many tokens long.
    pub fn write(
        &self,
        rows: &[u64],
        config: &GenerationConfig,
        most: usize,
        constraint: impl Constraint + 'static,
    ) -> Vec<Vec<Hypothesis>> {
        let config = config.clone().with(|c| c.max_new_tokens = Some(most));
        let options = DecodingOptions::new(config, vec![BOS], vec![EOS]).with(|o| {
            o.forbidden = vec![UNK, BOS];
            o.constraints = vec![Arc::new(constraint)];
        });
        let mut sources = Sequences::new();
        rows.iter().for_each(|row| sources.push(&[3, 3 + (row % 5) as u32, 4]));
        let input = DecodingBatch {
            rows,
            sources: Some(&sources).filter(|_| self.has_sources),
            prompts: None,
            ..DecodingBatch::default()
        };
        let found = generate(&*self.generator, &self.parameters, &mut Tape::new(), input, &options).unwrap();
        let texts = |row| match row {
            // No text of the row could go on or end: none is finished.
            Err(RowError::Unmet { .. }) => Vec::new(),
            other => other.unwrap(),
        };
        found.into_iter().map(texts).collect()
    }
}

/// Each row has a constraint of its own.
#[derive(Debug)]
pub struct ByRow<T>(pub Vec<T>);

impl<T: Constraint> Constraint for ByRow<T> {
    fn start(&self, row: &ConstrainedRow<'_>) -> Result<Box<dyn ConstraintState>, String> {
        self.0[row.number as usize].start(row)
    }
}

/// A generator of test cases: the same ones always.
pub struct Draw(pub u64);

impl Draw {
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % n
    }

    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}
