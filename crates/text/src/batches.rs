use crate::corpus::data::{BLOCK, SequenceSpan};
use crate::mixture::{MixedOrder, Mixture};
use crate::permutation::Permutation;
use crate::{Corpus, InputBuilder, Noise, SpecialTokens, TextError};
use descant_batch::Batch;
use rand_core::Rng;
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::sync::Arc;

/// Blocks of a window, and their sequences: what is shuffled and sorted at once.
const WINDOW: usize = 64;
const SEQUENCES: u64 = WINDOW as u64 * BLOCK;
/// What is drawn for the dropout of attributes, and for noise, is apart from what orders are drawn from.
const DROPOUT: u128 = 1;
const NOISE: u128 = 2;
/// Chunks of a stream at least, where it is only measured, as its first one begins without a state.
const MEASURED_CHUNKS: u64 = 10;

/// Which orders of a corpus there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shuffle {
    /// All orders of all sequences.
    #[default]
    Exact,
    /// Orders of blocks of neighbouring sequences, and of the sequences within windows of many blocks.
    Blocks,
}

/// How sequences become batches.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct BatchConfig {
    /// Tokens in a batch at most, where of a pair the longer side counts: so there are no more than these on either side. A
    /// longer sequence is a batch of its own.
    pub tokens: usize,
    /// Sequences in a batch, in place of `tokens`.
    pub sequences: Option<usize>,
    /// Tokens of a chunk of a continuous text.
    pub length: usize,
    /// Whether a continuous text is read as contiguous streams, one for each row of a batch: each batch has the next chunk of every
    /// stream, so that a state can be carried from one to the next.
    pub streams: bool,
    /// What the order is drawn from, anew in every epoch; or none, for the text's own order.
    pub shuffle: Option<u64>,
    /// Which order that is.
    pub order: Shuffle,
    /// Special tokens of the source and of the target.
    pub special: [SpecialTokens; 2],
    /// The share of the sequences in which a control attribute is left out, each by itself, where they are shuffled: those of a training.
    pub control_dropout: f64,
    /// How the corpora are mixed that the text has, where sequences are shuffled; by default, each sequence comes once in an epoch.
    pub mixture: Option<Mixture>,
    /// Noise on sources, where sequences are shuffled.
    pub noise: Option<Noise>,
}

impl Default for BatchConfig {
    /// 2048 tokens, chunks of 128, in the text's own order.
    fn default() -> Self {
        Self {
            tokens: 2048,
            sequences: None,
            length: 128,
            streams: false,
            shuffle: None,
            order: Shuffle::Exact,
            special: Default::default(),
            control_dropout: 0.0,
            mixture: None,
            noise: None,
        }
    }
}

/// The next batch of [`Batches`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Times through the text.
    pub epoch: u64,
    /// The window of that epoch.
    pub window: u64,
    /// The batch of that window.
    pub batch: u64,
    /// By which the corpus is known, where it lies in files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corpus: Option<u32>,
}

/// Batches of a corpus, without end: sequences of about one length together, in an order drawn anew for every epoch.
///
/// The order is read in windows, so that memory does not grow with the corpus: of some sequences from anywhere in it, or of some blocks of
/// neighbouring ones.
#[derive(Debug)]
pub struct Batches {
    corpus: Arc<Corpus>,
    config: BatchConfig,
    builder: InputBuilder,
    position: Position,
    epoch: Option<Epoch>,
    window: Option<Vec<Vec<SequenceSpan>>>,
}

/// The order of an epoch.
#[derive(Debug)]
struct Epoch {
    number: u64,
    order: Order,
    /// How far the chunks of a continuous text are shifted.
    shift: u64,
}

/// What is read in which order.
#[derive(Debug)]
enum Order {
    Blocks(Vec<u32>),
    Sequences(Permutation),
    Mixed(MixedOrder),
    /// Streams, and how many chunks the longest has: a window for each.
    Streams(Vec<Range<u64>>, u64),
}

impl Order {
    /// How many windows it has.
    fn windows(&self) -> u64 {
        match self {
            Self::Blocks(blocks) => blocks.len().div_ceil(WINDOW) as u64,
            Self::Sequences(permutation) => permutation.len().div_ceil(SEQUENCES),
            Self::Mixed(order) => order.len().div_ceil(SEQUENCES),
            Self::Streams(_, chunks) => *chunks,
        }
    }

    /// The numbers of the sequences of a window, in the order of the files.
    fn numbers<T: Ord>(window: u64, len: u64, number: impl Fn(u64) -> T) -> Vec<T> {
        let first = window.saturating_mul(SEQUENCES).min(len);
        let mut numbers: Vec<T> = (first..len.min(first + SEQUENCES)).map(number).collect();
        numbers.sort_unstable();
        numbers
    }
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
        let builder = corpus.input_builder(&config.special);
        Ok(Self { corpus, config, builder, position, epoch: None, window: None })
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
    pub fn position(&self) -> Position {
        self.position
    }

    /// Goes on at `position`.
    ///
    /// # Errors
    /// Where the corpus has no such position, or cannot be read.
    pub fn seek(&mut self, position: Position) -> Result<(), TextError> {
        let own = self.corpus.checksum();
        let same = position.corpus.is_none() || position.corpus == own;
        (self.position, self.window) = (Position { corpus: own, ..position }, None);
        match same && self.load()?.len() as u64 > position.batch {
            true => Ok(()),
            false => Err(TextError::OtherText { path: self.corpus.folder().to_owned() }),
        }
    }

    /// The next batch.
    ///
    /// # Errors
    /// Where the corpus cannot be read.
    pub fn next_batch(&mut self) -> Result<Batch, TextError> {
        let (at, epoch) = (self.position.batch as usize, self.position.epoch);
        let window = self.load()?;
        let (places, last) = (window[at].clone(), at + 1 == window.len());
        match last {
            true => self.next_window(),
            false => self.position.batch += 1,
        }
        self.assemble(&places, epoch)
    }

    /// How many batches an epoch has: batches are drawn anew for each. The lengths are read, not the ids.
    ///
    /// # Errors
    /// Where the corpus cannot be read.
    pub fn count(&self, epoch: u64) -> Result<u64, TextError> {
        let position = Position { epoch, ..Position::default() };
        let (corpus, config, builder) = (self.corpus.clone(), self.config.clone(), self.builder.clone());
        let mut walk = Self { corpus, config, builder, position, epoch: None, window: None };
        let mut count = 0;
        while walk.position.epoch == epoch {
            count += walk.load()?.len() as u64;
            walk.next_window();
        }
        Ok(count)
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

    /// The streams of a continuous text, where it is read in such: where their targets lie. All tokens have a place, so that some are longer by
    /// one: the first ones, so that in every batch a stream has its row.
    pub fn streams(&self) -> Option<Vec<Range<u64>>> {
        let BatchConfig { tokens, sequences, length, shuffle, streams, .. } = self.config;
        if !streams || !self.corpus.is_continuous() {
            return None;
        }
        let targets = self.corpus.len() - 1;
        let rows = sequences.unwrap_or(tokens / length).max(1) as u64;
        let most = if shuffle.is_some() { targets } else { targets / (MEASURED_CHUNKS * length as u64) };
        let rows = rows.min(most.max(1));
        let (each, longer) = (targets / rows, targets % rows);
        let stream = |row: u64| {
            let start = self.corpus.start() + row * each + row.min(longer);
            start..start + each + u64::from(row < longer)
        };
        Some((0..rows).map(stream).collect())
    }

    fn next_window(&mut self) {
        self.window = None;
        (self.position.window, self.position.batch) = (self.position.window + 1, 0);
        if self.position.window >= self.epoch.as_ref().map_or(0, |epoch| epoch.order.windows()) {
            (self.position.epoch, self.position.window) = (self.position.epoch + 1, 0);
        }
    }

    fn assemble(&self, places: &[SequenceSpan], epoch: u64) -> Result<Batch, TextError> {
        let mut batch = Batch::default();
        for place in places {
            let (mut source, mut target) = self.corpus.read(place)?;
            if self.corpus.is_continuous() {
                batch.input.push(&target[..target.len() - 1]);
                batch.target.push(&target[1..]);
                continue;
            }
            // The attributes before a language model's text are read, and not predicted.
            let [before, kept] = self.drop_control(source.as_mut().unwrap_or(&mut target), place, epoch);
            if let Some(source) = &mut source {
                self.add_noise(source, kept, place, epoch);
            }
            let prompt = if source.is_none() { place.prompt.max(before) - before + kept } else { 0 };
            let rejected = target.split_off(target.len() - place.rejected);
            self.builder.add(&mut batch, source.as_deref(), &target, prompt);
            if !rejected.is_empty() {
                self.builder.add_rejected(&mut batch, &[&target[..prompt], &rejected].concat(), prompt);
            }
        }
        Ok(batch)
    }

    /// Changes words of a source after so many control tokens.
    fn add_noise(&self, source: &mut Vec<u32>, control: usize, place: &SequenceSpan, epoch: u64) {
        if let (Some(noise), Some(seed)) = (&self.config.noise, self.config.shuffle) {
            let mut random = random_of(place, (seed, epoch), NOISE);
            let noisy = noise.apply(&source[control..], &mut random);
            source.splice(control.., noisy);
        }
    }

    /// Leaves out some of the control tokens that a sequence begins with: how many there were, and are.
    fn drop_control(&self, ids: &mut Vec<u32>, place: &SequenceSpan, epoch: u64) -> [usize; 2] {
        let (control, share) = (self.corpus.control(), self.config.control_dropout);
        let before = ids.iter().take_while(|id| control.contains(id)).count();
        let (Some(seed), true) = (self.config.shuffle, before > 0 && share > 0.0) else { return [before; 2] };
        let mut random = random_of(place, (seed, epoch), DROPOUT);
        let kept: Vec<u32> = ids[..before]
            .iter()
            .copied()
            .filter(|_| below(&mut random, 1 << 53) as f64 >= share * (1u64 << 53) as f64)
            .collect();
        let count = kept.len();
        ids.splice(..before, kept);
        [before, count]
    }

    /// The window of the position.
    fn load(&mut self) -> Result<&[Vec<SequenceSpan>], TextError> {
        let Position { epoch, window, .. } = self.position;
        let random = |purpose: u64| {
            let seed = self.config.shuffle.unwrap_or(0);
            Pcg64::new(u128::from(seed) << 64 | u128::from(epoch), u128::from(purpose))
        };
        let shuffled = self.config.shuffle.is_some();
        if self.epoch.as_ref().is_none_or(|known| known.number != epoch) {
            let mut random = random(0);
            let continuous = self.corpus.is_continuous();
            let shift = if shuffled && continuous { below(&mut random, self.config.length as u64) } else { 0 };
            let units = match continuous {
                true => (self.corpus.len() - 1 + shift).div_ceil(self.config.length as u64),
                false => self.corpus.len(),
            };
            let order = match (self.streams(), &self.config.mixture, self.config.shuffle) {
                (Some(streams), ..) => {
                    let longest = streams.first().map_or(0, |stream| stream.end - stream.start);
                    Order::Streams(streams, (longest + shift).div_ceil(self.config.length as u64))
                }
                (None, Some(mixture), Some(seed)) => {
                    Order::Mixed(MixedOrder::new(mixture, self.corpus.sizes(), (seed, epoch), &mut random))
                }
                // A single window is every order as it is.
                (None, None, Some(_)) if self.config.order == Shuffle::Exact && units > SEQUENCES => {
                    Order::Sequences(Permutation::new(units, &mut random))
                }
                _ => {
                    let mut blocks: Vec<u32> = (0..units.div_ceil(BLOCK) as u32).collect();
                    if shuffled {
                        shuffle(&mut blocks, &mut random);
                    }
                    Order::Blocks(blocks)
                }
            };
            self.epoch = Some(Epoch { number: epoch, order, shift });
        }
        let (Some(Epoch { order, shift, .. }), None) = (&self.epoch, &self.window) else {
            return Ok(self.window.as_deref().unwrap_or_default());
        };
        let mut places = Vec::new();
        match order {
            Order::Blocks(blocks) => {
                for &block in blocks.iter().skip(window as usize * WINDOW).take(WINDOW) {
                    let block = u64::from(block);
                    places.extend(match self.corpus.is_continuous() {
                        true => self.chunks(block * BLOCK..(block + 1) * BLOCK, *shift).collect(),
                        false => self.corpus.places(block)?,
                    });
                }
            }
            Order::Sequences(permutation) => {
                let numbers = Order::numbers(window, permutation.len(), |place| permutation.get(place));
                places = match self.corpus.is_continuous() {
                    true => self.chunks(numbers, *shift).collect(),
                    false => self.corpus.places_of(&numbers)?,
                };
            }
            Order::Mixed(order) => {
                let numbers = Order::numbers(window, order.len(), |place| order.get(place));
                let (numbers, own_epochs): (Vec<u64>, Vec<u64>) = numbers.into_iter().unzip();
                places = self.corpus.places_of(&numbers)?;
                places.iter_mut().zip(own_epochs).for_each(|(place, epoch)| place.own_epoch = Some(epoch));
            }
            Order::Streams(streams, _) => {
                let batch: Vec<_> = streams.iter().filter_map(|stream| self.chunk(stream, window, *shift)).collect();
                return Ok(self.window.insert(if batch.is_empty() { Vec::new() } else { vec![batch] }));
            }
        }
        let mut random = random(window + 1);
        if shuffled {
            shuffle(&mut places, &mut random);
        }
        let length = |range: &Range<u64>| range.end - range.start;
        // Stable: the order of equals stays as it was drawn.
        places.sort_by_key(|place| (length(&place.target), place.source.as_ref().map_or(0, length)));
        let mut batches = self.cut(places);
        if shuffled {
            shuffle(&mut batches, &mut random);
        }
        Ok(self.window.insert(batches))
    }

    /// These chunks of a continuous text.
    fn chunks(&self, numbers: impl IntoIterator<Item = u64>, shift: u64) -> impl Iterator<Item = SequenceSpan> {
        let targets = self.corpus.start()..self.corpus.start() + self.corpus.len() - 1;
        numbers.into_iter().filter_map(move |number| self.chunk(&targets, number, shift))
    }

    /// A chunk of a part of a continuous text, if there are so many: it begins with the last token of the one before.
    fn chunk(&self, part: &Range<u64>, number: u64, shift: u64) -> Option<SequenceSpan> {
        let length = self.config.length as u64;
        let place = |chunk: u64| (part.start + (chunk * length).saturating_sub(shift)).min(part.end);
        let (start, end) = (place(number), place(number + 1));
        (start < end).then(|| SequenceSpan {
            source: None,
            target: start..end + 1,
            prompt: 0,
            rejected: 0,
            own_epoch: None,
        })
    }

    fn cut(&self, places: Vec<SequenceSpan>) -> Vec<Vec<SequenceSpan>> {
        let mut batches: Vec<Vec<SequenceSpan>> = Vec::new();
        let mut tokens = 0;
        for place in places {
            // The first token of a chunk is only read.
            let ids = (place.target.end - place.target.start) as usize;
            let mut target = if self.corpus.is_continuous() { ids - 1 } else { self.builder.target_tokens(ids) };
            let source = |range: &Range<u64>| self.builder.source_tokens((range.end - range.start) as usize);
            let mut source = place.source.as_ref().map_or(0, source);
            if place.rejected > 0 {
                // What is rejected is read after a source, or a prompt, of its own.
                target += self.builder.target_tokens(place.prompt);
                source *= 2;
            }
            let more = target.max(source);
            let full = match (batches.last(), self.config.sequences) {
                (None, _) => true,
                (Some(batch), Some(sequences)) => batch.len() >= sequences,
                (Some(_), None) => tokens + more > self.config.tokens,
            };
            if full {
                batches.push(Vec::new());
                tokens = 0;
            }
            tokens += more;
            if let Some(batch) = batches.last_mut() {
                batch.push(place);
            }
        }
        batches
    }
}

/// What is drawn for a sequence: it depends on the epoch and the sequence alone, where corpora are mixed on the epoch of its own, so that copies of
/// one within an epoch differ.
fn random_of(place: &SequenceSpan, (seed, epoch): (u64, u64), purpose: u128) -> Pcg64 {
    let state = u128::from(seed) << 64 | u128::from(place.own_epoch.unwrap_or(epoch));
    Pcg64::new(state, purpose << 64 | u128::from(place.target.start))
}

/// A number from 0 to below `n`.
fn below(random: &mut Pcg64, n: u64) -> u64 {
    ((u128::from(random.next_u64()) * u128::from(n)) >> 64) as u64
}

/// Fisher and Yates. Of our own, as its draws are part of what a seed means.
fn shuffle<T>(items: &mut [T], random: &mut Pcg64) {
    for i in (1..items.len()).rev() {
        items.swap(i, below(random, i as u64 + 1) as usize);
    }
}
