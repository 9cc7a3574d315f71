use serde::Serialize;
use std::collections::HashMap;

/// What was written for a source, beside what may be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prediction {
    /// The line of the source's first pair in its file, from 1.
    pub line: u64,
    /// What it was written for.
    pub source: String,
    /// What the model wrote.
    pub written: String,
    /// Whether the model ended it, or the length ran out.
    pub finished: bool,
    /// What is right: any of these.
    pub references: Vec<String>,
}

/// What the edits of an error rate are counted in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// What stands between white space.
    Words,
    /// Characters, where words are not told by spaces.
    #[default]
    Characters,
}

/// How good answers are. White space before, behind and, between words, beside a space does not count.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Score {
    /// How many answers.
    pub answers: usize,
    /// The share that equals a reference.
    pub exact_match: f64,
    /// Insertions, deletions and replacements that lead to the nearest reference, by the words or characters of that
    /// reference (for phonemes, the phoneme error rate).
    pub token_error_rate: f64,
    /// What these are counted in, in all answers alike.
    pub unit: Unit,
    /// How many answers did not end.
    pub unfinished: usize,
}

/// In scripts that are written without spaces: more characters than this between two, on average, are no word.
const LONG: usize = 6;

impl Unit {
    /// That of these texts: words, where there are spaces within any; but of Chinese, Thai and the like only where they are
    /// cut into words throughout.
    pub fn of<'a>(references: impl IntoIterator<Item = &'a String>) -> Self {
        let (mut words, mut characters, mut unspaced, mut spaced) = (0, 0, 0, false);
        for reference in references {
            let before = words;
            for word in reference.split_whitespace() {
                words += 1;
                characters += word.chars().count();
                unspaced += word.chars().filter(|&c| is_unspaced(c)).count();
            }
            spaced |= words > before + 1;
        }
        let runs_on = 2 * unspaced > characters && characters > LONG * words;
        if spaced && !runs_on { Self::Words } else { Self::Characters }
    }

    /// A text in these units.
    fn cut(self, text: &str) -> Vec<&str> {
        match self {
            Self::Words => text.split_whitespace().collect(),
            Self::Characters => text.trim().split("").filter(|c| !c.is_empty()).collect(),
        }
    }

    /// Whether two texts are the same.
    pub fn is_same(self, a: &str, b: &str) -> bool {
        self.cut(a) == self.cut(b)
    }
}

/// Whether a character is of a script that is written without spaces: Thai, Lao, Tibetan, Burmese, Khmer, Japanese, Chinese.
fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{e00}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}')
        || matches!(c, '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

impl Prediction {
    /// Whether it is right, by this cutting.
    pub fn is_right(&self, unit: Unit) -> bool {
        self.references.iter().any(|reference| unit.is_same(&self.written, reference))
    }
}

impl Score {
    /// Scores answers.
    pub fn of(answers: &[Prediction]) -> Self {
        let unit = Unit::of(answers.iter().flat_map(|answer| &answer.references));
        let (mut exact, mut edits, mut tokens) = (0, 0, 0);
        for answer in answers {
            exact += usize::from(answer.is_right(unit));
            let written = unit.cut(&answer.written);
            let distance = |reference: &String| {
                let reference = unit.cut(reference);
                (strsim::generic_levenshtein(&written, &reference), reference.len())
            };
            let nearest = answer.references.iter().map(distance);
            let nearest = nearest.min_by(|(a, m), (b, n)| (a * n.max(&1)).cmp(&(b * m.max(&1))));
            let (distance, length) = nearest.unwrap_or((0, 0));
            edits += distance;
            tokens += length;
        }
        let share = |n: usize, of: usize| n as f64 / of.max(1) as f64;
        Self {
            answers: answers.len(),
            exact_match: share(exact, answers.len()),
            token_error_rate: share(edits, tokens),
            unit,
            unfinished: answers.iter().filter(|answer| !answer.finished).count(),
        }
    }
}

/// A pair to be asked: its line, what is read for it, and what is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EvalExample {
    pub(crate) answer: Prediction,
    /// What the model reads.
    pub(crate) ids: Vec<u32>,
}

/// What is to be answered: pairs with one source are one question where `merge` says so.
pub(crate) fn questions(pairs: impl IntoIterator<Item = EvalExample>, merge: bool) -> Vec<EvalExample> {
    let mut questions: Vec<EvalExample> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for pair in pairs {
        let next = questions.len();
        let place = if merge { *places.entry(pair.answer.source.clone()).or_insert(next) } else { next };
        match questions.get_mut(place) {
            Some(question) => question.answer.references.extend(pair.answer.references),
            None => questions.push(pair),
        }
    }
    questions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(written: &str, references: &[&str]) -> Prediction {
        let references = references.iter().map(|&reference| reference.to_owned()).collect();
        Prediction { written: written.to_owned(), finished: true, references, ..Prediction::default() }
    }

    #[test]
    fn the_nearest_reference_counts() {
        let answers = [answer("a b c", &["a b d", "a b c x"]), answer("y z", &["z"]), answer("x y", &["x y"])];
        let score = Score::of(&answers);
        assert_eq!((score.answers, score.exact_match, score.unit), (3, 1.0 / 3.0, Unit::Words));
        assert_eq!(score.token_error_rate, 2.0 / 7.0);
        assert_eq!(Score::of(&[]), Score::default());
    }

    #[test]
    fn one_unit_holds_for_all_answers() {
        // One of four phonemes is wrong, whatever its letters are.
        let phonemes = [answer("OW", &["UH"]), answer("S IH", &["S IH"]), answer("T", &["T"])];
        let score = Score::of(&phonemes);
        assert_eq!((score.token_error_rate, score.unit), (1.0 / 4.0, Unit::Words));
        let score = Score::of(&[answer("UH N", &["UH"]), answer("S IH", &["S IH"])]);
        assert_eq!(score.token_error_rate, 1.0 / 3.0);
        // A name with a space does not make words of a text that has none.
        let chinese = "他昨天在北京的书店里买了三本新书";
        let score = Score::of(&[answer(chinese, &[chinese]), answer("我看 New York", &["我在 New York"])]);
        assert_eq!((score.unit, score.token_error_rate), (Unit::Characters, 1.0 / 27.0));
        let score = Score::of(&[answer("我 昨天 看", &["我 昨天 看 书"]), answer("天气", &["天气 很 好"])]);
        assert_eq!((score.unit, score.token_error_rate), (Unit::Words, 3.0 / 7.0));
        assert_eq!(Score::of(&[answer("yes", &["no"])]).unit, Unit::Characters);
    }

    #[test]
    fn what_is_right_has_no_errors() {
        for (written, reference) in
            [("B AE", "B AE "), ("B AE", " B  AE"), ("B AE", "B\u{a0}AE"), ("B AE", "B\u{3000}AE"), ("一", "一 ")]
        {
            let score = Score::of(&[answer(written, &[reference]), answer("x y", &["x y"])]);
            assert_eq!((score.exact_match, score.token_error_rate), (1.0, 0.0), "{reference:?}");
        }
        let unfinished = Prediction { finished: false, ..answer("a", &["a b"]) };
        assert_eq!(Score::of(&[unfinished, answer("a", &["a"])]).unfinished, 1);
    }

    #[test]
    fn pairs_with_one_source_are_one_question() {
        let pair = |(line, source, reference): (u64, &str, &str)| EvalExample {
            answer: Prediction { line, source: source.to_owned(), ..answer("", &[reference]) },
            ids: Vec::new(),
        };
        let pairs = || [(1, "a", "1"), (2, "b", "2"), (3, "a", "3")].map(pair);
        assert_eq!(questions(pairs(), false).len(), 3);
        let merged = questions(pairs(), true);
        assert_eq!(
            (merged[0].answer.line, &merged[0].answer.references[..]),
            (1, &["1".to_owned(), "3".to_owned()][..])
        );
        assert_eq!(merged.len(), 2);
    }
}
