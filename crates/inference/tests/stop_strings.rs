//! Stop strings of tokenizers whose tokens begin with a space.

use descant_generate::GenerationConfig;
use descant_inference::{Recipe, Tokenizers, Trained, model};
use descant_kernels::Parallelism;
use descant_tensor::DType;
use descant_text::{Tokenizer, TokenizerConfig, TokenizerKind};
use std::path::Path;
use std::sync::Arc;

fn trained(kind: &str, folder: &Path) -> Trained {
    let text = format!("[tokenizer]\nkind = 'unigram'\n[model]\nkind = '{kind}'\nembedding = 4\nhidden = 4\n");
    let recipe = Recipe::parse(&text, &[]).unwrap();
    let config = TokenizerConfig { kind: TokenizerKind::Unigram, vocabulary: 40, ..Default::default() };
    let texts = (0..50).map(|_| Ok("the end of the END in the end".to_owned()));
    let tokenizer = Arc::new(Tokenizer::train(&config, true, texts).unwrap());
    let source = (kind == "encoder-decoder").then(|| tokenizer.clone());
    let tokenizers = Tokenizers { source, target: tokenizer };
    let (parameters, _) = model(&recipe, &tokenizers, DType::F32).unwrap();
    Trained::save(&recipe, &tokenizers, &parameters, None, folder).unwrap();
    Trained::load(folder).unwrap()
}

#[test]
fn a_stop_string_may_begin_with_the_space_after_a_prompt() {
    let folder = tempfile::tempdir().unwrap();
    let model = trained("language-model", &folder.path().join("lm"));
    let stops = |trained: &Trained, text: &str, prompt: &[u32], tokens: &[u32]| {
        let config = GenerationConfig::greedy().with(|config| config.stop_strings = Some(vec![text.to_owned()]));
        trained.options(&config, Parallelism::Serial).unwrap().stop.unwrap().0(prompt, tokens)
    };
    let tokenizer = &model.tokenizers.target;
    let encode = |text: &str| tokenizer.encode(text).unwrap();
    let prompt = model.encode(&"the end".into()).unwrap();
    let after = tokenizer.encode_continuation(" END").unwrap();
    assert_eq!(model.continuation(&prompt, &after).unwrap(), " END");
    assert!(stops(&model, " END", &prompt, &after));
    assert!(stops(&model, "END", &prompt, &after));
    // What the prompt has is none of the text, nor is what both have together.
    let ended = model.encode(&"the END".into()).unwrap();
    assert!(!stops(&model, "END", &ended, &encode("the")));
    assert!(!stops(&model, "end END", &prompt, &after));
    // Without a prompt, a text begins without a space, however long it is by now.
    let pairs = trained("encoder-decoder", &folder.path().join("pairs"));
    assert!(!stops(&pairs, " END", &[1], &encode("END")) && stops(&pairs, "END", &[1], &encode("END")));
    let long = encode(&"the end of ".repeat(20));
    assert!(stops(&pairs, " END", &[1], &[&long[..], &after].concat()));
}
