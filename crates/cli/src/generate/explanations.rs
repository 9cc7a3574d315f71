//! Alignments and explanations of texts, as text and as a picture.

use crate::place::check_place;
use anyhow::Context;
use clap::{Args, ValueEnum};
use descant_autograd::Tape;
use descant_inference::{Alignment, Explainer, Explanation, Generated, SaliencyMethod, Trained};
use descant_text::write_file;
use serde::Serialize;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// What is reported of a text beside it.
#[derive(Args, Clone, Default)]
pub(super) struct Explanations {
    /// Alignment of each text with its source by cross-attention: pairs of numbers of words, or of tokens, source first, after
    /// the text and " ||| "; in JSON with the weights. Of a Transformer, the mean over the heads of the layer before the last
    #[arg(long, value_enum, value_name = "UNIT", num_args = 0..=1, require_equals = true, default_missing_value = "words")]
    alignment: Option<Unit>,
    /// Explain each token of a text whose source or prompt was read whole, and the EOS that ended it: its log probability, rank and entropy, whatever the decoding options; the tokens that it
    /// attends to; and those that add most to its log probability
    #[arg(long)]
    explain: bool,
    /// How tokens are attributed to those that were read: gradient times input, or integrated gradients (64 points, from the
    /// mean of all embeddings)
    #[arg(long, value_enum, value_name = "METHOD", requires = "explain", default_value_t = Method::Gradient)]
    saliency: Method,
    /// Write a picture of the explanation of one text, in SVG: its attention, or of a language model its saliency
    #[arg(long, value_name = "FILE", requires = "explain")]
    svg: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Unit {
    Words,
    Tokens,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Method {
    #[default]
    Gradient,
    Integrated,
}

/// The points of integrated gradients.
const POINTS: usize = 64;
/// The tokens that are named of those that were read.
const NAMED: usize = 3;

/// What is reported of a text.
#[derive(Clone, Default, Serialize)]
pub(super) struct Inspection {
    #[serde(skip_serializing_if = "Option::is_none")]
    alignment: Option<AlignmentRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<Explanation>,
}

#[derive(Clone, Serialize)]
struct AlignmentRecord {
    links: Vec<(usize, usize)>,
    #[serde(flatten)]
    alignment: Alignment,
}

impl Explanations {
    /// Whether anything is asked for.
    pub(super) fn is_asked(&self) -> bool {
        self.explain || self.alignment.is_some()
    }

    /// Whether a picture is asked for.
    pub(super) fn draws(&self) -> bool {
        self.svg.is_some()
    }

    /// Whether each token is explained.
    pub(super) fn explains(&self) -> bool {
        self.explain
    }

    /// What is asked for, in words.
    pub(super) fn settings(&self) -> String {
        let name = |value: Option<clap::builder::PossibleValue>| value.map(|value| value.get_name().to_owned());
        let alignment = self.alignment.and_then(|unit| name(unit.to_possible_value())).unwrap_or_default();
        let saliency = name(self.saliency.to_possible_value()).filter(|_| self.explain).unwrap_or_default();
        format!("{alignment} {saliency}").trim().to_owned()
    }

    /// Whether the texts can be explained: one alone as a picture, and no alignment without a source.
    pub(super) fn check(&self, trained: &Trained, texts: usize, overwrite: bool) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.alignment.is_none() || !trained.is_language_model(),
            "--alignment is for encoder-decoders: a language model has no source. --explain tells what its tokens follow from"
        );
        anyhow::ensure!(
            self.svg.is_none() || texts == 1,
            "--svg is a picture of one text: give one source or prompt as an argument, and one text to return"
        );
        if let Some(path) = &self.svg {
            check_place(&format!("--svg {}", path.display()), path, overwrite)?;
        }
        Ok(())
    }

    /// What is reported of a text that was written after these tokens.
    pub(super) fn of(
        &self,
        trained: &Trained,
        explainer: &mut Explainer<'_>,
        tape: &mut Tape,
        (read, written): (&[u32], &Generated),
    ) -> anyhow::Result<Inspection> {
        let tokens = &written.tokens;
        let alignment = match self.alignment {
            None => None,
            Some(Unit::Words) => Some(trained.align_words(tape, read, tokens)?),
            Some(Unit::Tokens) => Some(trained.align_tokens(tape, read, tokens)?),
        };
        let method = match self.saliency {
            Method::Gradient => SaliencyMethod::GradientTimesInput,
            Method::Integrated => SaliencyMethod::IntegratedGradients(POINTS),
        };
        let explanation = self.explain.then(|| explainer.explain(tape, read, written, method)).transpose()?;
        if let (Some(path), Some(explanation)) = (&self.svg, &explanation) {
            draw(path, explanation)?;
        }
        let alignment = alignment.map(|alignment| AlignmentRecord { links: alignment.links(), alignment });
        Ok(Inspection { alignment, explanation })
    }
}

impl Inspection {
    /// A line of text with the alignment.
    pub(super) fn after(&self, line: &str) -> String {
        let links = self.alignment.as_ref().map(|record| format!(" ||| {}", record.alignment.pharaoh()));
        [line, &links.unwrap_or_default()].concat()
    }

    /// The table of an explanation, line by line.
    pub(super) fn table(&self) -> Vec<String> {
        let Some(Explanation { read, tokens, .. }) = &self.explanation else { return Vec::new() };
        let names: Vec<&str> =
            read.iter().map(String::as_str).chain(tokens.iter().map(|token| token.score.token.as_str())).collect();
        let width = |names: &[&str]| names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(5);
        let wide = width(&names[read.len()..]);
        let has_attention = tokens.iter().any(|token| !token.attention.is_empty());
        let attention_width = NAMED * (width(&names[..read.len()]) + 7);
        let mut lines = vec![format!(
            "  {:<wide$}  {:>9}  {:>6}  {:>7}  {}{}",
            "token",
            "log p",
            "rank",
            "entropy",
            if has_attention { format!("{:<attention_width$}", "attends to") } else { String::new() },
            "follows from (added log p)"
        )];
        for token in tokens {
            let score = &token.score;
            let attention = strongest(&names, &token.attention, |weight| format!("{weight:.2}"));
            let saliency = strongest(&names, &token.saliency, |added| format!("{added:+.2}"));
            lines.push(format!(
                "  {:<wide$}  {:>9.4}  {:>6}  {:>7.4}  {}{saliency}",
                score.token,
                score.log_probability,
                score.rank,
                score.entropy,
                if has_attention { format!("{attention:<attention_width$}") } else { String::new() }
            ));
        }
        lines
    }
}

/// The names with the largest values, and these.
fn strongest(names: &[&str], values: &[f64], shown: impl Fn(f64) -> String) -> String {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[b].abs().total_cmp(&values[a].abs()));
    let each = order.into_iter().take(NAMED).map(|i| format!("{} {}", names[i], shown(values[i])));
    each.collect::<Vec<_>>().join(", ")
}

/// Sizes of the picture.
const CELL: usize = 26;
const LABELS: usize = 150;

/// Draws an explanation: a row for each token of the text, and a column for each that it was written after.
fn draw(path: &Path, explanation: &Explanation) -> anyhow::Result<()> {
    let Explanation { read, tokens, .. } = explanation;
    let has_attention = tokens.iter().any(|token| !token.attention.is_empty());
    let values = |i: usize| if has_attention { &tokens[i].attention } else { &tokens[i].saliency };
    let columns = (0..tokens.len()).map(|i| values(i).len()).max().unwrap_or(0).max(read.len());
    let names: Vec<&str> =
        read.iter().map(String::as_str).chain(tokens.iter().map(|token| token.score.token.as_str())).collect();
    let (width, height) = (LABELS + columns * CELL + 10, LABELS + tokens.len() * CELL + 10);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (i, name) in names.iter().take(columns).enumerate() {
        let (x, y) = (LABELS + i * CELL + CELL / 2 + 4, LABELS - 6);
        let _ = writeln!(svg, "<text transform=\"translate({x},{y}) rotate(-60)\">{}</text>", escaped(name));
    }
    for (row, token) in tokens.iter().enumerate() {
        let y = LABELS + row * CELL;
        let name = escaped(&token.score.token);
        let _ = writeln!(svg, "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{name}</text>", LABELS - 6, y + 18);
        let largest = values(row).iter().fold(1e-12_f64, |largest, value| largest.max(value.abs()));
        for (i, value) in values(row).iter().enumerate() {
            let opacity = if has_attention { *value } else { value.abs() / largest };
            let colour = if *value < 0.0 { "#c03030" } else { "#2060b0" };
            let x = LABELS + i * CELL;
            let _ = writeln!(
                svg,
                "<rect x=\"{x}\" y=\"{y}\" width=\"{CELL}\" height=\"{CELL}\" fill=\"{colour}\" fill-opacity=\"{opacity:.3}\" \
                 stroke=\"#dddddd\"><title>{name}, {}: {value:.4}</title></rect>",
                escaped(names[i])
            );
        }
    }
    svg += "</svg>\n";
    write_file(path, |file| file.write_all(svg.as_bytes()))
        .with_context(|| format!("could not write {}", path.display()))
}

/// A text in XML.
fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    // Other control characters are not allowed there.
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
