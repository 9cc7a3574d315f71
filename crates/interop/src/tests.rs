//! Models of `transformers` (`tools/transformers_models.py`): the same logits to 1e-4 and gradients to 1e-3, and folders
//! written here hold the same tensors.

use crate::{Family, export, import};
use descant_autograd::Tape;
use descant_batch::{Batch, Sequences};
use descant_generate::GenerationConfig;
use descant_inference::{Recipe, Trained, model};
use descant_kernels::Parallelism;
use descant_tensor::DType;
use descant_text::{Message, PostProcessor, SpecialTokens, Tokenizer};
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

mod post_processor;

pub(crate) const FAMILIES: [&str; 21] = [
    "gpt2",
    "llama",
    "llama3",
    "smollm",
    "mistral",
    "qwen2",
    "qwen2-windows",
    "qwen3",
    "gemma",
    "gemma2",
    "gemma3",
    "olmo2",
    "phi3",
    "marian",
    "bart",
    "mbart",
    "t5",
    "t5-gated",
    "t5-v1.1",
    "t5-flan",
    "mt5",
];

pub(crate) fn reference(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(name)
}

pub(crate) fn numbers(file: &SafeTensors<'_>, name: &str) -> Vec<f64> {
    let view = file.tensor(name).unwrap_or_else(|error| panic!("{name}: {error}"));
    let words = view.data().chunks_exact(4).map(|bytes| bytes.try_into().unwrap());
    match view.dtype() {
        Dtype::I32 => words.map(|bytes| f64::from(i32::from_le_bytes(bytes))).collect(),
        _ => words.map(|bytes| f64::from(f32::from_le_bytes(bytes))).collect(),
    }
}

/// Beam search without a length penalty.
pub(crate) fn beam(width: usize, n_best: usize) -> GenerationConfig {
    GenerationConfig::beam(width).with(|config| {
        config.length_penalty = Some(0.0);
        config.num_return_sequences = Some(n_best);
    })
}

/// Sequences that are padded with -1.
pub(crate) fn sequences(file: &SafeTensors<'_>, name: &str) -> Sequences {
    let width = file.tensor(name).unwrap().shape()[1];
    let mut sequences = Sequences::new();
    for row in numbers(file, name).chunks(width) {
        let ids: Vec<u32> = row.iter().filter(|&&id| id >= 0.0).map(|&id| id as u32).collect();
        sequences.push(&ids);
    }
    sequences
}

fn norm(x: impl Iterator<Item = f64>) -> f64 {
    x.map(|x| x * x).sum::<f64>().sqrt()
}

/// The norm of the difference over the norm, or over `least` where that is larger.
fn distance(found: &[f64], expected: &[f64], least: f64) -> f64 {
    assert_eq!(found.len(), expected.len());
    norm(found.iter().zip(expected).map(|(a, b)| a - b)) / norm(expected.iter().copied()).max(least)
}

/// What a model says of a file's inputs, one after another.
pub(crate) fn logits(trained: &Trained, file: &SafeTensors<'_>) -> Vec<f64> {
    let input = sequences(file, "input");
    let pair = trained.tokenizers.source.is_some();
    let batch =
        Batch { source: pair.then(|| sequences(file, "source")), target: input.clone(), input, ..Batch::default() };
    let mut tape = Tape::new();
    let graph = tape.infer(&trained.parameters, Parallelism::Serial);
    let hidden = trained.model.hidden(graph, &batch).rows;
    trained.model.output().logits(hidden).value().unwrap().to_f64()
}

#[test]
fn logits_and_gradients_are_those_of_transformers() {
    for name in FAMILIES {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        import(&reference(name), &run).unwrap();
        // The references were made without dropout.
        let recipe = fs::read_to_string(run.join("recipe.toml")).unwrap();
        let still = folder.path().join("still.toml");
        fs::write(&still, recipe.replace("dropout = 0.1\n", "dropout = 0.0\n")).unwrap();
        let mut trained = Trained::load_row_major(&run).unwrap();
        trained.recipe = Recipe::load(&still, &[]).unwrap();
        let (mut parameters, model) = model(&trained.recipe, &trained.tokenizers, DType::F32).unwrap();
        parameters.copy_from(&trained.parameters, &[]).unwrap();
        (trained.parameters, trained.model) = (parameters, model);
        let bytes = fs::read(reference(name).join("reference.safetensors")).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let pair = trained.tokenizers.source.is_some();
        let ids = |side: &str| sequences(&file, side);
        let source = pair.then(|| ids("source"));
        let batch = Batch { source, input: ids("input"), target: ids("target"), ..Batch::default() };
        let (mut tape, parameters) = (Tape::new(), &trained.parameters);
        let logits = distance(&logits(&trained, &file), &numbers(&file, "logits"), 0.0);
        assert!(logits <= 1e-5, "{name}: logits are off by {logits:.1e}");

        let mut gradients = parameters.gradients();
        let graph = tape.train(parameters, 1);
        let loss = trained.model.loss(graph, &batch).scale(1.0 / batch.target.tokens() as f64);
        let (found, expected) = (loss.value().unwrap().to_f64()[0], numbers(&file, "loss")[0]);
        assert!((found - expected).abs() <= 1e-5, "{name}: the loss is {found}, not {expected}");
        graph.backward(loss, &mut gradients).unwrap();
        gradients.check(parameters).unwrap();
        let config: Value = serde_json::from_slice(&fs::read(reference(name).join("config.json")).unwrap()).unwrap();
        let family = Family::read(&config).unwrap().family;
        // Without rotary positions a bias of the keys changes nothing: its gradient is rounding alone.
        let all = file.names().into_iter().filter(|name| name.starts_with("gradient."));
        let least = 1e-4 * norm(all.flat_map(|name| numbers(&file, name)));
        let (mut largest, mut compared) = (0.0_f64, 0);
        for piece in family.tensor_names(&trained.recipe.model) {
            let key = format!("gradient.{}", piece.theirs);
            if piece.theirs == "final_logits_bias" {
                continue;
            }
            let id = parameters.find(&piece.ours).unwrap();
            let columns = if parameters.shape(id).rank() == 2 { parameters.shape(id)[1] } else { 1 };
            let all = gradients.to_f64(id);
            let rows = piece.rows.unwrap_or(0..all.len() / columns);
            let own = &all[rows.start * columns..rows.end * columns];
            let expected = numbers(&file, &key)[piece.skipped * columns..].to_vec();
            let expected: Vec<f64> = match piece.transposed {
                true => (0..own.len()).map(|i| expected[i % columns * rows.len() + i / columns]).collect(),
                false => expected,
            };
            let error = distance(own, &expected, least);
            largest = largest.max(error);
            compared += 1;
            assert!(error <= 1e-3, "{name}: gradient of {} is off by {error:.1e}", piece.theirs);
        }
        let known = file.names().into_iter().filter(|name| name.starts_with("gradient.")).count();
        assert_eq!(compared, known, "{name}: every gradient of the one is one of the other");
        println!("{name}: logits {logits:.1e}, gradients {largest:.1e}");
    }
}

#[test]
fn square_weights_of_gpt2_are_turned() {
    let folder = tempfile::tempdir().unwrap();
    import(&reference("gpt2"), &folder.path().join("run")).unwrap();
    let parameters = Trained::load_row_major(&folder.path().join("run")).unwrap().parameters;
    let bytes = fs::read(reference("gpt2").join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let theirs = numbers(&file, "transformer.h.0.attn.c_proj.weight");
    let id = parameters.find("decoder.layers.0.self_attn.out_proj.weight").unwrap();
    let (ours, width) = (parameters.values::<f32>(id), parameters.shape(id)[0]);
    assert_eq!(parameters.shape(id).dims(), [width, width]);
    let transposed = |i: usize| theirs[i % width * width + i / width];
    assert!((0..ours.len()).all(|i| f64::from(ours[i]) == transposed(i)));
    assert!((0..ours.len()).any(|i| theirs[i] != transposed(i)), "a symmetric one shows nothing");
}

/// A folder with another tensor of this name, and what an import says of it.
fn with_tensor(name: &str, value: impl Fn(usize) -> f32) -> Result<(), crate::Error> {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model");
    fs::create_dir(&model).unwrap();
    for entry in fs::read_dir(reference("gpt2")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), model.join(entry.file_name())).unwrap();
    }
    let bytes = fs::read(model.join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors: Vec<crate::write_folder::Named> = file
        .names()
        .into_iter()
        .map(|name| {
            let values = numbers(&file, name).into_iter().map(|value| value as f32).collect();
            (name.to_owned(), file.tensor(name).unwrap().shape().to_vec(), values)
        })
        .filter(|(known, ..)| known != name)
        .collect();
    let (_, shape, table) = tensors.iter().find(|(name, ..)| name.ends_with("wte.weight")).unwrap().clone();
    tensors.push((name.to_owned(), shape, table.iter().enumerate().map(|(i, x)| x + value(i)).collect()));
    crate::write_folder::write_tensors(&model.join("model.safetensors"), &tensors).unwrap();
    import(&model, &folder.path().join("run")).map(|_| ())
}

#[test]
fn a_tied_table_under_a_second_name_has_the_same_values() {
    with_tensor("lm_head.weight", |_| 0.0).unwrap();
}

#[test]
fn what_is_written_is_what_was_read() {
    for name in FAMILIES {
        let folder = tempfile::tempdir().unwrap();
        let at = |part: &str| folder.path().join(part);
        import(&reference(name), &at("run")).unwrap();
        let trained = Trained::load_row_major(&at("run")).unwrap();
        export(&trained, &at("out")).unwrap();
        let read = |path: PathBuf| fs::read(path).unwrap();
        let (old, new) = (read(reference(name).join("model.safetensors")), read(at("out").join("model.safetensors")));
        let (old, new) = (SafeTensors::deserialize(&old).unwrap(), SafeTensors::deserialize(&new).unwrap());
        for (key, view) in new.tensors() {
            let original = old.tensor(&key).unwrap_or_else(|error| panic!("{name}: {key}: {error}"));
            assert_eq!(original.shape(), view.shape(), "{name}: {key}");
            // Gemma's norms are stored smaller by one, and BART has two rows of positions that nothing reads.
            let (offset, skipped) =
                (name.starts_with("gemma"), name.ends_with("bart") && key.contains("embed_positions"));
            let from = if skipped { 2 * view.shape()[1] } else { 0 };
            let (old, new) = (&numbers(&old, &key)[from..], &numbers(&new, &key)[from..]);
            let most = if offset && key.contains("norm") { 2e-7 } else { 0.0 };
            assert!(old.iter().zip(new).all(|(a, b)| (a - b).abs() <= most), "{name}: {key}");
        }
        let missing: Vec<&str> = old.names().into_iter().filter(|key| new.tensor(key).is_err()).collect();
        assert!(missing.is_empty(), "{name}: {missing:?}");
        let model_type = |folder: &Path| {
            let config: Value = serde_json::from_slice(&read(folder.join("config.json"))).unwrap();
            config["model_type"].clone()
        };
        assert_eq!(model_type(&at("out")), model_type(&reference(name)), "{name}");
        // And the same again from what was written.
        import(&at("out"), &at("again")).unwrap();
        let again = Trained::load_row_major(&at("again")).unwrap();
        assert_eq!(again.recipe.model, trained.recipe.model, "{name}");
        assert_eq!(again.recipe.tokenizer, trained.recipe.tokenizer, "{name}");
        for id in trained.parameters.ids() {
            let (ours, theirs) = (trained.parameters.values::<f32>(id), again.parameters.values::<f32>(id));
            assert_eq!(ours, theirs, "{name}: {}", trained.parameters.name(id));
        }
    }
}

/// A copy of a reference, to change.
pub(crate) fn copy(name: &str, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        fs::copy(reference(name).join(file), to.join(file)).unwrap();
    }
}

/// Changes a file of JSON.
pub(crate) fn edit(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut json = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut json);
    fs::write(path, json.to_string()).unwrap();
}

#[test]
fn several_ends_all_end_and_that_of_a_turn_comes_first() {
    let folder = tempfile::tempdir().unwrap();
    let at = |part: &str| folder.path().join(part);
    copy("llama", &at("in"));
    let ends = |run: &str| {
        import(&at("in"), &at(run)).unwrap();
        Trained::load_row_major(&at(run)).unwrap().tokenizers.target.special().eos.clone()
    };
    let config: Value = serde_json::from_slice(&fs::read(at("in/config.json")).unwrap()).unwrap();
    let own = config["eos_token_id"].as_u64().unwrap() as u32;
    assert_eq!(ends("own"), [own]);
    fs::write(at("in/generation_config.json"), r#"{"eos_token_id": [5, 7]}"#).unwrap();
    assert_eq!(ends("first"), [5, 7, own]);
    let mut tokenizer: Value = serde_json::from_slice(&fs::read(at("in/tokenizer.json")).unwrap()).unwrap();
    let token = tokenizer["model"]["vocab"].as_object().unwrap().iter().find(|(_, id)| **id == 7).unwrap().0.clone();
    fs::write(at("in/tokenizer_config.json"), json!({"eos_token": {"content": token}}).to_string()).unwrap();
    assert_eq!(ends("named"), [7, 5, own]);
    let trained = Trained::load_row_major(&at("named")).unwrap();
    export(&trained, &at("out")).unwrap();
    for name in ["config.json", "generation_config.json"] {
        let json: Value = serde_json::from_slice(&fs::read(at("out").join(name)).unwrap()).unwrap();
        assert_eq!(json["eos_token_id"], json!([7, 5, own]), "{name}");
    }
    import(&at("out"), &at("back")).unwrap();
    assert_eq!(
        Trained::load_row_major(&at("back")).unwrap().tokenizers.target.special(),
        trained.tokenizers.target.special()
    );
    // What a file was used with before does not cut or fill texts.
    let before = Trained::load_row_major(&at("named")).unwrap().tokenizers.target.encode("a a a").unwrap();
    tokenizer["truncation"] = json!({"direction": "Right", "max_length": 1, "strategy": "LongestFirst", "stride": 0});
    tokenizer["padding"] = json!({"strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0,
        "pad_type_id": 0, "pad_token": "x"});
    fs::write(at("in/tokenizer.json"), tokenizer.to_string()).unwrap();
    ends("padded");
    assert_eq!(Trained::load_row_major(&at("padded")).unwrap().tokenizers.target.encode("a a a").unwrap(), before);
}

#[test]
fn a_folder_that_says_what_the_model_cannot_be_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |name: &str, change: &dyn Fn(&mut Value), says: &str| {
        let place = folder.path().join(format!("{name} {says}"));
        copy(name, &place);
        edit(&place.join("config.json"), change);
        let error = import(&place, &folder.path().join("run")).unwrap_err().to_string();
        assert!(error.contains(says), "{name} should say {says}: {error}");
    };
    refused("marian", &|json| json["normalize_before"] = json!(true), "normalize_before");
    refused("marian", &|json| json["tie_word_embeddings"] = json!(false), "lm_head.weight");
    refused("gpt2", &|json| json["add_cross_attention"] = json!(true), "add_cross_attention");
    refused("gpt2", &|json| json["n_layer"] = json!(1), "has no place");
    let place = folder.path().join("tokenizer");
    copy("llama", &place);
    edit(&place.join("tokenizer.json"), |json| json["pre_tokenizer"] = json!({"type": "FixedLength", "length": 0}));
    let error = import(&place, &folder.path().join("run")).unwrap_err().to_string();
    assert!(error.contains("tokenizer.json cannot be read"), "{error}");
    refused("llama", &|json| json["vocab_size"] = json!(5), "the tokenizer has");
    refused("llama", &|json| json["vocab_size"] = json!(1_u64 << 60), "vocab_size");
    refused("qwen2", &|json| json["layer_types"] = json!(["full_attention"]), "layer_types");
    refused("qwen2", &|json| json["layer_types"] = json!(["full_attention", "chunked_attention"]), "chunked_attention");
    refused("llama", &|json| json["attention_bias"] = json!(true), "attention_bias");
    refused("gemma3", &|json| json["attn_logit_softcapping"] = json!(50.0), "attn_logit_softcapping");
    refused("phi3", &|json| json["partial_rotary_factor"] = json!(0.75), "partial_rotary_factor");
    refused("bart", &|json| json["normalize_before"] = json!(true), "normalize_before");
}

#[test]
fn what_stands_around_a_text_is_as_the_tokenizer_says_and_stays_so() {
    let folder = tempfile::tempdir().unwrap();
    let special = |id: &str| json!({"SpecialToken": {"id": id, "type_id": 0}});
    let text = json!({"Sequence": {"id": "A", "type_id": 0}});
    let template = |single: &[&Value]| {
        json!({
            "type": "TemplateProcessing", "single": single, "pair": [{"Sequence": {"id": "A", "type_id": 0}}],
            "special_tokens": {"a": {"id": "a", "ids": [3], "tokens": ["a"]}, "b": {"id": "b", "ids": [4, 5], "tokens": ["b", "c"]}},
        })
    };
    let (a, b) = (special("a"), special("b"));
    let around = |before: &[u32], after: &[u32]| PostProcessor { prefix: before.to_vec(), suffix: after.to_vec() };
    let all = [
        (Value::Null, around(&[], &[])),
        (template(&[&a, &text]), around(&[3], &[])),
        (template(&[&text, &b]), around(&[], &[4, 5])),
        (template(&[&b, &a, &text, &a]), around(&[4, 5, 3], &[3])),
        (json!({"type": "BertProcessing", "sep": ["x", 6], "cls": ["y", 7]}), around(&[7], &[6])),
        (
            json!({"type": "Sequence", "processors": [
                {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}, template(&[&a, &text]),
            ]}),
            around(&[3], &[]),
        ),
    ];
    for name in ["llama", "gpt2", "marian"] {
        for (i, (post_processor, around)) in all.iter().enumerate() {
            let at = |part: &str| folder.path().join(format!("{name}-{i}")).join(part);
            copy(name, &at("in"));
            edit(&at("in/tokenizer.json"), |json| json["post_processor"] = post_processor.clone());
            import(&at("in"), &at("run")).unwrap();
            let trained = Trained::load_row_major(&at("run")).unwrap();
            let special = trained.tokenizers.target.special();
            assert_eq!(special.post_processor.as_ref(), Some(around), "{name}: {post_processor}");
            let ids = trained.encode(&"x y".into()).unwrap();
            assert_eq!(ids, around.apply(&trained.tokenizers.target.encode("x y").unwrap()));
            export(&trained, &at("out")).unwrap();
            let json: Value = serde_json::from_slice(&fs::read(at("out/tokenizer.json")).unwrap()).unwrap();
            assert_eq!(json["post_processor"], *post_processor, "{name}");
            import(&at("out"), &at("back")).unwrap();
            assert_eq!(Trained::load_row_major(&at("back")).unwrap().tokenizers.target.special(), special);
        }
    }
    let twice = folder.path().join("twice");
    copy("llama", &twice);
    edit(&twice.join("tokenizer.json"), |json| json["post_processor"] = template(&[&text, &text]));
    let error = import(&twice, &folder.path().join("run")).unwrap_err().to_string();
    assert!(error.contains("post_processor"), "{error}");
}

#[test]
fn a_tokenizer_that_was_trained_here_is_written_with_what_stood_around_its_texts() {
    let folder = tempfile::tempdir().unwrap();
    for (name, side) in [("llama", 0), ("marian", 1)] {
        let at = |part: &str| folder.path().join(name).join(part);
        copy(name, &at("in"));
        edit(&at("in/tokenizer.json"), |json| json["post_processor"] = Value::Null);
        import(&at("in"), &at("run")).unwrap();
        let mut trained = Trained::load_row_major(&at("run")).unwrap();
        let target = Tokenizer::clone(&trained.tokenizers.target);
        let special = SpecialTokens { post_processor: None, ..target.special().clone() };
        trained.tokenizers.target = Arc::new(target.with_special(special.clone()).unwrap());
        trained.tokenizers.source = trained.tokenizers.source.map(|_| trained.tokenizers.target.clone());
        export(&trained, &at("out")).unwrap();
        let id = [special.bos, special.first_eos()][side];
        let json: Value = serde_json::from_slice(&fs::read(at("out/tokenizer.json")).unwrap()).unwrap();
        let single = json["post_processor"]["single"].as_array().unwrap();
        let token = single[side]["SpecialToken"]["id"].as_str().unwrap();
        assert_eq!(json["post_processor"]["special_tokens"][token]["ids"], json!([id]), "{name}");
        assert_eq!(single.len(), 2);
    }
}

#[test]
fn a_chat_template_moves_in_and_out() {
    let folder = tempfile::tempdir().unwrap();
    let at = |part: &str| folder.path().join(part);
    copy("llama", &at("in"));
    let text = "{{ bos_token }}{% for m in messages %}[{{ m.content }}]{{ eos_token }}{% endfor %}";
    fs::write(at("in/chat_template.jinja"), text).unwrap();
    import(&at("in"), &at("run")).unwrap();
    let trained = Trained::load_row_major(&at("run")).unwrap();
    let tokenizer = &trained.tokenizers.target;
    let special = tokenizer.special();
    let [bos, end] = [special.bos, special.first_eos()].map(|id| tokenizer.token(id.unwrap()).unwrap());
    let prompt = trained.chat.as_ref().unwrap().prompt(&[Message::new("user", "hi")]).unwrap();
    assert_eq!(prompt.to_string(), format!("{bos}[hi]{end}"));
    // Only what the template wrote is a control token.
    assert!(!tokenizer.encode(&prompt.to_string()).unwrap().contains(&special.first_eos().unwrap()));
    export(&trained, &at("out")).unwrap();
    assert_eq!(fs::read_to_string(at("out/chat_template.jinja")).unwrap(), text);
}

/// The folder that the variable names, and what is imported from it.
fn checkpoint_in(variable: &str) -> Option<(PathBuf, Trained)> {
    let Some(original) = std::env::var_os(variable).map(PathBuf::from) else {
        println!("skipped: {variable} names no folder");
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    import(&original, &run).unwrap();
    let trained = Trained::load_row_major(&run).unwrap();
    Some((original, trained))
}

fn ids(golden: &Value) -> Vec<u32> {
    golden["ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

fn one_sequence(ids: &[u32]) -> Batch {
    let mut input = Sequences::new();
    input.push(ids);
    Batch { source: None, target: input.clone(), input, ..Batch::default() }
}

/// The real checkpoint of tinyllamas, in the layout of `transformers`, with what llama2.c and `transformers` make of it:
/// in the folder that `DESCANT_TINYLLAMAS` names.
#[test]
fn a_real_checkpoint_gives_its_golden_ids_logits_and_text() {
    let Some((original, trained)) = checkpoint_in("DESCANT_TINYLLAMAS") else { return };
    let json = |name: &str| -> Value { serde_json::from_slice(&fs::read(original.join(name)).unwrap()).unwrap() };
    for example in json("encode_golden.json").as_array().unwrap() {
        let text = example["text"].as_str().unwrap();
        assert_eq!(trained.tokenizers.target.encode(text).unwrap(), ids(example)[1..], "{text:?}");
    }

    let golden = json("logits_golden.json");
    let batch = one_sequence(&ids(&golden));
    let mut tape = Tape::new();
    let graph = tape.infer(&trained.parameters, Parallelism::Serial);
    let logits = trained.model.output().logits(trained.model.hidden(graph, &batch).rows).value().unwrap().to_f64();
    let expected = golden["last_logits"].as_array().unwrap();
    for (found, expected) in logits[logits.len() - expected.len()..].iter().zip(expected) {
        assert!((found - expected.as_f64().unwrap()).abs() <= 1e-4, "{found} and {expected}");
    }

    let golden = fs::read_to_string(original.join("greedy_golden.txt")).unwrap();
    let options = trained
        .options(&GenerationConfig::greedy().with(|config| config.max_new_tokens = Some(256)), Parallelism::Serial)
        .unwrap();
    let mut written = trained.generate_batch(&mut tape, &[String::new()], 0.., &options, |_, _| ()).unwrap();
    assert_eq!(written.remove(0).unwrap()[0].text.trim(), golden.trim());
}

/// A GPT-2 without a head, saved by its base class, whose tokenizer lies in two files: in the folder that
/// `DESCANT_TINY_GPT2` names, with the hidden states that `transformers` makes of it.
#[test]
fn a_model_without_head_and_tokenizer_json_gives_its_golden_states() {
    let Some((original, trained)) = checkpoint_in("DESCANT_TINY_GPT2") else { return };
    let bytes = fs::read(original.join("golden.json")).unwrap();
    let golden: Value = serde_json::from_slice(&bytes).unwrap();
    let batch = one_sequence(&ids(&golden));
    let mut tape = Tape::new();
    let graph = tape.infer(&trained.parameters, Parallelism::Serial);
    let states = trained.model.hidden(graph, &batch).rows.value().unwrap().to_f64();
    let expected = golden["last_hidden_state"].as_array().unwrap();
    let expected: Vec<f64> =
        expected.iter().flat_map(|row| row.as_array().unwrap()).map(|x| x.as_f64().unwrap()).collect();
    assert_eq!(states.len(), expected.len());
    assert!(states.iter().zip(&expected).all(|(a, b)| (a - b).abs() <= 1e-4), "{states:?} and {expected:?}");
    let tokenizer = &trained.tokenizers.target;
    assert_eq!(tokenizer.encode("low low er").unwrap(), [0, 1, 2, 14, 10, 15]);
    assert!(!tokenizer.encode("low<|endoftext|>").unwrap().contains(&20));
    assert_eq!(tokenizer.decode(&[0, 1, 2, 14]).unwrap(), "low low");
}
