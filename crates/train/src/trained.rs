use crate::checkpoint::{self, Checkpoint, Content, Progress, Provenance, step_of, steps};
use crate::data::{TEMPLATE, chat_template, write};
use crate::resume::found;
use crate::run_folder::{BEST, CHECKPOINTS, LAST};
use crate::{Error, Estimate, Recipe, RunFolder, Tokenizers, TrainingLengths, available, quoted};
use descant_autograd::Parameters;
use descant_kernels::zeros;
use descant_models::{Generator, build};
use descant_tensor::{Buffer, DType};
use descant_text::ChatTemplate;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

pub(crate) const RECIPE: &str = "recipe.toml";

/// A model with its weights and tokenizers: what writes.
#[derive(Debug)]
pub struct Trained {
    /// The resolved recipe.
    pub recipe: Recipe,
    /// The tokenizers.
    pub tokenizers: Tokenizers,
    /// The weights.
    pub parameters: Parameters,
    /// The architecture.
    pub model: Box<dyn Generator>,
    /// How a conversation becomes a prompt, where it knows conversations.
    pub chat: Option<ChatTemplate>,
    /// The step of the checkpoint.
    pub step: u64,
    /// What training showed of lengths.
    pub(crate) lengths: Option<TrainingLengths>,
    /// CRC-32 of the checkpoint's weights.
    pub(crate) checksum: Option<u32>,
    /// Its run folder.
    run: PathBuf,
}

impl Trained {
    /// Loads a run folder, or one of its checkpoints: `best` where there is one, or else `last`.
    ///
    /// # Errors
    /// Where it is not a run, or its files are damaged.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let mut trained = Self::load_unmerged(path)?;
        if trained.parameters.has_adapters() {
            let merged = trained.parameters.merged();
            trained.parameters =
                merged.map_err(|error| Error::Run { path: path.to_owned(), reason: error.to_string() })?;
        }
        Ok(trained)
    }

    /// The same, with adapters beside the weights that they are of.
    ///
    /// # Errors
    /// As [`Trained::load`].
    pub fn load_unmerged(path: &Path) -> Result<Self, Error> {
        let (run, checkpoint) = open(path)?;
        let recipe = Recipe::of_run(&run)?;
        // Side by side, as each takes a large part of a second for a model of a hundred million weights.
        let (tokenizers, memory) =
            rayon::join(|| Tokenizers::load(&run, &recipe), || memory_of(checkpoint.model_size()));
        let tokenizers = tokenizers?;
        let (parameters, model) = blank_model_in(memory, &recipe, &tokenizers)
            .map_err(|reason| Error::Recipe { path: run.join(RECIPE), reason })?;
        if let Some(belongs) = checkpoint.belongs() {
            belongs.check(&recipe, &run)?;
        }
        let recipe = found(&recipe, &run);
        let chat = chat_of(&run, &tokenizers)?;
        let step = checkpoint.progress().step;
        let checksum = checkpoint.checksum();
        let lengths = TrainingLengths::load(&run)?;
        let mut trained = Self { recipe, tokenizers, parameters, model, chat, step, lengths, checksum, run };
        checkpoint.load_model(&mut trained.parameters)?;
        Ok(trained)
    }

    /// Writes it as a run folder that can be generated from, evaluated, and be the `init` of another training: with a
    /// checkpoint that has no optimizer's state.
    ///
    /// # Errors
    /// Where the folder holds a run already, or cannot be written.
    pub fn save(
        recipe: &Recipe,
        tokenizers: &Tokenizers,
        parameters: &Parameters,
        chat: Option<&ChatTemplate>,
        run: &Path,
    ) -> Result<(), Error> {
        let run = RunFolder::take(run)?;
        let wrong = |reason| Error::Recipe { path: run.join(RECIPE), reason };
        let recipe = &recipe.clone().settled().map_err(wrong)?;
        run.begin()?;
        tokenizers.save(run.path())?;
        if let Some(template) = chat {
            write(&run.join(TEMPLATE), template.text().as_bytes())?;
        }
        let content = Content { model: parameters, weights: None, optimizer: None };
        let belongs = Provenance::of(recipe, run.path())?;
        let checkpoint = checkpoint::save(&run, content, &Progress::default(), &belongs)?;
        run.point(LAST, &checkpoint)?;
        run.finish(recipe)
    }

    /// The folder of its run.
    pub(crate) fn run(&self) -> &Path {
        &self.run
    }
}

/// What a run is, without its weights.
#[derive(Debug)]
pub struct RunInfo {
    /// The resolved recipe.
    pub recipe: Recipe,
    /// The tokenizers.
    pub tokenizers: Tokenizers,
    /// How a conversation becomes a prompt, where it knows conversations.
    pub chat: Option<ChatTemplate>,
    /// The step of the checkpoint.
    pub step: u64,
}

impl RunInfo {
    /// Reads a run folder, or one of its checkpoints, as [`Trained::load`] does.
    ///
    /// # Errors
    /// Where it is not a run, or its files are damaged.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let (run, checkpoint) = open(path)?;
        let recipe = Recipe::of_run(&run)?;
        let tokenizers = Tokenizers::load(&run, &recipe)?;
        checkpoint.belongs().map_or(Ok(()), |belongs| belongs.check(&recipe, &run))?;
        let chat = chat_of(&run, &tokenizers)?;
        Ok(Self { recipe: found(&recipe, &run), tokenizers, chat, step: checkpoint.progress().step })
    }

    /// The runs in a folder, by name.
    pub fn runs_in(folder: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut runs: Vec<PathBuf> =
            entries.map(|entry| entry.path()).filter(|path| path.join(RECIPE).is_file()).collect();
        runs.sort();
        runs
    }
}

/// The template of conversations of a run, for its tokenizers.
fn chat_of(run: &Path, tokenizers: &Tokenizers) -> Result<Option<ChatTemplate>, Error> {
    let template = run.join(TEMPLATE);
    let chat = template.is_file().then(|| chat_template(&template)).transpose()?;
    Ok(chat.map(|chat| chat.with_controls(tokenizers.target.control_names())))
}

/// A fresh model of the recipe's architecture, of which is trained what the recipe says.
///
/// # Errors
/// The recipe's key and what it may be, in words.
pub fn model(
    recipe: &Recipe,
    tokenizers: &Tokenizers,
    dtype: DType,
) -> Result<(Parameters, Box<dyn Generator>), String> {
    let mut parameters = Parameters::new(dtype);
    let model = add_model(recipe, tokenizers, &mut parameters, Some(recipe.seed))?;
    Ok((parameters, model))
}

/// Zeros for the weights of a file of so many bytes: its header has more of them than there are gaps between the weights.
/// None where that may be more memory than there is: the model says then how much it takes.
fn memory_of(bytes: u64) -> Buffer {
    let fits = available().is_none_or(|available| bytes as f64 <= available);
    let memory = fits.then(|| zeros(bytes as usize / 4)).and_then(Result::ok);
    memory.map_or_else(|| Buffer::zeros(DType::F32, 0), Buffer::F32)
}

/// The same in f32 with weights of zero, to be read from a file.
///
/// # Errors
/// As [`model`].
pub fn blank_model(recipe: &Recipe, tokenizers: &Tokenizers) -> Result<(Parameters, Box<dyn Generator>), String> {
    blank_model_in(Buffer::zeros(DType::F32, 0), recipe, tokenizers)
}

/// The same in memory of zeros, where it is enough.
fn blank_model_in(
    memory: Buffer,
    recipe: &Recipe,
    tokenizers: &Tokenizers,
) -> Result<(Parameters, Box<dyn Generator>), String> {
    let mut parameters = Parameters::shapes_only(DType::F32);
    let model = add_model(recipe, tokenizers, &mut parameters, None)?;
    Ok((parameters.allocated(memory).map_err(|error| error.to_string())?, model))
}

/// The same, in parameters that are none yet; without a seed, all weights are zero, to be read from a file.
pub(crate) fn add_model(
    recipe: &Recipe,
    tokenizers: &Tokenizers,
    parameters: &mut Parameters,
    seed: Option<u64>,
) -> Result<Box<dyn Generator>, String> {
    let vocabulary = tokenizers.vocabulary(&recipe.loss)?;
    Estimate::of(recipe, &vocabulary, parameters.dtype(), 0.0)?.check(false)?;
    let model = build(&recipe.model, &recipe.loss, &vocabulary, parameters, seed)?;
    if let Some(finetune) = &recipe.finetune {
        finetune.apply(parameters, recipe.seed)?;
    }
    parameters.check().map_err(|error| error.to_string())?;
    Ok(model)
}

/// How often a checkpoint is looked for of a run that may be trained meanwhile.
const ATTEMPTS: usize = 20;

/// The run folder that a path means, and its checkpoint. A training turns the links, and removes what they pointed at, just
/// when it may be opened: then the next one is.
fn open(path: &Path) -> Result<(PathBuf, Checkpoint), Error> {
    let once = || locate(path).and_then(|(run, place)| Ok((run, Checkpoint::open(&place)?)));
    let may_turn = path.is_symlink() || path.join(RECIPE).is_file();
    let is_gone = |error: &Error| match error {
        Error::Io { error, .. } => error.kind() == ErrorKind::NotFound,
        Error::Run { .. } => true,
        _ => false,
    };
    let mut opened = once();
    for _ in 1..ATTEMPTS {
        if !(may_turn && opened.as_ref().is_err_and(is_gone)) {
            break;
        }
        opened = once();
    }
    opened
}

/// The run folder and the checkpoint folder, or the link to it, that a path means.
pub(crate) fn locate(path: &Path) -> Result<(PathBuf, PathBuf), Error> {
    let wrong = |reason: &str| Error::Run { path: path.to_owned(), reason: reason.to_owned() };
    if !path.exists() {
        return Err(missing(path));
    }
    if path.join(RECIPE).is_file() {
        let checkpoint = [BEST, LAST].iter().map(|link| path.join(link)).find(|link| link.exists());
        let checkpoint = checkpoint.ok_or_else(|| wrong("the run has no checkpoint yet: let it train for longer"))?;
        return Ok((path.to_owned(), checkpoint));
    }
    if path.is_file() && path.extension().is_some_and(|extension| extension == "toml") {
        let run = Path::new("runs").join(path.file_stem().unwrap_or_default());
        let what = match run.join(RECIPE).is_file() {
            true => format!("the run that it wrote is {}", run.display()),
            false => format!("train it first: descant train {}", path.display()),
        };
        return Err(wrong(&format!("this is a recipe; {what}")));
    }
    if is_foreign(path) {
        return Err(wrong(&from_elsewhere(path)));
    }
    // A checkpoint or a link inside a run.
    let inside = fs::canonicalize(path).map_err(|error| Error::io("open", path, error))?;
    match inside.ancestors().find(|folder| folder.join(RECIPE).is_file()) {
        Some(run) if path.is_symlink() => Ok((run.to_owned(), path.to_owned())),
        Some(run) if inside.join("manifest.json").is_file() => Ok((run.to_owned(), inside.clone())),
        _ => {
            let runs: Vec<String> = RunInfo::runs_in(path).iter().map(|run| run.display().to_string()).collect();
            Err(wrong(&match runs.is_empty() {
                _ if path.is_file() => {
                    "this is a file, and neither a run nor a model. To train on a text, name it in a recipe: \
                                        descant init prints one to begin with"
                        .to_owned()
                }
                true => "this is not a run folder: it has no recipe.toml. Name the folder that descant train wrote"
                    .to_owned(),
                false => format!("this is not a run folder, but one of runs: {}. Name one of them", runs.join(", ")),
            }))
        }
    }
}

/// What a model from elsewhere has in its folder.
const FOREIGN: [&str; 7] = [
    "config.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "model.bin",
    "weights.safetensors",
];

/// Whether a path is a model from elsewhere, by the names of its files, and no checkpoint of a run.
pub fn is_foreign(path: &Path) -> bool {
    let place = fs::canonicalize(path).unwrap_or_default();
    let is_checkpoint = path.join("manifest.json").exists() || place.parent().is_some_and(|p| p.ends_with(CHECKPOINTS));
    let has = || !is_checkpoint && FOREIGN.iter().any(|name| path.join(name).is_file());
    if path.is_dir() { has() } else { is_gguf(path) }
}

/// Whether a path is by its name a file of llama.cpp.
#[must_use]
pub fn is_gguf(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gguf"))
}

/// What is said of such a one.
fn from_elsewhere(path: &Path) -> String {
    let name = quoted(&path.to_string_lossy());
    format!("this is a model from elsewhere, and no run. Make a run of it first: descant import {name}")
}

/// The error of a path that leads nowhere: to a checkpoint that its run no longer has, or to nothing that was ever there.
fn missing(path: &Path) -> Error {
    let wrong = |reason: String| Error::Run { path: path.to_owned(), reason };
    if path.to_string_lossy().starts_with("hf:") {
        return wrong(from_elsewhere(path));
    }
    let checkpoints = path.parent().filter(|parent| parent.ends_with(CHECKPOINTS));
    let step = path.file_name().and_then(|name| step_of(&name.to_string_lossy()));
    match (step, checkpoints.and_then(Path::parent)) {
        (Some(step), Some(run)) if run.join(RECIPE).is_file() => {
            let there: Vec<String> = steps(run).iter().map(u64::to_string).collect();
            wrong(format!("the run has no checkpoint of step {step}; it has those of {}", there.join(", ")))
        }
        _ => wrong("there is no such run folder. Train one with descant train RECIPE.toml".to_owned()),
    }
}
