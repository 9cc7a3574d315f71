#!/usr/bin/env python3
"""Writes crates/train/tests/reference/objectives.safetensors: objectives on whole sequences in PyTorch.

    python3 -m venv ~/torch && ~/torch/bin/pip install torch safetensors numpy
    ~/torch/bin/python tools/sequence_objectives.py

An LSTM language model of two layers, and another with the same sizes that preferences are measured from. Direct preference optimization
with label smoothing and the likelihood of the chosen answers (the loss of the paper, and of TRL's DPOTrainer), minimum risk over candidates
with given costs, and cross entropy with token-level unlikelihood. What is written, in float32 but computed in float64: the weights, under
the names that they have in descant, the ids, each loss, and its gradients.
"""
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import save_file

VOCABULARY, EMBEDDING, HIDDEN, LAYERS = 11, 6, 7, 2
# Of each sequence: tokens of its prompt, and tokens in all, without a first one that is only read.
LENGTHS = [(2, 6), (0, 3), (3, 9), (1, 5), (2, 4), (0, 7), (3, 5), (1, 8)]
PAIRS = len(LENGTHS) // 2
BETA, SMOOTHING, LIKELIHOOD, ALPHA, UNLIKELIHOOD = 0.3, 0.1, 0.5, 0.4, 0.7


class LanguageModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, EMBEDDING)
        self.rnn = nn.LSTM(EMBEDDING, HIDDEN, LAYERS, batch_first=True)
        self.projection = nn.Linear(HIDDEN, VOCABULARY)

    def log_p(self, ids):
        return self.projection(self.rnn(self.embedding(ids[None, :-1]))[0])[0].log_softmax(-1)


def log_likelihood(model, ids, prompt):
    return model.log_p(ids).gather(1, ids[1:, None])[prompt:, 0].sum()


def dpo(model, reference, sequences, smoothing, likelihood):
    """Sequences 0 to PAIRS - 1 are chosen, the others rejected."""
    found = torch.stack([log_likelihood(model, *sequence) for sequence in sequences])
    with torch.no_grad():
        rewards = torch.stack([log_likelihood(reference, *sequence) for sequence in sequences])
    rewards = BETA * (found - rewards)
    margin = rewards[:PAIRS] - rewards[PAIRS:]
    lengths = torch.tensor([len(ids) - 1 - prompt for ids, prompt in sequences[:PAIRS]])
    loss = -(1 - smoothing) * F.logsigmoid(margin) - smoothing * F.logsigmoid(-margin)
    return (loss - likelihood * found[:PAIRS] / lengths).sum(), rewards


def minimum_risk(model, sequences, costs, likelihood):
    """Sequences 0 to 2 are the candidates of one source, the others of another."""
    found = torch.stack([log_likelihood(model, *sequence) for sequence in sequences])
    risk = sum((torch.softmax(ALPHA * found[part], 0) * costs[part]).sum() for part in [slice(0, 3), slice(3, None)])
    # The first sequences are the references.
    lengths = torch.tensor([len(ids) - 1 - prompt for ids, prompt in sequences[:2]])
    return risk - likelihood * (found[:2] / lengths).sum()


def unlikelihood(model, sequences):
    loss = 0
    for ids, prompt in sequences:
        log_p = model.log_p(ids)
        for t in range(prompt, len(ids) - 1):
            loss = loss - log_p[t, ids[t + 1]]
            # Those of the target so far, a prompt not among them.
            for before in set(ids[prompt + 1 : t + 1].tolist()) - {ids[t + 1].item()}:
                loss = loss - UNLIKELIHOOD * torch.log1p(-log_p[t, before].exp())
    return loss


def main():
    torch.set_default_dtype(torch.float64)
    generator = torch.Generator().manual_seed(9)
    model, reference = LanguageModel(), LanguageModel()
    with torch.no_grad():
        for parameter in [*model.parameters(), *reference.parameters()]:
            # Rounded before it is used.
            parameter.copy_((2 * torch.rand(parameter.shape, generator=generator) - 1).float())
    draw = lambda length: torch.randint(VOCABULARY, (length + 1,), generator=generator)
    sequences = [(draw(length), prompt) for prompt, length in LENGTHS]
    # Both answers follow one prompt.
    for (chosen, prompt), i in zip(sequences[:PAIRS], range(PAIRS, 2 * PAIRS)):
        rejected, _ = sequences[i]
        rejected[: prompt + 1] = chosen[: prompt + 1]
        sequences[i] = (rejected, prompt)
    costs = torch.rand(len(sequences), generator=generator).float().double()
    tensors = {"costs": costs, "lengths": torch.tensor([len(ids) for ids, _ in sequences])}
    tensors["ids"] = torch.cat([ids for ids, _ in sequences])
    tensors["prompts"] = torch.tensor([prompt for _, prompt in sequences])
    losses = {
        "dpo": dpo(model, reference, sequences, 0.0, 0.0)[0],
        "dpo_smoothed": dpo(model, reference, sequences, SMOOTHING, LIKELIHOOD)[0],
        "minimum_risk": minimum_risk(model, sequences, costs, 0.0),
        "minimum_risk_likelihood": minimum_risk(model, sequences, costs, LIKELIHOOD),
        "unlikelihood": unlikelihood(model, sequences),
    }
    tensors["rewards"] = dpo(model, reference, sequences, 0.0, 0.0)[1].detach()
    for name, loss in losses.items():
        model.zero_grad()
        loss.backward()
        tensors[f"{name}.loss"] = loss.detach().reshape(1)
        for key, parameter in model.named_parameters():
            tensors[f"{name}.gradient.{key}"] = parameter.grad
    for of, weights in {"weight": model, "reference": reference}.items():
        for key, parameter in weights.named_parameters():
            tensors[f"{of}.{key}"] = parameter.detach()
    path = Path(__file__).parents[1] / "crates/train/tests/reference/objectives.safetensors"
    kept = {key: value.float() if value.is_floating_point() else value.int() for key, value in tensors.items()}
    save_file({key: value.clone().contiguous() for key, value in kept.items()}, path)
    print(path, path.stat().st_size, "bytes", {name: f"{loss.item():.4f}" for name, loss in losses.items()})


if __name__ == "__main__":
    main()
