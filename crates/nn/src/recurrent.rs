use crate::cell::{Cell, RecurrentState};
use crate::normalised_cell::CellNorms;
use crate::row_dropout::{DropoutConfig, RowDropout, mask};
use crate::{Embedding, Init, Scope};
use descant_autograd::{Graph, PackedSequences, ParameterId, Var};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What the recurrent weights begin with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecurrentInit {
    /// Uniform, to `1/√H`, as in PyTorch.
    #[default]
    Uniform,
    /// An orthogonal matrix for each gate, which keeps the length of what goes through it (Saxe et al. 2014, arXiv 1312.6120).
    Orthogonal,
}

/// Sizes of a [`Recurrent`].
#[derive(Clone, Copy, Debug)]
pub struct RecurrentConfig {
    /// The kind of cell.
    pub cell: Cell,
    /// Width of the input.
    pub input: usize,
    /// Width of the hidden state of each direction.
    pub hidden: usize,
    /// How many layers.
    pub layers: usize,
    /// Whether each layer runs in both directions.
    pub bidirectional: bool,
    /// Dropout between layers, and within them.
    pub dropout: DropoutConfig,
    /// Residual connections: from the second layer on, the input of a layer is added to its output (Wu et al. 2016, arXiv 1609.08144).
    pub residual: bool,
    /// Whether gates and cell states are normalised (Ba et al. 2016, arXiv 1607.06450).
    pub layer_norm: bool,
    /// What the weights of the hidden state begin with.
    pub init: RecurrentInit,
    /// What the bias of an LSTM's forget gates begins with (Jozefowicz et al. 2015): the sum of both biases. `None` for uniform ones.
    pub forget_bias: Option<f64>,
}

impl RecurrentConfig {
    /// One layer in one direction, with all else as by default.
    pub fn new(cell: Cell, input: usize, hidden: usize) -> Self {
        let dropout = DropoutConfig::default();
        Self {
            cell,
            input,
            hidden,
            layers: 1,
            bidirectional: false,
            dropout,
            residual: false,
            layer_norm: false,
            init: RecurrentInit::Uniform,
            forget_bias: None,
        }
    }
}

/// The input of recurrent layers: a row of `x` for each token.
#[derive(Clone, Debug)]
pub struct RecurrentInput<'t> {
    x: Var<'t>,
    rows: Option<Arc<[u32]>>,
}

impl<'t> From<Var<'t>> for RecurrentInput<'t> {
    /// Row `n` for token `n`.
    fn from(x: Var<'t>) -> Self {
        Self { x, rows: None }
    }
}

impl<'t> RecurrentInput<'t> {
    /// The embeddings of `ids`, in the order of `layout`. Without dropout, the GEMM of the first layer then runs over the distinct ids
    /// only, where these are few enough; in inference over those alone whose input terms are not known.
    #[track_caller]
    pub fn embedded(
        graph: Graph<'t>,
        embedding: &Embedding,
        ids: &Arc<[u32]>,
        dropout: &DropoutConfig,
        layout: &PackedSequences,
    ) -> Self {
        if !graph.has_gradients() && !graph.parameters().is_row_major(embedding.weight) {
            return Self { x: graph.parameter(embedding.weight), rows: Some(ids.clone()) };
        }
        let mut distinct = ids.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        if dropout.changes_embeddings() && graph.has_gradients() || 2 * distinct.len() > ids.len() {
            let x = dropout.embeddings(embedding.forward(graph, ids), ids, layout);
            return dropout.rows(graph, layout.sequences(), x.shape().last()).apply(x, layout).into();
        }
        let place = |id: &u32| distinct.partition_point(|other| other < id) as u32;
        let rows = Some(ids.iter().map(place).collect());
        Self { x: embedding.forward(graph, &Arc::from(distinct)), rows }
    }
}

/// The masks of a pass that each sequence has one of, by layer; empty where nothing is dropped.
#[derive(Clone, Debug, Default)]
pub struct LayerDropout<'t> {
    /// Of what each layer but the first reads.
    between: Vec<RowDropout<'t>>,
    /// Of the hidden state before a step, by direction.
    recurrent: Vec<Vec<Option<Var<'t>>>>,
}

/// Layers of LSTM or GRU over a ragged batch, under PyTorch's names (`weight_ih_l0`, `weight_hh_l0_reverse`, …).
#[derive(Clone, Debug)]
pub struct Recurrent {
    config: RecurrentConfig,
    /// By layer and direction.
    weights: Vec<Vec<Weights>>,
}

/// Those of a layer in one direction.
#[derive(Clone, Debug)]
struct Weights {
    /// The weights and the biases of the input and of the hidden state.
    ids: [ParameterId; 4],
    norms: Option<CellNorms>,
}

impl Recurrent {
    /// Initialised as in PyTorch, uniform to `1/√H`, but for what the configuration says.
    pub fn new(scope: &mut Scope<'_>, config: RecurrentConfig) -> Self {
        let RecurrentConfig { cell, hidden, forget_bias, .. } = config;
        let directions: &[&str] = if config.bidirectional { &["", "_reverse"] } else { &[""] };
        let init = Init::Uniform(1.0 / (hidden.max(1) as f64).sqrt());
        let recurrent = match config.init {
            RecurrentInit::Uniform => init,
            RecurrentInit::Orthogonal => Init::Orthogonal(hidden),
        };
        let rows = cell.gates() * hidden;
        let weights = (0..config.layers)
            .map(|layer| {
                let input = if layer == 0 { config.input } else { hidden * directions.len() };
                let mut direction = |suffix: &str| {
                    let mut add = |name: &str, shape: &[usize], init| {
                        scope.parameter(&format!("{name}_l{layer}{suffix}"), shape, init)
                    };
                    let ids = [
                        add("weight_ih", &[rows, input], init),
                        add("weight_hh", &[rows, hidden], recurrent),
                        add("bias_ih", &[rows], init),
                        add("bias_hh", &[rows], init),
                    ];
                    if let (Cell::Lstm, Some(bias)) = (cell, forget_bias) {
                        scope.overwrite(ids[2], hidden..2 * hidden, bias);
                        scope.overwrite(ids[3], hidden..2 * hidden, 0.0);
                    }
                    let suffix = format!("_l{layer}{suffix}");
                    Weights { ids, norms: config.layer_norm.then(|| CellNorms::new(scope, cell, hidden, &suffix)) }
                };
                directions.iter().map(|suffix| direction(suffix)).collect()
            })
            .collect();
        Self { config, weights }
    }

    /// Width of the output, of both directions together.
    pub fn output(&self) -> usize {
        self.config.hidden * if self.config.bidirectional { 2 } else { 1 }
    }

    /// Draws the masks of a pass over so many sequences.
    pub fn draw_dropout<'t>(&self, graph: Graph<'t>, sequences: usize) -> LayerDropout<'t> {
        let RecurrentConfig { hidden, dropout, .. } = self.config;
        if !graph.has_dropout() {
            return LayerDropout::default();
        }
        let between = (1..self.config.layers).map(|_| dropout.rows(graph, sequences, self.output())).collect();
        let one = |_: &Weights| mask(graph, [sequences, hidden], dropout.recurrent);
        let recurrent = self.weights.iter().map(|directions| directions.iter().map(one).collect()).collect();
        LayerDropout { between, recurrent }
    }

    /// Runs all layers over `input`, `[N, I]`: the last layer's hidden states of all tokens, `[N, directions · H]`, and each
    /// layer's last state. `initial` holds a state for each layer, or is empty for zeros.
    #[track_caller]
    pub fn forward<'t>(
        &self,
        input: impl Into<RecurrentInput<'t>>,
        initial: &[RecurrentState<'t>],
        layout: &Arc<PackedSequences>,
    ) -> (Var<'t>, Vec<RecurrentState<'t>>) {
        let input = input.into();
        let dropout = self.draw_dropout(input.x.graph(), layout.sequences());
        self.forward_with(input, initial, layout, &dropout)
    }

    /// The same with masks that were drawn before: those of a pass that runs step by step, over the first of its sequences.
    #[track_caller]
    pub fn forward_with<'t>(
        &self,
        mut input: RecurrentInput<'t>,
        initial: &[RecurrentState<'t>],
        layout: &Arc<PackedSequences>,
        dropout: &LayerDropout<'t>,
    ) -> (Var<'t>, Vec<RecurrentState<'t>>) {
        let mut last = Vec::with_capacity(self.weights.len());
        for (layer, directions) in self.weights.iter().enumerate() {
            // Before dropout: what is added is whole.
            let residual = (self.config.residual && layer > 0).then_some(input.x);
            if let Some(dropout) = layer.checked_sub(1).and_then(|before| dropout.between.get(before)) {
                input = dropout.apply(input.x, layout).into();
            }
            let initial = initial.get(layer);
            let runs: Vec<(Var<'t>, RecurrentState<'t>)> = directions
                .iter()
                .enumerate()
                .map(|(direction, weights)| {
                    let mask = dropout.recurrent.get(layer).and_then(|masks| *masks.get(direction)?);
                    let mask = mask.map(|mask| mask.slice(0, layout.sequences()));
                    self.direction(&input, weights, initial, (layout, mask), direction)
                })
                .collect();
            let output = match runs.as_slice() {
                [(output, state)] => {
                    last.push(*state);
                    *output
                }
                runs => {
                    let join = |of: &dyn Fn(&(Var<'t>, RecurrentState<'t>)) -> Option<Var<'t>>| {
                        let parts: Option<Vec<Var<'t>>> = runs.iter().map(of).collect();
                        parts.map(|parts| input.x.graph().concat_last(&parts))
                    };
                    let (Some(output), Some(hidden)) = (join(&|run| Some(run.0)), join(&|run| Some(run.1.hidden)))
                    else {
                        continue;
                    };
                    last.push(RecurrentState { hidden, cell: join(&|run| run.1.cell) });
                    output
                }
            };
            input = residual.map_or(output, |residual| output + residual).into();
        }
        (input.x, last)
    }

    fn direction<'t>(
        &self,
        input: &RecurrentInput<'t>,
        Weights { ids, norms }: &Weights,
        initial: Option<&RecurrentState<'t>>,
        (layout, mask): (&Arc<PackedSequences>, Option<Var<'t>>),
        direction: usize,
    ) -> (Var<'t>, RecurrentState<'t>) {
        let (graph, rows) = (input.x.graph(), input.rows.as_ref());
        let width = self.config.hidden;
        let part = |state: Var<'t>| match self.config.bidirectional {
            true => state.slice_last(direction * width, (direction + 1) * width),
            false => state,
        };
        let weights = ids.map(|id| graph.parameter(id));
        if let Some(norms) = norms {
            let x = rows.map_or(input.x, |rows| input.x.gather(rows));
            let initial = initial
                .map(|&RecurrentState { hidden, cell }| RecurrentState { hidden: part(hidden), cell: cell.map(part) });
            return norms.forward(x, &weights, initial, mask, layout, direction == 1);
        }
        let (tokens, sequences) = (layout.tokens(), layout.sequences());
        match self.config.cell {
            Cell::Lstm => {
                let initial = initial.and_then(|state| Some((part(state.hidden), part(state.cell?))));
                let y = input.x.lstm(rows, &weights, initial, mask, layout, direction == 1);
                let hidden = y.slice(tokens, tokens + sequences);
                let cell = Some(y.slice(tokens + sequences, tokens + 2 * sequences));
                (y.slice(0, tokens), RecurrentState { hidden, cell })
            }
            Cell::Gru => {
                let y =
                    input.x.gru(rows, &weights, initial.map(|state| part(state.hidden)), mask, layout, direction == 1);
                (y.slice(0, tokens), RecurrentState { hidden: y.slice(tokens, tokens + sequences), cell: None })
            }
        }
    }
}
