use descant_autograd::Var;
use serde::{Deserialize, Serialize};

/// The kind of recurrent cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cell {
    /// Long short-term memory.
    Lstm,
    /// Gated recurrent unit.
    Gru,
}

impl Cell {
    pub(crate) fn gates(self) -> usize {
        match self {
            Self::Lstm => 4,
            Self::Gru => 3,
        }
    }
}

/// The state of one layer: `[B, H]`, rows in the order of [`PackedSequences::order`](descant_autograd::PackedSequences::order). Both directions are concatenated.
#[derive(Clone, Copy, Debug)]
pub struct RecurrentState<'t> {
    /// The hidden state.
    pub hidden: Var<'t>,
    /// An LSTM's cell state.
    pub cell: Option<Var<'t>>,
}
