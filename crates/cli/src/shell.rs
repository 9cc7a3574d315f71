//! Commands that a message advises: they work as they stand in the shell that this program was started from.

use descant_inference::quoted;
use std::path::{Path, PathBuf};

/// This program with these arguments, quoted as a shell reads them.
pub(crate) fn command<W: AsRef<str>>(words: &[W]) -> String {
    words.iter().fold(program(), |line, word| format!("{line} {}", quoted(word.as_ref())))
}

/// `descant` where the shell finds this program under that name; elsewhere the path of it.
fn program() -> String {
    let found = std::env::current_exe().map(|own| {
        let name = own.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        match on_path(&name).is_some_and(|first| same_file(&first, &own)) {
            true => name,
            false => quoted(&below_working_folder(&own).to_string_lossy()),
        }
    });
    found.unwrap_or_else(|_| "descant".into())
}

/// The first program of that name in the shell's search path.
fn on_path(name: &str) -> Option<PathBuf> {
    let name = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(&name)).find(|path| path.is_file())
}

fn same_file(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

/// `target/release/descant` rather than the whole path, where that is what one would type.
fn below_working_folder(path: &Path) -> PathBuf {
    let here = std::env::current_dir().and_then(|folder| folder.canonicalize());
    // A path of one part alone would be looked for in the search path.
    let below = here.ok().and_then(|folder| path.strip_prefix(folder).ok().map(|rest| Path::new(".").join(rest)));
    match below {
        Some(rest) if rest.components().count() > 2 => rest.strip_prefix(".").unwrap_or(&rest).to_owned(),
        Some(rest) => rest,
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_take_them_apart() {
        for (word, shell) in [("runs/demo", "runs/demo"), ("my runs", "'my runs'"), ("$5's", r"'$5'\''s'"), ("", "''")]
        {
            assert_eq!(quoted(word), shell);
        }
    }
}
