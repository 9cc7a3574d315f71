#!/usr/bin/env python3
"""Writes crates/models/tests/reference/*.safetensors: loss, gradients and 20 optimizer steps of PyTorch's own models.

    python3 -m venv ~/torch && ~/torch/bin/pip install torch safetensors numpy
    ~/torch/bin/python tools/pytorch_models.py

Five models on one ragged batch: LSTM and GRU language models, and encoder-decoders with Luong's general attention: an
LSTM, and an LSTM and a GRU with input feeding. Parameters have the names that they have in descant. What is written is
float32; float64 goes the same way beside it, and must agree well enough for the tests' bounds to mean something.
"""
import copy
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import save_file
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

VOCABULARY, EMBEDDING, HIDDEN, LAYERS, STEPS = 19, 10, 12, 2, 20
# What crates/models/tests/pytorch.rs allows.
BOUNDS = {"loss": 1e-5, "gradient": 1e-4, "losses": 1e-4, "final": 1e-4}
CELLS = {"lstm": nn.LSTM, "gru": nn.GRU}
OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.5),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.05),
    "adadelta": lambda p: torch.optim.Adadelta(p, lr=1.0),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.003),
    "rmsprop-centered": lambda p: torch.optim.RMSprop(p, lr=0.003, centered=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01),
}


def packed(rnn, x, lengths, state=None):
    """A ragged batch [B, T, D] through a PyTorch layer."""
    y, last = rnn(pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False), state)
    return pad_packed_sequence(y, batch_first=True)[0], last


class LanguageModel(nn.Module):
    def __init__(self, cell):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, EMBEDDING)
        self.rnn = CELLS[cell](EMBEDDING, HIDDEN, LAYERS, batch_first=True)
        self.projection = nn.Linear(HIDDEN, VOCABULARY)

    def forward(self, source, source_lengths, x, lengths):
        return self.projection(packed(self.rnn, self.embedding(x), lengths)[0])


class Side(nn.Module):
    pass


def bridge(last):
    """[encoder layers * 2, B, H / 2] to [LAYERS, B, H]: directions side by side, the uppermost again if too few."""
    layers = torch.cat([last[0::2], last[1::2]], -1)
    return layers[[min(layer, len(layers) - 1) for layer in range(LAYERS)]]


class EncoderDecoder(nn.Module):
    def __init__(self, cell, feeding, encoder_layers=LAYERS):
        super().__init__()
        self.feeding = feeding
        self.encoder, self.decoder = Side(), Side()
        self.encoder.embedding = nn.Embedding(VOCABULARY, EMBEDDING)
        self.encoder.rnn = CELLS[cell](EMBEDDING, HIDDEN // 2, encoder_layers, bidirectional=True, batch_first=True)
        self.decoder.embedding = nn.Embedding(VOCABULARY, EMBEDDING)
        self.decoder.rnn = CELLS[cell](EMBEDDING + HIDDEN * feeding, HIDDEN, LAYERS, batch_first=True)
        self.decoder.attention = nn.Linear(HIDDEN, HIDDEN, bias=False)
        self.decoder.combine = nn.Linear(2 * HIDDEN, HIDDEN)
        self.decoder.projection = nn.Linear(HIDDEN, VOCABULARY)

    def attend(self, h, memory, mask):
        scores = self.decoder.attention(h) @ memory.transpose(1, 2)
        context = scores.masked_fill(~mask[:, None], -torch.inf).softmax(-1) @ memory
        return torch.tanh(self.decoder.combine(torch.cat([context, h], -1)))

    def forward(self, source, source_lengths, x, lengths):
        memory, last = packed(self.encoder.rnn, self.encoder.embedding(source), source_lengths)
        mask = torch.arange(memory.shape[1])[None] < source_lengths[:, None]
        state = tuple(map(bridge, last)) if isinstance(last, tuple) else bridge(last)
        x = self.decoder.embedding(x)
        if not self.feeding:
            return self.decoder.projection(self.attend(packed(self.decoder.rnn, x, lengths, state)[0], memory, mask))
        feed, outputs = x.new_zeros(x.shape[0], 1, HIDDEN), []
        for t in range(x.shape[1]):
            h, state = self.decoder.rnn(torch.cat([x[:, t : t + 1], feed], -1), state)
            feed = self.attend(h, memory, mask)
            outputs.append(feed)
        return self.decoder.projection(torch.cat(outputs, 1))


def batch(generator):
    """Sequences of random ids, padded with -1."""
    make = lambda lengths: [torch.randint(VOCABULARY, (n,), generator=generator) for n in lengths]
    pad = lambda sequences: pad_sequence(sequences, batch_first=True, padding_value=-1)
    targets = [4, 7, 1, 5, 3]
    return {"source": pad(make([3, 1, 6, 4, 5])), "input": pad(make(targets)), "target": pad(make(targets))}


def loss_of(model, ids):
    lengths = lambda name: (ids[name] >= 0).sum(1)
    logits = model(ids["source"].clamp(0), lengths("source"), ids["input"].clamp(0), lengths("input"))
    return F.cross_entropy(logits.flatten(0, 1), ids["target"].flatten(), ignore_index=-1)


def run(model, ids):
    """The loss, its gradients, and STEPS steps of every optimizer, each from the model's weights."""
    start = copy.deepcopy(model.state_dict())
    model.zero_grad()
    loss = loss_of(model, ids)
    loss.backward()
    tensors = {"loss": loss.detach()[None]}
    for key, parameter in model.named_parameters():
        tensors[f"gradient.{key}"] = parameter.grad.clone()
    for optimizer_name, make in OPTIMIZERS.items():
        model.load_state_dict(start)
        optimizer = make(model.parameters())
        losses = []
        for _ in range(STEPS):
            optimizer.zero_grad()
            loss = loss_of(model, ids)
            loss.backward()
            losses.append(loss.detach())
            optimizer.step()
        tensors[f"losses.{optimizer_name}"] = torch.stack(losses)
        for key, parameter in model.named_parameters():
            tensors[f"final.{optimizer_name}.{key}"] = parameter.detach().clone()
    model.load_state_dict(start)
    return tensors


def verify(name, tensors, exact):
    """That float32 is off by at most a fifth of what the tests allow: each loss, and the norm of all else."""
    worst = {}
    for key, tensor in tensors.items():
        kind, difference = key.split(".")[0], tensor.double() - exact[key]
        single = kind in ("loss", "losses")
        error = (difference / exact[key]).abs().max() if single else difference.norm() / exact[key].norm()
        assert error <= BOUNDS[kind] / 5, f"{name} {key}: off by {error:.1e}; choose another learning rate"
        worst[kind] = max(worst.get(kind, (0.0, "")), (error.item(), key))
    for error, key in worst.values():
        print(f"{name}: float32 is off by at most {error:.1e} in {key}")


def write(name, model, folder):
    generator = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.rand(parameter.shape, generator=generator) - 0.5)
    ids = batch(generator)
    tensors = run(model, ids)
    verify(name, tensors, run(copy.deepcopy(model).double(), ids))
    tensors |= {f"weight.{key}": value for key, value in model.state_dict().items()}
    tensors |= {f"ids.{key}": value.to(torch.int32) for key, value in ids.items()}
    path = folder / f"{name}.safetensors"
    save_file({key: value.contiguous() for key, value in tensors.items()}, path)
    print(path, path.stat().st_size, "bytes")


def main():
    torch.set_num_threads(1)
    folder = Path(__file__).parents[1] / "crates/models/tests/reference"
    folder.mkdir(parents=True, exist_ok=True)
    for cell in CELLS:
        write(f"{cell}_lm", LanguageModel(cell), folder)
        write(f"{cell}_s2s", EncoderDecoder(cell, feeding=cell == "gru"), folder)
    write("lstm_fed_s2s", EncoderDecoder("lstm", feeding=True, encoder_layers=1), folder)


if __name__ == "__main__":
    main()
