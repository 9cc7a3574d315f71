//! Values of options that are no plain numbers.

use serde::{Deserialize, Serialize};

/// What a beam search divides log probabilities by, and which hypotheses go first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ranking {
    /// `((5 + |y|) / 6)^length_penalty` (Wu et al. 2016, arXiv 1609.08144); finished hypotheses before unfinished ones.
    #[default]
    Gnmt,
    /// `|y|^length_penalty`, as `transformers`, fairseq and Marian do; unfinished hypotheses are ranked as the others.
    Tokens,
}

/// When a beam search stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stop", into = "Stop")]
pub enum EarlyStopping {
    /// Once as many hypotheses have finished as the beam is wide, and the best unfinished one would be no better if it ended now: a heuristic.
    False,
    /// Once as many have finished.
    True,
    /// When no unfinished one can become better at any length.
    Never,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Stop {
    Flag(bool),
    Word(Never),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Never {
    Never,
}

impl From<Stop> for EarlyStopping {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Flag(false) => Self::False,
            Stop::Flag(true) => Self::True,
            Stop::Word(Never::Never) => Self::Never,
        }
    }
}

impl From<EarlyStopping> for Stop {
    fn from(rule: EarlyStopping) -> Self {
        match rule {
            EarlyStopping::False => Self::Flag(false),
            EarlyStopping::True => Self::Flag(true),
            EarlyStopping::Never => Self::Word(Never::Never),
        }
    }
}

/// Ids of tokens; a single one may stand without brackets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "OneOrSeveral")]
pub struct TokenIds(pub Vec<u32>);

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrSeveral {
    One(u32),
    Several(Vec<u32>),
}

impl From<OneOrSeveral> for TokenIds {
    fn from(ids: OneOrSeveral) -> Self {
        match ids {
            OneOrSeveral::One(id) => Self(vec![id]),
            OneOrSeveral::Several(ids) => Self(ids),
        }
    }
}

/// Which EOS is forced at the limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ForcedEos {
    /// The tokenizer's own, or none.
    Own(bool),
    /// These tokens.
    Ids(TokenIds),
}

/// What two texts are compared by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MbrMetric {
    /// chrF: n-grams of up to 6 characters, recall counting twice as much as precision (Popović 2015).
    #[default]
    Chrf,
    /// BLEU of a sentence: n-grams of up to 4 words (Papineni et al. 2002).
    Bleu,
    /// Whether they are the same.
    Exact,
}
