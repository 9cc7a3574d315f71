use crate::{Estimate, Recipe, Tokenizers, available};
use descant_autograd::{Parameters, StorageType};
use descant_kernels::zeros;
use descant_models::{Generator, build};
use descant_tensor::{Buffer, DType, Shape};

/// A fresh model of the recipe's architecture, of which is trained what the recipe says.
///
/// # Errors
/// The recipe's key and what it may be, in words.
pub fn model(
    recipe: &Recipe,
    tokenizers: &Tokenizers,
    dtype: DType,
) -> Result<(Parameters, Box<dyn Generator>), String> {
    let mut parameters = Parameters::new(dtype);
    let model = add_model(recipe, tokenizers, &mut parameters, Some(recipe.seed))?;
    Ok((parameters, model))
}

/// Elements that fill up the panels of packed weights, at most, where a model is large.
const FILLING: usize = 1 << 16;

/// Zeros for the weights of a file of so many bytes: its header has more of them than there are gaps between the weights.
/// None where that may be more memory than there is: the model says then how much it takes.
pub fn memory_of(bytes: u64) -> Buffer {
    let fits = available().is_none_or(|available| bytes as f64 <= available);
    let memory = fits.then(|| zeros(bytes as usize / 4 + FILLING)).and_then(Result::ok);
    memory.map_or_else(|| Buffer::zeros(DType::F32, 0), Buffer::F32)
}

/// The same in f32 with weights of zero, to be read from a file.
///
/// # Errors
/// As [`model`].
pub fn blank_model(recipe: &Recipe, tokenizers: &Tokenizers) -> Result<(Parameters, Box<dyn Generator>), String> {
    blank_model_in(Buffer::zeros(DType::F32, 0), recipe, tokenizers, |_, _| StorageType::RowMajor)
}

/// The same in memory of zeros, where it is enough, with matrices stored as `storage` says.
pub fn blank_model_in(
    memory: Buffer,
    recipe: &Recipe,
    tokenizers: &Tokenizers,
    storage: impl Fn(&str, Shape) -> StorageType,
) -> Result<(Parameters, Box<dyn Generator>), String> {
    let mut parameters = Parameters::shapes_only(DType::F32);
    let model = add_model(recipe, tokenizers, &mut parameters, None)?;
    parameters.store_shapes_as(storage);
    Ok((parameters.allocated(memory).map_err(|error| error.to_string())?, model))
}

/// The same, in parameters that are none yet; without a seed, all weights are zero, to be read from a file.
pub fn add_model(
    recipe: &Recipe,
    tokenizers: &Tokenizers,
    parameters: &mut Parameters,
    seed: Option<u64>,
) -> Result<Box<dyn Generator>, String> {
    let vocabulary = tokenizers.vocabulary(&recipe.loss)?;
    Estimate::of(recipe, &vocabulary, parameters.dtype(), 0.0)?.check(false)?;
    let model = build(&recipe.model, &recipe.loss, &vocabulary, parameters, seed)?;
    if let Some(finetune) = &recipe.finetune {
        finetune.apply(parameters, recipe.seed)?;
    }
    parameters.check().map_err(|error| error.to_string())?;
    Ok(model)
}
