//! A wrong backward is caught: an operation whose gradient is off by one part in a hundred thousand does not pass.

use descant_autograd::gradcheck::{check, check_case};
use descant_autograd::{Backward, Case, Forward, GradCheck, Op, Parameters, Tape};
use descant_kernels::Real;
use descant_tensor::{DType, Error};

/// `y = x²`, with the gradient `2 c x`.
#[derive(Debug)]
struct Square {
    c: f64,
}

impl Op for Square {
    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        let x = ctx.input(0);
        ctx.output().iter_mut().zip(x).for_each(|(y, &x)| *y = x * x);
    }

    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        let (x, dy, two_c) = (ctx.input(0), ctx.dy(), E::of(2.0 * self.c));
        if let Some(dx) = ctx.dx(0) {
            dx.iter_mut().zip(x).zip(dy).for_each(|((dx, &x), &dy)| *dx += two_c * x * dy);
        }
    }
}

impl GradCheck for Square {
    fn cases() -> Vec<Case> {
        vec![Case::new("right", &[&[2, 3]], |graph, x| graph.custom(Square { c: 1.0 }, &[x[0]]))]
    }
}

#[test]
fn a_right_operation_from_outside_passes() {
    for case in Square::cases() {
        assert!(check_case(&case).unwrap().iter().all(|row| row.passes()));
    }
}

#[test]
fn a_wrong_backward_is_caught() {
    let case = Case::new("wrong", &[&[2, 3]], |graph, x| graph.custom(Square { c: 1.00001 }, &[x[0]]));
    let rows = check_case(&case).unwrap();
    assert!(!rows[0].passes(), "{rows:?}");
    assert!((rows[0].error - 1e-5).abs() < 1e-7, "{rows:?}");
}

#[test]
fn a_wrong_backward_is_caught_in_a_model() {
    let mut parameters = Parameters::new(DType::F64);
    let w = parameters.add_with("w", [2, 2], &[0.3, -0.2, 0.5, 0.7]);
    let b = parameters.add_with("b", [2], &[0.1, -0.4]);
    let rows = check(&mut parameters, None, 1, |graph| {
        let (w, b) = (graph.parameter(w), graph.parameter(b));
        (graph.custom(Square { c: 1.01 }, &[w]).matmul(w) + b).tanh().sum()
    })
    .unwrap();
    assert!(!rows[0].passes() && rows[1].passes(), "{rows:?}");
}

#[test]
fn messages_call_it_by_its_type() {
    let mut parameters = Parameters::new(DType::F64);
    let x = parameters.add_with("x", [1], &[1.0]);
    let (mut tape, mut other) = (Tape::new(), Tape::new());
    let foreign = other.train(&parameters, 1).parameter(x);
    let error = tape.train(&parameters, 1).custom(Square { c: 1.0 }, &[foreign]).value().unwrap_err();
    assert!(matches!(error, Error::OtherGraph { op: "Square", .. }), "{error}");
}
