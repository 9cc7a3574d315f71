//! The schemas within a schema.

use super::keywords::{Kind, kind};
use serde_json::{Map, Value};
use std::collections::HashSet;

/// All schemas that texts of a schema are made by, each once: itself, those within it, and those that a `$ref` leads to. What no `$ref`
/// leads to in `$defs` is none.
pub(super) struct Places<'a> {
    all: Vec<Place<'a>>,
    seen: HashSet<*const Map<String, Value>>,
    /// Keys on the way to what a `$ref` leads to, each with the object that it stands in.
    passed: HashSet<(*const Map<String, Value>, &'a str)>,
}

struct Place<'a> {
    keywords: &'a Map<String, Value>,
    /// The schema that it stands in.
    within: Option<usize>,
    /// The JSON pointer that leads from there to it.
    pointer: String,
}

impl<'a> Places<'a> {
    pub(super) fn of(root: &'a Value) -> Self {
        let mut places = Self { all: Vec::new(), seen: HashSet::new(), passed: HashSet::new() };
        places.add(root, None, String::new());
        let mut next = 0;
        while let Some(keywords) = places.all.get(next).map(|place| place.keywords) {
            for (keyword, value) in keywords {
                let keyword = keyword.as_str();
                match (value, kind(keyword)) {
                    (Value::String(reference), _) if keyword == "$ref" => places.add_target(root, reference),
                    (Value::Array(list), Some(Kind::Schemas)) => {
                        let schemas = list.iter().enumerate();
                        schemas.for_each(|(i, schema)| places.add(schema, Some(next), format!("/{keyword}/{i}")));
                    }
                    (schema, Some(Kind::Schemas)) => places.add(schema, Some(next), format!("/{keyword}")),
                    (Value::Object(named), Some(Kind::NamedSchemas)) => {
                        let pointer = |name: &str| format!("/{keyword}/{}", escaped(name));
                        named.iter().for_each(|(name, schema)| places.add(schema, Some(next), pointer(name)));
                    }
                    _ => {}
                }
            }
            next += 1;
        }
        places
    }

    /// A `true` or `false` has no keywords.
    fn add(&mut self, schema: &'a Value, within: Option<usize>, pointer: String) {
        if let Value::Object(keywords) = schema
            && self.seen.insert(keywords)
        {
            self.all.push(Place { keywords, within, pointer });
        }
    }

    /// What a reference leads to; one that leads nowhere, `llguidance` refuses, and it reads names as they stand there.
    fn add_target(&mut self, root: &'a Value, reference: &'a str) {
        let Some(way) = reference.strip_prefix("#/").filter(|way| !way.is_empty()) else { return };
        let (mut value, mut pointer) = (root, String::new());
        for name in way.split('/') {
            let next = match value {
                Value::Object(object) => {
                    self.passed.insert((object, name));
                    object.get(name).map(|next| (next, escaped(name)))
                }
                Value::Array(list) => name.parse().ok().and_then(|i: usize| Some((list.get(i)?, i.to_string()))),
                _ => None,
            };
            let Some((next, step)) = next else { return };
            value = next;
            pointer += &format!("/{step}");
        }
        self.add(value, None, pointer);
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
        let way = std::iter::successors(self.all.get(number), |place| self.all.get(place.within?));
        let mut way: Vec<&str> = way.map(|place| place.pointer.as_str()).collect();
        way.reverse();
        way.concat()
    }
}

/// A name as a JSON pointer has it.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
