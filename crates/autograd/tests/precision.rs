//! Every operation in f32, whose kernels are others than those of f64, against itself in f64: values and gradients.

use descant_autograd::{Case, Graph, Parameters, Tape, Var, gradcheck};
use descant_tensor::{DType, Result};

/// Largest difference that passes, as a share of the largest element: some gradients are differences of larger numbers.
const TOLERANCE: f64 = 5e-5;

/// The value, and the gradient of each input.
fn results(case: &Case, parameters: &Parameters) -> Result<Vec<Vec<f64>>> {
    let (mut gradients, mut tape) = (parameters.gradients(), Tape::new());
    let graph: Graph<'_> = tape.train(parameters, 1);
    let inputs: Vec<Var<'_>> = parameters.ids().map(|id| graph.parameter(id)).collect();
    let y = (case.build)(graph, &inputs);
    let value = y.value()?.to_f64();
    // Squared, as the plain sum of some, softmax among them, is constant.
    graph.backward(y.square().sum(), &mut gradients)?;
    Ok(std::iter::once(value).chain(parameters.ids().map(|id| gradients.to_f64(id))).collect())
}

#[test]
fn every_operation_is_the_same_in_both_precisions() -> Result<()> {
    let mut failures = Vec::new();
    for (name, cases) in gradcheck::table() {
        for case in cases {
            let mut single = Parameters::new(DType::F32);
            for (i, &shape) in case.inputs.iter().enumerate() {
                let (low, high) = case.range;
                let unit = |j: usize| ((i * 31 + j * 17 + 5) % 101) as f64 / 101.0;
                let values: Vec<f64> = (0..shape.len()).map(|j| low + (high - low) * unit(j)).collect();
                single.add_with(&format!("input {i}"), shape, &values);
            }
            // Cast, so that both start from the same numbers.
            let double = single.cast(DType::F64);
            for (i, (a, b)) in results(&case, &single)?.iter().zip(results(&case, &double)?).enumerate() {
                let largest = b.iter().fold(1e-3_f64, |m, b| m.max(b.abs()));
                let error = a.iter().zip(&b).fold(0.0_f64, |m, (a, b)| m.max((a - b).abs())) / largest;
                if error.is_nan() || error > TOLERANCE {
                    failures.push(format!("{name}, {}, result {i}: {error:.1e}", case.name));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}
