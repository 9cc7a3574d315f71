//! Patterns of the names of parameters, in which `*` stands for any characters: those of fine-tuning and of optimizers.

use glob::Pattern;

/// Names that an error shows.
const NEAREST: usize = 3;

/// The pattern that a text is.
///
/// # Errors
/// Where it is none; `key` is where it stands.
pub fn compile(key: &str, pattern: &str) -> Result<Pattern, String> {
    Pattern::new(pattern).map_err(|error| format!("{key} {pattern:?}: {error}"))
}

/// Which of the names a pattern matches, by their places.
///
/// # Errors
/// Where it matches none: which are the nearest. Where it is none.
pub fn matching(key: &str, pattern: &str, names: &[&str]) -> Result<Vec<usize>, String> {
    let compiled = compile(key, pattern)?;
    let found: Vec<usize> = (0..names.len()).filter(|&i| compiled.matches(names[i])).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let plain = pattern.replace('*', "");
    let near = |name: &str| name.split('.').map(|part| strsim::jaro_winkler(part, &plain)).fold(0.0, f64::max);
    let mut names = names.to_vec();
    names.sort_by(|a, b| near(b).total_cmp(&near(a)));
    let more = if names.len() > NEAREST { format!(" (of {})", names.len()) } else { String::new() };
    names.truncate(NEAREST);
    Err(format!("{key}: no parameter is called {pattern:?}. The nearest are {}{more}", names.join(", ")))
}
