//! Reads a recipe: every key and value is held against [`super::keys`] first, so that an error names the key, where it
//! stands, what is expected there, and what is nearest.

use super::RecipeSource;
use super::keys::{self, Key, Takes};
use crate::locate::locate;
use crate::run_folder::layout::RECIPE;
use crate::{Error, Recipe};
use descant_text::read_text;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

/// What the tables are that are told apart by their `kind`, where a recipe has none.
const KINDS: [(&str, &str); 3] = [("loss", "cross-entropy"), ("optimizer", "adamw"), ("schedule", "constant")];
/// Tables in one another, at most.
const DEEPEST: usize = 8;
/// Letters of a line or a value that a message shows.
const SHOWN: usize = 100;

impl Recipe {
    /// Reads a recipe, with `key=value` settings on top of what the file says. Files that it names are looked for from
    /// the current directory, and then from the recipe's own.
    ///
    /// # Errors
    /// [`Error::Recipe`] with the file, the line and the key.
    pub fn load(path: &Path, settings: &[String]) -> Result<Self, Error> {
        let wrong = |reason: String| Error::Recipe { path: path.to_owned(), reason };
        if path.is_dir() {
            let shown = path.display();
            return Err(wrong(match path.join(RECIPE).is_file() {
                true => format!(
                    "this is a run, not a recipe. Its recipe is {shown}/{RECIPE}; go on with the run with descant train \
                     {shown}/{RECIPE} --run {shown} --resume"
                ),
                false => "this is a folder. Name the recipe, a TOML file".to_owned(),
            }));
        }
        let text = match read_text(path) {
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => return Err(wrong(no_recipe(path))),
            text => text.map_err(|error| Error::io("read the recipe", path, error))?,
        };
        let mut recipe = read(&text, settings, path.parent(), true, None).map_err(|reason| {
            let is_text = path.extension().is_none_or(|end| end != "toml") && DeTable::parse(&text).is_err();
            wrong(if is_text { no_recipe(path) } else { reason })
        })?;
        recipe.source.path = Some(path.to_owned());
        recipe.source.url = text
            .lines()
            .filter_map(|line| line.split_once('#')?.1.split_whitespace().find(|word| word.starts_with("https://")))
            .map(|word| word.trim_end_matches(['.', ',', ')']).to_owned())
            .next();
        Ok(recipe)
    }

    /// Reads a recipe from text. Without a `[model]` it is that of the run `init`.
    ///
    /// # Errors
    /// The reason in words.
    pub fn parse(text: &str, settings: &[String]) -> Result<Self, String> {
        read(text, settings, None, true, None)
    }

    /// Reads the resolved recipe of a run, in which keys may stand that do not act.
    pub(crate) fn of_run(run: &Path) -> Result<Self, Error> {
        Self::of_run_with(run, &[])
    }

    /// As [`Recipe::parse`], with files also looked for from a folder, and `model` in place of that of the run `init`.
    pub(crate) fn parse_with(
        text: &str,
        settings: &[String],
        folder: Option<&Path>,
        model: Table,
    ) -> Result<Self, String> {
        read(text, settings, folder, true, Some(model))
    }

    /// The resolved recipe of a run, with settings on top.
    pub(crate) fn of_run_with(run: &Path, settings: &[String]) -> Result<Self, Error> {
        let path = run.join(RECIPE);
        let text = read_text(&path).map_err(|error| Error::io("read the recipe", &path, error))?;
        let mut recipe =
            read(&text, settings, None, false, None).map_err(|reason| Error::Recipe { path: path.clone(), reason })?;
        recipe.source.path = Some(path);
        Ok(recipe)
    }
}

/// What is said of a file that is no TOML.
fn no_recipe(path: &Path) -> String {
    let name = path.display();
    format!(
        "this is no recipe: a recipe is TOML. To train on a text, name it in one, with train = \"{name}\" in [data]; \
         descant init prints a recipe to begin with"
    )
}

/// `strict`: keys that do not act are errors or notes. `model`: that of the run `init`, where it is known already.
fn read(
    text: &str,
    settings: &[String],
    folder: Option<&Path>,
    strict: bool,
    model: Option<Table>,
) -> Result<Recipe, String> {
    let parsed = DeTable::parse(text).map_err(|error| syntax(text, &error))?;
    let mut source = RecipeSource::default();
    let mut found = Vec::new();
    walk(parsed.get_ref(), "", &mut |place, key, value| {
        found.push((key.start, check(place, value.get_ref()).err()));
        source.explicit.insert(place.to_owned());
    });
    found.sort_by_key(|(start, _)| *start);
    if let Some((start, Some(problem))) = found.into_iter().find(|(_, problem)| problem.is_some()) {
        return Err(format!("line {}: {problem}", line_of(text, start)));
    }
    let mut table: Table = toml::from_str(text).map_err(|error| syntax(text, &error))?;
    let mut settle = |table: &mut Table| {
        for setting in settings {
            set(table, setting, &mut source).map_err(|reason| format!("--set {}: {reason}", cut(setting)))?;
        }
        if let Some(folder) = folder {
            in_folder(table, folder);
        }
        Ok::<_, String>(())
    };
    let own_model = table.contains_key("model");
    let mut all = table.clone();
    settle(&mut all)?;
    if let Some(init) = all.get("init").and_then(Value::as_str).filter(|_| !own_model).map(PathBuf::from) {
        // Before what is set, which may change some of it.
        table.insert("model".to_owned(), Value::Table(model.map_or_else(|| model_of(&init), Ok)?));
        settle(&mut table)?;
    } else {
        table = all;
    }
    super::family::expand(&mut table)?;
    for (name, kind) in KINDS {
        if let Some(Value::Table(own)) = table.get_mut(name) {
            own.entry("kind").or_insert_with(|| Value::String(kind.to_owned()));
        }
    }
    complete(&table, "")?;
    let recipe = Recipe::deserialize(Value::Table(table.clone())).map_err(|error| missing(&table, error.message()))?;
    let mut recipe = Recipe { source, ..recipe };
    if recipe.train.steps == 0 && recipe.is_explicit("train.steps") {
        return Err("train.steps = 0: expected 1 or more".to_owned());
    }
    // The default, where no number of epochs says how long.
    if recipe.train.steps == 0 && recipe.train.epochs == 0 {
        recipe.train.steps = super::TrainConfig::STEPS;
    }
    recipe.source.resolved = !strict;
    recipe.validate()?;
    if strict {
        recipe.source.notes = super::conflicts::check(&recipe)?;
        recipe = recipe.settled().map_err(|reason| cut(&reason))?;
    }
    Ok(recipe)
}

/// Visits the values of a table: all that are no tables of keys themselves.
fn walk<'a>(
    table: &'a DeTable<'a>,
    prefix: &str,
    visit: &mut impl FnMut(&str, std::ops::Range<usize>, &'a Spanned<DeValue<'a>>),
) {
    for (key, value) in table {
        let place = format!("{prefix}{}", key.get_ref());
        match value.get_ref() {
            DeValue::Table(inner) if keys::find(&place).is_none() && keys::is_table(&place) => {
                walk(inner, &format!("{place}."), visit);
            }
            _ => visit(&place, key.span(), value),
        }
    }
}

/// That there is such a key, and that it takes such a value.
fn check(place: &str, value: &DeValue<'_>) -> Result<(), String> {
    let Some(key) = keys::find(place) else {
        if keys::is_table(place) {
            return Err(format!("{place} is a table: expected {place}.key = value, or [{place}]"));
        }
        return Err(unknown(place));
    };
    let whole = |value: &DeValue<'_>| {
        value
            .as_integer()
            .is_some_and(|n| i64::from_str_radix(&n.as_str().replace('_', ""), n.radix()).is_ok_and(|n| n >= 0))
    };
    let number = |value: &DeValue<'_>| value.is_integer() || value.is_float();
    let all = |value: &DeValue<'_>, each: &dyn Fn(&DeValue<'_>) -> bool, count: Option<usize>| {
        value.as_array().is_some_and(|items| {
            items.iter().all(|item| each(item.get_ref())) && count.is_none_or(|count| items.len() == count)
        })
    };
    let text = |value: &DeValue<'_>| value.is_str();
    let fits = match key.takes {
        Takes::Whole(_) => whole(value),
        Takes::Number(_) => number(value),
        Takes::Flag => value.is_bool(),
        Takes::Text => text(value),
        Takes::Choice(words) => value.as_str().is_some_and(|word| words.contains(&word)),
        Takes::Files => text(value) || all(value, &text, Some(2)),
        Takes::List => all(value, &text, None),
        Takes::Ids => whole(value) || all(value, &whole, None),
        Takes::Two => all(value, &number, Some(2)),
        Takes::Places => all(value, &whole, None),
        Takes::Weights => value.as_table().is_some_and(|table| table.values().all(|value| number(value.get_ref()))),
        Takes::Clip => match value {
            DeValue::Table(table) => {
                table.len() == 1
                    && ["norm", "value"]
                        .iter()
                        .any(|name| table.get(*name).is_some_and(|value| number(value.get_ref())))
            }
            _ => value.as_str() == Some("none"),
        },
    };
    if fits {
        return Ok(());
    }
    let shown = match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Array(_) => "[…]".to_owned(),
        DeValue::Table(_) => "{…}".to_owned(),
        DeValue::Datetime(date) => date.to_string(),
    };
    Err(format!("{place} = {}: expected {}", cut(&shown), expected(key, value)))
}

/// What a key takes, with an example or the nearest word.
fn expected(key: &Key, value: &DeValue<'_>) -> String {
    let words = key.takes.words();
    match (key.takes, value.as_str()) {
        (Takes::Whole(_), _) => {
            let example = if key.default.parse::<u64>().is_ok() { key.default } else { "512" };
            match value.as_integer().is_some_and(|n| !n.as_str().starts_with('-')) {
                true => format!("{words}, and below 2^63"),
                false => format!("{words}, such as {example}"),
            }
        }
        (Takes::Number(_), _) => match key.default.parse::<f64>() {
            Ok(_) => format!("{words}, such as {}", key.default),
            Err(_) => words,
        },
        (Takes::Choice(_), Some("sentencepiece")) => format!("{words}. SentencePiece's kinds are unigram and bpe"),
        (Takes::Choice(choices), Some(word)) => match nearest(word, choices.iter().copied()) {
            Some((near, choice)) if near > 0.7 => format!("{words}; the nearest is {choice:?}"),
            _ => words,
        },
        _ => words,
    }
}

/// What is said of a key that there is not.
pub(super) fn unknown(place: &str) -> String {
    let (table, name) = place.rsplit_once('.').unwrap_or(("", place));
    let own = table.strip_prefix("target_").unwrap_or(table);
    let what = match table {
        "" => format!("there is no key {name} at the top"),
        table if keys::is_table(table) => format!("[{table}] has no key {name}"),
        table => format!("there is no table [{table}]"),
    };
    // The same name elsewhere; the nearest in the table; a table of that name; the nearest of all.
    let same = keys::KEYS.iter().find(|key| key.parts().1 == name).map(|key| key.name.to_owned());
    let siblings = keys::KEYS.iter().filter(|key| key.parts().0 == own).map(|key| key.parts().1);
    let near = nearest(name, siblings).filter(|(near, _)| *near > 0.8);
    let near = near.map(|(_, name)| if table.is_empty() { name.to_owned() } else { format!("{table}.{name}") });
    let tables = keys::KEYS.iter().map(|key| key.parts().0).filter(|table| !table.is_empty());
    let first = place.split('.').next().unwrap_or(place);
    let mistyped = nearest(first, tables).filter(|(near, _)| *near > 0.8 && !keys::is_table(first));
    let mistyped = mistyped.map(|(_, table)| format!("[{table}]"));
    let any = keys::KEYS.iter().max_by(|a, b| {
        let near = |key: &Key| strsim::jaro_winkler(key.parts().1, name);
        near(a).total_cmp(&near(b))
    });
    let any = any.map(|key| key.name.to_owned());
    let best = near.or(mistyped).or(same).or(any).unwrap_or_default();
    format!("{what}; did you mean {best}? `descant recipe` lists all keys")
}

fn nearest<'a>(word: &str, words: impl Iterator<Item = &'a str>) -> Option<(f64, &'a str)> {
    words.map(|known| (strsim::jaro_winkler(known, word), known)).max_by(|a, b| a.0.total_cmp(&b.0))
}

/// Applies `a.b=value`; the value is TOML, or else a text.
fn set(table: &mut Table, setting: &str, source: &mut RecipeSource) -> Result<(), String> {
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
    walk(parsed.get_ref(), "", &mut |place, _, value| {
        problem = problem.take().or(check(place, value.get_ref()).err());
        source.explicit.insert(place.to_owned());
        source.overrides.insert(place.to_owned());
    });
    if let Some(problem) = problem {
        return Err(problem);
    }
    let mut own: Table = toml::from_str(&text).map_err(|error| error.message().to_owned())?;
    let last = path.pop().unwrap_or_default();
    let mut table = table;
    for part in path {
        // A table that says what it is by its kind begins as the default one.
        let kind = KINDS.iter().find(|(name, _)| *name == part && last != "kind");
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

/// That every table has what it needs, and nothing that is of another kind.
fn complete(table: &Table, place: &str) -> Result<(), String> {
    if place.is_empty() && !table.contains_key("model") {
        return Err(
            "there is no [model]. Add [model] with kind = \"encoder-decoder\" (pairs) or \"language-model\" (text); \
             descant init prints a recipe to begin with"
                .to_owned(),
        );
    }
    let own = place.strip_prefix("target_").unwrap_or(place);
    let default = KINDS.iter().find(|(name, _)| *name == own).map(|(_, kind)| *kind);
    let kind = table.get("kind").and_then(Value::as_str).or(default);
    for key in keys::KEYS.iter().filter(|key| key.parts().0 == own) {
        let name = key.parts().1;
        let of_kind = key.kinds.is_empty() || kind.is_some_and(|kind| key.kinds.contains(&kind));
        match table.contains_key(name) {
            true if !of_kind => {
                let kinds = key.kinds.iter().map(|kind| format!("{kind:?}")).collect::<Vec<_>>().join(", ");
                let kind = kind.unwrap_or_default();
                return Err(format!("{place}.{name} is for {place}.kind = {kinds}, not for {kind:?}: leave it out"));
            }
            false if of_kind && key.default == "(required)" => {
                let expected = key.takes.words();
                return Err(match place {
                    "" => format!("there is no {name}: expected {expected}"),
                    _ => format!("[{place}] has no {name}: expected {name} = {expected}"),
                });
            }
            _ => {}
        }
    }
    for (name, value) in table {
        let inner = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
        if let (Value::Table(table), None) = (value, keys::find(&inner)) {
            complete(table, &inner)?;
        }
    }
    Ok(())
}

/// The message of an error that no check before has found: that a key is missing which some kinds need.
fn missing(table: &Table, message: &str) -> String {
    let name = message.split('`').nth(1).filter(|_| message.starts_with("missing field"));
    let lacks = |key: &&Key| {
        let (place, own) = key.parts();
        let inner = place.split('.').try_fold(table, |table, part| table.get(part)?.as_table());
        Some(own) == name && inner.is_some_and(|table| !table.contains_key(own))
    };
    match keys::KEYS.iter().find(lacks) {
        Some(key) => {
            let (place, own) = key.parts();
            format!("[{place}] of this kind has no {own}: expected {own} = {}", key.takes.words())
        }
        None => cut(message),
    }
}

/// Files that are not where they are named, but are there seen from the recipe's own folder, are taken from there.
fn in_folder(table: &mut Table, folder: &Path) {
    let take = |value: &mut Value| {
        if let Value::String(name) = value {
            let there = folder.join(&*name);
            if !Path::new(&*name).exists() && there.exists() {
                *name = there.to_string_lossy().into_owned();
            }
        }
    };
    for (place, name) in [("data", "train"), ("data", "validation"), ("data", "chat_template"), ("distill", "teacher")]
    {
        match table.get_mut(place).and_then(|table| table.get_mut(name)) {
            Some(Value::Array(names)) => names.iter_mut().for_each(take),
            Some(value) => take(value),
            None => {}
        }
    }
    table.get_mut("init").into_iter().for_each(take);
}

/// The `[model]` table of a run.
fn model_of(run: &Path) -> Result<Table, String> {
    let wrong = |error: Error| format!("init: {error}");
    let recipe = Recipe::of_run(&locate(run).map_err(wrong)?.0).map_err(wrong)?;
    Table::try_from(recipe.model).map_err(|error| error.to_string())
}

/// The message of an error in the syntax.
fn syntax(text: &str, error: &toml::de::Error) -> String {
    let Some(span) = error.span() else { return cut(error.message()) };
    let number = line_of(text, span.start);
    let line = text.lines().nth(number - 1).unwrap_or_default();
    format!("line {number}: {}\n  {}", error.message().trim_end().replace('\n', ", "), cut(line))
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.as_bytes().iter().take(at).filter(|&&byte| byte == b'\n').count()
}

/// A text for a message, cut where it is long.
fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
