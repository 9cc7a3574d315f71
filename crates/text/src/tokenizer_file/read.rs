//! Builds the tokenizer of a `tokenizer.json` that was checked.
//!
//! `tokenizers` reads the model, much the largest part, into a tree of values, copies that, and makes the model of the copy: a
//! kilobyte for each token. Here it is deserialized into the model's own tables.

use serde::de::{DeserializeOwned, Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use tokenizers::models::ModelWrapper;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::models::unigram::Unigram;
use tokenizers::models::wordlevel::WordLevel;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::{AddedToken, DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper, Tokenizer};

/// All of a file but its model.
#[derive(Deserialize)]
struct Parts {
    version: Option<String>,
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
    normalizer: Option<NormalizerWrapper>,
    pre_tokenizer: Option<PreTokenizerWrapper>,
    post_processor: Option<PostProcessorWrapper>,
    decoder: Option<DecoderWrapper>,
}

/// The tokenizer of the file, without padding and truncation.
///
/// # Errors
/// The message of `tokenizers`.
pub(crate) fn tokenizer(bytes: &[u8]) -> Result<Tokenizer, String> {
    let Parts { version, added_tokens, normalizer, pre_tokenizer, post_processor, decoder } =
        serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if let Some(version) = version.filter(|version| version != "1.0") {
        return Err(format!("version = {version:?}: expected \"1.0\""));
    }
    let mut tokenizer = Tokenizer::new(read_model(bytes).map_err(|error| error.to_string())?);
    tokenizer.with_normalizer(normalizer).map_err(|error| error.to_string())?;
    tokenizer.with_pre_tokenizer(pre_tokenizer);
    tokenizer.with_post_processor(post_processor);
    tokenizer.with_decoder(decoder);
    tokenizer.add_tokens(added_tokens).map_err(|error| error.to_string())?;
    Ok(tokenizer)
}

fn read_model(bytes: &[u8]) -> serde_json::Result<ModelWrapper> {
    #[derive(Deserialize)]
    struct Tagged {
        #[serde(rename = "type")]
        kind: Option<String>,
    }
    Ok(match model::<Tagged>(bytes)?.kind.as_deref() {
        Some("BPE") => model::<BytePairs>(bytes)?.build().map_err(Error::custom)?.into(),
        Some("Unigram") => model::<Unigram>(bytes)?.into(),
        Some("WordPiece") => model::<WordPiece>(bytes)?.into(),
        Some("WordLevel") => model::<WordLevel>(bytes)?.into(),
        // Older files do not say the type.
        _ => model(bytes)?,
    })
}

/// The model of a file as an `M`; all else is skipped.
fn model<M: DeserializeOwned>(bytes: &[u8]) -> serde_json::Result<M> {
    #[derive(Deserialize)]
    struct File<M> {
        model: M,
    }
    serde_json::from_slice::<File<M>>(bytes).map(|file| file.model)
}

/// A model of the type BPE.
#[derive(Deserialize)]
struct BytePairs {
    unk_token: Option<String>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    fuse_unk: Option<bool>,
    byte_fallback: Option<bool>,
    ignore_merges: Option<bool>,
    vocab: Vocab,
    merges: Vec<Merge>,
}

impl BytePairs {
    fn build(self) -> tokenizers::Result<BPE> {
        let merges = self.merges.into_iter().filter_map(|Merge(pair)| pair).collect();
        let mut builder = BPE::builder().vocab_and_merges(self.vocab, merges);
        if let Some(token) = self.unk_token {
            builder = builder.unk_token(token);
        }
        if let Some(prefix) = self.continuing_subword_prefix {
            builder = builder.continuing_subword_prefix(prefix);
        }
        if let Some(suffix) = self.end_of_word_suffix {
            builder = builder.end_of_word_suffix(suffix);
        }
        builder
            .fuse_unk(self.fuse_unk.unwrap_or(false))
            .byte_fallback(self.byte_fallback.unwrap_or(false))
            .ignore_merges(self.ignore_merges.unwrap_or(false))
            .build()
    }
}

/// Two tokens that are merged: a list of both, or one string with a space between them; `None` for the line of `merges.txt`
/// that says its version, which old files have among them.
struct Merge(Option<(String, String)>);

impl<'de> Deserialize<'de> for Merge {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pair;
        impl<'de> Visitor<'de> for Pair {
            type Value = Merge;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the two tokens of a merge")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<Self::Value, A::Error> {
                let merge = match (pair.next_element()?, pair.next_element()?) {
                    (Some(left), Some(right)) => Merge(Some((left, right))),
                    _ => return Err(A::Error::invalid_length(1, &self)),
                };
                match pair.next_element::<String>()? {
                    None => Ok(merge),
                    Some(_) => Err(A::Error::invalid_length(3, &self)),
                }
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                match text.split_once(' ') {
                    _ if text.starts_with("#version") => Ok(Merge(None)),
                    Some((left, right)) if !right.contains(' ') => Ok(Merge(Some((left.to_owned(), right.to_owned())))),
                    _ => Err(E::custom(format!("the merge {text:?}: expected two tokens with a space between them"))),
                }
            }
        }
        deserializer.deserialize_any(Pair)
    }
}
