//! Parameters that are not row-major: packed, or in reduced precision. Linear layers, recurrent layers and embeddings read them as they are
//! stored; every other operation reads a row-major copy in full precision, which is made where it is first needed and kept.

use crate::any_op::AnyOp;
use crate::graph::{Graph, Var};
use crate::parameters::{ParameterId, Parameters};
use crate::storage::{Storage, StorageType, ValuesMut, matrix};
use crate::weight::StoredWeight;
use descant_kernels::{PackedMut, PackedRows, ReducedWeight};
use descant_tensor::{Buffer, DType, Error, Result, Shape, Tensor};
use std::borrow::Cow;
use std::sync::Arc;

impl Parameters {
    /// Stores matrices of [`shapes_only`](Self::shapes_only) parameters in f32 as `storage` says: of zeros, until they are read. None of
    /// those that are not row-major can be trained. All lie without gaps.
    pub fn store_shapes_as(&mut self, storage: impl Fn(&str, Shape) -> StorageType) {
        self.length = 0;
        self.all_row_major = true;
        for entry in &mut self.table {
            entry.storage = match (storage(&entry.name, entry.shape), matrix(entry.shape)) {
                (StorageType::Packed, Some(_)) => Storage::Packed(Arc::default()),
                (StorageType::Reduced(weight_type), Some([rows, columns])) => {
                    Storage::Reduced(Arc::new(ReducedWeight::zeros(weight_type, rows, columns)), Arc::default())
                }
                _ => Storage::RowMajor,
            };
            if !matches!(entry.storage, Storage::RowMajor) {
                (entry.trainable, self.all_row_major) = (false, false);
            }
            entry.offset = self.length;
            self.length = (self.length + entry.storage.elements(entry.shape)).next_multiple_of(16);
        }
    }

    /// The same parameters with their matrices stored as `storage` says.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a weight that has no form of its type, and for adapters that are not merged; [`Error::OutOfMemory`].
    pub fn stored_as(&self, storage: impl Fn(&str, Shape) -> StorageType) -> Result<Self> {
        if let Some(adapter) = self.adapters().next() {
            let reason = "its adapter is not merged".to_owned();
            return Err(Error::Parameter { name: self.name(adapter.weight).to_owned(), reason });
        }
        let mut others = Self::shapes_only(DType::F32);
        for id in self.ids() {
            others.add(self.name(id), self.shape(id));
        }
        others.store_shapes_as(storage);
        let mut others = others.allocated(Buffer::zeros(DType::F32, 0))?;
        for id in self.ids() {
            let other = &mut others.table[id.index() as usize].storage;
            match &self.entry(id).storage {
                own @ Storage::Reduced(weight, _) if own.storage_type() == other.storage_type() => {
                    *other = Storage::Reduced(weight.clone(), Arc::default());
                }
                _ => others.set_f32(id, &self.tensor(id).to_f32())?,
            }
        }
        others.set_precision(self.precision());
        Ok(others)
    }

    /// The same parameters row-major and in full precision, as they are trained.
    ///
    /// # Errors
    /// As [`Parameters::stored_as`].
    pub fn row_major(&self) -> Result<Cow<'_, Self>> {
        match self.all_row_major {
            true => Ok(Cow::Borrowed(self)),
            false => self.stored_as(|_, _| StorageType::RowMajor).map(Cow::Owned),
        }
    }

    /// The same parameters with those row-major that are packed.
    ///
    /// # Errors
    /// As [`Parameters::stored_as`].
    pub fn unpacked(&self) -> Result<Cow<'_, Self>> {
        let storage_type = |name: &str| self.find(name).map(|id| self.entry(id).storage.storage_type());
        let is_packed = |id| matches!(self.entry(id).storage, Storage::Packed(_));
        if !self.ids().any(is_packed) {
            return Ok(Cow::Borrowed(self));
        }
        let unpacked = |name: &str, _| match storage_type(name) {
            Some(reduced @ StorageType::Reduced(_)) => reduced,
            _ => StorageType::RowMajor,
        };
        self.stored_as(unpacked).map(Cow::Owned)
    }

    /// Sets the values of a parameter, which are packed or rounded where it is stored so.
    ///
    /// # Errors
    /// [`Error::Parameter`] for another number of values, and where its type has no form for them.
    pub fn set_f32(&mut self, id: ParameterId, values: &[f32]) -> Result<()> {
        let wrong = |name: &str, reason: String| Error::Parameter { name: name.to_owned(), reason };
        if values.len() != self.shape(id).len() {
            let reason = format!("{} values do not fill its shape {}", values.len(), self.shape(id));
            return Err(wrong(self.name(id), reason));
        }
        if let Some(weight) = self.reduced(id) {
            let rows = weight.all();
            let mut weight = ReducedWeight::zeros(weight.weight_type(), rows.len(), rows.columns());
            weight.quantize_rows(0, values).map_err(|reason| wrong(self.name(id), reason))?;
            self.drop_derived();
            self.table[id.index() as usize].storage = Storage::Reduced(Arc::new(weight), Arc::default());
            return Ok(());
        }
        match self.all_values_mut().swap_remove(id.index() as usize) {
            ValuesMut::RowMajor(to) => to.copy_from_slice(values),
            ValuesMut::Packed(to) => to.copy_from(values),
        }
        Ok(())
    }

    /// The values of all parameters in f32, in the order they were added, to write before the first pass: nothing for those in reduced
    /// precision.
    pub fn all_values_mut(&mut self) -> Vec<ValuesMut<'_>> {
        self.drop_derived();
        let Buffer::F32(buffer) = &mut self.buffer else { return Vec::new() };
        let (mut rest, mut begin) = (&mut buffer[..], 0);
        let values = self.table.iter_mut().map(|entry| {
            let elements = entry.storage.elements(entry.shape);
            let (_, from) = std::mem::take(&mut rest).split_at_mut(entry.offset - begin);
            let (values, after) = from.split_at_mut(elements);
            (rest, begin) = (after, entry.offset + elements);
            match (&entry.storage, matrix(entry.shape)) {
                (Storage::Packed(_), Some([rows, columns])) => ValuesMut::Packed(PackedMut::new(values, rows, columns)),
                _ => ValuesMut::RowMajor(values),
            }
        });
        values.collect()
    }

    /// A parameter in reduced precision.
    pub fn reduced(&self, id: ParameterId) -> Option<&ReducedWeight> {
        match &self.entry(id).storage {
            Storage::Reduced(weight, _) => Some(weight),
            _ => None,
        }
    }

    /// The same, to write before the first pass: none that a clone of these parameters shares.
    pub fn reduced_mut(&mut self, id: ParameterId) -> Option<&mut ReducedWeight> {
        self.drop_derived();
        match &mut self.table[id.index() as usize].storage {
            Storage::Reduced(weight, _) => Arc::get_mut(weight),
            _ => None,
        }
    }

    fn drop_derived(&mut self) {
        self.table.iter_mut().for_each(|entry| entry.storage.drop_derived());
    }

    /// Whether its values lie in the buffer as it is trained.
    pub fn is_row_major(&self, id: ParameterId) -> bool {
        matches!(self.entry(id).storage, Storage::RowMajor)
    }

    /// That all are as they are trained.
    ///
    /// # Errors
    /// [`Error::Parameter`] for the first one that is not.
    pub fn check_row_major(&self) -> Result<()> {
        match self.ids().find(|&id| !self.is_row_major(id)) {
            Some(id) => Err(Error::Parameter { name: self.name(id).to_owned(), reason: self.not_row_major(id) }),
            None => Ok(()),
        }
    }

    /// That values of a parameter are not asked for where there are none.
    #[track_caller]
    pub(crate) fn assert_row_major(&self, id: ParameterId) {
        assert!(self.is_row_major(id), "parameter '{}': {}", self.name(id), self.not_row_major(id));
    }

    fn not_row_major(&self, id: ParameterId) -> String {
        let how = if self.reduced(id).is_some() { "in reduced precision" } else { "packed" };
        format!(
            "it is {how}, for inference. Parameters that are trained or changed are row-major: Parameters::row_major"
        )
    }

    /// Whether any is in reduced precision.
    pub fn has_reduced(&self) -> bool {
        self.ids().any(|id| self.reduced(id).is_some())
    }

    /// Bytes of all values.
    pub fn size(&self) -> usize {
        let of = |id| match self.reduced(id) {
            Some(weight) => weight.size(),
            None => self.shape(id).len() * self.dtype().size(),
        };
        self.ids().map(of).sum()
    }

    /// A matrix as an operation reads it; nothing where it is row-major.
    pub(crate) fn stored_weight(&self, id: ParameterId) -> Option<StoredWeight<'_>> {
        let entry = self.entry(id);
        match (&entry.storage, &self.buffer) {
            (Storage::Reduced(weight, _), _) => Some(StoredWeight::Reduced(weight.all())),
            (Storage::Packed(_), Buffer::F32(buffer)) => {
                let [rows, columns] = matrix(entry.shape)?;
                let panels = &buffer[entry.offset..][..PackedMut::len_of(rows, columns)];
                Some(StoredWeight::Packed(PackedRows::new(panels, 0..rows, columns)))
            }
            _ => None,
        }
    }

    /// The values of a parameter that is not row-major.
    pub(crate) fn row_major_copy(&self, id: ParameterId) -> Option<Tensor> {
        let (weight, shape) = (self.stored_weight(id)?, self.shape(id));
        let mut values = vec![0.0_f32; shape.len()];
        let rows = values.chunks_exact_mut(shape.last().max(1)).enumerate();
        rows.for_each(|(row, values)| weight.read_row(row, values));
        Some(Tensor::new(shape, &values).unwrap_or_else(|_| Tensor::zeros(DType::F32, shape)))
    }
}

impl AnyOp {
    /// Whether it reads this input also packed and in reduced precision.
    fn reads_stored(&self, input: usize) -> bool {
        matches!(
            (self, input),
            (Self::Linear(_) | Self::CrossEntropy(_), 1)
                | (Self::Embedding(_), 0)
                | (Self::Lstm(_) | Self::Gru(_), 1 | 2)
        ) || match (self, input) {
            (Self::Lstm(lstm), 0) => lstm.reads_tokens(),
            (Self::Gru(gru), 0) => gru.reads_tokens(),
            _ => false,
        }
    }
}

impl<'t> Graph<'t> {
    /// The value as an operation reads it: row-major and in full precision, unless the operation knows better and nothing is recorded for a
    /// backward.
    pub(crate) fn as_read(self, op: &AnyOp, input: usize, var: Var<'t>) -> Var<'t> {
        let Some((id, start, shape)) = self.parameter_of(var) else { return var };
        if self.parameters().is_row_major(id) {
            return var;
        }
        let columns = shape.last();
        let is_rows = shape.dims().len() == 2
            && columns == self.parameters().shape(id).last()
            && start.is_multiple_of(columns.max(1));
        if is_rows && op.reads_stored(input) && !self.has_gradients() {
            return var;
        }
        self.row_major(var)
    }

    /// The value row-major and in full precision.
    pub(crate) fn row_major(self, var: Var<'t>) -> Var<'t> {
        let Some((id, start, shape)) = self.parameter_of(var) else { return var };
        let parameters = self.parameters();
        let Some(derived) = parameters.entry(id).storage.derived() else { return var };
        let copy = || parameters.row_major_copy(id).unwrap_or_else(|| Tensor::zeros(DType::F32, parameters.shape(id)));
        self.shared(derived.full.get_or_init(|| Arc::new(copy()))).view(start, shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Activation, PackedSequences, Tape};
    use descant_kernels::{Parallelism, WeightType};

    const TYPES: [StorageType; 4] = [
        StorageType::Packed,
        StorageType::Reduced(WeightType::Bf16),
        StorageType::Reduced(WeightType::Int8),
        StorageType::Reduced(WeightType::Q4),
    ];

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

    fn all_but_b(storage: StorageType) -> impl Fn(&str, Shape) -> StorageType {
        move |name, _| if name == "b" { StorageType::RowMajor } else { storage }
    }

    fn stored(storage: StorageType) -> Parameters {
        parameters().stored_as(all_but_b(storage)).unwrap()
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
            x.lstm(None, &[of("w"), of("u"), bias, bias], None, None, &layout, false).value()?.to_f64(),
            x.matmul_t(of("w")).value()?.to_f64(),
            of("w").slice(1, 3).value()?.to_f64(),
        ])
    }

    #[test]
    fn every_operation_reads_them() {
        for storage in TYPES {
            let parameters = stored(storage);
            let full = parameters.row_major().unwrap();
            assert!(parameters.has_reduced() == (storage != StorageType::Packed) && !full.has_reduced());
            let (found, expected) = (results(&parameters).unwrap(), results(&full).unwrap());
            for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
                // The first three compute with rounded activations, where they compute.
                let is_rounded = storage == TYPES[2] || storage == TYPES[3];
                let most = if !is_rounded || [1, 3, 4].contains(&i) { 1e-5 } else { 0.05 };
                let error = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                assert!(error < most, "{storage:?}, operation {i}: {error}");
            }
        }
    }

    #[test]
    fn gradients_reach_what_is_before_them() {
        for storage in TYPES {
            let parameters = stored(storage);
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
    fn values_are_asked_for_and_trained_only_where_there_are_some() {
        assert!(parameters().check_row_major().is_ok());
        for storage in TYPES {
            let parameters = stored(storage);
            let error = parameters.check_row_major().unwrap_err().to_string();
            assert!(error.contains("'w'") && error.contains("for inference"), "{error}");
            let values = |name: &str| parameters.values::<f32>(parameters.find(name).unwrap()).len();
            assert_eq!(values("b"), 12);
            let payload = std::panic::catch_unwind(|| values("w")).unwrap_err();
            assert!(payload.downcast_ref::<String>().is_some_and(|text| text.contains("'w'")), "{storage:?}");
        }
    }

    #[test]
    fn what_has_no_form_is_an_error() {
        let mut parameters = parameters();
        let w = parameters.find("w").unwrap();
        parameters.values_mut::<f32>(w)[7] = f32::NAN;
        for weight_type in [WeightType::Int8, WeightType::Q4] {
            let error = parameters.stored_as(|_, _| StorageType::Reduced(weight_type)).unwrap_err();
            assert!(error.to_string().contains("'w'"), "{error}");
        }
        parameters.adapt(w, 1, 1.0).unwrap();
        let error = parameters.stored_as(|_, _| StorageType::Packed).unwrap_err();
        assert!(error.to_string().contains("merged"), "{error}");
    }

    #[test]
    fn a_type_that_stays_has_the_same_values_again() {
        for storage in TYPES {
            let first = stored(storage);
            let second = first.row_major().unwrap();
            let second = second.stored_as(all_but_b(storage)).unwrap();
            for id in first.ids() {
                assert_eq!(first.tensor(id).to_f64(), second.tensor(id).to_f64(), "{storage:?}");
            }
        }
    }
}
