use crate::annotated::{annotated, has_place};
use crate::subwords::subword_regularization;
use crate::task_forms::check_forms;
use descant_batch::Batch;
use descant_inference::layout::DATA;
use descant_inference::{DataConfig, Error, Files, Recipe, Task, Tokenizers};
use descant_models::{LossConfig, ModelKind};
use descant_text::{
    Annotations, BatchConfig, Batches, ChatTemplate, ControlConfig, Corpus, Example, FilterConfig, Form, InputBuilder,
    MaxLength, Noise, Shuffle, Source, SpanCorruption, TextError, is_csv, is_json, is_parquet, is_tsv,
};
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
    max_length: MaxLength,
    /// How much span corruption leaves out, and how long its spans are.
    spans: Option<[f64; 2]>,
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
            return Err(recipe.wrong(reason));
        };
        let kind = recipe.model.kind;
        let source = |files: &Files| source(files, data, recipe, template);
        let train = source(&data.train)?;
        let train = match &data.filter {
            Some(filter) if filter.is_active() => filtered(train, filter, recipe)?,
            _ => train,
        };
        let validation = data.validation.as_ref().map(source).transpose()?;
        validation.as_ref().map_or(Ok(()), |validation| agree(&train, validation))?;
        if kind == ModelKind::LanguageModel && train.has_pairs() && matches!(recipe.loss, LossConfig::Embedding { .. })
        {
            let reason = "loss.kind = \"embedding\": prompts that do not count need loss.kind = \"cross-entropy\"";
            return Err(recipe.wrong(reason));
        }
        if let Some(column) = &data.weight_column {
            let mut texts = [Some(&train), validation.as_ref()].into_iter().flatten();
            texts.try_for_each(|text| has_place(text, column, "data.weight_column"))?;
        }
        if let Some(column) = &data.alignment_column {
            has_place(&train, column, "data.alignment_column")?;
        }
        check_forms(recipe, data, &train, validation.as_ref())?;
        let conversations = train.form() == Form::Conversations;
        Ok(Self {
            train,
            validation,
            shared_vocabulary: data.shared_vocabulary || data.task == Task::SpanCorruption,
            held_out: data.validation_share,
            max_length: MaxLength { tokens: data.max_length.min(longest(recipe, conversations)), cut: data.cut },
            spans: data.span_corruption(),
        })
    }

    /// That a chat template which the recipe names has something to make texts of.
    ///
    /// # Errors
    /// Where it has not.
    pub fn check_template(&self, recipe: &Recipe) -> Result<(), Error> {
        let named = recipe.data.as_ref().is_some_and(|data| data.chat_template.is_some());
        if !named || self.train.has_pairs() {
            return Ok(());
        }
        let (path, form) = (self.train.path().display(), self.train.form());
        Err(recipe.wrong(format!(
            "data.chat_template makes texts of messages and of pairs, and {path} holds {form}. Give it .jsonl with \"messages\", or \
             with \"prompt\" and \"completion\"; data.columns = [0, 1] reads pairs between tabs; or leave chat_template out to \
             learn from the text as it is (descant init text)"
        )))
    }

    /// Whether their spaces and line ends matter.
    pub(crate) fn keep_spaces(&self) -> bool {
        let is_rendered = self.train.template().is_some();
        is_rendered
            || self.train.form() == Form::Continuous
            || self.train.files().into_iter().all(|path| is_json(path) || is_parquet(path))
    }

    /// What is validated on: what a run has of it, or the same in memory where it has none; its folder stays as it is.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub(crate) fn held_out(&self, tokenizers: &Tokenizers, run: &Path) -> Result<Option<Arc<Corpus>>, Error> {
        let run = (tokenizers, run);
        match &self.validation {
            Some(validation) => Ok(Some(Arc::new(self.open(validation, "validation", run)?))),
            None => Ok(enough(self.open(&self.train, "train", run)?.split(self.held_out).1)),
        }
    }

    /// What is trained on, where a part of the text is held out: what a run has of it, or the same in memory where it has none.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub(crate) fn learnt(&self, tokenizers: &Tokenizers, run: &Path) -> Result<Option<Corpus>, Error> {
        match &self.validation {
            Some(_) => Ok(None),
            None => Ok(Some(self.open(&self.train, "train", (tokenizers, run))?.split(self.held_out).0)),
        }
    }

    /// The corpus of a text: what a run has of it, or the same in memory.
    fn open(&self, text: &Source, name: &str, (tokenizers, run): (&Tokenizers, &Path)) -> Result<Corpus, TextError> {
        let folder = Some(run.join(DATA).join(name)).filter(|folder| Corpus::is_in(folder));
        Corpus::encode(text, tokenizers.source.as_deref(), &tokenizers.target, self.max_length, folder.as_deref())
    }

    /// A line for all that encoding them left out, cut or did not know, or that has changed since.
    pub(crate) fn notes(&self, train: &Corpus, validation: Option<&Corpus>) -> Vec<String> {
        let validation = self.validation.as_ref().zip(validation);
        let all = [Some((&self.train, train)), validation];
        let notes = all.into_iter().flatten().flat_map(|(text, corpus)| {
            let mut notes = corpus.report().notes(&text.name());
            let changed = corpus.check_texts(text).err();
            notes.extend(changed.map(|error| format!("{error}. Training goes on with the text as it was.")));
            notes
        });
        notes.collect()
    }

    /// The marks that a chat template writes around their messages, such as `<|im_start|>`.
    pub(crate) fn marks(&self) -> Vec<String> {
        self.train.template().map_or_else(Vec::new, ChatTemplate::find_marks)
    }

    /// The control tokens of their attributes, and sentinels.
    pub(crate) fn control_tokens(&self) -> Vec<String> {
        let attributes = self.train.control().map_or_else(Vec::new, ControlConfig::tokens);
        [attributes, self.spans.map_or_else(Vec::new, |_| SpanCorruption::sentinels())].concat()
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
            let folder = run.map(|run| run.join(DATA).join(name));
            let source = tokenizers.source.as_deref();
            Corpus::encode(text, source, &tokenizers.target, self.max_length, folder.as_deref())
        };
        let train = encode(&self.train, "train")?;
        let (report, kept) = (train.report(), train.report().examples - train.report().left_out);
        for (found, what) in [
            (&report.unweighted, "a weight. Look at data.weight_column"),
            (&report.unaligned, "an alignment. Look at data.alignment_column"),
        ] {
            if found.count == kept {
                let reason = format!("none of its examples has {what}");
                return Err(Error::Recipe { path: self.train.path().to_owned(), reason });
            }
        }
        if let Some(validation) = &self.validation {
            return Ok((Arc::new(train), Some(Arc::new(encode(validation, "validation")?))));
        }
        let (train, held_out) = train.split(self.held_out);
        Ok((Arc::new(train), enough(held_out)))
    }
}

/// A text that is held out, where it is one: of a single token of a continuous text, nothing is to be predicted.
fn enough(held_out: Corpus) -> Option<Arc<Corpus>> {
    (held_out.len() > u64::from(held_out.is_continuous())).then(|| Arc::new(held_out))
}

/// The examples of a text that its corpus has, in their order.
///
/// # Errors
/// What is wrong with the text, such as that it has changed since.
pub(crate) fn kept(text: &Source, corpus: &Corpus) -> Result<impl Iterator<Item = Result<Example, TextError>>, Error> {
    corpus.check_texts(text)?;
    let path = text.path().to_owned();
    let (mut numbers, mut examples) = (corpus.examples()?.into_iter(), text.examples()?.zip(0..));
    Ok(std::iter::from_fn(move || {
        let number = numbers.next()?;
        let of_number = |(example, found): (Result<Example, TextError>, u64)| match example {
            Ok(example) => (found == number).then_some(Ok(example)),
            Err(error) => Some(Err(error)),
        };
        // Only a text that has changed while it was read has none.
        Some(examples.find_map(of_number).unwrap_or_else(|| Err(TextError::Changed { path: path.clone() })))
    }))
}

/// The files that a command was given: one, or two parallel ones.
pub(crate) fn given(files: &[PathBuf]) -> Option<Files> {
    match files {
        [] => None,
        [one] => Some(Files::One(one.clone())),
        [source, target, ..] => Some(Files::Two([source.clone(), target.clone()])),
    }
}

/// The text of a recipe's `files`.
pub(crate) fn source(
    files: &Files,
    data: &DataConfig,
    recipe: &Recipe,
    template: Option<&ChatTemplate>,
) -> Result<Source, Error> {
    let (kind, columns) = (recipe.model.kind, data.columns.as_ref());
    let reads_texts = data.task == Task::SpanCorruption;
    let beside = Annotations {
        control: recipe.control.clone(),
        weight: data.weight_column.clone(),
        alignment: data.alignment_column.clone(),
    };
    let one = |path: &PathBuf| {
        Ok::<_, Error>(match (kind, columns) {
            _ if is_json(path) => Source::json(path, columns, &beside)?,
            _ if is_parquet(path) => Source::parquet(path, columns, &beside)?,
            // Runs from before CSV was a form of text read such a file as any other, and have no order of shuffling.
            _ if is_csv(path) && data.shuffle.is_some() => Source::csv(path, columns, &beside)?,
            (ModelKind::LanguageModel, None) if data.stream => Source::Stream { path: path.clone() },
            (_, None) if kind == ModelKind::LanguageModel || (reads_texts && !is_tsv(path)) => {
                Source::Lines { path: path.clone() }
            }
            _ => Source::Tsv { path: path.clone(), columns: columns.cloned() },
        })
    };
    let both = |(source, target): (&PathBuf, &PathBuf)| {
        Ok(Source::Parallel { source: source.clone(), target: target.clone() })
    };
    let sides = files.matched().map_err(|reason| recipe.wrong(format!("[data]: {reason}")))?;
    let corpus = |name: usize| {
        let parts: Vec<Source> = match &sides[..] {
            [files] => files[name].iter().map(one).collect::<Result<_, _>>()?,
            [sources, targets] => sources[name].iter().zip(&targets[name]).map(both).collect::<Result<_, Error>>()?,
            _ => return Err(recipe.wrong("[data]: expected files of one side, or of source and target")),
        };
        several(parts)
    };
    let names = sides.first().map_or(0, Vec::len);
    let parts: Vec<Source> = (0..names).map(corpus).collect::<Result<_, Error>>()?;
    let source = several(parts)?;
    let source = annotated(source, beside)?;
    if kind == ModelKind::EncoderDecoder && !source.has_pairs() && !reads_texts {
        let path = source.path().to_owned();
        let reason = format!("it holds {}, and an encoder-decoder needs {}", source.form(), Form::Pairs);
        return Err(Error::Recipe { path, reason });
    }
    Ok(match template {
        Some(template) if source.has_pairs() => Source::Chat { source: Box::new(source), template: template.clone() },
        _ => source,
    })
}

/// Texts one after the other.
///
/// # Errors
/// Where they are of several forms.
fn several(mut parts: Vec<Source>) -> Result<Source, Error> {
    if parts.len() == 1 {
        return Ok(parts.remove(0));
    }
    let form = parts.first().map(Source::form);
    if let Some(other) = parts.iter().find(|part| Some(part.form()) != form) {
        let (own, first) = (other.form(), parts[0].path().display());
        let reason = format!(
            "it is read as {own}, and {first} as {}: all files of a text have to be of one form. data.columns says which columns \
             are read",
            parts[0].form()
        );
        return Err(Error::Recipe { path: other.path().to_owned(), reason });
    }
    Ok(Source::Several { parts })
}

/// A text without what filters take out.
///
/// # Errors
/// Where a filter is of another form.
fn filtered(source: Source, filter: &FilterConfig, recipe: &Recipe) -> Result<Source, Error> {
    let form = source.form();
    if form == Form::Continuous {
        return Err(
            recipe.wrong("[data.filter] leaves out lines or pairs, and one continuous text has none. Leave it out")
        );
    }
    if let Some(key) = filter.needs_pairs().filter(|_| form != Form::Pairs && source.path().exists()) {
        let reason =
            format!("data.filter.{key} is of {}, and {} holds {form}. Leave it out", Form::Pairs, source.name());
        return Err(recipe.wrong(reason));
    }
    Ok(Source::Filtered { source: Box::new(source), filter: filter.clone().into() })
}

/// That two texts are of one form, as what is learned from the one is measured on the other.
pub(crate) fn agree(train: &Source, other: &Source) -> Result<(), Error> {
    // What is chosen is a target.
    let measured = |text: &Source| if text.form() == Form::Preferences { Form::Pairs } else { text.form() };
    if measured(train) == measured(other) {
        return Ok(());
    }
    let help = match train.form() {
        Form::Pairs if other.form() == Form::Texts => {
            ". For tab-separated pairs set data.columns = [0, 1], or give two files, or .jsonl with prompt and completion"
        }
        Form::Texts | Form::Continuous if train.form() != other.form() => {
            ". data.stream says whether a text is continuous, and data.columns makes pairs of its lines"
        }
        _ => "",
    };
    let reason = format!(
        "it is read as {}, and the training text {} as {}: both have to be of one form{help}",
        other.form(),
        train.path().display(),
        train.form()
    );
    Err(Error::Recipe { path: other.path().to_owned(), reason })
}

/// The most tokens of a text for which a model has positions, special tokens included.
pub(crate) fn longest(recipe: &Recipe, conversations: bool) -> usize {
    let builder = InputBuilder::new(&recipe.special(), recipe.model.kind == ModelKind::EncoderDecoder, conversations);
    let added = builder.most_added(recipe.data.as_ref().is_some_and(|data| data.cut));
    let most = recipe.model.max_length().map_or(usize::MAX, |most| most.saturating_sub(added));
    match recipe.data.as_ref().and_then(DataConfig::span_corruption).filter(|_| most < usize::MAX) {
        Some([rate, mean]) => SpanCorruption::longest(rate, mean, recipe.model.kind == ModelKind::EncoderDecoder, most),
        None => most,
    }
}

/// In which order the training text is read.
pub(crate) fn order(recipe: &Recipe) -> Shuffle {
    recipe.data.as_ref().and_then(|data| data.shuffle).unwrap_or(Shuffle::Blocks)
}

/// How the recipe's texts become batches.
///
/// # Errors
/// Where the tokenizer has no sentinels for span corruption.
pub(crate) fn batch_config(recipe: &Recipe, tokenizers: &Tokenizers) -> Result<BatchConfig, Error> {
    let train = &recipe.train;
    let mut config = BatchConfig::default();
    (config.tokens, config.length, config.streams) = (train.batch_tokens, train.length, train.carry_state);
    config.sequences = (train.batch_sentences > 0).then_some(train.batch_sentences);
    config.shuffle = Some(recipe.seed);
    config.order = order(recipe);
    config.special = recipe.special();
    config.control_dropout = recipe.control.as_ref().map_or(0.0, |control| control.dropout);
    if let Some(spans) = recipe.data.as_ref().and_then(DataConfig::span_corruption) {
        config.corruption = Some(corruption(spans, tokenizers)?);
    }
    Ok(config)
}

/// Span corruption for these tokenizers.
fn corruption([rate, mean]: [f64; 2], tokenizers: &Tokenizers) -> Result<SpanCorruption, Error> {
    let Tokenizers { source, target } = tokenizers;
    if source.as_ref().is_some_and(|source| !Arc::ptr_eq(source, target)) {
        let reason = "data.task = \"span-corruption\": both sides need one tokenizer, and init has two";
        return Err(TextError::Tokenizer(reason.to_owned()).into());
    }
    Ok(SpanCorruption::new(rate, mean, target, source.is_some())?)
}

/// The same for those to train on.
///
/// # Errors
/// Where the tokenizer has no words for noise.
pub(crate) fn training_config(recipe: &Recipe, tokenizers: &Tokenizers) -> Result<BatchConfig, Error> {
    let mut config = batch_config(recipe, tokenizers)?;
    let noise = recipe.data.as_ref().and_then(|data| data.noise.as_ref()).zip(tokenizers.source.as_ref());
    let (train, most) = (&recipe.train, longest(recipe, false));
    (config.accumulate, config.whole_epochs) = (train.accumulate, train.epochs > 0 || train.carry_state);
    (config.batch_ramp, config.length_ramp) = (train.batch_ramp(), train.length_ramp());
    if recipe.optimizer.history_size().is_some() {
        // Each step is of the same text in the same order, as its gradient is compared with that of the step before.
        (config.accumulate, config.whole_epochs, config.shuffle) = (usize::MAX, true, None);
    }
    config.mixture = recipe.data.as_ref().and_then(DataConfig::mixture);
    config.subwords = subword_regularization(recipe, tokenizers, most)?;
    config.noise = noise.map(|(noise, tokenizer)| Noise::new(noise.clone(), tokenizer, most)).transpose()?;
    Ok(config)
}

/// The batches of a training on these texts, in its order.
///
/// # Errors
/// What is wrong with the texts.
pub fn batches(recipe: &Recipe, texts: &Texts, tokenizers: &Tokenizers) -> Result<Batches, Error> {
    Ok(Batches::new(texts.encode(tokenizers, None)?.0, training_config(recipe, tokenizers)?)?)
}

/// A small batch of the texts' first lines, each cut to `length` tokens on either side: to check a model with.
///
/// # Errors
/// What is wrong with the texts.
pub fn first_batch(texts: &Texts, tokenizers: &Tokenizers, sequences: usize, length: usize) -> Result<Batch, Error> {
    let mut batch = Batch::default();
    let special = [tokenizers.source.as_ref().unwrap_or(&tokenizers.target), &tokenizers.target];
    let special = special.map(|tokenizer| tokenizer.special().clone());
    let builder = InputBuilder::new(&special, tokenizers.source.is_some(), texts.train.form() == Form::Conversations);
    let corruption = texts.spans.map(|spans| corruption(spans, tokenizers)).transpose()?;
    for example in texts.train.for_tokenizers(tokenizers.source.as_deref(), &tokenizers.target).examples()? {
        let Example { source, target, rejected, .. } = example?;
        let cut = |mut ids: Vec<u32>| {
            ids.truncate(length);
            ids
        };
        let target = cut(tokenizers.target.encode_text(&target)?);
        let source = source.map(|text| tokenizers.source.as_ref().unwrap_or(&tokenizers.target).encode_text(&text));
        let source = source.transpose()?.map(cut);
        if target.is_empty() || source.as_ref().is_some_and(Vec::is_empty) {
            continue;
        }
        let (source, target) = match &corruption {
            Some(corruption) => {
                let [left, written] = corruption.corrupt(&target, batch.target.len() as u64);
                (Some(left), written)
            }
            None => (source, target),
        };
        let rejected = rejected.map(|text| tokenizers.target.encode_text(&text)).transpose()?.map(cut);
        let (source, prompt) = match source {
            Some(prompt) if tokenizers.source.is_none() => (None, prompt),
            source => (source, Vec::new()),
        };
        builder.add(&mut batch, source.as_deref(), &[&prompt[..], &target].concat(), prompt.len());
        if let Some(rejected) = rejected {
            builder.add_rejected(&mut batch, &[&prompt[..], &rejected].concat(), prompt.len());
        }
        if batch.target.len() == sequences {
            break;
        }
    }
    if batch.target.is_empty() {
        return Err(TextError::Empty { path: texts.train.path().to_owned() }.into());
    }
    Ok(batch)
}
