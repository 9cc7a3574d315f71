//! Defaults that depend on the text: whether it is one continuous text.

use descant_inference::{Error, Recipe, Task, is_pattern, is_there, locate};
use descant_text::{Lines, TextError, plural};
use std::path::{Path, PathBuf};

/// Lines that are looked at.
const LINES: usize = 20_000;
/// From this share of blank lines on, they part the paragraphs of one text.
const BLANK: f64 = 0.01;

/// The layout of a plain text, by its first lines.
pub(crate) struct PlainTextLayout {
    lines: usize,
    /// Of a line that is too long to be a text of its own, what is said of it.
    long: Option<String>,
    /// Whether it is one continuous text of several parts.
    pub(crate) parted: bool,
    /// Whether its lines are columns rather than sentences.
    has_columns: bool,
}

/// Whether a tab parts a line into columns, each with a text.
fn has_columns(line: &str) -> bool {
    line.trim().split_once('\t').is_some_and(|(left, right)| !left.is_empty() && !right.is_empty())
}

impl PlainTextLayout {
    /// # Errors
    /// Where the text cannot be read.
    pub(crate) fn at(path: &Path) -> Result<Self, Error> {
        // A pipe that is looked at has nothing left to learn from.
        if path.metadata().is_ok_and(|there| !there.is_file() && !there.is_dir()) {
            return Err(TextError::ReadOnce { path: path.to_owned() }.into());
        }
        let (mut lines, mut blank, mut run, mut long) = (0_usize, 0_usize, 0_usize, None);
        let mut in_columns = 0;
        for line in Lines::open(path)?.take(LINES) {
            let line = match line {
                Ok(line) => line,
                // As only a continuous text may have.
                Err(TextError::LongLine { line, longest, .. }) => {
                    long = Some(format!("line {line} has more than {longest} bytes"));
                    break;
                }
                Err(error) => return Err(error.into()),
            };
            in_columns += usize::from(has_columns(&line));
            // Blank lines count once a line follows.
            match line.trim().is_empty() {
                true => run += 1,
                false => (lines, blank, run) = (lines + 1, blank + if lines > 0 { run } else { 0 }, 0),
            }
        }
        let parted = long.is_some() || blank as f64 >= BLANK * (lines + blank) as f64 && blank > 0;
        Ok(Self { lines, long, parted, has_columns: 2 * in_columns > lines })
    }
}

/// Files that a note names.
const SHOWN: usize = 5;

/// That the texts it names are there: of patterns, what matches them.
///
/// # Errors
/// Where one is looked for, and where to get it.
fn find_texts(recipe: &Recipe) -> Result<Vec<String>, Error> {
    let Some(data) = &recipe.data else { return Ok(Vec::new()) };
    let mut notes = Vec::new();
    let named = [("train", Some(&data.train)), ("validation", data.validation.as_ref())];
    for (key, files) in named.into_iter().filter_map(|(key, files)| files.map(|files| (key, files))) {
        let Some(path) = files.paths().find(|path| !is_there(path)) else {
            let sides = files.matched().map_err(|reason| recipe.wrong(format!("data.{key}: {reason}")))?;
            notes.extend(
                files.sides().into_iter().zip(sides).filter_map(|(given, found)| matched(key, given, &found.concat())),
            );
            continue;
        };
        let here = std::env::current_dir().map_or(String::new(), |folder| format!(" (looked in {}", folder.display()));
        let folder = recipe.source.path.as_ref().and_then(|file| file.parent()).filter(|folder| folder.is_dir());
        let there = folder.map_or(String::new(), |folder| format!(" and in the recipe's folder {}", folder.display()));
        let looked = if path.is_absolute() || here.is_empty() { String::new() } else { format!("{here}{there})") };
        let get = recipe.source.url.as_ref().map_or(String::new(), |address| format!(" The text is from {address}."));
        let no_such = if is_pattern(path) { "nothing matches it" } else { "No such file" };
        return Err(recipe.wrong(format!(
            "data.{key}: could not read {}: {no_such}{looked}. Check the path, or name another with --set \
             data.{key}=FILE.{get}",
            path.display()
        )));
    }
    Ok(notes)
}

/// What matches the patterns among the names of a side; nothing where there are none.
fn matched(key: &str, given: &[PathBuf], found: &[PathBuf]) -> Option<String> {
    let patterns: Vec<String> =
        given.iter().filter(|path| !found.contains(path)).map(|path| path.display().to_string()).collect();
    let mut names: Vec<String> = found.iter().take(SHOWN).map(|path| path.display().to_string()).collect();
    names.extend((found.len() > SHOWN).then(|| format!("… {}", found[found.len() - 1].display())));
    let files = plural(found.len() as u64, "file");
    (!patterns.is_empty())
        .then(|| format!("data.{key}: {} is {files}, one after the other: {}", patterns.join(", "), names.join(", ")))
}

/// Decides whether a plain text is one continuous text, where the recipe does not say so: what was decided, in words.
///
/// A text is continuous where blank lines part its paragraphs, verses or scenes, or where it is a single line; else
/// each line is a text of its own.
///
/// # Errors
/// Where the text cannot be read.
pub fn resolve_text_layout(recipe: &mut Recipe) -> Result<Vec<String>, Error> {
    let mut notes = find_texts(recipe)?;
    if !recipe.reads_plain_text() {
        return Ok(notes);
    }
    let is_open = recipe.leaves_stream_open();
    // Like the text that a run began with.
    let init = recipe.init.as_ref().and_then(|init| Recipe::of_run(&locate(init).ok()?.0).ok()?.data);
    let Some(data) = &mut recipe.data else { return Ok(notes) };
    // Of several files, the first says what all are.
    let files = data.train.matched().unwrap_or_default().concat().concat();
    let Some(path) = files.first() else { return Ok(notes) };
    let PlainTextLayout { lines, long, parted, has_columns } = PlainTextLayout::at(path)?;
    let name = path.display().to_string();
    notes.extend(has_columns.then(|| {
        format!(
            "the lines of {name} are columns between tabs, and are read as they stand: for pairs of a prompt and its answer, \
             data.columns = [0, 1] names the two columns"
        )
    }));
    if let (true, Some(theirs)) = (is_open, &init) {
        data.stream = theirs.stream;
    }
    if !is_open || init.is_some() {
        return Ok(notes);
    }
    let is_separate = data.cut || data.task == Task::SpanCorruption;
    data.stream = (parted || lines == 1) && !is_separate;
    let stream = data.stream;
    recipe.validate().map_err(|reason| recipe.wrong(reason))?;
    notes.push(match (long, stream) {
        (Some(long), _) => format!(
            "{name} is read as one continuous text, as {long}; stream = false in [data] reads each line as a text of its \
             own, and leaves such lines out"
        ),
        (None, false) if is_separate => format!(
            "each line of {name} is read as a text of its own, which data.cut and data.task = \"span-corruption\" are for"
        ),
        (None, true) if lines == 1 => format!("{name} is a single line, and read as one continuous text"),
        (None, true) => format!(
            "{name} has blank lines, and is read as one continuous text; stream = false in [data] reads each line as a \
             text of its own"
        ),
        (None, false) => format!(
            "{name} has no blank lines, and each line is read as a text of its own; stream = true in [data] reads it as \
             one continuous text"
        ),
    });
    Ok(notes)
}
