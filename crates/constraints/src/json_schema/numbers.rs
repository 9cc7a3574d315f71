//! Numbers of a schema that no exact grammar can be made of.

use super::refused;
use crate::ConstraintError;
use serde_json::{Map, Value};

/// Up to it, `llguidance` computes whole numbers exactly.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A grammar of multiples has as many states as the number has units.
const MOST_UNITS: u64 = 100_000;

/// That bounds and constants are exact, and that a `multipleOf` has few digits.
pub(super) fn check_numbers(keywords: &Map<String, Value>, at: &str) -> Result<(), ConstraintError> {
    let bounds = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "const", "enum"];
    for keyword in bounds {
        let numbers = keywords.get(keyword).map(numbers).unwrap_or_default();
        if let Some(number) = numbers.iter().find(|number| number.abs() >= EXACT) {
            let why = format!("{number} is beyond 2^53, where numbers are not exact. Leave it out, or take a string");
            return Err(refused(at, keyword, &why));
        }
    }
    match keywords.get("multipleOf").and_then(units).filter(|&units| units > MOST_UNITS) {
        Some(units) => {
            let why = format!(
                "a multiple of {units} units is not supported: at most {MOST_UNITS}, zeros at the end not counted"
            );
            Err(refused(at, "multipleOf", &why))
        }
        None => Ok(()),
    }
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
    use crate::json_schema::Checked;

    #[test]
    fn numbers_that_are_not_exact_and_multiples_of_many_units_are_refused() {
        for (schema, at) in [
            (r#"{"type":"integer","minimum":-9223372036854775808,"maximum":-9223372036854775805}"#, "/minimum"),
            (r#"{"properties":{"a":{"type":"number","exclusiveMaximum":1e300}}}"#, "/properties/a/exclusiveMaximum"),
            (r#"{"const":12345678901234567890123}"#, "/const"),
            (r#"{"enum":["a",[1,{"b":18446744073709551615}]]}"#, "/enum"),
            (r#"{"type":"integer","multipleOf":100000007}"#, "/multipleOf"),
            (r#"{"type":"number","multipleOf":0.1000003}"#, "/multipleOf"),
        ] {
            let error = Checked::parse(schema).unwrap_err().to_string();
            assert!(error.contains(&format!("{at}:")), "{schema}: {error}");
        }
    }

    #[test]
    fn others_are_taken() {
        for schema in [
            r#"{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991}"#,
            r#"{"type":"number","multipleOf":0.01}"#,
            r#"{"type":"integer","multipleOf":1000000}"#,
            r#"{"enum":[1.5,-3,"12345678901234567890"]}"#,
        ] {
            assert!(Checked::parse(schema).is_ok(), "{schema}");
        }
    }
}
