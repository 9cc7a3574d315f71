//! Checks a training before it is begun: its texts, as training reads them, and its model, by a few steps. Each check is a file, and a
//! function from what was read to findings.

mod alignment;
mod columns;
mod copies;
mod duplicates;
mod encoding;
mod finding;
mod languages;
mod left_out;
mod length_ratio;
mod lengths;
mod markup;
mod memorization;
mod miniature;
mod overlap;
mod settings;
mod survey;
mod tokenized;
mod training;
mod truncation;
mod words;

pub use finding::{Finding, Severity, Share, ShownLine};
pub use lengths::{Distribution, LengthFacts};
pub use memorization::Memorization;
pub use training::TrainingFacts;

use crate::data::{agree, given, source};
use crate::{Error, SourceModels, Texts, resolve_text_layout};
use descant_inference::Recipe;
use descant_text::{Form, Source};
use duplicates::Duplicates;
use overlap::Overlap;
use serde::Serialize;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use survey::Survey;

/// What is known of a training before it is begun.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Examination {
    /// Its texts.
    pub texts: Vec<TextFacts>,
    /// What it takes; none where it cannot begin.
    pub training: Option<TrainingFacts>,
    /// Tensors of a small model whose gradients were checked, and their largest relative error.
    pub gradients: Option<(usize, f64)>,
    /// What was found, what matters most first.
    pub findings: Vec<Finding>,
}

/// A text, as it is read.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TextFacts {
    /// `training`, `validation` or `test`.
    pub role: &'static str,
    /// Its files.
    pub name: String,
    /// Lines, pairs or answers, those that are left out among them.
    pub examples: u64,
    /// What they are called.
    pub thing: &'static str,
    /// How many of them were looked at, where not all were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampled: Option<u64>,
    /// How long they are; none of a continuous text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lengths: Option<LengthFacts>,
}

impl Examination {
    /// How many findings are at least so severe.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity >= severity).count()
    }
}

/// The checks of a text by itself.
const CHECKS: &[fn(&Survey) -> Vec<Finding>] = &[
    encoding::unreadable,
    encoding::characters,
    length_ratio::check,
    markup::check,
    tokenized::check,
    truncation::check,
];

/// Checks the training of a recipe, with texts that are to be tested on later; begins no run. When `stop` is set, what is left is not
/// looked at.
///
/// # Errors
/// Where the recipe has no texts, or names models or templates that cannot be loaded.
pub fn examine(recipe: &Recipe, tests: &[PathBuf], threads: usize, stop: &AtomicBool) -> Result<Examination, Error> {
    let mut recipe = recipe.clone();
    // A line that cannot be read is found below.
    match resolve_text_layout(&mut recipe) {
        Err(descant_inference::Error::Text(error)) if error.place().is_some() => {}
        layout => _ = layout?,
    }
    let (texts, test) = texts(&recipe, tests)?;
    log::info!("Reading {}", texts.train.name());
    let mut findings = Vec::new();
    let surveys = read(&recipe, &texts, test.as_ref(), stop, &mut findings);
    let mut training = None;
    let mut lengths = [None, None];
    let readable = [surveys.train.as_ref(), surveys.validation.as_ref()].into_iter().flatten().all(Survey::is_readable);
    if readable && !stop.load(Ordering::Relaxed) {
        let read = [surveys.train.as_ref(), surveys.validation.as_ref()];
        if let Some(started) = training::start(&recipe, read, threads, stop, &mut findings)? {
            (training, lengths) = (Some(started.facts), started.lengths);
        }
    }
    let (gradients, wrong) = match stop.load(Ordering::Relaxed) {
        true => (None, Vec::new()),
        false => miniature::check_gradients(&recipe),
    };
    findings.extend(wrong);
    // What matters most first, and otherwise in the order of the checks.
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let [of_train, of_validation] = lengths;
    let all = [(surveys.train, of_train), (surveys.validation, of_validation), (surveys.test, None)];
    let texts = all.into_iter().filter_map(|(survey, lengths)| Some(facts(&survey?, lengths))).collect();
    Ok(Examination { texts, training, gradients, findings })
}

fn facts(survey: &Survey, lengths: Option<LengthFacts>) -> TextFacts {
    let sampled = (survey.every > 1).then_some(survey.pairs.len() as u64);
    let (role, name, thing) = (survey.role, survey.name.clone(), survey.thing());
    TextFacts { role, name, examples: survey.examples, thing, sampled, lengths }
}

/// The recipe's texts, and those to test on.
fn texts(recipe: &Recipe, tests: &[PathBuf]) -> Result<(Texts, Option<Source>), Error> {
    let template = SourceModels::of(recipe)?.template(recipe)?;
    let texts = Texts::with(recipe, template.as_ref())?;
    let test = given(tests).zip(recipe.data.as_ref());
    let test = test.map(|(files, data)| source(&files, data, recipe, template.as_ref())).transpose()?;
    test.as_ref().map_or(Ok(()), |test| agree(&texts.train, test))?;
    Ok((texts, test))
}

/// What was read.
struct Surveys {
    train: Option<Survey>,
    validation: Option<Survey>,
    test: Option<Survey>,
}

/// Reads all texts, and checks them.
fn read(
    recipe: &Recipe,
    texts: &Texts,
    test: Option<&Source>,
    stop: &AtomicBool,
    findings: &mut Vec<Finding>,
) -> Surveys {
    let everything = 0..u64::MAX;
    let share = recipe.data.as_ref().map_or(0.0, |data| data.validation_share);
    let (learned, validation) = match &texts.validation {
        Some(validation) => (everything.clone(), Some((validation, everything.clone()))),
        None => {
            let split = split(&texts.train, share, stop);
            (0..split.start, (split.start < split.end).then_some((&texts.train, split)))
        }
    };
    let validation = validation.map(|(text, range)| Survey::of("validation", text, range, stop, |_| ()));
    let test = test.map(|text| Survey::of("test", text, everything, stop, |_| ()));
    let held_out = [&validation, &test].map(|survey| survey.as_ref().map(Overlap::with));
    let [mut of_validation, mut of_test] = held_out;
    let mut duplicates = Duplicates::default();
    let train = Survey::of("training", &texts.train, learned, stop, |pair| {
        duplicates.see(pair);
        [&mut of_validation, &mut of_test].into_iter().flatten().for_each(|overlap| overlap.see(pair));
    });
    if stop.load(Ordering::Relaxed) {
        return Surveys { train: Some(train), validation, test };
    }
    for check in CHECKS {
        let each = [Some(&train), validation.as_ref(), test.as_ref()].into_iter().flatten();
        // A part of the same file has been read with the other.
        let each = each.filter(|survey| survey.role == "training" || survey.name != train.name);
        findings.extend(each.flat_map(check));
    }
    let others: Vec<&Survey> = [&validation, &test].into_iter().flatten().collect();
    findings.extend(duplicates.findings(&train));
    for (overlap, survey) in [(of_validation, &validation), (of_test, &test)] {
        if let (Some(overlap), Some(survey)) = (overlap, survey) {
            findings.extend(overlap.findings(survey, &train));
        }
    }
    findings.extend(copies::check(&train, validation.as_ref()));
    let swapped = columns::swapped(&train);
    let is_swapped = |i: usize| swapped.as_ref().is_some_and(|swapped| swapped.is(i));
    findings.extend(swapped.iter().flat_map(|swapped| swapped.findings(&train, &others)));
    findings.extend(alignment::check(&train, is_swapped));
    findings.extend(languages::check(&train, is_swapped));
    findings.extend(
        validation
            .iter()
            .filter(|other| other.name != train.name)
            .flat_map(|other| [alignment::check(other, |_| false), languages::check(other, |_| false)].concat()),
    );
    findings.extend(others.iter().flat_map(|other| tokenized::differs(&train, other)));
    Surveys { train: Some(train), validation, test }
}

/// Which examples of a text are held out: its last ones. None of a continuous text, whose parts are cut by tokens.
fn split(text: &Source, share: f64, stop: &AtomicBool) -> Range<u64> {
    if text.form() == Form::Continuous {
        return u64::MAX..u64::MAX;
    }
    let going = |_: &_| !stop.load(Ordering::Relaxed);
    let counted = text
        .examples()
        .and_then(|all| all.take_while(going).try_fold(0_u64, |count, example| example.map(|_| count + 1)));
    // With an error before the end, all is looked at as one.
    counted.map_or(u64::MAX..u64::MAX, |all| all - (all as f64 * share).round() as u64..all)
}
