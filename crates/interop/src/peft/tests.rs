//! Adapters that PEFT wrote (`tools/peft_adapters.py`), and those of runs.

use super::*;
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
        let trained = Trained::load(&folder.path().join("run")).unwrap();
        let (found, expected) = (logits(&trained, &file), numbers(&file, "logits"));
        assert_eq!(found.len(), expected.len());
        let apart = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(apart < 1e-4, "{name}: {apart:.1e}");
        crate::import(&reference(name), &folder.path().join("base")).unwrap();
        let base = logits(&Trained::load(&folder.path().join("base")).unwrap(), &file);
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
    // Of another model.
    let error = import_adapted(&reference("peft-gpt2"), &reference("llama"), &at("run")).unwrap_err().to_string();
    assert!(error.contains("transformer.h.0.attn.c_attn") && error.contains("no such layer"), "{error}");
    let error = import_adapted(&reference("peft-llama"), &reference("mistral"), &at("run")).unwrap_err().to_string();
    assert!(error.contains("of another one"), "{error}");
    let error =
        import_adapted(&reference("peft-llama"), &reference("pytorch-lstm"), &at("run")).unwrap_err().to_string();
    assert!(error.contains("PEFT"), "{error}");
    // Without a model.
    let error = base_of(&reference("peft-llama")).unwrap_err().to_string();
    assert!(error.contains("--base"), "{error}");
    let error = crate::import(&reference("peft-llama"), &at("run")).unwrap_err().to_string();
    assert!(error.contains("--base"), "{error}");
}
