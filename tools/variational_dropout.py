#!/usr/bin/env python3
"""Writes crates/nn/tests/reference/variational_dropout.tsv: recurrent layers with masks of their hidden states, in PyTorch.

    python3 -m venv ~/torch && ~/torch/bin/pip install torch
    ~/torch/bin/python tools/variational_dropout.py

An LSTM and a GRU read three sequences of 4, 3 and 1 tokens from initial states, in float64. Each sequence has one mask for all steps by which
the hidden state is multiplied before the recurrent product, as in Keras (`recurrent_dropout`) and in Gal and Ghahramani 2016 with tied masks,
and one for what is read. Each line has a name and numbers: the weights, inputs, masks and initial states; the states of all tokens, step by step as in packed
sequences, and the last ones; and the gradients of their sum, each times its weight.
"""
from pathlib import Path

import torch
import torch.nn.functional as F

LENGTHS, INPUT, HIDDEN, P = (4, 3, 1), 2, 3, 0.5


def lstm(x, h, c, masked, w):
    i, f, g, o = (F.linear(x, w["w_ih"], w["b_ih"]) + F.linear(masked, w["w_hh"], w["b_hh"])).chunk(4)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def gru(x, h, c, masked, w):
    (ir, iz, i_n), (hr, hz, hn) = (
        F.linear(x, w["w_ih"], w["b_ih"]).chunk(3),
        F.linear(masked, w["w_hh"], w["b_hh"]).chunk(3),
    )
    r, z = torch.sigmoid(ir + hr), torch.sigmoid(iz + hz)
    return (1 - z) * torch.tanh(i_n + r * hn) + z * h, c


def main():
    torch.set_default_dtype(torch.float64)
    generator = torch.Generator().manual_seed(11)
    lines = []
    for name, cell, gates in ("lstm", lstm, 4), ("gru", gru, 3):

        def random(*shape):
            return (2 * torch.rand(shape, generator=generator) - 1).requires_grad_()

        def mask(*shape):
            return (torch.rand(shape, generator=generator) >= P).double() / (1 - P)

        sequences, tokens = len(LENGTHS), sum(LENGTHS)
        values = {
            "x": random(tokens, INPUT),
            "w_ih": random(gates * HIDDEN, INPUT),
            "w_hh": random(gates * HIDDEN, HIDDEN),
            "b_ih": random(gates * HIDDEN),
            "b_hh": random(gates * HIDDEN),
            "h0": random(sequences, HIDDEN),
        }
        if name == "lstm":
            values["c0"] = random(sequences, HIDDEN)
        masks = {"input_mask": mask(sequences, INPUT), "mask": mask(sequences, HIDDEN)}
        # Rows step by step, of all sequences that are as long.
        rows = [(t, s) for t in range(max(LENGTHS)) for s in range(sequences) if t < LENGTHS[s]]
        states, last = {}, []
        for s, length in enumerate(LENGTHS):
            h, c = values["h0"][s], values["c0"][s] if name == "lstm" else None
            for t in range(length):
                x = values["x"][rows.index((t, s))] * masks["input_mask"][s]
                h, c = cell(x, h, c, h * masks["mask"][s], values)
                states[t, s] = h
            last.append((h, c))
        y = [states[row] for row in rows] + [h for h, _ in last] + ([c for _, c in last] if name == "lstm" else [])
        y = torch.stack(y)
        weight = random(*y.shape).detach()
        (y * weight).sum().backward()
        of = {"y": y, "weight": weight, **masks, **values}
        of.update({f"d{key}": value.grad for key, value in values.items()})
        for key, value in of.items():
            numbers = " ".join(repr(number) for number in value.detach().flatten().tolist())
            lines.append(f"{name}.{key}\t{numbers}\n")
    path = Path(__file__).parents[1] / "crates/nn/tests/reference/variational_dropout.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(lines))


if __name__ == "__main__":
    main()
