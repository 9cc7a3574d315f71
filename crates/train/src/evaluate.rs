use crate::carried_state::{CarriedState, hidden};
use crate::data::{agree, batch_config, given, longest, source};
use crate::objective::Objective;
use crate::objective_loss::{Measures, add};
use crate::predict::{examples_of, predict};
use crate::stop::{NEVER, go_on};
use crate::text_layout::PlainTextLayout;
use crate::text_metrics::examples;
use crate::text_size::TextSize;
use crate::{Error, Prediction, Replicas, Texts};
use descant_autograd::{Parameters, Tape};
use descant_batch::Batch;
use descant_generate::DecodingOptions;
use descant_inference::layout::RECIPE;
use descant_inference::{Control, DataConfig, Files, Recipe, Trained};
use descant_kernels::Parallelism;
use descant_models::{DecoderState, Generator, ModelKind};
use descant_text::{BatchConfig, Batches, Corpus, Form, MaxLength, Source, TextError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Loss and accuracy under teacher forcing.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Evaluation {
    /// The negative log likelihood of a target token in nats, without the training loss's smoothing and class weights, but with those of examples; of
    /// continuous outputs, their loss; of a training that minimises another, such as DPO, that one.
    pub loss: f64,
    /// `e` to the power of the negative log likelihood, where there is one.
    pub perplexity: Option<f64>,
    /// Token accuracy: the share of targets that have the largest logit, given the targets before.
    pub accuracy: f64,
    /// How many target tokens counted.
    pub tokens: usize,
    /// The means of what another loss is made of, where there is one.
    pub measures: Measures,
}

/// What is counted of batches.
#[derive(Default)]
struct Counts {
    /// Summed over the targets.
    loss: f64,
    /// What the loss is divided by: the weights of the targets, by default 1 each.
    weight: f64,
    right: usize,
    tokens: usize,
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.loss += other.loss;
        self.weight += other.weight;
        self.right += other.right;
        self.tokens += other.tokens;
    }

    fn evaluation(&self, model: &dyn Generator) -> Result<Evaluation, Error> {
        let &Self { loss, weight, right, tokens } = self;
        if tokens == 0 {
            return Err(Error::NothingCounts);
        }
        let loss = loss / weight;
        let perplexity = model.output().is_likelihood().then(|| loss.exp());
        Ok(Evaluation { loss, perplexity, accuracy: right as f64 / tokens as f64, tokens, measures: Measures::new() })
    }
}

/// Loss and accuracy over an encoded text. Of a continuous one the state is carried where the recipe says so; separate texts have none to
/// carry.
///
/// # Errors
/// Whatever reading a batch or a pass fails with; [`Error::Stopped`] once `stop` is set.
pub(crate) fn evaluate_text(
    recipe: &Recipe,
    model: &dyn Generator,
    parameters: &Parameters,
    replicas: &mut Replicas,
    corpus: &Arc<Corpus>,
    config: BatchConfig,
    stop: &AtomicBool,
) -> Result<Evaluation, Error> {
    let batches = Batches::once(corpus.clone(), config.clone())?;
    let unknown = recipe.special()[1].unknown;
    if recipe.train.carry_state && corpus.is_continuous() {
        return evaluate_streams(model, parameters, replicas, batches, unknown, recipe.train.shares, stop);
    }
    let mut found = evaluate(model, parameters, replicas, batches, unknown, stop)?;
    if let (Objective::Preference(_), true) = (&**replicas.objective(), corpus.has_preferences()) {
        (found.loss, found.measures) =
            evaluate_objective(model, parameters, replicas, Batches::once(corpus.clone(), config)?, stop)?;
    }
    Ok(found)
}

/// The mean loss and measures of the replicas' objective over batches, summed in their order.
fn evaluate_objective(
    model: &dyn Generator,
    parameters: &Parameters,
    replicas: &mut Replicas,
    mut batches: impl Iterator<Item = Result<Batch, TextError>>,
    stop: &AtomicBool,
) -> Result<(f64, Measures), Error> {
    let objective = replicas.objective().clone();
    let (mut loss, mut weight, mut measures) = (0.0, 0.0, Measures::new());
    loop {
        let group: Vec<Batch> = batches.by_ref().take(replicas.shares()).collect::<Result<_, _>>()?;
        if group.is_empty() {
            measures.values_mut().for_each(|value| *value /= weight);
            return Ok((loss / weight, measures));
        }
        go_on(stop)?;
        let found = replicas.map(&group, |tape, batch| objective.evaluate(tape, model, parameters, batch));
        for found in found {
            let (of_batch, its_weight, its_measures) = found?;
            (loss, weight) = (loss + of_batch, weight + its_weight);
            add(&mut measures, its_measures);
        }
    }
}

/// Loss and accuracy over batches, several at a time on the replicas' threads, summed in the order of the batches. The
/// `unknown` token is never right.
///
/// # Errors
/// Whatever reading a batch or a pass fails with; [`Error::Stopped`] once `stop` is set.
pub(crate) fn evaluate(
    model: &dyn Generator,
    parameters: &Parameters,
    replicas: &mut Replicas,
    mut batches: impl Iterator<Item = Result<Batch, TextError>>,
    unknown: Option<u32>,
    stop: &AtomicBool,
) -> Result<Evaluation, Error> {
    let mut counts = Counts::default();
    loop {
        let group: Vec<Batch> = batches.by_ref().take(replicas.shares()).collect::<Result<_, _>>()?;
        if group.is_empty() {
            return counts.evaluation(model);
        }
        go_on(stop)?;
        let found = replicas.map(&group, |tape, batch| evaluate_batch(tape, model, parameters, batch, None, unknown));
        for found in found {
            counts.add(&found?);
        }
    }
}

/// The same over the batches of streams, whose state is carried from each to the next. One is evaluated at a time, split into `shares`
/// whatever the number of replicas.
fn evaluate_streams(
    model: &dyn Generator,
    parameters: &Parameters,
    replicas: &mut Replicas,
    batches: impl Iterator<Item = Result<Batch, TextError>>,
    unknown: Option<u32>,
    shares: usize,
    stop: &AtomicBool,
) -> Result<Evaluation, Error> {
    let mut counts = Counts::default();
    let mut carried: Option<CarriedState> = None;
    for batch in batches {
        go_on(stop)?;
        let batch = batch?;
        // The first batch has a row of every stream.
        let start = || CarriedState::start(model, parameters, batch.target.len(), shares);
        let states = carried.take().map_or_else(start, Ok)?.shares;
        let parts: Vec<(Batch, DecoderState)> = batch.shares_by_row(shares).into_iter().zip(states).collect();
        let found = replicas.map(&parts, |tape, (part, state)| {
            let mut state = state.clone();
            let found = evaluate_batch(tape, model, parameters, part, Some(&mut state), unknown)?;
            Ok((found, state))
        });
        let (found, shares): (Vec<Counts>, Vec<DecoderState>) =
            found.into_iter().collect::<descant_tensor::Result<Vec<_>>>()?.into_iter().unzip();
        found.iter().for_each(|found| counts.add(found));
        carried = Some(CarriedState { shares });
    }
    counts.evaluation(model)
}

fn evaluate_batch(
    tape: &mut Tape,
    model: &dyn Generator,
    parameters: &Parameters,
    batch: &Batch,
    carried: Option<&mut DecoderState>,
    unknown: Option<u32>,
) -> descant_tensor::Result<Counts> {
    if batch.target.is_empty() {
        return Ok(Counts::default());
    }
    let graph = tape.infer(parameters, Parallelism::Serial);
    let hidden = hidden(model, graph, batch, carried)?;
    let ids = hidden.targets(&batch.target);
    let loss = model.output().negative_log_likelihood(&hidden, batch).item()?;
    let is_right =
        |&(&likeliest, &id): &(&u32, &u32)| model.output().counts(id) && Some(id) != unknown && likeliest == id;
    let right = model.output().likeliest(hidden.rows)?.iter().zip(&*ids).filter(is_right).count();
    let count = |ids: &[u32]| ids.iter().filter(|&&id| model.output().counts(id)).count();
    let tokens = count(&batch.target.ids);
    let weight = match &batch.weights {
        None => tokens as f64,
        Some(weights) => {
            weights.iter().enumerate().map(|(i, &weight)| f64::from(weight) * count(batch.target.get(i)) as f64).sum()
        }
    };
    Ok(Counts { loss, weight, right, tokens })
}

/// The longest chunk of a continuous text that an imported model reads at once.
const LONGEST_CHUNK: usize = 2048;

/// Whether an imported model reads these files as one continuous text.
fn is_continuous(recipe: &Recipe, files: &Files) -> Result<bool, Error> {
    match files.paths().next() {
        Some(path) if recipe.model.kind == ModelKind::LanguageModel && files.is_plain() => {
            Ok(PlainTextLayout::at(path)?.parted)
        }
        _ => Ok(false),
    }
}

/// Evaluates a trained model on a text.
#[derive(Debug)]
pub struct Evaluator<'a> {
    trained: &'a Trained,
    replicas: Replicas,
    corpus: Arc<Corpus>,
    /// The text of the corpus, or that of which it is the held-out end.
    text: Source,
    config: BatchConfig,
    /// Why preferences are not measured, where they could be.
    unmeasured: Option<String>,
}

impl<'a> Evaluator<'a> {
    /// Evaluation on one file or a pair of files, or without files on the validation text of the model's recipe. A
    /// continuous text is read in chunks of `context` tokens, by default as many as in training. Examples of files that say nothing of a control
    /// attribute have that of `control`.
    ///
    /// # Errors
    /// What is wrong with the text; attributes of a text that has its own.
    pub fn new(
        trained: &'a Trained,
        files: &[PathBuf],
        control: &Control,
        context: Option<usize>,
        threads: usize,
    ) -> Result<Self, Error> {
        let template = trained.chat.as_ref();
        let files = given(files);
        // A model from elsewhere has no texts of its own.
        let mut recipe = trained.recipe.clone();
        if files.is_none() && !control.is_empty() {
            let reason = "its own text has its own control attributes: others are for a text of --data".to_owned();
            return Err(descant_inference::Error::Run { path: trained.run().to_owned(), reason }.into());
        }
        match (&recipe.data, &files) {
            (None, Some(files)) => {
                let stream = is_continuous(&recipe, files)?;
                let mut data = DataConfig::of(files.clone());
                data.stream = stream;
                recipe.data = Some(data);
                recipe.train.length = trained.context().map_or(LONGEST_CHUNK, |most| most.min(LONGEST_CHUNK));
            }
            (None, None) => {
                let reason =
                    "it was not trained here, and has no text of its own. Name the text to evaluate with --data";
                return Err(descant_inference::Error::Run {
                    path: trained.run().to_owned(),
                    reason: reason.to_owned(),
                }
                .into());
            }
            _ => {}
        }
        recipe.train.length = context.unwrap_or(recipe.train.length);
        let texts = Texts::with(&recipe, template)?;
        recipe.control.iter_mut().for_each(|config| config.given = control.clone());
        let given = files.zip(recipe.data.as_ref()).map(|(files, data)| source(&files, data, &recipe, template));
        let given = given.transpose()?;
        if let Some(given) = given.as_ref().filter(|_| texts.train.path().exists()) {
            agree(&texts.train, given)?;
        }
        let tokenizers = &trained.tokenizers;
        let corpus = match &given {
            Some(text) => {
                let source = tokenizers.source.as_deref();
                // As long as the model can read.
                let most = longest(&recipe, text.form() == Form::Conversations);
                let most = MaxLength { tokens: most, cut: recipe.data.as_ref().is_some_and(|data| data.cut) };
                let corpus = Corpus::encode(text, source, &tokenizers.target, most, None);
                Arc::new(corpus.map_err(|error| match error {
                    // Nobody learns from it.
                    TextError::NothingLeft { name, reasons } => TextError::NothingToMeasure { name, reasons },
                    error => error,
                })?)
            }
            None => texts.held_out(tokenizers, trained.run())?.ok_or_else(|| descant_inference::Error::Recipe {
                path: trained.run().join(RECIPE),
                reason: "it has no validation text. Name the text to evaluate with --data".to_owned(),
            })?,
        };
        let (mut objective, mut unmeasured) = (Objective::Own, None);
        if corpus.has_preferences() {
            match Objective::load(&recipe.located(trained.run())) {
                Ok(loaded) => objective = loaded,
                Err(error) => unmeasured = Some(format!("Preferences are not measured: {error}.")),
            }
        }
        let replicas = Replicas::new(threads, threads)?.with_objective(objective);
        let text = given.or(texts.validation).unwrap_or(texts.train);
        let config = batch_config(&recipe, &trained.tokenizers)?;
        Ok(Self { trained, replicas, corpus, text, config, unmeasured })
    }

    /// A line for all that encoding the text left out, cut or did not know.
    pub fn notes(&self) -> Vec<String> {
        // Lines are counted where a text is encoded, as a whole.
        let whole = if self.corpus.is_part() { " (all of it; its end is measured)" } else { "" };
        let mut notes = self.corpus.report().notes(&format!("{}{whole}", self.text.name()));
        if self.trained.recipe.data.is_none() && self.corpus.is_continuous() {
            notes.push(format!(
                "{} has blank lines, and is read as one continuous text, in chunks of {} tokens.",
                self.text.name(),
                self.config.length
            ));
        }
        notes.extend(self.unmeasured.clone());
        let changed = self.corpus.check_texts(&self.text).err();
        notes.extend(changed.map(|error| format!("{error}. The loss is that of the text as it was.")));
        notes
    }

    /// Why preferences are not measured, so that the loss is that of what is chosen.
    pub fn unmeasured(&self) -> Option<&str> {
        self.unmeasured.as_deref()
    }

    /// Whether its text is one continuous text, which is read in chunks.
    pub fn is_continuous(&self) -> bool {
        self.corpus.is_continuous()
    }

    /// The files of its text.
    pub fn files(&self) -> Vec<&Path> {
        self.text.files()
    }

    /// Pairs or lines of the text that are left out, of the loss and of the predictions alike.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn left_out(&self) -> Result<u64, Error> {
        Ok(self.corpus.left_out()?)
    }

    /// Whether its text has sources or prompts, with references for what the model generates.
    pub fn has_pairs(&self) -> bool {
        self.text.has_pairs()
    }

    /// Loss and accuracy of the targets under teacher forcing.
    ///
    /// # Errors
    /// Whatever a pass fails with.
    pub fn loss(&mut self) -> Result<Evaluation, Error> {
        let Trained { recipe, model, parameters, .. } = self.trained;
        evaluate_text(recipe, model.as_ref(), parameters, &mut self.replicas, &self.corpus, self.config.clone(), &NEVER)
    }

    /// How long the targets are that the loss is over, where that can be told.
    ///
    /// # Errors
    /// Where the text cannot be read.
    pub fn text_size(&self) -> Result<Option<TextSize>, Error> {
        let Trained { tokenizers, model, .. } = self.trained;
        let batches = Batches::once(self.corpus.clone(), self.config.clone())?;
        TextSize::of(&tokenizers.target, batches, self.corpus.is_continuous(), |id| model.output().counts(id))
    }

    /// What the model generates for every source or prompt that the loss is over, with its references, in the order of the
    /// text: what [`Trained::request`] of its line gives, or why there is nothing. With `merge`, pairs with the same source are one example
    /// with several references.
    ///
    /// # Errors
    /// Where the text has no pairs; whatever a pass fails with.
    pub fn predictions(&mut self, options: &DecodingOptions, merge: bool) -> Result<Vec<Prediction>, Error> {
        let text = &self.text;
        if !text.has_pairs() {
            let reason = "answers need pairs of source and target. Name them with --data".to_owned();
            return Err(descant_inference::Error::Recipe { path: text.path().to_owned(), reason }.into());
        }
        let pairs = examples_of(self.trained, text, &self.corpus)?.collect::<Result<Vec<_>, Error>>()?;
        predict(self.trained, &mut self.replicas, options, examples(pairs, merge), &NEVER)
    }
}
