//! Where a schema has the fault that `llguidance` names no place of.

use super::places::Places;
use serde_json::Value;

/// How many times a schema is tried at most, and how many schemas it then has in all: `llguidance` takes long for thousands of them.
const MOST_TRIES: usize = 40;
const MOST_TRIED: usize = 40_000;

/// The JSON pointer to the smallest schema within one that fails in the same way where whatever stands in it allows anything.
pub(super) fn place(schema: &Value, fails: impl Fn(&Value) -> bool) -> String {
    let Ok(places) = Places::of(schema) else { return String::new() };
    let (mut at, mut left, mut tries) = (0, schema.clone(), 0);
    let most = MOST_TRIES.min(MOST_TRIED / places.iter().count().max(1));
    let mut fails = |schema: &Value| {
        tries += 1;
        (tries <= most).then(|| fails(schema))
    };
    loop {
        let mut inner = places.within(at);
        while inner.len() > 1 {
            let second = inner.split_off(inner.len() / 2);
            let halves = [(&inner, &second), (&second, &inner)].into_iter();
            let found = halves
                .map(|(kept, others)| (kept.clone(), allowing(&left, &places, others)))
                .find(|(_, schema)| fails(schema) == Some(true));
            let Some(found) = found else { return places.pointer(at) };
            (inner, left) = found;
        }
        match inner[..] {
            // Without it, this schema has no fault. After the last try nothing more is known.
            [one] if fails(&allowing(&left, &places, &inner)) == Some(false) => at = one,
            _ => return places.pointer(at),
        }
    }
}

/// The same where some of its schemas allow anything.
fn allowing(schema: &Value, places: &Places<'_>, open: &[usize]) -> Value {
    let mut schema = schema.clone();
    for place in open {
        if let Some(place) = schema.pointer_mut(&places.pointer(*place)) {
            *place = Value::Bool(true);
        }
    }
    schema
}
