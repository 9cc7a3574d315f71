//! Alignments of source and text, from the attention of an encoder-decoder.

use crate::{Error, Trained};
use descant_autograd::{Parameters, Tape};
use descant_batch::{Batch, Sequences};
use descant_models::{Generator, build};
use descant_tensor::DType;
use descant_text::Tokenizer;
use serde::Serialize;

/// How much each token of a text attends to each token of its source.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Alignment {
    /// The tokens or words of the source.
    pub source: Vec<String>,
    /// The tokens or words of the text.
    pub target: Vec<String>,
    /// A row for each of `target`, of weights that sum up to 1 or less: special tokens have the rest.
    pub weights: Vec<Vec<f64>>,
}

impl Alignment {
    /// For each token or word of the text, that of the source with the largest weight: pairs of numbers from 0.
    pub fn links(&self) -> Vec<(usize, usize)> {
        let best = |row: &Vec<f64>| (1..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best });
        let rows = self.weights.iter().enumerate().filter(|(_, row)| row.iter().any(|weight| *weight > 0.0));
        rows.map(|(i, row)| (best(row), i)).collect()
    }

    /// The links in Pharaoh's form, such as `0-0 1-2`: source, then text.
    pub fn pharaoh(&self) -> String {
        let links = self.links();
        links.iter().map(|(source, target)| format!("{source}-{target}")).collect::<Vec<_>>().join(" ")
    }
}

impl Trained {
    /// The same model for passes that are looked into: it keeps all values. It reads the same parameters.
    pub(crate) fn model_for_inspection(&self) -> Result<Box<dyn Generator>, Error> {
        let vocabulary = self.tokenizers.vocabulary(&self.recipe.loss);
        let model = vocabulary.and_then(|vocabulary| {
            let mut config = self.recipe.model.clone();
            config.transformer.iter_mut().for_each(|layers| layers.recompute = false);
            build(&config, &self.recipe.loss, &vocabulary, &mut Parameters::shapes_only(DType::F32), None)
        });
        model.map_err(|reason| Error::Run { path: self.run().to_owned(), reason })
    }

    /// The cross-attention of each token that was written to each that was read, the mean over the heads: of a recurrent
    /// decoder's attention, or of the layer before the last of a Transformer, which aligns best (Garg et al. 2019, arXiv
    /// 1909.02074). Where a training guided its first head, that one alone.
    ///
    /// # Errors
    /// For a model without cross-attention, and whatever its pass fails with.
    pub fn attention(&self, tape: &mut Tape, read: &[u32], written: &[u32]) -> Result<Vec<Vec<f64>>, Error> {
        let model = self.model_for_inspection()?;
        self.check_text(read, written)?;
        let (mut source, mut input) = (Sequences::new(), Sequences::new());
        source.push(read);
        let whole = [&self.bos()?.into_iter().collect::<Vec<_>>(), written].concat();
        // The token that is written last is not read.
        input.push(&whole[..whole.len().min(written.len().max(1))]);
        let batch = Batch { source: Some(source), target: input.clone(), input, ..Batch::default() };
        let graph = tape.differentiate(&self.parameters);
        model.hidden(graph, &batch);
        let guided = (self.recipe.train.guided_alignment > 0.0).then_some(1);
        let layers = graph.cross_attention_weights(guided)?;
        let layer = layers.len().checked_sub(2).or(layers.len().checked_sub(1)).map(|layer| &layers[layer]);
        let Some([of_text]) = layer.map(Vec::as_slice) else {
            let reason = "the model has no attention to a source, and so no alignment".to_owned();
            return Err(Error::Run { path: self.run().to_owned(), reason });
        };
        Ok(of_text.rows.iter().take(written.len()).cloned().collect())
    }

    /// The alignment of a text and its source, token by token, special tokens left out.
    ///
    /// # Errors
    /// As [`Trained::attention`].
    pub fn align_tokens(&self, tape: &mut Tape, read: &[u32], written: &[u32]) -> Result<Alignment, Error> {
        let weights = self.attention(tape, read, written)?;
        let reader = self.tokenizers.source.as_ref().unwrap_or(&self.tokenizers.target);
        let each = |tokenizer: &Tokenizer, ids: &[u32]| -> Vec<Option<usize>> {
            let mut shown = 0..;
            ids.iter().map(|&id| if tokenizer.is_special(id) { None } else { shown.next() }).collect()
        };
        let names = |tokenizer: &Tokenizer, ids: &[u32]| {
            let shown = ids.iter().filter(|&&id| !tokenizer.is_special(id));
            shown.map(|&id| tokenizer.token(id).unwrap_or_default()).collect()
        };
        let target = &self.tokenizers.target;
        let (of_source, of_target) = (each(reader, read), each(target, written));
        Ok(grouped((names(reader, read), &of_source), (names(target, written), &of_target), &weights))
    }

    /// The same word by word: a word of the source has the weights of all its tokens, one of the text the mean of its own.
    ///
    /// # Errors
    /// As [`Trained::attention`].
    pub fn align_words(&self, tape: &mut Tape, read: &[u32], written: &[u32]) -> Result<Alignment, Error> {
        let weights = self.attention(tape, read, written)?;
        let reader = self.tokenizers.source.as_ref().unwrap_or(&self.tokenizers.target);
        let (source, of_source) = words(reader, read)?;
        let (target, of_target) = words(&self.tokenizers.target, written)?;
        Ok(grouped((source, &of_source), (target, &of_target), &weights))
    }
}

/// The weights of groups of tokens.
fn grouped(
    (source, of_source): (Vec<String>, &[Option<usize>]),
    (target, of_target): (Vec<String>, &[Option<usize>]),
    weights: &[Vec<f64>],
) -> Alignment {
    let mut sums = vec![vec![0.0; source.len()]; target.len()];
    let mut counts = vec![0.0_f64; target.len()];
    for (group, row) in of_target.iter().zip(weights) {
        let Some(group) = *group else { continue };
        counts[group] += 1.0;
        for (to, weight) in of_source.iter().zip(row) {
            to.iter().for_each(|&to| sums[group][to] += weight);
        }
    }
    for (sums, count) in sums.iter_mut().zip(counts) {
        sums.iter_mut().for_each(|sum| *sum /= count.max(1.0));
    }
    Alignment { source, target, weights: sums }
}

/// The words of a text between white space, and which of them each token is of; special tokens are of none.
fn words(tokenizer: &Tokenizer, ids: &[u32]) -> Result<(Vec<String>, Vec<Option<usize>>), Error> {
    let mut before = String::new();
    let mut groups = Vec::with_capacity(ids.len());
    for end in 1..=ids.len() {
        let text = tokenizer.decode(&ids[..end])?;
        // Where it differs from the text before: a character may only now be whole.
        let same: usize = before.chars().zip(text.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum();
        let first = text[same..].find(|c: char| !c.is_whitespace());
        groups.push(match first {
            _ if tokenizer.is_special(ids[end - 1]) => None,
            Some(at) => {
                let within = &text[..same + at + text[same + at..].chars().next().map_or(0, char::len_utf8)];
                Some(within.split_whitespace().count() - 1)
            }
            // White space belongs to the word before it.
            None => text.split_whitespace().count().checked_sub(1),
        });
        before = text;
    }
    let words: Vec<String> = before.split_whitespace().map(str::to_owned).collect();
    let groups = groups.into_iter().map(|group| group.filter(|&group| group < words.len())).collect();
    Ok((words, groups))
}

#[cfg(test)]
mod tests {
    use super::*;
    use descant_text::{TokenizerConfig, TokenizerKind};

    #[test]
    fn tokens_belong_to_the_words_that_they_write() {
        let text = "the  naïve café, 漢字 stop";
        for kind in TokenizerKind::ALL {
            let config = TokenizerConfig { kind, vocabulary: 290, ..Default::default() };
            let all = (0..30).map(|_| Ok(text.to_owned()));
            let tokenizer = Tokenizer::train(&config, true, all).unwrap();
            let mut ids = tokenizer.encode(text).unwrap();
            ids.push(2);
            let (names, groups) = words(&tokenizer, &ids).unwrap();
            let decoded = tokenizer.decode(&ids).unwrap();
            assert_eq!(names, decoded.split_whitespace().collect::<Vec<_>>(), "{kind}");
            assert_eq!(groups.last(), Some(&None), "{kind}");
            let of: Vec<usize> = groups.iter().flatten().copied().collect();
            assert!(of.is_sorted() && of.first() == Some(&0) && of.last() == Some(&(names.len() - 1)), "{kind} {of:?}");
            for word in 0..names.len() {
                assert!(of.contains(&word), "{kind} {word}");
            }
        }
    }

    #[test]
    fn links_are_the_largest_weights_and_words_sum_up_their_tokens() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let weights = [vec![0.1, 0.2, 0.3, 0.4], vec![0.5, 0.1, 0.2, 0.2], vec![0.0, 0.9, 0.0, 0.1]];
        // Of the source, the last token is EOS; the text's first two tokens are one word.
        let of_source = [Some(0), Some(0), Some(1), None];
        let found =
            grouped((names(&["a", "b"]), &of_source), (names(&["x", "y"]), &[Some(0), Some(0), Some(1)]), &weights);
        let near = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert!(near(found.weights[0][0], 0.45) && near(found.weights[0][1], 0.25) && near(found.weights[1][0], 0.9));
        assert_eq!((found.links(), found.pharaoh()), (vec![(0, 0), (0, 1)], "0-0 0-1".to_owned()));
    }
}
