//! The formats of texts.

use serde_json::{Map, Value};
use strsim::normalized_damerau_levenshtein;

/// Those of the specification: by which of those that `llguidance` has a text is made; none for one that is not supported.
const FORMATS: [(&str, Option<&str>); 19] = [
    ("date", Some("date")),
    ("date-time", Some("date-time")),
    ("duration", Some("duration")),
    ("email", Some("email")),
    ("hostname", Some("hostname")),
    ("idn-email", Some("email")),
    ("idn-hostname", None),
    ("ipv4", Some("ipv4")),
    ("ipv6", Some("ipv6")),
    ("iri", Some("uri")),
    ("iri-reference", Some("uri")),
    ("json-pointer", None),
    ("regex", None),
    ("relative-json-pointer", None),
    ("time", Some("time")),
    ("uri", Some("uri")),
    ("uri-reference", Some("uri")),
    ("uri-template", None),
    ("uuid", Some("uuid")),
];

/// Those of OpenAPI, which constrain no text.
const OPEN_API: [&str; 7] = ["binary", "byte", "double", "float", "int32", "int64", "password"];

/// What texts of a format must also match, by RFC 3339: for `llguidance`, each year has a 29 February, and each minute a leap second (after 17
/// or 6 characters), of which only those at the end of a day of UTC may be.
const PATTERNS: [(&str, &[&str]); 3] =
    [("date", &[REAL_DAY]), ("date-time", &[REAL_DAY, "^[^.]{17}[0-5]"]), ("time", &["^[^.]{6}[0-5]"])];

/// A leap year, or any day but 29 February.
const REAL_DAY: &str = "^(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00|[0-9]{4}-(?:0[13-9]|1|02-[01]|02-2[0-8]))";

/// How near a name is to one that is meant, from 0 to 1.
const NEAR: f64 = 0.75;

/// What a format is.
#[derive(Debug, PartialEq)]
pub(super) enum Format {
    /// Texts are made by this one, which has no others.
    Made(&'static str),
    /// One of the specification that no text can be made by.
    Unsupported,
    /// One of OpenAPI: it constrains nothing.
    Annotation,
    /// One of one's own, which constrains nothing; with the one that may be meant.
    Own(Option<&'static str>),
}

impl Format {
    /// That of a schema whose values may be texts; of others it says nothing.
    pub(super) fn of(keywords: &Map<String, Value>) -> Option<Self> {
        let is_text = |name: &Value| *name == "string";
        let may_be_text = match keywords.get("type") {
            Some(Value::Array(types)) => types.iter().any(is_text),
            one => one.is_none_or(is_text),
        };
        let format = keywords.get("format")?.as_str()?;
        Some(if may_be_text { Self::named(format) } else { Self::Annotation })
    }

    /// Why it has no effect, for one that should not be passed over in silence.
    pub(super) fn told(&self) -> Option<String> {
        match self {
            Self::Made(_) | Self::Annotation => None,
            Self::Unsupported => Some("\"lenient\" passes over it".to_owned()),
            Self::Own(nearest) => {
                let meant = nearest.map(|known| format!(" (did you mean {known}?)")).unwrap_or_default();
                Some(format!("there is no such format{meant}"))
            }
        }
    }

    /// Patterns that texts of a format must also match, in the syntax of `llguidance`.
    pub(super) fn patterns(made: &str) -> &'static [&'static str] {
        PATTERNS.iter().find(|(format, _)| *format == made).map_or(&[], |(_, patterns)| patterns)
    }

    fn named(name: &str) -> Self {
        match FORMATS.iter().find(|(known, _)| *known == name) {
            Some((_, Some(made))) => Self::Made(made),
            Some((_, None)) => Self::Unsupported,
            None if OPEN_API.contains(&name) => Self::Annotation,
            None => {
                let likeness = |known: &str| normalized_damerau_levenshtein(known, &name.to_lowercase());
                let near = FORMATS.iter().map(|(known, _)| (likeness(known), *known));
                let near = near.filter(|(likeness, _)| *likeness >= NEAR).max_by(|a, b| a.0.total_cmp(&b.0));
                Self::Own(near.map(|(_, known)| known))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_made_refused_or_pass() {
        for (name, format) in [
            ("date-time", Format::Made("date-time")),
            ("uri-reference", Format::Made("uri")),
            ("regex", Format::Unsupported),
            ("int32", Format::Annotation),
            ("my-own", Format::Own(None)),
            ("datetime", Format::Own(Some("date-time"))),
            ("UUID", Format::Own(Some("uuid"))),
        ] {
            assert_eq!(Format::named(name), format, "{name}");
        }
    }
}
