use crate::graph::{Graph, Node, Var, value};
use crate::pool::{Pool, Scratch};
use crate::{Gradients, Parameters};
use descant_kernels::{GemmConfig, Real};
use descant_tensor::{Buffer, Shape};
use smallvec::SmallVec;
use std::fmt;

/// A differentiable operation: shape rule, forward, backward and the rows that check it.
///
/// Nothing has a default: an operation without a backward, or without a case for the gradient check, does not compile.
pub trait Op: fmt::Debug + Send + 'static {
    /// Its name in messages.
    const NAME: &'static str;

    /// The shape of the output, or why there is none.
    ///
    /// # Errors
    /// The reason in words, with what was expected; the graph adds the operation, the shapes and the caller's line.
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String>;

    /// Writes every element of the output.
    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>);

    /// Adds the output's gradient, carried back, to the gradients of the inputs.
    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>);

    /// The rows of the gradient check.
    fn cases() -> Vec<Case>
    where
        Self: Sized;
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
    /// A fused operation's meaning in primitives: the oracle of its values.
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

    /// The same row, its values held against these primitives.
    pub fn reference(mut self, build: impl for<'t> Fn(Graph<'t>, &[Var<'t>]) -> Var<'t> + 'static) -> Self {
        self.reference = Some(Box::new(build));
        self
    }
}

/// What an operation sees in forward. Inputs are borrowed from the tape, not from the context, so they can be held
/// while the output is written.
pub struct Forward<'a, E> {
    pub(crate) nodes: &'a [Node],
    pub(crate) parameters: &'a Parameters,
    pub(crate) inputs: &'a [u32],
    pub(crate) output: &'a mut [E],
    pub(crate) saved: &'a mut SmallVec<[Buffer; 4]>,
    pub(crate) pool: &'a mut Pool,
    pub(crate) needs_gradient: bool,
    pub(crate) dropout: Option<u64>,
    pub(crate) config: GemmConfig,
}

impl<'a, E: Real> Forward<'a, E> {
    /// The values of input `i`.
    pub fn input(&self, i: usize) -> &'a [E] {
        value(self.nodes, self.parameters, self.inputs[i])
    }

    /// The shape of input `i`.
    pub fn shape(&self, i: usize) -> Shape {
        self.nodes[self.inputs[i] as usize].shape
    }

    /// How many inputs there are.
    pub fn inputs(&self) -> usize {
        self.inputs.len()
    }

    /// The output, to write. What it holds before is undefined.
    pub fn output(&mut self) -> &mut [E] {
        self.output
    }

    /// Whether a backward can follow: otherwise nothing need be saved.
    pub fn needs_gradient(&self) -> bool {
        self.needs_gradient
    }

    /// Whether a backward can follow that needs the gradient of input `i`.
    pub fn needs(&self, i: usize) -> bool {
        self.needs_gradient && self.nodes[self.inputs[i] as usize].needs_gradient
    }

    /// Scratch memory with undefined contents; give it to [`Forward::save`] or [`Forward::recycle`].
    pub fn scratch(&mut self, len: usize) -> Scratch<E> {
        self.pool.scratch(len)
    }

    /// Returns scratch memory to the pool.
    pub fn recycle(&mut self, scratch: Scratch<E>) {
        self.pool.give(scratch.into_buffer());
    }

    /// Keeps scratch memory for backward, in the order of the calls; without a backward to follow it goes to the pool.
    pub fn save(&mut self, scratch: Scratch<E>) {
        if self.needs_gradient {
            self.saved.push(scratch.into_buffer());
        } else {
            self.recycle(scratch);
        }
    }

    /// The seed of this operation's dropout, or `None` where dropout is off.
    pub fn dropout(&self) -> Option<u64> {
        self.dropout
    }

    /// How products are computed.
    pub fn gemm_config(&self) -> GemmConfig {
        self.config
    }
}

/// What an operation sees in backward.
pub struct Backward<'a, E> {
    pub(crate) nodes: &'a [Node],
    pub(crate) parameters: &'a Parameters,
    pub(crate) inputs: &'a [u32],
    pub(crate) node: u32,
    pub(crate) dy: &'a [E],
    pub(crate) saved: SmallVec<[Option<Buffer>; 4]>,
    pub(crate) gradients: &'a mut Gradients,
    pub(crate) grads: &'a mut [Option<Buffer>],
    pub(crate) pool: &'a mut Pool,
    pub(crate) dropout: Option<u64>,
    pub(crate) config: GemmConfig,
}

impl<'a, E: Real> Backward<'a, E> {
    /// The values of input `i`.
    pub fn input(&self, i: usize) -> &'a [E] {
        value(self.nodes, self.parameters, self.inputs[i])
    }

    /// The shape of input `i`.
    pub fn shape(&self, i: usize) -> Shape {
        self.nodes[self.inputs[i] as usize].shape
    }

    /// How many inputs there are.
    pub fn inputs(&self) -> usize {
        self.inputs.len()
    }

    /// The values that forward wrote.
    pub fn output(&self) -> &'a [E] {
        value(self.nodes, self.parameters, self.node)
    }

    /// The shape of the output.
    pub fn output_shape(&self) -> Shape {
        self.nodes[self.node as usize].shape
    }

    /// The gradient of the output.
    pub fn dy(&self) -> &'a [E] {
        self.dy
    }

    /// Takes the `i`-th buffer that forward saved, of which the first `len` elements were written.
    ///
    /// # Panics
    /// Where it was not saved or is taken twice: a defect of the operation.
    pub fn take_saved(&mut self, i: usize, len: usize) -> Scratch<E> {
        match self.saved[i].take() {
            Some(buffer) => Scratch::from_buffer(buffer, len),
            None => unreachable!("saved buffer {i} was taken before"),
        }
    }

    /// Whether input `i` needs a gradient.
    pub fn needs(&self, i: usize) -> bool {
        self.nodes[self.inputs[i] as usize].needs_gradient
    }

    /// The gradient of input `i`, to add to; `None` where it needs none.
    pub fn dx(&mut self, i: usize) -> Option<&mut [E]> {
        self.dx_beta(i).map(|(dx, beta)| {
            if beta == E::zero() {
                dx.fill(E::zero());
            }
            dx
        })
    }

    /// As [`Backward::dx`], for a product: the gradient and the `beta` to use. With `beta` zero, what it holds is
    /// undefined and every element must be written.
    pub fn dx_beta(&mut self, i: usize) -> Option<(&mut [E], E)> {
        let node = &self.nodes[self.inputs[i] as usize];
        if !node.needs_gradient {
            return None;
        }
        let root = &self.nodes[node.root as usize];
        let range = node.start..node.start + node.shape.len();
        let (whole, undefined) = match (root.parameter, &mut self.grads[node.root as usize]) {
            (Some(id), _) => self.gradients.target::<E>(id),
            (None, Some(buffer)) => (E::slice_mut(buffer), false),
            (None, slot) => (E::slice_mut(slot.insert(self.pool.take::<E>(root.shape.len()))), true),
        };
        let whole = &mut whole[..root.shape.len()];
        if undefined && range.len() < whole.len() {
            whole.fill(E::zero());
            return Some((&mut whole[range], E::one()));
        }
        Some((&mut whole[range], if undefined { E::zero() } else { E::one() }))
    }

    /// [`Forward::dropout`], the same.
    pub fn dropout(&self) -> Option<u64> {
        self.dropout
    }

    /// Scratch memory with undefined contents; return it with [`Backward::recycle`].
    pub fn scratch(&mut self, len: usize) -> Scratch<E> {
        self.pool.scratch(len)
    }

    /// Returns scratch memory to the pool.
    pub fn recycle(&mut self, scratch: Scratch<E>) {
        self.pool.give(scratch.into_buffer());
    }

    /// How products are computed.
    pub fn gemm_config(&self) -> GemmConfig {
        self.config
    }
}

/// An operation from outside this crate, erased; every [`Op`] is one.
pub trait CustomOp: fmt::Debug + Send {
    /// [`Op::NAME`].
    fn name(&self) -> &'static str;
    /// [`Op::shape`].
    ///
    /// # Errors
    /// As there.
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String>;
    /// [`Op::forward`] in f32.
    fn forward_f32(&self, ctx: &mut Forward<'_, f32>);
    /// [`Op::forward`] in f64.
    fn forward_f64(&self, ctx: &mut Forward<'_, f64>);
    /// [`Op::backward`] in f32.
    fn backward_f32(&self, ctx: &mut Backward<'_, f32>);
    /// [`Op::backward`] in f64.
    fn backward_f64(&self, ctx: &mut Backward<'_, f64>);
}

impl<O: Op> CustomOp for O {
    fn name(&self) -> &'static str {
        O::NAME
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        Op::shape(self, inputs)
    }

    fn forward_f32(&self, ctx: &mut Forward<'_, f32>) {
        self.forward(ctx);
    }

    fn forward_f64(&self, ctx: &mut Forward<'_, f64>) {
        self.forward(ctx);
    }

    fn backward_f32(&self, ctx: &mut Backward<'_, f32>) {
        self.backward(ctx);
    }

    fn backward_f64(&self, ctx: &mut Backward<'_, f64>) {
        self.backward(ctx);
    }
}

/// Registers the operations: one enum over all (so that recording a node allocates nothing), and the table of the gradient
/// check.
macro_rules! ops {
    ($($module:ident :: $op:ident),* $(,)?) => {
        /// Any operation of this crate, or one from outside.
        #[derive(Debug)]
        pub enum AnyOp {
            $(#[doc = concat!("[`", stringify!($module), "::", stringify!($op), "`]")] $op($module::$op),)*
            /// One from outside this crate.
            Custom(Box<dyn CustomOp>),
        }

        $(impl From<$module::$op> for AnyOp {
            fn from(op: $module::$op) -> Self {
                Self::$op(op)
            }
        })*

        impl AnyOp {
            pub(crate) fn name(&self) -> &'static str {
                match self {
                    $(Self::$op(_) => <$module::$op as Op>::NAME,)*
                    Self::Custom(op) => op.name(),
                }
            }

            pub(crate) fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
                match self {
                    $(Self::$op(op) => Op::shape(op, inputs),)*
                    Self::Custom(op) => op.shape(inputs),
                }
            }

            pub(crate) fn forward<E: Dispatch>(&self, ctx: &mut Forward<'_, E>) {
                match self {
                    $(Self::$op(op) => op.forward(ctx),)*
                    Self::Custom(op) => E::forward(op.as_ref(), ctx),
                }
            }

            pub(crate) fn backward<E: Dispatch>(&self, ctx: &mut Backward<'_, E>) {
                match self {
                    $(Self::$op(op) => op.backward(ctx),)*
                    Self::Custom(op) => E::backward(op.as_ref(), ctx),
                }
            }
        }

        /// Every operation's name and gradient-check rows.
        pub fn table() -> Vec<(&'static str, Vec<Case>)> {
            vec![$((<$module::$op as Op>::NAME, <$module::$op as Op>::cases())),*]
        }
    };
}
pub(crate) use ops;

/// Chooses the method of an erased operation by element type.
pub trait Dispatch: Real {
    /// Calls its forward.
    fn forward(op: &dyn CustomOp, ctx: &mut Forward<'_, Self>);
    /// Calls its backward.
    fn backward(op: &dyn CustomOp, ctx: &mut Backward<'_, Self>);
}

impl Dispatch for f32 {
    fn forward(op: &dyn CustomOp, ctx: &mut Forward<'_, Self>) {
        op.forward_f32(ctx);
    }

    fn backward(op: &dyn CustomOp, ctx: &mut Backward<'_, Self>) {
        op.backward_f32(ctx);
    }
}

impl Dispatch for f64 {
    fn forward(op: &dyn CustomOp, ctx: &mut Forward<'_, Self>) {
        op.forward_f64(ctx);
    }

    fn backward(op: &dyn CustomOp, ctx: &mut Backward<'_, Self>) {
        op.backward_f64(ctx);
    }
}

pub use crate::ops::AnyOp;
