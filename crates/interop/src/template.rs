//! The template of conversations of a folder.

use crate::Error;
use crate::folder::{CHAT_TEMPLATE, TOKENIZER_CONFIG, read_if};
use crate::tokenizer::Settings;
use descant_text::{ChatTemplate, SpecialTokens, Tokenizer};
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
                Some(Value::Object(templates)) => match templates.get("default") {
                    Some(template) => template
                        .as_str()
                        .ok_or_else(|| Error::folder(&place, "chat_template: the default one has no text"))?,
                    None => return Ok(unnamed(&place)),
                },
                Some(Value::Array(templates)) => {
                    match templates.iter().find(|template| template["name"] == "default") {
                        None => return Ok(unnamed(&place)),
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
    of_text(&place, &text, settings, tokenizer).map(Some)
}

/// The template that this text is, with the names of the tokens that it writes: as the settings name them, or else the model's
/// configuration.
pub(crate) fn of_text(
    place: &Path,
    text: &str,
    settings: &Settings,
    tokenizer: &Tokenizer,
) -> Result<ChatTemplate, Error> {
    let special = tokenizer.special();
    let mut tokens = Vec::new();
    for key in TOKENS {
        let otherwise = match key {
            "bos_token" => special.bos,
            "eos_token" => special.first_eos(),
            _ => None,
        };
        let otherwise = otherwise.filter(|_| !settings.says(key)).and_then(|id| tokenizer.token(id));
        tokens.extend(settings.token(key)?.map(str::to_owned).or(otherwise).map(|name| (key, name)));
    }
    ChatTemplate::with_tokens(text, &tokens).map_err(|reason| Error::folder(place, reason))
}

/// What templates know by name.
const TOKENS: [&str; 4] = ["bos_token", "eos_token", "unk_token", "pad_token"];

/// Of several templates, none is the default.
fn unnamed(place: &Path) -> Option<ChatTemplate> {
    log::warn!("{}: chat_template: none of them is named \"default\", so none is taken.", place.display());
    None
}

/// The template of a run for other programs, which put nothing around a conversation: it writes itself what stood before
/// every text in training.
pub(crate) fn own_template(template: &ChatTemplate, special: &SpecialTokens) -> String {
    let own = template.own_text();
    match special.post_processor.is_some() || template.has_tokens() {
        true => own.to_owned(),
        false => format!("{{{{ bos_token }}}}{{% set bos_token = '' %}}{{% set eos_token = '' %}}\n{own}"),
    }
}
