//! Lines that cannot be read, and characters that an earlier wrong conversion left.

use super::finding::{Finding, Severity, share_of};
use super::survey::Survey;
use descant_text::TextError;

/// Lines that training would end at, by their kinds.
pub(super) fn unreadable(survey: &Survey) -> Vec<Finding> {
    let faults = survey.faults.iter().map(|faults| {
        let all = survey.examples + faults.count;
        let lines: Vec<String> = faults.lines.iter().map(u64::to_string).collect();
        let more = if faults.count > lines.len() as u64 { ", …" } else { "" };
        let check = match faults.first {
            TextError::Utf8 { .. } => "encoding",
            TextError::CarriageReturn { .. } => "line-ends",
            TextError::Columns { .. }
            | TextError::Separator { .. }
            | TextError::Fields { .. }
            | TextError::FurtherColumns { .. } => "columns",
            _ => "lines",
        };
        // The end of the error's message is the remedy.
        let message = faults.first.to_string();
        let remedy = match check {
            "encoding" => {
                "Convert the file to UTF-8, such as with iconv -f LATIN1 -t UTF-8, or take the lines out".to_owned()
            }
            _ => message.clone(),
        };
        let path = faults.first.place().map_or_else(String::new, |(path, _)| path.display().to_string());
        let what = match check {
            "encoding" => "are not UTF-8",
            "line-ends" => "have a carriage return (CR) without a line feed (LF)",
            "columns" => "have other columns than a pair",
            _ => "cannot be read",
        };
        let found = share_of(faults.count, all, survey.unit);
        Finding::new(check, Severity::Error, format!("{path}: {found} {what}: {}{more}", lines.join(", ")), remedy)
            .share(faults.count, all)
    });
    let broken_off = survey.broken_off.iter().map(|error| {
        Finding::new("reading", Severity::Error, format!("{}: {error}", survey.place()), "Mend the file as it says")
    });
    faults.chain(broken_off).collect()
}

/// What a text that was decoded in a wrong encoding shows for a single character: UTF-8 read as Windows-1252 or Latin-1.
fn is_mojibake(text: &str) -> bool {
    let characters: Vec<char> = text.chars().collect();
    // How Windows-1252 shows the second byte of a character, from 0x80 on.
    let continues = |c: char| ('\u{80}'..='\u{bf}').contains(&c) || "€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ".contains(c);
    characters.windows(2).any(|pair| matches!(pair[0], 'Ã' | 'Â' | 'Ð' | 'Ñ') && continues(pair[1]))
        || characters.windows(3).any(|three| {
            matches!(three[0], 'â' | 'ã' | 'å' | 'æ' | 'ç' | 'è' | 'é') && continues(three[1]) && continues(three[2])
        })
}

/// Whether a text has characters that nobody sees; in scripts of South-East Asia, they part words.
fn has_invisible(text: &str) -> bool {
    let parts_words = |c| matches!(c, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}');
    text.contains(['\u{ad}', '\u{200b}', '\u{2060}', '\u{feff}']) && !text.contains(parts_words)
}

/// What is said of texts that are such, whether one is, and the remedy.
type Kind = (&'static str, fn(&str) -> bool, &'static str);

/// Characters that are no text: of a conversion that failed, and control characters.
pub(super) fn characters(survey: &Survey) -> Vec<Finding> {
    let kinds: [Kind; 4] = [
        (
            "have the replacement character U+FFFD, which a failed conversion leaves",
            |text| text.contains('\u{fffd}'),
            "Convert the original file again, with the encoding that it has; what U+FFFD stands for is lost here",
        ),
        (
            "have characters such as \"Ã©\", of UTF-8 that was read in another encoding",
            is_mojibake,
            "Convert them back, such as with iconv -f UTF-8 -t WINDOWS-1252, or take the file from where it was right",
        ),
        (
            "have control characters",
            |text| text.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r')) && !is_mojibake(text),
            "Take them out, such as with tr -d '\\000-\\010\\013\\014\\016-\\037'",
        ),
        (
            "have invisible characters, such as U+200B, a space without width",
            has_invisible,
            "Take them out, such as with perl -CSD -pe 's/[\\x{AD}\\x{200B}\\x{2060}\\x{FEFF}]//g': a word with one is another word",
        ),
    ];
    let mut findings = Vec::new();
    for (side, texts) in survey.sides() {
        for (what, such, remedy) in kinds {
            let found: Vec<usize> = (0..texts.len()).filter(|&i| such(texts[i])).collect();
            if found.is_empty() {
                continue;
            }
            let (count, all) = (found.len() as u64, texts.len() as u64);
            let severity = if count * 1000 >= all { Severity::Warning } else { Severity::Note };
            let message = format!("{}: {} {what}", survey.place(), share_of(count, all, side));
            findings.push(
                Finding::new("characters", severity, message, remedy)
                    .share(count, all)
                    .lines(survey.unit, found.iter().map(|&i| survey.shown(i, side))),
            );
        }
    }
    findings
}
