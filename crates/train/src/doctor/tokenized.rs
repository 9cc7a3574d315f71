//! Texts that were cut into tokens before, beside texts as people write them.

use super::finding::{Finding, Severity, share_of};
use super::survey::Survey;

/// How a text writes its punctuation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    /// With spaces before it, or a tokenizer's marks.
    Tokenized,
    /// Without.
    Raw,
}

/// None where a text shows neither.
fn style(text: &str) -> Option<Style> {
    const MARKS: [&str; 6] = ["@-@", "@@ ", "&apos;", "&quot;", "&#91;", "\u{2581}"];
    let is_marked = MARKS.iter().any(|mark| text.contains(mark));
    let spaced = text.ends_with(" .") || text.contains(" , ") || text.contains(" . ");
    // A character of a word right before a point or a comma that ends a word.
    let characters: Vec<char> = text.chars().chain([' ']).collect();
    let glued = characters
        .windows(3)
        .any(|three| three[0].is_alphabetic() && matches!(three[1], '.' | ',') && three[2].is_whitespace());
    match (is_marked || spaced, glued) {
        (true, _) => Some(Style::Tokenized),
        (false, true) => Some(Style::Raw),
        (false, false) => None,
    }
}

/// The texts of a side that are tokenized, and how many are not.
fn tokenized(texts: &[&str]) -> (Vec<usize>, usize) {
    let styles: Vec<Option<Style>> = texts.iter().map(|text| style(text)).collect();
    let of = |wanted| (0..texts.len()).filter(move |&i| styles[i] == Some(wanted));
    let tokenized: Vec<usize> = of.clone()(Style::Tokenized).collect();
    (tokenized, of(Style::Raw).count())
}

/// Texts of the rarer style, at least, for a mixture to be one.
const LEAST: usize = 5;
const LEAST_SHARE: f64 = 0.02;

pub(super) fn check(survey: &Survey) -> Vec<Finding> {
    let of_side = |(side, texts): (&'static str, Vec<&str>)| {
        let (found, raw) = tokenized(&texts);
        let all = found.len() + raw;
        let rarer = found.len().min(raw);
        if rarer < LEAST || (rarer as f64) < LEAST_SHARE * all as f64 {
            return None;
        }
        let (count, all) = (found.len() as u64, all as u64);
        let share = share_of(count, all, side);
        let message = format!(
            "{}: {share} that have points or commas are tokenized (\"word .\"), and the others are not (\"word.\")",
            survey.place()
        );
        let remedy = "Take all texts raw, and undo the tokenizing of these, such as with sacremoses detokenize: the model \
                      learns both ways, and each is seen less often";
        Some(
            Finding::new("tokenized", Severity::Warning, message, remedy)
                .share(count, all)
                .lines(survey.unit, found.iter().map(|&i| survey.shown(i, side))),
        )
    };
    survey.sides().filter_map(of_side).collect()
}

/// A text whose style is not that of the training text, as a whole.
pub(super) fn differs(train: &Survey, other: &Survey) -> Vec<Finding> {
    let share = |texts: &[&str]| {
        let (found, raw) = tokenized(texts);
        let all = found.len() + raw;
        (all >= 20).then(|| found.len() as f64 / all as f64)
    };
    let both = train.sides().zip(other.sides()).filter_map(|((side, one), (_, two))| {
        let (one, two) = (share(&one)?, share(&two)?);
        ((one - two).abs() > 0.8).then(|| {
            let [of_train, of_other] = [one, two].map(|share| if share > 0.5 { "tokenized" } else { "raw" });
            let (message, place) =
                (format!("{side}s are {of_other}, and those of {} {of_train}", train.name), other.place());
            let remedy = "Bring both into one form, raw if you can: what is measured here is not what is learned";
            Finding::new("tokenized", Severity::Warning, format!("{place}: the {message}"), remedy)
        })
    });
    both.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_before_points_show_the_style() {
        for text in ["a house .", "well @-@ known", "it &apos;s", "red , green"] {
            assert!(style(text) == Some(Style::Tokenized), "{text}");
        }
        assert!(style("A house.") == Some(Style::Raw) && style("red, green") == Some(Style::Raw));
        for text in ["no points", "3.14", "。", "", "..."] {
            assert!(style(text).is_none(), "{text}");
        }
    }
}
