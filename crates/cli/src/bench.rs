mod generation;

use crate::memory::peak_rss_mb;
use crate::report::print;
use crate::weights::Weights;
use crate::{Threads, recipes};
use anyhow::Context;
use clap::Args;
use descant_autograd::Parameters;
use descant_batch::{Batch, Sequences};
use descant_inference::{BenchConfig, Estimate, Recipe, Tokenizers, is_run};
use descant_kernels::{Mat, MatMut, Parallelism, gemm, gemm_flops};
use descant_models::{LossConfig, ModelKind, Vocabulary, build};
use descant_optim::Optimizer;
use descant_tensor::DType;
use descant_text::{TextError, plural};
use descant_train::{CarriedState, Replicas, SourceModels, Texts, random_batch};
use serde::Serialize;
use serde_json::json;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

#[derive(Args)]
pub(crate) struct Bench {
    /// A workload (charrnn, ptb650, s2s_lstm, gpt_small, gpt_6_384, ts2s_256, gpt2_124m), or a recipe; with --generate a run folder
    recipe: String,
    /// Override a key of the recipe, such as --set model.hidden=256 (may be repeated)
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Sequences in a batch [default: the recipe's; with --generate 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    batch: Option<u32>,
    /// Tokens in each sequence
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    length: Option<u32>,
    #[command(flatten)]
    threads: Threads,
    /// Measure on the recipe's own text, batches as in training, rather than on random ids
    #[arg(long, conflicts_with_all = ["batch", "length"])]
    text: bool,
    /// Write the batches to a file, one line of JSON for each, for another program to run on the same
    #[arg(long, value_name = "FILE", requires = "text")]
    dump: Option<PathBuf>,
    /// Steps to measure, after some to warm up
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
    /// Print one JSON object instead
    #[arg(long)]
    json: bool,
    /// Measure generation with a trained model instead: loading, the prompt (prefill), and tokens per second, lengths forced
    #[arg(long, conflicts_with_all = ["set", "length", "text", "dump", "steps"])]
    generate: bool,
    #[command(flatten)]
    weights: Weights,
    #[command(flatten)]
    work: generation::Work,
}

/// Steps before the measured ones.
const WARM_UP: u32 = 5;
/// The size of the product that the roofline's rate is measured with, and how often, between the steps.
const PRODUCT: [usize; 3] = [2048, 512, 2048];
const PRODUCT_ROUNDS: u32 = 10;

#[derive(Serialize)]
struct Figures {
    workload: String,
    parameters: usize,
    batch: usize,
    length: usize,
    threads: usize,
    steps: u32,
    /// Median of one step: forward, backward, clipping, optimizer.
    step_ms: f64,
    fastest_step_ms: f64,
    /// Target tokens.
    tokens_per_s: f64,
    /// Floating-point operations of the matmuls of a step.
    step_gflop: f64,
    /// Of the best large product in this run, on all threads together.
    product_gflop_per_s: f64,
    /// The time of the matmuls alone at that rate, divided by the time of a step.
    roofline_share: f64,
    /// Buffers allocated during the measured steps.
    allocations: u64,
    peak_rss_mb: Option<f64>,
}

impl Bench {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        if self.generate {
            let batch = self.batch.map_or(1, |n| n as usize);
            let run = Path::new(&self.recipe);
            return self.work.run(run, &self.weights, (batch, self.threads.count()), self.json);
        }
        anyhow::ensure!(
            !is_run(Path::new(&self.recipe)),
            "{}: this is a run. To measure how fast it generates, add --generate",
            self.recipe
        );
        let recipe = recipes::load(&self.recipe, &self.set)?;
        recipes::refuse_minimum_risk(&recipe)?;
        anyhow::ensure!(
            self.text || !matches!(recipe.loss, LossConfig::Dpo(_)),
            "loss.kind = \"dpo\": random tokens have no preferences. Add --text"
        );
        let pair = recipe.model.kind == ModelKind::EncoderDecoder;
        let sources = SourceModels::of(&recipe)?;
        let (vocabulary, sizes, texts) = sizes(&recipe, &sources)?;
        let batch = self.batch.map_or(sizes.batch, |n| n as usize);
        let length = self.length.map_or(sizes.length, |n| n as usize);
        let threads = self.threads.count();
        // A replica for each thread.
        let mut measured = recipe.clone();
        measured.train.shares = threads;
        let sides = if pair { 2.0 } else { 1.0 };
        let estimate = Estimate::of(&measured, &vocabulary, DType::F32, sides * batch as f64 * length as f64);
        estimate.and_then(|estimate| estimate.check(true)).map_err(anyhow::Error::msg)?;
        let mut text = match (self.text, &texts) {
            (false, _) => None,
            (true, Some((texts, tokenizers))) => Some(descant_train::batches(&recipe, texts, tokenizers)?),
            (true, None) => anyhow::bail!("{} has no [data], or its text is not there: leave --text out", self.recipe),
        };
        // Each with its epoch.
        let batches: Vec<(u64, Batch)> = match &mut text {
            None => vec![(0, random_batch(pair, &vocabulary, batch, length, false))],
            Some(text) => {
                let next = |_| Ok((text.position().epoch, text.next_batch()?));
                (0..WARM_UP + self.steps).map(next).collect::<Result<_, TextError>>()?
            }
        };
        if let Some(path) = &self.dump {
            dump(batches.iter().map(|(_, batch)| batch), path)
                .with_context(|| format!("could not write {}", path.display()))?;
        }
        let mut parameters = Parameters::new(DType::F32);
        let model = build(&recipe.model, &recipe.loss, &vocabulary, &mut parameters, recipe.seed)
            .map_err(anyhow::Error::msg)?;
        if let Some(finetune) = &recipe.finetune {
            finetune.apply(&mut parameters, recipe.seed).map_err(anyhow::Error::msg)?;
        }
        parameters.set_precision(recipe.train.precision.into());
        let mut optimizer = Optimizer::new(recipe.optimizer.clone(), &parameters)?;
        let mut replicas = Replicas::new(threads, threads)?.with_objective(sources.into_objective());
        replicas.set_scheduled_sampling(recipe.train.scheduled_sampling);
        let start = match &text {
            Some(text) => CarriedState::of_training(&measured, model.as_ref(), &parameters, text)?,
            None if recipe.train.carry_state => Some(CarriedState::start(model.as_ref(), &parameters, batch, threads)?),
            None => None,
        };
        let mut zclip = Default::default();
        let (mut carried, mut current, mut next) = (start.clone(), 0, (0..batches.len()).cycle());
        let mut step = |replicas: &mut Replicas, seed: u32| -> anyhow::Result<(f64, usize)> {
            let (epoch, batch) = &batches[next.next().unwrap_or_default()];
            let batch = std::slice::from_ref(batch);
            let before = Instant::now();
            if *epoch != current {
                (current, carried) = (*epoch, start.clone());
            }
            // As training, on a copy.
            let mut after = carried.clone();
            replicas.forward_backward(model.as_ref(), &parameters, batch, seed.into(), after.as_mut())?;
            carried = after;
            let norm = replicas.reduce();
            let clipping = replicas.clip(model.as_ref(), recipe.train.clip, &mut zclip, &parameters, norm);
            replicas.update(&mut optimizer, &mut parameters, recipe.train.learning_rate, clipping)?;
            let ms = 1e3 * before.elapsed().as_secs_f64();
            Ok((ms, batch.iter().map(|batch| batch.target.tokens()).sum()))
        };
        for warm_up in 0..WARM_UP {
            step(&mut replicas, warm_up)?;
        }
        let mut rate = product_rate(threads)?;
        let (mut times, mut tokens, mut operations, mut rounds) = (Vec::new(), 0, 0, 1);
        let before = replicas.allocations();
        for i in 0..self.steps {
            let counted = gemm_flops();
            let (ms, written) = step(&mut replicas, i)?;
            times.push(ms);
            (tokens, operations) = (tokens + written, operations + gemm_flops() - counted);
            // The processor's clock changes: the rate is measured all along.
            if i * PRODUCT_ROUNDS >= rounds * self.steps {
                rate = rate.max(product_rate(threads)?);
                rounds += 1;
            }
        }
        times.sort_by(f64::total_cmp);
        let step_ms = times[times.len() / 2];
        // Of steps that are all alike the median; of a text's, what they took together.
        let step = if self.text { times.iter().sum::<f64>() / f64::from(self.steps) } else { step_ms };
        let (tokens, operations) = (tokens as f64 / f64::from(self.steps), operations as f64 / f64::from(self.steps));
        let figures = Figures {
            workload: self.recipe,
            parameters: parameters.count(),
            batch,
            length,
            threads,
            steps: self.steps,
            step_ms,
            fastest_step_ms: times[0],
            tokens_per_s: tokens / step * 1e3,
            step_gflop: operations / 1e9,
            product_gflop_per_s: rate / 1e9,
            roofline_share: operations / rate * 1e3 / step,
            allocations: replicas.allocations() - before,
            peak_rss_mb: peak_rss_mb(),
        };
        if self.json {
            print(serde_json::to_string(&figures)?)?;
            return Ok(());
        }
        let of = if self.text {
            "batches of its text".to_owned()
        } else {
            format!("{} of {}", plural(batch as u64, "sequence"), plural(length as u64, "token"))
        };
        let threads = plural(threads as u64, "thread");
        print(format_args!("{}: {} parameters, {of}, {threads}", figures.workload, figures.parameters))?;
        print(format_args!(
            "step              {:.1} ms (median of {}; fastest {:.1})",
            step_ms, self.steps, figures.fastest_step_ms
        ))?;
        print(format_args!("target tokens     {:.0} per second", figures.tokens_per_s))?;
        print(format_args!(
            "roofline          {:.1} % ({:.1} GFLOP of matmuls per step; a large GEMM reaches {:.0} GFLOP/s)",
            100.0 * figures.roofline_share,
            figures.step_gflop,
            figures.product_gflop_per_s
        ))?;
        print(format_args!("allocations       {} during {} steps", figures.allocations, self.steps))?;
        if let Some(peak) = figures.peak_rss_mb {
            print(format_args!("peak memory       {peak:.0} MB"))?;
        }
        Ok(())
    }
}

/// Writes the token ids of batches as JSON: the sources, where there are any, what is read, what is to be written, and what is rejected.
fn dump<'a>(batches: impl Iterator<Item = &'a Batch>, path: &Path) -> anyhow::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let rows = |ids: &Sequences| (0..ids.len()).map(|i| ids.get(i).to_vec()).collect::<Vec<_>>();
    for Batch { source, input, target, rejected, .. } in batches {
        let source = source.as_ref().map(rows);
        let mut ids = json!({ "source": source, "input": rows(input), "target": rows(target) });
        if let Some(rejected) = rejected {
            ids["rejected"] = rows(&rejected.target).into();
        }
        serde_json::to_writer(&mut file, &ids)?;
        writeln!(file)?;
    }
    Ok(file.flush()?)
}

type Text = (Texts, Tokenizers);

/// The vocabulary that training would have, and the batch that a recipe without texts asks for; or else the texts.
fn sizes(recipe: &Recipe, sources: &SourceModels) -> anyhow::Result<(Vocabulary, BenchConfig, Option<Text>)> {
    let train = &recipe.train;
    let default_length = if recipe.data.as_ref().is_some_and(|data| data.stream) { train.length } else { 32 };
    // Of a text that is not there, the sizes that it would have.
    let absent = recipe.data.is_some() && !recipes::has_text(recipe);
    let assumed = BenchConfig {
        vocabulary: recipe.tokenizer.vocabulary,
        batch: match train.batch_sentences {
            0 => (train.batch_tokens / default_length).max(1),
            sentences => sentences,
        },
        length: default_length,
    };
    if let Some(bench) = recipe.bench.or(absent.then_some(assumed)) {
        let source = if recipe.model.kind == ModelKind::EncoderDecoder { bench.vocabulary } else { 0 };
        let vocabulary = Vocabulary::new(source, bench.vocabulary, true);
        return Ok((vocabulary, bench, None));
    }
    let texts = sources.texts(recipe)?;
    let tokenizers = sources.tokenizers(recipe, &texts, usize::MAX)?;
    let vocabulary = tokenizers.vocabulary(&recipe.loss).map_err(anyhow::Error::msg)?;
    let sizes = BenchConfig { vocabulary: vocabulary.target, ..assumed };
    Ok((vocabulary, sizes, Some((texts, tokenizers))))
}

/// Floating-point operations per second of a large product on every thread at once, each its own as replicas do.
fn product_rate(threads: usize) -> anyhow::Result<f64> {
    let [m, k, n] = PRODUCT;
    let run = || {
        let (a, b) = (vec![0.5_f32; m * k], vec![0.25_f32; k * n]);
        let mut c = vec![0.0_f32; m * n];
        let mut product = || {
            gemm(1.0, Mat::new(&a, m, k), Mat::new(&b, k, n), 0.0, MatMut::new(&mut c, m, n), Parallelism::Serial);
        };
        product();
        let start = Instant::now();
        let times = 6;
        (0..times).for_each(|_| product());
        (times * 2 * m * k * n) as f64 / start.elapsed().as_secs_f64()
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        workers.into_iter().map(|worker| worker.join().map_err(|_| anyhow::anyhow!("a thread failed"))).sum()
    })
}
