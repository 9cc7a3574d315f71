use descant_tensor::Brief;
use glob::Pattern;
use serde::{Deserialize, Serialize};

/// An optimizer and its constants, with PyTorch's names and defaults: the `[optimizer]` table of a recipe.
///
/// `no_decay` holds patterns of the names of parameters that `weight_decay` leaves alone, in which `*` stands for any
/// characters. By default these are biases and the weights of norms, `["*bias*", "*norm*"]`, as usual in training
/// Transformers; tables of embeddings decay. With `[]` everything decays, as PyTorch does unless told otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum OptimizerConfig {
    /// Gradient descent: plain (on a batch that is all of the data, full-batch gradient descent), with momentum, or with
    /// Nesterov's (Sutskever et al. 2013).
    Sgd {
        /// What is kept of the last step's direction; 0 for none.
        #[serde(default)]
        momentum: f64,
        /// The share of a gradient that the momentum leaves out.
        #[serde(default)]
        dampening: f64,
        /// Whether to look ahead along the momentum.
        #[serde(default)]
        nesterov: bool,
        /// Added to the gradient, times the weight.
        #[serde(default)]
        weight_decay: f64,
        /// What does not decay.
        #[serde(default = "biases_and_norms")]
        no_decay: Vec<String>,
    },
    /// Duchi et al. 2011.
    Adagrad {
        /// How the learning rate falls: `lr / (1 + steps lr_decay)`.
        #[serde(default)]
        lr_decay: f64,
        /// Added to the denominator.
        #[serde(default = "e10")]
        eps: f64,
        /// Added to the gradient, times the weight.
        #[serde(default)]
        weight_decay: f64,
        /// What does not decay.
        #[serde(default = "biases_and_norms")]
        no_decay: Vec<String>,
        /// What the sums of squares start from.
        #[serde(default)]
        initial_accumulator_value: f64,
    },
    /// Zeiler 2012, arXiv 1212.5701. Made for a learning rate of 1.
    Adadelta {
        /// What is kept of the means.
        #[serde(default = "b9")]
        rho: f64,
        /// Added under the roots.
        #[serde(default = "e6")]
        eps: f64,
        /// Added to the gradient, times the weight.
        #[serde(default)]
        weight_decay: f64,
        /// What does not decay.
        #[serde(default = "biases_and_norms")]
        no_decay: Vec<String>,
    },
    /// Hinton 2012, lecture 6e; centred as in Graves 2013, arXiv 1308.0850.
    Rmsprop {
        /// What is kept of the means.
        #[serde(default = "b99")]
        alpha: f64,
        /// Added to the denominator.
        #[serde(default = "e8")]
        eps: f64,
        /// What is kept of the last step's direction; 0 for none.
        #[serde(default)]
        momentum: f64,
        /// Whether to divide by the standard deviation rather than the root of the mean square.
        #[serde(default)]
        centered: bool,
        /// Added to the gradient, times the weight.
        #[serde(default)]
        weight_decay: f64,
        /// What does not decay.
        #[serde(default = "biases_and_norms")]
        no_decay: Vec<String>,
    },
    /// Kingma & Ba 2015, arXiv 1412.6980.
    Adam {
        /// What is kept of the means of gradient and square.
        #[serde(default = "betas")]
        betas: [f64; 2],
        /// Added to the denominator.
        #[serde(default = "e8")]
        eps: f64,
        /// Added to the gradient, times the weight.
        #[serde(default)]
        weight_decay: f64,
        /// What does not decay.
        #[serde(default = "biases_and_norms")]
        no_decay: Vec<String>,
    },
    /// Adam with weights that decay on their own (Loshchilov & Hutter 2019, arXiv 1711.05101).
    Adamw {
        /// What is kept of the means of gradient and square.
        #[serde(default = "betas")]
        betas: [f64; 2],
        /// Added to the denominator.
        #[serde(default = "e8")]
        eps: f64,
        /// What weights lose in a step, times the learning rate.
        #[serde(default = "e2")]
        weight_decay: f64,
        /// What does not decay.
        #[serde(default = "biases_and_norms")]
        no_decay: Vec<String>,
    },
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self::Adamw { betas: betas(), eps: e8(), weight_decay: e2(), no_decay: biases_and_norms() }
    }
}

impl OptimizerConfig {
    /// Patterns of what does not decay.
    pub fn no_decay(&self) -> &[String] {
        let (Self::Sgd { no_decay, .. }
        | Self::Adagrad { no_decay, .. }
        | Self::Adadelta { no_decay, .. }
        | Self::Rmsprop { no_decay, .. }
        | Self::Adam { no_decay, .. }
        | Self::Adamw { no_decay, .. }) = self;
        no_decay
    }

    /// The same without weight decay.
    pub(crate) fn without_decay(&self) -> Self {
        let mut config = self.clone();
        let (Self::Sgd { weight_decay, .. }
        | Self::Adagrad { weight_decay, .. }
        | Self::Adadelta { weight_decay, .. }
        | Self::Rmsprop { weight_decay, .. }
        | Self::Adam { weight_decay, .. }
        | Self::Adamw { weight_decay, .. }) = &mut config;
        *weight_decay = 0.0;
        config
    }

    /// That every number is in its range.
    ///
    /// # Errors
    /// The key, its value, and what it may be.
    pub fn validate(&self) -> Result<(), String> {
        let share = |key: &str, value: f64| match (0.0..1.0).contains(&value) {
            true => Ok(()),
            false => Err(format!("optimizer.{key} = {}: expected a number from 0 to below 1", Brief(value))),
        };
        let above = |key: &str, value: f64| match value > 0.0 && value.is_finite() {
            true => Ok(()),
            false => Err(format!("optimizer.{key} = {}: expected a number above 0", Brief(value))),
        };
        let positive = |key: &str, value: f64| match value >= 0.0 && value.is_finite() {
            true => Ok(()),
            false => Err(format!("optimizer.{key} = {}: expected a number from 0", Brief(value))),
        };
        for pattern in self.no_decay() {
            Pattern::new(pattern).map_err(|error| format!("optimizer.no_decay {pattern:?}: {error}"))?;
        }
        match *self {
            Self::Sgd { momentum, dampening, nesterov, weight_decay, .. } => {
                share("momentum", momentum)?;
                share("dampening", dampening)?;
                positive("weight_decay", weight_decay)?;
                match nesterov && (momentum == 0.0 || dampening != 0.0) {
                    true => Err("optimizer.nesterov = true: expected a momentum above 0, and no dampening".to_owned()),
                    false => Ok(()),
                }
            }
            Self::Adagrad { lr_decay, eps, weight_decay, initial_accumulator_value, .. } => {
                positive("lr_decay", lr_decay)?;
                above("eps", eps)?;
                positive("weight_decay", weight_decay)?;
                positive("initial_accumulator_value", initial_accumulator_value)
            }
            Self::Adadelta { rho, eps, weight_decay, .. } => {
                share("rho", rho)?;
                above("eps", eps)?;
                positive("weight_decay", weight_decay)
            }
            Self::Rmsprop { alpha, eps, momentum, weight_decay, .. } => {
                share("alpha", alpha)?;
                share("momentum", momentum)?;
                above("eps", eps)?;
                positive("weight_decay", weight_decay)
            }
            Self::Adam { betas, eps, weight_decay, .. } | Self::Adamw { betas, eps, weight_decay, .. } => {
                betas.into_iter().try_for_each(|beta| share("betas", beta))?;
                above("eps", eps)?;
                positive("weight_decay", weight_decay)
            }
        }
    }
}

fn biases_and_norms() -> Vec<String> {
    ["*bias*", "*norm*"].map(str::to_owned).to_vec()
}

fn b9() -> f64 {
    0.9
}

fn b99() -> f64 {
    0.99
}

fn betas() -> [f64; 2] {
    [0.9, 0.999]
}

fn e2() -> f64 {
    1e-2
}

fn e6() -> f64 {
    1e-6
}

fn e8() -> f64 {
    1e-8
}

fn e10() -> f64 {
    1e-10
}
