use crate::context_window::ContextWindow;
use crate::decoding_options::NO_CONSTRAINTS;
use crate::drafter::Drafter;
use crate::guidance::{lead, lead_failures};
use crate::hypothesis::returned;
use crate::logit_statistics::LogitStatistics;
use crate::members::{Hidden, Logits, Members, ShortLists, lent};
use crate::prefill::{PassShares, Unread};
use crate::row_error::unless_unmet;
use crate::scorer::Scorer;
use crate::search::Search;
use crate::steerer::Steerer;
use crate::turn::{Chosen, Turn, take_turns};
use crate::{Begun, Constraint, DecodingOptions, FinishReason, Mode, RowError, RowResult, ShortList};
use descant_autograd::{Parameters, Tape};
use descant_batch::Sequences;
use descant_kernels::{Parallelism, Real};
use descant_models::Generator;
use descant_tensor::{Buffer, DType, Error, Result, Shape, aligned};
use std::ops::Range;
use std::panic::Location;
use std::sync::Arc;

/// Rows to generate texts for.
#[derive(Clone, Copy, Debug, Default)]
pub struct DecodingBatch<'a> {
    /// A number for each row, such as its line in a file, which seeds its random stream: sampling does not depend on the
    /// batch.
    pub rows: &'a [u64],
    /// The encoder's input of each row; a language model has none.
    pub sources: Option<&'a Sequences>,
    /// The prompt of each row, BOS included; an empty one is replaced by [`DecodingOptions::start`]. Lengths may differ.
    pub prompts: Option<&'a Sequences>,
    /// For guidance (`guidance_scale`), what each row would read without its condition: its source without attributes, or a language model's prompt
    /// without them. Where that is empty or none, a language model reads the last token of the prompt alone.
    pub unconditional: Option<&'a Sequences>,
    /// What the text of each row has to be, beside [`DecodingOptions::constraints`]; empty where no row has any of its own.
    pub constraints: &'a [Vec<Arc<dyn Constraint>>],
    /// What the text of each row has already; empty where all begin anew.
    pub begun: &'a [Begun],
}

/// Generates texts for rows that enter and leave between steps: continuous batching (Yu et al. 2022, Orca). What is generated
/// for a row, and its scores, have the same bits whichever other rows there are.
#[derive(Debug)]
pub struct Decoder<'a> {
    members: Members<'a>,
    options: &'a DecodingOptions,
    drafter: Option<Drafter<'a>>,
    steerer: Option<Steerer<'a>>,
    short_lists: Option<ScoredTokens>,
    /// One for each thread.
    scorers: Vec<Scorer>,
    rows: Vec<Row>,
    /// Rows that could not begin, which the next step returns.
    refused: Vec<(usize, RowError)>,
    /// Rows ever pushed.
    pushed: usize,
    memory: Memory,
}

/// The tokens that are scored where there is a short list, in order: those that every text may have, and all that those of the rows may have.
#[derive(Debug)]
struct ScoredTokens {
    always: Vec<u32>,
    all: Arc<[u32]>,
}

/// Memory that each step uses again.
#[derive(Debug, Default)]
struct Memory {
    /// What the pass reads of each hypothesis, and after how many of the last of these tokens the next one is scored.
    pass: Sequences,
    last: Vec<usize>,
    /// Of each hypothesis, the tokens of its short list beside those that all have.
    lists: Vec<Arc<[u32]>>,
    /// Guided scores.
    guided: Option<Buffer>,
    /// Of the hypotheses that go on, those that they extend; of the rows with a state, those that go on.
    parents: Vec<usize>,
    kept: Vec<usize>,
    /// A text in which a draft is looked up.
    text: Vec<u32>,
    statistics: LogitStatistics,
}

#[derive(Debug)]
struct Row {
    /// Its index among all rows that were pushed.
    index: usize,
    search: Search,
    /// Why it cannot go on.
    failed: Option<RowError>,
    unread: Unread,
    window: ContextWindow,
    /// What is read without the condition, for guidance.
    guide: Option<Guide>,
    /// The tokens that its text may have beside those that all texts may have.
    short_list: Option<Arc<[u32]>>,
}

/// The hypotheses of a row without its condition. In the state, they come after its own.
#[derive(Debug)]
struct Guide {
    prompt: Vec<u32>,
    unread: Unread,
    window: ContextWindow,
}

impl Row {
    /// The rows of the state from `first` on that are its hypotheses, and those of them without the condition.
    fn places(&self, first: usize) -> [Range<usize>; 2] {
        let (live, guides) = (self.unread.hypotheses, self.guide.as_ref().map_or(0, |guide| guide.unread.hypotheses));
        [first..first + live, first + live..first + live + guides]
    }
}

impl<'a> Decoder<'a> {
    /// A decoder without rows.
    ///
    /// # Errors
    /// [`Error::Shapes`] for options out of range.
    #[track_caller]
    pub fn new(model: &'a dyn Generator, parameters: &'a Parameters, options: &'a DecodingOptions) -> Result<Self> {
        Self::ensemble(&[(model, parameters)], options)
    }

    /// A decoder by several models of any architecture, which share their vocabularies and their type of elements: the probability
    /// of a token is the mean of theirs.
    ///
    /// # Errors
    /// As [`Decoder::new`]; [`Error::Shapes`] for no model at all, for different types of elements, and for contrastive search by several,
    /// which compares the hidden states of one.
    #[track_caller]
    pub fn ensemble(models: &[(&'a dyn Generator, &'a Parameters)], options: &'a DecodingOptions) -> Result<Self> {
        let location = Location::caller();
        options.validate().map_err(|reason| refused(reason, location))?;
        let wrong = match models {
            [] => Some("an ensemble of no model"),
            [first, others @ ..] if others.iter().any(|other| other.1.dtype() != first.1.dtype()) => {
                Some("the models of an ensemble have elements of different types")
            }
            [_, _, ..] if options.config.mode() == Mode::Contrastive => {
                Some("penalty_alpha: contrastive search compares the hidden states of one model, not of an ensemble")
            }
            [_, _, ..] if options.steering.is_some() => {
                Some("steering: a classifier is of one model's hidden states, not of an ensemble's")
            }
            _ => None,
        };
        if let Some(reason) = wrong {
            return Err(refused(reason.to_owned(), location));
        }
        let threads = match options.parallelism {
            Parallelism::Serial => 1,
            Parallelism::Threads(threads) => threads.max(1),
        };
        let scorers = (0..threads).map(|_| Scorer::new(options)).collect();
        let members = Members::new(models, options.parallelism, options.config.coverage_penalty() > 0.0);
        let drafter = Drafter::new(options, members.dtype()).map_err(|reason| refused(reason, location))?;
        let (model, parameters) = models[0];
        let steerer = Steerer::new(model, parameters, options).map_err(|reason| refused(reason, location))?;
        let (rows, refused, memory) = (Vec::new(), Vec::new(), Memory::default());
        let none = || ScoredTokens { always: options.always_scored(), all: Arc::from([]) };
        let short_lists = options.short_list.as_ref().map(|_| none());
        Ok(Self { members, options, drafter, steerer, short_lists, scorers, rows, refused, pushed: 0, memory })
    }

    /// How many rows are not ended.
    pub fn len(&self) -> usize {
        self.rows.len() + self.refused.len()
    }

    /// Whether every row has ended.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lets rows enter; their sources are encoded together. Rows are numbered in the order in which they enter, from 0. A row that
    /// cannot begin is returned by the next step.
    ///
    /// # Errors
    /// [`Error::Shapes`] for sources or prompts that are not as many as the rows; what the encoder fails with. None of the rows enters then.
    #[track_caller]
    pub fn push(&mut self, tape: &mut Tape, batch: DecodingBatch<'_>) -> Result<()> {
        let (options, location) = (self.options, Location::caller());
        let DecodingBatch { rows, sources, prompts, unconditional, constraints, begun } = batch;
        let some = |count: usize| Some(count).filter(|&count| count > 0);
        let own = [("constraints", some(constraints.len())), ("begun texts", some(begun.len()))];
        let given = [("sources", sources), ("prompts", prompts), ("unconditional sources or prompts", unconditional)];
        let given = given.map(|(what, given)| (what, given.map(Sequences::len)));
        for (what, given) in given.into_iter().chain(own) {
            if let Some(given) = given.filter(|&given| given != rows.len()) {
                return Err(refused(format!("there are {given} {what} for {} rows", rows.len()), location));
            }
        }
        if options.short_list.is_some() && constraints.iter().any(|own| !own.is_empty()) {
            return Err(refused(NO_CONSTRAINTS.to_owned(), location));
        }
        if rows.is_empty() {
            return Ok(());
        }
        if options.short_list.is_some() && sources.is_none() {
            return Err(refused("short_list: a language model has no source to translate".to_owned(), location));
        }
        let own_positions = self.members.max_length();
        let positions = sources.and(own_positions);
        let (first, mut live) = (self.pushed, Vec::with_capacity(rows.len()));
        let (mut entering, mut cannot) = (Vec::with_capacity(rows.len()), Vec::new());
        let guided = options.config.guidance().is_some();
        // With guidance, every row is encoded with its condition and without.
        let (mut encoded, each) = (Sequences::new(), if guided { 2 } else { 1 });
        for (i, &number) in rows.iter().enumerate() {
            let prompt = prompts.map(|prompts| prompts.get(i)).filter(|ids| !ids.is_empty()).unwrap_or(&options.start);
            let begun = begun.get(i).cloned().unwrap_or_default();
            let after = |prompt: &[u32], window: &ContextWindow| window.cut(&[prompt, &begun.tokens].concat());
            let window = ContextWindow::new(options, own_positions, sources.is_some(), prompt);
            let (read, prompt) = (after(prompt, &window), window.cut(prompt));
            let source = sources.map(|sources| sources.get(i));
            let without = unconditional.map(|without| without.get(i)).filter(|without| !without.is_empty());
            if guided && let Some(source) = source {
                encoded.push(source);
                encoded.push(without.unwrap_or(source));
            }
            let guide = guided.then(|| {
                let last = &prompt[prompt.len().saturating_sub(1)..];
                let begin = if source.is_some() { &prompt[..] } else { without.unwrap_or(last) };
                let window = ContextWindow::new(options, own_positions, source.is_some(), begin);
                Guide { unread: Unread::new(after(begin, &window), 1), prompt: window.cut(begin), window }
            });
            let always = self.short_lists.as_ref().map(|lists| &lists.always[..]);
            let further = |((list, always), source): ((&Arc<ShortList>, &[u32]), &[u32])| list.further(source, always);
            let short_list = options.short_list.as_ref().zip(always).zip(source).map(further);
            let has_no_token =
                short_list.as_ref().zip(always).is_some_and(|(own, all)| own.is_empty() && all.is_empty());
            let search = match positions.filter(|&positions| read.len() > positions) {
                _ if prompt.is_empty() => Err(RowError::NoStart),
                _ if has_no_token => Err(RowError::NoTokens),
                _ if guided && source.is_some() && without.is_none() => Err(RowError::NoCondition),
                Some(positions) => Err(RowError::LongPrompt { tokens: read.len(), positions }),
                None => {
                    let room = positions.map(|positions| positions - (prompt.len() - 1));
                    let all = options.constraints.iter().chain(constraints.get(i).into_iter().flatten());
                    Search::new(options, all, (number, source, &prompt), begun, room).map_err(RowError::Constraint)
                }
            };
            match search {
                Err(error) => cannot.push((first + i, error)),
                Ok(search) => {
                    let unread = Unread::new(read, search.live().count());
                    if !search.is_over() {
                        live.extend(each * i..each * (i + 1));
                    }
                    let guide = guide.filter(|_| unread.hypotheses > 0);
                    let short_list = short_list.map(Arc::from);
                    entering.push(Row { index: first + i, search, failed: None, unread, window, guide, short_list });
                }
            }
        }
        let encoded = if guided { sources.and(Some(&encoded)) } else { sources };
        let lookup = options.config.prompt_lookup_num_tokens.map(|_| "prompt_lookup_num_tokens: the decoder");
        let speculates = lookup.or(self.drafter.as_ref().map(|_| "draft_model: the decoder"));
        self.members.start(tape, encoded, (each * rows.len(), &live), speculates)?;
        if let Some(drafter) = &mut self.drafter {
            let before = 0..self.rows.iter().map(|row| row.places(0)[1].end).sum();
            let started = drafter.start(tape, sources, (rows.len(), &live));
            started.inspect_err(|_| self.members.select(&before.collect::<Vec<_>>()))?;
        }
        self.pushed += rows.len();
        self.rows.extend(entering);
        if let Some(ScoredTokens { always, all }) = &mut self.short_lists {
            let own = self.rows.iter().flat_map(|row| row.short_list.iter().flat_map(|list| &**list));
            let mut tokens: Vec<u32> = always.iter().chain(own).copied().collect();
            tokens.sort_unstable();
            tokens.dedup();
            // What has the same tokens has the rows of the output layer that are there.
            if **all != tokens[..] {
                *all = tokens.into();
            }
        }
        self.refused.extend(cannot);
        Ok(())
    }

    /// One pass of the model over all rows: the next token of each, or the next part of its prompt. Returns the rows that have
    /// ended, each with its hypotheses, or with why it has none. Streams each token as it is chosen, by `on_token(row, token)`; beam search
    /// knows its tokens only at the end, and streams none.
    ///
    /// # Errors
    /// What a step of the model fails with. All rows are lost then.
    pub fn step(&mut self, tape: &mut Tape, on_token: impl FnMut(usize, u32)) -> Result<Vec<(usize, RowResult)>> {
        if self.options.is_cancelled() {
            let live = self.rows.iter_mut().filter(|row| !row.search.is_over());
            live.for_each(|row| row.search.stop(FinishReason::Cancelled));
            self.drop_states();
        }
        if self.rows.iter().any(|row| !row.search.is_over()) {
            self.pass(tape, on_token).inspect_err(|_| self.clear())?;
        }
        let refused = std::mem::take(&mut self.refused).into_iter().map(|(index, error)| (index, Err(error)));
        let ended = self.rows.extract_if(.., |row| row.search.is_over());
        let options = self.options;
        let result = |row: Row| match row.failed {
            Some(error) => Err(error),
            None => unless_unmet(returned(row.search.hypotheses(options), options)),
        };
        Ok(refused.chain(ended.map(|row| (row.index, result(row)))).collect())
    }

    /// Reads what is next of each row. Of those that have read all, the tokens that each chooses, or why it cannot go on.
    fn choose<E: Real>(&mut self, tape: &mut Tape) -> Result<Vec<Chosen>> {
        let Self { members, options, scorers, steerer, rows, short_lists, memory, .. } = self;
        let Memory { pass, last, lists, guided, statistics, .. } = memory;
        let guided = guided.get_or_insert_with(|| E::wrap(aligned(0)));
        pass.clear();
        let mut shares =
            PassShares::of(rows.iter().map(|row| (&row.unread, row.guide.as_ref().map(|guide| &guide.unread))));
        for Row { unread, guide, .. } in rows.iter_mut() {
            shares.read(unread, guide.as_mut().map(|guide| &mut guide.unread), pass);
        }
        let scored = |row: &Row| if row.unread.is_read() { row.unread.draft().len() + 1 } else { 0 };
        let in_state = |row: &Row| row.places(0)[1].end;
        last.clear();
        last.extend(rows.iter().flat_map(|row| std::iter::repeat_n(scored(row), in_state(row))));
        let reads_hidden = scorers[0].reads_hidden() || steerer.is_some();
        lists.clear();
        let own = |row: &Row| Some(std::iter::repeat_n(row.short_list.clone()?, in_state(row)));
        lists.extend(rows.iter().filter_map(own).flatten());
        let lists = short_lists.as_ref().map(|ScoredTokens { always, all }| ShortLists { all, always, each: lists });
        members.step(
            tape,
            pass,
            (last, lists.as_ref()),
            reads_hidden,
            |Logits { shape, logits, hidden, attention, failed }: Logits<'_, E>| {
                let counts = || rows.iter().filter(|row| row.unread.is_read()).map(|row| row.unread.hypotheses);
                let led;
                let failed = match options.config.guidance() {
                    Some(_) => {
                        led = lead_failures(failed, counts());
                        &led[..]
                    }
                    None => failed,
                };
                let (shape, logits) = match (options.config.guidance(), steerer, hidden) {
                    (Some(scale), ..) => {
                        let mut scores = lent(guided);
                        lead((shape, logits), counts(), (scale, &options.forbidden), &mut scores);
                        *guided = E::wrap(scores);
                        (Shape::from([shape.rows() / 2, shape.last()]), E::slice(guided))
                    }
                    (None, Some(steerer), Some(Hidden { states, rows, .. })) if !rows.is_empty() => {
                        (shape, steerer.steered((shape, logits), (states, rows))?)
                    }
                    _ => (shape, logits),
                };
                let (mut turns, mut first, mut scored) = (Vec::with_capacity(rows.len()), 0, 0);
                for row in rows.iter_mut() {
                    let [live, guides] = row.places(first);
                    first = guides.end;
                    let Row { search, unread, .. } = row;
                    if let Some(Hidden { states, segments, .. }) = hidden {
                        live.clone().for_each(|i| search.observe(states, segments.rows(i).iter().copied()));
                    }
                    if unread.is_read() && !live.is_empty() {
                        let start = turns.last().map_or(0, |turn: &Turn<'_>| turn.scores.end);
                        let (scores, draft) = (start..start + live.len() + unread.draft, unread.draft());
                        // With guidance, that with the condition comes first.
                        let attention = attention.get(scored..scored + live.len()).unwrap_or_default();
                        scored += live.len() + guides.len();
                        turns.push(Turn { search, scores, draft, attention, chosen: Ok(Vec::new()) });
                    }
                }
                let hidden = hidden.map(|Hidden { states, rows, .. }| (states, rows));
                take_turns(&mut turns, (shape, logits, failed), hidden, (scorers, statistics), options);
                Ok(turns.into_iter().map(|turn| turn.chosen).collect())
            },
        )
    }

    /// Drops all rows.
    fn clear(&mut self) {
        self.rows.clear();
        self.refused.clear();
        self.drop_states();
    }

    /// Drops the states of all rows.
    fn drop_states(&mut self) {
        self.members.select(&[]);
        self.drafter.iter_mut().for_each(|drafter| drafter.keep(&[]));
    }

    fn pass(&mut self, tape: &mut Tape, mut on_token: impl FnMut(usize, u32)) -> Result<()> {
        let chosen = match self.members.dtype() {
            DType::F32 => self.choose::<f32>(tape)?,
            DType::F64 => self.choose::<f64>(tape)?,
        };
        let mut chosen = chosen.into_iter();
        let Self { members, options, drafter, scorers, rows, memory, .. } = self;
        let Memory { parents, kept, text, .. } = memory;
        let (mut first, mut with_state) = (0, 0);
        parents.clear();
        kept.clear();
        for row in rows.iter_mut() {
            let [live, guides] = row.places(first);
            first = guides.end;
            let Row { index, search, failed, unread, guide, .. } = row;
            let turn = (unread.is_read() && !live.is_empty()).then(|| chosen.next()).flatten().transpose();
            if let Err(error) = &turn {
                search.stop(FinishReason::NoToken);
                *failed = Some(error.clone());
            }
            if !live.is_empty() {
                kept.extend((!search.is_over()).then_some(with_state));
                with_state += 1;
            }
            let chosen = match turn {
                Ok(Some(chosen)) => chosen,
                Ok(None) => {
                    parents.extend(live.chain(guides));
                    continue;
                }
                Err(_) => {
                    unread.next(std::iter::empty());
                    *guide = None;
                    continue;
                }
            };
            if unread.draft > 0 {
                // The state holds the draft; the last token chosen is not read yet.
                let rejected = (unread.draft + 1).saturating_sub(chosen.len());
                members.truncate(live.start, rejected);
                unread.reject(rejected);
            }
            let last = || search.live().filter_map(|hypothesis| hypothesis.tokens.last().copied());
            parents.extend(search.live().map(|hypothesis| live.start + hypothesis.parent));
            unread.next(last());
            if let Some(guide) = guide {
                parents.extend(search.live().map(|hypothesis| guides.start + hypothesis.parent));
                guide.unread.next(last());
            }
            chosen.into_iter().for_each(|token| on_token(*index, token));
        }
        members.select(parents);
        if let Some(drafter) = drafter {
            drafter.keep(kept);
        }
        let mut first = 0;
        for row in rows.iter_mut() {
            let [live, guides] = row.places(first);
            first = guides.end;
            let Row { search, unread, window, guide, .. } = row;
            if unread.is_one_token() {
                // A draft ends where the context is full.
                let room = window.room(unread.in_state + 1);
                unread.try_draft(search.draft(options, room, text));
            }
            if unread.slide(window, search.prompt(), search) {
                members.restart(live);
            }
            if let Some(Guide { prompt, unread, window }) = guide
                && unread.slide(window, prompt, search)
            {
                members.restart(guides);
            }
        }
        if let Some(guesses) = drafter {
            // Where prompt lookup has found a draft, nothing is guessed.
            let most = |row: &Row| match row.unread.is_one_token() {
                true => row.window.room(row.unread.in_state + 1).min(row.search.draft_room()),
                false => 0,
            };
            let live = rows.iter().filter(|row| row.unread.hypotheses > 0);
            let searches: Vec<(&Search, usize)> = live.map(|row| (&row.search, most(row))).collect();
            // Texts are the same without drafts.
            let (drafts, failure) = match guesses.drafts(tape, &searches, scorers, options) {
                Ok(found) => found,
                Err(error) => {
                    log::warn!("The draft model failed, and guesses no more: {error}.");
                    *drafter = None;
                    return Ok(());
                }
            };
            if let Some(error) = failure {
                log::warn!("The draft model guesses no more for a text: {error}.");
            }
            let live = rows.iter_mut().filter(|row| row.unread.hypotheses > 0);
            let drafted = live.zip(drafts).filter(|(_, draft)| !draft.is_empty());
            drafted.for_each(|(row, draft)| row.unread.try_draft(&draft));
        }
        Ok(())
    }
}

fn refused(reason: String, location: &'static Location<'static>) -> Error {
    Error::Shapes { op: "generate", reason, inputs: Vec::new(), location }
}
