#!/usr/bin/env python3
"""Writes crates/interop/tests/reference/*/generation.json: what transformers generates with the tiny models of those folders,
by each decoding option; and guidance.json there, by classifier-free guidance.

    python3 -m venv ~/torch && ~/torch/bin/pip install torch transformers safetensors numpy
    ~/torch/bin/python tools/generation_references.py [NAME …]
    ~/torch/bin/python tools/generation_references.py --folder FOLDER FILE.json

The second form writes the same of a real Llama or GPT-2: of the stories260K checkpoint to
crates/interop/tests/reference/stories260k/generation.json.
"cases" hold the texts of each prompt, the best first, each with its tokens but for EOS, whether EOS ended it, and its score: the
sum of the log probabilities, in a beam search divided by the length penalty. "distributions" hold the probabilities of the first
token after the first prompt, or with "place" of a later one, as sampling draws it: of each token that is not all but impossible, and of
the "rest" together; "drawn_beams" how often pairs of tokens were the best of a beam search over
drawn candidates. With guidance, "without" has what each prompt is read as without its condition; nothing where that is its last token.
What transformers has no more (diverse beam search, contrastive search) or
never had (presence, frequency and DRY penalties, XTC, Mirostat) is computed here by its definition, from the same logits. So is
guidance of encoder-decoders, which its processor gives the decoder's tokens as a source, and of a beam search, where its processor keeps
the unconditional texts in the order of the first step.
"""
import json
import math
import sys
from collections import Counter
from pathlib import Path

import torch
import transformers as hf

ROOT = Path(__file__).parents[1] / "crates/interop/tests/reference"
FAMILIES = ["gpt2", "llama", "marian", "bart", "t5"]
SOURCES = [[6, 7, 6, 7, 6, 2], [8, 8, 11, 20, 6, 13, 10, 2], [4, 2]]
PROMPTS = [[1, 7, 12, 3], [1, 5, 9, 5, 9, 5], [1]]
# Several EOS, so that many hypotheses end.
ENDS = [2, 5, 6, 11, 17]
LONGEST = 10
EOS = 2

PROCESSORS = [
    dict(repetition_penalty=1.4),
    dict(encoder_repetition_penalty=1.5),
    dict(no_repeat_ngram_size=2),
    dict(no_repeat_ngram_size=1),
    dict(encoder_no_repeat_ngram_size=2),
    dict(bad_words_ids=[[5], [7, 12], [9, 9]]),
    dict(min_length=7),
    dict(min_new_tokens=6),
    dict(forced_bos_token_id=9),
    dict(forced_eos_token_id=2),
    dict(exponential_decay_length_penalty=[2, 1.6]),
    dict(suppress_tokens=[3, 8, 11, 14]),
    dict(begin_suppress_tokens=[2, 5, 6, 7, 9, 13]),
    dict(sequence_bias=[[[6], 1.5], [[4, 9], 3.0], [[10], -2.0]]),
    # Together, in transformers' order.
    dict(repetition_penalty=1.2, no_repeat_ngram_size=2, bad_words_ids=[[4]], min_new_tokens=4,
         sequence_bias=[[[7], 1.0]], exponential_decay_length_penalty=[3, 1.3]),
]
SEARCHES = (
    [dict(num_beams=beams, early_stopping=rule, length_penalty=penalty, num_return_sequences=beams, eos_token_id=ENDS)
     for beams in (4, 8) for rule in (False, True, "never") for penalty in (0.0, 1.0, 2.0, -0.5)]
    + [dict(num_beams=3, num_return_sequences=3, renormalize_logits=True, **processors) for processors in PROCESSORS]
    + [dict(num_beams=4, num_return_sequences=2, **processors) for processors in PROCESSORS]
    # Several processors with each rule, in the narrowest and the widest beam.
    + [dict(num_beams=beams, early_stopping=rule, length_penalty=1.5, num_return_sequences=beams, eos_token_id=ENDS,
            **PROCESSORS[-1]) for beams in (1, 8) for rule in (False, True, "never")]
)
SAMPLING = [
    dict(),
    dict(temperature=0.6),
    dict(temperature=1.7),
    dict(top_k=5),
    dict(top_p=0.7),
    dict(min_p=0.3),
    dict(top_h=0.6),
    dict(typical_p=0.6),
    dict(epsilon_cutoff=0.05),
    dict(eta_cutoff=0.2),
    dict(temperature=0.8, top_k=10, top_p=0.9, min_p=0.05, typical_p=0.95),
    dict(repetition_penalty=1.5, bad_words_ids=[[5]], top_p=0.9),
]


# Of language models, and of encoder-decoders.
GUIDANCE = [
    dict(guidance_scale=2.5),
    dict(guidance_scale=0.4),
    dict(guidance_scale=1.8, repetition_penalty=1.3, no_repeat_ngram_size=2),
    dict(guidance_scale=2.0, num_beams=4, num_return_sequences=4, eos_token_id=ENDS),
    dict(guidance_scale=3.0, num_beams=3, num_return_sequences=3, length_penalty=0.0, renormalize_logits=True),
]
GUIDED_SAMPLING = [dict(guidance_scale=1.5), dict(guidance_scale=2.0, temperature=0.8, top_k=10, top_p=0.9)]
WITHOUT = [[1, 4, 9], [1], [1, 3, 8, 8, 6]]
WITHOUT_SOURCES = [[5, 2], [7, 9, 2], [10, 6, 6, 2]]


class Reference:
    def __init__(self, folder, prompts=None):
        config = hf.AutoConfig.from_pretrained(folder)
        self.pair = config.is_encoder_decoder
        kind = hf.AutoModelForSeq2SeqLM if self.pair else hf.AutoModelForCausalLM
        self.model = kind.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()
        self.prompts = prompts or (SOURCES if self.pair else PROMPTS)

    def generate(self, prompt, **options):
        ids = torch.tensor([prompt])
        options = dict(max_new_tokens=LONGEST, do_sample=False, num_beams=1, top_k=0) | options
        return self.model.generate(ids, attention_mask=torch.ones_like(ids), use_cache=False, output_scores=True,
                                   return_dict_in_generate=True, **options)

    def texts(self, prompt, options, processors=None):
        """What is generated, the best first."""
        more = {} if processors is None else dict(logits_processor=hf.LogitsProcessorList(processors))
        out = self.generate(prompt, **options, **more)
        before = 1 if self.pair else len(prompt)
        found = []
        for i, sequence in enumerate(out.sequences.tolist()):
            if options.get("num_beams", 1) > 1:
                length = int((out.beam_indices[i] >= 0).sum())
                score = out.sequences_scores[i].item()
            else:
                length = len(sequence) - before
                score = self.model.compute_transition_scores(
                    out.sequences, out.scores, normalize_logits=True)[i].sum().item()
            tokens = sequence[before:before + length]
            ended = bool(tokens) and tokens[-1] in as_list(options.get("eos_token_id", EOS))
            found.append([tokens[:-1] if ended else tokens, ended, score])
        return found

    def guided(self, prompt, options, without=None):
        """The same with guidance, by what is read without the condition."""
        own = not self.pair and options.get("num_beams", 1) == 1
        if own:
            negative = {} if without is None else dict(negative_prompt_ids=torch.tensor([without]))
            return self.texts(prompt, options | negative)
        others = {name: value for name, value in options.items() if name != "guidance_scale"}
        return self.texts(prompt, others, [Guidance(self, prompt, without or prompt[-1:], options["guidance_scale"])])

    def next(self, prompt, written):
        """The logits after some tokens, and the hidden states of all."""
        ids = torch.tensor([([1] if self.pair else prompt) + written])
        inputs = dict(input_ids=torch.tensor([prompt]), decoder_input_ids=ids) if self.pair else dict(input_ids=ids)
        out = self.model(**inputs, output_hidden_states=True)
        hidden = out.decoder_hidden_states if self.pair else out.hidden_states
        return out.logits[0, -1].float(), hidden[-1][0]

    def processed(self, prompt, written, scores, processors):
        """Scores after logits processors of transformers."""
        ids = torch.tensor([([1] if self.pair else prompt) + written])
        return hf.LogitsProcessorList(processors)(ids, scores[None])[0]

    def contrastive(self, prompt, k, alpha, processors=()):
        """Contrastive search (Su et al. 2022, equation 5)."""
        written, total = [], 0.0
        while len(written) < LONGEST:
            logits, hidden = self.next(prompt, written)
            logs = self.processed(prompt, written, logits, processors).log_softmax(-1)
            best = None
            for token in logs.topk(k).indices.tolist():
                state = self.next(prompt, written + [token])[1][-1]
                likeness = torch.cosine_similarity(hidden, state[None], dim=-1).max()
                value = (1 - alpha) * logs[token].exp() - alpha * likeness
                if best is None or value > best[0]:
                    best = (value, token)
            total += logs[best[1]].item()
            if best[1] == EOS:
                return [[written, True, total]]
            written.append(best[1])
        return [[written, False, total]]

    def diverse(self, prompt, width, groups, diversity, length_penalty, n_best, processors=()):
        """Diverse beam search (Vijayakumar et al. 2018) with the Hamming diversity, each group as a beam search that
        stops when its best unfinished hypothesis would be no better if it ended now."""
        size = width // groups
        beams = [dict(live=[([], 0.0)], ended=[], done=False) for _ in range(groups)]
        for step in range(LONGEST):
            chosen = Counter()
            for beam in beams:
                if beam["done"]:
                    continue
                candidates = []
                for tokens, score in beam["live"]:
                    logs = self.next(prompt, tokens)[0].log_softmax(-1)
                    for token, count in chosen.items():
                        logs[token] -= diversity * count
                    logs = self.processed(prompt, tokens, logs, processors)
                    candidates += [(score + log, tokens + [token]) for token, log in enumerate(logs.tolist())]
                candidates = sorted(candidates, key=lambda one: -one[0])[:2 * size]
                last, live = step + 1 == LONGEST, []
                for rank, (score, tokens) in enumerate(candidates):
                    if tokens[-1] == EOS or last:
                        if rank < size:
                            beam["ended"].append((score / len(tokens) ** length_penalty, tokens))
                    elif len(live) < size:
                        live.append((tokens, score))
                beam["ended"] = sorted(beam["ended"], key=lambda one: -one[0])[:size]
                beam["live"] = live
                full = len(beam["ended"]) == size
                beam["done"] = not live or full and live[0][1] / (step + 1) ** length_penalty <= beam["ended"][-1][0]
                chosen.update(tokens[-1] for tokens, _ in live)
        found = sorted((one for beam in beams for one in beam["ended"]), key=lambda one: -one[0])[:n_best]
        return [[t[:-1], True, s] if t[-1] == EOS else [t, False, s] for s, t in found]

    def mirostat(self, prompt, tau, eta):
        """The probabilities of the second token in Mirostat 2, whose bound follows the surprise of the first one; EOS where
        that is the first."""
        first = bounded(self.next(prompt, [])[0].softmax(-1).tolist(), 2 * tau)
        second = [0.0] * len(first)
        for token, probability in enumerate(first):
            if token == EOS or probability == 0.0:
                second[EOS] += probability
                continue
            bound = 2 * tau - eta * (-math.log2(probability) - tau)
            for next, p in enumerate(bounded(self.next(prompt, [token])[0].softmax(-1).tolist(), bound)):
                second[next] += probability * p
        return second

    def drawn_beams(self):
        """How often each pair of tokens is the best of a beam search over drawn candidates: what transformers draws."""
        torch.manual_seed(5)
        options = dict(num_beams=3, temperature=0.8, top_k=12)
        ids = torch.tensor([self.prompts[0]] * 500)
        counts = Counter()
        for _ in range(20):
            out = self.model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=True, max_new_tokens=2,
                                      return_dict_in_generate=True, output_scores=True, **options)
            before = 1 if self.pair else ids.shape[1]
            for i, sequence in enumerate(out.sequences.tolist()):
                length = int((out.beam_indices[i] >= 0).sum())
                counts[tuple(sequence[before:before + length])] += 1
        return dict(options=options, counts=sorted([list(tokens), count] for tokens, count in counts.items()))


def as_list(ids):
    return ids if isinstance(ids, list) else [ids]


class Additive(hf.LogitsProcessor):
    """Presence and frequency penalties, of what was generated."""

    def __init__(self, before, presence, frequency):
        self.before, self.presence, self.frequency = before, presence, frequency

    def __call__(self, ids, scores):
        scores = scores.clone()
        for row, tokens in enumerate(ids[:, self.before:].tolist()):
            for token, count in Counter(tokens).items():
                scores[row, token] -= self.presence + self.frequency * count
        return scores


class Guidance(hf.LogitsProcessor):
    """Classifier-free guidance (Sanchez et al. 2023), before which no other processor may come."""

    def __init__(self, model, prompt, without, scale):
        self.model, self.before, self.without, self.scale = model, 1 if model.pair else len(prompt), without, scale

    def __call__(self, ids, scores):
        texts = [row[self.before:] for row in ids.tolist()]
        without = torch.stack([self.model.next(self.without, text)[0] for text in texts]).log_softmax(-1)
        return without + self.scale * (scores.log_softmax(-1) - without)


class Dry(hf.LogitsProcessor):
    """The DRY penalty: multiplier * base ** (length - allowed) for a token that would continue a repeated sequence."""

    def __init__(self, multiplier, base, allowed):
        self.multiplier, self.base, self.allowed = multiplier, base, allowed

    def __call__(self, ids, scores):
        scores = scores.clone()
        for row, tokens in enumerate(ids.tolist()):
            longest = {}
            for end in range(1, len(tokens)):
                length = 0
                while length < end and tokens[end - 1 - length] == tokens[len(tokens) - 1 - length]:
                    length += 1
                longest[tokens[end]] = max(longest.get(tokens[end], 0), length)
            for token, length in longest.items():
                if length >= self.allowed:
                    scores[row, token] -= self.multiplier * self.base ** (length - self.allowed)
        return scores


def xtc(probabilities, probability, threshold):
    """The mixture of the distribution with the one without its top choices but the least likely of them."""
    choices = sorted((p, token) for token, p in enumerate(probabilities) if p >= threshold)
    cut = list(probabilities)
    for _, token in choices[1:]:
        cut[token] = 0.0
    total = sum(cut)
    return [probability * c / total + (1 - probability) * p for c, p in zip(cut, probabilities)]


def bounded(probabilities, bits):
    """Without tokens of a surprise above so many bits, but for the most likely one."""
    largest = max(probabilities)
    cut = [p if p > 0.0 and -math.log2(p) <= bits or p == largest else 0.0 for p in probabilities]
    return [p / sum(cut) for p in cut]


def distribution(options, probabilities, **more):
    """The tokens that are drawn now and then, and the others together."""
    often = [[token, p] for token, p in enumerate(probabilities) if p >= 1e-5]
    rest = sum(p for p in probabilities if p < 1e-5)
    return dict(options=options, **more, probabilities=rounded(often), rest=rounded(rest))


def rounded(value):
    if isinstance(value, float):
        # What is hardly possible is not impossible.
        return round(value, 6) or value
    return [rounded(item) for item in value] if isinstance(value, list) else value


def write_guidance(model, file):
    """Texts and distributions by guidance."""
    without = WITHOUT_SOURCES if model.pair else WITHOUT
    cases, distributions = [], []
    for options in GUIDANCE:
        others = {name for name in options if name in ("repetition_penalty", "no_repeat_ngram_size")}
        # These come after guidance, where transformers puts its own processor alone.
        if others and model.pair:
            continue
        for read in [without] if model.pair else [without, None]:
            texts = [model.guided(prompt, options, read and read[i]) for i, prompt in enumerate(model.prompts)]
            cases.append(dict(options=options, without=read, texts=rounded(texts)))
    for options in GUIDED_SAMPLING:
        if not model.pair:
            scores = model.generate(model.prompts[0], do_sample=True, negative_prompt_ids=torch.tensor([without[0]]), **options).scores[0]
            distributions.append(distribution(options, scores[0].softmax(-1).tolist(), without=without[:1]))
    lines = lambda items: ",\n".join(json.dumps(item, separators=(",", ":")) for item in items)
    file.write_text(f'{{"prompts":{json.dumps(model.prompts)},\n"cases":[\n{lines(cases)}\n],\n"distributions":[\n{lines(distributions)}\n]}}\n')
    print(file, len(cases), "cases")


def main():
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    hf.logging.set_verbosity_error()
    if sys.argv[1:2] == ["--folder"]:
        # A few words, and a BOS alone.
        work = [(Reference(Path(sys.argv[2]), [[1, 338, 391, 266, 267], [1]]), Path(sys.argv[3]))]
    else:
        names = sys.argv[1:] or FAMILIES
        work = [(Reference(ROOT / name), ROOT / name / "generation.json") for name in names]
        for model, file in work:
            write_guidance(model, file.with_name("guidance.json"))
    for model, file in work:
        cases = []

        def case(options, texts):
            cases.append(dict(options=options, texts=rounded([texts(prompt) for prompt in model.prompts])))

        for options in [dict()] + PROCESSORS + SEARCHES + [dict(num_beams=5)]:
            case(options, lambda prompt: model.texts(prompt, options))
        before = lambda prompt: 1 if model.pair else len(prompt)
        for presence, frequency in [(1.5, 0.0), (0.0, 0.8), (-0.5, 1.0)]:
            case(dict(presence_penalty=presence, frequency_penalty=frequency),
                 lambda prompt: model.texts(prompt, dict(), [Additive(before(prompt), presence, frequency)]))
        for multiplier, base, allowed in [(2.0, 1.75, 2), (1.0, 3.0, 1)]:
            options = dict(dry_multiplier=multiplier, dry_base=base, dry_allowed_length=allowed)
            case(options, lambda prompt: model.texts(prompt, dict(), [Dry(multiplier, base, allowed)]))
        for k, alpha in [(4, 0.6), (8, 0.3)]:
            case(dict(penalty_alpha=alpha, top_k=k), lambda prompt: model.contrastive(prompt, k, alpha))
        both = [hf.RepetitionPenaltyLogitsProcessor(1.3), hf.NoRepeatNGramLogitsProcessor(2)]
        of_both = dict(repetition_penalty=1.3, no_repeat_ngram_size=2)
        case(dict(penalty_alpha=0.4, top_k=6, **of_both), lambda prompt: model.contrastive(prompt, 6, 0.4, both))
        for width, groups, diversity, penalty, n_best in [(4, 2, 0.5, 1.0, 4), (6, 3, 1.0, 0.0, 6), (4, 4, 2.0, 1.0, 3)]:
            options = dict(num_beams=width, num_beam_groups=groups, diversity_penalty=diversity, length_penalty=penalty,
                           num_return_sequences=n_best)
            case(options, lambda prompt: model.diverse(prompt, width, groups, diversity, penalty, n_best))
        options = dict(num_beams=8, num_beam_groups=2, diversity_penalty=0.7, num_return_sequences=8, **of_both)
        case(options, lambda prompt: model.diverse(prompt, 8, 2, 0.7, 1.0, 8, both))
        distributions = []
        for options in SAMPLING:
            scores = model.generate(model.prompts[0], do_sample=True, **options).scores[0]
            distributions.append(distribution(options, scores[0].softmax(-1).tolist()))
        plain = model.next(model.prompts[0], [])[0].softmax(-1).tolist()
        for probability, threshold in [(0.5, 0.05), (1.0, 0.1)]:
            options = dict(xtc_probability=probability, xtc_threshold=threshold)
            distributions.append(distribution(options, xtc(plain, probability, threshold)))
        distributions.append(distribution(dict(mirostat_tau=1.5), bounded(plain, 3.0)))
        options = dict(mirostat_tau=1.5, mirostat_eta=0.9)
        distributions.append(distribution(options, model.mirostat(model.prompts[0], 1.5, 0.9), place=1))
        drawn = json.dumps(model.drawn_beams(), separators=(",", ":"))
        lines = lambda items: ",\n".join(json.dumps(item, separators=(",", ":")) for item in items)
        text = f'{{"prompts":{json.dumps(model.prompts)},\n"cases":[\n{lines(cases)}\n],\n"distributions":[\n{lines(distributions)}\n],\n"drawn_beams":{drawn}}}\n'
        file.write_text(text)
        print(file, len(cases), "cases,", len(text), "bytes")


main()
