use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::fmt;

/// A JSON value in whose objects no key stands twice: of two, a [`Value`] would keep the last in silence.
#[derive(Clone, Debug, PartialEq)]
pub struct UniqueKeys(pub Value);

impl<'de> Deserialize<'de> for UniqueKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = UniqueKeys;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_unit<E>(self) -> Result<UniqueKeys, E> {
                Ok(UniqueKeys(Value::Null))
            }

            fn visit_bool<E>(self, value: bool) -> Result<UniqueKeys, E> {
                Ok(UniqueKeys(value.into()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<UniqueKeys, E> {
                Ok(UniqueKeys(value.into()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<UniqueKeys, E> {
                Ok(UniqueKeys(value.into()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<UniqueKeys, E> {
                Ok(UniqueKeys(value.into()))
            }

            fn visit_str<E>(self, value: &str) -> Result<UniqueKeys, E> {
                Ok(UniqueKeys(value.into()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<UniqueKeys, A::Error> {
                let mut all = Vec::new();
                while let Some(UniqueKeys(item)) = items.next_element()? {
                    all.push(item);
                }
                Ok(UniqueKeys(all.into()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<UniqueKeys, A::Error> {
                let mut fields = serde_json::Map::new();
                while let Some((name, UniqueKeys(value))) = map.next_entry::<String, _>()? {
                    if fields.contains_key(&name) {
                        return Err(A::Error::custom(format!("it has the key {name:?} twice")));
                    }
                    fields.insert(name, value);
                }
                Ok(UniqueKeys(fields.into()))
            }
        }
        deserializer.deserialize_any(Any)
    }
}
