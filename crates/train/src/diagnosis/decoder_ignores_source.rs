use super::verdict::{Verdict, brief};
use std::collections::VecDeque;

/// Nats by which the right source makes a target token likelier than another's: less is next to nothing.
const LEAST: f64 = 0.01;

/// What is too little to tell whether it grows.
const NOISE: f64 = 0.001;

/// The training loss beside the first one, from which on something is learned.
const LEARNED: f64 = 0.95;

/// Validations in a row.
const TIMES: usize = 4;

/// An encoder-decoder that is a language model: it writes the same whatever it reads.
#[derive(Debug, Default)]
pub(super) struct DecoderIgnoresSource {
    /// The steps and gains of the last validations at which something was learned and the source did next to nothing.
    gains: VecDeque<(u64, f64)>,
    /// The training loss of the first line, and of the last one.
    trained: Option<(f64, f64)>,
    told: bool,
}

impl DecoderIgnoresSource {
    pub(super) fn trained(&mut self, loss: f64) {
        self.trained = Some((self.trained.map_or(loss, |(first, _)| first), loss));
    }

    pub(super) fn observe(&mut self, step: u64, gain: f64) -> Option<Verdict> {
        // What has learned nothing yet uses nothing yet.
        let has_learned = self.trained.is_some_and(|(first, last)| last < LEARNED * first);
        if !has_learned || gain >= LEAST {
            self.gains.clear();
            return None;
        }
        self.gains.push_back((step, gain));
        if self.gains.len() > TIMES {
            self.gains.pop_front();
        }
        let &(since, before) = self.gains.front().filter(|_| self.gains.len() == TIMES)?;
        // A decoder learns how often each token is before it begins to read; then the gain grows, by more than twice in so many validations.
        if gain > NOISE.max(2.0 * before) || std::mem::replace(&mut self.told, true) {
            return None;
        }
        Some(Verdict {
            kind: "the decoder ignores its source",
            since,
            seen: format!("with the sources of other examples the validation loss is only {} nats a token higher", brief(gain.max(0.0))),
            remedy: "a look at whether sources and targets belong together line by line, more steps, or another train.learning_rate"
                .to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::DecoderIgnoresSource;

    /// The step since which the source is ignored, of the gains at each tenth step, once something is learned.
    fn since(gains: &[f64]) -> Option<u64> {
        let mut ignores = DecoderIgnoresSource::default();
        [4.0, 3.0].into_iter().for_each(|loss| ignores.trained(loss));
        let mut found = gains.iter().zip(1..).filter_map(|(&gain, i)| ignores.observe(10 * i, gain));
        found.next().map(|verdict| verdict.since)
    }

    #[test]
    fn a_decoder_that_begins_to_read_does_not_ignore_its_source() {
        // Of the spelling recipe with validations at every 20th step, and of the same with shuffled sources.
        assert_eq!(since(&[0.0005, 0.0009, 0.0026, 0.0079, 0.019]), None);
        assert_eq!(since(&[0.0001, -0.0001, -0.0001, -0.0001, -0.0002]), Some(10));
        // It grew, and then no more.
        assert_eq!(since(&[0.001, 0.002, 0.004, 0.008, 0.008, 0.008]), Some(30));
        assert_eq!(since(&[0.005, 0.005, 0.02, 0.005, 0.005]), None);
    }
}
