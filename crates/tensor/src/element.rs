use crate::aligned::Aligned;
use crate::buffer::Buffer;
use crate::dtype::DType;
use num_traits::{Float, NumAssign};
use std::fmt;
use std::iter::Sum;

/// A type that a [`Buffer`] can hold: `f32` or `f64`.
pub trait Element: Float + NumAssign + Sum + Default + fmt::Debug + Send + Sync + 'static {
    /// The run-time name of this type.
    const DTYPE: DType;

    /// The elements of a buffer of this type.
    ///
    /// # Panics
    /// Where the buffer holds the other type, which is a defect of the caller: a graph has one element type.
    fn slice(buffer: &Buffer) -> &[Self];

    /// As [`Element::slice`], for writing.
    fn slice_mut(buffer: &mut Buffer) -> &mut [Self];

    /// Wraps elements in a buffer.
    fn wrap(elements: Aligned<Self>) -> Buffer;

    /// The elements of a buffer, by value; panics as [`Element::slice`] does.
    fn unwrap(buffer: Buffer) -> Aligned<Self>;

    /// The nearest value of this type.
    fn of(value: f64) -> Self;

    /// This value in double precision.
    fn f64(self) -> f64;
}

macro_rules! element {
    ($type:ty, $variant:ident) => {
        impl Element for $type {
            const DTYPE: DType = DType::$variant;

            fn slice(buffer: &Buffer) -> &[Self] {
                match buffer {
                    Buffer::$variant(elements) => elements,
                    other => unreachable!("{} buffer read as {}", other.dtype(), Self::DTYPE),
                }
            }

            fn slice_mut(buffer: &mut Buffer) -> &mut [Self] {
                match buffer {
                    Buffer::$variant(elements) => elements,
                    other => unreachable!("{} buffer written as {}", other.dtype(), Self::DTYPE),
                }
            }

            fn wrap(elements: Aligned<Self>) -> Buffer {
                Buffer::$variant(elements)
            }

            fn unwrap(buffer: Buffer) -> Aligned<Self> {
                match buffer {
                    Buffer::$variant(elements) => elements,
                    other => unreachable!("{} buffer taken as {}", other.dtype(), Self::DTYPE),
                }
            }

            #[inline(always)]
            fn of(value: f64) -> Self {
                value as Self
            }

            #[inline(always)]
            fn f64(self) -> f64 {
                f64::from(self)
            }
        }
    };
}

element!(f32, F32);
element!(f64, F64);
