//! The project's own files, and which of them use which: read as text, by `use` declarations and paths from `crate`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

/// A file of a crate.
pub struct File {
    pub path: PathBuf,
    /// Its path within `src`.
    pub short: String,
    pub text: String,
    /// The text without comments, strings and what is compiled for tests alone.
    pub code: String,
    /// Its module: the names after `crate`.
    module: Vec<String>,
}

pub struct Crate {
    pub name: String,
    pub folder: PathBuf,
    /// Those of `src`, without files of tests.
    pub files: Vec<File>,
    pub tests: Vec<File>,
}

/// The folder of the whole project.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

pub fn crates() -> Vec<Crate> {
    let folders = fs::read_dir(root().join("crates")).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<PathBuf> = folders.filter(|folder| folder.join("Cargo.toml").exists()).collect();
    folders.sort();
    folders.into_iter().map(Crate::read).collect()
}

/// All files below a folder with this ending.
pub fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return found };
    for path in entries.map(|entry| entry.unwrap().path()) {
        match path.is_dir() {
            true => found.extend(files(&path, ending)),
            false if path.extension().is_some_and(|found| found == ending) => found.push(path),
            false => {}
        }
    }
    found.sort();
    found
}

impl Crate {
    fn read(folder: PathBuf) -> Self {
        let read = |path: PathBuf| {
            let text = fs::read_to_string(&path).unwrap();
            let short = path.strip_prefix(folder.join("src")).unwrap_or(&path).to_string_lossy().into_owned();
            let module = short.trim_end_matches(".rs").trim_end_matches("/mod").split('/').map(str::to_owned);
            let module = module.filter(|name| name != "lib" && name != "main").collect();
            File { code: code(&text), path, short, text, module }
        };
        let all = files(&folder.join("src"), "rs").into_iter().map(read);
        let is_test = |file: &File| file.module.iter().any(|name| name == "tests");
        let (inner, files): (Vec<File>, Vec<File>) = all.partition(is_test);
        let outer =
            ["tests", "examples", "benches", "walks"].iter().flat_map(|place| self::files(&folder.join(place), "rs"));
        let tests = inner.into_iter().chain(outer.map(read)).collect();
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        Self { name, folder, files, tests }
    }

    /// Of each file, those that it uses, and the names that it takes from them.
    pub fn uses(&self) -> Vec<BTreeMap<usize, BTreeSet<String>>> {
        let modules: HashMap<&[String], usize> =
            self.files.iter().enumerate().map(|(i, file)| (&file.module[..], i)).collect();
        let declared: Vec<Vec<(bool, Vec<String>)>> = self.files.iter().map(|file| paths(file, &modules)).collect();
        // A name that a module hands on is that of the file where it comes from.
        let mut given: HashMap<(usize, String), Vec<String>> = HashMap::new();
        for (i, paths) in declared.iter().enumerate() {
            for (public, path) in paths {
                if let (true, Some(name)) = (public, path.last()) {
                    given.insert((i, name.clone()), path.clone());
                }
            }
        }
        let resolve = |path: &[String]| {
            let mut path = path.to_vec();
            for _ in 0..8 {
                let known = (0..=path.len()).rev().find_map(|len| Some((len, *modules.get(&path[..len])?)));
                let (len, file) = known?;
                let Some(name) = path.get(len) else { return Some((file, String::from("mod"))) };
                match given.get(&(file, name.clone())) {
                    Some(from) if from[..] != path[..len + 1] => path = [&from[..], &path[len + 1..]].concat(),
                    _ => return Some((file, name.clone())),
                }
            }
            None
        };
        let own = |i: usize| {
            let mut uses: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
            // What is only handed on is not used.
            for (_, path) in declared[i].iter().filter(|(public, _)| !public) {
                if let Some((to, name)) = resolve(path).filter(|(to, name)| *to != i && name != "mod") {
                    uses.entry(to).or_default().insert(name);
                }
            }
            uses
        };
        (0..self.files.len()).map(own).collect()
    }
}

/// The paths of a file into its own crate, each with the names after `crate`, and whether it is handed on by `pub use`.
fn paths(file: &File, modules: &HashMap<&[String], usize>) -> Vec<(bool, Vec<String>)> {
    let mut found = Vec::new();
    for (at, _) in file.code.match_indices("use ") {
        let line = file.code[..at].rfind('\n').map_or(0, |start| start + 1);
        let before = file.code[line..at].trim();
        if !(before.is_empty() || before == "pub" || before.starts_with("pub(") && before.ends_with(')')) {
            continue;
        }
        let statement = file.code[at + 4..].split(';').next().unwrap_or_default();
        let tree = statement.split_whitespace().collect::<Vec<_>>().join(" ");
        for path in branches(&tree) {
            if let Some(path) = absolute(&path, file, modules) {
                found.push((!before.is_empty(), path));
            }
        }
    }
    // Paths in the code itself.
    for start in ["crate::", "super::"] {
        for (at, _) in file.code.match_indices(start) {
            let whole = file.code[..at].chars().next_back();
            if whole.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':' || c == '$') {
                continue;
            }
            let path: String =
                file.code[at..].chars().take_while(|c| c.is_alphanumeric() || *c == '_' || *c == ':').collect();
            if is_in_use(&file.code[..at]) || path.ends_with(':') {
                continue;
            }
            if let Some(path) = absolute(&path, file, modules) {
                found.push((false, path));
            }
        }
    }
    found
}

/// Whether a text ends within a `use` declaration.
fn is_in_use(before: &str) -> bool {
    let start = before.rfind([';', '}']).map_or(0, |at| at + 1);
    let statement = before[start..].rsplit(']').next().unwrap_or_default().trim_start();
    statement.split_whitespace().take(2).any(|word| word == "use")
}

/// `a::{b, c::{d, e as f}}` as its paths.
fn branches(tree: &str) -> Vec<String> {
    let Some(open) = tree.find('{') else {
        let path = tree.split(" as ").next().unwrap_or_default();
        return vec![path.trim().replace("::self", "")];
    };
    let (prefix, inner) = (tree[..open].trim(), &tree[open + 1..tree.rfind('}').unwrap_or(tree.len())]);
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, letter) in inner.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&inner[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&inner[start..]);
    let parts = parts.into_iter().map(str::trim).filter(|part| !part.is_empty());
    parts.flat_map(branches).map(|path| format!("{prefix}{path}").replace("::self", "")).collect()
}

/// The names after `crate`; `None` where it leads elsewhere.
fn absolute(path: &str, file: &File, modules: &HashMap<&[String], usize>) -> Option<Vec<String>> {
    let names: Vec<String> = path.split("::").map(|name| name.trim().to_owned()).collect();
    let mut module = file.module.clone();
    match names.first()?.as_str() {
        "crate" => Some(names[1..].to_vec()),
        "self" => Some([&module[..], &names[1..]].concat()),
        "super" => {
            let up = names.iter().take_while(|name| *name == "super").count();
            module.truncate(module.len().checked_sub(up)?);
            Some([&module[..], &names[up..]].concat())
        }
        first => {
            // A module below this one.
            module.push(first.to_owned());
            modules.contains_key(&module[..]).then(|| [&module[..], &names[1..]].concat())
        }
    }
}

/// A text without comments, the contents of strings, and modules of tests.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let chars: Vec<char> = text.chars().collect();
    let (mut kept, mut at) = (String::new(), 0);
    let starts = |at: usize, what: &str| what.chars().enumerate().all(|(i, letter)| chars.get(at + i) == Some(&letter));
    let find = |from: usize, what: &str| (from..chars.len()).find(|&at| starts(at, what)).unwrap_or(chars.len());
    while at < chars.len() {
        let raw = (0..4).map(|n| "#".repeat(n)).find(|marks| starts(at, &format!("r{marks}\"")));
        at = if starts(at, "//") {
            find(at, "\n")
        } else if let Some(marks) = raw.filter(|_| !kept.ends_with(|letter: char| letter.is_alphanumeric())) {
            find(at + 2 + marks.len(), &format!("\"{marks}")) + 1 + marks.len()
        } else if starts(at, "\"") {
            let mut end = at + 1;
            while end < chars.len() && chars[end] != '"' {
                end += if chars[end] == '\\' { 2 } else { 1 };
            }
            end + 1
        } else if starts(at, "'\\") {
            find(at + 3, "'") + 1
        } else if starts(at, "'") && chars.get(at + 2) == Some(&'\'') {
            at + 3
        } else {
            kept.push(chars[at]);
            at + 1
        };
    }
    kept
}
