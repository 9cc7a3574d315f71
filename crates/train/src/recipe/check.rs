//! Checks keys and values against their definitions in [`super::keys`], before anything else is made of a recipe.

use super::keys::{self, DEFAULT_KINDS, Key, Range, ValueType};
use super::suggest::{nearest, unknown};
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
    if fits(key.value, value) {
        return Ok(());
    }
    let shown = match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Array(_) => "[…]".to_owned(),
        DeValue::Table(_) => "{…}".to_owned(),
        DeValue::Datetime(date) => date.to_string(),
    };
    Err(format!("{name} = {}: expected {}", cut(&shown), expected(key, value)))
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

/// Whether a value is of a type, and in its range.
fn fits(of: ValueType, value: &DeValue<'_>) -> bool {
    let all = |each: &dyn Fn(&DeValue<'_>) -> bool, count: Option<usize>| {
        value.as_array().is_some_and(|items| {
            items.iter().all(|item| each(item.get_ref())) && count.is_none_or(|count| items.len() == count)
        })
    };
    let text = |value: &DeValue<'_>| value.is_str();
    let whole = |value: &DeValue<'_>| integer(value).is_some_and(|n| n >= 0);
    let within = |range: Range| move |value: &DeValue<'_>| number(value).is_some_and(|n| range.contains(n));
    match of {
        ValueType::Integer(range) => integer(value).is_some_and(|n| range.contains(n as f64)),
        ValueType::Number(range) => within(range)(value),
        ValueType::Flag => value.is_bool(),
        ValueType::Text => text(value),
        ValueType::Choice(words) => value.as_str().is_some_and(|word| words.contains(&word)),
        ValueType::Files => text(value) || all(&text, Some(2)),
        ValueType::TextList => all(&text, None),
        ValueType::TokenIds => whole(value) || all(&whole, None),
        ValueType::IntegerPair => all(&whole, Some(2)),
        ValueType::NumberPair(range) => all(&within(range), Some(2)),
        ValueType::IntegerList => all(&whole, None),
        ValueType::NumberTable(range) => {
            value.as_table().is_some_and(|table| table.values().all(|value| within(range)(value.get_ref())))
        }
        ValueType::Clip(range) => match value {
            DeValue::Table(table) => {
                let limit = ["norm", "value"].iter().find_map(|name| table.get(*name));
                table.len() == 1 && limit.is_some_and(|limit| within(range)(limit.get_ref()))
            }
            _ => value.as_str() == Some("none"),
        },
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
    let words = key.value.words();
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
    let own = section.strip_prefix("target_").unwrap_or(section);
    let default = DEFAULT_KINDS.iter().find(|(name, _)| *name == own).map(|(_, kind)| *kind);
    let kind = table.get("kind").and_then(Value::as_str).or(default);
    for key in keys::section(own).into_iter().flat_map(|section| section.keys) {
        let name = key.parts().1;
        match table.contains_key(name) {
            true if !key.is_of(kind) => {
                let kinds = key.kinds.iter().map(|kind| format!("{kind:?}")).collect::<Vec<_>>().join(", ");
                let kind = kind.unwrap_or_default();
                return Err(format!(
                    "{section}.{name} is for {section}.kind = {kinds}, not for {kind:?}: leave it out"
                ));
            }
            false if key.is_of(kind) && key.is_required() => {
                let expected = key.value.words();
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
            format!("[{section}] of this kind has no {own}: expected {own} = {}", key.value.words())
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
