#!/usr/bin/env python3
"""The speed of generation: descant beside CTranslate2 and llama.cpp, with the same weights on the same work, in turns.

    pip install torch transformers sentencepiece ctranslate2 llama-cpp-python
    python tools/generation_peers.py FOLDER DESCANT [--rounds N] [CELL ...]

The first run makes three models with random weights in FOLDER and converts them for each program: `gpt2` (124M), `base` (a
Transformer of 6+6 layers, width 512, 8 heads, feed-forward 2048) and `tiny` (6+2, 256, 4, 1024), both with 8,000 tokens, of Marian's
family. A cell is `base/BEAM/BATCH/WEIGHTS` or `tiny/...`, `gpt2/BATCH/WEIGHTS`, or `prompt/512/WEIGHTS`, with the weights f32, int8, and
for `gpt2/1` and `prompt/512` bf16 and q4 too. Without cells, all are measured.

base and tiny write exactly 24 tokens for each source of 24: 128 sources at batch 32, 32 at batch 1. GPT-2 continues 64 tokens by 128;
the time of its peers is the difference between 144 and 16 new tokens. Two threads. Of a peer with int8 and f32, the better one counts.
bf16 stands beside f16, int8 beside q8_0, q4 beside q4_k_m. Prints medians of the rounds, and how many times as fast descant is.
"""
import argparse
import json
import multiprocessing
import random
import statistics
import string
import subprocess
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

THREADS, NEW, VOCABULARY = 2, 24, 8000
GGUF = {"f32": None, "bf16": ("f16", 1), "int8": ("q8_0", 7), "q4": ("q4_k_m", 15)}
SIZES = {"base": (512, 8, 2048, 6), "tiny": (256, 4, 1024, 2)}


def source(row):
    """Random letters, the same in every run; `</s>` is added where a program does not add it."""
    return random.Random(row).choices(string.ascii_lowercase, k=NEW - 1)


def apart():
    """A process of its own, for each model of a peer and for PyTorch: beside the threads of another, those of CTranslate2 sleep where
    they would spin (libgomp counts all that a process has), and one source at a time takes 3 times as long."""
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


def seconds(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def tokenizer(first, size, last, end):
    """A byte-level tokenizer without merges, filled up to `size` entries."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    tokens = [*first, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokens += [f"unused{i}" for i in range(size - len(tokens) - len(last))] + last
    vocabulary = {token: i for i, token in enumerate(tokens)}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    made.add_special_tokens([*first, *last])
    if end:
        made.post_processor = processors.TemplateProcessing(single=f"$A {end}", special_tokens=[(end, vocabulary[end])])
    return made, vocabulary


def make(folder, name):
    """The model as a `transformers` folder."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel, MarianConfig, MarianMTModel

    torch.manual_seed(0)
    path = folder / name
    if name == "gpt2":
        GPT2LMHeadModel(GPT2Config()).save_pretrained(path)
        tokenizer([], 50257, ["<|endoftext|>"], None)[0].save(str(path / "tokenizer.json"))
        return
    width, heads, wide, layers = SIZES[name]
    config = MarianConfig(
        vocab_size=VOCABULARY, d_model=width, encoder_layers=6, decoder_layers=layers, encoder_attention_heads=heads,
        decoder_attention_heads=heads, encoder_ffn_dim=wide, decoder_ffn_dim=wide, max_position_embeddings=512,
        pad_token_id=VOCABULARY - 1, decoder_start_token_id=VOCABULARY - 1, eos_token_id=0, forced_eos_token_id=None,
        scale_embedding=True, activation_function="relu")
    MarianMTModel(config).save_pretrained(path)
    made, vocabulary = tokenizer(["</s>", "<unk>"], VOCABULARY, ["<pad>"], "</s>")
    made.save(str(path / "tokenizer.json"))
    # The converter of CTranslate2 reads Marian's own tokenizer, which is given tokens here and never used.
    import sentencepiece
    (path / "vocab.json").write_text(json.dumps(vocabulary))
    settings = {"source_lang": "a", "target_lang": "b", "tokenizer_class": "MarianTokenizer"}
    (path / "tokenizer_config.json").write_text(json.dumps(settings))
    with tempfile.TemporaryDirectory() as scratch:
        text = Path(scratch) / "text"
        text.write_text("\n".join(" ".join(source(row)) for row in range(128)))
        sentencepiece.SentencePieceTrainer.train(
            input=str(text), model_prefix=f"{scratch}/pieces", vocab_size=40, model_type="char", hard_vocab_limit=False,
            minloglevel=2)
        for side in ("source.spm", "target.spm"):
            (path / side).write_bytes((Path(scratch) / "pieces.model").read_bytes())


class Descant:
    def __init__(self, binary, folder):
        self.binary, self.folder = binary, folder

    def run(self, name):
        run = self.folder / "runs" / name
        if not run.exists():
            subprocess.run([self.binary, "import", str(self.folder / name), "--run", str(run)], check=True, capture_output=True)
        return run

    def bench(self, name, weights, *options):
        command = [self.binary, "bench", str(self.run(name)), "--generate", "--json", "--threads", str(THREADS), "--rounds", "1",
                   *options, *([] if weights == "f32" else ["--weights", weights])]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    def measure(self, name, beam, batch, weights):
        match name:
            case "prompt":
                return self.bench("gpt2", weights, "--prompt", "512", "--tokens", "2")["prompt_ms"]
            case "gpt2":
                return self.bench(name, weights, "--prompt", "64", "--tokens", "128", "--batch", str(batch))["tokens_per_s"]
        rows = 128 if batch == 32 else 32
        return self.bench(name, weights, "--prompt", str(NEW), "--tokens", str(NEW), "--beam", str(beam), "--batch", str(batch),
                          "--rows", str(rows))["tokens_per_s"]


def convert(folder, name, weights, path):
    """The model for CTranslate2."""
    import ctranslate2

    ctranslate2.converters.TransformersConverter(str(folder / name)).convert(str(path), quantization=weights)


class CTranslate2:
    def __init__(self, folder, name, weights):
        import ctranslate2

        own = "gpt2" if name == "prompt" else name
        path = folder / f"ct2-{own}-{weights}"
        if not path.exists():
            with apart() as process:
                process.submit(convert, folder, own, weights, path).result()
        kind = ctranslate2.Generator if own == "gpt2" else ctranslate2.Translator
        self.model = kind(str(path), device="cpu", inter_threads=1, intra_threads=THREADS, compute_type=weights)

    def go_on(self, prompt, batch, tokens):
        letters = [chr(ord("a") + i % 26) for i in range(prompt)]
        self.model.generate_batch([letters] * batch, max_length=tokens, min_length=tokens, sampling_topk=1,
                                  include_prompt_in_result=False)

    def measure(self, name, beam, batch):
        if name == "prompt":
            return 1e3 * seconds(lambda: self.go_on(512, 1, 1))
        if name == "gpt2":
            more, fewer = (seconds(lambda: self.go_on(64, batch, tokens)) for tokens in (144, 16))
            return 128 * batch / (more - fewer)
        sources = [[*source(row), "</s>"] for row in range(128 if batch == 32 else 32)]
        return NEW * len(sources) / seconds(lambda: self.model.translate_batch(
            sources, beam_size=beam, max_decoding_length=NEW, min_decoding_length=NEW, max_batch_size=batch))


class LlamaCpp:
    def __init__(self, descant, weights):
        import llama_cpp

        path = descant.folder / "gpt2.gguf"
        if not path.exists():
            subprocess.run([descant.binary, "export", str(descant.run("gpt2")), str(path)], check=True, capture_output=True)
        if GGUF[weights]:
            (name, kind), whole = GGUF[weights], path
            path = descant.folder / f"gpt2-{name}.gguf"
            if not path.exists():
                how = llama_cpp.llama_model_quantize_default_params()
                how.ftype, how.nthread = kind, THREADS
                assert llama_cpp.llama_model_quantize(str(whole).encode(), str(path).encode(), how) == 0
        self.model = llama_cpp.Llama(str(path), n_ctx=1024, n_batch=512, n_threads=THREADS, n_threads_batch=THREADS, verbose=False)

    def read(self, tokens):
        self.model.reset()
        self.model._ctx.kv_cache_clear()
        self.model.eval([7 * i % 256 for i in range(tokens)])

    def write(self, tokens):
        self.read(64)
        for i in range(tokens):
            self.model.eval([i % 256])

    def measure(self, name, beam, batch):
        if name == "prompt":
            return 1e3 * seconds(lambda: self.read(512))
        return 128 / (seconds(lambda: self.write(144)) - seconds(lambda: self.write(16)))


class Peer:
    """A peer's model in a process of its own."""

    def __init__(self, kind, *arguments):
        self.process = apart()
        self.process.submit(load, kind, arguments).result()

    def measure(self, name, beam, batch):
        return self.process.submit(measure, name, beam, batch).result()

    def close(self):
        self.process.shutdown()


def load(kind, arguments):
    global model
    model = kind(*arguments)


def measure(name, beam, batch):
    return model.measure(name, beam, batch)


def peers_of(descant, name, batch, weights):
    """The peers of a cell by name."""
    types = {"f32": ["float32"], "int8": ["int8", "float32"]}.get(weights, [])
    peers = {f"CTranslate2 {kind}": Peer(CTranslate2, descant.folder, name, kind) for kind in types}
    if name in ("gpt2", "prompt") and batch in (1, 512):
        peers[f"llama.cpp {GGUF[weights][0] if GGUF[weights] else 'f32'}"] = Peer(LlamaCpp, descant, weights)
    return peers


def every_cell():
    for name in SIZES:
        yield from (f"{name}/{beam}/{batch}/{weights}" for beam in (1, 5) for batch in (32, 1) for weights in ("f32", "int8"))
    for weights in GGUF:
        yield from (f"gpt2/1/{weights}", f"prompt/512/{weights}")
    yield from ("gpt2/8/f32", "gpt2/8/int8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path), parser.add_argument("descant"), parser.add_argument("cells", nargs="*")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_intermixed_args()
    for name in ("gpt2", *SIZES):
        if not (arguments.folder / name).exists():
            with apart() as process:
                process.submit(make, arguments.folder, name).result()
    descant = Descant(arguments.descant, arguments.folder)
    for cell in arguments.cells or every_cell():
        name, *beam, batch, weights = cell.split("/")
        beam, batch = int(beam[0]) if beam else 1, int(batch)
        peers = peers_of(descant, name, batch, weights)
        for peer in peers.values():
            peer.measure(name, beam, batch)
        figures = {who: [] for who in ("descant", *peers)}
        for _ in range(arguments.rounds):
            figures["descant"].append(descant.measure(name, beam, batch, weights))
            for who, peer in peers.items():
                figures[who].append(peer.measure(name, beam, batch))
        for peer in peers.values():
            peer.close()
        own, *others = medians = [statistics.median(values) for values in figures.values()]
        ratio = min(others) / own if name == "prompt" else own / max(others)
        unit = "ms" if name == "prompt" else "tokens/s"
        said = ", ".join(f"{who} {median:.4g}" for who, median in zip(figures, medians))
        print(f"{cell}: {said} {unit}: {ratio:.2f} times as fast", flush=True)


if __name__ == "__main__":
    main()
