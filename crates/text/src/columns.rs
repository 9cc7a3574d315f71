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
    let of_attributes = || control.into_iter().flat_map(|control| &control.columns);
    let column = |i: usize| text.split('\t').nth(i).map(str::to_owned);
    let found = text.split('\t').count();
    let is_given = |name: &String| control.is_some_and(|control| control.given.contains_key(name));
    let needed = of_attributes().filter(|(name, _)| !is_given(name)).map(|(_, column)| *column);
    let expected = needed.chain([source, target]).max().map_or(0, |last| last.saturating_add(1));
    let read: Vec<usize> = of_attributes().map(|(_, column)| *column).chain([source, target]).collect();
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
    let wrong = |reason| TextError::Example { path: path.to_owned(), line, reason };
    let attributes = control.map(|control| {
        control.read(|name| match control.columns.get(name).and_then(|place| column(*place)) {
            Some(value) => Ok(Some(value).filter(|value| !value.is_empty())),
            None => Ok(control.given.get(name).cloned()),
        })
    });
    let attributes = attributes.transpose().map_err(wrong)?;
    Ok(((from, to), attributes.unwrap_or_default()))
}
