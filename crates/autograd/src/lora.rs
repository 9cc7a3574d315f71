//! Low-rank adaptation, LoRA (Hu et al. 2022, arXiv 2106.09685). Instead of an adapted weight, a model reads
//!
//! ```text
//! W + s B A      W[O, I]      B[O, r]      A[r, I]
//! ```
//!
//! with W frozen. Layers know nothing of it, so every weight of every kind of model can be adapted. A linear layer computes
//! `x Wᵀ + s (x Aᵀ) Bᵀ`, without the sum and its gradient; all other operations read the sum, computed once a pass where it is
//! first read.

use crate::activation::Activation;
use crate::graph::{Graph, Var};
use crate::ops::lora_linear::LoraLinear;
use crate::ops::lora_weight::LoraWeight;
use crate::parameters::{LoraAdapter, ParameterId, Parameters};
use descant_kernels::{Mat, MatMut, Parallelism, Real, gemm};
use descant_tensor::{Buffer, DType, Error, Result, Shape, Tensor};
use smallvec::SmallVec;

impl Parameters {
    /// The adapted weights with their factors.
    pub fn adapters(&self) -> impl Iterator<Item = LoraAdapter> + '_ {
        self.adapters.iter().copied()
    }

    /// Freezes a matrix, and adds the two factors of its adapter: `NAME.lora_A[r, I]` and `NAME.lora_B[O, r]`, both zero.
    ///
    /// # Errors
    /// [`Error::Parameter`] if it is no matrix, or already adapted.
    pub fn adapt(&mut self, weight: ParameterId, rank: usize, scale: f64) -> Result<[ParameterId; 2]> {
        let name = self.name(weight).to_owned();
        let wrong = |reason: &str| Err(Error::Parameter { name: name.clone(), reason: reason.to_owned() });
        let &[rows, columns] = self.shape(weight).dims() else { return wrong("only a matrix can be adapted") };
        if self.adapters.iter().any(|adapter| adapter.weight == weight) {
            return wrong("it is adapted already");
        }
        let a = self.add(&format!("{name}.lora_A"), [rank, columns]);
        let b = self.add(&format!("{name}.lora_B"), [rows, rank]);
        self.set_trainable(weight, false);
        self.adapters.push(LoraAdapter { weight, a, b, scale });
        Ok([a, b])
    }

    /// Whether any weight is adapted.
    pub fn has_adapters(&self) -> bool {
        !self.adapters.is_empty()
    }

    /// Whether this is a factor of an adapter.
    pub fn is_adapter(&self, id: ParameterId) -> bool {
        self.adapters.iter().any(|adapter| [adapter.a, adapter.b].contains(&id))
    }

    /// The same parameters with each adapter merged into its weight.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn merged(&self) -> Result<Self> {
        let mut merged = Self::shapes_only(self.dtype());
        for id in self.ids().filter(|&id| !self.is_adapter(id)) {
            merged.add(self.name(id), self.shape(id));
        }
        let mut merged = merged.allocated(Buffer::zeros(self.dtype(), 0))?;
        for (own, id) in merged.ids().zip(self.ids().filter(|&id| !self.is_adapter(id))) {
            match self.buffer() {
                Buffer::F32(_) => merged.values_mut::<f32>(own).copy_from_slice(self.values(id)),
                Buffer::F64(_) => merged.values_mut::<f64>(own).copy_from_slice(self.values(id)),
            }
        }
        for adapter in &self.adapters {
            let Some(weight) = merged.find(self.name(adapter.weight)) else { continue };
            match self.buffer() {
                Buffer::F32(_) => adapter.add_into(self, merged.values_mut::<f32>(weight)),
                Buffer::F64(_) => adapter.add_into(self, merged.values_mut::<f64>(weight)),
            }
        }
        Ok(merged)
    }
}

impl LoraAdapter {
    /// The whole weight, merged with the adapter.
    fn sum<E: Real>(&self, parameters: &Parameters) -> Vec<E> {
        let mut weight = parameters.values::<E>(self.weight).to_vec();
        self.add_into(parameters, &mut weight);
        weight
    }

    fn add_into<E: Real>(&self, parameters: &Parameters, weight: &mut [E]) {
        let (a, b) = (parameters.shape(self.a), parameters.shape(self.b));
        let (rows, rank, columns) = (b[0], b[1], a[1]);
        let factors =
            [Mat::new(parameters.values(self.b), rows, rank), Mat::new(parameters.values(self.a), rank, columns)];
        let weight = MatMut::new(weight, rows, columns);
        gemm(E::of(self.scale), factors[0], factors[1], E::one(), weight, Parallelism::Serial);
    }
}

impl<'t> Graph<'t> {
    /// The adapter of the weight that a value is part of, with the offset and the shape of the part.
    fn lora_adapter(self, var: Var<'t>) -> Option<(LoraAdapter, usize, Shape)> {
        let (id, start, shape) = self.parameter_of(var)?;
        let adapter = self.parameters().adapters.iter().find(|adapter| adapter.weight == id)?;
        Some((*adapter, start, shape))
    }

    /// The value; for an adapted weight, the sum `W + s B A`.
    pub(crate) fn with_lora(self, var: Var<'t>) -> Var<'t> {
        let Some((LoraAdapter { weight, a, b, scale }, start, shape)) = self.lora_adapter(var) else { return var };
        let sum = self
            .lora_sum_once(weight, || self.record(LoraWeight { scale }, &[weight, a, b].map(|id| self.parameter(id))));
        if sum.shape() == shape { sum } else { sum.view(start, shape) }
    }

    /// The elements of `W + s B A`, or of a part of it. Nothing is recorded: reading a value changes neither later random draws
    /// nor the result of the pass.
    pub(crate) fn lora_value(self, var: Var<'t>) -> Option<Result<Tensor>> {
        let (adapter, start, shape) = self.lora_adapter(var)?;
        let parameters = self.parameters();
        Some(match self.dtype() {
            DType::F32 => Tensor::new(shape, &adapter.sum::<f32>(parameters)[start..start + shape.len()]),
            DType::F64 => Tensor::new(shape, &adapter.sum::<f64>(parameters)[start..start + shape.len()]),
        })
    }

    /// `f(x Wᵀ + b)` if `weight` is an adapted weight, or rows of one.
    #[track_caller]
    pub(crate) fn lora_linear(
        self,
        x: Var<'t>,
        weight: Var<'t>,
        bias: Option<Var<'t>>,
        activation: Activation,
    ) -> Option<Var<'t>> {
        let (LoraAdapter { a, b, scale, .. }, start, shape) = self.lora_adapter(weight)?;
        let [a, b] = [a, b].map(|id| self.parameter(id));
        let &[rows, columns] = shape.dims() else { return None };
        if columns != a.shape()[1] || columns == 0 || !start.is_multiple_of(columns) {
            return None;
        }
        let first = start / columns;
        let inputs = [self.with_lora(x), weight, a, b.slice(first, first + rows)];
        let bias = bias.map(|bias| self.with_lora(bias));
        let inputs: SmallVec<[Var<'t>; 5]> = inputs.into_iter().chain(bias).collect();
        Some(self.record(LoraLinear { activation, scale }, &inputs))
    }
}

#[cfg(test)]
mod tests {
    use crate::gradcheck::check;
    use crate::{Activation, Graph, ParameterId, Parameters, Tape, Var};
    use descant_kernels::Parallelism;
    use descant_tensor::{DType, Error, Result, Tensor};

    fn loss<'t>(graph: Graph<'t>, weight: ParameterId) -> Var<'t> {
        let x = graph.constant(&Tensor::new([2, 4], &[0.3, -0.2, 0.5, 0.1, -0.7, 0.4, 0.2, 0.9]).unwrap());
        // Read twice, as tied weights are.
        let y = x.linear(graph.parameter(weight), None, Activation::Tanh);
        (y.matmul(graph.parameter(weight)) * x).sum()
    }

    fn adapted() -> (Parameters, ParameterId) {
        let mut parameters = Parameters::new(DType::F64);
        let values: Vec<f64> = (0..12).map(|i| f64::from(i) / 10.0 - 0.5).collect();
        let weight = parameters.add_with("weight", [3, 4], &values);
        let [a, b] = parameters.adapt(weight, 2, 0.5).unwrap();
        parameters.set(a, &[0.1, -0.4, 0.2, 0.3, 0.5, 0.6, -0.1, 0.2]).unwrap();
        parameters.set(b, &[0.7, -0.3, 0.1, 0.4, -0.2, 0.9]).unwrap();
        (parameters, weight)
    }

    #[test]
    fn gradients_reach_the_factors_and_not_the_weight() -> Result<()> {
        let (mut parameters, weight) = adapted();
        let rows = check(&mut parameters, None, 1, |graph| loss(graph, weight))?;
        assert_eq!(rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["weight.lora_A", "weight.lora_B"]);
        assert!(rows.iter().all(|row| row.error < 1e-6), "{rows:?}");
        let (mut tape, mut gradients) = (Tape::new(), parameters.gradients());
        let graph = tape.train(&parameters, 1);
        graph.backward(loss(graph, weight), &mut gradients)?;
        assert!(!gradients.is_touched(weight));
        gradients.check(&parameters)
    }

    /// As layers read rows of one weight, and recomputed: the sum that `matmul` reads is rematerialised where it is needed.
    #[test]
    fn rows_of_an_adapted_weight_and_recomputed_parts_have_their_gradients() -> Result<()> {
        let (mut parameters, weight) = adapted();
        fn loss<'t>(graph: Graph<'t>, weight: ParameterId) -> Var<'t> {
            let w = graph.parameter(weight);
            let x = w.slice(0, 2).scale(0.5);
            let part = || x.linear(w.slice(1, 3), None, Activation::Gelu).matmul(w.slice(0, 2)).tanh();
            let y = graph.rematerialize(part);
            (y.matmul_t(w).square().sum() + y.linear(w, None, Activation::Identity).square().sum()).scale(0.5)
        }
        let rows = check(&mut parameters, None, 1, |graph| loss(graph, weight))?;
        assert!(rows.len() == 2 && rows.iter().all(|row| row.error < 1e-6 && row.entries > 0), "{rows:?}");
        let run = |parameters: &Parameters| {
            let mut tape = Tape::new();
            loss(tape.infer(parameters, Parallelism::Serial), weight).item()
        };
        let merged = parameters.merged().unwrap();
        let weight_of = |parameters: &Parameters| {
            let mut tape = Tape::new();
            tape.infer(parameters, Parallelism::Serial).parameter(weight).value().map(|value| value.to_f64())
        };
        assert!((run(&parameters)? - run(&merged)?).abs() < 1e-12);
        assert_eq!(weight_of(&parameters)?, weight_of(&merged)?);
        Ok(())
    }

    #[test]
    fn to_look_at_an_adapted_weight_changes_nothing() -> Result<()> {
        let (parameters, weight) = adapted();
        let merged = parameters.merged()?;
        let expected = merged.values::<f64>(merged.find("weight").unwrap());
        let run = |looks: bool| {
            let (mut tape, mut gradients) = (Tape::new(), parameters.gradients());
            let graph = tape.train(&parameters, 7);
            let w = graph.parameter(weight);
            // A view is a node itself.
            let rows = w.slice(1, 3);
            let look = || {
                if looks {
                    assert_eq!(w.value().unwrap().to_f64(), expected);
                    assert_eq!(rows.value().unwrap().to_f64(), expected[4..]);
                }
            };
            look();
            let x = graph.constant(&Tensor::new([2, 4], &[0.3, -0.2, 0.5, 0.1, -0.7, 0.4, 0.2, 0.9])?);
            let y = x.linear(w, None, Activation::Tanh).dropout(0.5).matmul(w);
            look();
            let loss = (y * x).dropout(0.5).sum();
            graph.backward(loss, &mut gradients)?;
            look();
            graph.check()?;
            let factors = parameters.ids().filter(|&id| parameters.is_adapter(id));
            Ok::<_, Error>((loss.item()?, factors.map(|id| gradients.to_f64(id)).collect::<Vec<_>>()))
        };
        assert_eq!(run(true)?, run(false)?);
        Ok(())
    }

    #[test]
    fn merged_weights_give_the_same() -> Result<()> {
        let (parameters, weight) = adapted();
        let merged = parameters.merged().unwrap();
        assert_eq!(merged.len(), 1);
        let run = |parameters: &Parameters| {
            let mut tape = Tape::new();
            loss(tape.infer(parameters, Parallelism::Serial), weight).item()
        };
        assert!((run(&parameters)? - run(&merged)?).abs() < 1e-12);
        Ok(())
    }

    #[test]
    fn what_cannot_be_adapted_is_an_error() {
        let (mut parameters, weight) = adapted();
        assert!(parameters.adapt(weight, 2, 1.0).unwrap_err().to_string().contains("adapted already"));
        let bias = parameters.add("bias", [3]);
        assert!(parameters.adapt(bias, 2, 1.0).unwrap_err().to_string().contains("only a matrix"));
    }
}
