//! Grammars that lines of the input name themselves (`--grammar-field`).

use crate::constraints::{is_schema, without_effect};
use crate::json_line::JsonLine;
use crate::report::note;
use descant_constraints::{ConstraintError, Grammar, Vocabulary};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// How many grammars are kept for lines with the same one.
const KEPT: usize = 256;

/// Reads the grammars of lines from a field of their objects, each kind once.
pub(super) struct GrammarField {
    name: String,
    vocabulary: Arc<Vocabulary>,
    /// By the JSON of the field.
    known: HashMap<String, Result<Arc<Grammar>, String>>,
    /// How many grammars have parts without effect, or that the vocabulary cannot write, with the first one's line and parts.
    warned: (u64, u64, String),
}

impl GrammarField {
    pub(super) fn new(name: &str, vocabulary: Arc<Vocabulary>) -> Self {
        Self { name: name.to_owned(), vocabulary, known: HashMap::new(), warned: (0, 0, String::new()) }
    }

    /// The grammar of a line; none where its field is null.
    ///
    /// # Errors
    /// What is wrong with the field, by its name.
    pub(super) fn of(&mut self, line: u64, object: &JsonLine) -> Result<Option<Arc<Grammar>>, String> {
        let name = &self.name;
        let value =
            object.get(name)?.ok_or_else(|| format!("it has no {name:?}; null is for a line without a grammar"))?;
        if value.is_null() {
            return Ok(None);
        }
        let key = value.to_string();
        if let Some(known) = self.known.get(&key) {
            return known.clone().map(Some);
        }
        let read = read(&self.vocabulary, &value).map(Arc::new).map_err(|reason| format!("its {name:?}: {reason}"));
        if self.known.len() == KEPT {
            self.known.clear();
        }
        self.known.insert(key, read.clone());
        let warnings = read.as_ref().map_or_else(|_| Vec::new(), |grammar| without_effect(grammar));
        if !warnings.is_empty() {
            if self.warned.0 == 0 {
                (self.warned.1, self.warned.2) = (line, warnings.join("; "));
            }
            self.warned.0 += 1;
        }
        read.map(Some)
    }

    /// Tells what of the grammars had no effect.
    pub(super) fn tell(&self) {
        let Self { name, warned: (count, line, warnings), .. } = self;
        if *count > 0 {
            note(format_args!(
                "--grammar-field {name}: {count} grammars have parts without effect, or that cannot be written. Line {line}: {warnings}"
            ));
        }
    }
}

/// The grammar of a field. An object whose only key is `json_schema`, `regex` or `grammar` says the kind, as the flags of these
/// names do; any other object is a JSON schema, as are true and false, and a text is a JSON schema where it begins with a brace, or is
/// `true` or `false`, else a grammar in the syntax of Lark or GBNF.
fn read(vocabulary: &Arc<Vocabulary>, value: &Value) -> Result<Grammar, String> {
    let schema = |schema: &Value| match schema {
        Value::String(text) => Grammar::json_schema(vocabulary, text),
        value => Grammar::json_schema(vocabulary, &value.to_string()),
    };
    const KINDS: [&str; 3] = ["json_schema", "regex", "grammar"];
    if let Some(object) = value.as_object().filter(|object| object.len() > 1)
        && let Some(kind) = KINDS.into_iter().find(|&kind| object.contains_key(kind))
    {
        return Err(format!("it has {kind:?} beside other keys: a line has one grammar"));
    }
    let named = value.as_object().filter(|object| object.len() == 1).and_then(|object| object.iter().next());
    let grammar: Result<Grammar, ConstraintError> = match (named.map(|(kind, of)| (kind.as_str(), of)), value) {
        (Some(("json_schema", of)), _) => schema(of),
        (Some(("regex", Value::String(regex))), _) => Grammar::regex(vocabulary, regex),
        (Some(("grammar", Value::String(grammar))), _) => Grammar::parse(vocabulary, grammar),
        (Some((kind @ ("regex" | "grammar"), _)), _) => return Err(format!("its {kind:?} is no text")),
        (_, Value::Object(_) | Value::Bool(_)) => schema(value),
        (_, Value::String(text)) if text.trim().is_empty() => {
            return Err("it is empty; null is for a line without a grammar".to_owned());
        }
        (_, Value::String(text)) if is_schema(text) => schema(value),
        (_, Value::String(text)) => Grammar::parse(vocabulary, text),
        _ => return Err("expected an object, true, false or a text".to_owned()),
    };
    grammar.map_err(|error| match error {
        // Not a kind, and no schema either.
        ConstraintError::UnknownKeyword { at, keyword, nearest } if at.is_empty() && value.get(&keyword).is_some() => {
            let meant = nearest.map(|known| format!("; did you mean {known}?")).unwrap_or_default();
            format!(
                "it has {keyword:?}: expected one of \"json_schema\", \"regex\" and \"grammar\", or a JSON schema, which has no \
                 such keyword{meant}"
            )
        }
        error => error.to_string(),
    })
}
