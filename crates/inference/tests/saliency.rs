//! Saliency against central differences, and its completeness, on small random models of every architecture.

use descant_autograd::Tape;
use descant_generate::FinishReason;
use descant_inference::{Explainer, Generated, Recipe, SaliencyMethod, Tokenizers, Trained, model};
use descant_tensor::DType;
use descant_text::{Tokenizer, TokenizerConfig};
use std::path::Path;
use std::sync::Arc;

const MODELS: [&str; 6] = [
    "kind = 'encoder-decoder'\ncell = 'gru'\nembedding = 8\nhidden = 12\nattention = 'general'",
    "kind = 'encoder-decoder'\nembedding = 8\nhidden = 12\nattention = 'additive'\ninput_feeding = true\ntie = 'embeddings'",
    "kind = 'encoder-decoder'\ndecoder = 'transformer'\nhidden = 12\nlayers = 2\ntie = 'all'\n[model.transformer]\nheads = 2",
    "kind = 'encoder-decoder'\ndecoder = 'transformer'\nhidden = 12\n[model.transformer]\nheads = 2\nrecompute = true",
    "kind = 'language-model'\nembedding = 8\nhidden = 12",
    "kind = 'language-model'\ndecoder = 'transformer'\nhidden = 12\nlayers = 2\ntie = 'output'\n[model.transformer]\nheads = 2\nposition = 'learned'\nmax_length = 32",
];

/// A random model with opinions.
fn trained(text: &str, folder: &Path) -> Trained {
    let recipe = Recipe::parse(&format!("seed = 3\n[tokenizer]\nkind = 'character'\n[model]\n{text}\n"), &[]).unwrap();
    let texts = (0..20).map(|_| Ok("abcdefgh".to_owned()));
    let config = TokenizerConfig { kind: descant_text::TokenizerKind::Character, ..Default::default() };
    let tokenizer = Arc::new(Tokenizer::train(&config, true, texts).unwrap());
    let source = text.contains("encoder-decoder").then(|| tokenizer.clone());
    let tokenizers = Tokenizers { source, target: tokenizer };
    let (mut parameters, _) = model(&recipe, &tokenizers, DType::F32).unwrap();
    for id in parameters.ids() {
        parameters.values_mut::<f32>(id).iter_mut().for_each(|x| *x *= 1.5);
    }
    Trained::save(&recipe, &tokenizers, &parameters, None, folder).unwrap();
    Trained::load_row_major(folder).unwrap()
}

#[test]
fn attributions_are_derivatives_and_integrated_ones_sum_up_to_the_difference() {
    for text in MODELS {
        let folder = tempfile::tempdir().unwrap();
        let mut trained = trained(text, &folder.path().join("run"));
        let read = trained.encode(&"abca".into()).unwrap();
        let written = trained.tokenizers.target.encode("fgh").unwrap();
        let mut tape = Tape::new();
        let saliency = |trained: &Trained, tape: &mut Tape, method| {
            Explainer::new(trained).saliency(tape, &read, &written, method).unwrap()
        };
        let gradients = saliency(&trained, &mut tape, SaliencyMethod::GradientTimesInput);
        let integrated = saliency(&trained, &mut tape, SaliencyMethod::IntegratedGradients(256));
        for (t, one) in integrated.iter().enumerate() {
            let error = one.completeness_error();
            assert!(error < 3e-3 * (1.0 + one.baseline.abs() + one.log_probability.abs()), "{text}: {error} {one:?}");
            assert!(one.attributions.iter().any(|added| added.abs() > 1e-3), "{text}: {one:?}");
            assert!((one.log_probability - gradients[t].log_probability).abs() < 1e-4);
        }
        // `f` is written nowhere and stands in no source: its embedding changes nothing. That of `b`, which is read once, does,
        // where the decoder has a table of its own or reads another token.
        let name = ["encoder.embedding.weight", "decoder.embedding.weight", "embedding.weight"];
        let table = name.iter().find_map(|name| trained.parameters.find(name)).unwrap();
        let width = trained.parameters.shape(table).last();
        let place = read.iter().position(|&id| Some(id) == trained.tokenizers.target.id("b")).unwrap();
        let b = read[place] as usize;
        let before = trained.parameters.values::<f32>(table)[b * width..][..width].to_vec();
        let mut at = |scale: f32| {
            let row = &mut trained.parameters.values_mut::<f32>(table)[b * width..][..width];
            row.iter_mut().zip(&before).for_each(|(x, before)| *x = scale * before);
            saliency(&trained, &mut tape, SaliencyMethod::GradientTimesInput)
        };
        // A tied output reads the same row: its own part is not of the input.
        let is_tied = text.contains("tie = 'all'") || text.contains("tie = 'output'");
        let step = 1e-2;
        let (up, down) = (at(1.0 + step), at(1.0 - step));
        for (t, one) in gradients.iter().enumerate().filter(|_| !is_tied) {
            let difference = (up[t].log_probability - down[t].log_probability) / f64::from(2.0 * step);
            let error = (difference - one.attributions[place]).abs();
            assert!(error < 2e-3 * (1.0 + difference.abs()), "{text}: {difference} {:?}", one.attributions);
        }
    }
}

#[test]
fn an_explanation_has_the_scores_of_the_model() {
    for text in MODELS {
        let folder = tempfile::tempdir().unwrap();
        let trained = trained(text, &folder.path().join("run"));
        let read = trained.encode(&"abca".into()).unwrap();
        let written = trained.tokenizers.target.encode("fgh").unwrap();
        let mut tape = Tape::new();
        let method = SaliencyMethod::GradientTimesInput;
        let mut explainer = Explainer::new(&trained);
        let generated = |finish_reason, cut| {
            let mut one = Generated::default();
            (one.tokens, one.finish_reason, one.cut) = (written.clone(), finish_reason, cut);
            one
        };
        let unfinished = generated(FinishReason::Length, false);
        let explanation = explainer.explain(&mut tape, &read, &unfinished, method).unwrap();
        let saliency = explainer.saliency(&mut tape, &read, &written, method).unwrap();
        // The same for a longer text and this one again, by the model that the longer one took.
        let longer = [&read[..], &read, &read].concat();
        // EOS has a row of its own after those of the text.
        let ended = explainer.explain(&mut tape, &read, &generated(FinishReason::Eos, false), method).unwrap();
        let (last, others) = ended.tokens.split_last().unwrap();
        assert!(trained.tokenizers.target.special().eos.contains(&last.score.id), "{last:?}");
        let close = |a: f64, b: f64| (a - b).abs() < 1e-3 * (1.0 + a.abs());
        for (one, other) in others.iter().zip(&explanation.tokens) {
            assert!(one.score.id == other.score.id && close(one.score.log_probability, other.score.log_probability));
        }
        assert_eq!(others.len(), written.len());
        assert_eq!(explainer.explain(&mut tape, &longer, &unfinished, method).unwrap().read.len(), longer.len());
        assert_eq!(explainer.explain(&mut tape, &read, &unfinished, method).unwrap(), explanation, "{text}");
        // Of a text whose prompt or source was cut, nobody knows what it followed from.
        let cut = explainer.explain(&mut tape, &read, &generated(FinishReason::Eos, true), method).unwrap_err();
        assert!(cut.to_string().contains("tokens, of which the"), "{cut}");
        // Nothing read is what an empty text is.
        let empty = trained.encode(&"".into()).unwrap();
        let [nothing, empty] =
            [&[][..], &empty].map(|read| explainer.explain(&mut tape, read, &unfinished, method).unwrap());
        assert_eq!((nothing.tokens.len(), &nothing), (3, &empty), "{text}");
        assert_eq!((explanation.read.len(), explanation.tokens.len()), (read.len(), 3));
        for (token, saliency) in explanation.tokens.iter().zip(&saliency) {
            assert!((token.score.log_probability - saliency.log_probability).abs() < 1e-4, "{text}");
            assert_eq!(token.attention.len(), if text.contains("encoder-decoder") { read.len() } else { 0 }, "{text}");
            assert!(token.attention.is_empty() || (token.attention.iter().sum::<f64>() - 1.0).abs() < 1e-6, "{text}");
        }
    }
}
