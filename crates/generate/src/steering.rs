//! What attribute steering goes by.

use serde::{Deserialize, Serialize};

/// A linear classifier of texts by a hidden state that the output layer reads: `softmax(W h + b)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttributeClassifier {
    /// What a text may be, in the order of the rows of `W`.
    pub labels: Vec<String>,
    /// `W`, a row for each label.
    pub weight: Vec<Vec<f64>>,
    /// `b`.
    pub bias: Vec<f64>,
}

/// Towards which label of a classifier texts are steered.
#[derive(Clone, Debug)]
pub struct Steering {
    /// The classifier.
    pub classifier: AttributeClassifier,
    /// The label, by its place.
    pub label: usize,
}
