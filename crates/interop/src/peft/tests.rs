//! Adapters that PEFT wrote (`tools/peft_adapters.py`), and those of runs.

use super::*;
use crate::folder::is_adapter;
use crate::tests::{edit, logits, numbers, reference};
use safetensors::SafeTensors;
use std::fs;

const NAMES: [&str; 5] = ["llama", "qwen3", "gpt2", "phi3", "bart"];

fn copied(name: &str, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in [ADAPTER_CONFIG, WEIGHTS] {
        fs::copy(reference(&format!("peft-{name}")).join(file), to.join(file)).unwrap();
    }
}

#[test]
fn logits_with_an_adapter_are_those_of_peft() {
    for name in NAMES {
        let folder = tempfile::tempdir().unwrap();
        let adapter = reference(&format!("peft-{name}"));
        import_adapted(&adapter, &reference(name), &folder.path().join("run")).unwrap();
        let bytes = fs::read(adapter.join("reference.safetensors")).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let trained = Trained::load_row_major(&folder.path().join("run")).unwrap();
        let (found, expected) = (logits(&trained, &file), numbers(&file, "logits"));
        assert_eq!(found.len(), expected.len());
        let apart = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(apart < 1e-4, "{name}: {apart:.1e}");
        crate::import(&reference(name), &folder.path().join("base")).unwrap();
        let base = logits(&Trained::load_row_major(&folder.path().join("base")).unwrap(), &file);
        let moved = base.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(moved > 0.1, "{name}: an adapter that adds nothing shows nothing");
    }
}

#[test]
fn what_is_more_than_lora_is_refused_by_key() {
    let folder = tempfile::tempdir().unwrap();
    let at = |part: &str| folder.path().join(part);
    let refused = |change: &dyn Fn(&mut Value), says: &str| {
        copied("llama", &at("in"));
        edit(&at("in").join(ADAPTER_CONFIG), change);
        let error = import_adapted(&at("in"), &reference("llama"), &at("run")).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
        assert!(!at("run").exists());
    };
    refused(&|json| json["use_dora"] = json!(true), "use_dora");
    refused(&|json| json["bias"] = json!("all"), "bias");
    refused(&|json| json["modules_to_save"] = json!(["embed_tokens"]), "modules_to_save");
    refused(&|json| json["peft_type"] = json!("IA3"), "peft_type");
    refused(&|json| json["init_lora_weights"] = json!("pissa"), "init_lora_weights");
    refused(&|json| json["a_new_kind"] = json!({"of": 1}), "a_new_kind");
    refused(&|json| json["r"] = json!(2), "r = 2");
    refused(&|json| json["lora_alpha"] = json!("much"), "lora_alpha");
    refused(&|json| json["alpha_pattern"] = json!({"^.*q_proj$": 2}), "alpha_pattern");
    refused(&|json| json["bias"] = json!(true), "bias");
    refused(&|json| json["use_rslora"] = json!("true"), "use_rslora");
    refused(&|json| json["rank_pattern"] = json!({"v_proj": 7}), "r = 7");
    refused(&|json| json["rank_pattern"] = json!([2]), "rank_pattern");
    refused(&|json| json["target_modules"] = json!(["q_proj"]), "target_modules");
    refused(&|json| json["target_modules"] = json!(5), "target_modules");
    refused(&|json| json["target_modules"][0] = json!("k_proj"), "target_modules");
    refused(&|json| json["layers_to_transform"] = json!([1]), "layers_to_transform");
    refused(&|json| json["exclude_modules"] = json!(["v_proj"]), "exclude_modules");
    // Of another model.
    let error = import_adapted(&reference("peft-gpt2"), &reference("llama"), &at("run")).unwrap_err().to_string();
    assert!(error.contains("transformer.h.0.attn.c_attn") && error.contains("no such layer"), "{error}");
    let error = import_adapted(&reference("peft-llama"), &reference("mistral"), &at("run")).unwrap_err().to_string();
    assert!(error.contains("of another one"), "{error}");
    let error =
        import_adapted(&reference("peft-llama"), &reference("pytorch-lstm"), &at("run")).unwrap_err().to_string();
    assert!(error.contains("PEFT"), "{error}");
    // Without a model.
    copied("llama", &at("named"));
    let named = |base: Value| {
        edit(&at("named").join(ADAPTER_CONFIG), |json| json["base_model_name_or_path"] = base);
        base_of(&at("named")).map_err(|error| error.to_string())
    };
    assert_eq!(named(json!(reference("llama"))), Ok(reference("llama")));
    for nowhere in [json!("nobody/nothing"), Value::Null] {
        let error = named(nowhere).unwrap_err();
        assert!(error.contains("--base"), "{error}");
    }
    let error = crate::import(&reference("peft-llama"), &at("run")).unwrap_err().to_string();
    assert!(error.contains("--base"), "{error}");
}

#[test]
fn an_adapter_without_factors_or_with_some_twice_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |part: &str| folder.path().join(part);
    let refused = |change: &dyn Fn(Vec<Named>) -> Vec<Named>, says: &str| {
        copied("llama", &at("in"));
        let bytes = fs::read(at("in").join(WEIGHTS)).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let all = file.names().into_iter().map(|name| {
            let values = numbers(&file, name).into_iter().map(|value| value as f32).collect();
            (name.to_owned(), file.tensor(name).unwrap().shape().to_vec(), values)
        });
        write_tensors(&at("in").join(WEIGHTS), &change(all.collect())).unwrap();
        let error = import_adapted(&at("in"), &reference("llama"), &at("run")).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    };
    refused(&|_| Vec::new(), "no factors");
    let again = |from: &'static str, to: &'static str| {
        move |mut all: Vec<Named>| {
            let more: Vec<Named> = all
                .iter()
                .filter(|(name, ..)| name.contains("layers.0.self_attn.q_proj"))
                .map(|(name, shape, values)| (name.replace(from, to), shape.clone(), values.clone()))
                .collect();
            all.extend(more);
            all
        }
    };
    refused(&again(".weight", ".default.weight"), "twice");
    refused(&again("model.model.layers", "model.layers"), "twice");
    refused(&|all| all.into_iter().filter(|(name, ..)| !name.contains("q_proj.lora_B")).collect(), "lacks");
    let other = |mut all: Vec<Named>| {
        all.iter_mut().filter(|(name, ..)| name.contains("base_layer")).for_each(|(.., values)| values[0] += 0.5);
        all
    };
    refused(&other, "base_layer");
}

#[test]
fn what_lies_beside_an_adapter_is_told_and_a_whole_model_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let at = |part: &str| folder.path().join(part);
    copied("llama", &at("in"));
    fs::write(at("in/chat_template.jinja"), "{{ messages }}").unwrap();
    fs::copy(reference("llama").join("tokenizer.json"), at("in/tokenizer.json")).unwrap();
    let notes = import_adapted(&at("in"), &reference("llama"), &at("run")).unwrap();
    assert!(
        notes.len() == 1 && notes[0].contains("chat_template.jinja") && !notes[0].contains("tokenizer.json"),
        "{notes:?}"
    );
    assert!(is_adapter(&at("in")));
    // With a config.json alone it still is one; with weights it is a model.
    fs::copy(reference("llama").join("config.json"), at("in/config.json")).unwrap();
    assert!(is_adapter(&at("in")));
    fs::copy(reference("llama").join("model.safetensors"), at("in/model.safetensors")).unwrap();
    assert!(!is_adapter(&at("in")));
    crate::import(&at("in"), &at("whole")).unwrap();
}
