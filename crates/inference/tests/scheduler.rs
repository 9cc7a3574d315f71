//! Texts that enter and leave between steps are those of one batch.

use descant_autograd::Tape;
use descant_generate::{ConstrainedRow, Constraint, ConstraintState, GenerationConfig};
use descant_inference::{Generated, LongInput, Recipe, Scheduler, Tokenizers, Trained, model};
use descant_kernels::Parallelism;
use descant_tensor::DType;
use descant_text::{Tokenizer, TokenizerConfig, TokenizerKind};
use std::path::Path;
use std::sync::Arc;

const TRANSLATORS: [&str; 2] = [
    "cell = 'gru'\nembedding = 8\nhidden = 12\nattention = 'general'",
    "decoder = 'transformer'\nhidden = 12\n[model.transformer]\nheads = 2",
];

fn trained(kind: &str, text: &str, seed: u64, folder: &Path) -> Trained {
    let text = format!("seed = {seed}\n[tokenizer]\nkind = 'character'\n[model]\nkind = '{kind}'\n{text}\n");
    let recipe = Recipe::parse(&text, &[]).unwrap();
    let config = TokenizerConfig { kind: TokenizerKind::Character, ..Default::default() };
    let tokenizer = Arc::new(Tokenizer::train(&config, true, (0..20).map(|_| Ok("abcdefgh".to_owned()))).unwrap());
    let source = (kind == "encoder-decoder").then(|| tokenizer.clone());
    let tokenizers = Tokenizers { source, target: tokenizer };
    let (mut parameters, _) = model(&recipe, &tokenizers, DType::F32).unwrap();
    // Fresh models are all but indifferent; these have opinions.
    for id in parameters.ids() {
        parameters.values_mut::<f32>(id).iter_mut().for_each(|x| *x *= 3.0);
    }
    Trained::save(&recipe, &tokenizers, &parameters, None, folder).unwrap();
    Trained::load(folder).unwrap()
}

#[test]
fn answers_are_those_of_one_batch_whenever_they_enter() {
    let folder = tempfile::tempdir().unwrap();
    for (i, text) in TRANSLATORS.iter().enumerate() {
        let trained = trained("encoder-decoder", text, 3, &folder.path().join(i.to_string()));
        let texts: Vec<String> =
            (0..23).map(|i| "abcdefgh".chars().cycle().skip(i % 8).take(1 + i * 5 % 11).collect()).collect();
        let several = GenerationConfig::sampling(4).with(|config| config.num_return_sequences = Some(2));
        for config in [GenerationConfig::greedy(), GenerationConfig::beam(3), several] {
            let config = config.with(|config| config.max_new_tokens = Some(12));
            let options = trained.options(&config, Parallelism::Serial).unwrap();
            let mut tape = Tape::new();
            let expected: Vec<Vec<Generated>> = trained
                .generate_batch(&mut tape, &texts, 0.., &options, |_, _| ())
                .unwrap()
                .into_iter()
                .map(Result::unwrap)
                .collect();
            for batch in [1, 4, 7] {
                let mut scheduler = Scheduler::new(&trained, &options, batch).unwrap();
                let (mut next, mut found) = (0, vec![Vec::new(); texts.len()]);
                while next < texts.len() || !scheduler.is_empty() {
                    while next < texts.len() && scheduler.has_room() {
                        let read = trained.encode(&texts[next].as_str().into()).unwrap();
                        assert_eq!(scheduler.push(read.into(), next as u64), next);
                        next += 1;
                    }
                    assert!(scheduler.len() <= batch);
                    for (request, answer) in scheduler.step(&mut tape, |_, _| ()).unwrap() {
                        found[request] = answer.unwrap();
                    }
                }
                assert_eq!(found, expected, "{text}, {batch}");
            }
        }
    }
}

#[test]
fn an_ensemble_shares_its_tokenizers() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] =
        [0, 1].map(|i| trained("encoder-decoder", TRANSLATORS[i], 3, &folder.path().join(i.to_string())));
    let options = first.options(&GenerationConfig::greedy(), Parallelism::Serial).unwrap();
    let write = |others: &[&Trained]| {
        let (mut scheduler, mut tape) = (Scheduler::ensemble(&first, others, &options, 4).unwrap(), Tape::new());
        scheduler.push(first.encode(&"abca".into()).unwrap().into(), 0);
        while !scheduler.is_empty() {
            if let Some((_, answer)) = scheduler.step(&mut tape, |_, _| ()).unwrap().pop() {
                return answer.unwrap().remove(0);
            }
        }
        unreachable!("it is never answered")
    };
    // With itself it is what it is alone.
    let (alone, twice, both) = (write(&[]), write(&[&first]), write(&[&second]));
    assert_eq!(alone.tokens, twice.tokens);
    // Of hundreds of tokens, whose log probabilities are rounded in another way.
    let distance = |other: f64| (alone.score - other).abs() / alone.score.abs();
    assert!(distance(twice.score) < 1e-5 && distance(both.score) > 1e-3);
    let other = trained("language-model", "embedding = 8\nhidden = 12", 5, &folder.path().join("lm"));
    let error = Scheduler::ensemble(&first, &[&other], &options, 4).unwrap_err().to_string();
    assert!(error.contains("lm") && error.contains("tokenizers"), "{error}");
}

/// What no part of a text has by itself.
#[derive(Debug)]
struct Whole(bool);

impl Constraint for Whole {
    fn start(&self, _: &ConstrainedRow<'_>) -> Result<Box<dyn ConstraintState>, String> {
        Ok(Box::new(Free))
    }

    fn name(&self) -> String {
        "the rhyme".to_owned()
    }

    fn is_of_whole_text(&self) -> bool {
        self.0
    }
}

#[derive(Clone, Debug)]
struct Free;

impl ConstraintState for Free {
    fn restrict(&mut self, _: &mut [f64]) -> Result<(), String> {
        Ok(())
    }

    fn push(&mut self, _: u32) -> Result<(), String> {
        Ok(())
    }

    fn may_end(&mut self) -> bool {
        true
    }
}

#[test]
fn what_is_of_a_whole_text_is_not_asked_of_its_parts() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("{}\nposition = 'learned'\nmax_length = 8", TRANSLATORS[1]);
    let trained = trained("encoder-decoder", &text, 3, &folder.path().join("run"));
    let config = GenerationConfig::greedy().with(|config| config.max_new_tokens = Some(4));
    let plain = trained.options(&config, Parallelism::Serial).unwrap();
    let of_all = plain.clone().with(|options| options.constraints = vec![Arc::new(Whole(true))]);
    let mut tape = Tape::new();
    for how in [LongInput::Split, LongInput::Window] {
        for (source, is_long) in [("abc", false), ("abcabcabcabcabc", true)] {
            for (options, own, is_whole) in
                [(&of_all, None, true), (&plain, Some(true), true), (&plain, Some(false), false)]
            {
                let mut scheduler = Scheduler::new(&trained, options, 4).unwrap();
                let request = |source: &str| trained.request(source, Some(how)).unwrap();
                let constrained =
                    own.into_iter().fold(request(source), |one, own| one.with_constraint(Arc::new(Whole(own))));
                let [first, second] = [scheduler.push(constrained, 0), scheduler.push(request("ab"), 1)];
                let mut found = std::collections::BTreeMap::new();
                while !scheduler.is_empty() {
                    found.extend(scheduler.step(&mut tape, |_, _| ()).unwrap());
                }
                let told = found[&first].as_ref().err().map(ToString::to_string);
                assert_eq!(told.is_some(), is_long && is_whole, "{source}, {how:?}: {told:?}");
                assert!(
                    told.is_none_or(|told| told.contains("the rhyme is of a whole text") && told.contains("parts"))
                );
                assert!(found[&second].is_ok(), "the others are answered");
            }
        }
    }
}
