//! How the writers of a folder generate: its `generation_config.json`, or where it has none, what `config.json` says of it.

use crate::config_keys::Keys;
use descant_generate::Ranking;
use descant_inference::GenerationConfig;
use serde_json::Value;
use std::cell::RefCell;
use std::mem::swap;

/// Keys that say nothing of how tokens are chosen, or what is read elsewhere.
const OTHER: [&str; 30] = [
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
    // Forbidden tokens never keep a share here.
    "renormalize_logits",
    "return_dict_in_generate",
    "return_legacy_cache",
    "target_lookbehind",
    "transformers_version",
    "use_cache",
    "trust_remote_code",
];

/// Values with which a key changes nothing.
fn is_neutral(key: &str, value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(items) => items.is_empty(),
        Value::Number(number) => {
            let neutral: &[f64] = match key {
                "repetition_penalty"
                | "encoder_repetition_penalty"
                | "typical_p"
                | "guidance_scale"
                | "num_beam_groups" => &[1.0],
                _ => &[0.0],
            };
            number.as_f64().is_some_and(|number| neutral.contains(&number))
        }
        _ => false,
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

/// Exchanges a value of two tables.
type Exchange = fn(&mut GenerationConfig, &mut GenerationConfig);

/// The values that have a range, by their keys.
fn exchanges(length: &str) -> [(&str, Exchange); 5] {
    [
        ("num_beams", |a, b| swap(&mut a.beam, &mut b.beam)),
        ("length_penalty", |a, b| swap(&mut a.length_penalty, &mut b.length_penalty)),
        ("temperature", |a, b| swap(&mut a.temperature, &mut b.temperature)),
        ("top_p", |a, b| swap(&mut a.top_p, &mut b.top_p)),
        (length, |a, b| swap(&mut a.max_length, &mut b.max_length)),
    ]
}

/// What is taken over, and a line for each key that is not.
///
/// # Errors
/// A key whose value is of another type.
pub(crate) fn read(
    generation: Option<&Value>,
    config: &Value,
    reads_a_source: bool,
) -> Result<(GenerationConfig, Vec<String>), String> {
    let of_model = || {
        let own = config.as_object().into_iter().flatten();
        own.filter(|(key, _)| OF_MODEL.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    };
    let json = generation.cloned().unwrap_or_else(|| Value::Object(of_model()));
    let read = RefCell::default();
    let reader = Keys::new(&json, &read);
    let mut left: Vec<String> = Vec::new();
    let mut leave = |key: &str, why: &str| left.push(format!("{key} = {}: {why}", json[key]));

    let beam = reader.number_if("num_beams")?.filter(|&width| width > 1);
    let sample = reader.get("do_sample", "true or false", Value::as_bool)?;
    let drawn = sample == Some(true);
    // Without a draw, these say nothing.
    let real = |key: &str, neutral: f64| -> Result<Option<f64>, String> {
        Ok(reader.get(key, "a number", Value::as_f64)?.filter(|&value| drawn && value != neutral))
    };
    let (temperature, top_p) = (real("temperature", 1.0)?, real("top_p", 1.0)?);
    // Transformers' own default is 50.
    let top_k = reader.number_if("top_k")?.unwrap_or(50);
    let top_k = Some(top_k).filter(|&k| drawn && k > 0);
    let length_penalty = reader.get("length_penalty", "a number", Value::as_f64)?;
    match json.get("early_stopping") {
        None | Some(Value::Null | Value::Bool(false)) => {}
        Some(_) => leave("early_stopping", "a beam search ends as with false"),
    }
    let max_new = reader.number_if("max_new_tokens")?;
    let max_length = match (max_new, reader.number_if("max_length")?) {
        (Some(tokens), _) => Some(tokens),
        // The start of the decoder counts there.
        (None, Some(length @ 2..)) if reads_a_source => Some(length - 1),
        (None, Some(length)) if length > 0 && length != 20 => {
            leave("max_length", "it counts the prompt, as --max-length does not");
            None
        }
        _ => None,
    };
    let mut forbidden = reader.ids("suppress_tokens")?;
    let words = reader.get("bad_words_ids", "a list of lists of ids", |value| {
        let ids = |word: &Value| word.as_array()?.iter().map(|id| u32::try_from(id.as_u64()?).ok()).collect();
        value.as_array()?.iter().map(ids).collect::<Option<Vec<Vec<u32>>>>()
    })?;
    for word in words.unwrap_or_default() {
        match word[..] {
            [token] => forbidden.push(token),
            _ => leave("bad_words_ids", "only single tokens are forbidden"),
        }
    }
    forbidden.sort_unstable();
    forbidden.dedup();
    let forced_beginning = reader.ids("forced_bos_token_id")?.into_iter().take(1).filter(|_| reads_a_source).collect();
    let forced_end = !reader.ids("forced_eos_token_id")?.is_empty();
    let known = [
        "bad_words_ids",
        "do_sample",
        "early_stopping",
        "forced_bos_token_id",
        "forced_eos_token_id",
        "length_penalty",
        "max_length",
        "max_new_tokens",
        "num_beams",
        "suppress_tokens",
        "temperature",
        "top_k",
        "top_p",
    ];
    for (key, value) in json.as_object().into_iter().flatten() {
        let is_known = known.contains(&key.as_str()) || OTHER.contains(&key.as_str()) || is_neutral(key, value);
        if !is_known {
            leave(key, "texts are written without it");
        }
    }
    let ranking = Ranking::Tokens;
    let mut found = GenerationConfig {
        beam,
        length_penalty,
        ranking,
        sample,
        temperature,
        top_k,
        top_p,
        max_length,
        forbidden,
        forced_beginning,
        forced_end,
    };
    let length = if max_new.is_some() { "max_new_tokens" } else { "max_length" };
    // With what a recipe refuses, nothing would open the run.
    for (key, exchange) in exchanges(length) {
        let mut alone = GenerationConfig::default();
        exchange(&mut alone, &mut found);
        match alone.validate() {
            Ok(()) => exchange(&mut alone, &mut found),
            Err(reason) => {
                let (_, expected) = reason.split_once(": ").unwrap_or_default();
                leave(key, &format!("{expected}, so it is left out"));
            }
        }
    }
    Ok((found, left))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn taken(generation: &Value) -> (GenerationConfig, Vec<String>) {
        read(Some(generation), &json!({"num_beams": 7}), true).unwrap()
    }

    #[test]
    fn what_there_is_is_taken_over_and_the_rest_is_told() {
        let nothing = GenerationConfig { ranking: Ranking::Tokens, ..GenerationConfig::default() };
        let silent = json!({"eos_token_id": 2, "repetition_penalty": 1.0, "no_repeat_ngram_size": 0, "transformers_version": "5"});
        assert_eq!(taken(&silent), (nothing.clone(), Vec::new()));
        let opus = json!({"num_beams": 4, "bad_words_ids": [[9], [1, 2]], "max_length": 512, "forced_eos_token_id": 0,
            "forced_bos_token_id": 5, "suppress_tokens": [3, 9], "length_penalty": 2.0});
        let (found, left) = taken(&opus);
        let expected = GenerationConfig {
            beam: Some(4),
            forbidden: vec![3, 9],
            max_length: Some(511),
            forced_end: true,
            forced_beginning: vec![5],
            length_penalty: Some(2.0),
            ..nothing.clone()
        };
        assert_eq!(found, expected);
        assert_eq!(left, ["bad_words_ids = [[9],[1,2]]: only single tokens are forbidden"]);
        let chat = json!({"do_sample": true, "temperature": 0.7, "top_p": 0.8, "repetition_penalty": 1.05, "max_new_tokens": 9});
        let (found, left) = taken(&chat);
        let expected = GenerationConfig {
            sample: Some(true),
            temperature: Some(0.7),
            top_p: Some(0.8),
            top_k: Some(50),
            max_length: Some(9),
            ..nothing
        };
        assert_eq!(found, expected);
        assert_eq!(left, ["repetition_penalty = 1.05: texts are written without it"]);
        let (old, _) = read(None, &json!({"num_beams": 7, "hidden_size": 3}), false).unwrap();
        assert_eq!(old.beam, Some(7));
        assert!(read(Some(&json!({"num_beams": "x"})), &json!({}), true).unwrap_err().contains("num_beams"));
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
            let kept = [found.temperature, found.top_p, found.max_length.map(|length| length as f64)];
            let expected = ["temperature", "top_p", "max_new_tokens"].into_iter().zip([0.5, 0.5, 7.0]);
            let expected: Vec<Option<f64>> = expected.map(|(name, value)| (name != key).then_some(value)).collect();
            assert_eq!(kept[..], expected, "{key}");
        };
        one("temperature", json!(0), "temperature = 0: expected a number from 0.001");
        one("temperature", json!(-1), "temperature = -1: ");
        one("temperature", json!(1e-320), "temperature = 1e-320: ");
        one("top_p", json!(0), "top_p = 0: expected a number above 0, at most 1");
        one("top_p", json!(1e18), "top_p = 1e+18: ");
        one("num_beams", json!(i32::MAX), "num_beams = 2147483647: expected a whole number from 1 to 65536");
        one("length_penalty", json!(-1), "length_penalty = -1: expected a number from 0");
        one("max_new_tokens", json!(0), "max_new_tokens = 0: expected a whole number from 1");
        // Both are reported.
        let (found, left) = taken(&json!({"do_sample": true, "temperature": 0, "top_p": 0}));
        assert_eq!((found.temperature, found.top_p, left.len()), (None, None, 2));
    }
}
