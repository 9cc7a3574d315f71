//! Operations of inference alone.

use crate::context::Forward;
use crate::graph::{Graph, Var};
use crate::node::Node;
use crate::parameters::Parameters;
use crate::recording::{FAILED, Recording};
use descant_kernels::Real;
use descant_tensor::{DType, Error, Shape};
use smallvec::SmallVec;
use std::panic::Location;

/// An operation without a backward, which may change what it holds, such as a KV cache.
pub(crate) trait InferenceOp {
    /// Its name in messages.
    fn name(&self) -> &'static str;

    /// The shape of the output, or why the inputs do not fit.
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String>;

    /// Writes every element of the output.
    fn forward<E: Real>(&mut self, ctx: &mut Forward<'_, E>);
}

impl<'t> Graph<'t> {
    /// Runs an operation; in a pass that records for backward it is a sticky error.
    #[track_caller]
    pub(crate) fn infer(self, op: &mut impl InferenceOp, inputs: &[Var<'t>]) -> Var<'t> {
        let location = Location::caller();
        let inputs: SmallVec<[Var<'t>; 8]> = inputs.iter().map(|&var| self.row_major(var)).collect();
        let mut recording = self.recording.borrow_mut();
        let id = match inputs.iter().all(|&var| self.owns(var)) {
            false => recording.fail(Error::OtherGraph { op: op.name(), location }),
            true => {
                let ids: SmallVec<[u32; 8]> = inputs.iter().map(|var| var.id).collect();
                match self.dtype() {
                    DType::F32 => recording.infer::<f32>(self.parameters, op, ids, location),
                    DType::F64 => recording.infer::<f64>(self.parameters, op, ids, location),
                }
            }
        };
        Var { graph: self, id }
    }
}

impl Recording {
    fn infer<E: Real>(
        &mut self,
        parameters: &Parameters,
        op: &mut impl InferenceOp,
        inputs: SmallVec<[u32; 8]>,
        location: &'static Location<'static>,
    ) -> u32 {
        if self.failure.is_some() {
            return FAILED;
        }
        let shapes: SmallVec<[Shape; 8]> = inputs.iter().map(|&id| self.nodes[id as usize].shape).collect();
        let shape = match op.shape(&shapes) {
            Ok(_) if self.mode.gradients => Err("it has no backward: it is for inference".to_owned()),
            shape => shape,
        };
        let shape = match shape {
            Ok(shape) => shape,
            Err(reason) => {
                return self.fail(Error::Shapes { op: op.name(), reason, inputs: shapes.to_vec(), location });
            }
        };
        let mut output = self.pool.take::<E>(shape.len());
        op.forward(&mut Forward {
            nodes: &self.nodes,
            parameters,
            inputs: &inputs,
            output: &mut E::slice_mut(&mut output)[..shape.len()],
            saved: &mut SmallVec::new(),
            pool: &mut self.pool,
            needs_gradient: false,
            dropout: None,
            config: self.mode.gemm_config(parameters),
        });
        let leaf = Node::leaf(op.name(), shape, (self.nodes.len() as u32, 0), location);
        self.push(Node { inputs, value: Some(output), ..leaf }, None)
    }
}
