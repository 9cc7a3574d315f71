use crate::DecodingOptions;

/// How much of what was written before a language model reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ContextWindow {
    /// The most tokens that a state may know, or as many as there are.
    context: Option<usize>,
    /// What is read anew begins with this token.
    beginning: Option<u32>,
    /// Tokens to be written, at most.
    max_length: usize,
}

impl ContextWindow {
    /// For a model of so many positions. What is written for a source is read whole.
    pub(crate) fn new(options: &DecodingOptions, positions: Option<usize>, has_sources: bool) -> Self {
        let context = [options.context, positions].into_iter().flatten().min().filter(|_| !has_sources);
        Self { context, beginning: options.context_bos, max_length: options.max_length }
    }

    /// Whether a state that knows so many tokens must not read another.
    pub(crate) fn is_full(self, known: usize) -> bool {
        self.context == Some(known)
    }

    /// What is read before the first token is written: the prompt; of a longer one its end, with room behind it for what is
    /// to be written, or for half of all.
    pub(crate) fn cut(self, prompt: &[u32]) -> Vec<u32> {
        match self.context {
            Some(context) if prompt.len() > context => {
                let room = (context - context / 2).min(self.max_length.saturating_sub(1)).min(context - 1);
                self.last(prompt, context - room)
            }
            _ => prompt.to_vec(),
        }
    }

    /// What a full state is replaced by: half as many tokens, the last before the next one of `prompt` and `written`, of
    /// which `before` come before.
    pub(crate) fn again(self, prompt: &[u32], written: &[u32], before: usize) -> Vec<u32> {
        let whole = [prompt, written].concat();
        self.last(&whole[..before], self.context.unwrap_or(0) / 2)
    }

    /// The last `count` tokens, the first of them the beginning.
    fn last(self, tokens: &[u32], count: usize) -> Vec<u32> {
        let mut last = tokens[tokens.len() - count..].to_vec();
        if let (Some(first), Some(beginning)) = (last.first_mut(), self.beginning) {
            *first = beginning;
        }
        last
    }
}
