//! Models that move out, and in again.

mod common;

use common::Folder;
use std::collections::BTreeMap;
use std::fs;

/// A Llama of bytes, small enough to train in a second.
const LLAMA: &[&str] = &[
    "--set",
    "tokenizer.kind=byte-bpe",
    "--set",
    "tokenizer.vocabulary=300",
    "--set",
    "data.stream=false",
    "--set",
    "model.transformer={heads = 4, key_value_heads = 2, norm = \"rms\", gated = true, activation = \"silu\", bias = false}",
    "--set",
    "model.output_bias=false",
    "--set",
    "train.steps=60",
    "--quiet",
];

fn trained() -> Folder {
    let folder = Folder::new();
    folder.succeed(&[&["train", "bf16.toml", "--run", "run"][..], LLAMA].concat());
    folder
}

/// What a GGUF file holds: its values by key, as text, and its tensors.
#[derive(Default)]
struct Gguf {
    values: BTreeMap<String, String>,
    tensors: BTreeMap<String, (Vec<u64>, Vec<f32>)>,
}

struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (first, rest) = self.0.split_at(N);
        self.0 = rest;
        first.try_into().unwrap()
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    fn text(&mut self) -> String {
        let len = self.u64() as usize;
        let (text, rest) = self.0.split_at(len);
        self.0 = rest;
        String::from_utf8(text.to_vec()).unwrap()
    }

    fn value(&mut self, kind: u32) -> String {
        match kind {
            4 => self.u32().to_string(),
            5 => i32::from_le_bytes(self.take()).to_string(),
            6 => f32::from_le_bytes(self.take()).to_string(),
            7 => (self.take::<1>()[0] == 1).to_string(),
            8 => self.text(),
            9 => {
                let (kind, len) = (self.u32(), self.u64());
                (0..len).map(|_| self.value(kind)).collect::<Vec<_>>().join("\n")
            }
            other => panic!("a value of type {other}"),
        }
    }
}

fn read(bytes: &[u8]) -> Gguf {
    let (mut gguf, mut rest) = (Gguf::default(), Bytes(bytes));
    assert_eq!(&rest.take::<4>(), b"GGUF");
    assert_eq!(rest.u32(), 3);
    let (tensors, values) = (rest.u64(), rest.u64());
    for _ in 0..values {
        let (key, kind) = (rest.text(), rest.u32());
        gguf.values.insert(key, rest.value(kind));
    }
    let mut places = Vec::new();
    for _ in 0..tensors {
        let (name, axes) = (rest.text(), rest.u32());
        let lengths: Vec<u64> = (0..axes).map(|_| rest.u64()).collect();
        assert_eq!(rest.u32(), 0, "f32");
        places.push((name, lengths, rest.u64() as usize));
    }
    let start = (bytes.len() - rest.0.len()).next_multiple_of(32);
    for (name, lengths, offset) in places {
        assert_eq!(offset % 32, 0, "{name}");
        let count = lengths.iter().product::<u64>() as usize;
        let numbers = bytes[start + offset..][..4 * count].chunks_exact(4);
        let numbers = numbers.map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect();
        gguf.tensors.insert(name, (lengths, numbers));
    }
    gguf
}

#[test]
fn a_folder_written_and_read_again_writes_the_same() {
    let folder = trained();
    folder.succeed(&["export", "run", "there"]);
    folder.succeed(&["import", "there", "--run", "back"]);
    let write = |run: &str| folder.succeed(&["generate", run, "--greedy", "line 1", "red and"]);
    assert_eq!(write("run"), write("back"));
    // It has no texts of its own, but can be measured on others.
    let loss = |run: &str| {
        let report = folder.succeed(&["eval", run, "--data", "text.txt", "--json"]);
        serde_json::from_str::<serde_json::Value>(&report).unwrap()["loss"].as_f64().unwrap()
    };
    // In batches of another size.
    assert!((loss("run") - loss("back")).abs() < 1e-6);
    folder.fail(&["eval", "back"], &["--data"]);
    // A training that begins with it goes on by the recipe that began it.
    let further =
        "init = \"back\"\n[data]\ntrain = \"text.txt\"\nstream = false\n[train]\nsteps = 2\nlearning_rate = 1e-3\n";
    folder.write("further.toml", further);
    folder.train("further.toml", "further", 2);
    let more = ["train", "further.toml", "--run", "further", "--resume", "--set", "train.steps=3"];
    folder.succeed(&more);
    folder.fail(&["export", "run", "there"], &["there", "not an empty folder"]);
    folder.fail(&["import", "nowhere"], &["nowhere"]);
    // Neither a run's own files nor anybody else's are written over.
    let before = folder.weights("run");
    folder.fail(&["export", "run", "run/last"], &["run/last", "not an empty folder"]);
    assert!(folder.weights("run") == before);
    fs::create_dir(folder.path("mine")).unwrap();
    folder.write("mine/tokenizer.json", "mine");
    folder.fail(&["export", "run", "mine"], &["mine", "not an empty folder"]);
    folder.fail(&["import", "there", "--run", "mine"], &["mine", "tokenizer.json"]);
    assert_eq!(fs::read_to_string(folder.path("mine/tokenizer.json")).unwrap(), "mine");
    assert!(!folder.path("mine.partial").exists());
    // An import that was broken off is done again.
    fs::remove_file(folder.path("back/recipe.toml")).unwrap();
    folder.write("back/.starting", "");
    folder.succeed(&["import", "there", "--run", "back"]);
    assert_eq!(write("run"), write("back"));
}

#[test]
fn a_model_of_one_continuous_text_goes_on_as_after_a_line_end_elsewhere_too() {
    let folder = Folder::new();
    folder.succeed(&[&["train", "bf16.toml", "--run", "run"][..], LLAMA, &["--set", "data.stream=true"]].concat());
    folder.succeed(&["export", "run", "there"]);
    folder.succeed(&["import", "there", "--run", "back"]);
    let write = |run: &str| folder.succeed(&["generate", run, "--greedy", "--max-length", "40", "line 1", "red and"]);
    assert_eq!(write("run"), write("back"));
    let json = |name: &str| {
        let text = fs::read_to_string(folder.path(&format!("there/{name}"))).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap()
    };
    let first = json("tokenizer.json")["post_processor"]["special_tokens"]["Ċ"]["ids"][0].clone();
    assert!(first.is_u64() && first == json("config.json")["bos_token_id"], "{first}");
    assert!(json("tokenizer_config.json")["bos_token"].is_null());
}

#[test]
fn a_gguf_file_holds_the_weights_and_the_tokenizer() {
    let folder = trained();
    folder.succeed(&["export", "run", "model.gguf"]);
    folder.fail(&["export", "run", "model.gguf"], &["model.gguf", "there already"]);
    let Gguf { values, tensors } = read(&fs::read(folder.path("model.gguf")).unwrap());
    let expected = [
        ("general.architecture", "llama"),
        ("llama.embedding_length", "64"),
        ("llama.block_count", "2"),
        ("llama.attention.head_count_kv", "2"),
        ("llama.rope.dimension_count", "16"),
        ("tokenizer.ggml.model", "gpt2"),
        ("tokenizer.ggml.pre", "gpt-2"),
        ("tokenizer.ggml.bos_token_id", "1"),
        ("tokenizer.ggml.eos_token_id", "2"),
    ];
    for (key, value) in expected {
        assert_eq!(values[key], value, "{key}");
    }
    let tokens: Vec<&str> = values["tokenizer.ggml.tokens"].split('\n').collect();
    assert!(tokens.len() > 259 && tokens[..3] == ["<unk>", "<s>", "</s>"]);
    assert_eq!(values["tokenizer.ggml.token_type"].split('\n').take(4).collect::<Vec<_>>(), ["2", "3", "3", "1"]);
    assert_eq!(values["tokenizer.ggml.merges"].split('\n').count(), tokens.len() - 259);

    let bytes = fs::read(folder.path("run/best/model.safetensors")).unwrap();
    let ours = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let ours = |name: &str| -> Vec<f32> {
        let data = ours.tensor(name).unwrap().data().to_vec();
        data.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
    };
    let qkv = ours("decoder.layers.1.self_attn.in_proj_weight");
    let (lengths, values) = &tensors["blk.1.attn_v.weight"];
    assert_eq!((&lengths[..], &values[..]), (&[64, 32][..], &qkv[96 * 64..]));
    // The second row of a head there is the first of its second half here.
    let (lengths, keys) = &tensors["blk.1.attn_k.weight"];
    assert_eq!((&lengths[..], &keys[64..128]), (&[64, 32][..], &qkv[(64 + 8) * 64..][..64]));
    let linear1 = ours("decoder.layers.0.linear1.weight");
    assert_eq!(tensors["blk.0.ffn_gate.weight"].1, linear1[..256 * 64]);
    assert_eq!(tensors["blk.0.ffn_up.weight"].1, linear1[256 * 64..]);
    assert_eq!(tensors["output.weight"].0, [64, tokens.len() as u64]);
    assert_eq!(tensors.len(), 3 + 2 * 9);
}

#[test]
fn a_gguf_file_comes_in_again() {
    let folder = trained();
    folder.succeed(&["export", "run", "model.gguf"]);
    folder.succeed(&["import", "model.gguf", "--run", "back"]);
    let write = |run: &str| folder.succeed(&["generate", run, "--greedy", "line 1", "red and"]);
    assert_eq!(write("run"), write("back"));
    assert!(folder.weights("run") == folder.weights("back"), "rotated heads are in their own order again");
    let shown = folder.succeed(&["show", "model.gguf"]);
    assert!(shown.contains("llama.cpp: Llama") && shown.contains("4 heads, 2 of keys and values"), "{shown}");
    assert!(folder.succeed(&["show", "run"]).contains("to transformers as Llama"));
    let whole = fs::read(folder.path("model.gguf")).unwrap();
    for cut in [0, 4, 20, 1000, whole.len() / 2, whole.len() - 1] {
        fs::write(folder.path("cut.gguf"), &whole[..cut]).unwrap();
        folder.fail(&["import", "cut.gguf", "--run", "none"], &["cut.gguf"]);
    }
    let renamed = |from: &str, to: &str| {
        let at = whole.windows(from.len()).position(|bytes| bytes == from.as_bytes()).unwrap();
        let mut changed = whole.clone();
        changed[at..at + to.len()].copy_from_slice(to.as_bytes());
        fs::write(folder.path("other.gguf"), changed).unwrap();
    };
    renamed("llama.rope.freq_base", "llama.rope.freq_bass");
    folder.fail(&["import", "other.gguf", "--run", "none"], &["llama.rope.freq_bass", "not known"]);
    renamed("blk.1.attn_v.weight", "blk.1.attn_w.weight");
    folder.fail(&["import", "other.gguf", "--run", "none"], &["blk.1.attn_w.weight", "no place"]);
    renamed("gpt-2", "gpt-3");
    folder.fail(&["import", "other.gguf", "--run", "none"], &["tokenizer.ggml.pre", "gpt-3"]);
    assert!(!folder.path("none").exists());
}

#[test]
fn recurrent_models_have_the_names_of_pytorch() {
    let folder = Folder::new();
    let tied =
        |tie: &'static str| ["--set", tie, "--set", "model.embedding=16", "--set", "data.shared_vocabulary=true"];
    let cases = [
        ("lm.toml", &tied("model.tie=output")[..4], &[("projection.weight", "embedding.weight")][..]),
        ("pairs.toml", &[], &[]),
        ("pairs.toml", &tied("model.tie=output"), &[("decoder.projection.weight", "decoder.embedding.weight")]),
        (
            "pairs.toml",
            &tied("model.tie=all"),
            &[
                ("decoder.projection.weight", "encoder.embedding.weight"),
                ("decoder.embedding.weight", "encoder.embedding.weight"),
            ],
        ),
    ];
    for (i, (recipe, settings, names)) in cases.into_iter().enumerate() {
        let (run, place) = (format!("run{i}"), format!("exported{i}"));
        let train = ["train", recipe, "--run", &run, "--quiet", "--set", "train.steps=10"];
        folder.succeed(&[&train[..], settings].concat());
        folder.succeed(&["export", &run, &place]);
        let weights = [folder.weights(&run), fs::read(folder.path(&place).join("model.safetensors")).unwrap()];
        let [own, exported] = weights.each_ref().map(|bytes| safetensors::SafeTensors::deserialize(bytes).unwrap());
        for (name, tensor) in own.tensors() {
            assert_eq!(tensor.data(), exported.tensor(&name).unwrap().data(), "{name}");
        }
        for (name, of) in names {
            assert_eq!(exported.tensor(name).unwrap().data(), own.tensor(of).unwrap().data(), "{name}");
        }
        assert_eq!(exported.len(), own.len() + names.len(), "{recipe}");
        let config: serde_json::Value =
            serde_json::from_slice(&fs::read(folder.path(&place).join("config.json")).unwrap()).unwrap();
        let target = exported.tensor(if i == 0 { "projection.bias" } else { "decoder.projection.bias" }).unwrap();
        assert_eq!(config["vocabulary"], target.shape()[0], "{config}");
        assert_eq!(config["hidden"], 16);
        folder.fail(&["export", &run, &place], &[&place, "not an empty folder"]);
    }
}

#[test]
fn recurrent_models_come_in_again_with_the_same_bits() {
    let folder = Folder::new();
    let cases: [(&str, &[&str]); 11] = [
        ("lm.toml", &["model.tie=output", "model.embedding=16"]),
        ("lm.toml", &["model.cell=gru", "data.stream=true", "tokenizer.kind=character"]),
        ("pairs.toml", &["model.cell=gru", "model.bidirectional=false", "model.encoder_layers=2", "model.layers=2"]),
        ("pairs.toml", &["model.attention=general", "model.input_feeding=true"]),
        ("pairs.toml", &["model.layer_norm=true", "model.residual=true", "model.layers=2"]),
        ("pairs.toml", &["model.cell=gru", "model.layer_norm=true"]),
        ("pairs.toml", &["model.attention=additive", "model.bridge=zero"]),
        ("pairs.toml", &["model.attention=concat", "target_tokenizer={kind='word'}"]),
        ("pairs.toml", &["model.tie=all", "model.embedding=16", "data.shared_vocabulary=true"]),
        ("pairs.toml", &["model.encoder=transformer", "model.attention=dot", "model.bridge=zero"]),
        ("pairs.toml", &["loss={kind='embedding',measure='cosine'}"]),
    ];
    for (i, (recipe, settings)) in cases.into_iter().enumerate() {
        let [run, place, back] = ["run", "place", "back"].map(|name| format!("{name}{i}"));
        let settings = settings.iter().flat_map(|setting| ["--set", setting]);
        let train = ["train", recipe, "--run", &run, "--quiet", "--set", "train.steps=10"];
        folder.succeed(&train.into_iter().chain(settings).collect::<Vec<_>>());
        folder.succeed(&["export", &run, &place]);
        folder.succeed(&["import", &place, "--run", &back]);
        assert!(folder.weights(&run) == folder.weights(&back), "{recipe} {i}");
        let write = |run: &str| folder.succeed(&["generate", run, "--greedy", "--max-length", "12", "line 1", "a b"]);
        assert_eq!(write(&run), write(&back), "{recipe} {i}");
    }
    // What does not fit is named.
    let config = fs::read_to_string(folder.path("place2/config.json")).unwrap();
    let with = |from: &str, to: &str| {
        assert!(config.contains(from), "{config}");
        folder.write("place2/config.json", config.replacen(from, to, 1));
    };
    with("\"layers\": 2", "\"layers\": 3");
    folder.fail(&["import", "place2", "--run", "other"], &["config.json", "numbers"]);
    with("\"layers\": 2", "\"layers\": 1");
    folder.fail(&["import", "place2", "--run", "other"], &["decoder.rnn", "_l1", "no place"]);
    with("\"cell\": \"gru\"", "\"cell\": \"rnn\"");
    folder.fail(&["import", "place2", "--run", "other"], &["config.json", "rnn", "gru"]);
    with("\"kind\"", "\"sort\": 1, \"kind\"");
    folder.fail(&["import", "place2", "--run", "other"], &["config.json", "sort"]);
    assert!(!folder.path("other").exists());
}

#[test]
fn what_has_no_form_elsewhere_is_told() {
    let folder = Folder::new();
    folder.train("lm.toml", "lstm", 5);
    folder.fail(&["export", "lstm", "model.gguf"], &["cannot be exported"]);
    let characters: Vec<&str> =
        LLAMA.iter().map(|&s| if s.contains("byte-bpe") { "tokenizer.kind=character" } else { s }).collect();
    folder.succeed(&[&["train", "bf16.toml", "--run", "characters"][..], &characters].concat());
    folder.fail(&["export", "characters", "model.gguf"], &["tokenizer.kind = \"byte-bpe\""]);
    let digits = [LLAMA, &["--set", "tokenizer.split_digits=true"]].concat();
    folder.succeed(&[&["train", "bf16.toml", "--run", "digits"][..], &digits].concat());
    folder.fail(&["export", "digits", "model.gguf"], &["split_digits"]);
    assert!(!folder.path("model.gguf").exists());
    let vectors = [LLAMA, &["--set", "loss={kind = \"embedding\", measure = \"cosine\"}"]].concat();
    folder.succeed(&[&["train", "bf16.toml", "--run", "vectors"][..], &vectors].concat());
    folder.fail(&["export", "vectors", "there"], &["loss.kind = \"embedding\""]);
    assert!(!folder.path("there").exists());
}

#[test]
fn adapters_go_out_as_those_of_peft_and_come_in_on_top_of_their_model() {
    let folder = trained();
    folder.succeed(&["export", "run", "base"]);
    let recipe = "init = \"run\"\n[data]\ntrain = \"text.txt\"\nstream = false\n\
        [finetune]\nlora = { rank = 2, alpha = 6.0 }\n[train]\nsteps = 30\nlearning_rate = 0.01\n";
    folder.write("lora.toml", recipe);
    folder.succeed(&["train", "lora.toml", "--run", "lora", "--quiet"]);
    folder.succeed(&["export", "lora", "adapter", "--adapter"]);
    let json = fs::read_to_string(folder.path("adapter/adapter_config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&config["r"], &config["lora_alpha"]), (&2.into(), &6.into()));
    let modules = ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"];
    assert_eq!(config["target_modules"], serde_json::json!(modules));
    let bytes = fs::read(folder.path("adapter/adapter_model.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(tensors.len(), 2 * 2 * modules.len());
    let values = tensors.tensor("base_model.model.model.layers.1.self_attn.v_proj.lora_B.weight").unwrap();
    assert_eq!(values.shape(), [32, 2]);
    folder.succeed(&["import", "adapter", "--base", "base", "--run", "back"]);
    let write = |run: &str| folder.succeed(&["generate", run, "--greedy", "line 1", "red and"]);
    assert_eq!(write("lora"), write("back"));
    assert_ne!(write("run"), write("back"));
    folder.fail(&["import", "adapter"], &["adapter", "--base"]);
    folder.fail(&["import", "base", "--base", "base", "--run", "none"], &["--base", "adapter_config.json"]);
    folder.fail(&["export", "run", "none", "--adapter"], &["finetune", "lora"]);
    folder.fail(&["export", "lora", "adapter", "--adapter"], &["not an empty folder"]);
    assert!(!folder.path("none").exists());
}
