"""PyTorch: stacked weights (R, …), a batched product `baddbmm` for each dense layer, and one fused Adam for each side.

The replicas' losses are added, so that each gets its own gradient: no replica's loss depends on another's weights.
"""

import torch
from torch import nn

from benchmarks.workers.serve import serve
from benchmarks.workers.torch_worker import learn, move_epsilon


class Trainer:
    def __init__(self, job):
        self.versions, self.job = {"torch": torch.__version__}, job
        torch.set_num_threads(job.threads)
        self.g, self.d = (
            [torch.from_numpy(a[:, None] if a.ndim == 2 else a.copy()).requires_grad_() for a in own]
            for own in job.weights
        )
        self.optimizers = [
            torch.optim.Adam(own, job.learning_rate, (job.beta1, job.beta2), job.epsilon, fused=True)
            for own in (self.g, self.d)
        ]
        self.loss, (noise,) = nn.BCEWithLogitsLoss(reduction="sum"), job.shapes[0][0]
        self.noise = [(job.replicas, rows, noise) for rows in (job.rows, job.batch_size)]

    def forward(self, network, x):
        layers, _ = (self.job.layers[0], self.g) if network is self.g else (self.job.layers[1], self.d)
        parameters = iter(network)
        for kind, settings in layers:
            if kind == "Dense":
                weight, bias = next(parameters), next(parameters)
                x = torch.baddbmm(bias, x, weight.transpose(1, 2))
            elif kind == "LeakyReLU":
                x = nn.functional.leaky_relu(x, settings["slope"])
            elif kind != "Sigmoid":  # the loss takes logits
                x = {"ReLU": torch.relu, "Tanh": torch.tanh}[kind](x)
        return x

    def cost(self, scores, target):
        """The sum over the replicas of their mean losses."""
        return self.loss(scores, torch.full_like(scores, target)) / scores.shape[1]

    def step(self, real, noise_d, noise_g):
        g_optimizer, d_optimizer = self.optimizers
        learn(d_optimizer, self.cost(self.forward(self.d, real), 1.0))
        with torch.no_grad():
            fake = self.forward(self.g, noise_d)
        learn(d_optimizer, self.cost(self.forward(self.d, fake), 0.0))
        for a in self.d:
            a.requires_grad_(False)
        learn(g_optimizer, self.cost(self.forward(self.d, self.forward(self.g, noise_g)), 1.0))
        for a in self.d:
            a.requires_grad_(True)

    def run(self, n):
        for _ in range(n):
            t = torch.randn(self.job.replicas, self.job.rows, 1)
            self.step(torch.cat([t, t.sin()], 2), *(torch.randn(shape) for shape in self.noise))
        return n

    def train(self, real, noise_d, noise_g):
        hooks = [own.register_step_pre_hook(move_epsilon) for own in self.optimizers]
        self.step(*(torch.from_numpy(a) for a in (real, noise_d, noise_g)))
        for hook in hooks:
            hook.remove()
        for own in self.optimizers:
            own.param_groups[0]["eps"] = self.job.epsilon

    def weights(self):
        own = [a.detach().numpy() for a in (*self.g, *self.d)]
        return [a[:, 0] if i % 2 else a for i, a in enumerate(own)]


if __name__ == "__main__":
    serve(Trainer)
