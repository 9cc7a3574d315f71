use super::unit::TextUnit;
use std::collections::HashMap;

/// A generated text beside its references.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Prediction {
    /// The line of the source's first pair in its file, from 1.
    pub line: u64,
    /// The source or prompt.
    pub source: String,
    /// What the model generated.
    pub text: String,
    /// Whether the model ended it with EOS, rather than the length limit.
    pub finished: bool,
    /// The references, any of which is right.
    pub references: Vec<String>,
}

impl Prediction {
    /// Whether it equals a reference.
    pub fn is_right(&self, unit: TextUnit) -> bool {
        self.references.iter().any(|reference| unit.is_same(&self.text, reference))
    }
}

/// An example to evaluate: its prediction, which is still without text, and the tokens that the model reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EvalExample {
    pub(crate) prediction: Prediction,
    pub(crate) ids: Vec<u32>,
}

/// The examples of some pairs. With `merge`, pairs with the same source are one example with several references.
pub(crate) fn examples(pairs: impl IntoIterator<Item = EvalExample>, merge: bool) -> Vec<EvalExample> {
    let mut examples: Vec<EvalExample> = Vec::new();
    let mut places: HashMap<(String, Vec<u32>), usize> = HashMap::new();
    for pair in pairs {
        let next = examples.len();
        // Attributes are among what is read.
        let key = || (pair.prediction.source.clone(), pair.ids.clone());
        let place = if merge { *places.entry(key()).or_insert(next) } else { next };
        match examples.get_mut(place) {
            Some(example) => example.prediction.references.extend(pair.prediction.references),
            None => examples.push(pair),
        }
    }
    examples
}
