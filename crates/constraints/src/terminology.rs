use crate::words::is_of_word;
use crate::{ConstraintError, Phrases};
use descant_generate::{ConstrainedRow, Constraint, ConstraintState};
use descant_text::Tokenizer;
use std::sync::Arc;

/// A list of terms with their translations: where a source has a term, its translation is required.
#[derive(Clone, Debug)]
pub struct Terminology {
    source: Arc<Tokenizer>,
    none: Phrases,
    /// The longest first.
    terms: Vec<Term>,
}

#[derive(Clone, Debug)]
struct Term {
    source: String,
    /// What requires its translation.
    target: Phrases,
    alternatives: Vec<String>,
}

impl Terminology {
    /// Reads a list, one term a line: the term, and after tabs its translation and further forms of it, of which one is required.
    ///
    /// # Errors
    /// For a line without a translation, or with one that the vocabulary cannot write.
    pub fn parse(list: &str, source: &Tokenizer, target: &Tokenizer) -> Result<Self, ConstraintError> {
        let none = Phrases::new(target)?;
        let mut terms: Vec<Term> = Vec::new();
        for (number, line) in (1..).zip(list.trim_start_matches('\u{FEFF}').lines()) {
            if line.trim().is_empty() {
                continue;
            }
            let wrong = |reason: &dyn std::fmt::Display| {
                ConstraintError::Phrases(format!("line {number} of the terms: {reason}"))
            };
            let mut columns = line.split('\t').map(str::trim);
            let term = columns.next().unwrap_or_default().to_owned();
            let alternatives: Vec<String> = columns.filter(|text| !text.is_empty()).map(str::to_owned).collect();
            if term.is_empty() || alternatives.is_empty() {
                return Err(wrong(&"expected a term, a tab, and its translation"));
            }
            if terms.iter().any(|other| other.source == term) {
                return Err(wrong(&format_args!("{term:?} is there twice. Put all its forms into one line")));
            }
            let target = none.clone().require(&alternatives).map_err(|error| wrong(&error))?;
            terms.push(Term { source: term, target, alternatives });
        }
        terms.sort_by_key(|term| std::cmp::Reverse(term.source.len()));
        Ok(Self { source: Arc::new(source.clone()), none, terms })
    }

    /// What a source requires: each term that it has as whole words, the longest first where several match.
    fn phrases(&self, source: &str) -> Result<Phrases, ConstraintError> {
        let mut free = vec![true; source.len()];
        let mut found: Vec<(usize, &Term)> = Vec::new();
        for term in &self.terms {
            for (at, _) in source.match_indices(term.source.as_str()) {
                let end = at + term.source.len();
                let joins = |inner: Option<char>, outer: Option<char>| {
                    inner.is_some_and(is_of_word) && outer.is_some_and(is_of_word)
                };
                let before = joins(term.source.chars().next(), source[..at].chars().next_back());
                let after = joins(term.source.chars().next_back(), source[end..].chars().next());
                if !before && !after && free[at..end].iter().all(|free| *free) {
                    free[at..end].fill(false);
                    found.push((at, term));
                    break;
                }
            }
        }
        match found[..] {
            [] => Ok(self.none.clone()),
            [(_, term)] => Ok(term.target.clone()),
            _ => {
                found.sort_by_key(|(at, _)| *at);
                found.iter().try_fold(self.none.clone(), |phrases, (_, term)| phrases.require(&term.alternatives))
            }
        }
    }
}

impl Constraint for Terminology {
    fn start(&self, row: &ConstrainedRow<'_>) -> Result<Box<dyn ConstraintState>, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let source = self.source.decode(row.source.unwrap_or(row.prompt)).map_err(|error| text(&error))?;
        let phrases = self.phrases(&source).map_err(|error| text(&error))?;
        phrases.state(phrases.begins_text(row), row.limit)
    }
}
