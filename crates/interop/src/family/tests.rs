//! What the families' files say, beside the logits and gradients of [`crate::tests`].

use super::Family;
use crate::tests::{FAMILIES, beam, copy, edit, numbers, reference, sequences};
use crate::{export, import};
use descant_autograd::Tape;
use descant_generate::{DecodingBatch, DecodingOptions, GenerationConfig, generate};
use descant_inference::{Recipe, Trained};
use descant_models::Tie;
use safetensors::SafeTensors;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

fn imported(name: &str, folder: &Path) -> Trained {
    let run = folder.join("run");
    import(&reference(name), &run).unwrap_or_else(|error| panic!("{name}: {error}"));
    Trained::load_row_major(&run).unwrap()
}

#[test]
fn texts_are_those_of_transformers() {
    for name in FAMILIES {
        let folder = tempfile::tempdir().unwrap();
        let trained = imported(name, folder.path());
        let bytes = fs::read(reference(name).join("reference.safetensors")).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let prompts = sequences(&file, "prompt");
        let rows: Vec<u64> = (0..prompts.len() as u64).collect();
        let [sources, prompts] =
            [false, true].map(|is_prompt| (trained.is_language_model() == is_prompt).then_some(&prompts));
        let input = DecodingBatch { rows: &rows, sources, prompts, ..DecodingBatch::default() };
        let modes = [("greedy", GenerationConfig::greedy()), ("beams", beam(4, 4))];
        for (key, config) in modes {
            let width = file.tensor(key).unwrap().shape()[1];
            let options =
                DecodingOptions::new(config.with(|config| config.max_new_tokens = Some(width)), vec![1], vec![2]);
            let mut tape = Tape::new();
            let written = generate(&*trained.model, &trained.parameters, &mut tape, input, &options).unwrap();
            for (row, expected) in numbers(&file, key).chunks(width).enumerate() {
                let expected: Vec<u32> =
                    expected.iter().filter(|&&id| id >= 0.0 && id != 2.0).map(|&id| id as u32).collect();
                // By score alone, also where the length ran out.
                let best = written[row].as_ref().unwrap().iter().max_by(|a, b| a.score.total_cmp(&b.score)).unwrap();
                assert_eq!(best.tokens, expected, "{name}, {key}, text {row}");
            }
        }
    }
}

#[test]
fn every_key_of_a_config_is_read_or_known_to_mean_nothing() {
    for name in FAMILIES {
        let mut json: Value = serde_json::from_slice(&fs::read(reference(name).join("config.json")).unwrap()).unwrap();
        let unread = Family::read(&json).unwrap().unread;
        assert!(unread.is_empty(), "{name}: {unread:?}");
        json["rope_parameters_of_another"] = json!({"factor": 2});
        json["a_new_norm"] = json!(true);
        json["unused"] = Value::Null;
        assert_eq!(Family::read(&json).unwrap().unread, ["a_new_norm", "rope_parameters_of_another"], "{name}");
    }
}

#[test]
fn a_written_config_has_no_key_that_is_not_read() {
    for name in FAMILIES {
        let json: Value = serde_json::from_slice(&fs::read(reference(name).join("config.json")).unwrap()).unwrap();
        let described = Family::read(&json).unwrap();
        let written = described.family.write(&described.model, &described.special, 24);
        let again = Family::read(&written).unwrap();
        assert_eq!(again.model, described.model, "{name}");
        assert!(again.unread.is_empty(), "{name}: {:?}", again.unread);
        assert_eq!(Family::of(&described.model), Ok(described.family), "{name}");
        // Of runs that do not know theirs, what is computed counts: mT5 is built as version 1.1 of T5 is, Phi-3 as Mistral.
        let family = match described.family {
            Family::Mt5 => Family::T5,
            Family::Phi3 => Family::Mistral,
            other => other,
        };
        let unknown = descant_models::ModelConfig { origin: None, ..described.model };
        assert_eq!(Family::of(&unknown), Ok(family), "{name}");
    }
}

#[test]
fn what_an_old_rotary_table_says_goes_before_a_new_one() {
    let mut json: Value = serde_json::from_slice(&fs::read(reference("llama").join("config.json")).unwrap()).unwrap();
    let of = |json: &Value| {
        let transformer = Family::read(json).unwrap().model.transformer();
        (transformer.rotary_base, transformer.rotary_scaling.is_some())
    };
    json["rope_parameters"] = json!({"rope_type": "default", "rope_theta": 5e5});
    assert_eq!(of(&json), (5e5, false));
    json["rope_theta"] = json!(1e6);
    assert_eq!(of(&json), (5e5, false), "the base within goes before one beside");
    json["rope_scaling"] = json!({});
    assert_eq!(of(&json), (5e5, false), "an empty table is none");
    json["rope_scaling"] = json!({"type": "linear", "factor": 2.0});
    assert_eq!(of(&json), (1e6, true));
    json["rope_scaling"]["rope_theta"] = json!(7e4);
    assert_eq!(of(&json), (7e4, true));
    json["rope_scaling"] = json!({"rope_type": "yarn", "factor": 4.0});
    let error = Family::read(&json).err().unwrap();
    assert!(error.contains("yarn"), "{error}");
}

#[test]
fn as_many_layers_as_no_model_has_are_refused_before_they_are_listed() {
    for name in ["qwen2", "gemma3", "llama"] {
        let path = reference(name).join("config.json");
        let mut json: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        json.as_object_mut().unwrap().remove("layer_types");
        json["num_hidden_layers"] = json!(2_000_000_000);
        let error = Family::read(&json).err().unwrap();
        assert!(error.contains("num_hidden_layers"), "{name}: {error}");
    }
}

/// A copy of a reference, with a tensor put in place of others.
fn with_tensor(name: &str, to: &Path, without: &[&str], tensor: Option<(&str, Vec<usize>, Vec<f32>)>) {
    copy(name, to);
    let bytes = fs::read(to.join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let own = file.names().into_iter().filter(|name| !without.contains(name)).map(|name| {
        let values = numbers(&file, name).into_iter().map(|value| value as f32).collect();
        (name.to_owned(), file.tensor(name).unwrap().shape().to_vec(), values)
    });
    let added = tensor.map(|(name, shape, values)| (name.to_owned(), shape, values));
    let tensors: Vec<_> = own.chain(added).collect();
    crate::write_folder::write_tensors(&to.join("model.safetensors"), &tensors).unwrap();
}

fn table(name: &str, tensor: &str) -> (Vec<usize>, Vec<f32>) {
    let bytes = fs::read(reference(name).join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let values = numbers(&file, tensor).into_iter().map(|value| value as f32).collect();
    (file.tensor(tensor).unwrap().shape().to_vec(), values)
}

#[test]
fn an_output_of_its_own_is_kept_whatever_the_config_says() {
    let cases = [
        ("gpt2", "transformer.wte.weight", Tie::None),
        ("gemma", "model.embed_tokens.weight", Tie::None),
        ("marian", "model.shared.weight", Tie::Embeddings),
        ("bart", "model.shared.weight", Tie::Embeddings),
        ("t5", "shared.weight", Tie::Embeddings),
    ];
    for (name, embedding, tie) in cases {
        let folder = tempfile::tempdir().unwrap();
        let at = |part: &str| folder.path().join(part);
        let (shape, values) = table(name, embedding);
        let head: Vec<f32> = values.iter().map(|x| 2.0 * x).collect();
        with_tensor(name, &at("in"), &[], Some(("lm_head.weight", shape.clone(), head.clone())));
        let notes = import(&at("in"), &at("run")).unwrap();
        assert!(notes.iter().any(|note| note.contains("lm_head.weight")), "{name}: {notes:?}");
        let trained = Trained::load_row_major(&at("run")).unwrap();
        assert_eq!(trained.recipe.model.tie, tie, "{name}");
        let projection = trained.parameters.find("decoder.projection.weight").unwrap();
        assert_eq!(trained.parameters.values::<f32>(projection), head, "{name}");
        export(&trained, &at("out")).unwrap();
        import(&at("out"), &at("again")).unwrap();
        assert_eq!(Trained::load_row_major(&at("again")).unwrap().recipe.model, trained.recipe.model, "{name}");
        // The same table under a second name is none of its own.
        with_tensor(name, &at("same"), &[], Some(("lm_head.weight", shape, values)));
        assert!(import(&at("same"), &at("tied")).unwrap().is_empty(), "{name}");
        assert!(Trained::load_row_major(&at("tied")).unwrap().recipe.model.tie.joins_output(), "{name}");
    }
}

#[test]
fn a_missing_output_is_refused_or_tied_as_transformers_does() {
    let folder = tempfile::tempdir().unwrap();
    let at = |part: &str| folder.path().join(part);
    with_tensor("llama", &at("llama"), &["lm_head.weight"], None);
    let error = import(&at("llama"), &at("run")).unwrap_err().to_string();
    assert!(error.contains("lm_head.weight"), "{error}");
    // As version 1.1 was saved by transformers 4, and without a head.
    with_tensor("t5-flan", &at("t5"), &["lm_head.weight"], None);
    edit(&at("t5/config.json"), |json| {
        json["tie_word_embeddings"] = json!(false);
        json.as_object_mut().unwrap().remove("scale_decoder_outputs");
    });
    let notes = import(&at("t5"), &at("run")).unwrap();
    assert!(notes.iter().any(|note| note.contains("lm_head.weight")), "{notes:?}");
    let model = Trained::load_row_major(&at("run")).unwrap().recipe.model;
    assert_eq!((model.tie, model.transformer().scale_output), (Tie::All, false));
}

#[test]
fn t5_is_scaled_where_either_version_of_its_config_says_so() {
    let json: Value = serde_json::from_slice(&fs::read(reference("t5").join("config.json")).unwrap()).unwrap();
    let scaled = |tied: Option<bool>, scale: Option<bool>| {
        let mut json = json.clone();
        let keys = json.as_object_mut().unwrap();
        for (key, value) in [("tie_word_embeddings", tied), ("scale_decoder_outputs", scale)] {
            keys.remove(key);
            value.map(|value| keys.insert(key.to_owned(), json!(value)));
        }
        Family::read(&json).unwrap().model.transformer().scale_output
    };
    assert!(scaled(None, None) && scaled(Some(true), None) && !scaled(Some(false), None));
    assert!(!scaled(Some(true), Some(false)) && scaled(Some(false), Some(true)));
}

#[test]
fn a_spare_tensor_is_held_against_what_it_repeats() {
    let folder = tempfile::tempdir().unwrap();
    let import_with = |case: usize, name: &str, without: &[&str], tensor: (&str, Vec<usize>, Vec<f32>)| {
        let place = folder.path().join(format!("{case}"));
        with_tensor(name, &place, without, Some(tensor));
        import(&place, &folder.path().join(format!("run{case}"))).map_err(|error| error.to_string())
    };
    let refused = |result: Result<Vec<String>, String>, says: &str| {
        let error = result.unwrap_err();
        assert!(error.contains(says), "{error}");
    };
    let (shape, values) = table("t5", "shared.weight");
    let other: Vec<f32> = values.iter().map(|x| x + 0.5).collect();
    let encoder = "encoder.embed_tokens.weight";
    refused(import_with(0, "t5", &[], (encoder, shape.clone(), other)), encoder);
    // A table may be saved under another of its names.
    import_with(1, "t5", &["shared.weight"], (encoder, shape, values)).unwrap();
    let sinusoids = |scale: f32| {
        let positions: Vec<usize> = (0..32).collect();
        descant_nn::sinusoids(&positions, 16).into_iter().map(|x| scale * x as f32).collect::<Vec<f32>>()
    };
    let positions = "model.encoder.embed_positions.weight";
    import_with(2, "marian", &[], (positions, vec![32, 16], sinusoids(1.0))).unwrap();
    refused(import_with(3, "marian", &[], (positions, vec![32, 16], sinusoids(1.1))), positions);
    let frequencies = "model.layers.0.self_attn.rotary_emb.inv_freq";
    import_with(4, "llama", &[], (frequencies, vec![2], vec![1.0, 0.01])).unwrap();
    refused(import_with(5, "llama", &[], (frequencies, vec![2], vec![1.0, 0.02])), frequencies);
    import_with(6, "gpt2", &[], ("h.0.attn.bias", vec![1, 1, 32, 32], vec![0.0; 1024])).unwrap();
    refused(import_with(7, "gpt2", &[], ("h.0.attn.bias", vec![48], vec![0.0; 48])), "h.0.attn.bias");
    let old = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight";
    import_with(8, "t5", &[], (old, vec![8, 3], vec![1.0; 24])).unwrap();
    // Of another family, nothing of this is spare.
    refused(import_with(9, "llama", &[], (positions, vec![32, 16], sinusoids(1.0))), positions);
    refused(import_with(10, "gpt2", &[], (frequencies, vec![2], vec![1.0, 0.01])), frequencies);
}

#[test]
fn a_recipe_that_names_a_family_makes_a_model_of_it() {
    let key = descant_inference::keys::find("model.family").unwrap();
    let descant_inference::keys::ValueType::Choice(names) = key.value else { panic!("{key:?}") };
    for name in names {
        let bench = "bench = { vocabulary = 24, batch = 2, length = 4 }";
        let text = format!("{bench}\n[model]\nfamily = {name:?}\nhidden = 16\nlayers = 2\n");
        let recipe = Recipe::parse(&text, &["model.transformer.heads=2".to_owned()]).unwrap();
        let family = Family::of(&recipe.model).unwrap();
        assert_eq!(family.model_type(), *name);
        assert_eq!(recipe.model.transformer().heads, 2, "{name}");
        // What the recipe says itself goes before, and keeps it from being one of the family.
        let own = Recipe::parse(&text, &["model.transformer.norm_embedding=true".to_owned()]);
        assert_eq!(Family::of(&own.unwrap().model) == Ok(family), *name == "bart", "{name}");
    }
    let text =
        "bench = { vocabulary = 24, batch = 2, length = 4 }\n[model]\nfamily = 'gpt2'\nkind = 'encoder-decoder'\n";
    let error = Recipe::parse(text, &[]).unwrap_err();
    assert!(error.contains("model.family") && error.contains("language-model"), "{error}");
}

#[test]
fn what_keeps_a_model_from_the_nearest_family_is_told_by_key() {
    let json: Value = serde_json::from_slice(&fs::read(reference("qwen3").join("config.json")).unwrap()).unwrap();
    let mut model = Family::read(&json).unwrap().model;
    let transformer = model.transformer.as_mut().unwrap();
    (transformer.qk_norm, transformer.attention_dropout) = (Some(descant_nn::QkNorm::All), 0.3);
    let error = Family::of(&model).unwrap_err();
    let parts = ["nearest is", "model.transformer.qk_norm"];
    assert!(parts.iter().all(|part| error.contains(part)) && !error.contains("dropout"), "{error}");
}
