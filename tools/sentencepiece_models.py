#!/usr/bin/env python3
"""Writes crates/interop/tests/reference/sentencepiece-*: tiny folders with a model of SentencePiece and no tokenizer.json, with
the ids that transformers (AutoTokenizer) and sentencepiece itself give for some lines in expected.json.

    ~/torch/bin/python tools/sentencepiece_models.py [target/release/descant]

With descant's program, 1,000 hard lines (tools/real_tokenizers.py) are compared instead, and nothing is written.
"""
import json
import random
import shutil
import sys
import tempfile
from pathlib import Path

import sentencepiece
import torch
import transformers as hf

import real_tokenizers

ROOT = Path(__file__).parents[1] / "crates/interop/tests/reference"
TEXT = [" ".join(random.Random(i).choice("the a dog cats runs slowly and walked over red houses, hills. (two) naïve 12 1984  café ﬁsh».".split(" ")) for _ in range(12)) for i in range(400)]


def trained(path, size, **options):
    prefix = str(path) + ".trained"
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(TEXT), model_prefix=prefix, vocab_size=size, minloglevel=2, hard_vocab_limit=False, **options)
    shutil.move(prefix + ".model", path)
    Path(prefix + ".vocab").unlink()
    return sentencepiece.SentencePieceProcessor(model_file=str(path))


LLAMA = dict(model_type="bpe", byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False, split_digits=True, allow_whitespace_only_pieces=True)
FOLDERS = {
    "llama": (hf.LlamaConfig, "tokenizer.model", 380, LLAMA, dict(tokenizer_class="LlamaTokenizer", add_bos_token=True)),
    "llama-legacy": (hf.LlamaConfig, "tokenizer.model", 380, LLAMA | dict(user_defined_symbols=["<|user|>", "▁▁"]), dict(tokenizer_class="LlamaTokenizer", legacy=True, add_bos_token=True, add_eos_token=True)),
    "mistral": (hf.MistralConfig, "tokenizer.model", 390, LLAMA | dict(user_defined_symbols=["[A]", "[AB]"], control_symbols=["[INST]"]), dict(tokenizer_class="LlamaTokenizer", add_bos_token=True)),
    "gemma": (hf.GemmaConfig, "tokenizer.model", 390, LLAMA | dict(add_dummy_prefix=False, pad_id=0, eos_id=1, bos_id=2, unk_id=3, unk_piece="<unk>", pad_piece="<pad>", bos_piece="<bos>", eos_piece="<eos>", user_defined_symbols=["<start_of_turn>", "▁▁", "▁▁▁"]), dict(tokenizer_class="GemmaTokenizer", add_bos_token=True)),
    "t5": (hf.T5Config, "spiece.model", 150, dict(model_type="unigram", normalization_rule_name="identity", pad_id=0, eos_id=1, unk_id=2, bos_id=-1), dict(tokenizer_class="T5Tokenizer", extra_ids=10)),
}


def folder_of(name, place):
    config_class, file, size, options, settings = FOLDERS[name]
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    processor = trained(place / file, size, **options)
    entries = processor.get_piece_size() + settings.get("extra_ids", 0)
    (place / "tokenizer_config.json").write_text(json.dumps(settings))
    torch.manual_seed(1)
    if name == "t5":
        config = config_class(vocab_size=entries, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
        model = hf.T5ForConditionalGeneration(config)
    else:
        config = config_class(vocab_size=entries, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1, head_dim=4, tie_word_embeddings=True)
        model = hf.AutoModelForCausalLM.from_config(config)
    model.save_pretrained(place)
    return processor, hf.AutoTokenizer.from_pretrained(place)


def main(descant=None):
    lines = real_tokenizers.lines(15, 1000)
    for name in FOLDERS:
        with tempfile.TemporaryDirectory() as work:
            place = Path(work) / "model" if descant else ROOT / f"sentencepiece-{name}"
            processor, tokenizer = folder_of(name, place)
            print(name, type(tokenizer).__name__)
            encode = lambda text: tokenizer(text, split_special_tokens=True).input_ids
            if descant is None:
                texts = ["the dog", " the dog", "a  b   c", "", " ", "Ünknown 漢字 🙂", "<s> x</s> <unk>", "[INST] [AB]x <|user|>  y", "tab\tand\nline", "1984 ▁x", "ﬁsh e\u0301", "<start_of_turn>the", "<extra_id_1> gap", "<0x0A>"]
                expected = dict(texts=texts, ids=[encode(text) for text in texts], sentencepiece=[processor.encode(text) for text in texts])
                (place / "expected.json").write_text(json.dumps(expected, ensure_ascii=False, indent=1) + "\n")
                continue
            for place, encode, decode in (place, encode, lambda ids: tokenizer.decode(ids, skip_special_tokens=True)), (place / FOLDERS[name][1], processor.encode, processor.decode):
                written = real_tokenizers.ours(descant, place, lines, Path(work))
                if isinstance(written, str):
                    print(place.name, written)
                    continue
                wrong = [(text, written[i]["ids"], encode(text)) for i, text in enumerate(lines, 1) if i in written and written[i]["ids"] != encode(text)]
                texts = [(text, written[i]["decoded"], decode(encode(text))) for i, text in enumerate(lines, 1) if i in written and written[i]["decoded"] not in (text, decode(encode(text)))]
                print(f"{name}/{place.name}: ids of {len(written) - len(wrong)} of {len(lines)} lines equal, texts of {len(written) - len(texts)}", [str(line)[:300] for line in wrong[:4] + texts[:3]])


if __name__ == "__main__":
    main(*sys.argv[1:])
