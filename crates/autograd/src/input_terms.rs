//! The input terms `E[id] Wᵢₕᵀ` of a recurrent layer that reads an embedding. In inference they are kept for tokens that come again (Devlin
//! 2017, arXiv 1705.01991): a row of them is read in less time than the weight is.

use crate::context::Forward;
use crate::parameters::ParameterId;
use crate::weight::{StoredWeight, Weight};
use descant_kernels::{Mat, MatMut, Real, run_on_rows};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of the terms that are kept of a layer in one direction: those of the first tokens that come.
const MOST_KEPT: usize = 64 << 20;

/// Terms by token, of one embedding and one weight.
#[derive(Debug)]
pub(crate) struct InputTerms {
    embedding: ParameterId,
    tokens: Vec<OnceLock<Box<[f32]>>>,
    kept: AtomicUsize,
}

impl InputTerms {
    fn new(embedding: ParameterId, tokens: usize) -> Self {
        Self { embedding, tokens: (0..tokens).map(|_| OnceLock::new()).collect(), kept: AtomicUsize::new(0) }
    }

    fn get(&self, id: u32) -> Option<&[f32]> {
        self.tokens.get(id as usize)?.get().map(|terms| &**terms)
    }

    fn keep(&self, id: u32, terms: &[f32]) {
        let is_room = || self.kept.fetch_add(1, Ordering::Relaxed) < MOST_KEPT / size_of_val(terms).max(1);
        if let Some(token) = self.tokens.get(id as usize)
            && is_room()
        {
            token.get_or_init(|| terms.into());
        }
    }
}

impl<'a, E: Real> Forward<'a, E> {
    /// Writes the terms of tokens to `gates[N, G·H]`: of input 0, which is all of an embedding, by the weight that is input 1.
    pub(crate) fn input_terms(&mut self, table: StoredWeight<'_>, ids: &[u32], gates: &mut [E]) {
        let (weight, config, input, width) = (self.weight(1), self.gemm_config(), self.shape(0)[1], self.shape(1)[0]);
        let known = self.known_terms();
        let is_missing = |id: &u32| known.is_none_or(|known| known.get(*id).is_none());
        let mut missing: Vec<u32> = ids.iter().copied().filter(is_missing).collect();
        missing.sort_unstable();
        missing.dedup();
        let n = missing.len();
        let (mut x, mut terms) = (self.scratch(n * input), self.scratch(n * width));
        if n > 0 {
            x.chunks_exact_mut(input.max(1)).zip(&missing).for_each(|(x, &id)| table.read_row(id as usize, x));
            let mut transposed = self.scratch(if let Weight::RowMajor(w) = weight { w.len() } else { 0 });
            weight.gemm(Mat::new(&x, n, input), MatMut::new(&mut terms, n, width), &mut transposed, config);
            self.recycle(transposed);
            if let (Some(known), Some(terms)) = (known, E::as_f32(&terms)) {
                missing.iter().zip(terms.chunks_exact(width.max(1))).for_each(|(&id, terms)| known.keep(id, terms));
            }
        }
        let of_token = |id: u32, gates: &mut [E]| match (known.and_then(|known| known.get(id)), E::as_f32_mut(gates)) {
            (Some(terms), Some(gates)) => gates.copy_from_slice(terms),
            _ => {
                let place = missing.partition_point(|&other| other < id) * width;
                gates.copy_from_slice(&terms[place..][..width]);
            }
        };
        run_on_rows(gates, width, config.pass_threads(gates.len()), |first, gates| {
            gates.chunks_exact_mut(width.max(1)).zip(&ids[first..]).for_each(|(gates, &id)| of_token(id, gates));
        });
        self.recycle(x);
        self.recycle(terms);
    }

    /// The terms of inputs 0 and 1; none where these are not whole parameters that inference stores.
    fn known_terms(&self) -> Option<&'a InputTerms> {
        let [embedding, weight] = [0, 1].map(|i| {
            let node = &self.nodes[self.inputs[i] as usize];
            let id = self.nodes[node.root as usize].parameter?;
            (self.parameters.shape(id) == node.shape).then_some(id)
        });
        let (embedding, weight) = (embedding?, weight?);
        let terms = &self.parameters.entry(weight).storage.derived()?.input_terms;
        let terms = terms.get_or_init(|| InputTerms::new(embedding, self.parameters.shape(embedding)[0]));
        (terms.embedding == embedding).then_some(terms)
    }
}
