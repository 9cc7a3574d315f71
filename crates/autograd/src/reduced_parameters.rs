//! Parameters in reduced precision, for inference. Linear layers, recurrent layers and embeddings read them as they are stored; every
//! other operation reads a copy in full precision, which is made where it is first needed and kept.

use crate::any_op::AnyOp;
use crate::graph::{Graph, Var};
use crate::parameters::{ParameterId, Parameters};
use crate::reduced_parameter::{ReducedParameter, dequantized};
use descant_kernels::{ReducedWeight, WeightType};
use descant_tensor::{Buffer, DType, Error, Result, Shape, Tensor};
use std::borrow::Cow;
use std::sync::Arc;

impl Parameters {
    /// Stores in reduced precision what `weight_type` names a type for, of [`shapes_only`](Self::shapes_only) parameters in f32: matrices, of
    /// zeros until they are read. The others lie without gaps where these were.
    pub fn reduce_shapes(&mut self, weight_type: impl Fn(&str, Shape) -> Option<WeightType>) {
        self.length = 0;
        for entry in &mut self.table {
            let reduced = weight_type(&entry.name, entry.shape).zip(matrix(entry.shape));
            entry.reduced = reduced.map(|(weight_type, [rows, columns])| {
                entry.trainable = false;
                Arc::new(ReducedParameter::new(ReducedWeight::zeros(weight_type, rows, columns)))
            });
            entry.offset = self.length;
            if entry.reduced.is_none() {
                self.length = (self.length + entry.shape.len()).next_multiple_of(16);
            }
        }
        self.has_reduced = self.table.iter().any(|entry| entry.reduced.is_some());
    }

    /// The same parameters with those matrices in reduced precision that `weight_type` names a type for, and all others in full.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a weight that has no form of its type, and for adapters that are not merged; [`Error::OutOfMemory`].
    pub fn with_weight_types(&self, weight_type: impl Fn(&str, Shape) -> Option<WeightType>) -> Result<Self> {
        if let Some(adapter) = self.adapters().next() {
            let reason = "its adapter is not merged".to_owned();
            return Err(Error::Parameter { name: self.name(adapter.weight).to_owned(), reason });
        }
        let mut others = Self::shapes_only(DType::F32);
        for id in self.ids() {
            others.add(self.name(id), self.shape(id));
        }
        others.reduce_shapes(weight_type);
        let mut others = others.allocated(Buffer::zeros(DType::F32, 0))?;
        for id in self.ids() {
            let (own, other) = (self.reduced(id), others.reduced(id));
            if own.map(ReducedWeight::weight_type) == other.map(ReducedWeight::weight_type) && own.is_some() {
                others.table[id.index() as usize].reduced = self.table[id.index() as usize].reduced.clone();
                continue;
            }
            let values = self.tensor(id).to_f32();
            others.set_f32(id, &values)?;
        }
        others.set_precision(self.precision());
        Ok(others)
    }

    /// The same parameters in full precision.
    ///
    /// # Errors
    /// As [`Parameters::with_weight_types`].
    pub fn in_full_precision(&self) -> Result<Cow<'_, Self>> {
        match self.has_reduced {
            true => self.with_weight_types(|_, _| None).map(Cow::Owned),
            false => Ok(Cow::Borrowed(self)),
        }
    }

    /// Sets the values of a parameter, which are rounded where it is in reduced precision.
    ///
    /// # Errors
    /// [`Error::Parameter`] for another number of values, and where its type has no form for them.
    pub fn set_f32(&mut self, id: ParameterId, values: &[f32]) -> Result<()> {
        let wrong = |name: &str, reason: String| Error::Parameter { name: name.to_owned(), reason };
        if values.len() != self.shape(id).len() {
            let reason = format!("{} values do not fill its shape {}", values.len(), self.shape(id));
            return Err(wrong(self.name(id), reason));
        }
        let Some(weight) = self.reduced(id) else {
            self.values_mut::<f32>(id).copy_from_slice(values);
            return Ok(());
        };
        let rows = weight.all();
        let mut weight = ReducedWeight::zeros(weight.weight_type(), rows.len(), rows.columns());
        weight.quantize_rows(0, values).map_err(|reason| wrong(self.name(id), reason))?;
        self.table[id.index() as usize].reduced = Some(Arc::new(ReducedParameter::new(weight)));
        Ok(())
    }

    /// A parameter in reduced precision.
    pub fn reduced(&self, id: ParameterId) -> Option<&ReducedWeight> {
        self.entry(id).reduced.as_ref().map(|reduced| &reduced.weight)
    }

    /// The same, to write before the first pass: none that a clone of these parameters shares.
    pub fn reduced_mut(&mut self, id: ParameterId) -> Option<&mut ReducedWeight> {
        Some(self.table[id.index() as usize].reduced.as_mut().and_then(Arc::get_mut)?.weight_mut())
    }

    /// Whether any is in reduced precision.
    pub fn has_reduced(&self) -> bool {
        self.has_reduced
    }

    /// Bytes of all values.
    pub fn size(&self) -> usize {
        let of = |id| match self.reduced(id) {
            Some(weight) => weight.size(),
            None => self.range(id).len() * self.dtype().size(),
        };
        self.ids().map(of).sum()
    }

    /// The values of a parameter in reduced precision.
    pub(crate) fn dequantized(&self, id: ParameterId) -> Option<Tensor> {
        Some(dequantized(self.reduced(id)?, self.shape(id)))
    }
}

/// Rows and columns.
fn matrix(shape: Shape) -> Option<[usize; 2]> {
    <[usize; 2]>::try_from(shape.dims()).ok()
}

impl AnyOp {
    /// Whether it reads this input also in reduced precision.
    fn reads_reduced(&self, input: usize) -> bool {
        matches!(
            (self, input),
            (Self::Linear(_) | Self::CrossEntropy(_), 1)
                | (Self::Embedding(_), 0)
                | (Self::Lstm(_) | Self::Gru(_), 1 | 2)
        )
    }
}

impl<'t> Graph<'t> {
    /// The value as an operation reads it: in full precision, unless the operation knows better and nothing is recorded for a backward.
    pub(crate) fn as_read(self, op: &AnyOp, input: usize, var: Var<'t>) -> Var<'t> {
        let Some((reduced, start, shape)) = self.reduced_parameter(var) else { return var };
        let columns = shape.last();
        let is_rows = shape.dims().len() == 2
            && columns == reduced.weight.all().columns()
            && start.is_multiple_of(columns.max(1));
        if is_rows && op.reads_reduced(input) && !self.has_gradients() {
            return var;
        }
        self.in_full_precision(var)
    }

    /// The value in full precision.
    pub(crate) fn in_full_precision(self, var: Var<'t>) -> Var<'t> {
        let Some((id, start, shape)) = self.parameter_of(var) else { return var };
        let Some(reduced) = &self.parameters().entry(id).reduced else { return var };
        self.shared(&reduced.full(self.parameters().shape(id))).view(start, shape)
    }

    fn reduced_parameter(self, var: Var<'t>) -> Option<(&'t ReducedParameter, usize, Shape)> {
        let (id, start, shape) = self.parameter_of(var)?;
        Some((self.parameters.entry(id).reduced.as_deref()?, start, shape))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Activation, PackedSequences, Tape};
    use descant_kernels::Parallelism;

    const TYPES: [WeightType; 3] = [WeightType::Bf16, WeightType::Int8, WeightType::Q4];

    fn numbers(n: usize, seed: usize) -> Vec<f64> {
        (0..n).map(|i| ((i * 7919 + seed * 104_729) % 997) as f64 / 997.0 - 0.5).collect()
    }

    fn parameters() -> Parameters {
        let mut parameters = Parameters::new(DType::F32);
        for (seed, (name, shape)) in [("w", [12, 40]), ("u", [12, 3]), ("b", [1, 12])].into_iter().enumerate() {
            parameters.add_with(name, shape, &numbers(shape[0] * shape[1], seed));
        }
        parameters
    }

    fn reduced(weight_type: WeightType) -> Parameters {
        parameters().with_weight_types(|name, _| (name != "b").then_some(weight_type)).unwrap()
    }

    /// What each operation makes of the weights, that which reads them as they are stored first.
    fn results(parameters: &Parameters) -> Result<[Vec<f64>; 5]> {
        let mut tape = Tape::new();
        let graph = tape.infer(parameters, Parallelism::Serial);
        let of = |name: &str| graph.parameter(parameters.find(name).unwrap());
        let x = graph.constant(&Tensor::new([5, 40], &numbers(200, 9))?);
        let bias = of("b").reshape([12]);
        let layout = Arc::new(PackedSequences::new(&[2, 3]));
        Ok([
            x.linear(of("w").slice(2, 9), None, Activation::Tanh).value()?.to_f64(),
            of("w").gather(&Arc::from([3, 0, 3])).value()?.to_f64(),
            x.lstm(None, &[of("w"), of("u"), bias, bias], None, &layout, false).value()?.to_f64(),
            x.matmul_t(of("w")).value()?.to_f64(),
            of("w").slice(1, 3).value()?.to_f64(),
        ])
    }

    #[test]
    fn every_operation_reads_them() {
        for weight_type in TYPES {
            let parameters = reduced(weight_type);
            let full = parameters.in_full_precision().unwrap();
            assert!(parameters.has_reduced() && !full.has_reduced());
            let (found, expected) = (results(&parameters).unwrap(), results(&full).unwrap());
            for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
                // The first three compute with rounded activations, where they compute.
                let most = if weight_type == WeightType::Bf16 || [1, 3, 4].contains(&i) { 1e-5 } else { 0.05 };
                let error = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                assert!(error < most, "{weight_type}, operation {i}: {error}");
            }
        }
    }

    #[test]
    fn gradients_reach_what_is_before_them() {
        for weight_type in TYPES {
            let parameters = reduced(weight_type);
            let (mut tape, mut gradients) = (Tape::new(), parameters.gradients());
            let graph = tape.train(&parameters, 1);
            let [w, b] = ["w", "b"].map(|name| parameters.find(name).unwrap());
            let x = graph.parameter(b).reshape([12]).gather(&Arc::from([0; 40])).reshape([1, 40]);
            let loss = x.linear(graph.parameter(w), None, Activation::Identity).sum();
            graph.backward(loss, &mut gradients).unwrap();
            let expected: f64 = parameters.tensor(w).to_f64().iter().sum();
            assert!((gradients.to_f64(b)[0] - expected).abs() < 1e-3);
            assert!(!gradients.is_touched(w));
        }
    }

    #[test]
    fn what_has_no_form_is_an_error() {
        let mut parameters = parameters();
        let w = parameters.find("w").unwrap();
        parameters.values_mut::<f32>(w)[7] = f32::NAN;
        for weight_type in [WeightType::Int8, WeightType::Q4] {
            let error = parameters.with_weight_types(|_, _| Some(weight_type)).unwrap_err();
            assert!(error.to_string().contains("'w'"), "{error}");
        }
        parameters.adapt(w, 1, 1.0).unwrap();
        let error = parameters.with_weight_types(|_, _| Some(WeightType::Bf16)).unwrap_err();
        assert!(error.to_string().contains("merged"), "{error}");
    }

    #[test]
    fn a_type_that_stays_has_the_same_values_again() {
        for weight_type in TYPES {
            let first = reduced(weight_type);
            let second = first.in_full_precision().unwrap();
            let second = second.with_weight_types(|name, _| (name != "b").then_some(weight_type)).unwrap();
            for id in first.ids() {
                assert_eq!(first.tensor(id).to_f64(), second.tensor(id).to_f64(), "{weight_type}");
            }
        }
    }
}
