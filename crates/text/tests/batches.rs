//! Corpora and batches: every sequence once in an epoch, the same order again from a seed or a position, nothing lost on
//! the way through a file.

use descant_text::{
    BOS, Batch, BatchConfig, Batches, Corpus, EOS, Position, Source, Special, TextError, Tokenizer, TokenizerConfig,
    TokenizerKind,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const SPECIAL: Special = Special { unknown: Some(0), beginning: BOS, end: EOS, entries: None };
const CONFIG: BatchConfig =
    BatchConfig { tokens: 50, sequences: None, length: 7, shuffle: Some(3), special: [SPECIAL; 2] };

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn bytes() -> Tokenizer {
    let config = TokenizerConfig { kind: TokenizerKind::Byte, ..Default::default() };
    Tokenizer::train(&config, true, std::iter::empty()).unwrap()
}

/// Sequences whose first ids are their numbers, of lengths from 1 to 12.
fn numbered(count: u32) -> Arc<Corpus> {
    let target = |i: u32| (0..1 + i % 12).map(|j| 10 + i + j * 7).collect::<Vec<u32>>();
    let pairs: Vec<(Vec<u32>, Vec<u32>)> = (0..count).map(|i| (vec![i; 1 + i as usize % 3], target(i))).collect();
    Arc::new(Corpus::from_ids(pairs.iter().map(|(source, target)| (Some(&source[..]), &target[..]))))
}

fn epoch(batches: &mut Batches) -> Vec<Batch> {
    let this = batches.position().epoch;
    std::iter::from_fn(|| (batches.position().epoch == this).then(|| batches.next_batch().unwrap())).collect()
}

#[test]
fn an_epoch_has_every_pair_once_in_batches_that_are_not_too_large() {
    let count = 40_000;
    let mut batches = Batches::new(numbered(count), CONFIG).unwrap();
    let first = epoch(&mut batches);
    let mut seen: Vec<u32> = Vec::new();
    for batch in &first {
        assert!(batch.tokens() <= CONFIG.tokens);
        let source = batch.source.as_ref().unwrap();
        for i in 0..source.len() {
            let (number, target) = (source.get(i)[0], batch.target.get(i));
            assert_eq!(source.get(i).last(), Some(&EOS));
            assert_eq!(target.len(), 2 + number as usize % 12);
            assert_eq!(target[0], 10 + number);
            assert_eq!(target.last(), Some(&EOS));
            assert_eq!(batch.input.get(i)[0], BOS);
            assert_eq!(batch.input.get(i)[1..], target[..target.len() - 1]);
            seen.push(number);
        }
    }
    assert_ne!(seen[..100], (0..100).collect::<Vec<_>>()[..], "shuffled");
    let mut second: Vec<u32> = Vec::new();
    for batch in epoch(&mut batches) {
        let source = batch.source.unwrap();
        second.extend((0..source.len()).map(|i| source.get(i)[0]));
    }
    assert_ne!(seen, second, "each epoch has its own order");
    seen.sort_unstable();
    second.sort_unstable();
    assert_eq!(seen, (0..count).collect::<Vec<_>>());
    assert_eq!(seen, second);
    assert!(first.len() < 1 + (count as usize * 8) / 45, "batches are nearly full: {}", first.len());
}

#[test]
fn a_position_and_a_seed_give_the_same_batches_again() {
    let mut batches = Batches::new(numbered(20_000), CONFIG).unwrap();
    for _ in 0..6100 {
        batches.next_batch().unwrap();
    }
    let position = batches.position();
    assert!(position.epoch == 1 && position.batch > 0, "{position:?}");
    let ahead: Vec<Batch> = (0..3000).map(|_| batches.next_batch().unwrap()).collect();
    let mut other = Batches::new(numbered(20_000), CONFIG).unwrap();
    other.seek(position).unwrap();
    assert_eq!(other.position(), position);
    assert_eq!((0..3000).map(|_| other.next_batch().unwrap()).collect::<Vec<_>>(), ahead);
    let beyond = Position { batch: 1 << 40, ..position };
    assert!(matches!(other.seek(beyond), Err(TextError::Damaged { .. })));
}

#[test]
fn a_continuous_text_is_predicted_whole_in_every_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let text: String = (0..9000).map(|i| char::from(b'a' + (i * i % 26) as u8)).collect();
    let path = write(folder.path(), "text.txt", &text);
    let source = Source::Stream { path };
    let tokenizer = bytes();
    let stored = folder.path().join("data");
    let corpus = Corpus::encode(&source, None, &tokenizer, 5, Some(&stored)).unwrap();
    let (train, held_out) = corpus.split(0.1);
    assert_eq!((train.len(), held_out.len()), (8100, 900));
    let ids = tokenizer.encode(&text).unwrap();
    for (part, ids) in [(train, &ids[..8100]), (held_out, &ids[8100..])] {
        let mut batches = Batches::new(Arc::new(part), CONFIG).unwrap();
        for _ in 0..3 {
            let mut predicted = Vec::new();
            for batch in epoch(&mut batches) {
                for i in 0..batch.target.len() {
                    let (input, target) = (batch.input.get(i), batch.target.get(i));
                    assert!(input.len() == target.len() && input.len() <= CONFIG.length);
                    assert_eq!(input[1..], target[..target.len() - 1]);
                    predicted.extend_from_slice(target);
                }
            }
            let mut expected = ids[1..].to_vec();
            predicted.sort_unstable();
            expected.sort_unstable();
            assert_eq!(predicted, expected);
        }
    }
}

#[test]
fn what_was_encoded_is_read_again_and_long_or_empty_pairs_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let source = write(folder.path(), "a.src", "one\n\nthree\nfour is long\nfive\n");
    let target = write(folder.path(), "a.tgt", "1\n2\n33\n4\n5\n");
    let tokenizer = bytes();
    let text = Source::Parallel { source: source.clone(), target };
    let place = folder.path().join("data");
    let read = |corpus: Corpus| {
        let config = BatchConfig { tokens: 1, ..CONFIG };
        let batches = Batches::once(Arc::new(corpus), config).unwrap();
        let decode = |batch: Batch| {
            let ids = batch.source.unwrap().ids;
            (tokenizer.decode(&ids).unwrap(), tokenizer.decode(&batch.target.ids).unwrap())
        };
        let mut pairs: Vec<(String, String)> = batches.map(|batch| decode(batch.unwrap())).collect();
        pairs.sort();
        pairs
    };
    let expected = [("five", "5"), ("one", "1"), ("three", "33")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    for place in [None, Some(place.as_path()), Some(place.as_path())] {
        let corpus = Corpus::encode(&text, Some(&tokenizer), &tokenizer, 5, place).unwrap();
        assert_eq!(corpus.len(), 3);
        assert_eq!(read(corpus), expected);
        std::fs::write(&source, "the text has changed\n").unwrap();
        if place.is_none() {
            std::fs::write(&source, "one\n\nthree\nfour is long\nfive\n").unwrap();
        }
    }
    std::fs::write(place.join("target.ids"), "x").unwrap();
    let error = Corpus::encode(&text, Some(&tokenizer), &tokenizer, 5, Some(&place)).unwrap_err();
    assert!(matches!(error, TextError::Damaged { .. }), "{error}");
}

#[test]
fn wrong_texts_are_told_by_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let tokenizer = bytes();
    let encode = |text: &Source| Corpus::encode(text, Some(&tokenizer), &tokenizer, 9, None).unwrap_err();
    let (source, target) = (write(folder.path(), "a", "1\n2\n3\n"), write(folder.path(), "b", "1\n2\n3\n4\n5\n"));
    let error = encode(&Source::Parallel { source: source.clone(), target });
    assert!(matches!(error, TextError::UnequalLines { source_lines: 3, target_lines: 5, .. }), "{error}");
    let path = write(folder.path(), "c", "a\tb\n\na b\n");
    let error = encode(&Source::Tsv { path: path.clone(), source_column: 0, target_column: 1 });
    assert!(matches!(error, TextError::Columns { line: 3, expected: 2, found: 1, .. }), "{error}");
    let path = write(folder.path(), "d", "0123456789\n");
    assert!(matches!(encode(&Source::Lines { path }), TextError::NothingLeft { .. }));
    let path = write(folder.path(), "e", "x");
    let error = Corpus::encode(&Source::Stream { path }, None, &tokenizer, 9, None).unwrap_err();
    assert!(matches!(error, TextError::TooLittle { .. }), "{error}");
}
