use crate::Piece;
use crate::tokenizer::{PostProcessor, SpecialTokens};
use descant_batch::{Batch, Sequences};

/// Builds what a model reads and predicts of an example: adds special tokens, shifts the targets by one token, and masks
/// the prompt.
///
/// A decoder reads a source and starts from BOS. A language model predicts every token but the first: without a BOS, the
/// first token of the text is read and not predicted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputBuilder {
    source: PostProcessor,
    target: PostProcessor,
    /// The token that a decoder starts from; a language model starts with the text.
    start: Option<u32>,
    eos: Vec<u32>,
}

impl InputBuilder {
    /// For the tokenizers of source and target; `conversations` are rendered by a chat template.
    pub fn new(special: &[SpecialTokens; 2], has_sources: bool, conversations: bool) -> Self {
        let [source, target] = special;
        let post_processor = match (has_sources, conversations) {
            (true, _) => target.source_post_processor(),
            (false, false) => target.prompt_post_processor(),
            (false, true) => target.conversation_post_processor(),
        };
        let start = target.bos.filter(|_| has_sources);
        Self { source: source.source_post_processor(), target: post_processor, start, eos: target.eos.clone() }
    }

    /// How many tokens stand before a source, and before a target.
    pub(crate) fn before(&self) -> [usize; 2] {
        [&self.source, &self.target].map(|side| side.prefix.len())
    }

    /// How many tokens are read of a source of `ids`.
    pub fn source_tokens(&self, ids: usize) -> usize {
        self.source.prefix.len() + ids + self.source.suffix.len()
    }

    /// How many tokens are predicted of a target of `ids` that has no EOS yet.
    pub fn target_tokens(&self, ids: usize) -> usize {
        let eos = usize::from(!self.eos.is_empty());
        let whole = self.target.prefix.len() + ids + self.target.suffix.len().max(eos);
        whole.saturating_sub(usize::from(self.start.is_none()))
    }

    /// The most tokens that are added to a text, or to a piece of one that is cut: that begins with the last token of the piece before, in the place of
    /// BOS.
    pub fn most_added(&self, is_cut: bool) -> usize {
        let repeated = usize::from(is_cut && self.target.prefix.is_empty());
        self.source_tokens(0).max(self.target_tokens(1) - 1) + repeated
    }

    /// How many tokens follow a target: those of the post-processor, and an EOS where there is none yet.
    pub fn added_after(&self, target: &[u32]) -> usize {
        self.target.suffix.len() + usize::from(!self.has_eos(target) && !self.eos.is_empty())
    }

    /// Whether a target ends with EOS by itself or by the post-processor.
    fn has_eos(&self, target: &[u32]) -> bool {
        self.target.suffix.iter().chain(target.last()).any(|id| self.eos.contains(id))
    }

    /// Adds what is rejected in favour of the example that was added last, with its prompt.
    pub fn add_rejected(&self, batch: &mut Batch, target: &[u32], prompt: usize) {
        let mut other = Batch::default();
        self.add(&mut other, None, target, prompt);
        let rejected = batch.rejected.get_or_insert_default();
        rejected.input.push(other.input.get(0));
        rejected.target.push(other.target.get(0));
    }

    /// Adds an example to a batch; the first `prompt` tokens of the target are a prompt.
    pub fn add(&self, batch: &mut Batch, source: Option<&[u32]>, target: &[u32], prompt: usize) {
        if let Some(source) = source {
            batch.source.get_or_insert_with(Sequences::new).push(&self.source.apply(source));
        }
        self.add_piece(batch, target, prompt, Piece::WHOLE);
    }

    /// Adds a piece of a text to a batch of a language model. The token before it, which it begins with, is only read.
    pub fn add_piece(&self, batch: &mut Batch, target: &[u32], prompt: usize, piece: Piece) {
        let PostProcessor { prefix, suffix } = &self.target;
        let mut whole = [if piece.continues { &[] } else { &prefix[..] }, target].concat();
        if !piece.goes_on {
            whole.extend(suffix);
            whole.extend(self.eos.first().filter(|_| !self.has_eos(target)));
        }
        whole.splice(..0, self.start);
        batch.input.push(&whole[..whole.len().saturating_sub(1)]);
        // Tokens of a prompt have no loss.
        let masked = if prompt > 0 { self.target.prefix.len() + prompt } else { 1 };
        whole.iter_mut().take(masked).for_each(|id| *id = Batch::IGNORED);
        batch.target.push(whole.get(1..).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IGNORED: u32 = Batch::IGNORED;

    fn built(builder: &InputBuilder, source: Option<&[u32]>, target: &[u32], prompt: usize) -> [Vec<u32>; 3] {
        let mut batch = Batch::default();
        builder.add(&mut batch, source, target, prompt);
        assert_eq!(batch.target.len(), 1);
        assert_eq!(builder.target_tokens(target.len()), batch.target.get(0).len());
        let read = batch.source.map(|source| source.get(0).to_vec()).unwrap_or_default();
        [read, batch.input.get(0).to_vec(), batch.target.get(0).to_vec()]
    }

    #[test]
    fn a_text_gets_bos_and_eos() {
        let special = [SpecialTokens::default(), SpecialTokens::default()];
        let lines = InputBuilder::new(&special, false, false);
        assert_eq!(built(&lines, None, &[7, 8], 0), [vec![], vec![1, 7, 8], vec![7, 8, 2]]);
        assert_eq!(built(&lines, None, &[7, 8], 1), [vec![], vec![1, 7, 8], vec![IGNORED, 8, 2]]);
        let pairs = InputBuilder::new(&special, true, false);
        assert_eq!(built(&pairs, Some(&[9]), &[7, 8], 0), [vec![9, 2], vec![1, 7, 8], vec![7, 8, 2]]);
        assert_eq!([lines.most_added(false), pairs.most_added(false)], [1, 1]);
        assert_eq!([lines.added_after(&[7]), lines.added_after(&[7, 2])], [1, 0]);
        // The post-processor of a side adds its own.
        assert_eq!([pairs.added_after(&[7]), pairs.added_after(&[7, 2])], [1, 1]);
    }

    #[test]
    fn the_pieces_of_a_text_have_its_targets_once() {
        let special = [SpecialTokens::default(), SpecialTokens::default()];
        let (builder, mut batch) = (InputBuilder::new(&special, false, false), Batch::default());
        for (ids, continues, goes_on) in
            [(&[7, 8, 9][..], false, true), (&[9, 10, 11], true, true), (&[11, 12], true, false)]
        {
            builder.add_piece(&mut batch, ids, 0, Piece { continues, goes_on });
        }
        assert_eq!(batch.input.ids, [1, 7, 8, 9, 10, 11, 12]);
        assert_eq!(batch.target.ids, [7, 8, 9, 10, 11, 12, 2]);
        assert_eq!(batch.input.lengths(), [3, 2, 2]);
    }

    #[test]
    fn without_a_bos_the_first_token_is_not_predicted() {
        let none = SpecialTokens {
            bos: None,
            eos: vec![2, 5],
            post_processor: Some(PostProcessor::default()),
            ..SpecialTokens::default()
        };
        let special = [none.clone(), none];
        let builder = InputBuilder::new(&special, false, false);
        assert_eq!(built(&builder, None, &[7, 8], 0), [vec![], vec![7, 8], vec![8, 2]]);
        assert_eq!(built(&builder, None, &[7, 8, 9], 2), [vec![], vec![7, 8, 9], vec![IGNORED, 9, 2]]);
        assert_eq!(builder.most_added(false), 0);
        // The template wrote this EOS.
        let mut batch = Batch::default();
        InputBuilder::new(&special, false, true).add(&mut batch, None, &[7, 8, 5], 1);
        assert_eq!((batch.input.get(0), batch.target.get(0)), (&[7, 8][..], &[8, 5][..]));
    }

    #[test]
    fn each_side_has_the_special_tokens_of_its_post_processor() {
        let around =
            |prefix: &[u32], suffix: &[u32]| Some(PostProcessor { prefix: prefix.to_vec(), suffix: suffix.to_vec() });
        let source = SpecialTokens { post_processor: around(&[4], &[2]), ..SpecialTokens::default() };
        let target = SpecialTokens { bos: Some(2), post_processor: around(&[1], &[2]), ..SpecialTokens::default() };
        let builder = InputBuilder::new(&[source, target], true, false);
        assert_eq!(built(&builder, Some(&[9]), &[7], 0), [vec![4, 9, 2], vec![2, 1, 7], vec![1, 7, 2]]);
        assert_eq!(builder.most_added(false), 2);
        let both = SpecialTokens { post_processor: around(&[1], &[2]), ..SpecialTokens::default() };
        let lines = InputBuilder::new(&[both.clone(), both], false, false);
        assert_eq!(built(&lines, None, &[7], 0), [vec![], vec![1, 7], vec![7, 2]]);
    }
}
