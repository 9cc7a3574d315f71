//! The orders of an epoch: over the whole corpus, or by blocks; each sequence once, and from any position the same again.

use descant_batch::Batch;
use descant_text::{
    Annotations, BatchConfig, Batches, ControlConfig, Corpus, Mixture, Noise, NoiseConfig, Position, Shuffle, Source,
    Tokenizer, TokenizerConfig, TokenizerKind,
};
use std::collections::HashSet;
use std::sync::Arc;

/// Sequences of a window.
const WINDOW: u32 = 64 * 256;
const COUNT: u32 = 6 * WINDOW + 1000;

fn config(order: Shuffle) -> BatchConfig {
    let mut config = BatchConfig::default();
    (config.tokens, config.shuffle, config.order) = (4000, Some(3), order);
    config
}

/// Sequences whose first ids are their numbers, of lengths from 1 to 7.
fn numbered(count: u32) -> Arc<Corpus> {
    let targets: Vec<Vec<u32>> = (0..count).map(|i| vec![i; 1 + i as usize % 7]).collect();
    Arc::new(Corpus::from_ids(targets.iter().map(|target| (None, &target[..]))))
}

fn numbers(batch: &Batch) -> impl Iterator<Item = u32> {
    (0..batch.target.len()).map(|i| batch.target.get(i)[0])
}

fn bytes() -> Tokenizer {
    let config = TokenizerConfig { kind: TokenizerKind::Byte, ..Default::default() };
    Tokenizer::train(&config, true, std::iter::empty()).unwrap()
}

/// The numbers of what is left of the window that comes next.
fn window(batches: &mut Batches) -> Vec<u32> {
    let (epoch, window) = (batches.position().epoch, batches.position().window);
    let mut found = Vec::new();
    while (batches.position().epoch, batches.position().window) == (epoch, window) {
        found.extend(numbers(&batches.next_batch().unwrap()));
    }
    found
}

#[test]
fn every_sequence_comes_once_in_an_epoch_and_in_another_order_in_the_next() {
    for order in [Shuffle::Exact, Shuffle::Blocks] {
        // A part whose first sequence is not the first of a block, too.
        let (part, _) = numbered(COUNT).split(0.1);
        let (_, end) = part.split(0.777);
        for (corpus, range) in [(part, 0..COUNT - 9930), (end, COUNT - 9930 - 69_444..COUNT - 9930)] {
            let length = range.len() as u64;
            assert_eq!(corpus.len(), length);
            let mut batches = Batches::new(Arc::new(corpus), config(order)).unwrap();
            let counted = batches.count(0).unwrap();
            let mut epochs = Vec::new();
            for epoch in 0..2 {
                let (mut all, mut count) = (Vec::new(), 0);
                while batches.position().epoch == epoch {
                    let batch = batches.next_batch().unwrap();
                    assert!(batch.tokens() <= 4000);
                    all.extend(numbers(&batch));
                    count += 1;
                }
                assert!(epoch > 0 || count == counted);
                epochs.push(all);
            }
            assert_ne!(epochs[0], epochs[1]);
            for mut all in epochs {
                all.sort_unstable();
                assert!(all.iter().copied().eq(range.clone()), "{order:?}");
            }
        }
    }
}

#[test]
fn neighbours_of_a_text_are_as_far_apart_as_any_others() {
    let share = |order| {
        let found: HashSet<u32> =
            window(&mut Batches::new(numbered(COUNT), config(order)).unwrap()).into_iter().collect();
        assert_eq!(found.len(), WINDOW as usize);
        let parts = found.iter().fold([0_u32; 6], |mut parts, number| {
            parts[(number * 6 / COUNT) as usize] += 1;
            parts
        });
        let beside = found.iter().filter(|number| found.contains(&(*number + 1))).count();
        (beside as f64 / found.len() as f64, parts)
    };
    let (beside, parts) = share(Shuffle::Exact);
    let expected = f64::from(WINDOW) / f64::from(COUNT);
    assert!((beside - expected).abs() < 0.015, "{beside} {expected}");
    // Each sixth of the text has its share: of 2,731 ± 47.
    assert!(parts.iter().all(|&count| (2500..2960).contains(&count)), "{parts:?}");
    assert!(share(Shuffle::Blocks).0 > 0.99);
}

#[test]
fn a_position_in_any_window_goes_on_with_the_same_batches() {
    let corpus = numbered(COUNT);
    for order in [Shuffle::Exact, Shuffle::Blocks] {
        let mut batches = Batches::new(corpus.clone(), config(order)).unwrap();
        let _ = [window(&mut batches), window(&mut batches)];
        for _ in 0..9 {
            batches.next_batch().unwrap();
        }
        let position = batches.position().clone();
        assert_eq!((position.epoch, position.window, position.batch), (0, 2, 9));
        let ahead: Vec<Batch> = (0..60).map(|_| batches.next_batch().unwrap()).collect();
        let mut other = Batches::new(corpus.clone(), config(order)).unwrap();
        other.seek(position.clone()).unwrap();
        assert!((0..60).map(|_| other.next_batch().unwrap()).eq(ahead), "{order:?}");
        for window in [7, u64::MAX] {
            assert!(other.seek(Position { window, ..position.clone() }).is_err());
        }
    }
}

#[test]
fn one_window_has_one_order() {
    let all = |order| {
        let mut batches = Batches::new(numbered(WINDOW), config(order)).unwrap();
        window(&mut batches)
    };
    assert_eq!(all(Shuffle::Exact), all(Shuffle::Blocks));
}

#[test]
fn chunks_of_a_continuous_text_are_shuffled_over_all_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text.txt");
    std::fs::write(&path, (0..60_000_u32).map(|i| char::from(b'a' + (i * i % 25) as u8)).collect::<String>()).unwrap();
    let corpus = Corpus::encode(&Source::Stream { path }, None, &bytes(), 9, None).unwrap();
    let mut config = config(Shuffle::Exact);
    config.length = 3;
    let mut batches = Batches::new(Arc::new(corpus), config).unwrap();
    for epoch in 0..3 {
        let mut tokens = 0;
        while batches.position().epoch == epoch {
            let batch = batches.next_batch().unwrap();
            assert!((0..batch.target.len()).all(|i| batch.target.get(i).len() <= 3));
            tokens += batch.target.ids.len();
        }
        assert_eq!(tokens, 59_999);
    }
}

#[test]
fn mixed_corpora_have_their_shares_and_go_on_from_any_position() {
    let folder = tempfile::tempdir().unwrap();
    let part = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        Source::Lines { path }
    };
    // Of the first, in two files, 30,000 lines and an empty one, and of the other 500.
    let first = vec![part("a", "a\n".repeat(20_000)), part("b", "\n".to_owned() + &"a\n".repeat(10_000))];
    let text = Source::Several { parts: vec![Source::Several { parts: first }, part("c", "z\n".repeat(500))] };
    let place = folder.path().join("data");
    for _ in 0..2 {
        let corpus = Arc::new(Corpus::encode(&text, None, &bytes(), 9, Some(&place)).unwrap());
        assert_eq!(corpus.sizes(), [30_000, 500]);
        let mut config = config(Shuffle::Exact);
        config.mixture = Some(Mixture::Weights(vec![3.0, 1.0]));
        let mut batches = Batches::new(corpus.clone(), config.clone()).unwrap();
        assert_eq!(batches.draws(), Some(vec![22_875, 7625]));
        assert_eq!(batches.count(0).unwrap(), batches.count(1).unwrap());
        let other = bytes().encode("z").unwrap()[0];
        let (mut drawn, mut windows) = ([0, 0], Vec::new());
        while batches.position().epoch == 0 {
            let found = window(&mut batches);
            windows.push(found.iter().filter(|id| **id == other).count() as f64 / found.len() as f64);
            found.iter().for_each(|id| drawn[usize::from(*id == other)] += 1);
        }
        assert_eq!(drawn, [22_875, 7625]);
        assert!(windows.iter().all(|share| (share - 0.25).abs() < 0.02), "{windows:?}");
        batches.next_batch().unwrap();
        let position = batches.position().clone();
        let ahead: Vec<Batch> = (0..20).map(|_| batches.next_batch().unwrap()).collect();
        let mut again = Batches::new(corpus.clone(), config.clone()).unwrap();
        again.seek(position.clone()).unwrap();
        assert!((0..20).map(|_| again.next_batch().unwrap()).eq(ahead));
        // What is measured on is in its own order, and another number of weights is none of these corpora.
        assert_eq!(
            Batches::once(corpus.clone(), config.clone())
                .unwrap()
                .map(|batch| batch.unwrap().target.len())
                .sum::<usize>(),
            30_500
        );
        config.mixture = Some(Mixture::Weights(vec![1.0; 3]));
        assert!(Batches::new(corpus, config).is_err());
    }
}

#[test]
fn copies_of_a_sequence_in_a_mixed_epoch_have_noise_and_dropout_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let control: ControlConfig = serde_json::from_str(r#"{"register": ["formal"], "place": ["north"]}"#).unwrap();
    let tokenizer = Arc::new(bytes().with_marks(&control.tokens()).unwrap());
    let annotations = Annotations { control: Some(control.clone()), ..Annotations::default() };
    let part = |name: &str, count: usize| {
        let path = folder.path().join(name);
        let object = r#"{"prompt": "one two three four five six", "completion": "NAME", "register": "formal", "place": "north"}"#;
        std::fs::write(&path, (object.replace("NAME", name) + "\n").repeat(count)).unwrap();
        Source::json(&path, None, &annotations).unwrap()
    };
    let source = Box::new(Source::Several { parts: vec![part("a.json", 1), part("b.json", 15)] });
    let text = Source::Annotated { source, annotations };
    let corpus = Arc::new(Corpus::encode(&text, Some(&*tokenizer), &tokenizer, 99, None).unwrap());
    let mut noise = NoiseConfig::default();
    noise.drop = 0.5;
    let mut config = config(Shuffle::Exact);
    config.mixture = Some(Mixture::Weights(vec![1.0, 1.0]));
    config.noise = Some(Noise::new(noise, &tokenizer, usize::MAX).unwrap());
    config.control_dropout = 0.5;
    // The sources of the only sequence of the first corpus: eight in an epoch.
    let copies = |batches: &mut Batches, epochs: std::ops::Range<u64>| {
        let mut found: Vec<Vec<u32>> = Vec::new();
        while epochs.contains(&batches.position().epoch) {
            let batch = batches.next_batch().unwrap();
            let own = (0..batch.target.len()).filter(|&i| tokenizer.decode(&batch.target.get(i)[..1]).unwrap() == "a");
            found.extend(own.map(|i| batch.source.as_ref().unwrap().get(i).to_vec()));
        }
        found
    };
    let mut batches = Batches::new(corpus.clone(), config.clone()).unwrap();
    let all = copies(&mut batches, 0..4);
    assert_eq!(all.len(), 32);
    let marks: Vec<u32> = control.tokens().iter().map(|token| tokenizer.id(token).unwrap()).collect();
    let differ = |copies: &[Vec<u32>]| {
        let attributes = |copy: &Vec<u32>| copy.iter().copied().filter(|id| marks.contains(id)).collect::<Vec<_>>();
        let words = |copy: &Vec<u32>| copy.iter().copied().filter(|id| !marks.contains(id)).collect::<Vec<_>>();
        (
            copies.iter().map(attributes).collect::<HashSet<_>>().len(),
            copies.iter().map(words).collect::<HashSet<_>>().len(),
        )
    };
    // Of four choices of attributes, and of 63 of words.
    let (attributes, words) = differ(&all[..8]);
    assert!(attributes > 1 && words > 4, "{attributes} {words}");
    assert!(differ(&all).1 > 15);
    // The same from a position.
    let mut again = Batches::new(corpus, config).unwrap();
    again.seek(Position { epoch: 2, ..Position::default() }).unwrap();
    assert_eq!(copies(&mut again, 2..4), all[16..]);
}
