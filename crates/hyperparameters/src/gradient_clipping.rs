use crate::ranges::above_0;
use descant_kernels::Real;
use serde::{Deserialize, Serialize};

/// Gradient clipping: `clip = { norm = 1.0 }`, `clip = { agc = 0.01 }` and the like, or `clip = "none"` in a recipe.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClippingConfig {
    /// No clipping.
    None,
    /// By global norm: a gradient whose norm over all parameters is larger is scaled down to this norm (Pascanu et al. 2013,
    /// arXiv 1211.5063).
    Norm(f64),
    /// By value: every element is clamped between the negative of this and this.
    Value(f64),
    /// By the norm of each parameter: its gradient is scaled down to this norm if it is larger.
    ParameterNorm(f64),
    /// Adaptive gradient clipping (Brock et al. 2021, arXiv 2102.06171): the gradient of each unit, that is of each row of a
    /// matrix and of each vector as a whole, is scaled down to this share of the norm of its weights, if it is larger. The output layer is
    /// left out, as in the paper.
    Agc(f64),
    /// ZClip (Kumar et al. 2025, arXiv 2504.02507): a gradient whose global norm lies more than this many standard deviations
    /// above the mean of those before is scaled down.
    Zclip(f64),
}

/// The clipping of one step: every element of the gradient is multiplied by `scale`, then clamped to `-limit..=limit`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clipping {
    /// The factor of every element.
    pub scale: f64,
    /// The largest magnitude of an element.
    pub limit: f64,
}

impl Default for Clipping {
    /// No clipping.
    fn default() -> Self {
        Self { scale: 1.0, limit: f64::INFINITY }
    }
}

impl Clipping {
    /// What it does to an element.
    #[inline(always)]
    pub(crate) fn of_element<E: Real>(self) -> impl Fn(E) -> E + Copy {
        let (scale, limit) = (E::of(self.scale), E::of(self.limit));
        move |element| (element * scale).clamp(-limit, limit)
    }
}

impl ClippingConfig {
    /// All kinds but `"none"`, each with a usual number.
    pub const KINDS: &[(&str, f64)] =
        &[("norm", 1.0), ("value", 0.5), ("parameter_norm", 1.0), ("agc", 0.01), ("zclip", 2.5)];

    /// Of a gradient with this norm, what is the same for all its elements, and for whatever gradients came before.
    pub fn clipping(self, norm: f64) -> Clipping {
        match self {
            Self::Norm(limit) if norm > limit => Clipping { scale: limit / norm, ..Clipping::default() },
            Self::Value(limit) => Clipping { limit, ..Clipping::default() },
            Self::Norm(_) | Self::None | Self::ParameterNorm(_) | Self::Agc(_) | Self::Zclip(_) => Clipping::default(),
        }
    }

    /// Checks the range of the number.
    ///
    /// # Errors
    /// The key, its value, and what is expected.
    pub fn validate(&self) -> Result<(), String> {
        match *self {
            Self::None => Ok(()),
            Self::Norm(value) => above_0("train.clip.norm", value),
            Self::Value(value) => above_0("train.clip.value", value),
            Self::ParameterNorm(value) => above_0("train.clip.parameter_norm", value),
            Self::Agc(value) => above_0("train.clip.agc", value),
            Self::Zclip(value) => above_0("train.clip.zclip", value),
        }
    }
}
