use super::*;
use crate::Text;
use TokenizerKind::{Bpe, Byte, ByteBpe, Character, Unigram, Word, Wordpiece};
use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

const TEXTS: [&str; 6] = [
    "the quick brown fox jumps over the lazy dog",
    "the dog sleeps, the fox jumps; newer and lower",
    "我们今天去学校,我们明天也去学校",
    "今天的天气很好",
    "they say the newest is the lowest </s> of <s> all",
    "C++ and #1 ##x",
];

fn trained(kind: TokenizerKind, vocabulary: usize) -> Tokenizer {
    let config = TokenizerConfig { kind, vocabulary, ..Default::default() };
    Tokenizer::train(&config, false, TEXTS.iter().map(|text| Ok((*text).to_owned())))
        .unwrap_or_else(|error| panic!("{kind:?}: {error}"))
}

#[test]
fn every_kind_gives_back_the_text_and_survives_its_file() {
    for kind in [Bpe, ByteBpe, Unigram, Wordpiece, Word, Character, Byte] {
        let tokenizer = trained(kind, 400);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokenizer.json");
        std::fs::write(&path, tokenizer.to_json().unwrap()).unwrap();
        let loaded = Tokenizer::load(&path, None).unwrap();
        // To a vocabulary of words, a word that looks like a special token is unknown.
        let texts = TEXTS.into_iter().filter(|text| kind != Word || !text.contains("<s>"));
        for text in texts {
            let ids = tokenizer.encode(text).unwrap();
            assert!(ids.iter().all(|&id| id > EOS), "{kind:?} {text} {ids:?}");
            assert_eq!(tokenizer.decode(&ids).unwrap(), text, "{kind:?}");
            assert_eq!(loaded.encode(text).unwrap(), ids, "{kind:?}");
            assert_eq!(loaded.decode(&ids).unwrap(), text, "{kind:?}");
        }
        let all = tokenizer.encode_all(&TEXTS.map(Text::from)).unwrap();
        assert_eq!(all, TEXTS.map(|text| tokenizer.encode(text).unwrap()), "{kind:?}");
        assert!(tokenizer.vocabulary() <= 400, "{kind:?} {}", tokenizer.vocabulary());
    }
}

#[test]
fn a_continuous_text_keeps_its_spaces_and_lines() {
    for kind in [Bpe, ByteBpe, Unigram, Wordpiece, Character, Byte] {
        let config = TokenizerConfig { kind, vocabulary: 300, ..Default::default() };
        let text = " one two\n\n  three two\n";
        let tokenizer = Tokenizer::train(&config, true, std::iter::once(Ok(text.to_owned()))).unwrap();
        assert_eq!(tokenizer.decode(&tokenizer.encode(text).unwrap()).unwrap(), text, "{kind:?}");
    }
}

#[test]
fn a_word_before_a_full_stop_is_the_same_word() {
    for kind in [Bpe, ByteBpe, Unigram, Wordpiece] {
        let config = TokenizerConfig { kind, vocabulary: 600, ..Default::default() };
        let texts = ["a word.", "a word, a \"word\"", "the word."].iter().cycle().take(60);
        let tokenizer = Tokenizer::train(&config, false, texts.map(|text| Ok((*text).to_owned()))).unwrap();
        let [alone, ended] = ["a word", "a word."].map(|text| tokenizer.encode(text).unwrap());
        assert_eq!(ended[..alone.len()], alone, "{kind:?}");
        let text = "the \"word\", a word . ,";
        assert_eq!(tokenizer.decode(&tokenizer.encode(text).unwrap()).unwrap(), text, "{kind:?}");
    }
}

#[test]
fn an_apostrophe_within_a_word_is_of_it() {
    let text = "'Don't' rock'n'roll, l’été; col·lecció o\u{301}'e צה״ל: 'tis dogs' 5'6 U.S. T-shirt 3.5 x=y";
    let words =
        "' Don't ' rock'n'roll , l’été ; col·lecció o\u{301}'e צה״ל : ' tis dogs ' 5 ' 6 U . S . T - shirt 3 . 5 x = y";
    for kind in [Bpe, Wordpiece] {
        let config = TokenizerConfig { kind, vocabulary: 600, ..Default::default() };
        let tokenizer =
            Tokenizer::train(&config, false, std::iter::repeat_n(text, 60).map(|text| Ok(text.to_owned()))).unwrap();
        let ids = tokenizer.encode(text).unwrap();
        assert_eq!(tokenizer.decode(&ids).unwrap(), text, "{kind:?}");
        // Each word came often enough to be a token, or for WordPiece to be of tokens that go on.
        let tokens: Vec<String> = ids.iter().map(|&id| tokenizer.token(id).unwrap().replace('▁', "")).collect();
        let tokens: Vec<&str> = tokens.iter().map(String::as_str).filter(|token| !token.is_empty()).collect();
        assert_eq!(tokens.join(" ").replace(" ##", ""), words, "{kind:?}");
    }
    // A unigram model of so little text is of characters: what it is trained on says it.
    let mut pieces = PreTokenizedString::from("we don't 'quote'");
    trained(Unigram, 400).inner.get_pre_tokenizer().unwrap().pre_tokenize(&mut pieces).unwrap();
    let pieces: Vec<&str> =
        pieces.get_splits(OffsetReferential::Original, OffsetType::Byte).into_iter().map(|(piece, ..)| piece).collect();
    assert_eq!(pieces, ["▁we", "▁don't", "▁", "'", "quote", "'"]);
}

#[test]
fn digits_stand_alone_where_asked() {
    for kind in [Bpe, ByteBpe, Unigram, Wordpiece] {
        let config = TokenizerConfig { kind, vocabulary: 400, split_digits: true, ..Default::default() };
        let texts = || (0..50).map(|i| Ok(format!("in 1984 and 2048 {i}")));
        let tokenizer = Tokenizer::train(&config, false, texts()).unwrap();
        let ids = tokenizer.encode("in 2048").unwrap();
        let tokens: Vec<String> = ids.iter().map(|&id| tokenizer.token(id).unwrap()).collect();
        assert!(tokens.concat().replace("##", "").ends_with("2048"), "{kind:?} {tokens:?}");
        assert!(tokens.iter().all(|token| token.matches(char::is_numeric).count() <= 1), "{kind:?} {tokens:?}");
        assert_eq!(tokenizer.decode(&ids).unwrap(), "in 2048", "{kind:?}");
    }
}

#[test]
fn what_is_not_in_the_vocabulary_is_unknown_but_to_bytes() {
    for kind in [Bpe, Unigram, Wordpiece, Word, Character] {
        assert!(trained(kind, 400).encode("ж").unwrap().contains(&UNK), "{kind:?}");
    }
    for kind in [ByteBpe, Byte] {
        let tokenizer = trained(kind, 400);
        assert_eq!(tokenizer.decode(&tokenizer.encode("жЖ").unwrap()).unwrap(), "жЖ");
    }
    assert_eq!(trained(Byte, 400).vocabulary(), 259);
}

#[test]
fn subwords_are_fewer_than_characters_and_the_vocabulary_is_bounded() {
    let characters = trained(Character, 400).encode(TEXTS[0]).unwrap().len();
    for kind in [Bpe, Unigram, Wordpiece] {
        assert!(trained(kind, 400).encode(TEXTS[0]).unwrap().len() < characters, "{kind:?}");
    }
    assert_eq!(trained(Character, 20).vocabulary(), 20);
    assert_eq!(trained(Word, 9).vocabulary(), 9);
}

#[test]
fn added_tokens_stand_alone_and_come_last() {
    for kind in [Bpe, ByteBpe, Unigram, Wordpiece, Character, Byte] {
        let plain = trained(kind, 400);
        let tokenizer = plain.clone().with_tokens(&["<|a|>".to_owned(), "<|b|>".to_owned()]).unwrap();
        assert_eq!(tokenizer.vocabulary(), plain.vocabulary() + 2, "{kind:?}");
        let ids = tokenizer.encode("<|b|>the fox<|a|>").unwrap();
        let last = plain.vocabulary() as u32;
        assert_eq!((ids.first(), ids.last()), (Some(&(last + 1)), Some(&last)), "{kind:?}");
        assert!(tokenizer.decode(&ids).unwrap().contains("<|a|>"), "{kind:?}");
        assert_eq!(tokenizer.encode(TEXTS[0]).unwrap(), plain.encode(TEXTS[0]).unwrap(), "{kind:?}");
    }
}

#[test]
fn training_is_the_same_every_time() {
    for kind in [Bpe, ByteBpe, Unigram, Wordpiece, Word, Character] {
        assert_eq!(trained(kind, 300).to_json().unwrap(), trained(kind, 300).to_json().unwrap(), "{kind:?}");
    }
    // Too few for all characters, many of which occur once.
    for kind in [Bpe, Wordpiece, Character] {
        assert_eq!(trained(kind, 60).to_json().unwrap(), trained(kind, 60).to_json().unwrap(), "{kind:?}");
    }
}

#[test]
fn errors_are_told() {
    let texts = [Ok("a b".to_owned()), Err(TextError::Empty { path: "x".into() })];
    let error = Tokenizer::train(&TokenizerConfig::default(), false, texts.into_iter()).unwrap_err();
    assert!(matches!(error, TextError::Empty { .. }));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    std::fs::write(&path, "{}").unwrap();
    assert!(matches!(Tokenizer::load(&path, None), Err(TextError::Tokenizer(_))));
    let error = TokenizerConfig { kind: ByteBpe, vocabulary: 100, ..Default::default() }.validate().unwrap_err();
    assert!(error.contains("259"));
}

#[test]
fn a_long_token_is_not_told_whole() {
    let long = "x".repeat(10_000);
    let json = format!(
        r#"{{"version": "1.0", "added_tokens": [], "model": {{"type": "BPE", "vocab": {{"a": 0}}, "merges": [["a", "{long}"]]}}}}"#
    );
    let error = Tokenizer::from_json(json.as_bytes(), Some(SpecialTokens::none())).unwrap_err().to_string();
    assert!(error.len() < 600 && error.contains("xxx"), "{} {}", error.len(), &error[..300]);
}
