use crate::any_op::AnyOp;
use crate::derive_seed::derive_seed;
use crate::dyn_op::CustomOp;
use crate::gradients::Gradients;
use crate::node::Node;
use crate::op::Op;
use crate::parameters::{ParameterId, Parameters};
use crate::recording::{FAILED, Recording};
use descant_tensor::{Buffer, DType, Error, Result, Shape, Tensor};
use smallvec::SmallVec;
use std::cell::RefCell;
use std::panic::Location;
use std::sync::Arc;

/// One pass recorded on a [`Tape`](crate::Tape), over some [`Parameters`]. `Copy`: pass it to every layer.
#[derive(Clone, Copy)]
pub struct Graph<'t> {
    pub(crate) parameters: &'t Parameters,
    pub(crate) recording: &'t RefCell<Recording>,
}

/// The handle of one value in a [`Graph`].
///
/// Errors are sticky: an operation on shapes that do not fit returns a `Var` and records the first failure, with the
/// operation, the shapes and the caller's line; [`Graph::backward`] and [`Var::value`] return it.
#[derive(Clone, Copy)]
pub struct Var<'t> {
    pub(crate) graph: Graph<'t>,
    pub(crate) id: u32,
}

impl<'t> Graph<'t> {
    pub(crate) fn new(parameters: &'t Parameters, recording: &'t RefCell<Recording>) -> Self {
        Self { parameters, recording }
    }

    /// The parameters this pass reads.
    pub fn parameters(self) -> &'t Parameters {
        self.parameters
    }

    /// The type of every value.
    pub fn dtype(self) -> DType {
        self.parameters.dtype()
    }

    /// A parameter as a value. Its gradient goes straight into the flat buffer.
    #[track_caller]
    pub fn parameter(self, id: ParameterId) -> Var<'t> {
        let mut recording = self.recording.borrow_mut();
        let known = recording.parameter_nodes.get(id.0 as usize).copied();
        let node = match known {
            None => {
                let reason = "it belongs to other parameters than the graph's".to_owned();
                recording.fail(Error::Parameter { name: format!("#{}", id.0), reason })
            }
            Some(FAILED) => {
                let needs_gradient = recording.mode.gradients && self.parameters.is_trainable(id);
                let root = recording.nodes.len() as u32;
                let leaf = Node::leaf("parameter", self.parameters.shape(id), (root, 0), Location::caller());
                let node = recording.push(Node { parameter: Some(id), needs_gradient, ..leaf }, None);
                recording.parameter_nodes[id.0 as usize] = node;
                node
            }
            Some(node) => node,
        };
        Var { graph: self, id: node }
    }

    /// Where the elements of a value are part of a parameter: of which, from where on, and in what shape.
    pub(crate) fn parameter_of(self, var: Var<'t>) -> Option<(ParameterId, usize, Shape)> {
        let recording = self.recording.borrow();
        let node = recording.nodes.get(var.id as usize).filter(|_| self.owns(var))?;
        Some((recording.nodes[node.root as usize].parameter?, node.start, node.shape))
    }

    /// The sum of an adapted weight and what is added to it: computed by `sum` where it is first read.
    pub(crate) fn lora_sum_once(self, id: ParameterId, sum: impl FnOnce() -> Var<'t>) -> Var<'t> {
        let known = self.recording.borrow().lora_sums.iter().find(|(of, _)| *of == id).map(|(_, node)| *node);
        let node = known.unwrap_or_else(|| {
            let node = sum().id;
            self.recording.borrow_mut().lora_sums.push((id, node));
            node
        });
        Var { graph: self, id: node }
    }

    /// Whether this pass records for backward.
    pub fn has_gradients(self) -> bool {
        self.recording.borrow().mode.gradients
    }

    /// Whether this pass drops values, as in training.
    pub fn has_dropout(self) -> bool {
        self.recording.borrow().mode.dropout.is_some()
    }

    /// True with this probability in training, drawn from the pass's seed; never where dropout is off.
    pub fn bernoulli(self, probability: f64) -> bool {
        let recording = self.recording.borrow();
        let draw = |seed| derive_seed(derive_seed(seed, recording.nodes.len() as u64), 1) as f64 / u64::MAX as f64;
        recording.mode.dropout.is_some_and(|seed| draw(seed) < probability)
    }

    /// A value that has no gradient. It is cast to the graph's type.
    #[track_caller]
    pub fn constant(self, tensor: &Tensor) -> Var<'t> {
        let mut recording = self.recording.borrow_mut();
        let (root, shape) = (recording.nodes.len() as u32, tensor.shape());
        // Into the pool's own memory, as it goes back there with the pass.
        let cast = (tensor.dtype() != self.dtype()).then(|| tensor.cast(self.dtype()));
        let value = match cast.as_ref().unwrap_or(tensor).buffer() {
            Buffer::F32(x) => recording.pool.copy(&x[..shape.len()]),
            Buffer::F64(x) => recording.pool.copy(&x[..shape.len()]),
        };
        let id = recording
            .push(Node { value: Some(value), ..Node::leaf("constant", shape, (root, 0), Location::caller()) }, None);
        Var { graph: self, id }
    }

    /// As [`Graph::constant`], but of elements that others hold too: nothing is copied where the types agree.
    #[track_caller]
    pub fn shared(self, tensor: &Arc<Tensor>) -> Var<'t> {
        if tensor.dtype() != self.dtype() {
            return self.constant(tensor);
        }
        let mut recording = self.recording.borrow_mut();
        let leaf = Node::leaf("constant", tensor.shape(), (recording.nodes.len() as u32, 0), Location::caller());
        let id = recording.push(Node { shared: Some(tensor.clone()), ..leaf }, None);
        Var { graph: self, id }
    }

    /// Whether this is a value of this pass.
    pub(crate) fn owns(self, var: Var<'t>) -> bool {
        std::ptr::eq(self.recording, var.graph.recording)
    }

    /// Records an operation of this crate.
    #[track_caller]
    pub fn apply(self, op: impl Into<AnyOp>, inputs: &[Var<'t>]) -> Var<'t> {
        if !self.parameters.has_adapters() {
            return self.record(op, inputs);
        }
        let mut adapted: SmallVec<[Var<'t>; 8]> = SmallVec::from_slice(inputs);
        adapted.iter_mut().for_each(|var| *var = self.with_lora(*var));
        self.record(op, &adapted)
    }

    /// Records an operation on just these inputs, adapted weights as they are.
    #[track_caller]
    pub(crate) fn record(self, op: impl Into<AnyOp>, inputs: &[Var<'t>]) -> Var<'t> {
        let (op, location) = (op.into(), Location::caller());
        let mut inputs: SmallVec<[Var<'t>; 8]> = SmallVec::from_slice(inputs);
        if !self.parameters.all_row_major {
            inputs.iter_mut().enumerate().for_each(|(i, var)| *var = self.as_read(&op, i, *var));
        }
        let mut recording = self.recording.borrow_mut();
        if !inputs.iter().all(|&var| self.owns(var)) {
            let id = recording.fail(Error::OtherGraph { op: op.name(), location });
            return Var { graph: self, id };
        }
        let ids = inputs.iter().map(|var| var.id).collect();
        let id = match self.dtype() {
            DType::F32 => recording.apply::<f32>(self.parameters, op, ids, location),
            DType::F64 => recording.apply::<f64>(self.parameters, op, ids, location),
        };
        Var { graph: self, id }
    }

    /// Records an operation from outside this crate.
    #[track_caller]
    pub fn custom(self, op: impl Op, inputs: &[Var<'t>]) -> Var<'t> {
        let op: Box<dyn CustomOp> = Box::new(op);
        self.apply(AnyOp::Custom(op), inputs)
    }

    /// Adds the gradient of `loss`, one number, to `gradients`: the chain rule, from the last node to the first. Values
    /// of more than one element are released on the way.
    ///
    /// # Errors
    /// The first failure of the pass; [`Error::NotRecorded`]; [`Error::OtherGraph`]; [`Error::GraphConsumed`] for a second one;
    /// [`Error::NotScalar`]; [`Error::Mismatch`] for other parameters' gradients.
    #[track_caller]
    pub fn backward(self, loss: Var<'t>, gradients: &mut Gradients) -> Result<()> {
        let mut recording = self.recording.borrow_mut();
        if let Some(error) = &recording.failure {
            return Err(error.clone());
        }
        let (op, location) = ("backward", Location::caller());
        let wrong = match () {
            () if !self.owns(loss) => Some(Error::OtherGraph { op, location }),
            () if !recording.mode.gradients => Some(Error::NotRecorded),
            () if recording.consumed => Some(Error::GraphConsumed { op, location }),
            () => None,
        };
        if let Some(error) = wrong {
            recording.fail(error.clone());
            return Err(error);
        }
        let node = &recording.nodes[loss.id as usize];
        if node.shape.len() != 1 {
            return Err(Error::NotScalar(node.shape));
        }
        if recording.nodes[node.root as usize].is_dropped() {
            return Err(Error::DroppedActivation { op, location });
        }
        gradients.check_layout(self.parameters)?;
        recording.consumed = true;
        match self.dtype() {
            DType::F32 => recording.backward::<f32>(self.parameters, loss.id, gradients)?,
            DType::F64 => recording.backward::<f64>(self.parameters, loss.id, gradients)?,
        }
        gradients.finish_zeroing();
        Ok(())
    }

    /// The first failure of this pass.
    ///
    /// # Errors
    /// That failure.
    pub fn check(self) -> Result<()> {
        self.recording.borrow().failure.clone().map_or(Ok(()), Err)
    }

    /// Records a failure of model code, as an operation would.
    #[track_caller]
    pub fn fail(self, op: &'static str, reason: impl Into<String>, inputs: &[Var<'t>]) -> Var<'t> {
        let inputs = inputs.iter().map(|var| var.shape()).collect();
        let error = Error::Shapes { op, reason: reason.into(), inputs, location: Location::caller() };
        let id = self.recording.borrow_mut().fail(error);
        Var { graph: self, id }
    }
}
