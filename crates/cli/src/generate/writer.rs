use super::answers::{Answers, Outcome};
use super::explanations::Explanations;
use super::grammar_field::GrammarField;
use super::line::Line;
use super::requests::{Asks, Next, Request, Requests};
use super::stream::Stream;
use crate::constraints::Constraints;
use crate::control;
use crate::decoding::said;
use crate::dialogue::Dialogue;
use crate::json_line::Unread;
use crate::report::{duration, note, put};
use descant_autograd::Tape;
use descant_constraints::Grammar;
use descant_generate::{DecodingOptions, Mode};
use descant_inference::Request as InferenceRequest;
use descant_inference::{Control, Error, Explainer, Generated, LongInput, Scheduler, SourceLimit, Trained};
use descant_text::{Message, Text};
use indicatif::ProgressBar;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Writes for lines, and hands what comes of them over in their order.
pub(super) struct Writer<'a> {
    pub(super) trained: &'a Trained,
    pub(super) options: &'a DecodingOptions,
    /// Of all models, for at most `batch` lines at once.
    pub(super) scheduler: Scheduler<'a>,
    pub(super) batch: usize,
    /// The most tokens of a source that all models read well.
    pub(super) limit: Option<SourceLimit>,
    /// What was asked of all texts.
    pub(super) constraints: &'a Constraints,
    /// The grammar among it.
    pub(super) grammar: Option<Arc<Grammar>>,
    /// What has the grammars of lines.
    pub(super) grammar_field: Option<GrammarField>,
    /// The control attributes of all lines that say no others.
    pub(super) control: Control,
    /// What is done with long sources and prompts, where that was said.
    pub(super) long: Option<LongInput>,
    pub(super) tape: Tape,
    pub(super) explanations: Explanations,
    pub(super) explainer: Explainer<'a>,
    pub(super) answers: Answers,
    pub(super) bar: ProgressBar,
    /// Whether tokens are printed as they are chosen.
    pub(super) streams: bool,
    /// Whether what is asked are lines of text of a file or of standard input.
    pub(super) reads_lines: bool,
    /// In a chat, what every conversation begins with.
    pub(super) conversation: Option<Vec<Message>>,
    /// Fields of objects that nobody asked for.
    pub(super) unread: Unread,
    pub(super) told: ToldOnce,
}

/// What was reported, once.
#[derive(Default)]
pub(super) struct ToldOnce {
    /// That a source is much longer than in training.
    long: bool,
    /// That a step takes long.
    slow: bool,
}

/// A line that was read and is not written yet.
struct Waiting {
    line: Line,
    /// The request that the scheduler answers.
    request: Option<usize>,
    /// The conversation that it is for.
    dialogue: Option<Dialogue>,
    outcome: Option<Outcome>,
}

/// What a line asks.
enum Asked {
    Nothing,
    Text(Text),
    Conversation(Dialogue),
}

/// What is generated first for a line: the request, the number of its draws, and the conversation that it is for.
type First = (InferenceRequest, u64, Option<Dialogue>);

/// How many batches of lines may be read while a line before them is not answered.
const AHEAD: usize = 64;
/// Bytes of a line that waits until those before it are answered: it may take more time than all of them.
const LONG: usize = 1 << 14;
/// How many times as long as in training a source is before that is reported.
const MUCH_LONGER: usize = 2;
/// The time and the beams of a step from which it is reported how long it takes.
const SLOW: (Duration, usize) = (Duration::from_secs(5), 64);

impl Writer<'_> {
    /// Whether texts are answered, rather than continued.
    pub(super) fn is_answering(&self) -> bool {
        self.trained.responds() || self.conversation.is_some()
    }

    /// Answers all requests, a batch of them at once: each enters the batch as another one leaves it.
    pub(super) fn answer_all(&mut self, mut requests: Requests<'_>) -> anyhow::Result<()> {
        let mut waiting: VecDeque<Waiting> = VecDeque::new();
        let (mut held, mut ended, mut failed) = (None, false, None);
        loop {
            while (held.is_some() || !ended) && self.scheduler.has_room() && waiting.len() < AHEAD * self.batch {
                // What is answered is written before anything is waited for.
                self.write_answered(&mut waiting)?;
                let request = match held
                    .take()
                    .map_or_else(|| requests.next(self.scheduler.is_empty()), |held| Ok(Next::Request(held)))
                {
                    Ok(Next::Request(request)) => request,
                    Ok(Next::Later) => break,
                    // What was read before a line that cannot be read is answered.
                    end => {
                        (ended, failed) = (true, end.err());
                        break;
                    }
                };
                let is_long = request.length() > LONG;
                if is_long && !waiting.is_empty() {
                    held = Some(request);
                    break;
                }
                match self.streams {
                    true => self.stream(request)?,
                    false => {
                        let begun = self.begin(request);
                        waiting.push_back(begun);
                    }
                }
                if is_long {
                    break;
                }
            }
            self.write_answered(&mut waiting)?;
            self.bar.set_position(requests.number().saturating_sub(waiting.len() as u64));
            if self.scheduler.is_empty() {
                match ended && held.is_none() {
                    true => return failed.map_or(Ok(()), Err),
                    false => continue,
                }
            }
            let start = Instant::now();
            let answers = self.scheduler.step(&mut self.tape, |_, _| ());
            for (request, answer) in answers.map_err(|error| anyhow::anyhow!("{}", said(&error)))? {
                let Some(one) = waiting.iter_mut().find(|one| one.request == Some(request)) else { continue };
                one.outcome = match answer {
                    Ok(texts) => match self.go_on(one, &texts) {
                        Ok(true) => None,
                        Ok(false) => Some(Outcome::Texts(texts)),
                        Err(reason) => Some(Outcome::Refused(reason)),
                    },
                    Err(error) => Some(Outcome::Refused(self.reason(&error, one.line.grammar.as_deref()))),
                };
            }
            self.tell_slow(start.elapsed());
        }
    }

    /// Why a line has no text, in the words of the command line.
    pub(super) fn reason(&self, error: &Error, grammar: Option<&Grammar>) -> String {
        let Error::Unmet { text, tokens, .. } = error else { return said(error) };
        let flags = self.constraints.given().collect::<Vec<_>>().join(", ");
        let needed = grammar.and_then(|grammar| grammar.needed_after(tokens, !self.trained.is_language_model()).ok());
        let needed = needed.filter(|needed| !needed.is_empty());
        let needed = needed.map(|needed| format!(". The grammar has {needed} there")).unwrap_or_default();
        let beams = match self.options.config.mode() {
            Mode::Beam => "",
            _ => ". Where only this way leads there, --num-beams 4 may find another",
        };
        format!(
            "after {text:?} no token may come next, and the text may not end there, by {flags}: they contradict each other or \
             another option, or the vocabulary cannot write what they ask for{needed}{beams}"
        )
    }

    /// Hands a request to the scheduler, unless it asks nothing or cannot be answered.
    fn begin(&mut self, request: Request) -> Waiting {
        let grammar = self.grammar_field.as_mut().map(|field| field.of(request.line, &request.fields));
        let (mut line, asked) = self.asked(request);
        let asked = asked.and_then(|asked| {
            if let Some(grammar) = grammar {
                line.grammar = grammar?;
            }
            Ok(asked)
        });
        let (request, dialogue, outcome) = match asked.and_then(|asked| self.first(asked, &mut line)) {
            Ok(Some((request, number, dialogue))) => (Some(self.scheduler.push(request, number)), dialogue, None),
            Ok(None) => (None, None, Some(Outcome::Empty)),
            Err(reason) => (None, None, Some(Outcome::Refused(reason))),
        };
        Waiting { line, request, dialogue, outcome }
    }

    /// What is generated first for a line; nothing where it asks nothing.
    ///
    /// # Errors
    /// Why it is not answered.
    fn first(&mut self, asked: Asked, line: &mut Line) -> Result<Option<First>, String> {
        match asked {
            Asked::Nothing => Ok(None),
            Asked::Text(text) => Ok(Some((self.request(text, line)?, line.number - 1, None))),
            Asked::Conversation(mut dialogue) => {
                let (request, number) = self.ask(&mut dialogue)?;
                line.is_shortened = dialogue.is_shortened;
                Ok(Some((self.of_line(request, line), number, Some(dialogue))))
            }
        }
    }

    /// What is read next for the answer to a conversation, and the number of its draws. Where long prompts are refused, no turn is left out.
    ///
    /// # Errors
    /// Why it is not answered.
    pub(super) fn ask(&mut self, dialogue: &mut Dialogue) -> Result<(InferenceRequest, u64), String> {
        let may_leave_out = self.long != Some(LongInput::Error);
        let next = dialogue.next((self.trained, self.options), may_leave_out);
        let (request, number) = next.map_err(|error| self.reason(&error, None))?;
        self.check_length(dialogue.line, request.tokens().len())?;
        Ok((request, number))
    }

    /// Whether the answer to a line goes on, with less of its conversation before it.
    fn go_on(&mut self, waiting: &mut Waiting, texts: &[Generated]) -> Result<bool, String> {
        let Waiting { line, request, dialogue: Some(dialogue), .. } = waiting else { return Ok(false) };
        if !dialogue.goes_on((self.trained, self.options), texts) {
            return Ok(false);
        }
        let (next, number) = self.ask(dialogue)?;
        line.is_shortened = true;
        let next = self.of_line(next, line);
        *request = Some(self.scheduler.push(next, number));
        Ok(true)
    }

    /// Writes the first lines, as far as they are answered.
    fn write_answered(&mut self, waiting: &mut VecDeque<Waiting>) -> anyhow::Result<()> {
        while waiting.front().is_some_and(|one| one.outcome.is_some()) {
            if let Some(Waiting { line, outcome: Some(outcome), .. }) = waiting.pop_front() {
                self.write(&line, outcome)?;
            }
        }
        self.answers.write()
    }

    fn write(&mut self, line: &Line, outcome: Outcome) -> anyhow::Result<()> {
        let Outcome::Texts(texts) = outcome else { return self.answers.none(line, outcome) };
        let mut reported = Vec::with_capacity(texts.len());
        for written in texts {
            let read = (&line.read[..], &written);
            let beside = match self.explanations.of(self.trained, &mut self.explainer, &mut self.tape, read) {
                Ok(beside) => beside,
                // The other lines are answered.
                Err(error) => {
                    let reason = format!("its text cannot be explained: {error:#}");
                    return self.answers.none(line, Outcome::Refused(reason));
                }
            };
            reported.push((self.said(&written)?, written, beside));
        }
        // What is continued is shown with what goes on from it.
        let before = if self.is_answering() { "" } else { line.source.as_str() };
        self.answers.texts(line, before, &reported)
    }

    /// A line, and what it asks.
    fn asked(&mut self, request: Request) -> (Line, Result<Asked, String>) {
        let control = control::of_line(&self.control, self.trained, &request.fields);
        let system = if self.conversation.is_some() { request.fields.system() } else { Ok(None) };
        // Where the attributes fail, nothing else is read.
        if control.is_ok() {
            self.unread.count(request.line, &request.fields);
        }
        let Request { line: number, id, asks, .. } = request;
        let mut line = Line { number, id, grammar: self.grammar.clone(), ..Line::default() };
        let controlled = |text: Text, control: Control| {
            self.trained.control(text, &control).map(Asked::Text).map_err(|error| error.to_string())
        };
        // An argument to a language model is meant as it stands: a prompt may have tabs.
        let is_of_pairs = self.conversation.is_none()
            && if self.reads_lines { self.trained.responds() } else { !self.trained.is_language_model() };
        let asked = match (asks, control) {
            (Err(reason), _) | (_, Err(reason)) => Err(reason),
            (Ok(Asks::Line(text) | Asks::Text(text)), Ok(_))
                if text.trim().is_empty() && (self.reads_lines || self.is_answering()) =>
            {
                line.source = text;
                Ok(Asked::Nothing)
            }
            (Ok(Asks::Line(text)), _) if is_of_pairs && text.contains('\t') => Err(
                "it has a tab, as a pair has: a line is a source or prompt alone, which `cut -f1` takes from pairs. Give a text with a \
                 tab in it as an object of a .jsonl"
                    .to_owned(),
            ),
            (Ok(Asks::Line(text) | Asks::Text(text)), Ok(control)) => {
                let asked = system.and_then(|system| self.text(&text, system));
                let asked = asked.and_then(|text| controlled(text, control));
                line.source = text;
                asked
            }
            (Ok(Asks::Conversation(messages)), Ok(control)) => {
                if let Some(last) = messages.last().filter(|last| last.role == "assistant" || last.is_system()) {
                    self.answers.tally.count_unasked(number, &last.role);
                }
                let has_system = messages.iter().any(Message::is_system);
                let system = self.conversation.iter().flatten().filter(|_| !has_system).cloned();
                Ok(Asked::Conversation(Dialogue::new(system.chain(messages).collect(), number, control)))
            }
        };
        (line, asked)
    }

    /// What is read for the text of a line; a line may say what the system says.
    fn text(&self, line: &str, system: Option<Message>) -> Result<Text, String> {
        let Some(of_all) = &self.conversation else { return Ok(line.into()) };
        let system = system.map_or_else(|| of_all.clone(), |own| vec![own]);
        let messages = [system, vec![Message::new("user", line)]].concat();
        self.trained.prompt(&messages).map_err(|error| error.to_string())
    }

    /// Whether long sources are cut into parts.
    fn cuts(&self) -> bool {
        let is_source = !self.trained.is_language_model() && self.conversation.is_none();
        is_source && matches!(self.long, Some(LongInput::Split | LongInput::Window))
    }

    /// The request for a text of a line.
    ///
    /// # Errors
    /// Why it is not answered.
    fn request(&mut self, text: Text, line: &mut Line) -> Result<InferenceRequest, String> {
        let how = self.long.filter(|_| self.cuts());
        let request = self.trained.request_within(text, how, self.limit).map_err(|error| error.to_string())?;
        if !self.cuts() {
            self.check_length(line.number, request.tokens().len())?;
        }
        Ok(self.of_line(request, line))
    }

    /// A request with the grammar that its line has itself. The line keeps the tokens that are read for it, where something is explained by
    /// them.
    fn of_line(&self, request: InferenceRequest, line: &mut Line) -> InferenceRequest {
        if self.explanations.is_asked() {
            line.read = request.tokens().to_vec();
        }
        let own = line.grammar.clone().filter(|_| self.grammar_field.is_some());
        own.into_iter().fold(request, |request, own| request.with_constraint(own))
    }

    /// That a model reads so many tokens for a line.
    pub(super) fn check_length(&mut self, line: u64, tokens: usize) -> Result<(), String> {
        let is_refused = self.long == Some(LongInput::Error);
        if self.trained.is_language_model() {
            return match self.options.config.context.filter(|&context| is_refused && tokens > context) {
                Some(context) => Err(format!("the prompt has {tokens} tokens, and the model reads {context} at once")),
                None => Ok(()),
            };
        }
        let Some(limit) = self.limit.filter(|limit| tokens > limit.tokens) else { return Ok(()) };
        let most = limit.tokens;
        if limit.is_hard || is_refused {
            let has = if limit.is_hard { "has positions for" } else { "was trained on at most" };
            let advice =
                if self.conversation.is_none() { " (--long-input split cuts it between sentences)" } else { "" };
            return Err(format!("the source has {tokens} tokens, and the model {has} {most}{advice}"));
        }
        if tokens > MUCH_LONGER * most && !std::mem::replace(&mut self.told.long, true) {
            note(format_args!(
                "Line {line} has a source of {tokens} tokens, where the model was trained on at most {most}: the time grows with \
                 the square of the length, and what is written may have little to do with it. --long-input split cuts such \
                 sources between sentences, --long-input error refuses them.",
            ));
        }
        Ok(())
    }

    /// What a written text says.
    pub(super) fn said(&self, written: &Generated) -> anyhow::Result<String> {
        match self.conversation {
            Some(_) => Ok(self.trained.response(written)?),
            None => Ok(written.text.clone()),
        }
    }

    /// Writes for one text, and shows each token as it is chosen.
    fn stream(&mut self, request: Request) -> anyhow::Result<()> {
        let (mut line, asked) = self.asked(request);
        let (request, number, _) = match asked.and_then(|asked| self.first(asked, &mut line)) {
            Ok(Some(first)) => first,
            Ok(None) => return self.answers.none(&line, Outcome::Empty),
            Err(reason) => return self.answers.none(&line, Outcome::Refused(reason)),
        };
        // What is written of a source begins anew.
        let prompt = if self.trained.is_language_model() { request.tokens().to_vec() } else { Vec::new() };
        let trained = self.trained;
        if !self.is_answering() {
            put(&line.source)?;
        }
        let mut stream = Stream::new(trained, &prompt, self.conversation.is_some())?;
        let show = |token| stream.push(token);
        match self.generate_one(request, number, show) {
            Ok(written) => {
                stream.finish(&self.said(&written)?)?;
                self.answers.tally.count(&written, &line);
            }
            Err(error) => {
                let reason = self.reason(&error, line.grammar.as_deref());
                self.answers.refuse(line.number, &reason)?;
            }
        }
        put("\n")
    }

    /// Generates for one source or prompt, and returns its best text, or why there is none.
    pub(super) fn generate_one(
        &mut self,
        request: InferenceRequest,
        number: u64,
        mut show: impl FnMut(u32),
    ) -> Result<Generated, Error> {
        self.scheduler.push(request, number);
        while !self.scheduler.is_empty() {
            if let Some((_, answer)) = self.scheduler.step(&mut self.tape, |_, token| show(token))?.pop() {
                return Ok(answer?.into_iter().next().unwrap_or_default());
            }
        }
        Ok(Generated::default())
    }

    /// Reports a slow step, where fewer beams make it faster.
    fn tell_slow(&mut self, step: Duration) {
        let beams = self.options.config.num_beams();
        if step < SLOW.0
            || beams < SLOW.1
            || self.options.config.mode() != Mode::Beam
            || std::mem::replace(&mut self.told.slow, true)
        {
            return;
        }
        note(format_args!(
            "A step of {beams} beams takes {} by now, and a text up to {} of them. --num-beams of fewer makes it faster.",
            duration(step.as_secs_f64()),
            self.options.max_new_tokens()
        ));
    }
}
