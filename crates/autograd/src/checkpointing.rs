//! Activation checkpointing (Chen et al. 2016, arXiv 1604.06174): less memory for more work.

use crate::any_op::AnyOp;
use crate::dyn_op::Dispatch;
use crate::graph::{Graph, Var};
use crate::parameters::Parameters;
use crate::recording::Recording;
use descant_kernels::Real;
use descant_tensor::Error;
use smallvec::SmallVec;
use std::panic::Location;

impl<'t> Graph<'t> {
    /// Records what `f` does, but drops what its operations computed and saved, all but the value it returns. Backward
    /// runs them again, with the same dropout, before it needs them; in inference they are just released. No other value of `f`
    /// may be used after it.
    /// A value of another pass is a sticky [`Error::OtherGraph`].
    #[track_caller]
    pub fn rematerialize(self, f: impl FnOnce() -> Var<'t>) -> Var<'t> {
        let start = self.recording.borrow().nodes.len();
        let y = f();
        let mut recording = self.recording.borrow_mut();
        if !self.owns(y) {
            let id = recording.fail(Error::OtherGraph { op: "rematerialize", location: Location::caller() });
            return Var { graph: self, id };
        }
        recording.drop_activations(start, y.id);
        // Sums that are read outside are rematerialised there.
        recording.lora_sums.retain(|(_, node)| (*node as usize) < start);
        y
    }
}

impl Recording {
    /// Drops what the nodes from `start` on hold, but for the value of `kept`.
    fn drop_activations(&mut self, start: usize, kept: u32) {
        if self.failure.is_some() {
            return;
        }
        let (kept, gradients) = (self.nodes[kept as usize].root as usize, self.mode.gradients);
        let queries = self.queries_to_look_at(start);
        let nodes = self.nodes.iter_mut().zip(&self.ops).enumerate().skip(start);
        // What no operation computed cannot be rematerialised.
        for (id, (node, _)) in nodes.filter(|(_, (_, op))| op.is_some() || !gradients) {
            node.saved.drain(..).for_each(|buffer| self.pool.give(buffer));
            if id != kept && !queries.contains(&id) {
                node.value.take().into_iter().for_each(|buffer| self.pool.give(buffer));
            }
        }
        if gradients {
            self.dropped.push(start..self.nodes.len());
        }
    }

    /// The queries of cross-attention from node `start` on, in a pass that is to be looked at.
    fn queries_to_look_at(&self, start: usize) -> SmallVec<[usize; 2]> {
        if !self.mode.keeps_queries {
            return SmallVec::new();
        }
        let nodes = self.nodes.iter().zip(&self.ops).skip(start);
        let attentions = nodes.filter(|(_, op)| op.as_ref().is_some_and(AnyOp::is_cross_attention));
        attentions.map(|(node, _)| self.nodes[node.inputs[0] as usize].root as usize).collect()
    }

    /// Computes again what was dropped of the nodes that end with `last`.
    pub(super) fn rematerialize<E: Dispatch + Real>(&mut self, parameters: &Parameters, last: usize) {
        while let Some(range) = self.dropped.pop_if(|range| range.end == last + 1) {
            for id in range {
                if self.ops[id].is_some() {
                    self.compute::<E>(parameters, id);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Parameters, Tape};
    use descant_tensor::{DType, Error, Result};

    #[test]
    fn what_is_computed_again_has_the_same_bits_in_less_memory() -> Result<()> {
        let mut parameters = Parameters::new(DType::F32);
        let values: Vec<f64> = (0..4096).map(|i| f64::from(i % 97) / 97.0 - 0.5).collect();
        let x = parameters.add_with("x", [64, 64], &values);
        let run = |again: bool| -> Result<(f64, Vec<f64>, u64)> {
            let (mut tape, mut gradients) = (Tape::new(), parameters.gradients());
            let graph = tape.train(&parameters, 7);
            let mut y = graph.parameter(x);
            for _ in 0..8 {
                let layer = || y.matmul(y).tanh().dropout(0.3).exp().tanh() + y.slice(0, 64);
                y = if again { graph.rematerialize(layer) } else { layer() };
            }
            let loss = y.square().sum();
            graph.backward(loss, &mut gradients)?;
            Ok((loss.item()?, gradients.to_f64(x), tape.allocations()))
        };
        let (plain, again) = (run(false)?, run(true)?);
        assert_eq!((plain.0, &plain.1), (again.0, &again.1));
        assert!(plain.1.iter().any(|&g| g != 0.0));
        assert!(again.2 < plain.2 / 2, "{} buffers, not fewer than half of {}", again.2, plain.2);
        Ok(())
    }
    #[test]
    fn what_was_dropped_is_not_used_outside() -> Result<()> {
        let mut parameters = Parameters::new(DType::F64);
        let id = parameters.add_with("x", [2], &[1.0, 2.0]);
        let (mut tape, mut gradients) = (Tape::new(), parameters.gradients());
        for view in [false, true] {
            let graph = tape.train(&parameters, 1);
            let mut inside = None;
            let y = graph.rematerialize(|| {
                let x = graph.parameter(id).exp();
                inside = Some(if view { x.slice(0, 1) } else { x });
                x.tanh()
            });
            let leaked = inside.unwrap_or(y);
            assert!(matches!(leaked.value(), Err(Error::DroppedActivation { .. })));
            let loss = (y + leaked).sum();
            assert!(matches!(graph.backward(loss, &mut gradients), Err(Error::DroppedActivation { op: "add", .. })));
        }
        Ok(())
    }
}
