//! What an operation reads and writes.

use crate::gradients::Gradients;
use crate::node::{Node, value};
use crate::parameters::Parameters;
use crate::pool::{Pool, Scratch};
use descant_kernels::{GemmConfig, Real, run_on_rows};
use descant_tensor::{Buffer, Shape};
use smallvec::SmallVec;
use std::ops::Range;

/// The context of an operation in forward. Inputs are borrowed from the tape, not from the context, so they stay valid while the
/// output is written.
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
    /// The output, to write. What it holds before is undefined.
    pub fn output(&mut self) -> &mut [E] {
        self.output
    }

    /// Runs a pass over the output as `[N, columns]`, in inference on several threads: `pass` gets which rows, and these rows.
    pub(crate) fn each_row(&mut self, columns: usize, pass: impl Fn(Range<usize>, &mut [E]) + Sync) {
        let threads = self.config.pass_threads(self.output.len());
        run_on_rows(self.output, columns, threads, |first, y| pass(first..first + y.len() / columns.max(1), y));
    }

    /// Whether a backward can follow; otherwise nothing has to be saved.
    pub fn needs_gradient(&self) -> bool {
        self.needs_gradient
    }

    /// Whether a backward can follow that needs the gradient of input `i`.
    pub fn needs(&self, i: usize) -> bool {
        self.needs_gradient && self.nodes[self.inputs[i] as usize].needs_gradient
    }

    /// Keeps scratch memory for backward, in the order of the calls; without a backward it returns to the pool.
    pub fn save(&mut self, scratch: Scratch<E>) {
        if self.needs_gradient {
            self.saved.push(scratch.into_buffer());
        } else {
            self.recycle(scratch);
        }
    }
}

/// The context of an operation in backward.
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

    /// As [`Backward::dx`], for a GEMM: the gradient and the `beta` to use. With `beta` zero, its contents are undefined and every
    /// element must be written.
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
}

/// What an operation finds in both directions.
macro_rules! operands {
    ($($context:ident),*) => {
        $(
            impl<'a, E: Real> $context<'a, E> {
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

                /// Scratch memory with undefined contents; give it to `save` or `recycle`.
                pub fn scratch(&mut self, len: usize) -> Scratch<E> {
                    self.pool.scratch(len)
                }

                /// Returns scratch memory to the pool.
                pub fn recycle(&mut self, scratch: Scratch<E>) {
                    self.pool.give(scratch.into_buffer());
                }

                /// The seed of this operation's dropout, or `None` where dropout is off.
                pub fn dropout(&self) -> Option<u64> {
                    self.dropout
                }

                /// Threads and precision of GEMMs.
                pub fn gemm_config(&self) -> GemmConfig {
                    self.config
                }
            }
        )*
    };
}

operands!(Forward, Backward);
