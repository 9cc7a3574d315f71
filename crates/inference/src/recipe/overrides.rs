//! Overrides of single keys: `--set section.key=value`.

use super::RecipeSource;
use super::check::{check, walk};
use super::keys::DEFAULT_KINDS;
use super::suggest::unknown;
use toml::de::DeTable;
use toml::{Table, Value};

/// The most sections in one another.
const DEEPEST: usize = 8;

/// Applies `section.key=value`; the value is TOML, or else a text.
pub(super) fn set(table: &mut Table, setting: &str, source: &mut RecipeSource) -> Result<(), String> {
    let Some((key, value)) = setting.split_once('=') else {
        return Err("expected key=value, such as --set train.steps=1000".to_owned());
    };
    let mut path: Vec<&str> = key.trim().split('.').collect();
    if path.len() > DEEPEST {
        return Err(format!("no key lies under {} tables", path.len() - 1));
    }
    // A whole number beyond TOML's is one all the same, so that what is wrong with it can be said.
    let text = format!("{} = {value}", path.join("."));
    let is_toml = DeTable::parse(&text).is_ok_and(|table| table.get_ref().len() == 1);
    let text = if is_toml { text } else { format!("{} = {}", path.join("."), Value::String(value.to_owned())) };
    let parsed = DeTable::parse(&text).map_err(|_| unknown(key.trim()))?;
    let mut problem = None;
    walk(parsed.get_ref(), "", &mut |name, _, value| {
        problem = problem.take().or_else(|| check(name, value.get_ref()).err());
        source.explicit.insert(name.to_owned());
        source.overrides.insert(name.to_owned());
    });
    if let Some(problem) = problem {
        return Err(problem);
    }
    let mut own: Table = toml::from_str(&text).map_err(|error| error.message().to_owned())?;
    let last = path.pop().unwrap_or_default();
    let mut table = table;
    for part in path {
        // A section with kinds begins as the default one.
        let kind = DEFAULT_KINDS.iter().find(|(name, _)| *name == part && last != "kind");
        let fresh = kind.map(|(_, kind)| ("kind".to_owned(), Value::String((*kind).to_owned())));
        let entry = table.entry(part).or_insert_with(|| Value::Table(fresh.into_iter().collect()));
        table = entry.as_table_mut().ok_or_else(|| format!("{part} is a value, not a table"))?;
        own = match own.remove(part) {
            Some(Value::Table(inner)) => inner,
            _ => return Err("expected key=value, such as --set train.steps=1000".to_owned()),
        };
    }
    let value = own.remove(last).ok_or("expected key=value, such as --set train.steps=1000")?;
    table.insert(last.to_owned(), value);
    Ok(())
}
