//! `y = x`, and a gradient of zero for every parameter of what is left out.

use crate::{Backward, Case, Forward, GradCheck, Op, Var};
use descant_kernels::Real;

/// A way around a layer whose parameters are to have a gradient all the same.
#[derive(Debug)]
pub struct SkipLayer;

impl Op for SkipLayer {
    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        let x = ctx.input(0);
        ctx.output().copy_from_slice(x);
    }

    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        let dy = ctx.dy();
        if let Some(dx) = ctx.dx(0) {
            dx.iter_mut().zip(dy).for_each(|(dx, &dy)| *dx += dy);
        }
        // To ask for a gradient makes it zero, where there is none yet.
        (1..ctx.inputs()).for_each(|i| _ = ctx.dx(i));
    }
}

impl GradCheck for SkipLayer {
    fn cases() -> Vec<Case> {
        vec![
            Case::new("around two", &[&[3, 2], &[4], &[2, 2]], |_, x| x[0].skip_layer(&x[1..])).reference(|_, x| x[0]),
            Case::new("what is used elsewhere", &[&[3]], |_, x| x[0].skip_layer(&[x[0]]) * x[0]),
        ]
    }
}

impl Var<'_> {
    /// The same values, as if these parameters had been used and had changed nothing.
    #[track_caller]
    pub fn skip_layer(self, parameters: &[Self]) -> Self {
        let inputs: Vec<Self> = std::iter::once(self).chain(parameters.iter().copied()).collect();
        self.graph().apply(SkipLayer, &inputs)
    }
}
