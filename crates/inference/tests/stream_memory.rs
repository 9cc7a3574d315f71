//! What is streamed leaves no memory behind. A test of its own, as it measures its process.

use descant_inference::{Recipe, Tokenizers, Trained, model};
use descant_tensor::DType;
use descant_text::{Tokenizer, TokenizerConfig, TokenizerKind};
use std::sync::Arc;

fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}

#[test]
fn twenty_thousand_streamed_texts_take_the_memory_of_five_hundred() {
    let text = "[tokenizer]\nkind = 'character'\n[model]\nkind = 'language-model'\ndecoder = 'transformer'\nhidden = 16\n\
                [model.transformer]\nheads = 2\n[generation]\nmax_new_tokens = 8\n";
    let recipe = Recipe::parse(text, &[]).unwrap();
    let config = TokenizerConfig { kind: TokenizerKind::Character, ..Default::default() };
    let texts = (0..20).map(|_| Ok("abcdefgh".to_owned()));
    let tokenizer = Arc::new(Tokenizer::train(&config, true, texts).unwrap());
    let tokenizers = Tokenizers { source: None, target: tokenizer };
    let (parameters, _) = model(&recipe, &tokenizers, DType::F32).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    Trained::save(&recipe, &tokenizers, &parameters, None, &run).unwrap();
    let trained = Trained::load(&run).unwrap();
    let (mut early, mut characters) = (0.0, 0);
    for i in 0..20_000 {
        if i == 500 {
            early = resident();
        }
        let text: String = "abcdefgh".chars().cycle().skip(i % 8).take(1 + i % 20).collect();
        trained.stream(&text, |piece| characters += piece.len()).unwrap();
    }
    let late = resident();
    println!("{early} kB after 500 texts, {late} kB after 20,000");
    assert!(characters > 20_000);
    assert!(late <= 1.02 * early + 256.0, "{early} kB after 500 texts, {late} kB after 20,000");
}
