use crate::build_model::{add_model, blank_model_in, memory_of};
use crate::chat_template::chat_template;
use crate::checkpoint::{self, Checkpoint, Content};
use crate::locate::locate;
use crate::progress::Progress;
use crate::provenance::Provenance;
use crate::run_folder::layout::{LAST, RECIPE, TEMPLATE, write};
use crate::weight_types::{storage_of, weights_of};
use crate::{Error, Recipe, RunFolder, Tokenizers, TrainingLengths};
use descant_autograd::{Parameters, StorageType};
use descant_kernels::WeightType;
use descant_models::Generator;
use descant_tensor::{DType, Shape};
use descant_text::ChatTemplate;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// A trained model: weights, tokenizers, recipe. The entry point of inference.
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
    /// The chat template, where it has one.
    pub chat: Option<ChatTemplate>,
    /// The step of the checkpoint.
    pub step: u64,
    /// The lengths of its training texts; an imported model has none.
    pub lengths: Option<TrainingLengths>,
    /// CRC-32 of the checkpoint's weights.
    pub checksum: Option<u32>,
    /// Its run folder.
    run: PathBuf,
}

impl Trained {
    /// Loads a run folder, or one of its checkpoints: `best` where there is one, or else `last`. Its weights are packed for inference:
    /// to train them or to read their values, [`load_row_major`](Self::load_row_major).
    ///
    /// # Errors
    /// Where it is not a run, or its files are damaged.
    pub fn load(path: &Path) -> Result<Self, Error> {
        Self::load_merged(path, None, |name, shape| storage_of(None, name, shape))
    }

    /// The same with its weights in reduced precision, rounded as they are read.
    ///
    /// # Errors
    /// As [`Trained::load`]; where they are in another precision already, or have no form in this one.
    pub fn load_with_weights(path: &Path, weights: WeightType) -> Result<Self, Error> {
        Self::load_merged(path, Some(weights), |name, shape| storage_of(Some(weights), name, shape))
    }

    /// The same with its weights row-major, as they are in files and in training; those in reduced precision stay so.
    ///
    /// # Errors
    /// As [`Trained::load`].
    pub fn load_row_major(path: &Path) -> Result<Self, Error> {
        Self::load_merged(path, None, |_, _| StorageType::RowMajor)
    }

    /// The same with LoRA adapters not merged into the weights.
    ///
    /// # Errors
    /// As [`Trained::load`].
    pub fn load_unmerged(path: &Path) -> Result<Self, Error> {
        Self::open(path, None, |_, _| StorageType::RowMajor)
    }

    fn load_merged(
        path: &Path,
        weights: Option<WeightType>,
        storage: impl Fn(&str, Shape) -> StorageType,
    ) -> Result<Self, Error> {
        let mut trained = Self::open(path, weights, &storage)?;
        if trained.parameters.has_adapters() {
            let merged = trained.parameters.merged().and_then(|merged| merged.stored_as(storage));
            trained.parameters =
                merged.map_err(|error| Error::Run { path: path.to_owned(), reason: error.to_string() })?;
        }
        Ok(trained)
    }

    fn open(
        path: &Path,
        weights: Option<WeightType>,
        storage: impl Fn(&str, Shape) -> StorageType,
    ) -> Result<Self, Error> {
        let (run, checkpoint) = open(path)?;
        let recipe = Recipe::of_run(&run)?;
        let stored = checkpoint.weights();
        if let (Some(stored), Some(weights)) = (stored, weights.filter(|weights| Some(*weights) != stored)) {
            let reason = format!(
                "its weights are in {stored}: {weights} would round them a second time. Make it of the run that this one was \
                 made of"
            );
            return Err(Error::Run { path: path.to_owned(), reason });
        }
        let reduced = checkpoint.reduced();
        let in_full = weights.is_none() && stored.is_none();
        let storage = |name: &str, shape| match stored {
            Some(_) => reduced.get(name).map_or(StorageType::RowMajor, |&weights| StorageType::Reduced(weights)),
            // Adapters are merged into weights as they are trained.
            None if recipe.finetune.as_ref().is_some_and(|finetune| finetune.lora.is_some()) => StorageType::RowMajor,
            None => storage(name, shape),
        };
        // In parallel, as each takes a large part of a second for a model of a hundred million weights.
        let (tokenizers, memory) = rayon::join(
            || Tokenizers::load(&run, &recipe),
            || memory_of(if in_full { checkpoint.model_size() } else { 0 }),
        );
        let tokenizers = tokenizers?;
        let (parameters, model) = blank_model_in(memory, &recipe, &tokenizers, storage)
            .map_err(|reason| Error::Recipe { path: run.join(RECIPE), reason })?;
        if let Some(provenance) = checkpoint.provenance() {
            provenance.check(&recipe, &run)?;
        }
        let recipe = recipe.located(&run);
        let chat = chat_of(&run, &tokenizers)?;
        let step = checkpoint.progress().step;
        let checksum = checkpoint.checksum();
        let lengths = TrainingLengths::load(&run)?;
        let mut trained = Self { recipe, tokenizers, parameters, model, chat, step, lengths, checksum, run };
        checkpoint.load_model(&mut trained.parameters)?;
        Ok(trained)
    }

    /// A model in training as a checkpoint of it would be loaded: with copies of these weights, packed for inference, adapters merged.
    ///
    /// # Errors
    /// Where there is not enough memory, and for a chat template of the run that is damaged.
    pub fn of_training(
        recipe: &Recipe,
        tokenizers: &Tokenizers,
        parameters: &Parameters,
        step: u64,
        run: &Path,
    ) -> Result<Self, Error> {
        let wrong = |reason: String| Error::Run { path: run.to_owned(), reason };
        let mut blank = Parameters::shapes_only(DType::F32);
        let model = add_model(recipe, tokenizers, &mut blank, None).map_err(wrong)?;
        let merged = parameters.has_adapters().then(|| parameters.merged()).transpose();
        let packed = merged.and_then(|merged| {
            merged.as_ref().unwrap_or(parameters).stored_as(|name, shape| storage_of(None, name, shape))
        });
        Ok(Self {
            recipe: recipe.located(run),
            tokenizers: tokenizers.clone(),
            parameters: packed.map_err(|error| wrong(error.to_string()))?,
            model,
            chat: chat_of(run, tokenizers)?,
            step,
            lengths: TrainingLengths::load(run)?,
            checksum: None,
            run: run.to_owned(),
        })
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
        write_run(recipe, tokenizers, parameters, chat, (&Progress::default(), None), run)
    }

    /// Writes it with its weights in reduced precision as a run folder that is for inference alone.
    ///
    /// # Errors
    /// Where a weight has no form in that precision, the folder holds a run already, or cannot be written.
    pub fn quantize(&self, weights: WeightType, run: &Path) -> Result<(), Error> {
        let wrong = |error: descant_tensor::Error| Error::Run { path: self.run.clone(), reason: error.to_string() };
        if let Some(stored) = weights_of(&self.parameters) {
            let reason = format!("its weights are in {stored} already. Name the run that it was made of");
            return Err(Error::Run { path: self.run.clone(), reason });
        }
        let reduced = |name: &str, shape| storage_of(Some(weights), name, shape);
        let parameters = self.parameters.stored_as(reduced).map_err(wrong)?;
        // Its adapters are merged.
        let recipe = Recipe { finetune: None, ..self.recipe.clone() };
        let progress = Progress { step: self.step, ..Progress::default() };
        let known = (&progress, self.lengths.as_ref());
        write_run(&recipe, &self.tokenizers, &parameters, self.chat.as_ref(), known, run)
    }

    /// The folder of its run.
    pub fn run(&self) -> &Path {
        &self.run
    }
}

/// Writes a run whose checkpoint has no optimizer's state, at this progress, with the lengths of its training texts.
pub(crate) fn write_run(
    recipe: &Recipe,
    tokenizers: &Tokenizers,
    parameters: &Parameters,
    chat: Option<&ChatTemplate>,
    (progress, lengths): (&Progress, Option<&TrainingLengths>),
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
    lengths.map_or(Ok(()), |lengths| lengths.save(run.path()))?;
    let content = Content { model: parameters, weights: None, optimizer: None, carried: Vec::new() };
    let provenance = Provenance::of(recipe, run.path())?;
    let checkpoint = checkpoint::save(&run, content, progress, &provenance)?;
    run.point(LAST, &checkpoint)?;
    run.finish(recipe)
}

/// A run without its weights.
#[derive(Debug)]
#[non_exhaustive]
pub struct RunInfo {
    /// The resolved recipe.
    pub recipe: Recipe,
    /// The tokenizers.
    pub tokenizers: Tokenizers,
    /// The chat template, where it has one.
    pub chat: Option<ChatTemplate>,
    /// The step of the checkpoint.
    pub step: u64,
    /// The precision of its weights, where it is a reduced one.
    pub weights: Option<WeightType>,
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
        checkpoint.provenance().map_or(Ok(()), |provenance| provenance.check(&recipe, &run))?;
        let chat = chat_of(&run, &tokenizers)?;
        let (step, weights) = (checkpoint.progress().step, checkpoint.weights());
        Ok(Self { recipe: recipe.located(&run), tokenizers, chat, step, weights })
    }

    /// Where the training of a run folder stands, by its last checkpoint; none of weights alone, such as an import.
    ///
    /// # Errors
    /// Where that cannot be read.
    pub fn training(run: &Path) -> Result<Option<Progress>, Error> {
        let (_, checkpoint) = open(&run.join(LAST))?;
        Ok(checkpoint.is_of_training().then(|| checkpoint.progress().clone()))
    }
}

/// The chat template of a run, for its tokenizers.
fn chat_of(run: &Path, tokenizers: &Tokenizers) -> Result<Option<ChatTemplate>, Error> {
    let template = run.join(TEMPLATE);
    let chat = template.is_file().then(|| chat_template(&template)).transpose()?;
    Ok(chat.map(|chat| chat.with_controls(tokenizers.target.control_names())))
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
        Error::NoRun { .. } => true,
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
