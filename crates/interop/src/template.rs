//! The template of conversations of a folder.

use crate::Error;
use crate::folder::{CHAT_TEMPLATE, TOKENIZER_CONFIG, read_if};
use crate::tokenizer::Settings;
use descant_text::{ChatTemplate, Tokenizer};
use serde_json::Value;
use std::path::Path;

/// The template of conversations: in a file of its own, or in the tokenizer's configuration, alone or as the default of
/// several.
pub(crate) fn chat_template(
    folder: &Path,
    settings: &Settings,
    tokenizer: &Tokenizer,
) -> Result<Option<ChatTemplate>, Error> {
    let place = folder.join(CHAT_TEMPLATE);
    let (place, text) = match read_if(&place)? {
        Some(bytes) => match String::from_utf8(bytes) {
            Ok(text) => (place, text),
            Err(error) => return Err(Error::folder(&place, format!("it is not UTF-8: {error}"))),
        },
        None => {
            let place = folder.join(TOKENIZER_CONFIG);
            let text = match settings.json.get("chat_template") {
                None | Some(Value::Null) => return Ok(None),
                Some(Value::String(text)) => text,
                Some(Value::Array(templates)) => {
                    match templates.iter().find(|template| template["name"] == "default") {
                        None => return Ok(None),
                        Some(template) => template["template"]
                            .as_str()
                            .ok_or_else(|| Error::folder(&place, "chat_template: the default one has no text"))?,
                    }
                }
                Some(_) => return Err(Error::folder(&place, "chat_template: expected a text, or a list of them")),
            };
            (place, text.to_owned())
        }
    };
    of_text(&place, &text, tokenizer).map(Some)
}

/// The template that this text is, with the names of the tokens that it writes.
pub(crate) fn of_text(place: &Path, text: &str, tokenizer: &Tokenizer) -> Result<ChatTemplate, Error> {
    // The template writes the beginning itself; the end stands between the turns.
    let special = tokenizer.special();
    let name = |id: Option<u32>| id.and_then(|id| tokenizer.token(id)).unwrap_or_default();
    let [beginning, end] = [special.beginning, special.end()].map(name);
    let text = format!("{{% set bos_token, eos_token = {beginning:?}, {end:?} %}}\n{text}");
    ChatTemplate::new(&text).map_err(|reason| Error::folder(place, reason))
}

/// A template as it was before an import put a line before it.
pub(crate) fn own_template(template: &ChatTemplate) -> &str {
    let own = template.text();
    let line = own.lines().next().filter(|line| line.starts_with("{% set bos_token, eos_token = "));
    line.map_or(own, |line| own[line.len()..].trim_start_matches('\n'))
}
