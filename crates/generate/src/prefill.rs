//! What the model is still to read, and in which passes.

use crate::context_window::ContextWindow;
use crate::search::Search;
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

    /// How many tokens of each hypothesis are left.
    fn left(&self) -> usize {
        self.length() - self.read
    }

    /// Reads on in each hypothesis, until at most so many tokens are left.
    fn read_into(&mut self, pass: &mut Sequences, later: usize) {
        let count = self.left().saturating_sub(later);
        for tokens in self.tokens.chunks_exact(self.length()) {
            pass.push(&tokens[self.read..self.read + count]);
        }
        self.read += count;
        self.in_state += count;
    }

    /// Whether the context is full: then it is read anew, without what is beyond it.
    pub(crate) fn slide(&mut self, window: &ContextWindow, prompt: &[u32], search: &Search) -> bool {
        let is_full = self.is_new() && self.hypotheses > 0 && window.is_full(self.in_state);
        if is_full {
            let again = search.live().flat_map(|live| window.slide(prompt, &live.tokens)).collect();
            *self = Self::new(again, self.hypotheses);
        }
        is_full
    }

    /// The last tokens in the state were no tokens of the text.
    pub(crate) fn reject(&mut self, tokens: usize) {
        self.in_state -= tokens;
    }
}

/// Prefill: the most tokens of prompts and drafts that one pass reads, which bounds its memory.
pub const MAX_PASS_TOKENS: usize = 512;

/// How the tokens of a pass are shared among rows: equally, and what some do not need goes to the others. So no short prompt waits behind
/// a long one.
#[derive(Debug)]
pub(crate) struct PassShares {
    /// The most tokens of each.
    share: usize,
    /// What is left beyond.
    spare: usize,
    is_first_prompt: bool,
}

impl PassShares {
    /// For rows that have so many left to read.
    pub(crate) fn new(left: impl Iterator<Item = usize> + Clone) -> Self {
        let used = |share: usize| left.clone().map(|left| left.min(share)).sum::<usize>();
        // The largest share of which all together fit.
        let (mut share, mut beyond) = (0, MAX_PASS_TOKENS + 1);
        while share + 1 < beyond {
            let middle = (share + beyond) / 2;
            if used(middle) <= MAX_PASS_TOKENS { share = middle } else { beyond = middle }
        }
        Self { share, spare: MAX_PASS_TOKENS - used(share), is_first_prompt: true }
    }

    /// For rows of the decoder, and what each of them reads without its condition.
    pub(crate) fn of<'a>(rows: impl Iterator<Item = (&'a Unread, Option<&'a Unread>)> + Clone) -> Self {
        Self::new(rows.map(|(row, guide)| match left_of_both(row, guide) {
            left if left <= row.draft + 1 => row.draft,
            left => left * hypotheses_of_both(row, guide),
        }))
    }

    /// How many of the tokens that a row has left it reads, in units of so many.
    pub(crate) fn take(&mut self, left: usize, unit: usize) -> usize {
        let own = left.min(self.share + self.spare) / unit.max(1) * unit;
        self.spare -= own.saturating_sub(self.share);
        own
    }

    /// Adds to the pass what it reads of each hypothesis of a row, with its condition and without, which end in the same pass: a single
    /// token whatever there is to read besides.
    pub(crate) fn read(&mut self, row: &mut Unread, guide: Option<&mut Unread>, pass: &mut Sequences) {
        if row.hypotheses == 0 {
            return;
        }
        let (left, hypotheses) = (left_of_both(row, guide.as_deref()), hypotheses_of_both(row, guide.as_deref()));
        let later = if left <= row.draft + 1 {
            let draft = self.take(row.draft, 1);
            row.tokens.truncate(row.tokens.len() - (row.draft - draft));
            row.draft = draft;
            0
        } else {
            // At least one prompt goes on in each pass.
            let count = self.take(left * hypotheses, hypotheses) / hypotheses;
            left - count.max(usize::from(std::mem::replace(&mut self.is_first_prompt, false)))
        };
        std::iter::once(row).chain(guide).for_each(|unread| unread.read_into(pass, later));
    }
}

/// Tokens that are left of each hypothesis: of both ways in which a row is read, the more.
fn left_of_both(row: &Unread, guide: Option<&Unread>) -> usize {
    row.left().max(guide.map_or(0, Unread::left))
}

fn hypotheses_of_both(row: &Unread, guide: Option<&Unread>) -> usize {
    row.hypotheses + guide.map_or(0, |guide| guide.hypotheses)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each of some rows reads in each pass: of a prompt of so many tokens, one hypothesis each.
    fn passes(prompts: &[usize]) -> Vec<Vec<usize>> {
        let mut rows: Vec<Unread> = prompts.iter().map(|&tokens| Unread::new(vec![0; tokens], 1)).collect();
        let mut all = Vec::new();
        while rows.iter().any(|row| !row.is_read()) {
            let mut shares = PassShares::of(rows.iter().filter(|row| !row.is_read()).map(|row| (row, None)));
            let (mut pass, mut read) = (Sequences::new(), Vec::new());
            for row in &mut rows {
                let before = row.in_state;
                if !row.is_read() {
                    shares.read(row, None, &mut pass);
                }
                read.push(row.in_state - before);
            }
            all.push(read);
        }
        all
    }

    #[test]
    fn short_prompts_do_not_wait_behind_a_long_one() {
        assert_eq!(passes(&[2000, 5, 30, 100])[0], [377, 5, 30, 100]);
        assert_eq!(
            passes(&[2000, 1000, 30]),
            [[241, 241, 30], [256, 256, 0], [256, 256, 0], [265, 247, 0], [512, 0, 0], [470, 0, 0]]
        );
        // More rows than tokens: each pass goes on with some.
        let many = passes(&vec![2; 700]);
        assert!(many.iter().all(|read| read.iter().sum::<usize>() <= MAX_PASS_TOKENS + 700));
        assert_eq!(many.iter().flatten().sum::<usize>(), 1400);
    }

    #[test]
    fn drafts_and_prompts_share_and_the_next_token_is_read_in_any_case() {
        let mut drafted = Unread::new(vec![1], 1);
        drafted.try_draft(&[2; 600]);
        let mut prompt = Unread::new(vec![3; 600], 1);
        let (mut shares, mut pass) =
            (PassShares::of([(&drafted, None), (&prompt, None)].into_iter()), Sequences::new());
        shares.read(&mut drafted, None, &mut pass);
        shares.read(&mut prompt, None, &mut pass);
        assert_eq!((pass.lengths(), drafted.draft().len()), (vec![257, 256], 256));
        // Hypotheses that are read anew have equal parts.
        let mut beam = Unread::new(vec![4; 3 * 400], 3);
        let (mut shares, mut pass) = (PassShares::of([(&beam, None)].into_iter()), Sequences::new());
        shares.read(&mut beam, None, &mut pass);
        assert_eq!(pass.lengths(), [170; 3]);
    }
}
