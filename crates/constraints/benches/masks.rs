//! What masks cost beside a model's step, at a vocabulary of 32,000: `cargo bench -p descant-constraints`.
//!
//! The model has the size of the original Transformer's base, and random weights, so that its texts go wherever a grammar lets them.
//! All that a constraint does is timed within the generation, and is given as its share of it.

use descant_autograd::{Parameters, Tape};
use descant_batch::Sequences;
use descant_constraints::{ConstraintError, Grammar, Vocabulary};
use descant_generate::{
    ConstrainedRow, Constraint, ConstraintState, DecodingBatch, DecodingOptions, GenerationConfig, generate,
};
use descant_models::{Generator, LayerKind, LossConfig, ModelConfig, ModelKind, build};
use descant_nn::{Position, TransformerConfig};
use descant_tensor::DType;
use descant_text::{BOS, EOS, Tokenizer, TokenizerConfig, TokenizerKind, UNK};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

const VOCABULARY: usize = 32_000;
const TOKENS: usize = 64;

const SCHEMA: &str = r#"{"type": "object", "required": ["name", "age", "tags", "kind"], "additionalProperties": false, "properties": {
    "name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}, "score": {"type": "number"},
    "tags": {"type": "array", "items": {"type": "string", "maxLength": 20}}, "kind": {"enum": ["person", "place", "thing"]}}}"#;
const REGEX: &str = r"[a-z0-9._-]+@[a-z0-9-]+(\.[a-z]{2,5}){1,2}( [A-Z][a-z ]{5,200})*";
const GBNF: &str = r##"root ::= value
value ::= object | array | string | number | ("true" | "false" | "null") ws
object ::= "{" ws (string ":" ws value ("," ws string ":" ws value)*)? "}" ws
array ::= "[" ws (value ("," ws value)*)? "]" ws
string ::= "\"" ([^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}))* "\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9]+)? ws
ws ::= | " " | "\n" [ \t]{0,20}
"##;
const LARK: &str = "start: sum\nsum: term ((\"+\" | \"-\") term)*\nterm: NUMBER | NAME | \"(\" sum \")\"\nNUMBER: /[0-9]+/\nNAME: /[a-z]+/\n";

/// A byte-level tokenizer of invented words.
fn tokenizer() -> Tokenizer {
    let mut state = 1_u64;
    let mut below = |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) as usize) % n
    };
    let syllables =
        ["ba", "ke", "li", "mon", "tra", "shu", "ers", "ing", "pol", "an", "de", "vi", "sto", "qu", "oß", "né"];
    let mut line = || {
        let words = (0..12).map(|_| {
            let word: String = (0..1 + below(4)).map(|_| syllables[below(syllables.len())]).collect();
            match below(8) {
                0 => format!("\"{word}\": {},", below(10_000)),
                1 => format!("{}{}.", word[..1].to_uppercase(), &word[1..]),
                2 => format!("{{[{word}]}}"),
                _ => word,
            }
        });
        words.collect::<Vec<_>>().join(" ")
    };
    let lines: Vec<String> = (0..30_000).map(|_| line()).collect();
    let config = TokenizerConfig { kind: TokenizerKind::ByteBpe, vocabulary: VOCABULARY, ..Default::default() };
    Tokenizer::train(&config, false, lines.into_iter().map(Ok)).unwrap()
}

/// A constraint, and the nanoseconds that it has taken.
#[derive(Debug)]
struct Timed(Grammar, Arc<AtomicU64>);

#[derive(Clone, Debug)]
struct TimedState(Box<dyn ConstraintState>, Arc<AtomicU64>);

fn timed<T>(total: &AtomicU64, run: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = run();
    total.fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
    result
}

impl Constraint for Timed {
    fn start(&self, row: &ConstrainedRow<'_>) -> Result<Box<dyn ConstraintState>, String> {
        let state = timed(&self.1, || self.0.start(row))?;
        Ok(Box::new(TimedState(state, self.1.clone())))
    }
}

impl ConstraintState for TimedState {
    fn restrict(&mut self, scores: &mut [f64]) -> Result<(), String> {
        timed(&self.1, || self.0.restrict(scores))
    }

    fn push(&mut self, token: u32) -> Result<(), String> {
        timed(&self.1, || self.0.push(token))
    }

    fn may_end(&mut self) -> bool {
        timed(&self.1, || self.0.may_end())
    }
}

fn model(entries: usize) -> (Box<dyn Generator>, Parameters) {
    let layers = TransformerConfig { heads: 8, position: Position::Sinusoidal, max_length: 512, ..Default::default() };
    let config = ModelConfig {
        embedding: 512,
        hidden: 512,
        layers: 6,
        encoder_layers: 6,
        decoder: LayerKind::Transformer,
        transformer: Some(layers),
        ..ModelConfig::new(ModelKind::EncoderDecoder)
    };
    let mut parameters = Parameters::new(DType::F32);
    let vocabulary = descant_models::Vocabulary::new(entries, entries, false);
    let generator = build(&config, &LossConfig::default(), &vocabulary, &mut parameters, 1).unwrap();
    (generator, parameters)
}

fn main() {
    let tokenizer = tokenizer();
    let vocabulary = Vocabulary::new(&tokenizer).unwrap();
    let (generator, parameters) = model(tokenizer.vocabulary());
    let grammars: [(&str, Result<Grammar, ConstraintError>); 4] = [
        ("JSON schema", Grammar::json_schema(&vocabulary, SCHEMA)),
        ("regex", Grammar::regex(&vocabulary, REGEX)),
        ("GBNF of JSON", Grammar::parse(&vocabulary, GBNF)),
        ("Lark of sums", Grammar::parse(&vocabulary, LARK)),
    ];
    println!("vocabulary of {}, {TOKENS} tokens at most, sampling", tokenizer.vocabulary());
    println!(
        "{:<14} {:>5} {:>8} {:>14} {:>14} {:>7}",
        "grammar", "batch", "tokens", "step, µs/row", "masks, µs/row", "share"
    );
    for (name, grammar) in grammars {
        let grammar = grammar.unwrap();
        for batch in [1, 32] {
            let total = Arc::new(AtomicU64::new(0));
            let constraint = Timed(grammar.clone(), total.clone());
            let config = GenerationConfig::sampling(1).with(|c| c.max_new_tokens = Some(TOKENS));
            let options = DecodingOptions::new(config, vec![BOS], vec![EOS]).with(|o| {
                o.forbidden = vec![UNK, BOS];
                o.constraints = vec![Arc::new(constraint)];
            });
            let rows: Vec<u64> = (0..batch).collect();
            let mut sources = Sequences::new();
            rows.iter().for_each(|row| sources.push(&[9 + *row as u32, 11, 12, 13, 14, 15, 16, 17]));
            let input =
                DecodingBatch { rows: &rows, sources: Some(&sources), prompts: None, ..DecodingBatch::default() };
            let start = Instant::now();
            let found = generate(&*generator, &parameters, &mut Tape::new(), input, &options).unwrap();
            let all = start.elapsed().as_nanos() as f64;
            // EOS is a step too.
            let tokens: usize = found
                .into_iter()
                .flat_map(Result::unwrap)
                .map(|one| one.tokens.len() + usize::from(one.is_finished()))
                .sum();
            let per_token = |nanoseconds: f64| nanoseconds / 1000.0 / tokens as f64;
            let masks = total.load(Ordering::Relaxed) as f64;
            let share = 100.0 * masks / all;
            println!(
                "{name:<14} {batch:>5} {tokens:>8} {:>14.0} {:>14.1} {share:>5.1} %",
                per_token(all),
                per_token(masks)
            );
        }
    }
}
