//! Reading a checkpoint's weights, each tensor to its parameter.

use super::Checkpoint;
use crate::run_folder::layout::MODEL;
use crate::weight_tensors::{SCALES, scales_shape, stored_shape, stored_type};
use crate::{Error, TensorFile};
use descant_autograd::{ParameterId, Parameters};
use descant_kernels::WeightType;
use descant_tensor::{DType, Shape};
use half::f16;
use safetensors::tensor::{Dtype, TensorInfo};
use std::collections::BTreeMap;
use std::io;

impl Checkpoint {
    /// The precision of its weights, where it is a reduced one.
    pub fn weights(&self) -> Option<WeightType> {
        self.manifest.weights.as_deref().and_then(WeightType::named)
    }

    /// The parameters that are stored in reduced precision. Of a damaged file there may be none: what is wrong shows where it is loaded.
    pub(crate) fn reduced(&self) -> BTreeMap<String, WeightType> {
        let file = self.files.get(MODEL).filter(|_| self.manifest.weights.is_some());
        let file = file.and_then(|file| TensorFile::of(file.try_clone().ok()?).ok());
        let types = WeightType::ALL;
        let reduced = |(name, tensor): &(String, TensorInfo)| {
            Some((name.clone(), types.into_iter().find(|&of| stored_type(of) == tensor.dtype)?))
        };
        file.iter().flat_map(|file| file.tensors().unwrap_or_default()).filter_map(reduced).collect()
    }

    /// Reads all tensors, each to its parameter, which is rounded where it is in reduced precision and the tensor is not.
    pub(super) fn load_each(&self, file: &mut TensorFile, parameters: &mut Parameters) -> Result<(), Error> {
        let tensors = file.tensors().map_err(|reason| self.damaged(format!("{MODEL}: {reason}")))?.to_vec();
        let wanted = self.wanted(&tensors, parameters)?;
        let unread = |error| Error::io("read the checkpoint", &self.path.join(MODEL), error);
        if parameters.dtype() == DType::F32 && !parameters.has_reduced() {
            let mut values: Vec<_> = parameters.all_values_mut().into_iter().map(Some).collect();
            let places =
                wanted.into_iter().filter_map(|(id, _, tensor)| Some((tensor, values[id.index() as usize].take()?)));
            return file.read_all_f32(places.collect()).map_err(unread);
        }
        for (id, is_scales, tensor) in wanted {
            let name = parameters.name(id).to_owned();
            let wrong = |reason: String| self.damaged(format!("parameter '{name}': {reason}"));
            let shape = parameters.shape(id);
            let dtype = parameters.dtype();
            match parameters.reduced_mut(id) {
                None if dtype == DType::F64 => file.read_f64(&tensor, parameters.values_mut(id)).map_err(unread)?,
                None => file.read_f32(&tensor, parameters.values_mut(id)).map_err(unread)?,
                Some(weight) if is_scales => {
                    let mut scales = Vec::new();
                    let read = file.read_rows(&tensor, (tensor.shape.iter().product(), 2), |_, bytes| {
                        scales.extend(bytes.as_chunks().0.iter().map(|&bytes| f16::from_le_bytes(bytes)));
                        Ok(())
                    });
                    read.map_err(unread)?;
                    weight.set_scales(&scales).map_err(wrong)?;
                }
                Some(weight) if tensor.dtype == stored_type(weight.weight_type()) => {
                    let row = weight.weight_type().row_bytes(shape[1]);
                    let read = file.read_rows(&tensor, (shape[0], row), |first, bytes| {
                        weight.set_bytes(first, bytes);
                        Ok(())
                    });
                    read.map_err(unread)?;
                }
                Some(weight) => {
                    let mut reason = None;
                    let mut values = Vec::new();
                    let read = file.read_rows(&tensor, (shape[0], 4 * shape[1]), |first, bytes| {
                        values.clear();
                        values.extend(bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)));
                        weight.quantize_rows(first, &values).map_err(|why| {
                            reason = Some(why);
                            io::ErrorKind::InvalidData.into()
                        })
                    });
                    match (read, reason) {
                        (_, Some(reason)) => return Err(wrong(format!("{reason}. Leave --weights out"))),
                        (read, None) => read.map_err(unread)?,
                    }
                }
            }
        }
        Ok(())
    }

    /// The parameter of each tensor, and whether it is that one's scales; all of the right shapes, and none missing.
    fn wanted(
        &self,
        tensors: &[(String, TensorInfo)],
        parameters: &Parameters,
    ) -> Result<Vec<(ParameterId, bool, TensorInfo)>, Error> {
        let other =
            |what: String| self.damaged(format!("it is of another architecture than the recipe's model: {what}"));
        let by_name: BTreeMap<&str, &TensorInfo> =
            tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        let mut number = 0;
        for id in parameters.ids() {
            let (name, shape) = (parameters.name(id), parameters.shape(id));
            let mut check = |name: &str, shape: &[usize], dtypes: &[Dtype]| {
                number += 1;
                match by_name.get(name) {
                    None => Err(other(format!("it has no parameter '{name}'"))),
                    Some(found) if found.shape != shape => {
                        let own = Shape::new(shape);
                        Err(other(format!("parameter '{name}' is {:?} there, and {own} in the recipe", found.shape)))
                    }
                    Some(found) if !dtypes.is_empty() && !dtypes.contains(&found.dtype) => {
                        Err(self.damaged(format!("parameter '{name}' has numbers of type {:?}", found.dtype)))
                    }
                    Some(_) => Ok(()),
                }
            };
            let stored = parameters.reduced(id).filter(|_| self.manifest.weights.is_some());
            let Some(weight) = stored else {
                let reduced = parameters.reduced(id).is_some();
                check(name, shape.dims(), if reduced { &[Dtype::F32] } else { &[] })?;
                continue;
            };
            let (rows, weight_type) = (weight.all(), weight.weight_type());
            check(name, &stored_shape(weight_type, &rows), &[stored_type(weight_type)])?;
            if let Some(shape) = scales_shape(weight_type, &rows) {
                check(&format!("{name}{SCALES}"), &shape, &[Dtype::F16])?;
            }
        }
        if tensors.len() != number {
            return Err(other(format!("it has {} parameters, the recipe's {number}", tensors.len())));
        }
        let place = |(name, tensor): &(String, TensorInfo)| {
            let own = parameters.find(name).map(|id| (id, false));
            let (id, is_scales) = own.or_else(|| Some((parameters.find(name.strip_suffix(SCALES)?)?, true)))?;
            Some((id, is_scales, tensor.clone()))
        };
        Ok(tensors.iter().filter_map(place).collect())
    }
}
