//! The built-in logits processors, one file each, in the order in which `transformers` applies them.

use crate::logits_processor::Processor;
use crate::{DecodingOptions, Mode};

mod bad_words;
mod begin_suppress_tokens;
mod dry;
mod encoder_no_repeat_ngram;
mod encoder_repetition_penalty;
mod epsilon_cutoff;
mod eta_cutoff;
mod exponential_decay;
mod forced_bos;
mod forced_eos;
mod frequency_penalty;
mod min_length;
mod min_new_tokens;
mod min_p;
mod no_repeat_ngram;
mod presence_penalty;
mod renormalize;
mod repetition_penalty;
mod sequence_bias;
mod suppress_tokens;
mod temperature;
mod top_h;
mod top_k;
mod top_p;
mod typical;
mod xtc;

/// Makes a processor, where the options ask for one.
type Build = fn(&DecodingOptions) -> Option<Processor>;

/// Of every mode.
const ALWAYS: &[Build] = &[
    sequence_bias::new,
    encoder_repetition_penalty::new,
    repetition_penalty::new,
    presence_penalty::new,
    frequency_penalty::new,
    dry::new,
    no_repeat_ngram::new,
    encoder_no_repeat_ngram::new,
    bad_words::new,
    min_length::new,
    min_new_tokens::new,
    forced_bos::new,
    forced_eos::new,
    exponential_decay::new,
    suppress_tokens::new,
    begin_suppress_tokens::new,
];

/// Of sampling alone: what `transformers` calls logits warpers.
const SAMPLING: &[Build] = &[
    temperature::new,
    top_h::new,
    top_k::new,
    top_p::new,
    min_p::new,
    typical::new,
    epsilon_cutoff::new,
    eta_cutoff::new,
    xtc::new,
];

/// After all others.
const LAST: &[Build] = &[renormalize::new];

/// The processors before the constraints, and those after them: of sampling, and the last.
pub(crate) fn build(options: &DecodingOptions) -> [Vec<Processor>; 2] {
    let of = |list: &[Build]| list.iter().filter_map(|build| build(options)).collect::<Vec<_>>();
    let mut always = of(ALWAYS);
    always.extend(options.processors.iter().cloned());
    let samples = options.config.do_sample == Some(true);
    let mut sampling = if samples { of(SAMPLING) } else { Vec::new() };
    // What is drawn, or chosen greedily, is renormalised in any case.
    let last = if options.config.mode() == Mode::Beam { of(LAST) } else { Vec::new() };
    sampling.extend(last);
    [always, sampling]
}
