//! Special tokens (unknown, BOS, EOS), and the post-processor that adds them around a text.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The id of the unknown token.
pub const UNK: u32 = 0;
/// The id of BOS, before a sequence.
pub const BOS: u32 = 1;
/// The id of EOS, after a sequence.
pub const EOS: u32 = 2;

/// With [`SpecialTokens::pieces_apart`], what stands before an entry that no text has: it is read by the model's name alone.
pub const NO_PIECE: char = '\u{E003}';
/// With [`SpecialTokens::pieces_apart`], the score of an entry of characters that no piece has.
pub const UNKNOWN_CHARACTERS: f64 = -1e5;

/// The special tokens of a tokenizer: the table `special` in a recipe's `[tokenizer]`, which an import writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpecialTokens {
    /// The unknown token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<u32>,
    /// BOS: what a decoder starts from, and the prompt of a language model that is given none. Some language models have
    /// no BOS.
    #[serde(rename = "beginning", default, skip_serializing_if = "Option::is_none")]
    pub bos: Option<u32>,
    /// EOS: each of these ends a text. In training, the first is appended to a text that has none yet. Without any,
    /// generation stops at the length limit.
    #[serde(rename = "end", default, skip_serializing_if = "Vec::is_empty")]
    #[serde(serialize_with = "one_or_several", deserialize_with = "several_or_one")]
    pub eos: Vec<u32>,
    /// The post-processor. Without one, as tokenizers that are trained here: EOS after a source, BOS before a prompt.
    #[serde(rename = "around", default, skip_serializing_if = "Option::is_none")]
    pub post_processor: Option<PostProcessor>,
    /// Rows of the model's embedding tables, where they are more than the tokenizer's entries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entries: Option<usize>,
    /// Whether the tokenizer's pieces are not all in the model's vocabulary, as Marian's: ids from `entries` on become the
    /// unknown token, and so does a run of characters that no piece has.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pieces_apart: bool,
    /// Whether characters are normalised as by SentencePiece itself: of all replacements that match at a position, the
    /// longest is taken.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sentencepiece: bool,
}

/// Adds special tokens around a text, as the `post_processor` of a `tokenizer.json` does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostProcessor {
    /// The ids before the text, such as BOS.
    #[serde(rename = "before", default, deserialize_with = "several_or_one")]
    pub prefix: Vec<u32>,
    /// The ids after the text, such as EOS.
    #[serde(rename = "after", default, deserialize_with = "several_or_one")]
    pub suffix: Vec<u32>,
}

impl PostProcessor {
    /// `ids` between prefix and suffix.
    pub fn apply(&self, ids: &[u32]) -> Vec<u32> {
        [&self.prefix, ids, &self.suffix].concat()
    }
}

impl Default for SpecialTokens {
    /// Those of the tokenizers that are trained here.
    fn default() -> Self {
        Self {
            unknown: Some(UNK),
            bos: Some(BOS),
            eos: vec![EOS],
            post_processor: None,
            entries: None,
            pieces_apart: false,
            sentencepiece: false,
        }
    }
}

impl SpecialTokens {
    /// No unknown token, BOS or EOS; the tokenizer may still have other control tokens.
    pub fn none() -> Self {
        Self { unknown: None, bos: None, eos: Vec::new(), ..Self::default() }
    }

    /// The EOS that is appended to a text without one.
    pub fn first_eos(&self) -> Option<u32> {
        self.eos.first().copied()
    }

    /// All ids that are named.
    pub fn ids(&self) -> impl Iterator<Item = u32> {
        let post_processor = self.post_processor.iter();
        let added = post_processor.flat_map(|PostProcessor { prefix, suffix }| prefix.iter().chain(suffix));
        self.unknown.iter().chain(&self.bos).chain(&self.eos).chain(added).copied()
    }

    /// The post-processor of an encoder's source, and of a decoder's target.
    pub fn source_post_processor(&self) -> PostProcessor {
        let own = || PostProcessor { prefix: Vec::new(), suffix: self.first_eos().into_iter().collect() };
        self.post_processor.clone().unwrap_or_else(own)
    }

    /// The post-processor of a language model's prompt.
    pub fn prompt_post_processor(&self) -> PostProcessor {
        let own = || PostProcessor { prefix: self.bos.into_iter().collect(), suffix: Vec::new() };
        self.post_processor.clone().unwrap_or_else(own)
    }

    /// The post-processor of a rendered chat template. For an imported tokenizer it adds nothing, as the template itself
    /// writes all special tokens.
    pub fn conversation_post_processor(&self) -> PostProcessor {
        if self.post_processor.is_some() { PostProcessor::default() } else { self.prompt_post_processor() }
    }

    /// Trims a conversation's prompt and response: a prefix that the post-processor adds is not doubled, and the response is
    /// cut after its first EOS.
    pub fn trim_turn<'a>(&self, prompt: &'a [u32], response: &'a [u32]) -> (&'a [u32], &'a [u32]) {
        let end = response.iter().position(|id| self.eos.contains(id)).map_or(response.len(), |eos| eos + 1);
        (prompt.strip_prefix(&self.conversation_post_processor().prefix[..]).unwrap_or(prompt), &response[..end])
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
        let read = |text: &str| serde_json::from_str::<SpecialTokens>(text).unwrap();
        let old = read(r#"{"unknown": 0, "beginning": 1, "end": 2, "entries": 9}"#);
        assert_eq!(old, SpecialTokens { entries: Some(9), ..SpecialTokens::default() });
        assert_eq!(old.source_post_processor().apply(&[7]), [7, 2]);
        assert_eq!(old.prompt_post_processor().apply(&[7]), [1, 7]);
        assert_eq!(old.trim_turn(&[1, 7], &[8, 2, 9]), (&[7][..], &[8, 2][..]));
        let new = read(r#"{"end": [2, 5], "around": {"before": [3, 4]}}"#);
        assert_eq!((new.bos, new.first_eos()), (None, Some(2)));
        assert_eq!(new.source_post_processor().apply(&[7]), [3, 4, 7]);
        assert_eq!(new.prompt_post_processor(), new.source_post_processor());
        // A template writes what stands before a conversation itself.
        assert_eq!(new.trim_turn(&[3, 4, 7], &[8, 5, 9]), (&[3, 4, 7][..], &[8, 5][..]));
        for special in [old, new] {
            let text = serde_json::to_string(&special).unwrap();
            assert_eq!(read(&text), special, "{text}");
        }
    }
}
