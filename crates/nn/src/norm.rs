use crate::{Init, Scope};
use descant_autograd::{ParameterId, Var};
use serde::{Deserialize, Serialize};

/// The kind of normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NormKind {
    /// Mean 0 and variance 1 (Ba et al. 2016, arXiv 1607.06450).
    Layer,
    /// Mean square 1 (Zhang & Sennrich 2019, arXiv 1910.07467).
    Rms,
}

/// Normalisation of each row over the last axis, then a factor for each column, and of [`NormKind::Layer`] a bias.
#[derive(Clone, Debug)]
pub struct Norm {
    weight: ParameterId,
    bias: Option<ParameterId>,
    width: usize,
    epsilon: f64,
}

impl Norm {
    /// A weight of ones and a bias of zeros.
    pub fn new(scope: &mut Scope<'_>, kind: NormKind, width: usize, epsilon: f64) -> Self {
        let weight = scope.parameter("weight", [width], Init::Ones);
        let bias = (kind == NormKind::Layer).then(|| scope.parameter("bias", [width], Init::Zeros));
        Self { weight, bias, width, epsilon }
    }

    /// D.
    pub fn width(&self) -> usize {
        self.width
    }

    /// `x[.., D]` to the same.
    #[track_caller]
    pub fn forward<'t>(&self, x: Var<'t>) -> Var<'t> {
        let graph = x.graph();
        let weight = graph.parameter(self.weight);
        match self.bias {
            Some(bias) => x.layer_norm(weight, graph.parameter(bias), self.epsilon),
            None => x.rms_norm(weight, self.epsilon),
        }
    }
}
