//! Minimum risk training (Shen et al. 2016, arXiv 1512.02433): what a model may well write is to become the likelier the better a metric
//! of texts finds it. For each source, candidates come from the model itself, and the expected risk is over their renormalised
//! probabilities:
//!
//! ```text
//! Q(y) = p(y)^α / Σ p(y')^α     L = Σ Q(y) risk(y) - λ log p(reference) / |reference|
//! ```

use crate::objective_loss::{ObjectiveLoss, named};
use descant_autograd::{Graph, Parameters, Tape};
use descant_batch::{Batch, Sequences};
use descant_generate::{DecodingBatch, DecodingOptions, GenerationConfig, Hypothesis, generate};
use descant_inference::{Error, Trained};
use descant_kernels::Parallelism;
use descant_metrics::{Direction, Metric, Scale, sentence_metric};
use descant_models::{CandidateSearch, Generator, MinimumRiskConfig};
use descant_tensor::Tensor;
use descant_text::Tokenizer;
use std::sync::Arc;

/// What candidates are generated and judged with.
#[derive(Debug)]
pub struct MinimumRisk {
    config: MinimumRiskConfig,
    tokenizer: Arc<Tokenizer>,
    options: DecodingOptions,
}

/// The candidates of a batch.
pub struct Candidates<'a> {
    config: &'a MinimumRiskConfig,
    /// The references, and then the candidates, as one batch.
    rows: Batch,
    /// Of each source, its candidates: rows, each with its risk.
    of_sources: Vec<Vec<(usize, f64)>>,
}

/// New tokens of a candidate at most: this times the longest reference of the share, and some more.
const LONGER: usize = 2;
const MORE: usize = 10;

impl MinimumRisk {
    /// For a model as it would be loaded.
    ///
    /// # Errors
    /// Where its tokenizer fails.
    pub(crate) fn new(config: &MinimumRiskConfig, trained: &Trained) -> Result<Self, Error> {
        let mut options = trained.options(&GenerationConfig::default(), Parallelism::Serial)?;
        // The candidates are those of the model itself, whatever the recipe's own way to write is.
        options.config = GenerationConfig::default().with(|given| {
            (given.context, given.max_new_tokens) = (options.config.context, options.config.max_new_tokens);
            given.suppress_tokens = options.config.suppress_tokens.take();
            given.num_return_sequences = Some(config.samples);
            match config.search {
                CandidateSearch::Sampling => given.do_sample = Some(true),
                CandidateSearch::Beam => given.num_beams = Some(config.samples),
            }
        });
        (options.reranker, options.stop) = (None, None);
        Ok(Self { config: config.clone(), tokenizer: trained.tokenizers.target.clone(), options })
    }

    /// Generates candidates for each source or prompt of a batch. Samples are drawn from the seed.
    ///
    /// # Errors
    /// Whatever a pass fails with.
    pub(crate) fn generate(
        &self,
        tape: &mut Tape,
        (model, parameters): (&dyn Generator, &Parameters),
        batch: &Batch,
        seed: u64,
    ) -> descant_tensor::Result<Candidates<'_>> {
        // What is read before the first target that counts is the prompt.
        let starts: Vec<usize> = (0..batch.target.len())
            .map(|i| batch.target.get(i).iter().take_while(|&&id| id == Batch::IGNORED).count())
            .collect();
        let mut prompts = Sequences::new();
        for (i, &start) in starts.iter().enumerate() {
            let input = batch.input.get(i);
            prompts.push(&input[..(start + 1).min(input.len())]);
        }
        // A language model with positions of its own goes on beyond them when it generates, and cannot learn that.
        let positions = model.max_length().unwrap_or(usize::MAX);
        let shortest = prompts.lengths().into_iter().min().unwrap_or(0);
        let room = positions.saturating_add(1).saturating_sub(shortest).max(1);
        let mut options = self.options.clone();
        let longest = batch.target.lengths().into_iter().zip(&starts).map(|(all, start)| all - start).max();
        options.config = options.config.with(|config| {
            config.seed = Some(seed);
            let most = config.max_new_tokens.unwrap_or(usize::MAX).min(room);
            config.max_new_tokens = Some(most.min(LONGER * longest.unwrap_or(0) + MORE));
        });
        let numbers: Vec<u64> = (0..batch.target.len() as u64).collect();
        let rows = DecodingBatch {
            rows: &numbers,
            sources: batch.source.as_ref(),
            prompts: Some(&prompts),
            ..DecodingBatch::default()
        };
        let found = generate(model, parameters, tape, rows, &options)?;

        let mut rows = batch.clone();
        let mut of_sources = Vec::with_capacity(found.len());
        for (i, hypotheses) in found.into_iter().enumerate() {
            let start = starts[i];
            let reference = self.text(&batch.target.get(i)[start..]);
            let Some(metric) = sentence_metric(&self.config.metric, [&*reference]) else { continue };
            let mut own = Vec::new();
            if self.config.reference {
                own.push((i, risk(metric.as_ref(), &reference, &reference)));
            }
            // A row that could write nothing has no candidates.
            for hypothesis in hypotheses.unwrap_or_default() {
                let written = self.with_end(&hypothesis);
                let is_known = |&(row, _): &(usize, f64)| rows.target.get(row)[start..] == written[..];
                let is_longer = prompts.get(i).len() + written.len() > positions.saturating_add(1);
                if written.is_empty() || is_longer || own.iter().any(is_known) {
                    continue;
                }
                let risk = risk(metric.as_ref(), &self.text(&written), &reference);
                own.push((rows.target.len(), risk));
                if let (Some(all), Some(sources)) = (&mut rows.source, &batch.source) {
                    all.push(sources.get(i));
                }
                rows.input.push(&[prompts.get(i), &written[..written.len() - 1]].concat());
                rows.target.push(&[&batch.target.get(i)[..start], &written[..]].concat());
            }
            of_sources.push(own);
        }
        Ok(Candidates::new(&self.config, rows, of_sources))
    }

    /// What a candidate is learned as: its tokens, with EOS where it wrote one.
    fn with_end(&self, hypothesis: &Hypothesis) -> Vec<u32> {
        let end = self.options.eos.first().filter(|_| hypothesis.is_finished());
        hypothesis.tokens.iter().chain(end).copied().collect()
    }

    /// The text of some targets.
    fn text(&self, ids: &[u32]) -> String {
        let written: Vec<u32> =
            ids.iter().copied().filter(|id| *id != Batch::IGNORED && !self.options.eos.contains(id)).collect();
        self.tokenizer.decode(&written).unwrap_or_default()
    }
}

/// What a text lacks of the best value of a metric, from 0 to 1 where that has a worst value.
fn risk(metric: &dyn Metric, text: &str, reference: &str) -> f64 {
    let score = metric.score(&metric.statistics(text, &[reference], ""));
    let score = if metric.scale() == Scale::Points { score / 100.0 } else { score };
    match metric.direction() {
        Direction::Larger => 1.0 - score,
        Direction::Smaller => score,
    }
}

impl<'a> Candidates<'a> {
    /// Of a batch whose first rows are the references of all sources. Of each source, its candidates: rows, each with its risk.
    pub fn new(config: &'a MinimumRiskConfig, rows: Batch, of_sources: Vec<Vec<(usize, f64)>>) -> Self {
        Self { config, rows, of_sources }
    }

    /// The summed expected risk of the sources.
    pub fn loss<'t>(&self, graph: Graph<'t>, model: &dyn Generator) -> ObjectiveLoss<'t> {
        let Self { config, rows, of_sources } = self;
        let found = model.output().log_likelihoods(&model.hidden(graph, rows), &rows.target);
        // A row for each source; shorter ones end in columns of no probability.
        let (sources, most) = (of_sources.len(), of_sources.iter().map(Vec::len).max().unwrap_or(0));
        let cells = || of_sources.iter().flat_map(|own| (0..most).map(|i| own.get(i).copied()));
        let places: Arc<[u32]> = cells().map(|cell| cell.map_or(0, |(row, _)| row as u32)).collect();
        let masks: Vec<f64> = cells().map(|cell| if cell.is_some() { 0.0 } else { f64::from(f32::MIN) }).collect();
        let risks: Vec<f64> = cells().map(|cell| cell.map_or(0.0, |(_, risk)| risk)).collect();
        let of_length = |i: usize| {
            let counted = rows.target.get(i).iter().filter(|&&id| model.output().counts(id)).count();
            -config.likelihood / counted.max(1) as f64
        };
        let likelihood: Vec<f64> = (0..sources).map(of_length).collect();
        let constant = |shape: &[usize], values: &[f64]| match Tensor::new(shape, values) {
            Ok(values) => graph.constant(&values),
            Err(error) => graph.fail("minimum_risk", error.to_string(), &[found]),
        };
        let shape = [sources, most];
        let scores = found.reshape([rows.target.len(), 1]).gather(&places).reshape(shape).scale(config.alpha);
        let probabilities = (scores + constant(&shape, &masks)).softmax();
        let risk = (probabilities * constant(&shape, &risks)).sum();
        let loss = match config.likelihood > 0.0 {
            true => risk + (found.slice(0, sources) * constant(&[sources], &likelihood)).sum(),
            false => risk,
        };
        let candidates = of_sources.iter().map(Vec::len).sum::<usize>() as f64;
        let measures = risk.item().map(|risk| named(MinimumRiskConfig::MEASURES, [risk, candidates]));
        ObjectiveLoss { loss, measures }
    }
}
