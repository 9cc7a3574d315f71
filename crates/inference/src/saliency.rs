//! Saliency: how much each token that was read counts for each token that was written, by the gradients of the model.
//!
//! The embedding of every token that is read becomes a row of its own in a larger embedding table: so the gradient of the table
//! has a row for each token, whatever tokens repeat, and the model is the one that generates.

use crate::{Error, Trained};
use descant_autograd::{Gradients, ParameterId, Parameters, Tape};
use descant_batch::{Batch, Sequences};
use descant_models::{Generator, ModelKind, build};
use descant_tensor::{DType, Tensor};
use std::sync::Arc;

/// How tokens are attributed to those before them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaliencyMethod {
    /// The gradient of the log probability times the embedding (Shrikumar et al. 2016, arXiv 1605.01713).
    GradientTimesInput,
    /// Integrated gradients from the mean of all embeddings, by a Gauss-Legendre quadrature of so many points (Sundararajan et al. 2017,
    /// arXiv 1703.01365).
    IntegratedGradients(usize),
}

/// How much each token that was read counts for a token that was written.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Saliency {
    /// Of each token of the source, or of the prompt and what was written before: what it adds to the log probability.
    pub attributions: Vec<f64>,
    /// The log probability with the embeddings as they are.
    pub log_probability: f64,
    /// The same where every token that was read has the mean of all embeddings. For integrated gradients, the attributions sum up to the difference.
    pub baseline: f64,
}

impl Saliency {
    /// How far the attributions are from summing up to the difference to the baseline (completeness).
    pub fn completeness_error(&self) -> f64 {
        (self.log_probability - self.baseline - self.attributions.iter().sum::<f64>()).abs()
    }
}

/// Explains what a trained model wrote, text after text.
#[derive(Debug)]
pub struct Explainer<'a> {
    pub(crate) trained: &'a Trained,
    /// Of the longest text so far.
    widened: Option<Widened>,
}

/// A model with a larger embedding table.
#[derive(Debug)]
struct Widened {
    model: Box<dyn Generator>,
    parameters: Parameters,
    gradients: Gradients,
    table: ParameterId,
    /// The rows before the new ones.
    first: usize,
    /// The new ones.
    rows: usize,
    /// Entries of the target's vocabulary.
    vocabulary: usize,
    /// The mean of all embeddings.
    mean: Vec<f32>,
}

impl<'a> Explainer<'a> {
    /// Of this model.
    pub fn new(trained: &'a Trained) -> Self {
        Self { trained, widened: None }
    }

    /// The saliency of what was read for each token of `written`: of the source's tokens, or of a language model's prompt and
    /// the tokens written before.
    ///
    /// # Errors
    /// For a model with continuous outputs, for a text beyond the model's positions, and whatever its pass fails with.
    pub fn saliency(
        &mut self,
        tape: &mut Tape,
        read: &[u32],
        written: &[u32],
        method: SaliencyMethod,
    ) -> Result<Vec<Saliency>, Error> {
        let trained = self.trained;
        if !trained.model.output().is_likelihood() {
            let reason = "its outputs are continuous, and have no probabilities to differentiate".to_owned();
            return Err(Error::Run { path: trained.run().to_owned(), reason });
        }
        trained.check_text(read, written)?;
        // Shares of the way from the mean embedding and the weights of their gradients: first the whole and none, for the log
        // probabilities alone. From embeddings of zero, norms would make the model change over many orders of magnitude.
        let points = match method {
            SaliencyMethod::GradientTimesInput => vec![(1.0, 1.0), (0.0, 0.0)],
            SaliencyMethod::IntegratedGradients(count) => {
                [(1.0, 0.0), (0.0, 0.0)].into_iter().chain(gauss_legendre(count)).collect()
            }
        };
        let is_language_model = trained.is_language_model();
        let longest = if is_language_model { read.len() + written.len() } else { read.len() };
        let rows = longest * points.len();
        self.widened.take_if(|widened| widened.rows < rows);
        let widened = match &mut self.widened {
            Some(widened) => widened,
            none => none.insert(Widened::of(trained, rows.next_power_of_two())?),
        };
        // What a gradient is multiplied with: the embedding, or its difference to the mean.
        let is_integrated = method != SaliencyMethod::GradientTimesInput;
        let start: Vec<u32> = if is_language_model { Vec::new() } else { trained.bos()?.into_iter().collect() };
        let one = |t: usize| {
            let inputs = if is_language_model { [read, &written[..t]].concat() } else { read.to_vec() };
            let decoder = if is_language_model { Vec::new() } else { [&start, &written[..t]].concat() };
            widened.saliency(
                tape,
                &inputs,
                (!is_language_model).then_some(&decoder),
                written[t],
                &points,
                is_integrated,
            )
        };
        (0..written.len()).map(one).collect::<Result<_, _>>().map_err(Error::from)
    }
}

impl Widened {
    /// A model with so many more rows in the embedding table of what it reads.
    fn of(trained: &Trained, rows: usize) -> Result<Self, Error> {
        let Trained { recipe, tokenizers, .. } = trained;
        let wrong = |reason: String| Error::Run { path: trained.run().to_owned(), reason };
        let mut vocabulary = tokenizers.vocabulary(&recipe.loss).map_err(wrong)?;
        let mut config = recipe.model.clone();
        config.transformer.iter_mut().for_each(|layers| layers.recompute = false);
        let is_language_model = config.kind == ModelKind::LanguageModel;
        let (source, target) = (vocabulary.source, vocabulary.target);
        let (first, name) = match is_language_model {
            true => (target, ["embedding.weight", "decoder.embedding.weight"]),
            false => (source, ["encoder.embedding.weight"; 2]),
        };
        let mut grown = Vec::new();
        if !is_language_model {
            vocabulary.source += rows;
            grown.push((source, source + rows));
        }
        if is_language_model || config.tie.joins_sides() {
            vocabulary.target += rows;
            grown.push((target, target + rows));
        }
        let mut parameters = Parameters::new(DType::F32);
        let model = build(&config, &recipe.loss, &vocabulary, &mut parameters, None).map_err(wrong)?;
        parameters.copy_from(&trained.parameters, &grown).map_err(wrong)?;
        let table = name.iter().find_map(|name| parameters.find(name));
        let table = table.ok_or_else(|| wrong("its embedding table has another name".to_owned()))?;
        let others: Vec<ParameterId> = parameters.ids().filter(|&id| id != table).collect();
        others.into_iter().for_each(|id| parameters.set_trainable(id, false));
        let (gradients, width) = (parameters.gradients(), parameters.shape(table).last());
        let mut mean = vec![0.0; width];
        for row in parameters.values::<f32>(table)[..first * width].chunks_exact(width.max(1)) {
            mean.iter_mut().zip(row).for_each(|(mean, x)| *mean += x / first as f32);
        }
        Ok(Self { model, parameters, gradients, table, first, rows, vocabulary: target, mean })
    }

    /// Of inputs, and what a decoder reads, for the token that follows.
    fn saliency(
        &mut self,
        tape: &mut Tape,
        inputs: &[u32],
        decoder: Option<&Vec<u32>>,
        token: u32,
        points: &[(f64, f64)],
        is_integrated: bool,
    ) -> descant_tensor::Result<Saliency> {
        let width = self.parameters.shape(self.table).last();
        let (mut sequences, mut batch) = (Sequences::new(), Batch::default());
        for (point, &(share, _)) in points.iter().enumerate() {
            let start = self.first + point * inputs.len();
            let table = self.parameters.values_mut::<f32>(self.table);
            for (i, &id) in inputs.iter().enumerate() {
                let row = table[id as usize * width..][..width].to_vec();
                let between = &mut table[(start + i) * width..][..width];
                for ((to, x), mean) in between.iter_mut().zip(row).zip(&self.mean) {
                    *to = mean + share as f32 * (x - mean);
                }
            }
            sequences.push(&(start as u32..(start + inputs.len()) as u32).collect::<Vec<_>>());
            if let Some(decoder) = decoder {
                batch.input.push(decoder);
            }
        }
        match decoder {
            Some(_) => batch.source = Some(sequences),
            None => batch.input = sequences,
        }
        batch.target = batch.input.clone();
        let graph = tape.differentiate(&self.parameters);
        let hidden = self.model.hidden(graph, &batch);
        let last = |i: usize| hidden.segments.rows(i).last().map(|&row| row as u32);
        let rows: Arc<[u32]> = (0..points.len()).filter_map(last).collect();
        let logits = self.model.output().logits(hidden.rows.gather(&rows)).slice_last(0, self.vocabulary);
        let ids: Arc<[u32]> = vec![token; points.len()].into();
        let logs = logits.log_softmax().gather_last(&ids);
        let values = logs.value()?.to_f64();
        let weights: Vec<f64> = points.iter().map(|&(_, weight)| weight).collect();
        let weights = graph.constant(&Tensor::new([weights.len()], &weights)?);
        let sum = (logs.reshape([points.len()]) * weights).sum();
        self.gradients.clear();
        graph.backward(sum, &mut self.gradients)?;
        let gradients = self.gradients.values::<f32>(self.table);
        let table = self.parameters.values::<f32>(self.table);
        let attribution = |i: usize| -> f64 {
            let row = &table[inputs[i] as usize * width..][..width];
            let from = |mean: f32| if is_integrated { f64::from(mean) } else { 0.0 };
            let difference: Vec<f64> =
                row.iter().zip(&self.mean).map(|(x, mean)| f64::from(*x) - from(*mean)).collect();
            let each = (0..points.len()).flat_map(|point| {
                let start = (self.first + point * inputs.len() + i) * width;
                gradients[start..start + width].iter().zip(&difference)
            });
            each.map(|(gradient, difference)| f64::from(*gradient) * difference).sum()
        };
        let attributions = (0..inputs.len()).map(attribution).collect();
        Ok(Saliency { attributions, log_probability: values[0], baseline: values[1] })
    }
}

/// The points and weights of a Gauss-Legendre quadrature from 0 to 1: the roots of the Legendre polynomial, by Newton's method.
fn gauss_legendre(count: usize) -> Vec<(f64, f64)> {
    let n = count.max(1);
    let point = |i: usize| {
        let mut x = (std::f64::consts::PI * (i as f64 + 0.75) / (n as f64 + 0.5)).cos();
        let mut slope = 1.0;
        for _ in 0..100 {
            let (mut before, mut value) = (1.0, x);
            for k in 2..=n {
                let k = k as f64;
                (before, value) = (value, ((2.0 * k - 1.0) * x * value - (k - 1.0) * before) / k);
            }
            slope = n as f64 * (x * value - before) / (x * x - 1.0);
            let step = value / slope;
            x -= step;
            if step.abs() < 1e-15 {
                break;
            }
        }
        ((1.0 - x) / 2.0, 1.0 / ((1.0 - x * x) * slope * slope))
    };
    (0..n).map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::gauss_legendre;

    #[test]
    fn a_quadrature_is_exact_for_polynomials() {
        for count in [1, 2, 5, 32] {
            for power in 0..(2 * count) {
                let sum: f64 = gauss_legendre(count).iter().map(|(x, weight)| weight * x.powi(power as i32)).sum();
                assert!((sum - 1.0 / (power as f64 + 1.0)).abs() < 1e-12, "{count} {power} {sum}");
            }
        }
    }
}
