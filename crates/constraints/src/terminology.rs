use crate::words::places;
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
    warnings: Vec<String>,
}

#[derive(Clone, Debug)]
struct Term {
    /// As the tokenizer of sources writes it, such as in lower case.
    source: String,
    /// What requires its translation.
    target: Phrases,
    alternatives: Vec<String>,
}

impl Terminology {
    /// Reads a list, one term a line: the term, and after tabs its translation and further forms of it, of which one is required.
    ///
    /// # Errors
    /// For a line without a translation, or with a term or a translation that its vocabulary cannot write.
    pub fn parse(list: &str, source: &Tokenizer, target: &Tokenizer) -> Result<Self, ConstraintError> {
        let none = Phrases::new(target)?;
        let (mut terms, mut warnings): (Vec<Term>, Vec<String>) = Default::default();
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
            if let Some(unknown) = source.unknown_parts(&term)?.first() {
                return Err(wrong(&format_args!("no source has {term:?}: its vocabulary does not have {unknown:?}")));
            }
            let given = term;
            let term = source.decode(&source.encode(&given)?)?.trim().to_owned();
            if term.is_empty() {
                return Err(wrong(&format_args!("no source has {given:?}: its tokenizer removes it")));
            }
            if terms.iter().any(|other| other.source == term) {
                return Err(wrong(&format_args!("{term:?} is there twice. Put all its forms into one line")));
            }
            let target = none.clone().require(&alternatives).map_err(|error| wrong(&error))?;
            warnings.extend(target.warnings().iter().map(|warning| wrong(warning).to_string()));
            terms.push(Term { source: term, target, alternatives });
        }
        if terms.is_empty() {
            return Err(ConstraintError::Phrases("there is no term in it".to_owned()));
        }
        terms.sort_by_key(|term| std::cmp::Reverse(term.source.len()));
        Ok(Self { source: Arc::new(source.clone()), none, terms, warnings })
    }

    /// What of it has no effect.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// What a source requires: each term that it has as whole words, the longest first where several match.
    fn phrases(&self, source: &str) -> Result<Phrases, ConstraintError> {
        let mut free = vec![true; source.len()];
        let mut found: Vec<(usize, &Term)> = Vec::new();
        for term in &self.terms {
            let is_free = |at: &usize| free[*at..at + term.source.len()].iter().all(|free| *free);
            if let Some(at) = places(source, &term.source).into_iter().find(is_free) {
                free[at..at + term.source.len()].fill(false);
                found.push((at, term));
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
        phrases.start(row)
    }

    fn name(&self) -> String {
        "the terminology".to_owned()
    }

    /// Each part of a source has terms of its own.
    fn is_of_whole_text(&self) -> bool {
        false
    }
}
