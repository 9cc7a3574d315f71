//! `decode(encode(x)) = x` for random texts and every kind of tokenizer, however it was read; of `word`, but for white
//! space.

use descant_text::{Tokenizer, TokenizerConfig, TokenizerKind, UNK};
use rand_core::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;
use std::fs;

/// What texts are made of: what tokenizers write themselves, white space, composed and combining characters, scripts without
/// spaces, signs beyond the basic plane, names of tokens.
const PARTS: [&str; 56] = [
    " ",
    " ",
    " ",
    "  ",
    "\t",
    "\n",
    "\r",
    "\u{A0}",
    "\u{3000}",
    "▁",
    "▁▁",
    "\u{E000}",
    "\u{E001}",
    "\u{E002}",
    "##",
    "#",
    "Ġ",
    "é",
    "e\u{301}",
    "\u{301}",
    "ñ",
    "ö",
    "ß",
    "İ",
    "ﬁ",
    "ж",
    "ไทย",
    "日本",
    "语",
    "한",
    "नि",
    "عَ",
    "😀",
    "👩\u{200D}🚀",
    "\u{0}",
    "\u{FEFF}",
    "a",
    "b",
    "the",
    "The",
    "x1",
    "42",
    "7",
    ".",
    ",",
    "'s",
    "don't",
    "<",
    ">",
    "</s>",
    "<s>",
    "<unk>",
    "<b>",
    "<é>",
    "a-b",
    "{}",
];
const ADDED: [&str; 4] = ["<b>", "<é>", "x y", "▁z"];

fn config(kind: TokenizerKind, split_digits: bool) -> TokenizerConfig {
    let add = ADDED.map(str::to_owned).to_vec();
    TokenizerConfig { kind, vocabulary: 700, split_digits, add, ..Default::default() }
}

fn texts(seed: u64, count: usize) -> Vec<String> {
    let mut draw = Pcg64Mcg::seed_from_u64(seed);
    let mut below = |n: usize| (draw.next_u64() % n as u64) as usize;
    let mut text = || {
        let length = below(12);
        (0..length).map(|_| if below(9) == 0 { ADDED[below(4)] } else { PARTS[below(PARTS.len())] }).collect()
    };
    (0..count).map(|_| text()).collect()
}

fn read_again(tokenizer: &Tokenizer) -> Tokenizer {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    fs::write(&path, tokenizer.to_json().unwrap()).unwrap();
    // As a model that is imported has it.
    Tokenizer::load(&path, Some(tokenizer.special().clone())).unwrap()
}

#[test]
fn every_kind_gives_back_what_it_was_given() {
    let learned: Vec<String> = PARTS.iter().map(|part| (*part).to_owned()).chain(texts(1, 400)).collect();
    for kind in TokenizerKind::ALL {
        for (continuous, split_digits) in [(false, false), (true, false), (false, true)] {
            let learned = learned.iter().map(|text| Ok(text.clone()));
            let tokenizer = Tokenizer::train(&config(kind, split_digits), continuous, learned).unwrap();
            let again = read_again(&tokenizer);
            for text in texts(2, 600) {
                let ids = tokenizer.encode(&text).unwrap();
                assert_eq!(again.encode(&text).unwrap(), ids, "{kind:?} {text:?}");
                let read = tokenizer.decode(&ids).unwrap();
                assert_eq!(again.decode(&ids).unwrap(), read, "{kind:?} {text:?}");
                match kind {
                    TokenizerKind::Word => {
                        let expected: Vec<&str> = text.split_whitespace().collect();
                        let plain = !ADDED.iter().any(|added| text.contains(added)) && !ids.contains(&UNK);
                        assert!(!plain || read == expected.join(" "), "{text:?} {read:?}");
                    }
                    _ => assert_eq!(read, text, "{kind:?} {continuous} {split_digits} {:?}", tokens(&tokenizer, &ids)),
                }
            }
        }
    }
}

fn tokens(tokenizer: &Tokenizer, ids: &[u32]) -> Vec<String> {
    ids.iter().filter_map(|&id| tokenizer.token(id)).collect()
}

#[test]
fn kinds_of_bytes_give_back_any_text() {
    let mut draw = Pcg64Mcg::seed_from_u64(3);
    for kind in [TokenizerKind::ByteBpe, TokenizerKind::Byte] {
        let config = TokenizerConfig { kind, add: vec!["<é>".to_owned()], ..Default::default() };
        let tokenizer = Tokenizer::train(&config, false, std::iter::once(Ok("plain".to_owned()))).unwrap();
        for _ in 0..500 {
            let text: String = (0..8).filter_map(|_| char::from_u32(draw.next_u32() % 0x11_0000)).collect();
            let text = format!("{text}<é>{text}");
            assert_eq!(tokenizer.decode(&tokenizer.encode(&text).unwrap()).unwrap(), text);
        }
    }
}

#[test]
fn spaces_are_told_apart() {
    for kind in TokenizerKind::ALL.into_iter().filter(|&kind| kind != TokenizerKind::Word) {
        let learned = ["x<b>y", "x <b> y", "x", " x"].iter().cycle().take(40).map(|text| Ok((*text).to_owned()));
        let tokenizer = Tokenizer::train(&config(kind, false), false, learned).unwrap();
        let different = ["x", " x", "  x", "x ", "x<b>y", "x<b> y", "x <b>y", " x<b>y", "<b>y", "<b> y", " <b>y"];
        let ids: Vec<Vec<u32>> = different.iter().map(|text| tokenizer.encode(text).unwrap()).collect();
        for (i, a) in ids.iter().enumerate() {
            assert!(ids[i + 1..].iter().all(|b| a != b), "{kind:?} {}", different[i]);
        }
        // A word after an added token and a space is the same word as elsewhere.
        assert_eq!(tokenizer.encode("y y").unwrap().last(), tokenizer.encode("x<b> y").unwrap().last(), "{kind:?}");
    }
}
