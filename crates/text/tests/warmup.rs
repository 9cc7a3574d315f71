//! Warm-up of the size of steps and of the length of sequences: what comes when, that nothing comes twice or is lost, and that a position gives
//! the same again.

use descant_batch::Batch;
use descant_text::{
    BatchConfig, Batches, Corpus, Mixture, Position, Ramp, Source, Tokenizer, TokenizerConfig, TokenizerKind, Waiting,
};
use std::sync::Arc;

/// Pairs whose source is their number, of targets of 1 to 40 tokens and an EOS.
fn pairs(count: u32) -> Arc<Corpus> {
    let pairs: Vec<([u32; 1], Vec<u32>)> = (0..count).map(|i| ([i], vec![7; 1 + (i * 31 % 40) as usize])).collect();
    Arc::new(Corpus::from_ids(pairs.iter().map(|(source, target)| (Some(&source[..]), &target[..]))))
}

/// One text of so many tokens.
fn continuous(tokens: usize) -> Arc<Corpus> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text.txt");
    let text: String = (0..tokens).map(|i| char::from(b'a' + (i * i % 26) as u8)).collect();
    std::fs::write(&path, text).unwrap();
    let config = TokenizerConfig { kind: TokenizerKind::Byte, ..Default::default() };
    let tokenizer = Tokenizer::train(&config, true, std::iter::empty()).unwrap();
    Arc::new(Corpus::encode(&Source::Stream { path }, None, &tokenizer, 9, None).unwrap())
}

fn config(set: impl FnOnce(&mut BatchConfig)) -> BatchConfig {
    let mut config = BatchConfig::default();
    (config.tokens, config.length, config.shuffle, config.whole_epochs) = (120, 20, Some(3), true);
    set(&mut config);
    config
}

/// The steps of an epoch that begins with step `first`.
fn epoch(batches: &mut Batches, first: u64) -> Vec<Vec<Batch>> {
    let this = batches.position().epoch;
    let mut steps = Vec::new();
    while batches.position().epoch == this {
        steps.push(batches.next_step(first + steps.len() as u64).unwrap());
    }
    steps
}

/// The numbers of pairs.
fn numbers<'a>(batches: impl IntoIterator<Item = &'a Batch>) -> Vec<u32> {
    let of = |batch: &Batch| batch.source.as_ref().map(|source| (0..source.len()).map(|i| source.get(i)[0]).collect());
    batches.into_iter().flat_map(|batch| -> Vec<u32> { of(batch).unwrap() }).collect()
}

/// That from each of the positions on the same comes as from the start.
fn assert_resumes(corpus: &Arc<Corpus>, config: &BatchConfig, steps: u64) {
    let mut unbroken = Batches::new(corpus.clone(), config.clone()).unwrap();
    let mut broken = Batches::new(corpus.clone(), config.clone()).unwrap();
    let mut has_waited = false;
    for step in 0..steps {
        let position: Position = serde_json::from_str(&serde_json::to_string(broken.position()).unwrap()).unwrap();
        has_waited |= !position.waiting.is_empty();
        broken = Batches::new(corpus.clone(), config.clone()).unwrap();
        broken.seek(position).unwrap();
        assert!(unbroken.next_step(step).unwrap() == broken.next_step(step).unwrap(), "step {step}");
        assert_eq!(unbroken.position(), broken.position());
    }
    assert!(has_waited);
}

#[test]
fn a_step_grows_and_has_the_same_sequences_in_the_same_order() {
    let ramp = Ramp { steps: 60, start: 0.1 };
    for (accumulate, sequences) in [(1, None), (4, None), (1, Some(10)), (3, Some(10))] {
        let base = config(|config| (config.accumulate, config.sequences) = (accumulate, sequences));
        let mut warm = base.clone();
        warm.batch_ramp = ramp;
        let corpus = pairs(20_000);
        let mut batches = Batches::new(corpus.clone(), warm.clone()).unwrap();
        let steps = epoch(&mut batches, 0);
        assert_eq!(steps.len() as u64, batches.count_steps(0, 0).unwrap());
        let whole = sequences.unwrap_or(120) * accumulate;
        let (mut sizes, mut shares) = (0.0, 0.0);
        for (step, batches) in steps.iter().enumerate() {
            let size = |batch: &Batch| sequences.map_or(batch.tokens(), |_| batch.target.len());
            let (size, share) =
                (batches.iter().map(size).sum::<usize>() as f64 / whole as f64, ramp.share(step as u64));
            if share < 1.0 {
                // To the nearest sequence.
                let half = sequences.map_or(41.0, |_| 1.0) / 2.0 / whole as f64;
                let single = batches.iter().map(|batch| batch.target.len()).sum::<usize>() == 1;
                assert!((size - share).abs() <= half + 1e-9 || single && size > share, "step {step}: {size} {share}");
                (sizes, shares) = (sizes + size, shares + share);
            } else {
                assert!(batches.len() == accumulate || step + 1 == steps.len() && batches.len() < accumulate);
            }
        }
        assert!((sizes / shares - 1.0).abs() < 0.05, "{sizes} of {shares}");
        let mut plain = Batches::new(corpus.clone(), base).unwrap();
        let same = epoch(&mut plain, 0);
        assert!(same.len() < steps.len());
        assert_eq!(numbers(steps.iter().flatten()), numbers(same.iter().flatten()));
        // Another epoch is as without a warm-up.
        assert!(epoch(&mut batches, 1000) == epoch(&mut plain, 1000));
        assert_resumes(&corpus, &warm, 70);
    }
}

#[test]
fn long_sequences_wait_and_come_as_soon_as_they_may() {
    let ramp = Ramp { steps: 300, start: 0.1 };
    let warm = config(|config| config.length_ramp = ramp);
    let corpus = pairs(20_000);
    let mut batches = Batches::new(corpus.clone(), warm.clone()).unwrap();
    let steps = epoch(&mut batches, 0);
    let mut seen = numbers(steps.iter().flatten());
    seen.sort_unstable();
    assert_eq!(seen, (0..20_000).collect::<Vec<_>>(), "each once, as the warm-up ends within the epoch");
    assert_eq!((batches.position().epoch, batches.count_left_out(1 << 40).unwrap()), (1, 0));
    let longest =
        |step: &[Batch]| step.iter().flat_map(|batch| (0..batch.target.len()).map(|i| batch.target.get(i).len())).max();
    for (step, batches) in steps.iter().enumerate().take(300) {
        // Lengths are even, so that the share of the sequences is that of the lengths; batches have as many tokens, so that long ones are more.
        let limit = 3.0 + 40.0 * ramp.share(step as u64).sqrt();
        assert!(longest(batches).unwrap() as f64 <= limit, "step {step}: {:?} {limit}", longest(batches));
    }
    assert!(longest(&steps[..150].concat()) < Some(36) && longest(&steps[..320].concat()) == Some(41));
    // Nothing waits for longer than the warm-up.
    assert!(batches.position().waiting.is_empty());
    assert_resumes(&corpus, &warm, 330);
    let mut both = warm;
    (both.batch_ramp, both.accumulate) = (Ramp { steps: 200, start: 0.2 }, 2);
    let mut batches = Batches::new(corpus.clone(), both.clone()).unwrap();
    let mut seen = numbers(epoch(&mut batches, 0).iter().flatten());
    seen.sort_unstable();
    assert_eq!(seen, (0..20_000).collect::<Vec<_>>());
    assert_resumes(&corpus, &both, 330);
}

#[test]
fn an_epoch_that_ends_before_the_warm_up_leaves_out_what_is_too_long_and_counts_it() {
    let warm = config(|config| config.length_ramp = Ramp { steps: 1000, start: 0.1 });
    let corpus = pairs(900);
    let mut batches = Batches::new(corpus.clone(), warm).unwrap();
    let (mut step, mut lacking) = (0, 0);
    let mut counts = Vec::new();
    while step < 1000 {
        let number = batches.position().epoch;
        assert!(!batches.position().is_start() || batches.position().batch == 0);
        let steps = epoch(&mut batches, step);
        assert_eq!(steps.len() as u64, batches.count_steps(number, step).unwrap());
        let mut seen = numbers(steps.iter().flatten());
        seen.sort_unstable();
        assert!(seen.windows(2).all(|two| two[0] < two[1]), "none twice");
        lacking += 900 - seen.len() as u64;
        counts.push(seen.len());
        step += steps.len() as u64;
    }
    assert!(counts.len() > 5 && counts[0] < 450 && counts.is_sorted(), "{counts:?}");
    assert_eq!(batches.count_left_out(1 << 40).unwrap(), lacking);
    assert_eq!(numbers(epoch(&mut batches, step).iter().flatten()).len(), 900);
    // Where the training ends within the warm-up, what waits then is left out too.
    let mut batches =
        Batches::new(corpus, config(|config| config.length_ramp = Ramp { steps: 100, start: 0.3 })).unwrap();
    let seen: usize = (0..9).map(|step| numbers(&batches.next_step(step).unwrap()).len()).sum();
    assert_eq!(batches.position().epoch, 0);
    assert!(batches.count_left_out(9).unwrap() > 0 && seen as u64 + batches.count_left_out(9).unwrap() < 900);
}

#[test]
fn mixed_corpora_and_blocks_warm_up_too() {
    let corpus = pairs(20_000);
    let blocks = config(|config| {
        (config.order, config.length_ramp) = (descant_text::Shuffle::Blocks, Ramp { steps: 300, start: 0.1 });
    });
    assert_resumes(&corpus, &blocks, 320);
    let folder = tempfile::tempdir().unwrap();
    let text = |name: &str, count: u32, word: &str| {
        let path = folder.path().join(name);
        let line = |i: u32| format!("{}\n", word.repeat(1 + (i * 31 % 40) as usize));
        std::fs::write(&path, (0..count).map(line).collect::<String>()).unwrap();
        Source::Lines { path }
    };
    let parts = vec![text("a.txt", 300, "a"), text("b.txt", 900, "b")];
    let kind = TokenizerConfig { kind: TokenizerKind::Byte, ..Default::default() };
    let tokenizer = Tokenizer::train(&kind, true, std::iter::empty()).unwrap();
    let corpus = Arc::new(Corpus::encode(&Source::Several { parts }, None, &tokenizer, 99, None).unwrap());
    let mixed = config(|config| {
        config.mixture = Some(Mixture::Weights(vec![1.0, 1.0]));
        (config.length_ramp, config.batch_ramp) = (Ramp { steps: 40, start: 0.2 }, Ramp { steps: 30, start: 0.3 });
    });
    let mut batches = Batches::new(corpus.clone(), mixed.clone()).unwrap();
    let all: usize = epoch(&mut batches, 0).iter().flatten().map(|batch| batch.target.len()).sum();
    assert_eq!(all as u64 + batches.count_left_out(1 << 40).unwrap(), 1200);
    assert_resumes(&corpus, &mixed, 60);
}

#[test]
fn chunks_of_a_continuous_text_grow_and_have_all_tokens() {
    let corpus = continuous(20_000);
    let ramp = Ramp { steps: 50, start: 0.05 };
    let warm = config(|config| (config.length_ramp, config.batch_ramp) = (ramp, Ramp { steps: 20, start: 0.5 }));
    let mut batches = Batches::new(corpus.clone(), warm.clone()).unwrap();
    let steps = epoch(&mut batches, 0);
    for (step, batch) in steps.iter().enumerate().flat_map(|(step, parts)| parts.iter().map(move |part| (step, part))) {
        let lengths: Vec<usize> = (0..batch.target.len()).map(|i| batch.target.get(i).len()).collect();
        let limit = (20.0 * ramp.share(step as u64)).max(1.0) as usize;
        assert!(lengths.iter().all(|&length| length <= limit), "step {step}: {lengths:?} {limit}");
        assert!(lengths.iter().filter(|&&length| 2 * length > limit).count() >= lengths.len() / 2, "{lengths:?}");
    }
    let targets: Vec<u32> = steps.iter().flatten().flat_map(|batch| batch.target.ids.clone()).collect();
    let mut plain = Batches::new(corpus.clone(), config(|_| {})).unwrap();
    let same: Vec<u32> = epoch(&mut plain, 0).iter().flatten().flat_map(|batch| batch.target.ids.clone()).collect();
    assert_eq!(targets, same, "in the same order");
    assert_eq!(targets.len(), 19_999);
    assert_resumes(&corpus, &warm, 60);
}

#[test]
fn streams_go_on_where_the_shorter_chunk_ended() {
    let corpus = continuous(5_003);
    let ramp = Ramp { steps: 30, start: 0.1 };
    let warm = config(|config| {
        (config.streams, config.sequences, config.length_ramp) = (true, Some(4), ramp);
    });
    let mut batches = Batches::new(corpus.clone(), warm.clone()).unwrap();
    let steps = epoch(&mut batches, 0);
    assert_eq!(steps.len() as u64, batches.count_steps(0, 0).unwrap());
    let mut rows: Vec<[Vec<u32>; 2]> = vec![Default::default(); 4];
    for (step, batch) in steps.iter().flatten().enumerate() {
        let limit = (20.0 * ramp.share(step as u64)).max(1.0) as usize;
        for (i, [inputs, targets]) in rows.iter_mut().enumerate().take(batch.target.len()) {
            assert!(batch.target.get(i).len() <= limit, "step {step}");
            inputs.extend(batch.input.get(i));
            targets.extend(batch.target.get(i));
        }
    }
    let tokens: usize = rows.iter().map(|[_, targets]| targets.len()).sum();
    assert_eq!(tokens, 5_002);
    assert!(rows.iter().all(|[inputs, targets]| inputs[1..] == targets[..targets.len() - 1]), "each row is one stream");
    // The same as without.
    let mut without = warm.clone();
    without.length_ramp = Ramp::default();
    let mut plain = Batches::new(corpus.clone(), without).unwrap();
    let mut same: Vec<Vec<u32>> = vec![Vec::new(); 4];
    for batch in epoch(&mut plain, 0).iter().flatten() {
        (0..batch.target.len()).for_each(|row| same[row].extend(batch.target.get(row)));
    }
    assert!(rows.iter().zip(&same).all(|([_, targets], same)| targets == same));
    assert_resumes(&corpus, &warm, 60);
}

#[test]
fn a_position_that_the_corpus_has_not_is_refused_and_never_a_panic() {
    let warm = config(|config| config.length_ramp = Ramp { steps: 300, start: 0.1 });
    let mut batches = Batches::new(pairs(500), warm).unwrap();
    batches.next_step(0).unwrap();
    let position = batches.position().clone();
    assert!(!position.waiting.is_empty());
    let changes: [fn(&mut Waiting); 3] = [|w| w.window = 9, |w| w.batch = 1 << 40, |w| w.taken = 1 << 40];
    for change in changes {
        let mut wrong = position.clone();
        change(&mut wrong.waiting[0]);
        wrong.waiting[0].due = 0;
        let found = batches.seek(wrong).and_then(|()| batches.next_step(1));
        assert!(found.is_err());
    }
}
