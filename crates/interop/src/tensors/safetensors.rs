//! The header of a safetensors file.

use super::{ElementType, Tensor, damaged};
use safetensors::tensor::{Dtype, Metadata};
use std::fs::File;
use std::io::{self, Read};

/// Longest header, as the format has it.
const HEADER: u64 = 100_000_000;

/// The tensors of a file, which is read from its front.
///
/// # Errors
/// Where it is none.
pub(super) fn tensors(file: &mut File) -> io::Result<Vec<Tensor>> {
    let len = file.metadata()?.len();
    let mut size = Vec::new();
    file.by_ref().take(8).read_to_end(&mut size)?;
    let header = size.try_into().map_or(u64::MAX, u64::from_le_bytes);
    if header > HEADER.min(len.saturating_sub(8)) {
        return Err(damaged("it has no header"));
    }
    let mut json = Vec::new();
    file.by_ref().take(header).read_to_end(&mut json)?;
    let metadata: Metadata = serde_json::from_slice(&json).map_err(|error| damaged(format!("its header: {error}")))?;
    let (found, said) = (len - 8 - header, metadata.data_len());
    if said as u64 != found {
        return Err(damaged(format!("it has {found} bytes of numbers, where its header says {said}")));
    }
    let tensor = |name: String| {
        let info = metadata.info(&name)?;
        let element_type = match info.dtype {
            Dtype::F32 => ElementType::F32,
            Dtype::F64 => ElementType::F64,
            Dtype::F16 => ElementType::F16,
            Dtype::BF16 => ElementType::BF16,
            other => ElementType::Other(format!("{other:?}")),
        };
        let start = 8 + header + info.data_offsets.0 as u64;
        Some(Tensor { name, shape: info.shape.clone(), element_type, start, view: None })
    };
    Ok(metadata.offset_keys().into_iter().filter_map(tensor).collect())
}
