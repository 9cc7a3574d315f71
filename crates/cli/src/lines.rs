//! Lines of text, read one by one.

use descant_text::{LONGEST_LINE, Lines, TextError};
use std::path::Path;

/// The next line, or what is wrong with it; none at the end.
pub(crate) fn next_line(lines: &mut Lines) -> Result<Option<Result<String, String>>, TextError> {
    match lines.read() {
        Err(TextError::Empty { .. }) => Ok(None),
        Err(error) if is_of_line(&error) => Ok(Some(Err(wrong_with_line(&error)))),
        line => Ok(line?.map(Ok)),
    }
}

/// How many lines there are.
pub(crate) fn count(mut lines: Lines) -> u64 {
    while lines.read().map_or_else(|error| is_of_line(&error), |line| line.is_some()) {}
    lines.number()
}

/// Whether the lines after it can be read.
pub(crate) fn is_of_line(error: &TextError) -> bool {
    matches!(error, TextError::Utf8 { .. } | TextError::LongLine { .. } | TextError::CarriageReturn { .. })
}

/// Whether a file has a JSON object in each line, by its name.
pub(crate) fn is_json_lines(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let name = name.trim_end_matches(".gz").trim_end_matches(".zst");
    name.ends_with(".jsonl") || name.ends_with(".ndjson")
}

/// What is wrong with a line, without its place.
pub(crate) fn wrong_with_line(error: &TextError) -> String {
    let (path, line) = match error {
        TextError::LongLine { longest, .. } => {
            let advice = if *longest > LONGEST_LINE { "" } else { ", or give it as an object of a .jsonl" };
            return format!("the line is longer than {longest} bytes. Cut it into several{advice}");
        }
        TextError::Utf8 { path, line, .. } | TextError::CarriageReturn { path, line } => (path, line),
        error => return error.to_string(),
    };
    let (text, place) = (error.to_string(), format!("{}, line {line}", path.display()));
    match text.strip_prefix(&place) {
        Some(rest) => rest.strip_prefix(": ").map_or_else(|| format!("it{rest}"), str::to_owned),
        None => text,
    }
}
