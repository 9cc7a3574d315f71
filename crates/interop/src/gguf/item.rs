//! What a GGUF file is made of, as it is written.

/// The tensor of factors of rotary frequencies, as Llama 3.1 has them.
pub(super) const FACTORS: &str = "rope_freqs.weight";

/// A value that a key has.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Item {
    Number(u32),
    Real(f32),
    Flag(bool),
    Text(String),
    Reals(Vec<f32>),
    Numbers(Vec<i32>),
    Texts(Vec<String>),
}
