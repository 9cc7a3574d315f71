//! Lines that cannot be read, counted by their files and kinds.

use crate::Texts;
use descant_text::{Source, TextError};
use std::mem::discriminant;

/// Lines that cannot be read, after which no more is read.
pub(crate) const MOST_FAULTS: u64 = 1_000_000;
/// Lines that are kept of each kind.
const SHOWN: usize = 5;

/// Lines of one file that cannot be read for one reason.
#[derive(Debug)]
pub(crate) struct Faults {
    /// The first of them.
    pub(crate) first: TextError,
    pub(crate) count: u64,
    /// The first few.
    pub(crate) lines: Vec<u64>,
}

/// Counts an error; whether the lines after it can be read.
///
/// # Errors
/// The error itself, where it is of no line.
pub(crate) fn add_fault(all: &mut Vec<Faults>, error: TextError) -> Result<bool, TextError> {
    let Some((_, line)) = error.place() else { return Err(error) };
    match all.iter_mut().find(|found| is_same(&found.first, &error)) {
        // A list of JSON that is broken ends at the same line again and again.
        Some(found) if found.lines.last() == Some(&line) => return Ok(false),
        Some(found) => {
            found.count += 1;
            if found.lines.len() < SHOWN {
                found.lines.push(line);
            }
        }
        None => all.push(Faults { count: 1, lines: vec![line], first: error }),
    }
    Ok(true)
}

/// Whether two errors are of one kind and one file.
fn is_same(one: &TextError, other: &TextError) -> bool {
    discriminant(one) == discriminant(other)
        && one.place().zip(other.place()).is_some_and(|((one, _), (other, _))| one == other)
}

/// The first error of a training's texts, with how many lines there are like it.
pub(crate) fn counted(texts: &Texts, error: crate::Error) -> crate::Error {
    match error {
        crate::Error::Inference(descant_inference::Error::Text(error)) => {
            descant_inference::Error::Text(count(texts, error)).into()
        }
        error => error,
    }
}

fn count(texts: &Texts, error: TextError) -> TextError {
    let has = |source: &&Source| error.place().is_some_and(|(path, _)| source.files().contains(&path));
    let Some(source) = [Some(&texts.train), texts.validation.as_ref()].into_iter().flatten().find(has) else {
        return error;
    };
    let Ok(examples) = source.examples() else { return error };
    let (mut faults, mut unread) = (Vec::new(), 0);
    for fault in examples.filter_map(Result::err) {
        unread += 1;
        if unread == MOST_FAULTS || !add_fault(&mut faults, fault).unwrap_or(false) {
            break;
        }
    }
    match faults.into_iter().find(|found| found.count > 1 && is_same(&found.first, &error)) {
        Some(Faults { count, lines, .. }) => TextError::Lines { first: Box::new(error), count, lines },
        None => error,
    }
}
