use super::*;
use serde_json::json;

fn file() -> Value {
    json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [{"id": 3, "content": "</s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true},
        "post_processor": null,
        "decoder": {"type": "Sequence", "decoders": [{"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]}
    })
}

/// What is said of a file with another value at a place.
#[track_caller]
fn changed(place: &str, value: Value) -> Result<Ids, String> {
    let mut file = file();
    *file.pointer_mut(place).unwrap() = value;
    check(file.to_string().as_bytes())
}

#[test]
fn components_are_known_and_bounded() {
    let ids = changed("/version", json!("1.0")).unwrap();
    assert_eq!((ids.highest, ids.added.len()), ((2, "ab".to_owned()), 1));
    let refused = |place: &str, value: Value, part: &str| {
        let error = changed(place, value.clone()).unwrap_err();
        assert!(error.contains(part), "{place} {value}: {error}");
    };
    refused("/decoder", json!({"type": "Strip", "content": "l", "start": 3, "stop": 3}), "stop = 3: expected");
    refused("/decoder", json!({"type": "Strip", "content": "l", "start": -1, "stop": 0}), "start = -1");
    refused("/decoder", json!({"type": "Chain"}), "\"Chain\" is not known");
    refused("/decoder", json!([]), "expected a type");
    refused("/normalizer", json!({"type": "Prepend", "prepend": "x".repeat(10_000)}), "10000 bytes");
    let replace = |content: &str| json!({"type": "Replace", "pattern": {"String": "a"}, "content": content});
    refused("/normalizer", replace(&"a".repeat(1_000_000)), "1000000 bytes");
    let often = json!({"type": "Sequence", "normalizers": [replace("aaaaa"), replace("aaaaa"), replace("aaaaa")]});
    refused("/normalizer", often, "64 times");
    refused(
        "/normalizer",
        json!({"type": "Replace", "pattern": {"String": ""}, "content": "x"}),
        "pattern has 0 bytes",
    );
    refused("/normalizer", json!({"type": "Precompiled", "precompiled_charsmap": "/////wAAAAAAAAAA"}), "does not lie");
    let deep = (0..100).fold(json!({"type": "NFC"}), |inner, _| json!({"type": "Sequence", "normalizers": [inner]}));
    assert!(changed("/normalizer", deep).is_err());
    refused(
        "/normalizer",
        json!({"type": "Sequence", "normalizers": vec![json!({"type": "NFC"}); 100]}),
        "64 components",
    );
    refused("/pre_tokenizer", json!({"type": "FixedLength", "length": 0}), "length = 0");
    refused("/pre_tokenizer", json!({"type": "Split", "pattern": "x"}), "expected a String or a Regex");
    refused("/model/vocab", json!({}), "0 entries");
    refused("/model/vocab", json!({"x".repeat(300_000): 0}), "300000 bytes");
    refused("/model/vocab", json!({"a": 0, "b": 1, "ab": 2_147_483_648_u32}), "2147483648");
    refused("/model/vocab", json!({"a": 0, "b": 4_294_967_296_u64}), "4294967296");
    refused("/model/vocab", json!({"a": 0, "b": 0}), "have one id");
    refused("/model/vocab", json!([["a", 0.0]]), "as BPE has");
    refused("/model/type", json!("Trigram"), "\"Trigram\"");
    refused("/model/dropout", json!(0.1), "dropout");
    refused("/added_tokens/0/content", json!(""), "0 bytes");
    refused("/added_tokens/0/id", json!(-1), "-1");
    let pieces = json!({"type": "Unigram", "unk_id": 2, "vocab": [["a", 0.0], ["b", -1.0]]});
    refused("/model", pieces, "unk_id = 2");
    refused("/model", json!({"type": "Unigram", "unk_id": 0, "vocab": [["a", 0.0, 1]]}), "a piece and its score");
    let words = json!({"type": "WordPiece", "unk_token": "a", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100_000, "vocab": {"a": 0}});
    refused("/model", words, "max_input_chars_per_word = 100000");
}
