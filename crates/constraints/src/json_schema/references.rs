//! What a `$ref` leads to.

use serde_json::{Map, Value};

/// The names on the way from a schema's root to what a reference within it leads to: a JSON pointer in the fragment of an URI
/// (RFC 6901, section 6).
///
/// # Errors
/// Where it is no such reference.
pub(super) fn way(reference: &str) -> Result<Vec<String>, String> {
    let outside = || {
        format!("{reference:?} is not supported: only references within the schema, by place, such as \"#/$defs/name\"")
    };
    let pointer = percent_decoded(reference.strip_prefix('#').ok_or_else(outside)?);
    if pointer.is_empty() {
        return Ok(Vec::new());
    }
    let names = pointer.strip_prefix('/').ok_or_else(outside)?.split('/');
    Ok(names.map(|name| name.replace("~1", "/").replace("~0", "~")).collect())
}

/// A fragment with the characters that it has by their bytes, such as %20. A percent sign before anything else is itself.
fn percent_decoded(fragment: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), fragment.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        let digit = |at: usize| after.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                rest = &after[2..];
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Writes references as `llguidance` reads them, which takes names as they stand there. A target with `/`, `~` or `%` in a name on its way, or below
/// `patternProperties`, whose names are translated later, is copied to a place without. Each reference is the JSON pointer to its schema, the names
/// of the way, and the pointer that they make. Returns the pointers of copies with those of what they are copies of.
pub(super) fn rewrite(schema: &mut Value, references: Vec<(String, Vec<String>, String)>) -> Vec<(String, String)> {
    let mut copies: Vec<(String, String)> = Vec::new();
    for (at, names, target) in references {
        let plain = match &names[..] {
            [] => "#".to_owned(),
            // For `llguidance`, "#/" is the root.
            [name] if name.is_empty() => copy(schema, &mut copies, target),
            names if names.iter().any(|name| name.contains(['/', '~', '%']) || name == "patternProperties") => {
                copy(schema, &mut copies, target)
            }
            names => format!("#/{}", names.join("/")),
        };
        if let Some(reference) = schema.pointer_mut(&at).and_then(|keywords| keywords.get_mut("$ref")) {
            *reference = plain.into();
        }
    }
    // Their own references are written anew by now.
    for (place, target) in &copies {
        let of = schema.pointer(target).cloned();
        if let (Some(place), Some(of)) = (schema.pointer_mut(place), of) {
            *place = of;
        }
    }
    copies
}

/// The reference to a copy, which has its place now and is made later.
fn copy(schema: &mut Value, copies: &mut Vec<(String, String)>, target: String) -> String {
    if let Some((place, _)) = copies.iter().find(|(_, other)| *other == target) {
        return format!("#{place}");
    }
    let Some(root) = schema.as_object_mut() else { return "#".to_owned() };
    let definitions = root.entry("$defs").or_insert_with(|| Map::new().into());
    if !definitions.is_object() {
        *definitions = Map::new().into();
    }
    let Some(definitions) = definitions.as_object_mut() else { return "#".to_owned() };
    let name = (copies.len()..).map(|number| number.to_string()).find(|name| !definitions.contains_key(name));
    let name = name.unwrap_or_default();
    definitions.insert(name.clone(), Value::Bool(true));
    let place = format!("/$defs/{name}");
    copies.push((place.clone(), target));
    format!("#{place}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_a_pointer_in_a_fragment() {
        let names = |reference: &str| way(reference).unwrap();
        assert_eq!(names("#"), [""; 0]);
        assert_eq!(names("#/"), [""]);
        assert_eq!(names("#/$defs/a~1b"), ["$defs", "a/b"]);
        assert_eq!(names("#/a~0b/~01"), ["a~b", "~1"]);
        assert_eq!(names("#/a%20b/%C3%A9%25/100%"), ["a b", "é%", "100%"]);
        for outside in ["", "a.json#/b", "#name", "http://json-schema.org/draft-07/schema#"] {
            assert!(way(outside).is_err(), "{outside}");
        }
    }
}
