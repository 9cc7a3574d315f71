//! The order in which the sequences of a corpus come, and their batches.

mod assembly;

use crate::batch_config::{BatchConfig, tokens};
use crate::corpus::data::SequenceSpan;
use crate::epoch_order::{EpochOrder, Window, random, shuffle, streams};
use crate::position::{Position, Waiting};
use crate::{Corpus, InputBuilder, SpanCorruption, TextError};
use descant_batch::Batch;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// Batches of a corpus, without end: sequences of about one length together, in an order drawn anew for every epoch, which is read in
/// windows.
///
/// In a warm-up, batches of long sequences wait until the limit has grown to their length, and come before all others then. Those for which
/// it has not by the end of an epoch are left out of it. So each batch comes in parts or as a whole, and none twice.
#[derive(Debug)]
pub struct Batches {
    corpus: Arc<Corpus>,
    config: BatchConfig,
    builder: InputBuilder,
    position: Position,
    epoch: Option<EpochOrder>,
    window: Option<Vec<Planned>>,
    /// The sequences of batches that wait, by window and number; what is missing is read again.
    waiting: BTreeMap<(u64, u64), Vec<SequenceSpan>>,
    left_out: u64,
}

/// A batch of a window.
#[derive(Clone, Debug)]
struct Planned {
    places: Vec<SequenceSpan>,
    /// The first step that it may come to.
    due: u64,
}

/// Sequences of a batch, and of which epoch they are.
type Part = (u64, Vec<SequenceSpan>);

/// How much is taken of what is left of a batch.
#[derive(Clone, Copy)]
enum Share {
    All,
    /// Such a share of a whole batch; one sequence at least.
    Some(f64),
    /// As much, or nothing.
    UpTo(f64),
}

impl Batches {
    /// From the start of the first epoch.
    ///
    /// # Errors
    /// [`TextError::TooLittle`] where there is nothing to learn from.
    pub fn new(corpus: Arc<Corpus>, config: BatchConfig) -> Result<Self, TextError> {
        if corpus.len() < 1 + u64::from(corpus.is_continuous()) {
            let reason =
                "after what is held out, no token to predict is left. Add text, or lower data.validation_share";
            return Err(TextError::TooLittle { path: corpus.folder().to_owned(), reason: reason.to_owned() });
        }
        if let Some(mixture) = config.mixture.as_ref().filter(|_| config.shuffle.is_some()) {
            let sizes = corpus.sizes();
            let draws = mixture.draws(sizes, corpus.len());
            let drawn =
                draws.len() == sizes.len() && sizes.iter().sum::<u64>() == corpus.len() && !corpus.is_continuous();
            if let Some(empty) = draws.iter().zip(sizes).position(|(draws, size)| *draws > 0 && *size == 0) {
                let reason = format!(
                    "nothing is left of the corpus {} of data.train (from 1), which is to be drawn from",
                    empty + 1
                );
                return Err(TextError::TooLittle { path: corpus.folder().to_owned(), reason });
            }
            if !drawn {
                let reason = "it is not encoded as the corpora that are to be mixed. Begin another run".to_owned();
                return Err(TextError::Damaged { path: corpus.folder().to_owned(), reason });
            }
        }
        let position = Position { corpus: corpus.checksum(), ..Position::default() };
        let has_encoder = config.corruption.as_ref().is_some_and(SpanCorruption::has_encoder);
        let builder = corpus.input_builder(&config.special, has_encoder);
        Ok(Self { corpus, config, builder, position, epoch: None, window: None, waiting: BTreeMap::new(), left_out: 0 })
    }

    /// Once through the corpus, in its own order but for windows sorted by length.
    ///
    /// # Errors
    /// As [`Batches::new`].
    pub fn once(
        corpus: Arc<Corpus>,
        config: BatchConfig,
    ) -> Result<impl Iterator<Item = Result<Batch, TextError>>, TextError> {
        let mut batches = Self::new(corpus, BatchConfig { shuffle: None, ..config })?;
        batches.end_warmup();
        Ok(std::iter::from_fn(move || (batches.position.epoch == 0).then(|| batches.next_batch())))
    }

    /// What they are batches of.
    pub fn corpus(&self) -> &Arc<Corpus> {
        &self.corpus
    }

    /// How many sequences of each corpus an epoch has, where they are mixed.
    pub fn draws(&self) -> Option<Vec<u64>> {
        self.config.mixture.as_ref().map(|mixture| mixture.draws(self.corpus.sizes(), self.corpus.len()))
    }

    /// Where the next batch is.
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// Goes on at `position`.
    ///
    /// # Errors
    /// Where the corpus has no such position, or cannot be read.
    pub fn seek(&mut self, position: Position) -> Result<(), TextError> {
        let own = self.corpus.checksum();
        let same = position.corpus.is_none() || position.corpus == own;
        (self.position, self.window, self.left_out) = (Position { corpus: own, ..position }, None, 0);
        self.waiting.clear();
        let Position { window, batch, .. } = self.position;
        let all_wait = !self.position.waiting.is_empty() && batch == 0 && window == self.order().windows();
        match same && (all_wait || self.load()?.len() as u64 > batch) {
            true => Ok(()),
            false => Err(self.other_text()),
        }
    }

    fn other_text(&self) -> TextError {
        TextError::OtherText { path: self.corpus.folder().to_owned() }
    }

    /// The batches of a step, each a part or the whole of one.
    ///
    /// # Errors
    /// Where the corpus cannot be read.
    pub fn next_step(&mut self, step: u64) -> Result<Vec<Batch>, TextError> {
        let parts = self.next_parts(step)?;
        parts.iter().map(|(epoch, places)| self.assemble(places, *epoch)).collect()
    }

    /// The next batch, whole as after a warm-up.
    ///
    /// # Errors
    /// Where the corpus cannot be read.
    pub fn next_batch(&mut self) -> Result<Batch, TextError> {
        let ((epoch, places), _) = self.take(u64::MAX, Share::All)?;
        self.assemble(&places, epoch)
    }

    fn next_parts(&mut self, step: u64) -> Result<Vec<Part>, TextError> {
        let share = self.config.batch_ramp.share(step);
        let mut wanted = self.config.accumulate as f64 * share;
        let epoch = self.position.epoch;
        let mut parts = Vec::new();
        let mut goes_on = true;
        while goes_on && !(self.config.whole_epochs && self.position.epoch != epoch) {
            let asked = match parts.is_empty() {
                _ if share >= 1.0 => Share::All,
                true => Share::Some(wanted),
                false => Share::UpTo(wanted),
            };
            let (part, taken) = self.take(step, asked)?;
            wanted -= taken;
            goes_on = if share >= 1.0 { parts.len() + 1 < self.config.accumulate } else { !part.1.is_empty() };
            parts.extend((!part.1.is_empty()).then_some(part));
        }
        if parts.is_empty() { Err(self.other_text()) } else { Ok(parts) }
    }

    /// Of the rest of a batch, what comes nearest to a share of a whole one, and how much that is.
    fn take(&mut self, step: u64, share: Share) -> Result<(Part, f64), TextError> {
        let next = self.find(step)?;
        let key = (next.window, next.batch);
        let mut places = self.waiting.remove(&key).ok_or_else(|| self.other_text())?;
        let taken = next.taken as usize;
        let most = (self.config.length as f64 * self.config.length_ramp.share(step)).max(1.0) as u64;
        let mut share_taken = 1.0;
        let (part, taken, of) = match self.streams().is_some() {
            true => {
                let longest = places.iter().map(chunk_tokens).max().unwrap_or(0);
                let left = longest.saturating_sub(next.taken);
                let end = next.taken + left.div_ceil(left.div_ceil(most).max(1));
                (places.iter().filter_map(|place| piece(place, next.taken..end)).collect(), end, longest)
            }
            false => {
                let all = places.len() as u64;
                let left = places.get_mut(taken..).unwrap_or_default();
                let mut count = left.len();
                if let Share::Some(share) | Share::UpTo(share) = share {
                    (count, share_taken) = self.config.part(left, share, |place| self.tokens(place));
                }
                if matches!(share, Share::Some(_)) {
                    count = count.max(1).min(left.len());
                }
                let cut = |place: &SequenceSpan| pieces(place, most).collect::<Vec<_>>();
                let part = match self.corpus.is_continuous() {
                    true => left[..count].iter().flat_map(cut).collect(),
                    false => left[..count].to_vec(),
                };
                (part, next.taken + count as u64, all)
            }
        };
        if taken < of {
            self.position.waiting.insert(0, Waiting { taken, ..next });
            self.waiting.insert(key, places);
        }
        let epoch = self.position.epoch;
        // What is not due is put away now, so that with its last batch an epoch is over.
        self.settle(step)?;
        Ok(((epoch, part), share_taken))
    }

    /// The next batch that may come to this step; its sequences are among those that wait.
    fn find(&mut self, step: u64) -> Result<Waiting, TextError> {
        self.settle(step)?;
        let waiting = &mut self.position.waiting;
        if let Some(i) = waiting.iter().position(|waiting| waiting.due <= step) {
            let found = waiting.remove(i);
            if !self.waiting.contains_key(&(found.window, found.batch)) {
                self.read_waiting(found)?;
            }
            return Ok(found);
        }
        self.put_away()?.ok_or_else(|| self.other_text())
    }

    /// Puts away batches that are not due, and goes on to the next epoch where none is left that is.
    fn settle(&mut self, step: u64) -> Result<(), TextError> {
        // The shortest batch of a window is due, so that this ends with the next epoch.
        for _ in 0..2 {
            while !self.position.waiting.iter().any(|waiting| waiting.due <= step) {
                match self.due()? {
                    Some(due) if due <= step => return Ok(()),
                    Some(_) => {
                        let waiting = self.put_away()?;
                        self.position.waiting.extend(waiting);
                    }
                    None => break,
                }
            }
            if self.position.window < self.order().windows()
                || self.position.waiting.iter().any(|waiting| waiting.due <= step)
            {
                return Ok(());
            }
            self.left_out += self.waiting_sequences();
            self.waiting.clear();
            let Position { epoch, corpus, .. } = self.position;
            (self.position, self.window) = (Position { epoch: epoch + 1, corpus, ..Position::default() }, None);
        }
        Ok(())
    }

    /// When the next batch of the epoch's order is due; none where there is no more.
    fn due(&mut self) -> Result<Option<u64>, TextError> {
        let at = self.position.batch as usize;
        Ok(self.load()?.get(at).map(|planned| planned.due))
    }

    /// Takes the next batch of the epoch's order out of it.
    fn put_away(&mut self) -> Result<Option<Waiting>, TextError> {
        let Position { window, batch, .. } = self.position;
        let planned = self.load()?;
        let (found, last) = (planned.get(batch as usize).cloned(), batch + 1 >= planned.len() as u64);
        match last {
            true => (self.window, self.position.window, self.position.batch) = (None, window + 1, 0),
            false => self.position.batch += 1,
        }
        Ok(found.map(|Planned { places, due }| {
            self.waiting.insert((window, batch), places);
            Waiting { window, batch, taken: 0, due }
        }))
    }

    /// Reads again what waits of the window of this batch.
    fn read_waiting(&mut self, of: Waiting) -> Result<(), TextError> {
        let planned = self.plan(of.window)?;
        let waiting = self.position.waiting.iter().chain([&of]).filter(|waiting| waiting.window == of.window);
        for waiting in waiting {
            let planned = planned.get(waiting.batch as usize).ok_or_else(|| self.other_text())?;
            self.waiting.insert((waiting.window, waiting.batch), planned.places.clone());
        }
        Ok(())
    }

    /// How many sequences wait.
    fn waiting_sequences(&self) -> u64 {
        self.waiting.values().map(|places| places.len() as u64).sum()
    }

    /// Another walk from the start of an epoch.
    fn walk(&self, epoch: u64) -> Self {
        let (corpus, config, builder) = (self.corpus.clone(), self.config.clone(), self.builder.clone());
        let position = Position { epoch, ..Position::default() };
        Self { corpus, config, builder, position, epoch: None, window: None, waiting: BTreeMap::new(), left_out: 0 }
    }

    /// How many batches an epoch has: batches are drawn anew for each. The lengths are read, not the ids.
    ///
    /// # Errors
    /// Where the corpus cannot be read.
    pub fn count(&self, epoch: u64) -> Result<u64, TextError> {
        let mut walk = self.walk(epoch);
        let windows = walk.order().windows();
        (0..windows).map(|window| Ok(walk.plan(window)?.len() as u64)).sum()
    }

    /// How many steps an epoch has that begins with step `first`.
    ///
    /// # Errors
    /// Where the corpus cannot be read.
    pub fn count_steps(&self, epoch: u64, first: u64) -> Result<u64, TextError> {
        let warm = self.config.batch_ramp.steps.max(self.config.length_ramp.steps);
        if first >= warm {
            return Ok(self.count(epoch)?.div_ceil(self.config.accumulate as u64));
        }
        let mut walk = self.walk(epoch);
        let mut steps = 0;
        while walk.position.epoch == epoch {
            walk.next_parts(first + steps)?;
            steps += 1;
        }
        Ok(steps)
    }

    /// How many sequences the epochs lack that begin in the warm-up of the length, in a training of so many steps. Later epochs have them.
    ///
    /// # Errors
    /// Where the corpus cannot be read.
    pub fn count_left_out(&self, steps: u64) -> Result<u64, TextError> {
        let mut walk = self.walk(0);
        let last = steps.min(self.config.length_ramp.steps);
        for step in 0..last {
            walk.next_parts(step)?;
        }
        Ok(walk.left_out + if last == steps { walk.waiting_sequences() } else { 0 })
    }

    /// Without a warm-up from here on.
    pub fn end_warmup(&mut self) {
        (self.config.batch_ramp, self.config.length_ramp) = Default::default();
        self.window = None;
    }

    /// Once through the same corpus, in its own order.
    ///
    /// # Errors
    /// As [`Batches::new`].
    pub fn again(&self) -> Result<impl Iterator<Item = Result<Batch, TextError>> + use<>, TextError> {
        Self::once(self.corpus.clone(), self.config.clone())
    }

    /// How many sequences, or chunks of a continuous text, an epoch has; of the latter, one more in some.
    pub fn sequences(&self) -> u64 {
        let chunks = |tokens: u64| tokens.div_ceil(self.config.length as u64);
        match (self.streams(), self.corpus.is_continuous()) {
            (Some(streams), _) => streams.iter().map(|stream| chunks(stream.end - stream.start)).sum(),
            (None, true) => chunks(self.corpus.len() - 1),
            (None, false) => self.corpus.len(),
        }
    }

    /// The streams of a continuous text, where it is read in such: where their targets lie.
    pub fn streams(&self) -> Option<Vec<Range<u64>>> {
        streams(&self.corpus, &self.config)
    }

    /// The order of the position's epoch.
    fn order(&mut self) -> &EpochOrder {
        let number = self.position.epoch;
        let known = self.epoch.take().filter(|known| known.number == number);
        self.epoch.insert(known.unwrap_or_else(|| EpochOrder::new(&self.corpus, &self.config, number)))
    }

    /// The window of the position; nothing beyond the last one.
    fn load(&mut self) -> Result<&[Planned], TextError> {
        if self.window.is_none() {
            self.window = Some(self.plan(self.position.window)?);
        }
        Ok(self.window.as_deref().unwrap_or_default())
    }

    /// The batches of a window of the position's epoch.
    fn plan(&mut self, window: u64) -> Result<Vec<Planned>, TextError> {
        self.order();
        let Some(order) = self.epoch.as_ref().filter(|order| window < order.windows()) else { return Ok(Vec::new()) };
        let mut places = match order.window(&self.corpus, &self.config, window)? {
            Window::Batch(places) if places.is_empty() => return Ok(Vec::new()),
            Window::Batch(places) => return Ok(vec![Planned { places, due: 0 }]),
            Window::Sequences(places) => places,
        };
        let is_shuffled = self.config.shuffle.is_some();
        let mut random = random(&self.config, order.number, window + 1);
        if is_shuffled {
            shuffle(&mut places, &mut random);
        }
        let length = |range: &Range<u64>| range.end - range.start;
        // Stable: the order of equals stays as it was drawn.
        places.sort_by_key(|place| (length(&place.target), place.source.as_ref().map_or(0, length)));
        let batches = self.config.cut(places, |place| self.tokens(place));
        let (count, is_continuous) = (batches.len() as f64, self.corpus.is_continuous());
        // The place among the lengths of a window, which is a sample of the text: however long its longest sequence is.
        let due = |number: usize| match is_continuous {
            true => 0,
            false => self.config.length_ramp.first_above(number as f64 / count),
        };
        let planned = batches.into_iter().enumerate().map(|(i, places)| Planned { places, due: due(i) });
        let mut planned: Vec<Planned> = planned.collect();
        if is_shuffled {
            shuffle(&mut planned, &mut random);
        }
        Ok(planned)
    }

    fn tokens(&self, place: &SequenceSpan) -> usize {
        tokens(place, self.corpus.is_continuous(), (&self.builder, self.config.corruption.as_ref()))
    }
}

/// The tokens of a chunk that are predicted.
fn chunk_tokens(chunk: &SequenceSpan) -> u64 {
    chunk.target.end - chunk.target.start - 1
}

/// These tokens of a chunk, as far as it has them.
fn piece(chunk: &SequenceSpan, of: Range<u64>) -> Option<SequenceSpan> {
    let (start, end) = (of.start, of.end.min(chunk_tokens(chunk)));
    let target = chunk.target.start + start..chunk.target.start + end + 1;
    (start < end).then(|| SequenceSpan { target, ..chunk.clone() })
}

/// A chunk in the fewest equal pieces of so many tokens at most.
fn pieces(chunk: &SequenceSpan, most: u64) -> impl Iterator<Item = SequenceSpan> {
    let tokens = chunk_tokens(chunk);
    let each = tokens.div_ceil(tokens.div_ceil(most).max(1)).max(1);
    (0..tokens.div_ceil(each)).filter_map(move |i| piece(chunk, i * each..(i + 1) * each))
}
