use crate::chunk::Parts;
use descant_autograd::{Gradients, ParameterId, Parameters};
use descant_hyperparameters::{Clipping, ClippingConfig, ZclipState};
use descant_kernels::{FlushSubnormals, Real, scale, sum_of_squares};
use descant_tensor::DType;
use rayon::prelude::*;

/// What the norm of a unit's weights counts as at least, so that weights of zero can move.
const LEAST_NORM: f64 = 1e-3;

/// Clips gradients with this norm over all parameters, on the threads of the current rayon pool. What has to look at each parameter is done here; the rest is
/// left to the optimizer's pass, as the clipping that is returned. Parameters are row-major, as an optimizer requires. AGC leaves out those
/// of the `output` layer.
pub fn clip_gradients(
    config: ClippingConfig,
    zclip: &mut ZclipState,
    parameters: &Parameters,
    output: &[ParameterId],
    gradients: &mut Gradients,
    norm: f64,
) -> Clipping {
    match config {
        ClippingConfig::Zclip(threshold) => return zclip.clipping(threshold, norm),
        ClippingConfig::ParameterNorm(_) | ClippingConfig::Agc(_) => match parameters.dtype() {
            DType::F32 => clip_each::<f32>(config, parameters, output, gradients),
            DType::F64 => clip_each::<f64>(config, parameters, output, gradients),
        },
        ClippingConfig::None | ClippingConfig::Norm(_) | ClippingConfig::Value(_) => {}
    }
    *zclip = ZclipState::default();
    config.clipping(norm)
}

/// A unit: its weights, its gradients.
type Unit<'a, E> = (&'a [E], &'a mut [E]);

fn clip_each<E: Real>(
    config: ClippingConfig,
    parameters: &Parameters,
    output: &[ParameterId],
    gradients: &mut Gradients,
) {
    let is_agc = matches!(config, ClippingConfig::Agc(_));
    let layout = gradients.layout().clone();
    let mut parts = Parts::new(E::slice_mut(gradients.buffer_mut()));
    let mut units: Vec<Unit<'_, E>> = Vec::new();
    for id in parameters.ids().filter(|&id| parameters.is_trainable(id)) {
        let g = parts.take(layout.range(id));
        if is_agc && output.contains(&id) {
            continue;
        }
        let (weights, shape) = (parameters.values::<E>(id), parameters.shape(id));
        let rows = if is_agc && shape.rank() > 1 { shape.rows() } else { 1 };
        let width = (weights.len() / rows.max(1)).max(1);
        units.extend(weights.chunks(width).zip(g.chunks_mut(width)));
    }
    units.into_par_iter().for_each(|(weights, g)| {
        let _flush = FlushSubnormals::new();
        let limit = match config {
            ClippingConfig::Agc(share) => share * sum_of_squares(weights).sqrt().max(LEAST_NORM),
            ClippingConfig::ParameterNorm(limit) => limit,
            _ => return,
        };
        let norm = sum_of_squares(g).sqrt();
        if norm > limit {
            scale(E::of(limit / norm), g);
        }
    });
}
