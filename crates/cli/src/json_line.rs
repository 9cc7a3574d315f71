use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// A line that is a JSON object.
pub(crate) struct JsonLine {
    /// As it stands there, so that numbers of any size come back as they are.
    pub(crate) id: Option<Box<RawValue>>,
    pub(crate) object: Map<String, Value>,
}

impl JsonLine {
    /// # Errors
    /// What is wrong with the line.
    pub(crate) fn parse(line: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Id {
            id: Option<Box<RawValue>>,
        }
        let wrong = |error: serde_json::Error| format!("it is not valid JSON: {error}");
        let Value::Object(object) = serde_json::from_str(line).map_err(wrong)? else {
            return Err("it is no JSON object such as {\"text\": \"…\"}".to_owned());
        };
        Ok(Self { id: serde_json::from_str::<Id>(line).map_err(wrong)?.id, object })
    }
}
