//! `yᵢ = maskᵢ ? aᵢ : bᵢ`.

use crate::{Backward, Case, Forward, GradCheck, Op, Var};
use descant_kernels::Real;
use descant_tensor::{Shape, Tensor};
use std::sync::Arc;

/// Elements of the first input where the mask is true, of the second elsewhere. Either can be a single number.
#[derive(Debug)]
pub struct Select {
    mask: Arc<[bool]>,
}

impl Op for Select {
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let (a, b) = (inputs[0], inputs[1]);
        let shape = match (a.len(), b.len()) {
            _ if a == b => a,
            (n, 1) if n != 1 || a.rank() > b.rank() => a,
            (1, _) => b,
            _ => return Err("expected the same shape, or a single number".to_owned()),
        };
        if self.mask.len() != shape.len() {
            return Err(format!("the mask has {} elements, not those of {shape}", self.mask.len()));
        }
        Ok(shape)
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        let inputs = [ctx.input(0), ctx.input(1)];
        for (i, (y, &first)) in ctx.output().iter_mut().zip(&*self.mask).enumerate() {
            let x = inputs[usize::from(!first)];
            *y = x[if x.len() == 1 { 0 } else { i }];
        }
    }

    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        let dy = ctx.dy();
        for (input, of_input) in [true, false].into_iter().enumerate() {
            let Some(dx) = ctx.dx(input) else { continue };
            let single = dx.len() == 1;
            for (i, &dy) in dy.iter().enumerate().filter(|&(i, _)| self.mask[i] == of_input) {
                dx[if single { 0 } else { i }] += dy;
            }
        }
    }
}

impl GradCheck for Select {
    fn cases() -> Vec<Case> {
        let mask: Arc<[bool]> = Arc::from([true, false, false, true, false, true]);
        // What each element is, of the inputs joined end to end.
        let case = |name, shapes: [&[usize]; 2], joined: [u32; 6]| {
            let mask = mask.clone();
            Case::new(name, &shapes, move |_, x| x[0].select(&mask, x[1])).reference(move |graph, x| {
                let [a, b] = [x[0], x[1]].map(|x| x.reshape([x.shape().len()]));
                graph.concat(&[a, b]).gather(&Arc::from(joined)).reshape([2, 3])
            })
        };
        let filled = mask.clone();
        vec![
            case("same shape", [&[2, 3], &[2, 3]], [0, 7, 8, 3, 10, 5]),
            case("else a number", [&[2, 3], &[]], [0, 6, 6, 3, 6, 5]),
            case("a number, else", [&[1], &[2, 3]], [0, 2, 3, 0, 5, 0]),
            Case::new("filled", &[&[2, 3]], move |_, x| x[0].masked_fill(&filled, -2.0)).reference(move |graph, x| {
                let number = graph.constant(&Tensor::zeros(graph.dtype(), [1])) - 2.0;
                number.select(&mask, x[0])
            }),
        ]
    }
}

impl Var<'_> {
    /// Elements of `self` where the mask is true, of `other` elsewhere. Both of the mask's shape, or one of them a single
    /// number; the result has that shape.
    #[track_caller]
    pub fn select(self, mask: &Arc<[bool]>, other: Self) -> Self {
        self.graph().apply(Select { mask: mask.clone() }, &[self, other])
    }

    /// `number` where the mask, of this shape, is true; the elements of `self` elsewhere.
    #[track_caller]
    pub fn masked_fill(self, mask: &Arc<[bool]>, number: f64) -> Self {
        let graph = self.graph();
        let zero = graph.constant(&Tensor::zeros(graph.dtype(), []));
        (zero + number).select(mask, self)
    }
}
