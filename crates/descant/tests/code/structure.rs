//! What ARCHITECTURE.md says of the code's structure: which crates know of which, no circle between files, no long file.

use super::sources::{Crate, crates, root};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// The crates, each of which knows only of those before it.
const ORDER: [&str; 18] = [
    "tensor",
    "kernels",
    "autograd",
    "nn",
    "hyperparameters",
    "optim",
    "batch",
    "metrics",
    "text",
    "models",
    "generate",
    "constraints",
    "inference",
    "interop",
    "train",
    "spoken",
    "descant",
    "cli",
];

/// The most lines of a file.
const LONGEST: usize = 500;

#[test]
fn crates_know_only_of_those_above_them() {
    let found: BTreeSet<String> = crates().iter().map(|known| known.name.clone()).collect();
    assert_eq!(found, ORDER.map(str::to_owned).into(), "ORDER has every crate");
    let table = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let told: Vec<usize> = ORDER.iter().map(|name| table.find(&format!("| `crates/{name}` |")).expect(name)).collect();
    for one in crates() {
        let place = ORDER.iter().position(|name| *name == one.name).unwrap();
        let manifest = fs::read_to_string(one.folder.join("Cargo.toml")).unwrap();
        let manifest: toml::Table = manifest.parse().unwrap();
        let needs = manifest.get("dependencies").and_then(|table| table.as_table()).unwrap();
        for other in needs.keys().filter_map(|name| name.strip_prefix("descant-")) {
            let above = ORDER.iter().position(|name| *name == other).unwrap();
            assert!(above < place, "crates/{} depends on crates/{other}", one.name);
            assert!(told[above] < told[place], "ARCHITECTURE.md has crates/{other} below crates/{}", one.name);
        }
    }
}

/// What a crate must never come to need, whatever its place: neither itself nor, of our own crates, by another.
#[test]
fn crates_do_not_know_what_is_not_theirs() {
    let forbidden: [(&str, &[&str]); 9] = [
        ("kernels", &["serde", "thiserror"]),
        ("autograd", &["descant-nn", "rayon"]),
        ("hyperparameters", &["descant-autograd", "rayon"]),
        ("models", &["tokenizers", "descant-train"]),
        ("generate", &["tokenizers", "llguidance", "descant-train", "descant-optim"]),
        ("constraints", &["descant-inference"]),
        ("text", &["descant-autograd", "descant-nn", "descant-models"]),
        ("inference", &["descant-optim", "descant-train", "descant-interop"]),
        ("interop", &["descant-optim", "descant-train"]),
    ];
    for (name, others) in forbidden {
        let mut own = dependencies(name);
        let through: Vec<String> =
            own.iter().filter_map(|name| name.strip_prefix("descant-")).flat_map(behind).collect();
        own.extend(through);
        for other in others {
            assert!(!own.contains(*other), "crates/{name} depends on {other}");
        }
    }
}

/// The names of what a crate's manifest depends on.
fn dependencies(name: &str) -> BTreeSet<String> {
    let manifest = fs::read_to_string(root().join(format!("crates/{name}/Cargo.toml"))).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    manifest["dependencies"].as_table().unwrap().keys().cloned().collect()
}

/// Our own crates behind one of them.
fn behind(name: &str) -> BTreeSet<String> {
    let own: Vec<String> = dependencies(name).into_iter().filter(|name| name.starts_with("descant-")).collect();
    let further: Vec<String> = own.iter().filter_map(|name| name.strip_prefix("descant-")).flat_map(behind).collect();
    own.into_iter().chain(further).collect()
}

#[test]
fn no_file_needs_another_that_needs_it() {
    let circles: Vec<String> = crates().iter().flat_map(circles).collect();
    assert!(circles.is_empty(), "circles between files:\n{}", circles.join("\n"));
}

#[test]
fn no_file_is_long() {
    let mut long = Vec::new();
    for one in crates() {
        for file in one.files.iter().chain(&one.tests) {
            let lines = file.text.lines().count();
            if lines > LONGEST {
                long.push(format!("{}: {lines} lines", file.path.display()));
            }
        }
    }
    assert!(long.is_empty(), "files above {LONGEST} lines:\n{}", long.join("\n"));
}

/// The circles of a crate: files that reach each other by what they use.
fn circles(one: &Crate) -> Vec<String> {
    let uses = one.uses();
    let reach = |from: usize| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(file) = open.pop() {
            open.extend(uses[file].keys().filter(|next| seen.insert(**next)));
        }
        seen
    };
    let reached: Vec<BTreeSet<usize>> = (0..one.files.len()).map(reach).collect();
    let mut groups: BTreeMap<BTreeSet<usize>, ()> = BTreeMap::new();
    for (file, to) in reached.iter().enumerate().filter(|(file, to)| to.contains(file)) {
        groups.insert(to.iter().copied().filter(|other| reached[*other].contains(&file)).collect(), ());
    }
    let edges = |group: BTreeSet<usize>| {
        let mut lines = Vec::new();
        for &from in &group {
            for (to, names) in uses[from].iter().filter(|(to, _)| group.contains(to)) {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                lines.push(format!("  {} -> {} ({})", one.files[from].short, one.files[*to].short, names.join(", ")));
            }
        }
        format!("{}:\n{}", one.name, lines.join("\n"))
    };
    groups.into_keys().map(edges).collect()
}

#[test]
fn the_files_that_documents_name_are_there() {
    let root = root();
    let mut all: Vec<String> = Vec::new();
    for folder in ["crates", "examples", "tools", "recipes"] {
        for ending in ["rs", "py", "toml"] {
            let found = super::sources::files(&root.join(folder), ending);
            all.extend(found.iter().map(|path| path.strip_prefix(&root).unwrap().to_string_lossy().into_owned()));
        }
    }
    let mut missing = Vec::new();
    for document in ["ARCHITECTURE.md", "CONTRIBUTING.md", "README.md", "WEIGHTS.md", "MEASUREMENTS.md"] {
        let text = fs::read_to_string(root.join(document)).unwrap();
        for name in text.split('`').skip(1).step_by(2).filter(|name| !name.contains(char::is_whitespace)) {
            let is_example = name.contains("NAME") || name.ends_with("cube.rs") && name.contains("/src/");
            let is_there = match name.strip_suffix('/') {
                Some(folder) => all.iter().any(|path| format!("/{path}").contains(&format!("/{folder}/"))),
                None => all.iter().any(|path| format!("/{path}").ends_with(&format!("/{name}"))),
            };
            if (name.ends_with(".rs") || name.ends_with(".py") || name.ends_with('/')) && !is_example && !is_there {
                missing.push(format!("{document}: {name}"));
            }
        }
    }
    assert!(missing.is_empty(), "files that are not there:\n{}", missing.join("\n"));
}
