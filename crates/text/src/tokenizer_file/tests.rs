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
    let long = |first: usize| json!([format!("{first}{}", "b".repeat(4000)), 0.0]);
    let long = json!({"type": "Unigram", "unk_id": 0, "vocab": (0..600).map(long).collect::<Vec<_>>()});
    refused("/model", long, "prefixes, expected at most 2097152");
    let words = json!({"type": "WordPiece", "unk_token": "a", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100_000, "vocab": {"a": 0}});
    refused("/model", words, "max_input_chars_per_word = 100000");
}

/// `tokenizers` reads the same file to the same tokenizer, whatever the model and whichever way merges are written.
#[test]
fn a_tokenizer_is_the_one_that_the_library_reads() {
    let pairs = |merges: Value| json!({"type": "BPE", "unk_token": "a", "fuse_unk": true, "byte_fallback": true, "ignore_merges": true, "continuing_subword_prefix": "", "end_of_word_suffix": null, "vocab": {"a": 0, "b": 1, "ab": 2, "a b": 4, "\u{e9}": 5}, "merges": merges});
    let words = json!({"a": 0, "##b": 1, "[UNK]": 2});
    let models = [
        pairs(json!([["a", "b"]])),
        pairs(json!(["a b"])),
        pairs(json!(["#version: 0.2", "a b"])),
        pairs(json!([])),
        json!({"type": "Unigram", "unk_id": 0, "vocab": [["a", 0.0], ["b", -1.5]], "byte_fallback": true}),
        json!({"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 9, "vocab": words}),
        json!({"type": "WordLevel", "unk_token": "[UNK]", "vocab": words}),
        json!({"vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}),
    ];
    for model in models {
        let mut file = file();
        file["model"] = model;
        let bytes = file.to_string();
        check(bytes.as_bytes()).unwrap();
        let ours = tokenizer(bytes.as_bytes()).unwrap().to_string(false).unwrap();
        let theirs = tokenizers::Tokenizer::from_bytes(&bytes).unwrap().to_string(false).unwrap();
        assert_eq!(ours, theirs);
    }
    for (merges, says) in [
        (json!(["a"]), "merge \"a\""),
        (json!(["a b c"]), "merge \"a b c\""),
        (json!([["a"]]), "length"),
        (json!([["a", "b", "ab"]]), "length"),
        (json!([["a", "x"]]), "out of vocabulary"),
    ] {
        let mut file = file();
        file["model"] = pairs(merges);
        let error = tokenizer(file.to_string().as_bytes()).unwrap_err();
        assert!(error.contains(says), "{error}");
        assert!(tokenizers::Tokenizer::from_bytes(file.to_string()).is_err());
    }
}
