//! The built-in logits processors, one file each, in the order in which `transformers` applies them.

use crate::{DecodingOptions, LogitsProcessor, Mode};
use std::sync::Arc;

/// Makes a processor, where the options ask for one.
type Build = fn(&DecodingOptions) -> Option<Arc<dyn LogitsProcessor>>;

macro_rules! processors {
    ($(#[doc = $doc:literal] $list:ident: $($name:ident)+;)+) => {
        $($(mod $name;)+)+
        $(#[doc = $doc]
        const $list: &[Build] = &[$(
            |options| $name::new(options).map(|processor| Arc::new(processor) as Arc<dyn LogitsProcessor>),
        )+];)+
    };
}

processors! {
    /// Of every mode.
    ALWAYS: sequence_bias encoder_repetition_penalty repetition_penalty presence_penalty frequency_penalty dry
        no_repeat_ngram encoder_no_repeat_ngram bad_words min_length min_new_tokens forced_bos forced_eos
        exponential_decay suppress_tokens begin_suppress_tokens;
    /// Of sampling alone: what `transformers` calls logits warpers.
    SAMPLING: temperature top_h top_k top_p min_p typical epsilon_cutoff eta_cutoff xtc;
    /// After all others.
    LAST: renormalize;
}

/// The processors before the choice of tokens, and those of sampling.
pub(crate) fn build(options: &DecodingOptions) -> [Vec<Arc<dyn LogitsProcessor>>; 2] {
    let of = |list: &[Build]| list.iter().filter_map(|build| build(options)).collect::<Vec<_>>();
    let mut always = of(ALWAYS);
    always.extend(options.processors.iter().cloned());
    let samples = options.config.do_sample == Some(true);
    let mut sampling = if samples { of(SAMPLING) } else { Vec::new() };
    // What is drawn, or chosen greedily, is renormalised in any case.
    let last = if options.config.mode() == Mode::Beam { of(LAST) } else { Vec::new() };
    if samples {
        sampling.extend(last)
    } else {
        always.extend(last)
    }
    [always, sampling]
}
