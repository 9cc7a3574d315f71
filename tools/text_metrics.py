#!/usr/bin/env python3
"""Writes crates/metrics/tests/reference/metrics.json: what sacreBLEU, rouge-score and jiwer say of texts.

    python3 -m venv ~/metrics && ~/metrics/bin/pip install sacrebleu rouge-score jiwer
    ~/metrics/bin/python tools/text_metrics.py
    ~/metrics/bin/python tools/text_metrics.py PAIRS.tsv OUT.json

The first makes 40 small sets of texts in five languages, with one to three references, from word lists here. The second takes real
texts, a line each with a hypothesis, a tab, and a reference (more after further tabs), and writes the same figures of them; name OUT.json
in DESCANT_METRICS for the test to read it.
"""
import json
import random
import sys
from pathlib import Path

import jiwer
from rouge_score import rouge_scorer
from sacrebleu.metrics import BLEU, CHRF, TER

WORDS = {
    "en": "the a dog cat's house, runs (quickly) to from 3.5 1,000 well-known U.S. \"so\" & isn't it? yes! under tree; 50% $4 a.b".split(),
    "de": "der Hund läuft über die Straße, schnell – „so“ nicht? 3,5 groß Äpfel und Häuser; z.B. ja! ein den 1990-er Jahren".split(),
    "fr": "l'homme « court » très vite, où est-il ? déjà n° 3,5 % l’été français ; oui ! la un des œufs".split(),
    "zh": "我 们 昨天 在 北京 , 。 的 书店 里 买 了 三 本 新 书 “ ” — … 3.5 GPT-4 ﹁ 𠮷 ！ （ 是 ） ？".split(),
    "ja": "私 は 昨日 、 東京 の 本屋 で 本 を 三 冊 買い まし た 。 「 」 ・ ー 3.5 ＡＢＣ です か ？".split(),
}
TOKENIZATIONS = ["13a", "intl", "zh", "char", "none"]
ROUGE = ["rouge1", "rouge2", "rougeL", "rougeLsum"]


def sets():
    """Texts near their references, and some that have nothing of them, or nothing at all."""
    rng = random.Random(7)
    for language, words in WORDS.items():
        join = "" if language in ("zh", "ja") else " "
        for kind in range(8):
            segments = []
            for _ in range(1 + kind * 2):
                count = rng.choice([1, 2, 3, 5, 9, 14, 25, 60])
                reference = [rng.choice(words) for _ in range(count)]
                hypothesis = list(reference)
                for _ in range(rng.choice([0, 1, 1, 3, 8])):
                    at = rng.randrange(len(hypothesis) + 1)
                    change = rng.randrange(4)
                    if change == 0:
                        hypothesis.insert(at, rng.choice(words))
                    elif change == 1 and hypothesis:
                        hypothesis.pop(at % len(hypothesis))
                    elif change == 2 and hypothesis:
                        hypothesis[at % len(hypothesis)] = rng.choice(words)
                    elif hypothesis:
                        first, last = sorted([at, rng.randrange(len(hypothesis) + 1)])
                        part = hypothesis[first:last]
                        del hypothesis[first:last]
                        to = rng.randrange(len(hypothesis) + 1)
                        hypothesis[to:to] = part
                if rng.randrange(12) == 0:
                    hypothesis = [rng.choice(words) for _ in range(rng.choice([0, 1, 30]))]
                references = [reference]
                for _ in range(kind % 3):
                    other = list(reference)
                    other[rng.randrange(len(other))] = rng.choice(words)
                    references.append(other + [rng.choice(words)] * rng.randrange(3))
                lines = join if rng.randrange(6) else "\n"
                segments.append([lines.join(hypothesis) + rng.choice(["", "", " ", "\n"])] + [join.join(other) for other in references])
            yield segments


def figures(segments):
    hypotheses = [segment[0] for segment in segments]
    references = [[segment[1 + i] for segment in segments] for i in range(len(segments[0]) - 1)]
    found = {}
    for name in TOKENIZATIONS:
        found[f"bleu-{name}"] = BLEU(tokenize=name).corpus_score(hypotheses, references).score
    for name, metric in (("chrf", CHRF()), ("chrf++", CHRF(word_order=2)), ("ter", TER())):
        found[name] = metric.corpus_score(hypotheses, references).score
        found[f"{name}.each"] = [
            metric.sentence_score(segment[0], segment[1:]).score for segment in segments
        ]
    scorer = rouge_scorer.RougeScorer(ROUGE)
    scores = [scorer.score_multi(segment[1:], segment[0]) for segment in segments]
    for name in ROUGE:
        found[name] = sum(score[name].fmeasure for score in scores) / len(scores)
    plain = [" ".join(text.split()) for text in hypotheses]
    first = [" ".join(text.split()) for text in references[0]]
    found["wer"] = jiwer.wer(first, plain)
    found["cer"] = jiwer.cer(first, plain)
    return found


def main():
    if len(sys.argv) == 3:
        lines = Path(sys.argv[1]).read_text(encoding="utf-8").split("\n")
        segments = [line.split("\t") for line in lines if line]
        cases, path = [segments], Path(sys.argv[2])
    else:
        cases, path = sets(), Path(__file__).parents[1] / "crates/metrics/tests/reference/metrics.json"
    written = [{"segments": segments, "figures": figures(segments)} for segments in cases]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(written, ensure_ascii=False) + "\n", encoding="utf-8")
    print(path, path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
