use crate::Error;
use descant_text::{ChatTemplate, read_text};
use std::path::Path;

/// Reads a template of conversations: a file, or one that comes with descant, by its name.
pub fn chat_template(path: &Path) -> Result<ChatTemplate, Error> {
    if let Some(template) = path.to_str().and_then(ChatTemplate::built_in) {
        return Ok(template);
    }
    let text = read_text(path).map_err(|error| Error::io("read the chat template", path, error))?;
    let wrong = |reason: String| Error::Recipe { path: path.to_owned(), reason };
    ChatTemplate::new(text.trim_start_matches('\u{feff}')).map_err(wrong)
}
