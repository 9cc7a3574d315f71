//! Inference: prompts, decoding options and generated texts of a trained model.

use crate::{Answer, Error, Generated, Request, Scheduler, Trained, TrainingLengths};
use descant_autograd::Tape;
use descant_generate::{DecodingOptions, GenerationConfig};
use descant_kernels::Parallelism;
use descant_models::{LayerKind, ModelKind};
use descant_nn::Position;
use descant_text::{Message, SpecialTokens, Text};
use std::collections::BTreeSet;

/// What the chat template puts after a response, such as `<|im_end|>`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResponseEnd {
    /// As text.
    pub text: String,
    /// Its first token, where that is an added token.
    pub mark: Option<u32>,
}

/// How much longer than in training a generated text may become, beside [`MORE`] tokens.
const HEADROOM: f64 = 1.5;
const MORE: usize = 10;

/// Rows of texts that are given all at once.
const MOST_AT_ONCE: usize = 64;

impl Trained {
    /// Whether it is a language model, rather than an encoder-decoder.
    pub fn is_language_model(&self) -> bool {
        self.recipe.model.kind == ModelKind::LanguageModel
    }

    /// Whether it was trained on one continuous text.
    pub fn is_continuous(&self) -> bool {
        self.recipe.data.as_ref().is_some_and(|data| data.stream)
    }

    /// Whether it responds to a text, rather than continuing it: every encoder-decoder does, and a language model that was
    /// trained on prompts or conversations.
    pub fn responds(&self) -> bool {
        !self.is_language_model() || self.is_chat_model() || self.lengths.is_some_and(|lengths| lengths.prompts)
    }

    /// Whether it was trained on conversations, or came with a chat template and was trained on nothing else since.
    pub fn is_chat_model(&self) -> bool {
        self.chat.is_some() && self.lengths.map_or(self.recipe.data.is_none(), |lengths| lengths.prompts)
    }

    /// Whether it has been trained: a run whose only checkpoint is that of step 0 has not.
    pub fn is_trained(&self) -> bool {
        self.step > 0 || self.recipe.data.is_none() || self.recipe.init.is_some()
    }

    /// Tokens of the longest target in training, EOS included; not known of an imported model.
    pub fn longest_target(&self) -> Option<usize> {
        self.lengths.map(|lengths| lengths.longest_target.saturating_add(1))
    }

    /// The lengths of its training texts; of an imported model, the context length of its configuration.
    pub fn lengths(&self) -> TrainingLengths {
        self.lengths.unwrap_or(TrainingLengths { context: self.context(), ..TrainingLengths::default() })
    }

    /// The decoding options of the model, with these in place of its own: by default greedy for models that respond, sampling
    /// for those that continue a text; at most half as many tokens again, and ten, as targets had in training for sources of that
    /// length; and for a language model the context length of its training.
    ///
    /// Where these options and the model's own leave no text [time to end](Self::unreachable_lengths), the limit goes before.
    ///
    /// # Errors
    /// Where the tokenizer fails, for ids that it has no token for, and for a least length beyond the limit that the same side says.
    pub fn options(&self, given: &GenerationConfig, parallelism: Parallelism) -> Result<DecodingOptions, Error> {
        let SpecialTokens { eos, .. } = self.tokenizers.target.special();
        let vocabulary = self.tokenizers.target.vocabulary();
        given.validate_ids(vocabulary).map_err(|reason| Error::Run { path: self.run().to_owned(), reason })?;
        let mut config = given.clone().implied().over(&self.recipe.generation);
        self.check_lengths(given, &config)?;
        // Before the limit, no text ends either way.
        config.min_new_tokens = config.min_new_tokens.map(|least| least.min(config.max_new_tokens.unwrap_or(least)));
        if (config.num_beams, config.do_sample, config.penalty_alpha) == (None, None, None) {
            config.do_sample = Some(!self.responds());
        }
        let mut options = DecodingOptions::new(config, self.bos()?.into_iter().collect(), eos.clone());
        options.context_bos = self.prompt_prefix()?.first().copied().filter(|_| !self.is_continuous());
        options.forbidden = self.forbidden();
        options.control = self.control_ids();
        options.parallelism = parallelism;
        options.shares_vocabulary =
            options.config.prompt_lookup_num_tokens.is_some() && self.tokenizers.has_one_vocabulary();
        options.reranker = self.minimum_bayes_risk(&options.config, parallelism);
        options.stop = self.stop_condition(&options.config);
        options.dry_breakers = self.dry_breakers(&options.config)?;
        let config = &mut options.config;
        let suppressed = config.suppress_tokens.iter().flat_map(|ids| &ids.0).chain(&options.forbidden);
        if suppressed.collect::<BTreeSet<_>>().len() >= vocabulary {
            let reason = "suppress_tokens: they leave no token to generate. Leave some of them out".to_owned();
            return Err(Error::Run { path: self.run().to_owned(), reason });
        }
        config.context = config.context.or_else(|| self.context());
        if self.is_language_model() {
            config.forced_bos_token_id = None;
        }
        if let Some(lengths) = self.lengths.filter(|_| !self.is_continuous()) {
            let limit = &mut options.default_limit;
            limit.tokens = ((HEADROOM * lengths.longest_target as f64) as usize).saturating_add(MORE);
            limit.source = Some(lengths.longest_source);
            limit.ratio = lengths.ratio.map(|ratio| HEADROOM * ratio);
        }
        Ok(options)
    }

    /// The least lengths among some options that no text reaches before their limit, by name. What `min_length` of a language model leaves room
    /// for depends on the prompt.
    pub fn unreachable_lengths(&self, config: &GenerationConfig) -> Vec<(&'static str, usize)> {
        let most = config.max_new_tokens.unwrap_or(usize::MAX);
        let min_length = config.min_length.filter(|_| !self.is_language_model());
        let lengths = [
            ("min_new_tokens", config.min_new_tokens, most),
            // It counts the decoder's start token.
            ("min_length", min_length, most.saturating_add(1)),
        ];
        let beyond =
            |(name, least, most): (_, Option<usize>, usize)| Some((name, least.filter(|&least| least > most)?));
        lengths.into_iter().filter_map(beyond).collect()
    }

    /// That no least length is beyond the limit, where both were given, or both are the model's own.
    fn check_lengths(&self, given: &GenerationConfig, config: &GenerationConfig) -> Result<(), Error> {
        let is_given = |name: &str| given.to_map().contains_key(name);
        let of_one_side = |&(name, _): &(&str, usize)| is_given(name) == given.max_new_tokens.is_some();
        let (Some((name, least)), Some(most)) =
            (self.unreachable_lengths(config).into_iter().find(of_one_side), config.max_new_tokens)
        else {
            return Ok(());
        };
        let start = if name == "min_length" { " and the decoder's start token" } else { "" };
        let whose = if is_given(name) { "" } else { ". Both are the run's own: give another of them" };
        let reason = format!("{name} = {least}: expected at most max_new_tokens = {most}{start}{whose}");
        Err(Error::Run { path: self.run().to_owned(), reason })
    }

    /// The tokens that end with a sequence breaker of DRY.
    fn dry_breakers(&self, config: &GenerationConfig) -> Result<Vec<u32>, Error> {
        if config.dry_multiplier.is_none_or(|multiplier| multiplier == 0.0) {
            return Ok(Vec::new());
        }
        let default = || ["\n", ":", "\"", "*"].map(str::to_owned).to_vec();
        let texts = config.dry_sequence_breakers.clone().unwrap_or_else(default);
        // After a letter, as within a text: at the start it may be another token.
        let last = |text: &String| Ok(self.tokenizers.target.encode(&format!("a{text}"))?.last().copied());
        texts.iter().map(last).filter_map(Result::transpose).collect()
    }

    /// Forbidden tokens: those that no target has in training. An imported model may generate all its tokens, but for those of control
    /// attributes.
    fn forbidden(&self) -> Vec<u32> {
        let SpecialTokens { unknown, bos, eos, post_processor, .. } = self.tokenizers.target.special();
        // The line end may stand for BOS, and a text may contain it.
        let bos = bos.filter(|&id| self.tokenizers.target.is_special(id));
        let own = unknown.iter().copied().chain(bos).filter(|id| post_processor.is_none() && !eos.contains(id));
        let ends = eos.iter().copied().filter(|_| self.is_continuous());
        own.chain(ends).chain(self.control_ids()).collect()
    }

    /// The most tokens that a language model is to read at once: what it was trained on. None for models that reach
    /// further: recurrent ones, those that know positions by their distance alone (ALiBi, relative, or a window of
    /// attention no wider than training's texts), and encoder-decoders.
    pub fn context(&self) -> Option<usize> {
        let model = &self.recipe.model;
        if !self.is_language_model() || model.decoder != LayerKind::Transformer {
            return None;
        }
        let layers = model.transformer();
        let trained = match self.lengths {
            Some(TrainingLengths { context, .. }) => context,
            // Of a model from elsewhere, what its configuration says.
            None => self.recipe.data.is_none().then_some(layers.max_length),
        };
        let by_distance = match layers.position {
            Position::Alibi | Position::Relative => true,
            Position::Rotary | Position::None => layers.is_all_local() && layers.window <= trained,
            Position::Sinusoidal | Position::Learned => false,
        };
        [trained.filter(|_| !by_distance), self.model.max_length()].into_iter().flatten().min()
    }

    /// The token before a text without a prompt: BOS, or the decoder's start token. One continuous text has neither BOS nor
    /// EOS: it continues after a line end.
    ///
    /// # Errors
    /// Where the tokenizer fails.
    pub fn bos(&self) -> Result<Option<u32>, Error> {
        let SpecialTokens { unknown, bos, post_processor, .. } = self.tokenizers.target.special();
        let line_end = self.tokenizers.target.encode("\n")?.last().copied().filter(|id| Some(*id) != *unknown);
        let line_end = line_end.filter(|_| self.is_continuous());
        Ok(if post_processor.is_some() { bos.or(line_end) } else { line_end.or(*bos) })
    }

    /// The special tokens before the prompts of a language model.
    ///
    /// # Errors
    /// Where the tokenizer fails.
    pub fn prompt_prefix(&self) -> Result<Vec<u32>, Error> {
        let special = self.tokenizers.target.special();
        match (&special.post_processor, self.is_language_model()) {
            (_, false) => Ok(Vec::new()),
            (Some(post_processor), true) => Ok(post_processor.prefix.clone()),
            (None, true) => Ok(self.bos()?.into_iter().collect()),
        }
    }

    /// The prompt of a conversation, rendered by the chat template.
    ///
    /// # Errors
    /// Where there is no chat template, or what it objects to.
    pub fn prompt(&self, messages: &[Message]) -> Result<Text, Error> {
        let wrong = |reason: String| Error::Run { path: self.run().to_owned(), reason };
        let template = self.chat.as_ref().ok_or_else(|| wrong("it has no chat template".to_owned()))?;
        template.prompt(messages).map_err(|reason| wrong(format!("the chat template: {reason}")))
    }

    /// The tokens that the model reads for a text, special tokens included.
    ///
    /// # Errors
    /// Where the tokenizer fails.
    pub fn encode(&self, text: &Text) -> Result<Vec<u32>, Error> {
        match &self.tokenizers.source {
            Some(source) => Ok(source.special().source_post_processor().apply(&source.encode_text(text)?)),
            None => {
                let target = &self.tokenizers.target;
                let (ids, special) = (target.encode_text(text)?, target.special());
                let read = match &special.post_processor {
                    // The template writes all that belongs there.
                    Some(_) if text.is_rendered() => ids,
                    Some(post_processor) => post_processor.apply(&ids),
                    None => [&self.prompt_prefix()?, special.trim_turn(&ids, &[]).0].concat(),
                };
                if !read.is_empty() {
                    return Ok(read);
                }
                let bos = self.bos()?.ok_or_else(|| Error::Run {
                    path: self.run().to_owned(),
                    reason: "the prompt is empty, and the model has no BOS to begin with. Give it a text".to_owned(),
                })?;
                Ok(vec![bos])
            }
        }
    }

    /// Generates a response or a continuation for every line, the best hypothesis of each first, or says why there is none. Each
    /// line has a number that seeds its sampling, whatever the batch. `on_token` gets each token as it is chosen, with the index of
    /// its line.
    ///
    /// # Errors
    /// Where a line cannot be encoded; whatever the model's pass fails with.
    pub fn generate_batch<T>(
        &self,
        tape: &mut Tape,
        lines: &[T],
        numbers: impl IntoIterator<Item = u64>,
        options: &DecodingOptions,
        on_token: impl FnMut(usize, u32),
    ) -> Result<Vec<Answer>, Error>
    where
        for<'a> &'a T: Into<Text>,
    {
        let numbers: Vec<u64> = numbers.into_iter().take(lines.len()).collect();
        let requests = lines.iter().map(|line| self.request(line, None)).collect::<Result<Vec<_>, _>>()?;
        self.generate_requests(tape, requests, &numbers, options, on_token)
    }

    /// The same for requests, of [`Trained::request`] or tokens of [`Trained::encode`], each with its number.
    ///
    /// # Errors
    /// Whatever the model's pass fails with.
    pub fn generate_requests(
        &self,
        tape: &mut Tape,
        requests: Vec<Request>,
        numbers: &[u64],
        options: &DecodingOptions,
        mut on_token: impl FnMut(usize, u32),
    ) -> Result<Vec<Answer>, Error> {
        let count = requests.len();
        if count != numbers.len() {
            let reason = format!("there are {} numbers for {count} texts", numbers.len());
            return Err(Error::Run { path: self.run().to_owned(), reason });
        }
        let parts: usize = requests.iter().map(|request| request.parts.len()).sum();
        let mut scheduler = Scheduler::new(self, options, parts.min(MOST_AT_ONCE))?;
        for (request, &number) in requests.into_iter().zip(numbers) {
            scheduler.push(request, number);
        }
        let mut answers: Vec<Answer> = (0..count).map(|_| Ok(Vec::new())).collect();
        while !scheduler.is_empty() {
            for (request, answer) in scheduler.step(tape, &mut on_token)? {
                answers[request] = answer;
            }
        }
        Ok(answers)
    }

    /// A generated response without what the chat template puts after it, such as `<|im_end|>`.
    ///
    /// # Errors
    /// Where the tokenizer fails.
    pub fn response(&self, written: &Generated) -> Result<String, Error> {
        self.response_text(&written.text, &written.tokens)
    }

    /// The same of a text and its tokens.
    pub fn response_text(&self, text: &str, tokens: &[u32]) -> Result<String, Error> {
        let Some(ResponseEnd { text: after, mark }) = self.response_end()? else { return Ok(text.to_owned()) };
        if mark.is_some() {
            let end = tokens.iter().position(|&id| Some(id) == mark).unwrap_or(tokens.len());
            return Ok(self.tokenizers.target.decode(&tokens[..end])?.trim().to_owned());
        }
        let text = text.trim();
        Ok(text.strip_suffix(&after).unwrap_or(text).trim_end().to_owned())
    }

    /// What ends a response, where it has a chat template.
    ///
    /// # Errors
    /// Where the tokenizer fails.
    pub fn response_end(&self) -> Result<Option<ResponseEnd>, Error> {
        let Some(template) = &self.chat else { return Ok(None) };
        let (target, after) = (&self.tokenizers.target, template.after_answer());
        let mark = target.encode_text(after)?.first().copied().filter(|&id| target.is_added(id));
        Ok(Some(ResponseEnd { text: after.to_string(), mark }))
    }
}
