#!/usr/bin/env python3
"""Writes a synthetic corpus of any size: pairs of a numbered sentence of made-up words, and the same words backwards.

    pip install numpy pyarrow
    python tools/large_corpus.py corpus.tsv --gigabytes 20      # or corpus.jsonl, corpus.parquet

Gigabytes are 10^9 bytes of text, without what a form adds. Words follow Zipf's law. The number that each sentence begins with makes every
pair another one.
"""
import argparse
from pathlib import Path

import numpy as np

WORDS, SYLLABLES = 20_000, [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]
# Pairs that are drawn; all of the corpus is these again and again, with other numbers.
DRAWN = 200_000


def draw():
    random = np.random.default_rng(1)
    words = ["".join(random.choice(SYLLABLES, random.integers(1, 5))) for _ in range(WORDS)]
    shares = 1 / np.arange(1, WORDS + 1)
    lengths = random.integers(4, 20, DRAWN)
    ranks = random.choice(WORDS, lengths.sum(), p=shares / shares.sum())
    sentences = [[words[rank] for rank in part] for part in np.split(ranks, np.cumsum(lengths)[:-1])]
    return [(" ".join(sentence), " ".join(reversed(sentence))) for sentence in sentences]


def portions(gigabytes):
    pairs, number, left = draw(), 0, gigabytes * 1e9
    while left > 0:
        portion = [(f"{number + i} {source}", target) for i, (source, target) in enumerate(pairs)]
        yield portion
        number += len(portion)
        left -= sum(len(source) + len(target) + 2 for source, target in portion)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--gigabytes", type=float, required=True)
    options = parser.parse_args()
    match options.file.suffix:
        case ".parquet":
            import pyarrow as pa
            import pyarrow.parquet as pq

            schema = pa.schema([("prompt", pa.string()), ("completion", pa.string())])
            with pq.ParquetWriter(options.file, schema) as writer:
                for portion in portions(options.gigabytes):
                    writer.write_table(pa.table([pa.array(column) for column in zip(*portion)], schema=schema))
        case ".tsv" | ".jsonl" as form:
            line = "{}\t{}\n" if form == ".tsv" else '{{"prompt": "{}", "completion": "{}"}}\n'
            with options.file.open("w") as file:
                for portion in portions(options.gigabytes):
                    file.write("".join(line.format(*pair) for pair in portion))
        case form:
            parser.error(f"{form}: expected .tsv, .jsonl or .parquet")


if __name__ == "__main__":
    main()
