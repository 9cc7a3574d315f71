use crate::carried_state::{CarriedState, hidden};
use crate::gradient_flow::{Activations, BeforeStep, GradientFlow, dead_rows};
use crate::objective::Objective;
use crate::objective_loss::{Measures, add};
use crate::scheduled_sampling::sampled_inputs;
use descant_autograd::{Gradients, Graph, ParameterId, Parameters, Tape, derive_seed};
use descant_batch::Batch;
use descant_hyperparameters::{Clipping, ClippingConfig, ZclipState};
use descant_models::{DecoderState, Generator};
use descant_optim::{Optimizer, tree_sum};
use descant_tensor::{Error, Result};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::Location;
use std::sync::Arc;

/// Data-parallel replicas: each runs forward and backward over its share of a batch.
///
/// The number of shares is part of the training, the number of threads is not: shares are cut in a fixed order, and their
/// losses and gradients are summed along a fixed binary tree, so the result has the same bits on any number of threads.
#[derive(Debug)]
pub struct Replicas {
    threads: rayon::ThreadPool,
    replicas: Vec<Replica>,
    objective: Arc<Objective>,
    sampling: f64,
}

#[derive(Debug)]
struct Replica {
    tape: Tape,
    /// Allocated at the first backward: an evaluation has none.
    gradients: Option<Gradients>,
    /// What the next pass shows, where it is asked for.
    observed: Option<Observed>,
}

/// What a pass shows of the layers.
#[derive(Debug, Default)]
struct Observed {
    activations: Activations,
    /// The rows of tables that it read.
    rows: BTreeMap<ParameterId, BTreeSet<u32>>,
}

/// The models of a pass.
#[derive(Clone, Copy)]
struct Models<'a> {
    model: &'a dyn Generator,
    parameters: &'a Parameters,
    objective: &'a Objective,
    /// The probability of scheduled sampling.
    sampling: f64,
}

/// [`Tape::train`] or [`Tape::detect_anomaly`].
type Start = for<'t> fn(&'t mut Tape, &'t Parameters, u64) -> Graph<'t>;

/// The loss of one optimizer step.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct StepLoss {
    /// The loss summed over all targets.
    pub sum: f64,
    /// The divisor for the mean.
    pub weight: f64,
    /// What is measured beside it, summed too.
    pub measures: Measures,
}

impl Replicas {
    /// `shares` replicas on `threads` threads.
    ///
    /// # Errors
    /// Where the system starts no more threads.
    pub fn new(shares: usize, threads: usize) -> std::result::Result<Self, rayon::ThreadPoolBuildError> {
        let threads =
            rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(|i| format!("replica-{i}")).build()?;
        let replica = || Replica { tape: Tape::new(), gradients: None, observed: None };
        let replicas = (0..shares.max(1)).map(|_| replica()).collect();
        Ok(Self { threads, replicas, objective: Arc::default(), sampling: 0.0 })
    }

    /// The same for another objective than the model's own loss.
    #[must_use]
    pub fn with_objective(self, objective: Objective) -> Self {
        Self { objective: objective.into(), ..self }
    }

    /// Sets the objective.
    pub(crate) fn set_objective(&mut self, objective: Objective) {
        self.objective = objective.into();
    }

    /// Sets the probability with which the next steps read a token of the model itself in place of the text's (scheduled sampling).
    pub fn set_scheduled_sampling(&mut self, probability: f64) {
        self.sampling = probability;
    }

    /// What they minimise.
    pub(crate) fn objective(&self) -> &Arc<Objective> {
        &self.objective
    }

    /// Forward and backward over `batches` (gradient accumulation). The gradients of the mean loss over all of them stay in
    /// the replicas for [`Replicas::reduce`]. `seed` is the step's own. With a `carried` state, each batch goes on from the end of the one
    /// before, and the state becomes that at the end of the last one.
    ///
    /// # Errors
    /// The first failure, in the order of the shares; a carried state of another number of shares, or of fewer rows than a batch.
    #[track_caller]
    pub fn forward_backward(
        &mut self,
        model: &dyn Generator,
        parameters: &Parameters,
        batches: &[Batch],
        seed: u64,
        carried: Option<&mut CarriedState>,
    ) -> Result<StepLoss> {
        let shares = self.replicas.len();
        let weight: f64 = batches.iter().map(|batch| self.objective.weight(model, batch)).sum();
        let (cut, states) = cut(batches, shares, carried)?;
        let Self { threads, replicas, objective, sampling } = self;
        let models = Models { model, parameters, objective, sampling: *sampling };
        let losses: Vec<Result<(f64, Measures)>> = threads.install(|| {
            replicas
                .par_iter_mut()
                .zip(states)
                .with_max_len(1)
                .enumerate()
                .map(|(share, (replica, mut state))| {
                    replica.gradients.get_or_insert_with(|| parameters.gradients()).zero_lazily();
                    let (mut total, mut measures) = (0.0, Measures::new());
                    let mut ran = false;
                    for (i, parts) in cut.iter().enumerate() {
                        let part = &parts[share];
                        if part.target.tokens() > 0 {
                            let seed = derive_seed(derive_seed(seed, i as u64), share as u64);
                            let found = replica.run(models, part, weight, seed, Tape::train, state.as_deref_mut())?;
                            total += found.0;
                            add(&mut measures, found.1);
                            ran = true;
                        }
                    }
                    if !ran {
                        replica.gradients.iter_mut().for_each(Gradients::clear);
                    }
                    Ok((total, measures))
                })
                .collect()
        });
        let (losses, all): (Vec<f64>, Vec<Measures>) =
            losses.into_iter().collect::<Result<Vec<_>>>()?.into_iter().unzip();
        let mut measures = Measures::new();
        all.into_iter().for_each(|found| add(&mut measures, found));
        Ok(StepLoss { sum: tree_sum(&losses), weight, measures })
    }

    /// Sums all replicas' gradients into the first one's, along a fixed tree, and returns the norm of the sum.
    pub fn reduce(&mut self) -> f64 {
        let Self { threads, replicas, .. } = self;
        let (first, others) = replicas.split_at_mut(1);
        let others: Vec<&Gradients> = others.iter().filter_map(|replica| replica.gradients.as_ref()).collect();
        let Some(total) = &mut first[0].gradients else { return 0.0 };
        threads.install(|| descant_optim::tree_sum_gradients(total, &others)).sqrt()
    }

    /// Clips the gradients of [`Replicas::reduce`], which returned their norm: what is left of it for [`Replicas::update`].
    pub fn clip(
        &mut self,
        model: &dyn Generator,
        config: ClippingConfig,
        zclip: &mut ZclipState,
        parameters: &Parameters,
        norm: f64,
    ) -> Clipping {
        let Self { threads, replicas, .. } = self;
        let Some(gradients) = &mut replicas[0].gradients else { return Clipping::default() };
        let output = model.output().parameters();
        threads.install(|| descant_optim::clip_gradients(config, zclip, parameters, &output, gradients, norm))
    }

    /// Runs `f` on the threads of the replicas.
    pub fn install<R: Send>(&self, f: impl FnOnce() -> R + Send) -> R {
        self.threads.install(f)
    }

    /// One optimizer step with the gradients of [`Replicas::reduce`].
    ///
    /// # Errors
    /// Those of [`Optimizer::step`].
    pub fn update(
        &self,
        optimizer: &mut Optimizer,
        parameters: &mut Parameters,
        learning_rate: f64,
        clipping: Clipping,
    ) -> Result<()> {
        // Before any backward there are none, which the optimizer reports.
        let none = self.replicas[0].gradients.is_none().then(|| parameters.gradients());
        let Some(gradients) = self.replicas[0].gradients.as_ref().or(none.as_ref()) else { return Ok(()) };
        self.threads.install(|| optimizer.step(parameters, gradients, learning_rate, clipping))
    }

    /// The same for an optimizer that searches along a direction: from the loss that [`Replicas::forward_backward`] found on these batches, which
    /// run again with other weights.
    ///
    /// # Errors
    /// Those of [`Optimizer::search`].
    #[track_caller]
    pub fn search(
        &mut self,
        optimizer: &mut Optimizer,
        (model, parameters): (&dyn Generator, &mut Parameters),
        (batches, seed): (&[Batch], u64),
        (loss, learning_rate): (f64, f64),
    ) -> Result<()> {
        let Some(gradients) = self.replicas[0].gradients.clone() else { return Ok(()) };
        optimizer.search(parameters, &gradients, (loss, learning_rate), |parameters, direction| {
            let found = self.forward_backward(model, parameters, batches, seed, None)?;
            self.reduce();
            let gradients = self.replicas[0].gradients.as_ref();
            let slope = gradients.map_or(0.0, |gradients| descant_optim::slope(gradients, direction));
            Ok([found.sum * mean(found.weight), slope])
        })
    }

    /// Runs `f` on every item, each with the tape of a replica, as many at a time as there are replicas; the results in
    /// the items' order.
    pub fn map<T: Sync, R: Send>(&mut self, items: &[T], f: impl Fn(&mut Tape, &T) -> R + Sync) -> Vec<R> {
        let Self { threads, replicas, .. } = self;
        let mut results = Vec::with_capacity(items.len());
        for items in items.chunks(replicas.len()) {
            let pairs = replicas.par_iter_mut().zip(items).with_max_len(1);
            let round: Vec<R> = threads.install(|| pairs.map(|(replica, item)| f(&mut replica.tape, item)).collect());
            results.extend(round);
        }
        results
    }

    /// Whether the next forward looks at the activations of the first share.
    pub(crate) fn ask_activations(&mut self, is_asked: bool) {
        self.replicas[0].observed = is_asked.then(Observed::default);
    }

    /// Those that were asked for; after [`Replicas::reduce`].
    pub(crate) fn take_activations(&mut self, parameters: &Parameters) -> Activations {
        let first = &mut self.replicas[0];
        let Observed { mut activations, rows } = first.observed.take().unwrap_or_default();
        for (table, rows) in rows {
            let found = activations.get_mut(parameters.name(table)).zip(first.gradients.as_ref());
            if let Some((found, gradients)) = found {
                found.dead_rows = Some(dead_rows(gradients, parameters, table, &rows));
            }
        }
        activations
    }

    /// What is kept of the parameters and the gradients of [`Replicas::reduce`] to see how they move the weights; none before any backward.
    pub(crate) fn before_step(&self, parameters: &Parameters) -> Option<BeforeStep> {
        let gradients = self.replicas[0].gradients.as_ref()?;
        Some(self.threads.install(|| BeforeStep::new(parameters, gradients)))
    }

    /// How the step has moved the weights.
    pub(crate) fn flow(&self, before: &BeforeStep, parameters: &Parameters) -> GradientFlow {
        self.threads.install(|| before.flow(parameters))
    }

    /// Runs the passes again with a check of every value and gradient, and returns the first that is not finite, or what
    /// [`Replicas::forward_backward`] fails with.
    #[track_caller]
    pub fn trace(
        &mut self,
        model: &dyn Generator,
        parameters: &Parameters,
        batches: &[Batch],
        seed: u64,
        carried: Option<&mut CarriedState>,
    ) -> Option<Error> {
        let shares = self.replicas.len();
        let weight: f64 = batches.iter().map(|batch| self.objective.weight(model, batch)).sum();
        let (cut, mut states) = match cut(batches, shares, carried) {
            Ok(cut) => cut,
            Err(error) => return Some(error),
        };
        let Self { replicas, objective, sampling, .. } = self;
        let models = Models { model, parameters, objective, sampling: *sampling };
        for (i, parts) in cut.iter().enumerate() {
            for (share, ((part, replica), state)) in parts.iter().zip(&mut *replicas).zip(&mut states).enumerate() {
                if part.target.tokens() == 0 {
                    continue;
                }
                replica.gradients.iter_mut().for_each(Gradients::clear);
                let seed = derive_seed(derive_seed(seed, i as u64), share as u64);
                let found = replica.run(models, part, weight, seed, Tape::detect_anomaly, state.as_deref_mut());
                if let Err(error) = found {
                    return Some(error);
                }
            }
        }
        None
    }

    /// How many replicas.
    pub fn shares(&self) -> usize {
        self.replicas.len()
    }

    /// How many buffers the tapes ever allocated.
    pub fn allocations(&self) -> u64 {
        self.replicas.iter().map(|replica| replica.tape.allocations()).sum()
    }
}

/// The shares of each batch, and the state that each share goes on from.
type Cut<'a> = (Vec<Vec<Batch>>, Vec<Option<&'a mut DecoderState>>);

/// Cuts batches into shares, those of a carried state where there is one.
#[track_caller]
fn cut<'a>(batches: &[Batch], shares: usize, carried: Option<&'a mut CarriedState>) -> Result<Cut<'a>> {
    let Some(carried) = carried else {
        return Ok((batches.iter().map(|batch| batch.shares(shares)).collect(), (0..shares).map(|_| None).collect()));
    };
    if carried.shares.len() != shares {
        let reason = format!("a carried state of {} shares for {shares} replicas", carried.shares.len());
        let location = Location::caller();
        return Err(Error::Shapes { op: "forward_backward", reason, inputs: Vec::new(), location });
    }
    let cut = batches.iter().map(|batch| batch.shares_by_row(shares));
    Ok((cut.collect(), carried.shares.iter_mut().map(Some).collect()))
}

/// The factor that makes a mean of a sum; 0 without weight.
fn mean(weight: f64) -> f64 {
    if weight > 0.0 { 1.0 / weight } else { 0.0 }
}

impl Replica {
    /// Forward and backward of a share: its part of the summed loss and measures, and its gradients of the mean loss.
    fn run(
        &mut self,
        models: Models<'_>,
        batch: &Batch,
        weight: f64,
        seed: u64,
        start: Start,
        carried: Option<&mut DecoderState>,
    ) -> Result<(f64, Measures)> {
        let Self { tape, gradients, observed } = self;
        let Models { model, parameters, objective, sampling } = models;
        let gradients = gradients.get_or_insert_with(|| parameters.gradients());
        let sampled;
        let batch = match sampling > 0.0 {
            true => {
                sampled = sampled_inputs(tape, (model, parameters), batch, carried.as_deref(), (sampling, seed))?;
                &sampled
            }
            false => batch,
        };
        let prepared = objective.prepare(tape, (model, parameters), batch, seed)?;
        let graph = start(tape, parameters, seed);
        let (loss, measures) = match carried {
            // Nothing else has a carried state.
            Some(_) => {
                let loss = model.output().loss(&hidden(model, graph, batch, carried)?, batch);
                (loss, Measures::new())
            }
            None => {
                let found = prepared.loss(graph, model, batch);
                (found.loss, found.measures?)
            }
        };
        let loss = loss.scale(mean(weight));
        if let Some(observed) = observed.as_mut().filter(|observed| observed.activations.is_empty()) {
            *observed = Observed { activations: graph.layer_activations(), rows: graph.rows_read() };
        }
        graph.backward(loss, gradients)?;
        Ok((loss.item()? * weight, measures))
    }
}
