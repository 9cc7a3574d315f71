//! What a model generates for the examples of a text.

use crate::data::kept;
use crate::stop::go_on;
use crate::text_metrics::EvalExample;
use crate::{Error, Prediction, Replicas};
use descant_generate::DecodingOptions;
use descant_inference::{Scheduler, Trained};
use descant_text::{Corpus, Example, Source};
use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Examples that are decoded together.
const DECODING_BATCH: usize = 64;

/// The examples of a text that its corpus has, with what the model reads of each.
///
/// # Errors
/// What is wrong with the text, such as that it has changed since.
pub(crate) fn examples_of(
    trained: &Trained,
    text: &Source,
    corpus: &Corpus,
) -> Result<impl Iterator<Item = Result<EvalExample, Error>>, Error> {
    let names: Vec<Arc<str>> = text.part_names().into_iter().map(Arc::from).collect();
    let example = move |pair: Example| -> Result<EvalExample, Error> {
        let source = pair.source.unwrap_or_default();
        let target = pair.target.to_string();
        let references = vec![match trained.is_chat_model() {
            true => trained.response_text(&target, &trained.tokenizers.target.encode_text(&pair.target)?)?,
            false => target,
        }];
        let file = names.get(pair.place.file as usize).filter(|_| names.len() > 1).cloned();
        let (line, read) = (pair.place.line, source.to_string());
        let prediction = Prediction { line, file, source: read, references, ..Prediction::default() };
        Ok(EvalExample { request: trained.request(source, None)?, prediction })
    };
    Ok(kept(text, corpus)?.map(move |pair| example(pair?)))
}

/// What the model generates for each example, in their order: what [`Trained::request`] of its line gives, or why there is nothing.
///
/// # Errors
/// Whatever a pass fails with; [`Error::Stopped`] once `stop` is set.
pub(crate) fn predict(
    trained: &Trained,
    replicas: &mut Replicas,
    options: &DecodingOptions,
    mut examples: Vec<EvalExample>,
    stop: &AtomicBool,
) -> Result<Vec<Prediction>, Error> {
    // Sources of about one length together, and the long ones first, so that no thread is left with them.
    let mut order: Vec<usize> = (0..examples.len()).collect();
    order.sort_by_key(|&i| Reverse(examples[i].request.tokens().len()));
    let next = AtomicUsize::new(0);
    let threads = vec![(); replicas.shares()];
    let generated = replicas.map(&threads, |tape, ()| {
        let mut scheduler = Scheduler::new(trained, options, DECODING_BATCH)?.beside(threads.len());
        let (mut taken, mut found) = (Vec::new(), Vec::new());
        loop {
            while scheduler.has_room()
                && let Some(&i) = order.get(next.fetch_add(1, Ordering::Relaxed))
            {
                let EvalExample { request, prediction } = &examples[i];
                // The number that generation gives to the line.
                scheduler.push(request.clone(), prediction.line.saturating_sub(1));
                taken.push(i);
            }
            if scheduler.is_empty() || stop.load(Ordering::Relaxed) {
                return Ok(found);
            }
            for (request, answer) in scheduler.step(tape, |_, _| ())? {
                found.push((taken[request], answer.map(|texts| texts.into_iter().next().unwrap_or_default())));
            }
        }
    });
    let generated = generated.into_iter().collect::<Result<Vec<_>, descant_inference::Error>>()?;
    go_on(stop)?;
    for (i, best) in generated.into_iter().flatten() {
        let prediction = &mut examples[i].prediction;
        match best {
            Ok(best) => {
                prediction.finished = best.is_finished();
                prediction.text = if trained.is_chat_model() { trained.response(&best)? } else { best.text };
            }
            // The others are predicted.
            Err(error) => prediction.error = Some(Arc::new(error)),
        }
    }
    Ok(examples.into_iter().map(|example| example.prediction).collect())
}
