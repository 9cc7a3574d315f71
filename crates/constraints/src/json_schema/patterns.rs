//! Patterns: regular expressions of ECMA-262 (with its flag `u`), in the syntax of `regex-syntax`, which `llguidance` reads.

use super::formats::Format;
use super::places::Places;
use crate::ConstraintError;
use regex_syntax::hir::{Class, HirKind};
use serde_json::{Map, Value, json};
use std::cmp::Reverse;

/// What `.` stands for: all but line terminators.
const ANY: &str = r"[^\n\r\u{2028}\u{2029}]";
const DIGIT: &str = "0-9";
const WORD: &str = "0-9A-Z_a-z";
/// White space and line terminators. Unicode's White_Space has U+0085 beside, and has not U+FEFF.
const SPACE: &str = r"\t\n\v\f\r \u{A0}\u{1680}\u{2000}-\u{200A}\u{2028}\u{2029}\u{202F}\u{205F}\u{3000}\u{FEFF}";

/// The control character that classes lose: see [`unambiguous`].
const LOST: char = '\u{1}';

/// That the patterns of a schema are of ECMA-262.
///
/// # Errors
/// With the keyword, and what is wrong.
pub(super) fn check_patterns(keywords: &Map<String, Value>) -> Result<(), (&'static str, String)> {
    let own = keywords.get("pattern").and_then(Value::as_str).map(|pattern| ("pattern", pattern));
    let named = keywords.get("patternProperties").and_then(Value::as_object);
    let names = named.into_iter().flat_map(Map::keys).map(|name| ("patternProperties", name.as_str()));
    own.into_iter().chain(names).try_for_each(|(keyword, pattern)| match translated(pattern) {
        Ok(_) => Ok(()),
        Err(why) => Err((keyword, format!("{pattern:?}: {why}"))),
    })
}

/// Translates all patterns of a schema, through none of which a `$ref` leads, and adds those of its formats. The order of keys stays, with
/// what is new at the end.
///
/// # Errors
/// As [`check_patterns`], and for two patterns of `patternProperties` that are the same.
pub(super) fn translate(schema: &mut Value) -> Result<(), ConstraintError> {
    let places = Places::of(schema)?;
    let mut pointers: Vec<String> = places.iter().map(|(number, _)| places.pointer(number)).collect();
    // The innermost first, as a new name is another pointer to all within.
    pointers.sort_by_key(|pointer| Reverse(pointer.matches('/').count()));
    for at in pointers {
        let Some(Value::Object(keywords)) = schema.pointer_mut(&at) else { continue };
        if let Some(Value::String(pattern)) = keywords.get_mut("pattern") {
            *pattern = translated(pattern).map_err(|why| ConstraintError::keyword(&at, "pattern", &why))?;
        }
        if let Some(Value::Object(named)) = keywords.get_mut("patternProperties") {
            for (name, value) in std::mem::take(named) {
                let wrong = |why: &str| ConstraintError::keyword(&at, "patternProperties", &format!("{name:?}: {why}"));
                if named.insert(translated(&name).map_err(|why| wrong(&why))?, value).is_some() {
                    return Err(wrong("another pattern matches the same names"));
                }
            }
        }
        for pattern in keywords.get("format").and_then(Value::as_str).map_or(&[][..], Format::patterns) {
            let all = keywords.entry("allOf").or_insert_with(|| json!([])).as_array_mut();
            all.into_iter().for_each(|all| all.push(json!({"pattern": pattern})));
        }
    }
    Ok(())
}

/// A pattern in the syntax of `regex-syntax`.
fn translated(pattern: &str) -> Result<String, String> {
    let (mut reader, mut out) = (Reader { rest: pattern }, String::new());
    // Whether a quantifier stands before, and whether it is lazy.
    let (mut is_repeated, mut is_lazy) = (false, false);
    while let Some(c) = reader.next() {
        let was = (is_repeated, is_lazy);
        (is_repeated, is_lazy) = (matches!(c, '*' | '+' | '?' | '{'), c == '?' && was.0);
        if is_repeated && was.0 && (c != '?' || was.1) {
            return Err(format!("the {c} repeats a repetition: put that in parentheses"));
        }
        match c {
            '\\' => match reader.rest.chars().next() {
                Some(boundary @ ('b' | 'B')) => {
                    reader.next();
                    out.extend(['\\', boundary]);
                }
                _ => out += &reader.escape()?.text()?,
            },
            '[' => out += &reader.class()?,
            '.' => out += ANY,
            '{' => {
                let end = reader.rest.find('}').map(|end| &reader.rest[..end]);
                let (least, most) = end.map(|inner| inner.split_once(',').unwrap_or((inner, ""))).unwrap_or_default();
                let is_number = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit());
                if least.is_empty() || !is_number(least) || !is_number(most) {
                    return Err("a { that does not repeat is written \\{".to_owned());
                }
                reader.rest = &reader.rest[end.map_or(0, |end| end.len() + 1)..];
                out += &format!("{{{}}}", end.unwrap_or_default());
            }
            '(' => {
                out.push(c);
                if let Some(rest) = reader.rest.strip_prefix('?') {
                    let flags = rest.split_once([':', ')']).unwrap_or_default().0;
                    let are_flags = flags.chars().all(|flag| flag.is_ascii_alphabetic() || flag == '-');
                    let other = flags.chars().find(|flag| are_flags && !matches!(flag, 'i' | '-'));
                    if let Some(flag) = other {
                        return Err(format!("the flag {flag} is not supported"));
                    }
                    reader.rest = rest;
                    out.push('?');
                }
            }
            LOST => return Err(format!("the character {LOST:?} is not supported")),
            c => out.push(c),
        }
    }
    Ok(out)
}

/// What an escape, or a member of a class, stands for.
enum Atom {
    Character(char),
    /// A class, with its brackets.
    Class(String),
}

impl Atom {
    /// As it is written outside of a class.
    fn text(self) -> Result<String, String> {
        match self {
            Self::Character(LOST) => Err(format!("the character {LOST:?} is not supported")),
            Self::Character(_) => Ok(self.member()),
            Self::Class(class) => Ok(unambiguous(class)),
        }
    }

    /// As it is written in a class.
    fn member(self) -> String {
        match self {
            Self::Character(c) => regex_syntax::escape(c.encode_utf8(&mut [0; 4])),
            Self::Class(class) => class,
        }
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let next = chars.next();
        self.rest = chars.as_str();
        next
    }

    /// What stands after a backslash.
    fn escape(&mut self) -> Result<Atom, String> {
        let c = self.next().ok_or("it ends in a backslash")?;
        let class = |class: &str| Ok(Atom::Class(format!("[{class}]")));
        Ok(Atom::Character(match c {
            'd' => return class(DIGIT),
            'D' => return class(&format!("^{DIGIT}")),
            'w' => return class(WORD),
            'W' => return class(&format!("^{WORD}")),
            's' => return class(SPACE),
            'S' => return class(&format!("^{SPACE}")),
            'p' | 'P' => {
                let is_name = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '='));
                let property = self.rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
                let property = property.filter(|(property, _)| is_name(property));
                let (property, rest) =
                    property.ok_or_else(|| format!("\\{c} has its property in braces: \\{c}{{L}}"))?;
                self.rest = rest;
                return Ok(Atom::Class(format!("\\{c}{{{property}}}")));
            }
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'f' => '\u{C}',
            'v' => '\u{B}',
            '0' if !self.rest.starts_with(|c: char| c.is_ascii_digit()) => '\0',
            '0' => return Err("\\0 is followed by a digit".to_owned()),
            '1'..='9' | 'k' => return Err(format!("\\{c} is a back reference, which is not supported")),
            'c' => match self.next() {
                Some(letter) if letter.is_ascii_alphabetic() => char::from(letter as u8 % 32),
                _ => return Err("\\c is followed by a letter".to_owned()),
            },
            'x' => self.hexadecimal(2).and_then(char::from_u32).ok_or("\\x is followed by two hexadecimal digits")?,
            'u' => self.code_point()?,
            c if c.is_ascii_alphanumeric() => return Err(format!("\\{c} is no escape of ECMA-262")),
            c => c,
        }))
    }

    fn hexadecimal(&mut self, digits: usize) -> Option<u32> {
        let (number, rest) = self.rest.split_at_checked(digits)?;
        if !number.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        self.rest = rest;
        u32::from_str_radix(number, 16).ok()
    }

    /// What stands after `\u`; one beyond U+FFFF may be two surrogates.
    fn code_point(&mut self) -> Result<char, String> {
        let none = "\\u is followed by four hexadecimal digits, or by a code point in braces";
        let half =
            |surrogate: u32| format!("U+{surrogate:04X} is no character, or half of one, which is not supported");
        if let Some(rest) = self.rest.strip_prefix('{') {
            let digits = rest.find('}').ok_or(none)?;
            self.rest = rest;
            let number = self.hexadecimal(digits).ok_or(none)?;
            self.next();
            return char::from_u32(number).ok_or_else(|| half(number));
        }
        let first = self.hexadecimal(4).ok_or(none)?;
        let second = match self.rest.strip_prefix("\\u") {
            Some(rest) if (0xD800..0xDC00).contains(&first) => {
                self.rest = rest;
                Some(self.hexadecimal(4).ok_or(none)? as u16)
            }
            _ => None,
        };
        let mut decoded = char::decode_utf16([first as u16].into_iter().chain(second));
        decoded.next().and_then(Result::ok).ok_or_else(|| half(first))
    }

    /// A class, after its first bracket.
    fn class(&mut self) -> Result<String, String> {
        let is_negated = self.rest.starts_with('^');
        self.rest = &self.rest[usize::from(is_negated)..];
        let mut members = String::new();
        while let Some(first) = self.member()? {
            let goes_on = self.rest.starts_with('-') && !self.rest.starts_with("-]");
            if goes_on {
                self.next();
            }
            let last = match &first {
                Atom::Character(_) if goes_on => self.member()?,
                _ => None,
            };
            if let (Atom::Character(least), Some(Atom::Character(most))) = (&first, &last)
                && least > most
            {
                return Err(format!("the range {least}-{most} is upside down"));
            }
            members += &first.member();
            if goes_on {
                // Beside a class, it is itself.
                members += if matches!(last, Some(Atom::Character(_))) { "-" } else { "\\-" };
            }
            members += &last.map(Atom::member).unwrap_or_default();
        }
        let class = match (members.is_empty(), is_negated) {
            (true, true) => r"[\u{0}-\u{10FFFF}]".to_owned(),
            (true, false) => r"[^\u{0}-\u{10FFFF}]".to_owned(),
            (false, true) => format!("[^{members}]"),
            (false, false) => format!("[{members}]"),
        };
        Ok(unambiguous(class))
    }

    /// A member of a class; none at its end.
    fn member(&mut self) -> Result<Option<Atom>, String> {
        match self.next() {
            Some(']') => Ok(None),
            Some('\\') if self.rest.starts_with('b') => {
                self.next();
                Ok(Some(Atom::Character('\u{8}')))
            }
            Some('\\') => self.escape().map(Some),
            Some(c) => Ok(Some(Atom::Character(c))),
            None => Err("it has a [ without its ]".to_owned()),
        }
    }
}

/// A class without U+0001, unless it has quotes and backslashes. `llguidance` writes `\"` and `\\` for what has all control characters, even where it
/// excludes these; and it unites classes that stand beside each other. JSON writes U+0001 by its number alone.
fn unambiguous(class: String) -> String {
    let Ok(HirKind::Class(Class::Unicode(set))) = regex_syntax::parse(&class).map(|hir| hir.into_kind()) else {
        return class;
    };
    let has = |c: char| set.iter().any(|range| (range.start()..=range.end()).contains(&c));
    if has(LOST) && !(has('"') && has('\\')) { format!(r"[{class}--\u{{1}}]") } else { class }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All characters that a pattern of one character matches, of which there are few or many.
    fn matches(pattern: &str) -> impl Fn(char) -> bool {
        let whole = regex::Regex::new(&format!("^(?:{})$", translated(pattern).unwrap())).unwrap();
        move |c| whole.is_match(c.encode_utf8(&mut [0; 4]))
    }

    #[test]
    fn classes_are_those_of_ecma_262() {
        let spaces =
            "\t\n\u{B}\u{C}\r \u{A0}\u{1680}\u{2000}\u{2005}\u{200A}\u{2028}\u{2029}\u{202F}\u{205F}\u{3000}\u{FEFF}";
        let others = "\u{85}\u{180E}\u{200B}\u{1}a0_äß٣Ⅷ\"\\[]&~-^🦊";
        for c in spaces.chars().chain(others.chars()) {
            let is_space = spaces.contains(c);
            assert_eq!(matches(r"\s")(c), is_space, "{c:?}");
            assert_eq!(matches(r"\S")(c), !is_space, "{c:?}");
            // A class that is ambiguous loses U+0001.
            assert_eq!(matches(r"[^\S]")(c), is_space, "{c:?}");
            assert_eq!(matches(r"\d")(c), c.is_ascii_digit(), "{c:?}");
            assert_eq!(matches(r"[\D]")(c), !c.is_ascii_digit(), "{c:?}");
            assert_eq!(matches(r"\w")(c), c == '_' || c.is_ascii_alphanumeric(), "{c:?}");
            assert_eq!(matches(r"[^\w]")(c), !(c == '_' || c.is_ascii_alphanumeric()), "{c:?}");
            assert_eq!(matches(".")(c), !"\n\r\u{2028}\u{2029}".contains(c), "{c:?}");
            assert!(matches("[^]")(c), "{c:?}");
            assert!(!matches("[]")(c), "{c:?}");
            assert_eq!(matches(r#"[^"\\]"#)(c), !"\"\\\u{1}".contains(c), "{c:?}");
            assert_eq!(matches(r"\P{Po}")(c), !"\"\\&".contains(c) && c != '\u{1}', "{c:?}");
            assert_eq!(matches(r"[\d--_]")(c), "-_".contains(c) || c.is_ascii_digit(), "{c:?}");
            // No operations on sets, and no classes within.
            assert_eq!(matches("[a&&b]")(c), "a&b".contains(c), "{c:?}");
            assert_eq!(matches("[[a~~b]")(c), "[a~b".contains(c), "{c:?}");
            assert_eq!(matches(r"[\w-]")(c), "_-".contains(c) || c.is_ascii_alphanumeric(), "{c:?}");
            assert_eq!(matches(r"[%-\d]")(c), "%-".contains(c) || c.is_ascii_digit(), "{c:?}");
            assert_eq!(matches(r"[\u{1F98A}\cH\b]")(c), "🦊\u{8}".contains(c), "{c:?}");
            assert_eq!(matches(r"\ud83e\udd8a|\u005f|\x61|\-|\/|\&")(c), "🦊_a-&".contains(c), "{c:?}");
        }
    }

    #[test]
    fn what_is_not_of_ecma_262_is_an_error() {
        for (pattern, says) in [
            (r"^a\Z", r"\Z is no escape of ECMA-262"),
            (r"\Aa", r"\A is no"),
            (r"\a", r"\a is no"),
            (r"(a)\1", r"\1 is a back reference"),
            (r"\01", r"\0 is followed by a digit"),
            ("[\\uD800-\\uDBFF]", "half of one"),
            (r"\u{D800}", "U+D800 is no character"),
            ("a++", "the + repeats"),
            ("a{2}{3}", "the { repeats"),
            ("a???", "the ? repeats"),
            (r"\p{Script!=Greek}", r"\p has its property"),
            (r"a\x01", r"'\u{1}' is not supported"),
            ("a\u{1}", r"'\u{1}' is not supported"),
            (r"(?s)a.b", "the flag s is not supported"),
            (r"(?i-x:a)", "the flag x"),
            ("a{,5}", r"written \{"),
            ("{a}", r"written \{"),
            ("[a", "without its ]"),
            ("[b-a]", "upside down"),
            (r"\ud8g3", r"\u is followed by"),
            (r"\xg0", r"\x is followed by"),
            (r"\c1", r"\c is followed by"),
            (r"\pL", r"\p{L}"),
            ("a\\", "ends in a backslash"),
        ] {
            let why = translated(pattern).unwrap_err();
            assert!(why.contains(says), "{pattern}: {why}");
        }
        for pattern in
            [r"^(?<year>\d{4})-(?:a|b){2,}$", "(?i)abc", "(?i:a)b", r"a\{1,2\}", "a{2}}", "a+?b??c{2}?", "(a+)+", "^*"]
        {
            assert!(regex_syntax::parse(&translated(pattern).unwrap()).is_ok(), "{pattern}");
        }
    }
}
