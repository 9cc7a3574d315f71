#!/usr/bin/env python3
"""Trains the Transformer of recipes/multi30k-en-de-transformer.toml in PyTorch on padded batches, and tells its speed:
the same sentences in the same order as descant's ragged batches.

    descant bench recipes/multi30k-en-de-transformer.toml --text --steps 60 --set train.precision=f32 --dump batches.jsonl
    python tools/padded_batches.py batches.jsonl

Needs torch. One step is forward, backward, clipping of the gradient's norm to 1 and Adam, with the recipe's dropout.
Prints one line of JSON: target tokens per second (padding does not count), and the share of the padded tokens.
"""
import argparse
import json
import math
import time

import torch
from torch import nn
from torch.nn import functional as F

WARM_UP = 5  # steps that are not measured, as in descant bench


class Model(nn.Module):
    def __init__(self, vocabulary, width, heads, layers, between, dropout, longest):
        super().__init__()
        self.width, self.drop = width, nn.Dropout(dropout)
        self.embedding = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)
        position = torch.arange(longest)[:, None] * 10000.0 ** (-torch.arange(width // 2) / (width // 2))
        self.register_buffer("waves", torch.cat([position.sin(), position.cos()], 1))
        self.transformer = nn.Transformer(
            width, heads, layers, layers, between, dropout, batch_first=True, norm_first=True
        )

    def embed(self, ids):
        return self.drop(self.embedding(ids) * math.sqrt(self.width) + self.waves[: ids.shape[1]])

    def forward(self, source, read, target):
        mask = nn.Transformer.generate_square_subsequent_mask(read.shape[1])
        hidden = self.transformer(
            self.embed(source.clamp_min(0)), self.embed(read.clamp_min(0)), tgt_mask=mask, tgt_is_causal=True,
            src_key_padding_mask=source < 0, memory_key_padding_mask=source < 0, tgt_key_padding_mask=read < 0,
        )
        # No scores where there is no target.
        hidden, target = hidden[target >= 0], target[target >= 0]
        return F.cross_entropy(hidden @ self.embedding.weight.t(), target, label_smoothing=0.1)


def main():
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("batches")
    cli.add_argument("--threads", type=int, default=2)
    cli.add_argument("--dropout", type=float, default=0.3)
    a = cli.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(a.threads)
    batches = [json.loads(line) for line in open(a.batches)]

    def padded(rows):
        return nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=-1)

    batches = [[padded(batch[side]) for side in ("source", "input", "target")] for batch in batches]
    vocabulary = 1 + max(int(side.max()) for batch in batches for side in batch)
    longest = max(side.shape[1] for batch in batches for side in batch)
    model = Model(vocabulary, 128, 4, 4, 256, a.dropout, longest)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, betas=(0.9, 0.98))
    tokens = seconds = places = 0
    for step, batch in enumerate(batches):
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        model(*batch).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step >= WARM_UP:
            seconds += time.perf_counter() - start
            tokens += int((batch[2] >= 0).sum())
            places += batch[2].numel()
    print(json.dumps(dict(
        system=f"torch {torch.__version__}", threads=a.threads, steps=len(batches) - WARM_UP,
        tokens_per_s=round(tokens / seconds), step_ms=round(1e3 * seconds / (len(batches) - WARM_UP), 1),
        padded=round(1 - tokens / places, 3), parameters=sum(p.numel() for p in model.parameters()))))


if __name__ == "__main__":
    main()
