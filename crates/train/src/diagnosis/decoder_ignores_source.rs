use super::verdict::{Verdict, brief};
use std::collections::VecDeque;

/// Nats by which the right source makes a target token likelier than another's: less is next to nothing.
const LEAST: f64 = 0.01;

/// By how much it differs from batch to batch: what grows by more, in so many validations, grows.
const NOISE: f64 = 0.001;

/// The share of the first training loss by which it has to fall before something is learned.
const LEARNED: f64 = 0.05;

/// Validations in a row.
const TIMES: usize = 4;

/// The share of the validation loss by which it falls in so many validations while it still falls fast: what tokens there are and
/// which of them follow each other is learned before the source is read.
const FAST: f64 = 0.05;

/// A validation at which something was learned and the source did next to nothing.
#[derive(Clone, Copy, Debug)]
struct Validation {
    step: u64,
    loss: f64,
    gain: f64,
}

/// An encoder-decoder that is a language model: it writes the same whatever it reads.
#[derive(Debug, Default)]
pub(super) struct DecoderIgnoresSource {
    /// The last ones in a row.
    last: VecDeque<Validation>,
    /// The step since which the source did next to nothing, and no more with time.
    since: Option<u64>,
    /// The training loss of the first line, and of the last one.
    trained: Option<(f64, f64)>,
    told: bool,
}

impl DecoderIgnoresSource {
    pub(super) fn trained(&mut self, loss: f64) {
        self.trained = Some((self.trained.map_or(loss, |(first, _)| first), loss));
    }

    pub(super) fn observe(&mut self, step: u64, loss: f64, gain: f64) -> Option<Verdict> {
        // What has learned nothing yet uses nothing yet.
        let has_learned = self.trained.is_some_and(|(first, last)| falls(first, last, LEARNED));
        if !has_learned || gain >= LEAST {
            self.last.clear();
            self.since = None;
            return None;
        }
        self.last.push_back(Validation { step, loss, gain });
        if self.last.len() > TIMES {
            self.last.pop_front();
        }
        let before = *self.last.front().filter(|_| self.last.len() == TIMES)?;
        // A decoder that begins to read.
        if gain > before.gain + NOISE {
            self.since = None;
            return None;
        }
        let since = *self.since.get_or_insert(before.step);
        if falls(before.loss, loss, FAST) || std::mem::replace(&mut self.told, true) {
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

/// Whether a loss falls by more than a share of its size. That of continuous outputs may be below zero.
fn falls(from: f64, to: f64, share: f64) -> bool {
    from - to > share * from.abs()
}

#[cfg(test)]
mod tests {
    use super::DecoderIgnoresSource;

    /// The step of the verdict, and the one since which the source is ignored, of losses and gains at each tenth step.
    fn told(trained: [f64; 2], validations: &[(f64, f64)]) -> Option<(u64, u64)> {
        let mut ignores = DecoderIgnoresSource::default();
        trained.into_iter().for_each(|loss| ignores.trained(loss));
        let mut found = validations.iter().zip(1..).filter_map(|(&(loss, gain), i)| {
            ignores.observe(10 * i, loss, gain).map(|verdict| (10 * i, verdict.since))
        });
        found.next()
    }

    fn at_one_loss(gains: &[f64]) -> Option<(u64, u64)> {
        told([4.0, 3.0], &gains.iter().map(|&gain| (2.5, gain)).collect::<Vec<_>>())
    }

    #[test]
    fn a_decoder_that_begins_to_read_does_not_ignore_its_source() {
        // Of the spelling recipe with validations at every 20th step, and of the same with shuffled sources.
        assert_eq!(at_one_loss(&[0.0005, 0.0009, 0.0026, 0.0079, 0.019]), None);
        assert_eq!(at_one_loss(&[0.0001, -0.0001, -0.0001, -0.0001, -0.0002]), Some((40, 10)));
        // It grows ever more slowly: of a Transformer that reads, as its rate falls to zero.
        assert_eq!(at_one_loss(&[0.0038, 0.0063, 0.0086, 0.0091, 0.0093]), None);
        // It grew, and then no more.
        assert_eq!(at_one_loss(&[0.001, 0.002, 0.004, 0.008, 0.008, 0.008, 0.008]), Some((70, 40)));
        assert_eq!(at_one_loss(&[0.005, 0.005, 0.02, 0.005, 0.005]), None);
    }

    #[test]
    fn a_decoder_whose_loss_still_falls_fast_may_read_later() {
        // An LSTM, Chinese to English, that reads from step 140 on, with validations at every 20th step.
        let reads = [
            (3.275, -0.00014),
            (3.139, 0.00017),
            (3.048, 0.00015),
            (2.867, 0.00027),
            (2.733, 0.00028),
            (2.557, 0.00048),
            (2.469, 0.00114),
            (2.426, 0.00279),
            (2.387, 0.00445),
        ];
        assert_eq!(told([6.0, 3.0], &reads), None);
        // A Transformer, English to German, with shuffled sources.
        let ignores = [
            (5.677, 0.00002),
            (5.363, 0.00006),
            (5.249, 0.00002),
            (5.169, 0.00004),
            (4.976, -0.00002),
            (4.815, 0.00003),
            (4.713, 0.00003),
            (4.645, 0.0),
            (4.607, -0.00001),
        ];
        assert_eq!(told([6.0, 3.0], &ignores), Some((90, 10)));
    }

    #[test]
    fn losses_below_zero_are_as_good() {
        let flat = [(-8.97, 0.0); 5];
        assert_eq!(told([-2.0, -8.9], &flat), Some((40, 10)));
        assert_eq!(told([-8.9, -8.95], &flat), None);
        assert_eq!(told([-2.0, -8.9], &[(-4.0, 0.0), (-5.0, 0.0), (-6.0, 0.0), (-7.0, 0.0), (-8.0, 0.0)]), None);
    }
}
