use crate::graph::Graph;
use crate::parameters::Parameters;
use crate::recording::{FAILED, Mode, Recording};
use descant_kernels::{MatmulPrecision, Parallelism};
use std::cell::RefCell;

/// Memory of one forward and backward pass after another: the nodes, and the buffers that the next pass reuses.
#[derive(Debug, Default)]
pub struct Tape {
    recording: RefCell<Recording>,
}

impl Tape {
    /// An empty tape.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a pass that records for backward, with dropout drawn from `seed`.
    pub fn train<'t>(&'t mut self, parameters: &'t Parameters, seed: u64) -> Graph<'t> {
        self.start(parameters, Mode { gradients: true, dropout: Some(seed), ..Mode::default() })
    }

    /// Starts a pass that records for backward, without dropout: of what a model computes, not of how it is trained.
    pub fn differentiate<'t>(&'t mut self, parameters: &'t Parameters) -> Graph<'t> {
        self.start(parameters, Mode { gradients: true, ..Mode::default() })
    }

    /// Starts a pass without gradients and without dropout, whose GEMMs may use several threads.
    pub fn infer<'t>(&'t mut self, parameters: &'t Parameters, parallelism: Parallelism) -> Graph<'t> {
        self.start(parameters, Mode { parallelism, ..Mode::default() })
    }

    /// As [`Tape::infer`], in this precision: that of other parameters, whose outputs are compared with these.
    pub fn infer_in<'t>(&'t mut self, parameters: &'t Parameters, precision: MatmulPrecision) -> Graph<'t> {
        self.start(parameters, Mode { precision: Some(precision), ..Mode::default() })
    }

    /// As [`Tape::train`], but every value and gradient is searched for infinities and NaN; the first becomes
    /// [`Error::NonFinite`](descant_tensor::Error::NonFinite). Slower: for finding out why a training failed.
    pub fn detect_anomaly<'t>(&'t mut self, parameters: &'t Parameters, seed: u64) -> Graph<'t> {
        let mode = Mode { gradients: true, dropout: Some(seed), check_finite: true, ..Mode::default() };
        self.start(parameters, mode)
    }

    /// How many buffers were ever allocated. After the first steps of a training it no longer grows.
    pub fn allocations(&self) -> u64 {
        self.recording.borrow().pool.allocations()
    }

    fn start<'t>(&'t mut self, parameters: &'t Parameters, mode: Mode) -> Graph<'t> {
        let recording = self.recording.get_mut();
        recording.reset();
        recording.mode = mode;
        recording.failure = parameters.check().err();
        recording.parameter_nodes.resize(parameters.len(), FAILED);
        Graph::new(parameters, &self.recording)
    }
}

#[cfg(test)]
mod tests {
    use super::Tape;
    use crate::Parameters;
    use descant_kernels::Parallelism;
    use descant_tensor::{DType, Tensor};

    #[test]
    fn passes_with_constants_leave_no_memory_behind() {
        let parameters = Parameters::new(DType::F32);
        let mut tape = Tape::new();
        let mut pooled = || {
            for _ in 0..5 {
                let graph = tape.infer(&parameters, Parallelism::Serial);
                let constants = [DType::F32, DType::F64].map(|dtype| graph.constant(&Tensor::zeros(dtype, [100])));
                assert_eq!((constants[0] + constants[1]).value().unwrap().to_f64(), [0.0; 100]);
            }
            let _ = tape.infer(&parameters, Parallelism::Serial);
            tape.recording.borrow().pool.len()
        };
        assert_eq!(pooled(), pooled());
    }

    #[test]
    fn gradients_started_again_are_those_of_the_new_backward_alone() {
        let mut parameters = Parameters::new(DType::F64);
        let ids = ["a", "b"].map(|name| parameters.add_with(name, [2], &[1.0, 2.0]));
        let (mut tape, mut gradients) = (Tape::new(), parameters.gradients());
        let mut backward = |used: &[usize], gradients: &mut crate::Gradients| {
            let graph = tape.train(&parameters, 1);
            let loss = used.iter().map(|&i| graph.parameter(ids[i]).slice(0, 1).square().sum()).reduce(|a, b| a + b);
            graph.backward(loss.unwrap(), gradients).unwrap();
            ids.map(|id| (gradients.is_touched(id), gradients.to_f64(id)))
        };
        let (two, none) = ((true, vec![2.0, 0.0]), (false, vec![0.0, 0.0]));
        assert_eq!(backward(&[0, 1], &mut gradients), [two.clone(), two.clone()]);
        gradients.zero_lazily();
        assert_eq!(backward(&[1], &mut gradients), [none, two.clone()]);
        assert_eq!(backward(&[0, 1], &mut gradients), [two, (true, vec![4.0, 0.0])]);
    }
}
