//! Checks gradients: of an operation of one's own, within a model of one's own, against central differences in f64.
//!
//! `cargo run --release -p descant --example check_gradient`

use descant::autograd::gradcheck::{Row, check};
use descant::autograd::{Backward, Forward, Op};
use descant::kernels::{Real, map_into, zip_into};
use descant::prelude::*;
use descant::tensor::Result;

/// The Cauchy loss of every element, `y = ln(1 + x²)`: outliers weigh less than in a squared error.
#[derive(Debug)]
struct Cauchy;

impl Op for Cauchy {
    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        map_into(ctx.input(0), ctx.output(), |x| (x * x).ln_1p());
    }

    // The vector-Jacobian product, added to the gradient of the input: dx += dy · 2x / (1 + x²).
    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        let (x, dy) = (ctx.input(0), ctx.dy());
        if let Some(dx) = ctx.dx(0) {
            zip_into(dx, dy, x, |dx, dy, x| dx + dy * (x + x) / (E::one() + x * x));
        }
    }
}

/// The gradient of every weight of two linear layers under this loss.
fn rows() -> Result<Vec<Row>> {
    let mut parameters = Parameters::new(DType::F64);
    let mut scope = Scope::new(&mut parameters, 1);
    let hidden = Linear::new(&mut scope.at("hidden"), 3, 5, true);
    let output = Linear::new(&mut scope.at("output"), 5, 1, true);
    let inputs = Tensor::new([4, 3], &[0.1, 0.2, 0.3, 0.3, -0.1, 0.5, -0.7, 0.4, 0.2, 0.9, 0.8, -0.6])?;
    let targets = Tensor::new([4, 1], &[0.2, 0.7, -0.5, 3.0])?;
    check(&mut parameters, None, 1, |graph| {
        let hidden = hidden.forward(graph.constant(&inputs), Activation::Tanh);
        let errors = output.forward(hidden, Activation::Identity) - graph.constant(&targets);
        graph.custom(Cauchy, &[errors]).mean()
    })
}

fn main() -> Result<()> {
    for row in rows()? {
        let verdict = if row.passes() { "right" } else { "WRONG" };
        println!("{}: {} entries, largest relative error {:.1e}: {verdict}", row.name, row.entries, row.error);
    }
    Ok(())
}

#[test]
fn the_gradients_agree_with_the_differences() {
    let rows = rows().unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["hidden.weight", "hidden.bias", "output.weight", "output.bias"]);
    assert!(rows.iter().all(Row::passes), "{rows:?}");
}
