use crate::chunk::CHUNK;
use descant_autograd::{GradientLayout, Gradients, Parameters};
use descant_hyperparameters::{Chunk, Clipping, OptimizerConfig, Step};
use descant_kernels::{FlushSubnormals, Real};
use descant_tensor::{Buffer, DType, Error, Result};
use glob::Pattern;
use rayon::prelude::*;

/// An optimizer with its state: flat buffers in the layout of the gradients, and the number of steps.
#[derive(Clone, Debug)]
pub struct Optimizer {
    /// With weight decay, and without.
    configs: [OptimizerConfig; 2],
    /// The parameters without weight decay.
    no_decay: Vec<bool>,
    state: Vec<(&'static str, Buffer)>,
    layout: GradientLayout,
    steps: u64,
}

impl Optimizer {
    /// An optimizer for these parameters, before its first step.
    ///
    /// # Errors
    /// [`Error::Parameter`] if a pattern of [`OptimizerConfig::no_decay`] is invalid, or matches no parameter and is not one of
    /// the defaults; for parameters that are not row-major, as those that are loaded for inference.
    pub fn new(config: OptimizerConfig, parameters: &Parameters) -> Result<Self> {
        parameters.check_row_major()?;
        let no_decay = undecayed(&config, parameters)?;
        let (dtype, layout) = (parameters.dtype(), parameters.gradient_layout());
        let initial = config.initial_state();
        let buffer = || match Buffer::zeros(dtype, layout.len()) {
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
        let state = config.state_names().iter().map(|&name| (name, buffer())).collect();
        Ok(Self { configs: [config.clone(), config.without_decay()], no_decay, state, layout, steps: 0 })
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
        // Where the next chunk of the weights starts, and of gradients and state.
        let (mut weights, mut places) = (0, 0);
        for Span { mut weight, mut place, len, lr_scale, decays } in spans {
            let end = place + len;
            while place < end {
                let len = CHUNK.min(end - place);
                let state = rest.each_mut().map(|buffer| take(buffer, place - places, len));
                let chunk = Chunk { x: take(&mut x, weight - weights, len), g: &g[place..place + len], state };
                chunks.push((chunk, lr_scale * lr, decays));
                (weight, place) = (weight + len, place + len);
                (weights, places) = (weight, place);
            }
        }
        let ([decaying, plain], number) = (&self.configs, self.steps);
        let update = |(chunk, lr, decays): (Chunk<'_, E>, f64, bool)| {
            let _flush = FlushSubnormals::new();
            let config = if decays { decaying } else { plain };
            config.update(chunk, Step { lr, number, clipping });
        };
        chunks.into_par_iter().for_each(update);
    }

    /// The number of steps so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The state buffers by PyTorch's names, always in the same order.
    pub fn state(&self) -> impl Iterator<Item = (&'static str, &Buffer)> {
        self.state.iter().map(|(name, buffer)| (*name, buffer))
    }

    /// Restores what [`Optimizer::steps`] and [`Optimizer::state`] returned.
    ///
    /// # Errors
    /// If the buffers do not fit this optimizer and its parameters.
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

/// Splits `len` elements off the front, after `skipped` others; an absent buffer gives none.
fn take<'a, E>(slice: &mut &'a mut [E], skipped: usize, len: usize) -> &'a mut [E] {
    if slice.is_empty() {
        return &mut [];
    }
    let (_, rest) = std::mem::take(slice).split_at_mut(skipped);
    let (taken, rest) = rest.split_at_mut(len);
    *slice = rest;
    taken
}

/// Adjacent trainable parameters with the same update.
struct Span {
    /// Where their weights start.
    weight: usize,
    /// Where their gradients and state start.
    place: usize,
    len: usize,
    /// The factor of the learning rate.
    lr_scale: f64,
    decays: bool,
}

/// The trainable parameters, adjacent ones with the same update joined.
fn trainable(parameters: &Parameters, layout: &GradientLayout, no_decay: &[bool]) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for id in parameters.ids().filter(|&id| parameters.is_trainable(id)) {
        let (weight, place, lr_scale) = (parameters.range(id).start, layout.range(id), parameters.lr_scale(id));
        let decays = !no_decay[id.index() as usize];
        let follows = |last: &Span| {
            [last.weight + last.len, last.place + last.len] == [weight, place.start]
                && (last.lr_scale, last.decays) == (lr_scale, decays)
        };
        match spans.last_mut().filter(|last| follows(last)) {
            Some(last) => last.len += place.len(),
            None => spans.push(Span { weight, place: place.start, len: place.len(), lr_scale, decays }),
        }
    }
    spans
}

/// Which parameters the patterns exempt from weight decay.
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
