//! Corpora and batches: every sequence once in an epoch, the same order again from a seed or a position, nothing lost on
//! the way through a file.

use descant_batch::Batch;
use descant_text::{
    Annotations, BOS, BatchConfig, Batches, ChatTemplate, Columns, ControlConfig, Corpus, EOS, Example, Form, Found,
    Lengths, Place, Position, Source, TextError, Tokenizer, TokenizerConfig, TokenizerKind,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const TOKENS: usize = 50;
const LENGTH: usize = 7;

fn config() -> BatchConfig {
    let mut config = BatchConfig::default();
    (config.tokens, config.length, config.shuffle) = (TOKENS, LENGTH, Some(3));
    config
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn json(folder: &Path, name: &str, text: &str) -> Result<Source, TextError> {
    Source::json(&write(folder, name, text), None, &Annotations::default())
}

fn found(count: u64, line: u64) -> Found {
    Found { count, first: Place { line, file: 0 } }
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
    let mut batches = Batches::new(numbered(count), config()).unwrap();
    let first = epoch(&mut batches);
    let mut seen: Vec<u32> = Vec::new();
    for batch in &first {
        assert!(batch.tokens() <= TOKENS);
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
fn the_longer_side_of_a_pair_counts() {
    let long = [5; 30];
    let pairs = (0..500).map(|i| match i {
        // One that is longer than a batch may be.
        250 => (vec![5; 1000], vec![7]),
        i => (long[..1 + i % 30].to_vec(), long[..1 + i / 30 % 4].to_vec()),
    });
    let pairs: Vec<(Vec<u32>, Vec<u32>)> = pairs.collect();
    let corpus = Arc::new(Corpus::from_ids(pairs.iter().map(|(source, target)| (Some(&source[..]), &target[..]))));
    let batches = epoch(&mut Batches::new(corpus, config()).unwrap());
    let tokens = |batch: &Batch| batch.source.as_ref().unwrap().tokens();
    assert!(
        batches.iter().all(|batch| (tokens(batch) <= TOKENS && batch.tokens() <= TOKENS) || batch.target.len() == 1)
    );
    assert_eq!(batches.iter().map(|batch| batch.target.len()).sum::<usize>(), 500);
    let ideal = batches.iter().map(tokens).filter(|&tokens| tokens < 1000).sum::<usize>() / TOKENS;
    assert!(batches.len() < 2 * ideal, "batches are well filled: {} {ideal}", batches.len());
}

#[test]
fn a_position_and_a_seed_give_the_same_batches_again() {
    let mut batches = Batches::new(numbered(20_000), config()).unwrap();
    for _ in 0..6100 {
        batches.next_batch().unwrap();
    }
    let position = batches.position().clone();
    assert!(position.epoch == 1 && position.batch > 0, "{position:?}");
    let ahead: Vec<Batch> = (0..3000).map(|_| batches.next_batch().unwrap()).collect();
    let mut other = Batches::new(numbered(20_000), config()).unwrap();
    other.seek(position.clone()).unwrap();
    assert_eq!(*other.position(), position);
    assert_eq!((0..3000).map(|_| other.next_batch().unwrap()).collect::<Vec<_>>(), ahead);
    let beyond = Position { batch: 1 << 40, ..position.clone() };
    assert!(matches!(other.seek(beyond), Err(TextError::OtherText { .. })));
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
        let mut batches = Batches::new(Arc::new(part), config()).unwrap();
        for _ in 0..3 {
            let mut predicted = Vec::new();
            for batch in epoch(&mut batches) {
                for i in 0..batch.target.len() {
                    let (input, target) = (batch.input.get(i), batch.target.get(i));
                    assert!(input.len() == target.len() && input.len() <= LENGTH);
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
        let mut config = config();
        config.tokens = 1;
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
    let changed = Corpus::encode(&text, Some(&tokenizer), &tokenizer, 5, Some(&place)).unwrap().check_texts(&text);
    assert!(matches!(changed, Err(TextError::Changed { path }) if path == source));
}

#[test]
fn what_is_left_out_is_counted_by_side_with_its_first_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "a.tsv", "one\t1\n\t2\n\nthree\t\n\t\nlonger\t6\nsix\tlonger\nx</s>\tab\n");
    let text = Source::Tsv { path, columns: None };
    let tokenizer = bytes();
    let place = folder.path().join("data");
    for _ in 0..2 {
        let corpus = Corpus::encode(&text, Some(&tokenizer), &tokenizer, 5, Some(&place)).unwrap();
        let report = corpus.report();
        assert_eq!((report.examples, report.left_out, report.max_length), (7, 5, Some(5)));
        let found = |found: Found| (found.count, found.first.line);
        assert_eq!((found(report.source.empty), found(report.target.empty)), ((2, 2), (2, 4)));
        assert_eq!((found(report.source.long), found(report.target.long)), ((1, 6), (1, 7)));
        assert_eq!((found(report.source.control), found(report.target.control)), ((1, 8), (0, 0)));
        assert_eq!((report.source.tokens, report.target.tokens), (8, 3));
        let (longest_source, longest_target, longest_sequence) = (5, 2, 2);
        let lengths = Lengths { longest_source, longest_target, longest_sequence, largest_ratio: [2, 5] };
        assert_eq!(report.lengths, lengths);
        assert_eq!(corpus.examples().unwrap(), [0, 6]);
        assert_eq!(Corpus::report_in(&place).unwrap().as_ref(), Some(report));
        let (_, last) = corpus.split(0.5);
        assert_eq!(last.examples().unwrap(), [6]);
    }
    assert_eq!(Corpus::report_in(folder.path()).unwrap(), None);
}

#[test]
fn unknown_tokens_are_counted_and_half_of_them_are_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let config = TokenizerConfig { kind: TokenizerKind::Character, ..Default::default() };
    let known = Tokenizer::train(&config, false, ["abcd"].into_iter().map(|text| Ok(text.to_owned()))).unwrap();
    let encode = |text: &str| {
        let path = write(folder.path(), "text", text);
        Corpus::encode(&Source::Lines { path }, None, &known, 9, None)
    };
    let corpus = encode("ab\nac\n☃c你☃\nad\n").unwrap();
    let target = &corpus.report().target;
    assert_eq!((target.unknown, target.tokens), (found(3, 3), 10));
    assert_eq!(target.unknown_parts, ["☃", "你"]);
    let error = encode("ab\n你好\n").unwrap_err();
    assert!(matches!(error, TextError::Unknown { side: "target", percent: 50, .. }), "{error}");
    let message = error.to_string();
    let parts = ["first in line 2: ", "你", "tokenizer.vocabulary", "byte-bpe"];
    assert!(parts.iter().all(|part| message.contains(part)), "{message}");
}

#[test]
fn a_corpus_that_is_damaged_is_told_whatever_file_and_byte_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "a.tsv", "one\t1\ntwo\t22\nthree\t333\n");
    let text = Source::Tsv { path, columns: None };
    let tokenizer = bytes();
    for source in [Some(&tokenizer), None] {
        let place = folder.path().join("data");
        let open = || Corpus::encode(&text, source, &tokenizer, 9, Some(&place));
        let sum = |corpus: Corpus| Batches::new(Arc::new(corpus), config()).unwrap().position().corpus.unwrap();
        let checksum = sum(open().unwrap());
        let mut files = 0;
        for entry in std::fs::read_dir(&place).unwrap() {
            let path = entry.unwrap().path();
            let good = std::fs::read(&path).unwrap();
            let cut = (0..good.len()).map(|length| good[..length].to_vec());
            let flipped = (0..good.len()).map(|i| [&good[..i], &[good[i] ^ 1], &good[i + 1..]].concat());
            for bad in cut.chain(flipped).chain([[&good[..], &good[..]].concat()]) {
                std::fs::write(&path, &bad).unwrap();
                let error = open().expect_err(&format!("{} {}", path.display(), String::from_utf8_lossy(&bad)));
                assert!(matches!(error, TextError::Damaged { .. }), "{error}");
            }
            std::fs::write(&path, good).unwrap();
            files += 1;
        }
        assert_eq!(files, if source.is_some() { 6 } else { 5 });
        assert_eq!(sum(open().unwrap()), checksum);
        let leftover = folder.path().join("data.1-0.partial");
        let other = folder.path().join("data.own.partial");
        [&leftover, &other].into_iter().for_each(|path| std::fs::create_dir(path).unwrap());
        Corpus::remove(&place).unwrap();
        assert_eq!([place.exists(), leftover.exists(), other.exists()], [false, false, true]);
        std::fs::remove_dir(other).unwrap();
    }
}

#[test]
fn a_position_is_one_in_the_text_that_it_was_taken_from() {
    let folder = tempfile::tempdir().unwrap();
    let tokenizer = bytes();
    let batches = |text: &str| {
        let source = Source::Lines { path: write(folder.path(), "text", text) };
        let place = folder.path().join(text.trim());
        Batches::new(Arc::new(Corpus::encode(&source, None, &tokenizer, 9, Some(&place)).unwrap()), config()).unwrap()
    };
    let (mut one, mut other) = (batches("one\n"), batches("two\n"));
    let position = one.position().clone();
    one.seek(position.clone()).unwrap();
    assert!(matches!(other.seek(position.clone()), Err(TextError::OtherText { .. })));
    other.seek(Position { corpus: None, ..position.clone() }).unwrap();
}

#[test]
fn encoding_at_once_into_one_folder_gives_one_corpus() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "text", &"a line of text\n".repeat(20_000));
    let (source, tokenizer, place) = (Source::Lines { path }, bytes(), folder.path().join("data"));
    let encode = || Corpus::encode(&source, None, &tokenizer, 99, Some(&place)).unwrap().len();
    let lengths = std::thread::scope(|scope| {
        let all: Vec<_> = (0..4).map(|_| scope.spawn(encode)).collect();
        all.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(lengths, [20_000; 4]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "no leftovers");
}

#[test]
fn lines_of_too_many_bytes_are_left_out_like_those_of_too_many_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let (large, tokenizer) = ("x".repeat(1 << 17), bytes());
    let source = write(folder.path(), "a", &format!("1\n{large}\n3\n4\n"));
    let target = write(folder.path(), "b", &format!("1\n2\n{large}\n4\n"));
    let tsv = write(folder.path(), "c", &format!("1\t1\n{large}\t2\n3\t{large}\n4\t4\n"));
    for (text, found) in [
        (Source::Parallel { source, target }, [(1, 2), (1, 3)]),
        (Source::Tsv { path: tsv, columns: None }, [(0, 0), (2, 2)]),
    ] {
        let corpus = Corpus::encode(&text, Some(&tokenizer), &tokenizer, 9, None).unwrap();
        let report = corpus.report();
        assert_eq!((corpus.len(), report.examples, report.left_out), (2, 4, 2));
        let large = [report.source.large, report.target.large].map(|found| (found.count, found.first.line));
        assert_eq!(large, found);
        let kept = corpus.examples().unwrap();
        let lines: Vec<u64> = text.examples().unwrap().map(|example| example.unwrap().place.line).collect();
        assert_eq!(kept.iter().map(|&number| lines[number as usize]).collect::<Vec<_>>(), [1, 4]);
    }
}

#[test]
fn json_is_read_in_one_form_as_lines_or_a_list() {
    let folder = tempfile::tempdir().unwrap();
    let texts = |name: &str, text: &str| {
        let source = json(folder.path(), name, text)?;
        let examples = source.examples()?.collect::<Result<Vec<Example>, _>>()?;
        let pair = |example: Example| {
            (example.source.unwrap_or_default().to_string(), example.target.to_string(), example.place.line)
        };
        Ok::<_, TextError>((source.form(), examples.into_iter().map(pair).collect::<Vec<_>>()))
    };
    let pair = |a: &str, b: &str, line| (a.to_owned(), b.to_owned(), line);
    let pairs = (Form::Pairs, vec![pair("a", "b", 1), pair("c\n\nd", "e\nf", 2)]);
    let (first, second) = (r#"{"prompt":"a","completion":"b"}"#, r#"{"instruction":"c","input":"d","output":"e\nf"}"#);
    assert_eq!(texts("a.jsonl", &format!("{first}\n{second}\n")).unwrap(), pairs);
    assert_eq!(texts("a.json", &format!("[{first},\n{second}]\n")).unwrap(), pairs);
    let lines = (Form::Texts, vec![pair("", "a", 1), pair("", "b\tc", 2)]);
    assert_eq!(texts("t.jsonl", "{\"text\":\"a\"}\n{\"text\":\"b\\tc\"}\n").unwrap(), lines);
    for (text, at, part) in [
        (format!("{first}\n{{\"text\":\"a\"}}\n"), 2, "another kind"),
        (format!("{first}\n\n{{\"prompt\":\"a\"}}\n"), 3, "\"completion\" is missing"),
        ("{\"prompt\":\"a\",\"completion\":\"b\",\"system\":\"s\"}".to_owned(), 1, "data.chat_template"),
        ("{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}".to_owned(), 1, "data.chat_template"),
        ("{\"question\":\"a\",\"answer\":\"b\"}".to_owned(), 1, "\"answer\" (did you mean \"completion\"?)"),
    ] {
        let error = texts("wrong.jsonl", &text).unwrap_err();
        let message = error.to_string();
        assert!(matches!(error, TextError::Example { line, .. } if line == at) && message.contains(part), "{message}");
    }
}

#[test]
fn answers_of_weight_0_are_not_learned_and_a_system_begins_the_conversation() {
    let folder = tempfile::tempdir().unwrap();
    let template = "{% for m in messages %}{{ m.role }}:{{ m.content }};{% endfor %}\
                    {% if add_generation_prompt %}assistant:{% endif %}";
    let template = ChatTemplate::new(template).unwrap();
    let examples = |text: &str| {
        let source = Box::new(json(folder.path(), "chat.jsonl", text).unwrap());
        let examples = Source::Chat { source, template: template.clone() }.examples().unwrap();
        examples
            .map(|example| example.map(|example| (example.source.unwrap().to_string(), example.target.to_string())))
            .collect::<Result<Vec<_>, _>>()
    };
    let said = |role: &str, text: &str| format!("{{\"role\":\"{role}\",\"content\":\"{text}\"}}");
    let bad = "{\"role\":\"assistant\",\"content\":\"bad\",\"weight\":0}";
    let (user, good) = (said("user", "hi"), said("assistant", "good"));
    let found = examples(&format!("{{\"messages\":[{user},{bad},{user},{good}]}}")).unwrap();
    let prompt = "user:hi;assistant:bad;user:hi;assistant:".to_owned();
    assert_eq!(found, [(prompt, "good;".to_owned())]);
    let found = examples("{\"system\":\"s\",\"prompt\":\"a\",\"completion\":\"b\"}").unwrap();
    assert_eq!(found, [("system:s;user:a;assistant:".to_owned(), "b;".to_owned())]);
    for nothing in [bad.to_owned(), user.clone(), format!("{user},{bad}")] {
        let error = examples(&format!("{{\"messages\":[{nothing}]}}")).unwrap_err().to_string();
        assert!(error.contains("line 1") && error.contains("assistant"), "{error}");
    }
}

#[test]
fn names_of_control_tokens_that_are_said_are_counted_and_those_of_the_template_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let template = ChatTemplate::built_in("chatml").unwrap();
    let tokenizer = bytes().with_marks(&template.find_marks()).unwrap();
    let said = |user: &str, assistant: &str| {
        let message = |role: &str, text: &str| format!("{{\"role\":\"{role}\",\"content\":\"{text}\"}}");
        format!("{{\"messages\":[{},{}]}}\n", message("user", user), message("assistant", assistant))
    };
    let lines = [said("hi", "ok"), said("what is <|im_end|>?", "ok"), said("<|im_start|>", "<|im_end|> ends a turn")];
    let source = Box::new(json(folder.path(), "chat.jsonl", &lines.concat()).unwrap());
    let corpus = Corpus::encode(&Source::Chat { source, template }, None, &tokenizer, 999, None).unwrap();
    let report = corpus.report();
    assert_eq!((corpus.len(), report.left_out), (3, 0));
    assert_eq!(report.source.control, found(2, 2));
    assert_eq!(report.target.control, found(1, 3));
    assert_eq!(report.target.cut, Found::default());
}

/// Texts or pairs of both registers, and the control tokens.
fn registers(folder: &Path, pairs: bool) -> (Corpus, [u32; 2]) {
    let control: ControlConfig = serde_json::from_str(r#"{"register": ["formal", "informal"]}"#).unwrap();
    let tokenizer = bytes().with_marks(&control.tokens()).unwrap();
    let line = |i: usize| {
        let register = ["formal", "informal"][i % 2];
        let text = if pairs { "\"prompt\":\"<register=formal>\",\"completion\"" } else { "\"text\"" };
        format!("{{{text}:\"abc\",\"register\":\"{register}\"}}\n")
    };
    let path = write(folder, "a.jsonl", &(0..2000).map(line).collect::<String>());
    let annotations = Annotations { control: Some(control.clone()), ..Annotations::default() };
    let source = Box::new(Source::json(&path, None, &annotations).unwrap());
    let text = Source::Annotated { source, annotations };
    let ids = control.tokens().iter().map(|token| tokenizer.id(token).unwrap()).collect::<Vec<_>>();
    let reader = pairs.then_some(&tokenizer);
    (Corpus::encode(&text, reader, &tokenizer, 999, None).unwrap(), [ids[0], ids[1]])
}

#[test]
fn attributes_stand_before_what_is_read_and_are_left_out_for_a_share_of_a_training() {
    let folder = tempfile::tempdir().unwrap();
    for pairs in [true, false] {
        let (corpus, ids) = registers(folder.path(), pairs);
        let corpus = Arc::new(corpus);
        let config = |share: f64| {
            let mut config = config();
            config.control_dropout = share;
            config
        };
        // What is read, and how many attributes of each value it begins with.
        let count = |batches: &[Batch]| {
            let mut found = [0, 0];
            for batch in batches {
                let read = if pairs { batch.source.as_ref().unwrap() } else { &batch.input };
                for i in 0..read.len() {
                    let read = if pairs { read.get(i) } else { &read.get(i)[1..] };
                    let attributes = read.iter().take_while(|id| ids.contains(id)).count();
                    assert!(attributes < 2 && read[attributes..].iter().all(|id| !ids.contains(id)));
                    found[0] += usize::from(read[0] == ids[0]);
                    found[1] += usize::from(read[0] == ids[1]);
                    // Nothing of them is predicted.
                    let targets = batch.target.get(i).iter().filter(|&&id| id != Batch::IGNORED);
                    assert_eq!(targets.count(), "abc".len() + 1);
                    assert!(batch.target.get(i).iter().all(|id| !ids.contains(id)));
                }
            }
            found
        };
        let training = |share: f64| Batches::new(corpus.clone(), config(share)).unwrap();
        assert_eq!(count(&epoch(&mut training(0.0))), [1000, 1000]);
        let mut batches = training(0.25);
        let first = epoch(&mut batches);
        let kept = count(&first);
        assert!(kept.iter().all(|kept| (700..800).contains(kept)), "{kept:?}");
        // The same again, another choice in another epoch, and the same from a position within.
        assert_eq!(epoch(&mut training(0.25)), first);
        assert_ne!(count(&epoch(&mut batches)), kept);
        let mut from = training(0.25);
        from.seek(Position { batch: 3, ..Position::default() }).unwrap();
        assert_eq!(from.next_batch().unwrap(), first[3]);
        // Validation has all of them.
        let once = Batches::once(corpus.clone(), config(0.25)).unwrap().collect::<Result<Vec<_>, _>>().unwrap();
        assert_eq!(count(&once), [1000, 1000]);
    }
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
    let error = encode(&Source::Tsv { path: path.clone(), columns: None });
    assert!(matches!(error, TextError::Columns { line: 3, expected: 2, found: 1, .. }), "{error}");
    let path = write(folder.path(), "c3", "a\tb\t\na\tb\tc\n");
    let error = encode(&Source::Tsv { path: path.clone(), columns: None });
    assert!(matches!(error, TextError::FurtherColumns { line: 2, found: 3, .. }), "{error}");
    let all = Source::Tsv { path, columns: Some(Columns::Numbers(vec![2, 1])) };
    let corpus = Corpus::encode(&all, Some(&tokenizer), &tokenizer, 9, None).unwrap();
    assert_eq!((corpus.len(), corpus.report().target.columns), (1, found(2, 1)));
    let path = write(folder.path(), "d", "0123456789\n");
    let message = encode(&Source::Lines { path }).to_string();
    assert!(message.contains("1 with a target of more than 9 tokens (first in line 1)"), "{message}");
    for text in ["\u{feff}", "\n\r\n\n", "\n"] {
        let path = write(folder.path(), "blank", text);
        let tsv = Source::Tsv { path: path.clone(), columns: None };
        for text in [Source::Lines { path }, tsv] {
            assert!(matches!(encode(&text), TextError::Empty { .. }), "{text:?}");
        }
    }
    let path = write(folder.path(), "e", "x");
    let error = Corpus::encode(&Source::Stream { path }, None, &tokenizer, 9, None).unwrap_err();
    assert!(matches!(error, TextError::TooLittle { .. }), "{error}");
}
