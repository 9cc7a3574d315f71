use crate::parameters::{ParameterId, Parameters};
use descant_kernels::Real;
use descant_tensor::{Buffer, DType, Element, Error, Result};
use std::ops::Range;

/// Where the numbers of each trainable parameter lie in a flat buffer, in the parameters' order, each from a 64-byte
/// boundary on. Frozen ones have no place. Where none is frozen, it is the layout of the parameters themselves. The state of an
/// optimizer may have others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GradientLayout {
    ranges: Vec<Range<usize>>,
    len: usize,
}

impl GradientLayout {
    /// Of parameters of these lengths, those that have no place of length 0.
    pub fn new(lengths: impl Iterator<Item = usize>) -> Self {
        let mut len = 0;
        let mut place = |length: usize| {
            let range = len..len + length;
            len = range.end.next_multiple_of(16);
            range
        };
        Self { ranges: lengths.map(&mut place).collect(), len }
    }

    /// Where a parameter's numbers lie; empty for one that is frozen.
    pub fn range(&self, id: ParameterId) -> Range<usize> {
        self.ranges[id.0 as usize].clone()
    }

    /// How long the flat buffer is.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is trainable.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Parameters {
    /// A flat buffer of gradients, all zero, for the trainable parameters.
    pub fn gradients(&self) -> Gradients {
        Gradients::new(self.dtype(), self.gradient_layout())
    }

    /// The layout of gradients and optimizer state.
    pub fn gradient_layout(&self) -> GradientLayout {
        GradientLayout::new(self.trainable_lengths())
    }
}

/// The gradients of the trainable ones among [`Parameters`], in one flat buffer. Backward adds to it.
#[derive(Clone, Debug)]
pub struct Gradients {
    buffer: Buffer,
    layout: GradientLayout,
    touched: Vec<bool>,
    /// Those that hold numbers of before [`Gradients::zero_lazily`].
    pending_zero: Vec<bool>,
}

impl Gradients {
    pub(crate) fn new(dtype: DType, layout: GradientLayout) -> Self {
        let untouched = vec![false; layout.ranges.len()];
        Self { buffer: Buffer::zeros(dtype, layout.len()), layout, touched: untouched.clone(), pending_zero: untouched }
    }

    /// Sets all to zero, and marks every parameter as without gradient.
    pub fn clear(&mut self) {
        self.buffer.clear();
        self.touched.fill(false);
        self.pending_zero.fill(false);
    }

    /// As [`Gradients::clear`], for a backward that follows: what it writes is not set to zero before, and until then
    /// the contents are undefined.
    pub fn zero_lazily(&mut self) {
        self.pending_zero.iter_mut().zip(&self.touched).for_each(|(pending_zero, &touched)| *pending_zero |= touched);
        self.touched.fill(false);
    }

    /// Sets to zero what a backward has not written since [`Gradients::zero_lazily`].
    pub(crate) fn finish_zeroing(&mut self) {
        for (pending_zero, range) in self.pending_zero.iter_mut().zip(&self.layout.ranges) {
            if std::mem::take(pending_zero) {
                self.buffer.clear_range(range.clone());
            }
        }
    }

    /// Where the gradient of each parameter lies.
    pub fn layout(&self) -> &GradientLayout {
        &self.layout
    }

    /// The gradient of one parameter; nothing for one that was frozen when these were made.
    pub fn values<E: Element>(&self, id: ParameterId) -> &[E] {
        &E::slice(&self.buffer)[self.layout.range(id)]
    }

    /// The gradient of one parameter in double precision.
    pub fn to_f64(&self, id: ParameterId) -> Vec<f64> {
        self.buffer.to_f64(self.layout.range(id))
    }

    /// The flat buffer.
    pub fn buffer(&self) -> &Buffer {
        &self.buffer
    }

    /// The flat buffer, to write.
    pub fn buffer_mut(&mut self) -> &mut Buffer {
        &mut self.buffer
    }

    /// Whether a backward has reached this parameter since [`Gradients::clear`].
    pub fn is_touched(&self, id: ParameterId) -> bool {
        self.touched[id.0 as usize]
    }

    /// Marks every parameter that `other` has a gradient for, once that is added.
    pub fn touch_as(&mut self, other: &Gradients) {
        self.touched.iter_mut().zip(&other.touched).for_each(|(a, &b)| *a |= b);
    }

    /// That these are gradients of `parameters`, with what is frozen now.
    ///
    /// # Errors
    /// [`Error::Mismatch`].
    pub(crate) fn check_layout(&self, parameters: &Parameters) -> Result<()> {
        let layout = parameters.gradient_layout();
        match self.layout == layout && self.buffer.dtype() == parameters.dtype() {
            true => Ok(()),
            false => Err(Error::Mismatch { gradients: self.layout.len(), parameters: layout.len() }),
        }
    }

    /// That every trainable parameter has received a gradient.
    ///
    /// # Errors
    /// [`Error::NoGradient`] with the first that has not; [`Error::Mismatch`] for other parameters.
    pub fn check(&self, parameters: &Parameters) -> Result<()> {
        self.check_layout(parameters)?;
        match parameters.ids().find(|&id| parameters.is_trainable(id) && !self.is_touched(id)) {
            Some(id) => Err(Error::NoGradient { name: parameters.name(id).to_owned() }),
            None => Ok(()),
        }
    }

    /// The gradient of one parameter, to write, and whether what it holds is undefined.
    pub(crate) fn target<E: Real>(&mut self, id: ParameterId) -> (&mut [E], bool) {
        self.touched[id.0 as usize] = true;
        let pending_zero = std::mem::take(&mut self.pending_zero[id.0 as usize]);
        (&mut E::slice_mut(&mut self.buffer)[self.layout.range(id)], pending_zero)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_trainable_has_a_place() {
        let mut parameters = Parameters::new(DType::F32);
        let ids = ["a", "b", "c"].map(|name| parameters.add(name, [20]));
        let all = parameters.gradient_layout();
        assert!(ids.iter().all(|&id| all.range(id) == parameters.range(id)));
        parameters.set_trainable(ids[0], false);
        parameters.set_trainable(ids[2], false);
        let gradients = parameters.gradients();
        assert_eq!(gradients.buffer().len(), 32);
        assert_eq!(ids.map(|id| gradients.values::<f32>(id).len()), [0, 20, 0]);
        assert_eq!(gradients.layout().range(ids[1]), 0..20);
        parameters.set_trainable(ids[2], true);
        assert!(matches!(gradients.check(&parameters), Err(Error::Mismatch { .. })));
    }
}
