#!/usr/bin/env python3
"""Writes crates/optim/tests/reference/lbfgs.tsv: iterates of PyTorch's L-BFGS with its strong-Wolfe line search.

    python3 -m venv ~/torch && ~/torch/bin/pip install torch
    ~/torch/bin/python tools/pytorch_lbfgs.py

Two functions of two parameters: the chained one of Rosenbrock, of 4 and 6 elements, and a convex one, the logarithm of the sum of exponentials of
all elements and of their negatives plus a tenth of the squares. Up to the step at which nothing changes any more, each line has a name, element type and history, then the loss and all elements after each
iteration.
"""
from pathlib import Path

import torch


def rosenbrock(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def convex(x):
    scale = torch.arange(1, len(x) + 1, dtype=x.dtype)
    return torch.logsumexp(torch.cat([scale * (x - 1), -x]), 0) + 0.1 * (x**2).sum()


def main():
    lines = []
    for name, function in ("rosenbrock", rosenbrock), ("convex", convex):
        for kind, dtype, steps in ("f64", torch.float64, 25), ("f32", torch.float32, 6):
            for history in 100, 3:
                start = torch.tensor([-1.2 if i % 2 == 0 else 1.0 for i in range(10)], dtype=dtype)
                parameters = [start[:4].clone().requires_grad_(), start[4:].clone().requires_grad_()]
                # 25 evaluations after the first in a line search, as by default before there was such a limit.
                options = {"max_iter": 1, "max_eval": 26, "history_size": history}
                optimizer = torch.optim.LBFGS(parameters, lr=1, line_search_fn="strong_wolfe", **options)

                def closure():
                    optimizer.zero_grad()
                    loss = function(torch.cat(parameters))
                    loss.backward()
                    return loss

                before = None
                for _ in range(steps):
                    optimizer.step(closure)
                    with torch.no_grad():
                        x = torch.cat(parameters)
                        if before is not None and torch.equal(x, before):
                            break
                        before = x
                        numbers = [function(x).item(), *x.tolist()]
                    lines.append(f"{name}\t{kind}\t{history}\t{' '.join(map(repr, numbers))}\n")
    path = Path(__file__).parents[1] / "crates/optim/tests/reference/lbfgs.tsv"
    path.write_text("".join(lines))


if __name__ == "__main__":
    main()
