//! Metrics by the names that recipes, options and reports have for them: one line each.

use crate::metric::Metric;
use crate::tokenization::Tokenization;
use crate::unit::TextUnit;
use crate::{Bleu, Chrf, CopyRate, Distinct, ErrorRate, ExactMatch, Repetition, Rouge, RougeKind, SlotF1, Ter};

/// The names of all metrics; last, those that look at sources.
pub const NAMES: &[&str] = &[
    "exact_match",
    "token_error_rate",
    "wer",
    "cer",
    "bleu",
    "bleu-13a",
    "bleu-intl",
    "bleu-zh",
    "bleu-char",
    "bleu-none",
    "chrf",
    "chrf++",
    "ter",
    "rouge1",
    "rouge2",
    "rougeL",
    "rougeLsum",
    SLOT_F1,
    "distinct-1",
    "distinct-2",
    "seq-rep-4",
    "copy_rate",
];

/// Those that need no source.
pub const WITHOUT_SOURCES: &[&str] = NAMES.split_at(NAMES.len() - 1).0;

const SLOT_F1: &str = "slot_f1";

/// The metric of a name. What it leaves open, the references decide: the tokenization of `bleu`, and
/// whether words or characters are counted.
pub fn metric<'a>(name: &str, references: impl IntoIterator<Item = &'a str> + Clone) -> Option<Box<dyn Metric>> {
    let unit = || TextUnit::of(references.clone());
    Some(match name {
        "exact_match" => Box::new(ExactMatch),
        "token_error_rate" => Box::new(ErrorRate { unit: unit() }),
        "wer" => Box::new(ErrorRate { unit: TextUnit::Words }),
        "cer" => Box::new(ErrorRate { unit: TextUnit::Characters }),
        "chrf" => Box::new(Chrf { word_order: 0 }),
        "chrf++" => Box::new(Chrf::PLUS_PLUS),
        "ter" => Box::new(Ter),
        "rouge1" => Box::new(Rouge { kind: RougeKind::Unigrams }),
        "rouge2" => Box::new(Rouge { kind: RougeKind::Bigrams }),
        "rougeL" => Box::new(Rouge { kind: RougeKind::Subsequence }),
        "rougeLsum" => Box::new(Rouge { kind: RougeKind::Lines }),
        SLOT_F1 => Box::new(SlotF1::of(references)),
        "distinct-1" => Box::new(Distinct { order: 1, unit: unit() }),
        "distinct-2" => Box::new(Distinct { order: 2, unit: unit() }),
        "seq-rep-4" => Box::new(Repetition { order: 4, unit: unit() }),
        "copy_rate" => Box::new(CopyRate { unit: unit() }),
        _ => Box::new(Bleu { tokenization: bleu(name, references)?, effective_order: false }),
    })
}

/// Why these references are none of a metric of this name, if so.
pub fn unfit<'a>(name: &str, references: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let has_none = name == SLOT_F1 && SlotF1::of(references).slots == 0;
    has_none.then(|| {
        format!("{name}: no reference has a slot. Targets need a tag for each word of the source, such as B-city, I-city and O")
    })
}

/// The same for single texts: of BLEU, only the orders count that a text is long enough for.
pub fn sentence_metric<'a>(
    name: &str,
    references: impl IntoIterator<Item = &'a str> + Clone,
) -> Option<Box<dyn Metric>> {
    match bleu(name, references.clone()) {
        Some(tokenization) => Some(Box::new(Bleu { tokenization, effective_order: true })),
        None => metric(name, references),
    }
}

/// The tokenization of a BLEU of this name.
fn bleu<'a>(name: &str, references: impl IntoIterator<Item = &'a str>) -> Option<Tokenization> {
    match name {
        "bleu" => Some(Tokenization::of(references)),
        _ => {
            let named = name.strip_prefix("bleu-")?;
            Tokenization::ALL.into_iter().find(|tokenization| tokenization.name() == named)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_metric_and_no_other() {
        assert!(NAMES.iter().all(|name| metric(name, []).is_some()));
        assert!(["", "bleu-", "bleu-14", "BLEU", "rouge3", "distinct-3"].iter().all(|name| metric(name, []).is_none()));
        assert_eq!(WITHOUT_SOURCES.last(), Some(&"seq-rep-4"));
        let signature = |references: [&'static str; 1]| metric("bleu", references).map(|metric| metric.signature("1"));
        for (reference, tokenization) in
            [("a dog", "13a"), ("他昨天在北京的书店里", "zh"), ("私は昨日、東京で", "char")]
        {
            assert!(signature([reference]).is_some_and(|found| found.contains(&format!("|tok:{tokenization}|"))));
        }
    }
}
