//! What is known of a grammar in the syntax of Lark before `llguidance` reads it.

use crate::ConstraintError;
use crate::json_schema::Checked;
use crate::regex::literals as regex_literals;
use descant_text::UniqueKeys;
use serde_json::Value;
use std::collections::BTreeSet;

/// What a grammar names.
#[derive(Debug, Default)]
pub(crate) struct Named {
    /// The grammar, its JSON schemas in the form in which `llguidance` reads them.
    pub(crate) lark: String,
    /// The characters of its texts, regular expressions and JSON schemas.
    pub(crate) characters: BTreeSet<char>,
    /// What of its JSON schemas has no effect.
    pub(crate) passed: Vec<String>,
}

/// What a grammar names. What else is wrong with it, who reads it says.
///
/// # Errors
/// What is wrong with its JSON schemas.
pub(crate) fn named(lark: &str) -> Result<Named, ConstraintError> {
    let (Named { lark: mut read, characters: mut found, mut passed }, mut rest) = (Named::default(), lark);
    // What comes after what is in `read`.
    let mut unread = lark;
    while let Some(next) = rest.chars().next() {
        let after = &rest[next.len_utf8()..];
        rest = match next {
            '#' => line_end(after),
            '/' if after.starts_with('/') => line_end(after),
            '/' => {
                let (regex, after) = until(after, '/');
                let flags = after.len() - after.trim_start_matches(|c| "imslux".contains(c)).len();
                let (flags, after) = after.split_at(flags);
                let group = if flags.is_empty() { String::new() } else { format!("(?{flags})") };
                found.extend(regex_literals(&format!("{group}{regex}")));
                after
            }
            '"' => {
                let (inner, after) = until(after, '"');
                let range = after.trim_start_matches(' ').strip_prefix("..").map(|last| last.trim_start_matches(' '));
                match range.and_then(|last| last.strip_prefix('"')) {
                    Some(last) => {
                        let (last, after) = until(last, '"');
                        let ends = text(inner).chars().next().zip(text(last).chars().next());
                        let range = ends.map(|(first, last)| {
                            format!("[\\x{{{:X}}}-\\x{{{:X}}}]", u32::from(first), u32::from(last))
                        });
                        found.extend(range.iter().flat_map(|range| regex_literals(range)));
                        after
                    }
                    None => {
                        let (group, after) = after.strip_prefix('i').map_or(("", after), |after| ("(?i)", after));
                        found.extend(regex_literals(&format!("{group}{}", regex_syntax::escape(&text(inner)))));
                        after
                    }
                }
            }
            '%' => {
                let word = after.len() - after.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
                let (word, after) = after.split_at(word);
                match word {
                    "json" | "regex" | "llguidance" => {
                        let mut values = serde_json::Deserializer::from_str(after).into_iter::<UniqueKeys>();
                        match values.next().filter(|_| word == "json") {
                            Some(Ok(UniqueKeys(schema @ Value::Object(_)))) => {
                                let checked = Checked::part(schema)?;
                                found.extend(checked.characters);
                                passed.extend(checked.passed);
                                let (text, end) = after.split_at(values.byte_offset());
                                read += &unread[..unread.len() - after.len()];
                                read += &on_lines(&checked.schema, text.matches('\n').count());
                                unread = end;
                            }
                            Some(Err(error)) if error.is_data() => {
                                let (what, reason) = ("the grammar", format!("%json: {error}"));
                                return Err(ConstraintError::Grammar { what, reason });
                            }
                            _ => {}
                        }
                        &after[values.byte_offset()..]
                    }
                    // What may stand anywhere is needed nowhere.
                    "ignore" => line_end(after),
                    _ => after,
                }
            }
            _ => after,
        };
    }
    Ok(Named { lark: read + unread, characters: found, passed })
}

/// An object with so many line breaks: what comes after it is in the line in which it was.
fn on_lines(object: &Value, breaks: usize) -> String {
    object.to_string().replacen('{', &format!(" {{{}", "\n".repeat(breaks)), 1)
}

/// What comes after the line.
fn line_end(text: &str) -> &str {
    &text[text.find('\n').unwrap_or(text.len())..]
}

/// A text until a sign that no backslash stands before, and what comes after that.
fn until(text: &str, end: char) -> (&str, &str) {
    let mut is_escaped = false;
    let at = text.char_indices().find(|(_, c)| {
        let is_end = *c == end && !is_escaped;
        is_escaped = *c == '\\' && !is_escaped;
        is_end
    });
    at.map_or((text, ""), |(at, end)| (&text[..at], &text[at + end.len_utf8()..]))
}

/// A text as Lark writes it between quotes, with the escapes of JSON.
fn text(inner: &str) -> String {
    serde_json::from_str(&format!("\"{inner}\"")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_grammar_names_is_what_its_texts_need() {
        let of = |lark: &str| named(lark).unwrap().characters.into_iter().collect::<String>();
        assert_eq!(of("start: \"ab\" \"\\u00e9\\\"\" // \"c\"\n  | /d\\/[e-g]/ # /h/\nA: \"i\""), "\"/abdefgié");
        assert_eq!(of("start: \"k\"..\"m\" \"a\" .. \"z\" /[^x]/ /y/i \"w\"i"), "WYklmwy");
        let json = r#"start: %json {"enum": ["q"], "title": "r"} | %regex {"substring_chars": "s"} | "t" %ignore /u+/"#;
        assert_eq!(of(json), "\"qt");
        let json = ["%json", "%json {\"é", "%json é", "%json 5é", "%json [5,é"];
        for broken in
            json.into_iter().chain(["start: \"a", "/a\\", "%json {", "\"a\"..", "\"\\", "%", "/[/", "\"b\"..\"a\""])
        {
            assert_eq!(named(broken).unwrap().lark, broken);
        }
        // What `llguidance` compiles together stands together; lines keep their numbers.
        let ordered = named("start: %json {\n\"minimum\": 1,\n\"enum\": [1], \"maximum\": 2} \"a\"").unwrap().lark;
        assert_eq!(ordered, "start: %json {\n\n\"minimum\":1,\"maximum\":2,\"enum\":[1]} \"a\"");
    }
}
