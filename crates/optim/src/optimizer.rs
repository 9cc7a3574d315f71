use crate::rules::{adadelta, adagrad, adam, rmsprop, sgd};
use crate::{CHUNK, Clipping, OptimizerConfig};
use descant_autograd::{GradientLayout, Gradients, Parameters};
use descant_kernels::{FlushSubnormals, Real};
use descant_tensor::{Buffer, DType, Error, Result};
use glob::Pattern;
use rayon::prelude::*;

/// An optimizer with its state: buffers with a place for each trainable parameter, as gradients have it, and a count of
/// steps.
#[derive(Clone, Debug)]
pub struct Optimizer {
    /// For what decays, and for what does not.
    configs: [OptimizerConfig; 2],
    /// Which parameters do not.
    no_decay: Vec<bool>,
    state: Vec<(&'static str, Buffer)>,
    layout: GradientLayout,
    steps: u64,
}

/// Some neighbouring elements: weights, gradients, and what the optimizer remembers of them.
pub(crate) struct Chunk<'a, E> {
    pub(crate) x: &'a mut [E],
    pub(crate) g: &'a [E],
    pub(crate) state: [&'a mut [E]; 3],
}

impl Optimizer {
    /// An optimizer for these parameters, before its first step.
    ///
    /// # Errors
    /// [`Error::Parameter`] where a pattern of [`OptimizerConfig::no_decay`] is none, or matches no parameter, unless it is
    /// one of the default ones.
    pub fn new(config: OptimizerConfig, parameters: &Parameters) -> Result<Self> {
        let no_decay = undecayed(&config, parameters)?;
        let names: &[&'static str] = match config {
            OptimizerConfig::Sgd { momentum: 0.0, .. } => &[],
            OptimizerConfig::Sgd { .. } => &["momentum_buffer"],
            OptimizerConfig::Adagrad { .. } => &["sum"],
            OptimizerConfig::Adadelta { .. } => &["square_avg", "acc_delta"],
            OptimizerConfig::Rmsprop { momentum, centered, .. } => match (centered, momentum > 0.0) {
                (false, false) => &["square_avg"],
                (true, false) => &["square_avg", "grad_avg"],
                (false, true) => &["square_avg", "momentum_buffer"],
                (true, true) => &["square_avg", "grad_avg", "momentum_buffer"],
            },
            OptimizerConfig::Adam { .. } | OptimizerConfig::Adamw { .. } => &["exp_avg", "exp_avg_sq"],
        };
        let (dtype, layout) = (parameters.dtype(), parameters.gradient_layout());
        let len = layout.len();
        let mut state: Vec<_> = names.iter().map(|&name| (name, Buffer::zeros(dtype, len))).collect();
        if let OptimizerConfig::Adagrad { initial_accumulator_value: initial, .. } = config {
            match &mut state[0].1 {
                Buffer::F32(sum) => sum.fill(initial as f32),
                Buffer::F64(sum) => sum.fill(initial),
            }
        }
        Ok(Self { configs: [config.clone(), config.without_decay()], no_decay, state, layout, steps: 0 })
    }

    /// One step against the gradients, on the threads of the current rayon pool. Frozen parameters stay as they are.
    ///
    /// # Errors
    /// [`NoGradient`](descant_tensor::Error::NoGradient) where a trainable parameter has received no gradient, and
    /// [`Mismatch`](descant_tensor::Error::Mismatch) for those of other parameters, or where others are trainable than
    /// when the optimizer was made.
    pub fn step(
        &mut self,
        parameters: &mut Parameters,
        gradients: &Gradients,
        learning_rate: f64,
        clipping: Clipping,
    ) -> Result<()> {
        gradients.check(parameters)?;
        if *gradients.layout() != self.layout {
            let (gradients, parameters) = (gradients.layout().len(), self.layout.len());
            return Err(Error::Mismatch { gradients, parameters });
        }
        self.steps += 1;
        match parameters.dtype() {
            DType::F32 => self.sweep::<f32>(parameters, gradients, learning_rate, clipping),
            DType::F64 => self.sweep::<f64>(parameters, gradients, learning_rate, clipping),
        }
        Ok(())
    }

    fn sweep<E: Real>(&mut self, parameters: &mut Parameters, gradients: &Gradients, lr: f64, clipping: Clipping) {
        let spans = trainable(parameters, &self.layout, &self.no_decay);
        let mut state = self.state.iter_mut().map(|(_, buffer)| E::slice_mut(buffer));
        let mut rest: [&mut [E]; 3] = std::array::from_fn(|_| state.next().unwrap_or_default());
        let mut x = E::slice_mut(parameters.buffer_mut());
        let g = E::slice(gradients.buffer());
        let mut chunks = Vec::with_capacity(g.len() / CHUNK + spans.len());
        // Up to where weights, and gradients and state, are given out.
        let (mut weights, mut places) = (0, 0);
        for Span { mut weight, mut place, len, rate, decays } in spans {
            let end = place + len;
            while place < end {
                let len = CHUNK.min(end - place);
                let state = rest.each_mut().map(|buffer| take(buffer, place - places, len));
                let chunk = Chunk { x: take(&mut x, weight - weights, len), g: &g[place..place + len], state };
                chunks.push((chunk, rate * lr, decays));
                (weight, place) = (weight + len, place + len);
                (weights, places) = (weight, place);
            }
        }
        let ([decaying, plain], steps) = (&self.configs, self.steps);
        let update = |(chunk, lr, decays): (Chunk<'_, E>, f64, bool)| {
            let _flush = FlushSubnormals::new();
            let config = if decays { decaying } else { plain };
            match config {
                OptimizerConfig::Sgd { .. } => sgd::update(config, chunk, lr, steps, clipping),
                OptimizerConfig::Adagrad { .. } => adagrad::update(config, chunk, lr, steps, clipping),
                OptimizerConfig::Adadelta { .. } => adadelta::update(config, chunk, lr, clipping),
                OptimizerConfig::Rmsprop { .. } => rmsprop::update(config, chunk, lr, clipping),
                OptimizerConfig::Adam { .. } | OptimizerConfig::Adamw { .. } => {
                    adam::update(config, chunk, lr, steps, clipping);
                }
            }
        };
        chunks.into_par_iter().for_each(update);
    }

    /// Steps so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// What it remembers, by PyTorch's names, always in the same order.
    pub fn state(&self) -> impl Iterator<Item = (&'static str, &Buffer)> {
        self.state.iter().map(|(name, buffer)| (*name, buffer))
    }

    /// Goes on from what [`Optimizer::steps`] and [`Optimizer::state`] gave.
    ///
    /// # Errors
    /// Where the buffers are not those of this optimizer for these parameters.
    pub fn restore(&mut self, steps: u64, buffers: Vec<Buffer>) -> std::result::Result<(), String> {
        let alike = |(a, b): (&(&'static str, Buffer), &Buffer)| a.1.len() == b.len() && a.1.dtype() == b.dtype();
        if buffers.len() != self.state.len() || !self.state.iter().zip(&buffers).all(alike) {
            return Err("the optimizer's state is of another optimizer, or of other parameters".to_owned());
        }
        self.state.iter_mut().zip(buffers).for_each(|((_, buffer), restored)| *buffer = restored);
        self.steps = steps;
        Ok(())
    }
}

/// Takes `len` elements off the front, after `skipped` others; nothing of a buffer that is not there.
fn take<'a, E>(slice: &mut &'a mut [E], skipped: usize, len: usize) -> &'a mut [E] {
    if slice.is_empty() {
        return &mut [];
    }
    let (_, rest) = std::mem::take(slice).split_at_mut(skipped);
    let (taken, rest) = rest.split_at_mut(len);
    *slice = rest;
    taken
}

/// Some trainable parameters that lie one after the other, and are updated alike.
struct Span {
    /// Where their weights begin.
    weight: usize,
    /// Where their gradients begin, and what the optimizer remembers of them.
    place: usize,
    len: usize,
    /// What multiplies the learning rate.
    rate: f64,
    decays: bool,
}

/// The trainable parameters, neighbours alike joined.
fn trainable(parameters: &Parameters, layout: &GradientLayout, no_decay: &[bool]) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for id in parameters.ids().filter(|&id| parameters.is_trainable(id)) {
        let (weight, place, rate) = (parameters.range(id).start, layout.range(id), parameters.lr_scale(id));
        let decays = !no_decay[id.index() as usize];
        let follows = |last: &Span| {
            [last.weight + last.len, last.place + last.len] == [weight, place.start]
                && (last.rate, last.decays) == (rate, decays)
        };
        match spans.last_mut().filter(|last| follows(last)) {
            Some(last) => last.len += place.len(),
            None => spans.push(Span { weight, place: place.start, len: place.len(), rate, decays }),
        }
    }
    spans
}

/// Which parameters the patterns leave without decay.
fn undecayed(config: &OptimizerConfig, parameters: &Parameters) -> Result<Vec<bool>> {
    let mut undecayed = vec![false; parameters.len()];
    let default = OptimizerConfig::default();
    for pattern in config.no_decay() {
        let wrong = |reason: String| Error::Parameter { name: pattern.clone(), reason };
        let compiled = Pattern::new(pattern).map_err(|error| wrong(format!("optimizer.no_decay: {error}")))?;
        let mut found = default.no_decay().contains(pattern);
        for id in parameters.ids().filter(|&id| compiled.matches(parameters.name(id))) {
            undecayed[id.index() as usize] = true;
            found = true;
        }
        if !found {
            let names: Vec<&str> = parameters.ids().map(|id| parameters.name(id)).collect();
            return Err(wrong(format!("optimizer.no_decay: none is called that. There are {}", names.join(", "))));
        }
    }
    Ok(undecayed)
}
