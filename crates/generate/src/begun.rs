/// What a text has already, and where it pauses: one that is generated in several stretches, such as an answer whose conversation is made shorter
/// meanwhile. Its tokens are generated ones for constraints, processors, stop strings and the length of the text, though the model reads
/// them with the prompt.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Begun {
    /// The tokens that it has.
    pub tokens: Vec<u32>,
    /// Their log probability.
    pub log_probability: f64,
    /// How many tokens it may have before it pauses, as if they were the most that it may have; none for no pause.
    pub pause: Option<usize>,
}

impl Begun {
    /// A text that goes on after these tokens, whose log probability this is.
    pub fn new(tokens: Vec<u32>, log_probability: f64) -> Self {
        Self { tokens, log_probability, pause: None }
    }

    /// The same with a pause once it has so many tokens.
    #[must_use]
    pub fn pausing_at(mut self, tokens: usize) -> Self {
        self.pause = Some(tokens);
        self
    }
}
