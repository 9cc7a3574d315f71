#!/usr/bin/env python3
"""Writes crates/metrics/tests/reference/outputs.json: F1 of slots by seqeval; distinct-n, seq-rep-4 and the copy rate by their definitions.

    python3 -m venv ~/metrics && ~/metrics/bin/pip install seqeval
    ~/metrics/bin/python tools/output_metrics.py
    ~/metrics/bin/python tools/output_metrics.py TEXTS.tsv OUT.json

The first makes small sets from lists here. The second takes real texts, a line each with source, output and reference between tabs; name
OUT.json in DESCANT_OUTPUTS for the test to read it. Figures of slots are there where references have some.
"""
import json
import random
import sys
import warnings
from pathlib import Path

from seqeval.metrics import f1_score

WORDS = "the a dog cat runs to from Straße 3.5 isn't it, yes! ein Hund 我 们".split()
CHARACTERS = list("我们昨天在北京的书店里买了三本新书，。")
TAGS = "O O O B-city I-city B-day I-day B-city.name I-city.name B-a-b I-a-b Weather".split()


def ngrams(tokens, n):
    return [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]


def distinct(outputs, n):
    """Li et al. 2016: different n-grams of all outputs by all of their n-grams."""
    found = [ngram for output in outputs for ngram in ngrams(output, n)]
    return len(set(found)) / len(found) if found else 0.0


def seq_rep(outputs, n):
    """Welleck et al. 2020: 1 - |unique n-grams| / |n-grams| of each output, the mean; of an output without n-grams 0."""
    shares = [1.0 - len(set(found)) / len(found) if (found := ngrams(output, n)) else 0.0 for output in outputs]
    return sum(shares) / len(shares)


def copy_rate(sources, outputs):
    """Liu et al. 2021: tokens of outputs that stand in their sources by all tokens of outputs."""
    copied = sum(token in source for source, output in zip(sources, outputs) for token in output)
    return copied / max(1, sum(map(len, outputs)))


def slot_f1(outputs, references):
    """seqeval's, for which both sides have as many tags, and nothing is a tag but B-, I- and O."""
    def tags(words, length):
        words = [word if word[:2] in ("B-", "I-") else "O" for word in words]
        return words + ["O"] * (length - len(words))

    lengths = [max(len(output), len(reference)) for output, reference in zip(outputs, references)]
    sides = [[tags(*pair) for pair in zip(side, lengths)] for side in (references, outputs)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(f1_score(*sides))


def changed(rng, tokens, all_tokens):
    output = list(tokens)
    for _ in range(rng.choice([0, 1, 2, 5])):
        change, at = rng.randrange(4), rng.randrange(len(output) + 1)
        if change == 0:
            output.insert(at, rng.choice(all_tokens))
        elif change == 1 and output:
            output.pop(at % len(output))
        elif change == 2 and output:
            output[at % len(output)] = rng.choice(all_tokens)
        else:
            # A loop.
            output[at:at] = output[max(0, at - 3) : at] * rng.choice([1, 4])
    return output


def sets():
    rng = random.Random(5)
    for tokens, join in ((WORDS, " "), (CHARACTERS, ""), (TAGS, " ")):
        for size in (1, 4, 25):
            texts = []
            for _ in range(size):
                reference = [rng.choice(tokens) for _ in range(rng.choice([2, 6, 12, 30]))]
                source = [rng.choice(tokens) for _ in range(rng.choice([0, 5, 9]))]
                texts.append([source, changed(rng, reference, tokens) if rng.randrange(9) else [], reference])
            yield [[join.join(side) for side in text] for text in texts], list if join == "" else str.split


def figures(texts, cut):
    sources, outputs, references = ([cut(text[side]) for text in texts] for side in range(3))
    found = {f"distinct-{n}": distinct(outputs, n) for n in (1, 2)}
    found |= {"seq-rep-4": seq_rep(outputs, 4), "copy_rate": copy_rate(sources, outputs)}
    if any(word.startswith("B-") for reference in references for word in reference):
        found["slot_f1"] = slot_f1(outputs, references)
    return found


def main():
    if len(sys.argv) == 3:
        lines = Path(sys.argv[1]).read_text(encoding="utf-8").split("\n")
        cases, path = [([line.split("\t") for line in lines if line], str.split)], Path(sys.argv[2])
    else:
        cases, path = sets(), Path(__file__).parents[1] / "crates/metrics/tests/reference/outputs.json"
    written = [{"texts": texts, "figures": figures(texts, cut)} for texts, cut in cases]
    path.write_text(json.dumps(written, ensure_ascii=False) + "\n", encoding="utf-8")
    print(path, path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
