use crate::beam_search::BeamSearch;
use crate::context_window::ContextWindow;
use crate::token_selection::TokenSelector;
use crate::{DecodingOptions, Hypothesis, Strategy};
use descant_autograd::{Parameters, Tape, derive_seed};
use descant_batch::Sequences;
use descant_models::Generator;
use descant_tensor::{Buffer, Element, Error, Result, Tensor};
use rand_core::SeedableRng;
use rand_pcg::Pcg64;
use std::ops::Range;
use std::panic::Location;

/// A batch of rows to generate texts for.
#[derive(Clone, Copy, Debug)]
pub struct DecodingBatch<'a> {
    /// A number for each row, such as its line in a file, which seeds its random stream: sampling does not depend on the
    /// batch.
    pub rows: &'a [u64],
    /// The encoder's input of each row; a language model has none.
    pub sources: Option<&'a Sequences>,
    /// The prompt of each row, BOS included; an empty one is replaced by [`DecodingOptions::start`]. Lengths may differ.
    pub prompts: Option<&'a Sequences>,
}

/// Generates texts for every row of a batch, by [`DecodingOptions::strategy`]: the hypotheses of each row, the best first.
///
/// # Errors
/// [`Error::Shapes`] for options out of range, for sources or prompts that are not as many as the rows, and for a row that
/// begins with nothing;
/// [`Error::NonFinite`] for a model whose scores are not numbers; what a step of the model fails with.
#[track_caller]
pub fn generate(
    model: &dyn Generator,
    parameters: &Parameters,
    tape: &mut Tape,
    input: DecodingBatch<'_>,
    options: &DecodingOptions,
) -> Result<Vec<Vec<Hypothesis>>> {
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
) -> Result<Vec<Vec<Hypothesis>>> {
    let location = Location::caller();
    let refuse = |reason| Error::Shapes { op: "generate", reason, inputs: Vec::new(), location };
    options.validate().map_err(refuse)?;
    let DecodingBatch { rows, sources, prompts } = input;
    for (what, given) in [("sources", sources), ("prompts", prompts)] {
        if let Some(given) = given.filter(|given| given.len() != rows.len()) {
            return Err(refuse(format!("there are {} {what} for {} rows", given.len(), rows.len())));
        }
    }
    if rows.is_empty() {
        return Ok(Vec::new());
    }

    let seed = if let Strategy::Sample { seed, .. } = options.strategy { seed } else { 0 };
    let mut rngs: Vec<Pcg64> = rows.iter().map(|&row| Pcg64::seed_from_u64(derive_seed(seed, row))).collect();
    let window = ContextWindow::new(options, model.max_length(), sources.is_some());
    let prompt = |row| prompts.map(|prompts| prompts.get(row)).filter(|ids| !ids.is_empty()).unwrap_or(&options.start);
    let prompts: Vec<Vec<u32>> = (0..rows.len()).map(|row| window.cut(prompt(row))).collect();
    if let Some(row) = prompts.iter().position(Vec::is_empty) {
        return Err(refuse(format!(
            "row {row} has no token to begin with: the model has no BOS, and the prompt is empty"
        )));
    }
    let length = |row| sources.map(|sources| sources.get(row).len());
    // The last token is generated, but not read.
    let room = sources.and(model.max_length());
    let mut searches: Vec<BeamSearch> =
        (0..rows.len()).map(|row| BeamSearch::new(options, length(row), room)).collect();
    let settled = !matches!(options.strategy, Strategy::Beam { .. });

    let mut selector = TokenSelector::new(options);
    let mut state = model.start(tape.infer(parameters, options.parallelism), sources, rows.len())?;
    let (mut tokens, mut parents): (Vec<u32>, _) = (prompts.iter().map(|prompt| prompt[0]).collect(), Vec::new());
    // Tokens before the next ones: all of them, and those in the decoder state.
    let (mut step, mut in_state) = (0, 0);
    // One step of the model for all hypotheses of all rows, those of a row consecutive.
    while !tokens.is_empty() {
        if window.is_full(in_state) {
            let each = searches.iter().zip(&prompts);
            let live = each.flat_map(|(search, prompt)| search.live.iter().map(move |live| (prompt, live)));
            let again: Vec<Vec<u32>> = live.map(|(prompt, live)| window.slide(prompt, &live.tokens, step)).collect();
            state = model.start(tape.infer(parameters, options.parallelism), None, again.len())?;
            in_state = again.first().map_or(0, Vec::len);
            for i in 0..in_state {
                let column: Vec<u32> = again.iter().map(|ids| ids[i]).collect();
                state = model.step(tape.infer(parameters, options.parallelism), &state, &column)?.1;
            }
        }
        let (hidden, after) = model.step(tape.infer(parameters, options.parallelism), &state, &tokens)?;
        (step, in_state) = (step + 1, in_state + 1);
        // Within prompts nothing is chosen, and no logits are needed.
        let chooses = |(row, search): (usize, &BeamSearch)| !search.live.is_empty() && step >= prompts[row].len();
        let scores = match searches.iter().enumerate().any(chooses) {
            true => Some(model.output().logits(hidden).log_softmax().value()?),
            false => None,
        };
        tokens.clear();
        parents.clear();
        let mut first = 0;
        for (row, search) in searches.iter_mut().enumerate().filter(|(_, search)| !search.live.is_empty()) {
            let live = first..first + search.live.len();
            first = live.end;
            if let Some(&token) = prompts[row].get(step) {
                tokens.push(token);
                parents.push(live.start);
            } else if let Some(scores) = &scores {
                let candidates = match scores.buffer() {
                    Buffer::F32(all) => selector.select(&search.live, rows_of(scores, all, &live)?, &mut rngs[row]),
                    Buffer::F64(all) => selector.select(&search.live, rows_of(scores, all, &live)?, &mut rngs[row]),
                };
                search.advance(candidates);
                for hypothesis in &search.live {
                    parents.push(live.start + hypothesis.parent);
                    tokens.extend(hypothesis.tokens.last());
                }
                if let (true, Some(candidate)) =
                    (settled, candidates.first().filter(|c| !options.eos.contains(&c.token)))
                {
                    on_token(row, candidate.token);
                }
            }
        }
        state = if parents.iter().copied().eq(0..after.rows()) { after } else { after.select(&parents) };
    }
    Ok(searches.into_iter().map(BeamSearch::hypotheses).collect())
}

/// Some rows of the scores, checked for NaN: a log softmax of one NaN is all NaN.
fn rows_of<'a, E: Element>(scores: &Tensor, all: &'a [E], rows: &Range<usize>) -> Result<&'a [E]> {
    let width = scores.shape().last();
    let rows = rows.start * width..rows.end * width;
    match rows.clone().step_by(width.max(1)).find(|&first| all[first].is_nan()) {
        Some(element) => Err(Error::NonFinite {
            op: "generate",
            what: "the scores",
            shape: scores.shape(),
            element,
            location: Location::caller(),
        }),
        None => Ok(&all[rows]),
    }
}
