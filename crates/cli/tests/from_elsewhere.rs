//! Folders of models from elsewhere, each with one thing wrong: an error that names the file and the value, and no run.

mod common;

use common::Folder;
use serde_json::{Value, json};
use std::fs;

fn json_of(folder: &Folder, name: &str) -> Value {
    serde_json::from_slice(&fs::read(folder.path("model").join(name)).unwrap()).unwrap()
}

/// What an import says of the folder with `bytes` in one of its files, which is then as before.
#[track_caller]
fn with(folder: &Folder, name: &str, bytes: impl AsRef<[u8]>, check: impl FnOnce(&Folder)) {
    let path = folder.path("model").join(name);
    let before = fs::read(&path).ok();
    fs::write(&path, bytes).unwrap();
    check(folder);
    match before {
        Some(before) => fs::write(&path, before).unwrap(),
        None => fs::remove_file(&path).unwrap(),
    }
}

#[track_caller]
fn refused(folder: &Folder, name: &str, bytes: impl AsRef<[u8]>, parts: &[&str]) {
    with(folder, name, bytes, |folder| {
        let parts: Vec<&str> = parts.iter().copied().chain([name]).collect();
        folder.fail(&["import", "model", "--run", "imported"], &parts);
        assert!(!folder.path("imported").exists(), "what cannot be imported leaves no run");
    });
}

#[test]
fn tokenizers_that_do_not_fit_are_refused() {
    let folder = Folder::with_exported_llama();
    let tokenizer = json_of(&folder, "tokenizer.json");
    let refused = |place: &str, value: Value, parts: &[&str]| {
        let mut changed = tokenizer.clone();
        *changed.pointer_mut(place).unwrap() = value;
        refused(&folder, "tokenizer.json", changed.to_string(), parts);
    };
    refused(
        "/decoder",
        json!({"type": "Strip", "content": "l", "start": 3, "stop": 3}),
        &["decoder Strip", "stop = 3"],
    );
    refused("/normalizer", json!({"type": "Prepend", "prepend": "é".repeat(1 << 20)}), &["normalizer Prepend"]);
    let replace = json!({"type": "Replace", "pattern": {"String": "a"}, "content": "a".repeat(1 << 20)});
    refused("/normalizer", replace, &["normalizer Replace"]);
    let charsmap = json!({"type": "Precompiled", "precompiled_charsmap": "/////wAAAAAAAAAA"});
    refused("/normalizer", charsmap, &["precompiled_charsmap"]);
    refused("/pre_tokenizer", json!({"type": "FixedLength", "length": 0}), &["length = 0"]);
    refused("/model/dropout", json!(0.5), &["dropout = 0.5"]);
    for id in [300, 100_000_000, u64::from(u32::MAX)] {
        let mut vocabulary = tokenizer["model"]["vocab"].clone();
        vocabulary["QQ"] = json!(id);
        refused("/model/vocab", vocabulary, &["\"QQ\""]);
    }
    let mut added = tokenizer["added_tokens"].clone();
    let mut token = added[0].clone();
    (token["content"], token["id"]) = (json!("<new>"), json!(299_999));
    added.as_array_mut().unwrap().push(token);
    refused("/added_tokens", added, &["\"<new>\"", "299999"]);
    let pieces: Vec<Value> =
        (0..300).map(|i| json!([if i == 7 { "p".repeat(300_000) } else { i.to_string() }, 0.0])).collect();
    refused("/model", json!({"type": "Unigram", "unk_id": 0, "vocab": pieces}), &["300000 bytes"]);
    // Of a run that was changed by hand, too.
    folder.succeed(&["import", "model", "--run", "imported"]);
    let mut changed = tokenizer.clone();
    changed["decoder"] = json!({"type": "Strip", "content": "l", "start": 0, "stop": 1});
    folder.write("imported/tokenizer.json", changed.to_string());
    folder.fail(&["generate", "imported", "hello"], &["tokenizer.json"]);
}

#[test]
fn settings_of_another_type_or_size_are_refused() {
    let folder = Folder::with_exported_llama();
    let config = json_of(&folder, "config.json");
    let set = |key: &str, value: Value, parts: &[&str]| {
        let mut changed = config.clone();
        changed[key] = value;
        refused(&folder, "config.json", changed.to_string(), parts);
    };
    set("rope_scaling", json!("linear"), &["rope_scaling = \"linear\"", "table"]);
    set("rope_scaling", json!({"rope_type": "linear", "factor": "8"}), &["factor", "a number"]);
    set("rope_scaling", json!({"rope_type": 3}), &["rope_type = 3"]);
    set("rope_scaling", json!({"rope_type": "default", "low_freq_factor": []}), &["low_freq_factor"]);
    set("rope_scaling", json!({"rope_type": "linear", "factor": -2}), &["factor"]);
    set("rope_parameters", json!(7), &["rope_parameters = 7"]);
    set("hidden_size", json!(u64::MAX), &["hidden_size = 18446744073709551615"]);
    set("num_hidden_layers", json!(-1), &["num_hidden_layers = -1"]);
    set("max_position_embeddings", json!(1_u64 << 40), &["max_position_embeddings"]);
    set("num_attention_heads", json!(0), &["heads"]);
    set("vocab_size", json!(1 << 20), &["numbers", "of another model"]);
    set("intermediate_size", json!(1 << 20), &["numbers", "of another model"]);
    set("rms_norm_eps", json!("tiny"), &["rms_norm_eps"]);
    set("eos_token_id", json!([2, "x"]), &["eos_token_id"]);
    set("model_type", json!(null), &["model_type"]);
    set("tie_word_embeddings", json!("yes"), &["tie_word_embeddings"]);
    for text in ["", "[]", "3", "{\"a\": 1e999}", "{\"model_type\": \"llama\"", &"[".repeat(100_000)] {
        refused(&folder, "config.json", text, &[]);
    }
    refused(&folder, "generation_config.json", "{\"eos_token_id\": \"2\"}", &["eos_token_id = \"2\""]);
    refused(&folder, "generation_config.json", "[2]", &["JSON object"]);
    refused(&folder, "tokenizer_config.json", "{\"eos_token\": 5}", &["eos_token"]);
    refused(&folder, "tokenizer_config.json", "{\"chat_template\": 5}", &["chat_template"]);
    refused(&folder, "chat_template.jinja", b"\xff", &["UTF-8"]);
}

#[test]
fn weights_that_do_not_fit_are_refused() {
    let folder = Folder::with_exported_llama();
    let whole = fs::read(folder.path("model/model.safetensors")).unwrap();
    let name = "model.safetensors";
    let length = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&whole[8..8 + length]).unwrap();
    let with_header =
        |header: &str| [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &whole[8 + length..]].concat();
    for cut in [0, 7, 8, 100, whole.len() / 2, whole.len() - 1] {
        refused(&folder, name, &whole[..cut], &[]);
    }
    for length in [0, 1, u64::MAX, 1 << 40, whole.len() as u64] {
        refused(&folder, name, [&length.to_le_bytes()[..], &whole[8..]].concat(), &[]);
    }
    let tensor = "model.norm.weight";
    let changes = [
        ("dtype", json!("I64")),
        ("dtype", json!("F128")),
        ("shape", json!([u64::MAX, 2])),
        ("shape", json!([-1])),
        ("shape", json!([1, 1, 1])),
        ("data_offsets", json!([0, u64::MAX])),
        ("data_offsets", json!([8, 4])),
        ("data_offsets", json!([0, 256])),
        ("data_offsets", json!("all")),
    ];
    for (key, value) in changes {
        let mut changed = header.clone();
        changed[tensor][key] = value;
        refused(&folder, name, with_header(&changed.to_string()), &[]);
    }
    refused(&folder, name, with_header("{}"), &[]);
    refused(&folder, name, with_header(&"[".repeat(10_000)), &[]);
    let index = "model.safetensors.index.json";
    refused(&folder, index, "{}", &["weight_map"]);
    refused(&folder, index, "{\"weight_map\": {}}", &["empty"]);
    for file in [json!("../run/last/model.safetensors"), json!("/dev/zero"), json!(".."), json!(7), json!("")] {
        refused(&folder, index, json!({"weight_map": {"a": file}}).to_string(), &["expected a file beside it"]);
    }
    with(&folder, index, "{\"weight_map\": {\"a\": \"none.safetensors\"}}", |folder| {
        folder.fail(&["import", "model", "--run", "imported"], &["none.safetensors", "No such file"]);
    });
    // What does not end is not read.
    for name in ["model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja"] {
        let path = folder.path("model").join(name);
        let before = fs::read(&path).ok();
        let _ = fs::remove_file(&path);
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        folder.fail(&["import", "model", "--run", "imported"], &[name, "no regular file"]);
        fs::remove_file(&path).unwrap();
        if let Some(bytes) = before {
            fs::write(&path, bytes).unwrap();
        }
    }
    folder.succeed(&["import", "model", "--run", "imported"]);
}

#[test]
fn what_is_no_model_folder_is_told() {
    let folder = Folder::with_exported_llama();
    fs::create_dir(folder.path("mt")).unwrap();
    folder.fail(&["import", "mt"], &["mt", "no Hugging Face folder", "config.json"]);
    folder.write("mt/model.gguf", "");
    folder.fail(&["import", "mt"], &["mt", "model.gguf", "name that file"]);
    folder.write("mt/adapter_config.json", "{}");
    folder.fail(&["import", "mt"], &["mt", "PEFT", "--base"]);
    folder.fail(&["show", "mt"], &["mt", "PEFT"]);
    folder.fail(&["import", "none"], &["none", "no such folder", "hf:OWNER/NAME"]);
    folder.fail(&["import", "model/config.json"], &["is a file"]);
    folder.fail(&["import", "run"], &["is a run of descant already", "descant generate"]);
}

#[test]
fn exports_say_what_is_wrong_with_a_name_or_a_model() {
    let folder = Folder::with_exported_llama();
    for name in ["model.onnx", "model.pt", "pytorch_model.bin", "a.SafeTensors"] {
        folder.fail(&["export", "run", name], &[name, "written as a folder", ".gguf"]);
        assert!(!folder.path(name).exists());
    }
    let set = ["--set", "train.steps=1", "--quiet"];
    folder.succeed(
        &[&["train", "bf16.toml", "--run", "plain", "--set", "model.transformer={heads=2}"][..], &set].concat(),
    );
    // The nearest family, and what lacks.
    let parts = ["nearest is GPT-2", "model.transformer.position = \"learned\"", "model.output_bias = false"];
    let error = folder.fail(&["export", "plain", "hf"], &parts);
    assert!(!error.contains("Marian") && !error.contains("norm_first"), "{error}");
    let relu = "model.transformer={heads=2,position='learned',activation='relu'}";
    let gpt2 = ["train", "bf16.toml", "--run", "relu", "--set", relu, "--set", "model.output_bias=false"];
    folder.succeed(&[&gpt2[..], &set].concat());
    folder.succeed(&["export", "relu", "hf"]);
    folder.fail(&["export", "relu", "x.gguf"], &["model.transformer.activation = \"relu\"", "\"gelu-tanh\""]);
}
