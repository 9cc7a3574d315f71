use crate::huge_pages::advise_huge_pages;
use descant_tensor::{Aligned, Element, Error, Result};
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// Elements that a thread sets at once.
const PART: usize = 1 << 18;

/// `len` zeros, aligned, set by all threads of rayon's pool: what takes the time of large memory is the page fault of
/// each page's first touch: large memory is in huge pages, and the faults of several threads run in parallel.
///
/// # Errors
/// [`Error::OutOfMemory`].
pub fn zeros<E: Element>(len: usize) -> Result<Aligned<E>> {
    let mut memory = Aligned::<E>::new(64);
    memory.try_reserve_exact(len).map_err(|_| Error::OutOfMemory { bytes: len.saturating_mul(size_of::<E>()) })?;
    // SAFETY: the capacity is at least `len`, the memory is aligned for `E`, nobody else has it, and memory that was not
    // written to is what `MaybeUninit` is for.
    let room: &mut [MaybeUninit<E>] = unsafe { std::slice::from_raw_parts_mut(memory.as_mut_ptr().cast(), len) };
    advise_huge_pages(room);
    room.par_chunks_mut(PART).for_each(|part| part.fill(MaybeUninit::new(E::zero())));
    // SAFETY: the first `len` elements have just been written.
    unsafe { memory.set_len(len) };
    Ok(memory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_is_zero_and_the_first_is_aligned() {
        for len in [0, 1, PART - 1, PART, 3 * PART + 5] {
            let memory = zeros::<f32>(len).unwrap();
            assert!(memory.len() == len && memory.iter().all(|&x| x == 0.0));
            assert_eq!(memory.as_ptr().align_offset(64), 0);
        }
    }

    #[test]
    fn too_much_is_an_error() {
        assert!(zeros::<f64>(usize::MAX / 8).is_err());
        assert!(zeros::<f64>(usize::MAX).is_err());
    }
}
