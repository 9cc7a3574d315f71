//! Shapes, element types, aligned buffers and the error type of the numeric layers.

mod aligned;
mod brief;
mod buffer;
mod dtype;
mod element;
mod error;
mod shape;
mod tensor;

pub use aligned::{Aligned, aligned};
pub use brief::Brief;
pub use buffer::Buffer;
pub use dtype::DType;
pub use element::Element;
pub use error::{Error, Result};
pub use shape::Shape;
pub use tensor::Tensor;
