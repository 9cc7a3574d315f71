//! What the model is still to read, and in which passes.

use descant_batch::Sequences;

/// The tokens of a row that the model has not read.
#[derive(Debug)]
pub(crate) struct Unread {
    /// Of its hypotheses, one after the other, equally many.
    tokens: Vec<u32>,
    pub(crate) hypotheses: usize,
    /// How many of each hypothesis are read by now.
    read: usize,
    /// How many of the last tokens are a draft, which the next text may not have.
    pub(crate) draft: usize,
    /// Tokens of each hypothesis in the decoder state.
    pub(crate) in_state: usize,
}

impl Unread {
    pub(crate) fn new(tokens: Vec<u32>, hypotheses: usize) -> Self {
        Self { tokens, hypotheses, read: 0, draft: 0, in_state: 0 }
    }

    fn length(&self) -> usize {
        self.tokens.len().checked_div(self.hypotheses).unwrap_or(0)
    }

    pub(crate) fn is_read(&self) -> bool {
        self.read == self.length()
    }

    pub(crate) fn is_new(&self) -> bool {
        self.read == 0
    }

    /// The last token of each hypothesis of the next step.
    pub(crate) fn next(&mut self, tokens: impl Iterator<Item = u32>) {
        self.tokens.clear();
        self.tokens.extend(tokens);
        (self.hypotheses, self.read, self.draft) = (self.tokens.len(), 0, 0);
    }

    /// Whether one token of one hypothesis is all that is to be read.
    pub(crate) fn is_one_token(&self) -> bool {
        self.is_new() && self.tokens.len() == 1
    }

    /// The draft at the end of what is to be read.
    pub(crate) fn draft(&self) -> &[u32] {
        &self.tokens[self.tokens.len() - self.draft..]
    }

    /// Tokens of the only hypothesis to read on trial.
    pub(crate) fn try_draft(&mut self, draft: &[u32]) {
        self.tokens.extend(draft);
        self.draft = draft.len();
    }

    /// Leaves at most so many tokens of the draft.
    fn shorten_draft(&mut self, most: usize) {
        let spare = self.draft.saturating_sub(most);
        self.tokens.truncate(self.tokens.len() - spare);
        self.draft -= spare;
    }

    /// The last tokens in the state were no tokens of the text.
    pub(crate) fn reject(&mut self, tokens: usize) {
        self.in_state -= tokens;
    }
}

/// Prefill: the most tokens of prompts and drafts that one pass reads, which bounds its memory.
pub const MAX_PASS_TOKENS: usize = 512;

/// What the next pass reads of each hypothesis: a single token and its draft whatever there is to read besides, and of prompts as
/// much as fits.
pub(crate) fn next_pass<'a>(unread: impl Iterator<Item = &'a mut Unread>) -> Sequences {
    let (mut pass, mut room, mut is_first_prompt) = (Sequences::new(), MAX_PASS_TOKENS, true);
    for row in unread.filter(|row| row.hypotheses > 0) {
        let left = row.length() - row.read;
        let count = match left {
            _ if left <= row.draft + 1 => {
                row.shorten_draft(room);
                room -= row.draft;
                row.draft + 1
            }
            _ => {
                // At least one prompt goes on in each pass.
                let count = left.min((room / row.hypotheses).max(usize::from(is_first_prompt)));
                room = room.saturating_sub(count * row.hypotheses);
                is_first_prompt = false;
                count
            }
        };
        let length = row.length();
        for tokens in row.tokens.chunks_exact(length) {
            pass.push(&tokens[row.read..row.read + count]);
        }
        row.read += count;
        row.in_state += count;
    }
    pass
}
