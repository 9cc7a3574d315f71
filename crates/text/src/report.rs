use crate::Found;
use crate::filter::Filtered;
use serde::{Deserialize, Serialize};

/// What encoding a text left out, cut or did not know, and how long its sequences are. Lines count from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Lines or pairs, those left out among them; of conversations, answers.
    pub examples: u64,
    /// How many of them are left out.
    pub left_out: u64,
    /// Tokens of a side at most; or none where there is no limit.
    pub max_length: Option<u64>,
    /// What is read: sources, or prompts.
    pub source: SideReport,
    /// What is written.
    pub target: SideReport,
    /// How long what was kept is.
    pub lengths: Lengths,
    /// Preferences that are left out, as what is rejected is what is chosen.
    #[serde(default, skip_serializing_if = "Found::is_none")]
    pub same: Found,
    /// Blank lines, which are no pairs.
    #[serde(default, skip_serializing_if = "Found::is_none")]
    pub blank: Found,
    /// Examples without one of the control attributes.
    #[serde(default, skip_serializing_if = "Found::is_none")]
    pub unlabelled: Found,
    /// Examples without an alignment, where others have one.
    #[serde(default, skip_serializing_if = "Found::is_none")]
    pub unaligned: Found,
    /// Texts that are cut into pieces, as they are long.
    #[serde(default, skip_serializing_if = "Found::is_none")]
    pub parted: Found,
    /// Examples without a weight, where others have one.
    #[serde(default, skip_serializing_if = "Found::is_none")]
    pub unweighted: Found,
    /// Examples that are left out, as their weight is 0.
    #[serde(default, skip_serializing_if = "Found::is_none")]
    pub weightless: Found,
    /// Examples that filters took out, by filter; they are none of `examples`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filtered: Vec<Filtered>,
    /// The names of the files, where lines are of several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
}

/// The same for one side.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideReport {
    /// Tokens of what was kept.
    pub tokens: u64,
    /// Those of them that the vocabulary does not have.
    pub unknown: Found,
    /// The first different parts of the text that became such tokens.
    pub unknown_parts: Vec<String>,
    /// Left out as there is no token.
    pub empty: Found,
    /// Left out as there are too many tokens; of prompts, with the answer.
    pub long: Found,
    /// Left out as a line has more bytes than are read.
    pub large: Found,
    /// Answers of which text beyond the end of the sequence is cut off.
    pub cut: Found,
    /// Lines with columns that no side is read from.
    pub columns: Found,
    /// Texts in which the name of a special token stands; it is read as text.
    pub control: Found,
}

/// How long the sequences of a text are, in tokens without BOS and EOS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lengths {
    /// The longest source or prompt; of a text without pairs, 0.
    pub longest_source: u64,
    /// The longest target; of prompts, the longest answer.
    pub longest_target: u64,
    /// The longest target, of prompts with the prompt that it begins with.
    pub longest_sequence: u64,
    /// The target and the source of the pair with the largest ratio of the two; of a text without pairs, zeros.
    pub largest_ratio: [u64; 2],
}

/// What a line of [`Report::remarks`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remark {
    /// What is left out.
    LeftOut,
    /// What filters took out.
    Filtered,
    /// What is unknown to the tokenizer.
    Unknown,
    /// What is cut, passed over, or otherwise read than it may be meant.
    Other,
}

/// A number of things: `1 step`, `2 steps`.
pub fn plural(n: u64, thing: &str) -> String {
    match n {
        1 => format!("1 {thing}"),
        n => format!("{n} {thing}s"),
    }
}

/// How many parts that are unknown a report shows.
const PARTS: usize = 8;

impl SideReport {
    /// The share of the tokens that the vocabulary does not have.
    pub fn unknown_share(&self) -> f64 {
        self.unknown.count as f64 / self.tokens.max(1) as f64
    }

    /// Whether more parts of texts are to be shown.
    pub(crate) fn wants_parts(&self) -> bool {
        self.unknown_parts.len() < PARTS
    }

    pub(crate) fn add_parts<'a>(&mut self, parts: impl IntoIterator<Item = &'a str>) {
        for part in parts {
            if self.wants_parts() && !part.is_empty() && self.unknown_parts.iter().all(|known| known != part) {
                self.unknown_parts.push(part.to_owned());
            }
        }
    }

    /// The parts that are unknown, as a message shows them.
    pub(crate) fn shown_parts(&self) -> String {
        let short = |part: &String| format!("{:?}", part.chars().take(20).collect::<String>());
        self.unknown_parts.iter().map(short).collect::<Vec<_>>().join(", ")
    }
}

impl Lengths {
    /// Tokens of a target for each of its source, at most.
    pub fn ratio(&self) -> Option<f64> {
        let [target, source] = self.largest_ratio;
        (source > 0).then(|| target as f64 / source as f64)
    }

    /// Adds a pair, or a sequence without a source, and how long the sequence is that the two make.
    pub(crate) fn add(&mut self, source: Option<usize>, target: usize, sequence: usize) {
        let [source, target, sequence] = [source.unwrap_or(0), target, sequence].map(|length| length as u64);
        self.longest_source = self.longest_source.max(source);
        self.longest_target = self.longest_target.max(target);
        self.longest_sequence = self.longest_sequence.max(sequence);
        if source > 0 {
            let [most, of] = self.largest_ratio.map(u128::from);
            if of == 0 || u128::from(target) * of > most * u128::from(source) {
                self.largest_ratio = [target, source];
            }
        }
    }
}

impl Report {
    /// The two sides with their names.
    fn sides(&self) -> [(&'static str, &SideReport); 2] {
        [("source", &self.source), ("target", &self.target)]
    }

    /// What was left out and why, as a part of a sentence; nothing where nothing was.
    pub fn reasons(&self) -> String {
        let more = match self.max_length {
            Some(most) => format!("of more than {most} tokens"),
            None => "too long".to_owned(),
        };
        let side = |(name, side): (&str, &SideReport)| {
            [
                side.empty.told(&format!("with an empty {name}"), &self.files),
                side.long.told(&format!("with a {name} {more}"), &self.files),
                side.large.told(&format!("with a {name} of too many bytes for a line"), &self.files),
            ]
        };
        let same = self.same.told("whose rejected answer is the chosen one", &self.files);
        let weightless = self.weightless.told("of the weight 0", &self.files);
        self.sides().into_iter().flat_map(side).flatten().chain(same).chain(weightless).collect::<Vec<_>>().join(", ")
    }

    /// A line for all that is not as one would expect, about the text `name`; none where all was read whole.
    pub fn notes(&self, name: &str) -> Vec<String> {
        self.remarks(name).into_iter().map(|(_, note)| note).collect()
    }

    /// The same, each with what it is about.
    pub fn remarks(&self, name: &str) -> Vec<(Remark, String)> {
        let mut notes = Vec::new();
        if self.left_out > 0 {
            let (all, reasons) = (self.examples, self.reasons());
            let are = if self.left_out == 1 { "is" } else { "are" };
            let told = format!("{name}: {} of {all} lines or pairs {are} left out: {reasons}.", self.left_out);
            notes.push((Remark::LeftOut, told));
        }
        if !self.filtered.is_empty() {
            let taken: u64 = self.filtered.iter().map(|filtered| filtered.count).sum();
            let (all, reasons) = (self.examples + taken, Filtered::told(&self.filtered, &self.files));
            let told = format!("{name}: {taken} of {all} lines or pairs are taken out by [data.filter]: {reasons}.");
            notes.push((Remark::Filtered, told));
        }
        let files = &self.files[..];
        let passed_over = self.blank.told_of("blank line is passed over", "blank lines are passed over", files);
        let other = |told: String| (Remark::Other, format!("{name}: {told}."));
        notes.extend(passed_over.map(other));
        let unlabelled = self.unlabelled.told_of(
            "example has no value of a control attribute, and is learned without it",
            "examples have no value of a control attribute, and are learned without it",
            files,
        );
        let unweighted = self.unweighted.told_of(
            "example has no weight, and counts 1",
            "examples have no weight, and count 1",
            files,
        );
        let unaligned = self.unaligned.told_of(
            "example has no alignment, and does not guide the attention",
            "examples have no alignment, and do not guide the attention",
            files,
        );
        let most = self.max_length.unwrap_or_default();
        let parted = self.parted.told_of(
            &format!("text of more than {most} tokens is cut into pieces"),
            &format!("texts of more than {most} tokens are cut into pieces"),
            files,
        );
        notes.extend(unlabelled.into_iter().chain(unweighted).chain(parted).chain(unaligned).map(other));
        for (side, found) in self.sides() {
            let SideReport { unknown, cut, columns, control, .. } = found;
            if unknown.count > 0 {
                let told = format!(
                    "{name}: {:.2} % of the {side} tokens are unknown to the tokenizer ({}, first in {}): {}.",
                    100.0 * found.unknown_share(),
                    unknown.count,
                    unknown.first.told(files),
                    found.shown_parts()
                );
                notes.push((Remark::Unknown, told));
            }
            let rest = [
                cut.told_of(
                    "answer goes on after the token that ends a text, and is cut there",
                    "answers go on after the token that ends a text, and are cut there",
                    files,
                ),
                columns.told_of("line has columns that are not read", "lines have columns that are not read", files),
                control.told_of(
                    &format!("{side} text holds the name of a special token, and it is read as text"),
                    &format!("{side} texts hold the name of a special token, and it is read as text"),
                    files,
                ),
            ];
            notes.extend(rest.into_iter().flatten().map(other));
        }
        notes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Place;

    #[test]
    fn the_largest_ratio_is_that_of_one_pair() {
        let mut lengths = Lengths::default();
        assert_eq!(lengths.ratio(), None);
        for (source, target) in [(Some(10), 20), (Some(2), 5), (Some(3), 7), (Some(0), 9), (None, 4)] {
            lengths.add(source, target, target + 1);
        }
        let (longest_source, longest_target, longest_sequence) = (10, 20, 21);
        assert_eq!(lengths, Lengths { longest_source, longest_target, longest_sequence, largest_ratio: [5, 2] });
        assert_eq!(lengths.ratio(), Some(2.5));
    }

    #[test]
    fn what_is_not_zero_is_told_with_its_first_line() {
        assert!(Report::default().notes("a.tsv").is_empty());
        let line = |line: u64| Place { line, file: 0 };
        let mut report = Report { examples: 9, left_out: 3, max_length: Some(7), ..Report::default() };
        report.source.empty.add(1, line(4));
        report.target.long.add(1, line(5));
        report.target.long.add(1, line(8));
        report.target.tokens = 200;
        report.target.unknown.add(0, line(1));
        report.target.unknown.add(3, line(2));
        report.target.add_parts(["ж", "ж", "☃"]);
        let without = serde_json::to_string(&report).unwrap();
        assert!(!without.contains("blank"), "as reports were before: {without}");
        report.blank.add(2, line(6));
        let notes = report.notes("a.tsv");
        assert_eq!(notes.len(), 3, "{notes:?}");
        assert_eq!(notes[1], "a.tsv: 2 blank lines are passed over (first in line 6).");
        assert_eq!(
            notes[0],
            "a.tsv: 3 of 9 lines or pairs are left out: 1 with an empty source (first in line 4), 2 with a target of \
             more than 7 tokens (first in line 5)."
        );
        assert_eq!(
            notes[2],
            "a.tsv: 1.50 % of the target tokens are unknown to the tokenizer (3, first in line 2): \"ж\", \"☃\"."
        );
    }
}
