//! What `tools/pytorch_optimizers.py` has written, and gradients of given values.

use descant_autograd::{Gradients, Parameters, Tape};
use descant_tensor::Buffer;
use safetensors::SafeTensors;

const REFERENCE: &[u8] = include_bytes!("../reference/optimizers.safetensors");

pub fn read(name: &str) -> Vec<f64> {
    let file = SafeTensors::deserialize(REFERENCE).unwrap();
    let view = file.tensor(name).unwrap();
    match view.dtype() {
        safetensors::Dtype::F64 => {
            view.data().chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect()
        }
        _ => view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()).into()).collect(),
    }
}

/// Gradients of these values, as a backward would leave them.
pub fn with(parameters: &Parameters, values: &[f64]) -> Gradients {
    let mut tape = Tape::new();
    let mut gradients = parameters.gradients();
    let graph = tape.train(parameters, 1);
    let loss = parameters.ids().map(|id| graph.parameter(id).sum()).reduce(|a, b| a + b).unwrap();
    graph.backward(loss, &mut gradients).unwrap();
    fill(&mut gradients, values);
    gradients
}

pub fn fill(gradients: &mut Gradients, values: &[f64]) {
    match gradients.buffer_mut() {
        Buffer::F32(x) => x.iter_mut().zip(values).for_each(|(x, &v)| *x = v as f32),
        Buffer::F64(x) => x.iter_mut().zip(values).for_each(|(x, &v)| *x = v),
    }
}
