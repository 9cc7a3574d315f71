//! Checks keys and values against their definitions in [`super::keys`], before anything else is made of a recipe.

use super::keys::{self, DEFAULT_KINDS, FROM_0, Key, ValueType};
use super::suggest::{nearest, unknown};
use descant_hyperparameters::ClippingConfig;
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

/// Characters of a line or a value that a message shows.
const SHOWN: usize = 100;

/// Visits the values of a table: all that are no sections themselves.
pub(super) fn walk<'a>(
    table: &'a DeTable<'a>,
    prefix: &str,
    visit: &mut impl FnMut(&str, std::ops::Range<usize>, &'a Spanned<DeValue<'a>>),
) {
    for (key, value) in table {
        let name = format!("{prefix}{}", key.get_ref());
        match value.get_ref() {
            DeValue::Table(inner) if keys::find(&name).is_none() && keys::section(&name).is_some() => {
                walk(inner, &format!("{name}."), visit);
            }
            _ => visit(&name, key.span(), value),
        }
    }
}

/// That there is such a key, and that it takes such a value.
pub(super) fn check(name: &str, value: &DeValue<'_>) -> Result<(), String> {
    let Some(key) = keys::find(name) else {
        return Err(match keys::section(name) {
            Some(_) => format!("{name} is a section: expected {name}.key = value, or [{name}]"),
            None => unknown(name),
        });
    };
    let Some(Misfit { path, value, of }) = misfit(key.value, value) else { return Ok(()) };
    let shown = match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Array(_) => "[…]".to_owned(),
        DeValue::Table(_) => "{…}".to_owned(),
        DeValue::Datetime(date) => date.to_string(),
    };
    let expected = if path.is_empty() { expected(key, value) } else { of.words() };
    Err(format!("{name}{path} = {}: expected {expected}", cut(&shown)))
}

/// That all values of a recipe's table are what their keys take.
pub(super) fn check_all(table: &Table) -> Result<(), String> {
    let text = table.to_string();
    let parsed = DeTable::parse(&text).map_err(|error| error.message().to_owned())?;
    let mut problem = None;
    walk(parsed.get_ref(), "", &mut |name, _, value| {
        problem = problem.take().or_else(|| check(name, value.get_ref()).err());
    });
    problem.map_or(Ok(()), Err)
}

/// A value, or an entry of it, that its key does not take.
struct Misfit<'a> {
    /// Of an entry, its place within the value, such as `[1]` or `.norm`.
    path: String,
    value: &'a DeValue<'a>,
    /// What is expected in its place.
    of: ValueType,
}

/// The first part of a value that is of another type, or out of its range.
fn misfit<'a>(of: ValueType, value: &'a DeValue<'a>) -> Option<Misfit<'a>> {
    let all = Misfit { path: String::new(), value, of };
    let entry = |path: String, of: ValueType, value: &'a Spanned<DeValue<'a>>| {
        misfit(of, value.get_ref()).map(|misfit| Misfit { path: path + &misfit.path, ..misfit })
    };
    let list = |of: ValueType, count: Option<usize>, all: Misfit<'a>| match value.as_array() {
        Some(items) if count.is_none_or(|count| items.len() == count) => {
            items.iter().enumerate().find_map(|(at, item)| entry(format!("[{at}]"), of, item))
        }
        _ => Some(all),
    };
    let index = ValueType::Integer(FROM_0);
    let fits = match of {
        ValueType::Integer(range) => integer(value).is_some_and(|n| range.contains(n as f64)),
        ValueType::Number(range) => number(value).is_some_and(|n| range.contains(n)),
        ValueType::Flag => value.is_bool(),
        ValueType::Text => value.is_str(),
        ValueType::Choice(words) => value.as_str().is_some_and(|word| words.contains(&word)),
        ValueType::Files if value.is_str() => true,
        ValueType::Files
            if value.as_array().is_some_and(|sides| sides.iter().all(|side| side.get_ref().is_array())) =>
        {
            let sides = value.as_array().map_or(&[][..], |sides| &sides[..]);
            let is_empty = |side: &Spanned<DeValue<'_>>| side.get_ref().as_array().is_none_or(|side| side.is_empty());
            if sides.is_empty() || sides.len() > 2 || sides.iter().any(is_empty) {
                return Some(all);
            }
            return sides.iter().enumerate().find_map(|(at, side)| entry(format!("[{at}]"), ValueType::TextList, side));
        }
        ValueType::Files => return list(ValueType::Text, Some(2), all),
        ValueType::Columns => {
            let columns = value.as_array().map_or(&[][..], |columns| &columns[..]);
            let of =
                if columns.first().is_some_and(|column| column.get_ref().is_str()) { ValueType::Text } else { index };
            return match columns.len() {
                1..=3 => list(of, None, all),
                _ => Some(all),
            };
        }
        ValueType::Column => value.is_str() || integer(value).is_some_and(|n| n >= 0),
        ValueType::TextList => return list(ValueType::Text, None, all),
        ValueType::ChoiceList(words) => return list(ValueType::Choice(words), None, all),
        ValueType::TokenIds if integer(value).is_some_and(|n| n >= 0) => true,
        ValueType::TokenIds => return list(index, None, all),
        ValueType::NumberPair(range) => return list(ValueType::Number(range), Some(2), all),
        ValueType::IntegerList => return list(index, None, all),
        ValueType::NumberList(range) => return list(ValueType::Number(range), None, all),
        ValueType::NumberTable(_) | ValueType::IntegerTable => match value.as_table() {
            Some(table) => {
                let of = if let ValueType::NumberTable(range) = of { ValueType::Number(range) } else { index };
                let name = |key: &str| format!(".{}", cut(&format!("{key:?}")));
                return table.iter().find_map(|(key, value)| entry(name(key.get_ref()), of, value));
            }
            None => false,
        },
        ValueType::Clip(range) => match value.as_table() {
            Some(table) => match ClippingConfig::KINDS.iter().find_map(|(name, _)| Some((name, table.get(*name)?))) {
                Some((name, limit)) if table.len() == 1 => {
                    return entry(format!(".{name}"), ValueType::Number(range), limit);
                }
                _ => false,
            },
            None => value.as_str() == Some("none"),
        },
        ValueType::Decoding(of) => of.fits(&json(value)),
    };
    (!fits).then_some(all)
}

/// A value as JSON, which decoding options are checked in.
fn json(value: &DeValue<'_>) -> serde_json::Value {
    match value {
        DeValue::String(text) => text.as_ref().into(),
        DeValue::Boolean(flag) => (*flag).into(),
        DeValue::Integer(_) => integer(value).into(),
        DeValue::Float(_) => number(value).into(),
        DeValue::Array(items) => items.iter().map(|item| json(item.get_ref())).collect(),
        DeValue::Table(_) | DeValue::Datetime(_) => serde_json::Value::Null,
    }
}

/// An integer of TOML, where it is below 2^63.
fn integer(value: &DeValue<'_>) -> Option<i64> {
    let number = value.as_integer()?;
    i64::from_str_radix(&number.as_str().replace('_', ""), number.radix()).ok()
}

/// A number of TOML.
fn number(value: &DeValue<'_>) -> Option<f64> {
    match value.as_float() {
        Some(number) => number.as_str().replace('_', "").parse().ok(),
        None => integer(value).map(|number| number as f64),
    }
}

/// What a key takes, with an example or the nearest word.
fn expected(key: &Key, value: &DeValue<'_>) -> String {
    let words = key.words();
    match (key.value, value.as_str()) {
        (ValueType::Integer(range), _) => {
            let is_too_large =
                value.as_integer().is_some_and(|n| !n.as_str().starts_with('-')) && integer(value).is_none();
            let default = key.default.parse::<u32>().ok();
            match default.or(range.contains(512.0).then_some(512)) {
                _ if is_too_large => format!("{words}, and below 2^63"),
                Some(example) => format!("{words}, such as {example}"),
                None => words,
            }
        }
        (ValueType::Number(_), _) => match key.default.parse::<f64>() {
            Ok(_) => format!("{words}, such as {}", key.default),
            Err(_) => words,
        },
        (ValueType::Choice(_), Some("sentencepiece")) => format!("{words}. SentencePiece's kinds are unigram and bpe"),
        (ValueType::Choice(choices), Some(word)) => match nearest(word, choices.iter().copied()) {
            Some((near, choice)) if near > 0.7 => format!("{words}; the nearest is {choice:?}"),
            _ => words,
        },
        _ => words,
    }
}

/// That every section has its required keys, and none of another kind.
pub(super) fn check_required(table: &Table, section: &str) -> Result<(), String> {
    if section.is_empty() && !table.contains_key("model") {
        return Err(
            "there is no [model]. Add [model] with kind = \"encoder-decoder\" (pairs) or \"language-model\" (text); \
             descant init prints a recipe to begin with"
                .to_owned(),
        );
    }
    let default = DEFAULT_KINDS.iter().find(|(name, _)| *name == section).map(|(_, kind)| *kind);
    let kind = table.get("kind").and_then(Value::as_str).or(default);
    for key in keys::section(section).into_iter().flat_map(|section| section.keys) {
        let name = key.parts().1;
        match table.contains_key(name) {
            true if !key.is_of(kind) => {
                let kinds = key.kinds().iter().map(|kind| format!("{kind:?}")).collect::<Vec<_>>().join(", ");
                let kind = kind.unwrap_or_default();
                return Err(format!(
                    "{section}.{name} is for {section}.kind = {kinds}, not for {kind:?}: leave it out"
                ));
            }
            false if key.is_of(kind) && key.is_required() => {
                let expected = key.words();
                return Err(match section {
                    "" => format!("there is no {name}: expected {expected}"),
                    _ => format!("[{section}] has no {name}: expected {name} = {expected}"),
                });
            }
            _ => {}
        }
    }
    for (name, value) in table {
        let inner = if section.is_empty() { name.clone() } else { format!("{section}.{name}") };
        if let (Value::Table(table), None) = (value, keys::find(&inner)) {
            check_required(table, &inner)?;
        }
    }
    Ok(())
}

/// The message where deserialisation fails after all checks: a key is missing that some kinds need.
pub(super) fn missing(table: &Table, message: &str) -> String {
    let name = message.split('`').nth(1).filter(|_| message.starts_with("missing field"));
    let lacks = |key: &&Key| {
        let (section, own) = key.parts();
        let inner = section.split('.').try_fold(table, |table, part| table.get(part)?.as_table());
        Some(own) == name && inner.is_some_and(|table| !table.contains_key(own))
    };
    match keys::all().find(lacks) {
        Some(key) => {
            let (section, own) = key.parts();
            format!("[{section}] of this kind has no {own}: expected {own} = {}", key.words())
        }
        None => cut(message),
    }
}

/// A text for a message, cut where it is long.
pub(super) fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
