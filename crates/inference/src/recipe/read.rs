//! Reads a recipe: every key and value is checked first, so that an error names the line, the key, what is expected there,
//! and the nearest word.

use super::RecipeSource;
use super::check::{check, check_required, cut, missing, walk};
use super::files::{is_there, within};
use super::keys::DEFAULT_KINDS;
use super::overrides::set;
use crate::locate::locate;
use crate::run_folder::layout::RECIPE;
use crate::{Error, Recipe, RunFolder};
use descant_text::{Shuffle, read_text};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use toml::de::DeTable;
use toml::{Table, Value};

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
                false if RunFolder::is_starting(path) => format!(
                    "this is a run that was broken off before its first step. Begin it again with descant train RECIPE --run {shown}"
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
    pub fn of_run(run: &Path) -> Result<Self, Error> {
        Self::of_run_with(run, &[])
    }

    /// As [`Recipe::parse`], with files also looked for from a folder, and `model` in place of that of the run `init`.
    pub fn parse_with(text: &str, settings: &[String], folder: Option<&Path>, model: Table) -> Result<Self, String> {
        read(text, settings, folder, true, Some(model))
    }

    /// The resolved recipe of a run, with settings on top.
    pub fn of_run_with(run: &Path, settings: &[String]) -> Result<Self, Error> {
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
    for (name, kind) in DEFAULT_KINDS {
        if let Some(Value::Table(own)) = table.get_mut(name) {
            own.entry("kind").or_insert_with(|| Value::String(kind.to_owned()));
        }
    }
    check_required(&table, "")?;
    let recipe = Recipe::deserialize(Value::Table(table.clone())).map_err(|error| missing(&table, error.message()))?;
    let mut recipe = Recipe { source, ..recipe };
    // The default, where no number of epochs says how long.
    if recipe.train.steps == 0 && recipe.train.epochs == 0 {
        recipe.train.steps = super::TrainConfig::STEPS;
    }
    recipe.source.resolved = !strict;
    if let Some(data) = recipe.data.as_mut().filter(|_| strict) {
        data.shuffle.get_or_insert(Shuffle::Exact);
    }
    recipe.validate()?;
    if strict {
        recipe.source.notes = super::conflicts::check(&recipe)?;
        recipe = recipe.settled().map_err(|reason| cut(&reason))?;
    }
    Ok(recipe)
}

/// Files that are not where they are named, but are there seen from the recipe's own folder, are taken from there.
fn in_folder(table: &mut Table, folder: &Path) {
    fn take(value: &mut Value, folder: &Path, is: fn(&Path) -> bool) {
        match value {
            Value::Array(names) => names.iter_mut().for_each(|name| take(name, folder, is)),
            Value::String(name) => {
                let there = within(folder, Path::new(&*name));
                if !is_there(Path::new(&*name)) && is(&there) {
                    *name = there.to_string_lossy().into_owned();
                }
            }
            _ => {}
        }
    }
    const NAMED: [(&str, &str); 7] = [
        ("data", "train"),
        ("data", "validation"),
        ("data", "chat_template"),
        ("distill", "teacher"),
        ("vectors", "source"),
        ("vectors", "target"),
        ("train", "metric_command"),
    ];
    for (place, name) in NAMED {
        // The name of a program may be that of a folder, too.
        let is = if name == "metric_command" { Path::is_file } else { is_there };
        let value = table.get_mut(place).and_then(|table| table.get_mut(name));
        value.into_iter().for_each(|value| take(value, folder, is));
    }
    table.get_mut("init").into_iter().for_each(|value| take(value, folder, is_there));
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
