//! Recurrent models as PyTorch reads them: no family of `transformers`, but tensors under the names of its layers.

use crate::Error;
use crate::folder::{CONFIG, WEIGHTS};
use crate::whole::{pretty, whole, write, write_tensors};
use descant_models::{Kind, Tie};
use descant_train::Trained;
use serde_json::json;
use std::path::Path;

/// Writes a recurrent model's tensors under PyTorch's names, those that are tied under each of theirs, its sizes in
/// `config.json`, and its tokenizers.
///
/// # Errors
/// Where something is in the folder, or cannot be written.
pub fn export_recurrent(trained: &Trained, folder: &Path) -> Result<(), Error> {
    whole(folder, |folder| fill(trained, folder))
}

fn fill(trained: &Trained, folder: &Path) -> Result<(), Error> {
    let (parameters, config) = (&trained.parameters, &trained.recipe.model);
    let tied: &[(&str, &str)] = match (config.kind, config.tie) {
        (_, Tie::None) => &[],
        (Kind::LanguageModel, _) => &[("projection.weight", "embedding.weight")],
        (Kind::EncoderDecoder, Tie::Output) => &[("decoder.projection.weight", "decoder.embedding.weight")],
        (Kind::EncoderDecoder, Tie::All) => &[
            ("decoder.embedding.weight", "encoder.embedding.weight"),
            ("decoder.projection.weight", "encoder.embedding.weight"),
        ],
    };
    let own = parameters.ids().map(|id| (parameters.name(id), id));
    let others = tied.iter().filter(|(name, _)| parameters.find(name).is_none());
    let others = others.filter_map(|&(name, of)| Some((name, parameters.find(of)?)));
    let tensor = |(name, id): (&str, _)| {
        (name.to_owned(), parameters.shape(id).dims().to_vec(), parameters.values::<f32>(id).to_vec())
    };
    write_tensors(&folder.join(WEIGHTS), &own.chain(others).map(tensor).collect::<Vec<_>>())?;
    trained.tokenizers.save(folder)?;
    let mut sizes = json!(config);
    sizes["vocabulary"] = trained.tokenizers.target.vocabulary().into();
    if let Some(source) = &trained.tokenizers.source {
        sizes["source_vocabulary"] = source.vocabulary().into();
    }
    write(folder, CONFIG, pretty(&sizes))
}
