use crate::words::places;
use crate::{ConstraintError, Phrases};
use descant_generate::{ConstrainedRow, Constraint, ConstraintState};
use descant_text::Tokenizer;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Lines of a list that are named of those that are left out.
const NAMED: usize = 3;

/// A list of terms with their translations: where a source has a term, its translation is required.
#[derive(Clone, Debug)]
pub struct Terminology {
    source: Arc<Tokenizer>,
    none: Phrases,
    /// The longest first.
    terms: Vec<Term>,
    /// Whether a source has had each of them.
    found: Arc<[AtomicBool]>,
    warnings: Vec<String>,
}

#[derive(Clone, Debug)]
struct Term {
    /// As the tokenizer of sources writes it, such as in lower case.
    source: String,
    /// With a first letter in upper case, as at the start of a sentence; none where it has one, or where that is another term.
    capitalized: Option<String>,
    /// What requires its translation.
    target: Phrases,
    alternatives: Vec<String>,
}

impl Terminology {
    /// Reads a list, one term a line: the term, and after tabs its translation and further forms of it, of which one is required.
    /// A term is left out, with a warning, where a vocabulary cannot write it or its translation.
    ///
    /// # Errors
    /// For a line without a translation, a term that is there twice, or a list of which no term is left.
    pub fn parse(list: &str, source: &Tokenizer, target: &Tokenizer) -> Result<Self, ConstraintError> {
        let none = Phrases::new(target)?;
        let (mut terms, mut warnings): (Vec<Term>, Vec<String>) = Default::default();
        let mut left_out: Vec<String> = Vec::new();
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
                left_out
                    .push(format!("line {number}: no source has {term:?}: its vocabulary does not have {unknown:?}"));
                continue;
            }
            let given = term;
            let term = source.decode(&source.encode(&given)?)?.trim().to_owned();
            if term.is_empty() {
                left_out.push(format!("line {number}: no source has {given:?}: its tokenizer removes it"));
                continue;
            }
            if terms.iter().any(|other| other.source == term) {
                return Err(wrong(&format_args!("{term:?} is there twice. Put all its forms into one line")));
            }
            let target = match none.clone().require(&alternatives) {
                Ok(target) => target,
                Err(error @ ConstraintError::Phrases(_)) => {
                    left_out.push(format!("line {number}: {error}"));
                    continue;
                }
                Err(error) => return Err(error),
            };
            warnings.extend(target.warnings().iter().map(|warning| wrong(warning).to_string()));
            let capitalized = Some(capitalized(&term)).filter(|other| *other != term);
            terms.push(Term { source: term, capitalized, target, alternatives });
        }
        if terms.is_empty() {
            let why = left_out.first().map_or_else(String::new, |first| format!(" that can be used: {first}"));
            return Err(ConstraintError::Phrases(format!("there is no term in it{why}")));
        }
        if !left_out.is_empty() {
            let (count, all) = (left_out.len(), terms.len() + left_out.len());
            left_out.truncate(NAMED);
            warnings.insert(0, format!("{count} of {all} terms are left out, such as {}", left_out.join("; ")));
        }
        terms.sort_by_key(|term| std::cmp::Reverse(term.source.len()));
        let own: Vec<String> = terms.iter().map(|term| term.source.clone()).collect();
        for term in &mut terms {
            term.capitalized = term.capitalized.take().filter(|other| !own.contains(other));
        }
        let found = terms.iter().map(|_| AtomicBool::default()).collect();
        Ok(Self { source: Arc::new(source.clone()), none, terms, found, warnings })
    }

    /// How many terms there are.
    pub fn len(&self) -> usize {
        self.terms.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// The terms that no source has had so far.
    pub fn missing(&self) -> impl Iterator<Item = &str> {
        let missing = self.terms.iter().zip(&*self.found).filter(|(_, found)| !found.load(Ordering::Relaxed));
        missing.map(|(term, _)| term.source.as_str())
    }

    /// What of it has no effect.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// What a source requires: each term that it has as whole words, as it is or with a first letter in upper case, the longest first where
    /// several match.
    fn phrases(&self, source: &str) -> Result<Phrases, ConstraintError> {
        let mut free = vec![true; source.len()];
        let mut found: Vec<(usize, &Term)> = Vec::new();
        for (term, is_found) in self.terms.iter().zip(&*self.found) {
            let place = std::iter::once(&term.source).chain(&term.capitalized).find_map(|form| {
                let is_free = |at: &usize| free[*at..at + form.len()].iter().all(|free| *free);
                Some((places(source, form).into_iter().find(is_free)?, form.len()))
            });
            if let Some((at, length)) = place {
                free[at..at + length].fill(false);
                is_found.store(true, Ordering::Relaxed);
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

/// A term with its first letter in upper case.
fn capitalized(term: &str) -> String {
    let mut rest = term.chars();
    rest.next().into_iter().flat_map(char::to_uppercase).chain(rest).collect()
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
