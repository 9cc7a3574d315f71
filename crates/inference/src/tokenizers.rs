use crate::run_folder::layout::write;
use crate::{Error, Recipe};
use descant_models::{LossConfig, ModelKind, Vocabulary};
use descant_text::Tokenizer;
use std::path::Path;
use std::sync::Arc;

/// The tokenizers of a run: one, or one for each side.
#[derive(Clone, Debug)]
pub struct Tokenizers {
    /// Of the source side; a language model has none.
    pub source: Option<Arc<Tokenizer>>,
    /// Of what is written.
    pub target: Arc<Tokenizer>,
}

const SHARED: &str = "tokenizer.json";
const SOURCE: &str = "source_tokenizer.json";
const TARGET: &str = "target_tokenizer.json";

impl Tokenizers {
    /// The files of a run folder that they may be in.
    pub const FILES: [&str; 3] = [SHARED, SOURCE, TARGET];

    /// Whether they make the same ids of every text.
    ///
    /// # Errors
    /// Where `tokenizers` fails.
    pub fn is_same(&self, other: &Self) -> Result<bool, Error> {
        let all = |tokenizers: &Self| {
            let both = [tokenizers.source.as_ref(), Some(&tokenizers.target)];
            let each =
                both.into_iter().flatten().map(|tokenizer| Ok((tokenizer.special().clone(), tokenizer.to_json()?)));
            each.collect::<Result<Vec<_>, Error>>()
        };
        Ok(all(self)? == all(other)?)
    }

    /// Whether an id is the same token on both sides: they have one tokenizer, or two that cut texts in ways of their own.
    pub(crate) fn has_one_vocabulary(&self) -> bool {
        let Some(source) = &self.source else { return false };
        let entries = source.vocabulary();
        let is_same = |id: usize| source.token(id as u32) == self.target.token(id as u32);
        Arc::ptr_eq(source, &self.target) || entries == self.target.vocabulary() && (0..entries).all(is_same)
    }

    /// How many entries either side has: of the source, and of the target.
    pub fn sizes(&self) -> [usize; 2] {
        [self.source.as_ref().map_or(0, |tokenizer| tokenizer.vocabulary()), self.target.vocabulary()]
    }

    /// Writes them into a folder: one, or one for each side.
    ///
    /// # Errors
    /// Where the folder cannot be written.
    pub fn save(&self, run: &Path) -> Result<(), Error> {
        let save = |tokenizer: &Tokenizer, name: &str| write(&run.join(name), tokenizer.to_json()?.as_bytes());
        match &self.source {
            Some(source) if !Arc::ptr_eq(source, &self.target) => {
                save(source, SOURCE)?;
                save(&self.target, TARGET)
            }
            _ => save(&self.target, SHARED),
        }
    }

    /// Reads those of a run folder.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn load(run: &Path, recipe: &Recipe) -> Result<Self, Error> {
        let kind = recipe.model.kind;
        let shared = &recipe.tokenizer.special;
        let own = recipe.target_tokenizer.as_ref().map_or(shared, |tokenizer| &tokenizer.special);
        let side = |name: &str| {
            let special = if name == TARGET { own } else { shared };
            Tokenizer::load(&run.join(name), special.clone()).map(Arc::new)
        };
        if run.join(SHARED).exists() || kind == ModelKind::LanguageModel {
            let target = side(SHARED)?;
            let source = (kind == ModelKind::EncoderDecoder).then(|| target.clone());
            return Ok(Self { source, target });
        }
        Ok(Self { source: Some(side(SOURCE)?), target: side(TARGET)? })
    }

    /// The token of a target that a recipe's `[loss]` names.
    ///
    /// # Errors
    /// Where the vocabulary has none of that name.
    pub fn loss_token(&self, text: &str) -> Result<u32, String> {
        loss_token(&self.target, text)
    }

    /// What a model needs to know of them, with the loss's weights of tokens looked up.
    ///
    /// # Errors
    /// A token that the vocabulary does not have.
    pub fn vocabulary(&self, loss: &LossConfig) -> Result<Vocabulary, String> {
        let source = self.source.as_ref().map_or(0, |tokenizer| tokenizer.vocabulary());
        let shared = self.has_one_vocabulary();
        let mut vocabulary = Vocabulary::new(source, self.target.vocabulary(), shared);
        let LossConfig::CrossEntropy { class_weights, ignored, .. } = loss else { return Ok(vocabulary) };
        let id = |token: &String| self.loss_token(token);
        if !class_weights.is_empty() {
            let mut weights = vec![1.0; vocabulary.target];
            for (token, &weight) in class_weights {
                weights[id(token)? as usize] = weight;
            }
            vocabulary.class_weights = Some(weights.into());
        }
        let mut ignored = ignored.iter().map(id).collect::<Result<Vec<u32>, _>>()?;
        ignored.sort_unstable();
        vocabulary.ignored = ignored.into();
        Ok(vocabulary)
    }
}

/// The token that a recipe's `[loss]` names: an added one by its name, or else the one that this text is.
fn loss_token(tokenizer: &Tokenizer, text: &str) -> Result<u32, String> {
    let entry = tokenizer.id(text);
    if let Some(id) = entry.filter(|&id| tokenizer.is_added(id)) {
        return Ok(id);
    }
    let ids = tokenizer.encode(text).map_err(|error| error.to_string())?;
    let is_known = |id: &u32| Some(*id) != tokenizer.special().unknown;
    match (&ids[..], entry) {
        ([id], _) if is_known(id) => Ok(*id),
        // As it stands in the vocabulary, with the mark of the space before it or of a piece within a word.
        (_, Some(id)) if text.starts_with(['▁', 'Ġ']) || text.starts_with("##") => Ok(id),
        ([_, _, ..], _) if ids.iter().all(is_known) => {
            let tokens: Vec<String> = ids.iter().filter_map(|&id| tokenizer.token(id)).collect();
            Err(format!("loss: {text:?} is {} tokens, {tokens:?}. Name one that is a single token", tokens.len()))
        }
        _ => Err(format!("loss: the vocabulary has no token {text:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use descant_text::{TokenizerConfig, TokenizerKind};

    fn trained(kind: TokenizerKind) -> Tokenizer {
        let config = TokenizerConfig { kind, add: vec!["<b>".to_owned()], vocabulary: 300, ..Default::default() };
        let texts = (0..50).flat_map(|_| ["fine", "very bad"]).map(|text| Ok(text.to_owned()));
        Tokenizer::train(&config, false, texts).unwrap()
    }

    #[test]
    fn a_loss_names_the_token_that_a_text_is() {
        for kind in [TokenizerKind::Bpe, TokenizerKind::Word, TokenizerKind::ByteBpe] {
            let tokenizer = trained(kind);
            let fine = tokenizer.encode("fine").unwrap();
            assert_eq!(loss_token(&tokenizer, "fine"), Ok(fine[0]), "{kind}");
            assert_eq!(loss_token(&tokenizer, "</s>"), Ok(2), "{kind}");
            assert_eq!(loss_token(&tokenizer, "<b>").ok(), tokenizer.id("<b>"), "{kind}");
            let several = loss_token(&tokenizer, "very bad").unwrap_err();
            assert!(several.contains("2 tokens") && several.contains("bad"), "{kind} {several}");
        }
        let bpe = trained(TokenizerKind::Bpe);
        assert_eq!(loss_token(&bpe, "▁bad").ok(), bpe.id("▁bad"));
        // Not the step on the way to `▁bad`, which no text has.
        assert_eq!(loss_token(&bpe, "bad").ok(), bpe.id("▁bad"));
        assert!(loss_token(&bpe, "жук").unwrap_err().contains("no token"));
    }
}
