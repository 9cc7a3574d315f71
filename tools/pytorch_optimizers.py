#!/usr/bin/env python3
"""Writes crates/optim/tests/reference/optimizers.safetensors: what PyTorch's optimizers and schedules do in 20
steps; and how gradients are clipped.

    python3 -m venv ~/torch && ~/torch/bin/pip install torch safetensors numpy
    ~/torch/bin/python tools/pytorch_optimizers.py

The weights are fixed, and the gradients do not depend on them, so that every step is compared by itself.
"""
import warnings
from pathlib import Path

import torch
import torch.optim._muon
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


class Lamb(torch.optim.Optimizer):
    """LAMB by Algorithm 2 of its paper (You et al. 2020), with bias correction: PyTorch has none."""

    def __init__(self, params, lr, betas=(0.9, 0.999), eps=1e-6, weight_decay=0.0):
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay))
        self.steps = 0

    @torch.no_grad()
    def step(self):
        self.steps += 1
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for x in group["params"]:
                state = self.state[x]
                m = state.setdefault("m", torch.zeros_like(x))
                v = state.setdefault("v", torch.zeros_like(x))
                m.mul_(beta1).add_(x.grad, alpha=1 - beta1)
                v.mul_(beta2).addcmul_(x.grad, x.grad, value=1 - beta2)
                r = (m / (1 - beta1**self.steps)) / ((v / (1 - beta2**self.steps)).sqrt() + group["eps"])
                r += group["weight_decay"] * x
                size, length = x.norm(), r.norm()
                x -= group["lr"] * (size / length if size > 0 and length > 0 else 1.0) * r


class ScheduleFree(torch.optim.Optimizer):
    """Schedule-free AdamW by its paper (Defazio et al. 2024), with the weights and the bias correction of its authors' program. The
    parameter is y; the average is the state x."""

    def __init__(self, params, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay))
        self.steps, self.sum, self.lr_max = 0, 0.0, 0.0

    @torch.no_grad()
    def step(self):
        self.steps += 1
        for group in self.param_groups:
            (beta1, beta2), lr = group["betas"], group["lr"]
            # Their weight_lr_power = 2, and r = 0.
            self.lr_max = max(lr, self.lr_max)
            self.sum += self.lr_max**2
            share = self.lr_max**2 / self.sum
            for y in group["params"]:
                state = self.state[y]
                if not state:
                    state.update(x=y.detach().clone(), z=y.detach().clone(), v=torch.zeros_like(y))
                x, z, v = state["x"], state["z"], state["v"]
                v.mul_(beta2).addcmul_(y.grad, y.grad, value=1 - beta2)
                z -= lr * (y.grad / ((v / (1 - beta2**self.steps)).sqrt() + group["eps"]) + group["weight_decay"] * y)
                x.lerp_(z, share)
                y.copy_((1 - beta1) * z + beta1 * x)


class ZClip:
    """ZClip by its authors' program (Kumar et al. 2025), with a z-score, adaptive scaling and no largest norm."""

    def __init__(self, threshold, alpha=0.97, warmup=25, eps=1e-6):
        self.threshold, self.alpha, self.warmup, self.eps = threshold, alpha, warmup, eps
        self.first, self.mean, self.variance = [], None, None

    def clip(self, norm):
        if self.mean is None:
            self.first.append(norm)
            if len(self.first) == self.warmup:
                self.mean = sum(self.first) / self.warmup
                self.variance = sum((x - self.mean) ** 2 for x in self.first) / self.warmup
            return norm
        std = self.variance**0.5
        z = (norm - self.mean) / (std + self.eps)
        clipped = self.mean + self.threshold * std / (z / self.threshold) if z > self.threshold else norm
        self.mean = self.alpha * self.mean + (1 - self.alpha) * clipped
        self.variance = self.alpha * self.variance + (1 - self.alpha) * (clipped - self.mean) ** 2
        return clipped


def adaptive_clip(weight, gradient, share, eps=1e-3):
    """Adaptive gradient clipping (Brock et al. 2021), by unit: a row of a matrix, a vector."""
    unit = dict(dim=-1, keepdim=True) if weight.dim() > 1 else {}
    limit = share * torch.linalg.vector_norm(weight, **unit).clamp(min=eps)
    norm = torch.linalg.vector_norm(gradient, **unit)
    return torch.where(norm > limit, gradient * limit / norm, gradient)


# Shapes of parameters, in their order; the last one starts at zero.
SHAPES = {"embedding": (6, 4), "wide": (5, 9), "tall": (8, 3), "vector": (11,), "zero": (5,)}


def by_shape(tensors):
    """Optimizers that look at whole parameters, in 8 steps: all parameters one after the other."""
    generator = torch.Generator().manual_seed(11)
    sizes = [torch.Size(shape).numel() for shape in SHAPES.values()]
    weights = torch.randn(sum(sizes), generator=generator, dtype=torch.float64)
    weights[-sizes[-1] :] = 0
    gradients = torch.randn(8, sum(sizes), generator=generator, dtype=torch.float64)
    gradients[:, ::3] *= 0.01
    tensors["shapes.weights"], tensors["shapes.gradients"] = weights, gradients
    for name, make in BY_SHAPE.items():
        for dtype in (torch.float32, torch.float64):
            parts = weights.to(dtype, copy=True).split(sizes)
            x = {name: torch.nn.Parameter(part.reshape(shape)) for (name, shape), part in zip(SHAPES.items(), parts)}
            optimizers = make(x)
            trajectory = []
            for gradient in gradients:
                for parameter, part in zip(x.values(), gradient.to(dtype).split(sizes)):
                    parameter.grad = part.reshape(parameter.shape).clone()
                for optimizer in optimizers:
                    optimizer.step()
                trajectory.append(torch.cat([parameter.detach().flatten() for parameter in x.values()]))
            tensors[f"{name}.{str(dtype).removeprefix('torch.')}"] = torch.stack(trajectory)


def newton_schulz(gradient, coefficients, steps, eps):
    """The iterations of torch.optim.Muon in the type of the gradient: that rounds to bfloat16, which hides all but the first digits."""
    a, b, c = coefficients
    x = gradient.T if gradient.size(0) > gradient.size(1) else gradient
    x = x / x.norm().clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if gradient.size(0) > gradient.size(1) else x


def muon(x, nesterov=True):
    """Hidden matrices by Muon, all else by AdamW."""
    options = dict(lr=0.02, weight_decay=0.1)
    hidden = [x["wide"], x["tall"]]
    others = [parameter for name, parameter in x.items() if name not in ("wide", "tall")]
    return [
        torch.optim.Muon(hidden, momentum=0.9, nesterov=nesterov, adjust_lr_fn="match_rms_adamw", **options),
        torch.optim.AdamW(others, betas=(0.8, 0.95), **options),
    ]


def muon_in_full_precision(x, nesterov=True):
    torch.optim._muon._zeropower_via_newtonschulz = newton_schulz
    return muon(x, nesterov)


BY_SHAPE = {
    "muon-bfloat16": muon,
    "muon": muon_in_full_precision,
    "muon-plain": lambda x: muon_in_full_precision(x, nesterov=False),
    "adafactor": lambda x: [torch.optim.Adafactor(x.values(), lr=0.4, beta2_decay=-0.7, d=1.1, weight_decay=0.1)],
    "lamb": lambda x: [Lamb(x.values(), lr=0.02, betas=(0.8, 0.95), weight_decay=0.1)],
}


def schedule_free(tensors):
    """With a warm-up, so that steps have different shares, and a lower rate from half of the steps on, which changes no share."""
    for dtype in (torch.float32, torch.float64):
        y = torch.nn.Parameter(tensors["weights"].to(dtype, copy=True))
        optimizer = ScheduleFree([y], lr=0.01, betas=(0.8, 0.95), weight_decay=0.1)
        trained, averaged = [], []
        for step, gradient in enumerate(tensors["gradients"]):
            optimizer.param_groups[0]["lr"] = 0.02 * min(1.0, (step + 1) / 6) * (1.0 if step < 10 else 0.25)
            y.grad = gradient.to(dtype)
            optimizer.step()
            trained.append(y.detach().clone())
            averaged.append(optimizer.state[y]["x"].clone())
        name = str(dtype).removeprefix("torch.")
        tensors[f"schedule-free.{name}"] = torch.stack(trained)
        tensors[f"schedule-free.average.{name}"] = torch.stack(averaged)


def clipping(tensors):
    generator = torch.Generator().manual_seed(9)
    norms = 1 + 0.2 * torch.randn(80, generator=generator)
    norms[[30, 45, 46, 47, 60]] *= torch.tensor([3.0, 100.0, 5.0, 2.0, 1.5])
    norms[70:] *= 2
    zclip = ZClip(2.5)
    tensors["zclip.norms"] = norms
    tensors["zclip.clipped"] = torch.tensor([zclip.clip(norm.item()) for norm in norms])
    # The fourth row of the matrix and the second vector are zero.
    for name, shape in dict(matrix=(5, 7), vector=(9,), zero=(6,)).items():
        weight, gradient = (torch.randn(shape, generator=generator) for _ in range(2))
        weight[3 if name == "matrix" else slice(0 if name == "zero" else 9, None)] = 0
        gradient[1:3] *= 0.02
        tensors[f"clip.{name}.weight"], tensors[f"clip.{name}.gradient"] = weight, gradient
        tensors[f"clip.{name}.agc"] = adaptive_clip(weight, gradient, 0.1)
        x = torch.nn.Parameter(weight.clone())
        x.grad = gradient.clone()
        torch.nn.utils.clip_grad_norm_([x], 1.5)
        tensors[f"clip.{name}.parameter_norm"] = x.grad


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
    by_shape(tensors)
    clipping(tensors)
    schedule_free(tensors)
    path = Path(__file__).parents[1] / "crates/optim/tests/reference/optimizers.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    print(path, path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
