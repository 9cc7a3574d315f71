use crate::DecodingOptions;
use std::ops::Range;
use std::sync::Arc;

/// Tokens of a text that a language model predicts in one go.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stretch {
    /// What is read for the last of them: the others are at its end.
    pub read: Vec<u32>,
    /// Which tokens of the text they are.
    pub predicted: Range<usize>,
}

impl DecodingOptions {
    /// How a language model with so many positions reads a text that it wrote after a prompt, and of which it had `begun` tokens already: as
    /// [`Decoder`](crate::Decoder) does, with a sliding window. A text within the context is one stretch.
    pub fn stretches(&self, positions: Option<usize>, prompt: &[u32], begun: usize, text: &[u32]) -> Vec<Stretch> {
        let window = ContextWindow::new(self, positions, false, prompt);
        let begun = begun.min(text.len());
        let (mut read, prompt) = (window.cut(&[prompt, &text[..begun]].concat()), window.cut(prompt));
        let (mut stretches, mut from) = (Vec::new(), begun);
        for next in begun + 1..text.len() {
            if window.is_full(read.len()) {
                let again = window.slide(&prompt, &text[..next]);
                stretches.push(Stretch { read: std::mem::replace(&mut read, again), predicted: from..next });
                from = next;
            } else {
                read.push(text[next - 1]);
            }
        }
        stretches.push(Stretch { read, predicted: from..text.len() });
        stretches
    }
}

/// The sliding context window of a language model.
#[derive(Clone, Debug)]
pub(crate) struct ContextWindow {
    /// Context length in tokens; none for unlimited.
    context: Option<usize>,
    /// What a context that is read anew begins with: BOS, and the control tokens after it.
    head: Arc<[u32]>,
    /// The most tokens to generate.
    max_new_tokens: usize,
}

impl ContextWindow {
    /// Of a prompt, for a model with so many positions. An encoder-decoder has no window: its target is read whole.
    pub(crate) fn new(options: &DecodingOptions, positions: Option<usize>, has_sources: bool, prompt: &[u32]) -> Self {
        let context = [options.config.context, positions].into_iter().flatten().min().filter(|_| !has_sources);
        let bos = options.context_bos.as_slice();
        let after_bos = prompt.strip_prefix(bos).unwrap_or(prompt);
        let control = after_bos.iter().copied().take_while(|token| options.control.contains(token));
        let head = bos.iter().copied().chain(control).collect();
        Self { context, head, max_new_tokens: options.max_new_tokens() }
    }

    /// Whether a state of so many tokens has reached the context length.
    pub(crate) fn is_full(&self, known: usize) -> bool {
        self.context == Some(known)
    }

    /// How many more tokens fit into a state of so many.
    pub(crate) fn room(&self, known: usize) -> usize {
        self.context.map_or(usize::MAX, |context| context.saturating_sub(known))
    }

    /// The prompt as it is read: of one beyond the context length its end, with room for the tokens to generate, or for half
    /// of the context.
    pub(crate) fn cut(&self, prompt: &[u32]) -> Vec<u32> {
        match self.context {
            Some(context) if prompt.len() > context => {
                let room = (context - context / 2).min(self.max_new_tokens.saturating_sub(1)).min(context - 1);
                self.last(prompt, context - room)
            }
            _ => prompt.to_vec(),
        }
    }

    /// The tokens that replace a full context, before the newest: half as many, the last of `prompt` and `generated`; and the newest.
    pub(crate) fn slide(&self, prompt: &[u32], generated: &[u32]) -> Vec<u32> {
        let whole = [prompt, generated].concat();
        let (newest, before) = whole.split_last().map_or((None, &whole[..]), |(newest, before)| (Some(newest), before));
        let mut again = self.last(before, self.context.unwrap_or(0) / 2);
        again.extend(newest);
        again
    }

    /// The last `count` tokens, the first of them replaced by what a context begins with.
    fn last(&self, tokens: &[u32], count: usize) -> Vec<u32> {
        let mut last = tokens[tokens.len() - count..].to_vec();
        last.iter_mut().zip(&*self.head).for_each(|(token, head)| *token = *head);
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GenerationConfig;

    #[test]
    fn a_context_that_is_read_anew_begins_with_bos_and_attributes() {
        let mut options = DecodingOptions::new(GenerationConfig::greedy(), vec![1], vec![2]);
        (options.config.context, options.context_bos, options.control) = (Some(6), Some(1), vec![8, 9]);
        let of = |prompt: &[u32]| ContextWindow::new(&options, None, false, prompt);
        let prompt = [1, 9, 3, 4];
        assert_eq!(of(&prompt).slide(&prompt, &[5, 6, 7]), [1, 9, 6, 7]);
        // 9 is no attribute where it is not before the text.
        assert_eq!(of(&[1, 3, 9]).slide(&[1, 3, 9], &[4, 5, 6, 7]), [1, 5, 6, 7]);
        assert_eq!(of(&[1, 8, 9, 3]).cut(&[1, 8, 9, 3, 4, 5, 6]), [1, 8, 9]);
        // A text that is given is read in the same way: the context is full before its second token, and again before its fifth.
        let stretches = options.stretches(None, &[1, 9, 3, 4, 5, 6], 0, &[11, 12, 13, 14, 15]);
        let read: Vec<_> = stretches.into_iter().map(|one| (one.read, one.predicted)).collect();
        let second = vec![1, 9, 6, 11, 12, 13];
        assert_eq!(read, [(vec![1, 9, 3, 4, 5, 6], 0..1), (second, 1..4), (vec![1, 9, 13, 14], 4..5)]);
        let begun = options.stretches(None, &[1, 3], 2, &[11, 12, 13, 14]).remove(0);
        assert_eq!((begun.read, begun.predicted), (vec![1, 3, 11, 12, 13], 2..4));
        options.context_bos = None;
        assert_eq!(ContextWindow::new(&options, None, false, &[9, 3]).slide(&[9, 3, 4], &[5, 6, 7]), [9, 5, 6, 7]);
    }
}
