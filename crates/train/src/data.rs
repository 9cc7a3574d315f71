use crate::{DataConfig, Error, Files, Recipe, Tokenizers};
use descant_models::{Kind, LossConfig};
use descant_text::{Batch, BatchConfig, Batches, ChatTemplate, Corpus, Source, TextError};
use std::collections::VecDeque;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a recipe's texts are.
#[derive(Clone, Debug)]
pub struct Texts {
    /// Those to train on.
    pub train: Source,
    /// Those to validate on; or none, to hold out a share of the others.
    pub validation: Option<Source>,
    pub(crate) shared_vocabulary: bool,
    held_out: f64,
    max_length: usize,
}

impl Texts {
    /// The texts of a recipe, with a template for what in them are conversations.
    ///
    /// # Errors
    /// Where it names none.
    pub(crate) fn with(recipe: &Recipe, template: Option<&ChatTemplate>) -> Result<Self, Error> {
        let Some(data) = &recipe.data else {
            let reason = "it has no [data]. Add the table, with train = \"FILE\"; evaluate on a text with --data FILE; or measure \
                 its speed with descant bench";
            return Err(Error::Recipe { path: PathBuf::from("the recipe"), reason: reason.to_owned() });
        };
        let kind = recipe.model.kind;
        let train = source(&data.train, data, kind, template);
        if kind == Kind::LanguageModel && train.has_pairs() && matches!(recipe.loss, LossConfig::Embedding { .. }) {
            let reason = "loss.kind = \"embedding\": prompts that do not count need loss.kind = \"cross-entropy\"";
            return Err(Error::Recipe { path: PathBuf::from("the recipe"), reason: reason.to_owned() });
        }
        Ok(Self {
            train,
            validation: data.validation.as_ref().map(|files| source(files, data, kind, template)),
            shared_vocabulary: data.shared_vocabulary,
            held_out: data.validation_share,
            // A beginning or an end comes to every text.
            max_length: recipe
                .model
                .max_length()
                .map_or(data.max_length, |most| data.max_length.min(most.saturating_sub(1))),
        })
    }

    /// Whether their spaces and line ends matter.
    pub(crate) fn keep_spaces(&self) -> bool {
        matches!(self.train, Source::Stream { .. } | Source::Json { .. } | Source::Chat { .. })
    }

    /// Encodes them, into a folder of the run or into memory: to train on, and to validate on.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn encode(
        &self,
        tokenizers: &Tokenizers,
        run: Option<&Path>,
    ) -> Result<(Arc<Corpus>, Option<Arc<Corpus>>), Error> {
        let encode = |text: &Source, name: &str| {
            let folder = run.map(|run| run.join("data").join(name));
            let source = tokenizers.source.as_deref();
            Corpus::encode(text, source, &tokenizers.target, self.max_length, folder.as_deref())
        };
        let train = encode(&self.train, "train")?;
        if let Some(validation) = &self.validation {
            return Ok((Arc::new(train), Some(Arc::new(encode(validation, "validation")?))));
        }
        let (train, held_out) = train.split(self.held_out);
        // Of a single token of a continuous text, nothing is to be predicted.
        let enough = held_out.len() > u64::from(held_out.is_continuous());
        Ok((Arc::new(train), enough.then(|| Arc::new(held_out))))
    }
}

impl Texts {
    /// The last `count` pairs of the training text that [`Texts::encode`] did not leave out.
    pub(crate) fn last_pairs(&self, tokenizers: &Tokenizers, count: usize) -> Result<Vec<(String, String)>, Error> {
        let mut last = VecDeque::with_capacity(count + 1);
        for pair in self.train.pairs()? {
            let (source, target) = pair?;
            let source = source.unwrap_or_default();
            let fits = |length: usize| (1..=self.max_length).contains(&length);
            let ids = tokenizers.target.encode(&target)?;
            let both_fit = match &tokenizers.source {
                Some(tokenizer) => fits(ids.len()) && fits(tokenizer.encode(&source)?.len()),
                // A language model reads both as one.
                None => {
                    let prompt = tokenizers.target.encode(&source)?;
                    let (prompt, answer) = tokenizers.target.special().between(&prompt, &ids);
                    !answer.is_empty() && fits(prompt.len() + answer.len())
                }
            };
            if both_fit {
                last.push_back((source, target));
            }
            if last.len() > count {
                last.pop_front();
            }
        }
        Ok(last.into())
    }
}

/// The text of a recipe's `files`.
pub(crate) fn source(files: &Files, data: &DataConfig, kind: Kind, template: Option<&ChatTemplate>) -> Source {
    let source = match files {
        Files::Two([source, target]) => Source::Parallel { source: source.clone(), target: target.clone() },
        Files::One(path) if is_json(path) => Source::Json { path: path.clone() },
        Files::One(path) => match (kind, data.columns) {
            (Kind::LanguageModel, None) if data.stream => return Source::Stream { path: path.clone() },
            (Kind::LanguageModel, None) => return Source::Lines { path: path.clone() },
            (_, columns) => {
                let [source_column, target_column] = columns.unwrap_or([0, 1]);
                Source::Tsv { path: path.clone(), source_column, target_column }
            }
        },
    };
    match template {
        Some(template) => Source::Chat { source: Box::new(source), template: template.clone() },
        None => source,
    }
}

/// Whether a file's name ends as those of JSON lines do, compressed or not.
fn is_json(path: &Path) -> bool {
    let name = path.to_string_lossy();
    let name = name.strip_suffix(".gz").or(name.strip_suffix(".zst")).unwrap_or(&name);
    name.ends_with(".jsonl")
}

/// The file of a run folder with its template of conversations.
pub(crate) const TEMPLATE: &str = "chat_template.jinja";

/// Reads a template of conversations.
pub(crate) fn chat_template(path: &Path) -> Result<ChatTemplate, Error> {
    let text = fs::read_to_string(path).map_err(|error| Error::io("read the chat template", path, error))?;
    let wrong = |reason: String| Error::Recipe { path: path.to_owned(), reason };
    ChatTemplate::new(&text).map_err(wrong)
}

/// How the recipe's texts become batches.
pub(crate) fn batch_config(recipe: &Recipe) -> BatchConfig {
    let train = &recipe.train;
    BatchConfig {
        tokens: train.batch_tokens,
        sequences: (train.batch_sentences > 0).then_some(train.batch_sentences),
        length: train.length,
        shuffle: Some(recipe.seed),
        special: recipe.special(),
    }
}

/// The batches of a training on these texts, in its order.
///
/// # Errors
/// What is wrong with the texts.
pub fn batches(recipe: &Recipe, texts: &Texts, tokenizers: &Tokenizers) -> Result<Batches, Error> {
    Ok(Batches::new(texts.encode(tokenizers, None)?.0, batch_config(recipe))?)
}

/// A small batch of the texts' first lines, each cut to `length` tokens on either side: to check a model with.
///
/// # Errors
/// What is wrong with the texts.
pub fn first_batch(texts: &Texts, tokenizers: &Tokenizers, sequences: usize, length: usize) -> Result<Batch, Error> {
    let mut batch = Batch::default();
    for pair in texts.train.pairs()? {
        let (source, target) = pair?;
        let cut = |mut ids: Vec<u32>| {
            ids.truncate(length);
            ids
        };
        let (mut target, special) = (cut(tokenizers.target.encode(&target)?), tokenizers.target.special());
        let source = source.map(|text| tokenizers.source.as_ref().unwrap_or(&tokenizers.target).encode(&text));
        let source = source.transpose()?.map(cut);
        if target.is_empty() || source.as_ref().is_some_and(Vec::is_empty) {
            continue;
        }
        let mut prompt = 0;
        match (source, &tokenizers.source) {
            (Some(source), Some(tokenizer)) => {
                batch.source.get_or_insert_default().push(&[source, vec![tokenizer.special().end]].concat());
            }
            (Some(source), None) => {
                prompt = source.len();
                target = [source, target].concat();
            }
            _ => {}
        }
        batch.input.push(&[&[special.beginning], &target[..]].concat());
        batch.target.push(&[&vec![Batch::IGNORED; prompt], &target[prompt..], &[special.end]].concat());
        if batch.target.len() == sequences {
            break;
        }
    }
    if batch.target.is_empty() {
        return Err(TextError::Empty { path: texts.train.path().to_owned() }.into());
    }
    Ok(batch)
}

/// Writes a small file beside its place, synced, then renamed.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let partial = path.with_extension("partial");
    let run = || {
        let mut file = fs::File::create(&partial)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&partial, path)
    };
    run().map_err(|error| Error::io("write", path, error))
}
