//! One enum over all operations: recording one allocates nothing.

use crate::context::{Backward, Forward};
use crate::dyn_op::{CustomOp, Dispatch};
use crate::op::Op;
use crate::ops::*;
use descant_tensor::Shape;

macro_rules! any_op {
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
            /// What it is called in messages: its module, or the function of a table.
            #[expect(unreachable_patterns, reason = "the tables' patterns stand first")]
            pub(crate) fn name(&self) -> &'static str {
                match self {
                    Self::Unary(function) => function.name(),
                    Self::Binary(function) => function.name(),
                    Self::Custom(op) => op.name(),
                    $(Self::$op(_) => stringify!($module),)*
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
    };
}

for_each_op!(any_op);
