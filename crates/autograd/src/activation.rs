//! Activations of layers: the elementwise functions that a recipe can name.

use crate::ops::unary::Unary;
use descant_kernels::{Real, zip_into};
use serde::{Deserialize, Serialize};

/// What follows a linear layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// None.
    #[default]
    Identity,
    /// See [`Unary::Tanh`].
    Tanh,
    /// See [`Unary::Sigmoid`].
    Sigmoid,
    /// See [`Unary::Relu`].
    Relu,
    /// See [`Unary::Gelu`].
    Gelu,
    /// See [`Unary::GeluTanh`].
    GeluTanh,
    /// See [`Unary::Silu`].
    Silu,
}

impl Activation {
    fn function(self) -> Option<Unary> {
        match self {
            Self::Identity => None,
            Self::Tanh => Some(Unary::Tanh),
            Self::Sigmoid => Some(Unary::Sigmoid),
            Self::Relu => Some(Unary::Relu),
            Self::Gelu => Some(Unary::Gelu),
            Self::GeluTanh => Some(Unary::GeluTanh),
            Self::Silu => Some(Unary::Silu),
        }
    }

    /// Whether the derivative is computed from the output, so that the pre-activation need not be kept.
    pub(crate) fn derivative_from_output(self) -> bool {
        self.function().is_none_or(Unary::derivative_from_output)
    }

    /// `y = f(x)`.
    pub(crate) fn value<E: Real>(self, x: &[E], y: &mut [E]) {
        match self.function() {
            Some(function) => function.value(x, y),
            None => y.copy_from_slice(x),
        }
    }

    /// `y = f(y)`.
    pub(crate) fn in_place<E: Real>(self, y: &mut [E]) {
        if let Some(function) = self.function() {
            function.in_place(y);
        }
    }

    /// `dx = beta dx + dy f'(x)`, with `beta` 0 or 1; with 0, `dx` is not read.
    pub(crate) fn backward<E: Real>(self, x: &[E], dy: &[E], beta: E, dx: &mut [E]) {
        match self.function() {
            Some(function) => function.backward_by_slope(x, dy, beta, dx),
            None if beta == E::zero() => dx.copy_from_slice(dy),
            None => zip_into(dx, dy, dy, |dx, dy, _| dx + dy),
        }
    }

    /// `dz = dy f'(z)`, with the derivative from the output `y = f(z)`.
    pub(crate) fn backward_from_output<E: Real>(self, y: &[E], dy: &[E], dz: &mut [E]) {
        match self.function() {
            Some(function) => function.backward_from_output(y, dy, dz),
            None => dz.copy_from_slice(dy),
        }
    }
}
