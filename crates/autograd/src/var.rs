use crate::graph::{Graph, Var};
use crate::node::{Node, value};
use crate::recording::FAILED;
use descant_kernels::Real;
use descant_tensor::{DType, Error, Result, Shape, Tensor};
use std::fmt;
use std::panic::Location;

impl<'t> Var<'t> {
    /// The pass it belongs to.
    pub fn graph(self) -> Graph<'t> {
        self.graph
    }

    /// Its shape; that of a scalar after a failure.
    pub fn shape(self) -> Shape {
        self.graph.recording.borrow().nodes.get(self.id as usize).map(|node| node.shape).unwrap_or_default()
    }

    /// A copy of its value; of an adapted weight, that of the sum. The pass stays as it is.
    ///
    /// # Errors
    /// The first failure of the pass; [`Error::Released`] after backward.
    pub fn value(self) -> Result<Tensor> {
        match self.graph.dtype() {
            DType::F32 => self.read(|elements: &[f32]| Tensor::new(self.shape(), elements))?,
            DType::F64 => self.read(|elements: &[f64]| Tensor::new(self.shape(), elements))?,
        }
    }

    /// Copies its value to a tensor, in the memory that the tensor has where that suffices.
    ///
    /// # Errors
    /// As [`Var::value`].
    pub fn copy_to(self, tensor: &mut Tensor) -> Result<()> {
        match self.graph.dtype() {
            DType::F32 => self.read(|elements: &[f32]| tensor.assign(self.shape(), elements))?,
            DType::F64 => self.read(|elements: &[f64]| tensor.assign(self.shape(), elements))?,
        }
    }

    /// Lends its elements, which must be of the graph's type, without a copy.
    ///
    /// # Errors
    /// As [`Var::value`].
    ///
    /// # Panics
    /// For another type than the graph's, a defect of the caller.
    pub fn read<E: Real, R>(self, f: impl FnOnce(&[E]) -> R) -> Result<R> {
        let graph = self.graph;
        graph.check()?;
        if let Some(value) = graph.lora_value(self) {
            return value.map(|sum| f(E::slice(sum.buffer())));
        }
        let of = graph.row_major(self);
        let recording = graph.recording.borrow();
        let node = &recording.nodes[of.id as usize];
        let root = &recording.nodes[node.root as usize];
        if root.is_dropped() {
            let (op, location) = (node.name, node.location);
            return Err(if recording.consumed {
                Error::Released { op }
            } else {
                Error::DroppedActivation { op, location }
            });
        }
        Ok(f(value::<E>(&recording.nodes, graph.parameters, of.id)))
    }

    /// Its value as one number.
    ///
    /// # Errors
    /// The first failure of the pass; [`Error::NotScalar`].
    pub fn item(self) -> Result<f64> {
        self.value()?.item().ok_or_else(|| Error::NotScalar(self.shape()))
    }

    /// The same elements in another shape; no copy.
    #[track_caller]
    pub fn reshape(self, shape: impl Into<Shape>) -> Self {
        let shape = shape.into();
        if shape.len() != self.shape().len() {
            return self.graph.fail("reshape", format!("cannot become {shape}"), &[self]);
        }
        self.view(0, shape)
    }

    /// Rows `start..end` of the first axis; no copy.
    #[track_caller]
    pub fn slice(self, start: usize, end: usize) -> Self {
        let shape = self.shape();
        let first = shape.dims().first().copied().unwrap_or(0);
        if start > end || end > first {
            return self.graph.fail("slice", format!("rows {start}..{end} of {first}"), &[self]);
        }
        let row = shape.len().checked_div(first).unwrap_or(0);
        self.view(start * row, shape.with_first(end - start))
    }

    #[track_caller]
    pub(crate) fn view(self, offset: usize, shape: Shape) -> Self {
        let mut recording = self.graph.recording.borrow_mut();
        if recording.failure.is_some() {
            return Self { id: FAILED, ..self };
        }
        let node = &recording.nodes[self.id as usize];
        let (root, start, needs_gradient) = (node.root, node.start + offset, node.needs_gradient);
        let id = recording
            .push(Node { needs_gradient, ..Node::leaf("constant", shape, (root, start), Location::caller()) }, None);
        Self { id, ..self }
    }
}

impl fmt::Debug for Var<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Var({}, {})", self.id, self.shape())
    }
}
