//! The models that decode: one, or those of an ensemble.

use crate::DecodingOptions;
use crate::scorer::Scorer;
use crate::turn::{Chosen, Turn, take_turns};
use descant_autograd::{Parameters, Segments, Tape};
use descant_batch::Sequences;
use descant_kernels::{Parallelism, Real, log_softmax_rows, map};
use descant_models::{DecoderState, Generator, OutputRows};
use descant_tensor::{Aligned, Buffer, DType, Element, Error, Result, Shape, Tensor, aligned};
use std::ops::Range;
use std::panic::Location;
use std::sync::Arc;

#[derive(Debug)]
pub(crate) struct Members<'a> {
    /// At least one.
    members: Vec<Member<'a>>,
    parallelism: Parallelism,
    memory: Memory,
}

/// Memory of scores that each step uses again.
#[derive(Debug)]
struct Memory {
    /// Over the vocabulary, where only some tokens are scored.
    whole: Buffer,
    /// Log probabilities of one model of an ensemble.
    logs: Buffer,
    /// The logarithms of sums of probabilities.
    sums: Buffer,
}

#[derive(Debug)]
struct Member<'a> {
    model: &'a dyn Generator,
    parameters: &'a Parameters,
    /// Its rows are the hypotheses of all rows, those of a row consecutive.
    state: Option<DecoderState>,
    /// The rows of the output layer for a short list, and that list.
    selected: Option<(Arc<[u32]>, OutputRows)>,
}

/// What a pass reads, and what it scores.
pub(crate) struct Pass<'a> {
    /// More tokens of each hypothesis.
    pub(crate) tokens: &'a Sequences,
    /// After how many of the last ones of each the next token is scored.
    pub(crate) last: &'a [usize],
    /// With these, only their tokens are scored, and the others are impossible.
    pub(crate) lists: Option<ShortLists<'a>>,
}

/// Vocabulary short lists: the tokens of all hypotheses together, and those of each, in order.
pub(crate) struct ShortLists<'a> {
    pub(crate) all: &'a Arc<[u32]>,
    pub(crate) each: Vec<&'a [u32]>,
}

impl ShortLists<'_> {
    /// Writes the logits of all these tokens at their places in the vocabulary: of each row, those of its own list. Each hypothesis has
    /// so many of the `last` rows.
    fn over_vocabulary<E: Real>(&self, logits: &[E], last: &[usize], vocabulary: usize, whole: &mut Aligned<E>) {
        whole.clear();
        whole.resize(logits.len() / self.all.len().max(1) * vocabulary, E::neg_infinity());
        let lists = self.each.iter().zip(last).flat_map(|(list, &last)| std::iter::repeat_n(*list, last));
        let rows = whole.chunks_exact_mut(vocabulary.max(1)).zip(logits.chunks_exact(self.all.len().max(1)));
        for ((whole, row), list) in rows.zip(lists) {
            let mut list = list.iter().copied().peekable();
            for (&token, &logit) in self.all.iter().zip(row) {
                if list.next_if_eq(&token).is_some() {
                    whole[token as usize] = logit;
                }
            }
        }
    }
}

/// The hidden states of the first model: of all tokens, the rows of each hypothesis, and those of the tokens after which the next is scored.
pub(crate) type Hidden<'a> = (Tensor, Arc<Segments>, &'a [u32]);

impl<'a> Members<'a> {
    pub(crate) fn new(models: &[(&'a dyn Generator, &'a Parameters)], parallelism: Parallelism) -> Self {
        let member = |&(model, parameters): &(&'a dyn Generator, &'a Parameters)| Member {
            model,
            parameters,
            state: None,
            selected: None,
        };
        let empty = || Buffer::zeros(models.first().map_or(DType::F32, |(_, parameters)| parameters.dtype()), 0);
        let memory = Memory { whole: empty(), logs: empty(), sums: empty() };
        Self { members: models.iter().map(member).collect(), parallelism, memory }
    }

    pub(crate) fn dtype(&self) -> DType {
        self.members[0].parameters.dtype()
    }

    /// The longest sequence that all have positions for.
    pub(crate) fn max_length(&self) -> Option<usize> {
        self.members.iter().filter_map(|member| member.model.max_length()).min()
    }

    /// Encodes `count` rows, and appends those of them that are `live`. Where one of the models fails, none of them has changed. Of one
    /// that `speculates`, tokens that were read can be taken back: a recurrent one is an error that begins with this.
    pub(crate) fn start(
        &mut self,
        tape: &mut Tape,
        sources: Option<&Sequences>,
        (count, live): (usize, &[usize]),
        speculates: Option<&str>,
    ) -> Result<()> {
        let start = |Member { model, parameters, .. }: &Member<'_>| {
            let mut state = model.start(tape.infer(parameters, self.parallelism), sources, count)?;
            state.select(live);
            if let Some(what) = speculates.filter(|_| state.kv_cache.is_none()) {
                let reason = format!("{what} is recurrent, and cannot take back tokens that it has read");
                return Err(Error::Shapes { op: "generate", reason, inputs: Vec::new(), location: Location::caller() });
            }
            Ok(state)
        };
        let states = self.members.iter().map(start).collect::<Result<Vec<_>>>()?;
        for (member, state) in self.members.iter_mut().zip(states) {
            match &mut member.state {
                Some(own) => own.append(state),
                none => *none = Some(state),
            }
        }
        Ok(())
    }

    /// Reads more tokens of each hypothesis. `turns` says which rows then choose their next tokens; returns what each has chosen. The
    /// logits of an ensemble are the logarithms of the mean probabilities.
    pub(crate) fn step<'t>(
        &mut self,
        tape: &mut Tape,
        pass: Pass<'_>,
        scorers: &mut [Scorer],
        options: &DecodingOptions,
        turns: impl FnOnce(Option<&Hidden<'_>>) -> Vec<Turn<'t>>,
    ) -> Result<Vec<Chosen>> {
        match self.dtype() {
            DType::F32 => self.step_of::<f32>(tape, pass, scorers, options, turns),
            DType::F64 => self.step_of::<f64>(tape, pass, scorers, options, turns),
        }
    }

    fn step_of<'t, E: Real>(
        &mut self,
        tape: &mut Tape,
        Pass { tokens, last, lists }: Pass<'_>,
        scorers: &mut [Scorer],
        options: &DecodingOptions,
        turns: impl FnOnce(Option<&Hidden<'_>>) -> Vec<Turn<'t>>,
    ) -> Result<Vec<Chosen>> {
        let reads_hidden = scorers.first().is_some_and(Scorer::reads_hidden);
        let choose = |hidden: Option<Hidden<'_>>, shape: Shape, logits: &[E]| {
            let mut turns = turns(hidden.as_ref());
            let hidden = hidden.as_ref().map(|(states, _, ends)| (states, *ends));
            take_turns(&mut turns, (shape, logits), hidden, scorers, options);
            turns.into_iter().map(|turn| turn.chosen).collect()
        };
        let Self { members, parallelism, memory } = self;
        let (count, mut shape_of_all) = (members.len(), Shape::from([0, 0]));
        let mut sums: Aligned<E> = lent(&mut memory.sums);
        sums.clear();
        for Member { model, parameters, state, selected } in members {
            let Some(state) = state else { continue };
            let hidden = model.step(tape.infer(parameters, *parallelism), state, tokens)?;
            let ends =
                last.iter().enumerate().flat_map(|(i, &last)| hidden.segments.rows(i).iter().rev().take(last).rev());
            let ends: Vec<u32> = ends.map(|&row| row as u32).collect();
            let states = reads_hidden.then(|| hidden.rows.value()).transpose()?;
            let of_states = states.map(|states| (states, hidden.segments.clone(), &ends[..]));
            if ends.is_empty() {
                // Where all prompts go on, nothing is chosen, and no logits are needed.
                if count == 1 {
                    return Ok(choose(of_states, shape_of_all, &[]));
                }
                continue;
            }
            let (rows, output) = (hidden.rows.gather(&ends.as_slice().into()), model.output());
            let logits = match &lists {
                None => output.logits(rows),
                Some(ShortLists { all, .. }) => {
                    let (_, selected) = match selected.take().filter(|(list, _)| Arc::ptr_eq(list, all)) {
                        Some(before) => selected.insert(before),
                        None => selected.insert(((*all).clone(), output.select(rows.graph(), all)?)),
                    };
                    output.logits_of(rows, selected)
                }
            };
            let mut whole: Aligned<E> = lent(&mut memory.whole);
            let shape = match &lists {
                None => logits.shape(),
                Some(lists) => {
                    let vocabulary = parameters.shape(output.token_rows().0)[0];
                    logits.read(|logits: &[E]| lists.over_vocabulary(logits, last, vocabulary, &mut whole))?;
                    Shape::from([logits.shape().rows(), vocabulary])
                }
            };
            if count > 1 && !sums.is_empty() && shape != shape_of_all {
                let reason = format!(
                    "the models of an ensemble have vocabularies of {} and {}",
                    shape_of_all.last(),
                    shape.last()
                );
                return Err(Error::Shapes { op: "generate", reason, inputs: Vec::new(), location: Location::caller() });
            }
            shape_of_all = shape;
            if count == 1 {
                let chosen = match lists.is_some() {
                    true => choose(of_states, shape, &whole),
                    false => logits.read(|logits: &[E]| choose(of_states, shape, logits))?,
                };
                memory.whole = E::wrap(whole);
                return Ok(chosen);
            }
            let mut logs: Aligned<E> = lent(&mut memory.logs);
            match lists.is_some() {
                true => add_probabilities(&mut sums, &whole, shape.last(), &mut logs),
                false => logits.read(|logits: &[E]| add_probabilities(&mut sums, logits, shape.last(), &mut logs))?,
            }
            (memory.whole, memory.logs) = (E::wrap(whole), E::wrap(logs));
        }
        let count = E::of((count as f64).ln());
        map(&mut sums, |log: E| log - count);
        let chosen = choose(None, shape_of_all, &sums);
        memory.sums = E::wrap(sums);
        Ok(chosen)
    }

    /// Keeps these hypotheses, some perhaps several times.
    pub(crate) fn select(&mut self, hypotheses: &[usize]) {
        self.states_mut().for_each(|state| state.select(hypotheses));
    }

    /// Takes back the last tokens of a hypothesis.
    pub(crate) fn truncate(&mut self, hypothesis: usize, tokens: usize) {
        self.states_mut().for_each(|state| state.truncate(hypothesis, tokens));
    }

    /// Lets some hypotheses begin anew.
    pub(crate) fn restart(&mut self, hypotheses: Range<usize>) {
        self.states_mut().for_each(|state| state.restart(hypotheses.clone()));
    }

    fn states_mut(&mut self) -> impl Iterator<Item = &mut DecoderState> {
        self.members.iter_mut().filter_map(|member| member.state.as_mut())
    }
}

/// The memory of a buffer, to be put back.
fn lent<E: Element>(buffer: &mut Buffer) -> Aligned<E> {
    E::unwrap(std::mem::replace(buffer, E::wrap(aligned(0))))
}

/// Adds the probabilities of each row of `logits[N, V]` to what `sums` has, all as their logarithms: what is all but impossible
/// for every member does not become impossible. `logs` is memory for those of this one.
fn add_probabilities<E: Real>(sums: &mut Aligned<E>, logits: &[E], columns: usize, logs: &mut Aligned<E>) {
    logs.clear();
    logs.extend_from_slice(logits);
    log_softmax_rows(logs, columns);
    if sums.is_empty() {
        sums.extend_from_slice(logs);
        return;
    }
    for (sum, &log) in sums.iter_mut().zip(logs.iter()) {
        let (larger, smaller) = if log > *sum { (log, *sum) } else { (*sum, log) };
        // Of two that are impossible, the difference would be no number.
        if larger > E::neg_infinity() || larger.is_nan() {
            *sum = larger + (smaller - larger).exp().ln_1p();
        }
    }
}
