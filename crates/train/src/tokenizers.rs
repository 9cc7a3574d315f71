use crate::data::Texts;
use crate::{Error, Recipe};
use descant_models::{Kind, LossConfig, Vocabulary};
use descant_text::{Side, Tokenizer, TokenizerConfig};
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
    pub(crate) const FILES: [&str; 3] = [SHARED, SOURCE, TARGET];

    /// Trains them on at most the first `lines` lines of the recipe's texts.
    ///
    /// # Errors
    /// What is wrong with the texts.
    pub fn train(recipe: &Recipe, texts: &Texts, lines: usize) -> Result<Self, Error> {
        let target_config = recipe.target_tokenizer.as_ref().unwrap_or(&recipe.tokenizer);
        let side = |side| Ok::<_, Error>(texts.train.lines(side)?.take(lines));
        let spaces = texts.keep_spaces();
        if recipe.model.kind == Kind::LanguageModel {
            let prompts = texts.train.has_pairs().then(|| side(Side::Source)).transpose()?;
            let all = prompts.into_iter().flatten().chain(side(Side::Target)?);
            let target = Tokenizer::train(target_config, spaces, all)?;
            return Ok(Self { source: None, target: Arc::new(target) });
        }
        if texts.shared_vocabulary {
            let both = side(Side::Source)?.chain(side(Side::Target)?);
            let shared = Arc::new(Tokenizer::train(&recipe.tokenizer, spaces, both)?);
            return Ok(Self { source: Some(shared.clone()), target: shared });
        }
        let source = Tokenizer::train(&recipe.tokenizer, spaces, side(Side::Source)?)?;
        let target = Tokenizer::train(target_config, spaces, side(Side::Target)?)?;
        Ok(Self { source: Some(Arc::new(source)), target: Arc::new(target) })
    }

    /// Those of a run with the tokens that a recipe adds to them.
    ///
    /// # Errors
    /// Where the library refuses.
    pub(crate) fn extended(&self, recipe: &Recipe) -> Result<Self, Error> {
        let add = |tokenizer: &Arc<Tokenizer>, config: &TokenizerConfig| match config.add.is_empty() {
            true => Ok(tokenizer.clone()),
            false => Tokenizer::clone(tokenizer).with_tokens(&config.add).map(Arc::new),
        };
        let target = add(&self.target, recipe.target_tokenizer.as_ref().unwrap_or(&recipe.tokenizer))?;
        let source = match &self.source {
            Some(source) if Arc::ptr_eq(source, &self.target) => Some(target.clone()),
            Some(source) => Some(add(source, &recipe.tokenizer)?),
            None => None,
        };
        Ok(Self { source, target })
    }

    /// Whether they make the same ids of every text.
    ///
    /// # Errors
    /// Where the library refuses.
    pub(crate) fn is_same(&self, other: &Self) -> Result<bool, Error> {
        let all = |tokenizers: &Self| {
            let both = [tokenizers.source.as_ref(), Some(&tokenizers.target)];
            let each = both.into_iter().flatten().map(|tokenizer| Ok((tokenizer.special(), tokenizer.to_json()?)));
            each.collect::<Result<Vec<_>, Error>>()
        };
        Ok(all(self)? == all(other)?)
    }

    /// How many entries either side has: of the source, and of the target.
    pub(crate) fn sizes(&self) -> [usize; 2] {
        [self.source.as_ref().map_or(0, |tokenizer| tokenizer.vocabulary()), self.target.vocabulary()]
    }

    /// Writes them into a folder: one, or one for each side.
    ///
    /// # Errors
    /// Where the folder cannot be written.
    pub fn save(&self, run: &Path) -> Result<(), Error> {
        let save =
            |tokenizer: &Tokenizer, name: &str| crate::data::write(&run.join(name), tokenizer.to_json()?.as_bytes());
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
    pub(crate) fn load(run: &Path, recipe: &Recipe) -> Result<Self, Error> {
        let kind = recipe.model.kind;
        let shared = recipe.tokenizer.special;
        let own = recipe.target_tokenizer.as_ref().map_or(shared, |tokenizer| tokenizer.special);
        let side = |name: &str| {
            let special = if name == TARGET { own } else { shared };
            Tokenizer::load(&run.join(name), special).map(Arc::new)
        };
        if run.join(SHARED).exists() || kind == Kind::LanguageModel {
            let target = side(SHARED)?;
            let source = (kind == Kind::EncoderDecoder).then(|| target.clone());
            return Ok(Self { source, target });
        }
        Ok(Self { source: Some(side(SOURCE)?), target: side(TARGET)? })
    }

    /// What a model needs to know of them, with the loss's weights of tokens looked up.
    ///
    /// # Errors
    /// A token that the vocabulary does not have.
    pub fn vocabulary(&self, loss: &LossConfig) -> Result<Vocabulary, String> {
        let source = self.source.as_ref().map_or(0, |tokenizer| tokenizer.vocabulary());
        let shared = self.source.as_ref().is_some_and(|source| Arc::ptr_eq(source, &self.target));
        let mut vocabulary = Vocabulary::new(source, self.target.vocabulary(), shared);
        let LossConfig::CrossEntropy { class_weights, ignored, .. } = loss else { return Ok(vocabulary) };
        let id = |token: &String| {
            self.target.id(token).ok_or_else(|| format!("loss: the vocabulary has no token {token:?}"))
        };
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
