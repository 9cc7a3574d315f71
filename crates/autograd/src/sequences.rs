//! How sequences of different lengths lie in one matrix, one row per token and no padding.

use std::sync::Arc;

/// Time-major order: all first tokens, then all second tokens, and so on, the longest sequence first. The sequences
/// that are still running at a step are the first rows of that step, so the active batch shrinks from the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackedSequences {
    order: Vec<usize>,
    lengths: Vec<usize>,
    starts: Vec<usize>,
}

impl PackedSequences {
    /// The layout of sequences of these lengths.
    pub fn new(lengths: &[usize]) -> Self {
        let mut order: Vec<usize> = (0..lengths.len()).collect();
        order.sort_by_key(|&i| std::cmp::Reverse(lengths[i]));
        let sorted: Vec<usize> = order.iter().map(|&i| lengths[i]).collect();
        let mut starts = vec![0];
        let mut active = sorted.len();
        for t in 0..sorted.first().copied().unwrap_or(0) {
            while active > 0 && sorted[active - 1] <= t {
                active -= 1;
            }
            starts.push(starts[t] + active);
        }
        Self { order, lengths: sorted, starts }
    }

    /// How many sequences.
    pub fn sequences(&self) -> usize {
        self.order.len()
    }

    /// The length of the longest sequence.
    pub fn steps(&self) -> usize {
        self.starts.len() - 1
    }

    /// How many rows in all.
    pub fn tokens(&self) -> usize {
        self.starts[self.steps()]
    }

    /// The rows of step `t`.
    pub fn rows(&self, t: usize) -> std::ops::Range<usize> {
        self.starts[t]..self.starts[t + 1]
    }

    /// How many sequences run at step `t`; none after the last.
    pub fn active(&self, t: usize) -> usize {
        if t < self.steps() { self.starts[t + 1] - self.starts[t] } else { 0 }
    }

    /// The sequences, longest first: `order()[b]` is which one has row `b` of each step, and of a state.
    pub fn order(&self) -> &[usize] {
        &self.order
    }

    /// For every sequence, which row of each step and of a state is its own: the inverse of [`PackedSequences::order`].
    pub fn ranks(&self) -> Vec<usize> {
        let mut ranks = vec![0; self.sequences()];
        self.order.iter().enumerate().for_each(|(b, &i)| ranks[i] = b);
        ranks
    }

    /// For every row, where its token stands in the sequences joined end to end.
    pub fn joined(&self) -> Vec<usize> {
        let mut offsets = vec![0; self.sequences()];
        let mut lengths = vec![0; self.sequences()];
        self.order.iter().zip(&self.lengths).for_each(|(&i, &length)| lengths[i] = length);
        for i in 1..offsets.len() {
            offsets[i] = offsets[i - 1] + lengths[i - 1];
        }
        (0..self.steps())
            .flat_map(|t| self.order[..self.active(t)].iter().map(move |&i| (i, t)))
            .map(|(i, t)| offsets[i] + t)
            .collect()
    }

    /// The rows of every sequence, in the sequences' own order.
    pub fn segments(&self) -> Segments {
        let mut segments = Segments::default();
        for b in self.ranks() {
            segments.push((0..self.lengths[b]).map(|t| self.starts[t] + b));
        }
        segments
    }
}

/// For each of several sequences, which rows of a matrix are its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segments {
    rows: Vec<usize>,
    offsets: Vec<usize>,
}

impl Default for Segments {
    fn default() -> Self {
        Self { rows: Vec::new(), offsets: vec![0] }
    }
}

impl Segments {
    /// Sequences of these lengths, one after the other.
    pub fn joined(lengths: &[usize]) -> Self {
        let mut segments = Self::default();
        let mut start = 0;
        for &length in lengths {
            segments.push(start..start + length);
            start += length;
        }
        segments
    }

    /// Adds a sequence with these rows.
    pub fn push(&mut self, rows: impl IntoIterator<Item = usize>) {
        self.rows.extend(rows);
        self.offsets.push(self.rows.len());
    }

    /// How many sequences.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows of sequence `i`.
    pub fn rows(&self, i: usize) -> &[usize] {
        &self.rows[self.offsets[i]..self.offsets[i + 1]]
    }

    /// The rows of sequence `i` as a range, where they lie one after the other.
    pub fn span(&self, i: usize) -> Option<std::ops::Range<usize>> {
        let rows = self.rows(i);
        let start = rows.first().copied().unwrap_or(0);
        rows.iter().copied().eq(start..start + rows.len()).then_some(start..start + rows.len())
    }

    /// As [`Segments::span`] where every sequence has one; otherwise where the rows of sequence `i` are among those of all sequences joined.
    pub(crate) fn span_or_joined(&self, i: usize, are_spans: bool) -> std::ops::Range<usize> {
        let joined = || self.offsets[i]..self.offsets[i + 1];
        if are_spans { self.span(i).unwrap_or_else(joined) } else { joined() }
    }

    /// Whether the rows of every sequence lie one after the other.
    pub(crate) fn are_spans(&self) -> bool {
        (0..self.len()).all(|i| self.span(i).is_some())
    }

    /// Of elements joined end to end, sequence after sequence, those of each row; every row must be some sequence's.
    pub fn arrange<T: Copy + Default>(&self, joined: &[T]) -> Arc<[T]> {
        let mut rows = vec![T::default(); self.rows.len()];
        self.rows.iter().zip(joined).for_each(|(&row, &element)| rows[row] = element);
        rows.into()
    }

    /// The rows of sequences `indices`, some perhaps several times.
    #[must_use]
    pub fn select(&self, indices: &[usize]) -> Self {
        let mut selected = Self::default();
        indices.iter().for_each(|&i| selected.push(self.rows(i).iter().copied()));
        selected
    }

    /// For each row here, the row of the same token in `other`, where the same sequences lie in another order.
    pub fn rows_in(&self, other: &Self) -> Arc<[usize]> {
        self.arrange(&other.rows)
    }

    /// How many rows belong to some sequence.
    pub fn tokens(&self) -> usize {
        self.rows.len()
    }

    /// One more than the largest row; no matrix may have fewer rows.
    pub fn bound(&self) -> usize {
        self.rows.iter().max().map_or(0, |&row| row + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_rows_are_a_permutation_and_shrink() {
        let packed = PackedSequences::new(&[2, 0, 5, 3, 3]);
        assert_eq!((packed.sequences(), packed.steps(), packed.tokens()), (5, 5, 13));
        assert_eq!((0..6).map(|t| packed.active(t)).collect::<Vec<_>>(), [4, 4, 3, 1, 1, 0]);
        let mut joined = packed.joined();
        let segments = packed.segments();
        // Sequence 3 occupies places 7, 8, 9 of the joined list.
        assert_eq!(segments.rows(3).iter().map(|&row| joined[row]).collect::<Vec<_>>(), [7, 8, 9]);
        joined.sort_unstable();
        assert_eq!(joined, (0..13).collect::<Vec<_>>());
    }
}
