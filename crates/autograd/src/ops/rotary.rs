//! Rotary position embedding (Su et al. 2021, arXiv 2104.09864), halves of a head against each other as in Llama:
//!
//! ```text
//! y₁ = x₁ cos θ - x₂ sin θ      y₂ = x₂ cos θ + x₁ sin θ      θ = position · frequency
//! ```

use crate::{Backward, Case, Forward, GradCheck, Op, Var};
use descant_kernels::{Real, vectorized};
use descant_tensor::Shape;
use std::sync::Arc;

/// The angles of positions from 0 on.
#[derive(Debug)]
pub struct RotaryTable {
    positions: usize,
    /// Frequencies, half a head's columns.
    half: usize,
    /// For each position, the cosines of its angles.
    cos: Vec<f64>,
    /// The sine of each angle, in the same order.
    sin: Vec<f64>,
}

impl RotaryTable {
    /// Of so many positions, in radians a position.
    pub fn new(positions: usize, frequencies: &[f64]) -> Self {
        let angles = || (0..positions).flat_map(|position| frequencies.iter().map(move |f| position as f64 * f));
        let (cos, sin) = (angles().map(f64::cos).collect(), angles().map(f64::sin).collect());
        Self { positions, half: frequencies.len(), cos, sin }
    }

    /// How many positions it has.
    pub fn positions(&self) -> usize {
        self.positions
    }
}

/// The angles of a batch's rows.
#[derive(Debug)]
pub struct RotaryAngles {
    /// Of each row.
    positions: Vec<usize>,
    table: Arc<RotaryTable>,
}

impl RotaryAngles {
    /// Of rows at these positions, all of which are in the table.
    pub fn new(positions: Vec<usize>, table: Arc<RotaryTable>) -> Self {
        Self { positions, table }
    }
}

/// `x[N, C]`: the first `heads` heads of each row are rotated, the columns after them copied.
#[derive(Debug)]
pub struct Rotary {
    heads: usize,
    angles: Arc<RotaryAngles>,
}

impl Rotary {
    /// Rotates by the angles, or back by them; adds to what is there where `add` is set.
    fn turn<E: Real>(&self, x: &[E], y: &mut [E], columns: usize, back: bool, add: bool) {
        let RotaryAngles { positions, table } = &*self.angles;
        let RotaryTable { half, cos, sin, .. } = &**table;
        let (half, rotated) = (*half, self.heads * 2 * half);
        let (old, sign) = (if add { E::one() } else { E::zero() }, if back { -E::one() } else { E::one() });
        let keep = |y: &mut E, value: E| *y = if add { old * *y + value } else { value };
        for ((x, y), &position) in x.chunks_exact(columns).zip(y.chunks_exact_mut(columns)).zip(positions) {
            let (cos, sin) = (&cos[position * half..][..half], &sin[position * half..][..half]);
            for (x, y) in x[..rotated].chunks_exact(2 * half).zip(y.chunks_exact_mut(2 * half)) {
                let ((x1, x2), (y1, y2)) = (x.split_at(half), y.split_at_mut(half));
                vectorized(
                    #[inline(always)]
                    || {
                        let angles = cos.iter().zip(sin).map(|(&c, &s)| (E::of(c), sign * E::of(s)));
                        let pairs = x1.iter().zip(x2).zip(y1.iter_mut().zip(y2.iter_mut()));
                        for (((&x1, &x2), (y1, y2)), (c, s)) in pairs.zip(angles) {
                            keep(y1, x1 * c - x2 * s);
                            keep(y2, x2 * c + x1 * s);
                        }
                    },
                );
            }
            y[rotated..].iter_mut().zip(&x[rotated..]).for_each(|(y, &x)| keep(y, x));
        }
    }
}

impl Op for Rotary {
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let RotaryAngles { positions, table } = &*self.angles;
        let (x, columns) = (inputs[0], self.heads * 2 * table.half);
        if x.rank() != 2 || x[1] < columns || x[1] == 0 || x[0] != positions.len() {
            return Err(format!("expected x[{}, C] with {columns} columns or more", positions.len()));
        }
        if let Some(position) = positions.iter().find(|&&position| position >= table.positions) {
            return Err(format!("position {position} is beyond a table of {}", table.positions));
        }
        Ok(x)
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        let (x, columns) = (ctx.input(0), ctx.shape(0)[1]);
        self.turn(x, ctx.output(), columns, false, false);
    }

    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        let (dy, columns) = (ctx.dy(), ctx.shape(0)[1]);
        if let Some((dx, beta)) = ctx.dx_beta(0) {
            self.turn(dy, dx, columns, true, beta != E::zero());
        }
    }
}

impl GradCheck for Rotary {
    fn cases() -> Vec<Case> {
        let table = Arc::new(RotaryTable::new(6, &[1.0, 0.1]));
        let angles = move || Arc::new(RotaryAngles::new(vec![0, 5, 2], table.clone()));
        let same = angles.clone();
        vec![
            Case::new("heads and more columns", &[&[3, 10]], move |_, x| x[0].rotary(2, &angles())),
            Case::new("used twice", &[&[3, 4]], move |_, x| x[0] * x[0].rotary(1, &same())),
        ]
    }
}

impl Var<'_> {
    /// The first `heads` heads of each row rotated by the row's angles: `[N, C]` to the same.
    #[track_caller]
    pub fn rotary(self, heads: usize, angles: &Arc<RotaryAngles>) -> Self {
        self.graph().apply(Rotary { heads, angles: angles.clone() }, &[self])
    }
}
