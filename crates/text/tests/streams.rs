//! Streams of a continuous text: each row of the batches reads its own part of it, from end to end, and all of it in every epoch.

use descant_batch::Batch;
use descant_text::{BatchConfig, Batches, Corpus, Source, Tokenizer, TokenizerConfig, TokenizerKind};
use std::sync::Arc;

const LENGTH: usize = 7;

/// A text of so many tokens, its ids, and it as a corpus.
fn corpus(tokens: usize) -> (Vec<u32>, Arc<Corpus>) {
    let folder = tempfile::tempdir().unwrap();
    let text: String = (0..tokens).map(|i| char::from(b'a' + (i * i % 26) as u8)).collect();
    let path = folder.path().join("text.txt");
    std::fs::write(&path, &text).unwrap();
    let config = TokenizerConfig { kind: TokenizerKind::Byte, ..Default::default() };
    let tokenizer = Tokenizer::train(&config, true, std::iter::empty()).unwrap();
    let corpus = Corpus::encode(&Source::Stream { path }, None, &tokenizer, 5, None).unwrap();
    (tokenizer.encode(&text).unwrap(), Arc::new(corpus))
}

fn config(rows: usize, shuffle: Option<u64>) -> BatchConfig {
    let mut config = BatchConfig::default();
    (config.sequences, config.length, config.shuffle, config.streams) = (Some(rows), LENGTH, shuffle, true);
    config
}

fn epoch(batches: &mut Batches) -> Vec<Batch> {
    let this = batches.position().epoch;
    std::iter::from_fn(|| (batches.position().epoch == this).then(|| batches.next_batch().unwrap())).collect()
}

/// What each row reads and predicts in an epoch.
fn rows(epoch: &[Batch]) -> Vec<[Vec<u32>; 2]> {
    let mut rows = vec![[Vec::new(), Vec::new()]; epoch[0].target.len()];
    for batch in epoch {
        assert!(batch.target.len() <= rows.len());
        for (i, [input, target]) in rows.iter_mut().enumerate().take(batch.target.len()) {
            assert!((1..=LENGTH).contains(&batch.target.get(i).len()));
            input.extend(batch.input.get(i));
            target.extend(batch.target.get(i));
        }
    }
    rows
}

#[test]
fn every_row_reads_a_part_of_the_text_and_all_read_the_whole_of_it() {
    for (tokens, number) in [(1000, 8), (1000, 1), (57, 8), (58, 8), (64, 8), (12, 5), (3, 8), (2, 1)] {
        let (ids, corpus) = corpus(tokens);
        let mut batches = Batches::new(corpus, config(number, Some(3))).unwrap();
        let mut counts = Vec::new();
        for number in 0..4 {
            let count = batches.count(number).unwrap();
            let epoch = epoch(&mut batches);
            assert_eq!(epoch.len() as u64, count);
            counts.push(epoch[0].target.get(0).len());
            let rows = rows(&epoch);
            let [inputs, targets] =
                [0, 1].map(|side| rows.iter().flat_map(|row| row[side].clone()).collect::<Vec<_>>());
            assert_eq!(inputs, ids[..tokens - 1], "{tokens} {number}");
            assert_eq!(targets, ids[1..], "{tokens} {number}");
            let lengths: Vec<usize> = rows.iter().map(|[input, _]| input.len()).collect();
            assert!(lengths.is_sorted_by(|a, b| a >= b) && lengths[0] - lengths[lengths.len() - 1] <= 1, "{lengths:?}");
        }
        assert!(
            tokens < 1000 || counts.iter().any(|&count| count != counts[0]),
            "chunks lie elsewhere in other epochs"
        );
    }
}

#[test]
fn the_batches_are_the_same_from_any_position() {
    let (_, corpus) = corpus(500);
    let mut batches = Batches::new(corpus.clone(), config(4, Some(3))).unwrap();
    for _ in 0..50 {
        let position = batches.position().clone();
        let mut again = Batches::new(corpus.clone(), config(4, Some(3))).unwrap();
        again.seek(position.clone()).unwrap();
        assert_eq!(batches.next_batch().unwrap(), again.next_batch().unwrap());
    }
    let mut beyond = batches.position().clone();
    beyond.window = 1000;
    assert!(batches.seek(beyond).is_err());
}

#[test]
fn a_text_that_is_measured_has_streams_of_many_chunks() {
    for (tokens, number) in [(1401, 8), (281, 4), (280, 3), (141, 2), (60, 1)] {
        let (_, corpus) = corpus(tokens);
        let batches = Batches::once(corpus, config(8, None)).unwrap().collect::<Result<Vec<_>, _>>().unwrap();
        assert_eq!(batches[0].target.len(), number, "{tokens}");
        assert_eq!(batches.iter().map(|batch| batch.target.tokens()).sum::<usize>(), tokens - 1);
    }
}
