//! Numbers of a schema that no exact grammar can be made of.

use super::places::Places;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Up to it, `llguidance` computes whole numbers exactly.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A grammar of multiples has as many states as the number has units.
const MOST_UNITS: u64 = 100_000;

/// That bounds and constants are exact, and that a `multipleOf` has few digits; or a keyword, and why not.
pub(super) fn check_numbers(keywords: &Map<String, Value>) -> Result<(), (&'static str, String)> {
    let bounds = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "const", "enum"];
    for keyword in bounds {
        let numbers = keywords.get(keyword).map(numbers).unwrap_or_default();
        if let Some(number) = numbers.iter().find(|number| number.abs() >= EXACT) {
            let why = format!("{number} is beyond 2^53, where numbers are not exact. Leave it out, or take a string");
            return Err((keyword, why));
        }
    }
    match keywords.get("multipleOf").and_then(units).filter(|&units| units > MOST_UNITS) {
        Some(units) => Err(("multipleOf", too_many_units(units))),
        None => Ok(()),
    }
}

fn too_many_units(units: u64) -> String {
    format!("a multiple of {units} units is not supported: at most {MOST_UNITS}, zeros at the end not counted")
}

/// That the multiples of schemas which describe the same value have few units in common; or the number of a schema, and why not.
pub(super) fn check_multiples(places: &Places<'_>) -> Result<(), (usize, String)> {
    let wrong = |units| format!("with others of the same value, {}", too_many_units(units));
    let (all_of, mut common) = (places.in_all_of(), BTreeMap::new());
    for (number, keywords) in places.iter() {
        let Some(units) = keywords.get("multipleOf").and_then(units).filter(|&units| units > 0) else { continue };
        let before = common.entry(all_of[number]).or_insert(1);
        *before = common_multiple(*before, units);
        if *before > MOST_UNITS {
            return Err((number, wrong(*before)));
        }
    }
    let of = |number: usize| common.get(&all_of[number]).copied().unwrap_or(1);
    match places.alternatives_and_references().find(|&(from, to)| common_multiple(of(from), of(to)) > MOST_UNITS) {
        Some((from, to)) => Err((to, wrong(common_multiple(of(from), of(to))))),
        None => Ok(()),
    }
}

fn common_multiple(a: u64, b: u64) -> u64 {
    a.saturating_mul(b / greatest_divisor(a, b))
}

fn greatest_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_divisor(b, a % b) }
}

/// All numbers in a value.
fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Number(number) => number.as_f64().into_iter().collect(),
        Value::Array(items) => items.iter().flat_map(numbers).collect(),
        Value::Object(fields) => fields.values().flat_map(numbers).collect(),
        _ => Vec::new(),
    }
}

/// The digits of a number, without point and zeros at its end, as a whole number.
fn units(value: &Value) -> Option<u64> {
    let text = value.as_number()?.to_string();
    let digits: String = text.split(['e', 'E']).next()?.chars().filter(char::is_ascii_digit).collect();
    digits.trim_end_matches('0').parse().ok().or(Some(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(schema: &Value) -> Option<&'static str> {
        check_numbers(schema.as_object()?).err().map(|(keyword, _)| keyword)
    }

    #[test]
    fn numbers_that_are_not_exact_and_multiples_of_many_units_are_refused() {
        for (schema, keyword) in [
            (json!({"type": "integer", "minimum": i64::MIN, "maximum": i64::MIN + 3}), "minimum"),
            (json!({"type": "number", "exclusiveMaximum": 1e300}), "exclusiveMaximum"),
            (json!({"const": 1.2345678901234568e22}), "const"),
            (json!({"enum": ["a", [1, {"b": u64::MAX}]]}), "enum"),
            (json!({"type": "integer", "multipleOf": 100_000_007}), "multipleOf"),
            (json!({"type": "number", "multipleOf": 0.100_000_3}), "multipleOf"),
        ] {
            assert_eq!(refused(&schema), Some(keyword), "{schema}");
        }
    }

    #[test]
    fn multiples_of_one_value_count_together() {
        let refused = |schema: &Value| check_multiples(&Places::of(schema).unwrap()).err().map(|(number, _)| number);
        let all = |of: [u32; 3]| of.map(|of| json!({"multipleOf": of}));
        assert!(refused(&json!({"allOf": all([97, 89, 83])})).is_some());
        let defined = json!({"a": {"allOf": all([89, 83, 1])}});
        assert!(refused(&json!({"multipleOf": 97, "$ref": "#/$defs/a", "$defs": defined})).is_some());
        assert!(refused(&json!({"multipleOf": 97, "anyOf": [{"multipleOf": 7387}]})).is_some());
        assert_eq!(refused(&json!({"allOf": all([50_000, 2, 400])})), None);
        let [a, b, c] = all([97, 89, 83]);
        assert_eq!(refused(&json!({"properties": {"a": a, "b": b}, "items": c})), None);
        assert_eq!(refused(&json!({"anyOf": [a, b, c]})), None);
        let with = |of: u32| json!({"multipleOf": of, "$ref": "#/$defs/n"});
        let schema =
            json!({"properties": {"a": with(97), "b": with(89), "c": with(83)}, "$defs": {"n": {"minimum": 0}}});
        assert_eq!(refused(&schema), None);
    }

    #[test]
    fn others_are_taken() {
        for schema in [
            json!({"type": "integer", "minimum": -9_007_199_254_740_991_i64, "maximum": 9_007_199_254_740_991_i64}),
            json!({"type": "number", "multipleOf": 0.01}),
            json!({"type": "integer", "multipleOf": 1_000_000}),
            json!({"enum": [1.5, -3, "12345678901234567890"]}),
        ] {
            assert_eq!(refused(&schema), None, "{schema}");
        }
    }
}
