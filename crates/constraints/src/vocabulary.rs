use crate::ConstraintError;
use descant_text::{TokenBytes, Tokenizer};
use llguidance::ParserFactory;
use llguidance::earley::{BiasComputer, SlicedBiasComputer};
use llguidance::toktrie::{ApproximateTokEnv, INVALID_TOKEN, InferenceCapabilities, TokEnv, TokRxInfo, TokTrie};
use std::collections::BTreeSet;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

/// The most bytes of a token that grammars use: the trie of `llguidance` is no deeper.
const LONGEST: usize = 1000;
/// A byte that no text has, with which `llguidance` marks special tokens.
const MARKER: u8 = TokTrie::SPECIAL_TOKEN_MARKER;

/// The vocabulary of a tokenizer as grammars need it: made once for all grammars of a model.
pub struct Vocabulary {
    pub(crate) bytes: TokenBytes,
    pub(crate) factory: ParserFactory,
    pub(crate) later: Arc<dyn BiasComputer>,
    /// For the first token of a text, where tokens write something else there.
    pub(crate) first: Option<Arc<dyn BiasComputer>>,
    /// Tokens that write nothing at the start of a text.
    pub(crate) silent: Vec<u32>,
    /// The characters that tokens are made of; none where that is all.
    pub(crate) characters: Option<BTreeSet<char>>,
}

impl Vocabulary {
    /// That of a tokenizer.
    ///
    /// # Errors
    /// Where its decoding is not the joining of its tokens' bytes.
    pub fn new(tokenizer: &Tokenizer) -> Result<Arc<Self>, ConstraintError> {
        let bytes = tokenizer.token_bytes()?;
        let failed = |reason: String| ConstraintError::Grammar { what: "the vocabulary", reason };
        let spare = spare_bytes(tokenizer, &bytes);
        let environment = |at_start: bool| -> Result<TokEnv, ConstraintError> {
            let ids = 0..u32::try_from(bytes.len()).map_err(|error| failed(error.to_string()))?;
            let usable = |bytes: &&[u8]| bytes.len() <= LONGEST && bytes.first() != Some(&MARKER);
            let word = |id: u32| match spare.contains(&id) {
                true => Vec::new(),
                false => bytes.get(id, at_start).filter(usable).unwrap_or_default().to_vec(),
            };
            let words: Vec<Vec<u8>> = ids.clone().map(word).collect();
            // EOS is none of its tokens: the search knows where a text may end.
            let info = TokRxInfo::new(ids.end, INVALID_TOKEN);
            Ok(Arc::new(ApproximateTokEnv::new(TokTrie::from(&info, &words))))
        };
        let slices = SlicedBiasComputer::json_slices();
        let computer = |environment: &TokEnv| -> Result<Arc<dyn BiasComputer>, ConstraintError> {
            Ok(Arc::new(SlicedBiasComputer::new(environment, &[]).map_err(|error| failed(error.to_string()))?))
        };
        let later = environment(false)?;
        let mut factory = ParserFactory::new(&later, InferenceCapabilities::default(), &slices)
            .map_err(|error| failed(error.to_string()))?;
        factory.quiet();
        factory.limits_mut().verbose_errors = false;
        let first = bytes.start_differs().then(|| computer(&environment(true)?)).transpose()?;
        let silent = (0..bytes.len() as u32).filter(|&id| bytes.get(id, true).is_some_and(<[u8]>::is_empty)).collect();
        let (later, characters) = (factory.slicer(), bytes.characters());
        Ok(Arc::new(Self { bytes, factory, later, first, silent, characters }))
    }

    /// Those of some characters that the vocabulary cannot write.
    pub(crate) fn unwritable(&self, characters: impl Iterator<Item = char>) -> BTreeSet<char> {
        match &self.characters {
            Some(known) => characters.filter(|character| !known.contains(character)).collect(),
            None => BTreeSet::new(),
        }
    }
}

/// The tokens of single bytes, for characters without a piece of their own, that a piece writes too: no text is cut into them.
fn spare_bytes(tokenizer: &Tokenizer, bytes: &TokenBytes) -> BTreeSet<u32> {
    let ids = || 0..bytes.len() as u32;
    let is_byte = |id: &u32| tokenizer.token(*id).is_some_and(|name| name.starts_with("<0x"));
    let byte = |id: u32| bytes.get(id, false).filter(|bytes| bytes.len() == 1).map(|bytes| bytes[0]);
    let written: BTreeSet<u8> = ids().filter(|id| !is_byte(id)).filter_map(byte).collect();
    ids().filter(|id| is_byte(id) && byte(*id).is_some_and(|byte| written.contains(&byte))).collect()
}

impl fmt::Debug for Vocabulary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vocabulary").field("tokens", &self.bytes.len()).finish_non_exhaustive()
    }
}

/// The result of a function of `llguidance`, whose panics become errors.
pub(crate) fn library<T, E: fmt::Display>(run: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    let run = AssertUnwindSafe(|| Ok(run().map_err(|error| error.to_string())));
    let result = llguidance::panic_utils::catch_unwind(run);
    match result {
        Ok(result) => result,
        // The rest is a backtrace.
        Err(panic) => Err(panic.to_string().lines().next().unwrap_or_default().to_owned()),
    }
}
