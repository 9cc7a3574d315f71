//! Memory that the logits processors of a thread use again from step to step.

use std::cell::RefCell;

/// Lists, which whoever borrows one finds empty.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    scores: RefCell<Vec<f64>>,
    tokens: RefCell<Vec<u32>>,
    scored: RefCell<Vec<(usize, f64)>>,
}

impl Scratch {
    /// A list of scores.
    pub(crate) fn scores<R>(&self, f: impl FnOnce(&mut Vec<f64>) -> R) -> R {
        lend(&self.scores, f)
    }

    /// A list of tokens.
    pub(crate) fn tokens<R>(&self, f: impl FnOnce(&mut Vec<u32>) -> R) -> R {
        lend(&self.tokens, f)
    }

    /// A list of tokens, each with a number.
    pub(crate) fn scored<R>(&self, f: impl FnOnce(&mut Vec<(usize, f64)>) -> R) -> R {
        lend(&self.scored, f)
    }
}

fn lend<T, R>(list: &RefCell<Vec<T>>, f: impl FnOnce(&mut Vec<T>) -> R) -> R {
    let mut lent = list.take();
    lent.clear();
    let result = f(&mut lent);
    list.replace(lent);
    result
}
