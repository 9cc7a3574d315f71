use descant_inference::{Error, Request};
use descant_metrics::{ExactMatch, Metric};
use std::collections::HashMap;
use std::sync::Arc;

/// A generated text beside its references.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Prediction {
    /// The line of the source's first pair in its file, from 1.
    pub line: u64,
    /// The name of that file, where the text has several.
    pub file: Option<Arc<str>>,
    /// The source or prompt.
    pub source: String,
    /// What the model generated.
    pub text: String,
    /// Whether the model ended it with EOS, rather than the length limit.
    pub finished: bool,
    /// The references, any of which is right.
    pub references: Vec<String>,
    /// Why there is no text: then it counts as an empty one.
    pub error: Option<Arc<Error>>,
}

impl Prediction {
    /// Its line in words, with the file where the text has several.
    pub fn place(&self) -> String {
        let file = self.file.iter().map(|file| format!(" of {file}"));
        std::iter::once(format!("line {}", self.line)).chain(file).collect()
    }

    /// Whether it equals a reference, but for white space.
    pub fn is_right(&self) -> bool {
        let references: Vec<&str> = self.references.iter().map(String::as_str).collect();
        ExactMatch.score(&ExactMatch.statistics(&self.text, &references, &self.source)) > 0.0
    }
}

/// An example to evaluate: its prediction, which is still without text, and what it is generated for.
#[derive(Clone, Debug)]
pub(crate) struct EvalExample {
    pub(crate) prediction: Prediction,
    pub(crate) request: Request,
}

/// The examples of some pairs. With `merge`, pairs with the same source are one example with several references.
pub(crate) fn examples(pairs: impl IntoIterator<Item = EvalExample>, merge: bool) -> Vec<EvalExample> {
    let mut examples: Vec<EvalExample> = Vec::new();
    let mut places: HashMap<(String, Vec<u32>), usize> = HashMap::new();
    for pair in pairs {
        let next = examples.len();
        // Attributes are among what is read.
        let key = || (pair.prediction.source.clone(), pair.request.tokens().to_vec());
        let place = if merge { *places.entry(key()).or_insert(next) } else { next };
        match examples.get_mut(place) {
            Some(example) => example.prediction.references.extend(pair.prediction.references),
            None => examples.push(pair),
        }
    }
    examples
}
