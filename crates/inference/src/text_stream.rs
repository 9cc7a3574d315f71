use crate::continuation::BEFORE;
use crate::scheduler::best_of_one;
use crate::{Error, ResponseEnd, Trained};
use descant_autograd::Tape;
use descant_generate::GenerationConfig;
use descant_kernels::Parallelism;
use descant_text::{Message, Tokenizer};

impl Trained {
    /// The response to a text, or its continuation, with default options.
    ///
    /// ```no_run
    /// # use descant_inference::Trained;
    /// let trained = Trained::load("runs/pairs".as_ref())?;
    /// println!("{}", trained.generate("a new source")?);
    /// # Ok::<(), descant_inference::Error>(())
    /// ```
    ///
    /// # Errors
    /// Whatever the model's pass fails with.
    pub fn generate(&self, text: &str) -> Result<String, Error> {
        self.stream(text, |_| ())
    }

    /// The same, with a function that gets the text piece by piece while it is generated; in a beam search, all of it at the
    /// end.
    ///
    /// # Errors
    /// Whatever the model's pass fails with.
    pub fn stream(&self, text: &str, mut show: impl FnMut(&str)) -> Result<String, Error> {
        let options = self.options(&GenerationConfig::default(), Parallelism::Serial)?;
        let is_chat = self.is_chat_model();
        let prompt = if is_chat { self.prompt(&[Message::new("user", text)])? } else { text.into() };
        let request = self.request(prompt, None)?;
        let before = if self.is_language_model() { request.tokens() } else { &[] };
        let (mut stream, mut failed) = (TextStream::new(self, before, is_chat)?, None);
        let on_token = |_, token| match stream.push(token) {
            Ok(more) if !more.is_empty() => show(&more),
            Ok(_) => {}
            Err(error) => failed = Some(error),
        };
        let generated = self.generate_requests(&mut Tape::new(), vec![request], &[0], &options, on_token)?;
        failed.map_or(Ok(()), Err)?;
        let best = best_of_one(generated)?;
        let text = if is_chat { self.response(&best)? } else { best.text };
        match stream.finish(&text) {
            "" => {}
            rest => show(rest),
        }
        Ok(text)
    }
}

/// The text of tokens while they are generated: what is certain not to change as more of them come.
#[derive(Debug)]
pub struct TextStream<'a> {
    detokenizer: Detokenizer<'a>,
    /// In a chat, how a response ends.
    end: Option<ResponseEnd>,
    /// Whether that came: what follows is no part of the response.
    ended: bool,
    /// What may still change.
    held: String,
    /// What was given out.
    given: String,
}

impl<'a> TextStream<'a> {
    /// For what follows these tokens; with `response`, for a response in a conversation.
    ///
    /// # Errors
    /// Where the tokenizer fails.
    pub fn new(trained: &'a Trained, prompt: &[u32], response: bool) -> Result<Self, Error> {
        let end = if response { trained.response_end()? } else { None };
        let detokenizer = Detokenizer::after(&trained.tokenizers.target, prompt);
        Ok(Self { detokenizer, end, ended: false, held: String::new(), given: String::new() })
    }

    /// The text that becomes certain by one more token.
    ///
    /// # Errors
    /// Where the tokenizer fails.
    pub fn push(&mut self, token: u32) -> Result<String, Error> {
        self.ended |= self.end.as_ref().is_some_and(|end| end.mark == Some(token));
        if self.ended {
            return Ok(String::new());
        }
        self.held += &self.detokenizer.push(token)?;
        if self.end.is_some() && self.given.is_empty() {
            self.held.drain(..self.held.len() - self.held.trim_start().len());
        }
        let certain = certain(&self.held, self.end.as_ref().map(|end| end.text.as_str()));
        let more: String = self.held.drain(..certain).collect();
        self.given += &more;
        Ok(more)
    }

    /// The rest of the whole text, once that is known.
    pub fn finish(self, text: &str) -> &str {
        rest(&self.given, text)
    }
}

/// What of a text was not given out yet: all from where it differs on.
fn rest<'a>(given: &str, text: &'a str) -> &'a str {
    let same = given.chars().zip(text.chars()).take_while(|(a, b)| a == b);
    &text[same.map(|(character, _)| character.len_utf8()).sum::<usize>()..]
}

/// How many bytes of a text stay as they are where it may go on. Of a response, neither what may be the start of what
/// ends it nor the white space at its end, which is taken off.
fn certain(text: &str, after: Option<&str>) -> usize {
    let Some(after) = after else { return text.len() };
    let ends = after.char_indices().map(|(at, character)| &after[..at + character.len_utf8()]).rev();
    let begun = ends.into_iter().find(|begun| text.ends_with(begun)).map_or(0, str::len);
    text[..text.len() - begun].trim_end().len()
}

/// Decodes tokens as they come. Each is decoded with the one before it alone: what a token is depends on whether it is a
/// text's first, and on the bytes of a character that is not whole yet.
#[derive(Debug)]
struct Detokenizer<'a> {
    tokenizer: &'a Tokenizer,
    /// Tokens whose text is known, and those after them whose text is not.
    known: Vec<u32>,
    new: Vec<u32>,
}

/// Tokens whose text is waited for: a character has four bytes at most. Beyond, they are no text, or one that changes what
/// stands before it, and the end tells.
const HELD: usize = 16;

impl<'a> Detokenizer<'a> {
    fn after(tokenizer: &'a Tokenizer, prompt: &[u32]) -> Self {
        let known = prompt[prompt.len().saturating_sub(BEFORE)..].to_vec();
        Self { tokenizer, known, new: Vec::new() }
    }

    /// What becomes certain by one more token.
    fn push(&mut self, token: u32) -> Result<String, Error> {
        if self.tokenizer.is_special(token) {
            return Ok(String::new());
        }
        self.new.push(token);
        let before = self.tokenizer.decode(&self.known)?;
        let whole = self.tokenizer.decode(&[&self.known[..], &self.new].concat())?;
        // Nothing, or a character that is not whole; or bytes by which others before them are none.
        let more = whole.strip_prefix(&before).unwrap_or_default();
        let is_whole = !more.is_empty() && Tokenizer::ends_whole(more);
        if !is_whole && self.new.len() < HELD {
            return Ok(String::new());
        }
        self.known = std::mem::take(&mut self.new);
        Ok(more.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use descant_text::{SpecialTokens, TokenizerConfig, TokenizerKind};

    #[test]
    fn what_may_change_is_held_back() {
        assert_eq!(certain("abc ", None), 4);
        assert_eq!(certain("ab <|im", Some("<|im_end|>")), 2);
        assert_eq!(certain("ab <|im_", Some("<|im_end|>")), 2);
        assert_eq!(certain("ab <|im_end|>", Some("<|im_end|>")), 2);
        assert_eq!(certain("ab |im", Some("<|im_end|>")), 6);
        assert_eq!(certain("ab\n", Some("")), 2);
    }

    #[test]
    fn bytes_that_are_no_characters_end_as_the_whole_text() {
        let names = ["<unk>", "x", "<0xC3>", "<0xA9>", "<0xFF>", "<0xE6>"];
        let entries: Vec<String> = names.iter().enumerate().map(|(id, name)| format!("{name:?}: {id}")).collect();
        let json = format!(
            r#"{{"version": "1.0", "added_tokens": [], "model": {{"type": "BPE", "byte_fallback": true, "vocab": {{{}}}, "merges": []}},
            "decoder": {{"type": "Sequence", "decoders": [{{"type": "ByteFallback"}}, {{"type": "Fuse"}}]}}}}"#,
            entries.join(", ")
        );
        let tokenizer = Tokenizer::from_json(json.as_bytes(), Some(SpecialTokens::none())).unwrap();
        let mut differ = 0;
        for number in 0..5_u32.pow(5) {
            let ids: Vec<u32> = (0..5).map(|place| 1 + number / 5_u32.pow(place) % 5).collect();
            let mut detokenizer = Detokenizer::after(&tokenizer, &[]);
            let shown: String = ids.iter().map(|&id| detokenizer.push(id).unwrap()).collect();
            let text = tokenizer.decode(&ids).unwrap();
            let more = rest(&shown, &text);
            assert!(text.ends_with(more), "{ids:?} {shown:?} {text:?}");
            match text.starts_with(&shown) {
                true => assert_eq!([&shown, more].concat(), text, "{ids:?}"),
                false => differ += 1,
            }
        }
        assert!(differ > 0, "some bytes make others none");
        // The cost of a token does not grow with those before it.
        let mut detokenizer = Detokenizer::after(&tokenizer, &[]);
        for _ in 0..100 {
            detokenizer.push(4).unwrap();
            assert!(detokenizer.known.len() <= HELD && detokenizer.new.len() < HELD);
        }
        assert_eq!([rest("", "ab"), rest("ab", "ab"), rest("é", "\u{fffd}x")], ["ab", "", "\u{fffd}x"]);
    }

    #[test]
    fn tokens_one_by_one_are_the_text_that_they_are_together() {
        let texts = ["the naïve café, 漢字 and ☃ — don't  stop", " two  spaces", "漢漢漢", "a ▁ b", "tab\tand more"];
        for kind in TokenizerKind::ALL {
            let config = TokenizerConfig { kind, vocabulary: 290, ..Default::default() };
            let all = (0..30).flat_map(|_| texts).map(|text| Ok(text.to_owned()));
            let tokenizer = Tokenizer::train(&config, true, all).unwrap();
            for text in texts {
                let ids = tokenizer.encode(text).unwrap();
                let whole = tokenizer.decode(&ids).unwrap();
                for prompt in 0..ids.len() {
                    let mut detokenizer = Detokenizer::after(&tokenizer, &ids[..prompt]);
                    let before = tokenizer.decode(&ids[..prompt]).unwrap();
                    // A prompt is a whole text.
                    let Some(rest) = whole.strip_prefix(&before) else { continue };
                    let said: String = ids[prompt..].iter().map(|&id| detokenizer.push(id).unwrap()).collect();
                    assert_eq!(said, rest, "{kind} {text:?} {prompt}");
                    assert!(detokenizer.known.len() + detokenizer.new.len() <= BEFORE, "{kind}");
                }
            }
        }
    }
}
