//! Shapes, element types, aligned buffers and the error type of the numeric layers.

mod brief;
mod buffer;
mod element;
mod error;
mod shape;
mod tensor;

pub use brief::Brief;
pub use buffer::{Aligned, Buffer, aligned};
pub use element::{DType, Element};
pub use error::{Error, Result};
pub use shape::Shape;
pub use tensor::Tensor;
