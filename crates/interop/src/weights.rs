//! The weights of a folder: which tensor is which part of which parameter, and where it lies.

use crate::folder::{CONFIG, INDEX, PICKLED, PICKLED_INDEX, WEIGHTS, read_json_if};
use crate::redundant::Redundant;
use crate::tensor_names::TensorName;
use crate::tensors::{Tensor, TensorFile};
use crate::{Error, Family};
use descant_autograd::{ParameterId, Parameters};
use descant_inference::{Estimate, Recipe, Tokenizers, blank_model};
use descant_models::{ModelConfig, ModelKind, Tie};
use descant_tensor::DType;
use serde_json::Value;
use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

/// The weights of a model from elsewhere, in their files.
#[derive(Debug)]
pub(crate) struct Weights {
    /// The folder, or the file.
    place: PathBuf,
    files: Vec<TensorFile>,
    /// Whether norms are stored as they act, whatever their family's folders take from them.
    whole_norms: bool,
}

impl Weights {
    /// Those of a folder.
    ///
    /// # Errors
    /// Where there are none, or they are damaged.
    pub(crate) fn open(folder: &Path) -> Result<Self, Error> {
        let files: Vec<TensorFile> =
            files(folder)?.iter().map(|path| TensorFile::open(path)).collect::<Result<_, _>>()?;
        let mut places: HashMap<&str, &Path> = HashMap::new();
        for (file, tensor) in files.iter().flat_map(|file| file.tensors().iter().map(move |tensor| (file, tensor))) {
            if let Some(other) = places.insert(&tensor.name, file.path()) {
                return Err(Error::folder(
                    file.path(),
                    format!("it has '{}', as {} has", tensor.name, other.display()),
                ));
            }
        }
        Ok(Self { place: folder.to_owned(), files, whole_norms: false })
    }

    /// Those of a file.
    pub(crate) fn of_file(path: &Path, file: TensorFile) -> Self {
        Self { place: path.to_owned(), files: vec![file], whole_norms: false }
    }

    /// Those of a file of llama.cpp.
    pub(crate) fn of_gguf(path: &Path, file: TensorFile) -> Self {
        Self { whole_norms: true, ..Self::of_file(path, file) }
    }

    /// Parameters of zeros for what a recipe describes, where that is no more than these are.
    fn blank(&self, recipe: &Recipe, tokenizers: &Tokenizers) -> Result<Parameters, Error> {
        let described = if self.place.is_dir() { self.place.join(CONFIG) } else { self.place.clone() };
        let wrong = |reason: String| Error::folder(&described, reason);
        let vocabulary = tokenizers.vocabulary(&recipe.loss).map_err(wrong)?;
        let numbers = Estimate::of(recipe, &vocabulary, DType::F32, 0.0).map_err(wrong)?.parameters;
        let tensors = self.files.iter().flat_map(TensorFile::tensors);
        let found = tensors.filter_map(Tensor::len).fold(0, usize::saturating_add);
        // A bias of the logits may be left out, and a table of positions may follow from a formula.
        let positions = 2 * recipe.model.max_length().unwrap_or(0) * recipe.model.hidden;
        if numbers > found.saturating_add(vocabulary.target + positions) as f64 {
            return Err(wrong(format!(
                "the weights are {found} numbers, and it describes a model of {numbers}: is one of them of another model?"
            )));
        }
        Ok(blank_model(recipe, tokenizers).map_err(wrong)?.0)
    }

    /// The parameters of a recurrent model, or any other, whose tensors have the parameters' own names, and tied ones also
    /// those that they are tied to.
    ///
    /// # Errors
    /// A tensor that is missing, of another shape, or of no use.
    pub(crate) fn of_pytorch(&mut self, recipe: &Recipe, tokenizers: &Tokenizers) -> Result<Parameters, Error> {
        let mut parameters = self.blank(recipe, tokenizers)?;
        let tied = tied_names(&recipe.model);
        let mut missing: Vec<ParameterId> = parameters.ids().collect();
        // Values that tied tensors have under their other names.
        let mut others: Vec<(PathBuf, String, ParameterId, Vec<f32>)> = Vec::new();
        for file in &mut self.files {
            let path = file.path().to_owned();
            let wrong = |reason: String| Error::folder(&path, reason);
            for tensor in file.tensors().to_vec() {
                let name = &tensor.name;
                let own = parameters.find(name);
                let other = || tied.iter().find(|(other, _)| other == name).and_then(|(_, of)| parameters.find(of));
                let Some(id) = own.or_else(other) else {
                    let known = parameters.ids().map(|id| parameters.name(id));
                    let nearest = nearest(name, known).map_or(String::new(), |known| format!(" Is it '{known}'?"));
                    return Err(wrong(format!("'{name}' has no place in the model that {CONFIG} describes.{nearest}")));
                };
                if parameters.shape(id).dims() != tensor.shape {
                    let expected = parameters.shape(id);
                    return Err(wrong(format!("'{name}' is {:?}, expected {:?}", tensor.shape, expected.dims())));
                }
                let mut values = vec![0.0; parameters.shape(id).len()];
                file.read(&tensor, &mut values)?;
                finite(name, &values).map_err(wrong)?;
                match own {
                    Some(_) => {
                        parameters.values_mut::<f32>(id).copy_from_slice(&values);
                        missing.retain(|other| *other != id);
                    }
                    None => others.push((path.clone(), name.clone(), id, values)),
                }
            }
        }
        if let Some(&id) = missing.first() {
            let all: Vec<&str> = missing.iter().map(|&id| parameters.name(id)).collect();
            let shape = parameters.shape(id).dims().to_vec();
            return Err(Error::folder(&self.place, format!("its weights lack {} ({shape:?})", all.join(", "))));
        }
        match others.iter().find(|(.., id, values)| values != parameters.values::<f32>(*id)) {
            Some((path, name, id, _)) => {
                let reason = format!("'{name}' is not '{}', but {CONFIG} ties the two (tie)", parameters.name(*id));
                Err(Error::folder(path, reason))
            }
            None => Ok(parameters),
        }
    }
}

impl Weights {
    /// The parameters of a model whose tensors are these parts of them, each stored as it is; `given` are values of
    /// parameters without a tensor.
    ///
    /// # Errors
    /// A tensor that is missing, of another shape, or of no use.
    pub(crate) fn of_names(
        &mut self,
        pieces: Vec<TensorName>,
        given: Vec<(&str, Vec<f32>)>,
        recipe: &Recipe,
        tokenizers: &Tokenizers,
    ) -> Result<Parameters, Error> {
        let mut parameters = self.blank(recipe, tokenizers)?;
        for (name, values) in given {
            let id = parameters.find(name).filter(|&id| parameters.shape(id).len() == values.len());
            if let Some(id) = id {
                parameters.values_mut::<f32>(id).copy_from_slice(&values);
            }
        }
        let mut wanted: HashMap<String, TensorName> =
            pieces.into_iter().map(|piece| (piece.theirs.clone(), piece)).collect();
        for file in &mut self.files {
            let path = file.path().to_owned();
            let wrong = |reason: String| Error::folder(&path, reason);
            for tensor in file.tensors().to_vec() {
                let name = &tensor.name;
                let piece = wanted.remove(name).and_then(|piece| Some((parameters.find(&piece.ours)?, piece)));
                let (id, piece) = piece.ok_or_else(|| wrong(format!("'{name}' has no place in the model")))?;
                let part = part(&parameters, id, &piece);
                let expected =
                    if parameters.shape(id).rank() == 1 { vec![part.rows] } else { vec![part.rows, part.columns] };
                if tensor.shape != expected {
                    return Err(wrong(format!("'{name}' is {:?}, expected {expected:?}", tensor.shape)));
                }
                let to = &mut parameters.values_mut::<f32>(id)[part.start..][..part.rows * part.columns];
                file.read(&tensor, to)?;
                finite(name, to).map_err(wrong)?;
            }
        }
        match wanted.into_keys().min() {
            Some(missing) => Err(Error::folder(&self.place, format!("it lacks '{missing}'"))),
            None => Ok(parameters),
        }
    }
}

/// That all numbers are some.
fn finite(name: &str, values: &[f32]) -> Result<(), String> {
    match values.iter().find(|value| !value.is_finite()) {
        Some(value) => Err(format!("'{name}' holds {value}: the model was damaged before it was saved")),
        None => Ok(()),
    }
}

/// Names under which a model's tied tables are written again, and whose they are.
pub(crate) fn tied_names(config: &ModelConfig) -> &'static [(&'static str, &'static str)] {
    match (config.kind, config.tie) {
        (_, Tie::None) => &[],
        (ModelKind::LanguageModel, _) => &[("projection.weight", "embedding.weight")],
        (ModelKind::EncoderDecoder, Tie::Output) => &[("decoder.projection.weight", "decoder.embedding.weight")],
        (ModelKind::EncoderDecoder, Tie::Embeddings | Tie::All) => &[
            ("decoder.embedding.weight", "encoder.embedding.weight"),
            ("decoder.projection.weight", "encoder.embedding.weight"),
        ],
    }
}

/// The known name that has the same last part, or begins alike.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .filter(|(near, _)| *near > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

/// The files of weights: one, or those that an index lists; safetensors, or else PyTorch's.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    for (index, one) in [(INDEX, WEIGHTS), (PICKLED_INDEX, PICKLED)] {
        let (index, one) = (folder.join(index), folder.join(one));
        if let Some(json) = read_json_if(&index)? {
            return listed(folder, &index, &json);
        }
        if one.is_file() || one.is_symlink() {
            return Ok(vec![one]);
        }
    }
    let known = "It needs model.safetensors or pytorch_model.bin, or an index of several of them";
    Err(Error::folder(folder, format!("it has no weights. {known}")))
}

/// The files that an index lists.
fn listed(folder: &Path, index: &Path, json: &Value) -> Result<Vec<PathBuf>, Error> {
    let map = json.get("weight_map").and_then(Value::as_object);
    let map = map.ok_or_else(|| Error::folder(index, "it has no weight_map"))?;
    let names = map.values().map(|name| name.as_str().filter(|name| is_file_name(name)).ok_or(name));
    let mut names: Vec<&str> = names
        .collect::<Result<_, _>>()
        .map_err(|name| Error::folder(index, format!("weight_map: {name}: expected a file beside it")))?;
    names.sort_unstable();
    names.dedup();
    match names.is_empty() {
        true => Err(Error::folder(index, "its weight_map is empty")),
        false => Ok(names.into_iter().map(|name| folder.join(name)).collect()),
    }
}

fn is_file_name(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!(parts.next(), Some(Component::Normal(_))) && parts.next().is_none()
}

/// The tensor of an output projection of its own.
const HEAD: &str = "lm_head.weight";

impl Weights {
    /// The parameters of a model of a family. Where the tensors say another thing of the output projection than
    /// `config.json`, they decide, which is noted.
    ///
    /// # Errors
    /// A tensor that is missing, of another shape, or of no use.
    pub(crate) fn of_family(
        &mut self,
        family: Family,
        recipe: &mut Recipe,
        tokenizers: &Tokenizers,
        notes: &mut Vec<String>,
    ) -> Result<Parameters, Error> {
        let has_head = self.files.iter().flat_map(TensorFile::tensors).any(|tensor| tensor.name == HEAD);
        if !recipe.model.tie.joins_output() && !has_head {
            if !matches!(family, Family::T5 | Family::Mt5) {
                return Err(Error::folder(&self.place, format!("its weights lack {HEAD}")));
            }
            // As transformers 5 does with them.
            recipe.model.tie = Tie::All;
            notes.push(format!("the weights have no {HEAD}, though {CONFIG} does not tie it: the embedding is used"));
        }
        let mut parameters = self.blank(recipe, tokenizers)?;
        if self.fill(family, recipe, &mut parameters)? {
            return Ok(parameters);
        }
        recipe.model.tie = if recipe.model.tie == Tie::All { Tie::Embeddings } else { Tie::None };
        notes.push(format!(
            "{HEAD} is not the embedding, though {CONFIG} ties the two (tie_word_embeddings): both are kept"
        ));
        let mut parameters = self.blank(recipe, tokenizers)?;
        self.fill(family, recipe, &mut parameters)?;
        Ok(parameters)
    }

    /// Fills the parameters. False where the output projection is another than the embedding that it is to be tied to.
    fn fill(&mut self, family: Family, recipe: &Recipe, parameters: &mut Parameters) -> Result<bool, Error> {
        let config = &recipe.model;
        let mut wanted: HashMap<String, TensorName> =
            family.tensor_names(config).into_iter().map(|piece| (piece.theirs.clone(), piece)).collect();
        let mut filled: HashMap<ParameterId, usize> = HashMap::new();
        let table = if config.tie.joins_sides() { "encoder.embedding.weight" } else { "decoder.embedding.weight" };
        let no_other = |name: &str, spare: Redundant| format!("'{name}' is not {}", spare.meaning());
        let mut tied: Vec<(PathBuf, String, Redundant, Vec<f32>)> = Vec::new();
        for file in &mut self.files {
            let path = file.path().to_owned();
            let wrong = |reason: String| Error::folder(&path, reason);
            for tensor in file.tensors().to_vec() {
                let name = tensor.name.clone();
                // A model saved without its head has no prefix.
                let known = [name.clone(), format!("transformer.{name}"), format!("model.{name}")]
                    .into_iter()
                    .find_map(|name| wanted.remove(&name));
                let Some(piece) = known else {
                    let Some(spare) = Redundant::of(family, &name) else {
                        let reason = format!(
                            "'{name}' has no place in the model that its configuration describes: is it of another one?"
                        );
                        return Err(wrong(reason));
                    };
                    let entries = parameters.find(table).map_or(0, |id| parameters.shape(id)[0]);
                    if !spare.fits(&tensor.shape, config, entries) {
                        return Err(wrong(no_other(&name, spare)));
                    }
                    if matches!(spare, Redundant::Mask | Redundant::Nothing) {
                        continue;
                    }
                    let values = file.values(&tensor)?;
                    if !spare.is_implied(&values, tensor.shape.last().copied().unwrap_or(1), config) {
                        return Err(wrong(no_other(&name, spare)));
                    }
                    if matches!(spare, Redundant::Head | Redundant::Table) {
                        tied.push((path.clone(), name, spare, values));
                    }
                    continue;
                };
                let id = parameters
                    .find(&piece.ours)
                    .ok_or_else(|| wrong(format!("'{name}' belongs to '{}', which the model has not", piece.ours)))?;
                let part = part(parameters, id, &piece);
                let stored = part.rows + piece.skipped;
                let expected = if piece.transposed { [part.columns, stored] } else { [stored, part.columns] };
                let shape: Vec<usize> = tensor.shape.iter().copied().filter(|&length| length != 1).collect();
                let own: Vec<usize> = expected.into_iter().filter(|&length| length != 1).collect();
                if shape != own {
                    return Err(wrong(format!("'{name}' is {:?}, expected {own:?}", tensor.shape)));
                }
                let to = &mut parameters.values_mut::<f32>(id)[part.start..][..part.rows * part.columns];
                if piece.transposed || piece.skipped > 0 {
                    let mut values = vec![0.0; stored * part.columns];
                    file.read(&tensor, &mut values)?;
                    for (i, to) in to.iter_mut().enumerate() {
                        let (row, column) = (i / part.columns.max(1), i % part.columns.max(1));
                        *to = match piece.transposed {
                            true => values[column * part.rows + row],
                            false => values[(piece.skipped + row) * part.columns + column],
                        };
                    }
                } else {
                    file.read(&tensor, to)?;
                }
                finite(&name, to).map_err(wrong)?;
                if piece.offset != 0.0 && !self.whole_norms {
                    to.iter_mut().for_each(|value| *value += piece.offset);
                }
                *filled.entry(id).or_default() += to.len();
            }
        }
        if let Some(id) = parameters.find(table) {
            // A table may be saved under any of its names.
            if let Some((.., values)) = tied.first().filter(|_| !filled.contains_key(&id)) {
                parameters.values_mut::<f32>(id).copy_from_slice(values);
                filled.insert(id, values.len());
            }
            let other = |(.., values): &&(PathBuf, String, Redundant, Vec<f32>)| values != parameters.values::<f32>(id);
            match tied.iter().find(other) {
                Some((_, _, Redundant::Head, _)) => return Ok(false),
                Some((path, name, spare, _)) => return Err(Error::folder(path, no_other(name, *spare))),
                None => {}
            }
        }
        let lacks = |id: &ParameterId| {
            // Marian's bias of the logits may be left out where it is zero.
            let may = parameters.name(*id) == "decoder.projection.bias";
            !may && filled.get(id).copied().unwrap_or(0) < parameters.shape(*id).len()
        };
        match parameters.ids().find(lacks) {
            Some(id) => {
                let missing: Vec<&str> =
                    wanted.values().filter(|p| p.ours == parameters.name(id)).map(|p| p.theirs.as_str()).collect();
                Err(Error::folder(&self.place, format!("its weights lack {}", missing.join(", "))))
            }
            None => Ok(true),
        }
    }
}

/// Where a piece lies in its parameter.
pub(crate) struct Part {
    pub(crate) start: usize,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

pub(crate) fn part(parameters: &Parameters, id: ParameterId, piece: &TensorName) -> Part {
    let shape = parameters.shape(id);
    let (all, columns) = match shape.dims() {
        [rows, columns] => (*rows, *columns),
        _ => (shape.len(), 1),
    };
    let rows = piece.rows.clone().unwrap_or(0..all);
    Part { start: rows.start * columns, rows: rows.len(), columns }
}
