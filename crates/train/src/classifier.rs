//! Learns a classifier of texts by the hidden states of a trained model, for attribute steering.

use crate::Error;
use descant_autograd::{Parameters, Tape};
use descant_batch::Batch;
use descant_generate::AttributeClassifier;
use descant_hyperparameters::optimizers::Adam;
use descant_hyperparameters::{Clipping, OptimizerConfig};
use descant_inference::Trained;
use descant_kernels::Parallelism;
use descant_optim::Optimizer;
use descant_tensor::{DType, Tensor};
use descant_text::{InputBuilder, Text};
use std::sync::Arc;

/// A text with what it is.
#[derive(Clone, Debug)]
pub struct LabelledText {
    /// Of an encoder-decoder, what it was written for.
    pub source: Option<String>,
    /// The text.
    pub text: String,
    /// What it is.
    pub label: String,
}

/// Passes over all hidden states.
const EPOCHS: usize = 200;
const LEARNING_RATE: f64 = 0.02;
/// Hidden states at most, which are in memory together: those of the first texts.
const MOST: usize = 200_000;
/// Every so manieth text measures the classifier, and is not learned from.
const HELD_OUT: usize = 10;

/// How well a classifier finds the labels of texts that were held out.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct HeldOut {
    /// How many texts there are.
    pub texts: usize,
    /// Those whose label it finds.
    pub right: usize,
    /// The share of the most frequent label among all texts: the majority baseline.
    pub majority: f64,
}

impl HeldOut {
    /// Whether it is better than the majority baseline by more than its standard error, so that it has learnt something.
    pub fn is_better(self) -> bool {
        let texts = self.texts as f64;
        self.right as f64 / texts - self.majority > (self.majority * (1.0 - self.majority) / texts).sqrt()
    }
}

/// Learns from labelled texts a linear classifier of the hidden states at each of their tokens, and tells of a tenth of the texts, held out,
/// whether it finds the label; none of fewer texts than ten.
///
/// # Errors
/// For fewer than two labels, continuous outputs, an encoder-decoder's text without a source; whatever a pass fails with.
pub fn learn_classifier(
    trained: &Trained,
    texts: &[LabelledText],
) -> Result<(AttributeClassifier, Option<HeldOut>), Error> {
    let wrong = |reason: String| descant_inference::Error::Run { path: trained.run().to_owned(), reason };
    let mut labels: Vec<String> = texts.iter().map(|text| text.label.clone()).collect();
    labels.sort();
    labels.dedup();
    if labels.len() < 2 {
        return Err(
            wrong(format!("a classifier needs texts of two labels or more, and these have {}", labels.len())).into()
        );
    }
    if !trained.model.output().is_likelihood() {
        return Err(wrong("its outputs are continuous, and have no probabilities to steer".to_owned()).into());
    }
    let mut tape = Tape::new();
    let (mut states, mut ids, mut held_out) = (Vec::<f64>::new(), Vec::<u32>::new(), Vec::new());
    let (mut width, mut counts) = (0, vec![0; labels.len()]);
    for (i, text) in texts.iter().enumerate() {
        let hidden = hidden_states(trained, &mut tape, text)?;
        width = hidden.shape().last();
        let label = labels.binary_search(&text.label).unwrap_or(0);
        counts[label] += 1;
        let label = label as u32;
        if i % HELD_OUT == HELD_OUT - 1 {
            held_out.push((hidden, label));
        } else if ids.len() + hidden.shape().rows() <= MOST {
            states.extend(hidden.to_f64());
            ids.extend(std::iter::repeat_n(label, hidden.shape().rows()));
        }
    }
    let mut parameters = Parameters::new(DType::F64);
    let weight = parameters.add("weight", [labels.len(), width]);
    let bias = parameters.add("bias", [labels.len()]);
    let mut optimizer =
        Optimizer::new(OptimizerConfig::Adam(Adam { no_decay: Vec::new(), ..Adam::default() }), &parameters)?;
    let (mut gradients, states) = (parameters.gradients(), Tensor::new([ids.len(), width], &states)?);
    let ids: Arc<[u32]> = ids.into();
    for _ in 0..EPOCHS {
        gradients.clear();
        let graph = tape.differentiate(&parameters);
        let scores = graph.constant(&states).matmul_t(graph.parameter(weight)) + graph.parameter(bias);
        graph.backward(scores.log_softmax().gather_last(&ids).mean().scale(-1.0), &mut gradients)?;
        optimizer.step(&mut parameters, &gradients, LEARNING_RATE, Clipping::default())?;
    }
    let mut right = 0;
    for (hidden, label) in &held_out {
        let graph = tape.infer(&parameters, Parallelism::Serial);
        let hidden = graph.constant(&hidden.cast(DType::F64));
        let scores = (hidden.matmul_t(graph.parameter(weight)) + graph.parameter(bias)).log_softmax();
        let of_text = scores.sum_axis(0).value()?.to_f64();
        let best = (0..labels.len()).max_by(|&a, &b| of_text[a].total_cmp(&of_text[b]));
        right += usize::from(best == Some(*label as usize));
    }
    let majority = counts.into_iter().max().unwrap_or(0) as f64 / texts.len() as f64;
    let found = (!held_out.is_empty()).then_some(HeldOut { texts: held_out.len(), right, majority });
    let rows = parameters.tensor(weight).to_f64();
    let weight = rows.chunks(width.max(1)).map(<[f64]>::to_vec).collect();
    Ok((AttributeClassifier { labels, weight, bias: parameters.tensor(bias).to_f64() }, found))
}

/// The hidden states at each token of a text, that before the first one included, `[N, H]`.
fn hidden_states(trained: &Trained, tape: &mut Tape, text: &LabelledText) -> Result<Tensor, Error> {
    let target = &trained.tokenizers.target;
    let source = match (&trained.tokenizers.source, &text.source) {
        (Some(tokenizer), Some(source)) => Some(tokenizer.encode_text(&Text::from(source))?),
        (None, _) => None,
        (Some(_), None) => {
            let reason = "a text of an encoder-decoder needs its source".to_owned();
            return Err(descant_inference::Error::Run { path: trained.run().to_owned(), reason }.into());
        }
    };
    let special = [trained.tokenizers.source.as_ref().unwrap_or(target), target].map(|of| of.special().clone());
    let mut ids = target.encode_text(&Text::from(&text.text))?;
    if let Some(most) = trained.model.max_length() {
        ids.truncate(most.saturating_sub(2));
    }
    let mut batch = Batch::default();
    InputBuilder::new(&special, source.is_some(), false).add(&mut batch, source.as_deref(), &ids, 0);
    let graph = tape.infer(&trained.parameters, Parallelism::Serial);
    Ok(trained.model.hidden(graph, &batch).rows.value()?)
}
