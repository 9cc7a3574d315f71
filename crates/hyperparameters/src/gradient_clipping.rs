use crate::ranges::above_0;
use serde::{Deserialize, Serialize};

/// Gradient clipping: `clip = { norm = 1.0 }`, `clip = { value = 0.5 }` or `clip = "none"` in a recipe.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClippingConfig {
    /// No clipping.
    None,
    /// By global norm: a gradient whose norm over all parameters is larger is scaled down to this norm (Pascanu et al. 2013,
    /// arXiv 1211.5063).
    Norm(f64),
    /// By value: every element is clamped between the negative of this and this.
    Value(f64),
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

impl ClippingConfig {
    /// The clipping of a gradient with this norm.
    pub fn clipping(self, norm: f64) -> Clipping {
        match self {
            Self::Norm(limit) if norm > limit => Clipping { scale: limit / norm, ..Clipping::default() },
            Self::Value(limit) => Clipping { limit, ..Clipping::default() },
            Self::Norm(_) | Self::None => Clipping::default(),
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
        }
    }
}
