//! Which tokens are special, and which of them stand around a text.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The id of what the vocabulary does not have.
pub const UNK: u32 = 0;
/// The id of the beginning of a sequence.
pub const BOS: u32 = 1;
/// The id of the end of a sequence.
pub const EOS: u32 = 2;

/// With [`Special::pieces_apart`], what stands before an entry that no text has: it is read by the model's name alone.
pub const NO_PIECE: char = '\u{E003}';
/// With [`Special::pieces_apart`], the score of an entry of letters that no piece has.
pub const UNKNOWN_LETTERS: f64 = -1e5;

/// Which ids of a tokenizer that was made elsewhere are special: the table `special` in a recipe's `[tokenizer]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Special {
    /// What the vocabulary does not have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<u32>,
    /// BOS: what a decoder starts from, and what a language model reads where it is given nothing. Some language models
    /// have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beginning: Option<u32>,
    /// EOS: each of these ends a text. In training, the first stands after a text that has none yet. Without any, texts
    /// are written to the full length.
    #[serde(rename = "end", default, skip_serializing_if = "Vec::is_empty")]
    #[serde(serialize_with = "one_or_several", deserialize_with = "several_or_one")]
    pub ends: Vec<u32>,
    /// What the tokenizer puts around a text. Without it, as those that are trained here: the end after a source, and the
    /// beginning before all that a language model reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub around: Option<Around>,
    /// Entries of the model's tables, where they are more than the tokenizer's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entries: Option<usize>,
    /// Whether texts are cut by pieces that are not all the model's entries, as Marian's are: those from `entries` on are
    /// unknown to it, and letters that no piece has are one unknown token together.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pieces_apart: bool,
    /// Whether characters are replaced as SentencePiece itself does it: of all replacements that begin at a place, the longest.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sentencepiece: bool,
}

/// What stands around a text: what the post-processor of a `tokenizer.json` adds to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Around {
    /// The ids before it, such as BOS.
    #[serde(default, deserialize_with = "several_or_one")]
    pub before: Vec<u32>,
    /// The ids after it, such as EOS.
    #[serde(default, deserialize_with = "several_or_one")]
    pub after: Vec<u32>,
}

impl Around {
    /// `ids` with what stands around them.
    pub fn put(&self, ids: &[u32]) -> Vec<u32> {
        [&self.before, ids, &self.after].concat()
    }
}

impl Default for Special {
    /// Those of the tokenizers that are trained here.
    fn default() -> Self {
        Self {
            unknown: Some(UNK),
            beginning: Some(BOS),
            ends: vec![EOS],
            around: None,
            entries: None,
            pieces_apart: false,
            sentencepiece: false,
        }
    }
}

impl Special {
    /// Where nothing is: the tokenizer may still have control tokens.
    pub fn none() -> Self {
        Self { unknown: None, beginning: None, ends: Vec::new(), ..Self::default() }
    }

    /// What stands after a text that has no end yet.
    pub fn end(&self) -> Option<u32> {
        self.ends.first().copied()
    }

    /// All ids that are named.
    pub fn ids(&self) -> impl Iterator<Item = u32> {
        let around = self.around.iter().flat_map(|around| around.before.iter().chain(&around.after));
        self.unknown.iter().chain(&self.beginning).chain(&self.ends).chain(around).copied()
    }

    /// What stands around what an encoder reads, or a decoder learns to write.
    pub fn around_source(&self) -> Around {
        let own = || Around { before: Vec::new(), after: self.end().into_iter().collect() };
        self.around.clone().unwrap_or_else(own)
    }

    /// What stands around what a language model reads.
    pub fn around_prompt(&self) -> Around {
        let own = || Around { before: self.beginning.into_iter().collect(), after: Vec::new() };
        self.around.clone().unwrap_or_else(own)
    }

    /// What stands around a conversation as its template wrote it: nothing where the tokenizer is from elsewhere, as then
    /// the template writes all.
    pub fn around_conversation(&self) -> Around {
        if self.around.is_some() { Around::default() } else { self.around_prompt() }
    }

    /// What is kept of a conversation's prompt and of its answer: a beginning that comes before it anyhow is not doubled, and
    /// the answer goes up to its end, with it.
    pub fn between<'a>(&self, prompt: &'a [u32], answer: &'a [u32]) -> (&'a [u32], &'a [u32]) {
        let end = answer.iter().position(|id| self.ends.contains(id)).map_or(answer.len(), |end| end + 1);
        (prompt.strip_prefix(&self.around_conversation().before[..]).unwrap_or(prompt), &answer[..end])
    }
}

fn one_or_several<S: Serializer>(ids: &[u32], serializer: S) -> Result<S::Ok, S::Error> {
    match ids {
        [one] => one.serialize(serializer),
        ids => ids.serialize(serializer),
    }
}

fn several_or_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u32>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected an id, or a list of ids")]
    enum Ids {
        One(u32),
        Several(Vec<u32>),
    }
    Ok(match Ids::deserialize(deserializer)? {
        Ids::One(id) => vec![id],
        Ids::Several(ids) => ids,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_tables_mean_what_they_meant_and_all_are_written_as_they_are_read() {
        let read = |text: &str| serde_json::from_str::<Special>(text).unwrap();
        let old = read(r#"{"unknown": 0, "beginning": 1, "end": 2, "entries": 9}"#);
        assert_eq!(old, Special { entries: Some(9), ..Special::default() });
        assert_eq!(old.around_source().put(&[7]), [7, 2]);
        assert_eq!(old.around_prompt().put(&[7]), [1, 7]);
        assert_eq!(old.between(&[1, 7], &[8, 2, 9]), (&[7][..], &[8, 2][..]));
        let new = read(r#"{"end": [2, 5], "around": {"before": [3, 4]}}"#);
        assert_eq!((new.beginning, new.end()), (None, Some(2)));
        assert_eq!(new.around_source().put(&[7]), [3, 4, 7]);
        assert_eq!(new.around_prompt(), new.around_source());
        // A template writes what stands before a conversation itself.
        assert_eq!(new.between(&[3, 4, 7], &[8, 5, 9]), (&[3, 4, 7][..], &[8, 5][..]));
        for special in [old, new] {
            let text = serde_json::to_string(&special).unwrap();
            assert_eq!(read(&text), special, "{text}");
        }
    }
}
