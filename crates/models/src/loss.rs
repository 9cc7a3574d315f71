//! Training losses, as recipes have them.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The training loss: the `[loss]` table of a recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum LossConfig {
    /// Softmax over the vocabulary, and cross entropy.
    CrossEntropy {
        /// Label smoothing, from 0 to below 1.
        #[serde(default)]
        smoothing: f64,
        /// R-Drop weight: how much the divergence of two passes over each batch, with different dropout, counts (Liang et
        /// al. 2021, arXiv 2106.14448, where 5 is usual); of use with little text. 0 for one pass. LayerDrop skips the
        /// same layers in both.
        #[serde(default, rename = "consistency")]
        r_drop: f64,
        /// The weight of the z-loss, the squared logarithm of the sum of the exponentials of a target's logits, which keeps
        /// logits near zero (de Brébisson and Vincent 2016, arXiv 1604.08859; Chowdhery et al. 2022, arXiv 2204.02311, with 1e-4).
        #[serde(default)]
        z_loss: f64,
        /// The exponent γ of the focal loss, by which targets that are known hardly count (Lin et al. 2017, arXiv 1708.02002, where
        /// 2 is usual); 0 for plain cross entropy.
        #[serde(default)]
        focal: f64,
        /// The weight of token-level unlikelihood: what a target has said before is to be unlikely where it does not come again (Welleck et
        /// al. 2020, arXiv 1908.04319, where 1 is usual).
        #[serde(default)]
        unlikelihood: f64,
        /// Loss weights of tokens, where they are not 1.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        class_weights: BTreeMap<String, f64>,
        /// Tokens that are masked as targets.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        ignored: Vec<String>,
    },
    /// Direct preference optimization.
    Dpo(DpoConfig),
    /// Minimum risk.
    MinimumRisk(MinimumRiskConfig),
    /// Continuous outputs: the model predicts the target token's embedding (Kumar & Tsvetkov 2019).
    Embedding {
        /// The loss of a prediction and its target.
        measure: EmbeddingLoss,
    },
}

impl Default for LossConfig {
    fn default() -> Self {
        Self::CrossEntropy {
            smoothing: 0.0,
            r_drop: 0.0,
            z_loss: 0.0,
            focal: 0.0,
            unlikelihood: 0.0,
            class_weights: BTreeMap::new(),
            ignored: Vec::new(),
        }
    }
}

/// The loss of continuous outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EmbeddingLoss {
    /// `1 - cos`.
    Cosine,
    /// The squared distance.
    L2,
    /// The negative log likelihood of the von Mises-Fisher distribution.
    Vmf,
}

/// Direct preference optimization (Rafailov et al. 2023, arXiv 2305.18290): chosen answers are to become likelier than rejected ones,
/// measured from a reference model, which is the one that training starts from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DpoConfig {
    /// What the gain in log-likelihood is multiplied by to be a reward: the smaller, the farther the model may go from the reference.
    #[serde(default = "tenth")]
    pub beta: f64,
    /// The share of the preferences that are taken to be the wrong way round: conservative DPO.
    #[serde(default)]
    pub smoothing: f64,
    /// The weight of the negative log-likelihood of a token of the chosen answer, beside the preference (Pang et al. 2024, arXiv
    /// 2404.19733).
    #[serde(default)]
    pub likelihood: f64,
    /// CRC-32 of the reference's weights, which training writes into the resolved recipe: a resume needs the same ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<u32>,
}

impl LossConfig {
    /// What is measured at a validation beside the loss, each a mean that is better the larger it is.
    pub fn measures(&self) -> &'static [&'static str] {
        match self {
            Self::Dpo(_) => &DpoConfig::MEASURES,
            _ => &[],
        }
    }
}

/// Minimum risk training (Shen et al. 2016, arXiv 1512.02433): the expected value of a metric over what the model itself writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MinimumRiskConfig {
    /// The metric of single texts by its name.
    #[serde(default = "bleu")]
    pub metric: String,
    /// Candidates for each source, before those that come twice are left out.
    #[serde(default = "samples")]
    pub samples: usize,
    /// Where they come from.
    #[serde(default)]
    pub search: CandidateSearch,
    /// How sharp the distribution over candidates is: their probabilities are raised to this power.
    #[serde(default = "sharpness")]
    pub alpha: f64,
    /// Whether the reference is a candidate too.
    #[serde(default = "yes")]
    pub reference: bool,
    /// The weight of the negative log-likelihood of a token of the reference, beside the risk.
    #[serde(default)]
    pub likelihood: f64,
}

/// Where candidates come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CandidateSearch {
    /// Samples of the model.
    #[default]
    Sampling,
    /// The best of a beam search, as wide as there are candidates.
    Beam,
}

impl MinimumRiskConfig {
    /// The expected risk of a source; and how many different candidates it has.
    pub const MEASURES: [&str; 2] = ["risk", "candidates"];
}

impl DpoConfig {
    /// The share of the preferences whose chosen answer has the larger reward; how much larger it is; and the chosen answer's reward.
    pub const MEASURES: [&str; 3] = ["preference_accuracy", "reward_margin", "chosen_reward"];
}

fn bleu() -> String {
    "bleu".to_owned()
}

fn samples() -> usize {
    8
}

fn sharpness() -> f64 {
    5e-3
}

fn yes() -> bool {
    true
}

fn tenth() -> f64 {
    0.1
}
