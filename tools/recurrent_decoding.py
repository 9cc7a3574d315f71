#!/usr/bin/env python3
"""The speed of decoding by a recurrent encoder-decoder: descant against PyTorch, with the same weights and the same work.

    descant export RUN FOLDER
    python tools/recurrent_decoding.py RUN FOLDER DESCANT [--rounds N]

Both write exactly 24 tokens for each source of 24 tokens, greedily and by a beam of 5, one source at a time and 32. PyTorch runs
`nn.LSTM` or `nn.GRU` for the encoder and for each step, and keeps the beams of a batch in one tensor. Prints tokens per second of
both, medians of rounds in alternation, and their ratio.
"""
import argparse
import json
import statistics
import subprocess
import time
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

LENGTH, NEW = 24, 24


class Model(nn.Module):
    """Luong's general attention over a bidirectional encoder, one layer each, tied embeddings."""

    def __init__(self, folder):
        super().__init__()
        config = json.loads((folder / "config.json").read_text())
        wanted = {"attention": "general", "layers": 1, "encoder_layers": 1, "tie": "all", "bidirectional": True,
                  "output_bias": False, "input_feeding": False}
        assert all(config[key] == value for key, value in wanted.items()), f"expected a model of {wanted}"
        self.is_lstm, self.vocabulary = config["cell"] == "lstm", config["vocabulary"]
        hidden, width = config["hidden"], config["embedding"]
        cell = nn.LSTM if self.is_lstm else nn.GRU
        self.embedding = nn.Embedding(self.vocabulary, width)
        self.encoder = cell(width, hidden // 2, bidirectional=True, batch_first=True)
        self.decoder = cell(width, hidden, batch_first=True)
        self.attention = nn.Linear(hidden, hidden, bias=False)
        self.combine = nn.Linear(2 * hidden, hidden)
        places = {"encoder.embedding": "embedding", "encoder.rnn": "encoder", "decoder.rnn": "decoder",
                  "decoder.attention": "attention", "decoder.combine": "combine"}
        weights = {}
        for name, tensor in load_file(folder / "model.safetensors").items():
            for place, own in places.items():
                if name.startswith(place + "."):
                    weights[own + name[len(place):]] = tensor
        self.load_state_dict(weights)

    def encode(self, source):
        memory, last = self.encoder(self.embedding(source))
        join = lambda part: torch.cat([part[0::2], part[1::2]], -1)
        return memory, tuple(map(join, last)) if self.is_lstm else join(last)

    def log_probabilities(self, token, keys, memory, state):
        h, state = self.decoder(self.embedding(token), state)
        context = (h @ keys).softmax(-1) @ memory
        h = torch.tanh(self.combine(torch.cat([context, h], -1)))[:, 0]
        return (h @ self.embedding.weight.T).log_softmax(-1), state

    def select(self, state, rows):
        return tuple(part[:, rows] for part in state) if self.is_lstm else state[:, rows]

    @torch.inference_mode()
    def generate(self, source, beam):
        rows = len(source)
        memory, state = self.encode(source)
        token = torch.ones(rows, 1, dtype=torch.long)
        # `(W h) · m` is `h · (Wᵀ m)`: the keys are projected once.
        keys = (memory @ self.attention.weight).transpose(1, 2)
        texts, scores = torch.empty(rows, 0, dtype=torch.long), torch.zeros(rows, 1)
        for step in range(NEW):
            logs, state = self.log_probabilities(token, keys, memory, state)
            if beam == 1:
                token = logs.argmax(-1, keepdim=True)
                texts = torch.cat([texts, token], 1)
                continue
            width = logs.shape[0] // rows
            scores, best = (scores.view(rows, width, 1) + logs.view(rows, width, -1)).view(rows, -1).topk(beam)
            parents = (best // self.vocabulary + width * torch.arange(rows)[:, None]).view(-1)
            token = (best % self.vocabulary).view(-1, 1)
            texts = torch.cat([texts[parents], token], 1)
            state = self.select(state, parents)
            if step == 0:
                memory, keys = memory[parents], keys[parents]
        return texts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run"), parser.add_argument("folder", type=Path), parser.add_argument("descant")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model = Model(arguments.folder).eval()
    for beam in (1, 5):
        for batch, rows in ((32, 256), (1, 32)):
            sources = (torch.arange(rows * LENGTH).view(rows, LENGTH) * 104_729) % model.vocabulary
            command = [arguments.descant, "bench", arguments.run, "--generate", "--json", "--rounds", "1",
                       "--threads", str(arguments.threads), "--prompt", str(LENGTH), "--tokens", str(NEW),
                       "--batch", str(batch), "--rows", str(rows), "--beam", str(beam)]

            def theirs():
                for part in sources.split(batch):
                    model.generate(part, beam)

            theirs()
            speeds = [], []
            for _ in range(arguments.rounds):
                start = time.perf_counter()
                theirs()
                speeds[0].append(rows * NEW / (time.perf_counter() - start))
                output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
                speeds[1].append(json.loads(output)["tokens_per_s"])
            torch_speed, own = map(statistics.median, speeds)
            print(f"beam {beam}, batch {batch}: descant {own:.0f}, PyTorch {torch_speed:.0f} tokens/s, {own / torch_speed:.2f}x",
                  flush=True)


if __name__ == "__main__":
    main()
