//! Scores of given texts: what a model says of each of their tokens.

use crate::{Error, Trained};
use descant_autograd::Tape;
use descant_batch::{Batch, Sequences};
use descant_generate::{DecodingOptions, Stretch};
use descant_kernels::Parallelism;
use descant_text::{InputBuilder, Text};
use serde::Serialize;

/// What a model says of a token, given all before it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TokenScore {
    /// Its id.
    pub id: u32,
    /// How the vocabulary has it.
    pub token: String,
    /// The natural log probability.
    pub log_probability: f64,
    /// How many tokens are at least as likely, itself included: 1 for the most likely.
    pub rank: usize,
    /// The entropy in nats of the distribution that it is of.
    pub entropy: f64,
}

/// The scores of a text.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct TokenScores {
    /// Those of its tokens.
    pub tokens: Vec<TokenScore>,
    /// Whether the text with what stands before it is longer than what the model reads at once, so that not all of it was read for each token.
    pub cut: bool,
}

/// A text to score.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Scored {
    /// Its source or prompt; a text of a language model may have none.
    pub source: Option<Text>,
    /// The text; where there is no source, control attributes stand before it, and are not scored.
    pub target: Text,
    /// Its tokens, such as those of a generated text; without them it is cut as in training.
    pub tokens: Option<Vec<u32>>,
    /// How many of its tokens are read before the others, and not scored: see [`Begun`](descant_generate::Begun).
    pub begun: usize,
    /// Whether the EOS after it is scored too.
    pub ends: bool,
}

impl Scored {
    /// A text with its source or prompt, which ends there.
    pub fn new(source: Option<Text>, target: Text) -> Self {
        Self { source, target, tokens: None, begun: 0, ends: true }
    }

    /// The same of these tokens, such as those of a [`Generated`](crate::Generated); attributes of the text stand before them.
    #[must_use]
    pub fn with_tokens(self, tokens: Vec<u32>) -> Self {
        Self { tokens: Some(tokens), ..self }
    }

    /// The same where so many tokens were there already, and are not scored again.
    #[must_use]
    pub fn begun(self, tokens: usize) -> Self {
        Self { begun: tokens, ..self }
    }

    /// The same without EOS after it, such as a text that a limit has cut.
    #[must_use]
    pub fn without_eos(self) -> Self {
        Self { ends: false, ..self }
    }
}

/// Rows whose logits are materialised at a time.
const BLOCK: usize = 256;

impl Trained {
    /// The scores of the tokens of some texts, EOS included where a text in training ends with one and [`Scored::ends`] is set. They are the model's
    /// own, and the same bits alone and in a batch. Of the options, the context counts: a language model reads a text that is longer as if it had
    /// generated it, with a [sliding window](DecodingOptions::stretches). Of a model that continues texts, a text that begins with a
    /// space is cut as one that goes on after its prompt. A text of which no token is predicted, one that an encoder-decoder has no positions for, or
    /// one whose scores are no numbers, is an error of its own.
    ///
    /// # Errors
    /// Whatever the model's pass fails with; a model with continuous outputs has no probabilities.
    pub fn score(
        &self,
        tape: &mut Tape,
        texts: &[Scored],
        options: &DecodingOptions,
    ) -> Result<Vec<Result<TokenScores, Error>>, Error> {
        let mut all = Vec::with_capacity(texts.len());
        let mut passes: Vec<(usize, Batch)> = Vec::with_capacity(texts.len());
        for (i, text) in texts.iter().enumerate() {
            all.push(self.teacher_forced(text, options).map(|of_text| {
                let cut = of_text.len() > 1 || of_text.iter().any(|(_, is_cut)| *is_cut);
                passes.extend(of_text.into_iter().map(|(pass, _)| (i, pass)));
                TokenScores { tokens: Vec::new(), cut }
            }));
        }
        // As many at once as there are texts: one may be as long as a book.
        for passes in passes.chunks(texts.len().max(1)) {
            let mut batch = Batch::default();
            for (_, pass) in passes {
                batch.input.push(pass.input.get(0));
                batch.target.push(pass.target.get(0));
                if let Some(source) = &pass.source {
                    batch.source.get_or_insert_with(Sequences::new).push(source.get(0));
                }
            }
            for ((i, _), scores) in passes.iter().zip(self.score_batch(tape, &batch, options.parallelism)?) {
                all[*i].iter_mut().for_each(|of_text| of_text.tokens.extend_from_slice(&scores));
            }
        }
        let checked = |of_text: TokenScores| Ok(TokenScores { tokens: self.finite(of_text.tokens)?, cut: of_text.cut });
        Ok(all.into_iter().map(|of_text| of_text.and_then(checked)).collect())
    }

    /// Scores that are numbers.
    pub(crate) fn finite(&self, scores: Vec<TokenScore>) -> Result<Vec<TokenScore>, Error> {
        match scores.iter().position(|score| score.log_probability.is_nan() || score.entropy.is_nan()) {
            Some(place) => {
                let reason =
                    format!("the score of token {} is not a number: its weights are damaged, or too large", place + 1);
                Err(Error::Run { path: self.run().to_owned(), reason })
            }
            None => Ok(scores),
        }
    }

    /// The scores of the targets of a batch, those that are masked left out.
    ///
    /// # Errors
    /// As [`Trained::score`].
    pub fn score_batch(
        &self,
        tape: &mut Tape,
        batch: &Batch,
        parallelism: Parallelism,
    ) -> Result<Vec<Vec<TokenScore>>, Error> {
        let output = self.model.output();
        if !output.is_likelihood() {
            let reason = "its outputs are continuous, and have no probabilities".to_owned();
            return Err(Error::Run { path: self.run().to_owned(), reason });
        }
        let count = batch.target.len();
        if batch.input.tokens() == 0 {
            return Ok(vec![Vec::new(); count]);
        }
        let hidden = self.model.hidden(tape.infer(&self.parameters, parallelism), batch).sequence_major();
        let mut scores = Vec::with_capacity(batch.target.tokens());
        for (block, targets) in batch.target.ids.chunks(BLOCK).enumerate() {
            let rows = hidden.rows.slice(block * BLOCK, block * BLOCK + targets.len());
            let logs = output.logits(rows).log_softmax().value()?;
            let vocabulary = logs.shape().last();
            let logs = logs.to_f64();
            for (logs, &id) in logs.chunks(vocabulary).zip(targets) {
                scores.push(logs.get(id as usize).map(|&log_probability| TokenScore {
                    id,
                    token: self.tokenizers.target.token(id).unwrap_or_default(),
                    log_probability,
                    rank: logs.iter().filter(|log| **log >= log_probability).count(),
                    entropy: logs.iter().filter(|log| log.is_finite()).map(|log| -log.exp() * log).sum(),
                }));
            }
        }
        let of =
            |i: usize| scores[batch.target.offsets[i]..batch.target.offsets[i + 1]].iter().flatten().cloned().collect();
        Ok((0..count).map(of).collect())
    }

    /// Batches of one sequence for a text: what the model reads, and what it is to predict, as in training; and whether not all was read that
    /// stands before it.
    fn teacher_forced(&self, text: &Scored, options: &DecodingOptions) -> Result<Vec<(Batch, bool)>, Error> {
        let target = &self.tokenizers.target;
        // Without a prompt, these are read before the text, whatever its tokens are.
        let before = Text::default().with_attributes(text.target.attributes().to_vec());
        let before = target.encode_text(&before)?;
        let attributes = before.len();
        let own = match (&text.tokens, &text.source) {
            (Some(tokens), _) => tokens.clone(),
            (None, Some(prompt)) if self.goes_on(text) => {
                self.encode_after(&prompt.to_string(), &text.target.to_string())?
            }
            (None, _) => target.encode_text(&text.target.clone().with_attributes(Vec::new()))?,
        };
        let ids = [before, own].concat();
        let (mut batch, mut added) = (Batch::default(), 0);
        let special = target.special();
        let wrong = |reason: &str| Error::Run { path: self.run().to_owned(), reason: reason.to_owned() };
        match (&self.tokenizers.source, &text.source) {
            (Some(reader), source) => {
                let source = source.as_ref().ok_or_else(|| wrong("an encoder-decoder needs a source"))?;
                let builder = InputBuilder::new(&[reader.special().clone(), special.clone()], true, false);
                builder.add(&mut batch, Some(&reader.encode_text(source)?), &ids, 0);
                added = builder.added_after(&ids);
            }
            // A continuous text goes on after a line end, and has no EOS.
            (None, prompt) if self.is_continuous() => {
                let prompt = prompt.as_ref().map(|prompt| target.encode_text(prompt)).transpose()?.unwrap_or_default();
                let whole = [self.bos()?.into_iter().collect(), prompt, ids.clone()].concat();
                let mut targets = whole.get(1..).unwrap_or_default().to_vec();
                let masked = targets.len().saturating_sub(ids.len() - attributes);
                targets.iter_mut().take(masked).for_each(|id| *id = Batch::IGNORED);
                batch.input.push(&whole[..targets.len()]);
                batch.target.push(&targets);
            }
            (None, prompt) => {
                let is_rendered = prompt.as_ref().unwrap_or(&text.target).is_rendered();
                let builder = InputBuilder::new(&[special.clone(), special.clone()], false, is_rendered);
                let prompt = prompt.as_ref().map(|prompt| target.encode_text(prompt)).transpose()?.unwrap_or_default();
                let (prompt, answer) = special.trim_turn(&prompt, &ids);
                let whole = [prompt, answer].concat();
                builder.add(&mut batch, None, &whole, prompt.len() + attributes);
                added = builder.added_after(&whole);
            }
        }
        if !text.ends {
            let kept = batch.target.tokens().saturating_sub(added);
            for side in [&mut batch.input, &mut batch.target] {
                let mut whole = Sequences::new();
                whole.push(&side.get(0)[..kept]);
                *side = whole;
            }
        }
        let masked = batch.target.ids.iter().take_while(|&&id| id == Batch::IGNORED).count();
        if masked + text.begun >= batch.target.tokens() {
            return Err(wrong(match ids.len() > attributes {
                true => {
                    "the text has nothing to score: without a BOS before it, its first token is read, and none is predicted"
                }
                false => "a text without tokens has nothing to score",
            }));
        }
        if let Some(source) = &batch.source {
            self.check_positions(batch.input.tokens().max(source.tokens()))?;
            batch.target.ids[..masked + text.begun].fill(Batch::IGNORED);
            return Ok(vec![(batch, false)]);
        }
        let (read, predicted) = (&batch.input.ids[..=masked], &batch.target.ids[masked..]);
        let pass = |Stretch { read, predicted: of, .. }: Stretch| {
            let before = read.len() - of.len();
            let targets = [&vec![Batch::IGNORED; before][..], &predicted[of.clone()]].concat();
            let mut pass = Batch::default();
            pass.input.push(&read);
            pass.target.push(&targets);
            // The first of them is predicted after all tokens before it.
            (pass, before < masked + of.start)
        };
        Ok(options.stretches(self.model.max_length(), read, text.begun, predicted).into_iter().map(pass).collect())
    }

    /// Whether a text is cut as one that goes on after its prompt, in the form that a model which continues texts gives it.
    fn goes_on(&self, Scored { source, target, .. }: &Scored) -> bool {
        let is_spaced = source.is_some() && target.to_string().starts_with(char::is_whitespace);
        is_spaced && self.is_language_model() && !self.responds()
    }

    /// That the model has positions for a text that was written after these tokens.
    pub(crate) fn check_text(&self, read: &[u32], written: &[u32]) -> Result<(), Error> {
        // The last token is not read, and a decoder with a source begins with BOS.
        let before = written.len().saturating_sub(1);
        self.check_positions(if self.is_language_model() { read.len() + before } else { read.len().max(1 + before) })
    }

    /// That the model has positions for a text of so many tokens.
    fn check_positions(&self, tokens: usize) -> Result<(), Error> {
        match self.model.max_length().filter(|&most| tokens > most) {
            Some(most) => {
                let reason = format!("the text has {tokens} tokens, and the model has positions for {most}");
                Err(Error::Run { path: self.run().to_owned(), reason })
            }
            None => Ok(()),
        }
    }
}
