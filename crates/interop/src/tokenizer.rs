//! The tokenizer of a folder.

use crate::folder::{MERGES, TOKENIZER, VOCABULARY};
use crate::{Error, Family};
use descant_text::{Special, Tokenizer};
use std::path::Path;

/// The tokenizer: in one file, or in the two that GPT-2's came in.
pub(crate) fn read(folder: &Path, family: Family, special: Special) -> Result<Tokenizer, Error> {
    let [place, vocabulary, merges] = [TOKENIZER, VOCABULARY, MERGES].map(|name| folder.join(name));
    let found = match (place.exists(), family == Family::Gpt2 && vocabulary.is_file() && merges.is_file()) {
        (true, _) => Tokenizer::load(&place, Some(special)),
        (false, true) => Tokenizer::load_byte_pairs(&vocabulary, &merges, special),
        (false, false) => {
            let reason = "it has no tokenizer.json. Write one with transformers: \
                          AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)";
            return Err(Error::folder(folder, reason));
        }
    };
    Ok(found.map_err(descant_train::Error::from)?)
}
