use crate::Threads;
use crate::control::ControlAttributes;
use crate::decoding::{Decoding, said};
use crate::place::check_place;
use crate::report::{duration, note, one_line, print};
use crate::same_file::is_same_file;
use crate::weights::Weights;
use anyhow::Context;
use clap::Args;
use descant_inference::weights_of;
use descant_kernels::{Parallelism, WeightType};
use descant_text::{plural, write_file};
use descant_train::{Evaluator, Measures, MetricCommand, Prediction, TextScores};
use serde::Serialize;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

#[derive(Args)]
pub(crate) struct Eval {
    /// The run folder, or a checkpoint in it
    run: PathBuf,
    /// The evaluation text: one file, or two parallel ones [default: the recipe's validation text]
    #[arg(long, value_name = "FILE", num_args = 1..=2)]
    data: Vec<PathBuf>,
    /// Multiple references: pairs with the same source are one example, and any of their targets is right
    #[arg(long, conflicts_with = "loss_only")]
    multi_reference: bool,
    /// Only the loss: generate nothing
    #[arg(long)]
    loss_only: bool,
    /// The metrics of what is generated. Those of sacreBLEU are printed with its signatures; bleu cuts Chinese into characters
    /// (bleu-zh), and other scripts without spaces too (bleu-char). slot_f1 reads a BIO tag for each word, as seqeval does; of distinct-1 and
    /// distinct-2 (diversity) larger is better, of seq-rep-4 (repetition) and copy_rate smaller [default: exact_match,token_error_rate,bleu,chrf++]
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        value_parser = clap::builder::PossibleValuesParser::new(descant_metrics::NAMES),
        conflicts_with = "loss_only"
    )]
    metrics: Vec<String>,
    /// A metric of your own, named command: a program that reads a JSON object for each text from its standard input, a line each, with
    /// source, text and references, and prints a number in its last line
    #[arg(long, value_name = "PROGRAM", conflicts_with = "loss_only")]
    metric_command: Option<PathBuf>,
    /// Seconds that it may take
    #[arg(long, value_name = "N", default_value_t = 600, requires = "metric_command")]
    metric_timeout: u64,
    /// Write the predictions to a new file, in the order of the text: source, prediction and references, separated by tabs,
    /// with line ends and tabs within them as \n and \t. As .jsonl, one JSON object a line: line, source, text, references,
    /// right, finished, and for one that is not answered error
    #[arg(long, value_name = "FILE", conflicts_with = "loss_only")]
    output: Option<PathBuf>,
    /// Overwrite the file of --output
    #[arg(long, requires = "output")]
    overwrite: bool,
    #[command(flatten)]
    control: ControlAttributes,
    #[command(flatten)]
    decoding: Decoding,
    #[command(flatten)]
    weights: Weights,
    #[command(flatten)]
    threads: Threads,
    /// Print one JSON object instead
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct EvalReport {
    step: u64,
    /// Their type, where they are in reduced precision.
    #[serde(skip_serializing_if = "Option::is_none")]
    weights: Option<&'static str>,
    loss: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    perplexity: Option<f64>,
    /// The loss in bits, where the bytes of all target tokens are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    bits_per_byte: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bits_per_character: Option<f64>,
    accuracy: f64,
    #[serde(flatten)]
    measures: Measures,
    /// Why the loss is that of what is chosen, and not of preferences.
    #[serde(skip_serializing_if = "Option::is_none")]
    unmeasured: Option<String>,
    tokens: usize,
    left_out: u64,
    #[serde(flatten)]
    texts: Option<TextScores>,
}

/// A line of `--output FILE.jsonl`.
#[derive(Serialize)]
struct Line<'a> {
    line: u64,
    /// Where the text has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    source: &'a str,
    text: &'a str,
    references: &'a [String],
    right: bool,
    finished: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Eval {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let start = Instant::now();
        if let Some(output) = &self.output {
            let data: Vec<&Path> = self.data.iter().map(PathBuf::as_path).collect();
            is_no_text(output, &data)?;
            let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty());
            anyhow::ensure!(
                folder.is_none_or(Path::is_dir),
                "--output {}: there is no such folder. Make it first",
                output.display()
            );
            let ending = output.extension().map(|ending| ending.to_string_lossy().to_lowercase());
            anyhow::ensure!(
                ending.as_ref().is_none_or(|ending| ["tsv", "txt", "jsonl"].contains(&ending.as_str())),
                "--output {}: expected a name that ends in .tsv (columns between tabs) or .jsonl",
                output.display()
            );
            check_place(&format!("--output {}", output.display()), output, self.overwrite)?;
        }
        let trained = self.weights.load(&self.run)?;
        let options = self.decoding.options(&trained, Parallelism::Serial)?;
        let texts = options.config.num_return_sequences();
        anyhow::ensure!(
            texts == 1,
            "--num-return-sequences {texts}: one text of each source is measured. Leave it out"
        );
        let (step, most) = (trained.step, trained.model.max_length());
        let (control, context) = (self.control.of_all(&trained)?, self.decoding.context());
        let mut evaluator = Evaluator::new(&trained, &self.data, &control, context, self.threads.count())?;
        anyhow::ensure!(
            evaluator.has_pairs()
                || !(self.multi_reference
                    || self.output.is_some()
                    || !self.metrics.is_empty()
                    || self.metric_command.is_some()),
            "--output, --metrics, --metric-command and --multi-reference are for models that answer: {} is of texts without sources or prompts, \
             of which only the loss is measured",
            self.run.display()
        );
        let writes = evaluator.has_pairs() && !self.loss_only;
        let idle = self.decoding.given().find(|flag| !(flag == "--context" && evaluator.is_continuous()));
        if let Some(flag) = idle.filter(|_| !writes) {
            let why = match self.loss_only {
                true => "with --loss-only nothing is".to_owned(),
                false => format!(
                    "{} is of texts without sources or prompts, of which only the loss is measured",
                    self.run.display()
                ),
            };
            anyhow::bail!("{flag} is for texts that are written, and {why}. Leave it out");
        }
        self.output.iter().try_for_each(|output| is_no_text(output, &evaluator.files()))?;
        evaluator.notes().iter().for_each(note);
        let evaluation = evaluator.loss()?;
        // That of a likelihood alone is a number of bits.
        let size = if evaluation.perplexity.is_some() { evaluator.text_size()? } else { None };
        let likelihood = evaluation.perplexity.map_or(f64::NAN, f64::ln);
        let size = size.filter(|size| {
            if size.unknown > 0 {
                let unknown = plural(size.unknown, "target token");
                note(format_args!(
                    "Bits per byte and character are left out: {unknown} are unknown, of a length that nobody knows."
                ));
            }
            size.unknown == 0
        });
        let bits = size.map(|size| size.bits_per(likelihood, evaluation.tokens));
        let mut report = EvalReport {
            step,
            weights: weights_of(&trained.parameters).map(WeightType::name),
            loss: evaluation.loss,
            perplexity: evaluation.perplexity,
            bits_per_byte: bits.map(|[byte, _]| byte),
            bits_per_character: bits.map(|[_, character]| character),
            accuracy: evaluation.accuracy,
            measures: evaluation.measures,
            unmeasured: evaluator.unmeasured().map(str::to_owned),
            tokens: evaluation.tokens,
            left_out: evaluator.left_out()?,
            texts: None,
        };
        let mut failed = Ok(());
        if writes {
            let answers = evaluator.predictions(&options, self.multi_reference)?;
            let unfit = |name: &&String| TextScores::unfit(&answers, std::slice::from_ref(*name)).is_some();
            let mut scores = match self.metrics.is_empty() {
                true => TextScores::of(&answers, TextScores::DEFAULT),
                false => TextScores::of(&answers, &self.metrics.iter().filter(|name| !unfit(name)).collect::<Vec<_>>()),
            };
            if let Some(path) = &self.output {
                write(path, &answers)?;
            }
            if let (Some(first), false) = (answers.iter().find(|one| !one.finished && one.error.is_none()), self.json) {
                note(format_args!(
                    "{} of {} answers did not end, and stopped at the limit, the first in {} (--max-new-tokens N sets \
                     another).",
                    scores.unfinished,
                    scores.predictions,
                    first.place()
                ));
            }
            failed = all_answered(&answers, scores.unanswered);
            if let Some(reason) = TextScores::unfit(&answers, &self.metrics) {
                failed = failed.and(Err(anyhow::anyhow!("--metrics {reason}")));
            }
            if let Some(program) = &self.metric_command {
                let command = MetricCommand::new(program, Duration::from_secs(self.metric_timeout));
                let measured = scores.measure(&command, &answers, &AtomicBool::new(false));
                failed = failed.and(measured.map_err(|reason| anyhow::anyhow!("--metric-command: {reason}")));
            }
            report.texts = Some(scores);
        }
        if self.json {
            print(serde_json::to_string(&report)?)?;
            return failed;
        }
        let EvalReport { loss, perplexity, accuracy, tokens, weights, ref measures, .. } = report;
        print(format_args!(
            "checkpoint of step {step}{}, {tokens} target tokens{}, {}",
            weights.map_or_else(String::new, |weights| format!(", weights in {weights}")),
            most.map_or_else(String::new, |most| format!(" in texts of at most {}", most.saturating_sub(1))),
            duration(start.elapsed().as_secs_f64())
        ))?;
        let unit = match (perplexity, measures.is_empty()) {
            (_, false) => "per preference",
            (Some(_), true) => "nats per token",
            (None, true) => "per token",
        };
        print(format_args!("loss              {loss:.4} {unit}"))?;
        perplexity.map_or(Ok(()), |perplexity| print(format_args!("perplexity        {perplexity:.3}")))?;
        if let Some([byte, character]) = bits {
            print(format_args!("bits per byte     {byte:.4} ({character:.4} per character)"))?;
        }
        print(format_args!("accuracy          {:.2} %", 100.0 * accuracy))?;
        for (name, value) in measures {
            print(format_args!("{:<21} {value:.4}", name.replace('_', " ")))?;
        }
        report.texts.iter().flat_map(TextScores::lines).try_for_each(print)?;
        failed
    }
}

/// That every source or prompt was answered.
fn all_answered(answers: &[Prediction], unanswered: usize) -> anyhow::Result<()> {
    let Some((place, error)) = answers.iter().find_map(|one| Some((one.place(), one.error.as_deref()?))) else {
        return Ok(());
    };
    anyhow::bail!(
        "{unanswered} of {} texts were not answered, the first in {place}: {}. They count as empty answers",
        answers.len(),
        said(error)
    )
}

/// That the text which is evaluated on is not written over.
fn is_no_text(output: &Path, files: &[&Path]) -> anyhow::Result<()> {
    anyhow::ensure!(
        !files.iter().any(|file| is_same_file(file, output)),
        "--output {}: this is the text to evaluate on. Name another file",
        output.display()
    );
    Ok(())
}

/// Writes the answers, in the order of the text.
fn write(path: &Path, answers: &[Prediction]) -> anyhow::Result<()> {
    let mut text = String::new();
    let mut escaped = false;
    for answer in answers {
        let Prediction { line, file, source, text: output, finished, references, error, .. } = answer;
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            let (line, right) = (*line, answer.is_right());
            let error = error.as_deref().map(said);
            let file = file.as_deref();
            let line = Line { line, file, source, text: output, references, right, finished: *finished, error };
            writeln!(text, "{}", serde_json::to_string(&line)?)?;
            continue;
        }
        for (i, part) in [source, output].into_iter().chain(references).enumerate() {
            let shown = one_line(part, &['\n', '\r', '\t']);
            escaped |= shown.len() != part.len();
            text += if i == 0 { "" } else { "\t" };
            text += &shown;
        }
        text += "\n";
    }
    // Where it is a link, the file that it leads to.
    let place = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    write_file(&place, |file| file.write_all(text.as_bytes()))
        .with_context(|| format!("could not write {}", path.display()))?;
    if escaped {
        note(format_args!(
            "{}: line ends and tabs within texts are written as \\n and \\t (a name that ends in .jsonl: exact).",
            path.display()
        ));
    }
    Ok(())
}
