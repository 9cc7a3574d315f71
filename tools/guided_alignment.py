#!/usr/bin/env python3
"""Writes crates/nn/tests/reference/guided_alignment.tsv: the cross entropy of alignments and attention weights, in PyTorch.

    python3 -m venv ~/torch && ~/torch/bin/pip install torch
    ~/torch/bin/python tools/guided_alignment.py

Queries of two sequences, of 3 and 2 tokens, attend to memories of 4 and 2, in float64: by dot products and additively. The loss of a token is the cross entropy
of a distribution that is even over the tokens it is aligned to (torch.nn.functional.cross_entropy with probabilities as targets); tokens that are aligned to
none have none. Sequences have weights. Each line has a name and numbers: queries, keys, the vector of the additive score, and for each score the loss and its gradients.
"""
from pathlib import Path

import torch
import torch.nn.functional as F

QUERIES, MEMORY, WIDTH = (3, 2), (4, 2), 3
LINKS = ([(0, 0), (2, 0), (3, 0), (1, 2)], [(1, 0), (0, 1), (1, 1)])
WEIGHTS = (0.5, 3.0)


def loss(q, k, score):
    total, q0, k0 = 0, 0, 0
    for queries, memory, links, weight in zip(QUERIES, MEMORY, LINKS, WEIGHTS):
        scores = score(q[q0 : q0 + queries], k[k0 : k0 + memory])
        aligned = torch.zeros(queries, memory)
        for source, target in links:
            aligned[target, source] = 1
        some = aligned.sum(-1) > 0
        aligned = aligned[some] / aligned[some].sum(-1, keepdim=True)
        total = total + weight * F.cross_entropy(scores[some], aligned, reduction="sum")
        q0, k0 = q0 + queries, k0 + memory
    return total


def main():
    torch.set_default_dtype(torch.float64)
    generator = torch.Generator().manual_seed(5)
    random = lambda *shape: (2 * torch.randn(shape, generator=generator)).requires_grad_()
    inputs = {"q": random(sum(QUERIES), WIDTH), "k": random(sum(MEMORY), WIDTH), "w": random(WIDTH)}
    q, k, w = inputs.values()
    scores = {
        "dot": lambda q, k: 0.7 * q @ k.T,
        "additive": lambda q, k: torch.tanh(q[:, None] + k[None]) @ w,
    }
    values = dict(inputs)
    for name, score in scores.items():
        found = loss(q, k, score)
        values[f"{name}.loss"] = found
        gradients = torch.autograd.grad(found, [q, k, w], allow_unused=True)
        for of, gradient in zip(inputs, gradients):
            values[f"{name}.d{of}"] = torch.zeros_like(inputs[of]) if gradient is None else gradient
    line = lambda name, value: f"{name}\t{' '.join(repr(x) for x in value.detach().flatten().tolist())}\n"
    path = Path(__file__).parent.parent / "crates/nn/tests/reference/guided_alignment.tsv"
    path.write_text("".join(line(name, value) for name, value in values.items()))


main()
