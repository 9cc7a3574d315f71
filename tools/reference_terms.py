#!/usr/bin/env python3
"""Makes a list for `descant generate --terms` that asks for words of the references: of each line two, as somebody who knows them would give.

    python tools/reference_terms.py SOURCES REFERENCES > terms.tsv

A line of the sources is taken as two terms, its first words and its last ones, each of which no other line has; the translation of each is a word of the
line's reference of at least --letters letters, drawn by --seed. A line of which no two such parts can be made gets fewer terms, which is reported.
"""
import argparse
import random
import re
import sys


def lines(path):
    with open(path, encoding="utf-8") as file:
        return [line.rstrip("\n").strip() for line in file]


def parts(sources, row):
    """The first and the last words of a line, cut where no other line has either of them."""
    words = sources[row].split()
    others = [source for i, source in enumerate(sources) if i != row]
    middle = len(words) // 2
    for cut in sorted(range(1, len(words)), key=lambda cut: abs(cut - middle)):
        both = [" ".join(words[:cut]), " ".join(words[cut:])]
        if both[0] != both[1] and not any(part in source for part in both for source in others):
            return both
    return []


def main():
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("sources")
    cli.add_argument("references")
    cli.add_argument("--letters", type=int, default=4)
    cli.add_argument("--seed", type=int, default=1)
    a = cli.parse_args()
    sources, references = lines(a.sources), lines(a.references)
    if len(sources) != len(references):
        raise SystemExit(f"{a.sources} has {len(sources)} lines, {a.references} has {len(references)}")
    draw, short = random.Random(a.seed), 0
    for row, reference in enumerate(references):
        found = [word for word in re.findall(r"[^\W\d_]+", reference) if len(word) >= a.letters]
        found = list(dict.fromkeys(found))
        terms = list(zip(parts(sources, row), draw.sample(found, min(2, len(found)))))
        short += len(terms) < 2
        for source, word in terms:
            print(f"{source}\t{word}")
    print(f"{len(references)} lines, {short} with fewer than two terms", file=sys.stderr)


if __name__ == "__main__":
    main()
