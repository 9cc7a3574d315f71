//! HTML: tags, and characters that are written as entities.

use super::finding::{Finding, Severity, share_of};
use super::survey::Survey;

/// Names of tags that stand in texts taken from pages.
const TAGS: [&str; 32] = [
    "a",
    "abbr",
    "b",
    "blockquote",
    "body",
    "br",
    "code",
    "div",
    "em",
    "font",
    "h1",
    "h2",
    "h3",
    "h4",
    "head",
    "html",
    "i",
    "img",
    "li",
    "ol",
    "p",
    "pre",
    "script",
    "small",
    "span",
    "strong",
    "sub",
    "sup",
    "table",
    "td",
    "tr",
    "ul",
];

/// Characters of a tag's name.
const LONGEST: usize = 12;

/// Entities of HTML, without those that tokenizers of Moses write for characters of their own.
const ENTITIES: [&str; 6] = ["&nbsp;", "&amp;", "&lt;", "&gt;", "&quot;", "&#"];

fn is_markup(text: &str) -> bool {
    let last = text.rfind('>').unwrap_or(0);
    let entity = text.contains('&') && ENTITIES.iter().any(|entity| text.contains(entity));
    entity
        || text.match_indices('<').any(|(at, _)| {
            // What ends its name; no tag is longer.
            let rest = text[at + 1..].trim_start_matches('/');
            let name: String = rest.chars().take(LONGEST + 1).take_while(char::is_ascii_alphanumeric).collect();
            let is_whole = rest[name.len()..].starts_with(|c: char| c == '>' || c == '/' || c.is_whitespace());
            is_whole && TAGS.iter().any(|tag| name.eq_ignore_ascii_case(tag)) && at < last
        })
}

pub(super) fn check(survey: &Survey) -> Vec<Finding> {
    let of_side = |(side, texts): (&'static str, Vec<&str>)| {
        let found: Vec<usize> = (0..texts.len()).filter(|&i| is_markup(texts[i])).collect();
        let (count, all) = (found.len() as u64, texts.len() as u64);
        let severity = if count * 1000 >= all { Severity::Warning } else { Severity::Note };
        let message = format!("{}: {} have HTML", survey.place(), share_of(count, all, side));
        let remedy = "Take out the tags and write the entities as characters, before training and for what is translated \
                      later, or take the lines out: the model learns to write them";
        (count > 0).then(|| {
            Finding::new("markup", severity, message, remedy)
                .share(count, all)
                .lines(survey.unit, found.iter().map(|&i| survey.shown(i, side)))
        })
    };
    survey.sides().filter_map(of_side).collect()
}

#[cfg(test)]
mod tests {
    use super::is_markup;

    #[test]
    fn tags_and_entities_are_html_and_other_angles_are_not() {
        for text in ["a <b>bold</b> word", "one<br/>two", "fish &amp; chips", "<A HREF=\"x\">x", "it&#39;s"] {
            assert!(is_markup(text), "{text}");
        }
        for text in ["<en> hello", "3 < 4 and 5 > 2", "R&D", "don &apos;t", "<|im_start|>", "a <unk> word"] {
            assert!(!is_markup(text), "{text}");
        }
    }
}
