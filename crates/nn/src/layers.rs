use crate::{Init, Scope};
use descant_autograd::{Activation, ParameterId, Var};
use std::sync::Arc;

/// `f(x Wᵀ + b)`.
#[derive(Clone, Debug)]
pub struct Linear {
    /// `[O, I]`.
    pub weight: ParameterId,
    /// `[O]`.
    pub bias: Option<ParameterId>,
}

impl Linear {
    /// Initialised as in PyTorch: uniform to `1/√I`.
    pub fn new(scope: &mut Scope<'_>, input: usize, output: usize, bias: bool) -> Self {
        let init = Init::Uniform(1.0 / (input.max(1) as f64).sqrt());
        Self {
            weight: scope.parameter("weight", [output, input], init),
            bias: bias.then(|| scope.parameter("bias", [output], init)),
        }
    }

    /// Initialised uniformly to `√(6 / (I + O))` (Glorot & Bengio 2010), with a bias of zeros.
    pub fn glorot(scope: &mut Scope<'_>, input: usize, output: usize, bias: bool) -> Self {
        let init = Init::Uniform((6.0 / (input + output).max(1) as f64).sqrt());
        Self {
            weight: scope.parameter("weight", [output, input], init),
            bias: bias.then(|| scope.parameter("bias", [output], Init::Zeros)),
        }
    }

    /// Weight tying: another layer's weight, such as an embedding's, and a bias of zeros.
    pub fn tied(scope: &mut Scope<'_>, weight: ParameterId, output: usize, bias: bool) -> Self {
        Self { weight, bias: bias.then(|| scope.parameter("bias", [output], Init::Zeros)) }
    }

    /// `x[.., I]` to `[.., O]`.
    #[track_caller]
    pub fn forward<'t>(&self, x: Var<'t>, activation: Activation) -> Var<'t> {
        let graph = x.graph();
        x.linear(graph.parameter(self.weight), self.bias.map(|bias| graph.parameter(bias)), activation)
    }
}

/// An embedding table: a row for each id.
#[derive(Clone, Debug)]
pub struct Embedding {
    /// `[V, D]`.
    pub weight: ParameterId,
}

impl Embedding {
    /// Initialised from a normal distribution of deviation `1/√D`: rows of about unit length, which also suit a tied output
    /// projection.
    pub fn new(scope: &mut Scope<'_>, entries: usize, width: usize) -> Self {
        let init = Init::Normal(1.0 / (width.max(1) as f64).sqrt());
        Self { weight: scope.parameter("weight", [entries, width], init) }
    }

    /// Rows `ids`, as `[N, D]`.
    #[track_caller]
    pub fn forward<'t>(&self, graph: descant_autograd::Graph<'t>, ids: &Arc<[u32]>) -> Var<'t> {
        graph.parameter(self.weight).gather(ids)
    }
}
