//! What a training shows while it runs.

use anyhow::Context;
use descant_inference::TrainConfig;
use descant_train::{Event, MetricsRecord, Verdict, shown_value};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::time::Instant;

/// Prints the log messages of the crates.
pub(crate) struct Notes;

impl log::Log for Notes {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.target().starts_with("descant")
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            note(record.args());
        }
    }

    fn flush(&self) {}
}

/// A bar on a terminal; elsewhere, a line for every line of metrics.
pub(crate) struct Report {
    bar: ProgressBar,
    lines: bool,
    start: Instant,
    first: u64,
    tokens: usize,
    since: Instant,
    loss: Option<f64>,
    /// The first loss that was shown, and the last one.
    losses: Option<(f64, f64)>,
}

impl Report {
    /// For a training of `steps` steps of which `first` are done.
    pub(crate) fn new(first: u64, steps: u64, quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let target = if terminal && !quiet { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(steps), target);
        if let Ok(style) = ProgressStyle::with_template("{bar:28} {pos}/{len}  {msg}  {eta} left") {
            bar.set_style(style);
        }
        bar.set_position(first);
        let now = Instant::now();
        Self { bar, lines: !terminal && !quiet, start: now, first, tokens: 0, since: now, loss: None, losses: None }
    }

    /// Shows what happened.
    pub(crate) fn watch(&mut self, event: &Event) {
        match event {
            Event::Step { step, loss, tokens, .. } => {
                self.tokens += tokens;
                if let Some(loss) = loss {
                    // An exponential moving average: single steps jump.
                    let smooth = self.loss.map_or(*loss, |mean| 0.95 * mean + 0.05 * loss);
                    self.loss = Some(smooth);
                    self.losses = Some((self.losses.map_or(*loss, |(first, _)| first), smooth));
                }
                self.bar.set_position(*step);
                let seconds = self.since.elapsed().as_secs_f64();
                if seconds > 0.5 {
                    let rate = rate(self.tokens as f64 / seconds);
                    let loss = self.loss.map_or_else(String::new, |loss| format!("loss {loss:.3}  "));
                    self.bar.set_message(format!("{loss}{rate} tokens/s"));
                    (self.tokens, self.since) = (0, Instant::now());
                }
            }
            Event::Metrics(metric) => match metric {
                MetricsRecord::Train { step, loss, measures, gradient_norm, tokens_per_s, .. } if self.lines => {
                    let left = self.left(*step);
                    let loss = loss.map_or("none, as no target counts".to_owned(), |loss| format!("{loss:.3}"));
                    let rate = rate(*tokens_per_s);
                    let measures = named(measures);
                    note(format_args!(
                        "step {step}  loss {loss}{measures}  gradient {gradient_norm:.2}  {rate} tokens/s  {left} left"
                    ));
                }
                MetricsRecord::Validation { step, loss, perplexity, accuracy, metrics, best, .. } => {
                    let best = if *best { "  best so far" } else { "" };
                    let accuracy = 100.0 * accuracy;
                    let shown = perplexity.map_or_else(String::new, |value| format!("perplexity {}  ", large(value)));
                    let metrics = named(metrics);
                    let (head, tail) =
                        (format!("step {step}  validation: "), format!("accuracy {accuracy:.1} %{metrics}{best}"));
                    let line = format!("{head}loss {loss:.4}  {shown}{tail}");
                    // On a narrow terminal in two.
                    match line.chars().count() > columns() {
                        true => self.say(&format!("{head}loss {loss:.4}\n  {shown}{tail}")),
                        false => self.say(&line),
                    }
                }
                MetricsRecord::Skipped { step, cause, skipped } => {
                    self.say(&format!("step {step}  skipped, {skipped} so far: {cause}"));
                }
                _ => {}
            },
            Event::Verdict(verdict) => {
                let Verdict { kind, since, seen, remedy, .. } = verdict;
                self.say(&format!("! {kind} since step {since}: {seen}.\n  Try {remedy}."));
            }
            _ => {}
        }
    }

    /// A line above the bar.
    pub(crate) fn say(&self, line: &str) {
        if self.lines {
            note(line);
        } else if !self.bar.is_hidden() {
            self.bar.suspend(|| note(line));
        }
    }

    /// What is said of a loss that has risen by more than batches differ, where it has: the training diverges.
    pub(crate) fn divergence(&self) -> Option<String> {
        let (first, last) = self.losses?;
        (last > first + 0.25 * first.abs() + 0.1).then(|| {
            format!(
                "The loss is {}, above the first one, {}: it diverges. Try a smaller train.learning_rate.",
                large(last),
                large(first)
            )
        })
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn left(&self, step: u64) -> String {
        let per_step = self.start.elapsed().as_secs_f64() / (step - self.first).max(1) as f64;
        let left = per_step * (self.bar.length().unwrap_or(step).saturating_sub(step)) as f64;
        duration(left)
    }
}

/// A bar of so many lines, where it is wanted and standard error is a terminal.
pub(crate) fn progress(wanted: bool, count: impl FnOnce() -> Option<u64>) -> ProgressBar {
    if !wanted || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(count(), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{bar:28} {pos}/{len} lines  {eta} left") {
        bar.set_style(style);
    }
    bar
}

/// A line on standard output; an error where its disk is full, or nobody reads it any more.
pub(crate) fn print(line: impl Display) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{}", safe(&line.to_string(), &out)).context("could not write to standard output")
}

/// A piece of a line on standard output, shown at once.
pub(crate) fn put(piece: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    out.write_all(safe(piece, &out).as_bytes()).and_then(|()| out.flush()).context("could not write to standard output")
}

/// The sign after which somebody types a line.
pub(crate) fn ask() {
    let _ = std::io::stderr().write_all(b"> ");
}

/// A text with these control characters written as escapes, such as `\n`.
pub(crate) fn one_line<'a>(text: &'a str, controls: &[char]) -> Cow<'a, str> {
    if !text.contains(controls) {
        return text.into();
    }
    let escaped = |c: char| if controls.contains(&c) { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escaped).collect::<String>().into()
}

/// A text as what it is written to may have it: a model, or a file from elsewhere, could write what moves a terminal's cursor or changes its
/// title.
fn safe<'a>(text: &'a str, to: &impl IsTerminal) -> Cow<'a, str> {
    if to.is_terminal() { visible(text) } else { text.into() }
}

/// A text with its control characters written as escapes, but for line ends and tabs.
fn visible(text: &str) -> Cow<'_, str> {
    let is_hidden = |c: char| c.is_control() && c != '\n' && c != '\t';
    if !text.contains(is_hidden) {
        return text.into();
    }
    let escaped = |c: char| if is_hidden(c) { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escaped).collect::<String>().into()
}

/// A line on standard error. Work goes on where nobody reads it.
pub(crate) fn note(line: impl Display) {
    let mut error = std::io::stderr();
    let _ = writeln!(error, "{}", safe(&line.to_string(), &error));
}

/// Columns of the terminal; of no terminal, as many as there may be.
fn columns() -> usize {
    terminal_size::terminal_size_of(std::io::stderr()).map_or(usize::MAX, |(width, _)| usize::from(width.0))
}

/// A number that may be beyond all reading: `12.34`, `6.9e51`.
pub(crate) fn large(value: f64) -> String {
    match value {
        value if value < 1e6 => format!("{value:.2}"),
        value if value.is_finite() => format!("{value:.1e}"),
        _ => "beyond all numbers".to_owned(),
    }
}

/// The value of a `train.best_metric` with its name.
pub(crate) fn validated(name: &str, value: f64) -> String {
    match name {
        TrainConfig::LOSS if value < 1e6 => format!("loss {value:.4}"),
        TrainConfig::LOSS => format!("loss {}", large(value)),
        name => format!("{name} {}", shown_value(name, value)),
    }
}

/// Seconds as people say them.
pub(crate) fn duration(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// A speed as people read it: `950`, `12.3k`.
pub(crate) fn rate(n: f64) -> String {
    if n < 1000.0 { format!("{n:.0}") } else { format!("{:.1}k", n / 1000.0) }
}

/// Values with their names, to follow others in a line.
fn named(values: &BTreeMap<String, f64>) -> String {
    values.iter().map(|(name, value)| format!("  {name} {}", shown_value(name, *value))).collect()
}

#[cfg(test)]
mod tests {
    use super::visible;

    #[test]
    fn control_characters_are_shown_and_do_nothing() {
        assert_eq!(visible("a\tb\nc é 文"), "a\tb\nc é 文");
        assert_eq!(visible("\u{1b}]0;title\u{7}\r\u{9b}2J"), "\\u{1b}]0;title\\u{7}\\r\\u{9b}2J");
    }
}
