//! The loss of an objective, and what is measured beside it.

use descant_autograd::Var;
use descant_tensor::Result;
use std::collections::BTreeMap;

/// What is measured beside a loss, by name: summed like it.
pub type Measures = BTreeMap<String, f64>;

/// The summed loss of a batch.
pub struct ObjectiveLoss<'t> {
    /// The loss.
    pub loss: Var<'t>,
    /// What is measured beside it, or what the pass failed with.
    pub measures: Result<Measures>,
}

/// Measures of these names.
pub(crate) fn named<const N: usize>(names: [&str; N], values: [f64; N]) -> Measures {
    names.map(str::to_owned).into_iter().zip(values).collect()
}

/// Adds to sums.
pub(crate) fn add(sums: &mut Measures, found: Measures) {
    found.into_iter().for_each(|(name, value)| *sums.entry(name).or_insert(0.0) += value);
}
