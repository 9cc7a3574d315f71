use crate::scheduler::best_of_one;
use crate::{Error, Generated, Request, TextStream, Trained};
use descant_autograd::Tape;
use descant_generate::DecodingOptions;
use descant_text::{Message, Text};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// A token as it is generated, with the text that becomes certain by it: whole characters, perhaps none.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Piece {
    /// The token; none of the last piece, which has the rest of the text.
    pub token: Option<u32>,
    /// What follows the text so far.
    pub text: String,
}

/// The pieces of a text while it is generated, on a thread of its own, of [`Trained::pieces`]. The thread waits until a
/// piece is taken; dropped, the iterator ends it. The texts of all pieces together are the whole text, unless a later token changes what earlier ones
/// say, as bytes that become no character can (byte fallback): [`TextIterator::finish`] has the text as it is in any case.
#[derive(Debug)]
pub struct TextIterator {
    pieces: Option<Receiver<Result<Piece, Error>>>,
    thread: Option<JoinHandle<Option<Generated>>>,
    cancelled: Arc<AtomicBool>,
}

impl Trained {
    /// The response to a text, or its continuation, as an iterator. What another thread sets to true, of
    /// [`DecodingOptions::cancelled`], ends it with the tokens so far. A beam search has all of its text in the last piece.
    ///
    /// ```no_run
    /// # use descant_inference::Trained;
    /// # use descant_generate::GenerationConfig;
    /// # use std::sync::Arc;
    /// let trained = Arc::new(Trained::load("runs/pairs".as_ref())?);
    /// let options = trained.options(&GenerationConfig::default(), descant_kernels::Parallelism::Serial)?;
    /// for piece in trained.pieces("a new source", &options)? {
    ///     print!("{}", piece?.text);
    /// }
    /// # Ok::<(), descant_inference::Error>(())
    /// ```
    ///
    /// # Errors
    /// Where the text cannot be encoded, or no thread can be started.
    pub fn pieces(self: &Arc<Self>, text: &str, options: &DecodingOptions) -> Result<TextIterator, Error> {
        let is_chat = self.is_chat_model();
        let prompt: Text = if is_chat { self.prompt(&[Message::new("user", text)])? } else { text.into() };
        let request = self.request(prompt, None)?;
        let mut options = options.clone();
        // A flag of its own, beside those of the caller, which may be of many texts.
        let cancelled = Arc::new(AtomicBool::new(false));
        options.cancelled.push(cancelled.clone());
        let (sender, pieces) = sync_channel(0);
        let (trained, flag) = (self.clone(), cancelled.clone());
        let generate = move || {
            let work = || generate(&trained, request, &options, is_chat, &flag, &sender);
            // Whoever waits for a piece would take the end of a thread for that of the text.
            catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
                let (path, reason) = (trained.run().to_owned(), "the thread that generates panicked".to_owned());
                let _ = sender.send(Err(Error::Run { path, reason }));
                None
            })
        };
        let thread = std::thread::Builder::new().name("descant-generate".to_owned()).spawn(generate);
        let thread = thread.map_err(|error| Error::io("start a thread to generate for", self.run(), error))?;
        Ok(TextIterator { pieces: Some(pieces), thread: Some(thread), cancelled })
    }
}

/// Generates and sends the pieces; whoever takes none any more wants no more.
fn generate(
    trained: &Trained,
    request: Request,
    options: &DecodingOptions,
    is_chat: bool,
    cancelled: &AtomicBool,
    sender: &SyncSender<Result<Piece, Error>>,
) -> Option<Generated> {
    let send = |piece| {
        if sender.send(piece).is_err() {
            cancelled.store(true, Ordering::Relaxed);
        }
    };
    let generated: Result<Generated, Error> = (|| {
        let before = if trained.is_language_model() { request.tokens() } else { &[] };
        let mut stream = TextStream::new(trained, before, is_chat)?;
        let on_token = |_, token| send(stream.push(token).map(|text| Piece { token: Some(token), text }));
        let generated = trained.generate_requests(&mut Tape::new(), vec![request], &[0], options, on_token)?;
        let mut best = best_of_one(generated)?;
        if is_chat {
            best.text = trained.response(&best)?;
        }
        send(Ok(Piece { token: None, text: stream.finish(&best.text).to_owned() }));
        Ok(best)
    })();
    generated.map_err(|error| send(Err(error))).ok()
}

impl TextIterator {
    /// Takes all that is left, and returns the whole text with its score and why it ended; none after an error.
    pub fn finish(mut self) -> Option<Generated> {
        self.by_ref().for_each(drop);
        self.thread.take()?.join().ok()?
    }

    /// Ends the text with the tokens so far: the pieces that are left have no more of them.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}

impl Iterator for TextIterator {
    type Item = Result<Piece, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.pieces.as_ref()?.recv().ok()
    }
}

impl Drop for TextIterator {
    fn drop(&mut self) {
        self.cancel();
        // The thread may wait for a piece to be taken.
        self.pieces.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Recipe, Tokenizers, Trained, model};
    use descant_generate::{Context, GenerationConfig};
    use descant_kernels::Parallelism;
    use descant_tensor::DType;
    use descant_text::{Tokenizer, TokenizerConfig, TokenizerKind};
    use std::sync::Arc;

    #[test]
    fn a_panic_of_its_thread_is_an_error_after_the_pieces_before_it() {
        let text = "[tokenizer]\nkind = 'character'\n[model]\nkind = 'language-model'\nhidden = 8\n[generation]\nmax_new_tokens = 8\n";
        let recipe = Recipe::parse(text, &[]).unwrap();
        let config = TokenizerConfig { kind: TokenizerKind::Character, ..Default::default() };
        let tokenizer = Tokenizer::train(&config, true, (0..20).map(|_| Ok("abcdefgh".to_owned()))).unwrap();
        let tokenizers = Tokenizers { source: None, target: Arc::new(tokenizer) };
        let (parameters, _) = model(&recipe, &tokenizers, DType::F32).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        Trained::save(&recipe, &tokenizers, &parameters, None, &run).unwrap();
        let trained = Arc::new(Trained::load(&run).unwrap());
        let mut options = trained.options(&GenerationConfig::greedy(), Parallelism::Serial).unwrap();
        options.processors.push(Arc::new(|context: &Context<'_>, scores: &mut [f64]| {
            assert!(context.generated().len() < 3, "a processor that fails");
            // No EOS before.
            let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            scores[5] = largest + 1.0;
        }));
        let pieces: Vec<_> = trained.pieces("ab", &options).unwrap().collect();
        let (last, before) = pieces.split_last().unwrap();
        assert!(before.len() == 3 && before.iter().all(Result::is_ok), "{before:?}");
        assert!(last.as_ref().is_err_and(|error| error.to_string().contains("panicked")), "{last:?}");
    }
}
