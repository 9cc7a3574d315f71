//! What a tape holds: the values of one pass in the order of creation, which is a topological order; forward of one operation,
//! and backward of all.

use crate::any_op::AnyOp;
use crate::context::{Backward, Forward};
use crate::derive_seed::derive_seed;
use crate::dyn_op::Dispatch;
use crate::gradients::Gradients;
use crate::node::{Node, value};
use crate::parameters::{ParameterId, Parameters};
use crate::pool::Pool;
use descant_kernels::{FlushSubnormals, GemmConfig, MatmulPrecision, Parallelism, Real};
use descant_tensor::{Buffer, Error, Result, Shape};
use smallvec::SmallVec;
use std::ops::Range;
use std::panic::Location;

/// The id of the value of a failed operation.
pub(crate) const FAILED: u32 = u32::MAX;

#[derive(Debug, Default)]
pub(crate) struct Recording {
    pub(crate) nodes: Vec<Node>,
    /// The operation of each node; none of a parameter, a constant or a view.
    pub(crate) ops: Vec<Option<AnyOp>>,
    pub(crate) pool: Pool,
    pub(crate) failure: Option<Error>,
    pub(crate) parameter_nodes: Vec<u32>,
    pub(crate) grads: Vec<Option<Buffer>>,
    /// Ranges of nodes whose activations were dropped, in the order of creation.
    pub(crate) dropped: Vec<Range<usize>>,
    /// The nodes of weights summed with their LoRA adapters.
    pub(crate) lora_sums: Vec<(ParameterId, u32)>,
    /// Whether backward has run, which releases the values.
    pub(crate) consumed: bool,
    pub(crate) mode: Mode,
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mode {
    pub(crate) gradients: bool,
    pub(crate) dropout: Option<u64>,
    pub(crate) check_finite: bool,
    pub(crate) parallelism: Parallelism,
    /// In place of that of the parameters.
    pub(crate) precision: Option<MatmulPrecision>,
    /// Whether the queries of cross-attention are kept that a pass without gradients would release.
    pub(crate) keeps_queries: bool,
}

impl Mode {
    /// Inference is batch-invariant; training computes a batch as a whole.
    pub(crate) fn gemm_config(self, parameters: &Parameters) -> GemmConfig {
        let Self { parallelism, gradients, precision, .. } = self;
        let precision = precision.unwrap_or_else(|| parameters.precision());
        GemmConfig { parallelism, precision, batch_invariant: !gradients }
    }
}

impl Recording {
    pub(crate) fn reset(&mut self) {
        for node in self.nodes.drain(..) {
            node.value.into_iter().chain(node.saved).for_each(|buffer| self.pool.give(buffer));
        }
        self.ops.clear();
        self.grads.drain(..).flatten().for_each(|buffer| self.pool.give(buffer));
        self.parameter_nodes.clear();
        self.dropped.clear();
        self.lora_sums.clear();
        self.consumed = false;
    }

    pub(crate) fn push(&mut self, node: Node, op: Option<AnyOp>) -> u32 {
        self.nodes.push(node);
        self.ops.push(op);
        self.grads.push(None);
        self.nodes.len() as u32 - 1
    }

    pub(crate) fn fail(&mut self, error: Error) -> u32 {
        self.failure.get_or_insert(error);
        FAILED
    }

    pub(crate) fn apply<E: Dispatch>(
        &mut self,
        parameters: &Parameters,
        op: AnyOp,
        inputs: SmallVec<[u32; 8]>,
        location: &'static Location<'static>,
    ) -> u32 {
        if self.failure.is_some() {
            return FAILED;
        }
        if self.consumed {
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
        let leaf = Node::leaf(op.name(), shape, (self.nodes.len() as u32, 0), location);
        let id = self.push(Node { inputs, needs_gradient, ..leaf }, Some(op));
        self.compute::<E>(parameters, id as usize);
        let node = &self.nodes[id as usize];
        if self.mode.check_finite
            && let Some(element) = not_finite(value::<E>(&self.nodes, parameters, id))
        {
            let op = node.name;
            return self.fail(Error::NonFinite { op, what: "the value", shape, element, location });
        }
        id
    }

    /// The forward of a node's operation.
    pub(crate) fn compute<E: Dispatch>(&mut self, parameters: &Parameters, id: usize) {
        let _flush = self.mode.gradients.then(FlushSubnormals::new);
        let held = self.nodes[id].value.take();
        let node = &self.nodes[id];
        let Some(op) = &self.ops[id] else { return };
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
            config: self.mode.gemm_config(parameters),
        });
        let node = &mut self.nodes[id];
        (node.value, node.saved) = (Some(output), saved);
    }

    pub(crate) fn backward<E: Dispatch>(
        &mut self,
        parameters: &Parameters,
        from: u32,
        gradients: &mut Gradients,
    ) -> Result<()> {
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
            if let Some(op) = &self.ops[id] {
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
                    config: self.mode.gemm_config(parameters),
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
                let (op, what) = (node.name, "the gradient");
                return Err(Error::NonFinite { op, what, shape: root.shape, element, location: node.location });
            }
        }
        Ok(())
    }
}

fn not_finite<E: Real>(elements: &[E]) -> Option<usize> {
    elements.iter().position(|x| !x.is_finite())
}
