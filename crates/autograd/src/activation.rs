//! Functions of single numbers between layers, their values and derivatives, block by block so that every pass but the
//! first finds its numbers in the first cache.

use crate::ops::{gelu, gelu_tanh, silu};
use crate::{Backward, Forward};
use descant_kernels::{Real, map, map_into, zip_into};
use serde::{Deserialize, Serialize};

/// What follows a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// Nothing.
    #[default]
    Identity,
    /// `tanh x`.
    Tanh,
    /// `1 / (1 + e^-x)`.
    Sigmoid,
    /// `max(x, 0)`.
    Relu,
    /// `x Φ(x)`, Φ the normal distribution's cumulative function.
    Gelu,
    /// GELU approximated by a hyperbolic tangent, as in GPT-2.
    GeluTanh,
    /// `x σ(x)`, also called Swish.
    Silu,
}

/// Numbers in a block.
pub(crate) const BLOCK: usize = 1024;

impl Activation {
    /// Whether its derivative can be told from its value.
    pub(crate) fn is_told_by_value(self) -> bool {
        matches!(self, Self::Identity | Self::Tanh | Self::Sigmoid | Self::Relu)
    }

    /// `y = f(x)`.
    pub(crate) fn value<E: Real>(self, x: &[E], y: &mut [E]) {
        for (x, y) in x.chunks(BLOCK).zip(y.chunks_mut(BLOCK)) {
            match self {
                Self::Gelu => gelu::value(x, y),
                Self::GeluTanh => gelu_tanh::value(x, y),
                Self::Silu => silu::value(x, y),
                Self::Identity | Self::Tanh | Self::Sigmoid | Self::Relu => {
                    y.copy_from_slice(x);
                    self.in_place(y);
                }
            }
        }
    }

    /// `x = f(x)`, of those whose derivative can be told from their value.
    pub(crate) fn in_place<E: Real>(self, x: &mut [E]) {
        match self {
            Self::Tanh => E::tanh_all(x),
            Self::Sigmoid => E::sigmoid_all(x),
            Self::Relu => map(x, |x| x.max(E::zero())),
            Self::Identity | Self::Gelu | Self::GeluTanh | Self::Silu => {}
        }
    }

    /// `slope = f'(x)`, for a block.
    fn slope<E: Real>(self, x: &[E], slope: &mut [E]) {
        match self {
            Self::Identity => slope.fill(E::one()),
            Self::Tanh => {
                self.value(x, slope);
                map(slope, |y| E::one() - y * y);
            }
            Self::Sigmoid => {
                self.value(x, slope);
                map(slope, |y| y * (E::one() - y));
            }
            Self::Relu => map_into(x, slope, |x| if x > E::zero() { E::one() } else { E::zero() }),
            Self::Gelu => gelu::slope(x, slope),
            Self::GeluTanh => gelu_tanh::slope(x, slope),
            Self::Silu => silu::slope(x, slope),
        }
    }

    /// `dx = beta dx + dy f'(x)`, with `beta` 0 or 1; with 0, `dx` is not read.
    pub(crate) fn carry<E: Real>(self, x: &[E], dy: &[E], beta: E, dx: &mut [E]) {
        let mut slope = [E::zero(); BLOCK];
        for ((x, dy), dx) in x.chunks(BLOCK).zip(dy.chunks(BLOCK)).zip(dx.chunks_mut(BLOCK)) {
            let slope = &mut slope[..x.len()];
            self.slope(x, slope);
            if beta == E::zero() {
                zip_into(dx, dy, slope, |_, dy, slope| dy * slope);
            } else {
                zip_into(dx, dy, slope, |dx, dy, slope| dx + dy * slope);
            }
        }
    }

    /// `dz = dy f'(z)`, with the derivative in terms of `y = f(z)`; of those that allow it.
    pub(crate) fn carry_from_value<E: Real>(self, y: &[E], dy: &[E], dz: &mut [E]) {
        match self {
            Self::Tanh => zip_into(dz, dy, y, |_, dy, y| dy * (E::one() - y * y)),
            Self::Sigmoid => zip_into(dz, dy, y, |_, dy, y| dy * y * (E::one() - y)),
            Self::Relu => zip_into(dz, dy, y, |_, dy, y| if y > E::zero() { dy } else { E::zero() }),
            Self::Identity | Self::Gelu | Self::GeluTanh | Self::Silu => dz.copy_from_slice(dy),
        }
    }
}

/// Forward of an operation that is an activation alone.
pub(crate) fn forward<E: Real>(ctx: &mut Forward<'_, E>, activation: Activation) {
    let x = ctx.input(0);
    activation.value(x, ctx.output());
}

/// Its backward.
pub(crate) fn backward<E: Real>(ctx: &mut Backward<'_, E>, activation: Activation) {
    let (x, dy) = (ctx.input(0), ctx.dy());
    if let Some((dx, beta)) = ctx.dx_beta(0) {
        activation.carry(x, dy, beta, dx);
    }
}
