//! Decoding as `transformers` does it (`tools/generation_references.py`): token by token and score by score, and what is drawn by
//! a χ² test.

use descant_autograd::Tape;
use descant_batch::Sequences;
use descant_generate::{DecodingBatch, DecodingOptions, GenerationConfig, Hypothesis, generate};
use descant_inference::Trained;
use descant_interop::import;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const FAMILIES: [&str; 5] = ["gpt2", "llama", "marian", "bart", "t5"];
const EOS: u32 = 2;
/// New tokens in the references.
const LONGEST: usize = 10;
const DRAWS: usize = 10_000;

struct Reference {
    name: &'static str,
    trained: Trained,
    expected: Value,
    prompts: Vec<Vec<u32>>,
}

impl Reference {
    fn read(name: &'static str, file: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(name);
        Self::of(name, &folder, &folder.join(file))
    }

    /// Of the model in a folder, and the file of what it generates.
    fn of(name: &'static str, folder: &Path, file: &Path) -> Self {
        let place = tempfile::tempdir().unwrap();
        import(folder, &place.path().join("run")).unwrap();
        let trained = Trained::load(&place.path().join("run")).unwrap();
        let expected: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        let prompts = serde_json::from_value(expected["prompts"].clone()).unwrap();
        Self { name, trained, expected, prompts }
    }

    /// The texts for some prompts, of a case that may say how they are read without their condition.
    fn generate(&self, prompts: &[Vec<u32>], case: &Value, options: &DecodingOptions) -> Vec<Vec<Hypothesis>> {
        let sequences = sequences(prompts);
        let without: Option<Vec<Vec<u32>>> = serde_json::from_value(case["without"].clone()).unwrap();
        let without = without.as_deref().map(self::sequences);
        let rows: Vec<u64> = (0..prompts.len() as u64).collect();
        let [sources, prompts] =
            [false, true].map(|is_prompt| (self.trained.is_language_model() == is_prompt).then_some(&sequences));
        let unconditional = without.as_ref();
        let input = DecodingBatch { rows: &rows, sources, prompts, unconditional, ..DecodingBatch::default() };
        let (model, parameters) = (&*self.trained.model, &self.trained.parameters);
        let found = generate(model, parameters, &mut Tape::new(), input, options).unwrap();
        found.into_iter().map(Result::unwrap).collect()
    }

    /// That texts and scores are the expected ones; how many of the texts have ended.
    fn check_texts(&self) -> usize {
        let (name, mut ended) = (self.name, 0);
        for case in self.expected["cases"].as_array().unwrap() {
            let found = self.generate(&self.prompts, case, &options(case, GenerationConfig::default(), LONGEST));
            for (row, (found, expected)) in found.iter().zip(case["texts"].as_array().unwrap()).enumerate() {
                let expected: Vec<(Vec<u32>, bool, f64)> = serde_json::from_value(expected.clone()).unwrap();
                let told = format!("{name}, {}, prompt {row}: {found:?}, not {expected:?}", case["options"]);
                assert_eq!(found.len(), expected.len(), "{told}");
                for (found, (tokens, is_ended, score)) in found.iter().zip(expected) {
                    assert_eq!((&found.tokens, found.is_finished()), (&tokens, is_ended), "{told}");
                    // Of scores in the hundreds, single precision has no more digits.
                    assert!((found.score - score).abs() <= 1e-4_f64.max(1e-6 * score.abs()), "{told}");
                    ended += usize::from(is_ended);
                }
            }
        }
        ended
    }

    /// That what is drawn has the expected distributions.
    fn check_draws(&self) {
        let name = self.name;
        for case in self.expected["distributions"].as_array().unwrap() {
            // Of a later token, what depends on those before it.
            let place = case["place"].as_u64().unwrap_or(0) as usize;
            let options = options(case, GenerationConfig::sampling(7), place + 1)
                .with(|options| options.config.num_return_sequences = Some(DRAWS));
            let expected: Vec<(u32, f64)> = serde_json::from_value(case["probabilities"].clone()).unwrap();
            let mut counts = BTreeMap::new();
            for found in self.generate(&self.prompts[..1], case, &options).concat() {
                *counts.entry(found.tokens.get(place).copied().unwrap_or(EOS)).or_insert(0) += 1;
            }
            let (mut statistic, mut freedom) = (0.0, -1.0);
            // Tokens that hardly come count as one.
            let (mut rare, mut rare_count) = (case["rest"].as_f64().unwrap() * DRAWS as f64, 0);
            let rest = rare;
            for (token, probability) in expected {
                let (count, mean) = (counts.remove(&token).unwrap_or(0), probability * DRAWS as f64);
                if mean >= 5.0 {
                    statistic += (f64::from(count) - mean).powi(2) / mean;
                    freedom += 1.0;
                } else {
                    (rare, rare_count) = (rare + mean, rare_count + count);
                }
            }
            assert!(
                counts.is_empty() || rest > 0.0,
                "{name}, {}: tokens that were left out, {counts:?}",
                case["options"]
            );
            rare_count += counts.into_values().sum::<i32>();
            if rare >= 5.0 {
                statistic += (f64::from(rare_count) - rare).powi(2) / rare;
                freedom += 1.0;
            } else {
                // Of a Poisson variable with a mean below 5, more come less than once in 1,000 times.
                assert!(rare_count < 14, "{name}, {}: {rare_count} rare tokens, not {rare}", case["options"]);
            }
            let told = format!("{}, {}: χ² of {statistic:.1} at {freedom}", name, case["options"]);
            assert!(freedom < 1.0 || statistic < critical_value(freedom), "{told}");
        }
    }

    /// That the best pairs of tokens of a beam search over drawn candidates come as often as in transformers.
    fn check_drawn_beams(&self) {
        let case = &self.expected["drawn_beams"];
        let config = GenerationConfig::beam(3).with(|config| config.do_sample = Some(true));
        let mut counts: BTreeMap<Vec<u32>, [f64; 2]> = BTreeMap::new();
        let expected: Vec<(Vec<u32>, f64)> = serde_json::from_value(case["counts"].clone()).unwrap();
        expected.into_iter().for_each(|(tokens, count)| counts.entry(tokens).or_default()[0] += count);
        let prompts = vec![self.prompts[0].clone(); DRAWS];
        for mut found in self.generate(&prompts, case, &options(case, config, 2)).concat() {
            found.tokens.extend(found.is_finished().then_some(EOS));
            counts.entry(found.tokens).or_default()[1] += 1.0;
        }
        // Pairs that hardly come count as one.
        let (often, rare): (Vec<[f64; 2]>, Vec<_>) = counts.into_values().partition(|[a, b]| a + b >= 10.0);
        let rare = rare.into_iter().fold([0.0; 2], |sum, [a, b]| [sum[0] + a, sum[1] + b]);
        let all: Vec<[f64; 2]> = often.into_iter().chain([rare]).filter(|[a, b]| a + b >= 10.0).collect();
        let statistic: f64 = all.iter().map(|[a, b]| (a - b).powi(2) / (a + b)).sum();
        let told = format!("{}: χ² of {statistic:.1} for {} pairs: {all:?}", self.name, all.len());
        assert!(all.len() > 3 && statistic < critical_value(all.len() as f64 - 1.0), "{told}");
    }
}

fn sequences(rows: &[Vec<u32>]) -> Sequences {
    let mut sequences = Sequences::new();
    rows.iter().for_each(|row| sequences.push(row));
    sequences
}

/// The options of a case: by the names that transformers has for them.
fn options(case: &Value, base: GenerationConfig, longest: usize) -> DecodingOptions {
    let mut config = base.with(|config| config.max_new_tokens = Some(longest));
    config.set("ranking", json!("tokens")).unwrap();
    let mut eos = vec![EOS];
    for (name, value) in case["options"].as_object().unwrap() {
        match &name[..] {
            "eos_token_id" => eos = serde_json::from_value(value.clone()).unwrap(),
            name => config.set(name, value.clone()).unwrap(),
        }
    }
    DecodingOptions::new(config, vec![1], eos)
}

/// The value that χ² with so many degrees of freedom exceeds with a probability of 1 % (Wilson and Hilferty 1931).
fn critical_value(freedom: f64) -> f64 {
    let spread = 2.0 / (9.0 * freedom);
    freedom * (1.0 - spread + 2.326 * spread.sqrt()).powi(3)
}

#[test]
fn texts_and_scores_of_every_option_are_those_of_transformers() {
    let ended: usize = FAMILIES.iter().map(|name| Reference::read(name, "generation.json").check_texts()).sum();
    assert!(ended > 1000, "{ended}");
}

/// Of encoder-decoders, and in a beam search, by the definition from the logits of `transformers`, whose own processor is for language models and a
/// single text.
#[test]
fn guided_texts_and_scores_are_those_of_transformers() {
    let mut ended = 0;
    for name in FAMILIES {
        let reference = Reference::read(name, "guidance.json");
        ended += reference.check_texts();
        reference.check_draws();
    }
    assert!(ended > 50, "{ended}");
}

/// A real checkpoint, stories260K in the layout of transformers: in the folder that `DESCANT_TINYLLAMAS` names.
#[test]
fn a_real_model_generates_what_it_does_in_transformers() {
    let Some(folder) = std::env::var_os("DESCANT_TINYLLAMAS") else {
        println!("skipped: DESCANT_TINYLLAMAS names no folder with config.json and model.safetensors of stories260K");
        return;
    };
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/stories260k/generation.json");
    let reference = Reference::of("stories260K", Path::new(&folder), &file);
    assert!(reference.check_texts() > 0);
    reference.check_draws();
    reference.check_drawn_beams();
}

#[test]
fn what_is_drawn_has_the_distribution_that_transformers_draws_from() {
    for reference in FAMILIES.map(|name| Reference::read(name, "generation.json")) {
        reference.check_draws();
        reference.check_drawn_beams();
    }
}

#[test]
fn what_a_folder_says_of_decoding_is_exported_and_imported_again() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/bart");
    fs::create_dir(at("in")).unwrap();
    for name in ["config.json", "model.safetensors", "tokenizer.json"] {
        fs::copy(reference.join(name), at("in").join(name)).unwrap();
    }
    let says = json!({"decoder_start_token_id": 1, "eos_token_id": 2, "num_beams": 4, "early_stopping": "never", "length_penalty": 0.8,
        "num_beam_groups": 2, "diversity_penalty": 0.5, "no_repeat_ngram_size": 3, "forced_bos_token_id": 9, "forced_eos_token_id": 2,
        "max_new_tokens": 7, "bad_words_ids": [[5], [7, 12]], "sequence_bias": [[[6], 1.5]], "suppress_tokens": [3],
        "exponential_decay_length_penalty": [2, 1.5], "renormalize_logits": true, "stop_strings": ["w9"]});
    fs::write(at("in/generation_config.json"), says.to_string()).unwrap();
    let notes = import(&at("in"), &at("run")).unwrap();
    assert!(notes.iter().all(|note| !note.contains("generation_config")), "{notes:?}");
    let trained = Trained::load(&at("run")).unwrap();
    descant_interop::export(&trained, &at("out")).unwrap();
    let written: Value = serde_json::from_slice(&fs::read(at("out/generation_config.json")).unwrap()).unwrap();
    for (name, value) in says.as_object().unwrap() {
        assert_eq!(&written[name], value, "{name}");
    }
    import(&at("out"), &at("again")).unwrap();
    let again = Trained::load(&at("again")).unwrap();
    assert_eq!(again.recipe.generation, trained.recipe.generation);
    let texts = |trained: &Trained| {
        let options = trained.options(&GenerationConfig::default(), descant_kernels::Parallelism::Serial).unwrap();
        trained
            .generate_batch(&mut Tape::new(), &["w5 w6 w7".to_owned()], 0.., &options, |_, _| ())
            .unwrap()
            .remove(0)
            .unwrap()
    };
    assert_eq!(texts(&trained), texts(&again));
    // The stop string is that of the forced token.
    assert_eq!((&texts(&trained)[0].tokens[..], texts(&trained)[0].is_finished()), (&[9][..], true));
}
