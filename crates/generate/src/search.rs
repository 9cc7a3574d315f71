use crate::beam_search::BeamSearch;
use crate::constraint::ConstraintStates;
use crate::contrastive_search::ContrastiveSearch;
use crate::hypothesis::{FinishReason, Hypothesis, PartialHypothesis};
use crate::prompt_lookup::draft;
use crate::sampling::Texts;
use crate::scorer::{Row, Scorer};
use crate::scores::Scores;
use crate::{Begun, ConstrainedRow, Constraint, DecodingOptions, Mode};
use descant_kernels::Real;
use descant_tensor::{Buffer, Tensor};
use std::sync::Arc;

/// The search for one row, of whichever [`Mode`].
#[derive(Clone, Debug)]
pub(crate) struct Search {
    row: Row,
    /// After how many tokens it pauses.
    pause: usize,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Texts(Texts),
    Beam(BeamSearch),
    Contrastive(ContrastiveSearch),
}

impl Search {
    /// A search under constraints for a row with this number, for a source or for none, which goes on from what is begun; `room` is how many
    /// tokens the model has positions for after the prompt.
    pub(crate) fn new<'c>(
        options: &DecodingOptions,
        constraints: impl Iterator<Item = &'c Arc<dyn Constraint>>,
        (number, source, prompt): (u64, Option<&[u32]>, &[u32]),
        begun: Begun,
        room: Option<usize>,
    ) -> Result<Self, String> {
        let mode = options.config.mode();
        let room = room.unwrap_or(usize::MAX);
        // The last token is generated, but not read, but for contrastive search, which reads before it chooses.
        let room = if mode == Mode::Contrastive { room.saturating_sub(1) } else { room };
        let limit = options.limit(source.map(<[u32]>::len), prompt.len()).min(room);
        let row = Row { source: source.map(<[u32]>::to_vec), prompt: prompt.to_vec(), limit };
        let forced = options.forced_bos(prompt.len());
        let (before, left) = ([prompt, forced].concat(), limit.saturating_sub(forced.len()));
        let constrained = ConstrainedRow::new(number, source, &before, left);
        let constraints = ConstraintStates::start(constraints, &constrained, forced.len())?;
        // Where it may not have ended there, it does later.
        let stops = |count: usize| options.stops(prompt, &begun.tokens[..count]);
        let has_stopped = !constraints.is_empty() && (1..=begun.tokens.len()).any(stops);
        let first = PartialHypothesis::first(constraints, begun.tokens, begun.log_probability, has_stopped);
        let kind = match mode {
            Mode::Greedy | Mode::Sampling => Kind::Texts(Texts::new(options, number, first)),
            Mode::Beam => Kind::Beam(BeamSearch::new(options, number, &first)),
            Mode::Contrastive => Kind::Contrastive(ContrastiveSearch::new(options, first)),
        };
        let mut search = Self { row, pause: begun.pause.unwrap_or(limit).min(limit), kind };
        search.pause();
        Ok(search)
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

    /// The prompt and the tokens of its only text; none where there may be more texts than one.
    pub(crate) fn text(&self) -> Option<(&[u32], &[u32])> {
        match &self.kind {
            Kind::Texts(Texts { live, .. }) => match &live[..] {
                [live] => Some((&self.row.prompt, &live.tokens)),
                _ => None,
            },
            Kind::Beam(_) | Kind::Contrastive(_) => None,
        }
    }

    /// How many tokens of its only text may be read on trial: the last one is generated, but not read.
    pub(crate) fn draft_room(&self) -> usize {
        self.text().map_or(0, |(_, tokens)| self.pause.saturating_sub(tokens.len() + 1))
    }

    /// The tokens that may follow its only text, by prompt lookup: at most so many. The text is written to `text`.
    pub(crate) fn draft<'a>(&'a self, options: &DecodingOptions, most: usize, text: &'a mut Vec<u32>) -> &'a [u32] {
        let (Some(count), Some((prompt, tokens))) = (options.config.prompt_lookup_num_tokens, self.text()) else {
            return &[];
        };
        text.clear();
        text.extend_from_slice(prompt);
        text.extend_from_slice(tokens);
        let longest = options.config.max_matching_ngram_size.unwrap_or(2);
        let source = self.row.source.as_deref().filter(|_| options.shares_vocabulary).unwrap_or_default();
        draft(source, text, longest, count.min(self.draft_room()).min(most))
    }

    /// What the text goes on from.
    pub(crate) fn prompt(&self) -> &[u32] {
        &self.row.prompt
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

    /// Goes on by the scores of the live hypotheses, with the coverage penalty by their attention, and where the scorer reads them, by their
    /// hidden states. Tells the token that the only text of the row has now got.
    pub(crate) fn advance<E: Real>(
        &mut self,
        scorer: &mut Scorer,
        (scores, attention): (&[Scores<'_, E>], &[Vec<f64>]),
        hidden: Option<(&Tensor, &[u32])>,
        options: &DecodingOptions,
    ) -> Option<u32> {
        let chosen = match &mut self.kind {
            Kind::Texts(texts) => texts.advance(&self.row, scorer, scores, options),
            Kind::Contrastive(search) => {
                let states = hidden.map(|(hidden, rows)| vectors(hidden, rows.iter().map(|&row| row as usize)));
                search.advance(&self.row, scorer, (scores, states.unwrap_or_default()), options)
            }
            Kind::Beam(beam) => {
                beam.advance(&self.row, scorer, (scores, attention), options);
                None
            }
        };
        self.pause();
        chosen
    }

    /// Ends all hypotheses that have as many tokens as they may have for now.
    fn pause(&mut self) {
        // What contrastive search reads on trial is not chosen.
        let on_trial = usize::from(matches!(&self.kind, Kind::Contrastive(search) if search.is_on_trial()));
        if self.live().next().is_some_and(|live| live.tokens.len() - on_trial >= self.pause) {
            self.stop(FinishReason::Length);
        }
    }

    /// Ends all hypotheses as they are.
    pub(crate) fn stop(&mut self, reason: FinishReason) {
        match &mut self.kind {
            Kind::Texts(texts) => texts.stop(reason),
            Kind::Beam(beam) => beam.stop(reason),
            Kind::Contrastive(search) => search.stop(reason),
        }
    }

    /// The hypotheses found, the best first, or those of the alternatives.
    pub(crate) fn hypotheses(self, options: &DecodingOptions) -> Vec<Hypothesis> {
        match self.kind {
            Kind::Texts(texts) => texts.hypotheses(),
            Kind::Beam(beam) => beam.hypotheses(options),
            Kind::Contrastive(search) => search.hypotheses(),
        }
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
