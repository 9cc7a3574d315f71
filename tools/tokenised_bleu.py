#!/usr/bin/env python3
"""Scores translations: sacreBLEU as it is, and the BLEU of lower-cased words that papers on Multi30k give.

    python tools/tokenised_bleu.py REFERENCES HYPOTHESES [HYPOTHESES ...]

Needs sacrebleu and sacremoses. Words are those of the Moses tokenizer, of German or of --language.
"""
import argparse

import sacrebleu
from sacremoses import MosesTokenizer


def lines(path):
    with open(path, encoding="utf-8") as file:
        return [line.rstrip("\n") for line in file]


def main():
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("references")
    cli.add_argument("hypotheses", nargs="+")
    cli.add_argument("--language", default="de")
    a = cli.parse_args()
    moses = MosesTokenizer(lang=a.language)

    def words(texts):
        return [moses.tokenize(text.lower(), return_str=True, escape=False) for text in texts]

    references = lines(a.references)
    for path in a.hypotheses:
        hypotheses = lines(path)
        if len(hypotheses) != len(references):
            raise SystemExit(f"{path} has {len(hypotheses)} lines, {a.references} has {len(references)}")
        cased = sacrebleu.corpus_bleu(hypotheses, [references])
        lower = sacrebleu.corpus_bleu(words(hypotheses), [words(references)], tokenize="none", force=True)
        sentences = [sacrebleu.sentence_bleu(own, [right]).score for own, right in zip(hypotheses, references)]
        print(f"{path}: sacreBLEU {cased.score:.2f}, mean of sentences {sum(sentences) / len(sentences):.2f}, lower-cased words {lower.score:.2f}, "
              f"{cased.sys_len / cased.ref_len:.3f} of the references' length")


if __name__ == "__main__":
    main()
