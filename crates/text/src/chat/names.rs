//! The tokens that a template knows by name, such as `bos_token`: in the first line of a run's template, as a statement of
//! Jinja, `{% set bos_token, eos_token = "<s>", "</s>" %}`.

const OPEN: &str = "{% set ";
const CLOSE: &str = " %}";

/// A line for these tokens; none where there are none.
pub(super) fn line(tokens: &[(&str, String)]) -> String {
    if tokens.is_empty() {
        return String::new();
    }
    let names: Vec<&str> = tokens.iter().map(|(name, _)| *name).collect();
    let texts: Vec<String> = tokens.iter().map(|(_, text)| serde_json::json!(text).to_string()).collect();
    format!("{OPEN}{} = {}{CLOSE}\n", names.join(", "), texts.join(", "))
}

/// The tokens that the first line of a template names, and what comes after it; or all of it, where it names none.
pub(crate) fn read(template: &str) -> (Vec<(String, String)>, &str) {
    named(template).unwrap_or_else(|| (Vec::new(), template))
}

fn named(template: &str) -> Option<(Vec<(String, String)>, &str)> {
    let (line, rest) = template.split_once('\n')?;
    let (names, texts) = line.strip_prefix(OPEN)?.strip_suffix(CLOSE)?.split_once(" = ")?;
    let names: Vec<&str> = names.split(", ").collect();
    // Lines of older runs write a missing BOS as '', in other quotes.
    let texts: Vec<String> = serde_json::from_str(&format!("[{}]", texts.replacen("''", "\"\"", 1))).ok()?;
    let known = names.len() == texts.len() && names.iter().all(|name| name.ends_with("_token"));
    known.then(|| (names.into_iter().map(str::to_owned).zip(texts).collect(), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let tokens = [("bos_token", "<\"s\">".to_owned()), ("eos_token", "\n".to_owned())];
        let text = format!("{}\n{{{{ x }}}}", line(&tokens));
        let (found, rest) = read(&text);
        assert_eq!(found, tokens.map(|(name, text)| (name.to_owned(), text)));
        assert_eq!(rest, "\n{{ x }}");
        let (old, rest) = read("{% set bos_token, eos_token = '', \"</s>\" %}\nx");
        assert_eq!((old[0].1.as_str(), old[1].1.as_str(), rest), ("", "</s>", "x"));
        for other in ["{% set x = 1 %}\ny", "{% set bos_token = f() %}\ny", "x", ""] {
            assert_eq!(read(other), (Vec::new(), other));
        }
    }
}
