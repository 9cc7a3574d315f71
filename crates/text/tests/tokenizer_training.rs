//! The vocabularies that are trained: their size, their characters, their time.

use descant_text::{Tokenizer, TokenizerConfig, TokenizerKind, UNK};
use rand_core::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;
use std::time::{Duration, Instant};

fn characters_of(numbers: std::ops::Range<u32>, texts: usize, length: usize, seed: u64) -> Vec<String> {
    let mut draw = Pcg64Mcg::seed_from_u64(seed);
    let mut character = || char::from_u32(numbers.start + draw.next_u32() % (numbers.end - numbers.start)).unwrap();
    (0..texts).map(|_| (0..length).map(|_| character()).collect()).collect()
}

fn train(config: &TokenizerConfig, texts: &[String]) -> Tokenizer {
    Tokenizer::train(config, false, texts.iter().map(|text| Ok(text.clone()))).unwrap()
}

fn unknown(tokenizer: &Tokenizer, texts: &[String]) -> usize {
    texts.iter().map(|text| tokenizer.encode(text).unwrap().iter().filter(|&&id| id == UNK).count()).sum()
}

#[test]
fn the_vocabulary_has_at_most_its_size_and_as_many_characters_as_fit() {
    use TokenizerKind::{Bpe, Character, Unigram, Wordpiece};
    let texts = characters_of(0x4E00..0x4E00 + 200, 1000, 12, 1);
    for kind in [Bpe, Unigram, Wordpiece, Character] {
        for vocabulary in [4, 5, 20, 100, 190, 201, 202, 203, 204, 205, 206, 220, 410, 450] {
            let tokenizer = train(&TokenizerConfig { kind, vocabulary, ..Default::default() }, &texts);
            assert!(tokenizer.vocabulary() <= vocabulary, "{kind} {vocabulary} {}", tokenizer.vocabulary());
            // 200 characters and the mark of a space; of WordPiece twice, as they begin a word and as they do not.
            let needed = match kind {
                Wordpiece => 3 + 2 * 201,
                Character => 3 + 200,
                _ => 3 + 201,
            };
            assert_eq!(unknown(&tokenizer, &texts) == 0, vocabulary >= needed, "{kind} {vocabulary}");
            if vocabulary >= 100 && vocabulary < needed {
                assert!(unknown(&tokenizer, &texts) < 12 * 1000, "{kind} {vocabulary}");
            }
        }
    }
}

#[test]
fn a_few_characters_and_a_small_vocabulary_end() {
    for texts in [&["a", "b", "c"][..], &["ACGT", "GGATC", "TTAG"], &["aaaa"], &[""]] {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        for vocabulary in 4..14 {
            let config = TokenizerConfig { kind: TokenizerKind::Unigram, vocabulary, ..Default::default() };
            assert!(train(&config, &texts).vocabulary() <= vocabulary);
        }
    }
}

#[test]
fn a_text_without_spaces_is_learned_in_bounded_time() {
    let texts = characters_of(0x41..0x45, 5, 60_000, 2);
    for kind in [TokenizerKind::Bpe, TokenizerKind::Unigram, TokenizerKind::Wordpiece, TokenizerKind::ByteBpe] {
        let start = Instant::now();
        let tokenizer = train(&TokenizerConfig { kind, vocabulary: 300, ..Default::default() }, &texts);
        let ids = tokenizer.encode(&texts[0]).unwrap();
        assert!(!ids.contains(&UNK) && ids.len() < 40_000, "{kind} {}", ids.len());
        assert_eq!(tokenizer.decode(&ids).unwrap(), texts[0]);
        println!("{kind}: {:?}", start.elapsed());
        assert!(start.elapsed() < Duration::from_secs(300), "{kind} {:?}", start.elapsed());
    }
}

#[test]
fn characters_of_the_whole_text_are_known_wherever_they_stand() {
    let mut texts = characters_of(0x61..0x67, 450_000, 3, 3);
    texts.extend(characters_of(0x436..0x43C, 1, 3, 4));
    for kind in [TokenizerKind::Bpe, TokenizerKind::Unigram, TokenizerKind::Character] {
        let tokenizer = train(&TokenizerConfig { kind, ..Default::default() }, &texts);
        assert_eq!(unknown(&tokenizer, &texts[texts.len() - 1..]), 0, "{kind}");
    }
}

#[test]
fn wordpiece_knows_long_words_and_all_but_unknown_characters() {
    let long = "ไทย".repeat(40);
    let texts: Vec<String> = [long.as_str(), "hello", "low lower"].map(str::to_owned).to_vec();
    let tokenizer =
        train(&TokenizerConfig { kind: TokenizerKind::Wordpiece, vocabulary: 200, ..Default::default() }, &texts);
    let ids = tokenizer.encode(&long).unwrap();
    assert!(ids.len() > 1 && !ids.contains(&UNK), "{ids:?}");
    let hello = tokenizer.encode("hello").unwrap();
    let smiling = tokenizer.encode("hello😀").unwrap();
    assert_eq!(smiling, [&hello[..], &[UNK]].concat());
    let accented = tokenizer.encode("hellò low").unwrap();
    assert_eq!(accented.iter().filter(|&&id| id == UNK).count(), 1, "{accented:?}");
    assert!(tokenizer.decode(&accented).unwrap().starts_with("hell"));
    // After the mark of a word's start.
    assert_eq!(tokenizer.encode("x".repeat(500).as_str()).unwrap()[1..], [UNK; 500]);
}

#[test]
fn rare_tokens_are_left_out_and_too_rare_ones_are_an_error() {
    use TokenizerKind::{Bpe, Character, Unigram, Word, Wordpiece};
    let texts: Vec<String> = ["a a a", "a a b"].map(str::to_owned).to_vec();
    for kind in [Bpe, Character, Unigram, Word, Wordpiece] {
        let config = |minimum_count| TokenizerConfig { kind, minimum_count, vocabulary: 50, ..Default::default() };
        let tokenizer = train(&config(2), &texts);
        assert!(tokenizer.encode("b").unwrap().contains(&UNK), "{kind}");
        assert!(!tokenizer.encode("a").unwrap().contains(&UNK), "{kind}");
        let error = Tokenizer::train(&config(1000), false, texts.iter().map(|text| Ok(text.clone()))).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("minimum_count = 1000") && error.contains("times"), "{kind} {error}");
    }
}

#[test]
fn a_list_of_words_is_the_vocabulary() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("words.txt");
    let config =
        TokenizerConfig { kind: TokenizerKind::Word, vocabulary_file: Some(path.clone()), ..Default::default() };
    config.validate().unwrap();
    let none = || std::iter::empty();
    let train = || Tokenizer::train(&config, false, none());
    std::fs::write(&path, "\u{FEFF}dog\r\nfox\nжук\n").unwrap();
    let tokenizer = train().unwrap();
    assert_eq!(tokenizer.vocabulary(), 6);
    assert_eq!(tokenizer.encode("the fox жук dog").unwrap(), [UNK, 4, 5, 3]);
    for (list, wrong) in [
        ("a\nb\na\n", "line 3: \"a\" is line 1 too"),
        ("a\n\nb\n", "line 2: it is empty"),
        ("a\n</s>\n", "line 2: \"</s>\" is a control token"),
        ("a\nb c\n", "line 2: \"b c\" has white space"),
        ("", "has no text"),
    ] {
        std::fs::write(&path, list).unwrap();
        let error = train().unwrap_err().to_string();
        assert!(error.contains(wrong), "{error}");
    }
    let other = TokenizerConfig { kind: TokenizerKind::Bpe, ..config.clone() }.validate().unwrap_err();
    assert!(other.contains("vocabulary_file") && other.contains("word"), "{other}");
}
