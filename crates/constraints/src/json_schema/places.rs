//! The schemas within a schema.

use super::keywords::{Kind, kind};
use super::references;
use crate::ConstraintError;
use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};

/// The most schemas that `llguidance` compiles.
const MOST: usize = 50_000;

/// All schemas that texts of a schema are made by, each once: itself, those within it, and those that a `$ref` leads to. What no `$ref`
/// leads to in `$defs` is none.
pub(super) struct Places<'a> {
    all: Vec<Place<'a>>,
    seen: HashSet<*const Map<String, Value>>,
    /// Each `$ref`: the schema that has it, the names on its way, and the pointer that they make.
    references: Vec<(usize, Vec<String>, String)>,
    /// The schemas that a `$ref` leads to, wherever they were found first.
    targets: HashSet<*const Value>,
    depth: usize,
    /// Keys on the way to what a `$ref` leads to, each with the object that it stands in.
    passed: HashSet<(*const Map<String, Value>, &'a str)>,
}

struct Place<'a> {
    keywords: &'a Map<String, Value>,
    /// The schema that it stands in, or that has a `$ref` to it.
    within: Option<usize>,
    /// The JSON pointer that leads from there to it, or from the root.
    pointer: String,
    is_from_root: bool,
}

impl<'a> Places<'a> {
    /// Those of a schema.
    ///
    /// # Errors
    /// Where a `$ref` leads nowhere, or not by its place in this schema, and for too many schemas.
    pub(super) fn of(root: &'a Value) -> Result<Self, ConstraintError> {
        let (seen, targets, passed) = (HashSet::new(), HashSet::new(), HashSet::new());
        let mut places =
            Self { all: Vec::new(), seen, references: Vec::new(), targets, depth: 1 + nesting(root), passed };
        places.add(root, None, String::new(), true);
        let mut next = 0;
        while let Some(keywords) = places.all.get(next).map(|place| place.keywords) {
            for (keyword, value) in keywords {
                let keyword = keyword.as_str();
                let mut add = |schema, pointer| places.add(schema, Some(next), pointer, false);
                match (value, kind(keyword)) {
                    (Value::String(reference), _) if keyword == "$ref" => {
                        places
                            .add_target(root, reference, next)
                            .map_err(|why| ConstraintError::keyword(&places.pointer(next), "$ref", &why))?;
                    }
                    (Value::Array(list), Some(Kind::Schemas)) => {
                        list.iter().enumerate().for_each(|(i, schema)| add(schema, format!("/{keyword}/{i}")));
                    }
                    (schema, Some(Kind::Schemas)) => add(schema, format!("/{keyword}")),
                    (Value::Object(named), Some(Kind::NamedSchemas)) => {
                        let pointer = |name: &str| format!("/{keyword}/{}", escaped(name));
                        named.iter().for_each(|(name, schema)| add(schema, pointer(name)));
                    }
                    _ => {}
                }
                if places.all.len() > MOST {
                    return Err(ConstraintError::schema(format!(
                        "it has more than {MOST} schemas within it: that is not supported"
                    )));
                }
            }
            next += 1;
        }
        Ok(places)
    }

    /// A `true` or `false` has no keywords.
    fn add(&mut self, schema: &'a Value, within: Option<usize>, pointer: String, is_from_root: bool) {
        if let Value::Object(keywords) = schema
            && self.seen.insert(keywords)
        {
            self.all.push(Place { keywords, within, pointer, is_from_root });
        }
    }

    /// Adds what a reference leads to.
    fn add_target(&mut self, root: &'a Value, reference: &str, from: usize) -> Result<(), String> {
        let names = references::way(reference)?;
        self.check_base(root, from)?;
        let (mut value, mut pointer) = (root, String::new());
        for name in &names {
            let next = match value {
                Value::Object(object) => object.get_key_value(name).map(|(name, next)| {
                    self.passed.insert((object, name));
                    (next, escaped(name))
                }),
                Value::Array(list) => name.parse().ok().and_then(|i: usize| Some((list.get(i)?, i.to_string()))),
                _ => None,
            };
            let Some((next, step)) = next else {
                return Err(format!("{reference:?} leads nowhere: the schema has no {name:?} there"));
            };
            value = next;
            pointer += &format!("/{step}");
        }
        if !(value.is_object() || value.is_boolean()) {
            return Err(format!("{reference:?} leads to what is no schema"));
        }
        if self.targets.insert(value) {
            self.depth += 1 + nesting(value);
        }
        self.references.push((from, names, pointer.clone()));
        self.add(value, Some(from), pointer, true);
        Ok(())
    }

    /// That the place of a reference counts from the root: an identifier on the way to it would be another base.
    fn check_base(&self, root: &Value, from: usize) -> Result<(), String> {
        let at = self.pointer(from);
        let ends = at.match_indices('/').skip(1).map(|(end, _)| end).chain([at.len()]).filter(|end| *end > 0);
        for within in ends.map(|end| &at[..end]) {
            let identifier = |name| root.pointer(within)?.get(name)?.as_str().filter(|id| !id.starts_with('#'));
            if ["$id", "id"].into_iter().any(|name| identifier(name).is_some()) {
                return Err(format!(
                    "the identifier at {within} gives it another base, which is not supported. Leave that out"
                ));
            }
        }
        Ok(())
    }

    /// Each `$ref`: the pointer to the schema that has it, the names on its way, and the pointer that they make.
    pub(super) fn references(&self) -> Vec<(String, Vec<String>, String)> {
        let all = self.references.iter();
        all.map(|(from, names, pointer)| (self.pointer(*from), names.clone(), pointer.clone())).collect()
    }

    /// How many values lead into each other at most: those of the whole, and of each schema that a `$ref` leads to, which comes once.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// The schemas that stand in one, and those that a `$ref` in it leads to first.
    pub(super) fn within(&self, number: usize) -> Vec<usize> {
        (0..self.all.len()).filter(|&one| self.all[one].within == Some(number)).collect()
    }

    /// For each schema the number of the outermost that it stands in by allOf alone, or its own.
    pub(super) fn in_all_of(&self) -> Vec<usize> {
        let mut outermost: Vec<usize> = Vec::with_capacity(self.all.len());
        for (number, place) in self.all.iter().enumerate() {
            let outer = place.within.filter(|_| place.is_within(&["/allOf/"]));
            // A schema comes after the one that it stands in.
            outermost.push(outer.map_or(number, |outer| outermost[outer]));
        }
        outermost
    }

    /// Pairs of schemas of the same value: one with each of its alternatives, and one with what its `$ref` leads to.
    pub(super) fn alternatives_and_references(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let numbers: HashMap<String, usize> =
            (0..self.all.len()).map(|number| (self.pointer(number), number)).collect();
        let referred = self.references.iter();
        let referred = referred.filter_map(move |(from, _, pointer)| Some((*from, *numbers.get(pointer)?)));
        let alternatives = self.all.iter().enumerate().filter_map(|(number, place)| {
            Some((place.within.filter(|_| place.is_within(&["/anyOf/", "/oneOf/"]))?, number))
        });
        referred.chain(alternatives)
    }

    /// The keywords of each schema, with its number.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &'a Map<String, Value>)> {
        self.all.iter().map(|place| place.keywords).enumerate()
    }

    /// Whether a key of a schema only holds schemas that a `$ref` leads to.
    pub(super) fn is_passed(&self, keywords: &'a Map<String, Value>, key: &'a str) -> bool {
        self.passed.contains(&(std::ptr::from_ref(keywords), key))
    }

    /// The JSON pointer to a schema; empty for the whole.
    pub(super) fn pointer(&self, number: usize) -> String {
        let outer = |place: &&Place<'a>| self.all.get(place.within.filter(|_| !place.is_from_root)?);
        let way = std::iter::successors(self.all.get(number), outer);
        let mut way: Vec<&str> = way.map(|place| place.pointer.as_str()).collect();
        way.reverse();
        way.concat()
    }
}

impl Place<'_> {
    /// Whether it stands in its outer schema by one of these keywords.
    fn is_within(&self, keywords: &[&str]) -> bool {
        !self.is_from_root && keywords.iter().any(|keyword| self.pointer.starts_with(keyword))
    }
}

/// How many values stand within each other in a value; the reader of JSON has a limit.
fn nesting(value: &Value) -> usize {
    let inner = match value {
        Value::Object(fields) => fields.values().map(nesting).max(),
        Value::Array(items) => items.iter().map(nesting).max(),
        _ => return 0,
    };
    1 + inner.unwrap_or(0)
}

/// A name as a JSON pointer has it.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// The pointer to what stands in `other` at the place of a pointer in `value`, as far as there is something: keys may have other names, but are in
/// the same order.
pub(super) fn counterpart(value: &Value, pointer: &str, other: &Value) -> String {
    let (mut value, mut other, mut found) = (value, other, String::new());
    for step in pointer.split('/').skip(1) {
        let name = step.replace("~1", "/").replace("~0", "~");
        let next = match (value, other) {
            (Value::Object(value), Value::Object(other)) => {
                let place = value.keys().position(|key| *key == name);
                place.and_then(|place| Some((&value[&name], other.iter().nth(place)?)))
            }
            (Value::Array(value), Value::Array(other)) => {
                let place = name.parse::<usize>().ok();
                place.and_then(|place| Some((value.get(place)?, (&name, other.get(place)?))))
            }
            _ => None,
        };
        let Some((inner, (name, counterpart))) = next else {
            // A list is no place of a schema.
            let list = found.rfind('/').filter(|_| value.is_array());
            found.truncate(list.unwrap_or(found.len()));
            break;
        };
        (value, other) = (inner, counterpart);
        found += &format!("/{}", escaped(name));
    }
    found
}
