use crate::data::{batch_config, source};
use crate::run::DATA;
use crate::score::questions;
use crate::{Answer, DataConfig, Error, Files, Replicas, Texts, Trained};
use descant_autograd::{Parameters, Tape};
use descant_generate::Options;
use descant_kernels::Parallelism;
use descant_models::Generator;
use descant_text::{Batch, Batches, Corpus, Source, TextError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What an evaluation over given targets found.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Evaluation {
    /// The negative log likelihood of a target token in nats, without the training loss's smoothing and weights; of
    /// continuous outputs, their loss.
    pub loss: f64,
    /// `e^loss`, where the loss is a likelihood.
    pub perplexity: Option<f64>,
    /// The share of tokens whose best score is right, given the right ones before.
    pub accuracy: f64,
    /// How many target tokens counted.
    pub tokens: usize,
}

/// Rows whose scores over the vocabulary exist at once.
const BLOCK: usize = 256;

/// Loss and accuracy over batches, several at a time on the replicas' threads, added in the batches' order.
///
/// # Errors
/// Whatever reading a batch or a pass fails with.
pub(crate) fn evaluate(
    model: &dyn Generator,
    parameters: &Parameters,
    replicas: &mut Replicas,
    batches: impl Iterator<Item = Result<Batch, TextError>>,
) -> Result<Evaluation, Error> {
    let (mut loss, mut right, mut tokens) = (0.0, 0, 0);
    let mut batches = batches;
    loop {
        let group: Vec<Batch> = batches.by_ref().take(replicas.shares()).collect::<Result<_, _>>()?;
        if group.is_empty() {
            break;
        }
        let found = replicas.map(&group, |tape, batch| evaluate_batch(tape, model, parameters, batch));
        for (found, batch) in found.into_iter().zip(&group) {
            let (batch_loss, batch_right) = found?;
            loss += batch_loss;
            right += batch_right;
            tokens += batch.target.ids.iter().filter(|&&id| model.output().counts(id)).count();
        }
    }
    let counted = tokens.max(1) as f64;
    let loss = loss / counted;
    let perplexity = model.output().is_likelihood().then(|| loss.exp());
    Ok(Evaluation { loss, perplexity, accuracy: right as f64 / counted, tokens })
}

fn evaluate_batch(
    tape: &mut Tape,
    model: &dyn Generator,
    parameters: &Parameters,
    batch: &Batch,
) -> descant_tensor::Result<(f64, usize)> {
    let graph = tape.infer(parameters, Parallelism::Serial);
    let (hidden, segments) = model.hidden(graph, batch);
    let ids = segments.arrange(&batch.target.ids);
    let loss = model.output().nats(hidden, &ids).item()?;
    let mut right = 0;
    for (i, ids) in ids.chunks(BLOCK).enumerate() {
        let scores = model.output().scores(hidden.slice(i * BLOCK, i * BLOCK + ids.len())).value()?;
        let classes = scores.shape().last();
        let scores = scores.to_f32();
        let best = |row: &[f32]| row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map(|(i, _)| i as u32);
        right += scores
            .chunks(classes)
            .zip(ids)
            .filter(|&(row, &id)| model.output().counts(id) && best(row) == Some(id))
            .count();
    }
    Ok((loss, right))
}

/// Questions that are answered together.
const TOGETHER: usize = 64;

/// Measures a trained model on a text.
#[derive(Debug)]
pub struct Evaluator<'a> {
    trained: &'a Trained,
    replicas: Replicas,
    corpus: Arc<Corpus>,
    texts: Texts,
    /// The text of the corpus, where that is not the held-out end of the training text.
    text: Option<Source>,
}

impl<'a> Evaluator<'a> {
    /// Over the files given, one or two; or over the validation text of the recipe where there is none.
    pub(crate) fn new(trained: &'a Trained, files: &[PathBuf], threads: usize) -> Result<Self, Error> {
        let replicas = Replicas::new(&trained.parameters, threads, threads)?;
        let template = trained.chat.as_ref();
        let files = match files {
            [] => None,
            [one] => Some(Files::One(one.clone())),
            [source, target, ..] => Some(Files::Two([source.clone(), target.clone()])),
        };
        // A model from elsewhere has no texts of its own.
        let mut recipe = trained.recipe.clone();
        if let (None, Some(files)) = (&recipe.data, &files) {
            recipe.data = Some(DataConfig::of(files.clone()));
        }
        let texts = Texts::with(&recipe, template)?;
        let kind = recipe.model.kind;
        let given = files.zip(recipe.data.as_ref()).map(|(files, data)| source(&files, data, kind, template));
        let text = given.or_else(|| texts.validation.clone());
        let tokenizers = &trained.tokenizers;
        let corpus = match &text {
            Some(text) => {
                let source = tokenizers.source.as_deref();
                // As long as the model can read, a beginning or an end included.
                let most = recipe.model.max_length().map_or(usize::MAX, |most| most.saturating_sub(1));
                Arc::new(Corpus::encode(text, source, &tokenizers.target, most, None)?)
            }
            // What is encoded there is read; nothing is written beside a training.
            None => texts.encode(tokenizers, Some(trained.run()).filter(|run| is_encoded(run, &texts)))?.1.ok_or_else(
                || Error::Recipe {
                    path: PathBuf::from("the run's recipe"),
                    reason: "it has no validation text. Name the text to evaluate with --data".to_owned(),
                },
            )?,
        };
        Ok(Self { trained, replicas, corpus, texts, text })
    }

    /// Loss and accuracy of the targets, given their own beginnings.
    ///
    /// # Errors
    /// Whatever a pass fails with.
    pub fn loss(&mut self) -> Result<Evaluation, Error> {
        let Trained { recipe, model, parameters, .. } = self.trained;
        let batches = Batches::once(self.corpus.clone(), batch_config(recipe))?;
        evaluate(model.as_ref(), parameters, &mut self.replicas, batches)
    }

    /// What the model writes for every source, beside the targets. With `merge`, pairs with one source are one question.
    ///
    /// # Errors
    /// Where the text has no pairs; whatever a pass fails with.
    pub fn answers(&mut self, options: &Options, merge: bool) -> Result<Vec<Answer>, Error> {
        let text = self.text.as_ref().unwrap_or(&self.texts.train);
        if !text.has_pairs() {
            let reason = "answers need pairs of source and target. Name them with --data".to_owned();
            return Err(Error::Recipe { path: text.path().to_owned(), reason });
        }
        let pairs = match &self.text {
            Some(text) => text
                .pairs()?
                .map(|pair| pair.map(|(source, target)| (source.unwrap_or_default(), target)))
                .collect::<Result<_, _>>()?,
            None => self.texts.last_pairs(&self.trained.tokenizers, self.corpus.len() as usize)?,
        };
        let mut answers = questions(pairs, merge);
        // Sources of about one length together.
        answers.sort_by_key(|answer| answer.source.len());
        let chunks: Vec<&[Answer]> = answers.chunks(TOGETHER).collect();
        let written = self.replicas.map(&chunks, |tape, chunk| {
            let lines: Vec<String> = chunk.iter().map(|answer| answer.source.clone()).collect();
            self.trained.write(tape, &lines, 0, options, |_, _| ())
        });
        let written = written.into_iter().collect::<Result<Vec<_>, _>>()?;
        let mut texts = written.into_iter().flatten().map(|mut texts| texts.swap_remove(0).text);
        for answer in &mut answers {
            answer.written = texts.next().unwrap_or_default();
        }
        Ok(answers)
    }
}

/// Whether a run holds its texts, encoded.
fn is_encoded(run: &Path, texts: &Texts) -> bool {
    let is_in = |name: &str| Corpus::is_in(&run.join(DATA).join(name));
    is_in("train") && (texts.validation.is_none() || is_in("validation"))
}
