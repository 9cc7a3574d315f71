use crate::Init;
use descant_autograd::{ParameterId, Parameters};
use descant_tensor::{DType, Shape};
use std::ops::Range;

/// A prefix of parameter names, under which a layer adds its parameters.
///
/// A parameter's random stream is seeded by the model's seed and its own name, so that adding a layer leaves the others
/// unchanged.
#[derive(Debug)]
pub struct Scope<'p> {
    parameters: &'p mut Parameters,
    prefix: String,
    seed: Option<u64>,
}

impl<'p> Scope<'p> {
    /// The outermost scope. Without a seed all parameters are zero, as for weights that are read from a file.
    pub fn new(parameters: &'p mut Parameters, seed: impl Into<Option<u64>>) -> Self {
        Self { parameters, prefix: String::new(), seed: seed.into() }
    }

    /// The scope `name` in this one.
    pub fn at(&mut self, name: impl AsRef<str>) -> Scope<'_> {
        let prefix = format!("{}{}.", self.prefix, name.as_ref());
        Scope { parameters: self.parameters, prefix, seed: self.seed }
    }

    /// Adds a parameter.
    pub fn parameter(&mut self, name: &str, shape: impl Into<Shape>, init: Init) -> ParameterId {
        let (name, shape) = (format!("{}{name}", self.prefix), shape.into());
        let id = self.parameters.add(&name, shape);
        if let Some(seed) = self.seed {
            let seed = seed ^ fnv(&name);
            match self.parameters.dtype() {
                DType::F32 => init.fill(self.parameters.values_mut::<f32>(id), seed),
                DType::F64 => init.fill(self.parameters.values_mut::<f64>(id), seed),
            }
        }
        id
    }

    /// Sets some values of a parameter, unless they are read from a file.
    pub fn overwrite(&mut self, id: ParameterId, range: Range<usize>, value: f64) {
        match (self.seed, self.parameters.dtype()) {
            (None, _) => {}
            (_, DType::F32) => self.parameters.values_mut::<f32>(id)[range].fill(value as f32),
            (_, DType::F64) => self.parameters.values_mut::<f64>(id)[range].fill(value),
        }
    }

    /// How many parameters there are so far, in all scopes.
    pub fn count(&self) -> usize {
        self.parameters.len()
    }

    /// The parameters that were added after the first `count`.
    pub fn since(&self, count: usize) -> Vec<ParameterId> {
        self.parameters.ids().skip(count).collect()
    }

    /// Adds a parameter that no optimizer changes.
    pub fn frozen(&mut self, name: &str, shape: impl Into<Shape>, values: impl FnOnce() -> Vec<f64>) -> ParameterId {
        let name = format!("{}{name}", self.prefix);
        let id = match self.seed {
            Some(_) => self.parameters.add_with(&name, shape, &values()),
            None => self.parameters.add(&name, shape),
        };
        self.parameters.set_trainable(id, false);
        id
    }
}

/// FNV-1a, 64 bits: a hash of names that never changes.
fn fnv(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
