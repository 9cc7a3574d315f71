//! Speculative decoding by a smaller model (Leviathan et al. 2023, arXiv 2211.17192), whose draft is what the same search would choose by
//! that model's scores: of the same random numbers where tokens are drawn, so that both draw the same token wherever they nearly
//! agree. Whatever it guesses, the text stays what it is.

use crate::logit_statistics::LogitStatistics;
use crate::members::{Logits, Members};
use crate::prefill::PassShares;
use crate::scorer::Scorer;
use crate::search::Search;
use crate::turn::{Turn, take_turns};
use crate::{DecodingOptions, Mode, RowError};
use descant_autograd::Tape;
use descant_batch::Sequences;
use descant_kernels::Real;
use descant_tensor::DType;

/// Guesses tokens by a draft model, for each row whose state the decoder has.
#[derive(Debug)]
pub(crate) struct Drafter<'a> {
    members: Members<'a>,
    rows: Vec<Row>,
    /// The most tokens of a draft.
    most: usize,
    /// How many tokens the draft model may read of a text.
    context: usize,
    /// Whether it reads the end of a longer text, as language models do.
    slides: bool,
    bos: Option<u32>,
    statistics: LogitStatistics,
}

/// The draft of each row, and why for one of them nothing more is guessed.
type Drafts = (Vec<Vec<u32>>, Option<RowError>);

/// The state of the draft model for one row.
#[derive(Debug, Default)]
struct Row {
    /// The tokens that it has read.
    read: Vec<u32>,
    /// Those that it is to read.
    unread: Vec<u32>,
    /// Where in the text they begin.
    start: usize,
    /// How many of them are known to be those of the text, which only grows.
    known: usize,
    /// Whether the draft model has failed for it: nothing more is guessed.
    has_failed: bool,
}

impl<'a> Drafter<'a> {
    /// The one of these options, if they name a draft model.
    pub(crate) fn new(options: &'a DecodingOptions, dtype: DType) -> Result<Option<Self>, String> {
        let Some(draft) = options.draft_model.as_deref() else { return Ok(None) };
        let config = &options.config;
        if !matches!(config.mode(), Mode::Greedy | Mode::Sampling) || config.candidates() > 1 {
            return Err("draft_model: expected greedy decoding or sampling, of one text".to_owned());
        }
        if config.guidance().is_some() {
            return Err("draft_model: expected no guidance_scale beside it".to_owned());
        }
        if draft.parameters.dtype() != dtype {
            return Err("draft_model: its elements are of another type than the model's".to_owned());
        }
        let context = [config.context, draft.model.max_length()].into_iter().flatten().min().unwrap_or(usize::MAX);
        Ok(Some(Self {
            members: Members::new(&[(&*draft.model, &draft.parameters)], options.parallelism, false),
            rows: Vec::new(),
            most: config.num_assistant_tokens(),
            context,
            slides: false,
            bos: options.context_bos,
            statistics: LogitStatistics::default(),
        }))
    }

    /// Lets `count` rows enter, of which those go on that are `live`.
    pub(crate) fn start(
        &mut self,
        tape: &mut Tape,
        sources: Option<&Sequences>,
        (count, live): (usize, &[usize]),
    ) -> descant_tensor::Result<()> {
        self.slides = sources.is_none();
        self.members.start(tape, sources, (count, live), Some("draft_model: it"))?;
        self.rows.extend(live.iter().map(|_| Row::default()));
        Ok(())
    }

    /// Keeps these rows, in ascending order.
    pub(crate) fn keep(&mut self, rows: &[usize]) {
        self.members.select(rows);
        let mut at = 0;
        self.rows.retain(|_| {
            at += 1;
            rows.binary_search(&(at - 1)).is_ok()
        });
    }

    /// Drafts for all rows: of each, its search and the most tokens that may be read on trial, perhaps none. Where the scores for a row are
    /// no numbers, nothing more is guessed for it, and why is returned beside the drafts.
    pub(crate) fn drafts(
        &mut self,
        tape: &mut Tape,
        searches: &[(&Search, usize)],
        scorers: &mut [Scorer],
        options: &DecodingOptions,
    ) -> descant_tensor::Result<Drafts> {
        match self.members.dtype() {
            DType::F32 => self.drafts_of::<f32>(tape, searches, scorers, options),
            DType::F64 => self.drafts_of::<f64>(tape, searches, scorers, options),
        }
    }

    fn drafts_of<E: Real>(
        &mut self,
        tape: &mut Tape,
        searches: &[(&Search, usize)],
        scorers: &mut [Scorer],
        options: &DecodingOptions,
    ) -> descant_tensor::Result<Drafts> {
        let (mut drafts, mut failure) = (vec![Vec::new(); searches.len()], None);
        let mut trials = Vec::with_capacity(searches.len());
        for (row, &(search, most)) in searches.iter().enumerate() {
            let most = if self.rows[row].has_failed { 0 } else { self.catch_up(row, search, most.min(self.most)) };
            trials.push((most > 0).then(|| (search.clone(), most)));
        }
        loop {
            let (mut pass, mut last) = (Sequences::new(), Vec::with_capacity(trials.len()));
            let mut shares = PassShares::new(self.rows.iter().map(|row| row.unread.len()));
            for Row { read, unread, .. } in &mut self.rows {
                let count = shares.take(unread.len(), 1);
                pass.push(&unread[..count]);
                last.push(usize::from(count > 0 && count == unread.len()));
                read.extend(unread.drain(..count));
            }
            if pass.ids.is_empty() {
                return Ok((drafts, failure));
            }
            let is_read = |row: &usize| last[*row] > 0;
            let rows: Vec<usize> = (0..trials.len()).filter(is_read).collect();
            let Self { members, statistics, .. } = &mut *self;
            let chosen =
                members.step(tape, &pass, (&last, None), false, |Logits { shape, logits, .. }: Logits<'_, E>| {
                    let mut turns: Vec<Turn<'_>> = Vec::with_capacity(rows.len());
                    for (row, trial) in trials.iter_mut().enumerate() {
                        if let Some((search, _)) = trial.as_mut().filter(|_| is_read(&row)) {
                            let at = turns.len();
                            let (scores, chosen) = (at..at + 1, Ok(Vec::new()));
                            turns.push(Turn { search, scores, draft: &[], attention: &[], chosen });
                        }
                    }
                    take_turns(&mut turns, (shape, logits, &[]), None, (scorers, statistics), options);
                    Ok(turns.into_iter().map(|turn| turn.chosen).collect::<Vec<_>>())
                })?;
            for (row, chosen) in rows.into_iter().zip(chosen) {
                let token = match chosen {
                    Ok(tokens) => tokens.first().copied(),
                    Err(error) => {
                        self.rows[row].has_failed = true;
                        failure = Some(error);
                        None
                    }
                };
                drafts[row].extend(token);
                let goes_on = |(search, most): &(Search, usize)| !search.is_over() && drafts[row].len() < *most;
                match token.filter(|_| trials[row].as_ref().is_some_and(goes_on)) {
                    Some(token) => self.rows[row].unread.push(token),
                    None => trials[row] = None,
                }
            }
        }
    }

    /// Takes back what is not in the text of a row any more, and finds what is to be read of it before so many tokens are guessed.
    /// Returns how many there is room for.
    fn catch_up(&mut self, at: usize, search: &Search, most: usize) -> usize {
        let Some((prompt, tokens)) = search.text().filter(|_| most > 0) else { return 0 };
        let (row, length) = (&mut self.rows[at], prompt.len() + tokens.len());
        if self.slides && (length - row.start).saturating_add(most) > self.context {
            // As the model itself does, it begins again with the last half.
            self.members.restart(at..at + 1);
            *row = Row { start: length - (self.context / 2).min(length), ..Row::default() };
        }
        let (start, bos) = (row.start, self.bos);
        let token = |place: usize| match (place, bos) {
            (0, Some(bos)) if start > 0 => bos,
            _ => prompt.get(start + place).copied().unwrap_or_else(|| tokens[start + place - prompt.len()]),
        };
        // The last token is read in any case: its scores are what is asked for.
        let end = length - start;
        let most = most.min(self.context.saturating_sub(end));
        if most == 0 {
            return 0;
        }
        let same =
            (row.known..row.read.len().min(end.saturating_sub(1))).take_while(|&i| row.read[i] == token(i)).count();
        row.known += same;
        self.members.truncate(at, row.read.len() - row.known);
        row.read.truncate(row.known);
        row.unread.extend((row.known..end).map(token));
        most
    }
}
