//! The types of numbers in a GGUF file that are written here.

use descant_kernels::{ReducedRows, ReducedWeight, WeightType};
use half::{bf16, f16};
use std::fmt;

/// The table of tokens, and the output projection.
pub(super) const TABLE: &str = "token_embd.weight";
pub(super) const OUTPUT: &str = "output.weight";
/// Elements of a block of Q8_0 and of Q4_0.
const BLOCK: usize = 32;

/// How the numbers of matrices are written; all others are in single precision, as llama.cpp needs them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GgufType {
    /// Single precision.
    #[default]
    F32,
    /// Half precision.
    F16,
    /// The upper half of single precision.
    BF16,
    /// 8 bits, with a scale for each 32.
    Q8_0,
    /// 4 bits, with a scale for each 32; embeddings and the output projection in Q8_0.
    Q4_0,
}

/// The rows of a matrix.
pub(super) enum Rows<'a> {
    /// In f32, of so many columns.
    Full(&'a [f32], usize),
    Reduced(ReducedRows<'a>),
}

impl Rows<'_> {
    fn columns(&self) -> usize {
        match self {
            Self::Full(_, columns) => *columns,
            Self::Reduced(rows) => rows.columns(),
        }
    }

    fn values(&self, row: usize) -> Vec<f32> {
        let mut values = vec![0.0; self.columns()];
        match self {
            Self::Full(all, columns) => values.copy_from_slice(&all[row * columns..][..*columns]),
            Self::Reduced(rows) => rows.dequantize(row, &mut values),
        }
        values
    }
}

impl GgufType {
    /// Their number as a tensor's type, and as that of a whole file.
    pub(super) fn types(self) -> (u32, u32) {
        match self {
            Self::F32 => (0, 0),
            Self::F16 => (1, 1),
            Self::Q4_0 => (2, 2),
            Self::Q8_0 => (8, 7),
            Self::BF16 => (30, 32),
        }
    }

    /// That in which the weights of a run in reduced precision have the same numbers.
    pub fn of_weights(weights: WeightType) -> Self {
        match weights {
            WeightType::Bf16 => Self::BF16,
            WeightType::Int8 => Self::Q8_0,
            WeightType::Q4 => Self::Q4_0,
        }
    }

    /// Whether weights in reduced precision are as they are, or not rounded to integers again.
    pub(super) fn keeps(self, weights: WeightType) -> bool {
        self == Self::of_weights(weights) || matches!(self, Self::F32 | Self::F16 | Self::BF16)
    }

    /// The type of one matrix: rows that are not of whole blocks stay in single precision.
    pub(super) fn of_matrix(self, name: &str, columns: usize) -> Self {
        match self {
            Self::Q8_0 | Self::Q4_0 if !columns.is_multiple_of(BLOCK) => Self::F32,
            Self::Q4_0 if [TABLE, OUTPUT].contains(&name) => Self::Q8_0,
            own => own,
        }
    }

    /// The bytes of some rows, in this order.
    ///
    /// # Errors
    /// A value that has no form in this type.
    pub(super) fn encode(self, rows: &Rows<'_>, order: &[usize]) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        for &row in order {
            match (self, rows) {
                (Self::F32, _) => bytes.extend(bytemuck::cast_slice::<f32, u8>(&rows.values(row))),
                (Self::F16, _) => {
                    for value in rows.values(row) {
                        let half = f16::from_f32(value);
                        if half.is_infinite() {
                            return Err(format!("it has {value}, which is more than half precision holds. BF16 does"));
                        }
                        bytes.extend(half.to_le_bytes());
                    }
                }
                (Self::BF16, _) => {
                    bytes.extend(rows.values(row).into_iter().flat_map(|value| bf16::from_f32(value).to_le_bytes()));
                }
                (Self::Q8_0, Rows::Reduced(rows)) => put_blocks(&mut bytes, rows, row, BLOCK),
                (Self::Q4_0, Rows::Reduced(rows)) => put_blocks(&mut bytes, rows, row, BLOCK / 2),
                (Self::Q8_0, Rows::Full(..)) => {
                    // Each block a row of its own.
                    let blocks = ReducedWeight::quantized(WeightType::Int8, &rows.values(row), BLOCK)?;
                    (0..blocks.all().len()).for_each(|block| put_blocks(&mut bytes, &blocks.all(), block, BLOCK));
                }
                (Self::Q4_0, Rows::Full(_, columns)) => {
                    let blocks = ReducedWeight::quantized(WeightType::Q4, &rows.values(row), *columns)?;
                    put_blocks(&mut bytes, &blocks.all(), 0, BLOCK / 2);
                }
            }
        }
        Ok(bytes)
    }
}

/// The blocks of a row, each its scale and then so many bytes; a row may have one scale for all.
fn put_blocks(bytes: &mut Vec<u8>, rows: &ReducedRows<'_>, row: usize, block: usize) {
    let scales: Vec<f16> = rows.scales(row).collect();
    for (i, elements) in rows.bytes(row).chunks(block).enumerate() {
        bytes.extend(scales[i.min(scales.len() - 1)].to_le_bytes());
        bytes.extend(elements);
    }
}

impl fmt::Display for GgufType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
