use crate::{DType, Shape};
use std::panic::Location;

/// What goes wrong in the numeric layers.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The number of elements is not that of the shape.
    #[error("{length} elements do not fill the shape {shape}")]
    Length {
        /// The shape asked for.
        shape: Shape,
        /// How many elements were given.
        length: usize,
    },
    /// An operation was given shapes it cannot work on.
    #[error("{op} at {location}: {reason} (inputs {inputs:?})")]
    Shapes {
        /// The operation.
        op: &'static str,
        /// Why these shapes are wrong.
        reason: String,
        /// The shapes of its inputs.
        inputs: Vec<Shape>,
        /// The caller's line.
        location: &'static Location<'static>,
    },
    /// A value or a gradient is infinite or not a number.
    #[error("{op} at {location}: {what} of shape {shape} is not finite (first at element {element})")]
    NonFinite {
        /// The operation.
        op: &'static str,
        /// "the value" or "the gradient".
        what: &'static str,
        /// The shape of the tensor.
        shape: Shape,
        /// The first element that is not finite.
        element: usize,
        /// The caller's line.
        location: &'static Location<'static>,
    },
    /// A tensor's type is not the graph's.
    #[error("a tensor of {given} was given to a graph of {expected}: cast it first")]
    DType {
        /// The graph's type.
        expected: DType,
        /// The tensor's.
        given: DType,
    },
    /// Backward was asked for from something other than one number.
    #[error("backward() starts from one number, not from the shape {0}: sum() or mean() it first")]
    NotScalar(Shape),
    /// The value was released by backward() and can no longer be read.
    #[error("the value of {op} was released by backward(): read it before")]
    Released {
        /// The operation.
        op: &'static str,
    },
    /// A value of one pass was given to another.
    #[error(
        "{op} at {location}: a value of another graph was given to it. Read it with value(), and bring it in with \
             constant()"
    )]
    OtherGraph {
        /// The operation.
        op: &'static str,
        /// The caller's line.
        location: &'static Location<'static>,
    },
    /// The pass has had its backward, which releases what it recorded.
    #[error("{op} at {location}: this graph has had its backward. Start another pass on the tape")]
    GraphConsumed {
        /// The operation.
        op: &'static str,
        /// The caller's line.
        location: &'static Location<'static>,
    },
    /// A value from within a recomputed part was used outside of it.
    #[error(
        "{op} at {location}: a value from within rematerialize() was used outside of it, where only what it returns is kept"
    )]
    DroppedActivation {
        /// The operation.
        op: &'static str,
        /// The caller's line.
        location: &'static Location<'static>,
    },
    /// Backward was asked for in a pass that does not record.
    #[error("backward() in a pass without gradients: start it with Tape::train")]
    NotRecorded,
    /// A trainable parameter received no gradient.
    #[error("the trainable parameter '{name}' received no gradient: use it in the loss, or freeze it")]
    NoGradient {
        /// The parameter's name.
        name: String,
    },
    /// Two parameters were given the same name.
    #[error("there are two parameters of the name '{name}'")]
    DuplicateParameter {
        /// The name.
        name: String,
    },
    /// There is no parameter of that name, or its shape is another one.
    #[error("parameter '{name}': {reason}")]
    Parameter {
        /// The parameter's name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Gradients were made for other parameters, or before some of these were frozen or thawed.
    #[error(
        "these gradients belong to other parameters, or others of them are trainable now: {gradients} elements for \
             {parameters}"
    )]
    Mismatch {
        /// Elements of the gradients.
        gradients: usize,
        /// Elements of the parameters.
        parameters: usize,
    },
    /// A pattern of parameters matches none.
    #[error("{reason}")]
    Pattern {
        /// Which, and the nearest names.
        reason: String,
    },
    /// There is not as much memory as the weights of a model take.
    #[error("{bytes} bytes of memory for the weights are not to be had. Close other programs, or take a smaller model")]
    OutOfMemory {
        /// How much was asked for.
        bytes: usize,
    },
}

/// The result of the numeric layers.
pub type Result<T> = std::result::Result<T, Error>;
