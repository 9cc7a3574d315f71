//! A recorded value.

use crate::parameters::{ParameterId, Parameters};
use descant_kernels::Real;
use descant_tensor::{Buffer, Shape, Tensor};
use smallvec::SmallVec;
use std::panic::Location;
use std::sync::Arc;

/// A value in the order of creation, with the ids of its inputs. Its operation is stored beside it.
#[derive(Debug)]
pub(crate) struct Node {
    /// What it is called in messages.
    pub(crate) name: &'static str,
    pub(crate) inputs: SmallVec<[u32; 8]>,
    pub(crate) shape: Shape,
    /// The node that holds the elements: itself, or the one that it is a view of.
    pub(crate) root: u32,
    /// The offset of its elements in those of the root.
    pub(crate) start: usize,
    pub(crate) value: Option<Buffer>,
    /// The elements of a shared constant.
    pub(crate) shared: Option<Arc<Tensor>>,
    pub(crate) parameter: Option<ParameterId>,
    pub(crate) saved: SmallVec<[Buffer; 4]>,
    pub(crate) needs_gradient: bool,
    pub(crate) location: &'static Location<'static>,
}

/// The elements of a value.
pub(crate) fn value<'a, E: Real>(nodes: &'a [Node], parameters: &'a Parameters, id: u32) -> &'a [E] {
    let node = &nodes[id as usize];
    let root = &nodes[node.root as usize];
    let elements = match (&root.value, root.parameter, &root.shared) {
        (Some(buffer), ..) => E::slice(buffer),
        (None, Some(id), _) => parameters.values::<E>(id),
        (None, None, Some(tensor)) => E::slice(tensor.buffer()),
        (None, None, None) => unreachable!("the value of {} was released too early", root.name),
    };
    &elements[node.start..node.start + node.shape.len()]
}

impl Node {
    /// A node that is not computed yet, or a view of the elements of `root`.
    pub(crate) fn leaf(
        name: &'static str,
        shape: Shape,
        (root, start): (u32, usize),
        location: &'static Location<'static>,
    ) -> Self {
        Self {
            name,
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

    /// Whether the elements of this root are gone: released by backward, or dropped for rematerialisation.
    pub(crate) fn is_dropped(&self) -> bool {
        self.value.is_none() && self.parameter.is_none() && self.shared.is_none()
    }
}
