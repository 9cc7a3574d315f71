#!/usr/bin/env python3
"""Writes crates/nn/tests/reference/recurrent_layers.tsv: stacks of recurrent layers beyond `torch.nn.LSTM` and `torch.nn.GRU`, in PyTorch.

    python3 -m venv ~/torch && ~/torch/bin/pip install torch
    ~/torch/bin/python tools/recurrent_layers.py

Two bidirectional layers read three sequences of 4, 3 and 1 tokens, in float64, with residual connections: from the second layer on, the input of a
layer is added to its output; once with plain cells, and once with layer normalisation (Ba et al. 2016): of an LSTM's gates, of input and hidden state
apart, and of its cell state; of a GRU's two gates, and of its candidate's terms. Each line has a name and numbers: the weights and the input; the outputs of all tokens, step by step as in packed
sequences; the last states of each layer; and the gradients of their sum, each times its weight.
"""
from pathlib import Path

import torch
import torch.nn.functional as F

LENGTHS, INPUT, HIDDEN, LAYERS = (4, 3, 1), 2, 3, 2
# Rows step by step, of all sequences that are as long.
ROWS = [(t, s) for t in range(max(LENGTHS)) for s in range(len(LENGTHS)) if t < LENGTHS[s]]


def norm(x, weight, bias):
    return F.layer_norm(x, x.shape, weight, bias, 1e-5)


def terms(x, h, w, groups):
    """The terms of the input and of the hidden state, so many gates at once to a norm where there is one."""
    both = []
    for name, value in ("ih", x), ("hh", h):
        if f"norm_{name}" not in w:
            both.append(F.linear(value, w[f"weight_{name}"], w[f"bias_{name}"]))
            continue
        sizes = [gates * HIDDEN for gates in groups]
        parts = [w[key].split(sizes) for key in (f"norm_{name}", f"bias_{name}")]
        both.append(torch.cat([norm(*part) for part in zip(F.linear(value, w[f"weight_{name}"]).split(sizes), *parts)]))
    return both


def lstm(x, h, c, w):
    of_x, of_h = terms(x, h, w, [4])
    i, f, g, o = (of_x + of_h).chunk(4)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    shown = norm(c, w["norm_cell"], w["norm_cell_bias"]) if "norm_cell" in w else c
    return torch.sigmoid(o) * torch.tanh(shown), c


def gru(x, h, c, w):
    of_x, of_h = terms(x, h, w, [2, 1])
    (xr, xz, xn), (hr, hz, hn) = of_x.chunk(3), of_h.chunk(3)
    r, z = torch.sigmoid(xr + hr), torch.sigmoid(xz + hz)
    return (1 - z) * torch.tanh(xn + r * hn) + z * h, c


def layer(x, cell, weights):
    """The outputs of all rows, and the last states, of both directions."""
    outputs, last = [], []
    for reverse, w in enumerate(weights):
        found, ends = {}, []
        for s, length in enumerate(LENGTHS):
            h, c = torch.zeros(HIDDEN), torch.zeros(HIDDEN)
            for t in reversed(range(length)) if reverse else range(length):
                h, c = cell(x[ROWS.index((t, s))], h, c, w)
                found[t, s] = h
            ends.append((h, c))
        outputs.append(torch.stack([found[row] for row in ROWS]))
        last.append(ends)
    states = [torch.stack([torch.cat([direction[s][i] for direction in last]) for s in range(len(LENGTHS))]) for i in (0, 1)]
    return torch.cat(outputs, -1), states


def main():
    torch.set_default_dtype(torch.float64)
    generator = torch.Generator().manual_seed(23)
    lines = []

    def random(*shape):
        return (2 * torch.rand(shape, generator=generator) - 1).requires_grad_()

    kinds = ("lstm", lstm, 4), ("gru", gru, 3), ("normalised_lstm", lstm, 4), ("normalised_gru", gru, 3)
    for name, cell, gates in kinds:
        values = {"x": random(len(ROWS), INPUT)}
        x, outputs = values["x"], {}
        for l in range(LAYERS):
            weights = []
            for suffix in "", "_reverse":
                width, inputs = gates * HIDDEN, 2 * HIDDEN if l else INPUT
                shapes = {"weight_ih": (width, inputs), "weight_hh": (width, HIDDEN), "bias_ih": (width,), "bias_hh": (width,)}
                if name.startswith("normalised"):
                    shapes.update(norm_ih=(width,), norm_hh=(width,))
                if name == "normalised_lstm":
                    shapes.update(norm_cell=(HIDDEN,), norm_cell_bias=(HIDDEN,))
                weights.append({key: random(*shape) for key, shape in shapes.items()})
                values.update({f"{key}_l{l}{suffix}": value for key, value in weights[-1].items()})
            y, states = layer(x, cell, weights)
            x = y + x if l else y
            outputs[f"hidden{l}"] = states[0]
            if cell is lstm:
                outputs[f"cell{l}"] = states[1]
        outputs["y"] = x
        factors = {key: random(*value.shape).detach() for key, value in outputs.items()}
        sum((outputs[key] * factors[key]).sum() for key in outputs).backward()
        of = {**values, **outputs}
        of.update({f"factor.{key}": value for key, value in factors.items()})
        of.update({f"d{key}": value.grad for key, value in values.items()})
        for key, value in of.items():
            numbers = " ".join(repr(number) for number in value.detach().flatten().tolist())
            lines.append(f"{name}.{key}\t{numbers}\n")
    path = Path(__file__).parents[1] / "crates/nn/tests/reference/recurrent_layers.tsv"
    path.write_text("".join(lines))


if __name__ == "__main__":
    main()
