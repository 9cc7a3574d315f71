//! Token-level unlikelihood (Welleck et al. 2020, arXiv 1908.04319), a part of [`super::cross_entropy`]: what a target has said before is to
//! be unlikely where it does not come again, against texts that repeat themselves:
//!
//! ```text
//! Lᵢ = -α Σ log(1 - p_c) over the ids c before i in its sequence, each once, but for tᵢ      dL/dzⱼ = α Σ (δ_jc - pⱼ) p_c / (1 - p_c)
//! ```

use crate::Segments;
use std::collections::HashSet;
use std::sync::Arc;

/// What is least left of a probability that is near 1, so that its logarithm is finite; the gradient is zero there.
const LEAST: f64 = 1e-5;

/// The unlikelihood of the targets of rows.
#[derive(Clone, Debug)]
pub struct Unlikelihood {
    /// α.
    weight: f64,
    /// Of each sequence, its ids, each where it comes first.
    firsts: Arc<[Vec<(usize, u32)>]>,
    /// Of each row, its sequence, and its place there.
    places: Arc<[(usize, usize)]>,
}

impl Unlikelihood {
    /// Of the rows of sequences, with the id of each that counts.
    pub fn new(weight: f64, segments: &Segments, id: impl Fn(usize) -> Option<u32>) -> Self {
        let mut places = vec![(0, 0); segments.tokens()];
        let mut firsts = Vec::with_capacity(segments.len());
        for s in 0..segments.len() {
            let (mut seen, mut own) = (HashSet::new(), Vec::new());
            for (t, &row) in segments.rows(s).iter().enumerate() {
                places[row] = (s, t);
                own.extend(id(row).filter(|&id| seen.insert(id)).map(|id| (t, id)));
            }
            firsts.push(own);
        }
        Self { weight, firsts: firsts.into(), places: places.into() }
    }

    /// That it is of so many rows, and the weight is one.
    pub(super) fn check(&self, rows: usize) -> Result<(), String> {
        if self.places.len() != rows {
            return Err(format!("unlikelihood of {} rows for {rows} rows", self.places.len()));
        }
        match self.weight >= 0.0 && self.weight.is_finite() {
            true => Ok(()),
            false => Err(format!("the weight of unlikelihood is {}, not a number from 0", self.weight)),
        }
    }

    /// The loss of a row with this target by the probabilities of ids, and of each id with a gradient α p / (1 - p).
    pub(super) fn of_row(&self, row: usize, target: u32, p: impl Fn(u32) -> f64, slopes: &mut Vec<(u32, f64)>) -> f64 {
        let (sequence, place) = self.places[row];
        let before = self.firsts[sequence].iter().take_while(|(first, _)| *first < place);
        let mut loss = 0.0;
        for &(_, id) in before.filter(|(_, id)| *id != target) {
            let p = p(id);
            let rest = (1.0 - p).max(LEAST);
            loss -= self.weight * rest.ln();
            if rest > LEAST {
                slopes.push((id, self.weight * p / rest));
            }
        }
        loss
    }
}
