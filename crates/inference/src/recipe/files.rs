//! The files of a text: their names, and patterns that files match.

use descant_text::has_fields;
use glob::Pattern;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::slice::from_ref;

/// One file or two parallel ones; or several one after the other, on one side or on both. A name may be a pattern, such as `texts/*.tsv`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected the name of a file, two names in a list, or lists of names in a list")]
pub enum Files {
    /// One.
    One(PathBuf),
    /// Source and target.
    Two([PathBuf; 2]),
    /// A list for each side.
    Several(Vec<Vec<PathBuf>>),
}

impl Files {
    /// The names of each side, as they are given.
    pub fn sides(&self) -> Vec<&[PathBuf]> {
        match self {
            Self::One(path) => vec![from_ref(path)],
            Self::Two([source, target]) => vec![from_ref(source), from_ref(target)],
            Self::Several(sides) => sides.iter().map(Vec::as_slice).collect(),
        }
    }

    /// All names, as they are given.
    pub fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        self.sides().into_iter().flatten()
    }

    /// All names, to be changed.
    pub(super) fn paths_mut(&mut self) -> Vec<&mut PathBuf> {
        match self {
            Self::One(path) => vec![path],
            Self::Two(both) => both.iter_mut().collect(),
            Self::Several(sides) => sides.iter_mut().flatten().collect(),
        }
    }

    /// Whether they are two sides that belong together line by line.
    pub fn is_parallel(&self) -> bool {
        self.sides().len() == 2
    }

    /// Whether they are one side of plain text: neither CSV, JSON nor Parquet.
    pub fn is_plain(&self) -> bool {
        !self.is_parallel() && self.paths().all(|path| !has_fields(path))
    }

    /// Of each side, for each of its names, the files: those that match a pattern in the order of their names. A pattern that nothing matches
    /// stays as it is.
    ///
    /// # Errors
    /// A file that is there twice; two sides of unequal numbers of files; a folder that cannot be read.
    pub fn matched(&self) -> Result<Vec<Vec<Vec<PathBuf>>>, String> {
        let mut sides = Vec::new();
        for side in self.sides() {
            let mut files: Vec<Vec<PathBuf>> = Vec::new();
            for name in side {
                let found = matches(name)?.unwrap_or_else(|| vec![name.clone()]);
                if let Some(twice) = found.iter().find(|path| files.iter().flatten().any(|other| other == *path)) {
                    return Err(format!("{} is named twice, the second time by {}", twice.display(), name.display()));
                }
                files.push(found);
            }
            sides.push(files);
        }
        let counts: Vec<Vec<usize>> =
            sides.iter().map(|files: &Vec<Vec<PathBuf>>| files.iter().map(Vec::len).collect()).collect();
        if let [sources, targets] = &counts[..]
            && sources != targets
        {
            let [sources, targets] = [sources, targets].map(|counts| counts.iter().sum::<usize>());
            return Err(format!(
                "{sources} files of sources and {targets} of targets: in parallel files, each of the one belongs to one of the \
                 other, and each name of the one list to one of the other"
            ));
        }
        Ok(sides)
    }

    /// That all patterns are such, and that what is listed belongs so.
    pub(super) fn validate(&self, key: &str) -> Result<(), String> {
        for path in self.paths().filter(|path| is_pattern(path)) {
            if let Err(error) = Pattern::new(&path.to_string_lossy()) {
                return Err(format!("{key} = {:?}: it is no pattern: {error}", path.display()));
            }
        }
        let is_table = |path: &PathBuf| has_fields(path) || path.extension().is_some_and(|end| end == "tsv");
        match self.is_parallel().then(|| self.paths().find(|path| is_table(path))).flatten() {
            Some(path) => Err(format!(
                "{key}: a list of two names is of two parallel files, and each line of {} has both sides already. Several files \
                 one after the other are a list in a list, such as {key} = [[\"a.tsv\", \"b.tsv\"]]",
                path.display()
            )),
            None => Ok(()),
        }
    }
}

/// Whether a name is to be matched, and no file has it. With a bracket that nothing closes it is that of a file.
pub fn is_pattern(path: &Path) -> bool {
    let name = path.to_string_lossy();
    let may_match = name.contains(['*', '?']) || (name.contains('[') && Pattern::new(&name).is_ok());
    may_match && !path.exists()
}

/// The files that match a name, in the order of their names; none where it is no pattern, or nothing matches it.
fn matches(path: &Path) -> Result<Option<Vec<PathBuf>>, String> {
    if !is_pattern(path) {
        return Ok(None);
    }
    let name = path.to_string_lossy();
    let found = glob::glob(&name).map_err(|error| format!("{name}: it is no pattern: {error}"))?;
    let found = found.collect::<Result<Vec<_>, _>>().map_err(|error| format!("{name}: {error}"))?;
    let mut files: Vec<PathBuf> = found.into_iter().filter(|path| !path.is_dir()).collect();
    files.sort();
    Ok(Some(files).filter(|files| !files.is_empty()))
}

/// Whether there is a file of this name, or one that matches it.
pub fn is_there(path: &Path) -> bool {
    path.exists() || matches(path).is_ok_and(|found| found.is_some())
}

/// A name as seen from a folder.
pub(super) fn within(folder: &Path, name: &Path) -> PathBuf {
    match is_pattern(name) {
        true => Path::new(&Pattern::escape(&folder.to_string_lossy())).join(name),
        false => folder.join(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_what_matches_them_in_the_order_of_names() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        for name in ["b.tsv", "a.tsv", "c.txt", "10.tsv", "[x].tsv"] {
            std::fs::write(place(name), "a\tb\n").unwrap();
        }
        std::fs::create_dir(place("folder.tsv")).unwrap();
        let all = |files: Files| Ok::<_, String>(files.matched()?.iter().map(|side| side.concat()).collect::<Vec<_>>());
        let some = |names: &[&str]| names.iter().map(|name| place(name)).collect::<Vec<_>>();
        let expected = vec![some(&["10.tsv", "[x].tsv", "a.tsv", "b.tsv"])];
        assert_eq!(all(Files::One(place("*.tsv"))).unwrap(), expected);
        // A file of that very name is that.
        assert_eq!(all(Files::One(place("[x].tsv"))).unwrap(), [some(&["[x].tsv"])]);
        let listed = Files::Several(vec![some(&["c.txt", "?.tsv"])]);
        assert_eq!(all(listed).unwrap(), [some(&["c.txt", "a.tsv", "b.tsv"])]);
        assert_eq!(all(Files::One(place("*.none"))).unwrap(), [some(&["*.none"])]);
        assert!(is_there(&place("?.txt")) && !is_there(&place("?.none")) && !is_there(&place("none")));
        // A bracket that nothing closes is of a name, also where the file is no longer there.
        assert_eq!(all(Files::One(place("a[.tsv"))).unwrap(), [some(&["a[.tsv"])]);
        assert_eq!(within(Path::new("b[1]"), Path::new("a[.tsv")), Path::new("b[1]/a[.tsv"));
        let error = all(Files::Several(vec![some(&["a.tsv", "*.tsv"])])).unwrap_err();
        assert!(error.contains("a.tsv is named twice"), "{error}");
        let error = all(Files::Two([place("?.tsv"), place("c.txt")])).unwrap_err();
        assert!(error.contains("2 files of sources and 1 of targets"), "{error}");
        assert_eq!(within(Path::new("a[1]"), Path::new("*.tsv")), Path::new("a[[]1[]]/*.tsv"));
    }
}
