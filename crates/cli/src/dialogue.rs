//! Conversations that are answered, as much of them as the model reads at once with the answer.

use descant_generate::{Begun, DecodingOptions, FinishReason, Mode};
use descant_inference::{Control, Error, Generated, Request, Trained};
use descant_text::{Message, Text};
use std::ops::Range;

/// A conversation, and what its answer has so far.
pub(crate) struct Dialogue {
    /// What is read of it.
    pub(crate) messages: Vec<Message>,
    /// The line that asks.
    pub(crate) line: u64,
    control: Control,
    begun: Begun,
    /// How many tokens there is to be room for.
    wanted: usize,
    /// How often turns were left out while it was answered.
    attempt: u64,
    /// How many tokens the answer may have before the oldest turn is left out for it.
    pause: Option<usize>,
    /// Whether turns were left out.
    pub(crate) is_shortened: bool,
}

impl Dialogue {
    pub(crate) fn new(messages: Vec<Message>, line: u64, control: Control) -> Self {
        let begun = Begun::default();
        Self { messages, line, control, begun, wanted: 1, attempt: 0, pause: None, is_shortened: false }
    }

    /// The first messages of the turns after the oldest one: those of the `user`. The oldest comes after the messages of the `system` at its
    /// start.
    fn later_turns(&self) -> Vec<usize> {
        let of_user = |&i: &usize| self.messages[i].role == "user";
        (self.oldest() + 1..self.messages.len()).filter(of_user).collect()
    }

    /// The first message after those of the `system`.
    fn oldest(&self) -> usize {
        self.messages.iter().take_while(|message| message.is_system()).count()
    }

    /// Leaves out all turns before a message.
    fn leave_out(&mut self, before: usize, wanted: usize) {
        self.messages.drain(self.oldest()..before);
        (self.wanted, self.is_shortened) = (wanted, true);
    }

    /// The conversation with its turns from a message on.
    fn prompt(&self, trained: &Trained, from: usize) -> Result<Text, Error> {
        let messages = [&self.messages[..self.oldest()], &self.messages[from..]].concat();
        trained.control(trained.prompt(&messages)?, &self.control)
    }

    fn request(&self, trained: &Trained, from: usize) -> Result<Request, Error> {
        trained.request(self.prompt(trained, from)?, None)
    }

    /// How many tokens there is room for after a request and what the answer has.
    fn room(&self, request: &Request, options: &DecodingOptions) -> usize {
        most_read(options).saturating_sub(request.tokens().len() + self.begun.tokens.len())
    }

    /// What is read next for the answer, and the number of its draws. Where the conversation and its answer are longer than what the model
    /// reads at once, the oldest turns are left out, if they may be: before the first token where the conversation alone is, and else as soon
    /// as the answer has come so far, which then [goes on](Self::goes_on).
    pub(crate) fn next(
        &mut self,
        (trained, options): (&Trained, &DecodingOptions),
        may_leave_out: bool,
    ) -> Result<(Request, u64), Error> {
        let mut request = self.request(trained, self.oldest())?;
        let turns = if may_leave_out { self.later_turns() } else { Vec::new() };
        if self.room(&request, options) < self.wanted && !turns.is_empty() {
            let wanted = usual(trained, options);
            let room = |turn: usize| Ok(self.room(&self.request(trained, turn)?, options));
            let before = first_with_room(&turns, wanted, room)?;
            self.leave_out(before, wanted);
            request = self.request(trained, self.oldest())?;
        }
        let room = self.room(&request, options);
        let mut begun = std::mem::take(&mut self.begun);
        let pause = begun.tokens.len().saturating_add(room);
        let has_turns = may_leave_out && !self.later_turns().is_empty();
        self.pause = has_turns.then_some(pause).filter(|&pause| pause < options.max_new_tokens());
        if let Some(pause) = self.pause {
            begun = begun.pausing_at(pause);
        }
        // Each attempt has draws of its own.
        Ok((request.begun(begun), (self.line - 1) | self.attempt << 48))
    }

    /// Whether an answer has come as far as the conversation leaves it room. Then the oldest turn is left out, and what is read
    /// [next](Self::next) goes on with it.
    pub(crate) fn goes_on(&mut self, (trained, options): (&Trained, &DecodingOptions), written: &[Generated]) -> bool {
        let is_paused = |one: &Generated| {
            one.finish_reason == FinishReason::Length && self.pause.is_some_and(|pause| one.tokens.len() >= pause)
        };
        let is_paused = written.iter().any(is_paused);
        let Some(&next) = self.later_turns().first().filter(|_| is_paused) else { return false };
        // The best of several texts is known at their ends, and nothing of it was shown: it begins again.
        if let ([one], 1) = (written, options.config.candidates())
            && options.config.mode() != Mode::Beam
        {
            self.begun = Begun::new(one.tokens.clone(), one.log_probability);
        }
        self.leave_out(next, usual(trained, options));
        self.attempt += 1;
        true
    }

    /// What is read for an answer that is given, as it is for one that is [written](Self::next) as one text: what stands of the conversation
    /// before each stretch of its tokens. With an end, what comes after the last token is predicted as well.
    pub(crate) fn readings(
        &mut self,
        (trained, options): (&Trained, &DecodingOptions),
        tokens: &[u32],
        ends: bool,
    ) -> Result<Vec<(Text, Range<usize>)>, Error> {
        let (mut readings, mut from) = (Vec::new(), 0);
        loop {
            self.next((trained, options), true)?;
            let prompt = self.prompt(trained, self.oldest())?;
            let Some(pause) = self.pause.filter(|&pause| pause < tokens.len() + usize::from(ends)) else {
                readings.push((prompt, from..tokens.len()));
                return Ok(readings);
            };
            if pause > from {
                readings.push((prompt, from..pause));
            }
            from = pause;
            let mut paused = Generated::default();
            (paused.tokens, paused.finish_reason) = (tokens[..pause].to_vec(), FinishReason::Length);
            self.goes_on((trained, options), &[paused]);
        }
    }
}

/// The first of some turns with which a conversation leaves so much room, or the last: by halves, as reading a long conversation once for each
/// of its turns takes too long.
fn first_with_room(
    turns: &[usize],
    wanted: usize,
    mut room: impl FnMut(usize) -> Result<usize, Error>,
) -> Result<usize, Error> {
    let (mut low, mut high) = (0, turns.len() - 1);
    while low < high {
        let middle = (low + high) / 2;
        let is_enough = room(turns[middle])? >= wanted;
        (low, high) = if is_enough { (low, middle) } else { (middle + 1, high) };
    }
    Ok(turns[low])
}

/// How many tokens a conversation and its answer may have: what is written last, a token or the end, is not read.
fn most_read(options: &DecodingOptions) -> usize {
    options.config.context.unwrap_or(usize::MAX).saturating_add(1)
}

/// How many tokens an answer has at most, as far as is known.
fn usual(trained: &Trained, options: &DecodingOptions) -> usize {
    let most = trained.longest_target().unwrap_or(usize::MAX).min(options.max_new_tokens());
    most.min(most_read(options) / 2).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_conversation_loses_as_many_turns_as_it_must_and_is_read_a_few_times() {
        // Of 4001 messages, each second one begins a turn; a message takes 5 tokens, and 512 are read with the answer.
        let turns: Vec<usize> = (2..4001).step_by(2).collect();
        for wanted in [1, 60, 500, 9999] {
            let mut calls = 0;
            let room = |from: usize| {
                calls += 1;
                Ok(512_usize.saturating_sub(5 * (4001 - from)))
            };
            let found = first_with_room(&turns, wanted, room).unwrap();
            let expected = turns.iter().find(|&&from| 512_usize.saturating_sub(5 * (4001 - from)) >= wanted);
            assert_eq!(Some(&found), expected.or(turns.last()), "{wanted}");
            assert!(calls <= 11, "{calls}");
        }
    }
}
