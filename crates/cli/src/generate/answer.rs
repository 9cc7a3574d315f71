use descant_inference::Generated;
use descant_text::Text;

/// What is asked for a line.
pub(super) enum Prompt {
    /// Nothing: the line is empty.
    Empty,
    /// A text.
    Text(Text),
    /// It cannot be read, for this reason.
    Refused(String),
}

/// What comes of a line.
pub(super) enum Answer {
    /// Nothing was asked.
    Empty,
    /// The best text first, and the tokens that were read.
    Texts(Vec<Generated>, Vec<u32>),
    /// It is not answered, for this reason.
    Refused(String),
}
