//! Long texts in pieces, and span corruption, from a text to its batches.

use descant_batch::Batch;
use descant_text::{
    BatchConfig, Batches, Corpus, MaxLength, Source, SpanCorruption, SpecialTokens, Tokenizer, TokenizerConfig,
    TokenizerKind,
};
use std::path::Path;
use std::sync::Arc;

/// Bytes and sentinels.
fn tokenizer() -> Tokenizer {
    let config = TokenizerConfig { kind: TokenizerKind::Byte, ..Default::default() };
    Tokenizer::train(&config, true, std::iter::empty()).unwrap().with_marks(&SpanCorruption::sentinels()).unwrap()
}

fn corpus(folder: &Path, lines: &[String], max_length: MaxLength) -> Arc<Corpus> {
    let path = folder.join("a.txt");
    std::fs::write(&path, lines.join("\n")).unwrap();
    let data = folder.join("data");
    let encode = || Corpus::encode(&Source::Lines { path: path.clone() }, None, &tokenizer(), max_length, Some(&data));
    encode().unwrap();
    // What is read is what was written.
    Arc::new(encode().unwrap())
}

#[test]
fn pieces_of_long_texts_have_each_token_once() {
    let folder = tempfile::tempdir().unwrap();
    let lines: Vec<String> =
        [3, 25, 10, 20, 21].iter().map(|&length| "abcdefghij".repeat(3)[..length].to_owned()).collect();
    let corpus = corpus(folder.path(), &lines, MaxLength { tokens: 10, cut: true });
    assert_eq!((corpus.len(), corpus.examples().unwrap()), (1 + 3 + 1 + 2 + 3, vec![0, 1, 2, 3, 4]));
    let report = corpus.report();
    assert_eq!((report.parted.count, report.parted.first.line, report.left_out), (3, 2, 0));
    assert_eq!(report.lengths.longest_sequence, 10);
    let notes = report.notes("a.txt");
    assert_eq!(notes, ["a.txt: 3 texts of more than 10 tokens are cut into pieces (first in line 2)."]);
    let batches: Vec<Batch> = Batches::once(corpus, BatchConfig::default()).unwrap().map(Result::unwrap).collect();
    let (mut targets, mut ends) = (0, 0);
    let [first, last] = ["a", "j"].map(|letter| tokenizer().encode(letter).unwrap()[0]);
    let SpecialTokens { bos, eos, .. } = SpecialTokens::default();
    for batch in &batches {
        for i in 0..batch.target.len() {
            let (input, target) = (batch.input.get(i), batch.target.get(i));
            assert!(input.len() == target.len() && input[1..] == target[..target.len() - 1] && input.len() <= 11);
            targets += target.len();
            ends += usize::from(eos.contains(target.last().unwrap()));
            // A piece goes on with the letter after that which it begins with.
            let follows = target[0] == input[0] + 1 || [input[0], target[0]] == [last, first];
            assert!(Some(input[0]) == bos || follows, "{input:?}");
        }
    }
    assert_eq!((targets, ends), (3 + 25 + 10 + 20 + 21 + 5, 5));
}

#[test]
fn spans_are_drawn_anew_in_every_epoch_and_for_a_validation_always_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let lines: Vec<String> = (0..40).map(|i| format!("this is the line {i} of forty ones")).collect();
    let corpus = corpus(folder.path(), &lines, MaxLength { tokens: 20, cut: true });
    for has_encoder in [true, false] {
        let mut config = BatchConfig::default();
        let corruption = SpanCorruption::new(0.3, 2.0, &tokenizer(), has_encoder).unwrap();
        (config.tokens, config.shuffle, config.corruption) = (100, Some(7), Some(corruption));
        let sentinel = tokenizer().id("<extra_id_0>").unwrap();
        let mut batches = Batches::new(corpus.clone(), config.clone()).unwrap();
        let count = batches.count(0).unwrap() + batches.count(1).unwrap();
        let all: Vec<Batch> = (0..count).map(|_| batches.next_batch().unwrap()).collect();
        let mut seen = std::collections::BTreeMap::new();
        for batch in &all {
            assert!(batch.target.tokens() <= 100 && batch.source.as_ref().is_none_or(|source| source.tokens() <= 100));
            for i in 0..batch.target.len() {
                let target = batch.target.get(i);
                let read = match &batch.source {
                    Some(source) => source.get(i),
                    None => &batch.input.get(i)[1..],
                };
                assert!(read.contains(&sentinel));
                let written: Vec<u32> = target.iter().copied().filter(|&id| id != Batch::IGNORED).collect();
                assert_eq!(written[0], sentinel);
                assert_eq!(target.len() > written.len(), !has_encoder, "only a prompt is masked");
                // The text without spans and sentinels tells most texts from each other.
                *seen.entry(written).or_insert(0) += 1;
            }
        }
        assert!(seen.len() > all.iter().map(|batch| batch.target.len()).sum::<usize>() * 3 / 4, "{}", seen.len());
        // From anywhere on, it goes on in the same way.
        let mut other = Batches::new(corpus.clone(), config.clone()).unwrap();
        (0..3).for_each(|_| drop(other.next_batch().unwrap()));
        let mut resumed = Batches::new(corpus.clone(), config.clone()).unwrap();
        resumed.seek(other.position().clone()).unwrap();
        assert!((3..count).all(|i| resumed.next_batch().unwrap() == all[i as usize]));
        let once = |seed: u64| {
            let mut config = config.clone();
            config.shuffle = Some(seed);
            Batches::once(corpus.clone(), config).unwrap().map(Result::unwrap).collect::<Vec<_>>()
        };
        assert!(once(1) == once(2));
    }
    let bytes = TokenizerConfig { kind: TokenizerKind::Byte, ..Default::default() };
    let error = SpanCorruption::new(0.3, 2.0, &Tokenizer::train(&bytes, true, std::iter::empty()).unwrap(), true);
    assert!(error.unwrap_err().to_string().contains("<extra_id_0>"));
}
