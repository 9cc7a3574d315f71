//! `descant compare`.

use crate::Threads;
use crate::json_line::objects;
use crate::report::print;
use anyhow::{Context, ensure};
use clap::Args;
use descant_metrics::{Comparison, Direction, Metric, Scale, WITHOUT_SOURCES, compare, metric, reference_count, unfit};
use descant_train::TextScores;
use serde::Serialize;
use serde_json::Value;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub(crate) struct Compare {
    /// What one model generates: a .jsonl of `descant eval RUN --output A.jsonl`
    #[arg(value_name = "A.jsonl")]
    a: PathBuf,
    /// What another generates for the same texts
    #[arg(value_name = "B.jsonl")]
    b: PathBuf,
    /// The metrics, with commas between them [default: exact_match,token_error_rate,bleu,chrf++]
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        value_parser = clap::builder::PossibleValuesParser::new(descant_metrics::NAMES),
        default_values = TextScores::DEFAULT,
        hide_default_value = true
    )]
    metrics: Vec<String>,
    /// Resamples of the texts
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    samples: u32,
    /// The random seed of the resamples
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    threads: Threads,
    /// Print one JSON object a line instead
    #[arg(long)]
    json: bool,
}

/// One text of a system.
struct Answer {
    source: Option<String>,
    text: String,
    references: Vec<String>,
}

/// A line of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    metric: &'a str,
    a: f64,
    b: f64,
    a_interval: [f64; 2],
    b_interval: [f64; 2],
    p_bootstrap: f64,
    p_randomisation: f64,
    texts: usize,
    signature: String,
}

/// Characters of a text.
const LONGEST: usize = 100_000;

/// Below this p-value a difference is taken for a real one.
const SIGNIFICANT: f64 = 0.05;

impl Compare {
    pub(crate) fn run(mut self) -> anyhow::Result<()> {
        std::mem::take(&mut self.threads).install(|| self.work())
    }

    fn work(self) -> anyhow::Result<()> {
        let systems = [read(&self.a)?, read(&self.b)?];
        check_alike(&systems, [&self.a, &self.b])?;
        let texts = systems[0].len();
        let references = reference_count(systems[0].iter().map(|answer| answer.references.len()));
        let of_all = || systems[0].iter().flat_map(|answer| answer.references.iter().map(String::as_str));
        for name in &self.metrics {
            if let Some(reason) = unfit(name, of_all()) {
                anyhow::bail!("--metrics {reason}");
            }
        }
        if !self.json {
            print(format_args!(
                "A: {}   B: {}   the same {texts} texts, {} resamples",
                self.a.display(),
                self.b.display(),
                self.samples
            ))?;
            print(format_args!(
                "{:<18}{:>8} {:>16}{:>10} {:>16}{:>9}  {:<12}randomisation",
                "", "A", "95 % interval", "B", "95 % interval", "A - B", "p bootstrap"
            ))?;
        }
        for name in &self.metrics {
            if !WITHOUT_SOURCES.contains(&&**name) {
                has_sources(name, &self.a, &systems[0])?;
                has_sources(name, &self.b, &systems[1])?;
            }
            let metric = metric(name, of_all()).with_context(|| format!("--metrics {name}: it is none"))?;
            let statistics = systems.each_ref().map(|answers| statistics(metric.as_ref(), answers));
            let found =
                compare(metric.as_ref(), statistics.each_ref().map(Vec::as_slice), self.samples as usize, self.seed);
            match self.json {
                true => print(serde_json::to_string(&line(name, texts, metric.signature(&references), &found))?)?,
                false => print(shown(name, metric.as_ref(), &found))?,
            }
        }
        Ok(())
    }
}

fn statistics(metric: &dyn Metric, answers: &[Answer]) -> Vec<Vec<f64>> {
    use rayon::prelude::*;
    let of = |answer: &Answer| {
        let references: Vec<&str> = answer.references.iter().map(String::as_str).collect();
        metric.statistics(&answer.text, &references, answer.source.as_deref().unwrap_or_default())
    };
    answers.par_iter().map(of).collect()
}

fn line<'a>(name: &'a str, texts: usize, signature: String, found: &Comparison) -> Line<'a> {
    let Comparison { values: [a, b], intervals: [a_interval, b_interval], bootstrap, randomisation, .. } = *found;
    Line {
        metric: name,
        a,
        b,
        a_interval,
        b_interval,
        p_bootstrap: bootstrap,
        p_randomisation: randomisation,
        texts,
        signature,
    }
}

fn shown(name: &str, metric: &dyn Metric, found: &Comparison) -> String {
    let factor = if metric.scale() == Scale::Points { 1.0 } else { 100.0 };
    let [a, b] = found.values.map(|value| factor * value);
    let [a_interval, b_interval] =
        found.intervals.map(|[low, high]| format!("{:.2} to {:.2}", factor * low, factor * high));
    let is_real = found.bootstrap < SIGNIFICANT && found.randomisation < SIGNIFICANT;
    let is_a = (a > b) == (metric.direction() == Direction::Larger);
    let verdict = match is_real {
        false => "may be chance",
        true if is_a => "A is better",
        true => "B is better",
    };
    format!(
        "{:<18}{a:>8.2} {a_interval:>16}{b:>10.2} {b_interval:>16}{:>9.2}  {:<12.3}{:<14.3}{verdict}",
        name.replace('_', " "),
        a - b,
        found.bootstrap,
        found.randomisation
    )
}

/// The texts of a file.
fn read(path: &Path) -> anyhow::Result<Vec<Answer>> {
    let answers = objects(path, "`descant eval RUN --output FILE.jsonl`", |object| {
        let (text, list) = (object.text("text")?, object.get("references")?);
        let source = object.has("source").then(|| object.text("source")).transpose()?;
        let references: Option<Vec<String>> = match list {
            Some(Value::Array(list)) => list.iter().map(|one| one.as_str().map(str::to_owned)).collect(),
            Some(_) => None,
            None => {
                return Err(
                    "it has no \"references\", as `descant eval RUN --output FILE.jsonl` writes them".to_owned()
                );
            }
        };
        let references = references.filter(|list| !list.is_empty());
        let references = references.ok_or("its \"references\" are no list of texts")?;
        // Edit distances take the product of two lengths.
        let lengths = references.iter().chain([&text]).map(|text| text.chars().count());
        match lengths.max().filter(|&longest| longest > LONGEST) {
            Some(long) => Err(format!("a text of {long} characters: at most {LONGEST} are compared")),
            None => Ok(Answer { source, text, references }),
        }
    })?;
    ensure!(!answers.is_empty(), "{}: it has no texts to compare", path.display());
    Ok(answers)
}

/// That each text has what it was generated for.
fn has_sources(metric: &str, path: &Path, answers: &[Answer]) -> anyhow::Result<()> {
    match answers.iter().position(|answer| answer.source.is_none()) {
        None => Ok(()),
        Some(text) => anyhow::bail!(
            "--metrics {metric}: text {} of {} has no \"source\", as `descant eval RUN --output FILE.jsonl` writes it",
            text + 1,
            path.display()
        ),
    }
}

/// That both have the same references in the same order.
fn check_alike([a, b]: &[Vec<Answer>; 2], [of_a, of_b]: [&PathBuf; 2]) -> anyhow::Result<()> {
    let (of_a, of_b) = (of_a.display(), of_b.display());
    if let Some(text) = a.iter().zip(b).position(|(a, b)| a.references != b.references) {
        anyhow::bail!(
            "{of_a} and {of_b} are not of the same texts: the references of text {} differ. Evaluate both on one --data",
            text + 1
        );
    }
    ensure!(
        a.len() == b.len(),
        "{of_a} has {} texts, and {of_b} has {}. Evaluate both on one --data",
        a.len(),
        b.len()
    );
    Ok(())
}
