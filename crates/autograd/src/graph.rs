mod recompute;

use crate::op::{AnyOp, Backward, CustomOp, Dispatch, Forward, Op};
use crate::pool::Pool;
use crate::{Gradients, ParameterId, Parameters};
use descant_kernels::{FlushSubnormals, Parallelism, Real};
use descant_tensor::{Buffer, DType, Error, Result, Shape, Tensor};
use smallvec::SmallVec;
use std::cell::RefCell;
use std::fmt;
use std::ops::Range;
use std::panic::Location;
use std::sync::Arc;

/// Memory of one forward and backward pass after another: the nodes, and the buffers that the next pass reuses.
#[derive(Debug, Default)]
pub struct Tape {
    state: RefCell<State>,
}

/// One recorded pass on a [`Tape`], over some [`Parameters`]. `Copy`: pass it to every layer.
#[derive(Clone, Copy)]
pub struct Graph<'t> {
    parameters: &'t Parameters,
    state: &'t RefCell<State>,
}

/// The handle of one value in a [`Graph`].
///
/// Errors are sticky: an operation on shapes that do not fit returns a `Var` and records the first failure, with the
/// operation, the shapes and the caller's line; [`Graph::backward`] and [`Var::value`] return it.
#[derive(Clone, Copy)]
pub struct Var<'t> {
    graph: Graph<'t>,
    id: u32,
}

#[derive(Debug, Default)]
struct State {
    nodes: Vec<Node>,
    pool: Pool,
    failure: Option<Error>,
    parameter_nodes: Vec<u32>,
    grads: Vec<Option<Buffer>>,
    /// Nodes whose values [`Graph::rematerialize`] dropped, the last ones last.
    dropped: Vec<Range<usize>>,
    /// Sums of adapted weights and what is added to them.
    adapted: Vec<(ParameterId, u32)>,
    /// Whether backward has run, which releases what was recorded.
    spent: bool,
    mode: Mode,
}

#[derive(Debug, Clone, Copy, Default)]
struct Mode {
    gradients: bool,
    dropout: Option<u64>,
    check_finite: bool,
    parallelism: Parallelism,
}

#[derive(Debug)]
pub(crate) struct Node {
    op: Option<AnyOp>,
    inputs: SmallVec<[u32; 8]>,
    pub(crate) shape: Shape,
    /// The node that holds the elements: itself, or what it is a view of.
    pub(crate) root: u32,
    /// Where its elements start in those of the root.
    pub(crate) start: usize,
    value: Option<Buffer>,
    /// The elements of a constant that others hold too.
    shared: Option<Arc<Tensor>>,
    pub(crate) parameter: Option<ParameterId>,
    saved: SmallVec<[Buffer; 4]>,
    pub(crate) needs_gradient: bool,
    location: &'static Location<'static>,
}

/// The id of the value of a failed operation.
const FAILED: u32 = u32::MAX;

pub(crate) fn value<'a, E: Real>(nodes: &'a [Node], parameters: &'a Parameters, id: u32) -> &'a [E] {
    let node = &nodes[id as usize];
    let root = &nodes[node.root as usize];
    let elements = match (&root.value, root.parameter, &root.shared) {
        (Some(buffer), ..) => E::slice(buffer),
        (None, Some(id), _) => parameters.values::<E>(id),
        (None, None, Some(tensor)) => E::slice(tensor.buffer()),
        (None, None, None) => unreachable!("the value of {} was released too early", root.name()),
    };
    &elements[node.start..node.start + node.shape.len()]
}

impl Node {
    /// A node without an operation: of elements of its own, or a view of those of `root`.
    fn leaf(shape: Shape, (root, start): (u32, usize), location: &'static Location<'static>) -> Self {
        Self {
            op: None,
            inputs: SmallVec::new(),
            shape,
            root,
            start,
            value: None,
            shared: None,
            parameter: None,
            saved: SmallVec::new(),
            needs_gradient: false,
            location,
        }
    }

    /// Whether the elements of this root are no longer there: released by backward, or to be computed again.
    fn is_dropped(&self) -> bool {
        self.value.is_none() && self.parameter.is_none() && self.shared.is_none()
    }

    fn name(&self) -> &'static str {
        match (&self.op, self.parameter) {
            (Some(op), _) => op.name(),
            (None, Some(_)) => "parameter",
            (None, None) => "constant",
        }
    }
}

impl Tape {
    /// An empty tape.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a pass that records for backward, with dropout drawn from `seed`.
    pub fn train<'t>(&'t mut self, parameters: &'t Parameters, seed: u64) -> Graph<'t> {
        self.start(parameters, Mode { gradients: true, dropout: Some(seed), ..Mode::default() })
    }

    /// Starts a pass without gradients and without dropout, whose products may use several threads.
    pub fn infer<'t>(&'t mut self, parameters: &'t Parameters, parallelism: Parallelism) -> Graph<'t> {
        self.start(parameters, Mode { parallelism, ..Mode::default() })
    }

    /// As [`Tape::train`], but every value and gradient is searched for infinities and NaN; the first becomes
    /// [`Error::NonFinite`]. Slower: for finding out why a training failed.
    pub fn detect_anomaly<'t>(&'t mut self, parameters: &'t Parameters, seed: u64) -> Graph<'t> {
        let mode = Mode { gradients: true, dropout: Some(seed), check_finite: true, ..Mode::default() };
        self.start(parameters, mode)
    }

    /// How many buffers were ever allocated. After the first steps of a training it no longer grows.
    pub fn allocations(&self) -> u64 {
        self.state.borrow().pool.allocations()
    }

    fn start<'t>(&'t mut self, parameters: &'t Parameters, mode: Mode) -> Graph<'t> {
        let state = self.state.get_mut();
        state.reset();
        state.mode = mode;
        state.failure = parameters.check().err();
        state.parameter_nodes.resize(parameters.len(), FAILED);
        Graph { parameters, state: &self.state }
    }
}

impl State {
    fn reset(&mut self) {
        for node in self.nodes.drain(..) {
            node.value.into_iter().chain(node.saved).for_each(|buffer| self.pool.give(buffer));
        }
        self.grads.drain(..).flatten().for_each(|buffer| self.pool.give(buffer));
        self.parameter_nodes.clear();
        self.dropped.clear();
        self.adapted.clear();
        self.spent = false;
    }

    fn push(&mut self, node: Node) -> u32 {
        self.nodes.push(node);
        self.grads.push(None);
        self.nodes.len() as u32 - 1
    }

    fn fail(&mut self, error: Error) -> u32 {
        self.failure.get_or_insert(error);
        FAILED
    }

    fn apply<E: Dispatch>(
        &mut self,
        parameters: &Parameters,
        op: AnyOp,
        inputs: SmallVec<[u32; 8]>,
        location: &'static Location<'static>,
    ) -> u32 {
        if self.failure.is_some() {
            return FAILED;
        }
        if self.spent {
            return self.fail(Error::GraphConsumed { op: op.name(), location });
        }
        let is_dropped = |&id: &u32| self.nodes[self.nodes[id as usize].root as usize].is_dropped();
        if inputs.iter().any(is_dropped) {
            return self.fail(Error::DroppedActivation { op: op.name(), location });
        }
        let shapes: SmallVec<[Shape; 8]> = inputs.iter().map(|&id| self.nodes[id as usize].shape).collect();
        let shape = match op.shape(&shapes) {
            Ok(shape) => shape,
            Err(reason) => {
                return self.fail(Error::Shapes { op: op.name(), reason, inputs: shapes.to_vec(), location });
            }
        };
        let needs_gradient = self.mode.gradients && inputs.iter().any(|&id| self.nodes[id as usize].needs_gradient);
        let leaf = Node::leaf(shape, (self.nodes.len() as u32, 0), location);
        let id = self.push(Node { op: Some(op), inputs, needs_gradient, ..leaf });
        self.compute::<E>(parameters, id as usize);
        let node = &self.nodes[id as usize];
        if self.mode.check_finite
            && let Some(element) = not_finite(value::<E>(&self.nodes, parameters, id))
        {
            let op = node.name();
            return self.fail(Error::NonFinite { op, what: "the value", shape, element, location });
        }
        id
    }

    /// The forward of a node's operation.
    fn compute<E: Dispatch>(&mut self, parameters: &Parameters, id: usize) {
        let _flush = self.mode.gradients.then(FlushSubnormals::new);
        let held = self.nodes[id].value.take();
        let node = &self.nodes[id];
        let Some(op) = &node.op else { return };
        let mut output = held.unwrap_or_else(|| self.pool.take::<E>(node.shape.len()));
        let mut saved = SmallVec::new();
        op.forward(&mut Forward {
            nodes: &self.nodes,
            parameters,
            inputs: &node.inputs,
            output: &mut E::slice_mut(&mut output)[..node.shape.len()],
            saved: &mut saved,
            pool: &mut self.pool,
            needs_gradient: node.needs_gradient,
            dropout: self.mode.dropout.map(|seed| derive_seed(seed, id as u64)),
            config: parameters.gemm_config(self.mode.parallelism),
        });
        let node = &mut self.nodes[id];
        (node.value, node.saved) = (Some(output), saved);
    }

    fn backward<E: Dispatch>(&mut self, parameters: &Parameters, from: u32, gradients: &mut Gradients) -> Result<()> {
        let root = self.nodes[from as usize].root as usize;
        if !self.nodes[root].needs_gradient {
            return Ok(());
        }
        let _flush = FlushSubnormals::new();
        let mut seed = self.pool.take::<E>(self.nodes[root].shape.len());
        E::slice_mut(&mut seed).fill(E::zero());
        E::slice_mut(&mut seed)[self.nodes[from as usize].start] = E::one();
        self.grads[root] = Some(seed);
        for id in (0..=root).rev() {
            self.rematerialize::<E>(parameters, id);
            let Some(dy) = self.grads[id].take() else { continue };
            let saved = std::mem::take(&mut self.nodes[id].saved);
            let node = &self.nodes[id];
            if let Some(op) = &node.op {
                let mut ctx = Backward {
                    nodes: &self.nodes,
                    parameters,
                    inputs: &node.inputs,
                    node: id as u32,
                    dy: &E::slice(&dy)[..node.shape.len()],
                    saved: saved.into_iter().map(Some).collect(),
                    gradients,
                    grads: &mut self.grads,
                    pool: &mut self.pool,
                    dropout: self.mode.dropout.map(|seed| derive_seed(seed, id as u64)),
                    config: parameters.gemm_config(self.mode.parallelism),
                };
                op.backward(&mut ctx);
                ctx.saved.into_iter().flatten().for_each(|buffer| ctx.pool.give(buffer));
                if self.mode.check_finite {
                    self.check_gradients::<E>(id, gradients)?;
                }
            }
            self.pool.give(dy);
            // No earlier node reads it. Single numbers stay: the loss is read after backward.
            if self.nodes[id].shape.len() > 1 {
                let value = self.nodes[id].value.take();
                value.into_iter().for_each(|buffer| self.pool.give(buffer));
            }
        }
        Ok(())
    }

    /// That what the backward of node `id` wrote is finite.
    fn check_gradients<E: Real>(&self, id: usize, gradients: &Gradients) -> Result<()> {
        let node = &self.nodes[id];
        for &input in &node.inputs {
            let root = &self.nodes[self.nodes[input as usize].root as usize];
            let written = match root.parameter {
                Some(parameter) => Some(gradients.values::<E>(parameter)),
                None => self.grads[self.nodes[input as usize].root as usize]
                    .as_ref()
                    .map(|buffer| &E::slice(buffer)[..root.shape.len()]),
            };
            if let Some(element) = written.and_then(not_finite) {
                let (op, what) = (node.name(), "the gradient");
                return Err(Error::NonFinite { op, what, shape: root.shape, element, location: node.location });
            }
        }
        Ok(())
    }
}

impl<'t> Graph<'t> {
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
        let mut state = self.state.borrow_mut();
        let known = state.parameter_nodes.get(id.0 as usize).copied();
        let node = match known {
            None => {
                let reason = "it belongs to other parameters than the graph's".to_owned();
                state.fail(Error::Parameter { name: format!("#{}", id.0), reason })
            }
            Some(FAILED) => {
                let needs_gradient = state.mode.gradients && self.parameters.is_trainable(id);
                let root = state.nodes.len() as u32;
                let leaf = Node::leaf(self.parameters.shape(id), (root, 0), Location::caller());
                let node = state.push(Node { parameter: Some(id), needs_gradient, ..leaf });
                state.parameter_nodes[id.0 as usize] = node;
                node
            }
            Some(node) => node,
        };
        Var { graph: self, id: node }
    }

    /// Where the elements of a value are part of a parameter: of which, from where on, and in what shape.
    pub(crate) fn parameter_of(self, var: Var<'t>) -> Option<(ParameterId, usize, Shape)> {
        let state = self.state.borrow();
        let node = state.nodes.get(var.id as usize).filter(|_| self.owns(var))?;
        Some((state.nodes[node.root as usize].parameter?, node.start, node.shape))
    }

    /// The sum of an adapted weight and what is added to it: computed by `sum` where it is first read.
    pub(crate) fn adapted_once(self, id: ParameterId, sum: impl FnOnce() -> Var<'t>) -> Var<'t> {
        let known = self.state.borrow().adapted.iter().find(|(of, _)| *of == id).map(|(_, node)| *node);
        let node = known.unwrap_or_else(|| {
            let node = sum().id;
            self.state.borrow_mut().adapted.push((id, node));
            node
        });
        Var { graph: self, id: node }
    }

    /// Whether this pass drops values, as in training.
    pub(crate) fn has_dropout(self) -> bool {
        self.state.borrow().mode.dropout.is_some()
    }

    /// True with this probability in training, drawn from the pass's seed; never where dropout is off.
    pub fn bernoulli(self, probability: f64) -> bool {
        let state = self.state.borrow();
        let draw = |seed| derive_seed(derive_seed(seed, state.nodes.len() as u64), 1) as f64 / u64::MAX as f64;
        state.mode.dropout.is_some_and(|seed| draw(seed) < probability)
    }

    /// A value that has no gradient. It is cast to the graph's type.
    #[track_caller]
    pub fn constant(self, tensor: &Tensor) -> Var<'t> {
        let mut state = self.state.borrow_mut();
        let (root, shape) = (state.nodes.len() as u32, tensor.shape());
        // Into the pool's own memory, as it goes back there with the pass.
        let cast = (tensor.dtype() != self.dtype()).then(|| tensor.cast(self.dtype()));
        let value = match cast.as_ref().unwrap_or(tensor).buffer() {
            Buffer::F32(x) => state.pool.copy(&x[..shape.len()]),
            Buffer::F64(x) => state.pool.copy(&x[..shape.len()]),
        };
        let id = state.push(Node { value: Some(value), ..Node::leaf(shape, (root, 0), Location::caller()) });
        Var { graph: self, id }
    }

    /// As [`Graph::constant`], but of elements that others hold too: nothing is copied where the types agree.
    #[track_caller]
    pub fn shared(self, tensor: &Arc<Tensor>) -> Var<'t> {
        if tensor.dtype() != self.dtype() {
            return self.constant(tensor);
        }
        let mut state = self.state.borrow_mut();
        let leaf = Node::leaf(tensor.shape(), (state.nodes.len() as u32, 0), Location::caller());
        let id = state.push(Node { shared: Some(tensor.clone()), ..leaf });
        Var { graph: self, id }
    }

    /// Whether this is a value of this pass.
    fn owns(self, var: Var<'t>) -> bool {
        std::ptr::eq(self.state, var.graph.state)
    }

    /// Records an operation of this crate.
    #[track_caller]
    pub fn apply(self, op: impl Into<AnyOp>, inputs: &[Var<'t>]) -> Var<'t> {
        if !self.parameters.has_adapters() {
            return self.record(op, inputs);
        }
        let mut adapted: SmallVec<[Var<'t>; 8]> = SmallVec::from_slice(inputs);
        adapted.iter_mut().for_each(|var| *var = self.adapted(*var));
        self.record(op, &adapted)
    }

    /// Records an operation on just these inputs, adapted weights as they are.
    #[track_caller]
    pub(crate) fn record(self, op: impl Into<AnyOp>, inputs: &[Var<'t>]) -> Var<'t> {
        let (op, location) = (op.into(), Location::caller());
        let mut state = self.state.borrow_mut();
        if !inputs.iter().all(|&var| self.owns(var)) {
            let id = state.fail(Error::OtherGraph { op: op.name(), location });
            return Var { graph: self, id };
        }
        let ids = inputs.iter().map(|var| var.id).collect();
        let id = match self.dtype() {
            DType::F32 => state.apply::<f32>(self.parameters, op, ids, location),
            DType::F64 => state.apply::<f64>(self.parameters, op, ids, location),
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
        let mut state = self.state.borrow_mut();
        if let Some(error) = &state.failure {
            return Err(error.clone());
        }
        let (op, location) = ("backward", Location::caller());
        let wrong = match () {
            () if !self.owns(loss) => Some(Error::OtherGraph { op, location }),
            () if !state.mode.gradients => Some(Error::NotRecorded),
            () if state.spent => Some(Error::GraphConsumed { op, location }),
            () => None,
        };
        if let Some(error) = wrong {
            state.fail(error.clone());
            return Err(error);
        }
        let node = &state.nodes[loss.id as usize];
        if node.shape.len() != 1 {
            return Err(Error::NotScalar(node.shape));
        }
        if state.nodes[node.root as usize].is_dropped() {
            return Err(Error::DroppedActivation { op, location });
        }
        gradients.check_layout(self.parameters)?;
        state.spent = true;
        match self.dtype() {
            DType::F32 => state.backward::<f32>(self.parameters, loss.id, gradients)?,
            DType::F64 => state.backward::<f64>(self.parameters, loss.id, gradients)?,
        }
        gradients.finish_zeroing();
        Ok(())
    }

    /// The first failure of this pass.
    ///
    /// # Errors
    /// That failure.
    pub fn check(self) -> Result<()> {
        self.state.borrow().failure.clone().map_or(Ok(()), Err)
    }

    /// Records a failure of model code, as an operation would.
    #[track_caller]
    pub fn fail(self, op: &'static str, reason: impl Into<String>, inputs: &[Var<'t>]) -> Var<'t> {
        let inputs = inputs.iter().map(|var| var.shape()).collect();
        let error = Error::Shapes { op, reason: reason.into(), inputs, location: Location::caller() };
        let id = self.state.borrow_mut().fail(error);
        Var { graph: self, id }
    }
}

impl<'t> Var<'t> {
    /// The pass it belongs to.
    pub fn graph(self) -> Graph<'t> {
        self.graph
    }

    /// Its shape; that of a scalar after a failure.
    pub fn shape(self) -> Shape {
        self.graph.state.borrow().nodes.get(self.id as usize).map(|node| node.shape).unwrap_or_default()
    }

    /// A copy of its value; of an adapted weight, that of the sum. The pass stays as it is.
    ///
    /// # Errors
    /// The first failure of the pass; [`Error::Released`] after backward.
    pub fn value(self) -> Result<Tensor> {
        let graph = self.graph;
        graph.check()?;
        if let Some(value) = graph.adapted_value(self) {
            return value;
        }
        let state = graph.state.borrow();
        let node = &state.nodes[self.id as usize];
        let root = &state.nodes[node.root as usize];
        if root.is_dropped() {
            let (op, location) = (node.name(), node.location);
            return Err(if state.spent { Error::Released { op } } else { Error::DroppedActivation { op, location } });
        }
        match graph.dtype() {
            DType::F32 => Tensor::new(node.shape, value::<f32>(&state.nodes, graph.parameters, self.id)),
            DType::F64 => Tensor::new(node.shape, value::<f64>(&state.nodes, graph.parameters, self.id)),
        }
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
        let mut state = self.graph.state.borrow_mut();
        if state.failure.is_some() {
            return Self { id: FAILED, ..self };
        }
        let node = &state.nodes[self.id as usize];
        let (root, start, needs_gradient) = (node.root, node.start + offset, node.needs_gradient);
        let id = state.push(Node { needs_gradient, ..Node::leaf(shape, (root, start), Location::caller()) });
        Self { id, ..self }
    }
}

impl fmt::Debug for Var<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Var({}, {})", self.id, self.shape())
    }
}

fn not_finite<E: Real>(elements: &[E]) -> Option<usize> {
    elements.iter().position(|x| !x.is_finite())
}

/// A seed for the `n`-th of a family (SplitMix64, Steele et al. 2014).
pub fn derive_seed(seed: u64, n: u64) -> u64 {
    let mut z = seed.wrapping_add(n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use crate::{Parameters, Tape};
    use descant_kernels::Parallelism;
    use descant_tensor::{DType, Tensor};

    #[test]
    fn passes_with_constants_leave_no_memory_behind() {
        let parameters = Parameters::new(DType::F32);
        let mut tape = Tape::new();
        let mut pooled = || {
            for _ in 0..5 {
                let graph = tape.infer(&parameters, Parallelism::Serial);
                let constants = [DType::F32, DType::F64].map(|dtype| graph.constant(&Tensor::zeros(dtype, [100])));
                assert_eq!((constants[0] + constants[1]).value().unwrap().to_f64(), [0.0; 100]);
            }
            let _ = tape.infer(&parameters, Parallelism::Serial);
            tape.state.borrow().pool.len()
        };
        assert_eq!(pooled(), pooled());
    }

    #[test]
    fn gradients_started_again_are_those_of_the_new_backward_alone() {
        let mut parameters = Parameters::new(DType::F64);
        let ids = ["a", "b"].map(|name| parameters.add_with(name, [2], &[1.0, 2.0]));
        let (mut tape, mut gradients) = (Tape::new(), parameters.gradients());
        let mut backward = |used: &[usize], gradients: &mut crate::Gradients| {
            let graph = tape.train(&parameters, 1);
            let loss = used.iter().map(|&i| graph.parameter(ids[i]).slice(0, 1).square().sum()).reduce(|a, b| a + b);
            graph.backward(loss.unwrap(), gradients).unwrap();
            ids.map(|id| (gradients.is_touched(id), gradients.to_f64(id)))
        };
        let (two, none) = ((true, vec![2.0, 0.0]), (false, vec![0.0, 0.0]));
        assert_eq!(backward(&[0, 1], &mut gradients), [two.clone(), two.clone()]);
        gradients.zero_lazily();
        assert_eq!(backward(&[1], &mut gradients), [none, two.clone()]);
        assert_eq!(backward(&[0, 1], &mut gradients), [two, (true, vec![4.0, 0.0])]);
    }
}
