//! The form of a file by its name.

use std::path::Path;

/// Whether a file's name ends so, compressed or not.
fn ends_with(path: &Path, endings: &[&str]) -> bool {
    let name = path.to_string_lossy().to_lowercase();
    let name = name.strip_suffix(".gz").or(name.strip_suffix(".zst")).unwrap_or(&name);
    endings.iter().any(|ending| name.ends_with(ending))
}

/// Whether a file's name ends as those of JSON do, compressed or not.
#[must_use]
pub fn is_json(path: &Path) -> bool {
    ends_with(path, &[".json", ".jsonl", ".ndjson"])
}

/// Whether a file's name ends as those of CSV do, compressed or not.
#[must_use]
pub fn is_csv(path: &Path) -> bool {
    ends_with(path, &[".csv"])
}

/// Whether a file's name ends as those of columns between tabs do, compressed or not.
#[must_use]
pub fn is_tsv(path: &Path) -> bool {
    ends_with(path, &[".tsv"])
}

/// Whether a file's name ends as those of Parquet do.
#[must_use]
pub fn is_parquet(path: &Path) -> bool {
    ends_with(path, &[".parquet"])
}

/// Whether a file has rows or objects with both sides of a pair: it is JSON, CSV or Parquet.
#[must_use]
pub fn has_fields(path: &Path) -> bool {
    is_json(path) || is_csv(path) || is_parquet(path)
}

/// What an example of a file is called.
pub(crate) fn unit(path: &Path) -> &'static str {
    if is_parquet(path) { "row" } else { "line" }
}
