use crate::storage::Storage;
use descant_kernels::{MatmulPrecision, zeros};
use descant_tensor::{Buffer, DType, Element, Error, Result, Shape, Tensor};
use std::collections::HashMap;
use std::ops::Range;

/// The handle of one parameter in its [`Parameters`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ParameterId(pub(crate) u32);

impl ParameterId {
    /// How many were added before it.
    pub fn index(self) -> u64 {
        u64::from(self.0)
    }
}

/// The factors of an adapted weight, `W + scale B A` (LoRA).
#[derive(Clone, Copy, Debug)]
pub struct LoraAdapter {
    /// The frozen weight `W[O, I]`.
    pub weight: ParameterId,
    /// `A[r, I]`.
    pub a: ParameterId,
    /// `B[O, r]`.
    pub b: ParameterId,
    /// The factor `s` of `B A`.
    pub scale: f64,
}

/// All trained tensors of a model in one flat buffer, with a table of their names, shapes and offsets. Each starts on a
/// 64-byte boundary; the gaps stay zero.
#[derive(Clone, Debug)]
pub struct Parameters {
    pub(crate) buffer: Buffer,
    /// Elements of all parameters and the gaps between them, also where there is no buffer yet.
    pub(crate) length: usize,
    pub(crate) table: Vec<Entry>,
    names: HashMap<String, ParameterId>,
    failure: Option<Error>,
    precision: MatmulPrecision,
    /// Names and shapes alone.
    shapes_only: bool,
    /// Whether all are, as they are trained.
    pub(crate) all_row_major: bool,
    pub(crate) adapters: Vec<LoraAdapter>,
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) shape: Shape,
    pub(crate) offset: usize,
    pub(crate) trainable: bool,
    lr_scale: f64,
    pub(crate) storage: Storage,
}

impl Entry {
    fn range(&self) -> Range<usize> {
        let length = if matches!(self.storage, Storage::RowMajor) { self.shape.len() } else { 0 };
        self.offset..self.offset + length
    }
}

impl Parameters {
    /// None yet, of this type.
    pub fn new(dtype: DType) -> Self {
        Self {
            buffer: Buffer::zeros(dtype, 0),
            length: 0,
            table: Vec::new(),
            names: HashMap::new(),
            failure: None,
            precision: MatmulPrecision::Full,
            shapes_only: false,
            all_row_major: true,
            adapters: Vec::new(),
        }
    }

    /// None yet, and of those that are added the names and shapes alone: nothing is drawn or allocated, to know of a model
    /// how large it is.
    pub fn shapes_only(dtype: DType) -> Self {
        Self { shapes_only: true, ..Self::new(dtype) }
    }

    /// Allocates the parameters of [`shapes_only`](Self::shapes_only), at once for all: parameters of zeros, to be read from a file. `memory` is zeros
    /// that were made for them before; where they are too few, or of another type, all are made here.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn allocated(self, memory: Buffer) -> Result<Self> {
        let length = self.length;
        let buffer = match (self.dtype(), memory) {
            (DType::F32, Buffer::F32(mut zeros)) if zeros.len() >= length => {
                zeros.truncate(length);
                Buffer::F32(zeros)
            }
            (DType::F32, _) => Buffer::F32(zeros(length)?),
            (DType::F64, _) => Buffer::F64(zeros(length)?),
        };
        Ok(Self { buffer, shapes_only: false, ..self })
    }

    /// Adds a parameter of zeros. A second one of the same name is an error that [`Parameters::check`] and every graph
    /// on these parameters report.
    pub fn add(&mut self, name: &str, shape: impl Into<Shape>) -> ParameterId {
        let (shape, offset) = (shape.into(), self.length);
        let id = ParameterId(self.table.len() as u32);
        if self.names.insert(name.to_owned(), id).is_some() && self.failure.is_none() {
            self.failure = Some(Error::DuplicateParameter { name: name.to_owned() });
        }
        self.length = (offset + shape.len()).next_multiple_of(16);
        match &mut self.buffer {
            _ if self.shapes_only => {}
            Buffer::F32(elements) => elements.resize(self.length, 0.0),
            Buffer::F64(elements) => elements.resize(self.length, 0.0),
        }
        self.table.push(Entry {
            name: name.to_owned(),
            shape,
            offset,
            trainable: true,
            lr_scale: 1.0,
            storage: Storage::RowMajor,
        });
        id
    }

    /// Adds a parameter of these values, in row-major order; a wrong number of them is a sticky error as in
    /// [`Parameters::add`].
    pub fn add_with(&mut self, name: &str, shape: impl Into<Shape>, values: &[f64]) -> ParameterId {
        let id = self.add(name, shape);
        if let Err(error) = self.set(id, values) {
            self.failure.get_or_insert(error);
        }
        id
    }

    /// The first error in adding parameters.
    ///
    /// # Errors
    /// [`Error::DuplicateParameter`], [`Error::Parameter`].
    pub fn check(&self) -> Result<()> {
        self.failure.clone().map_or(Ok(()), Err)
    }

    /// The type of all of them.
    pub fn dtype(&self) -> DType {
        self.buffer.dtype()
    }

    /// All handles, in the order they were added.
    pub fn ids(&self) -> impl Iterator<Item = ParameterId> + use<> {
        (0..self.table.len() as u32).map(ParameterId)
    }

    /// How many tensors.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// How many numbers, without the gaps.
    pub fn count(&self) -> usize {
        self.table.iter().map(|entry| entry.shape.len()).sum()
    }

    /// The parameter of this name.
    pub fn find(&self, name: &str) -> Option<ParameterId> {
        self.names.get(name).copied()
    }

    /// A parameter's name.
    pub fn name(&self, id: ParameterId) -> &str {
        &self.entry(id).name
    }

    /// A parameter's shape.
    pub fn shape(&self, id: ParameterId) -> Shape {
        self.entry(id).shape
    }

    /// Where a parameter lies in the flat buffers: nowhere, if it is not row-major.
    pub fn range(&self, id: ParameterId) -> Range<usize> {
        self.entry(id).range()
    }

    /// Whether the optimizer changes it.
    pub fn is_trainable(&self, id: ParameterId) -> bool {
        self.entry(id).trainable
    }

    /// Freezes or thaws it.
    pub fn set_trainable(&mut self, id: ParameterId, trainable: bool) {
        self.table[id.0 as usize].trainable = trainable;
    }

    /// What the optimizer multiplies the learning rate with; 1 unless set.
    pub fn lr_scale(&self, id: ParameterId) -> f64 {
        self.entry(id).lr_scale
    }

    /// Sets what the optimizer multiplies the learning rate with.
    pub fn set_lr_scale(&mut self, id: ParameterId, lr_scale: f64) {
        self.table[id.0 as usize].lr_scale = lr_scale;
    }

    /// A parameter's values.
    ///
    /// # Panics
    /// For another type, and where it is not row-major: [`Parameters::tensor`] reads each, [`Parameters::set_f32`] writes it.
    pub fn values<E: Element>(&self, id: ParameterId) -> &[E] {
        self.assert_row_major(id);
        &E::slice(&self.buffer)[self.range(id)]
    }

    /// A parameter's values, to write.
    ///
    /// # Panics
    /// As [`Parameters::values`].
    pub fn values_mut<E: Element>(&mut self, id: ParameterId) -> &mut [E] {
        self.assert_row_major(id);
        let range = self.range(id);
        &mut E::slice_mut(&mut self.buffer)[range]
    }

    /// A parameter as a tensor of its own.
    pub fn tensor(&self, id: ParameterId) -> Tensor {
        if let Some(tensor) = self.row_major_copy(id) {
            return tensor;
        }
        let shape = self.shape(id);
        let tensor = match &self.buffer {
            Buffer::F32(elements) => Tensor::new(shape, &elements[self.range(id)]),
            Buffer::F64(elements) => Tensor::new(shape, &elements[self.range(id)]),
        };
        tensor.unwrap_or_else(|_| Tensor::zeros(self.dtype(), shape))
    }

    /// Sets a parameter's values.
    ///
    /// # Errors
    /// [`Error::Parameter`] for another number of values.
    pub fn set(&mut self, id: ParameterId, values: &[f64]) -> Result<()> {
        if self.shapes_only {
            return Ok(());
        }
        let (range, shape) = (self.range(id), self.shape(id));
        if values.len() != range.len() {
            let reason = format!("{} values do not fill its shape {shape}", values.len());
            return Err(Error::Parameter { name: self.name(id).to_owned(), reason });
        }
        match &mut self.buffer {
            Buffer::F32(elements) => elements[range].iter_mut().zip(values).for_each(|(x, &v)| *x = v as f32),
            Buffer::F64(elements) => elements[range].copy_from_slice(values),
        }
        Ok(())
    }

    /// The flat buffer of all values.
    pub fn buffer(&self) -> &Buffer {
        &self.buffer
    }

    /// The flat buffer of all values, to write.
    pub fn buffer_mut(&mut self) -> &mut Buffer {
        &mut self.buffer
    }

    /// The matmul precision of graphs over these parameters; [`MatmulPrecision::Full`] unless set.
    pub fn precision(&self) -> MatmulPrecision {
        self.precision
    }

    /// Sets the matmul precision of graphs over these parameters.
    pub fn set_precision(&mut self, precision: MatmulPrecision) {
        self.precision = precision;
    }

    /// The same parameters in another type, all row-major and in its full precision.
    pub fn cast(&self, dtype: DType) -> Self {
        let mut cast = Self { length: 0, all_row_major: true, buffer: Buffer::zeros(dtype, 0), ..self.clone() };
        for entry in &mut cast.table {
            entry.storage = Storage::RowMajor;
            entry.offset = cast.length;
            cast.length = (cast.length + entry.shape.len()).next_multiple_of(16);
        }
        cast.buffer = Buffer::zeros(dtype, cast.length);
        for id in self.ids() {
            let values = self.tensor(id).to_f64();
            // The lengths agree: both come from one table.
            let _ = cast.set(id, &values);
        }
        cast
    }

    /// Takes the values of others with the same names and shapes, in whatever order, for all but adapters. A table of so
    /// many rows there may have more here, as `grown` says: the rows that are new become the mean of the others.
    ///
    /// # Errors
    /// What differs, in words; some values may then be taken.
    pub fn copy_from(&mut self, others: &Self, grown: &[(usize, usize)]) -> std::result::Result<(), String> {
        let own: Vec<ParameterId> = self.ids().filter(|&id| !self.is_adapter(id)).collect();
        if others.len() != own.len() {
            return Err(format!("it has {} parameters, the model {}", others.len(), own.len()));
        }
        for id in own {
            let name = self.name(id).to_owned();
            let other = others.find(&name).ok_or_else(|| format!("it has no parameter '{name}'"))?;
            let (shape, found) = (self.shape(id), others.shape(other));
            let (to, from) = (self.range(id), others.range(other));
            match (&mut self.buffer, &others.buffer) {
                (Buffer::F32(to_all), Buffer::F32(all)) if shape == found && from.len() == to.len() => {
                    to_all[to].copy_from_slice(&all[from]);
                    continue;
                }
                _ => {}
            }
            let mut values = others.tensor(other).to_f64();
            if shape != found {
                let rows = |shape: Shape| shape.dims().first().copied().unwrap_or(0);
                let (old, new) = (rows(found), rows(shape));
                let width = found.len() / old.max(1);
                if !grown.contains(&(old, new)) || shape.len() != new * width {
                    return Err(format!("parameter '{name}' is {found} there, and {shape} in the model"));
                }
                let mean = |column: usize| values.iter().skip(column).step_by(width).sum::<f64>() / old as f64;
                let mean: Vec<f64> = (0..width).map(mean).collect();
                values.extend(mean.iter().cycle().take(shape.len() - found.len()));
            }
            self.set(id, &values).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// The number of elements of each parameter; 0 for frozen ones.
    pub(crate) fn trainable_lengths(&self) -> impl Iterator<Item = usize> + '_ {
        self.table.iter().map(|entry| if entry.trainable { entry.range().len() } else { 0 })
    }

    pub(crate) fn entry(&self, id: ParameterId) -> &Entry {
        &self.table[id.0 as usize]
    }
}
