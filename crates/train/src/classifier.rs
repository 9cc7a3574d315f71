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
/// Hidden states at most, which are in memory together: those of the first texts that fit.
const MOST: usize = 200_000;
/// Every so manieth text measures the classifier, and is not learned from.
const HELD_OUT: usize = 10;

/// A classifier, and what it was learnt from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LearntClassifier {
    /// The classifier.
    pub classifier: AttributeClassifier,
    /// How well it does on texts that were held out; none of fewer texts than ten.
    pub held_out: Option<HeldOut>,
    /// How many texts were left out, as their tokens would not be in memory together with those before them.
    pub left_out: usize,
    /// How many texts an encoder-decoder read the first positions of alone.
    pub cut: usize,
}

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
/// whether it finds the label.
///
/// A language model reads a text beyond its [context length](Trained::context) in parts of that length, each for itself.
///
/// # Errors
/// For fewer than two labels, one of which no text is learnt from, continuous outputs, an encoder-decoder's text without a source; whatever a pass fails with.
pub fn learn_classifier(trained: &Trained, texts: &[LabelledText]) -> Result<LearntClassifier, Error> {
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
    let mut reader = Reader::new(trained);
    let width = trained.parameters.shape(trained.model.output().token_rows().0).last();
    let (mut states, mut ids, mut held_out) = (Vec::<f64>::new(), Vec::<u32>::new(), Vec::new());
    let (mut tokens, mut left_out, mut cut, mut counts) = (0, 0, 0, vec![0; labels.len()]);
    for text in texts {
        let read = reader.encode(text)?;
        if tokens + read.tokens > MOST {
            left_out += 1;
            continue;
        }
        tokens += read.tokens;
        cut += usize::from(read.is_cut);
        let hidden = reader.hidden_states(&read)?;
        let label = labels.binary_search(&text.label).unwrap_or(0);
        counts[label] += 1;
        if counts.iter().sum::<usize>() % HELD_OUT == 0 {
            held_out.push((hidden, label as u32));
        } else {
            ids.extend(std::iter::repeat_n(label as u32, hidden.len() / width));
            states.extend(hidden);
        }
    }
    if let Some(label) = (0..labels.len()).find(|&label| !ids.contains(&(label as u32))) {
        let why = if left_out > 0 {
            format!(
                "{left_out} texts are left out, as those before them have {MOST} tokens together. Mix the labels, or give fewer texts"
            )
        } else {
            "its texts are held out. Give more of them".to_owned()
        };
        return Err(wrong(format!("no text of the label {:?} is learnt from: {why}", labels[label])).into());
    }
    let mut parameters = Parameters::new(DType::F64);
    let weight = parameters.add("weight", [labels.len(), width]);
    let bias = parameters.add("bias", [labels.len()]);
    let mut optimizer =
        Optimizer::new(OptimizerConfig::Adam(Adam { no_decay: Vec::new(), ..Adam::default() }), &parameters)?;
    let (mut gradients, states) = (parameters.gradients(), Tensor::new([ids.len(), width], &states)?);
    let (mut tape, ids): (_, Arc<[u32]>) = (Tape::new(), ids.into());
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
        let hidden = graph.constant(&Tensor::new([hidden.len() / width, width], hidden)?);
        let scores = (hidden.matmul_t(graph.parameter(weight)) + graph.parameter(bias)).log_softmax();
        let of_text = scores.sum_axis(0).value()?.to_f64();
        let best = (0..labels.len()).max_by(|&a, &b| of_text[a].total_cmp(&of_text[b]));
        right += usize::from(best == Some(*label as usize));
    }
    let read: usize = counts.iter().sum();
    let majority = counts.into_iter().max().unwrap_or(0) as f64 / read.max(1) as f64;
    let held_out = (!held_out.is_empty()).then_some(HeldOut { texts: held_out.len(), right, majority });
    let rows = parameters.tensor(weight).to_f64();
    let weight = rows.chunks(width.max(1)).map(<[f64]>::to_vec).collect();
    let classifier = AttributeClassifier { labels, weight, bias: parameters.tensor(bias).to_f64() };
    Ok(LearntClassifier { classifier, held_out, left_out, cut })
}

/// Reads texts with a trained model.
struct Reader<'a> {
    trained: &'a Trained,
    builder: InputBuilder,
    tape: Tape,
}

/// A text as it is read.
struct Encoded {
    /// Its parts, one batch each.
    parts: Vec<Batch>,
    /// Of all parts, special tokens included.
    tokens: usize,
    is_cut: bool,
}

impl<'a> Reader<'a> {
    fn new(trained: &'a Trained) -> Self {
        let target = &trained.tokenizers.target;
        let special = [trained.tokenizers.source.as_ref().unwrap_or(target), target].map(|of| of.special().clone());
        let builder = InputBuilder::new(&special, trained.tokenizers.source.is_some(), false);
        Self { trained, builder, tape: Tape::new() }
    }

    fn encode(&self, text: &LabelledText) -> Result<Encoded, Error> {
        let trained = self.trained;
        let source = match (&trained.tokenizers.source, &text.source) {
            (Some(tokenizer), Some(source)) => Some(tokenizer.encode_text(&Text::from(source))?),
            (None, _) => None,
            (Some(_), None) => {
                let reason = "a text of an encoder-decoder needs its source".to_owned();
                return Err(descant_inference::Error::Run { path: trained.run().to_owned(), reason }.into());
            }
        };
        let mut ids = trained.tokenizers.target.encode_text(&Text::from(&text.text))?;
        let positions = trained.context().or(trained.model.max_length());
        let most = positions.map_or(usize::MAX, |most| most.saturating_sub(self.builder.target_tokens(0)).max(1));
        let is_cut = source.is_some() && ids.len() > most;
        if is_cut {
            ids.truncate(most);
        }
        let parts = if ids.is_empty() { vec![&ids[..]] } else { ids.chunks(most).collect() };
        let batch = |part: &[u32]| {
            let mut batch = Batch::default();
            self.builder.add(&mut batch, source.as_deref(), part, 0);
            batch
        };
        let parts: Vec<Batch> = parts.into_iter().map(batch).collect();
        let tokens = parts.iter().map(|part| part.input.get(0).len()).sum();
        Ok(Encoded { parts, tokens, is_cut })
    }

    /// The hidden states at each token of a text, that before the first one included, `[N, H]`.
    fn hidden_states(&mut self, text: &Encoded) -> Result<Vec<f64>, Error> {
        let mut states = Vec::new();
        for part in &text.parts {
            let graph = self.tape.infer(&self.trained.parameters, Parallelism::Serial);
            states.extend(self.trained.model.hidden(graph, part).rows.value()?.to_f64());
        }
        Ok(states)
    }
}
