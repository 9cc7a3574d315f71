use crate::tokenizer::{Around, Special};
use descant_batch::{Batch, Sequences};

/// What stands around the ids of an example, and what of it is read and what predicted.
///
/// A decoder reads a source and begins with a token of its own. A language model predicts all but the first token: of a text
/// with nothing before it, the text's own first one is only read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    source: Around,
    target: Around,
    /// What a decoder begins with; a language model begins with the text.
    start: Option<u32>,
    ends: Vec<u32>,
}

impl Frame {
    /// For the tokenizers of source and target; `conversations` are what a template wrote.
    pub fn new(special: &[Special; 2], has_sources: bool, conversations: bool) -> Self {
        let [source, target] = special;
        let around = match (has_sources, conversations) {
            (true, _) => target.around_source(),
            (false, false) => target.around_prompt(),
            (false, true) => target.around_conversation(),
        };
        let start = target.beginning.filter(|_| has_sources);
        Self { source: source.around_source(), target: around, start, ends: target.ends.clone() }
    }

    /// How many tokens of a source of `ids` are read.
    pub fn source_tokens(&self, ids: usize) -> usize {
        self.source.before.len() + ids + self.source.after.len()
    }

    /// How many tokens of a target of `ids` are predicted, where it has no end yet.
    pub fn target_tokens(&self, ids: usize) -> usize {
        let end = usize::from(!self.ends.is_empty());
        let whole = self.target.before.len() + ids + self.target.after.len().max(end);
        whole.saturating_sub(usize::from(self.start.is_none()))
    }

    /// How many tokens come to those of a text, at most.
    pub fn most(&self) -> usize {
        self.source_tokens(0).max(self.target_tokens(1) - 1)
    }

    /// Adds an example to a batch, whose target begins with a prompt of so many tokens.
    pub fn add(&self, batch: &mut Batch, source: Option<&[u32]>, target: &[u32], prompt: usize) {
        if let Some(source) = source {
            batch.source.get_or_insert_with(Sequences::new).push(&self.source.put(source));
        }
        let mut whole = self.target.put(target);
        if !self.target.after.iter().chain(target.last()).any(|id| self.ends.contains(id)) {
            whole.extend(self.ends.first());
        }
        whole.splice(..0, self.start);
        batch.input.push(&whole[..whole.len().saturating_sub(1)]);
        // A prompt does not count.
        let read = if prompt > 0 { self.target.before.len() + prompt } else { 1 };
        whole.iter_mut().take(read).for_each(|id| *id = Batch::IGNORED);
        batch.target.push(whole.get(1..).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IGNORED: u32 = Batch::IGNORED;

    fn framed(frame: &Frame, source: Option<&[u32]>, target: &[u32], prompt: usize) -> [Vec<u32>; 3] {
        let mut batch = Batch::default();
        frame.add(&mut batch, source, target, prompt);
        assert_eq!(batch.target.len(), 1);
        assert_eq!(frame.target_tokens(target.len()), batch.target.get(0).len());
        let read = batch.source.map(|source| source.get(0).to_vec()).unwrap_or_default();
        [read, batch.input.get(0).to_vec(), batch.target.get(0).to_vec()]
    }

    #[test]
    fn own_texts_stand_between_beginning_and_end() {
        let special = [Special::default(), Special::default()];
        let lines = Frame::new(&special, false, false);
        assert_eq!(framed(&lines, None, &[7, 8], 0), [vec![], vec![1, 7, 8], vec![7, 8, 2]]);
        assert_eq!(framed(&lines, None, &[7, 8], 1), [vec![], vec![1, 7, 8], vec![IGNORED, 8, 2]]);
        let pairs = Frame::new(&special, true, false);
        assert_eq!(framed(&pairs, Some(&[9]), &[7, 8], 0), [vec![9, 2], vec![1, 7, 8], vec![7, 8, 2]]);
        assert_eq!([lines.most(), pairs.most()], [1, 1]);
    }

    #[test]
    fn a_language_model_without_a_beginning_is_not_asked_for_its_first_token() {
        let none = Special { beginning: None, ends: vec![2, 5], around: Some(Around::default()), ..Special::default() };
        let special = [none.clone(), none];
        let frame = Frame::new(&special, false, false);
        assert_eq!(framed(&frame, None, &[7, 8], 0), [vec![], vec![7, 8], vec![8, 2]]);
        assert_eq!(framed(&frame, None, &[7, 8, 9], 2), [vec![], vec![7, 8, 9], vec![IGNORED, 9, 2]]);
        assert_eq!(frame.most(), 0);
        // A template wrote this end.
        let mut batch = Batch::default();
        Frame::new(&special, false, true).add(&mut batch, None, &[7, 8, 5], 1);
        assert_eq!((batch.input.get(0), batch.target.get(0)), (&[7, 8][..], &[8, 5][..]));
    }

    #[test]
    fn both_sides_have_what_their_tokenizers_put_around_them() {
        let around = |before: &[u32], after: &[u32]| Some(Around { before: before.to_vec(), after: after.to_vec() });
        let source = Special { around: around(&[4], &[2]), ..Special::default() };
        let target = Special { beginning: Some(2), around: around(&[1], &[2]), ..Special::default() };
        let frame = Frame::new(&[source, target], true, false);
        assert_eq!(framed(&frame, Some(&[9]), &[7], 0), [vec![4, 9, 2], vec![2, 1, 7], vec![1, 7, 2]]);
        assert_eq!(frame.most(), 2);
        let both = Special { around: around(&[1], &[2]), ..Special::default() };
        let lines = Frame::new(&[both.clone(), both], false, false);
        assert_eq!(framed(&lines, None, &[7], 0), [vec![], vec![1, 7], vec![7, 2]]);
    }
}
