//! The speed of generation.

use crate::memory::peak_rss_mb;
use crate::report::{note, print};
use crate::weights::Weights;
use clap::Args;
use descant_autograd::Tape;
use descant_generate::{DecodingOptions, GenerationConfig};
use descant_inference::{Request, weights_of};
use descant_kernels::{Parallelism, WeightType, row_maxima};
use descant_text::plural;
use serde::Serialize;
use std::path::Path;
use std::time::Instant;

#[derive(Args)]
#[command(next_help_heading = "With --generate")]
pub(crate) struct Work {
    /// Tokens of each prompt, or of each source
    #[arg(long, value_name = "N", default_value_t = 64, requires = "generate", value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    prompt: u32,
    /// Tokens to generate in each row
    #[arg(long, value_name = "N", default_value_t = 128, requires = "generate", value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    tokens: u32,
    /// Beam width
    #[arg(long = "num-beams", visible_alias = "beam", value_name = "N", default_value_t = 1, requires = "generate", value_parser = clap::value_parser!(u32).range(1..=1 << 10))]
    beam: u32,
    /// Rows to generate for; by default one batch
    #[arg(long, value_name = "N", requires = "generate", value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    rows: Option<u32>,
    /// Times that everything is measured; the median counts
    #[arg(long, value_name = "N", default_value_t = 5, requires = "generate", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
}

#[derive(Serialize)]
struct Figures {
    run: String,
    parameters: usize,
    /// The type of the weights.
    weights: &'static str,
    prompt: u32,
    tokens: u32,
    batch: usize,
    beam: u32,
    threads: usize,
    load_s: f64,
    /// Of one batch: from the prompt, or the source, to the first token.
    prompt_ms: f64,
    /// Generated tokens of all rows in the whole call.
    tokens_per_s: f64,
    /// The same after the first token. None where each row has one, or where noise hides the time of the others.
    decode_tokens_per_s: Option<f64>,
    /// Bytes of all weights, over the time of a step and the bandwidth: 1 is the bound of one row of a language model. None where a
    /// cache holds them, or where that time is not known.
    bandwidth_share: Option<f64>,
    read_gb_per_s: f64,
    /// Buffers allocated in the last round.
    allocations: u64,
    peak_rss_mb: Option<f64>,
}

impl Work {
    pub(super) fn run(
        self,
        run: &Path,
        weights: &Weights,
        (batch, threads): (usize, usize),
        json: bool,
    ) -> anyhow::Result<()> {
        let start = Instant::now();
        let trained = weights.load(run)?;
        let load_s = start.elapsed().as_secs_f64();
        let parallelism = if threads > 1 { Parallelism::Threads(threads) } else { Parallelism::Serial };
        let options = |tokens: u32| -> anyhow::Result<DecodingOptions> {
            let mut config =
                if self.beam == 1 { GenerationConfig::greedy() } else { GenerationConfig::beam(self.beam as usize) };
            config.max_new_tokens = Some(tokens as usize);
            let mut options = trained.options(&config, parallelism)?;
            // Without what the recipe says of texts, and without EOS, every row has the full length that it has positions for.
            config.context = options.config.context;
            (options.config, options.stop, options.reranker) = (config, None, None);
            options.eos.clear();
            Ok(options)
        };
        let side = trained.tokenizers.source.as_ref().unwrap_or(&trained.tokenizers.target);
        let vocabulary = side.vocabulary() as u64;
        // Beyond its context length a language model would read the end of the prompt alone.
        if let Some(context) = options(self.tokens)?.config.context.filter(|_| trained.is_language_model()) {
            let prompt = self.prompt as usize;
            anyhow::ensure!(
                prompt <= context,
                "--prompt {prompt}: the context length is {context}: give that many at most"
            );
            if prompt + self.tokens as usize > context {
                note(format_args!(
                    "the prompt and --tokens {} are beyond the context length of {context}: the context slides, and its later half is read again",
                    self.tokens
                ));
            }
        }
        let rows = self.rows.map_or(batch, |rows| rows as usize);
        let id = |row: usize, i: u32| (((row as u64 + 1) * 7919 + u64::from(i) * 104_729) % vocabulary) as u32;
        let texts: Vec<Vec<u32>> = (0..rows).map(|row| (0..self.prompt).map(|i| id(row, i)).collect()).collect();
        let requests = |texts: &[Vec<u32>]| texts.iter().cloned().map(Request::from).collect::<Vec<_>>();
        let mut tape = Tape::new();
        let mut seconds = |texts: &[Vec<u32>], tokens: u32| -> anyhow::Result<f64> {
            let (options, start) = (options(tokens)?, Instant::now());
            for texts in texts.chunks(batch) {
                let numbers: Vec<u64> = (0..texts.len() as u64).collect();
                let found = trained.generate_requests(&mut tape, requests(texts), &numbers, &options, |_, _| ())?;
                let found = found.into_iter().collect::<Result<Vec<_>, _>>()?;
                let shortest = found.iter().flatten().map(|text| text.tokens.len()).min().unwrap_or(0);
                anyhow::ensure!(
                    shortest as u32 >= tokens,
                    "the model has positions for {shortest} tokens: give --tokens that many at most"
                );
            }
            Ok(start.elapsed().as_secs_f64())
        };
        let one = &texts[..batch.min(rows)];
        seconds(one, self.tokens.min(8))?;
        let (mut first, mut whole) = (Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            first.push(seconds(&texts, 1)?);
            whole.push(seconds(&texts, self.tokens)?);
        }
        let [first, whole] = [first, whole].map(median);
        // Before the memory that measures the bandwidth.
        let peak_rss_mb = peak_rss_mb();
        let bandwidth = read_bandwidth(threads);
        let batches = rows.div_ceil(batch) as f64;
        let steps = batches * f64::from(self.tokens - 1);
        let decoding = Some(whole - first).filter(|&seconds| self.tokens > 1 && seconds > 0.0);
        let bytes = trained.parameters.size() as f64;
        let before = tape.allocations();
        let numbers: Vec<u64> = (0..one.len() as u64).collect();
        trained.generate_requests(&mut tape, requests(one), &numbers, &options(self.tokens)?, |_, _| ())?;
        let figures = Figures {
            run: run.display().to_string(),
            parameters: trained.parameters.count(),
            weights: weights_of(&trained.parameters).map_or("f32", WeightType::name),
            prompt: self.prompt,
            tokens: self.tokens,
            batch,
            beam: self.beam,
            threads,
            load_s,
            prompt_ms: 1e3 * first / batches,
            tokens_per_s: rows as f64 * f64::from(self.tokens) / whole,
            decode_tokens_per_s: decoding.map(|seconds| rows as f64 * f64::from(self.tokens - 1) / seconds),
            bandwidth_share: decoding
                .filter(|_| bytes > cache_size())
                .map(|seconds| bytes * steps / seconds / bandwidth),
            read_gb_per_s: bandwidth / 1e9,
            allocations: tape.allocations() - before,
            peak_rss_mb,
        };
        if json {
            return print(serde_json::to_string(&figures)?);
        }
        let Figures { parameters, load_s, prompt_ms, tokens_per_s, decode_tokens_per_s, .. } = figures;
        let Self { prompt, tokens, beam, .. } = self;
        let kind = if trained.is_language_model() { "prompt" } else { "source" };
        let (kind, new) = (plural(rows as u64, kind), if tokens == 1 { "new one" } else { "new ones" });
        let (prompt, threads) = (plural(prompt.into(), "token"), plural(threads as u64, "thread"));
        print(format_args!(
            "{}: {parameters} parameters in {}, {kind} of {prompt}, {tokens} {new} each, batch {batch}, beam {beam}, {threads}",
            figures.run, figures.weights
        ))?;
        print(format_args!("loading           {load_s:.2} s"))?;
        print(format_args!("first token       {prompt_ms:.1} ms for a batch"))?;
        let after = decode_tokens_per_s.map_or_else(String::new, |after| format!("; {after:.1} after the first"));
        print(format_args!("tokens            {tokens_per_s:.1} per second{after}"))?;
        match figures.bandwidth_share {
            Some(share) => print(format_args!(
                "bandwidth         {:.1} % of {:.1} GB/s, if each step reads every weight once",
                100.0 * share,
                figures.read_gb_per_s
            ))?,
            None if bytes > cache_size() => (),
            None => print("bandwidth         no bound, as a cache holds the weights")?,
        }
        print(format_args!("allocations       {} buffers in one batch after the first rounds", figures.allocations))?;
        figures.peak_rss_mb.map_or(Ok(()), |peak| print(format_args!("peak memory       {peak:.0} MB")))
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Bytes of the largest cache; 0 where the system does not tell.
fn cache_size() -> f64 {
    let size = |index: usize| {
        let text = std::fs::read_to_string(format!("/sys/devices/system/cpu/cpu0/cache/index{index}/size")).ok()?;
        let (number, unit) = text.trim().split_at_checked(text.trim().len().checked_sub(1)?)?;
        let unit = if unit == "M" { 1048576.0 } else { 1024.0 };
        Some(unit * number.parse::<f64>().ok()?)
    };
    (0..8).filter_map(size).fold(0.0, f64::max)
}

/// Bytes per second that all threads read together of memory that no cache holds: the best of a few times, after one that maps
/// the pages.
fn read_bandwidth(threads: usize) -> f64 {
    const NUMBERS: usize = 32 << 20;
    let values = vec![1.0_f32; NUMBERS];
    // By vector instructions: no chain of additions is what is waited for.
    let largest = |values: &[f32]| {
        let mut largest = [0.0];
        row_maxima(values, values.len(), &mut largest);
        largest
    };
    let time = |_| {
        let start = Instant::now();
        std::thread::scope(|scope| {
            for part in values.chunks(NUMBERS.div_ceil(threads)) {
                scope.spawn(move || std::hint::black_box(largest(part)));
            }
        });
        start.elapsed().as_secs_f64()
    };
    let seconds = (0..4).map(time).skip(1).fold(f64::INFINITY, f64::min);
    4.0 * NUMBERS as f64 / seconds
}
