//! The models that decode: one, or those of an ensemble.

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
    /// Whether a step says what its tokens attend to.
    reads_attention: bool,
    memory: Memory,
}

/// Memory of scores and hidden states that each step uses again.
#[derive(Debug)]
struct Memory {
    hidden: Tensor,
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

/// Vocabulary short lists, in order: the tokens of all hypotheses together; those that each of them has; those that each has besides.
pub(crate) struct ShortLists<'a> {
    pub(crate) all: &'a Arc<[u32]>,
    pub(crate) always: &'a [u32],
    pub(crate) each: &'a [Arc<[u32]>],
}

impl ShortLists<'_> {
    /// Writes the logits of all these tokens at their places in the vocabulary: of each row, those of its own list. Each hypothesis has
    /// so many of the `last` rows.
    fn over_vocabulary<E: Real>(&self, logits: &[E], last: &[usize], vocabulary: usize, whole: &mut Aligned<E>) {
        whole.clear();
        whole.resize(logits.len() / self.all.len().max(1) * vocabulary, E::neg_infinity());
        let lists = self.each.iter().zip(last).flat_map(|(list, &last)| std::iter::repeat_n(list, last));
        let rows = whole.chunks_exact_mut(vocabulary.max(1)).zip(logits.chunks_exact(self.all.len().max(1)));
        for ((whole, row), list) in rows.zip(lists) {
            let [mut always, mut own] = [self.always, &list[..]].map(|tokens| tokens.iter().copied().peekable());
            for (&token, &logit) in self.all.iter().zip(row) {
                if always.next_if_eq(&token).or_else(|| own.next_if_eq(&token)).is_some() {
                    whole[token as usize] = logit;
                }
            }
        }
    }
}

/// The hidden states of all tokens that were read, the rows of each hypothesis, and those of the tokens that were asked for.
#[derive(Clone, Copy)]
pub(crate) struct Hidden<'a> {
    pub(crate) states: &'a Tensor,
    pub(crate) segments: &'a Segments,
    pub(crate) rows: &'a [u32],
}

/// What a step says of the next tokens.
pub(crate) struct Logits<'a, E> {
    /// `[N, V]`, of the tokens that were asked for.
    pub(crate) shape: Shape,
    pub(crate) logits: &'a [E],
    pub(crate) hidden: Option<Hidden<'a>>,
    /// Where it is read, the attention to each token of the source after the tokens that were asked for: the mean over the heads of the last
    /// layer, and over the models.
    pub(crate) attention: &'a [Vec<f64>],
    /// Of an ensemble, the first model whose scores of a row are not finite.
    pub(crate) failed: &'a [Option<usize>],
}

/// Why there is no coverage.
const NO_ATTENTION: &str = "coverage_penalty: the model has no attention to a source. Leave it out";

impl<'a> Members<'a> {
    pub(crate) fn new(
        models: &[(&'a dyn Generator, &'a Parameters)],
        parallelism: Parallelism,
        reads_attention: bool,
    ) -> Self {
        let member = |&(model, parameters): &(&'a dyn Generator, &'a Parameters)| Member {
            model,
            parameters,
            state: None,
            selected: None,
        };
        let empty = || Buffer::zeros(models.first().map_or(DType::F32, |(_, parameters)| parameters.dtype()), 0);
        let hidden = Tensor::zeros(DType::F32, [0]);
        let memory = Memory { hidden, whole: empty(), logs: empty(), sums: empty() };
        Self { members: models.iter().map(member).collect(), parallelism, reads_attention, memory }
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
            let recurrent = speculates.filter(|_| state.kv_cache.is_none());
            let wrong = match recurrent {
                Some(what) => {
                    Some(format!("{what} is recurrent, and cannot take back tokens that it has read. Leave it out"))
                }
                None if self.reads_attention && state.encoder_output.is_none() => Some(NO_ATTENTION.to_owned()),
                None => None,
            };
            if let Some(reason) = wrong {
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

    /// Reads more tokens of each hypothesis, and calls `f` with the logits after so many of the `last` ones of each. The logits of an
    /// ensemble are the logarithms of the mean probabilities. Hidden states are those of the first model. With short lists, only their
    /// tokens are scored, and the others are impossible.
    pub(crate) fn step<E: Real, R>(
        &mut self,
        tape: &mut Tape,
        tokens: &Sequences,
        (last, lists): (&[usize], Option<&ShortLists<'_>>),
        reads_hidden: bool,
        f: impl FnOnce(Logits<'_, E>) -> Result<R>,
    ) -> Result<R> {
        let Self { members, parallelism, reads_attention, memory } = self;
        let (count, mut shape_of_all) = (members.len(), Shape::from([0, 0]));
        let mut sums: Aligned<E> = lent(&mut memory.sums);
        sums.clear();
        let (mut attention, mut failed) = (Vec::new(), Vec::new());
        for (number, Member { model, parameters, state, selected }) in members.iter_mut().enumerate() {
            let Some(state) = state else { continue };
            let graph = tape.infer(parameters, *parallelism);
            if *reads_attention {
                graph.keep_queries();
            }
            let hidden = model.step(graph, state, tokens)?;
            let ends =
                last.iter().enumerate().flat_map(|(i, &last)| hidden.segments.rows(i).iter().rev().take(last).rev());
            let ends: Vec<u32> = ends.map(|&row| row as u32).collect();
            if reads_hidden {
                hidden.rows.copy_to(&mut memory.hidden)?;
            }
            let of_states =
                reads_hidden.then(|| Hidden { states: &memory.hidden, segments: &hidden.segments, rows: &ends });
            if ends.is_empty() {
                // Where all prompts go on, nothing is chosen, and no logits are needed.
                if count == 1 {
                    return f(Logits {
                        shape: shape_of_all,
                        logits: &[],
                        hidden: of_states,
                        attention: &[],
                        failed: &[],
                    });
                }
                continue;
            }
            if *reads_attention {
                add_attention(&mut attention, graph.last_cross_attention()?, &ends, count);
            }
            let attention = &attention[..];
            let (rows, output) = (hidden.rows.gather(&ends.as_slice().into()), model.output());
            let logits = match lists {
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
            let shape = match lists {
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
                let found = match lists.is_some() {
                    true => f(Logits { shape, logits: &whole, hidden: of_states, attention, failed: &[] }),
                    false => logits
                        .read(|logits: &[E]| f(Logits { shape, logits, hidden: of_states, attention, failed: &[] }))?,
                };
                memory.whole = E::wrap(whole);
                return found;
            }
            let mut logs: Aligned<E> = lent(&mut memory.logs);
            match lists.is_some() {
                true => add_probabilities(&mut sums, &whole, shape.last(), &mut logs),
                false => logits.read(|logits: &[E]| add_probabilities(&mut sums, logits, shape.last(), &mut logs))?,
            }
            failed.resize(shape.rows(), None);
            for (failed, row) in failed.iter_mut().zip(logs.chunks(shape.last().max(1))) {
                if failed.is_none() && row.iter().any(|log| log.is_nan()) {
                    *failed = Some(number);
                }
            }
            (memory.whole, memory.logs) = (E::wrap(whole), E::wrap(logs));
        }
        let count = E::of((count as f64).ln());
        map(&mut sums, |log: E| log - count);
        let found =
            f(Logits { shape: shape_of_all, logits: &sums, hidden: None, attention: &attention, failed: &failed });
        memory.sums = E::wrap(sums);
        found
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
pub(crate) fn lent<E: Element>(buffer: &mut Buffer) -> Aligned<E> {
    E::unwrap(std::mem::replace(buffer, E::wrap(aligned(0))))
}

/// Adds the attention of some rows of the hidden states of one of `count` models to the mean of all.
fn add_attention(mean: &mut Vec<Vec<f64>>, mut rows: Vec<Vec<f64>>, ends: &[u32], count: usize) {
    let of_ends = ends.iter().map(|&row| std::mem::take(&mut rows[row as usize]));
    mean.resize(ends.len(), Vec::new());
    for (mean, own) in mean.iter_mut().zip(of_ends) {
        mean.resize(own.len(), 0.0);
        mean.iter_mut().zip(own).for_each(|(mean, weight)| *mean += weight / count as f64);
    }
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
