use clap::Args;
use descant_generate::{DecodingOptions, Strategy};
use descant_inference::Trained;
use descant_kernels::Parallelism;

/// Decoding options: how the next token is chosen, and when generation stops.
#[derive(Args, Clone)]
pub(crate) struct Decoding {
    /// Beam search of width N: keep the N most likely hypotheses [default: greedy decoding]
    #[arg(long, value_name = "N", conflicts_with_all = ["sample", "temperature", "top_k", "top_p"])]
    pub(crate) beam: Option<usize>,
    /// Length penalty of a beam search: hypotheses are ranked by log probability / ((5 + tokens) / 6)^X [default: 0.6]; of an
    /// imported model, as transformers ranks them, by log probability / tokens^X [default: 1]. EOS counts as a token;
    /// forbidden tokens are masked, and the probabilities renormalised over the rest
    #[arg(long, value_name = "X")]
    length_penalty: Option<f64>,
    /// Sampling: draw tokens by their probability (the default for language models that continue a text)
    #[arg(long)]
    sample: bool,
    /// Greedy decoding: always the most likely token (the default for encoder-decoders, and language models trained on
    /// prompts or conversations)
    #[arg(long, conflicts_with_all = ["sample", "temperature", "top_k", "top_p", "beam"])]
    greedy: bool,
    /// Softmax temperature of sampling, from 0.001: below 1 for safer text, above 1 for bolder [default: 1]
    #[arg(long, value_name = "X")]
    temperature: Option<f64>,
    /// Top-k sampling: draw only from the K most likely tokens
    #[arg(long, value_name = "K")]
    top_k: Option<usize>,
    /// Top-p (nucleus) sampling: draw only from the most likely tokens that together have probability P
    #[arg(long, value_name = "P")]
    top_p: Option<f64>,
    /// Random seed of sampling: the same seed, line and options give the same text [default: 1]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Maximum number of new tokens, including EOS [default: 1.5 times the longest target in training for a source of the
    /// same length; 500 for a model of one continuous text and for an imported one]
    #[arg(long, value_name = "N")]
    max_length: Option<usize>,
    /// Context length: the maximum number of tokens that a language model attends to. Beyond it, generation continues from
    /// the last half. One continuous text is evaluated in chunks of this length [default: the training length; no limit for
    /// relative positions and recurrent layers]
    #[arg(long, value_name = "N")]
    pub(crate) context: Option<usize>,
}

/// The default seed.
const SEED: u64 = 1;

impl Decoding {
    /// The options for a model.
    pub(crate) fn options(
        &self,
        trained: &Trained,
        n_best: usize,
        parallelism: Parallelism,
    ) -> anyhow::Result<DecodingOptions> {
        let own = &trained.recipe.generation;
        let drawn = self.sample || self.top_k.is_some() || self.top_p.is_some() || self.temperature.is_some();
        let mut strategy = match self.beam {
            Some(width) => Strategy::Beam { width, length_penalty: own.length_penalty(), n_best },
            None if drawn => own.sampling(SEED),
            None if self.greedy => Strategy::Greedy,
            None => trained.strategy(),
        };
        match &mut strategy {
            Strategy::Beam { length_penalty, n_best: texts, .. } => {
                *length_penalty = self.length_penalty.unwrap_or(*length_penalty);
                *texts = n_best;
            }
            Strategy::Sample { temperature, top_k, top_p, seed } => {
                *temperature = self.temperature.unwrap_or(*temperature);
                (*top_k, *top_p, *seed) = (self.top_k.or(*top_k), self.top_p.or(*top_p), self.seed.unwrap_or(SEED));
            }
            Strategy::Greedy => {}
        }
        if self.length_penalty.is_some() && !matches!(strategy, Strategy::Beam { .. }) {
            anyhow::bail!("--length-penalty is for a beam search: add --beam N");
        }
        if self.seed.is_some() && !matches!(strategy, Strategy::Sample { .. }) {
            anyhow::bail!(
                "--seed is for draws, and the likeliest tokens are taken here: add --sample, or leave it out"
            );
        }
        let mut options = trained.options(strategy, self.max_length, parallelism)?;
        if let Some(context) = self.context {
            anyhow::ensure!(
                trained.is_language_model(),
                "--context is for language models: an encoder reads all of a source"
            );
            if let Some(most) = trained.model.max_length().filter(|&most| context > most) {
                anyhow::bail!("--context {context}: the model has positions for {most} tokens");
            }
            options.context = Some(context);
        }
        options.validate().map_err(|reason| anyhow::anyhow!("{}", in_flags(&reason)))?;
        Ok(options)
    }

    /// The flags that were given.
    pub(crate) fn given(&self) -> impl Iterator<Item = &'static str> {
        let Self { beam, length_penalty, sample, greedy, temperature, top_k, top_p, seed, max_length, context } = self;
        let all = [
            ("--beam", beam.is_some()),
            ("--length-penalty", length_penalty.is_some()),
            ("--sample", *sample),
            ("--greedy", *greedy),
            ("--temperature", temperature.is_some()),
            ("--top-k", top_k.is_some()),
            ("--top-p", top_p.is_some()),
            ("--seed", seed.is_some()),
            ("--max-length", max_length.is_some()),
            ("--context", context.is_some()),
        ];
        all.into_iter().filter(|(_, given)| *given).map(|(flag, _)| flag)
    }
}

/// A reason with the flag in place of the option's name.
fn in_flags(reason: &str) -> String {
    match reason.split_once(' ') {
        Some(("width", rest)) => format!("--beam {rest}"),
        Some((name, rest)) => format!("--{} {rest}", name.replace('_', "-")),
        None => reason.to_owned(),
    }
}
