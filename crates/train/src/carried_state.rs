//! Recurrent states that are carried from chunk to chunk of a continuous text (truncated backpropagation through time).

use crate::Error;
use descant_autograd::{Graph, Parameters, Tape};
use descant_batch::Batch;
use descant_inference::Recipe;
use descant_kernels::Parallelism;
use descant_models::{DecoderState, Generator, HiddenStates};
use descant_tensor::{Result, Tensor};
use descant_text::Batches;

/// The state of each stream at the end of its last chunk, share by share: stream `i` is row `i` of the batches, and in share `i`
/// modulo their number ([`Batch::shares_by_row`]).
#[derive(Clone, Debug)]
pub struct CarriedState {
    pub(crate) shares: Vec<DecoderState>,
}

impl CarriedState {
    /// That before the first chunks.
    ///
    /// # Errors
    /// Whatever the model's first state fails with.
    pub fn start(model: &dyn Generator, parameters: &Parameters, streams: usize, shares: usize) -> Result<Self> {
        let mut tape = Tape::new();
        let mut start = |share: usize| {
            let rows = (share..streams).step_by(shares.max(1)).len();
            model.start(tape.infer(parameters, Parallelism::Serial), None, rows)
        };
        Ok(Self { shares: (0..shares.max(1)).map(&mut start).collect::<Result<_>>()? })
    }

    /// That of a training on these batches, where its recipe has one.
    ///
    /// # Errors
    /// Where no chunk goes on where another ended.
    pub fn of_training(
        recipe: &Recipe,
        model: &dyn Generator,
        parameters: &Parameters,
        batches: &Batches,
    ) -> std::result::Result<Option<Self>, Error> {
        if !recipe.train.carry_state {
            return Ok(None);
        }
        let length = recipe.train.length;
        let reason = match batches.streams() {
            None => match recipe.data.as_ref().is_some_and(|data| data.cut) {
                true => "data.cut cuts separate texts. Leave one of both out",
                false => "each line of the text is a sequence of its own. Leave it out, or set data.stream = true",
            }
            .to_owned(),
            Some(streams) if streams[0].end - streams[0].start <= length as u64 => format!(
                "each of the {} streams, one for each row of a batch, is a single chunk of train.length = {length}. Lower that, or \
                 train.batch_sentences (or train.batch_tokens)",
                streams.len()
            ),
            Some(streams) => return Ok(Some(Self::start(model, parameters, streams.len(), recipe.train.shares)?)),
        };
        Err(recipe.wrong(format!("train.carry_state = true: {reason}")).into())
    }

    /// Begins all streams anew.
    pub(crate) fn restart(&mut self) {
        self.shares.iter_mut().for_each(|state| state.restart(0..state.rows()));
    }

    /// Its tensors, by name.
    pub(crate) fn tensors(&self) -> impl Iterator<Item = (String, &Tensor)> {
        let states = self.shares.iter().enumerate();
        states.flat_map(|(share, state)| state.recurrent.iter().enumerate().map(move |(i, x)| (name(share, i), x)))
    }

    /// The same, to read them.
    pub(crate) fn tensors_mut(&mut self) -> impl Iterator<Item = (String, &mut Tensor)> {
        let states = self.shares.iter_mut().enumerate();
        states.flat_map(|(share, state)| state.recurrent.iter_mut().enumerate().map(move |(i, x)| (name(share, i), x)))
    }
}

fn name(share: usize, state: usize) -> String {
    format!("share.{share}.state.{state}")
}

/// The hidden states of a batch. With a carried state, each row goes on from its own, which becomes that at the row's end: a constant,
/// so that no gradient reaches what is before. A batch of more rows than there are states is an error.
pub(crate) fn hidden<'t>(
    model: &dyn Generator,
    graph: Graph<'t>,
    batch: &Batch,
    carried: Option<&mut DecoderState>,
) -> Result<HiddenStates<'t>> {
    let Some(state) = carried else { return Ok(model.hidden(graph, batch)) };
    // At the end of a text, the last streams may be over.
    let rows = state.rows().min(batch.input.len());
    state.select(&(0..rows).collect::<Vec<_>>());
    model.step(graph, state, &batch.input)
}
