//! Classifiers for attribute steering, as JSON files.

use crate::run_folder::layout::write;
use crate::{Error, Trained};
use descant_generate::{AttributeClassifier, Steering};
use std::fs;
use std::path::Path;
use std::sync::Arc;

impl Trained {
    /// Reads a classifier for this model, to steer its texts towards a label, for
    /// [`DecodingOptions::steering`](descant_generate::DecodingOptions::steering).
    ///
    /// # Errors
    /// Where the file cannot be read, is of another form or another model, or has no such label.
    pub fn load_steering(&self, path: &Path, label: &str) -> Result<Arc<Steering>, Error> {
        let text = fs::read_to_string(path).map_err(|error| Error::io("read", path, error))?;
        let wrong = |reason: String| Error::Run { path: path.to_owned(), reason };
        let classifier: AttributeClassifier = serde_json::from_str(&text)
            .map_err(|error| wrong(format!("it is no classifier of descant classifier: {error}")))?;
        let width = self.parameters.shape(self.model.output().token_rows().0).last();
        let AttributeClassifier { labels, weight, bias } = &classifier;
        if weight.len() != labels.len() || bias.len() != labels.len() || weight.iter().any(|row| row.len() != width) {
            let run = self.run().display();
            return Err(wrong(format!(
                "it is no classifier of the hidden states of {run}, which have {width} elements"
            )));
        }
        let place = labels
            .iter()
            .position(|known| known == label)
            .ok_or_else(|| wrong(format!("it has no label {label:?}; it has {}", labels.join(", "))))?;
        Ok(Arc::new(Steering { classifier, label: place }))
    }

    /// Writes a classifier of this model.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn save_classifier(&self, classifier: &AttributeClassifier, path: &Path) -> Result<(), Error> {
        let json = serde_json::to_vec(classifier).map_err(|error| Error::io("write", path, error.into()))?;
        write(path, &json)
    }
}
