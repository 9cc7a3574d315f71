use safetensors::tensor::{SafeTensorError, TensorView, serialize_to_file};
use std::collections::HashMap;
use std::fs::{self, File};
use std::path::Path;

/// Writes a safetensors file that is as readable as others: those of the library are for their owner alone.
///
/// # Errors
/// Where it cannot be written; where two tensors have one name.
pub fn write_tensors<'a>(
    path: &Path,
    tensors: Vec<(String, TensorView<'a>)>,
    metadata: Option<HashMap<String, String>>,
) -> Result<(), SafeTensorError> {
    let permissions = File::create(path)?.metadata()?.permissions();
    serialize_to_file(tensors, metadata, path)?;
    Ok(fs::set_permissions(path, permissions)?)
}
