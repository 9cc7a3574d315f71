use super::streak::Streak;
use super::verdict::{Verdict, brief};

/// Nats by which the right source makes a target token likelier than another's: less is next to nothing.
const LEAST: f64 = 0.01;

/// The training loss beside the first one, from which on something is learned.
const LEARNED: f64 = 0.95;

/// Validations in a row.
const TIMES: u32 = 4;

/// An encoder-decoder that is a language model: it writes the same whatever it reads.
#[derive(Debug, Default)]
pub(super) struct DecoderIgnoresSource {
    streak: Streak,
    /// The training loss of the first line, and of the last one.
    trained: Option<(f64, f64)>,
}

impl DecoderIgnoresSource {
    pub(super) fn trained(&mut self, loss: f64) {
        self.trained = Some((self.trained.map_or(loss, |(first, _)| first), loss));
    }

    pub(super) fn observe(&mut self, step: u64, gain: f64) -> Option<Verdict> {
        // What has learned nothing yet uses nothing yet.
        let has_learned = self.trained.is_some_and(|(first, last)| last < LEARNED * first);
        let since = self.streak.observe(step, has_learned && gain < LEAST, TIMES)?;
        Some(Verdict {
            kind: "the decoder ignores its source",
            since,
            seen: format!("with the sources of other examples the validation loss is only {} nats a token higher", brief(gain.max(0.0))),
            remedy: "a look at whether sources and targets belong together line by line, more steps, or another train.learning_rate"
                .to_owned(),
        })
    }
}
