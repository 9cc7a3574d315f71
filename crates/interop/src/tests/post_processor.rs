//! Post-processors, EOS, and how a folder's authors generate: on models that are a table of what
//! comes after a word, so that right texts and scores can be worked out by hand.

use super::{beam, edit};
use crate::{GgufType, export, export_gguf, import};
use descant_autograd::Tape;
use descant_generate::GenerationConfig;
use descant_inference::{Generated, Trained};
use descant_kernels::Parallelism;
use descant_text::{ChatTemplate, Message, SpecialTokens, Tokenizer};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

const WORDS: [&str; 9] = ["<unk>", "<s>", "</s>", "<stop>", "ask", "up", "left", "far", "down"];

/// A Llama over [`WORDS`] whose next word depends on the last one alone: embeddings are the unit vectors, layers add nothing,
/// and the head holds the logarithms of the probabilities.
fn table(folder: &Path, next: &[(&str, &[(&str, f32)])]) {
    fs::create_dir_all(folder).unwrap();
    let (entries, width) = (WORDS.len(), 10);
    let at = |word: &str| WORDS.iter().position(|known| *known == word).unwrap();
    let scale = (width as f32).sqrt();
    let mut head = vec![-60.0 / scale; entries * width];
    for (last, row) in next {
        for (word, probability) in *row {
            head[at(word) * width + at(last)] = probability.ln() / scale;
        }
    }
    let mut embedding = vec![0.0; entries * width];
    (0..entries).for_each(|i| embedding[i * width + i] = 1.0);
    let layer = "model.layers.0.";
    let mut tensors = vec![
        ("model.embed_tokens.weight".to_owned(), vec![entries, width], embedding),
        ("lm_head.weight".to_owned(), vec![entries, width], head),
        ("model.norm.weight".to_owned(), vec![width], vec![1.0; width]),
    ];
    for name in ["input_layernorm", "post_attention_layernorm"] {
        tensors.push((format!("{layer}{name}.weight"), vec![width], vec![1.0; width]));
    }
    for name in ["self_attn.q", "self_attn.k", "self_attn.v", "self_attn.o", "mlp.gate", "mlp.up", "mlp.down"] {
        tensors.push((format!("{layer}{name}_proj.weight"), vec![width; 2], vec![0.0; width * width]));
    }
    let views = tensors.iter().map(|(name, shape, values)| {
        (name.clone(), TensorView::new(Dtype::F32, shape.clone(), bytemuck::cast_slice(values)).unwrap())
    });
    fs::write(folder.join("model.safetensors"), safetensors::serialize(views, None).unwrap()).unwrap();
    let config = json!({"model_type": "llama", "vocab_size": entries, "hidden_size": width, "intermediate_size": width,
        "num_hidden_layers": 1, "num_attention_heads": 1, "num_key_value_heads": 1, "max_position_embeddings": 32,
        "rms_norm_eps": 1e-12, "tie_word_embeddings": false, "bos_token_id": null, "eos_token_id": 2});
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let vocabulary: HashMap<&str, usize> = WORDS.iter().copied().zip(0..).collect();
    let tokenizer = json!({"version": "1.0", "added_tokens": [], "pre_tokenizer": {"type": "WhitespaceSplit"},
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"}});
    fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).unwrap();
}

/// Of two ways from `ask`, the likelier first word is on the worse one.
const WAYS: &[(&str, &[(&str, f32)])] = &[
    ("ask", &[("up", 0.4), ("left", 0.6)]),
    ("up", &[("</s>", 1.0)]),
    ("left", &[("far", 0.55), ("down", 0.45)]),
    ("far", &[("</s>", 0.7), ("down", 0.3)]),
    ("down", &[("<stop>", 1.0)]),
    ("<stop>", &[("up", 1.0)]),
    ("<s>", &[("down", 1.0)]),
];

fn load(folder: &Path, run: &str) -> Trained {
    let run = folder.join("..").join(run);
    import(folder, &run).unwrap();
    Trained::load_row_major(&run).unwrap()
}

fn write(trained: &Trained, text: &str, config: GenerationConfig) -> Vec<Generated> {
    let options = trained.options(&config.with(|config| config.max_new_tokens = Some(8)), Parallelism::Serial).unwrap();
    trained.generate_batch(&mut Tape::new(), &[text.to_owned()], 0.., &options, |_, _| ()).unwrap().remove(0).unwrap()
}

fn greedy(trained: &Trained, text: &str) -> String {
    write(trained, text, GenerationConfig::greedy()).remove(0).text.trim().to_owned()
}

fn post_processor(folder: &Path, before: &[usize], after: &[usize]) {
    let special = |i: &usize| json!({"SpecialToken": {"id": WORDS[*i], "type_id": 0}});
    let text = vec![json!({"Sequence": {"id": "A", "type_id": 0}})];
    let single = [before.iter().map(special).collect(), text.clone(), after.iter().map(special).collect()].concat();
    let tokens: Value = before
        .iter()
        .chain(after)
        .map(|&i| (WORDS[i], json!({"id": WORDS[i], "ids": [i], "tokens": [WORDS[i]]})))
        .collect();
    let template = json!({"type": "TemplateProcessing", "single": single, "pair": text, "special_tokens": tokens});
    edit(&folder.join("tokenizer.json"), |json| json["post_processor"] = template);
}

#[test]
fn nothing_is_put_before_a_prompt_that_the_tokenizer_does_not_put_there() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("model");
    table(&folder, WAYS);
    let trained = load(&folder, "none");
    assert_eq!(trained.encode(&"ask up".into()).unwrap(), [4, 5]);
    let error = trained.encode(&"".into()).unwrap_err().to_string();
    assert!(error.contains("no BOS"), "{error}");
    // What config.json has begins an empty prompt, and no other.
    edit(&folder.join("config.json"), |json| json["bos_token_id"] = json!(1));
    let trained = load(&folder, "configured");
    assert_eq!(trained.encode(&"ask".into()).unwrap(), [4]);
    assert_eq!(greedy(&trained, ""), "down <stop> up");
    post_processor(&folder, &[1], &[]);
    let trained = load(&folder, "before");
    assert_eq!(trained.encode(&"ask".into()).unwrap(), [1, 4]);
    assert_eq!(greedy(&trained, ""), "down <stop> up");
    // Flags of tokenizer_config.json beside a tokenizer.json mean nothing to transformers, and are reported.
    let settings =
        json!({"bos_token": "<s>", "eos_token": {"content": "</s>"}, "add_bos_token": false, "add_eos_token": true});
    fs::write(folder.join("tokenizer_config.json"), settings.to_string()).unwrap();
    assert_eq!(load(&folder, "flags").encode(&"ask".into()).unwrap(), [1, 4]);
    let notes = import(&folder, &place.path().join("told")).unwrap();
    assert!(notes.iter().any(|note| note.contains("add_eos_token")), "{notes:?}");
}

#[test]
fn every_end_ends_a_text_in_every_search() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("model");
    table(&folder, WAYS);
    let one = load(&folder, "one");
    assert_eq!(greedy(&one, "down"), "<stop> up");
    for (i, place) in ["config.json", "generation_config.json"].into_iter().enumerate() {
        fs::write(folder.join("generation_config.json"), "{}").unwrap();
        edit(&folder.join(place), |json| json["eos_token_id"] = json!([2, 3]));
        let trained = load(&folder, &format!("several-{i}"));
        assert_eq!(greedy(&trained, "down"), "");
        let found = write(&trained, "ask", beam(2, 2));
        // 0.4 for up, and 0.6 × 0.45 for left down.
        assert_eq!(found.iter().map(|one| one.text.trim()).collect::<Vec<_>>(), ["up", "left down"]);
        assert!(found.iter().all(|one| one.is_finished()));
    }
}

#[test]
fn beams_of_imported_models_are_ranked_as_in_transformers() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("model");
    table(&folder, WAYS);
    fs::write(folder.join("generation_config.json"), r#"{"eos_token_id": [2, 3]}"#).unwrap();
    let trained = load(&folder, "run");
    let scores = |length_penalty: f64| -> Vec<(String, f64)> {
        let found =
            write(&trained, "ask ask ask", beam(3, 3).with(|config| config.length_penalty = Some(length_penalty)));
        found.into_iter().map(|one| (one.text.trim().to_owned(), one.score)).collect()
    };
    let ways = [
        ("up", 0.4_f64.ln(), 2.0_f64),
        ("left down", (0.6_f64 * 0.45).ln(), 3.0),
        ("left far", (0.6_f64 * 0.55 * 0.7).ln(), 3.0),
    ];
    for penalty in [0.0, 1.0, 2.0] {
        let mut expected: Vec<(&str, f64)> =
            ways.iter().map(|&(text, log, tokens)| (text, log / tokens.powf(penalty))).collect();
        expected.sort_by(|a, b| b.1.total_cmp(&a.1));
        for ((text, score), (expected, right)) in scores(penalty).iter().zip(&expected) {
            assert!(
                text == expected && (score - right).abs() < 1e-5,
                "{penalty}: {text} {score}, not {expected} {right}"
            );
        }
    }
}

#[test]
fn forbidden_and_forced_tokens_are_those_of_the_folder() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("model");
    table(&folder, WAYS);
    let generation = json!({"eos_token_id": [2, 3], "bad_words_ids": [[6]], "forced_eos_token_id": 2, "num_beams": 2,
        "max_new_tokens": 3, "repetition_penalty": 1.1, "renormalize_logits": true});
    fs::write(folder.join("generation_config.json"), generation.to_string()).unwrap();
    let trained = load(&folder, "run");
    // Without left, up is certain.
    let options = trained.options(&GenerationConfig::default(), Parallelism::Serial).unwrap();
    let found = trained
        .generate_batch(&mut Tape::new(), &["ask".to_owned()], 0.., &options, |_, _| ())
        .unwrap()
        .remove(0)
        .unwrap()
        .remove(0);
    assert_eq!((found.text.trim(), found.is_finished()), ("up", true));
    assert!(found.score.abs() < 1e-5, "{}", found.score);
    // As transformers scores where nothing says otherwise.
    edit(&folder.join("generation_config.json"), |json| json["renormalize_logits"] = Value::Null);
    let trained = load(&folder, "plain");
    let options = trained.options(&GenerationConfig::default(), Parallelism::Serial).unwrap();
    let found = trained
        .generate_batch(&mut Tape::new(), &["ask".to_owned()], 0.., &options, |_, _| ())
        .unwrap()
        .remove(0)
        .unwrap();
    assert!((found[0].score - 0.4_f64.ln() / 2.0).abs() < 1e-5, "{}", found[0].score);
    // The end takes the last place, whatever its probability.
    edit(&folder.join("generation_config.json"), |json| json["bad_words_ids"] = Value::Null);
    edit(&folder.join("generation_config.json"), |json| json["max_new_tokens"] = json!(2));
    let trained = load(&folder, "forced");
    let options = trained.options(&GenerationConfig::greedy(), Parallelism::Serial).unwrap();
    let found = trained
        .generate_batch(&mut Tape::new(), &["ask".to_owned()], 0.., &options, |_, _| ())
        .unwrap()
        .remove(0)
        .unwrap()
        .remove(0);
    assert_eq!((found.text.trim(), found.is_finished()), ("left", true));
}

#[test]
fn a_conversation_is_what_its_template_writes() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("model");
    table(&folder, WAYS);
    post_processor(&folder, &[1], &[]);
    let settings = |template: &str| {
        let json = json!({"bos_token": "<s>", "eos_token": "</s>", "chat_template": {"default": template}});
        fs::write(folder.join("tokenizer_config.json"), json.to_string()).unwrap();
    };
    let said = [Message::new("user", "up")];
    for (i, (template, expected)) in [
        ("{{ bos_token }} {{ messages[0].content }}", vec![1, 5]),
        ("{{ messages[0].content }}", vec![5]),
        ("{{ messages[0].content }} {{ eos_token }}", vec![5, 2]),
    ]
    .into_iter()
    .enumerate()
    {
        settings(template);
        let trained = load(&folder, &format!("run-{i}"));
        assert_eq!(trained.encode(&trained.prompt(&said).unwrap()).unwrap(), expected, "{template}");
        // A text that is no conversation has what the tokenizer puts there.
        assert_eq!(trained.encode(&"up".into()).unwrap(), [1, 5]);
        let out = place.path().join(format!("out-{i}"));
        export(&trained, &out).unwrap();
        assert_eq!(fs::read_to_string(out.join("chat_template.jinja")).unwrap(), template);
        let back = load(&out, &format!("back-{i}"));
        assert_eq!(back.encode(&back.prompt(&said).unwrap()).unwrap(), expected, "{template}");
    }
}

#[test]
fn a_template_that_was_trained_with_is_written_with_what_stood_before_it() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("model");
    table(&folder, WAYS);
    edit(&folder.join("config.json"), |json| json["bos_token_id"] = json!(1));
    fs::write(folder.join("tokenizer_config.json"), r#"{"bos_token": "<s>", "eos_token": "</s>"}"#).unwrap();
    let mut trained = load(&folder, "run");
    // As one that was trained here.
    let target = Tokenizer::clone(&trained.tokenizers.target);
    let special = SpecialTokens { post_processor: None, ..target.special().clone() };
    trained.tokenizers.target = Arc::new(target.with_special(special).unwrap());
    let template = ChatTemplate::new("{{ messages[0].content }} {{ eos_token }}").unwrap();
    trained.chat = Some(template.with_controls(trained.tokenizers.target.control_names()));
    let said = [Message::new("user", "up")];
    assert_eq!(trained.encode(&trained.prompt(&said).unwrap()).unwrap(), [1, 5]);
    let out = place.path().join("out");
    export(&trained, &out).unwrap();
    let back = load(&out, "back");
    assert_eq!(back.encode(&back.prompt(&said).unwrap()).unwrap(), [1, 5]);
}

#[test]
fn what_llama_cpp_cannot_put_around_a_text_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("model");
    table(&folder, WAYS);
    // Bytes, as llama.cpp has them; these words are not written in those characters.
    edit(&folder.join("tokenizer.json"), |json| {
        let vocabulary = json["model"]["vocab"].clone();
        json["model"] = json!({"type": "BPE", "vocab": vocabulary, "merges": []});
        json["pre_tokenizer"] =
            json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
        json["decoder"] = json["pre_tokenizer"].clone();
    });
    let written = |name: &str| {
        let trained = load(&folder, name);
        export_gguf(&trained, &place.path().join(format!("{name}.gguf")), GgufType::F32)
            .map_err(|error| error.to_string())
    };
    written("plain").unwrap();
    post_processor(&folder, &[1], &[2]);
    written("both").unwrap();
    post_processor(&folder, &[4, 5], &[]);
    let error = written("two").unwrap_err();
    assert!(error.contains("ask") && error.contains("before"), "{error}");
    edit(&folder.join("tokenizer.json"), |json| {
        json["post_processor"] = Value::Null;
        json["pre_tokenizer"]["add_prefix_space"] = json!(true);
    });
    assert!(written("prefix").is_err());
    edit(&folder.join("tokenizer.json"), |json| json["pre_tokenizer"]["add_prefix_space"] = json!(false));
    fs::write(folder.join("generation_config.json"), r#"{"eos_token_id": [2, 3, 4, 5]}"#).unwrap();
    let error = written("ends").unwrap_err();
    assert!(error.contains("3 ends"), "{error}");
    // The space before a text; what else is done to it is refused.
    fs::write(folder.join("generation_config.json"), "{}").unwrap();
    let metaspace =
        |scheme: &str| json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": false});
    let sequence = |second: Value| json!({"type": "Sequence", "pretokenizers": [metaspace("always"), second]});
    for (name, cut, fits) in [
        ("first", metaspace("first"), true),
        ("always", metaspace("always"), true),
        ("never", metaspace("never"), true),
        ("digits", sequence(json!({"type": "Digits", "individual_digits": true})), false),
    ] {
        edit(&folder.join("tokenizer.json"), |json| {
            json["model"]["byte_fallback"] = json!(true);
            json["pre_tokenizer"] = cut.clone();
            json["decoder"] = metaspace("always");
        });
        let found = written(name);
        assert_eq!(found.is_ok(), fits, "{name}: {found:?}");
    }
    edit(&folder.join("tokenizer.json"), |json| {
        json["pre_tokenizer"] = metaspace("never");
        json["normalizer"] = json!({"type": "Lowercase"});
    });
    assert!(written("lowercase").is_err());
}
