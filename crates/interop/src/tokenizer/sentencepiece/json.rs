//! The `tokenizer.json` of pieces.

use super::{Kind, Piece, SentencePiece};
use descant_text::{LONGEST_TOKEN, UNKNOWN_CHARACTERS};
use serde_json::{Map, Value, json};
use std::cmp::Reverse;
use std::collections::HashSet;

/// The letter for a space.
const SPACE: &str = "▁";
/// The most bytes of merges that are derived from pieces, as many times those of the pieces. SentencePiece makes pieces of
/// up to 16 characters, which are cut in 15 places.
const MOST_MERGES: usize = 16;
/// The same of few pieces, in bytes.
const FEW_MERGES: usize = 1 << 20;
/// The most bytes of parts that are looked up for them: about a second.
const MOST_LOOKED_UP: usize = 1 << 31;

/// A piece with its score, or, where only its text is known, none.
pub(crate) type Scored = (String, Option<f32>);

impl SentencePiece {
    /// The file of this cut, as SentencePiece itself does it, with the entries `vocabulary`; `added` are found in a text
    /// before it is cut.
    ///
    /// # Errors
    /// As [`merges`].
    pub(crate) fn json(&self, vocabulary: &[Scored], unknown: u32, added: Vec<Value>) -> Result<Value, String> {
        let whole = |piece: &Piece| (piece.kind == Kind::UserDefined).then(|| piece.text.clone());
        let whole: Vec<String> = self.pieces.iter().filter_map(whole).collect();
        let mut cuts = Vec::new();
        if self.add_dummy_prefix {
            cuts.push(metaspace("always", false));
        }
        if !whole.is_empty() {
            // Such pieces are cut out after the first space, so that it stands before them too.
            cuts.push(json!({
                "type": "Split", "pattern": {"Regex": one_of(&whole)}, "behavior": "Isolated", "invert": false,
            }));
        }
        let model = match self.unigram {
            true => {
                let entry = |(text, score): &Scored| json!([text, score.map_or(UNKNOWN_CHARACTERS, f64::from)]);
                unigram(vocabulary.iter().map(entry).collect(), unknown, self.byte_fallback)
            }
            false => {
                let mut model = pairs(vocabulary, self.byte_fallback)?;
                model["unk_token"] = vocabulary.get(unknown as usize).map(|(text, _)| text.as_str()).into();
                model["ignore_merges"] = (!whole.is_empty()).into();
                model
            }
        };
        let first = self.add_dummy_prefix.then(|| json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
        let bytes = self.byte_fallback.then(|| json!({"type": "ByteFallback"}));
        let decoders = [Some(replace(string(SPACE), " ")), bytes, Some(json!({"type": "Fuse"})), first];
        let decoders: Vec<Value> = decoders.into_iter().flatten().collect();
        let sequence = |name: &str, steps: Vec<Value>| match steps.is_empty() {
            true => Value::Null,
            false => json!({"type": "Sequence", name: steps}),
        };
        let mut file = file(model, added);
        file["normalizer"] = sequence("normalizers", self.normalizers());
        file["pre_tokenizer"] = sequence("pretokenizers", cuts);
        file["decoder"] = sequence("decoders", decoders);
        Ok(file)
    }

    /// What is done to a text before it is cut.
    fn normalizers(&self) -> Vec<Value> {
        let mut steps: Vec<Value> = self.replacements().into_iter().collect();
        if self.remove_extra_whitespaces {
            // Of white space, spaces alone, and at the end also the letter for one.
            steps.push(replace(regex(r"\A +|[ ▁]+\z"), ""));
            steps.push(replace(regex(" {2,}"), " "));
        }
        steps.push(replace(string(" "), SPACE));
        if self.add_dummy_prefix {
            // `Metaspace` puts a space only before what does not begin with one.
            steps.push(replace(regex(&format!(r"\A{SPACE}")), "▁▁"));
        }
        steps
    }

    /// Its compiled replacements of characters, where it has some.
    pub(crate) fn replacements(&self) -> Option<Value> {
        let charsmap = || base64::encode(&self.charsmap);
        (!self.charsmap.is_empty()).then(|| json!({"type": "Precompiled", "precompiled_charsmap": charsmap()}))
    }
}

/// A file in which nothing but the model is said.
pub(crate) fn file(model: Value, added: Vec<Value>) -> Value {
    let mut file = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
        "pre_tokenizer": null, "post_processor": null, "decoder": null,
    });
    file["model"] = model;
    file
}

pub(crate) fn string(text: &str) -> Value {
    json!({"String": text})
}

fn regex(expression: &str) -> Value {
    json!({"Regex": expression})
}

/// A step of a normalizer or a decoder.
pub(crate) fn replace(pattern: Value, by: &str) -> Value {
    json!({"type": "Replace", "pattern": pattern, "content": by})
}

/// Spaces as `▁`, and one before the first word.
pub(crate) fn metaspace(scheme: &str, split: bool) -> Value {
    json!({"type": "Metaspace", "replacement": SPACE, "prepend_scheme": scheme, "split": split})
}

/// A model of pieces with scores.
pub(crate) fn unigram(vocabulary: Vec<Value>, unknown: u32, byte_fallback: bool) -> Value {
    json!({"type": "Unigram", "unk_id": unknown, "vocab": vocabulary, "byte_fallback": byte_fallback})
}

/// A model of merges, without an unknown token.
///
/// # Errors
/// As [`merges`].
pub(crate) fn pairs(vocabulary: &[Scored], byte_fallback: bool) -> Result<Value, String> {
    let ids: Map<String, Value> =
        vocabulary.iter().zip(0_u32..).map(|((text, _), id)| (text.clone(), id.into())).collect();
    let mut model = json!({
        "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null, "end_of_word_suffix": null,
        "fuse_unk": true, "byte_fallback": byte_fallback,
    });
    // `json!` would copy them.
    model["vocab"] = ids.into();
    model["merges"] = merges(vocabulary)?.into_iter().map(|pair| pair.into_iter().collect::<Value>()).collect();
    Ok(model)
}

/// The steps of a decoder that give back spaces, and characters of byte tokens; with `first`, without the space before the first word.
pub(crate) fn written_back(first: bool) -> Value {
    let strip = first.then(|| json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    let steps = [replace(string(SPACE), " "), json!({"type": "ByteFallback"}), json!({"type": "Fuse"})];
    json!({"type": "Sequence", "decoders": steps.into_iter().chain(strip).collect::<Vec<_>>()})
}

/// The `tokenizer.json` of the "llama" tokenizers of llama.cpp: merges of characters, and bytes where those are lacking.
///
/// # Errors
/// As [`merges`].
pub(crate) fn llama(
    vocabulary: &[Scored],
    unknown: Option<&str>,
    prefix: bool,
    added: Vec<Value>,
) -> Result<Value, String> {
    let prepend = prefix.then(|| json!({"type": "Prepend", "prepend": SPACE}));
    let normalizers: Vec<Value> = prepend.into_iter().chain([replace(string(" "), SPACE)]).collect();
    let mut file = file(pairs(vocabulary, true)?, added);
    file["model"]["unk_token"] = unknown.into();
    file["normalizer"] = json!({"type": "Sequence", "normalizers": normalizers});
    file["decoder"] = written_back(prefix);
    Ok(file)
}

/// Merges that make the pieces with a score of two others, those of the highest score first: what a SentencePiece model of
/// type `bpe` does, and the "llama" tokenizers of llama.cpp.
///
/// # Errors
/// Where a piece is too long, or they are made of each other in too many ways.
fn merges(vocabulary: &[Scored]) -> Result<Vec<[&str; 2]>, String> {
    let scored = || vocabulary.iter().filter(|(_, score)| score.is_some()).map(|(text, _)| text.as_str());
    if let Some(long) = scored().find(|text| text.len() > LONGEST_TOKEN) {
        return Err(format!("a piece has {} bytes, expected at most {LONGEST_TOKEN}", long.len()));
    }
    // Each is looked up in as many parts as it has characters.
    let looked_up = scored().map(|text| text.len() * text.chars().count()).fold(0, usize::saturating_add);
    if looked_up > MOST_LOOKED_UP {
        return Err("its pieces are too long and too many to look for the parts that each is made of".to_owned());
    }
    let most = FEW_MERGES + MOST_MERGES * scored().map(str::len).sum::<usize>();
    let parts: HashSet<&str> = scored().collect();
    let (mut all, mut bytes) = (Vec::new(), 0);
    for (id, (text, score)) in vocabulary.iter().enumerate() {
        let Some(score) = *score else { continue };
        for (at, _) in text.char_indices().skip(1) {
            let (left, right) = text.split_at(at);
            if parts.contains(left) && parts.contains(right) {
                all.push((score, id, at, [left, right]));
                bytes += text.len();
            }
        }
        if bytes > most {
            return Err(format!(
                "its pieces are made of each other in so many ways that these have more than {most} bytes"
            ));
        }
    }
    all.sort_by(|x, y| y.0.total_cmp(&x.0).then((x.1, x.2).cmp(&(y.1, y.2))));
    Ok(all.into_iter().map(|(.., pair)| pair).collect())
}

/// An expression for any of these texts, the longest first.
fn one_of(texts: &[String]) -> String {
    let mut texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    texts.sort_by_key(|text| Reverse(text.len()));
    let escaped = |letter: char| (r"\.+*?()|[]{}^$#&-~".contains(letter)).then_some('\\').into_iter().chain([letter]);
    texts.into_iter().map(|text| text.chars().flat_map(escaped).collect::<String>()).collect::<Vec<_>>().join("|")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    fn pieces(texts: impl IntoIterator<Item = String>) -> Vec<Scored> {
        texts.into_iter().zip(0_u16..).map(|(text, rank)| (text, Some(-f32::from(rank)))).collect()
    }

    #[test]
    fn merges_are_those_of_the_pieces_in_their_order() {
        let mut vocabulary = pieces(["a", "b", "ab", "abab", "aba"].map(str::to_owned));
        vocabulary.push(("ba".to_owned(), None));
        assert_eq!(merges(&vocabulary).unwrap(), [["a", "b"], ["ab", "ab"], ["aba", "b"], ["ab", "a"]]);
    }

    #[test]
    fn long_pieces_are_refused_before_merges_are_made_of_them() {
        let repeated = |len: usize| "b".repeat(len);
        assert!(merges(&pieces([repeated(1), repeated(LONGEST_TOKEN)])).is_ok());
        let begun = Instant::now();
        let refused = |texts: Vec<String>, says: &str| {
            let error = merges(&pieces(texts)).unwrap_err();
            assert!(error.contains(says), "{error}");
        };
        refused(vec![repeated(1_000_000)], "a piece has 1000000 bytes, expected at most 4096");
        refused((0..6000).map(|i| format!("{i}{}", repeated(4000))).collect(), "too long and too many");
        // In 130,816 ways, of 45 MB.
        refused((1..=512).map(repeated).collect(), "in so many ways");
        // The time of a busy machine; by splits it would be minutes.
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
        // What SentencePiece makes at most by itself is never refused.
        let all: Vec<String> =
            ["x", "y", "z", "🦀"].iter().flat_map(|letter| (1..=16).map(|n| letter.repeat(n))).collect();
        assert_eq!(merges(&pieces(all)).unwrap().len(), 4 * 120);
    }
}
