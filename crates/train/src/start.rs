//! Starts a training.

use crate::carried_state::CarriedState;
use crate::data::{Texts, batch_config};
use crate::faults::counted;
use crate::metrics_file::open_metrics;
use crate::preflight::{Preflight, new_tokens, other_functions, other_model};
use crate::prepare::encode;
use crate::read_ahead::ReadAhead;
use crate::samples::open_samples;
use crate::stop::NEVER;
use crate::text_layout::resolve_text_layout;
use crate::word_vectors::fill_embeddings;
use crate::{Diagnosis, Error, Replicas, SourceModels, Trainer};
use descant_autograd::Parameters;
use descant_generate::GenerationConfig;
use descant_inference::layout::{LAST, TEMPLATE, write};
use descant_inference::{Estimate, Progress, Provenance, Recipe, RunFolder, TrainingLengths, add_model};
use descant_optim::{Optimizer, Schedule, WeightAverage};
use descant_tensor::DType;
use descant_text::{Batches, TokenizerConfig};
use std::path::{Path, PathBuf};

impl Trainer {
    /// Starts a training in the folder `run`, or resumes the one there.
    ///
    /// # Errors
    /// Whatever is wrong with the recipe, the texts, or the folder. A folder that already holds a run is an error
    /// without `resume`, and one that holds none with it.
    pub fn new(recipe: Recipe, run: &Path, threads: usize, resume: bool) -> Result<Self, Error> {
        match (RunFolder::is_run(run), resume) {
            (true, false) => {
                let reason =
                    "it already holds a training. Go on with it with --resume, or choose another folder with --run";
                Err(descant_inference::Error::Occupied { path: run.to_owned(), reason: reason.to_owned() }.into())
            }
            (true, true) => Self::resume(recipe, RunFolder::take(run)?, threads),
            (false, false) => Self::start(recipe, run, None, threads),
            // Interrupted before it was a run: it starts again.
            (false, true) if RunFolder::is_starting(run) => Self::start(recipe, run, None, threads),
            (false, true) => {
                let reason = "there is no training to go on with. Leave out --resume to begin one";
                Err(descant_inference::Error::NoRun { path: run.to_owned(), reason: reason.to_owned() }.into())
            }
        }
    }

    /// Starts a training in a folder that this process has taken.
    ///
    /// # Errors
    /// As [`Trainer::new`].
    pub fn new_in(recipe: Recipe, run: RunFolder, threads: usize) -> Result<Self, Error> {
        let path = run.path().to_owned();
        Self::start(recipe, &path, Some(run), threads)
    }

    fn start(mut recipe: Recipe, path: &Path, run: Option<RunFolder>, threads: usize) -> Result<Self, Error> {
        let mut notes = recipe.source.notes.clone();
        notes.extend(resolve_text_layout(&mut recipe)?);
        if recipe.train.shares == 0 {
            recipe.train.shares = std::thread::available_parallelism().map_or(1, usize::from);
        }
        let sources = SourceModels::of(&recipe)?;
        let template = sources.template(&recipe)?;
        let texts = Texts::with(&recipe, template.as_ref())?;
        texts.check_template(&recipe)?;
        let tokenizers =
            sources.tokenizers(&recipe, &texts, usize::MAX).map_err(|error| counted(&texts, error.into()))?;
        let SourceModels { init, objective } = sources;
        if let Some(init) = &init {
            recipe.tokenizer = continued(&init.recipe.tokenizer, &recipe.tokenizer);
            if recipe.generation == GenerationConfig::default() {
                recipe.generation = init.recipe.generation.clone().with(|config| config.max_new_tokens = None);
            }
            let own = recipe.target_tokenizer.take().unwrap_or_default();
            recipe.target_tokenizer = init.recipe.target_tokenizer.as_ref().map(|theirs| continued(theirs, &own));
        } else if let Some(teacher) = objective.teacher() {
            let theirs = &teacher.trained().recipe;
            recipe.tokenizer = theirs.tokenizer.clone();
            recipe.target_tokenizer = theirs.target_tokenizer.clone();
        }
        objective.check(&tokenizers, path)?;
        objective.note_checksum(&mut recipe);
        // A model that cannot be built is an error before anything is written.
        let file = recipe.source.path.clone().unwrap_or_else(|| PathBuf::from("the recipe"));
        let wrong = |reason: String| descant_inference::Error::Recipe { path: file.clone(), reason };
        let estimate = Estimate::of_training(&recipe, &tokenizers).map_err(wrong)?;
        estimate.check(true).map_err(wrong)?;
        // Weights that are copied need not be drawn.
        let mut parameters = Parameters::new(DType::F32);
        let seed = init.is_none().then_some(recipe.seed);
        let model = add_model(&recipe, &tokenizers, &mut parameters, seed).map_err(wrong)?;
        parameters.set_precision(recipe.train.precision.into());
        if let Some(init) = &init {
            let sizes: Vec<_> = init.tokenizers.sizes().into_iter().zip(tokenizers.sizes()).collect();
            let differs = |what| wrong(other_model(&recipe, &init.recipe, init.run(), what));
            parameters.copy_from(&init.parameters, &sizes).map_err(differs)?;
            notes.extend(new_tokens(&recipe, &parameters, &sizes)?);
            notes.extend(other_functions(&recipe, init)?);
        }
        let pretrained = fill_embeddings(&recipe, &tokenizers, model.as_ref(), &mut parameters)?;
        let before = init.map(|init| init.lengths());
        let run = run.map_or_else(|| RunFolder::take(path), Ok)?;
        run.begin()?;
        let mut told = Vec::new();
        let encoded = encode(&recipe, &texts, &tokenizers, &run, &mut told);
        let (batches, validation) = encoded.map_err(|error| counted(&texts, error.into()))?;
        for embedding in pretrained {
            told.extend(embedding.told(batches.corpus(), tokenizers.sizes())?);
        }
        let config = batch_config(&recipe, &tokenizers)?;
        let held_out = validation.clone().map(|text| Batches::new(text, config)).transpose()?;
        let carried = CarriedState::of_training(&recipe, model.as_ref(), &parameters, &batches)?;
        let found = Preflight::of(&recipe, model.as_ref(), &batches, held_out)?;
        notes.extend(found.notes);
        tokenizers.save(run.path())?;
        TrainingLengths::by(&recipe, &texts.train, run.path())?.or(before.unwrap_or_default()).save(run.path())?;
        if let Some(template) = &template {
            write(&run.join(TEMPLATE), template.text().as_bytes())?;
        }
        let optimizer = Optimizer::new(recipe.optimizer.clone(), &parameters)?;
        let average = WeightAverage::new(recipe.train.average, &optimizer, &parameters);
        let replicas = Replicas::new(recipe.train.shares, threads)?.with_objective(objective);
        let (metrics, _) = open_metrics(run.path(), 0, false)?;
        let (samples, _) = open_samples(&recipe.train, run.path(), 0, false)?;
        let mut trainer = Self {
            schedule: Schedule::new(found.schedule, found.steps),
            steps: found.steps,
            estimate,
            provenance: Provenance::of(&recipe, run.path())?,
            notes: notes.iter().map(|note| format!("Note: {note}.")).chain(told).collect(),
            progress: Progress { position: batches.position().clone(), ..Progress::default() },
            kept: 0,
            diagnosis: Diagnosis::new(&recipe, &tokenizers),
            run,
            metrics,
            samples,
            tokenizers,
            parameters,
            model,
            average,
            optimizer,
            replicas,
            form: texts.train.form(),
            reader: ReadAhead::new(batches),
            carried,
            validation,
            held_out: texts.validation.unwrap_or(texts.train),
            examples: Vec::new(),
            recipe,
        };
        trainer.bind_objective()?;
        trainer.read_examples(&NEVER)?;
        // With its recipe the folder becomes a run, and from then on training goes on from a checkpoint, never from
        // weights that are drawn anew.
        trainer.save(LAST)?;
        trainer.run.finish(&trainer.recipe)?;
        Ok(trainer)
    }
}

/// The tokenizer of a run that another begins with, and what that one adds to it.
fn continued(theirs: &TokenizerConfig, own: &TokenizerConfig) -> TokenizerConfig {
    let new = own.add.iter().filter(|token| !theirs.add.contains(token));
    TokenizerConfig { add: theirs.add.iter().chain(new).cloned().collect(), ..theirs.clone() }
}
