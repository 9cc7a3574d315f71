//! The mean of the weights of several checkpoints (Izmailov et al. 2018, arXiv 1803.05407; of several runs, Wortsman et al. 2022, arXiv
//! 2203.05482).

use crate::locate::locate;
use crate::progress::Progress;
use crate::recipe::difference::Difference;
use crate::trained::write_run;
use crate::weight_types::weights_of;
use crate::{Error, Recipe, Trained, TrainingLengths};
use descant_autograd::Parameters;
use std::fs::canonicalize;
use std::path::{Path, PathBuf};

impl Trained {
    /// Averages the weights of several runs or checkpoints, each as [`Trained::load`] finds it, with adapters merged, and writes a run as
    /// [`Trained::save`] does. Its recipe is that of the first.
    ///
    /// # Errors
    /// Where there are fewer than two, one cannot be loaded, comes twice, or is of another architecture or other tokenizers than the first;
    /// where the folder holds a run already, or cannot be written.
    pub fn average(places: &[PathBuf], run: &Path) -> Result<(), Error> {
        let wrong = |place: &Path, reason: String| Error::Run { path: place.to_owned(), reason };
        let [first_place, others @ ..] = places else {
            return Err(wrong(run, "no checkpoint is named to average".to_owned()));
        };
        if others.is_empty() {
            return Err(wrong(
                first_place,
                "an average is of two checkpoints or more: name others beside it".to_owned(),
            ));
        }
        check_different(places)?;
        let mut first = load(first_place)?;
        let mut sums = vec![0.0; first.parameters.buffer().len()];
        add(&mut sums, &first.parameters, &first.parameters);
        let (mut step, mut lengths) = (first.step, first.lengths);
        for place in others {
            let other = load(place)?;
            check_alike(&first, &other).map_err(|what| {
                wrong(place, format!("it cannot be averaged with {}: {what}", first_place.display()))
            })?;
            add(&mut sums, &first.parameters, &other.parameters);
            step = step.max(other.step);
            lengths = [lengths, other.lengths].into_iter().flatten().reduce(TrainingLengths::or);
        }
        // In double precision until here: the order of the checkpoints changes no bit of the mean of two, and next to none of more.
        for id in first.parameters.ids() {
            let sums = &sums[first.parameters.range(id)];
            let values = first.parameters.values_mut::<f32>(id).iter_mut();
            values.zip(sums).for_each(|(value, sum)| *value = (sum / places.len() as f64) as f32);
        }
        let recipe = Recipe { finetune: None, ..first.recipe };
        let progress = Progress { step, ..Progress::default() };
        let known = (&progress, lengths.as_ref());
        write_run(&recipe, &first.tokenizers, &first.parameters, first.chat.as_ref(), known, run)
    }
}

fn load(place: &Path) -> Result<Trained, Error> {
    let trained = Trained::load_row_major(place)?;
    match weights_of(&trained.parameters) {
        None => Ok(trained),
        Some(weights) => {
            let reason = format!(
                "its weights are in {weights}, for inference alone. Average the runs that descant quantize made them of"
            );
            Err(Error::Run { path: place.to_owned(), reason })
        }
    }
}

/// That each is a checkpoint of its own: a run and the link in it may lead to the same.
fn check_different(places: &[PathBuf]) -> Result<(), Error> {
    let mut seen: Vec<(PathBuf, &PathBuf)> = Vec::new();
    for place in places {
        let link = locate(place)?.1;
        let checkpoint = canonicalize(&link).map_err(|error| Error::io("open", &link, error))?;
        if let Some((_, before)) = seen.iter().find(|(there, _)| *there == checkpoint) {
            let reason =
                format!("it is the same checkpoint as {}, and would count twice. Leave one out", before.display());
            return Err(Error::Run { path: place.clone(), reason });
        }
        seen.push((checkpoint, place));
    }
    Ok(())
}

/// That a model computes by its weights what the first does, or what differs.
fn check_alike(first: &Trained, other: &Trained) -> Result<(), String> {
    let [own, its] = [&first.parameters, &other.parameters];
    if !first.tokenizers.is_same(&other.tokenizers).map_err(|error| error.to_string())? {
        return Err("its tokenizers are others".to_owned());
    }
    for id in own.ids() {
        let name = own.name(id);
        let Some(there) = its.find(name) else { return Err(format!("it has no parameter '{name}'")) };
        let [shape, its_shape] = [own.shape(id), its.shape(there)];
        if shape != its_shape {
            return Err(format!("parameter '{name}' is {its_shape}, and {shape} there"));
        }
    }
    if let Some(more) = its.ids().map(|id| its.name(id)).find(|name| own.find(name).is_none()) {
        return Err(format!("it has a parameter '{more}' more"));
    }
    let differences = Difference::all(&first.recipe, &other.recipe);
    let differs = differences.iter().find(|found| found.is_of_architecture());
    differs.map_or(Ok(()), |found| Err(found.to_string()))
}

/// Adds the weights of a model to sums that lie as those of the first.
fn add(sums: &mut [f64], first: &Parameters, parameters: &Parameters) {
    for id in first.ids() {
        let Some(there) = parameters.find(first.name(id)) else { continue };
        let sums = sums[first.range(id)].iter_mut();
        sums.zip(parameters.values::<f32>(there)).for_each(|(sum, &value)| *sum += f64::from(value));
    }
}
