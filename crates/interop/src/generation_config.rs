//! How the writers of a folder generate: its `generation_config.json`, or where it has none, what `config.json` says of it.

use descant_generate::{ForcedEos, GenerationConfig, Group, OPTIONS, Ranking, is_neutral};
use serde_json::{Map, Value, json};

/// Keys that say nothing of how tokens are chosen, or what is read elsewhere.
const OTHER: [&str; 29] = [
    "_from_model_config",
    "assistant_confidence_threshold",
    "assistant_lookbehind",
    "bos_token_id",
    "cache_config",
    "cache_implementation",
    "compile_config",
    "decoder_start_token_id",
    "disable_compile",
    "eos_token_id",
    "is_assistant",
    "low_memory",
    "max_matching_ngram_size",
    "num_assistant_tokens",
    "num_assistant_tokens_schedule",
    "num_return_sequences",
    "output_attentions",
    "output_hidden_states",
    "output_logits",
    "output_scores",
    "pad_token_id",
    "prefill_chunk_size",
    "prompt_lookup_num_tokens",
    "return_dict_in_generate",
    "return_legacy_cache",
    "target_lookbehind",
    "transformers_version",
    "use_cache",
    "trust_remote_code",
];

/// What `transformers` draws from where nothing says how many tokens.
const TOP_K: usize = 50;

/// The length of a text with its prompt where nothing says it, in old folders.
const MAX_LENGTH: u64 = 20;

/// Whether a key that is not known changes nothing with this value.
fn is_idle(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(items) => items.is_empty(),
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Bool(true) | Value::String(_) => false,
    }
}

/// Keys of a `config.json` that are of generation, as older folders have them.
pub(crate) const OF_MODEL: [&str; 22] = [
    "bad_words_ids",
    "begin_suppress_tokens",
    "diversity_penalty",
    "do_sample",
    "early_stopping",
    "encoder_no_repeat_ngram_size",
    "exponential_decay_length_penalty",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "length_penalty",
    "max_length",
    "min_length",
    "no_repeat_ngram_size",
    "num_beam_groups",
    "num_beams",
    "remove_invalid_values",
    "repetition_penalty",
    "suppress_tokens",
    "temperature",
    "top_k",
    "top_p",
    "typical_p",
];

/// What is taken over, and a line for each key that is not.
pub(crate) fn read(
    generation: Option<&Value>,
    config: &Value,
    reads_a_source: bool,
) -> (GenerationConfig, Vec<String>) {
    let of = |value: &Value| value.as_object().cloned().unwrap_or_default();
    let json = match generation {
        Some(generation) => of(generation),
        None => of(config).into_iter().filter(|(key, _)| OF_MODEL.contains(&key.as_str())).collect(),
    };
    let (mut found, mut left) = (GenerationConfig::default(), Vec::new());
    found.ranking = Some(Ranking::Tokens);
    let is_true = |key: &str| json.get(key) == Some(&Value::Bool(true));
    let drawn = is_true("do_sample");
    let contrasts = json.get("penalty_alpha").and_then(Value::as_f64).is_some_and(|alpha| alpha > 0.0);
    if drawn && !json.contains_key("top_k") {
        found.top_k = Some(TOP_K);
    }
    for (key, value) in &json {
        let mut leave = |why: &str| left.push(format!("{key} = {value}: {why}"));
        let option = OPTIONS.iter().find(|option| option.name == key);
        match (&key[..], option) {
            (key, _) if OTHER.contains(&key) => {}
            ("max_length", _) if json.contains_key("max_new_tokens") => {}
            // The start of the decoder counts there.
            ("max_length", _) if reads_a_source => match value.as_u64() {
                Some(length @ 2..) => found.max_new_tokens = usize::try_from(length - 1).ok(),
                _ if is_idle(value) => {}
                _ => leave("expected a whole number, 2 or more, so it is left out"),
            },
            ("max_length", _) if value.as_u64() == Some(MAX_LENGTH) || is_idle(value) => {}
            ("max_length", _) => leave("it counts the prompt, as --max-new-tokens does not"),
            (_, Some(option)) if is_neutral(option, value) => {}
            // Defaults that mean the same.
            ("top_k", _) if is_idle(value) => {}
            ("early_stopping", _) if *value == Value::Bool(false) => {}
            ("forced_bos_token_id", _) if !reads_a_source => {}
            ("coverage_penalty", _) if !reads_a_source => leave("a language model has no source to cover"),
            ("top_k", _) if !(drawn || contrasts) => {}
            // Such a model has no attributes, which guidance could leave out.
            ("guidance_scale", _) if reads_a_source => leave("texts are written without it"),
            // Without a draw, these say nothing.
            (name, Some(option))
                if option.group == Group::Sampling && !["do_sample", "top_k"].contains(&name) && !drawn => {}
            (name, Some(_)) => {
                if let Err(reason) = found.set(name, value.clone()) {
                    let (_, expected) = reason.split_once(": ").unwrap_or_default();
                    leave(&format!("{expected}, so it is left out"));
                }
            }
            (_, None) if is_idle(value) => {}
            (_, None) => leave("texts are written without it"),
        }
    }
    // With what a recipe refuses, nothing would open the run.
    while let Err(reason) = found.validate() {
        let name = reason.split([' ', ':']).next().unwrap_or_default();
        let before = found.clone();
        found.unset(name);
        left.push(format!("{reason}, so it is left out"));
        if found == before {
            return (GenerationConfig::default().with(|config| config.ranking = Some(Ranking::Tokens)), left);
        }
    }
    (found, left)
}

/// What `generation_config.json` is to say beside the ids of special tokens.
pub(crate) fn write(config: &GenerationConfig, eos: &[u32]) -> Map<String, Value> {
    let mut all = config.to_map();
    match all.get("ranking").and_then(Value::as_str) {
        // As transformers ranks.
        Some("tokens") => drop(all.remove("ranking")),
        None if !all.is_empty() => drop(all.insert("ranking".to_owned(), json!(Ranking::Gnmt))),
        _ => {}
    }
    if let Some(ForcedEos::Own(forced)) = config.forced_eos_token_id {
        all.insert("forced_eos_token_id".to_owned(), json!(eos.first().filter(|_| forced)));
    }
    for name in ["forced_bos_token_id", "forced_eos_token_id"] {
        if let Some(Value::Array(ids)) = all.get(name)
            && let [id] = &ids[..]
        {
            let id = id.clone();
            all.insert(name.to_owned(), id);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use descant_generate::TokenIds;

    fn taken(generation: &Value) -> (GenerationConfig, Vec<String>) {
        read(Some(generation), &json!({"num_beams": 7}), true)
    }

    #[test]
    fn what_there_is_is_taken_over_and_the_rest_is_told() {
        let nothing = GenerationConfig::default().with(|config| config.ranking = Some(Ranking::Tokens));
        let silent = json!({"eos_token_id": 2, "repetition_penalty": 1.0, "no_repeat_ngram_size": 0, "transformers_version": "5"});
        assert_eq!(taken(&silent), (nothing.clone(), Vec::new()));
        let opus = json!({"num_beams": 4, "bad_words_ids": [[9], [1, 2]], "max_length": 512, "forced_eos_token_id": 0,
            "forced_bos_token_id": 5, "suppress_tokens": [3, 9], "length_penalty": 2.0, "renormalize_logits": true});
        let expected = nothing.clone().with(|config| {
            config.num_beams = Some(4);
            config.bad_words_ids = Some(vec![vec![9], vec![1, 2]]);
            config.max_new_tokens = Some(511);
            config.forced_eos_token_id = Some(ForcedEos::Ids(TokenIds(vec![0])));
            config.forced_bos_token_id = Some(TokenIds(vec![5]));
            config.suppress_tokens = Some(TokenIds(vec![3, 9]));
            config.length_penalty = Some(2.0);
            config.renormalize_logits = Some(true);
        });
        assert_eq!(taken(&opus), (expected.clone(), Vec::new()));
        // What is written is read again.
        let mut written = Value::Object(write(&expected, &[0]));
        assert_eq!((&written["forced_bos_token_id"], &written["max_new_tokens"]), (&json!(5), &json!(511)));
        assert_eq!(taken(&written), (expected, Vec::new()));
        written = Value::Object(write(&GenerationConfig::beam(3), &[0]));
        assert_eq!(written["ranking"], "gnmt");
        let chat = json!({"do_sample": true, "temperature": 0.7, "top_p": 0.8, "repetition_penalty": 1.05, "max_new_tokens": 9,
            "guidance_scale": 2.0});
        let (found, left) = taken(&chat);
        let expected = nothing.with(|config| {
            config.do_sample = Some(true);
            config.temperature = Some(0.7);
            config.top_p = Some(0.8);
            config.top_k = Some(50);
            config.repetition_penalty = Some(1.05);
            config.max_new_tokens = Some(9);
        });
        assert_eq!(found, expected);
        // An encoder-decoder from elsewhere has no attributes.
        assert_eq!(left, ["guidance_scale = 2.0: texts are written without it"]);
        assert_eq!(read(Some(&chat), &json!({}), false).0.guidance_scale, Some(2.0));
        let (old, _) = read(None, &json!({"num_beams": 7, "hidden_size": 3}), false);
        assert_eq!(old.num_beams, Some(7));
        // Without a draw, what it would be like says nothing.
        let (greedy, left) = taken(&json!({"do_sample": false, "temperature": 0.6, "top_k": 20}));
        assert_eq!((greedy.temperature, greedy.top_k, greedy.do_sample, left), (None, None, Some(false), Vec::new()));
    }

    #[test]
    fn what_a_recipe_refuses_is_left_out_and_told() {
        let one = |key: &str, value: Value, says: &str| {
            let mut generation = json!({"do_sample": true, "temperature": 0.5, "top_p": 0.5, "max_new_tokens": 7});
            generation[key] = value;
            let (found, left) = taken(&generation);
            found.validate().unwrap();
            assert!(
                left.len() == 1 && left[0].starts_with(says) && left[0].ends_with(", so it is left out"),
                "{left:?}"
            );
            // The others stay.
            let kept = [found.temperature, found.top_p, found.max_new_tokens.map(|length| length as f64)];
            let expected = ["temperature", "top_p", "max_new_tokens"].into_iter().zip([0.5, 0.5, 7.0]);
            let expected: Vec<Option<f64>> = expected.map(|(name, value)| (name != key).then_some(value)).collect();
            assert_eq!(kept[..], expected, "{key}");
        };
        one("temperature", json!(0), "temperature = 0: expected a number, 0.001 or more");
        one("temperature", json!(-1), "temperature = -1: ");
        one("temperature", json!(1e-320), "temperature = 1e-320: ");
        one("top_p", json!(0), "top_p = 0: expected a number, above 0, to 1");
        one("top_p", json!(1e18), "top_p = 1e+18: ");
        one("num_beams", json!(i32::MAX), "num_beams = 2147483647: expected a whole number, from 1 to 65536");
        one("num_beams", json!("x"), "num_beams = \"x\": expected a whole number");
        one("num_beam_groups", json!(0), "num_beam_groups = 0: expected a whole number");
        one("penalty_alpha", json!(2), "penalty_alpha = 2: expected a number, from 0 to 1");
        one("max_new_tokens", json!(0), "max_new_tokens = 0: expected a whole number, 1 or more");
        // What does not fit something else.
        let (found, left) = taken(&json!({"num_beams": 4, "num_beam_groups": 3, "diversity_penalty": 0.5}));
        assert_eq!((found.num_beams, found.num_beam_groups), (Some(4), None));
        assert_eq!(left, ["num_beam_groups = 3: expected a divisor of num_beams = 4, so it is left out"]);
        // Both are reported.
        let (found, left) = taken(&json!({"do_sample": true, "temperature": 0, "top_p": 0}));
        assert_eq!((found.temperature, found.top_p, left.len()), (None, None, 2));
    }
}
