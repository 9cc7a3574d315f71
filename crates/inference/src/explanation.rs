//! Why a text was written: of each token, how likely it was, what it attends to, and what it follows from.

use crate::{Error, Explainer, Generated, SaliencyMethod, TokenScore, Trained};
use descant_autograd::Tape;
use descant_batch::{Batch, Sequences};
use descant_generate::FinishReason;
use descant_kernels::Parallelism;
use descant_models::LayerKind;
use serde::Serialize;

/// The explanation of a text.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The tokens of the source, or of the prompt.
    pub read: Vec<String>,
    /// Those of the text, and EOS where that ended it.
    pub tokens: Vec<TokenExplanation>,
}

/// The explanation of a token.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TokenExplanation {
    /// What the model says of it, whatever the decoding options.
    #[serde(flatten)]
    pub score: TokenScore,
    /// The cross-attention to each token of the source, see [`Trained::attention`](crate::Trained::attention); empty without one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attention: Vec<f64>,
    /// What each token of the source, or of the prompt and the text before it, adds to its log probability.
    pub saliency: Vec<f64>,
    /// The log probability where every token that was read has the mean of all embeddings.
    pub baseline: f64,
}

impl Explainer<'_> {
    /// Explains a text by the tokens that were read and written, and by EOS after them where the text ends with it: of several, the
    /// likeliest.
    ///
    /// # Errors
    /// As [`Explainer::saliency`]; where what was read was cut, as a text does not follow from what no longer stands before it.
    pub fn explain(
        &mut self,
        tape: &mut Tape,
        read: &[u32],
        written: &Generated,
        method: SaliencyMethod,
    ) -> Result<Explanation, Error> {
        let trained = self.trained;
        let &Generated { finish_reason, cut, ref tokens, .. } = written;
        if cut {
            let reason = match trained.is_language_model() {
                true => format!(
                    "with its prompt it has {} tokens, of which the first were not read",
                    read.len() + tokens.len()
                ),
                false => format!("its source has {} tokens, of which the last were not read", read.len()),
            };
            return Err(Error::Run {
                path: trained.run().to_owned(),
                reason: format!("{reason}: the model reads fewer at once"),
            });
        }
        let (written, ends) = (&tokens[..], finish_reason == FinishReason::Eos);
        let is_language_model = trained.is_language_model();
        // A text without a prompt begins with BOS.
        let begin = if read.is_empty() { trained.encode(&"".into())? } else { Vec::new() };
        let read = if read.is_empty() { &begin[..] } else { read };
        trained.check_text(read, written)?;
        let eos = trained.tokenizers.target.special().eos.iter().filter(|_| ends);
        let mut texts: Vec<Vec<u32>> = eos.map(|&eos| [written, &[eos]].concat()).collect();
        if texts.is_empty() {
            texts.push(written.to_vec());
        }
        let mut best: Option<(Vec<u32>, Vec<TokenScore>)> = None;
        for text in texts {
            let scores = match text[..] {
                [] => Vec::new(),
                _ => {
                    let scores = trained.score_batch(tape, &batch(trained, read, &text)?, Parallelism::Serial)?;
                    trained.finite(scores.concat())?
                }
            };
            let last = |scores: &[TokenScore]| scores.last().map_or(f64::NEG_INFINITY, |last| last.log_probability);
            if best.as_ref().is_none_or(|(_, best)| last(&scores) > last(best)) {
                best = Some((text, scores));
            }
        }
        let (written, scores) = best.unwrap_or_default();
        let written = &written[..];
        // A model without attention is explained by its saliency alone.
        let model = &trained.recipe.model;
        let has_attention = model.decoder == LayerKind::Transformer || model.attention.is_some();
        let attention = match has_attention && !is_language_model {
            true => trained.attention(tape, read, written)?,
            false => Vec::new(),
        };
        let saliency = self.saliency(tape, read, written, method)?;
        let reader = trained.tokenizers.source.as_ref().unwrap_or(&trained.tokenizers.target);
        let mut attention = attention.into_iter();
        let each = scores.into_iter().zip(saliency).map(|(score, saliency)| TokenExplanation {
            score,
            attention: attention.next().unwrap_or_default(),
            saliency: saliency.attributions,
            baseline: saliency.baseline,
        });
        Ok(Explanation {
            read: read.iter().map(|&id| reader.token(id).unwrap_or_default()).collect(),
            tokens: each.collect(),
        })
    }
}

/// A text as the model reads it, and as it is to predict it.
fn batch(trained: &Trained, read: &[u32], written: &[u32]) -> Result<Batch, Error> {
    let mut batch = Batch::default();
    if trained.is_language_model() {
        let masked = std::iter::repeat_n(Batch::IGNORED, read.len().saturating_sub(1));
        batch.input.push(&[read, &written[..written.len().saturating_sub(1)]].concat());
        batch.target.push(&masked.chain(written.iter().copied()).collect::<Vec<_>>());
    } else {
        let mut source = Sequences::new();
        source.push(read);
        let whole = [&trained.bos()?.into_iter().collect::<Vec<_>>(), written].concat();
        batch.source = Some(source);
        batch.input.push(&whole[..written.len()]);
        batch.target.push(written);
    }
    Ok(batch)
}
