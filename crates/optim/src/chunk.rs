use std::ops::Range;

/// Elements that one thread processes at a time. The bits of a sum of squares depend on it.
pub(crate) const CHUNK: usize = 1 << 15;

/// Cuts a slice into disjoint parts, from its front to its end.
pub(crate) struct Parts<'a, E> {
    rest: &'a mut [E],
    /// Where that begins.
    start: usize,
}

impl<'a, E> Parts<'a, E> {
    pub(crate) fn new(rest: &'a mut [E]) -> Self {
        Self { rest, start: 0 }
    }

    /// The part at a range that begins at the end of the one before, or after it.
    pub(crate) fn take(&mut self, range: Range<usize>) -> &'a mut [E] {
        let (_, rest) = std::mem::take(&mut self.rest).split_at_mut(range.start - self.start);
        let (part, rest) = rest.split_at_mut(range.len());
        (self.rest, self.start) = (rest, range.end);
        part
    }
}
