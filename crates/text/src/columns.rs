//! Lines of tab-separated columns.

use crate::{ControlConfig, Found, TextError};
use std::path::Path;

/// Of a line of tab-separated columns, its source and its target, and the control tokens that its attributes say.
pub(crate) fn split(
    text: &str,
    (columns, control): (Option<[usize; 2]>, Option<&ControlConfig>),
    further: &mut Found,
    path: &Path,
    line: u64,
) -> Result<((String, String), Vec<String>), TextError> {
    let [source, target] = columns.unwrap_or([0, 1]);
    let of_attributes = control.map(|control| &control.columns);
    let read: Vec<usize> = of_attributes.iter().flat_map(|of| of.values()).copied().chain([source, target]).collect();
    let column = |i: usize| text.split('\t').nth(i).map(str::to_owned);
    let found = text.split('\t').count();
    let expected = read.iter().max().map_or(0, |last| last.saturating_add(1));
    let (Some(from), Some(to), true) = (column(source), column(target), expected <= found) else {
        let commas = found == 1 && text.contains([',', ';']);
        return Err(match commas {
            true => TextError::Commas { path: path.to_owned(), line },
            false => TextError::Columns { path: path.to_owned(), line, expected, found },
        });
    };
    let others = text.split('\t').enumerate().filter(|(i, text)| !read.contains(i) && !text.is_empty()).count();
    if others > 0 && columns.is_none() {
        return Err(TextError::FurtherColumns { path: path.to_owned(), line, found });
    }
    further.add(u64::from(others > 0), line);
    let value = |name: &str| {
        let value = of_attributes.and_then(|of| column(*of.get(name)?));
        Ok(value.filter(|value| !value.is_empty()))
    };
    let wrong = |reason| TextError::Example { path: path.to_owned(), line, reason };
    let attributes = control.map(|control| control.read(value)).transpose().map_err(wrong)?;
    Ok(((from, to), attributes.unwrap_or_default()))
}
