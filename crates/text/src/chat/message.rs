use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who says it, such as `system`, `user`, `assistant`.
    pub role: String,
    /// What is said.
    pub content: String,
}

impl Message {
    /// What `role` says.
    pub fn new(role: &str, content: &str) -> Self {
        Self { role: role.to_owned(), content: content.to_owned() }
    }

    /// Message `number` of a conversation in JSON: its `role`, and its `content`, a text or a list of parts that are texts, which stand on lines of
    /// their own. Other keys are not looked at.
    ///
    /// # Errors
    /// What it lacks, by its number.
    pub fn from_json(number: usize, value: &Value) -> Result<Self, String> {
        let Value::Object(fields) = value else {
            return Err(format!(
                "message {number} is {}: expected an object with \"role\" and \"content\"",
                kind(value)
            ));
        };
        let role = text(fields.get("role"), &format!("\"role\" of message {number}"))?;
        let name = format!("\"content\" of message {number}");
        let content = match fields.get("content") {
            Some(Value::Array(parts)) => {
                let part = |part: &Value| match part.get("type").and_then(Value::as_str) {
                    Some("text") => text(part.get("text"), &format!("\"text\" in the {name}")),
                    Some(other) => Err(format!("{name} has a part of the type {other:?}: expected \"text\" alone")),
                    None => Err(format!("{name} has a part without a \"type\": expected \"text\" with a \"text\"")),
                };
                parts.iter().map(part).collect::<Result<Vec<_>, _>>()?.join("\n")
            }
            content => text(content, &name)?,
        };
        Ok(Self { role, content })
    }

    /// Whether the system says it, which some templates call the developer.
    pub fn is_system(&self) -> bool {
        ["system", "developer"].contains(&self.role.as_str())
    }
}

/// What a value is, in words.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The text of a value of this name.
pub(crate) fn text(value: Option<&Value>, name: &str) -> Result<String, String> {
    match value {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(value) => Err(format!("{name} is {}: expected a text", kind(value))),
        None => Err(format!("{name} is missing")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_message_has_its_text_in_one_piece_or_in_parts() {
        let read = |content: Value| Message::from_json(2, &json!({"role": "user", "content": content, "name": "a"}));
        assert_eq!(read(json!("a")).unwrap(), Message::new("user", "a"));
        let parts = json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]);
        assert_eq!(read(parts).unwrap(), Message::new("user", "a\nb"));
        assert_eq!(read(json!([])).unwrap(), Message::new("user", ""));
        for (content, error) in [
            (Value::Null, "\"content\" of message 2 is null: expected a text"),
            (
                json!([{"type": "image_url"}]),
                "\"content\" of message 2 has a part of the type \"image_url\": expected \"text\" alone",
            ),
            (json!([{"type": "text"}]), "\"text\" in the \"content\" of message 2 is missing"),
            (json!(["a"]), "\"content\" of message 2 has a part without a \"type\": expected \"text\" with a \"text\""),
        ] {
            assert_eq!(read(content).unwrap_err(), error);
        }
        let error = Message::from_json(1, &json!("a")).unwrap_err();
        assert_eq!(error, "message 1 is a text: expected an object with \"role\" and \"content\"");
        assert_eq!(Message::from_json(1, &json!({})).unwrap_err(), "\"role\" of message 1 is missing");
    }
}
