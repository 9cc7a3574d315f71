use std::fmt;
use std::ops::Index;

const MAX_RANK: usize = 6;

/// The lengths of a tensor's axes, outermost first; at most six. A scalar has none.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Shape {
    lengths: [usize; MAX_RANK],
    rank: u8,
}

impl Shape {
    /// A shape of these lengths.
    ///
    /// # Panics
    /// For more than six axes.
    pub fn new(lengths: &[usize]) -> Self {
        assert!(lengths.len() <= MAX_RANK, "a shape has at most {MAX_RANK} axes, not {}", lengths.len());
        let mut shape = Self { rank: lengths.len() as u8, ..Self::default() };
        shape.lengths[..lengths.len()].copy_from_slice(lengths);
        shape
    }

    /// The lengths, outermost first.
    pub fn dims(&self) -> &[usize] {
        &self.lengths[..self.rank()]
    }

    /// How many axes.
    pub fn rank(&self) -> usize {
        usize::from(self.rank)
    }

    /// How many elements: the product of the lengths, 1 for a scalar.
    pub fn len(&self) -> usize {
        self.dims().iter().product()
    }

    /// Whether it has no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The length of the last axis, 1 for a scalar.
    pub fn last(&self) -> usize {
        self.dims().last().copied().unwrap_or(1)
    }

    /// How many rows of [`Shape::last`] elements: the product of all axes but the last.
    pub fn rows(&self) -> usize {
        self.dims().split_last().map_or(1, |(_, outer)| outer.iter().product())
    }

    /// This shape with another length on its last axis.
    pub fn with_last(mut self, length: usize) -> Self {
        match self.rank() {
            0 => Self::new(&[length]),
            rank => {
                self.lengths[rank - 1] = length;
                self
            }
        }
    }

    /// This shape with another length on its first axis.
    pub fn with_first(mut self, length: usize) -> Self {
        match self.rank() {
            0 => Self::new(&[length]),
            _ => {
                self.lengths[0] = length;
                self
            }
        }
    }
}

impl Index<usize> for Shape {
    type Output = usize;

    fn index(&self, axis: usize) -> &usize {
        &self.dims()[axis]
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(lengths: [usize; N]) -> Self {
        Self::new(&lengths)
    }
}

impl From<&[usize]> for Shape {
    fn from(lengths: &[usize]) -> Self {
        Self::new(lengths)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.dims()).finish()
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
