use crate::Threads;
use crate::generate::Decoding;
use crate::report::{duration, note, print};
use clap::Args;
use descant_kernels::Parallelism;
use descant_train::{Score, Trained};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Instant;

#[derive(Args)]
pub(crate) struct Eval {
    /// The run folder, or a checkpoint in it
    run: PathBuf,
    /// The text: one file, or two that belong together line by line [default: the recipe's validation text]
    #[arg(long, value_name = "FILE", num_args = 1..=2)]
    data: Vec<PathBuf>,
    /// Pairs with the same source are one question: any of their targets is right
    #[arg(long, conflicts_with = "loss_only")]
    multi_reference: bool,
    /// Only the loss: write nothing
    #[arg(long)]
    loss_only: bool,
    /// Write what the model wrote to a file: source, answer and references, separated by tabs
    #[arg(long, value_name = "FILE", conflicts_with = "loss_only")]
    output: Option<PathBuf>,
    #[command(flatten)]
    decoding: Decoding,
    #[command(flatten)]
    threads: Threads,
    /// Print one JSON object instead
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Figures {
    loss: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    perplexity: Option<f64>,
    accuracy: f64,
    tokens: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    answers: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exact_match: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_error_rate: Option<f64>,
}

impl Eval {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let start = Instant::now();
        let trained = Trained::load(&self.run)?;
        anyhow::ensure!(
            !trained.is_language_model() || !(self.multi_reference || self.output.is_some()),
            "--output and --multi-reference are for models that answer: {} holds a language model, of which only the \
             loss is measured",
            self.run.display()
        );
        let mut evaluator = trained.evaluator(&self.data, self.threads.count())?;
        evaluator.notes().iter().for_each(note);
        let evaluation = evaluator.loss()?;
        let mut figures = Figures {
            loss: evaluation.loss,
            perplexity: evaluation.perplexity,
            accuracy: evaluation.accuracy,
            tokens: evaluation.tokens,
            answers: None,
            exact_match: None,
            token_error_rate: None,
        };
        if !trained.is_language_model() && !self.loss_only {
            let options = self.decoding.options(&trained, 1, Parallelism::Serial)?;
            let answers = evaluator.answers(&options, self.multi_reference)?;
            if let Some(path) = &self.output {
                let lines: String = answers
                    .iter()
                    .map(|answer| format!("{}\t{}\t{}\n", answer.source, answer.written, answer.references.join("\t")))
                    .collect();
                std::fs::write(path, lines)
                    .map_err(|error| anyhow::anyhow!("could not write {}: {error}", path.display()))?;
            }
            let Score { answers, exact_match, token_error_rate } = Score::of(&answers);
            figures.answers = Some(answers);
            figures.exact_match = Some(exact_match);
            figures.token_error_rate = Some(token_error_rate);
        }
        if self.json {
            print(serde_json::to_string(&figures)?)?;
            return Ok(());
        }
        let Figures { loss, perplexity, accuracy, tokens, .. } = figures;
        print(format_args!(
            "checkpoint of step {}, {tokens} target tokens{}, {}",
            trained.step,
            match trained.model.max_length() {
                Some(most) => format!(" in texts of at most {}", most.saturating_sub(1)),
                None => String::new(),
            },
            duration(start.elapsed().as_secs_f64())
        ))?;
        match perplexity {
            Some(perplexity) => {
                print(format_args!("loss              {loss:.4} nats per token"))?;
                print(format_args!("perplexity        {perplexity:.3}"))?;
            }
            None => print(format_args!("loss              {loss:.4} per token"))?,
        }
        print(format_args!("accuracy          {:.2} %", 100.0 * accuracy))?;
        if let (Some(answers), Some(exact), Some(rate)) =
            (figures.answers, figures.exact_match, figures.token_error_rate)
        {
            print(format_args!("exact match       {:.2} % of {answers}", 100.0 * exact))?;
            print(format_args!("token error rate  {:.2} %", 100.0 * rate))?;
        }
        Ok(())
    }
}
