//! The nearest known key or word for one that is not known.

use super::keys::{self, Key, SECTIONS};

/// The message for an unknown key: with the nearest known one.
pub fn unknown(place: &str) -> String {
    let (section, name) = place.rsplit_once('.').unwrap_or(("", place));
    let what = match section {
        "" => format!("there is no key {name} outside of a section"),
        section if keys::section(section).is_some() => format!("[{section}] has no key {name}"),
        section => format!("there is no section [{section}]"),
    };
    // The nearest in the section; the nearest section; the same name in another section; the nearest of all.
    let same = keys::all().find(|key| key.parts().1 == name).map(|key| key.name.to_owned());
    let siblings = keys::section(section).into_iter().flat_map(|section| section.keys).map(|key| key.parts().1);
    let near = nearest(name, siblings).filter(|(near, _)| *near > 0.8);
    let near = near.map(|(_, name)| if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") });
    let sections = SECTIONS.iter().map(|section| section.name).filter(|name| !name.is_empty());
    let first = place.split('.').next().unwrap_or(place);
    let mistyped = nearest(first, sections).filter(|(near, _)| *near > 0.8 && keys::section(first).is_none());
    let mistyped = mistyped.map(|(_, table)| format!("[{table}]"));
    let any = keys::all().max_by(|a, b| {
        let near = |key: &Key| strsim::jaro_winkler(key.parts().1, name);
        near(a).total_cmp(&near(b))
    });
    let any = any.filter(|key| strsim::jaro_winkler(key.parts().1, name) > 0.8).map(|key| key.name.to_owned());
    let meant =
        near.or(mistyped).or(same).or(any).map_or_else(|| ".".to_owned(), |best| format!("; did you mean {best}?"));
    format!("{what}{meant} `descant explain` lists all keys")
}

/// The most similar of some words, and how similar it is, from 0 to 1.
pub(super) fn nearest<'a>(word: &str, words: impl Iterator<Item = &'a str>) -> Option<(f64, &'a str)> {
    words.map(|known| (strsim::jaro_winkler(known, word), known)).max_by(|a, b| a.0.total_cmp(&b.0))
}
