//! Texts that are generated together, and that enter and leave between steps: continuous batching.

use crate::memory::{Estimate, available, size};
use crate::request::{Part, Separator, join};
use crate::{Answer, Error, Generated, Request, Trained};
use descant_autograd::Tape;
use descant_batch::Sequences;
use descant_generate::{
    Begun, Constraint, Decoder, DecodingBatch, DecodingOptions, FinishReason, Hypothesis, MAX_PASS_TOKENS, Mode,
    RowError,
};
use descant_models::ModelConfig;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;

/// Generates for requests that come one after the other. Rows enter the [`Decoder`] as others leave it, as many as the batch has
/// and memory holds. A text and its scores have the same bits whichever others there are.
#[derive(Debug)]
pub struct Scheduler<'a> {
    /// The first of the models, whose tokenizers all have.
    trained: &'a Trained,
    members: Vec<&'a Trained>,
    options: &'a DecodingOptions,
    decoder: Decoder<'a>,
    /// The most rows at once.
    batch: usize,
    /// The memory that all rows may take together, where the system tells.
    memory: Option<f64>,
    /// Rows that wait, in order.
    waiting: VecDeque<Row>,
    /// Those that the decoder has, by its numbers.
    decoding: BTreeMap<usize, Row>,
    /// Rows that ever entered the decoder.
    entered: usize,
    /// Requests that are not answered, by their numbers.
    requests: BTreeMap<usize, Pending>,
    /// Those that cannot be, which the next step returns.
    refused: Vec<(usize, Error)>,
    pushed: usize,
}

/// A source or prompt.
#[derive(Debug)]
struct Row {
    request: usize,
    part: usize,
    seed: u64,
    ids: Vec<u32>,
    /// Those without its attributes.
    unconditional: Option<Vec<u32>>,
    constraints: Vec<Arc<dyn Constraint>>,
    /// What its text has already.
    begun: Begun,
    /// The bytes that it takes.
    memory: f64,
}

/// A request with what is generated of it by now.
#[derive(Debug)]
struct Pending {
    separators: Vec<Separator>,
    answers: Vec<Option<Answer>>,
}

/// How much of the free memory is planned with, as what rows take is an estimate.
const SHARE: f64 = 0.5;
/// Rows enter once this part of the batch is free: together they are encoded faster than one by one.
const GROUP: usize = 4;

/// Tokens that a text is counted with, at most: few come near a higher limit.
const LONGEST: usize = 4096;

/// Options that do not fit these models, by name.
fn misfit(trained: &Trained, error: descant_tensor::Error) -> Error {
    match error {
        descant_tensor::Error::Shapes { op: "generate", reason, .. } => {
            Error::Run { path: trained.run().to_owned(), reason }
        }
        error => error.into(),
    }
}

impl<'a> Scheduler<'a> {
    /// For at most so many rows at once.
    ///
    /// # Errors
    /// For options out of range.
    pub fn new(trained: &'a Trained, options: &'a DecodingOptions, batch: usize) -> Result<Self, Error> {
        Self::ensemble(trained, &[], options, batch)
    }

    /// The same with further models, of any architecture: the probability of a token is the mean of theirs.
    ///
    /// # Errors
    /// For options out of range, and for a model with other tokenizers.
    pub fn ensemble(
        trained: &'a Trained,
        others: &[&'a Trained],
        options: &'a DecodingOptions,
        batch: usize,
    ) -> Result<Self, Error> {
        for other in others {
            if !trained.tokenizers.is_same(&other.tokenizers)? {
                let (path, first) = (other.run().to_owned(), trained.run().display());
                let reason = format!("its tokenizers are not those of {first}: the models of an ensemble share them");
                return Err(Error::Run { path, reason });
            }
        }
        let members: Vec<&Trained> = std::iter::once(trained).chain(others.iter().copied()).collect();
        let models: Vec<_> = members.iter().map(|member| (member.model.as_ref(), &member.parameters)).collect();
        let decoder = Decoder::ensemble(&models, options).map_err(|error| misfit(trained, error))?;
        Ok(Self {
            trained,
            members,
            options,
            decoder,
            batch: batch.max(1),
            memory: available().map(|free| SHARE * free),
            waiting: VecDeque::new(),
            decoding: BTreeMap::new(),
            entered: 0,
            requests: BTreeMap::new(),
            refused: Vec::new(),
            pushed: 0,
        })
    }

    /// The same beside others, so many in all, which share the memory that is free.
    pub fn beside(mut self, schedulers: usize) -> Self {
        self.memory = self.memory.map(|memory| memory / schedulers.max(1) as f64);
        self
    }

    /// How many requests are not answered.
    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// Whether all requests are answered.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Whether another request would not only wait.
    pub fn has_room(&self) -> bool {
        self.waiting.len() + self.decoding.len() < self.batch
    }

    /// Takes a request, with the number that seeds its sampling, and returns its own number: requests are numbered in the order in
    /// which they come, from 0. One of several parts under a constraint [of a whole text](Constraint::is_of_whole_text) is answered by an error.
    pub fn push(&mut self, request: Request, number: u64) -> usize {
        let Request { parts, constraints, begun } = request;
        let (mut separators, mut begun, count) = (Vec::new(), Some(begun), parts.len());
        let mut all = self.options.constraints.iter().chain(&constraints);
        if let Some(whole) = all.find(|one| count > 1 && one.is_of_whole_text()) {
            self.refused.push((self.pushed, Error::Row(RowError::Parts { constraint: whole.name(), parts: count })));
            self.requests.insert(self.pushed, Pending { separators, answers: Vec::new() });
            self.pushed += 1;
            return self.pushed - 1;
        }
        for (part, Part { ids, unconditional, separator }) in parts.into_iter().enumerate() {
            // Each part has draws of its own.
            let seed = number | (part as u64) << 48;
            let (memory, request) = (self.memory_of(ids.len()), self.pushed);
            let (constraints, begun) = (constraints.clone(), begun.take().unwrap_or_default());
            self.waiting.push_back(Row { request, part, seed, ids, unconditional, constraints, begun, memory });
            separators.push(separator);
        }
        self.requests.insert(self.pushed, Pending { separators, answers: (0..count).map(|_| None).collect() });
        self.pushed += 1;
        self.pushed - 1
    }

    /// A step of the decoder, for those that have entered and those that wait and have room. Returns the answers that it completes. Streams each
    /// token as it is chosen, by `on_token(request, token)`; a beam search streams none.
    ///
    /// # Errors
    /// Whatever the model's pass fails with: all requests are lost then.
    pub fn step(
        &mut self,
        tape: &mut Tape,
        mut on_token: impl FnMut(usize, u32),
    ) -> Result<Vec<(usize, Answer)>, Error> {
        let mut answered: Vec<(usize, Answer)> =
            std::mem::take(&mut self.refused).into_iter().map(|(request, error)| (request, Err(error))).collect();
        answered.iter().for_each(|(request, _)| drop(self.requests.remove(request)));
        let stepped = self.enter(tape, &mut answered).and_then(|()| {
            let decoding = &self.decoding;
            let on_token =
                |row: usize, token| decoding.get(&row).into_iter().for_each(|row| on_token(row.request, token));
            Ok(self.decoder.step(tape, on_token)?)
        });
        let stepped = stepped.inspect_err(|_| {
            self.requests.clear();
            self.waiting.clear();
            self.decoding.clear();
        })?;
        for (index, result) in stepped {
            if let Some(row) = self.decoding.remove(&index) {
                let answer = result.map_err(|error| self.error(error, &row)).and_then(|found| self.texts(found, &row));
                answered.extend(self.answer(&row, answer));
            }
        }
        Ok(answered)
    }

    /// Lets rows enter.
    fn enter(&mut self, tape: &mut Tape, answered: &mut Vec<(usize, Answer)>) -> Result<(), Error> {
        let free = self.batch.saturating_sub(self.decoding.len());
        if !self.decoding.is_empty() && free < self.batch.div_ceil(GROUP) {
            return Ok(());
        }
        let mut taken: f64 = self.decoding.values().map(|row| row.memory).sum();
        let (mut numbers, mut ids, mut constraints) = (Vec::new(), Sequences::new(), Vec::new());
        let (mut unconditional, mut entering, mut begun) = (Sequences::new(), Vec::new(), Vec::new());
        while entering.len() < free
            && let Some(row) = self.waiting.front()
        {
            let is_first = self.decoding.is_empty() && entering.is_empty();
            if !is_first && self.memory.is_some_and(|memory| taken + row.memory > memory) {
                break;
            }
            let Some(row) = self.waiting.pop_front() else { break };
            // What is too large for all that is free is too large alone.
            if let Some(free) = self.memory.map(|memory| memory / SHARE).filter(|&free| is_first && row.memory > free) {
                let error = self.too_large(&row, free);
                answered.extend(self.answer(&row, Err(error)));
                continue;
            }
            taken += row.memory;
            numbers.push(row.seed);
            ids.push(&self.read_of(&row.ids));
            unconditional.push(&row.unconditional.as_ref().map_or_else(Cow::default, |ids| self.read_of(ids)));
            constraints.push(row.constraints.clone());
            begun.push(row.begun.clone());
            entering.push(row);
        }
        if entering.is_empty() {
            return Ok(());
        }
        let is_language_model = self.trained.is_language_model();
        let (sources, prompts) = if is_language_model { (None, Some(&ids)) } else { (Some(&ids), None) };
        let unconditional = Some(&unconditional);
        let (constraints, begun) = (&constraints[..], &begun[..]);
        let batch = DecodingBatch { rows: &numbers, sources, prompts, unconditional, constraints, begun };
        self.decoder.push(tape, batch).map_err(|error| misfit(self.trained, error))?;
        for row in entering {
            self.decoding.insert(self.entered, row);
            self.entered += 1;
        }
        Ok(())
    }

    /// The tokens that a row reads: a source beyond the positions is truncated before its last special tokens; the search itself
    /// truncates a prompt.
    fn read_of<'i>(&self, ids: &'i [u32]) -> Cow<'i, [u32]> {
        let (trained, positions) = (self.trained, self.positions());
        if trained.is_language_model() || ids.len() <= positions {
            return Cow::Borrowed(ids);
        }
        let source = trained.tokenizers.source.as_ref();
        let suffix = source.map_or(0, |source| source.special().source_post_processor().suffix.len());
        let (source, suffix) = ids.split_at(ids.len() - suffix.min(positions));
        Cow::Owned([&source[..positions - suffix.len()], suffix].concat())
    }

    /// How many hypotheses a row has at once, and the option that says so, with its value.
    fn hypotheses(&self) -> (usize, &'static str, usize) {
        let config = &self.options.config;
        if let Some(count) = config.alternatives() {
            return (count.saturating_mul(config.num_beams()), "num_return_sequences", count);
        }
        let (name, count) = match config.mode() {
            Mode::Greedy => ("", 1),
            Mode::Sampling if config.mbr_candidates.is_some() => ("mbr_candidates", config.candidates()),
            Mode::Sampling => ("num_return_sequences", config.num_return_sequences()),
            Mode::Beam => ("num_beams", config.num_beams()),
            Mode::Contrastive => ("top_k", config.top_k.unwrap_or(1)),
        };
        (count, name, count)
    }

    fn positions(&self) -> usize {
        self.members.iter().filter_map(|member| member.model.max_length()).min().unwrap_or(usize::MAX)
    }

    /// The memory that a row takes which reads so many tokens.
    fn memory_of(&self, tokens: usize) -> f64 {
        let vocabulary = self.trained.tokenizers.target.vocabulary();
        let context = self.options.config.context.filter(|_| self.trained.is_language_model());
        let positions = context.unwrap_or(self.positions());
        let tokens = tokens.min(positions);
        let (hypotheses, _, _) = self.hypotheses();
        let config = &self.options.config;
        let written = self.options.limit(Some(tokens), 0).min(positions).min(LONGEST);
        let of = |model: &ModelConfig| {
            Estimate::of_generation(model, vocabulary, hypotheses as f64, tokens as f64, written as f64)
        };
        let draft = self.options.draft_model.as_deref();
        // Tokens of drafts have scores of their own.
        let guessed = draft.map(|_| config.num_assistant_tokens());
        let drafts = config.prompt_lookup_num_tokens.max(guessed).unwrap_or(0).min(MAX_PASS_TOKENS);
        // With guidance, a row is there twice.
        let times = if config.guidance().is_some() { 2.0 } else { 1.0 };
        times * self.members.iter().map(|member| of(&member.recipe.model)).sum::<f64>()
            + draft.map_or(0.0, |draft| of(&draft.config))
            + (size_of::<f32>() * vocabulary * drafts) as f64
    }

    fn too_large(&self, row: &Row, free: f64) -> Error {
        let (with, advice) = match self.hypotheses() {
            (1, ..) => (String::new(), "Shorten it".to_owned()),
            (_, name, count) => (format!(" with {name} = {count}"), format!("Lower {name}, or shorten it")),
        };
        let reason = format!(
            "what {} tokens are read for{with} takes about {} of memory, and {} are available. {advice}",
            row.ids.len(),
            size(row.memory),
            size(free)
        );
        Error::Run { path: self.trained.run().to_owned(), reason }
    }

    /// Why a row has no texts.
    fn error(&self, error: RowError, row: &Row) -> Error {
        match error {
            RowError::Scores { member } => {
                let reason =
                    format!("{error}. Get the model again, or train it anew with a smaller train.learning_rate");
                Error::Run { path: self.members[member].run().to_owned(), reason }
            }
            RowError::Unmet { tokens } => {
                let read = if self.trained.is_language_model() { &row.ids[..] } else { &[] };
                let constraints =
                    self.options.constraints.iter().chain(&row.constraints).map(|one| one.name()).collect();
                match self.trained.continuation(read, &tokens) {
                    Ok(text) => Error::Unmet { text, tokens, constraints },
                    Err(error) => error,
                }
            }
            error => error.into(),
        }
    }

    /// The texts of a row. Where there are few, of constraints or alternatives, none comes twice, written by other tokens; samples are draws.
    fn texts(&self, found: Vec<Hypothesis>, row: &Row) -> Answer {
        let (trained, positions, read) = (self.trained, self.positions(), &row.ids[..]);
        let config = &self.options.config;
        let is_constrained = !(self.options.constraints.is_empty() && row.constraints.is_empty());
        let has_each_once = config.alternatives().is_some() || is_constrained && config.mode() != Mode::Sampling;
        let is_language_model = trained.is_language_model();
        let context = self.options.config.context.unwrap_or(usize::MAX).min(positions);
        let reader = trained.tokenizers.source.as_ref().unwrap_or(&trained.tokenizers.target);
        let unknown = reader.special().unknown;
        let unknown = read.iter().filter(|&&id| Some(id) == unknown).count();
        let text = |hypothesis: Hypothesis| {
            let Hypothesis { tokens, score, log_probability, finish_reason, .. } = hypothesis;
            let prompt = if is_language_model { read } else { &[] };
            // The last generated token, or EOS, is not read.
            let cut = match is_language_model {
                true => {
                    read.len() + tokens.len() + usize::from(finish_reason == FinishReason::Eos)
                        > context.saturating_add(1)
                }
                false => read.len() > positions,
            };
            let text = trained.continuation(prompt, &tokens)?;
            Ok(Generated { text, tokens, score, log_probability, finish_reason, cut, unknown })
        };
        let mut texts = found.into_iter().map(text).collect::<Result<Vec<_>, Error>>()?;
        if has_each_once {
            let mut seen = HashSet::new();
            texts.retain(|one| seen.insert(one.text.clone()));
        }
        Ok(texts)
    }

    /// Takes the answer of a row; with the last one of a request, that of the request.
    fn answer(&mut self, row: &Row, answer: Answer) -> Option<(usize, Answer)> {
        let pending = self.requests.get_mut(&row.request)?;
        pending.answers[row.part] = Some(answer);
        if pending.answers.iter().any(Option::is_none) {
            return None;
        }
        let Pending { separators, answers } = self.requests.remove(&row.request)?;
        let parts = answers.into_iter().flatten().collect::<Result<Vec<_>, _>>();
        Some((row.request, parts.map(|parts| join(parts, &separators))))
    }
}

/// The best text of the only answer.
pub(crate) fn best_of_one(mut answers: Vec<Answer>) -> Result<Generated, Error> {
    let texts = answers.pop().unwrap_or_else(|| Ok(Vec::new()))?;
    Ok(texts.into_iter().next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Recipe, Tokenizers, model};
    use descant_generate::GenerationConfig;
    use descant_kernels::Parallelism;
    use descant_tensor::DType;
    use descant_text::{Tokenizer, TokenizerConfig, TokenizerKind};

    #[test]
    fn a_row_takes_what_its_draft_model_takes_too() {
        let folder = tempfile::tempdir().unwrap();
        let recipe = "[tokenizer]\nkind = 'character'\n[model]\nkind = 'language-model'\ndecoder = 'transformer'\n\
                      hidden = 8\n[model.transformer]\nheads = 2\n";
        let recipe = Recipe::parse(recipe, &[]).unwrap();
        let config = TokenizerConfig { kind: TokenizerKind::Character, ..Default::default() };
        let target = Tokenizer::train(&config, true, (0..9).map(|_| Ok("abcdefgh".to_owned()))).unwrap();
        let tokenizers = Tokenizers { source: None, target: Arc::new(target) };
        let (parameters, _) = model(&recipe, &tokenizers, DType::F32).unwrap();
        Trained::save(&recipe, &tokenizers, &parameters, None, folder.path()).unwrap();
        let trained = Trained::load(folder.path()).unwrap();
        let mut options = trained.options(&GenerationConfig::greedy(), Parallelism::Serial).unwrap();
        let memory_of = |options: &DecodingOptions| Scheduler::new(&trained, options, 4).unwrap().memory_of(100);
        let alone = memory_of(&options);
        options.draft_model = Some(trained.load_draft_model(folder.path()).unwrap());
        for guessed in [None, Some(9)] {
            options.config.num_assistant_tokens = guessed;
            let scores = 4 * tokenizers.target.vocabulary() * guessed.unwrap_or(5);
            assert_eq!(memory_of(&options), 2.0 * alone + scores as f64);
        }
    }
}
