#!/usr/bin/env python3
"""Verdicts on trainings that have a fault, and on healthy ones, as tables.

    python tools/verdicts_table.py DATA [--binary target/release/descant] [--only WORDS]

DATA is a folder with multi30k, tatoeba-cmn-eng, cmudict and tinyshakespeare, as the recipes name them. Each training is one of the project's
recipes, made small, and faulty by settings or texts, and is begun in a temporary folder. One with a fault has to get its verdict, with the
right tensor, from an early step on; a healthy one has to get none. The exit status is 1 where that is not so.
"""
import argparse
import base64
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import time

RECIPES = pathlib.Path(__file__).resolve().parent.parent / "recipes"

# As many lines of metrics in a short training as in a long one have in its first part.
SHORT = ["train.steps=200", "train.log_every=5", "train.validate_every=100000", "train.shares=2"]
LSTM = ["tinyshakespeare-char-lstm", "model.hidden=128", "model.embedding=64", "train.batch_sentences=16", "train.length=64",
        "schedule.warmup=20"]
GPT = ["tinyshakespeare-char-gpt", "model.hidden=64", "model.layers=3", "schedule.warmup=20"]
SPELLING = ["cmudict-lstm", "model.hidden=64", "model.embedding=32", "schedule.warmup=20", "train.batch_tokens=1200"]
CHINESE = ["tatoeba-en-zh-lstm", "model.hidden=96", "model.embedding=64", "schedule.warmup=20", "tokenizer.vocabulary=1000"]
TRANSLATION = ["schedule.warmup=20", "tokenizer.vocabulary=1000", "train.batch_tokens=1024",
               "data.validation=['texts/validation.en', 'texts/validation.de']"]
GRU = ["multi30k-en-de-gru", "model.hidden=96", "model.embedding=96", *TRANSLATION]
TRANSFORMER = ["multi30k-en-de-transformer", "model.hidden=64", "model.layers=2", "model.encoder_layers=2", *TRANSLATION]
SGD = ["optimizer={kind='sgd'}", "train.clip='none'"]
RELU = [*GPT, "model.transformer.activation='relu'"]
VALIDATED = ["train.validate_every=20", "train.average=0"]
# What ends its schedule after 200 steps before it has begun to read.
LONGER = ["train.steps=400"]
SPIKES = ["train.log_every=1", "train.steps=300", "data.train='texts/damaged.txt'", "data.validation_share=0.02", "train.batch_sentences=4"]


def few(what):
    return [f"data.train={what}", *VALIDATED, "model.dropout=0", "loss={kind='cross-entropy'}", "train.steps=400"]


# By verdict: the fault, what it has to name, the latest step since which it may be so, and the training.
FAULTS = {
    "vanishing gradients": [
        ("10 LSTM layers", "rnn layer 0:", 30, [*LSTM, "model.layers=10", "model.hidden=48"]),
        ("8 layers of the encoder", "encoder.rnn layer 0:", 30, [*SPELLING, "model.encoder_layers=8"]),
        ("12 GRU layers of the decoder", "decoder.rnn layer 0:", 30, [*GRU, "model.layers=12"]),
    ],
    "exploding gradients": [
        ("rate 1", "times", 200, [*LSTM, "train.learning_rate=1"]),
        ("rate 10", "decoder layer 0:", 200, [*GPT, "model.hidden=128", "model.layers=4", "train.learning_rate=10"]),
        ("rate 3", "times", 200, [*LSTM, "train.learning_rate=3"]),
    ],
    "no gradient": [
        ("SGD, rate 100, no clipping", "decoder", 200, [*SPELLING, *SGD, "train.learning_rate=100"]),
        ("SGD, rate 100, no clipping", "coder", 100, [*GRU, *SGD, "train.learning_rate=100"]),
        ("64 LSTM layers", "_l[0-9]'", 30, [*LSTM, "model.layers=64", "model.hidden=8", "model.embedding=8"]),
    ],
    "dead units": [
        ("rate 0.3", "layers.[0-9].linear1", 60, [*RELU, "train.learning_rate=0.3"]),
        ("rate 0.2, post-norm", "layers.[0-9].linear1", 60, [*RELU, "train.learning_rate=0.2", "model.transformer.norm_first=false"]),
        ("rate 1, post-norm", "layers.[0-9].linear1", 60, [*TRANSFORMER, "train.learning_rate=1", "model.transformer.norm_first=false"]),
    ],
    "saturated gates": [
        ("rate 1", "'rnn.weight_hh_l", 30, [*LSTM, "train.learning_rate=1"]),
        ("rate 1", "(en|de)coder.rnn.weight_hh_l", 30, [*SPELLING, "train.learning_rate=1"]),
        ("rate 3", "(en|de)coder.rnn.weight_hh_l", 30, [*GRU, "train.learning_rate=3"]),
    ],
    "attention collapsed": [
        ("rate 0.1, where 0.003 is good", "self_attn.in_proj_weight", 60, [*GPT, "train.learning_rate=0.1"]),
        ("scores times 8,000", "attn.in_proj_weight", 5, [*TRANSFORMER, "model.transformer.query_pre_attn_scalar=1e-6"]),
        ("rate 0.3", "attn.in_proj_weight", 60, [*TRANSFORMER, "train.learning_rate=0.3"]),
        ("scores without a scale", "decoder.attention.weight", 60, ["multi30k-en-de-lstm", "model.attention='general'"]),
        ("scores without a scale", "decoder.attention.weight", 120, ["tatoeba-en-zh-lstm", "model.attention='general'"]),
    ],
    "dead rows of an embedding": [
        ("SGD, rate 30, no clipping", "'embedding.weight'", 100, [*LSTM, *SGD, "train.learning_rate=30"]),
        ("SGD, rate 100, no clipping", "coder.embedding.weight'", 100, [*SPELLING, *SGD, "train.learning_rate=100"]),
        ("GRU, SGD, rate 100, no clipping", "'embedding.weight'", 100, [*LSTM, *SGD, "model.cell='gru'", "train.learning_rate=100"]),
    ],
    "learning rate too high": [
        ("rate 1", "loss", 30, [*GPT, "train.learning_rate=1"]),
        ("rate 1", "loss", 30, [*SPELLING, "train.learning_rate=1"]),
        ("rate 1", "loss", 30, [*CHINESE, "train.learning_rate=1"]),
    ],
    "learning rate too low": [
        ("rate 1e-8", "to 55,", 1, [*LSTM, "train.learning_rate=1e-8"]),
        ("rate 1e-7", "to 55,", 1, [*GPT, "train.learning_rate=1e-7"]),
        ("rate 1e-8", "to 55,", 1, [*SPELLING, "train.learning_rate=1e-8"]),
    ],
    "loss spike": [
        ("noise in the text", "deviations", 300, [*GPT, *SPIKES]),
        ("noise in the text", "deviations", 300, [*LSTM, *SPIKES]),
        ("noise in the text, GRU", "deviations", 300, [*LSTM, *SPIKES, "model.cell='gru'"]),
    ],
    "over-fitting": [
        ("6,000 characters", "validation loss rose", 200, [*GPT, *few("'texts/few.txt'"), "data.validation_share=0.2"]),
        ("150 words", "validation loss rose", 300, [*SPELLING, *few("'texts/few.tsv'"), "data.validation='texts/validation.tsv'"]),
        ("60 pairs", "validation loss rose", 200, [*GRU, *few("['texts/few.en', 'texts/few.de']"), "tokenizer.vocabulary=300"]),
    ],
    "the decoder ignores its source": [
        ("shuffled sources", "nats a token", 100, [*SPELLING, *VALIDATED, "data.train='texts/shuffled.tsv'"]),
        ("shuffled sources", "nats a token", 100, [*GRU, *VALIDATED, "data.train=['texts/shuffled.en', 'texts/shuffled.de']"]),
        ("shuffled sources", "nats a token", 100, [*TRANSFORMER, *VALIDATED, "data.train=['texts/shuffled.en', 'texts/shuffled.de']"]),
    ],
}

# The recipes as they are, but for the steps, and the warm-up that goes with them.
WHOLE = ["train.log_every=2", "train.steps=60", "schedule.warmup=20"]
HEALTHY = [
    *[(f"{name}, 60 steps", [name, *WHOLE])
      for name in ["tinyshakespeare-char-lstm", "tinyshakespeare-char-gpt", "cmudict-lstm", "tatoeba-en-zh-lstm",
                   "multi30k-en-de-gru", "multi30k-en-de-lstm", "multi30k-en-de-transformer"]],
    ("as small as those with a fault", LSTM),
    ("as small as those with a fault", GPT),
    ("as small as those with a fault, validated", [*SPELLING, *VALIDATED, "data.validation='texts/validation.tsv'"]),
    ("as small as those with a fault", CHINESE),
    ("as small as those with a fault, validated", [*GRU, *VALIDATED]),
    ("as small as those with a fault, validated", [*TRANSFORMER, *VALIDATED]),
    ("three times the rate", [*LSTM, "train.learning_rate=1.2e-2"]),
    ("a third of the rate", [*LSTM, "train.learning_rate=1.3e-3"]),
    ("three times the rate", [*GPT, "train.learning_rate=9e-3"]),
    ("a third of the rate", [*GPT, "train.learning_rate=1e-3"]),
    ("width 192, 2 layers", [*GPT, "model.hidden=192", "model.layers=2"]),
    ("ReLU, dropout 0.2, learned positions", [*RELU, "model.dropout=0.2", "model.transformer.position='learned'"]),
    ("width 24", [*LSTM, "model.hidden=24", "model.embedding=16"]),
    ("4 layers, dropout 0.5", [*LSTM, "model.layers=4", "model.dropout=0.5"]),
    ("GRU, bf16, 600 steps", [*LSTM, "model.cell='gru'", "train.precision='bf16'", "train.steps=600"]),
    ("GRU, dot attention, input feeding", [*SPELLING, "model.cell='gru'", "model.attention='dot'", "model.input_feeding=true"]),
    ("three times the rate, validated", [*SPELLING, *VALIDATED, "train.learning_rate=1.2e-2", "train.steps=600",
                                         "data.validation='texts/validation.tsv'"]),
    ("German to English, post-norm", [*TRANSFORMER, "data.train=['data/multi30k/train.de', 'data/multi30k/train.en']",
                                      "data.validation=['texts/validation.de', 'texts/validation.en']",
                                      "model.transformer.norm_first=false", "train.learning_rate=2e-3", *VALIDATED, *LONGER]),
    ("Chinese to English", [*CHINESE, "data.train=['data/tatoeba-cmn-eng/train.zh', 'data/tatoeba-cmn-eng/train.en']",
                            "data.validation=['data/tatoeba-cmn-eng/dev.zh', 'data/tatoeba-cmn-eng/dev.en']", *VALIDATED, *LONGER]),
    ("SGD with momentum", [*LSTM, "optimizer={kind='sgd',momentum=0.9}", "train.learning_rate=0.5"]),
]


def lines(path):
    return path.read_text(encoding="utf-8").splitlines()


def write_texts(data, folder):
    """Small and damaged texts."""
    draw = random.Random(1)
    folder.mkdir()

    def write(name, text):
        (folder / name).write_text("\n".join(text) + "\n", encoding="utf-8")

    for side in ["en", "de"]:
        text = lines(data / f"multi30k/train.{side}")
        write(f"few.{side}", text[:60])
        write(f"validation.{side}", lines(data / f"multi30k/val.{side}")[:200])
        if side == "en":
            draw.shuffle(text)
        write(f"shuffled.{side}", text)
    words = [line.split("\t") for line in lines(data / "cmudict/train.tsv")]
    draw.shuffle(words)
    write("few.tsv", ["\t".join(word) for word in words[:150]])
    write("validation.tsv", lines(data / "cmudict/dev.tsv")[:300])
    spoken = [word[1] for word in words]
    draw.shuffle(spoken)
    write("shuffled.tsv", [f"{word[0]}\t{other}" for word, other in zip(words, spoken)])
    text = (data / "tinyshakespeare/input.txt").read_text(encoding="utf-8")
    write("few.txt", [text[:6000]])
    # What a program may leave in a text that no one looked at: in one place, and as long as some chunks.
    noise = base64.b64encode(draw.randbytes(1500)).decode()
    write("damaged.txt", [text[:150000], noise, text[150000:300000]])


def train(binary, folder, number, settings):
    """The verdicts of a training, what it ended with, and its seconds."""
    recipe, *settings = settings
    # Of a key that is set twice, the last one counts.
    chosen = dict(setting.split("=", 1) for setting in [*SHORT, *settings])
    arguments = [word for key, value in chosen.items() for word in ["--set", f"{key}={value}"]]
    start = time.time()
    command = [binary, "train", RECIPES / f"{recipe}.toml", "--run", f"run{number}", "--threads", "2", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    told = done.stderr.splitlines()
    verdicts = [re.fullmatch(r"! (.*?) since step (\d+): (.*)", line) for line in told]
    verdicts = [(found[1], int(found[2]), found[3]) for found in verdicts if found]
    end = next((line for line in told if line.startswith("error: ")), "")
    if end and not end.startswith("error: training diverged"):
        sys.exit(f"{recipe} {chosen}\n{end}")
    return verdicts, end, time.time() - start


def brief(seen):
    return seen.split(": what ")[0].split(": nearly ")[0].split(". Try ")[0]


def main():
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("data", type=pathlib.Path)
    cli.add_argument("--binary", type=pathlib.Path, default="target/release/descant")
    cli.add_argument("--only", default="", help="the verdict, or 'healthy'")
    a = cli.parse_args()
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "data").symlink_to(a.data.resolve())
        write_texts(a.data, folder / "texts")
        number = 0
        print("| fault | training | verdict | also told |\n|---|---|---|---|")
        for kind, trainings in FAULTS.items():
            for fault, names, latest, settings in trainings if a.only in kind else []:
                number += 1
                verdicts, end, seconds = train(a.binary.resolve(), folder, number, settings)
                ours = [(step, seen) for k, step, seen in verdicts if k == kind]
                right = [(step, seen) for step, seen in ours if step <= latest and re.search(names, seen)]
                failures += not right
                found = (right or ours or [(0, "**silent**")])[0]
                mark = "" if right else "**wrong**: "
                others = ", ".join(dict.fromkeys(k for k, _, _ in verdicts if k != kind))
                others += "; diverged" if end else ""
                print(f"| {kind}: {fault} | {settings[0]} | {mark}since step {found[0]}: {brief(found[1])} | {others} |", flush=True)
                print(f"{seconds:.0f} s", file=sys.stderr)
        print("\n| healthy training | recipe | verdicts |\n|---|---|---|")
        for what, settings in HEALTHY if a.only in "healthy" else []:
            number += 1
            verdicts, end, seconds = train(a.binary.resolve(), folder, number, settings)
            failures += bool(verdicts or end)
            told = "; ".join(f"**{k} since step {step}**: {brief(seen)}" for k, step, seen in verdicts) or "none"
            print(f"| {what} | {settings[0]} | {told}{end} |", flush=True)
            print(f"{seconds:.0f} s", file=sys.stderr)
    print(f"\n{failures} of {number} trainings without the right verdicts.")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
