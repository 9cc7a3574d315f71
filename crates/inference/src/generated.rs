use descant_generate::FinishReason;

/// A generated text.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Generated {
    /// The text, without the prompt.
    pub text: String,
    /// Its tokens.
    pub tokens: Vec<u32>,
    /// The ranking score among the texts of one source.
    pub score: f64,
    /// The natural log probability, see [`Hypothesis::log_probability`](descant_generate::Hypothesis::log_probability).
    pub log_probability: f64,
    /// Why it ended.
    pub finish_reason: FinishReason,
    /// Whether its source or prompt was truncated: the source has more tokens than the model has positions, or a language
    /// model more context than the context of its [`DecodingOptions`](descant_generate::DecodingOptions).
    pub cut: bool,
    /// Unknown tokens in the source or the prompt.
    pub unknown: usize,
}

impl Generated {
    /// Whether it ended with EOS or a stop string, rather than being cut off.
    pub fn is_finished(&self) -> bool {
        self.finish_reason.is_finished()
    }
}
