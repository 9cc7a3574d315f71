//! Every file that is parsed, mutated: what is wrong with it is an error, and never a panic, a hang or memory without
//! bound; what is accepted can be written and read again.

mod common;
mod mutation;

use common::{BF16, Folder, LANGUAGE_MODEL, PAIRS, TRANSFORMER, copy};
use descant_autograd::Tape;
use descant_generate::GenerationConfig;
use descant_inference::{Estimate, Recipe, TensorFile, Trained};
use descant_kernels::Parallelism;
use descant_tensor::DType;
use descant_text::{Annotations, Columns, Side, Source, SpecialTokens, Tokenizer, TokenizerConfig, TokenizerKind};
use descant_train::{Sweep, SweepConfig, SweepEvent, Trainer, Variation};
use mutation::survives;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn recipes() {
    let more = "init = \"nowhere\"\n[finetune]\nrates = {\"*\" = 0.1}\nlora = {rank = 4, targets = [\"*\"]}\n[tokenizer]\nspecial = {beginning = 1, end = 2}\n[loss]\nkind = \"cross-entropy\"\nclass_weights = {a = 2.0}\n[optimizer]\nkind = \"adamw\"\nbetas = [0.9, 0.99]\n";
    let originals = [LANGUAGE_MODEL, PAIRS, TRANSFORMER, BF16, more].map(|text| text.as_bytes().to_vec());
    survives("recipe", originals.to_vec(), |bytes| {
        let text = String::from_utf8_lossy(bytes);
        if let Ok(recipe) = Recipe::parse(&text, &[]) {
            let written = recipe.to_toml().unwrap();
            assert_eq!(Recipe::parse(&written, &[]).unwrap().to_toml().unwrap(), written);
        }
        let setting = text.lines().next().unwrap_or_default().to_owned();
        let _ = Recipe::parse(LANGUAGE_MODEL, &[setting]);
    });
}

/// Tokenizers of every kind, and one with many components.
fn tokenizers() -> Vec<Vec<u8>> {
    use TokenizerKind::{Bpe, ByteBpe, Character, Unigram, Word, Wordpiece};
    let text = ["the quick brown fox jumps over the lazy dog", "我们今天去学校", "newer and lower, 1984"];
    let mut all: Vec<Vec<u8>> = [Bpe, ByteBpe, Unigram, Wordpiece, Word, Character]
        .into_iter()
        .map(|kind| {
            let config = TokenizerConfig { kind, vocabulary: 300, ..TokenizerConfig::default() };
            let texts = text.iter().map(|line| Ok((*line).to_owned()));
            Tokenizer::train(&config, false, texts).unwrap().to_json().unwrap().into_bytes()
        })
        .collect();
    let components = serde_json::json!({
        "version": "1.0",
        "truncation": {"max_length": 8, "stride": 0, "strategy": "LongestFirst", "direction": "Right"},
        "padding": {"strategy": {"Fixed": 8}, "direction": "Right", "pad_to_multiple_of": 4, "pad_id": 0, "pad_type_id": 0, "pad_token": "<unk>"},
        "added_tokens": (0..3).map(|id| serde_json::json!({"id": id, "content": (["<unk>", "<s>", "</s>"][id]), "single_word": false, "lstrip": true, "rstrip": false, "normalized": false, "special": true})).collect::<Vec<_>>(),
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "NFKC"}, {"type": "Lowercase"}, {"type": "StripAccents"}, {"type": "Strip", "strip_left": true, "strip_right": true},
            {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}, {"type": "Prepend", "prepend": "▁"},
            {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true}
        ]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": "(?i:'s)|\\s+(?!\\S)|\\p{N}{1,3}"}, "behavior": "Isolated", "invert": false},
            {"type": "Digits", "individual_digits": true}, {"type": "Punctuation", "behavior": "Isolated"},
            {"type": "FixedLength", "length": 5}, {"type": "CharDelimiterSplit", "delimiter": "-"},
            {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true}
        ]},
        "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}], "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}], "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}, {"type": "WordPiece", "prefix": "##", "cleanup": true}
        ]},
        "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null, "end_of_word_suffix": null,
            "fuse_unk": true, "byte_fallback": true, "ignore_merges": false,
            "vocab": {"<unk>": 0, "<s>": 1, "</s>": 2, "a": 3, "b": 4, "ab": 5, "▁": 6, "▁a": 7, "<0x41>": 8},
            "merges": [["a", "b"], ["▁", "a"]]}
    });
    all.push(components.to_string().into_bytes());
    all
}

#[test]
fn tokenizer_files() {
    let folder = tempfile::tempdir().unwrap();
    let (path, again) = (folder.path().join("tokenizer.json"), folder.path().join("again.json"));
    let texts = ["", "a", "  The 12 foxes -- ab\n", &"ab ".repeat(3000), &"我们".repeat(2000), "\u{0}\u{301}ﷺ👩‍👩‍👧"]
        .map(str::to_owned);
    survives("tokenizer", tokenizers(), move |bytes| {
        let _folder = &folder;
        fs::write(&path, bytes).unwrap();
        let elsewhere = SpecialTokens::default();
        for special in [None, Some(elsewhere)] {
            let Ok(tokenizer) = Tokenizer::load(&path, special.clone()) else { continue };
            for text in &texts {
                let Ok(ids) = tokenizer.encode(text) else { continue };
                assert!(ids.iter().all(|&id| (id as usize) < tokenizer.vocabulary()));
                let _ = tokenizer.decode(&ids);
            }
            fs::write(&again, tokenizer.to_json().unwrap()).unwrap();
            let second = Tokenizer::load(&again, special).unwrap();
            assert_eq!(second.vocabulary(), tokenizer.vocabulary());
            assert_eq!(second.encode(&texts[2]).ok(), tokenizer.encode(&texts[2]).ok());
        }
    });
}

#[test]
fn texts() {
    let folder = tempfile::tempdir().unwrap();
    let lines = "a line\nanother\r\n\n\u{feff}third\n";
    let pairs = "one\tuno\ntwo\tdos\n";
    let json = "{\"prompt\": \"one\", \"completion\": \"uno\"}\n{\"messages\": [{\"role\": \"user\", \"content\": \"two\"}, {\"role\": \"assistant\", \"content\": \"dos\"}]}\n";
    let gzip: &[u8] = &[
        31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 75, 84, 200, 201, 204, 75, 85, 200, 79, 83, 40, 73, 173, 40, 225, 74, 204,
        203, 47, 201, 72, 45, 82, 200, 207, 75, 229, 74, 36, 75, 10, 0, 71, 167, 27, 9, 81, 0, 0, 0,
    ];
    let zstd: &[u8] = &[
        40, 181, 47, 253, 4, 104, 13, 1, 0, 216, 97, 32, 108, 105, 110, 101, 32, 111, 102, 32, 116, 101, 120, 116, 10,
        97, 110, 111, 116, 104, 101, 114, 32, 111, 110, 101, 10, 1, 0, 123, 56, 199, 180, 200, 169, 220,
    ];
    let originals = [lines.as_bytes(), pairs.as_bytes(), json.as_bytes(), gzip, zstd].map(<[u8]>::to_vec);
    survives("text", originals.to_vec(), move |bytes| {
        for name in ["text.txt", "text.gz", "text.zst"] {
            let path = folder.path().join(name);
            fs::write(&path, bytes).unwrap();
            let sources = [
                Some(Source::Lines { path: path.clone() }),
                Some(Source::Stream { path: path.clone() }),
                Some(Source::Tsv { path: path.clone(), columns: None }),
                Some(Source::Tsv { path: path.clone(), columns: Some(Columns::Numbers(vec![1, 0])) }),
                Source::csv(&path, None, &Annotations::default()).ok(),
                Source::csv(&path, Some(&Columns::Numbers(vec![0])), &Annotations::default()).ok(),
                Source::json(&path, None, &Annotations::default()).ok(),
                Some(Source::Parallel { source: path.clone(), target: path.clone() }),
            ];
            for source in sources.into_iter().flatten() {
                // A text of a megabyte in an archive of 50 bytes is right; a hundred are not there.
                let lines = source.lines(Side::Target);
                let read = lines.map(|lines| lines.map_while(Result::ok).map(|text| text.len()).sum::<usize>());
                assert!(read.unwrap_or(0) < 100_000_000);
            }
        }
    });
}

/// A small model of bytes as a folder of `transformers`: `model`.
fn exported() -> Folder {
    let folder = Folder::new();
    let llama = "model.transformer={heads = 2, norm = \"rms\", gated = true, activation = \"silu\", bias = false}";
    let train = ["train", "bf16.toml", "--run", "run", "--quiet", "--set", "train.steps=1", "--set", llama];
    let more = [
        "tokenizer={kind='byte-bpe',vocabulary=300}",
        "data.stream=false",
        "model.output_bias=false",
        "model.hidden=8",
    ];
    let set = more.iter().flat_map(|setting| ["--set", setting]);
    folder.succeed(&train.into_iter().chain(set).collect::<Vec<_>>());
    folder.succeed(&["export", "run", "model"]);
    folder
}

/// That an imported run is read, shown and writes.
fn writes(run: &Path) {
    let trained = Trained::load(run).unwrap();
    let vocabulary = trained.tokenizers.vocabulary(&trained.recipe.loss).unwrap();
    Estimate::of(&trained.recipe, &vocabulary, DType::F32, 0.0).unwrap();
    if let Err(error) = trained.generate("the cat") {
        // A tokenizer that makes nothing of the text, and no BOS; weights so large that what comes of them is not finite.
        let error = error.to_string();
        assert!(error.contains("no BOS") || error.contains("not finite"), "{error}");
    }
}

/// Imports with one file of the folder mutated; what is imported is a run that can be read.
fn imports(name: &'static str, file: &'static str) {
    imports_of(exported(), name, file);
}

fn imports_of(folder: Folder, name: &'static str, file: &'static str) {
    let model = folder.path("model");
    let original = fs::read(model.join(file)).unwrap();
    imports_with(folder, name, original, move |bytes, run| {
        fs::write(model.join(file), bytes).unwrap();
        descant_interop::import(&model, run).is_ok()
    });
}

/// Calls `import` with each mutant and the place of the run to be.
fn imports_with(
    folder: Folder,
    name: &'static str,
    original: Vec<u8>,
    import: impl Fn(&[u8], &Path) -> bool + Send + 'static,
) {
    let run = folder.path("imported");
    survives(name, vec![original], move |bytes| {
        let _folder = &folder;
        let _ = fs::remove_dir_all(&run);
        if import(bytes, &run) {
            writes(&run);
        }
    });
}

#[test]
fn configurations() {
    imports("config", "config.json");
}

#[test]
fn tokenizers_of_folders() {
    imports("folder-tokenizer", "tokenizer.json");
}

/// The header of a folder's weights, and the data after it.
fn split_weights(model: &Path) -> (Vec<u8>, Vec<u8>) {
    let whole = fs::read(model.join("model.safetensors")).unwrap();
    let length = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    (whole[8..8 + length].to_vec(), whole[8 + length..].to_vec())
}

#[test]
fn indices_of_weights() {
    let folder = exported();
    let model = folder.path("model");
    let (header, data) = split_weights(&model);
    let header: serde_json::Value = serde_json::from_slice(&header).unwrap();
    let names = header.as_object().unwrap().keys().filter(|name| *name != "__metadata__");
    let map: serde_json::Map<String, serde_json::Value> =
        names.map(|name| (name.clone(), "model-00001-of-00001.safetensors".into())).collect();
    fs::rename(model.join("model.safetensors"), model.join("model-00001-of-00001.safetensors")).unwrap();
    let index = serde_json::json!({"metadata": {"total_size": data.len()}, "weight_map": map});
    fs::write(model.join("model.safetensors.index.json"), index.to_string()).unwrap();
    imports_of(folder, "index", "model.safetensors.index.json");
}

#[test]
fn generation_configurations() {
    imports("generation-config", "generation_config.json");
}

#[test]
fn tokenizer_configurations() {
    imports("tokenizer-config", "tokenizer_config.json");
}

#[test]
fn headers_of_weights() {
    let folder = exported();
    let model = folder.path("model");
    let (header, data) = split_weights(&model);
    imports_with(folder, "safetensors", header, move |header, run| {
        let whole = [&(header.len() as u64).to_le_bytes()[..], header, &data].concat();
        fs::write(model.join("model.safetensors"), whole).unwrap();
        descant_interop::import(&model, run).is_ok()
    });
}

/// Imports of a model that others left (`tools/foreign_models.py`) with one of its files mutated; what is imported writes.
fn foreign(name: &'static str, model: &str, file: &'static str) {
    let folder = Folder::new();
    let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("../interop/tests/reference").join(model);
    copy(&reference, &folder.path("model"));
    imports_of(folder, name, file);
}

#[test]
fn pickles() {
    foreign("pickle", "opus-mt", "pytorch_model.bin");
}

/// Imports of an adapter on top of its model with one of its files mutated.
fn adapters(name: &'static str, file: &'static str) {
    let folder = Folder::new();
    let references = Path::new(env!("CARGO_MANIFEST_DIR")).join("../interop/tests/reference");
    let (base, adapter) = (references.join("llama"), folder.path("adapter"));
    copy(&references.join("peft-llama"), &adapter);
    let original = fs::read(adapter.join(file)).unwrap();
    imports_with(folder, name, original, move |bytes, run| {
        fs::write(adapter.join(file), bytes).unwrap();
        descant_interop::import_adapted(&adapter, &base, run).is_ok()
    });
}

#[test]
fn configurations_of_adapters() {
    adapters("adapter-config", "adapter_config.json");
}

#[test]
fn weights_of_adapters() {
    adapters("adapter", "adapter_model.safetensors");
}

#[test]
fn sentencepiece_models() {
    foreign("sentencepiece", "opus-mt", "source.spm");
}

#[test]
fn models_of_sentencepiece_alone() {
    foreign("tokenizer-model", "sentencepiece-llama", "tokenizer.model");
}

/// A folder of GPT-2 without a `tokenizer.json`.
fn two_files() -> Folder {
    let folder = Folder::new();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../interop/tests/reference/gpt2"), &folder.path("model"));
    fs::remove_file(folder.path("model/tokenizer.json")).unwrap();
    let config: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.path("model/config.json")).unwrap()).unwrap();
    let entries = config["vocab_size"].as_u64().unwrap() as usize;
    let first = ["<|endoftext|>", "Ġ", "t", "h", "e", "a", "c", "th", "the", "at"].map(str::to_owned);
    let tokens = first.into_iter().chain((0..).map(|i| format!("w{i}")));
    let vocabulary: serde_json::Map<String, serde_json::Value> =
        tokens.take(entries).zip((0..).map(|id: u32| id.into())).collect();
    fs::write(folder.path("model/vocab.json"), serde_json::Value::from(vocabulary).to_string()).unwrap();
    fs::write(folder.path("model/merges.txt"), "#version: 0.2\nt h\nth e\na t\n").unwrap();
    folder
}

#[test]
fn vocabularies_of_byte_pairs() {
    imports_of(two_files(), "vocabulary", "vocab.json");
}

#[test]
fn merges_of_byte_pairs() {
    imports_of(two_files(), "merges", "merges.txt");
}

#[test]
fn vocabularies_of_marian() {
    foreign("marian-vocabulary", "opus-mt", "vocab.json");
}

#[test]
fn configurations_of_recurrent_models() {
    foreign("recurrent-config", "pytorch-lstm", "config.json");
}

#[test]
fn lists_of_tokens() {
    foreign("token-list", "pytorch-gru", "target_vocabulary.txt");
}

#[test]
fn files_of_llama_cpp() {
    let folder = exported();
    folder.succeed(&["export", "run", "model.gguf"]);
    let path = folder.path("model.gguf");
    let whole = fs::read(&path).unwrap();
    // Mostly the keys, the tokens and the table of tensors.
    let head = whole.len().min(16_000);
    let (head, data) = (whole[..head].to_vec(), whole[head..].to_vec());
    imports_with(folder, "gguf", head, move |head, run| {
        fs::write(&path, [head, &data].concat()).unwrap();
        descant_interop::import(&path, run).is_ok()
    });
}

/// A run is read, and goes on by a step, with one of these files mutated.
fn runs(name: &'static str, recipe: &str, files: &[&str]) {
    let folder = Folder::new();
    folder.train(recipe, "run", 12);
    let files: Vec<String> = files.iter().map(|&file| file.to_owned()).collect();
    let originals: Vec<Vec<u8>> = files.iter().map(|file| fs::read(folder.path("run").join(file)).unwrap()).collect();
    let mut turn = 0;
    survives(name, originals, move |bytes| {
        let file = &files[turn % files.len()];
        turn += 1;
        let run = folder.path("mutant");
        let _ = fs::remove_dir_all(&run);
        copy(&folder.path("run"), &run);
        fs::write(run.join(file), bytes).unwrap();
        let _ = Trained::load(&run);
        if let Ok((recipe, _)) =
            descant_train::resumed_recipe(&run, &run.join("recipe.toml"), &["train.steps=14".to_owned()])
            && let Ok(mut trainer) = Trainer::new(recipe, &run, 1, true)
        {
            let _ = trainer.step();
        }
    });
}

#[test]
fn manifests() {
    runs("manifest", "lm.toml", &["last/manifest.json", "metrics.jsonl"]);
}

#[test]
fn checkpoints() {
    runs("checkpoint", "lm.toml", &["last/model.safetensors", "last/optimizer.safetensors"]);
}

/// The checksum of a file in a checkpoint's manifest, made that of the file.
fn set_checksum(checkpoint: &Path, file: &str) {
    let sum = TensorFile::open(&checkpoint.join(file)).unwrap().checksum().unwrap();
    let path = checkpoint.join("manifest.json");
    let mut manifest: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    manifest["files"][file] = sum.into();
    manifest.as_object_mut().unwrap().remove("checksum");
    fs::write(path, manifest.to_string()).unwrap();
}

/// What no checksum finds: the mutants have the right one.
#[test]
fn carried_states() {
    let (folder, file) = (Folder::new(), "carried_state.safetensors");
    folder.write("carried.toml", format!("{LANGUAGE_MODEL}carry_state = true\n"));
    folder.train("carried.toml", "run", 12);
    let original = fs::read(folder.path("run/last").join(file)).unwrap();
    survives("carried-state", vec![original], move |bytes| {
        let run = folder.path("mutant");
        let _ = fs::remove_dir_all(&run);
        copy(&folder.path("run"), &run);
        fs::write(run.join("last").join(file), bytes).unwrap();
        set_checksum(&run.join("last"), file);
        if let Ok(mut trainer) = Trainer::new(Recipe::of_run(&run).unwrap(), &run, 1, true) {
            let _ = trainer.step();
        }
    });
}

/// The same.
#[test]
fn quantized_weights() {
    let folder = Folder::new();
    folder.train("lm.toml", "run", 12);
    let types = ["bf16", "int8", "q4"];
    types.iter().for_each(|weights| drop(folder.succeed(&["quantize", "run", "--weights", weights])));
    let originals = types.map(|weights| folder.weights(&format!("run-{weights}"))).to_vec();
    let mut turn = 0;
    survives("quantized", originals, move |bytes| {
        let run = folder.path("mutant");
        let _ = fs::remove_dir_all(&run);
        copy(&folder.path(&format!("run-{}", types[turn % types.len()])), &run);
        turn += 1;
        fs::write(run.join("last/model.safetensors"), bytes).unwrap();
        set_checksum(&run.join("last"), "model.safetensors");
        let Ok(trained) = Trained::load(&run) else { return };
        let options = trained.options(&GenerationConfig::greedy(), Parallelism::Serial).unwrap();
        let written = trained.generate_batch(&mut Tape::new(), &["line".to_owned()], [0], &options, |_, _| ());
        // Scales that are numbers may still give scores that are none.
        drop(written);
    });
}

/// A sweep goes on with them, up to the first step that it trains.
#[test]
fn rungs() {
    let folder = Folder::new();
    let arguments =
        ["sweep", "lm.toml", "--runs", "runs", "--halving", "--quiet", "--vary", "train.learning_rate=1e-2,1e-3"];
    folder.succeed(&[&arguments[..], &["--set", "train.steps=4"]].concat());
    let rungs = fs::read(folder.path("runs/rungs.jsonl")).unwrap();
    let lines = rungs.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec);
    let originals: Vec<Vec<u8>> = lines.chain([rungs.clone()]).collect();
    assert_eq!(originals.len(), 3);
    survives("rungs", originals, move |bytes| {
        let runs = folder.path("mutant");
        let _ = fs::remove_dir_all(&runs);
        copy(&folder.path("runs"), &runs);
        fs::write(runs.join("rungs.jsonl"), bytes).unwrap();
        let mut config = SweepConfig::default();
        config.variations = vec![Variation::parse("train.learning_rate=1e-2,1e-3").unwrap()];
        config.settings = vec!["train.steps=4".to_owned()];
        config.halving = true;
        let mut sweep = Sweep::new(&folder.path("lm.toml"), config, &runs).unwrap();
        let stop = AtomicBool::new(false);
        let begins = |event: &SweepEvent<'_>| matches!(event, SweepEvent::Begun { .. });
        let stop_there = |event: SweepEvent<'_>| {
            stop.fetch_or(begins(&event), Ordering::Relaxed);
        };
        let done = sweep.run(1, &stop, stop_there);
        // What a run was worth may be lost.
        assert!(matches!(done, Ok(_) | Err(descant_train::Error::BeyondRung { .. })), "{done:?}");
    });
}

#[test]
fn corpora() {
    let files = ["corpus.json", "target.ids", "target.lengths", "source.ids", "source.lengths"];
    let files: Vec<String> = files.iter().map(|file| format!("data/train/{file}")).collect();
    runs("corpus", "pairs.toml", &files.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn short_lists() {
    let folder = Folder::new();
    folder.train("pairs.toml", "run", 3);
    let trained = Trained::load(&folder.path("run")).unwrap();
    let [path, again] = ["list.txt", "again.txt"].map(|name| folder.path(name));
    let lists = ["\t1 2 3\n1\t2 3\n1 2\t4\n", "\t\n9\t8\n\u{e9}\t7\n", "\t5\n"].map(|list| list.as_bytes().to_vec());
    survives("short-list", lists.to_vec(), move |bytes| {
        let _folder = &folder;
        fs::write(&path, bytes).unwrap();
        let Ok(list) = trained.load_short_list(&path) else { return };
        let _ = fs::remove_file(&again);
        trained.save_short_list(&list, &again).unwrap();
        assert_eq!(trained.load_short_list(&again).unwrap(), list);
    });
}
