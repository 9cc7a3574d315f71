//! Short lists in the text form of CTranslate2's `vmap`: a line for each n-gram of sources, its tokens between spaces, then a tab and the
//! tokens of targets between spaces. A line without an n-gram has those that every text may have.

use crate::run_folder::layout::write;
use crate::{Error, Trained};
use descant_generate::ShortList;
use descant_text::{Tokenizer, read_text};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

impl Trained {
    /// Reads a short list for this model. Tokens that its vocabularies do not have are left out, as CTranslate2 does, and counted.
    ///
    /// # Errors
    /// Where the file cannot be read or is of another form; where more than a tenth of its tokens are none of the model, which was
    /// then made with another vocabulary; for a language model.
    pub fn load_short_list(&self, path: &Path) -> Result<Arc<ShortList>, Error> {
        let text = read_text(path).map_err(|error| Error::io("read", path, error))?;
        let wrong = |reason: String| Error::Run { path: path.to_owned(), reason };
        let source = self.source_tokenizer().map_err(wrong)?;
        if text.trim().is_empty() {
            return Err(wrong("it is empty. Learn a short list, by descant short-list".to_owned()));
        }
        let ids = |tokenizer: &Tokenizer, tokens: &str| -> Option<Vec<u32>> {
            tokens.split(' ').filter(|token| !token.is_empty()).map(|token| tokenizer.id(token)).collect()
        };
        let entries = self.tokenizers.target.vocabulary();
        let (mut common, mut rules) = (Vec::new(), Vec::<(Vec<u32>, Vec<u32>)>::new());
        let (mut named, mut unknown) = (0_u64, 0_u64);
        for (line, number) in text.lines().zip(1..) {
            let (ngram, tokens) = line.split_once('\t').ok_or_else(|| {
                wrong(format!("line {number} has no tab: expected tokens of a source, a tab, and tokens of a target"))
            })?;
            let target = &self.tokenizers.target;
            let known = tokens.split(' ').filter(|token| !token.is_empty()).filter_map(|token| {
                let id = target.id(token).filter(|&id| (id as usize) < entries);
                named += 1;
                unknown += u64::from(id.is_none());
                id
            });
            match ngram.is_empty() {
                true => common.extend(known),
                // An n-gram of which a token is unknown is in no source.
                false => {
                    let tokens = known.collect();
                    rules.extend(ids(source, ngram).map(|ngram| (ngram, tokens)));
                }
            }
        }
        let (of, path_shown) = (self.run().display(), path.display());
        if 10 * unknown > named {
            return Err(wrong(format!(
                "{unknown} of its {named} tokens are none of {of}: it was made with another vocabulary. Learn one by descant short-list"
            )));
        }
        if unknown > 0 {
            log::warn!("{path_shown}: {unknown} of its {named} tokens are none of {of}, and are left out.");
        }
        let none =
            |_| wrong(format!("it has no token of {}: it was made with another vocabulary", self.run().display()));
        ShortList::new(common, rules).map(Arc::new).map_err(none)
    }

    /// Writes a short list of this model. Tokens with a space or a line end in them, which the form cannot have, are left out; returns how
    /// many of each list's these are, added up.
    ///
    /// # Errors
    /// Where such a token is one that every text may have; where the file cannot be written.
    pub fn save_short_list(&self, list: &ShortList, path: &Path) -> Result<usize, Error> {
        let wrong = |reason: String| Error::Run { path: path.to_owned(), reason };
        let (source, target) = (self.source_tokenizer().map_err(wrong)?, &self.tokenizers.target);
        let name = |tokenizer: &Tokenizer, id: u32| {
            tokenizer.token(id).filter(|token| !token.is_empty() && !token.contains([' ', '\t', '\n', '\r']))
        };
        let unnamed = list.common().iter().find(|&&id| name(target, id).is_none());
        if let Some(token) = unnamed.and_then(|&id| target.token(id)) {
            return Err(wrong(format!(
                "the token {token:?} is frequent, and cannot stand in it: a vmap has spaces, tabs and line ends between tokens. \
                 Train with a tokenizer of subwords or words"
            )));
        }
        let mut left_out = 0;
        let mut names = |tokenizer: &Tokenizer, ids: &[u32]| {
            let named: Vec<String> = ids.iter().filter_map(|&id| name(tokenizer, id)).collect();
            left_out += ids.len() - named.len();
            (named.len() == ids.len(), named.join(" "))
        };
        let mut text = format!("\t{}\n", names(target, list.common()).1);
        for (ngram, tokens) in list.rules() {
            if let (true, ngram) = names(source, ngram) {
                let _ = writeln!(text, "{ngram}\t{}", names(target, tokens).1);
            }
        }
        write(path, text.as_bytes())?;
        Ok(left_out)
    }

    fn source_tokenizer(&self) -> Result<&Tokenizer, String> {
        let none = "a language model has no source to translate: short lists are for encoder-decoders";
        self.tokenizers.source.as_deref().ok_or_else(|| none.to_owned())
    }
}
