//! From the sequences of a batch to what a model reads and predicts.

use super::Batches;
use crate::corpus::data::SequenceSpan;
use crate::draw::below;
use crate::{Piece, TextError};
use descant_batch::Batch;
use rand_pcg::Pcg64;

/// What is drawn for the dropout of attributes, for noise, for span corruption and for subwords is apart from what orders are drawn from.
const DROPOUT: u128 = 1;
const NOISE: u128 = 2;
const CORRUPTION: u128 = 3;
const SUBWORDS: u128 = 4;

impl Batches {
    /// Reads the sequences of a batch, and makes of them what a model reads and predicts.
    pub(super) fn assemble(&self, places: &[SequenceSpan], epoch: u64) -> Result<Batch, TextError> {
        let mut batch = Batch::default();
        for place in places {
            let (mut source, mut target) = self.corpus.read(place)?;
            if self.corpus.is_continuous() {
                batch.input.push(&target[..target.len() - 1]);
                batch.target.push(&target[1..]);
                continue;
            }
            // The attributes before a language model's text are read, and not predicted.
            let [before, kept] = self.drop_control(source.as_mut().unwrap_or(&mut target), place, epoch);
            if let Some(source) = &mut source {
                self.add_noise(source, kept, place, epoch);
            }
            if let Some(corruption) = &self.config.corruption {
                // What is drawn without shuffling is always the same.
                let mut random = random_of(place, (self.config.shuffle.unwrap_or(0), epoch), CORRUPTION);
                let ids = &target[kept + usize::from(place.piece.continues)..];
                let [left, written] = corruption.apply(ids, &mut random);
                let left = [&target[..kept], &left].concat();
                match corruption.has_encoder() {
                    true => self.builder.add(&mut batch, Some(&left), &written, 0),
                    false => self.builder.add(&mut batch, None, &[&left[..], &written].concat(), left.len()),
                }
                self.add_weight(&mut batch, place);
                continue;
            }
            let mut prompt = if source.is_none() { place.prompt.max(before) - before + kept } else { 0 };
            let mut rejected = target.split_off(target.len() - place.rejected);
            if let Some(seed) = self.config.shuffle {
                let mut random = random_of(place, (seed, epoch), SUBWORDS);
                let mut segment = |side: usize, ids: &[u32]| match &self.config.subwords[side] {
                    Some(subwords) => subwords.apply(ids, &mut random),
                    None => ids.to_vec(),
                };
                let first = kept.min(prompt);
                let segmented = source.as_ref().map(|source| [&source[..kept], &segment(0, &source[kept..])].concat());
                let [read, answer, other] =
                    [&target[first..prompt], &target[prompt..], &rejected[..]].map(|ids| segment(1, ids));
                // What would be longer than a text may be stays as it is stored.
                let fits = |side: usize, length: usize| {
                    self.config.subwords[side].as_ref().is_none_or(|subwords| length <= subwords.longest())
                };
                if let Some(segmented) = segmented.filter(|segmented| fits(0, segmented.len())) {
                    source = Some(segmented);
                }
                if fits(1, first + read.len() + answer.len().max(other.len())) {
                    target = [&target[..first], &read, &answer].concat();
                    (prompt, rejected) = (first + read.len(), other);
                }
            }
            match place.piece {
                Piece::WHOLE => self.builder.add(&mut batch, source.as_deref(), &target, prompt),
                piece => self.builder.add_piece(&mut batch, &target, prompt, piece),
            }
            self.add_weight(&mut batch, place);
            if !rejected.is_empty() {
                self.builder.add_rejected(&mut batch, &[&target[..prompt], &rejected].concat(), prompt);
            }
            if self.corpus.has_links() {
                let [source, target] = self.builder.before().map(|before| before as u32);
                // Attributes that are left out stand before the source.
                let moved = |[from, to]: [u32; 2]| [from + source - (before - kept) as u32, to + target];
                let links = self.corpus.links(place)?.into_iter().map(moved).collect();
                batch.links.get_or_insert_default().push(links);
            }
        }
        Ok(batch)
    }

    /// Adds the weight of a sequence, where they have some.
    fn add_weight(&self, batch: &mut Batch, place: &SequenceSpan) {
        if self.corpus.has_weights() {
            batch.weights.get_or_insert_default().push(place.weight);
        }
    }

    /// Changes words of a source after so many control tokens.
    fn add_noise(&self, source: &mut Vec<u32>, control: usize, place: &SequenceSpan, epoch: u64) {
        if let (Some(noise), Some(seed)) = (&self.config.noise, self.config.shuffle) {
            let mut random = random_of(place, (seed, epoch), NOISE);
            let noisy = noise.apply(&source[control..], control, &mut random);
            source.splice(control.., noisy);
        }
    }

    /// Leaves out some of the control tokens that a sequence begins with: how many there were, and are.
    fn drop_control(&self, ids: &mut Vec<u32>, place: &SequenceSpan, epoch: u64) -> [usize; 2] {
        let (control, share) = (self.corpus.control(), self.config.control_dropout);
        let is_first = !place.piece.continues;
        let before = ids.iter().take_while(|id| is_first && control.contains(id)).count();
        let (Some(seed), true) = (self.config.shuffle, before > 0 && share > 0.0) else { return [before; 2] };
        let mut random = random_of(place, (seed, epoch), DROPOUT);
        let kept: Vec<u32> = ids[..before]
            .iter()
            .copied()
            .filter(|_| below(&mut random, 1 << 53) as f64 >= share * (1u64 << 53) as f64)
            .collect();
        let count = kept.len();
        ids.splice(..before, kept);
        [before, count]
    }
}

/// What is drawn for a sequence: it depends on the epoch and the sequence alone, where corpora are mixed on the epoch of its own, so that copies of
/// one within an epoch differ.
fn random_of(place: &SequenceSpan, (seed, epoch): (u64, u64), purpose: u128) -> Pcg64 {
    let state = u128::from(seed) << 64 | u128::from(place.own_epoch.unwrap_or(epoch));
    Pcg64::new(state, purpose << 64 | u128::from(place.target.start))
}
