use crate::context_window::ContextWindow;
use crate::hypothesis::PartialHypothesis;
use crate::prefill::{Unread, next_pass};
use crate::scorer::Scorer;
use crate::scores::Scores;
use crate::search::Search;
use crate::{DecodingOptions, FinishReason, Hypothesis};
use descant_autograd::{Parameters, Tape, Var};
use descant_batch::Sequences;
use descant_kernels::{Parallelism, Real, log_sum_exp, run_on_threads};
use descant_models::{DecoderState, Generator};
use descant_tensor::{DType, Error, Result, Shape, Tensor};
use std::ops::Range;
use std::panic::Location;

/// Rows to generate texts for.
#[derive(Clone, Copy, Debug)]
pub struct DecodingBatch<'a> {
    /// A number for each row, such as its line in a file, which seeds its random stream: sampling does not depend on the
    /// batch.
    pub rows: &'a [u64],
    /// The encoder's input of each row; a language model has none.
    pub sources: Option<&'a Sequences>,
    /// The prompt of each row, BOS included; an empty one is replaced by [`DecodingOptions::start`]. Lengths may differ.
    pub prompts: Option<&'a Sequences>,
}

/// Generates texts for rows that enter and leave between steps: continuous batching (Yu et al. 2022, Orca). What is generated
/// for a row, and its scores, have the same bits whichever other rows there are.
#[derive(Debug)]
pub struct Decoder<'a> {
    model: &'a dyn Generator,
    parameters: &'a Parameters,
    options: &'a DecodingOptions,
    /// One for each thread.
    scorers: Vec<Scorer>,
    /// Its rows are the hypotheses of all rows, those of a row consecutive.
    state: Option<DecoderState>,
    rows: Vec<Row>,
    /// Rows ever pushed.
    pushed: usize,
}

#[derive(Debug)]
struct Row {
    /// Its index among all rows that were pushed.
    index: usize,
    search: Search,
    unread: Unread,
    window: ContextWindow,
}

/// The scores below which a second thread costs more than it saves.
const MIN_SCORES: usize = 1 << 15;

impl<'a> Decoder<'a> {
    /// A decoder without rows.
    ///
    /// # Errors
    /// [`Error::Shapes`] for options out of range.
    #[track_caller]
    pub fn new(model: &'a dyn Generator, parameters: &'a Parameters, options: &'a DecodingOptions) -> Result<Self> {
        options.validate().map_err(|reason| refused(reason, Location::caller()))?;
        let threads = match options.parallelism {
            Parallelism::Serial => 1,
            Parallelism::Threads(threads) => threads.max(1),
        };
        let scorers = (0..threads).map(|_| Scorer::new(options)).collect();
        Ok(Self { model, parameters, options, scorers, state: None, rows: Vec::new(), pushed: 0 })
    }

    /// How many rows are not ended.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether every row has ended.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Lets rows enter; their sources are encoded together. Rows are numbered in the order in which they enter, from 0.
    ///
    /// # Errors
    /// [`Error::Shapes`] for sources or prompts that are not as many as the rows, and for a row that begins with nothing; what
    /// the encoder fails with.
    #[track_caller]
    pub fn push(&mut self, tape: &mut Tape, batch: DecodingBatch<'_>) -> Result<()> {
        let (options, location) = (self.options, Location::caller());
        let DecodingBatch { rows, sources, prompts } = batch;
        for (what, given) in [("sources", sources), ("prompts", prompts)] {
            if let Some(given) = given.filter(|given| given.len() != rows.len()) {
                return Err(refused(format!("there are {} {what} for {} rows", given.len(), rows.len()), location));
            }
        }
        if rows.is_empty() {
            return Ok(());
        }
        let window = ContextWindow::new(options, self.model.max_length(), sources.is_some());
        let positions = sources.and(self.model.max_length());
        let mut entering = Vec::with_capacity(rows.len());
        for (i, &number) in rows.iter().enumerate() {
            let prompt = prompts.map(|prompts| prompts.get(i)).filter(|ids| !ids.is_empty()).unwrap_or(&options.start);
            let prompt = window.cut(prompt);
            if prompt.is_empty() {
                let reason =
                    format!("row {i} has no token to begin with: the model has no BOS, and the prompt is empty");
                return Err(refused(reason, location));
            }
            if let Some(positions) = positions.filter(|&positions| prompt.len() > positions) {
                let length = prompt.len();
                let reason = format!(
                    "row {i} has a prompt of {length} tokens, but the model's decoder has {positions} positions"
                );
                return Err(refused(reason, location));
            }
            let room = positions.map(|positions| positions - (prompt.len() - 1));
            let search = Search::new(options, number, sources.map(|sources| sources.get(i)), &prompt, room);
            let unread = Unread::new(prompt, search.live().count());
            entering.push(Row { index: self.pushed + i, search, unread, window });
        }
        let graph = tape.infer(self.parameters, options.parallelism);
        let mut state = self.model.start(graph, sources, rows.len())?;
        let is_live = |row: &usize| !entering[*row].search.is_over();
        state.select(&(0..rows.len()).filter(is_live).collect::<Vec<_>>());
        if options.config.prompt_lookup_num_tokens.is_some() && state.kv_cache.is_none() {
            let reason =
                "prompt_lookup_num_tokens: the decoder is recurrent, which cannot take back tokens that it has read";
            return Err(refused(reason.to_owned(), location));
        }
        match &mut self.state {
            Some(own) => own.append(state),
            none => *none = Some(state),
        }
        self.pushed += rows.len();
        self.rows.extend(entering);
        Ok(())
    }

    /// One pass of the model over all rows: the next token of each, or the next part of its prompt. Returns the rows that have
    /// ended, each with its hypotheses, the best first. Streams each token as it is chosen, by `on_token(row, token)`; beam search
    /// knows its tokens only at the end, and streams none.
    ///
    /// # Errors
    /// [`Error::NonFinite`] for a model whose scores are not numbers; what a step of the model fails with.
    pub fn step(&mut self, tape: &mut Tape, on_token: impl FnMut(usize, u32)) -> Result<Vec<(usize, Vec<Hypothesis>)>> {
        if self.options.is_cancelled() {
            let live = self.rows.iter_mut().filter(|row| !row.search.is_over());
            live.for_each(|row| row.search.stop(FinishReason::Cancelled));
            self.state.iter_mut().for_each(|state| state.select(&[]));
        }
        if self.rows.iter().any(|row| !row.search.is_over()) {
            self.pass(tape, on_token)?;
        }
        let ended = self.rows.extract_if(.., |row| row.search.is_over());
        Ok(ended.map(|row| (row.index, row.search.hypotheses())).collect())
    }

    fn pass(&mut self, tape: &mut Tape, mut on_token: impl FnMut(usize, u32)) -> Result<()> {
        let Self { model, parameters, options, scorers, state: Some(state), rows, .. } = self else { return Ok(()) };
        let pass = next_pass(rows.iter_mut().map(|row| &mut row.unread));
        let graph = tape.infer(parameters, options.parallelism);
        let hidden = model.step(graph, state, &pass)?;
        // Where a prompt goes on, nothing is chosen, and no logits are needed.
        let (mut ends, mut first) = (Vec::new(), 0);
        for Row { unread, .. } in rows.iter() {
            let live = first..first + unread.hypotheses;
            first = live.end;
            if unread.is_read() {
                let last = |i| hidden.segments.rows(i).iter().rev().take(unread.draft + 1).rev();
                ends.extend(live.flat_map(last).map(|&row| row as u32));
            }
        }
        let states = scorers[0].reads_hidden().then(|| hidden.rows.value()).transpose()?;
        let (mut turns, mut first) = (Vec::new(), 0);
        for Row { search, unread, .. } in rows.iter_mut() {
            let live = first..first + unread.hypotheses;
            first = live.end;
            if let Some(states) = &states {
                live.clone().for_each(|i| search.observe(states, hidden.segments.rows(i).iter().copied()));
            }
            if unread.is_read() && !live.is_empty() {
                let scores = turns.last().map_or(0, |turn: &Turn<'_>| turn.scores.end);
                let count = live.len() + unread.draft;
                turns.push(Turn { search, scores: scores..scores + count, draft: unread.draft(), chosen: Vec::new() });
            }
        }
        let mut chosen: Vec<Vec<u32>> = Vec::new();
        if !ends.is_empty() {
            let logits = model.output().logits(hidden.rows.gather(&ends.as_slice().into()));
            let hidden = states.as_ref().map(|states| (states, &ends[..]));
            match graph.dtype() {
                DType::F32 => take_turns::<f32>(&mut turns, logits, hidden, scorers, options)?,
                DType::F64 => take_turns::<f64>(&mut turns, logits, hidden, scorers, options)?,
            }
            chosen.extend(turns.into_iter().map(|turn| turn.chosen));
        }
        let (mut parents, mut first, mut chosen) = (Vec::new(), 0, chosen.into_iter());
        for Row { index, search, unread, .. } in rows.iter_mut() {
            let live = first..first + unread.hypotheses;
            first = live.end;
            if !unread.is_read() || live.is_empty() {
                parents.extend(live);
                continue;
            }
            let chosen = chosen.next().unwrap_or_default();
            if unread.draft > 0 {
                // The state holds the draft; the last token chosen is not read yet.
                let rejected = (unread.draft + 1).saturating_sub(chosen.len());
                state.truncate(live.start, rejected);
                unread.reject(rejected);
            }
            parents.extend(search.live().map(|hypothesis| live.start + hypothesis.parent));
            unread.next(search.live().filter_map(|hypothesis| hypothesis.tokens.last().copied()));
            chosen.into_iter().for_each(|token| on_token(*index, token));
        }
        state.select(&parents);
        let mut first = 0;
        for Row { search, unread, window, .. } in rows.iter_mut() {
            let live = first..first + unread.hypotheses;
            first = live.end;
            if unread.is_one_token() {
                // A draft ends where the context is full.
                let room = window.room(unread.in_state + 1);
                unread.try_draft(&search.draft(options, room));
            }
            // A full context is read anew, without what is beyond it.
            if unread.is_new() && !live.is_empty() && window.is_full(unread.in_state) {
                let slide = |live: &PartialHypothesis| window.slide(search.prompt(), &live.tokens);
                let again = search.live().flat_map(slide).collect();
                *unread = Unread::new(again, live.len());
                state.restart(live);
            }
        }
        Ok(())
    }
}

/// A row that chooses its next tokens in this step.
struct Turn<'a> {
    search: &'a mut Search,
    /// Its rows of the logits.
    scores: Range<usize>,
    /// Tokens that may follow the only text of the row, whose scores come after its own.
    draft: &'a [u32],
    /// The tokens that the only text of the row has got.
    chosen: Vec<u32>,
}

/// Advances every search by its rows of `logits[N, V]`, on as many threads as there are scorers.
fn take_turns<E: Real>(
    turns: &mut [Turn<'_>],
    logits: Var<'_>,
    hidden: Option<(&Tensor, &[u32])>,
    scorers: &mut [Scorer],
    options: &DecodingOptions,
) -> Result<()> {
    let shape = logits.shape();
    let threads = if shape.len() < MIN_SCORES { 1 } else { scorers.len() };
    let share = shape.rows().div_ceil(threads).max(1);
    logits.read(|logits: &[E]| {
        let (mut left, mut failures) = (turns, vec![Ok(()); threads]);
        let tasks = scorers.iter_mut().zip(&mut failures).enumerate().map(|(thread, (scorer, failure))| {
            let count = left.partition_point(|turn| turn.scores.start < (thread + 1) * share);
            let (own, others) = std::mem::take(&mut left).split_at_mut(count);
            left = others;
            move || {
                *failure = own.iter_mut().try_for_each(|turn| turn.take(shape, logits, hidden, scorer, options));
            }
        });
        run_on_threads(tasks);
        failures.into_iter().collect()
    })?
}

impl Turn<'_> {
    fn take<E: Real>(
        &mut self,
        shape: Shape,
        logits: &[E],
        hidden: Option<(&Tensor, &[u32])>,
        scorer: &mut Scorer,
        options: &DecodingOptions,
    ) -> Result<()> {
        let (width, mut scratch) = (shape.last(), vec![E::zero(); shape.last()]);
        let reads_logits = scorer.reads_logits();
        let mut scores_of = |row: usize| {
            let logits = &logits[row * width..][..width];
            let log_sum = log_sum_exp(logits, &mut scratch);
            if !log_sum.is_finite() {
                let wrong = logits.iter().position(|logit| logit.is_nan() || *logit == E::infinity());
                let element = row * width + wrong.unwrap_or(0);
                let (op, what, location) = ("generate", "the scores", Location::caller());
                return Err(Error::NonFinite { op, what, shape, element, location });
            }
            Ok(if reads_logits { Scores::logits(logits) } else { Scores::log_softmax(logits, log_sum) })
        };
        if self.draft.is_empty() {
            let scores = self.scores.clone().map(scores_of).collect::<Result<Vec<_>>>()?;
            let hidden = hidden.map(|(states, rows)| (states, &rows[self.scores.clone()]));
            self.chosen.extend(self.search.advance(scorer, &scores, hidden, options));
            return Ok(());
        }
        // As long as the draft is what is chosen, the scores after it are those of the text.
        for (row, drafted) in self.scores.clone().zip(self.draft.iter().map(Some).chain([None])) {
            let chosen = self.search.advance(scorer, &[scores_of(row)?], None, options);
            self.chosen.extend(chosen);
            if self.search.is_over() || chosen.as_ref() != drafted {
                break;
            }
        }
        Ok(())
    }
}

fn refused(reason: String, location: &'static Location<'static>) -> Error {
    Error::Shapes { op: "generate", reason, inputs: Vec::new(), location }
}
