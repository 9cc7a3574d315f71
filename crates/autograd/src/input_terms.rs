//! The input terms `E[id] Wᵢₕᵀ` of a recurrent layer that reads an embedding. In inference they are kept for tokens that come again (Devlin
//! 2017, arXiv 1705.01991): a row of them is read in less time than the weight is.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of the terms that are kept of a layer in one direction: those of the first tokens that come.
const MOST_KEPT: usize = 64 << 20;

/// Terms by token, of one embedding and one weight.
#[derive(Debug)]
pub(crate) struct InputTerms {
    /// Which parameter the embedding is.
    pub(crate) embedding: u32,
    tokens: Vec<OnceLock<Box<[f32]>>>,
    kept: AtomicUsize,
}

impl InputTerms {
    pub(crate) fn new(embedding: u32, tokens: usize) -> Self {
        Self { embedding, tokens: (0..tokens).map(|_| OnceLock::new()).collect(), kept: AtomicUsize::new(0) }
    }

    pub(crate) fn get(&self, id: u32) -> Option<&[f32]> {
        self.tokens.get(id as usize)?.get().map(|terms| &**terms)
    }

    pub(crate) fn keep(&self, id: u32, terms: &[f32]) {
        let is_room = || self.kept.fetch_add(1, Ordering::Relaxed) < MOST_KEPT / size_of_val(terms).max(1);
        if let Some(token) = self.tokens.get(id as usize)
            && is_room()
        {
            token.get_or_init(|| terms.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PackedSequences, Parameters, StorageType, Tape};
    use descant_kernels::{Parallelism, WeightType};
    use descant_tensor::{DType, Result};
    use std::sync::Arc;

    fn numbers(n: usize, seed: usize) -> Vec<f64> {
        (0..n).map(|i| ((i * 7919 + seed * 104_729) % 997) as f64 / 997.0 - 0.5).collect()
    }

    fn parameters(storage: StorageType) -> Parameters {
        let mut parameters = Parameters::new(DType::F32);
        for (seed, (name, shape)) in
            [("e", [7, 40]), ("w", [12, 40]), ("u", [12, 3]), ("b", [1, 12])].into_iter().enumerate()
        {
            parameters.add_with(name, shape, &numbers(shape[0] * shape[1], seed));
        }
        parameters.stored_as(|name, _| if name == "b" { StorageType::RowMajor } else { storage }).unwrap()
    }

    /// An LSTM over the embeddings of tokens, and the same by tokens.
    fn both(parameters: &Parameters, ids: &[u32]) -> Result<[Vec<f32>; 2]> {
        let mut tape = Tape::new();
        let graph = tape.infer(parameters, Parallelism::Serial);
        let of = |name: &str| graph.parameter(parameters.find(name).unwrap());
        let (ids, layout) = (Arc::from(ids), Arc::new(PackedSequences::new(&[ids.len()])));
        let bias = of("b").reshape([12]);
        let weights = [of("w"), of("u"), bias, bias];
        let by_values = of("e").gather(&ids).lstm(None, &weights, None, None, &layout, false);
        let by_tokens = of("e").lstm(Some(&ids), &weights, None, None, &layout, false);
        Ok([by_values.value()?.to_f32(), by_tokens.value()?.to_f32()])
    }

    #[test]
    fn terms_have_the_bits_of_the_gemm_until_the_embedding_changes() {
        for storage in
            [StorageType::Packed, StorageType::Reduced(WeightType::Int8), StorageType::Reduced(WeightType::Bf16)]
        {
            let mut parameters = parameters(storage);
            // New, known, and both.
            for ids in [&[3, 0, 3][..], &[0, 3], &[6, 0, 1, 6, 3]] {
                let [expected, found] = both(&parameters, ids).unwrap();
                assert_eq!(found, expected, "{storage:?} {ids:?}");
            }
            let [before, _] = both(&parameters, &[0, 3]).unwrap();
            let id = parameters.find("e").unwrap();
            let others: Vec<f32> = numbers(280, 9).into_iter().map(|x| x as f32).collect();
            parameters.set_f32(id, &others).unwrap();
            let [expected, found] = both(&parameters, &[0, 3]).unwrap();
            assert_eq!(found, expected, "{storage:?}");
            assert_ne!(found, before, "{storage:?}");
        }
    }

    #[test]
    fn no_more_are_kept_than_there_is_room_for() {
        let terms = InputTerms::new(0, 6);
        let own = vec![0.5; MOST_KEPT / 4 / 3];
        [4, 2, 5, 0].into_iter().for_each(|id| terms.keep(id, &own));
        assert_eq!([0, 1, 2, 3, 4, 5].map(|id| terms.get(id).is_some()), [false, false, true, false, true, true]);
    }
}
