use crate::beam_search::BeamSearch;
use crate::contrastive_search::ContrastiveSearch;
use crate::hypothesis::{Hypothesis, PartialHypothesis};
use crate::sampling::Texts;
use crate::scorer::{Row, Scorer};
use crate::{DecodingOptions, Mode};
use descant_tensor::{Buffer, Element, Error, Result, Tensor};
use std::ops::Range;
use std::panic::Location;

/// The search for one row, of whichever [`Mode`].
#[derive(Debug)]
pub(crate) struct Search {
    row: Row,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Texts(Texts),
    Beam(BeamSearch),
    Contrastive(ContrastiveSearch),
}

impl Search {
    /// A search for a row with this number, for a source or for none; `room` is how many more tokens the model has positions for.
    pub(crate) fn new(
        options: &DecodingOptions,
        number: u64,
        source: Option<&[u32]>,
        prompt: &[u32],
        room: Option<usize>,
    ) -> Self {
        let mode = options.config.mode();
        let room = room.unwrap_or(usize::MAX);
        // The last token is generated, but not read, but for contrastive search, which reads before it chooses.
        let room = if mode == Mode::Contrastive { room.saturating_sub(1) } else { room };
        let limit = options.limit(source.map(<[u32]>::len)).min(room);
        let row = Row { source: source.map(<[u32]>::to_vec), prompt: prompt.to_vec(), limit };
        let kind = match mode {
            Mode::Greedy | Mode::Sampling => Kind::Texts(Texts::new(options, number)),
            Mode::Beam => Kind::Beam(BeamSearch::new(options, number)),
            Mode::Contrastive => Kind::Contrastive(ContrastiveSearch::new(options)),
        };
        let mut search = Self { row, kind };
        if limit == 0 {
            search.stop();
        }
        search
    }

    /// The hypotheses that the model is to extend by a token, each with the index of its parent among those before.
    pub(crate) fn live(&self) -> impl Iterator<Item = &PartialHypothesis> {
        let (own, beam): (&[PartialHypothesis], Option<&BeamSearch>) = match &self.kind {
            Kind::Texts(texts) => (&texts.live, None),
            Kind::Beam(beam) => (&[], Some(beam)),
            Kind::Contrastive(search) => (&search.live, None),
        };
        own.iter().chain(beam.into_iter().flat_map(BeamSearch::live))
    }

    /// Whether there is nothing to extend.
    pub(crate) fn is_over(&self) -> bool {
        self.live().next().is_none()
    }

    /// Takes the hidden states of tokens of the prompt, where they are read.
    pub(crate) fn observe(&mut self, hidden: &Tensor, rows: impl Iterator<Item = usize>) {
        if let Kind::Contrastive(search) = &mut self.kind {
            vectors(hidden, rows).into_iter().for_each(|state| search.observe(state));
        }
    }

    /// Goes on by the scores of the live hypotheses, and where the scorer reads them, their hidden states, both with their rows.
    /// Tells the token that the only text of the row has now got.
    ///
    /// # Errors
    /// [`Error::NonFinite`] for scores that are not numbers.
    pub(crate) fn advance(
        &mut self,
        scorer: &mut Scorer,
        (scores, rows): (&Tensor, Range<usize>),
        hidden: Option<(&Tensor, &[u32])>,
        options: &DecodingOptions,
    ) -> Result<Option<u32>> {
        let hidden =
            hidden.map_or_else(Vec::new, |(hidden, rows)| vectors(hidden, rows.iter().map(|&row| row as usize)));
        match scores.buffer() {
            Buffer::F32(all) => Ok(self.go_on(scorer, rows_of(scorer, scores, all, &rows)?, hidden, options)),
            Buffer::F64(all) => Ok(self.go_on(scorer, rows_of(scorer, scores, all, &rows)?, hidden, options)),
        }
    }

    fn go_on<E: Element>(
        &mut self,
        scorer: &mut Scorer,
        scores: &[E],
        hidden: Vec<Vec<f64>>,
        options: &DecodingOptions,
    ) -> Option<u32> {
        match &mut self.kind {
            Kind::Texts(texts) => texts.advance(&self.row, scorer, scores, options),
            Kind::Contrastive(search) => search.advance(&self.row, scorer, (scores, hidden), options),
            Kind::Beam(beam) => {
                beam.advance(&self.row, scorer, scores, options);
                None
            }
        }
    }

    fn stop(&mut self) {
        match &mut self.kind {
            Kind::Texts(texts) => texts.stop(),
            Kind::Beam(beam) => beam.stop(),
            Kind::Contrastive(search) => search.stop(false),
        }
    }

    /// The hypotheses found, the best first.
    pub(crate) fn hypotheses(self) -> Vec<Hypothesis> {
        match self.kind {
            Kind::Texts(texts) => texts.hypotheses(),
            Kind::Beam(beam) => beam.hypotheses(),
            Kind::Contrastive(search) => search.hypotheses(),
        }
    }
}

/// Some rows of the scores, checked: logits for NaN and infinity, of which no log softmax comes; a log softmax of those is all
/// NaN.
fn rows_of<'a, E: Element>(scorer: &Scorer, scores: &Tensor, all: &'a [E], rows: &Range<usize>) -> Result<&'a [E]> {
    let width = scores.shape().last();
    let rows = rows.start * width..rows.end * width;
    let is_wrong = |score: E| score.f64().is_nan() || score.f64() == f64::INFINITY;
    let step = if scorer.reads_logits() { 1 } else { width.max(1) };
    match rows.clone().step_by(step).find(|&element| is_wrong(all[element])) {
        Some(element) => Err(Error::NonFinite {
            op: "generate",
            what: "the scores",
            shape: scores.shape(),
            element,
            location: Location::caller(),
        }),
        None => Ok(&all[rows]),
    }
}

/// Some rows of a tensor.
fn vectors(tensor: &Tensor, rows: impl Iterator<Item = usize>) -> Vec<Vec<f64>> {
    let size = tensor.shape().last();
    let row = |row: usize| match tensor.buffer() {
        Buffer::F32(all) => all[row * size..][..size].iter().map(|x| f64::from(*x)).collect(),
        Buffer::F64(all) => all[row * size..][..size].to_vec(),
    };
    rows.map(row).collect()
}
