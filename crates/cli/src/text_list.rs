//! A list of texts on the command line.

/// The texts of a flag that may be given several times. Each is a text in which `\n`, `\t`, `\r` and `\\` are escapes, as line ends are
/// printed, or a list of texts in JSON: it begins with a bracket and a quotation mark.
///
/// # Errors
/// What is wrong with a list, or with an escape.
pub(crate) fn text_list(given: &[String]) -> Result<Vec<String>, String> {
    let mut texts = Vec::new();
    for text in given {
        match is_list(text) {
            true => texts.extend(list(text)?),
            false => texts.push(unescaped(text)?),
        }
    }
    Ok(texts)
}

fn is_list(text: &str) -> bool {
    let inner = text.trim_start().strip_prefix('[').map(str::trim);
    inner.is_some_and(|inner| inner == "]" || inner.starts_with(['"', '\'']))
}

fn list(text: &str) -> Result<Vec<String>, String> {
    serde_json::from_str(text)
        .map_err(|_| format!("{text}: expected a list of texts in JSON, such as [\"a\", \"b\"]: it begins as one"))
}

fn unescaped(text: &str) -> Result<String, String> {
    let (mut read, mut characters) = (String::with_capacity(text.len()), text.chars());
    while let Some(character) = characters.next() {
        if character != '\\' {
            read.push(character);
            continue;
        }
        read.push(match characters.next() {
            Some('n') => '\n',
            Some('t') => '\t',
            Some('r') => '\r',
            Some('\\') => '\\',
            other => {
                let found = other.map_or_else(String::new, String::from);
                return Err(format!(
                    "{text}: there is no escape \\{found}, only \\n, \\t, \\r and \\\\, which is a backslash"
                ));
            }
        });
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::text_list;

    #[test]
    fn a_text_has_escapes_and_a_list_is_json() {
        let read = |texts: &[&str]| text_list(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        for (given, texts) in [
            (&["a", "b c"][..], &["a", "b c"][..]),
            (&[r"\n", r"a\tb\r", r"\\n"], &["\n", "a\tb\r", "\\n"]),
            (&["\n"], &["\n"]),
            (&[r#"["park", "a\nb"]"#, "dog"], &["park", "a\nb", "dog"]),
            (&[r#" [ "]" ] "#], &["]"]),
            (&["[]"], &[]),
            // Texts with brackets.
            (&["[INST]", "[1, 2]", "["], &["[INST]", "[1, 2]", "["]),
        ] {
            assert_eq!(read(given).unwrap(), texts, "{given:?}");
        }
        for (given, part) in [
            (r"\d", r"no escape \d"),
            ("a\\", r"no escape \, only"),
            (r#"["a""#, "in JSON"),
            ("['a', 'b']", "in JSON"),
            (r#"["a", 1]"#, "in JSON"),
        ] {
            assert!(read(&[given]).unwrap_err().contains(part), "{given}");
        }
    }
}
