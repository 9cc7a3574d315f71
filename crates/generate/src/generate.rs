use crate::decoder::{Decoder, DecodingBatch};
use crate::{DecodingOptions, RowResult};
use descant_autograd::{Parameters, Tape};
use descant_models::Generator;
use descant_tensor::Result;

/// Generates texts for every row of a batch, by [`DecodingOptions::config`]: the hypotheses of each row, the best first, or
/// why it has none.
///
/// # Errors
/// As [`Decoder::new`], [`Decoder::push`] and [`Decoder::step`].
#[track_caller]
pub fn generate(
    model: &dyn Generator,
    parameters: &Parameters,
    tape: &mut Tape,
    input: DecodingBatch<'_>,
    options: &DecodingOptions,
) -> Result<Vec<RowResult>> {
    stream(model, parameters, tape, input, options, |_, _| ())
}

/// As [`generate()`], and streams each token as it is chosen: `on_token(row, token)`, with the row's index in the batch.
/// Beam search knows its tokens only at the end, and streams none.
///
/// # Errors
/// As [`generate()`].
#[track_caller]
pub fn stream(
    model: &dyn Generator,
    parameters: &Parameters,
    tape: &mut Tape,
    input: DecodingBatch<'_>,
    options: &DecodingOptions,
    mut on_token: impl FnMut(usize, u32),
) -> Result<Vec<RowResult>> {
    let mut decoder = Decoder::new(model, parameters, options)?;
    decoder.push(tape, input)?;
    let mut found = vec![Ok(Vec::new()); input.rows.len()];
    while !decoder.is_empty() {
        for (row, result) in decoder.step(tape, &mut on_token)? {
            found[row] = result;
        }
    }
    Ok(found)
}
