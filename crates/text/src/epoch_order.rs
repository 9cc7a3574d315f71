//! The order of an epoch, which is read in windows: some sequences from anywhere in the corpus, or some blocks of neighbouring ones. So memory
//! does not grow with the corpus.

use crate::batch_config::{BatchConfig, Shuffle};
use crate::corpus::data::{BLOCK, SequenceSpan};
use crate::draw::below;
use crate::mixture::MixedOrder;
use crate::permutation::Permutation;
use crate::{Corpus, Piece, TextError};
use rand_pcg::Pcg64;
use std::ops::Range;

/// Blocks of a window, and their sequences: what is shuffled and sorted at once.
const WINDOW: usize = 64;
const SEQUENCES: u64 = WINDOW as u64 * BLOCK;
/// Chunks of a stream at least, where it is only measured, as its first one begins without a state.
const MEASURED_CHUNKS: u64 = 10;

/// The order of an epoch.
#[derive(Debug)]
pub(crate) struct EpochOrder {
    pub(crate) number: u64,
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

/// The sequences of a window.
pub(crate) enum Window {
    /// In the order of the files.
    Sequences(Vec<SequenceSpan>),
    /// Those of its batch.
    Batch(Vec<SequenceSpan>),
}

/// What is drawn for an epoch as a whole (0), or for a window (from 1).
pub(crate) fn random(config: &BatchConfig, epoch: u64, purpose: u64) -> Pcg64 {
    let seed = config.shuffle.unwrap_or(0);
    Pcg64::new(u128::from(seed) << 64 | u128::from(epoch), u128::from(purpose))
}

impl EpochOrder {
    pub(crate) fn new(corpus: &Corpus, config: &BatchConfig, number: u64) -> Self {
        let mut random = random(config, number, 0);
        let (shuffled, continuous) = (config.shuffle.is_some(), corpus.is_continuous());
        let shift = if shuffled && continuous { below(&mut random, config.length as u64) } else { 0 };
        let units = match continuous {
            true => (corpus.len() - 1 + shift).div_ceil(config.length as u64),
            false => corpus.len(),
        };
        let order = match (streams(corpus, config), &config.mixture, config.shuffle) {
            (Some(streams), ..) => {
                let longest = streams.first().map_or(0, |stream| stream.end - stream.start);
                Order::Streams(streams, (longest + shift).div_ceil(config.length as u64))
            }
            (None, Some(mixture), Some(seed)) => {
                Order::Mixed(MixedOrder::new(mixture, corpus.sizes(), (seed, number), &mut random))
            }
            // A single window is every order as it is.
            (None, None, Some(_)) if config.order == Shuffle::Exact && units > SEQUENCES => {
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
        Self { number, order, shift }
    }

    /// How many windows it has.
    pub(crate) fn windows(&self) -> u64 {
        match &self.order {
            Order::Blocks(blocks) => blocks.len().div_ceil(WINDOW) as u64,
            Order::Sequences(permutation) => permutation.len().div_ceil(SEQUENCES),
            Order::Mixed(order) => order.len().div_ceil(SEQUENCES),
            Order::Streams(_, chunks) => *chunks,
        }
    }

    /// What is in a window.
    ///
    /// # Errors
    /// Where the corpus cannot be read.
    pub(crate) fn window(&self, corpus: &Corpus, config: &BatchConfig, window: u64) -> Result<Window, TextError> {
        let shift = self.shift;
        let chunks = |numbers: Vec<u64>| {
            let targets = corpus.start()..corpus.start() + corpus.len() - 1;
            numbers.into_iter().filter_map(|number| chunk(config, &targets, number, shift)).collect()
        };
        let mut places = Vec::new();
        match &self.order {
            Order::Blocks(blocks) => {
                for &block in blocks.iter().skip(window as usize * WINDOW).take(WINDOW) {
                    let block = u64::from(block);
                    places.extend(match corpus.is_continuous() {
                        true => chunks((block * BLOCK..(block + 1) * BLOCK).collect()),
                        false => corpus.places(block)?,
                    });
                }
            }
            Order::Sequences(permutation) => {
                let numbers = numbers(window, permutation.len(), |place| permutation.get(place));
                places = match corpus.is_continuous() {
                    true => chunks(numbers),
                    false => corpus.places_of(&numbers)?,
                };
            }
            Order::Mixed(order) => {
                let numbers = numbers(window, order.len(), |place| order.get(place));
                let (numbers, own_epochs): (Vec<u64>, Vec<u64>) = numbers.into_iter().unzip();
                places = corpus.places_of(&numbers)?;
                places.iter_mut().zip(own_epochs).for_each(|(place, epoch)| place.own_epoch = Some(epoch));
            }
            Order::Streams(streams, _) => {
                let batch = streams.iter().filter_map(|stream| chunk(config, stream, window, shift));
                return Ok(Window::Batch(batch.collect()));
            }
        }
        Ok(Window::Sequences(places))
    }
}

/// The numbers of the sequences of a window, in the order of the files.
fn numbers<T: Ord>(window: u64, len: u64, number: impl Fn(u64) -> T) -> Vec<T> {
    let first = window.saturating_mul(SEQUENCES).min(len);
    let mut numbers: Vec<T> = (first..len.min(first + SEQUENCES)).map(number).collect();
    numbers.sort_unstable();
    numbers
}

/// A chunk of a part of a continuous text, if there are so many: it begins with the last token of the one before.
fn chunk(config: &BatchConfig, part: &Range<u64>, number: u64, shift: u64) -> Option<SequenceSpan> {
    let length = config.length as u64;
    let place = |chunk: u64| (part.start + (chunk * length).saturating_sub(shift)).min(part.end);
    let (start, end) = (place(number), place(number + 1));
    (start < end).then(|| SequenceSpan {
        source: None,
        target: start..end + 1,
        prompt: 0,
        rejected: 0,
        weight: 1.0,
        piece: Piece::WHOLE,
        links: None,
        own_epoch: None,
    })
}

/// The streams of a continuous text, where it is read in such: where their targets lie. All tokens have a place, so that some are longer by
/// one: the first ones, so that in every batch a stream has its row.
pub(crate) fn streams(corpus: &Corpus, config: &BatchConfig) -> Option<Vec<Range<u64>>> {
    let BatchConfig { tokens, sequences, length, shuffle, streams, .. } = *config;
    if !streams || !corpus.is_continuous() {
        return None;
    }
    let targets = corpus.len() - 1;
    let rows = sequences.unwrap_or(tokens / length).max(1) as u64;
    let most = if shuffle.is_some() { targets } else { targets / (MEASURED_CHUNKS * length as u64) };
    let rows = rows.min(most.max(1));
    let (each, longer) = (targets / rows, targets % rows);
    let stream = |row: u64| {
        let start = corpus.start() + row * each + row.min(longer);
        start..start + each + u64::from(row < longer)
    };
    Some((0..rows).map(stream).collect())
}

/// Fisher and Yates. Of our own, as its draws are part of what a seed means.
pub(crate) fn shuffle<T>(items: &mut [T], random: &mut Pcg64) {
    for i in (1..items.len()).rev() {
        items.swap(i, below(random, i as u64 + 1) as usize);
    }
}
