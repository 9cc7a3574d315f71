#!/usr/bin/env python3
"""Compares descant and llama.cpp on the same models, in both directions.

    python3 -m venv ~/peers
    ~/peers/bin/pip install torch transformers safetensors sentencepiece xllamacpp
    ~/peers/bin/python tools/llama_cpp_round_trip.py [--llama-cpp CLONE] [--descant PROGRAM] [NAME …]

Of each language model of tools/transformers_models.py, with a tokenizer that llama.cpp knows:

- folder → `descant import` → `descant export x.gguf`: llama.cpp writes the same greedy texts as descant;
- with a clone of llama.cpp, folder → its convert_hf_to_gguf.py → `descant import`: descant writes the same texts as llama.cpp, and
  the weights are those of the folder, number by number.

llama.cpp runs on one thread, with its cache in f32. The converter knows tokenizers of bytes by a checksum of what real ones
do; it is told what those of tiny vocabularies are.
"""
import argparse
import importlib
import json
import logging
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import sentencepiece
import torch
import transformers as hf
import xllamacpp
from safetensors.numpy import load_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers_models import MODELS, draw

ROOT = Path(__file__).parents[1]
QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
LLAMA3 = QWEN2.replace(r"|\p{N}| ", r"|\p{N}{1,3}| ")
# What of a tokenizer sets families apart: of bytes with the converter's name for it, or of SentencePiece.
BYTES = {"gpt2": "gpt-2", "llama3": "llama-bpe", "smollm": "smollm", "qwen2": "qwen2", "qwen3": "qwen2", "olmo2": "olmo"}
PIECES = ["llama", "mistral", "gemma", "gemma2", "gemma3", "phi3"]
# What llama.cpp has another form of: no windows but Gemma's, every sixth layer of Gemma 3 without one, queries divided by the
# root of a head's width.
CHANGES = {
    "mistral": dict(sliding_window=None),
    "phi3": dict(sliding_window=None),
    "gemma2": dict(query_pre_attn_scalar=8),
    "gemma3": dict(query_pre_attn_scalar=8, num_hidden_layers=6,
                   layer_types=["sliding_attention"] * 5 + ["full_attention"]),
}
PROMPTS = ["The dog", "A red house by the sea", "12 apples and 7 plums", "Once upon a time, there was a king",
           "He said: no!", "x", "All that glitters is not gold", "Water boils at 100 degrees", "Two and two",
           "Naïve café", "In the evening the lamps are lit, and in the morning they are put out again", "Yes"]
LENGTH = 24
TEXT = ["The dog runs after the red ball.", "A king had three houses by the sea and seven boats.", "He said: no, not again!",
        "Apples and plums, bread and water; 12 of these, 100 of those.", "In the evening the lamps are lit.",
        "Once upon a time there was an old woman who lived in a small house at the end of the street."]


def of_bytes(name, folder):
    tokenizer = Tokenizer(models.BPE(ignore_merges=name == "llama3"))
    whole = pre_tokenizers.ByteLevel(add_prefix_space=False)
    part = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    split = lambda cut: pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(cut), "isolated"), part])
    tokenizer.pre_tokenizer = {
        "llama-bpe": split(LLAMA3), "qwen2": split(QWEN2),
        "smollm": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), whole]),
    }.get(BYTES[name], whole)
    tokenizer.decoder = decoders.ByteLevel()
    if name.startswith("qwen"):
        tokenizer.normalizer = normalizers.NFC()
    special = [AddedToken(token, special=True) for token in ("<unk>", "<s>", "</s>")]
    tokenizer.train_from_iterator(TEXT, trainers.BpeTrainer(
        vocab_size=340, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    if name == "llama3":
        tokenizer.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 1)])
    tokenizer.save(str(folder / "tokenizer.json"))
    return tokenizer.get_vocab_size()


def of_pieces(name, folder):
    gemma = name.startswith("gemma")
    (folder / "text").write_text("\n".join(TEXT * 20))
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "text"), model_prefix=str(folder / "tokenizer"), vocab_size=350, model_type="bpe", byte_fallback=True,
        normalization_rule_name="identity", remove_extra_whitespaces=False, add_dummy_prefix=not gemma, minloglevel=2,
        unk_id=0, bos_id=1, eos_id=2)
    (folder / "text").unlink()
    (folder / "tokenizer.vocab").unlink()
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    size = pieces.get_piece_size()
    ids = {pieces.id_to_piece(i): i for i in range(size)}
    normal = [piece for piece, i in ids.items() if i > 258]
    merges = [(-pieces.get_score(ids[piece]), ids[piece[:at]], ids[piece[at:]], (piece[:at], piece[at:]))
              for piece in normal for at in range(1, len(piece)) if piece[:at] in ids and piece[at:] in ids]
    tokenizer = Tokenizer(models.BPE(ids, [pair for *_, pair in sorted(merges)], unk_token="<unk>", fuse_unk=True,
                                     byte_fallback=True))
    replace = normalizers.Replace(" ", "▁")
    tokenizer.normalizer = replace if gemma else normalizers.Sequence([normalizers.Prepend("▁"), replace])
    strip = [] if gemma else [decoders.Strip(" ", 1, 0)]
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *strip])
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in ("<unk>", "<s>", "</s>")])
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 1)])
    tokenizer.save(str(folder / "tokenizer.json"))
    return size


def make(name, folder):
    """A folder of transformers, of a random model."""
    folder.mkdir()
    size = of_bytes(name, folder) if name in BYTES else of_pieces(name, folder)
    torch.manual_seed(7)
    model = MODELS[name]()
    config = model.config
    for key, value in (dict(vocab_size=size, max_position_embeddings=128) | CHANGES.get(name, {})).items():
        setattr(config, key, value)
    model = type(model)(config).eval()
    draw(model)
    with torch.no_grad():
        # Single bytes are unlikely, so that texts can be read.
        model.get_output_embeddings().weight[3:259] *= 0.2
    model.save_pretrained(folder)
    path = folder / "config.json"
    written = json.loads(path.read_text())
    # Keys of files before version 5, which the converter reads.
    written |= {"gpt2": dict(n_ctx=128), "llama3": dict(original_max_position_embeddings=16),
                "phi3": dict(original_max_position_embeddings=128)}.get(name, {})
    if name == "phi3":
        written["rope_parameters"] |= dict(original_max_position_embeddings=128)
    path.write_text(json.dumps(written))
    begins = name in PIECES or name == "llama3"
    (folder / "tokenizer_config.json").write_text(json.dumps(dict(
        tokenizer_class="PreTrainedTokenizerFast", unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="</s>",
        add_bos_token=begins, add_eos_token=False)))


def by_llama_cpp(path):
    """What llama.cpp writes after each prompt: texts, numbers of tokens, and log probabilities where every token is told."""
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx, params.n_parallel, params.warmup, params.fit_params, params.verbosity = 128, 1, False, False, -1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    server = xllamacpp.Server(params)
    texts = []
    for prompt in PROMPTS:
        answer = server.handle_completions(dict(
            prompt=prompt, n_predict=LENGTH, temperature=0.0, top_k=1, repeat_penalty=1.0, logprobs=1, cache_prompt=False))
        choice, count = answer["choices"][0], answer["usage"]["completion_tokens"]
        # Parts of a letter are told together.
        told = (choice["logprobs"] or dict(content=[]))["content"]
        score = sum(token["logprob"] for token in told) if len(told) == count else None
        # It counts the end too.
        texts.append((choice["text"], count - (choice["finish_reason"] == "stop"), score))
    return texts


class Descant:
    def __init__(self, program):
        self.program = program

    def run(self, *words):
        done = subprocess.run([self.program, *map(str, words)], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"descant {' '.join(map(str, words))}: {done.stderr}")
        return done.stdout

    def texts(self, run):
        lines = self.run("generate", run, "--greedy", "--max-length", LENGTH, "--json", "--", *PROMPTS)
        lines = [json.loads(line) for line in lines.splitlines()]
        return [(line["text"].removeprefix(line["source"]), len(line["ids"]), line["score"]) for line in lines]


def same(own, theirs):
    """How many texts are the same, and the largest difference of log probabilities."""
    equal = lambda a, b: (a[0].rstrip("\ufffd"), a[1]) == (b[0].rstrip("\ufffd"), b[1])
    apart = [abs(a[2] - b[2]) for a, b in zip(own, theirs) if equal(a, b) and b[2] is not None]
    return sum(map(equal, own, theirs)), max(apart, default=0)


def convert(clone, name, folder, path):
    """By the converter of llama.cpp."""
    sys.path[:0] = [str(clone), str(clone / "gguf-py")]
    conversion = importlib.import_module("conversion")
    import gguf

    logging.disable(logging.WARNING)
    kind = conversion.get_model_class(json.loads((folder / "config.json").read_text())["architectures"][0])
    # Told, as the checksum of a tiny vocabulary is not known.
    kind.get_vocab_base_pre = lambda self, tokenizer: BYTES[name]
    with torch.inference_mode():
        kind(folder, gguf.LlamaFileType.ALL_F32, path).write()


def weights(run):
    checkpoint = run / ("best" if (run / "best").exists() else "last")
    return load_file(checkpoint / "model.safetensors")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--llama-cpp", type=Path)
    parser.add_argument("--descant", type=Path, default=ROOT / "target/release/descant")
    parser.add_argument("--show", action="store_true", help="the texts of either")
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    hf.logging.set_verbosity_error()
    hf.logging.disable_progress_bar()
    torch.set_num_threads(1)
    descant = Descant(options.descant)
    out, back, all_weights, texts = 0, 0, True, 0
    for name in options.names or [*BYTES, *PIECES]:
        with tempfile.TemporaryDirectory() as place:
            place = Path(place)
            make(name, place / "folder")
            descant.run("import", place / "folder", "--run", place / "run")
            descant.run("export", place / "run", place / "out.gguf")
            own = descant.texts(place / "run")
            theirs = by_llama_cpp(place / "out.gguf")
            equal, apart = same(own, theirs)
            said = f"{name}: out {equal} of {len(own)} texts (log probabilities {apart:.0e} apart)"
            out, texts = out + equal, texts + len(own)
            if options.show:
                print(*zip(own, theirs), sep="\n")
            if options.llama_cpp:
                convert(options.llama_cpp, name, place / "folder", place / "in.gguf")
                descant.run("import", place / "in.gguf", "--run", place / "back")
                own, theirs = descant.texts(place / "back"), by_llama_cpp(place / "in.gguf")
                equal, apart = same(own, theirs)
                back += equal
                if options.show:
                    print(*zip(own, theirs), sep="\n")
                a, b = weights(place / "run"), weights(place / "back")
                equal_weights = a.keys() == b.keys() and all(np.array_equal(a[key], b[key]) for key in a)
                all_weights &= equal_weights
                said += f"; back {equal} of {len(own)} texts, weights {'the same' if equal_weights else 'others'}"
            print(said, flush=True)
    print(f"out {out} of {texts} texts" + (f"; back {back} of {texts}" if options.llama_cpp else ""))


if __name__ == "__main__":
    main()
