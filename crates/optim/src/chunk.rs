/// Elements that one thread processes at a time. The bits of a sum of squares depend on it.
pub(crate) const CHUNK: usize = 1 << 15;
