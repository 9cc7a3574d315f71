use std::collections::HashMap;

/// What was written for a source, beside what may be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What it was written for.
    pub source: String,
    /// What the model wrote.
    pub written: String,
    /// What is right: any of these.
    pub references: Vec<String>,
}

/// How good answers are.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Score {
    /// How many answers.
    pub answers: usize,
    /// The share that equals a reference.
    pub exact_match: f64,
    /// Insertions, deletions and replacements that lead to the nearest reference, by the tokens of that reference
    /// (for phonemes, the phoneme error rate). Tokens stand between spaces; in a text without spaces they are its
    /// characters.
    pub token_error_rate: f64,
}

impl Score {
    /// Scores answers.
    pub fn of(answers: &[Answer]) -> Self {
        let (mut exact, mut edits, mut tokens) = (0, 0, 0);
        for Answer { written, references, .. } in answers {
            exact += usize::from(references.contains(written));
            let spaced = references.iter().any(|reference| reference.contains(' '));
            let written = cut(written, spaced);
            let distance = |reference: &String| {
                let reference = cut(reference, spaced);
                (strsim::generic_levenshtein(&written, &reference), reference.len())
            };
            let nearest =
                references.iter().map(distance).min_by(|(a, m), (b, n)| (a * n.max(&1)).cmp(&(b * m.max(&1))));
            let (distance, length) = nearest.unwrap_or((0, 0));
            edits += distance;
            tokens += length;
        }
        let share = |n: usize, of: usize| n as f64 / of.max(1) as f64;
        let answers = answers.len();
        Self { answers, exact_match: share(exact, answers), token_error_rate: share(edits, tokens) }
    }
}

fn cut(text: &str, spaced: bool) -> Vec<&str> {
    if spaced { text.split_whitespace().collect() } else { text.split("").filter(|c| !c.is_empty()).collect() }
}

/// What is to be answered: pairs with one source are one question where `merge` says so.
pub(crate) fn questions(pairs: Vec<(String, String)>, merge: bool) -> Vec<Answer> {
    let mut questions: Vec<Answer> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for (source, target) in pairs {
        let next = questions.len();
        let place = if merge { *places.entry(source.clone()).or_insert(next) } else { next };
        match questions.get_mut(place) {
            Some(question) => question.references.push(target),
            None => questions.push(Answer { source, written: String::new(), references: vec![target] }),
        }
    }
    questions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_reference_counts() {
        let answer = |written: &str, references: &[&str]| Answer {
            source: String::new(),
            written: written.to_owned(),
            references: references.iter().map(|&reference| reference.to_owned()).collect(),
        };
        let answers = [answer("a b c", &["a b d", "a b c x"]), answer("一二", &["一三"]), answer("x y", &["x y"])];
        let score = Score::of(&answers);
        assert_eq!((score.answers, score.exact_match), (3, 1.0 / 3.0));
        assert_eq!(score.token_error_rate, 2.0 / 8.0);
        assert_eq!(Score::of(&[]), Score::default());
    }

    #[test]
    fn pairs_with_one_source_are_one_question() {
        let pairs = [("a", "1"), ("b", "2"), ("a", "3")].map(|(a, b)| (a.to_owned(), b.to_owned())).to_vec();
        assert_eq!(questions(pairs.clone(), false).len(), 3);
        let merged = questions(pairs, true);
        assert_eq!(
            (merged[0].source.as_str(), &merged[0].references[..]),
            ("a", &["1".to_owned(), "3".to_owned()][..])
        );
        assert_eq!(merged.len(), 2);
    }
}
