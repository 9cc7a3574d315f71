//! Classifiers for attribute steering, as JSON files.

use crate::run_folder::layout::write;
use crate::{Error, Trained, weights_of};
use descant_generate::{AttributeClassifier, Steering};
use descant_text::read_text;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

/// A classifier with the weights that it was learnt from: the hidden states of others mean something else.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClassifierFile<'a> {
    weights: Weights,
    classifier: Cow<'a, AttributeClassifier>,
}

/// Those of a checkpoint: its step, the CRC-32 of its file, and the precision where they were rounded.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Weights {
    step: u64,
    checksum: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rounded: Option<String>,
}

impl Weights {
    fn of(trained: &Trained) -> Self {
        let rounded = weights_of(&trained.parameters).map(|weights| weights.name().to_owned());
        Self { step: trained.step, checksum: trained.checksum, rounded }
    }
}

impl Trained {
    /// Reads a classifier for this model, to steer its texts towards a label, for
    /// [`DecodingOptions::steering`](descant_generate::DecodingOptions::steering).
    ///
    /// # Errors
    /// Where the file cannot be read, is of another form, was learnt from other weights, or has no such label.
    pub fn load_steering(&self, path: &Path, label: &str) -> Result<Arc<Steering>, Error> {
        let text = read_text(path).map_err(|error| Error::io("read", path, error))?;
        let wrong = |reason: String| Error::Run { path: path.to_owned(), reason };
        let ClassifierFile { weights, classifier } = serde_json::from_str(&text)
            .map_err(|error| wrong(format!("it is no classifier of descant classifier: {error}")))?;
        let (classifier, own) = (classifier.into_owned(), Weights::of(self));
        if weights != own {
            let rounded = |weights: &Weights| match &weights.rounded {
                Some(rounded) => format!(", rounded to {rounded}"),
                None => String::new(),
            };
            return Err(wrong(format!(
                "it was learnt from other weights, of step {}{}, and {} has those of step {}{}. Learn it again for these, by \
                 descant classifier; weights that are rounded while loading have none, and a run of descant quantize may",
                weights.step,
                rounded(&weights),
                self.run().display(),
                own.step,
                rounded(&own)
            )));
        }
        let width = self.parameters.shape(self.model.output().token_rows().0).last();
        let AttributeClassifier { labels, weight, bias } = &classifier;
        if weight.len() != labels.len() || bias.len() != labels.len() || weight.iter().any(|row| row.len() != width) {
            let run = self.run().display();
            return Err(wrong(format!(
                "it is no classifier of the hidden states of {run}, which have {width} elements"
            )));
        }
        if labels.is_empty() {
            return Err(wrong("it has no labels. Learn it again, by descant classifier".to_owned()));
        }
        let place = labels
            .iter()
            .position(|known| known == label)
            .ok_or_else(|| wrong(format!("it has no label {label:?}; it has {}", labels.join(", "))))?;
        Ok(Arc::new(Steering { classifier, label: place }))
    }

    /// Writes a classifier of this model, with the checkpoint that it belongs to.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn save_classifier(&self, classifier: &AttributeClassifier, path: &Path) -> Result<(), Error> {
        let file = ClassifierFile { weights: Weights::of(self), classifier: Cow::Borrowed(classifier) };
        let json = serde_json::to_vec(&file).map_err(|error| Error::io("write", path, error.into()))?;
        write(path, &json)
    }
}
