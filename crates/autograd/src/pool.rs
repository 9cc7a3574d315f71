use descant_kernels::Real;
use descant_tensor::{Buffer, DType, aligned};
use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};

/// Buffers that a step gave back and the next one takes again, so that after the first steps training allocates
/// nothing. Lengths are rounded up to classes, four to each power of two, so that batches of slightly different sizes
/// share buffers.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    /// By the type and the number of elements.
    free: BTreeMap<(DType, usize), Vec<Buffer>>,
    allocations: u64,
}

/// `len` elements of a pooled buffer, with whatever was last written there.
#[derive(Debug)]
pub struct Scratch<E> {
    elements: descant_tensor::Aligned<E>,
    len: usize,
}

impl<E> Deref for Scratch<E> {
    type Target = [E];

    fn deref(&self) -> &[E] {
        &self.elements[..self.len]
    }
}

impl<E> DerefMut for Scratch<E> {
    fn deref_mut(&mut self) -> &mut [E] {
        &mut self.elements[..self.len]
    }
}

impl Pool {
    /// A buffer of at least `len` elements with undefined contents.
    pub(crate) fn take<E: Real>(&mut self, len: usize) -> Buffer {
        let class = class(len);
        // One of up to twice the size is better than one more: otherwise batches of ever other sizes would each leave
        // their own buffers behind.
        let classes = (E::DTYPE, class)..=(E::DTYPE, 2 * class);
        let fitting = self.free.range_mut(classes).find(|(_, buffers)| !buffers.is_empty());
        if let Some(buffer) = fitting.and_then(|(_, buffers)| buffers.pop()) {
            return buffer;
        }
        self.allocations += 1;
        E::wrap(aligned(class))
    }

    pub(crate) fn give(&mut self, buffer: Buffer) {
        self.free.entry((buffer.dtype(), buffer.len())).or_default().push(buffer);
    }

    /// A buffer that begins with these elements.
    pub(crate) fn copy<E: Real>(&mut self, elements: &[E]) -> Buffer {
        let mut copy = self.scratch(elements.len());
        copy.copy_from_slice(elements);
        copy.into_buffer()
    }

    pub(crate) fn scratch<E: Real>(&mut self, len: usize) -> Scratch<E> {
        Scratch { elements: E::unwrap(self.take::<E>(len)), len }
    }

    /// How many buffers wait to be taken.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.free.values().map(Vec::len).sum()
    }

    /// How many buffers were ever allocated.
    pub(crate) fn allocations(&self) -> u64 {
        self.allocations
    }
}

impl<E: Real> Scratch<E> {
    pub(crate) fn into_buffer(self) -> Buffer {
        E::wrap(self.elements)
    }

    pub(crate) fn from_buffer(buffer: Buffer, len: usize) -> Self {
        Self { elements: E::unwrap(buffer), len }
    }
}

/// The smallest of 64, 80, 96, 112, 128, 160, … that is at least `len`.
fn class(len: usize) -> usize {
    if len <= 64 {
        return 64;
    }
    let step = len.next_power_of_two() / 8;
    len.div_ceil(step) * step
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_waste_at_most_a_quarter() {
        for len in 65..10_000 {
            let class = class(len);
            assert!(class >= len && class * 4 <= len * 5 + 4, "{len} in {class}");
        }
    }

    #[test]
    fn buffers_of_two_types_wait_side_by_side() {
        let mut pool = Pool::default();
        for _ in 0..3 {
            let buffers = [pool.take::<f32>(100), pool.take::<f64>(100)];
            buffers.into_iter().for_each(|buffer| pool.give(buffer));
        }
        assert_eq!((pool.allocations(), pool.len()), (2, 2));
    }
}
