//! `yᵢ = mᵢ xᵢ` with mᵢ either 0, with probability p, or `1 / (1 - p)` (Srivastava et al. 2014), in training; `y = x` in
//! inference.

use crate::{Backward, Case, Forward, GradCheck, Op, Var};
use descant_kernels::{Real, zip_into};
use descant_tensor::Shape;
use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::{Rng, SeedableRng};

/// Each element dropped with probability p, the others scaled so that the expectation stays.
#[derive(Debug)]
pub struct Dropout {
    probability: f64,
}

/// Fills `mask` with zeros, of probability `p`, and `1 / (1 - p)`: the same places for the same seed on every machine and
/// for every element type.
pub(crate) fn draw<E: Real>(mask: &mut [E], p: f64, seed: u64) {
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    let dropped = (p * (1u64 << 32) as f64) as u64;
    let kept = E::of(1.0 / (1.0 - p));
    let one = |bits: u64| if bits < dropped { E::zero() } else { kept };
    for pair in mask.chunks_mut(2) {
        let bits = random.next_u64();
        pair[0] = one(bits >> 32);
        if let Some(second) = pair.get_mut(1) {
            *second = one(bits & u64::from(u32::MAX));
        }
    }
}

impl Op for Dropout {
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        match self.probability {
            p if (0.0..1.0).contains(&p) => Ok(inputs[0]),
            p => Err(format!("the probability is {p}, not from 0 to below 1")),
        }
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        let x = ctx.input(0);
        let mut mask = ctx.scratch(x.len());
        // Only recorded where values are dropped.
        draw(&mut mask, self.probability, ctx.dropout().unwrap_or_default());
        zip_into(ctx.output(), x, &mask, |_, x, m| x * m);
        ctx.save(mask);
    }

    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        let dy = ctx.dy();
        let mask = ctx.take_saved(0, dy.len());
        if let Some(dx) = ctx.dx(0) {
            zip_into(dx, dy, &mask, |dx, dy, m| dx + dy * m);
        }
        ctx.recycle(mask);
    }
}

impl GradCheck for Dropout {
    fn cases() -> Vec<Case> {
        vec![
            Case::new("odd length", &[&[3, 5]], |_, x| x[0].dropout(0.4)),
            Case::new("nothing dropped", &[&[3]], |_, x| x[0].dropout(0.0)).reference(|_, x| x[0]),
        ]
    }
}

impl Var<'_> {
    /// Zero with this probability, from 0 to below 1, and `1 / (1 - probability)` times the element otherwise: any shape to
    /// the same. Inference leaves every element as it is.
    #[track_caller]
    pub fn dropout(self, probability: f64) -> Self {
        match probability {
            0.0 => self,
            p if (0.0..1.0).contains(&p) && !self.graph().has_dropout() => self,
            probability => self.graph().apply(Dropout { probability }, &[self]),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Graph, Parameters, Tape};
    use descant_kernels::Parallelism;
    use descant_tensor::{DType, Result};

    const P: f64 = 0.3;
    const COUNT: usize = 20_000;

    fn ones(dtype: DType) -> Parameters {
        let mut parameters = Parameters::new(dtype);
        parameters.add_with("x", [COUNT], &vec![1.0; COUNT]);
        parameters
    }

    fn dropped(graph: Graph<'_>, parameters: &Parameters) -> Result<Vec<f64>> {
        let x = parameters.ids().map(|id| graph.parameter(id)).next();
        Ok(x.map(|x| x.dropout(P).value()).transpose()?.map(|y| y.to_f64()).unwrap_or_default())
    }

    #[test]
    fn the_kept_share_and_the_expectation_are_those_asked_for() -> Result<()> {
        let parameters = ones(DType::F64);
        let y = dropped(Tape::new().train(&parameters, 7), &parameters)?;
        // Five standard deviations of the binomial distribution.
        let bound = 5.0 * (P * (1.0 - P) / COUNT as f64).sqrt();
        let kept = y.iter().filter(|&&y| y != 0.0).count() as f64 / COUNT as f64;
        assert!((kept - (1.0 - P)).abs() < bound, "{kept}");
        assert!(y.iter().all(|&y| y == 0.0 || y == 1.0 / (1.0 - P)));
        Ok(())
    }

    #[test]
    fn the_seed_alone_decides_the_mask() -> Result<()> {
        let (single, double) = (ones(DType::F32), ones(DType::F64));
        let mask = |parameters: &Parameters, seed| -> Result<Vec<bool>> {
            let y = dropped(Tape::new().train(parameters, seed), parameters)?;
            Ok(y.iter().map(|&y| y == 0.0).collect())
        };
        assert_eq!(mask(&double, 7)?, mask(&double, 7)?);
        assert_eq!(mask(&double, 7)?, mask(&single, 7)?);
        assert_ne!(mask(&double, 7)?, mask(&double, 8)?);
        Ok(())
    }

    #[test]
    fn inference_drops_nothing() -> Result<()> {
        let parameters = ones(DType::F32);
        let y = dropped(Tape::new().infer(&parameters, Parallelism::default()), &parameters)?;
        assert!(y.iter().all(|&y| y == 1.0));
        Ok(())
    }

    #[test]
    fn dropping_everything_is_an_error() {
        let parameters = ones(DType::F32);
        let mut tape = Tape::new();
        let graph = tape.train(&parameters, 1);
        let x = parameters.ids().map(|id| graph.parameter(id)).next();
        assert!(
            x.is_some_and(|x| x.dropout(1.0).value().is_err_and(|error| error.to_string().contains("probability")))
        );
    }
}
