#!/usr/bin/env python3
"""Writes crates/train/tests/reference/*_carried.safetensors: truncated backpropagation through time in PyTorch.

    python3 -m venv ~/torch && ~/torch/bin/pip install torch safetensors numpy
    ~/torch/bin/python tools/carried_states.py

An LSTM and a GRU of two layers read three consecutive chunks of three streams. As in word_language_model of PyTorch's
examples, the state at the end of a chunk is detached, and the initial state of the next one. What is written, in float32 but
computed in float64: the weights, under the names that they have in descant, the mean loss of each chunk, and the gradients of the
third chunk's.
"""
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import save_file

VOCABULARY, EMBEDDING, HIDDEN, LAYERS, STREAMS, LENGTHS = 11, 6, 7, 2, 3, (5, 4, 6)


class LanguageModel(nn.Module):
    def __init__(self, cell):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, EMBEDDING)
        self.rnn = cell(EMBEDDING, HIDDEN, LAYERS, batch_first=True)
        self.projection = nn.Linear(HIDDEN, VOCABULARY)

    def forward(self, x, state):
        y, state = self.rnn(self.embedding(x), state)
        return self.projection(y), state


def main():
    torch.set_default_dtype(torch.float64)
    folder = Path(__file__).parents[1] / "crates/train/tests/reference"
    folder.mkdir(parents=True, exist_ok=True)
    for name, cell in {"lstm": nn.LSTM, "gru": nn.GRU}.items():
        generator = torch.Generator().manual_seed(5)
        model = LanguageModel(cell)
        with torch.no_grad():
            for parameter in model.parameters():
                # Rounded before it is used.
                parameter.copy_((2 * torch.rand(parameter.shape, generator=generator) - 1).float())
        ids = torch.randint(VOCABULARY, (STREAMS, sum(LENGTHS) + 1), generator=generator)
        state, start, losses = None, 0, []
        for length in LENGTHS:
            x, y = ids[:, start : start + length], ids[:, start + 1 : start + length + 1]
            model.zero_grad()
            logits, state = model(x, state)
            loss = F.cross_entropy(logits.flatten(0, 1), y.flatten())
            loss.backward()
            losses.append(loss.detach())
            state = tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()
            start += length
        tensors = {"losses": torch.stack(losses).float(), "ids": ids.to(torch.int32)}
        for key, parameter in model.named_parameters():
            tensors[f"weight.{key}"] = parameter.detach().float()
            tensors[f"gradient.{key}"] = parameter.grad.float()
        path = folder / f"{name}_carried.safetensors"
        save_file({key: value.contiguous() for key, value in tensors.items()}, path)
        print(path, path.stat().st_size, "bytes, losses", [f"{loss:.4f}" for loss in losses])


if __name__ == "__main__":
    main()
