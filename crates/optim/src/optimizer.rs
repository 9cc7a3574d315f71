use crate::chunk::{CHUNK, Parts};
use crate::lbfgs::{History, NAMES};
use descant_autograd::{GradientLayout, Gradients, ParameterId, Parameters};
use descant_hyperparameters::{Chunk, Clipping, OptimizerConfig, Step};
use descant_kernels::{FlushSubnormals, Real, zip_into};
use descant_tensor::{Buffer, DType, Element, Error, Result};
use rayon::prelude::*;

/// An optimizer with its state, flat buffers, and the number of steps.
#[derive(Clone, Debug)]
pub struct Optimizer {
    /// The updates that its parameters have, each once: with weight decay, without, and others that stand in.
    configs: Vec<OptimizerConfig>,
    /// Which of them each parameter has.
    config_of: Vec<usize>,
    state: Vec<State>,
    layout: GradientLayout,
    steps: u64,
    /// Of an optimizer that averages the weights: the sum of the weights of all steps, and the largest learning rate, in f64.
    averaging: Option<[Buffer; 2]>,
    /// Of L-BFGS, what it knows of the steps before.
    history: Option<History>,
}

/// The names of the buffers of [`Optimizer::averaging`].
const AVERAGING: [&str; 2] = ["weight_sum", "lr_max"];

/// A buffer of the state, with PyTorch's name, and where the numbers of each parameter lie in it.
#[derive(Clone, Debug)]
struct State {
    name: &'static str,
    buffer: Buffer,
    layout: GradientLayout,
}

impl Optimizer {
    /// An optimizer for these parameters, before its first step.
    ///
    /// # Errors
    /// [`Error::Pattern`] for a pattern, such as those of [`OptimizerConfig::no_decay`], that is invalid, or matches no parameter and is not one of
    /// the defaults; for parameters that are not row-major, as those that are loaded for inference.
    pub fn new(config: OptimizerConfig, parameters: &Parameters) -> Result<Self> {
        parameters.check_row_major()?;
        let mut configs: Vec<OptimizerConfig> = Vec::new();
        let names: Vec<&str> = parameters.ids().map(|id| parameters.name(id)).collect();
        let decay_factors = config.decay_factors(&names).map_err(|reason| Error::Pattern { reason })?;
        let index = |(id, decay_factor): (ParameterId, f64)| {
            let own = config.of_parameter(parameters.name(id), parameters.shape(id), decay_factor);
            configs.iter().position(|config| *config == own).unwrap_or_else(|| {
                configs.push(own);
                configs.len() - 1
            })
        };
        let config_of: Vec<usize> = parameters.ids().zip(decay_factors).map(index).collect();
        let initial = config.initial_state();
        let buffer = |len: usize| match Buffer::zeros(parameters.dtype(), len) {
            zeros if initial == 0.0 => zeros,
            Buffer::F32(mut elements) => {
                elements.fill(initial as f32);
                Buffer::F32(elements)
            }
            Buffer::F64(mut elements) => {
                elements.fill(initial);
                Buffer::F64(elements)
            }
        };
        let state = config.state_names().iter().map(|&name| {
            let len = |(id, &config): (ParameterId, &usize)| match parameters.is_trainable(id) {
                true => configs[config].state_len(name, parameters.shape(id)),
                false => 0,
            };
            let layout = GradientLayout::new(parameters.ids().zip(&config_of).map(len));
            State { name, buffer: buffer(layout.len()), layout }
        });
        let state = state.collect();
        let averaging = config.average().map(|_| [0, 1].map(|_| Buffer::zeros(DType::F64, 1)));
        let layout = parameters.gradient_layout();
        let history = config.history_size().map(|size| History::new(size, parameters.dtype(), layout.len()));
        Ok(Self { configs, config_of, state, layout, steps: 0, averaging, history })
    }

    /// One step, on the threads of the current rayon pool. Frozen parameters do not change.
    ///
    /// # Errors
    /// [`NoGradient`](descant_tensor::Error::NoGradient) if a trainable parameter has received no gradient;
    /// [`Mismatch`](descant_tensor::Error::Mismatch) for the gradients of other parameters, or if other parameters are
    /// trainable than when the optimizer was created.
    pub fn step(
        &mut self,
        parameters: &mut Parameters,
        gradients: &Gradients,
        learning_rate: f64,
        clipping: Clipping,
    ) -> Result<()> {
        self.check(parameters, gradients)?;
        self.steps += 1;
        let average = self.averaging.as_mut().map_or(0.0, |averaging| {
            let [sum, largest] = averaging.each_mut().map(|buffer| &mut f64::slice_mut(buffer)[0]);
            *largest = largest.max(learning_rate);
            let weight = *largest * *largest;
            *sum += weight;
            if *sum > 0.0 { weight / *sum } else { 0.0 }
        });
        let step = Step { lr: learning_rate, number: self.steps, average, clipping };
        match parameters.dtype() {
            DType::F32 => self.sweep::<f32>(parameters, gradients, step),
            DType::F64 => self.sweep::<f64>(parameters, gradients, step),
        }
        Ok(())
    }

    fn check(&self, parameters: &Parameters, gradients: &Gradients) -> Result<()> {
        gradients.check(parameters)?;
        match *gradients.layout() == self.layout {
            true => Ok(()),
            false => Err(Error::Mismatch { gradients: gradients.layout().len(), parameters: self.layout.len() }),
        }
    }

    /// Whether a step is a search along a direction, for [`Optimizer::search`].
    pub fn searches(&self) -> bool {
        self.history.is_some()
    }

    /// One step of L-BFGS, from weights with these gradients and this loss: `evaluate` gives the loss with other weights, and its slope along a
    /// direction ([`slope`](crate::slope)). Of another optimizer, nothing changes.
    ///
    /// # Errors
    /// As [`Optimizer::step`], and whatever an evaluation fails with: the weights are as before then.
    pub fn search(
        &mut self,
        parameters: &mut Parameters,
        gradients: &Gradients,
        (loss, learning_rate): (f64, f64),
        evaluate: impl FnMut(&Parameters, &Buffer) -> Result<[f64; 2]>,
    ) -> Result<()> {
        self.check(parameters, gradients)?;
        let Some(history) = &mut self.history else { return Ok(()) };
        self.steps += 1;
        match parameters.dtype() {
            DType::F32 => history.iterate::<f32>(parameters, gradients, (loss, learning_rate), evaluate),
            DType::F64 => history.iterate::<f64>(parameters, gradients, (loss, learning_rate), evaluate),
        }
    }

    fn sweep<E: Real>(&mut self, parameters: &mut Parameters, gradients: &Gradients, step: Step) {
        let spans = self.spans(parameters);
        let shapes: Vec<_> = spans.iter().map(|span| parameters.shape(span.first)).collect();
        let state = self.state.iter_mut();
        let mut state: Vec<(&str, &GradientLayout, Parts<'_, E>)> =
            state.map(|State { name, buffer, layout }| (*name, &*layout, Parts::new(E::slice_mut(buffer)))).collect();
        let mut x = Parts::new(E::slice_mut(parameters.buffer_mut()));
        let g = E::slice(gradients.buffer());
        let mut chunks = Vec::with_capacity(g.len() / CHUNK + spans.len());
        for (Span { first, weight, place, len, lr_scale, config }, shape) in spans.into_iter().zip(shapes) {
            let config = &self.configs[config];
            let step = Step { lr: lr_scale * step.lr, ..step };
            let most = if config.is_whole() { len } else { CHUNK };
            for start in (0..len).step_by(most.max(1)) {
                let len = most.min(len - start);
                let own = config.state_names().iter().filter_map(|name| {
                    let (_, layout, parts) = state.iter_mut().find(|(own, ..)| own == name)?;
                    let range = layout.range(first);
                    let run = range.start + start..range.start + start + len;
                    Some(parts.take(if config.is_whole() { range } else { run }))
                });
                let mut own = own.collect::<Vec<_>>().into_iter();
                let state = std::array::from_fn(|_| own.next().unwrap_or_default());
                let at = |from: usize| from + start..from + start + len;
                chunks.push((config, Chunk { shape, x: x.take(at(weight)), g: &g[at(place)], state }, step));
            }
        }
        // Whole parameters may take long: each chunk is for whichever thread is free.
        chunks.into_par_iter().with_max_len(1).for_each(|(config, chunk, step)| {
            let _flush = FlushSubnormals::new();
            config.update(chunk, step);
        });
    }

    /// The trainable parameters; adjacent ones with the same update are joined, unless that is of whole parameters.
    fn spans(&self, parameters: &Parameters) -> Vec<Span> {
        let mut spans: Vec<Span> = Vec::new();
        for first in parameters.ids().filter(|&id| parameters.is_trainable(id)) {
            let (weight, place) = (parameters.range(first).start, self.layout.range(first));
            let (lr_scale, config) = (parameters.lr_scale(first), self.config_of[first.index() as usize]);
            let is_whole = self.configs[config].is_whole();
            let follows = |last: &Span| {
                [last.weight + last.len, last.place + last.len] == [weight, place.start]
                    && (last.lr_scale, last.config) == (lr_scale, config)
            };
            match spans.last_mut().filter(|last| !is_whole && follows(last)) {
                Some(last) => last.len += place.len(),
                None => spans.push(Span { first, weight, place: place.start, len: place.len(), lr_scale, config }),
            }
        }
        spans
    }

    /// The number of steps so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The state buffers by PyTorch's names, always in the same order.
    pub fn state(&self) -> impl Iterator<Item = (&'static str, &Buffer)> {
        let state = self.state.iter().map(|state| (state.name, &state.buffer));
        let state = state.chain(self.averaging.iter().flat_map(|averaging| AVERAGING.into_iter().zip(averaging)));
        state.chain(self.history.iter().flat_map(|history| NAMES.into_iter().zip(&history.buffers)))
    }

    /// Whether it averages the weights itself.
    pub fn has_average(&self) -> bool {
        self.averaging.is_some()
    }

    /// Writes its average of the weights, after a step, into others like them.
    pub(crate) fn write_average(&self, weights: &Parameters, average: &mut Parameters) {
        match weights.dtype() {
            DType::F32 => self.write_average_of::<f32>(weights, average),
            DType::F64 => self.write_average_of::<f64>(weights, average),
        }
    }

    fn write_average_of<E: Real>(&self, weights: &Parameters, average: &mut Parameters) {
        let Some(state) = self.state.first() else { return };
        for id in weights.ids().filter(|&id| weights.is_trainable(id)) {
            let Some(share) = self.configs[self.config_of[id.index() as usize]].average() else { continue };
            let (y, z) = (weights.values::<E>(id), &E::slice(&state.buffer)[state.layout.range(id)]);
            let chunks = average.values_mut::<E>(id).par_chunks_mut(CHUNK);
            chunks.zip(y.par_chunks(CHUNK)).zip(z.par_chunks(CHUNK)).for_each(|((x, y), z)| {
                let _flush = FlushSubnormals::new();
                let share = E::of(share);
                zip_into(x, y, z, |_, y, z| y + share * (z - y));
            });
        }
    }

    /// Restores what [`Optimizer::steps`] and [`Optimizer::state`] returned.
    ///
    /// # Errors
    /// If the buffers do not fit this optimizer and its parameters.
    pub fn restore(&mut self, steps: u64, buffers: Vec<Buffer>) -> std::result::Result<(), String> {
        let alike = |(a, b): (&Buffer, &Buffer)| a.len() == b.len() && a.dtype() == b.dtype();
        let own = self.state().map(|(_, buffer)| buffer);
        if buffers.len() != own.count() || !self.state().map(|(_, buffer)| buffer).zip(&buffers).all(alike) {
            return Err("the optimizer's state is of another optimizer, or of other parameters".to_owned());
        }
        let own = self.state.iter_mut().map(|state| &mut state.buffer).chain(self.averaging.iter_mut().flatten());
        let own = own.chain(self.history.iter_mut().flat_map(|history| &mut history.buffers));
        own.zip(buffers).for_each(|(own, restored)| *own = restored);
        self.steps = steps;
        Ok(())
    }
}

/// A whole parameter, or adjacent ones, with the same update.
struct Span {
    first: ParameterId,
    /// Where the weights start.
    weight: usize,
    /// Where the gradients start.
    place: usize,
    len: usize,
    /// The factor of the learning rate.
    lr_scale: f64,
    config: usize,
}
