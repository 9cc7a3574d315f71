//! Models as others leave them (`tools/foreign_models.py`): imported, they write what their own programs write.

use descant_autograd::Tape;
use descant_generate::GenerationConfig;
use descant_inference::Trained;
use descant_interop::{Foreign, export, import};
use descant_kernels::Parallelism;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

fn reference(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(name)
}

fn expected(name: &str) -> Value {
    serde_json::from_slice(&fs::read(reference(name).join("expected.json")).unwrap()).unwrap()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

fn ids(value: &Value) -> Vec<Vec<u32>> {
    serde_json::from_value(value.clone()).unwrap()
}

fn imported(folder: &Path) -> Trained {
    let run = tempfile::tempdir().unwrap();
    import(folder, &run.path().join("run")).unwrap();
    Trained::load(&run.path().join("run")).unwrap()
}

fn write(trained: &Trained, sources: &[String], config: GenerationConfig, most: usize) -> Vec<String> {
    let mut options =
        trained.options(&config.with(|config| config.max_new_tokens = Some(most)), Parallelism::Serial).unwrap();
    // As `bad_words_ids` were there.
    let special = trained.tokenizers.target.special();
    options.forbidden.extend(special.unknown.into_iter().chain(special.bos));
    let written = trained.generate_batch(&mut Tape::new(), sources, 0.., &options, |_, _| ()).unwrap();
    written.into_iter().map(|texts| texts.unwrap()[0].text.clone()).collect()
}

/// Beam search without a length penalty.
fn beam(width: usize, n_best: usize) -> GenerationConfig {
    GenerationConfig::beam(width).with(|config| {
        config.length_penalty = Some(0.0);
        config.num_return_sequences = Some(n_best);
    })
}

#[test]
fn the_context_length_of_a_configuration_stays() {
    for name in ["llama", "llama3", "gemma", "mistral", "phi3", "qwen3", "gpt2"] {
        let config: Value = serde_json::from_slice(&fs::read(reference(name).join("config.json")).unwrap()).unwrap();
        let length = config.get("max_position_embeddings").or(config.get("n_positions")).and_then(Value::as_u64);
        let trained = imported(&reference(name));
        assert_eq!(trained.recipe.model.transformer().max_length as u64, length.unwrap(), "{name}");
        let all_local = trained.recipe.model.transformer().is_all_local();
        assert!(all_local || trained.context().map(|context| context as u64) == length, "{name}");
    }
}

#[test]
fn recurrent_models_of_pytorch_write_what_pytorch_writes() {
    for name in ["pytorch-lstm", "pytorch-gru"] {
        let trained = imported(&reference(name));
        let expected = expected(name);
        let written = write(&trained, &texts(&expected["sources"]), GenerationConfig::greedy(), 10);
        assert_eq!(written, texts(&expected["texts"]), "{name}");
    }
}

#[test]
fn the_page_shows_the_configuration_that_is_imported() {
    let page = include_str!("../../../WEIGHTS.md");
    let json = page.split("```json").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let shown: Value = serde_json::from_str(json).unwrap();
    let config = fs::read(reference("pytorch-lstm").join("config.json")).unwrap();
    assert_eq!(shown, serde_json::from_slice::<Value>(&config).unwrap());
}

#[test]
fn opus_mt_folders_have_their_ids_and_translate_the_same() {
    for name in ["opus-mt", "opus-mt-apart"] {
        let trained = imported(&reference(name));
        let expected = expected(name);
        let sides = [
            ("texts", "ids", trained.tokenizers.source.as_ref().unwrap()),
            ("targets", "target_ids", &trained.tokenizers.target),
        ];
        for (texts_of, ids_of, tokenizer) in sides {
            for (text, ids) in texts(&expected[texts_of]).iter().zip(ids(&expected[ids_of])) {
                let mut found = tokenizer.encode(text).unwrap();
                found.push(0);
                assert_eq!(found, ids, "{name}: {text:?}");
            }
        }
        let sources = texts(&expected["texts"]);
        assert_eq!(write(&trained, &sources, GenerationConfig::greedy(), 12), texts(&expected["beam1"]), "{name}");
        let beam = beam(4, 1);
        assert_eq!(write(&trained, &sources, beam, 12), texts(&expected["beam4"]), "{name}");
        // What is exported are the files of such a folder again.
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("out");
        export(&trained, &folder).unwrap();
        assert!(!folder.join("tokenizer.json").exists());
        let again = imported(&folder);
        let ids = |trained: &Trained, text: &str| trained.tokenizers.source.as_ref().unwrap().encode(text).unwrap();
        for text in &sources {
            assert_eq!(ids(&again, text), ids(&trained, text), "{name}: {text:?}");
        }
        assert_eq!(write(&again, &sources, GenerationConfig::greedy(), 12), texts(&expected["beam1"]), "{name}");
    }
}

/// A real model of CTranslate2, in the folder that `DESCANT_CT2` names: what its own tests say that it writes.
#[test]
fn a_model_of_ctranslate2_writes_its_golden_letters() {
    let Some(folder) = std::env::var_os("DESCANT_CT2").map(PathBuf::from) else {
        println!("skipped: DESCANT_CT2 names no folder");
        return;
    };
    let trained = imported(&folder);
    let sources = ["آ ت ز م و ن", "آ ز ا"].map(str::to_owned);
    let beam = beam(2, 1);
    for config in [GenerationConfig::greedy(), beam] {
        assert_eq!(write(&trained, &sources[..1], config, 20), ["a t z m o n"]);
    }
}

/// Folders with a model of SentencePiece alone (`tools/sentencepiece_models.py`).
#[test]
fn models_of_sentencepiece_alone_have_the_ids_of_transformers() {
    for (name, file) in [
        ("llama", "tokenizer.model"),
        ("llama-legacy", "tokenizer.model"),
        ("mistral", "tokenizer.model"),
        ("gemma", "tokenizer.model"),
        ("t5", "spiece.model"),
    ] {
        let name = format!("sentencepiece-{name}");
        let expected = expected(&name);
        let model = Foreign::open(&reference(&name)).unwrap().tokenizers.target;
        let alone = descant_interop::tokenizer(&reference(&name).join(file)).unwrap();
        let both = ids(&expected["ids"]).into_iter().zip(ids(&expected["sentencepiece"]));
        for (text, (theirs, own)) in texts(&expected["texts"]).iter().zip(both) {
            let found = model.special().prompt_post_processor().apply(&model.encode(text).unwrap());
            // Names of control tokens are text here; the model of T5 finds them.
            if !(name.ends_with("t5") && text.contains("<s>") || text.contains("<extra_id_1>")) {
                assert_eq!(found, theirs, "{name}: {text:?}");
            }
            assert_eq!(alone.encode(text).unwrap(), own, "{name}, {file}: {text:?}");
        }
    }
}

#[test]
fn a_tensor_in_two_files_is_told() {
    let place = tempfile::tempdir().unwrap();
    for file in ["config.json", "tokenizer.model", "tokenizer_config.json"] {
        fs::copy(reference("sentencepiece-llama").join(file), place.path().join(file)).unwrap();
    }
    let parts = ["model-1.safetensors", "model-2.safetensors"];
    for part in parts {
        fs::copy(reference("sentencepiece-llama").join("model.safetensors"), place.path().join(part)).unwrap();
    }
    let index = serde_json::json!({"weight_map": {"model.norm.weight": parts[0], "lm_head.weight": parts[1]}});
    fs::write(place.path().join("model.safetensors.index.json"), index.to_string()).unwrap();
    let error = import(place.path(), &place.path().join("run")).unwrap_err().to_string();
    assert!(parts.iter().all(|part| error.contains(part)), "{error}");
}
