use descant_tensor::Brief;
use serde::{Deserialize, Serialize};

/// Gradient clipping: `clip = { norm = 1.0 }`, `clip = { value = 0.5 }` or `clip = "none"` in a recipe.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClippingConfig {
    /// No clipping.
    None,
    /// A gradient whose norm, over all parameters, is larger is scaled down to this norm (Pascanu et al. 2013, arXiv
    /// 1211.5063).
    Norm(f64),
    /// Every element is brought between this and its negative.
    Value(f64),
}

/// What clipping does to a gradient, element by element: it is multiplied by `scale`, then brought between `limit` and
/// its negative.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clipping {
    /// What each element is multiplied by.
    pub scale: f64,
    /// The largest magnitude of an element.
    pub limit: f64,
}

impl Default for Clipping {
    /// Nothing.
    fn default() -> Self {
        Self { scale: 1.0, limit: f64::INFINITY }
    }
}

impl ClippingConfig {
    /// What it does to a gradient of this norm.
    pub fn clipping(self, norm: f64) -> Clipping {
        match self {
            Self::Norm(limit) if norm > limit => Clipping { scale: limit / norm, ..Clipping::default() },
            Self::Value(limit) => Clipping { limit, ..Clipping::default() },
            Self::Norm(_) | Self::None => Clipping::default(),
        }
    }

    /// That the number is in its range.
    ///
    /// # Errors
    /// The key, its value, and what it may be.
    pub fn validate(&self) -> Result<(), String> {
        let (key, value) = match *self {
            Self::None => return Ok(()),
            Self::Norm(value) => ("norm", value),
            Self::Value(value) => ("value", value),
        };
        match value > 0.0 && value.is_finite() {
            true => Ok(()),
            false => Err(format!("train.clip.{key} = {}: expected a number above 0", Brief(value))),
        }
    }
}
