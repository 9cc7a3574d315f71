#!/usr/bin/env python3
"""Holds descant's tokenizers against the libraries they come from: real ones, out of packages that carry them, on 1,000 hard lines.

    pip download --no-deps -d packages anthropic==0.38.0 mistral-common ai21-tokenizer && unpack the archives there
    ~/torch/bin/python tools/real_tokenizers.py packages target/release/descant

Every tokenizer.json (also within a larger file name) is held against `tokenizers`, every model of SentencePiece against
`sentencepiece`; a tekken.json becomes a tokenizer.json by `transformers` first. Names of control tokens in a text are text on both sides.
Ids have to be equal, and what the ids decode to: their own text, or the line.
"""
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import sentencepiece
import tokenizers

ALPHABETS = [
    "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789", "áéíóúñçßøåœæÿžđłőű", "абвгдежзийклмнопрстуфхцчшщъыьэюяёіїєґ",
    "αβγδεζηθικλμνξοπρστυφχψωάέήίόύώ", "ابتثجحخدذرزسشصضطظعغفقكلمنهوي", "אבגדהוזחטיכלמנסעפצקרשתםןףץ", "अआइईउऊएऐओऔकखगघचछजझटठडढणतथदधनपफबभमयरलवशषसह",
    "กขคงจฉชซญดตถทธนบปผฝพฟภมยรลวศสหอฮ", "的一是不了人我在有他这为之大来以个中上们", "あいうえおかきくけこアイウエオカキクケコー", "가나다라마바사아자차카타파하한국어",
    "ሀሁሂሃሄህሆለሉሊላሌልሎ", "ⴰⴱⴳⴷⴹⴻⴼⴽ", "აბგდევზთიკლმნოპჟრსტ", "աբգդեզէըթժիլխծկ", "𝔸𝕓𝓒𝖉𝟙𝟚", "ｆｕｌｌｗｉｄｔｈ１２３", "①②③ⅣⅤ½¾²³№℡㎏㍿",
]
PIECES = [
    "👨‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇩🇪🇫🇷", "❤️", "e\u0301", "a\u0308\u0323", "\u0301", "ﬁ", "ﬃ", "Ĳ", "ﷺ", "\u200b", "\u200d", "\u200f", "\u202e", "\ufeff", "\u00ad", "\u00a0",
    "\u3000", "\u2028", "\u2009", "\u0085", "\ufffd", "\ufffd\ufffd", "\x00", "\x01", "\x07", "\x1b[0m", "\x7f", "\x80", "\t", "\t\t", "\r", "\r\n", "\n", "\n\n\n", "\x0b", "\x0c",
    "  ", "   ", "     ", " " * 17, "▁", "▁▁", "▁a", "Ġ", "Ġthe", "Ċ", "##", "##ing", "<s>", "</s>", "<unk>", "<pad>", "<bos>", "<eos>", "<EOT>", "<META>", "[INST]", "[/INST]", "[CLS]",
    "<|endoftext|>", "<|im_start|>", "<start_of_turn>", "<extra_id_0>", "<0x0A>", "<0xFF>", "<mask>", "\n\nHuman:", "\n\nAssistant:", "'s", "'ll", "n't", "I'M", "don’t", "“", "”", "…", "—",
    "https://example.org/a?b=c&d=%20#e", "user@example.com", "C:\\Users\\x", "/usr/lib/x86_64", "def f(x):\n    return x ** 2", "if (a != b) { c += 1; }", "<div class=\"a\">", "\\frac{1}{2}",
    "SELECT * FROM t;", "0x1F", "1,234.56", "-3.14e-10", "12345678901234567890", "2026-11-26", "3/4", "100%", "$27.40", "€5", "°C", "==== ", "-----", "....", "!!!!!", "????", "@@@@", "~~~~", "####",
    "aaaaaaaaaaaaaaaa", "abababababab", "Pneumonoultramicroscopicsilicovolcanoconiosis", "Donaudampfschifffahrtsgesellschaftskapitän", "🙂" * 5, "ﾊﾝｶｸ", "がぎぐ", "か\u3099", "İi̇ıI", "ǅ", "ſ", "Å", "Å", "Ω",
    "\U0010ffff", "\ue000", "\U000e0001", "ᄀ\u1161\u11a8", "각", "क्ष", "ন্ধ", "น้ำ", "မြန်မာ", "𓀀", "𝄞", "🀄",
]


def lines(seed, count):
    dice = random.Random(seed)
    all_lines = ["", " ", "  ", "a", " a", "a ", "  a  b  ", "▁", "\x00", "x" * 3000, "ab" * 1000, " " * 300, "的" * 500, "🙂" * 200, "1" * 400, "\n" * 50, "e\u0301" * 200] + PIECES

    def word():
        letters = dice.choice(ALPHABETS)
        return "".join(dice.choice(letters) for _ in range(dice.randint(1, 9)))
    while len(all_lines) < count:
        parts = []
        for _ in range(dice.randint(1, 14)):
            kind = dice.random()
            if kind < 0.45:
                parts.append(word())
            elif kind < 0.8:
                parts.append(dice.choice(PIECES))
            elif kind < 0.9:
                parts.append(chr(dice.choice([dice.randint(1, 0x2ff), dice.randint(0x300, 0xd7ff), dice.randint(0xe000, 0xffff), dice.randint(0x10000, 0x10ffff)])))
            else:
                parts.append(" " * dice.randint(1, 6))
            if dice.random() < 0.6:
                parts.append(" ")
        all_lines.append("".join(parts))
    return all_lines[:count]


def ours(descant, place, texts, work):
    path = work / "texts.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    run = subprocess.run([descant, "tokenize", place, "--input", path, "--json"], capture_output=True, text=True)
    if run.returncode:
        return run.stderr.strip()
    return {found["line"]: found for found in map(json.loads, run.stdout.split("\n")[:-1])}


def of_json(path):
    tokenizer = tokenizers.Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.encode_special_tokens = True
    return lambda text: tokenizer.encode(text).ids, tokenizer.decode


def of_model(path):
    processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
    return processor.encode, processor.decode


def found(folder, work):
    for path in sorted(Path(folder).rglob("*")):
        if not path.is_file():
            continue
        if path.suffix == ".json" and "tekken" in path.name:
            from transformers.integrations.mistral.tokenizer import MistralConverter
            place = work / f"{path.stem}.json"
            MistralConverter(str(path)).converted().save(str(place))
            yield path.name, place, of_json(place)
        elif path.suffix == ".json" and "tokenizer" in path.name and b'"added_tokens"' in path.read_bytes()[:1000000] and b'"model"' in path.read_bytes():
            yield f"{path.parent.name}/{path.name}", path, of_json(path)
        elif ".model" in path.name or path.suffix == ".spm":
            yield path.name, path, of_model(path)


def main(folder, descant):
    texts = lines(14, 1000)
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        for name, path, (encode, decode) in found(folder, work):
            written = ours(descant, path, texts, work)
            if isinstance(written, str):
                print(f"{name}: {written}")
                continue
            same_ids = same_texts = 0
            shown = 0
            for number, text in enumerate(texts, 1):
                line = written.get(number, dict(ids=None, decoded=None))
                ids = encode(text)
                same = line["ids"] == ids
                same_ids += same
                back = line["decoded"] in (text, decode(ids))
                same_texts += back
                if not (same and back) and shown < 6:
                    shown += 1
                    print("  ", repr(text[:80]), "ours", str(line["ids"])[:150], repr(line["decoded"])[:80], "theirs", str(ids)[:150], repr(decode(ids))[:80])
            print(f"{name}: ids of {same_ids} of {len(texts)} lines equal, texts of {same_texts}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
