#!/usr/bin/env python3
"""Writes crates/optim/tests/reference/optimizers.safetensors: what PyTorch's optimizers and schedules do in 20 steps.

    python3 -m venv ~/torch && ~/torch/bin/pip install torch safetensors numpy
    ~/torch/bin/python tools/pytorch_optimizers.py

The weights are fixed, and the gradients do not depend on them, so that every step is compared by itself.
"""
import warnings
from pathlib import Path

import torch
from safetensors.torch import save_file

STEPS, SIZE = 20, 37


class Lion(torch.optim.Optimizer):
    """Lion by Algorithm 2 of its paper (Chen et al. 2023): PyTorch has none."""

    def __init__(self, params, lr, betas=(0.9, 0.99), weight_decay=0.0):
        super().__init__(params, dict(lr=lr, betas=betas, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for x in group["params"]:
                momentum = self.state[x].setdefault("exp_avg", torch.zeros_like(x))
                update = (beta1 * momentum + (1 - beta1) * x.grad).sign()
                x -= group["lr"] * (update + group["weight_decay"] * x)
                momentum.mul_(beta2).add_(x.grad, alpha=1 - beta2)


OPTIMIZERS = {
    "sgd": (torch.optim.SGD, 0.1, {}),
    "sgd-decay": (torch.optim.SGD, 0.1, dict(weight_decay=0.05)),
    "momentum": (torch.optim.SGD, 0.1, dict(momentum=0.9, dampening=0.1)),
    "nesterov": (torch.optim.SGD, 0.1, dict(momentum=0.9, nesterov=True, weight_decay=0.01)),
    "adagrad": (torch.optim.Adagrad, 0.1, dict(lr_decay=0.02, initial_accumulator_value=0.1, weight_decay=0.01)),
    "adadelta": (torch.optim.Adadelta, 1.0, dict(weight_decay=0.01)),
    "rmsprop": (torch.optim.RMSprop, 0.01, dict(weight_decay=0.01)),
    "rmsprop-momentum": (torch.optim.RMSprop, 0.01, dict(momentum=0.9)),
    "rmsprop-centered": (torch.optim.RMSprop, 0.01, dict(centered=True)),
    "rmsprop-centered-momentum": (torch.optim.RMSprop, 0.01, dict(centered=True, momentum=0.5)),
    "adam": (torch.optim.Adam, 0.01, dict(weight_decay=0.01)),
    "adamw": (torch.optim.AdamW, 0.01, dict(betas=(0.8, 0.99), weight_decay=0.1)),
    "adam-amsgrad": (torch.optim.Adam, 0.01, dict(amsgrad=True, weight_decay=0.01)),
    "adamw-amsgrad": (torch.optim.AdamW, 0.01, dict(amsgrad=True, betas=(0.8, 0.9))),
    "nadam": (torch.optim.NAdam, 0.01, dict(weight_decay=0.01)),
    "nadam-decoupled": (torch.optim.NAdam, 0.01, dict(decoupled_weight_decay=True, weight_decay=0.1, momentum_decay=0.3)),
    "radam": (torch.optim.RAdam, 0.01, dict(betas=(0.9, 0.98), weight_decay=0.01)),
    "radam-decoupled": (torch.optim.RAdam, 0.01, dict(decoupled_weight_decay=True, weight_decay=0.1)),
    "lion": (Lion, 0.01, dict(weight_decay=0.1)),
}


SCHEDULES = {
    "step": (torch.optim.lr_scheduler.StepLR, dict(step_size=6, gamma=0.5)),
    "exponential": (torch.optim.lr_scheduler.ExponentialLR, dict(gamma=0.9)),
    "linear": (torch.optim.lr_scheduler.LinearLR, dict(start_factor=1.0, end_factor=0.2, total_iters=STEPS)),
    "cosine": (torch.optim.lr_scheduler.CosineAnnealingLR, dict(T_max=STEPS)),
}


def main():
    warnings.simplefilter("ignore")
    # NAdam keeps its product of momenta in the default type.
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(5)
    tensors = {"weights": torch.randn(SIZE, dtype=torch.float64), "gradients": torch.randn(STEPS, SIZE, dtype=torch.float64)}
    tensors["gradients"][:, ::5] *= 1e-3
    for dtype in (torch.float32, torch.float64):
        for name, (make, lr, options) in OPTIMIZERS.items():
            x = torch.nn.Parameter(tensors["weights"].to(dtype, copy=True))
            optimizer = make([x], lr=lr, **options)
            trajectory = []
            for gradient in tensors["gradients"]:
                x.grad = gradient.to(dtype)
                optimizer.step()
                trajectory.append(x.detach().clone())
            tensors[f"{name}.{str(dtype).removeprefix('torch.')}"] = torch.stack(trajectory)
    for name, (make, options) in SCHEDULES.items():
        optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        schedule = make(optimizer, **options)
        rates = []
        for _ in range(STEPS):
            rates.append(optimizer.param_groups[0]["lr"])
            schedule.step()
        tensors[f"schedule.{name}"] = torch.tensor(rates, dtype=torch.float64)
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1, threshold=0.01, min_lr=0.1)
    losses = [3, 2, 1.99, 1.985, 1.9, 1.9, 1.9, 1.9, 1.8, 1.9, 1.9, 1.9, 1.9, 1.9, 1.9, 1.9, 1.7, 1.8, 1.8, 1.8]
    rates = []
    for loss in losses:
        plateau.step(loss)
        rates.append(optimizer.param_groups[0]["lr"])
    tensors["plateau.losses"] = torch.tensor(losses, dtype=torch.float64)
    tensors["plateau.rates"] = torch.tensor(rates, dtype=torch.float64)
    path = Path(__file__).parents[1] / "crates/optim/tests/reference/optimizers.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    print(path, path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
