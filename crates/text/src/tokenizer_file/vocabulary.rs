use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

/// What is looked at in a vocabulary, which is not kept.
pub(super) struct Vocabulary {
    pub(super) entries: usize,
    /// Bytes of the longest token.
    pub(super) longest: usize,
    /// The highest id and its token.
    pub(super) highest: (u32, String),
    /// Two tokens with one id.
    pub(super) twice: Option<(String, String)>,
    /// Whether it is a list of pieces with scores.
    pub(super) scored: bool,
    /// Nodes of the trie of such pieces: their different prefixes, by bytes.
    pub(super) nodes: usize,
}

/// A text that is borrowed from the file where it can be.
struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Text {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a token")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// A piece of Unigram, whose score must be a number.
struct Piece<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Piece<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pair;
        impl<'de> Visitor<'de> for Pair {
            type Value = Piece<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a piece and its score")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<Self::Value, A::Error> {
                let missing = || A::Error::custom("expected a piece and its score");
                let piece = pair.next_element_seed(Text)?.ok_or_else(missing)?;
                let _: f64 = pair.next_element()?.ok_or_else(missing)?;
                match pair.next_element::<IgnoredAny>()? {
                    None => Ok(Piece(piece)),
                    Some(_) => Err(missing()),
                }
            }
        }
        deserializer.deserialize_seq(Pair)
    }
}

impl<'de> Deserialize<'de> for Vocabulary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Vocabulary;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("tokens with their ids, or pieces with their scores")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut tokens: HashMap<u32, Cow<'de, str>> = HashMap::new();
                let (mut longest, mut twice) = (0, None);
                while let Some(token) = map.next_key_seed(Text)? {
                    longest = longest.max(token.len());
                    let id: u32 = map.next_value()?;
                    if let Some(other) = tokens.get(&id) {
                        twice.get_or_insert_with(|| (other.to_string(), token.to_string()));
                    }
                    tokens.insert(id, token);
                }
                let highest = tokens.iter().max_by_key(|(id, _)| **id);
                let highest = highest.map(|(id, token)| (*id, token.to_string())).unwrap_or_default();
                Ok(Vocabulary { entries: tokens.len(), longest, highest, twice, scored: false, nodes: 0 })
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut pieces: A) -> Result<Self::Value, A::Error> {
                let mut texts: Vec<Cow<'de, str>> = Vec::new();
                while let Some(Piece(text)) = pieces.next_element()? {
                    texts.push(text);
                }
                let entries = texts.len();
                let highest = u32::try_from(entries).unwrap_or(u32::MAX).saturating_sub(1);
                let highest = (highest, "the last piece".to_owned());
                let longest = texts.iter().map(|text| text.len()).max().unwrap_or(0);
                texts.sort_unstable();
                let nodes = nodes(&texts);
                Ok(Vocabulary { entries, longest, highest, twice: None, scored: true, nodes })
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// Different prefixes of texts in order.
fn nodes(texts: &[Cow<'_, str>]) -> usize {
    let shared = |a: &str, b: &str| a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    let first = texts.first().map_or(0, |text| text.len());
    first + texts.windows(2).map(|pair| pair[1].len() - shared(&pair[0], &pair[1])).sum::<usize>()
}

/// Merges, which are pairs of tokens, or both in one text.
pub(super) struct Merges;

impl<'de> Deserialize<'de> for Merges {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Of entries without a size, the list allocates nothing.
        Vec::<IgnoredAny>::deserialize(deserializer).map(|_| Self)
    }
}
