//! Every language model of the references as a file of llama.cpp and back, and keys of files.

use crate::tests::{FAMILIES, copy, edit};
use crate::{Family, GgufType, export, export_gguf, import};
use descant_inference::Trained;
use descant_kernels::WeightType;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// A folder of a reference whose words are bytes in llama.cpp's sense, with keys changed; imported.
fn imported(name: &str, folder: &Path, changes: &[(&str, Value)]) -> Trained {
    let place = folder.join("in");
    copy(name, &place);
    edit(&place.join("tokenizer.json"), |json| {
        let vocabulary = json["model"]["vocab"].clone();
        json["model"] = json!({"type": "BPE", "vocab": vocabulary, "merges": []});
        let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
        (json["pre_tokenizer"], json["decoder"]) = (bytes.clone(), bytes);
    });
    edit(&place.join("config.json"), |json| {
        changes.iter().for_each(|(key, value)| json[*key] = value.clone());
    });
    import(&place, &folder.join("run")).unwrap_or_else(|error| panic!("{name}: {error}"));
    Trained::load_row_major(&folder.join("run")).unwrap()
}

/// The bytes of a reference's export.
fn exported(name: &str, folder: &Path) -> Vec<u8> {
    let path = folder.join("out.gguf");
    export_gguf(&imported(name, folder, &without(name)), &path, GgufType::F32).unwrap();
    fs::read(path).unwrap()
}

/// That these bytes are refused, with this message, and leave no run.
fn refused(folder: &Path, bytes: &[u8], says: &str) {
    let (path, run) = (folder.join("changed.gguf"), folder.join("none"));
    fs::write(&path, bytes).unwrap();
    let error = import(&path, &run).unwrap_err().to_string();
    assert!(error.contains(says), "{error}");
    assert!(!run.exists());
}

/// What llama.cpp has no form of, taken from the references that have it.
fn without(name: &str) -> Vec<(&'static str, Value)> {
    match name {
        "mistral" | "phi3" => vec![("sliding_window", Value::Null)],
        "qwen2-windows" => vec![("use_sliding_window", json!(false)), ("layer_types", Value::Null)],
        "gemma2" | "gemma3" => vec![("query_pre_attn_scalar", json!(8))],
        _ => Vec::new(),
    }
}

fn values(path: &Path) -> serde_json::Map<String, Value> {
    crate::tensors::gguf::head(&mut fs::File::open(path).unwrap()).unwrap().0
}

#[test]
fn every_language_model_goes_out_and_comes_in_as_it_was() {
    let mut architectures = Vec::new();
    for name in FAMILIES {
        let folder = tempfile::tempdir().unwrap();
        let at = |part: &str| folder.path().join(part);
        let trained = imported(name, folder.path(), &without(name));
        let family = Family::of(&trained.recipe.model).unwrap();
        if family.reads_a_source() {
            let error = export_gguf(&trained, &at("out.gguf"), GgufType::F32).unwrap_err().to_string();
            assert!(error.contains("reads a source"), "{error}");
            continue;
        }
        assert_eq!(export_gguf(&trained, &at("out.gguf"), GgufType::F32).unwrap(), (family, Vec::new()), "{name}");
        let values = values(&at("out.gguf"));
        architectures.push(values["general.architecture"].as_str().unwrap().to_owned());
        assert_eq!(import(&at("out.gguf"), &at("back")).unwrap(), Vec::<String>::new(), "{name}");
        let back = Trained::load_row_major(&at("back")).unwrap();
        // llama.cpp has Mistral as Llama, and its files say nothing of dropout.
        let mut expected = trained.recipe.model.clone();
        (expected.origin, expected.dropout) = (back.recipe.model.origin.clone(), back.recipe.model.dropout);
        let transformer = expected.transformer.as_mut().unwrap();
        transformer.attention_dropout = back.recipe.model.transformer().attention_dropout;
        let kept = if family == Family::Mistral { Family::Llama } else { family };
        assert_eq!(back.recipe.model.origin.as_deref(), Some(kept.model_type()), "{name}");
        assert_eq!(back.recipe.model, expected, "{name}");
        assert_eq!(back.tokenizers.target.special(), trained.tokenizers.target.special(), "{name}");
        for id in trained.parameters.ids() {
            let (ours, theirs) = (trained.parameters.values::<f32>(id), back.parameters.values::<f32>(id));
            assert_eq!(ours, theirs, "{name}: {}", trained.parameters.name(id));
        }
        export(&back, &at("folder")).unwrap();
    }
    architectures.sort_unstable();
    architectures.dedup();
    assert_eq!(architectures, ["gemma", "gemma2", "gemma3", "gpt2", "llama", "olmo2", "phi3", "qwen2", "qwen3"]);
}

#[test]
fn what_llama_cpp_cannot_be_told_is_refused_by_key() {
    let refused = |name: &str, changes: &[(&str, Value)], key: &str| {
        let folder = tempfile::tempdir().unwrap();
        let mut all = without(name);
        all.extend(changes.iter().cloned());
        let trained = imported(name, folder.path(), &all);
        let error = export_gguf(&trained, &folder.path().join("out.gguf"), GgufType::F32).unwrap_err().to_string();
        assert!(error.contains(key), "{name}: {error}");
    };
    refused("gemma2", &[("query_pre_attn_scalar", json!(10))], "model.transformer.query_pre_attn_scalar = 10");
    refused("gemma2", &[("attn_logit_softcapping", Value::Null)], "model.transformer.attention_soft_cap");
    refused("gemma2", &[("final_logit_softcapping", Value::Null)], "model.output_soft_cap");
    let kinds = json!(["full_attention", "sliding_attention", "sliding_attention"]);
    refused("gemma3", &[("layer_types", kinds)], "model.transformer.full_layers = [0]");
    let llama3 = json!({"rope_type": "llama3", "factor": 4.0, "original_max_position_embeddings": 16});
    refused("qwen3", &[("rope_scaling", llama3)], "model.transformer.rotary_scaling");
    refused("qwen3", &[("hidden_act", json!("relu"))], "model.transformer.activation = \"relu\"");
}

#[test]
fn a_window_that_llama_cpp_has_not_ends_the_context_and_is_told() {
    for (name, length) in [("mistral", 3), ("phi3", 4), ("qwen2-windows", 3)] {
        let folder = tempfile::tempdir().unwrap();
        let trained = imported(name, folder.path(), &[]);
        let (_, notes) = export_gguf(&trained, &folder.path().join("out.gguf"), GgufType::F32).unwrap();
        assert!(notes.len() == 1 && notes[0].contains("model.transformer.window"), "{notes:?}");
        let values = values(&folder.path().join("out.gguf"));
        let architecture = values["general.architecture"].as_str().unwrap();
        assert_eq!(values[&format!("{architecture}.context_length")], length, "{name}");
    }
}

/// The whole of a file, with a key renamed to another of the same length, or its value changed.
fn changed(whole: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let at = whole.windows(from.len()).position(|bytes| bytes == from).unwrap();
    [&whole[..at], to, &whole[at + from.len()..]].concat()
}

/// A list of 4-byte numbers of a type as the value of a key in a file.
fn list(key: &str, kind: u32, values: impl Iterator<Item = [u8; 4]>) -> Vec<u8> {
    let head = [&(key.len() as u64).to_le_bytes(), key.as_bytes(), &9_u32.to_le_bytes(), &kind.to_le_bytes()].concat();
    let values: Vec<u8> = values.flatten().collect();
    [&head[..], &(values.len() as u64 / 4).to_le_bytes(), &values].concat()
}

/// A list of single precision.
fn reals(key: &str, values: &[f32]) -> Vec<u8> {
    list(key, 6, values.iter().map(|value| value.to_le_bytes()))
}

#[test]
fn tokens_without_scores_have_none_as_in_llama_cpp_and_damaged_scores_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |part: &str| folder.path().join(part);
    copy("llama", &at("in"));
    edit(&at("in/tokenizer.json"), |json| {
        // Of characters: "ab" is merged, then "abab".
        let mut vocabulary = json["model"]["vocab"].as_object().unwrap().clone();
        let free: Vec<String> = vocabulary.keys().filter(|token| !token.starts_with('<')).take(4).cloned().collect();
        for (from, to) in free.into_iter().zip(["a", "b", "ab", "abab"]) {
            let id = vocabulary.remove(&from).unwrap();
            vocabulary.insert(to.to_owned(), id);
        }
        json["model"] =
            json!({"type": "BPE", "vocab": vocabulary, "merges": [["a", "b"], ["ab", "ab"]], "byte_fallback": true});
        json["pre_tokenizer"] = Value::Null;
        (json["normalizer"], json["decoder"]) = (Value::Null, json!({"type": "Fuse"}));
    });
    import(&at("in"), &at("run")).unwrap();
    let trained = Trained::load_row_major(&at("run")).unwrap();
    export_gguf(&trained, &at("out.gguf"), GgufType::F32).unwrap();
    let whole = fs::read(at("out.gguf")).unwrap();
    let scores: Vec<f32> = values(&at("out.gguf"))["tokenizer.ggml.scores"]
        .as_array()
        .unwrap()
        .iter()
        .map(|score| score.as_f64().unwrap() as f32)
        .collect();
    let key = "tokenizer.ggml.scores";
    let own = reals(key, &scores);
    let cut = |bytes: &[u8]| {
        fs::write(at("changed.gguf"), bytes).unwrap();
        let foreign = crate::Foreign::open(&at("changed.gguf")).map_err(|error| error.to_string())?;
        let tokenizer = &foreign.tokenizers.target;
        Ok::<Vec<String>, String>(
            tokenizer.encode("ababab").unwrap().into_iter().filter_map(|id| tokenizer.token(id)).collect(),
        )
    };
    assert_eq!(cut(&whole).unwrap(), ["abab", "ab"]);
    // As llama.cpp: 0 for each; the leftmost pair first.
    let zeros = changed(&whole, &own, &reals(key, &vec![0.0; scores.len()]));
    let none = changed(&whole, b"tokenizer.ggml.scores", b"general.what_is_no_sc");
    assert_eq!(cut(&none).unwrap(), cut(&zeros).unwrap());
    assert_eq!(cut(&none).unwrap(), ["abab", "ab"]);
    // llama.cpp merges to tokens of any type but those that are cut out of a text before: here, to all that are unused.
    let key_of_types = "tokenizer.ggml.token_type";
    let types = values(&at("out.gguf"))[key_of_types].as_array().unwrap().clone();
    let types: Vec<i32> = types.iter().map(|kind| kind.as_i64().unwrap() as i32).collect();
    let signed = |types: &[i32]| list(key_of_types, 5, types.iter().map(|kind| kind.to_le_bytes()));
    for unused in [0, 5, 6, 99] {
        let others: Vec<i32> = types.iter().map(|&kind| if kind == 1 { unused } else { kind }).collect();
        assert_eq!(cut(&changed(&whole, &signed(&types), &signed(&others))).unwrap(), ["abab", "ab"], "{unused}");
    }
    for damaged in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut scores = scores.clone();
        scores[2] = damaged;
        let error = cut(&changed(&whole, &own, &reals(key, &scores))).unwrap_err();
        assert!(error.contains("tokenizer.ggml.scores has a number that is not finite"), "{error}");
    }
}

#[test]
fn scores_are_numbers_one_for_each_token() {
    let read = |scores: &[Value]| super::vocabulary::scores(Some(scores.to_vec()), 2);
    assert_eq!(super::vocabulary::scores(None, 2), Ok(vec![0.0, 0.0]));
    assert_eq!(read(&[json!(-1), json!(-2.5)]), Ok(vec![-1.0, -2.5]));
    let refused = |scores: &[Value], says: &str| assert_eq!(read(scores), Err(format!("tokenizer.ggml.scores{says}")));
    refused(&[], " has 0 entries, and tokens 2");
    refused(&[json!(1.0)], " has 1 entries, and tokens 2");
    refused(&[json!(1.0), json!(2.0), json!(3.0)], " has 3 entries, and tokens 2");
    refused(&[json!("1"), json!("2")], ": expected a list of numbers");
}

#[test]
fn numbers_that_are_not_finite_are_refused_by_key() {
    let folder = tempfile::tempdir().unwrap();
    let whole = exported("llama", folder.path());
    for key in ["llama.rope.freq_base", "llama.attention.layer_norm_rms_epsilon"] {
        let start = whole.windows(key.len()).position(|bytes| bytes == key.as_bytes()).unwrap() + key.len();
        assert_eq!(whole[start..start + 4], 6_u32.to_le_bytes(), "{key} is of single precision");
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut bytes = whole.clone();
            bytes[start + 4..start + 8].copy_from_slice(&value.to_le_bytes());
            refused(folder.path(), &bytes, &format!("{key} has a number that is not finite"));
        }
    }
    // Cut within the head.
    for len in [10, 30, 100] {
        refused(folder.path(), &whole[..len], "it is damaged: it ends too early");
    }
}

#[test]
fn what_a_file_may_hold_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let at = |part: &str| folder.path().join(part);
    let whole = exported("llama", folder.path());
    let refused = |bytes: Vec<u8>, says: &str| refused(folder.path(), &bytes, says);
    let counted = |at: usize| [&whole[..at], &65_537_u64.to_le_bytes(), &whole[at + 8..]].concat();
    refused(counted(8), "it has 65537 tensors, expected at most 65536");
    refused(counted(16), "it has 65537 keys, expected at most 65536");
    // A tensor under its name in a folder of transformers.
    refused(
        changed(&whole, b"token_embd.weight", b"model.norm.weight"),
        "'model.norm.weight' is the name of a tensor in a folder",
    );
    let tokens = json!({"tokenizer.ggml.tokens": ["a", "b"]});
    let check = |rows| super::vocabulary::check(tokens.as_object().unwrap(), rows);
    assert_eq!((check(None), check(Some(2))), (Ok(()), Ok(())));
    let error = check(Some(1_000_000)).unwrap_err();
    assert!(error.contains("tokens has 2 entries, and the table of tokens 1000000 rows"), "{error}");
    // A long list that nothing reads is not kept.
    let list = |len: usize| {
        let head = [b"GGUF", &3_u32.to_le_bytes()[..], &0_u64.to_le_bytes(), &1_u64.to_le_bytes()].concat();
        [head, list("general.list", 6, (0..len).map(|_| 0.5_f32.to_le_bytes()))].concat()
    };
    fs::write(at("list.gguf"), list(4096)).unwrap();
    assert_eq!(values(&at("list.gguf"))["general.list"].as_array().unwrap().len(), 4096);
    fs::write(at("list.gguf"), list(4097)).unwrap();
    assert_eq!(values(&at("list.gguf"))["general.list"], json!("a list of 4097 entries"));
}

#[test]
fn keys_without_meaning_are_told_and_others_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |part: &str| folder.path().join(part);
    let trained = imported("gemma3", folder.path(), &without("gemma3"));
    export_gguf(&trained, &at("out.gguf"), GgufType::F32).unwrap();
    let whole = fs::read(at("out.gguf")).unwrap();
    let read = |bytes: Vec<u8>, run: &str| {
        fs::write(at("changed.gguf"), bytes).unwrap();
        import(&at("changed.gguf"), &at(run)).map_err(|error| error.to_string())
    };
    let notes = read(changed(&whole, b"general.file_type", b"general.something"), "general").unwrap();
    assert_eq!(notes, Vec::<String>::new());
    // What llama.cpp takes where nothing is said: every sixth layer sees all, a base of 10000 elsewhere.
    let none = changed(&whole, b"gemma3.attention.sliding_window_pattern", b"tokenizer.attention.sliding_window_patt");
    read(none, "pattern").unwrap();
    let model = Trained::load_row_major(&at("pattern")).unwrap().recipe.model;
    assert_eq!((model.transformer().window, model.transformer().full_layers), (Some(3), Vec::new()));
    read(changed(&whole, b"gemma3.rope.freq_base_swa", b"general.rope.freqbase_swa"), "base").unwrap();
    let model = Trained::load_row_major(&at("base")).unwrap().recipe.model;
    assert_eq!(model.transformer().local_rotary_base, Some(10_000.0));
    let refused = |from: &[u8], to: &[u8], says: &str| {
        let error = read(changed(&whole, from, to), "none").unwrap_err();
        assert!(error.contains(says), "{error}");
    };
    refused(b"gemma3.rope.freq_base_swa", b"gemma3.rope.freq_bass_swa", "gemma3.rope.freq_bass_swa");
    refused(b"gemma3.attention.value_length", b"gemma3.attention.clamp_kqv_xx", "gemma3.attention.clamp_kqv_xx");
    refused(b"gemma3.context_length", b"gemma3.contexts_lengt", "gemma3.context_length");
    // Numbers that have to be something: of a mixture, or of another head.
    refused(b"gemma3.block_count", b"gemma3.expert_coun", "gemma3.block_count");
    refused(b"gemma3.feed_forward_length", b"gemma3.attention.alibi_bia", "gemma3.attention.alibi_bia");
}

#[test]
fn reduced_numbers_come_in_as_they_were_rounded() {
    for (numbers, file_type) in [(GgufType::F16, 1), (GgufType::BF16, 32)] {
        let rounded = |x: f32| match numbers {
            GgufType::F16 => half::f16::from_f32(x).to_f32(),
            _ => half::bf16::from_f32(x).to_f32(),
        };
        for name in ["gpt2", "gemma3"] {
            let folder = tempfile::tempdir().unwrap();
            let at = |part: &str| folder.path().join(part);
            let mut trained = imported(name, folder.path(), &without(name));
            export_gguf(&trained, &at("out.gguf"), numbers).unwrap();
            assert_eq!(values(&at("out.gguf"))["general.file_type"], file_type);
            import(&at("out.gguf"), &at("back")).unwrap();
            let back = Trained::load_row_major(&at("back")).unwrap();
            let mut reduced = 0;
            for id in trained.parameters.ids() {
                let id_name = trained.parameters.name(id).to_owned();
                let is_matrix = trained.parameters.shape(id).rank() == 2 && !id_name.contains("position");
                reduced += usize::from(is_matrix);
                let expected = trained.parameters.values::<f32>(id).iter();
                let expected: Vec<f32> = expected.map(|&x| if is_matrix { rounded(x) } else { x }).collect();
                assert_eq!(back.parameters.values::<f32>(id), expected, "{name}: {id_name}");
            }
            assert!(reduced > 8);
            if numbers == GgufType::F16 {
                let id = trained.parameters.find("decoder.embedding.weight").unwrap();
                trained.parameters.values_mut::<f32>(id)[3] = 70_000.0;
                let error = export_gguf(&trained, &at("large.gguf"), numbers).unwrap_err().to_string();
                assert!(error.contains("token_embd.weight") && error.contains("70000"), "{error}");
            }
        }
    }
}

#[test]
fn blocks_of_8_and_4_bits_come_in_as_they_were_rounded() {
    let mut whole = 0;
    for name in ["gpt2", "llama3"] {
        for (weights, numbers) in [(WeightType::Int8, GgufType::Q8_0), (WeightType::Q4, GgufType::Q4_0)] {
            let folder = tempfile::tempdir().unwrap();
            let at = |part: &str| folder.path().join(part);
            let trained = imported(name, folder.path(), &without(name));
            export_gguf(&trained, &at("full.gguf"), numbers).unwrap();
            trained.quantize(weights, &at("quantized")).unwrap();
            let reduced = Trained::load_row_major(&at("quantized")).unwrap();
            assert_eq!(GgufType::of_weights(weights), numbers);
            export_gguf(&reduced, &at("reduced.gguf"), numbers).unwrap();
            import(&at("reduced.gguf"), &at("back")).unwrap();
            let back = Trained::load_row_major(&at("back")).unwrap();
            for id in trained.parameters.ids() {
                let own = trained.parameters.name(id).to_owned();
                let shape = trained.parameters.shape(id);
                whole += usize::from(shape.rank() == 2 && shape.last().is_multiple_of(32) && !own.contains("position"));
                assert_eq!(
                    back.parameters.tensor(id).to_f64(),
                    reduced.parameters.tensor(id).to_f64(),
                    "{name}: {own}"
                );
            }
            // Of weights in full precision each block has its own scale, and rounding again changes nothing.
            import(&at("full.gguf"), &at("rounded")).unwrap();
            let rounded = Trained::load_row_major(&at("rounded")).unwrap();
            export_gguf(&rounded, &at("again.gguf"), numbers).unwrap();
            assert_eq!(fs::read(at("full.gguf")).unwrap(), fs::read(at("again.gguf")).unwrap(), "{name} {numbers}");
            for id in trained.parameters.ids() {
                let pair = [&rounded, &trained].map(|run| run.parameters.tensor(id).to_f64());
                let largest = pair[1].iter().fold(0.0_f64, |most, x| most.max(x.abs()));
                let most = largest * if numbers == GgufType::Q8_0 { 0.005 } else { 0.13 };
                assert!(pair[0].iter().zip(&pair[1]).all(|(a, b)| (a - b).abs() <= most), "{name} {numbers}");
            }
            // A second rounding is refused.
            let other = if numbers == GgufType::Q8_0 { GgufType::Q4_0 } else { GgufType::Q8_0 };
            let error = export_gguf(&reduced, &at("other.gguf"), other).unwrap_err().to_string();
            assert!(error.contains("a second time"), "{error}");
        }
    }
    assert!(whole > 2, "{whole} matrices of whole blocks");
}

#[test]
fn damaged_places_types_and_numbers_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |part: &str| folder.path().join(part);
    let trained = imported("llama3", folder.path(), &[]);
    export_gguf(&trained, &at("out.gguf"), GgufType::F32).unwrap();
    let whole = fs::read(at("out.gguf")).unwrap();
    let refused = |key: &str, skipped: usize, bytes: &[u8], says: &str| {
        let place = whole.windows(key.len()).position(|part| part == key.as_bytes()).unwrap() + key.len() + skipped;
        let changed = [&whole[..place], bytes, &whole[place + bytes.len()..]].concat();
        fs::write(at("changed.gguf"), changed).unwrap();
        let error = import(&at("changed.gguf"), &at("none")).unwrap_err().to_string();
        assert!(error.contains(says), "{key}: {error}");
    };
    // Behind a name: the number of axes, two lengths and the type, then the place.
    refused("blk.0.ffn_up.weight", 4 + 16 + 4, &0_u64.to_le_bytes(), "begins within");
    // Behind a key: its type, then its value.
    refused("llama.rope.freq_base", 4, &f32::NAN.to_le_bytes(), "llama.rope.freq_base");
    refused("tokenizer.ggml.eos_token_id", 0, &6_u32.to_le_bytes(), "tokenizer.ggml.eos_token_id");
    refused("tokenizer.ggml.add_bos_token", 0, &0_u32.to_le_bytes(), "tokenizer.ggml.add_bos_token");
    // Numbers of the first and of the last tensor.
    let at_end = whole.len() - 32;
    let factors = [&whole[..at_end], &f32::INFINITY.to_le_bytes(), &whole[at_end + 4..]].concat();
    fs::write(at("changed.gguf"), factors).unwrap();
    let error = import(&at("changed.gguf"), &at("none")).unwrap_err().to_string();
    assert!(error.contains("rope_freqs.weight") && error.contains("inf"), "{error}");
}
