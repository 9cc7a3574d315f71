use super::verdict::{Verdict, brief};

/// Validations in a row that are worse than the best.
const TIMES: u32 = 3;

/// By how much at least, of the loss.
const SHARE: f64 = 0.02;

/// A training loss that falls while the validation loss rises.
#[derive(Debug, Default)]
pub(super) struct OverFitting {
    /// The training loss, of the last line.
    trained: Option<f64>,
    /// The best validation loss, its step, and the training loss then.
    best: Option<(f64, u64, f64)>,
    worse: u32,
    told: bool,
}

impl OverFitting {
    pub(super) fn trained(&mut self, loss: f64) {
        self.trained = Some(loss);
    }

    pub(super) fn validated(&mut self, step: u64, loss: f64) -> Option<Verdict> {
        let trained = self.trained?;
        let (best, at, then) = *self.best.get_or_insert((loss, step, trained));
        if loss <= best {
            self.best = Some((loss, step, trained));
            self.worse = 0;
            return None;
        }
        self.worse += 1;
        let is_seen = self.worse >= TIMES && loss > best + (SHARE * best.abs()).max(0.01) && trained < then;
        if !is_seen || self.told {
            return None;
        }
        self.told = true;
        Some(Verdict {
            kind: "over-fitting",
            since: at,
            seen: format!(
                "the validation loss rose from {} to {} by step {step}, while the training loss fell from {} to {}",
                brief(best),
                brief(loss),
                brief(then),
                brief(trained)
            ),
            remedy: "more text, more dropout (model.dropout), weight decay, a smaller model, or early stopping (train.patience)".to_owned(),
        })
    }
}
