use crate::DecodingOptions;

/// The sliding context window of a language model.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ContextWindow {
    /// Context length in tokens; none for unlimited.
    context: Option<usize>,
    /// The first token of a context that is read anew.
    bos: Option<u32>,
    /// The most tokens to generate.
    max_new_tokens: usize,
}

impl ContextWindow {
    /// For a model with so many positions. An encoder-decoder has no window: its target is read whole.
    pub(crate) fn new(options: &DecodingOptions, positions: Option<usize>, has_sources: bool) -> Self {
        let context = [options.config.context, positions].into_iter().flatten().min().filter(|_| !has_sources);
        Self { context, bos: options.context_bos, max_new_tokens: options.max_new_tokens() }
    }

    /// Whether a state of so many tokens has reached the context length.
    pub(crate) fn is_full(self, known: usize) -> bool {
        self.context == Some(known)
    }

    /// How many more tokens fit into a state of so many.
    pub(crate) fn room(self, known: usize) -> usize {
        self.context.map_or(usize::MAX, |context| context.saturating_sub(known))
    }

    /// The prompt as it is read: of one beyond the context length its end, with room for the tokens to generate, or for half
    /// of the context.
    pub(crate) fn cut(self, prompt: &[u32]) -> Vec<u32> {
        match self.context {
            Some(context) if prompt.len() > context => {
                let room = (context - context / 2).min(self.max_new_tokens.saturating_sub(1)).min(context - 1);
                self.last(prompt, context - room)
            }
            _ => prompt.to_vec(),
        }
    }

    /// The tokens that replace a full context, before the newest: half as many, the last of `prompt` and `generated`; and the newest.
    pub(crate) fn slide(self, prompt: &[u32], generated: &[u32]) -> Vec<u32> {
        let whole = [prompt, generated].concat();
        let (newest, before) = whole.split_last().map_or((None, &whole[..]), |(newest, before)| (Some(newest), before));
        let mut again = self.last(before, self.context.unwrap_or(0) / 2);
        again.extend(newest);
        again
    }

    /// The last `count` tokens, the first of them replaced by BOS.
    fn last(self, tokens: &[u32], count: usize) -> Vec<u32> {
        let mut last = tokens[tokens.len() - count..].to_vec();
        if let (Some(first), Some(bos)) = (last.first_mut(), self.bos) {
            *first = bos;
        }
        last
    }
}
