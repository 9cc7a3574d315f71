//! What a graph is not made for is an error that stays, and never a panic or a wrong number.

use descant_autograd::{ParameterId, Parameters, Tape, Targets};
use descant_kernels::Parallelism;
use descant_tensor::{DType, Error, Tensor};
use std::sync::Arc;

/// Parameters of two numbers, in f64.
fn two() -> (Parameters, ParameterId) {
    let mut parameters = Parameters::new(DType::F64);
    let id = parameters.add_with("a", [2], &[1.0, 2.0]);
    (parameters, id)
}

#[test]
fn values_of_two_graphs_do_not_mix() {
    let (parameters, id) = two();
    let (mut ours, mut theirs) = (Tape::new(), Tape::new());
    let (graph, other) = (ours.train(&parameters, 1), theirs.train(&parameters, 1));
    let mixed = (graph.parameter(id) * other.parameter(id)).sum();
    let error = mixed.value().unwrap_err();
    assert!(matches!(error, Error::OtherGraph { op: "mul", .. }), "{error}");
    let mut gradients = parameters.gradients();
    assert!(matches!(graph.backward(mixed, &mut gradients), Err(Error::OtherGraph { op: "mul", .. })));
    // The other graph is whole, but its loss is not this graph's.
    let loss = other.parameter(id).sum();
    let mut fresh = Tape::new();
    let graph = fresh.train(&parameters, 1);
    assert!(matches!(graph.backward(loss, &mut gradients), Err(Error::OtherGraph { op: "backward", .. })));
    assert!(matches!(graph.rematerialize(|| loss).value(), Err(Error::OtherGraph { .. })));
    other.backward(loss, &mut gradients).unwrap();
    assert_eq!(gradients.to_f64(id), [1.0, 1.0]);
}

#[test]
fn after_its_backward_a_graph_takes_nothing_more() {
    let (parameters, id) = two();
    let (mut tape, mut gradients) = (Tape::new(), parameters.gradients());
    let graph = tape.train(&parameters, 1);
    let x = graph.parameter(id).exp();
    let loss = x.sum();
    graph.backward(loss, &mut gradients).unwrap();
    assert!(matches!(x.value(), Err(Error::Released { op: "exp" })));
    assert!((loss.item().unwrap() - (1.0_f64.exp() + 2.0_f64.exp())).abs() < 1e-12, "the loss is still read");
    assert!(matches!(graph.backward(loss, &mut gradients), Err(Error::GraphConsumed { op: "backward", .. })));
    assert_eq!(gradients.to_f64(id), [1.0_f64.exp(), 2.0_f64.exp()], "nothing is added twice");
    let graph = tape.train(&parameters, 1);
    let x = graph.parameter(id).exp();
    graph.backward(x.sum(), &mut gradients).unwrap();
    assert!(matches!((x + x).value(), Err(Error::GraphConsumed { op: "add", .. })));
    assert!(matches!(graph.check(), Err(Error::GraphConsumed { op: "add", .. })), "it is the first failure");
}

#[test]
fn what_was_not_recorded_has_no_backward() {
    let (parameters, id) = two();
    let (mut tape, mut gradients) = (Tape::new(), parameters.gradients());
    let graph = tape.infer(&parameters, Parallelism::Serial);
    let loss = graph.parameter(id).reshape([1, 2]).log_softmax().sum();
    assert!(matches!(graph.backward(loss, &mut gradients), Err(Error::NotRecorded)));
    // A loss of constants alone has no gradient, which the optimizer then tells.
    let graph = tape.train(&parameters, 1);
    let constant = graph.constant(&Tensor::new([2, 2], &[1.0, 2.0, 3.0, 4.0]).unwrap());
    let loss = constant.cross_entropy(constant, None, &Targets::new([0, 1]));
    graph.backward(loss, &mut gradients).unwrap();
    assert!(matches!(gradients.check(&parameters), Err(Error::NoGradient { .. })));
}

#[test]
fn shared_constants_are_not_copied() {
    let (parameters, id) = two();
    let mut tape = Tape::new();
    let tensor = Arc::new(Tensor::new([2], &[3.0, 4.0]).unwrap());
    let graph = tape.infer(&parameters, Parallelism::Serial);
    assert_eq!((graph.shared(&tensor) * graph.parameter(id)).slice(1, 2).item().unwrap(), 8.0);
    assert_eq!(graph.shared(&tensor.cast(DType::F32).into()).value().unwrap().to_f64(), [3.0, 4.0]);
    let _ = tape.infer(&parameters, Parallelism::Serial);
    assert_eq!(Arc::strong_count(&tensor), 1);
}

#[test]
fn messages_call_an_operation_by_its_module() {
    let (parameters, id) = two();
    let mut tape = Tape::new();
    let error =
        tape.infer(&parameters, Parallelism::Serial).parameter(id).gather_last(&Arc::from([0, 1])).value().unwrap_err();
    assert!(matches!(error, Error::Shapes { op: "gather_last", .. }), "{error}");
}
