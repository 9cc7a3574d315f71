//! What templates expect of Python, beyond what `minijinja` and its companion know.

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};
use minijinja_contrib::pycompat::unknown_method_callback;
use std::fmt::Write;

/// Values in one another, at most.
const DEEPEST: usize = 100;

/// A method of Python's texts or lists.
pub(super) fn method(state: &mut State, value: &Value, name: &str, arguments: &[Value]) -> Result<Value, Error> {
    match unknown_method_callback(state, value, name, arguments) {
        Err(error) if error.kind() == ErrorKind::UnknownMethod => own(value, name, arguments).unwrap_or(Err(error)),
        other => other,
    }
}

fn own(value: &Value, name: &str, arguments: &[Value]) -> Option<Result<Value, Error>> {
    let absent = || Error::new(ErrorKind::InvalidOperation, format!("{name}: it is not there"));
    if value.kind() == ValueKind::Seq && name == "index" {
        let [wanted] = arguments else { return None };
        let at = value.try_iter().ok()?.position(|item| item == *wanted);
        return Some(at.map(Value::from).ok_or_else(absent));
    }
    let (text, first) = (value.as_str()?, arguments.first().and_then(Value::as_str));
    let parts = |found: Option<(&str, &str)>, otherwise: [&str; 3]| {
        let [before, between, after] = match (found, first) {
            (Some((before, after)), Some(between)) => [before, between, after],
            _ => otherwise,
        };
        list(&[before, between, after])
    };
    Some(Ok(match (name, first?, arguments.len()) {
        ("removeprefix", prefix, 1) => text.strip_prefix(prefix).unwrap_or(text).into(),
        ("removesuffix", suffix, 1) => text.strip_suffix(suffix).unwrap_or(text).into(),
        ("partition", between, 1) if !between.is_empty() => parts(text.split_once(between), [text, "", ""]),
        ("rpartition", between, 1) if !between.is_empty() => parts(text.rsplit_once(between), ["", "", text]),
        ("rsplit", between, 1 | 2) if !between.is_empty() => {
            let most = match arguments.get(1).map(|most| i64::try_from(most.clone())) {
                None => usize::MAX,
                Some(most) => usize::try_from(most.ok()?).map_or(usize::MAX, |most| most.saturating_add(1)),
            };
            let mut pieces: Vec<&str> = text.rsplitn(most, between).collect();
            pieces.reverse();
            list(&pieces)
        }
        ("index" | "rindex", wanted, 1) => {
            let at = if name == "index" { text.find(wanted) } else { text.rfind(wanted) };
            let characters = |at: usize| Value::from(text[..at].chars().count());
            return Some(at.map(characters).ok_or_else(absent));
        }
        _ => return None,
    }))
}

fn list(texts: &[&str]) -> Value {
    texts.iter().map(|text| Value::from(*text)).collect::<Vec<Value>>().into()
}

/// `is sequence`, which in Jinja2 holds of all that has a length and items.
pub(super) fn is_sequence(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Undefined | ValueKind::Seq | ValueKind::String | ValueKind::Map)
}

/// The time as `datetime.now().strftime(format)`.
pub(super) fn strftime_now(format: &str) -> Result<String, Error> {
    let now = jiff::fmt::strtime::format(format, &jiff::Zoned::now());
    now.map_err(|error| Error::new(ErrorKind::InvalidOperation, format!("strftime_now: {error}")))
}

/// `json.dumps`, as `transformers` gives it to templates: nothing is escaped for HTML, and characters stay as they are.
pub(super) fn tojson(state: &State, value: &Value, arguments: Kwargs) -> Result<Value, Error> {
    let indent: Option<Value> = arguments.get("indent")?;
    let indent = match indent.filter(|indent| !indent.is_none()) {
        None => None,
        Some(indent) => Some(match indent.as_str() {
            Some(text) => text.to_owned(),
            None => " ".repeat(usize::try_from(indent).ok().filter(|&n| n <= 64).ok_or_else(|| {
                Error::new(ErrorKind::InvalidOperation, "tojson: indent: expected a number up to 64")
            })?),
        }),
    };
    let separators: Option<Vec<String>> = arguments.get("separators")?;
    let [between, after_key] = match separators.as_deref() {
        None => [if indent.is_some() { "," } else { ", " }, ": "].map(str::to_owned),
        Some([between, after_key]) => [between.clone(), after_key.clone()],
        Some(_) => return Err(Error::new(ErrorKind::InvalidOperation, "tojson: separators: expected two texts")),
    };
    let (ascii, sorted) = (arguments.get::<Option<bool>>("ensure_ascii")?, arguments.get::<Option<bool>>("sort_keys")?);
    arguments.assert_all_used()?;
    let mut json = Json {
        state,
        text: String::new(),
        charged: 0,
        indent,
        between,
        after_key,
        ascii: ascii == Some(true),
        sorted: sorted == Some(true),
    };
    json.write(value, 0)?;
    Ok(json.text.into())
}

struct Json<'a, 'b, 'c> {
    state: &'a State<'b, 'c>,
    text: String,
    /// Bytes that fuel was taken for.
    charged: usize,
    indent: Option<String>,
    between: String,
    after_key: String,
    ascii: bool,
    sorted: bool,
}

impl Json<'_, '_, '_> {
    fn write(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        let wrong = |what: &str| Err(Error::new(ErrorKind::InvalidOperation, format!("tojson: {what}")));
        if depth > DEEPEST {
            return wrong("the value is too deep");
        }
        match value.kind() {
            ValueKind::None => self.text.push_str("null"),
            ValueKind::Bool => self.text.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number if value.is_integer() => {
                let _ = write!(self.text, "{value}");
            }
            ValueKind::Number => match f64::try_from(value.clone()) {
                Ok(number) => self.text.push_str(&float(number)),
                Err(error) => return Err(error),
            },
            ValueKind::String => self.quote(value.as_str().unwrap_or_default()),
            ValueKind::Seq | ValueKind::Iterable => {
                let items = value.try_iter()?;
                self.all("[]", depth, items.map(|item| (None, item)))?;
            }
            ValueKind::Map => {
                let mut keys: Vec<Value> = value.try_iter()?.collect();
                if self.sorted {
                    keys.sort();
                }
                let entry = |key: Value| Ok((Some(name(&key)?), value.get_item(&key)?));
                let entries = keys.into_iter().map(entry).collect::<Result<Vec<_>, Error>>()?;
                self.all("{}", depth, entries.into_iter())?;
            }
            other => return wrong(&format!("a value of the kind {other} has no form in JSON")),
        }
        let new = self.text.len() - self.charged;
        self.charged = self.text.len();
        self.state.consume_fuel((new / 64) as u64)
    }

    /// The entries of a list or a table, between these brackets.
    fn all(
        &mut self,
        brackets: &str,
        depth: usize,
        entries: impl Iterator<Item = (Option<String>, Value)>,
    ) -> Result<(), Error> {
        let mut is_empty = true;
        self.text.push_str(&brackets[..1]);
        for (key, value) in entries {
            if !std::mem::replace(&mut is_empty, false) {
                self.text.push_str(&self.between);
            }
            self.line(depth + 1);
            if let Some(key) = key {
                self.quote(&key);
                self.text.push_str(&self.after_key);
            }
            self.write(&value, depth + 1)?;
        }
        if !is_empty {
            self.line(depth);
        }
        self.text.push_str(&brackets[1..]);
        Ok(())
    }

    fn line(&mut self, depth: usize) {
        if let Some(indent) = &self.indent {
            self.text.push('\n');
            (0..depth).for_each(|_| self.text.push_str(indent));
        }
    }

    fn quote(&mut self, text: &str) {
        self.text.push('"');
        for character in text.chars() {
            match character {
                '"' => self.text.push_str("\\\""),
                '\\' => self.text.push_str("\\\\"),
                '\n' => self.text.push_str("\\n"),
                '\r' => self.text.push_str("\\r"),
                '\t' => self.text.push_str("\\t"),
                '\u{8}' => self.text.push_str("\\b"),
                '\u{c}' => self.text.push_str("\\f"),
                character
                    if character < ' '
                        || self.ascii && !character.is_ascii()
                        || self.ascii && character == '\u{7f}' =>
                {
                    character.encode_utf16(&mut [0; 2]).iter().for_each(|unit| {
                        let _ = write!(self.text, "\\u{unit:04x}");
                    });
                }
                character => self.text.push(character),
            }
        }
        self.text.push('"');
    }
}

/// A key of a table as `json.dumps` has it.
fn name(key: &Value) -> Result<String, Error> {
    match key.kind() {
        ValueKind::String => Ok(key.as_str().unwrap_or_default().to_owned()),
        ValueKind::None => Ok("null".to_owned()),
        ValueKind::Bool => Ok(if key.is_true() { "true" } else { "false" }.to_owned()),
        ValueKind::Number if key.is_integer() => Ok(key.to_string()),
        ValueKind::Number => Ok(float(f64::try_from(key.clone())?)),
        other => Err(Error::new(ErrorKind::InvalidOperation, format!("tojson: a key of the kind {other}"))),
    }
}

/// A number as Python writes it.
fn float(number: f64) -> String {
    if !number.is_finite() {
        let sign = if number < 0.0 { "-" } else { "" };
        return if number.is_nan() { "NaN".to_owned() } else { format!("{sign}Infinity") };
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>() {
        Ok(exponent) if number != 0.0 && !(-4..16).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        _ => format!("{number:?}"),
    }
}
