"""PyTorch's side of make_references.py and make_games.py: what it takes for PyTorch to compute what numgan computes."""

from itertools import pairwise

import numpy as np
import torch
from torch import nn

SHARED = {"beta2": 0.999, "epsilon": 1e-7, "slope": float(np.float32(0.2)), "momentum": 0.8, "batch_norm_epsilon": 1e-3}


class BatchNorm(nn.BatchNorm1d):
    """nn.BatchNorm1d, but that the biased variance enters the running one, as in Keras and numgan."""

    def forward(self, x):
        before = self.running_var.clone()
        y = super().forward(x)
        if self.training:
            self.running_var = torch.lerp(before, x.detach().var(dim=0, correction=0), self.momentum)
        return y


class TorchAdamEpsilonHat(torch.optim.Optimizer):
    """The ε̂ form, which PyTorch does not offer. State named as in torch.optim.Adam."""

    def __init__(self, parameters, lr, betas, eps):
        super().__init__(parameters, {"lr": lr, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            (beta1, beta2), lr, eps = group["betas"], group["lr"], group["eps"]
            for p in group["params"]:
                state = self.state[p]
                t = state["step"] = state.get("step", 0) + 1
                m = state["exp_avg"] = beta1 * state.get("exp_avg", 0) + (1 - beta1) * p.grad
                v = state["exp_avg_sq"] = beta2 * state.get("exp_avg_sq", 0) + (1 - beta2) * p.grad**2
                p -= lr * (1 - beta2**t) ** 0.5 / (1 - beta1**t) * m / (v.sqrt() + eps)


def torch_network(widths, activation, batch_norm=None, output=()):
    """Linear layers with `activation` between them, and a batch norm "after" or "before" each activation, or None."""
    modules = []
    for n_in, n_out in pairwise(widths[:-1]):
        block = [activation()]
        if batch_norm:
            norm = BatchNorm(n_out, eps=SHARED["batch_norm_epsilon"], momentum=1 - SHARED["momentum"])
            block.insert(0 if batch_norm == "before" else 1, norm)
        modules += [nn.Linear(n_in, n_out), *block]
    return nn.Sequential(*modules, nn.Linear(*widths[-2:]), *output)


def torch_tensors(network, prefix):
    """numgan's name -> tensor."""
    tensors = {}
    for k, linear in enumerate((m for m in network if isinstance(m, nn.Linear)), 1):
        tensors |= {f"{prefix}.dense_{k}.weight": linear.weight, f"{prefix}.dense_{k}.bias": linear.bias}
    for k, bn in enumerate((m for m in network if isinstance(m, nn.BatchNorm1d)), 1):
        tensors |= {f"{prefix}.batch_norm_{k}.gamma": bn.weight, f"{prefix}.batch_norm_{k}.beta": bn.bias,
                    f"{prefix}.batch_norm_{k}.running_mean": bn.running_mean,
                    f"{prefix}.batch_norm_{k}.running_variance": bn.running_var}  # fmt: skip
    return tensors
