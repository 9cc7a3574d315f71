//! Resumes a training from its last checkpoint; [`allowed_changes`] says what may differ from its start.

pub(crate) mod allowed_changes;

use crate::carried_state::CarriedState;
use crate::data::{Texts, batch_config};
use crate::metrics_file::open_metrics;
use crate::preflight::Preflight;
use crate::prepare::encode;
use crate::read_ahead::ReadAhead;
use crate::retention::prune_before;
use crate::samples::open_samples;
use crate::{Diagnosis, Error, Outcome, Replicas, SourceModels, Trainer};
use allowed_changes::resumed;
pub use allowed_changes::resumed_recipe;
use descant_autograd::Parameters;
use descant_inference::checkpoint::Checkpoint;
use descant_inference::layout::{BEST, LAST, METRICS, RECIPE, SAMPLES, TEMPLATE, checkpoint_steps};
use descant_inference::{Estimate, Provenance, Recipe, RunFolder, Tokenizers, add_model, chat_template, quoted};
use descant_optim::{Optimizer, Schedule, WeightAverage};
use descant_tensor::DType;
use descant_text::Batches;
use std::path::Path;

impl Trainer {
    /// Resumes the training of a run.
    pub(crate) fn resume(given: Recipe, run: RunFolder, threads: usize) -> Result<Self, Error> {
        let place = run.join(RECIPE);
        let own = Recipe::of_run(run.path())?;
        let recipe = resumed(given, &own, run.path())?;
        let wrong = |reason: String| descant_inference::Error::Recipe { path: place.clone(), reason };
        let checkpoint = last_checkpoint(run.path())?;
        let step = checkpoint.progress().step;
        let mut notes = Vec::new();
        if let Some(provenance) = checkpoint.provenance() {
            provenance.check(&recipe, run.path())?;
            notes = provenance.notes(&recipe, run.path(), step)?;
        }
        if let Some(format) = checkpoint.older_format() {
            notes.push(format!(
                "The last checkpoint has format {format}, of an older descant: from step {step} on the last bits are others \
                 than that one's, and weight decay leaves out what optimizer.no_decay names."
            ));
        }
        let places = recipe.located(run.path());
        let SourceModels { objective, .. } = SourceModels::resumed(&places)?;
        let stored = run.join(TEMPLATE);
        let template = stored.is_file().then(|| chat_template(&stored)).transpose()?;
        let texts = Texts::with(&places, template.as_ref())?;
        let given = places.data.as_ref().and_then(|data| data.chat_template.as_ref()).filter(|path| path.is_file());
        if let Some(path) = given.filter(|path| chat_template(path).ok() != template) {
            notes.push(format!("{} has changed. Training goes on with the template as it was.", path.display()));
        }
        let tokenizers = Tokenizers::load(run.path(), &recipe)?;
        objective.check(&tokenizers, run.path())?;
        let mut parameters = Parameters::new(DType::F32);
        let model = add_model(&recipe, &tokenizers, &mut parameters, None).map_err(wrong)?;
        parameters.set_precision(recipe.train.precision.into());
        checkpoint.load_weights(&mut parameters)?;
        let mut optimizer = Optimizer::new(recipe.optimizer.clone(), &parameters)?;
        let mut average = WeightAverage::new(recipe.train.average, &optimizer, &parameters);
        if let Some(average) = &mut average {
            checkpoint.load_model(average.weights_mut())?;
        }
        let (done, buffers) = checkpoint.load_optimizer(&optimizer.state().collect::<Vec<_>>())?;
        optimizer.restore(done, buffers).map_err(wrong)?;
        let mut progress = checkpoint.progress().clone();
        let beyond_end = !Outcome::is_finished(&recipe.train, &progress) && progress.forget_end();
        let (mut batches, validation) = encode(&recipe, &texts, &tokenizers, &run, &mut notes)?;
        let config = batch_config(&recipe, &tokenizers)?;
        let held_out = validation.clone().map(|text| Batches::new(text, config)).transpose()?;
        let found = Preflight::of(&recipe, model.as_ref(), &batches, held_out)?;
        notes.extend(found.notes.iter().map(|note| format!("Note: {note}.")));
        let estimate = Estimate::of_training(&recipe, &tokenizers).map_err(wrong)?;
        let mut schedule = Schedule::new(found.schedule, found.steps);
        if let Some(state) = &progress.schedule {
            schedule.restore(state).map_err(wrong)?;
        }
        batches.seek(progress.position.clone())?;
        let mut carried = CarriedState::of_training(&recipe, model.as_ref(), &parameters, &batches)?;
        if let Some(carried) = &mut carried {
            checkpoint.load_carried(carried.tensors_mut())?;
        }
        let replicas = Replicas::new(recipe.train.shares, threads)?.with_objective(objective);
        // All is read, and nothing was written so far.
        run.has_started()?;
        if recipe != own {
            run.write_recipe(&recipe)?;
        }
        let validates_again = beyond_end || progress.validation_due;
        let (metrics, unread) = open_metrics(run.path(), progress.step, validates_again)?;
        let (samples, unread_samples) = open_samples(&recipe.train, run.path(), progress.step, validates_again)?;
        for (file, unread) in [(METRICS, unread), (SAMPLES, unread_samples)] {
            if unread > 0 {
                notes.push(format!("{file}: {unread} lines could not be read, and are left out from now on."));
            }
        }
        if progress.step >= recipe.train.log_every && run.join(METRICS).metadata().is_ok_and(|file| file.len() == 0) {
            notes.push(format!("{METRICS} was not there, or empty: it goes on from step {}.", progress.step));
        }
        if beyond_end {
            run.point_back(progress.best.map(|(_, step)| step))?;
        }
        notes.extend(prune_before(&run, &recipe.train, &progress)?);
        let mut trainer = Self {
            provenance: Provenance::of(&recipe, run.path())?,
            notes,
            steps: found.steps,
            estimate,
            kept: step,
            // Lines that cannot be read are gone by now.
            diagnosis: Diagnosis::of_run(run.path(), &recipe, &tokenizers)?.0,
            run,
            metrics,
            samples,
            tokenizers,
            parameters,
            model,
            average,
            optimizer,
            schedule,
            replicas,
            form: texts.train.form(),
            reader: ReadAhead::new(batches),
            carried,
            validation,
            held_out: texts.validation.unwrap_or(texts.train),
            examples: Vec::new(),
            progress,
            recipe,
        };
        trainer.bind_objective()?;
        Ok(trainer)
    }
}

/// The checkpoint that training resumes from.
fn last_checkpoint(run: &Path) -> Result<Checkpoint, descant_inference::Error> {
    let wrong = |path: &Path, reason: String| Err(descant_inference::Error::Run { path: path.to_owned(), reason });
    let link = run.join(LAST);
    // Training replaces them.
    for link in [&link, &run.join(BEST)] {
        if link.exists() && !link.is_symlink() {
            let reason = "it is no link, as in a copy that was made without links. Move it away, and let a link of that \
                          name point at a folder in 'checkpoints'";
            return wrong(link, reason.to_owned());
        }
    }
    if link.exists() {
        return Checkpoint::open(&link);
    }
    let there: Vec<String> = checkpoint_steps(run).iter().map(|step| format!("checkpoints/step-{step:08}")).collect();
    if there.is_empty() {
        let reason =
            "it has no checkpoint to go on from. Delete the folder, or choose another with --run, to begin anew";
        return wrong(run, reason.to_owned());
    }
    let folder = quoted(&run.to_string_lossy());
    let (all, newest) = (there.join(", "), &there[there.len() - 1]);
    let reason = format!(
        "it has checkpoints ({all}), but no link 'last' to one of them that says from which to go on. Make it: ln -sfn \
         {newest} {folder}/last"
    );
    wrong(run, reason)
}
