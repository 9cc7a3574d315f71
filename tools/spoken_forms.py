#!/usr/bin/env python3
"""Scores the demo's model on public test cases of text normalisation, by category.

    python tools/spoken_forms.py RUN en.tsv zh.tsv [--descant target/release/descant] [--wrong]

A file is named after its language. Each line holds where the case is from, its category, a written form and a spoken
form of it, with tabs between them (as in tests of NeMo-text-processing and WeTextProcessing). A written form that does
not show its language is given it: <zh> before a text without Chinese characters. A text is right where it is one of the
spoken forms that are listed for the written one, but for case, punctuation, spaces between Chinese characters, and "and".
"""
import argparse
import collections
import pathlib
import re
import subprocess

CATEGORIES = ["cardinal", "ordinal", "decimal", "fraction", "date", "time", "money", "measure", "telephone"]


def is_chinese(text):
    return any("\u4e00" <= c <= "\u9fff" for c in text)


def category_of(name):
    """`tn-date`, `itn-date_cased` and `itn-en_date` are all of "date"."""
    name = name.removeprefix("itn-").removeprefix("tn-").removeprefix("en_")
    return name.removesuffix("_cased")


def compared(text):
    words = re.sub(r"[^\w\s]|_", " ", text.lower()).split()
    words = [word for word in words if word != "and"]
    return ("" if is_chinese(text) else " ").join(words)


def cases(path):
    """(category, written) of each different case, and the forms that count for a written one."""
    found, forms = {}, collections.defaultdict(set)
    for line in path.read_text(encoding="utf-8").splitlines():
        _, category, written, spoken = line.split("\t")[:4]
        forms[written.lower()].add(compared(spoken))
        if category_of(category) in CATEGORIES:
            found[category_of(category), written] = None
    return list(found), forms


def generated(descant, run, texts):
    done = subprocess.run([descant, "generate", run], input="".join(f"{text}\n" for text in texts),
                          stdout=subprocess.PIPE, encoding="utf-8", check=True)
    answers = done.stdout.split("\n")[:-1]
    if len(answers) != len(texts):
        raise SystemExit(f"{len(texts)} texts, but {len(answers)} answers")
    return answers


def table(title, rows):
    """Prints right and all of each category; rows are (category, whether it is right)."""
    print(f"{title:30} right    of       %")
    for category in [*CATEGORIES, "all"]:
        marks = [right for name, right in rows if category in (name, "all")]
        if marks:
            print(f"  {category:28} {sum(marks):5} {len(marks):5}  {100 * sum(marks) / len(marks):6.1f}")


def main():
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("run")
    cli.add_argument("files", nargs="+", type=pathlib.Path)
    cli.add_argument("--descant", default="target/release/descant", help="the program")
    cli.add_argument("--bare", action="store_true", help="name no language")
    cli.add_argument("--wrong", action="store_true", help="list what is wrong, with what was written")
    a = cli.parse_args()
    for path in a.files:
        keys, forms = cases(path)
        chinese = path.stem == "zh"
        named = [f"<zh> {text}" if chinese and not a.bare and not is_chinese(text) else text for _, text in keys]
        answers = generated(a.descant, a.run, named)
        rows = [(category, compared(answer) in forms[text.lower()])
                for (category, text), answer in zip(keys, answers)]
        if chinese:
            table("zh, with Chinese characters", [row for row, key in zip(rows, keys) if is_chinese(key[1])])
        table(f"{path.stem}, all", rows)
        if a.wrong:
            for (category, text), answer, (_, right) in zip(keys, answers, rows):
                if not right:
                    print(f"  {category}: {text!r} -> {answer!r}, not {' | '.join(sorted(forms[text.lower()]))!r}")


if __name__ == "__main__":
    main()
