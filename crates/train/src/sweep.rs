//! Trainings of one recipe with different values of some keys: a grid, some of it at random, or by successive halving (Jamieson & Talwalkar
//! 2016, arXiv 1502.07943), in which all train for a part of their steps and the better half goes on, until one is left.

mod rung_file;
mod variation;

pub use variation::Variation;

use crate::best_metric::{compare_values, is_better};
use crate::resume::allowed_changes::resumed;
use crate::{Error, Event, Outcome, Trainer, resumed_recipe};
use descant_inference::{Recipe, RunFolder, RunInfo, TrainConfig};
use rung_file::{Rung, RungFile, settings_of};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use variation::{combinations, folder_name};

/// What is trained.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct SweepConfig {
    /// Settings of all runs.
    pub settings: Vec<String>,
    /// What varies.
    pub variations: Vec<Variation>,
    /// So many of the combinations; without it, all.
    pub random: Option<usize>,
    /// What these are drawn from.
    pub seed: u64,
    /// Successive halving.
    pub halving: bool,
}

/// The runs of a sweep, each in a folder of its own.
#[derive(Debug)]
pub struct Sweep {
    recipe: PathBuf,
    folder: PathBuf,
    settings: Vec<String>,
    halving: bool,
    /// What the better of two runs is better by.
    metric: String,
    runs: Vec<SweepRun>,
}

/// A run of a sweep.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SweepRun {
    /// Its folder.
    pub run: PathBuf,
    /// What it has otherwise than the recipe: of each key that varies, its value.
    pub settings: Vec<String>,
    /// Why it failed, where it did.
    pub problem: Option<String>,
    /// Whether the better half went on without it.
    pub is_eliminated: bool,
    /// What it was worth at the last rung of a successive halving that it came to.
    pub worth: Option<f64>,
}

/// What a sweep tells those who watch it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SweepEvent<'a> {
    /// A run begins, or goes on.
    Begun {
        /// The run.
        run: &'a SweepRun,
        /// Its number, from 1, among those that are trained, and how many these are.
        number: [usize; 2],
        /// The steps that are done, and those up to which it is trained now.
        steps: [u64; 2],
        /// What its training tells before the first step.
        notes: &'a [String],
    },
    /// What happens in its training.
    Training(&'a Event),
    /// It has come as far as it should, or failed.
    Ended(&'a SweepRun),
    /// What is measured again, and why, in a sentence; the same perhaps of several runs.
    Note(String),
}

impl SweepRun {
    /// The name of its folder.
    fn name(&self) -> String {
        self.run.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

impl Sweep {
    /// Finds the runs of a sweep, and checks the recipe of each. Nothing is written.
    ///
    /// # Errors
    /// Where nothing varies, a recipe cannot be read with any of the values, or a run in the folder is of another recipe.
    pub fn new(recipe: &Path, config: SweepConfig, folder: &Path) -> Result<Self, Error> {
        let SweepConfig { settings, variations, random, seed, halving } = config;
        let wrong = |reason: String| descant_inference::Error::Recipe { path: recipe.to_owned(), reason };
        if variations.is_empty() {
            return Err(wrong("no key varies".to_owned()).into());
        }
        let all = combinations(&variations, random, seed).map_err(wrong)?;
        let run = |own: Vec<String>| {
            let run = folder.join(folder_name(&own));
            SweepRun { run, settings: own, problem: None, is_eliminated: false, worth: None }
        };
        let runs: Vec<SweepRun> = all.into_iter().map(run).collect();
        let metric = TrainConfig::LOSS.to_owned();
        let mut sweep = Self { recipe: recipe.to_owned(), folder: folder.to_owned(), settings, halving, metric, runs };
        let (mut metrics, mut first) = (Vec::new(), None);
        for i in 0..sweep.runs.len() {
            match sweep.recipe_of(&sweep.runs[i]) {
                Ok((recipe, _)) => metrics.push(recipe.train.best_metric),
                Err(error) if RunFolder::is_run(&sweep.runs[i].run) => return Err(error),
                Err(error) => {
                    sweep.runs[i].problem = Some(error.to_string());
                    first = first.or(Some(error));
                }
            }
        }
        if let Some(error) = first.filter(|_| metrics.is_empty()) {
            return Err(error);
        }
        if let Some(other) = metrics.iter().find(|&metric| halving && *metric != metrics[0]) {
            let reason =
                format!("runs that go by train.best_metric = {:?} and {other:?} cannot be compared", metrics[0]);
            return Err(wrong(reason).into());
        }
        sweep.metric = metrics.swap_remove(0);
        Ok(sweep)
    }

    /// The runs, in the order of the values.
    pub fn runs(&self) -> &[SweepRun] {
        &self.runs
    }

    /// The recipe of a run, and what is otherwise than the recipe of the sweep says; of one that was begun, its own.
    fn recipe_of(&self, run: &SweepRun) -> Result<(Recipe, Vec<String>), Error> {
        let settings = [&self.settings[..], &run.settings].concat();
        match RunFolder::is_run(&run.run) {
            true => {
                let (recipe, notes) = resumed_recipe(&run.run, &self.recipe, &settings)?;
                Ok((resumed(recipe, &Recipe::of_run(&run.run)?, &run.run)?, notes))
            }
            false => Ok((Recipe::load(&self.recipe, &settings)?, Vec::new())),
        }
    }

    /// Trains the runs, one after the other; whether all came to their end, rather than that `stop` was set. A run that is done is not
    /// trained again, and one that was broken off goes on. What is wrong with one is in [`Sweep::runs`], and the others go on.
    ///
    /// # Errors
    /// Where the folder cannot be written.
    pub fn run(
        &mut self,
        threads: usize,
        stop: &AtomicBool,
        mut watch: impl FnMut(SweepEvent<'_>),
    ) -> Result<bool, Error> {
        let write = |error| descant_inference::Error::io("create the folder", &self.folder, error);
        fs::create_dir_all(&self.folder).map_err(write)?;
        let (mut file, note) = RungFile::open(&self.folder)?;
        note.into_iter().for_each(|note| watch(SweepEvent::Note(note)));
        let mut left: Vec<usize> = (0..self.runs.len()).filter(|&i| self.runs[i].problem.is_none()).collect();
        // Each halves the runs but the last, which comes to the end.
        let rungs = if self.halving { left.len().next_power_of_two().ilog2() } else { 0 };
        for rung in (0..=rungs).rev() {
            let share = 0.5_f64.powi(rung as i32);
            let mut values = Vec::new();
            for (number, &i) in (1..).zip(&left) {
                if stop.load(Ordering::Relaxed) {
                    return Ok(false);
                }
                let (known, is_otherwise) = self.known(&mut file, i, share, &mut watch)?;
                let found = match known {
                    Some(value) => Ok(Some(value)),
                    None => {
                        let found = self.train(i, share, [number, left.len()], threads, stop, &mut watch);
                        if let (Ok(Some(found)), true) = (&found, rung > 0) {
                            file.add(self.rung(i, share, *found)?)?;
                        }
                        found.map(|found| found.map(|(_, value)| value))
                    }
                };
                match found {
                    // What cannot be compared is none of the worse ones.
                    Ok(Some(value)) if rung > 0 && value.is_nan() => {
                        self.runs[i].problem =
                            Some(format!("it has no value of train.best_metric = {:?} there", self.metric));
                    }
                    Ok(Some(value)) => {
                        if rung > 0 {
                            self.runs[i].worth = Some(value).filter(|value| value.is_finite());
                        }
                        values.push((i, value));
                    }
                    _ if stop.load(Ordering::Relaxed) => return Ok(false),
                    Ok(None) => {}
                    Err(error @ Error::BeyondRung { .. }) if !is_otherwise => return Err(error),
                    Err(error) => self.runs[i].problem = Some(error.to_string()),
                }
                watch(SweepEvent::Ended(&self.runs[i]));
            }
            if rung > 0 {
                values.sort_by(|(_, a), (_, b)| compare_values(&self.metric, *a, *b));
                let kept = values.len().div_ceil(2);
                values[kept..].iter().for_each(|&(i, _)| self.runs[i].is_eliminated = true);
                left = values[..kept].iter().map(|&(i, _)| i).collect();
                left.sort_unstable();
            }
        }
        Ok(true)
    }

    /// What a run is known to have been worth at a share of its steps, and whether that is known with other settings alone: it is reported then, and
    /// not taken.
    fn known(
        &self,
        file: &mut RungFile,
        i: usize,
        share: f64,
        watch: &mut impl FnMut(SweepEvent<'_>),
    ) -> Result<(Option<f64>, bool), Error> {
        let run = &self.runs[i];
        if !RunFolder::is_run(&run.run) {
            file.begin(&run.name())?;
            return Ok((None, false));
        }
        if share == 1.0 {
            return Ok((None, false));
        }
        let found = file.value(&run.name(), share, &settings_of(&self.recipe_of(run)?.0));
        Ok(match found {
            Ok(value) => (value, false),
            Err(differences) => {
                let note = format!("What runs were worth with other settings is measured again: {differences}.");
                watch(SweepEvent::Note(note));
                (None, true)
            }
        })
    }

    /// What is written down of a run that was trained up to a share of its steps: this step, and what it is worth there.
    fn rung(&self, i: usize, share: f64, (step, value): (u64, f64)) -> Result<Rung, Error> {
        let run = &self.runs[i];
        let settings = settings_of(&self.recipe_of(run)?.0);
        Ok(Rung { run: run.name(), share, step, settings, value: Some(value).filter(|value| value.is_finite()) })
    }

    /// Trains a run up to a share of its steps; the step, and what it is worth there, or none where it was asked to stop before.
    fn train(
        &self,
        i: usize,
        share: f64,
        number: [usize; 2],
        threads: usize,
        stop: &AtomicBool,
        watch: &mut impl FnMut(SweepEvent<'_>),
    ) -> Result<Option<(u64, f64)>, Error> {
        let run = &self.runs[i];
        let (is_run, is_whole) = (RunFolder::is_run(&run.run), share == 1.0);
        let (recipe, mut notes) = self.recipe_of(run)?;
        if is_run && is_whole {
            let outcome = RunInfo::training(&run.run)?.and_then(|progress| Outcome::of(&recipe.train, &progress));
            if outcome.is_some() {
                return Ok(Some((0, f64::NAN)));
            }
        }
        let resume = is_run || RunFolder::is_starting(&run.run);
        let mut trainer = Trainer::new(recipe, &run.run, threads, resume)?;
        let until = if is_whole { u64::MAX } else { (share * trainer.steps() as f64).ceil() as u64 };
        if !is_whole && trainer.validation.is_none() {
            return Err(trainer.recipe().wrong(NO_VALIDATION).into());
        }
        if trainer.steps_done() > until {
            return Err(Error::BeyondRung { path: run.run.clone(), step: trainer.steps_done(), until });
        }
        notes.extend_from_slice(trainer.notes());
        let steps = [trainer.steps_done(), until.min(trainer.steps())];
        watch(SweepEvent::Begun { run, number, steps, notes: &notes });
        let is_there = |trainer: &Trainer| {
            let has_come = trainer.steps_done() >= until && !trainer.progress.validation_due;
            has_come || trainer.outcome().is_some()
        };
        if !is_there(&trainer) {
            trainer.run_until(until, stop, |event| watch(SweepEvent::Training(event)))?;
        }
        let step = trainer.steps_done();
        match is_there(&trainer) {
            false => Ok(None),
            true if is_whole => Ok(Some((step, f64::NAN))),
            true => match worth(&mut trainer, stop) {
                Err(Error::Stopped) => Ok(None),
                value => Ok(Some((step, value?))),
            },
        }
    }
}

const NO_VALIDATION: &str = "nothing is held out to validate on, which successive halving goes by. Set data.validation, or raise \
                             data.validation_share";

/// The better of a training's best validation and of one now.
fn worth(trainer: &mut Trainer, stop: &AtomicBool) -> Result<f64, Error> {
    let Some(now) = trainer.measure(stop)? else { return Err(trainer.recipe().wrong(NO_VALIDATION).into()) };
    let best = trainer.best().map_or(f64::NAN, |(best, _)| best);
    Ok(if is_better(&trainer.recipe().train.best_metric, best, now) { best } else { now })
}
