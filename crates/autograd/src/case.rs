use crate::graph::{Graph, Var};
use crate::op::Op;
use descant_tensor::Shape;

/// The rows of the gradient check of an operation. Every operation of this crate has some.
pub trait GradCheck: Op {
    /// The rows.
    fn cases() -> Vec<Case>;
}

/// One row of the gradient check: shapes for the inputs, and what to compute from them.
pub struct Case {
    /// What this row shows.
    pub name: &'static str,
    /// Shapes of the inputs, drawn uniformly from `range`.
    pub inputs: Vec<Shape>,
    /// Where input values lie.
    pub range: (f64, f64),
    /// The operation on the inputs.
    pub build: Build,
    /// A fused operation as a composition of primitive ones: the oracle of its values.
    pub reference: Option<Build>,
}

type Build = Box<dyn for<'t> Fn(Graph<'t>, &[Var<'t>]) -> Var<'t>>;

impl Case {
    /// A row with inputs between -1 and 1.
    pub fn new(
        name: &'static str,
        inputs: &[&[usize]],
        build: impl for<'t> Fn(Graph<'t>, &[Var<'t>]) -> Var<'t> + 'static,
    ) -> Self {
        let inputs = inputs.iter().map(|&lengths| Shape::from(lengths)).collect();
        Self { name, inputs, range: (-1.0, 1.0), build: Box::new(build), reference: None }
    }

    /// The same row with inputs from another range.
    pub fn within(mut self, low: f64, high: f64) -> Self {
        self.range = (low, high);
        self
    }

    /// The same row, which also compares the values with this composition of primitive operations.
    pub fn reference(mut self, build: impl for<'t> Fn(Graph<'t>, &[Var<'t>]) -> Var<'t> + 'static) -> Self {
        self.reference = Some(Box::new(build));
        self
    }
}
