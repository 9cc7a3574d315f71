/// How many threads one GEMM may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Parallelism {
    /// The calling thread alone.
    #[default]
    Serial,
    /// This many threads: of the current rayon pool, and in batch-invariant GEMMs of the pool of `run_on_threads`.
    Threads(usize),
}

/// Multiply-adds below which a second thread costs more than it saves.
const MIN_WORK: usize = 1 << 17;

/// Elements below which a second thread costs more than it saves in a pass over them.
pub(crate) const MIN_ELEMENTS: usize = 1 << 14;

impl Parallelism {
    /// Threads of a batch-invariant GEMM of so many multiply-adds, which can be shared out to at most `most`.
    pub(crate) fn threads(self, multiply_adds: usize, most: usize) -> usize {
        match self {
            Self::Threads(threads) if multiply_adds >= MIN_WORK => threads.clamp(1, most),
            _ => 1,
        }
    }
}

/// What GEMM operands are rounded to. The accumulator is f32 either way, and f64 operands are never rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum MatmulPrecision {
    /// No rounding.
    #[default]
    Full,
    /// bfloat16, eight bits of mantissa, where it is profitable ([`bf16_is_profitable`](crate::bf16_is_profitable)): twice as
    /// fast on a processor with AVX-512 BF16. The blocked GEMM rounds its result to bfloat16 too, before it is added in f32;
    /// a GEMM with a [`PackedB`](crate::PackedB) does not.
    Bf16,
}

/// Threads and precision of a GEMM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct GemmConfig {
    /// The number of threads.
    pub parallelism: Parallelism,
    /// What the operands are rounded to.
    pub precision: MatmulPrecision,
    /// Whether each row of the result has the same bits in any batch, where the operands are not rounded: see
    /// [`gemm_batch_invariant`](crate::gemm_batch_invariant).
    pub batch_invariant: bool,
}

impl GemmConfig {
    /// Threads of a pass over so many elements: in inference those of a GEMM. In training, other shares have the other threads.
    pub fn pass_threads(self, elements: usize) -> usize {
        match self.parallelism {
            Parallelism::Threads(threads) if self.batch_invariant && elements >= MIN_ELEMENTS => threads,
            _ => 1,
        }
    }

    /// Whether this GEMM is to be batch-invariant.
    pub(crate) fn is_batch_invariant(self) -> bool {
        self.batch_invariant && self.precision == MatmulPrecision::Full
    }
}

impl From<Parallelism> for GemmConfig {
    fn from(parallelism: Parallelism) -> Self {
        Self { parallelism, ..Self::default() }
    }
}
