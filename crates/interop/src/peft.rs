//! Low-rank adapters (LoRA; Hu et al. 2022, arXiv 2106.09685) in the layout of PEFT: `adapter_config.json`, and
//! `adapter_model.safetensors` with two factors for each adapted layer of a model of `transformers`.

use crate::folder::{ADAPTER_CONFIG, CHAT_TEMPLATE, CONFIG, TOKENIZER, TOKENIZER_CONFIG, read_if, read_json};
use crate::foreign::Foreign;
use crate::tensor_names::TensorName;
use crate::tensors::{Tensor, TensorFile};
use crate::weights::{Part, part};
use crate::write_folder::{Named, pretty, whole, write, write_tensors};
use crate::{Error, Family};
use descant_autograd::{LoraAdapter, Parameters};
use descant_inference::Trained;
use descant_kernels::{Mat, MatMut, Parallelism, gemm};
use descant_models::ModelConfig;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

pub(crate) const WEIGHTS: &str = "adapter_model.safetensors";
pub(crate) const PICKLED: &str = "adapter_model.bin";
/// What trainers put beside an adapter, and is not read.
pub(crate) const BESIDE: [&str; 3] = [TOKENIZER, TOKENIZER_CONFIG, CHAT_TEMPLATE];
/// How far apart numbers are that were kept in 16 bits, of those about 1.
const COARSE: f32 = 8e-3;
/// What stands before the names of a model's own layers.
const PREFIX: &str = "base_model.model.";

/// Keys that are read, or that change nothing of what an adapter computes: which layers it is of say its tensors.
const KNOWN: [&str; 22] = [
    "alpha_pattern",
    "auto_mapping",
    "base_model_name_or_path",
    "eva_config",
    "exclude_modules",
    "fan_in_fan_out",
    "inference_mode",
    "layers_pattern",
    "layers_to_transform",
    "lora_alpha",
    "lora_dropout",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "r",
    "rank_pattern",
    "revision",
    "runtime_config",
    "target_modules",
    "task_type",
    "use_rslora",
    "ensure_weight_tying",
];
/// Keys that are not as everywhere else where they have another value than these.
const NEUTRAL: [(&str, &[&str]); 3] =
    [("peft_type", &["LORA"]), ("bias", &["none"]), ("init_lora_weights", &["gaussian", "orthogonal", "eva"])];

/// Makes a run of a model with an adapter of PEFT added to its weights. Returns notes for the user.
///
/// # Errors
/// As [`Foreign::open`] and [`Foreign::save`] of the model; where the adapter is another than LoRA, or of another model.
pub fn import_adapted(adapter: &Path, base: &Path, run: &Path) -> Result<Vec<String>, Error> {
    let folder = adapter;
    let mut adapter = Adapter::open(folder)?;
    let mut notes = Foreign::open(base)?.save_with(run, |family, model, parameters| match family {
        Some(family) => adapter.add_to(family, model, parameters),
        None => Err(Error::folder(base, "an adapter of PEFT is of a model of transformers, and this is another")),
    })?;
    let mut own = Vec::new();
    for name in BESIDE {
        let theirs = read_if(&folder.join(name))?;
        if theirs.is_some() && (!base.is_dir() || theirs != read_if(&base.join(name))?) {
            own.push(name);
        }
    }
    notes.extend((!own.is_empty()).then(|| {
        format!("the adapter's folder has {} of its own, which is not read: the model's is kept", own.join(", "))
    }));
    Ok(notes)
}

/// Where the model lies that an adapter says it is of, if that is a folder.
///
/// # Errors
/// Where it says none that is there.
pub fn base_of(adapter: &Path) -> Result<PathBuf, Error> {
    let config = read_json(&adapter.join(ADAPTER_CONFIG))?;
    let named = config["base_model_name_or_path"].as_str().filter(|name| !name.is_empty());
    match named.map(PathBuf::from).filter(|base| base.join(CONFIG).is_file()) {
        Some(base) => Ok(base),
        None => {
            let of = named.map_or_else(String::new, |name| format!(", {name},"));
            let reason = format!(
                "it is an adapter of PEFT, which changes another model{of}: name that model's folder, or hf:OWNER/NAME, by --base"
            );
            Err(Error::folder(adapter, reason))
        }
    }
}

/// An adapter whose weights still lie in their file.
struct Adapter {
    config: PathBuf,
    file: TensorFile,
    rank: usize,
    alpha: f64,
    by_root: bool,
    /// Of layers by the ends of their names.
    alphas: Vec<(String, f64)>,
    ranks: Vec<(String, f64)>,
    places: Places,
}

/// Which layers an adapter says it is of; where it does not, all.
struct Places {
    targets: Option<Vec<String>>,
    excluded: Vec<String>,
    numbers: Option<Vec<u64>>,
}

/// Whether a layer has this name, or one that ends so.
fn ends_with(layer: &str, name: &str) -> bool {
    layer.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

impl Places {
    fn read(config: &Map<String, Value>) -> Result<Self, String> {
        let wrong = |key: &str, expected: &str| format!("{key} = {}: expected {expected}", config[key]);
        let texts = |key: &str| match config.get(key) {
            None | Some(Value::Null) => Ok(None),
            // An expression, which says no more than the tensors do.
            Some(Value::String(_)) => Ok(None),
            Some(Value::Array(names)) => {
                let names: Option<Vec<String>> = names.iter().map(|name| name.as_str().map(str::to_owned)).collect();
                names.map(Some).ok_or_else(|| wrong(key, "names of layers"))
            }
            Some(_) => Err(wrong(key, "names of layers")),
        };
        let numbers = match config.get("layers_to_transform") {
            None | Some(Value::Null) => None,
            Some(Value::Array(numbers)) => Some(numbers.iter().map(Value::as_u64).collect::<Option<Vec<u64>>>()),
            Some(number) => Some(number.as_u64().map(|number| vec![number])),
        };
        let numbers = numbers
            .map(|numbers| numbers.ok_or_else(|| wrong("layers_to_transform", "numbers of layers")))
            .transpose()?;
        let excluded = texts("exclude_modules")?.unwrap_or_default();
        Ok(Self { targets: texts("target_modules")?, excluded, numbers })
    }

    /// The key that says that an adapter is not of a layer.
    fn forbids(&self, layer: &str) -> Option<&'static str> {
        let number = layer.split('.').find_map(|part| part.parse::<u64>().ok());
        let is_any = |names: &[String]| names.iter().any(|name| ends_with(layer, name));
        if self.targets.as_ref().is_some_and(|targets| !is_any(targets)) {
            return Some("target_modules");
        }
        if is_any(&self.excluded) {
            return Some("exclude_modules");
        }
        let listed = |numbers: &Vec<u64>| number.is_some_and(|number| numbers.contains(&number));
        self.numbers.as_ref().is_some_and(|numbers| !listed(numbers)).then_some("layers_to_transform")
    }
}

/// What of an adapter is a layer's.
#[derive(Default)]
struct Factors {
    /// The weight itself, which PEFT keeps of tables beside the factors.
    own: Option<Tensor>,
    a: Option<Tensor>,
    b: Option<Tensor>,
    /// Whether it adapts an embedding table, whose factors are stored transposed.
    table: bool,
}

impl Adapter {
    fn open(folder: &Path) -> Result<Self, Error> {
        let place = folder.join(ADAPTER_CONFIG);
        let config = read_json(&place)?;
        let wrong = |reason: String| Error::folder(&place, reason);
        let all = config.as_object().cloned().unwrap_or_default();
        check(&all).map_err(wrong)?;
        let number = |value: &Value| value.as_f64().filter(|x| x.is_finite());
        let get = |key: &str| {
            let value = all.get(key).and_then(number);
            value.ok_or_else(|| wrong(format!("{key} = {}: expected a number", all.get(key).unwrap_or(&Value::Null))))
        };
        let patterns = |key: &str| -> Result<Vec<(String, f64)>, Error> {
            let own = match all.get(key) {
                None | Some(Value::Null) => return Ok(Vec::new()),
                Some(Value::Object(own)) => own,
                Some(other) => return Err(wrong(format!("{key} = {other}: expected a table"))),
            };
            let is_name = |layer: &str| layer.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '.');
            let read = |(layer, value): (&String, &Value)| match number(value).filter(|_| is_name(layer)) {
                Some(value) => Ok((layer.clone(), value)),
                None => Err(wrong(format!(
                    "{key}: {layer:?} = {value}: only ends of layers' names with numbers are read, and no other patterns"
                ))),
            };
            own.iter().map(read).collect()
        };
        let by_root = match all.get("use_rslora") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(by_root)) => *by_root,
            Some(other) => return Err(wrong(format!("use_rslora = {other}: expected true or false"))),
        };
        let weights = [WEIGHTS, PICKLED].map(|name| folder.join(name)).into_iter().find(|path| path.exists());
        let weights = weights.ok_or_else(|| Error::folder(folder, format!("it has no {WEIGHTS}")))?;
        let (rank, alpha) = (get("r")?, get("lora_alpha")?);
        if rank < 1.0 || rank.fract() != 0.0 {
            return Err(wrong(format!("r = {rank}: expected a whole number from 1")));
        }
        Ok(Self {
            file: TensorFile::open(&weights)?,
            rank: rank as usize,
            alpha,
            by_root,
            alphas: patterns("alpha_pattern")?,
            ranks: patterns("rank_pattern")?,
            places: Places::read(&all).map_err(wrong)?,
            config: place,
        })
    }

    /// What the product of a layer's factors is multiplied by.
    fn scale(&self, layer: &str, rank: usize) -> f64 {
        let alpha = self.alphas.iter().find(|(name, _)| ends_with(layer, name)).map_or(self.alpha, |(_, alpha)| *alpha);
        let rank = rank as f64;
        alpha / if self.by_root { rank.sqrt() } else { rank }
    }

    /// The factors by the names of their layers.
    fn layers(&self) -> Result<BTreeMap<String, Factors>, Error> {
        let mut layers: BTreeMap<String, Factors> = BTreeMap::new();
        for tensor in self.file.tensors() {
            let name = tensor.name.strip_prefix(PREFIX).unwrap_or(&tensor.name);
            // Kept under the adapter's own name by older versions.
            let name = name.strip_suffix(".weight").unwrap_or(name);
            let name = name.strip_suffix(".default").unwrap_or(name);
            let known = [("lora_A", false, false), ("lora_B", true, false)];
            let tables = [("lora_embedding_A", false, true), ("lora_embedding_B", true, true)];
            let found = known
                .into_iter()
                .chain(tables)
                .find_map(|(end, second, table)| Some((name.strip_suffix(end)?.strip_suffix('.')?, second, table)));
            let twice = || Err(Error::folder(self.file.path(), format!("'{}' is there twice", tensor.name)));
            if let Some(layer) = name.strip_suffix(".base_layer") {
                if layers.entry(layer.to_owned()).or_default().own.replace(tensor.clone()).is_some() {
                    return twice();
                }
                continue;
            }
            let Some((layer, second, table)) = found else {
                let reason = format!(
                    "'{}' is no factor of an adapter: what else was trained (modules_to_save, biases, DoRA) is not read",
                    tensor.name
                );
                return Err(Error::folder(self.file.path(), reason));
            };
            let factors = layers.entry(layer.to_owned()).or_default();
            factors.table = table;
            let factor = if second { &mut factors.b } else { &mut factors.a };
            if factor.replace(tensor.clone()).is_some() {
                return twice();
            }
        }
        if layers.is_empty() {
            let reason = "it holds no factors: the adapter was saved without its weights. Save it again";
            return Err(Error::folder(self.file.path(), reason));
        }
        Ok(layers)
    }

    /// Adds each product to the weight that it is of: `W + s B A`.
    fn add_to(&mut self, family: Family, model: &ModelConfig, parameters: &mut Parameters) -> Result<(), Error> {
        let pieces: HashMap<String, TensorName> = layers_of(family, model).collect();
        let path = self.file.path().to_owned();
        let mut added = BTreeSet::new();
        let layers = self.layers()?;
        for name in self.places.targets.iter().flatten() {
            if !layers.keys().any(|layer| ends_with(layer, name)) {
                let reason = format!("target_modules: it names {name}, of which there are no factors");
                return Err(Error::folder(&self.config, reason));
            }
        }
        for (layer, Factors { own, a, b, table }) in layers {
            let wrong = |reason: String| Error::folder(&path, format!("{layer}: {reason}"));
            let (Some(a), Some(b)) = (a, b) else {
                return Err(wrong("it lacks one or both of its factors, lora_A and lora_B".to_owned()));
            };
            let names = [layer.clone(), format!("transformer.{layer}"), format!("model.{layer}")];
            let piece = names.iter().find_map(|name| pieces.get(name));
            let id =
                piece.and_then(|piece| parameters.find(&piece.ours)).filter(|&id| parameters.shape(id).rank() == 2);
            let (Some(piece), Some(id)) = (piece, id) else {
                return Err(wrong(format!("there is no such layer in the model, which is of {family}")));
            };
            if is_table(piece) != table || table && model.tie.joins_output() || piece.skipped > 0 {
                return Err(wrong(
                    "an adapter of this table is not read: it is tied, or has rows of its own".to_owned(),
                ));
            }
            if !added.insert(&piece.theirs) {
                return Err(wrong("it is there twice, under two names".to_owned()));
            }
            let Part { start, rows, columns } = part(parameters, id, piece);
            let rank = if table { a.shape.first() } else { b.shape.get(1) }.copied().unwrap_or(0);
            let expected = match table {
                false => [vec![rank, columns], vec![rows, rank]],
                true => [vec![rank, rows], vec![columns, rank]],
            };
            if rank == 0 || [&a.shape, &b.shape] != expected.each_ref() {
                let reason = format!("its factors are {:?} and {:?}, expected {expected:?}", a.shape, b.shape);
                return Err(wrong(reason));
            }
            let named = self.ranks.iter().find(|(name, _)| ends_with(&layer, name));
            let expected = named.map_or(self.rank as f64, |(_, rank)| *rank);
            if rank as f64 != expected {
                let reason = format!("r = {expected}, but {layer} has {rank}");
                return Err(Error::folder(&self.config, reason));
            }
            if let Some(key) = self.places.forbids(&layer) {
                let reason = format!("{key}: by it the adapter is not of {layer}, of which it has factors");
                return Err(Error::folder(&self.config, reason));
            }
            if let Some(own) = own {
                let values = self.file.values(&own)?;
                let theirs = &parameters.values::<f32>(id)[start..][..rows * columns];
                // It may have been kept in fewer bits.
                let near = |(a, b): (&f32, &f32)| (a - b).abs() <= COARSE * b.abs();
                if own.shape != [rows, columns] || !values.iter().zip(theirs).all(near) {
                    return Err(wrong(format!("'{}' is not the model's: the adapter is of another one", own.name)));
                }
            }
            let (first, second) = (self.file.values(&a)?, self.file.values(&b)?);
            // The factors of an embedding are those of the transposed weight.
            let [a, b] = match table {
                false => [first, second],
                true => [transposed(&second, rank), transposed(&first, rows)],
            };
            let scale = self.scale(&layer, rank) as f32;
            let weights = &mut parameters.values_mut::<f32>(id)[start..][..rows * columns];
            let factors = [Mat::new(&b, rows, rank), Mat::new(&a, rank, columns)];
            gemm(scale, factors[0], factors[1], 1.0, MatMut::new(weights, rows, columns), Parallelism::Serial);
            if weights.iter().any(|weight| !weight.is_finite()) {
                return Err(wrong("what it adds is not finite".to_owned()));
            }
        }
        Ok(())
    }
}

/// A matrix of so many columns, its rows as columns.
fn transposed(values: &[f32], columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| values.iter().skip(column).step_by(columns.max(1)).copied()).collect()
}

/// That an adapter is LoRA as everywhere else.
fn check(config: &Map<String, Value>) -> Result<(), String> {
    for (key, known) in NEUTRAL {
        let value =
            config.get(key).filter(|value| !(value.is_null() || value.is_boolean() && key == "init_lora_weights"));
        if let Some(value) = value.filter(|value| !value.as_str().is_some_and(|text| known.contains(&text))) {
            return Err(format!("{key} = {value}: expected {}", known.join(" or ")));
        }
    }
    for (key, value) in config {
        let is_empty = match value {
            Value::Null | Value::Bool(false) => true,
            Value::Array(values) => values.is_empty(),
            Value::Object(values) => values.is_empty(),
            Value::String(text) => text.is_empty(),
            _ => false,
        };
        let is_known = KNOWN.contains(&key.as_str()) || NEUTRAL.iter().any(|(known, _)| known == key);
        if !is_empty && !is_known {
            return Err(format!("{key} = {value}: only plain LoRA is read, which has none"));
        }
    }
    Ok(())
}

/// The layers of a family's models by name, each with its weight.
fn layers_of(family: Family, model: &ModelConfig) -> impl Iterator<Item = (String, TensorName)> {
    let pieces = family.tensor_names(model).into_iter();
    pieces.filter_map(|piece| Some((piece.theirs.strip_suffix(".weight")?.to_owned(), piece)))
}

/// Whether a layer is a table of vectors, and no product.
fn is_table(piece: &TensorName) -> bool {
    ["embedding", "position", "relative"].iter().any(|table| piece.ours.contains(table))
}

/// Writes the adapters of a run that was fine-tuned with LoRA as a folder that PEFT loads on top of the model it began
/// from. What has one adapter here and several layers there has the first factor in each.
///
/// # Errors
/// Where the model has no adapters or is of no family, the run trained more than they, something is in the folder, or it
/// cannot be written.
pub fn export_adapter(run: &Path, folder: &Path) -> Result<Family, Error> {
    let trained = Trained::load_unmerged(run)?;
    let model = &trained.recipe.model;
    let family = Family::of(model).map_err(Error::Family)?;
    let unfit = |reason: String| Error::Family(format!("as an adapter of PEFT, {reason}"));
    let finetune = trained.recipe.finetune.clone().unwrap_or_default();
    let lora = finetune.lora.ok_or_else(|| {
        unfit(
            "it needs [finetune] with lora, and was trained without. Leave --adapter out for the whole model"
                .to_owned(),
        )
    })?;
    if !finetune.train.is_empty() || !trained.recipe.tokenizer.add.is_empty() {
        return Err(unfit(
            "it holds low-rank factors alone, and this run trained more (finetune.train, or tokenizer.add). Leave --adapter out for \
             the whole model"
                .to_owned(),
        ));
    }
    let parameters = &trained.parameters;
    let adapted: HashMap<&str, LoraAdapter> =
        parameters.adapters().map(|low_rank| (parameters.name(low_rank.weight), low_rank)).collect();
    let layers: Vec<(String, TensorName)> = layers_of(family, model).collect();
    let mut tensors: Vec<Named> = Vec::new();
    let mut written = BTreeSet::new();
    for (layer, piece) in &layers {
        let Some(LoraAdapter { weight, a, b, .. }) = adapted.get(piece.ours.as_str()) else { continue };
        if is_table(piece) {
            return Err(unfit(format!(
                "finetune.lora.targets: {} is a table, whose adapter has another form",
                piece.ours
            )));
        }
        let Part { start, rows, columns } = part(parameters, *weight, piece);
        let (first, rank) = (start / columns.max(1), parameters.shape(*a)[0]);
        let second = &parameters.values::<f32>(*b)[first * rank..][..rows * rank];
        let name = |factor: &str| format!("{PREFIX}{layer}.{factor}.weight");
        tensors.push((name("lora_A"), vec![rank, columns], parameters.values::<f32>(*a).to_vec()));
        tensors.push((name("lora_B"), vec![rows, rank], second.to_vec()));
        written.insert(layer.as_str());
    }
    // The last part of a name where that says it.
    let last = |layer: &str| layer.rsplit('.').next().unwrap_or_default().to_owned();
    let is_whole = |end: &str| layers.iter().all(|(layer, _)| last(layer) != end || written.contains(layer.as_str()));
    let targets: BTreeSet<String> =
        written.iter().map(|&layer| if is_whole(&last(layer)) { last(layer) } else { layer.to_owned() }).collect();
    let alpha = lora.alpha.unwrap_or(lora.rank as f64);
    // A whole number, as PEFT has it, where it is one.
    let alpha = if alpha.fract() == 0.0 && alpha < 2e9 { json!(alpha as u64) } else { json!(alpha) };
    let config = json!({
        "peft_type": "LORA",
        "task_type": if family.reads_a_source() { "SEQ_2_SEQ_LM" } else { "CAUSAL_LM" },
        "base_model_name_or_path": null,
        "r": lora.rank, "lora_alpha": alpha, "use_rslora": false, "lora_dropout": 0.0,
        "bias": "none", "target_modules": targets, "fan_in_fan_out": layers.iter().any(|(_, piece)| piece.transposed),
        "inference_mode": true, "init_lora_weights": true, "modules_to_save": null, "use_dora": false,
        "rank_pattern": {}, "alpha_pattern": {},
    });
    whole(folder, |folder| {
        write_tensors(&folder.join(WEIGHTS), &tensors)?;
        write(folder, ADAPTER_CONFIG, pretty(&config))
    })?;
    Ok(family)
}

#[cfg(test)]
mod tests;
