use crate::context_window::ContextWindow;
use crate::hypothesis::PartialHypothesis;
use crate::scorer::Scorer;
use crate::search::Search;
use crate::{DecodingOptions, Hypothesis};
use descant_autograd::{Parameters, Tape};
use descant_batch::Sequences;
use descant_models::Generator;
use descant_tensor::{Error, Result};
use std::panic::Location;

/// A batch of rows to generate texts for.
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

/// Generates texts for every row of a batch, by [`DecodingOptions::config`]: the hypotheses of each row, the best first.
///
/// # Errors
/// [`Error::Shapes`] for options out of range, for sources or prompts that are not as many as the rows, and for a row that
/// begins with nothing;
/// [`Error::NonFinite`] for a model whose scores are not numbers; what a step of the model fails with.
#[track_caller]
pub fn generate(
    model: &dyn Generator,
    parameters: &Parameters,
    tape: &mut Tape,
    input: DecodingBatch<'_>,
    options: &DecodingOptions,
) -> Result<Vec<Vec<Hypothesis>>> {
    stream(model, parameters, tape, input, options, |_, _| ())
}

/// As [`generate()`], and streams each token as it is chosen: `on_token(row, token)`, with the row's index in the batch.
/// Beam search knows its tokens only at the end, and streams none.
///
/// # Errors
/// As [`generate()`].
#[track_caller]
pub fn stream(
    model: &dyn Generator,
    parameters: &Parameters,
    tape: &mut Tape,
    input: DecodingBatch<'_>,
    options: &DecodingOptions,
    mut on_token: impl FnMut(usize, u32),
) -> Result<Vec<Vec<Hypothesis>>> {
    let location = Location::caller();
    let refuse = |reason| Error::Shapes { op: "generate", reason, inputs: Vec::new(), location };
    options.validate().map_err(refuse)?;
    let DecodingBatch { rows, sources, prompts } = input;
    for (what, given) in [("sources", sources), ("prompts", prompts)] {
        if let Some(given) = given.filter(|given| given.len() != rows.len()) {
            return Err(refuse(format!("there are {} {what} for {} rows", given.len(), rows.len())));
        }
    }
    if rows.is_empty() {
        return Ok(Vec::new());
    }

    let window = ContextWindow::new(options, model.max_length(), sources.is_some());
    let prompt = |row| prompts.map(|prompts| prompts.get(row)).filter(|ids| !ids.is_empty()).unwrap_or(&options.start);
    let prompts: Vec<Vec<u32>> = (0..rows.len()).map(|row| window.cut(prompt(row))).collect();
    if let Some(row) = prompts.iter().position(Vec::is_empty) {
        return Err(refuse(format!(
            "row {row} has no token to begin with: the model has no BOS, and the prompt is empty"
        )));
    }
    let positions = sources.and(model.max_length());
    if let (Some(positions), Some(row)) =
        (positions, prompts.iter().position(|prompt| positions.is_some_and(|positions| prompt.len() > positions)))
    {
        return Err(refuse(format!(
            "row {row} has a prompt of {} tokens, but the model's decoder has {positions} positions",
            prompts[row].len()
        )));
    }
    let search = |(row, prompt): (usize, &Vec<u32>)| {
        let room = positions.map(|positions| positions - (prompt.len() - 1));
        Search::new(options, rows[row], sources.map(|sources| sources.get(row)), prompt, room)
    };
    let mut searches: Vec<Search> = prompts.iter().enumerate().map(search).collect();

    let mut scorer = Scorer::new(options);
    let mut state = model.start(tape.infer(parameters, options.parallelism), sources, rows.len())?;
    let is_live = |row: &usize| !searches[*row].is_over();
    state.select(&(0..rows.len()).filter(is_live).collect::<Vec<_>>());
    let unread = |(search, prompt): (&Search, &Vec<u32>)| Unread::new(prompt.clone(), search.live().count());
    let mut unread: Vec<Unread> = searches.iter().zip(&prompts).map(unread).collect();
    // The rows of the state are the hypotheses of all rows, those of a row consecutive.
    while state.rows() > 0 {
        let pass = next_pass(&mut unread);
        let graph = tape.infer(parameters, options.parallelism);
        let hidden = model.step(graph, &mut state, &pass)?;
        // Where a prompt goes on, nothing is chosen, and no logits are needed.
        let mut ends = Vec::new();
        let mut first = 0;
        for unread in &unread {
            let live = first..first + unread.hypotheses;
            first = live.end;
            if unread.is_read() {
                ends.extend(live.filter_map(|i| hidden.segments.rows(i).last()).map(|&row| row as u32));
            }
        }
        let states = scorer.reads_hidden().then(|| hidden.rows.value()).transpose()?;
        let scores = match ends.is_empty() {
            true => None,
            false => {
                let logits = model.output().logits(hidden.rows.gather(&ends.clone().into()));
                Some(if scorer.reads_logits() { logits } else { logits.log_softmax() }.value()?)
            }
        };
        let (mut parents, mut first, mut first_score) = (Vec::new(), 0, 0);
        for (row, search) in searches.iter_mut().enumerate() {
            let unread = &mut unread[row];
            let live = first..first + unread.hypotheses;
            first = live.end;
            if let Some(states) = &states {
                live.clone().for_each(|i| search.observe(states, hidden.segments.rows(i).iter().copied()));
            }
            let Some(scores) = scores.as_ref().filter(|_| unread.is_read() && !live.is_empty()) else {
                parents.extend(live);
                continue;
            };
            let own = first_score..first_score + live.len();
            first_score = own.end;
            let states = states.as_ref().map(|states| (states, &ends[own.clone()]));
            let chosen = search.advance(&mut scorer, (scores, own), states, options)?;
            parents.extend(search.live().map(|hypothesis| live.start + hypothesis.parent));
            unread.next(search.live().filter_map(|hypothesis| hypothesis.tokens.last().copied()));
            if let Some(token) = chosen {
                on_token(row, token);
            }
        }
        state.select(&parents);
        // A full context is read anew, without what is beyond it.
        let mut first = 0;
        for (row, unread) in unread.iter_mut().enumerate() {
            let live = first..first + unread.hypotheses;
            first = live.end;
            if unread.is_new() && !live.is_empty() && window.is_full(unread.in_state) {
                let slide = |live: &PartialHypothesis| window.slide(&prompts[row], &live.tokens);
                let again = searches[row].live().flat_map(slide).collect();
                *unread = Unread::new(again, live.len());
                state.restart(live);
            }
        }
    }
    Ok(searches.into_iter().map(Search::hypotheses).collect())
}

/// The tokens of a row that the model has not read.
struct Unread {
    /// Of its hypotheses, one after the other, equally many.
    tokens: Vec<u32>,
    hypotheses: usize,
    /// How many of each hypothesis are read by now.
    read: usize,
    /// Tokens of each hypothesis in the decoder state.
    in_state: usize,
}

impl Unread {
    fn new(tokens: Vec<u32>, hypotheses: usize) -> Self {
        Self { tokens, hypotheses, read: 0, in_state: 0 }
    }

    fn length(&self) -> usize {
        self.tokens.len().checked_div(self.hypotheses).unwrap_or(0)
    }

    fn is_read(&self) -> bool {
        self.read == self.length()
    }

    fn is_new(&self) -> bool {
        self.read == 0
    }

    /// The last token of each hypothesis of the next step.
    fn next(&mut self, tokens: impl Iterator<Item = u32>) {
        self.tokens.clear();
        self.tokens.extend(tokens);
        (self.hypotheses, self.read) = (self.tokens.len(), 0);
    }
}

/// Prefill: the most tokens of prompts that one pass reads, which bounds its memory.
const PASS: usize = 512;

/// What the next pass reads of each hypothesis: a single token whatever there is to read besides, and of prompts as much as fits.
fn next_pass(unread: &mut [Unread]) -> Sequences {
    let (mut pass, mut room) = (Sequences::new(), PASS);
    for row in unread.iter_mut().filter(|row| row.hypotheses > 0) {
        let (length, left) = (row.length(), row.length() - row.read);
        let count = match left {
            1 => 1,
            _ => {
                // At least one prompt goes on in each pass.
                let count = left.min((room / row.hypotheses).max(usize::from(room == PASS)));
                room = room.saturating_sub(count * row.hypotheses);
                count
            }
        };
        for tokens in row.tokens.chunks_exact(length) {
            pass.push(&tokens[row.read..row.read + count]);
        }
        row.read += count;
        row.in_state += count;
    }
    pass
}
