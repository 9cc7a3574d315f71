#!/usr/bin/env python3
"""Writes crates/interop/tests/reference/{pytorch-lstm,pytorch-gru,opus-mt,opus-mt-apart,pickles}: tiny random models as
others leave them, with what PyTorch, transformers and sentencepiece make of them in expected.json.

    python3 -m venv ~/torch && ~/torch/bin/pip install torch transformers sentencepiece safetensors numpy
    ~/torch/bin/python tools/foreign_models.py
"""
import io
import json
import random
import shutil
import tempfile
from pathlib import Path

import sentencepiece
import torch
import torch.nn as nn
import transformers as hf

ROOT = Path(__file__).parents[1] / "crates/interop/tests/reference"


def fresh(name):
    folder = ROOT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def dump(folder, name, value):
    (folder / name).write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n")


# Recurrent models of PyTorch: names as crates/interop/src/recurrent.rs has them.

LETTERS = ["<pad>", "<unk>", "<s>", "</s>", *"abcdefghijklmnopqrstuvwxyz'"]
SOUNDS = ["</s>", "<unk>", "<s>", *(c + v for c in "KLMNPRST" for v in ("A", "E", "I", "O"))]
HIDDEN = 12


class Side(nn.Module):
    pass


class LstmWithAttention(nn.Module):
    """A bidirectional LSTM, and one that writes with Luong's general attention."""
    config = dict(kind="encoder-decoder", cell="lstm", embedding=10, hidden=HIDDEN, layers=1, encoder_layers=1,
                  bidirectional=True, attention="general")

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = Side(), Side()
        self.encoder.embedding = nn.Embedding(len(LETTERS), 10)
        self.encoder.rnn = nn.LSTM(10, HIDDEN // 2, bidirectional=True, batch_first=True)
        self.decoder.embedding = nn.Embedding(len(SOUNDS), 10)
        self.decoder.rnn = nn.LSTM(10, HIDDEN, batch_first=True)
        self.decoder.attention = nn.Linear(HIDDEN, HIDDEN, bias=False)
        self.decoder.combine = nn.Linear(2 * HIDDEN, HIDDEN)
        self.decoder.projection = nn.Linear(HIDDEN, len(SOUNDS))

    def encode(self, source):
        memory, last = self.encoder.rnn(self.encoder.embedding(source))
        # The last states of both directions side by side.
        return memory, tuple(torch.cat([part[0::2], part[1::2]], -1) for part in last)

    def step(self, token, memory, state):
        h, state = self.decoder.rnn(self.decoder.embedding(token), state)
        context = (self.decoder.attention(h) @ memory.transpose(1, 2)).softmax(-1) @ memory
        return self.decoder.projection(torch.tanh(self.decoder.combine(torch.cat([context, h], -1)))), state


class GruWithout(nn.Module):
    """A GRU that reads, and one that goes on from its last state."""
    config = dict(kind="encoder-decoder", cell="gru", embedding=10, hidden=HIDDEN, layers=1, encoder_layers=1,
                  bidirectional=False)

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = Side(), Side()
        self.encoder.embedding = nn.Embedding(len(LETTERS), 10)
        self.encoder.rnn = nn.GRU(10, HIDDEN, batch_first=True)
        self.decoder.embedding = nn.Embedding(len(SOUNDS), 10)
        self.decoder.rnn = nn.GRU(10, HIDDEN, batch_first=True)
        self.decoder.projection = nn.Linear(HIDDEN, len(SOUNDS))

    def encode(self, source):
        memory, last = self.encoder.rnn(self.encoder.embedding(source))
        return memory, last

    def step(self, token, memory, state):
        h, state = self.decoder.rnn(self.decoder.embedding(token), state)
        return self.decoder.projection(h), state


@torch.no_grad()
def recurrent(name, make):
    torch.manual_seed(5)
    model = make().eval()
    for parameter in model.parameters():
        parameter.copy_(0.8 * torch.randn_like(parameter))
    end, start = SOUNDS.index("</s>"), SOUNDS.index("<s>")
    sources, texts = ["hello", "it's", "a", "zebra", "photograph"], []
    for source in sources:
        ids = [LETTERS.index(letter) for letter in source] + [LETTERS.index("</s>")]
        memory, state = model.encode(torch.tensor([ids]))
        written, token = [], start
        while len(written) < 10:
            logits, state = model.step(torch.tensor([[token]]), memory, state)
            logits[..., [SOUNDS.index("<unk>"), start]] = -torch.inf
            token = logits[0, 0].argmax().item()
            if token == end:
                break
            written.append(SOUNDS[token])
        texts.append(" ".join(written))
    folder = fresh(name)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    special = dict(unknown="<unk>", beginning="<s>", end="</s>")
    dump(folder, "config.json", model.config | dict(
        source_vocabulary=len(LETTERS), vocabulary=len(SOUNDS), source_tokens="character", tokens="word",
        source_special=special, special=special))
    (folder / "source_vocabulary.txt").write_text("\n".join(LETTERS) + "\n")
    (folder / "target_vocabulary.txt").write_text("\n".join(SOUNDS) + "\n")
    dump(folder, "expected.json", dict(sources=sources, texts=texts))
    print(name, texts)


# OPUS-MT: two SentencePiece models, vocab.json, and a pickle.

WORDS = {"source": "the a cat dog house river sees likes small old red and with never runs stands".split(),
         "target": "der die das katze hund haus fluss sieht mag klein alt rot und mit nie läuft steht".split()}


def pieces(folder, side, size):
    dice = random.Random(side)
    lines = [" ".join(dice.choices(WORDS[side], k=dice.randint(3, 8))) for _ in range(200)]
    model = io.BytesIO()
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as rules:
        # The usual rules take 240 KB.
        rules.write("FB01\t66 69\n3000\t20\n9\t20\n")
        rules.flush()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines), model_writer=model, vocab_size=size, hard_vocab_limit=False,
            normalization_rule_tsv=rules.name, minloglevel=2)
    (folder / f"{side}.spm").write_bytes(model.getvalue())
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    return [processor.id_to_piece(i) for i in range(3, processor.get_piece_size())]


def numbered(all_pieces, extra):
    """Ids in an order of their own; the third piece has none."""
    all_pieces = sorted(set(all_pieces) - {all_pieces[2]})
    random.Random(1).shuffle(all_pieces)
    tokens = ["</s>", "<unk>", *all_pieces, *extra, "<pad>"]
    return {token: i for i, token in enumerate(tokens)}


@torch.no_grad()
def opus_mt(name, apart):
    folder = fresh(name)
    source, target = pieces(folder, "source", 60), pieces(folder, "target", 66)
    if apart:
        vocab, other = numbered(source, [">>fra<<"]), numbered(target, [])
        # One id for the beginning on both sides, as Marian's configuration has one.
        dump(folder, "target_vocab.json", other)
    else:
        vocab = other = numbered(source + target, [">>fra<<", ">>deu<<"])
    dump(folder, "vocab.json", vocab)
    torch.manual_seed(7)
    pad = other["<pad>"]
    config = hf.MarianConfig(
        vocab_size=len(vocab), decoder_vocab_size=len(other), d_model=16, encoder_layers=2, decoder_layers=2,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=24, decoder_ffn_dim=24,
        activation_function="swish", scale_embedding=True, max_position_embeddings=64, decoder_start_token_id=pad,
        pad_token_id=pad, bos_token_id=0, eos_token_id=0, share_encoder_decoder_embeddings=not apart,
        static_position_embeddings=True, normalize_before=False, forced_eos_token_id=None, use_cache=True)
    model = hf.MarianMTModel(config).eval()
    for key, parameter in model.named_parameters():
        if "embed_positions" not in key:
            parameter.copy_(parameter + 0.1 * torch.randn_like(parameter) if "norm" in key else 0.5 * torch.randn_like(parameter))
    model.final_logits_bias.copy_(0.3 * torch.randn_like(model.final_logits_bias))
    model.config.to_json_file(folder / "config.json")
    dump(folder, "generation_config.json", dict(
        bad_words_ids=[[pad]], bos_token_id=0, decoder_start_token_id=pad, eos_token_id=0, max_length=64, pad_token_id=pad,
        renormalize_logits=True))
    dump(folder, "tokenizer_config.json", dict(source_lang="en", target_lang="de", separate_vocabs=apart,
                                               tokenizer_class="MarianTokenizer"))
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    tokenizer = hf.MarianTokenizer.from_pretrained(folder)
    texts = ["the cat sees a small dog", "  the   old river ", "rivers and houses", ">>fra<< the dog", "a xylophone 漢字!",
             "the café", "", "der hund sieht", "the\tcat\u3000runs ﬁne", "THE CAT"]
    targets = ["die katze sieht das haus", "der hund läuft nie", "the river", "漢 haus", "äöü"]
    ids = [tokenizer(text).input_ids for text in texts]
    expected = dict(texts=texts, ids=ids, targets=targets, target_ids=[tokenizer(text_target=text).input_ids for text in targets])
    for beam in (1, 4):
        expected[f"beam{beam}"] = [
            tokenizer.decode(model.generate(
                input_ids=torch.tensor([i]), max_new_tokens=12, num_beams=beam, do_sample=False, length_penalty=0.0,
                early_stopping=False, bad_words_ids=[[pad], [other["<unk>"]]], renormalize_logits=True, forced_eos_token_id=None,
            )[0], skip_special_tokens=True, use_source_tokenizer=False) for i in ids]
    dump(folder, "expected.json", expected)
    print(name, expected)


@torch.no_grad()
def pickles():
    """The same tensors in every form that torch.save has."""
    folder = fresh("pickles")
    table = torch.arange(12, dtype=torch.float32).reshape(3, 4) / 4 - 1
    tensors = {
        "whole": table, "turned": table.t(), "row": table[1], "every.other": table[:, ::2], "scalar": torch.tensor(2.5),
        "half": table.half(), "bfloat16": table.bfloat16(), "double": table.double(), "parameter": nn.Parameter(table[:2]),
        "empty": torch.zeros(0, 4), "numbers": torch.arange(3),
    }
    torch.save(tensors, folder / "zipped.bin")
    torch.save(tensors, folder / "legacy.bin", _use_new_zipfile_serialization=False)
    torch.save(tensors, folder / "protocol4.bin", pickle_protocol=4)
    torch.save({"a": nn.Linear(2, 2)}, folder / "module.bin")
    torch.save({"a": table, "step": 7}, folder / "training.bin")
    print("pickles", sum(file.stat().st_size for file in folder.iterdir()), "bytes")


def main():
    torch.set_num_threads(1)
    recurrent("pytorch-lstm", LstmWithAttention)
    recurrent("pytorch-gru", GruWithout)
    opus_mt("opus-mt", apart=False)
    opus_mt("opus-mt-apart", apart=True)
    pickles()


if __name__ == "__main__":
    main()
