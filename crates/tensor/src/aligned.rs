use aligned_vec::{AVec, ConstAlign};
use num_traits::Zero;

/// Elements whose first one lies on a 64-byte boundary: one cache line, one AVX-512 register.
pub type Aligned<E> = AVec<E, ConstAlign<64>>;

/// `len` zeros, aligned.
pub fn aligned<E: Zero + Clone>(len: usize) -> Aligned<E> {
    AVec::__from_elem(64, E::zero(), len)
}
