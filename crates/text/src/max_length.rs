//! How long the sequences of an encoded text are at most.

/// How long sequences are at most, and what becomes of longer ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxLength {
    /// Tokens of a side.
    pub tokens: usize,
    /// Whether a longer text without a source is cut into pieces rather than left out.
    pub cut: bool,
}

impl From<usize> for MaxLength {
    /// Longer ones are left out.
    fn from(tokens: usize) -> Self {
        Self { tokens, cut: false }
    }
}

/// Which piece of a text a sequence is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Piece {
    /// Whether it goes on from another, whose last token it begins with.
    pub continues: bool,
    /// Whether another one goes on from it.
    pub goes_on: bool,
}

impl Piece {
    /// Of a whole text.
    pub const WHOLE: Self = Self { continues: false, goes_on: false };

    /// As a number, in which it is stored.
    pub(crate) fn bits(self) -> u32 {
        u32::from(self.continues) | u32::from(self.goes_on) << 1
    }

    /// From that number.
    pub(crate) fn of(bits: u32) -> Self {
        Self { continues: bits & 1 > 0, goes_on: bits & 2 > 0 }
    }
}
